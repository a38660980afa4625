#pragma once
// The compact form of a JSON Web Signature (RFC 7515 §7.1), taken apart strictly. Nothing of it is believed here: a Jws says what the token
// claims about itself, and verify.hpp decides. `jku`, `x5u`, `x5c` and `jwk` of a header are never looked at: keys come from the issuer.

#include <optional>
#include <string>
#include <string_view>

#include "schema/core/result.hpp"

namespace rosterd::jwt {

/// Longer ones are refused unread. Entra's with 200 groups are about 9 KiB.
inline constexpr std::size_t kMostToken = 16 * 1024;

/// What a verifier may allow. `none` and HS* are not among them and cannot be configured.
enum class Algorithm { RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA };
/// By its exact name (RFC 7518 §3.1, RFC 8037 §3.1); none for any other, in whatever case.
[[nodiscard]] std::optional<Algorithm> parse_algorithm(std::string_view name);
[[nodiscard]] std::string_view text(Algorithm algorithm);

struct Jws {
  Algorithm algorithm = Algorithm::RS256;
  std::optional<std::string> kid;
  std::optional<std::string> typ;
  std::string signed_part;  ///< header and payload as they were sent
  std::string payload;
  std::string signature;
};

/// Errors are Unauthorized, "malformed_token" or "algorithm_not_allowed"; they quote nothing of the token.
[[nodiscard]] Result<Jws> take_apart(std::string_view token);
/// Three parts of the right characters: enough to tell a JWT from other bearer tokens.
[[nodiscard]] bool looks_like_jws(std::string_view token);

}  // namespace rosterd::jwt
