#pragma once
// The kind of source that nobody reads: its provider sends what changes to rosterd's SCIM server (daemon/http/scim). What is here makes
// such a source known, with settings to check, and says so to whoever tries to read it.

#include "connectors/connector.hpp"

namespace rosterd::connectors::push {

[[nodiscard]] Result<std::unique_ptr<Connector>> make(const ConnectorSettings& settings, const ConnectorOptions& options);
/// There is nothing to set: an empty object.
[[nodiscard]] Result<void> validate(std::string_view json);
[[nodiscard]] ConnectorType::Fingerprints fingerprint(std::string_view json);

}  // namespace rosterd::connectors::push
