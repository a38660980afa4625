#pragma once
// From a source as it is stored to a connector that can read it: the type is looked up, secrets are opened, and what the daemon's
// configuration says to all connectors is added. Nothing here is kept; every run gets a connector of its own.

#include "connectors/connector.hpp"
#include "daemon/secrets.hpp"
#include "schema/core/guarded.hpp"
#include "schema/store/store.hpp"

namespace rosterd {

class Connections {
 public:
  Connections(const Secrets& secrets, connectors::ConnectorOptions options) : secrets_(secrets), options_(std::move(options)) {}

  [[nodiscard]] Result<std::unique_ptr<connectors::Connector>> make(const TenantId& tenant, const Source& source,
                                                                    const SourceState& state) const;
  /// Of the settings as stored: secrets are no part of identity or scope.
  [[nodiscard]] static connectors::ConnectorType::Fingerprints fingerprints(const Source& source);

  [[nodiscard]] connectors::ConnectorOptions options() const;
  /// For connectors made from now on (SIGHUP).
  void set_options(connectors::ConnectorOptions options);

 private:
  const Secrets& secrets_;
  Guarded<connectors::ConnectorOptions> options_;
};

}  // namespace rosterd
