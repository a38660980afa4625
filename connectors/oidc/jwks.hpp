#pragma once
// The keys of issuers: an issuer goes in, the keys that its tokens are verified with come out, from memory nearly always. They are fetched
// on threads of this class, never on that of whoever asks, who waits until his deadline when there is nothing to go on with yet. Old keys
// serve until new ones have been had, and nobody can make rosterd ask an issuer more than once a minute.

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "connectors/http/client.hpp"
#include "connectors/oidc/discovery.hpp"
#include "connectors/oidc/jwt/jwk.hpp"
#include "schema/core/clock.hpp"

namespace rosterd::connectors::oidc {

/// An issuer, and whom one trusts on the way to it. Keys that came over another way of trust are other keys: one tenant's own certificate
/// authority must not be able to give another tenant its keys.
struct IssuerAt {
  std::string issuer;
  std::string ca_file = {};  ///< PEM; empty = the system's public authorities
  std::string ca_pem = {};
  bool allow_plaintext = false;
  auto operator<=>(const IssuerAt&) const = default;
};

struct KeyCacheOptions {
  std::function<http::Options()> client = [] { return http::Options{}; };  ///< asked for each fetch; the issuer's own trust is added
  Millis least{5 * 60'000}, most{24 * 3'600'000};                          ///< bounds of what Cache-Control may say
  Millis refetch{60'000};                                                  ///< between two fetches that unknown keys or age ask for
  Millis retry{5'000};                                                     ///< while there are no keys at all
  std::size_t max_waiting = 16;                                            ///< callers that wait for one issuer
  std::size_t max_fetches = 32;                                            ///< at the same time
  std::function<std::chrono::steady_clock::time_point()> now = [] { return std::chrono::steady_clock::now(); };
};

class KeyCache {
 public:
  using Deadline = std::chrono::steady_clock::time_point;
  struct Keys {
    std::shared_ptr<const jwt::KeySet> set;
    std::uint64_t generation = 0;  ///< another number = other keys
  };

  explicit KeyCache(KeyCacheOptions options);
  /// Ends what is being fetched.
  ~KeyCache();
  KeyCache(const KeyCache&) = delete;
  KeyCache& operator=(const KeyCache&) = delete;

  /// Waits only when there are none yet. Unavailable "issuer_unavailable" says why there are none.
  [[nodiscard]] Result<Keys> keys(const IssuerAt& issuer, Deadline deadline);
  /// For a token whose key is not among those of that generation: newer ones if there are any, or if they may be asked for again now.
  [[nodiscard]] Result<Keys> newer_keys(const IssuerAt& issuer, std::uint64_t than, Deadline deadline);
  /// The generation that keys() would give; 0 = none yet.
  [[nodiscard]] std::uint64_t generation(const IssuerAt& issuer);
  /// What discovery said when the keys were fetched last.
  [[nodiscard]] Result<ProviderMetadata> metadata(const IssuerAt& issuer, Deadline deadline);
  /// How often issuers were asked for their keys, and how often in vain.
  [[nodiscard]] std::uint64_t fetches() const { return fetches_; }
  [[nodiscard]] std::uint64_t failures() const { return failures_; }

 private:
  using Steady = std::chrono::steady_clock;
  struct Entry {
    Keys keys;
    std::string body;  ///< of the set, to tell whether it has changed
    ProviderMetadata metadata;
    Steady::time_point expires{};
    std::optional<Steady::time_point> attempted;
    bool fetching = false;
    std::size_t waiting = 0;
    std::string trouble;  ///< of the last attempt
  };
  struct Fetched {
    ProviderMetadata metadata;
    jwt::KeySet set;
    std::string body;
    Millis good_for{0};
  };
  struct Fetch {
    std::shared_ptr<std::atomic<bool>> over;
    std::jthread thread;
  };

  [[nodiscard]] Result<Fetched> fetch(const IssuerAt& issuer, const std::stop_token& stop) const;
  void start_fetch(const IssuerAt& issuer, Entry& entry);
  void take(const IssuerAt& issuer, Result<Fetched> fetched);
  [[nodiscard]] Result<void> wait(std::unique_lock<std::mutex>& lock, Entry& entry, Deadline deadline);

  const KeyCacheOptions options_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<IssuerAt, Entry> entries_;  // of issuers that are configured: strangers can not make it grow
  std::atomic<std::uint64_t> fetches_{0}, failures_{0};
  std::uint64_t last_generation_ = 0;
  std::list<Fetch> running_;  // last: they use the others
};

/// max-age of a Cache-Control header, within the bounds; the least for none, no-cache and no-store.
[[nodiscard]] Millis lifetime_of(std::string_view cache_control, Millis least, Millis most);

}  // namespace rosterd::connectors::oidc
