#pragma once
// Base64 for what is sent: RFC 4648 §4 with padding, and §5 (URL-safe) without. Decoding is the business of jwt/, which is strict.

#include <span>
#include <string>
#include <string_view>

namespace rosterd::connectors::oidc {

[[nodiscard]] std::string base64(std::string_view bytes);
[[nodiscard]] std::string base64url(std::string_view bytes);

}  // namespace rosterd::connectors::oidc
