#pragma once
// The dialect of Microsoft Entra ID: Microsoft Graph v1.0, read by delta queries. Everything is a delta from nothing, followed to its
// deltaLink; later reads go on from there. Graph's promises are few: objects come in any order, in pieces, more than once, and old news
// may come again. So what a delta says is taken as "look here": whoever is in doubt is read anew by id before anything is concluded.

#include "connectors/oidc/dialect.hpp"

namespace rosterd::connectors::oidc::entra {

[[nodiscard]] std::unique_ptr<Dialect> make(const Settings& settings, const ConnectorOptions& options, std::string_view learnt);
/// What delta queries cannot do is refused: filters, and other ways to memberships.
[[nodiscard]] Result<void> check(const Settings& settings);
[[nodiscard]] std::string api_url(const std::string& issuer);

}  // namespace rosterd::connectors::oidc::entra
