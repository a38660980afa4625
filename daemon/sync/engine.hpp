#pragma once
// A claimed run and a connector go in; a plan, what the guard said of it, and an outcome that does not lie come out, written in the store.
// Deciding record by record lives in diff and plan, the limits in guard, when to run and who holds the lease in scheduler.

#include <stop_token>

#include "connectors/connector.hpp"
#include "daemon/sync/plan.hpp"
#include "daemon/sync/run_control.hpp"
#include "schema/core/clock.hpp"
#include "schema/store/store.hpp"

namespace rosterd::sync {

struct EngineOptions {
  Millis purge_after{30LL * 24 * 3600 * 1000};  ///< S24
  Millis approval_life{24LL * 3600 * 1000};     ///< S20
  Millis recent{24LL * 3600 * 1000};            ///< what left that lately counts as leaving now (S16)
  std::uint32_t sample = 256;                   ///< S13
};

/// How a run ended. `recorded` false: the store could not be told (away, or the lease had gone); the lease will expire and the run be
/// marked abandoned.
struct Finished {
  RunEnd end;
  bool recorded = true;
  std::optional<Revision> revision;  ///< when something was applied
  std::uint64_t records = 0;         ///< delivered by the directory
  std::uint64_t index_bytes = 0;     ///< what comparing took
};

/// When a source runs next. Counted from the end of a run, with 10 % jitter either way so that a thousand tenants drift apart (S45).
[[nodiscard]] TimePoint after_interval(TimePoint now, Millis interval);
/// 30 s doubling to 1 h, with the same jitter.
[[nodiscard]] TimePoint after_failure(TimePoint now, std::uint32_t failures_in_a_row);

class Engine {
 public:
  Engine(Store& store, const Clock& clock, EngineOptions options = {}) : store_(store), clock_(clock), options_(options) {}

  /// Never throws, never leaves a run without an end as long as the store answers. May be called from many threads at once.
  [[nodiscard]] Finished run(const Work& work, connectors::Connector& directory,
                             const connectors::ConnectorType::Fingerprints& fingerprints, RunControl& control, std::stop_token stop);
  /// Ends a run that could not begin (no connector could be made) or was stopped before.
  [[nodiscard]] Finished give_up(const Work& work, const Error& error, RunControl& control);

 private:
  struct Read;
  [[nodiscard]] Result<Finished> sync(const Work& work, connectors::Connector& directory,
                                      const connectors::ConnectorType::Fingerprints& fingerprints, RunControl& control,
                                      std::stop_token stop);
  [[nodiscard]] Result<Finished> conclude(const Work& work, Read& read, const connectors::ConnectorType::Fingerprints& fingerprints,
                                          RunControl& control, const std::stop_token& stop);
  [[nodiscard]] Result<Finished> approve(const Work& work, connectors::Connector& directory,
                                         const connectors::ConnectorType::Fingerprints& fingerprints, RunControl& control,
                                         std::stop_token stop);
  [[nodiscard]] Result<Finished> apply(Stage& stage, RunEnd end);
  [[nodiscard]] Result<Finished> hold(Stage& stage, RunEnd end);
  [[nodiscard]] RunEnd begin_end(const Work& work) const;

  Store& store_;
  const Clock& clock_;
  EngineOptions options_;
};

}  // namespace rosterd::sync
