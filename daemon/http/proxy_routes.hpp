#pragma once
// The route tables of the proxy endpoint (check-api.md X6): method and path of a request that a reverse proxy asks about go in, the
// question to decide comes out.

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "schema/core/result.hpp"

namespace rosterd::http {

struct ProxyRoute {
  std::string method;                 ///< "GET", or "*" for any
  std::vector<std::string> segments;  ///< "flows", "{ns}" for one segment, "{rest...}" last for any number of them
  std::string permission, action;
  std::string ns;  ///< "{ns}", "company.{team}", "a.b"; empty = the whole tenant
};
/// "GET /flows/{ns}/{rest...} FLOW READ {ns}"; without the last word the question is about the whole tenant.
[[nodiscard]] Result<ProxyRoute> parse_proxy_route(std::string_view line);

/// Where a proxy says what it asks about. It is never guessed from what is there: a client could send headers of his own.
enum class ProxyAsks {
  InRequest,    ///< method and path of the request to us are those of the original (nginx, Envoy)
  InForwarded,  ///< they stand in X-Forwarded-Method and X-Forwarded-Uri (Traefik)
  InHeaders,    ///< the question itself stands in Rosterd-Permission, -Action and -Namespace; there are no routes
};

/// What holds for the proxies of one tenant.
struct ProxyRouteSet {
  ProxyAsks asks = ProxyAsks::InRequest;
  bool faults_are_denials = false;  ///< 403 where it would be 503 (X4)
  bool names_consumed = false;      ///< X8: an allow names the headers that hold credentials, for Envoy to take away
  std::vector<ProxyRoute> routes;
};
/// By tenant; "*" is for those that have none of their own.
using ProxyRouteSets = std::map<std::string, ProxyRouteSet, std::less<>>;

/// Lines of routes. "[acme] …" begins the set of a tenant and may set ask=forwarded or ask=headers, fail_as=403 and remove=credentials;
/// what stands before the first of these is for all tenants, "[*]".
[[nodiscard]] Result<ProxyRouteSets> parse_proxy_routes(std::span<const std::string> lines);
/// Without any sets the proxy's headers ask; with some, a tenant that none of them is for has an empty one, which denies.
[[nodiscard]] const ProxyRouteSet& routes_for(const ProxyRouteSets& sets, std::string_view tenant);

struct ProxyQuestion {
  std::string permission, action;
  std::optional<std::string> ns;
};
/// The question of the first row that fits. None: no row does, the path is a trick (encoded slashes, dot segments, empty ones), or what
/// the pattern caught is no namespace. `path` is still percent-encoded and without its query; one slash at its end does not matter.
[[nodiscard]] std::optional<ProxyQuestion> proxy_question(std::span<const ProxyRoute> routes, std::string_view method,
                                                          std::string_view path);

}  // namespace rosterd::http
