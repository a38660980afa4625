#pragma once
// How a run ends, whoever ends it: fence, run row, the source's memory, held plans, the lease. Called inside the transaction that also
// writes what the run did.

#include "schema/postgres/pool.hpp"
#include "schema/store/store.hpp"

namespace rosterd::postgres {

/// Locks the lease and aborts with Conflict "stale_fence" when it has gone to somebody else.
void check_fence(Tenancy& inside, const Lease& lease);

/// What became of a run's changes.
struct RunRecord {
  bool applied = false;
  Revision revision;             ///< when applied
  std::optional<PlanInfo> plan;  ///< with the counts of what was written
  std::vector<Notice> notices;
};
/// Run row, state of the source, held plans it replaces, release of the lease.
void end_run(Tenancy& inside, const Lease& lease, const RunEnd& end, const RunRecord& record);

/// The run that already waits for approval of the very same plan (S21), if any.
[[nodiscard]] std::optional<RunId> held_with(Tenancy& inside, const Lease& lease, const RunEnd& end);

}  // namespace rosterd::postgres
