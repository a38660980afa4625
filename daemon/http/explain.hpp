#pragma once
// Grants of a snapshot, written out with where every membership on the way comes from (rbac.md R102, R103).

#include <nlohmann/json.hpp>
#include <span>

#include "daemon/http/app.hpp"
#include "rbac/snapshot.hpp"

namespace rosterd::http {

/// {binding, role, namespace, via: [{group, origins, gone}], origin, expires_at, permissions} for each grant of the call's snapshot.
/// Origins are read from the store; a membership that has gone there since the snapshot was made is marked `gone`.
[[nodiscard]] Result<nlohmann::json> grants_json(Call& call, const Principal& who, std::span<const rbac::Grant> grants);
/// The answer to a check with explain=true: {allowed, reason, revision, paths, paths_total, paths_more, matched_namespace, state,
/// near_misses?}.
[[nodiscard]] Result<nlohmann::json> explanation_json(Call& call, const rbac::Explanation& why);

}  // namespace rosterd::http
