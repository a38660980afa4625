#pragma once
// The LDAP connector: settings of one directory come in, a Connector that reads it goes out. What servers do differently is data in
// presets.cpp and explained in docs/directories.md; libldap itself is spoken to in client.cpp only. What follows from a read is not
// decided here.

#include "connectors/connector.hpp"

namespace rosterd::connectors::ldap {

[[nodiscard]] Result<std::unique_ptr<Connector>> make(const ConnectorSettings& settings, const ConnectorOptions& options);
[[nodiscard]] Result<void> validate(std::string_view json);
[[nodiscard]] ConnectorType::Fingerprints fingerprint(std::string_view json);
[[nodiscard]] std::span<const std::string_view> secrets();

}  // namespace rosterd::connectors::ldap
