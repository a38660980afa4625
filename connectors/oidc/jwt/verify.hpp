#pragma once
// A bearer's token, an issuer's policy, its keys and the time go in; claims that may be believed, or the reason why not, come out. This
// room fetches nothing, signs nothing and knows no settings: keys come from connectors/oidc/jwks.hpp, policies from the sources.

#include "connectors/oidc/jwt/claims.hpp"
#include "connectors/oidc/jwt/jwk.hpp"
#include "connectors/oidc/jwt/jws.hpp"

namespace rosterd::jwt {

/// A token that has been read and not verified.
struct Token {
  Jws jws;
  nlohmann::json claims;
  /// Of whom it says it is; only to find out whose keys and policy must judge it.
  std::string claimed_issuer;
};
/// Errors as take_apart, and "wrong_issuer" for a token that names none.
[[nodiscard]] Result<Token> read(std::string_view token);

/// Algorithm, key and signature alone.
[[nodiscard]] Result<void> check_signature(const Jws& jws, const std::vector<Algorithm>& allowed, const KeySet& keys);
/// Algorithm, key, signature, claims, in this order (protocols.md C). Every error is Unauthorized with a reason as its slug; "unknown_key"
/// means that the set has no key of the token's kid (or none that fits), so that it may be worth fetching the set again.
[[nodiscard]] Result<Claims> verify(Token token, const Policy& policy, const KeySet& keys, TimePoint now);
[[nodiscard]] Result<Claims> verify(std::string_view token, const Policy& policy, const KeySet& keys, TimePoint now);
[[nodiscard]] Result<Claims> verify_id_token(std::string_view token, const Policy& policy, const IdTokenRules& rules, const KeySet& keys,
                                             TimePoint now);

}  // namespace rosterd::jwt
