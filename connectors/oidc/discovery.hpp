#pragma once
// OpenID Connect Discovery 1.0 §4: from an issuer to its endpoints.

#include <stop_token>
#include <string>
#include <vector>

#include "connectors/http/client.hpp"
#include "schema/core/result.hpp"

namespace rosterd::connectors::oidc {

struct ProviderMetadata {
  std::string issuer;
  std::string token_endpoint;
  std::string authorization_endpoint;  ///< empty where the provider has none
  std::string jwks_uri;
  std::string mtls_token_endpoint;  ///< mtls_endpoint_aliases.token_endpoint (RFC 8705 §5), or empty
  std::vector<std::string> token_endpoint_auth_methods;
};

/// `{issuer}/.well-known/openid-configuration`. The document's issuer must be `issuer`, byte for byte but for one "/" at the end
/// (§4.3; mix-up defence), with the exception of Entra's "{tenantid}" template, which stands for the tenant's id in the issuer asked for.
/// Every endpoint must be https (http only where the issuer is, for a provider on this machine). Errors say what the provider answered.
[[nodiscard]] Result<ProviderMetadata> discover(http::Client& client, const std::string& issuer, std::stop_token stop);
/// The pure part: the document's text to metadata.
[[nodiscard]] Result<ProviderMetadata> parse_metadata(std::string_view document, const std::string& issuer);

}  // namespace rosterd::connectors::oidc
