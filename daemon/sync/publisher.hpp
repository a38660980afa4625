#pragma once
// Revisions come in (a commit here, word of a commit elsewhere, a poll for what was not heard), published snapshots go out, each looked at
// before. A snapshot comes from its predecessor and what changed, where that can be told, else from all rows. Two builders, one of which
// leaves large tenants' rows to the other: a right that is revoked never waits for a million users elsewhere, and memory peaks at one large
// snapshot beside its predecessor. How a snapshot is compiled is rbac's business, who reads it daemon/http's.

#include <array>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "daemon/sync/snapshots.hpp"
#include "rbac/catalogue.hpp"
#include "rbac/self_check.hpp"
#include "schema/core/clock.hpp"
#include "schema/store/store.hpp"

namespace rosterd::sync {

/// As rbac::self_check.
using SelfCheck = std::function<Result<void>(const rbac::Snapshot&, const AuthorizationChanges*, const rbac::SelfCheckOptions&)>;

struct PublisherOptions {
  Millis poll{1'000};
  bool listen = true;                          ///< for revisions of other daemons; the poll finds them without
  Millis whole_every{std::chrono::hours(24)};  ///< updated snapshots are compared with a build from all rows
  SelfCheck check = rbac::self_check;
  std::uint64_t small = 50'000;  ///< users, groups and memberships up to which a tenant is small: a tenth of a second to build
};

class Publisher {
 public:
  using Progress = std::function<void(std::size_t published, std::size_t of)>;

  Publisher(Store& store, Snapshots& snapshots, std::shared_ptr<const rbac::Catalogue> catalogue, PublisherOptions options = {});
  ~Publisher();
  Publisher(const Publisher&) = delete;
  Publisher& operator=(const Publisher&) = delete;

  /// Publishes every tenant, then goes on in threads. Ready to answer when this returns. A tenant that cannot be published
  /// (snapshot.failed) keeps nobody else from it and is tried again later. Unavailable when the store is: another call goes on where this
  /// one ended. Stopped when `stop` is requested meanwhile.
  [[nodiscard]] Result<void> start(const std::stop_token& stop = {}, const Progress& progress = {});
  /// The tenant has a new revision: publish it now. Returns at once. Where it is not `awaited` and the last one
  /// was published just now, some milliseconds later, together with what comes meanwhile.
  void changed(const TenantId& tenant, bool awaited = true);
  void stop();
  /// When the thread last came round that did so longest ago: a sign of life for the watchdog.
  [[nodiscard]] std::chrono::steady_clock::time_point last_tick() const;

 private:
  using Steady = std::chrono::steady_clock;
  enum Lane : std::size_t { Small, Large, kLanes };
  /// Tenants on their way to a builder. One is built by one thread at a time, so that its snapshots come in the order of their revisions.
  struct Queue {
    std::array<std::deque<TenantId>, kLanes> lanes;
    std::map<TenantId, bool> waiting;  ///< in a lane, resting, or to be put there when the build in progress has ended; whether awaited
    std::map<TenantId, Steady::time_point> resting;    ///< until when they are kept out of the lanes
    std::map<TenantId, Steady::time_point> published;  ///< when last
    std::set<TenantId> building;
    std::set<TenantId> large;                        ///< to be built from more rows than the small builder takes
    std::set<TenantId> known;                        ///< exist, as far as we know
    std::map<TenantId, Steady::time_point> updated;  ///< whose snapshot is not from all rows, and since when
    std::map<TenantId, Steady::time_point> checked;  ///< when its last snapshot was looked at
    std::set<TenantId> compare;                      ///< for whom it is time to compare it
    struct Failure {
      Steady::time_point again;
      Millis pause;
    };
    std::map<TenantId, Failure> failing;  ///< reported already

    void add(const TenantId& tenant, bool awaited);
    void place(const TenantId& tenant, Steady::time_point now);
    [[nodiscard]] std::optional<TenantId> take(bool only_small, Steady::time_point now);
    /// When the next one has rested; none rests: a long time.
    [[nodiscard]] Steady::time_point next() const;
    void built(const TenantId& tenant, Steady::time_point now);
    void forget(const TenantId& tenant);
  };

  void follow(const std::stop_token& stop);
  void hear(const Store::TenantRevision* one);
  void build(const std::stop_token& stop, bool only_small);
  /// One look at all revisions. `missed`: words may have been missed, so that even what is being built is built once more where it is
  /// behind.
  [[nodiscard]] Result<void> look(bool missed);
  using Next = std::shared_ptr<const rbac::Snapshot>;
  /// Makes the next snapshot and publishes it. Throws TooLarge instead of building from more rows than `at_most`.
  [[nodiscard]] Result<void> publish(const TenantId& tenant, std::optional<std::uint64_t> at_most);
  /// `from` brought up to date: itself when nothing has changed, nothing when all rows are needed.
  [[nodiscard]] Result<Next> update(const TenantId& tenant, const Next& from);
  [[nodiscard]] Result<Next> build_whole(const TenantId& tenant, std::optional<std::uint64_t> at_most);
  /// How many questions the next snapshot of a tenant is asked, by when the last one was.
  [[nodiscard]] rbac::SelfCheckOptions questions(const TenantId& tenant);
  void compare(const TenantId& tenant, Next updated, Next whole);
  void put(const TenantId& tenant, Next snapshot, Made how, Steady::time_point started);
  void note(const TenantId& tenant, const Result<void>& published);

  Store& store_;
  Snapshots& snapshots_;
  std::shared_ptr<const rbac::Catalogue> catalogue_;
  const PublisherOptions options_;
  std::mutex mutex_;
  std::condition_variable_any wake_;
  Queue queue_;            // under mutex_
  bool look_now_ = false;  // under mutex_: something may have been missed
  bool away_ = false;      // of the thread that looks: the store; reported already
  std::atomic<Steady::time_point> looked_{Steady::now()};
  std::array<std::atomic<Steady::time_point>, kLanes> began_{Steady::time_point::max(), Steady::time_point::max()};  // of the builders
  std::jthread listener_;
  std::jthread follower_;
  std::vector<std::jthread> builders_;
};

}  // namespace rosterd::sync
