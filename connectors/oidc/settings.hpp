#pragma once
// Settings of one source of type "oidc" (DESIGN §6.1): parsed strictly, every problem with its JSON path.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "connectors/oidc/tokens.hpp"
#include "schema/core/result.hpp"

namespace rosterd::connectors::oidc {

enum class DialectName { Scim, Keycloak, Entra, Okta };
[[nodiscard]] std::string_view name_of(DialectName name);

/// How memberships are asked for (protocols.md B2). Auto = found out at the first read and remembered.
enum class MembershipStrategy {
  Auto,
  Inline,      ///< groups are listed with their members
  ById,        ///< only a group asked for by its id shows them
  UserGroups,  ///< users are listed with their groups
  None,        ///< not to be had: memberships are kept in rosterd
};

struct Settings {
  std::string issuer;
  DialectName dialect = DialectName::Scim;
  std::string api_url;  ///< without "/" at the end; of the directory API
  bool is_static = false;
  std::string token;  ///< static
  std::string scheme = "Bearer";
  ClientCredentials client;  ///< token_endpoint empty = from discovery
  std::string client_certificate, client_key;
  std::string ca_file, ca_pem;
  bool allow_plaintext = false;
  std::string user_filter, group_filter;  ///< in the provider's language
  bool groups = true;
  MembershipStrategy membership = MembershipStrategy::Auto;
  std::uint32_t page_size = 0;  ///< 0 = the dialect's
};

enum class SecretRule { MayBeClosed, MustBeOpen };
/// InvalidInput lists every problem: "/issuer: is missing; /client_secret: …".
[[nodiscard]] Result<Settings> parse_settings(std::string_view json, SecretRule secrets);
/// JSON paths of secrets.
[[nodiscard]] std::span<const std::string_view> secret_paths();

}  // namespace rosterd::connectors::oidc
