#include "daemon/http/trusted_proxy.hpp"

#include <algorithm>

#include "schema/core/text.hpp"

namespace rosterd::http {

Result<TrustedProxy> parse_trusted_proxy(std::string_view line) {
  constexpr std::string_view kCertificate = "cert:";
  const auto wrong = [&] {
    return fail(Errc::InvalidInput, "'{}' is no proxy; write \"unix\" or \"cert:NAME\", and perhaps a tenant behind it", line);
  };
  const auto space = line.find(' ');
  const auto who = line.substr(0, space);
  TrustedProxy out;
  if (who.starts_with(kCertificate))
    out.certificate = who.substr(kCertificate.size());
  else if (who != "unix")
    return wrong();
  if (who.starts_with(kCertificate) && out.certificate.empty()) return wrong();
  if (space == std::string_view::npos) return out;
  out.tenant = line.substr(space + 1);
  if (!is_slug(out.tenant)) return wrong();
  return out;
}

bool is_trusted(std::span<const TrustedProxy> trusted, const Request& request, std::string_view tenant) {
  return std::any_of(trusted.begin(), trusted.end(), [&](const TrustedProxy& proxy) {
    if (!proxy.tenant.empty() && proxy.tenant != tenant) return false;
    if (proxy.certificate.empty()) return request.unix_socket;
    return std::find(request.certificate.begin(), request.certificate.end(), proxy.certificate) != request.certificate.end();
  });
}

}  // namespace rosterd::http
