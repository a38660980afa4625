#pragma once
// Revisions come in (a commit here, a poll for commits elsewhere), published snapshots go out: one build at a time, so that memory peaks
// at the old snapshot plus the new one. How a snapshot is compiled is rbac's business, who reads it daemon/http's.

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <set>
#include <thread>

#include "daemon/sync/snapshots.hpp"
#include "rbac/catalogue.hpp"
#include "schema/core/clock.hpp"
#include "schema/store/store.hpp"

namespace rosterd::sync {

class Publisher {
 public:
  Publisher(Store& store, Snapshots& snapshots, std::shared_ptr<const rbac::Catalogue> catalogue, Millis poll = Millis{1000});
  ~Publisher();
  Publisher(const Publisher&) = delete;
  Publisher& operator=(const Publisher&) = delete;

  /// Publishes every tenant, then goes on in a thread. Ready to answer when this returns.
  [[nodiscard]] Result<void> start();
  /// The tenant has a new revision: publish it now. Returns at once.
  void changed(const TenantId& tenant);
  void stop();
  /// When the thread last came round: a sign of life for the watchdog.
  [[nodiscard]] std::chrono::steady_clock::time_point last_tick() const { return last_tick_; }

 private:
  void follow(std::stop_token stop);
  /// One look at all revisions.
  [[nodiscard]] Result<void> look();
  [[nodiscard]] Result<void> publish(const TenantId& tenant);
  void try_publish(const TenantId& tenant);

  Store& store_;
  Snapshots& snapshots_;
  std::shared_ptr<const rbac::Catalogue> catalogue_;
  Millis poll_;
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::set<TenantId> waiting_;  // under mutex_
  std::set<TenantId> known_;    // of the thread (and of start() before it)
  std::set<TenantId> failing_;  // reported already
  bool away_ = false;           // the store; reported already
  std::atomic<std::chrono::steady_clock::time_point> last_tick_{std::chrono::steady_clock::now()};
  std::jthread thread_;
};

}  // namespace rosterd::sync
