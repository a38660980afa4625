#pragma once
// Proxies whose word is taken for who asks (check-api.md X7): the operator's line goes in, whether a request comes from one comes out.

#include <span>
#include <string>
#include <string_view>

#include "daemon/http/request.hpp"
#include "schema/core/result.hpp"

namespace rosterd::http {

struct TrustedProxy {
  std::string certificate;  ///< a name in it; empty = whoever comes over the unix socket
  std::string tenant;       ///< believed about this one only; empty = about all
};
/// "unix", "cert:edge.example.org", each perhaps followed by a tenant.
[[nodiscard]] Result<TrustedProxy> parse_trusted_proxy(std::string_view line);

[[nodiscard]] bool is_trusted(std::span<const TrustedProxy> trusted, const Request& request, std::string_view tenant);

}  // namespace rosterd::http
