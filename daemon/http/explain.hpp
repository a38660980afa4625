#pragma once
// Grants of a snapshot, written out with where every membership on the way comes from (rbac.md R102, R103).

#include <nlohmann/json.hpp>
#include <span>

#include "daemon/http/app.hpp"
#include "rbac/snapshot.hpp"

namespace rosterd::http {

/// {binding, role, namespace, via: [{group, origins}], origin, expires_at, permissions} for each grant. Origins are read from the
/// store; an edge that has gone there since the snapshot has an empty list.
[[nodiscard]] Result<nlohmann::json> grants_json(Call& call, const Principal& who, std::span<const rbac::Grant> grants,
                                                 std::span<const Role> roles);

}  // namespace rosterd::http
