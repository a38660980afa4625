#pragma once
// Access tokens for a directory API: a static one, or OAuth 2.0 client credentials (RFC 6749 §4.4) with the ways a client proves itself.

#include <chrono>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <variant>

#include "connectors/http/client.hpp"
#include "schema/core/clock.hpp"
#include "schema/core/result.hpp"

namespace rosterd::connectors::oidc {

enum class ClientAuth {
  SecretBasic,    ///< client_secret_basic, RFC 6749 §2.3.1
  SecretPost,     ///< client_secret_post
  PrivateKeyJwt,  ///< private_key_jwt, RFC 7523
  Tls,            ///< tls_client_auth, RFC 8705: the certificate of http::Options says who asks
};

/// The key that signs client assertions: RS256 for RSA, ES256 for P-256.
class SigningKey {
 public:
  /// InvalidInput for what is no unencrypted PEM private key of those kinds (RSA of at least 2048 bits). Says nothing of its content.
  [[nodiscard]] static Result<SigningKey> parse(const std::string& pem);
  /// From now on each assertion names this certificate of the key by its thumbprints (x5t and x5t#S256, RFC 7515 §4.1.7 and 4.1.8), by
  /// which Entra finds it. InvalidInput for what is no PEM certificate, or another key's.
  [[nodiscard]] Result<void> name_certificate(const std::string& pem);
  [[nodiscard]] std::string_view algorithm() const;  ///< "RS256" or "ES256"
  /// A compact JWS (RFC 7515 §7.1) over `payload`, a JSON text; `key_id` empty = no kid.
  [[nodiscard]] Result<std::string> sign(std::string_view payload, std::string_view key_id) const;

 private:
  struct Key;
  std::shared_ptr<const Key> key_;
  std::string sha1_, sha256_;  ///< of the certificate's DER form, as the header has them; empty = none
};

struct ClientCredentials {
  std::string token_endpoint = {};
  ClientAuth auth = ClientAuth::SecretBasic;
  std::string client_id = {};
  std::string client_secret = {};
  std::optional<SigningKey> key = std::nullopt;
  std::string key_id = {};
  std::string audience = {};  ///< of the assertion; empty = the token endpoint
  std::string scope = {};     ///< empty = none asked for
  std::string resource = {};  ///< RFC 8707; empty = none
};

/// The assertion of RFC 7523 §2.2 for one request: good for a minute, with an id of its own.
[[nodiscard]] Result<std::string> client_assertion(const ClientCredentials& credentials, TimePoint now);

struct AccessToken {
  std::string value;
  std::chrono::steady_clock::time_point refresh_at;  ///< at 80 % of its life, less a little chance, so that many sources do not meet
};

/// Asks the token endpoint. Unauthorized when it does not accept the client, with its error code and description in words (never the
/// secret).
[[nodiscard]] Result<AccessToken> fetch_token(http::Client& client, const ClientCredentials& credentials, TimePoint now,
                                              std::stop_token stop);

/// Keeps one source's token. Used from one thread at a time, like its connector.
class TokenSource {
 public:
  /// Nobody checks a static token's age.
  explicit TokenSource(std::string static_token) : from_(std::move(static_token)) {}
  explicit TokenSource(ClientCredentials credentials) : from_(std::move(credentials)) {}

  /// The token to send now, fetched where there is none or it grows old.
  [[nodiscard]] Result<std::string> current(http::Client& client, std::stop_token stop);
  /// The server refused `token`: the next current() fetches another. False where there is none to be had (a static token).
  [[nodiscard]] bool refused(std::string_view token);

 private:
  std::variant<std::string, ClientCredentials> from_;  ///< the token itself, or what fetches one
  std::optional<AccessToken> token_;
};

}  // namespace rosterd::connectors::oidc
