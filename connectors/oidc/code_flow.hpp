#pragma once
// The authorization code flow with PKCE (OpenID Connect Core §3.1, RFC 7636): the address a browser is sent to, and what its code is good
// for at the token endpoint.

#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "connectors/http/client.hpp"
#include "connectors/oidc/discovery.hpp"

namespace rosterd::connectors::oidc {

struct CodeFlow {
  std::string client_id;
  std::string client_secret;  ///< empty = a public client
  std::string redirect_uri;
  std::vector<std::string> scopes;
};

/// S256 of RFC 7636 §4.2.
[[nodiscard]] std::string challenge_of(std::string_view verifier);
/// InvalidInput for a provider that has no authorization endpoint.
[[nodiscard]] Result<std::string> authorization_url(const ProviderMetadata& provider, const CodeFlow& flow, std::string_view state,
                                                    std::string_view nonce, std::string_view verifier);
struct CodeTokens {
  std::string id_token;
  std::string access_token;
};
/// Unauthorized when the provider refuses the code, in its words (`error`); Unavailable when it does not answer as it should. Nothing of a
/// secret or token is in an error.
[[nodiscard]] Result<CodeTokens> redeem(http::Client& client, const ProviderMetadata& provider, const CodeFlow& flow,
                                        const std::string& code, const std::string& verifier, std::stop_token stop);

}  // namespace rosterd::connectors::oidc
