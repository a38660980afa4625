#pragma once
// What a token says (RFC 7519), and what an issuer's tokens must say. Access tokens and ID tokens are judged by rules that exclude each
// other (RFC 8725 §3.11, §3.12): neither is ever taken for the other.

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "connectors/oidc/jwt/jws.hpp"
#include "schema/core/clock.hpp"
#include "schema/core/result.hpp"

namespace rosterd::jwt {

/// What an issuer's access tokens have in `typ`.
enum class TokenType {
  Rfc9068,  ///< at+jwt, and all claims that RFC 9068 §2.2 requires
  Jwt,      ///< JWT: Entra, Keycloak, Okta
  Absent,   ///< none: PingFederate
};

inline constexpr Seconds kMostSkew{60};

/// What the tokens of one issuer must be.
struct Policy {
  std::string issuer = {};                  ///< compared byte for byte
  std::vector<std::string> audiences = {};  ///< one of them is in `aud`; never empty
  std::vector<Algorithm> algorithms{Algorithm::RS256, Algorithm::PS256, Algorithm::ES256};
  TokenType type = TokenType::Rfc9068;
  std::vector<std::string> clients = {};  ///< to whom tokens may have been given (azp, client_id); empty = to any of the issuer's clients
  std::string subject_claim = "sub";
  Seconds skew = kMostSkew;
};
/// What an ID token must be besides (OpenID Connect Core §3.1.3.7). Its `aud` is the client alone, whatever the policy's audiences are.
struct IdTokenRules {
  std::string client_id = {};
  std::string nonce = {};
  std::string access_token = {};  ///< what `at_hash` is about, when the token has one; empty = none came with it
};

/// Of a token whose signature and claims are right.
struct Claims {
  std::string issuer = {};
  std::string subject = {};  ///< value of the policy's subject_claim
  TimePoint expires_at{};
  /// Given to a client for itself, not for a person: `sub` names the client (RFC 9068 §5), or the issuer says so.
  bool of_client = false;
  nlohmann::json all = {};
};

/// The `iss` of a token nobody has verified: good for finding the issuer whose keys must verify it, and for nothing else.
[[nodiscard]] std::optional<std::string> claimed_issuer(const nlohmann::json& claims);
/// Errors are Unauthorized: "wrong_issuer", "wrong_audience", "wrong_client", "wrong_type", "expired", "not_yet_valid", "wrong_claims",
/// "wrong_nonce", "not_an_access_token".
[[nodiscard]] Result<Claims> judge_access_token(const Jws& jws, nlohmann::json claims, const Policy& policy, TimePoint now);
[[nodiscard]] Result<Claims> judge_id_token(const Jws& jws, nlohmann::json claims, const Policy& policy, const IdTokenRules& rules,
                                            TimePoint now);

/// The values of a groups claim.
struct GroupsClaim {
  enum class State {
    Absent,   ///< the token says nothing about groups
    Overage,  ///< it has too many to say (Entra: `_claim_names`, `hasgroups`): says nothing about groups either
    Listed,   ///< these are all of them, none included
  };
  State state = State::Absent;
  std::vector<std::string> values = {};
};
/// Anything that is not a list of texts counts as absent: it must not be read as "no groups".
[[nodiscard]] GroupsClaim groups_of(const Claims& claims, const std::string& name);

}  // namespace rosterd::jwt
