#pragma once
// Requests come in over HTTP, answers go out as JSON: a thin layer of doormen over the store, the published snapshots and the sync
// side. What rosterd means by its answers lives in those; this room knows the paths, the shapes, who may ask, and how errors look.

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "connectors/connector.hpp"
#include "daemon/http/issuers.hpp"
#include "daemon/http/limits.hpp"
#include "daemon/http/proxy_routes.hpp"
#include "daemon/http/setup.hpp"
#include "daemon/http/trusted_proxy.hpp"
#include "daemon/passwords.hpp"
#include "daemon/secrets.hpp"
#include "daemon/sync/control.hpp"
#include "daemon/sync/snapshots.hpp"
#include "rbac/catalogue.hpp"
#include "schema/core/clock.hpp"
#include "schema/store/store.hpp"

namespace rosterd::http {

/// How people sign in.
struct AccountOptions {
  Millis session_lifetime{12 * 3'600'000};
  Millis session_idle{3'600'000};
  Lockout lockout = {};
  PasswordPolicy policy = {};
  PasswordCost cost = {};
};

struct HttpOptions {
  std::string address = "127.0.0.1";
  std::uint16_t port = 0;       ///< 0 = any free one
  std::string public_url = {};  ///< "https://authz.example.org": what clients call us, for AuthZEN's metadata; empty = not known
  ProxyRouteSets proxy_routes = {};
  std::vector<TrustedProxy> trusted_proxies = {};
  RateLimits rates = {};  ///< none, unless told
  std::size_t threads = 32;
  std::size_t max_body = 64 * 1024;  ///< of everything but a batch of checks
  std::size_t max_batch_body = 1024 * 1024;
  std::size_t max_url = 2048;
  std::size_t max_headers = 32 * 1024;  ///< request line and headers together
  std::size_t max_connections = 10'000;
  Millis read_timeout{10'000};               ///< for a TLS handshake, for one whole request to arrive, for an answer to be taken
  Millis keep_alive{60'000};                 ///< an idle connection is closed after this, sooner when others need its place
  Millis max_wait{1'000};                    ///< a request that finds no thread for so long is answered 503
  Millis revision_wait{1'000};               ///< Rosterd-Min-Revision
  std::optional<Millis> max_token_age = {};  ///< R57: the longest max_age a token may have, and then it needs one; none = for ever
  AccountOptions accounts = {};
  Millis max_snapshot_age{60'000};   ///< beyond this a replica that lost the database answers 503 (K6)
  std::string tls_certificate_file;  ///< PEM chain; empty = plain HTTP
  std::string tls_key_file;
  std::string tls_client_ca_file;  ///< PEM; clients may show certificates of these authorities
  std::string unix_socket;         ///< path of a socket beside the port, without TLS; empty = none
  unsigned unix_socket_mode = 0660;
};

struct HttpServices {
  Store& store;
  sync::Snapshots& snapshots;
  sync::SyncControl& sync;
  std::shared_ptr<const rbac::Catalogue> catalogue;
  const Secrets& secrets;
  connectors::ConnectorOptions connector_options;
  const Clock& clock;
  SetupGate& setup;
  std::string token_pepper;
  std::function<connectors::ConnectorOptions()> reloaded_options = {};  ///< what holds now, where a reload may change connector_options
  Issuers* issuers = nullptr;  ///< none: no JWT is anybody's, and nobody signs in through a provider
};

/// Listens from start() to stop(). The services are borrowed and outlive it.
class Server {
 public:
  /// Binds and serves. Unavailable when the address is taken, InvalidInput when certificate or key are unusable.
  [[nodiscard]] static Result<std::unique_ptr<Server>> start(HttpOptions options, HttpServices services);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// The port that was bound.
  [[nodiscard]] std::uint16_t port() const;
  /// For connections made from now on: these files as they are now, or no TLS when they are empty. An error changes nothing.
  [[nodiscard]] Result<void> set_tls(const std::string& certificate_file, const std::string& key_file,
                                     const std::string& client_ca_file = {});
  void set_rates(const RateLimits& rates);
  /// When all that serves requests was last seen moving. Peers, however slow, cannot hold it up; a deadlock does.
  [[nodiscard]] std::chrono::steady_clock::time_point last_tick() const;
  [[nodiscard]] std::size_t connections() const;
  /// What /readyz says; false until told otherwise.
  void set_ready(bool ready);
  /// Takes no more connections, finishes the requests that are being answered, and joins. May be called twice.
  void stop();

 private:
  struct Parts;
  explicit Server(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace rosterd::http
