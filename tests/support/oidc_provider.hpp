#pragma once
// oidc-provider (npm), a certified OpenID provider, on a free port of 127.0.0.1: discovery, JWKS with an RS256 and an ES256 key,
// client_credentials with every client authentication rosterd knows, access tokens as JWTs (RFC 9068, typ at+jwt), authorization code flow
// with PKCE for people who are signed in without being asked.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/fetched.hpp"
#include "tests/support/tls.hpp"

namespace rosterd::test {

class OidcProvider : public NodeServer {
 public:
  struct Client {
    std::string id = "rosterd";
    std::string secret = "s3cret:/+ of rosterd";  ///< with characters that must be form-encoded before base64 (RFC 6749 §2.3.1)
    std::string method = "client_secret_basic";   ///< client_secret_post, private_key_jwt, tls_client_auth, none
    std::string algorithm{};                      ///< private_key_jwt: RS256 or ES256
    std::string public_key{};                     ///< private_key_jwt: PEM of the client's public key (kid "client-key")
    std::string subject_dn{};                     ///< tls_client_auth: the certificate's subject ("CN=rosterd")
    std::vector<std::string> redirect_uris{};     ///< not empty: the authorization code flow (PKCE S256 demanded) is open to it too
  };
  struct Account {
    std::string sub;
    std::string claims =
        "{}";  ///< JSON object: in the id_token, in userinfo and in access tokens of this account ("groups", "oid", "email", …)
  };
  struct Options {
    std::vector<Client> clients = {Client{}};
    std::vector<Account> accounts = {
        {"ada",
         R"({"email":"ada@example.test","email_verified":true,"name":"Ada Lovelace","preferred_username":"ada","groups":["engineers"]})"},
        {"bob", R"({"email":"bob@example.test","name":"Bob Byte","preferred_username":"bob","groups":[]})"}};
    std::string audience = "https://rosterd.example";  ///< aud of access tokens; a `resource` asked for by the client must equal it
    std::string scope = "read write";                  ///< scopes of that resource
    std::string algorithm = "RS256";                   ///< signs access tokens and id_tokens: RS256 or ES256
    int access_token_seconds = 600;
    int id_token_seconds = 600;
    std::optional<Certificate> tls{};  ///< https
    std::string ca_file{};             ///< with tls: verifies the server for us; clients' certificates must be of it (tls_client_auth)
  };
  OidcProvider() : OidcProvider(Options{}) {}
  explicit OidcProvider(Options options);  ///< starts; ROSTERD_NEEDS("node") before it

  [[nodiscard]] std::string issuer() const { return origin(); }
  [[nodiscard]] std::string discovery_url() const { return issuer() + "/.well-known/openid-configuration"; }
  [[nodiscard]] std::string jwks_url() const { return issuer() + "/jwks"; }
  [[nodiscard]] std::string token_url() const { return issuer() + "/token"; }
  [[nodiscard]] const std::string& audience() const { return options_.audience; }

  /// New signing keys under new kids. `keep_old`: the old public keys stay in the JWKS, as a careful provider does.
  void rotate(bool keep_old = true) const;
  /// An access token for an account (or, with an empty sub, for the client itself), without any dance.
  [[nodiscard]] std::string access_token(std::string_view sub = {}, std::string_view client_id = "rosterd") const;
  /// Any token at all, signed with the current key of `algorithm` (empty: the provider's). `claims` and `header` are JSON objects; nothing
  /// is added to the claims, `alg` and `kid` are added to the header unless it has them.
  [[nodiscard]] std::string sign(const std::string& claims, const std::string& header = "{}", std::string_view algorithm = {}) const;
  /// Access token by client_credentials at the token endpoint with client_secret_basic, as the world outside would get it; throws with the
  /// answer.
  [[nodiscard]] std::string client_credentials(const Client& client) const;
  [[nodiscard]] std::string client_credentials() const { return client_credentials(Client{}); }
  /// Replaces or adds an account from the next sign-in on.
  void set_account(const Account& account) const;

  /// Plays the browser: follows `authorize_url` through the provider (cookies kept) as `sub` until it sends us to another place, and gives
  /// that address (the client's redirect_uri with code and state, or with error). The account may also be named by login_hint or by the
  /// query parameter `account` of the authorization request; ?deny=1 there answers access_denied.
  [[nodiscard]] std::string sign_in(const std::string& authorize_url, std::string_view sub = {}) const;

 private:
  Options options_;
};

}  // namespace rosterd::test
