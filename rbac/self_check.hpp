#pragma once
// The look at a snapshot before it is published (check-api.md P2): what the store said is in it, and what it answers, quickly, is what the
// rules give, slowly. By sampling: a few milliseconds, whatever the size of the tenant.

#include "rbac/snapshot.hpp"

namespace rosterd::rbac {

struct SelfCheckOptions {
  std::size_t samples = 1'000;       ///< questions about principals drawn at random
  std::size_t most_touched = 1'000;  ///< touched principals that are asked about, each several times
};

/// `changes`: those it was made with from its predecessor; nullptr for one compiled from all rows. Internal, with the first thing that is
/// not as it should be.
[[nodiscard]] Result<void> self_check(const Snapshot& snapshot, const AuthorizationChanges* changes, const SelfCheckOptions& options = {});

}  // namespace rosterd::rbac
