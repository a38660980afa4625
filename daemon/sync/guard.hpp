#pragma once
// The guard (sync-rules §4): the numbers of a finished plan go in, "may be applied" or the limit it breaks comes out. Pure: no clock,
// no store. Whoever calls it has verified what is missing and fetched what left within the last 24 hours.

#include <optional>
#include <string>

#include "schema/model/sync.hpp"
#include "schema/store/store.hpp"

namespace rosterd::sync {

/// A group of the plan that loses the largest share of its members.
struct GroupLoss {
  PrincipalId group;
  std::uint64_t lost = 0;
  std::uint64_t of = 0;
};

/// What the guard looks at. "Leaving" counts what was active and is suspended by this plan, for whatever reason.
struct GuardInput {
  bool complete = false;                              ///< the read was proved complete, so that "nothing was delivered" means something
  std::uint64_t users_read = 0, groups_read = 0;      ///< seen in the feed, unusable records included
  std::uint64_t users_active = 0, groups_active = 0;  ///< before the plan, of this source
  std::uint64_t bindings_held = 0;                    ///< made by role mappings, before the plan
  std::uint64_t users_leaving = 0, groups_leaving = 0;
  std::uint64_t bindings_removed = 0, admin_bindings_removed = 0;
  std::uint64_t halved_groups = 0;   ///< groups for which loses_too_many() is true
  GroupLoss worst;                   ///< one of them, for the sentence
  std::uint64_t groups_listing = 0;  ///< that arrived and had members by their own list before the plan
  std::uint64_t groups_emptied = 0;  ///< of those, without any member now
  RecentLeaving recent;              ///< last 24 h, not approved (S16)
};

struct GuardTrip {
  std::string reason;  ///< "guard_empty_users" "guard_empty_groups" "guard_users" "guard_groups" "guard_groups_emptied"
                       ///< "guard_group_half" "guard_bindings" "guard_admin_binding"
  std::string detail;  ///< a sentence with limit and numbers
};

/// How many of `active` may leave within 24 hours: min(ceiling, max(percent % of n, min(floor, n/3))), rounded down.
[[nodiscard]] std::uint64_t limit(const Guard& guard, std::uint64_t active);
/// 20 members or more, and more than half of them go.
[[nodiscard]] bool loses_too_many(std::uint64_t lost, std::uint64_t of);
/// 3 groups or more, and at least half of those that had members, list nobody any more: where the schema allows empty groups, this is what
/// losing the right to read the member attribute looks like (S7).
[[nodiscard]] bool empties_too_many(std::uint64_t emptied, std::uint64_t of);
/// The first limit that the plan breaks; none = it may be applied.
[[nodiscard]] std::optional<GuardTrip> trip(const Guard& guard, const GuardInput& plan);

}  // namespace rosterd::sync
