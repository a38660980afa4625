#pragma once
// How often somebody may ask: a key and a moment go in, "yes" or "in so long" comes out. A token bucket for each key, in a table of fixed
// size. Whose keys these are, and what is said to those who ask too often, lives in limits.cpp.

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>

#include "schema/core/clock.hpp"

namespace rosterd::http {

/// `count` requests each `per`, and up to `burst` at once after a pause.
struct Rate {
  std::uint32_t count = 0;  ///< 0 = no limit
  Millis per{1'000};
  std::uint32_t burst = 0;
};

/// Remembers the latest `keys` of them, about. Whoever is forgotten has a full bucket again, as he would have had soon: it is the one that
/// is nearest to being full.
class RateLimit {
 public:
  using Steady = std::chrono::steady_clock;
  explicit RateLimit(std::size_t keys);

  /// May be called while others ask; what they have used stays used.
  void set(Rate rate);
  /// Takes one request out of the bucket. Some: there was none, and how long until there is one. Keys are hashes that nobody can aim at.
  [[nodiscard]] std::optional<Steady::duration> take(std::uint64_t key, Steady::time_point now = Steady::now());
  /// What take() would say.
  [[nodiscard]] std::optional<Steady::duration> wait(std::uint64_t key, Steady::time_point now = Steady::now()) const;

 private:
  // A bucket is one number: when it will be full again. An empty one is full after burst * interval, and each request moves that moment by
  // an interval (the generic cell rate algorithm, ITU-T I.371).
  // Whoever is known is served without a lock: a thread that is put to sleep with one in its hands holds up all others. A bucket that
  // changes its owner in that moment charges the new one for a request of the old one, and no more.
  struct Bucket {
    std::atomic<std::uint64_t> key{0};
    std::atomic<Steady::rep> full_at{0};
  };
  struct alignas(64) Set {
    std::mutex mutex;  // of those who come anew
    std::array<Bucket, 8> buckets;
  };
  struct Next {
    Steady::rep full_at;
    std::optional<Steady::duration> wait;
  };
  [[nodiscard]] static Bucket* bucket_of(Set& set, std::uint64_t key);
  [[nodiscard]] Bucket& place_for(Set& set, std::uint64_t key);
  [[nodiscard]] Next next(Steady::rep full_at, Steady::rep now) const;
  [[nodiscard]] Set& set_of(std::uint64_t key) const { return sets_[key & mask_]; }

  std::uint64_t mask_;
  std::unique_ptr<Set[]> sets_;
  std::atomic<Steady::rep> interval_{0};  // nanoseconds; 0 = no limit
  std::atomic<Steady::rep> depth_{0};     // burst * interval
};

}  // namespace rosterd::http
