#pragma once
// base64url without padding (RFC 7515 §2), strictly: one text has one meaning, and one meaning one text.

#include <optional>
#include <string>
#include <string_view>

namespace rosterd::jwt {

/// None for anything outside the alphabet, padding and white space included, for an impossible length, and for unused bits that are not
/// zero.
[[nodiscard]] std::optional<std::string> base64url_decode(std::string_view text);
[[nodiscard]] std::string base64url_encode(std::string_view bytes);

}  // namespace rosterd::jwt
