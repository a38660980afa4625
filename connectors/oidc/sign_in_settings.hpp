#pragma once
// How a source's issuer signs in people of its tenant: the part of a source's settings (type oidc) that says so. DESIGN §6.1 has `sign_in`,
// `audiences` and `groups_claim` beside `issuer`; the rest stands in `sign_in_options`.

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "connectors/oidc/jwks.hpp"
#include "connectors/oidc/jwt/claims.hpp"

namespace rosterd::connectors::oidc {

enum class UnknownPeople { Refuse, Create };

struct SignInSettings {
  bool sign_in = false;  ///< false: nothing else is looked at
  IssuerAt at;
  jwt::Policy policy;
  std::string groups_claim;  ///< empty = memberships are left alone
  bool groups_by_name = false;
  bool clients_too = false;  ///< tokens that clients have for themselves may be a user's, too
  UnknownPeople unknown_people = UnknownPeople::Refuse;
  std::string default_role;
  std::string client_id;  ///< of the browser's sign-in; empty = there is none
  std::string client_secret;
  std::vector<std::string> scopes{"openid", "profile", "email"};
};

/// JSON pointers of secrets among them, for Secrets.
inline constexpr std::string_view kSignInSecrets[] = {"/sign_in_options/client_secret"};
/// The names that this reader takes at the top of the settings; "issuer", "ca_file", "ca_pem", "allow_plaintext" are read, too.
inline constexpr std::string_view kSignInFields[] = {"sign_in", "audiences", "groups_claim", "sign_in_options"};

/// Of the whole settings object, secrets opened ({"value": …}) or as stored. All problems in one InvalidInput, each with its path; fields
/// that are not of kSignInFields are the connector's to judge.
[[nodiscard]] Result<SignInSettings> parse_sign_in(const nlohmann::json& settings);

}  // namespace rosterd::connectors::oidc
