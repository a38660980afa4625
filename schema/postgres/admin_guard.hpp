#pragma once
// The last Admin rule (rbac.md R89) on committed and just written state: is anybody left who holds a tenant-wide Admin that does not
// expire?

#include <functional>

#include "schema/postgres/pool.hpp"

namespace rosterd::postgres {

/// Asked inside the changing transaction, after Tenancy::lock(), so that two changes cannot both see the other's Admin.
[[nodiscard]] bool has_active_admin(Tenancy& inside);
/// Asks (Db::ask) for what makes all of that needless while a provider pushes: somebody who holds the tenant-wide Admin himself and is not
/// of `source`. Nothing that source says can take it from him.
void ask_admin_beyond(Tenancy& inside, SourceId source, std::function<void(bool)> use);
/// Conflict "last_admin" for a change by API that leaves the tenant without one; `before` is what has_active_admin said before the change.
[[nodiscard]] Result<void> keep_an_admin(Tenancy& inside, bool before);

}  // namespace rosterd::postgres
