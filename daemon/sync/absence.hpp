#pragma once
// What a complete feed did not deliver: is it gone, out of scope, or was the read not complete after all? Candidates come from the index,
// the directory is asked by stable id (S13) and about vanished containers (S4). Suspending is the plan's business.

#include <stop_token>

#include "daemon/sync/plan.hpp"

namespace rosterd::sync {

struct Absent {
  Target target;
  connectors::Present present = connectors::Present::Gone;  ///< assumed for those beyond the sample
};

struct Absence {
  std::vector<Absent> of;
  std::string trouble;                  ///< not empty: nobody may leave in this run, and why
  std::optional<std::string> vanished;  ///< a container that cannot be read, all below it being missing
  std::uint64_t unverified = 0;         ///< left for the approval (S13)
};

/// `complete_feed`: whatever was not seen is absent; otherwise only what the directory named as gone.
[[nodiscard]] Result<Absence> examine(const PlanInputs& inputs, const HeldIndex& index, connectors::Connector& directory,
                                      bool complete_feed, std::stop_token stop);
/// Writes suspensions and purges of what is absent.
[[nodiscard]] Result<void> stage_absent(const PlanInputs& inputs, const HeldIndex& index, const std::vector<Absent>& absent,
                                        PlanWriter& writer);

/// Asks the directory about stable ids in batches; stops at the first answer that is neither Gone nor OutOfScope.
struct Verified {
  std::vector<connectors::Present> of;  ///< shorter than asked when there was trouble
  std::string trouble;
  bool in_scope = false;  ///< the trouble is that one of them is there
};
[[nodiscard]] Result<Verified> verify(connectors::Connector& directory, PrincipalType type, std::span<const ExternalId> ids,
                                      std::stop_token stop);

}  // namespace rosterd::sync
