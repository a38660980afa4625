#pragma once
// A run's record, object by object, as the API shows it: rows of run_change and its packs go in, changes with names come out. Who writes
// the record is apply.cpp.

#include <string>

#include "schema/postgres/pool.hpp"

namespace rosterd::postgres {

constexpr std::uint32_t kHeldChanges = 100;  ///< of each kind (S19)

/// The first `of_each` changes of each kind of object and change of a stored plan, as a JSON array of changes. Users and groups come
/// without their content before and after, which is what /changes is for.
[[nodiscard]] std::string first_changes(Tenancy& inside, RunId run, std::uint32_t of_each);

/// Which changes of a run; what is not given does not narrow.
struct ChangeFilter {
  std::optional<ObjectType> type = {};
  std::optional<ChangeKind> kind = {};
  std::optional<PrincipalId> principal = {};  ///< the object, the group of a membership or binding, or the member
  std::optional<BindingId> binding = {};
};
struct SomeChanges {
  std::vector<Change> items;
  std::uint64_t reached = 0;  ///< every change up to this position was looked at
  bool over = false;          ///< that was the last
};
/// At most `limit` changes of an applied run behind position `after`. However large its packs, only a bounded number of them is opened: few
/// where every change counts, more where one object is looked for, since a pack that does not name it is passed over unparsed.
[[nodiscard]] SomeChanges some_changes(Tenancy& inside, RunId run, std::uint64_t after, std::uint32_t limit, const ChangeFilter& filter);

}  // namespace rosterd::postgres
