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

}  // namespace rosterd::postgres
