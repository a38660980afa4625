#pragma once
// When and by whom: due or requested sources go in, runs come out, each under a lease with heartbeat (S44-S46). One dispatcher claims
// work while a worker is free, workers run the engine, one thread keeps leases alive and deadlines kept. What a run does is engine's
// business.

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "connectors/connector.hpp"
#include "daemon/sync/control.hpp"
#include "daemon/sync/engine.hpp"
#include "daemon/sync/publisher.hpp"

namespace rosterd::sync {

/// Makes the connector of a source: opens its secrets, finds its type.
using ConnectorFactory = std::function<Result<std::unique_ptr<connectors::Connector>>(const TenantId&, const Source&, const SourceState&)>;
using FingerprintsOf = std::function<connectors::ConnectorType::Fingerprints(const Source&)>;

struct SchedulerOptions {
  std::string holder;         ///< who holds leases, unique per process: host, pid and something random
  std::uint32_t workers = 4;  ///< runs at once
  Millis heartbeat{5'000};
  Millis lease{30'000};
  Millis tick{1'000};                 ///< how often to look for work that nobody announced (another replica's API, a due source)
  Millis sweep{15'000};               ///< how often to look for runs whose holder has died
  Millis run_deadline{3'900'000};     ///< one run, applying included; longer than a connector's read deadline
  std::uint64_t trim_above = 50'000;  ///< give memory back to the system after runs that read more records
  EngineOptions engine;
};

class Scheduler final : public SyncControl {
 public:
  Scheduler(Store& store, const Clock& clock, Publisher& publisher, ConnectorFactory factory, FingerprintsOf fingerprints,
            SchedulerOptions options);
  ~Scheduler() override;
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  void start();
  /// Takes no new work, gives running syncs half of `deadline` to finish, then tells them to stop and waits for the rest of it. Gives the
  /// number of runs that still have not ended (their leases expire; the destructor waits for their threads). A second call does nothing
  /// new.
  std::size_t stop(Millis deadline);
  /// Tells running syncs to stop now. May be called while another thread is in stop(), which then returns sooner.
  void hurry();
  /// When the dispatcher last came round: a sign of life for the watchdog.
  [[nodiscard]] std::chrono::steady_clock::time_point last_tick() const { return last_tick_; }

  void wake() override;
  void changed(const TenantId& tenant) override { publisher_.changed(tenant); }
  [[nodiscard]] std::optional<std::string> progress(RunId run) const override;
  [[nodiscard]] std::size_t running() const;
  [[nodiscard]] std::optional<RunsEnded> runs_ended() const override;

 private:
  struct Active {
    Work work;
    RunControl control;
    std::stop_source stop;
    std::chrono::steady_clock::time_point started, last_beat;
  };
  void dispatch(std::stop_token stop);
  void work(std::stop_token stop);
  void beat(std::stop_token stop);
  void execute(Active& active);
  [[nodiscard]] bool claim_one();
  void note_store(const Result<void>& result);

  Store& store_;
  const Clock& clock_;
  Publisher& publisher_;
  ConnectorFactory factory_;
  FingerprintsOf fingerprints_;
  SchedulerOptions options_;
  Engine engine_;
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;              // something below has changed
  std::deque<std::shared_ptr<Active>> queue_;        // claimed, not yet taken by a worker
  std::map<RunId, std::shared_ptr<Active>> active_;  // claimed and not yet ended, the queue included
  RunsEnded ended_{};                                // by outcome, since the start
  bool poked_ = false;
  std::atomic<std::chrono::steady_clock::time_point> last_tick_{std::chrono::steady_clock::now()};
  bool away_ = false;  // of the dispatcher: the store's absence has been reported
  std::jthread dispatcher_, heart_;
  std::vector<std::jthread> workers_;
};

}  // namespace rosterd::sync
