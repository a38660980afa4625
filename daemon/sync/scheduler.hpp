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
  Millis run_deadline{3'600'000};     ///< reading and deciding of one run; see run_deadline()
  std::uint64_t trim_above = 50'000;  ///< give memory back to the system after runs that read more records
  EngineOptions engine;
};

/// Of a run whose directory may be read for `read_deadline`: it may be read twice (S8), and then who is missing is asked for and the plan
/// made.
[[nodiscard]] Millis run_deadline(Millis read_deadline);

class Scheduler final : public SyncControl {
 public:
  Scheduler(Store& store, const Clock& clock, Publisher& publisher, ConnectorFactory factory, FingerprintsOf fingerprints,
            SchedulerOptions options);
  ~Scheduler() override;
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  void start();
  /// How long running syncs get, once stop() has told them to, to end and to write that down.
  static constexpr Millis kToAbandon{5'000};
  /// Takes no new work and gives running syncs `deadline` to finish. What runs then is told to stop and has kToAbandon for it; `over` is
  /// called at that moment, and whoever gives it makes the store's calls end. Gives the number of runs that have not ended even so (their
  /// leases expire; the destructor waits for their threads). A second call does nothing new.
  std::size_t stop(Millis deadline, const std::function<void()>& over = {});
  /// Makes the deadline of a stop() be now, whether it is under way or yet to come.
  void hurry();
  /// For runs that are claimed from now on.
  void set_run_deadline(Millis deadline) { run_deadline_ = deadline; }
  /// When the dispatcher last came round: a sign of life for the watchdog.
  [[nodiscard]] std::chrono::steady_clock::time_point last_tick() const { return last_tick_; }

  void wake() override;
  void changed(const TenantId& tenant) override { publisher_.changed(tenant); }
  void changed_unawaited(const TenantId& tenant) override { publisher_.changed(tenant, false); }
  [[nodiscard]] std::optional<std::string> progress(RunId run) const override;
  [[nodiscard]] std::size_t running() const;
  [[nodiscard]] std::optional<RunsEnded> runs_ended() const override;

 private:
  struct Active {
    Work work;
    RunControl control;
    std::stop_source stop;
    std::chrono::steady_clock::time_point started, last_beat;
    Millis deadline{};
  };
  void dispatch(std::stop_token stop);
  void work(std::stop_token stop);
  void beat(std::stop_token stop);
  void beat(Active& active);
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
  bool dispatching_ = false;  // the dispatcher may still bring a run
  bool hurried_ = false;      // the deadline of stop() is now
  bool over_ = false;         // the deadline of stop() has passed
  std::atomic<Millis> run_deadline_;
  std::atomic<std::chrono::steady_clock::time_point> last_tick_{std::chrono::steady_clock::now()};
  bool away_ = false;  // of the dispatcher: the store's absence has been reported
  std::jthread dispatcher_, heart_;
  std::vector<std::jthread> workers_;
};

}  // namespace rosterd::sync
