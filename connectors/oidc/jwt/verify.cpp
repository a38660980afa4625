#include "connectors/oidc/jwt/verify.hpp"

#include <algorithm>

#include "connectors/oidc/jwt/strict_json.hpp"

namespace rosterd::jwt {
Result<void> check_signature(const Jws& jws, const std::vector<Algorithm>& allowed, const KeySet& keys) {
  if (std::find(allowed.begin(), allowed.end(), jws.algorithm) == allowed.end())
    return fail_as("algorithm_not_allowed", Errc::Unauthorized, "the token's algorithm is not allowed for its issuer");
  const auto candidates = keys.candidates(jws);
  if (candidates.empty())
    return fail_as("unknown_key", Errc::Unauthorized, "the token is signed with a key that the issuer does not publish");
  for (const auto* key : candidates)
    if (key->has_signed(jws.algorithm, jws.signed_part, jws.signature)) return {};
  return fail_as("bad_signature", Errc::Unauthorized, "the token's signature is wrong");
}

Result<Token> read(std::string_view token) {
  auto jws = take_apart(token);
  if (!jws) return fail(jws.error());
  auto claims = parse_object(jws->payload);
  if (!claims) return fail_as("malformed_token", Errc::Unauthorized, "the token is malformed: its claims: {}", claims.error().what);
  auto issuer = claimed_issuer(*claims);
  if (!issuer) return fail_as("wrong_issuer", Errc::Unauthorized, "the token names no issuer");
  return Token{.jws = std::move(*jws), .claims = std::move(*claims), .claimed_issuer = std::move(*issuer)};
}

Result<Claims> verify(Token token, const Policy& policy, const KeySet& keys, TimePoint now) {
  if (const auto good = check_signature(token.jws, policy.algorithms, keys); !good) return fail(good.error());
  return judge_access_token(token.jws, std::move(token.claims), policy, now);
}

Result<Claims> verify(std::string_view text, const Policy& policy, const KeySet& keys, TimePoint now) {
  auto token = read(text);
  if (!token) return fail(token.error());
  return verify(std::move(*token), policy, keys, now);
}

Result<Claims> verify_id_token(std::string_view text, const Policy& policy, const IdTokenRules& rules, const KeySet& keys, TimePoint now) {
  auto token = read(text);
  if (!token) return fail(token.error());
  if (const auto good = check_signature(token->jws, policy.algorithms, keys); !good) return fail(good.error());
  return judge_id_token(token->jws, std::move(token->claims), policy, rules, now);
}

}  // namespace rosterd::jwt
