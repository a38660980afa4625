#pragma once
// The connector of OIDC providers: OIDC itself cannot list anybody, so a source is discovery, an access token and the provider's directory
// API in one of four dialects. Settings come in, a Connector goes out; HTTP is spoken in connectors/http only.

#include "connectors/connector.hpp"

namespace rosterd::connectors::oidc {

[[nodiscard]] Result<std::unique_ptr<Connector>> make(const ConnectorSettings& settings, const ConnectorOptions& options);
[[nodiscard]] Result<void> validate(std::string_view json);
[[nodiscard]] ConnectorType::Fingerprints fingerprint(std::string_view json);
[[nodiscard]] std::span<const std::string_view> secrets();

}  // namespace rosterd::connectors::oidc
