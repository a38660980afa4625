#pragma once
// What nobody asks for and somebody must look after: ages of complete reads go in and a word to the log comes out when a source becomes
// overdue (S51); a retention goes in and history older than that goes (R108), and with it sessions that are over; bindings that have
// expired are noticed (R38). Runs and their leases are the scheduler's business.

#include <set>
#include <string>
#include <thread>
#include <tuple>

#include "schema/core/clock.hpp"
#include "schema/store/store.hpp"

namespace rosterd::sync {

struct HousekeeperOptions {
  Millis retention{std::chrono::hours(400 * 24)};
  Millis look_every{60'000};
  Millis forget_every{std::chrono::hours(24)};
  std::uint32_t at_once = 1000;  ///< rows of audit, runs, or a tenant's bindings, in one transaction
};

/// Used from one thread at a time: its own between start() and stop().
class Housekeeper {
 public:
  Housekeeper(Store& store, const Clock& clock, HousekeeperOptions options) : store_(store), clock_(clock), options_(options) {}
  ~Housekeeper() { stop(); }
  Housekeeper(const Housekeeper&) = delete;
  Housekeeper& operator=(const Housekeeper&) = delete;

  void start();
  void stop();

  /// Logs each source that has become overdue since the look before, and each that is not any more; once for each, by every replica.
  [[nodiscard]] Result<void> look();
  /// Notices expired bindings, until nothing is left or `stop` is requested. Gives how many.
  [[nodiscard]] Result<std::uint64_t> sweep(const std::stop_token& stop = {});
  /// Forgets what is older than the retention, and sessions that are over, piece by piece until nothing is left or `stop` is requested.
  [[nodiscard]] Result<Forgotten> forget(const std::stop_token& stop = {});

 private:
  void work(const std::stop_token& stop);

  Store& store_;
  const Clock& clock_;
  HousekeeperOptions options_;
  std::set<std::pair<TenantId, SourceId>> overdue_;
  std::jthread thread_;
};

}  // namespace rosterd::sync
