#pragma once
// The route table of the proxy endpoint (check-api.md X6): method and path of a request that a reverse proxy asks about go in, the
// question to decide comes out.

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

struct ProxyQuestion {
  std::string permission, action;
  std::optional<std::string> ns;
};
/// The question of the first row that fits. None: no row does, the path is a trick (encoded slashes, dot segments, empty ones), or what
/// the pattern caught is no namespace. `path` is still percent-encoded and without its query; one slash at its end does not matter.
[[nodiscard]] std::optional<ProxyQuestion> proxy_question(std::span<const ProxyRoute> routes, std::string_view method,
                                                          std::string_view path);

}  // namespace rosterd::http
