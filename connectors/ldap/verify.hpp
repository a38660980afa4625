#pragma once
// Questions about entries by their stable ids, asked before anything is taken away (sync-rules S13): does it still exist, is it still a
// member. A connection comes in, answers go out; what follows from them is decided elsewhere.

#include "connectors/connector.hpp"
#include "connectors/ldap/client.hpp"
#include "connectors/ldap/settings.hpp"

namespace rosterd::connectors::ldap {

/// See Connector::verify; `part` is where the settings look for them. An error only when told to stop or when nothing could be asked.
[[nodiscard]] Result<Presence> verify(Client& client, const Settings& settings, const Part& part, std::span<const ExternalId> ids);
/// See Connector::still_listed.
[[nodiscard]] Result<std::optional<std::size_t>> still_listed(Client& client, const Settings& settings, std::span<const Unlisted> groups);

}  // namespace rosterd::connectors::ldap
