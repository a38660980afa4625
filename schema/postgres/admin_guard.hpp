#pragma once
// The last Admin rule (rbac.md R89) on committed and just written state: is anybody left who holds a tenant-wide Admin that does not
// expire?

#include "schema/postgres/pool.hpp"

namespace rosterd::postgres {

/// Asked inside the changing transaction, after Tenancy::lock(), so that two changes cannot both see the other's Admin.
[[nodiscard]] bool has_active_admin(Tenancy& inside);

}  // namespace rosterd::postgres
