#pragma once
// The dialect of Keycloak's admin REST API: the realm's users, its tree of groups and their members in pages; changes by the realm's event
// logs where these tell everything.

#include "connectors/oidc/dialect.hpp"

namespace rosterd::connectors::oidc::keycloak {

[[nodiscard]] std::unique_ptr<Dialect> make(const Settings& settings, const ConnectorOptions& options, std::string_view learnt);
/// "https://host/realms/acme" -> "https://host/admin/realms/acme"; empty where the issuer is no realm's.
[[nodiscard]] std::string api_url(const std::string& issuer);
/// Filters that Keycloak can also count and look up by id.
[[nodiscard]] Result<void> check(const Settings& settings);

}  // namespace rosterd::connectors::oidc::keycloak
