#include "daemon/connections.hpp"

namespace rosterd {

Result<std::unique_ptr<connectors::Connector>> Connections::make(const TenantId&, const Source& source, const SourceState& state) const {
  const auto type = connectors::find_connector_type(source.type);
  if (!type) return fail(type.error());
  auto settings = secrets_.open_settings(source.settings, (*type)->secrets);
  if (!settings) return fail(settings.error(), "opening the secrets");
  return (*type)->make({.json = std::move(*settings), .learnt = state.learnt}, options());
}

connectors::ConnectorType::Fingerprints Connections::fingerprints(const Source& source) {
  const auto type = connectors::find_connector_type(source.type);
  // A type that is gone has no connector either, so that no run comes as far as comparing these.
  return type ? (*type)->fingerprint(source.settings) : connectors::ConnectorType::Fingerprints{};
}

connectors::ConnectorOptions Connections::options() const {
  return options_.with([](const connectors::ConnectorOptions& options) { return options; });
}

void Connections::set_options(connectors::ConnectorOptions next) {
  options_.with([&](connectors::ConnectorOptions& options) { options = std::move(next); });
}

}  // namespace rosterd
