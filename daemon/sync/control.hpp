#pragma once
// What the HTTP side may ask of the sync side: wake up, publish, tell how a run is getting on.

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "schema/model/ids.hpp"
#include "schema/model/sync.hpp"

namespace rosterd::sync {

class SyncControl {
 public:
  virtual ~SyncControl() = default;
  /// There is new work (a run was queued, a source changed): look now instead of at the next tick.
  virtual void wake() = 0;
  /// The tenant has changed: publish its newest revision now. Returns without waiting; Snapshots::wait_for waits.
  virtual void changed(const TenantId& tenant) = 0;
  /// The same where nobody waits for it: in a burst of changes, some milliseconds later, together with what follows.
  virtual void changed_unawaited(const TenantId& tenant) { changed(tenant); }
  /// Progress of a run that this process is executing, as a JSON object text; none for others.
  [[nodiscard]] virtual std::optional<std::string> progress(RunId run) const = 0;
  /// Runs that ended in this process since it started, by outcome (index = number of the Outcome); none where nobody counts.
  using RunsEnded = std::array<std::uint64_t, 10>;
  [[nodiscard]] virtual std::optional<RunsEnded> runs_ended() const { return std::nullopt; }
};

}  // namespace rosterd::sync
