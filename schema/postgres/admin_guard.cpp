#include "schema/postgres/admin_guard.hpp"

namespace rosterd::postgres {

namespace {
// UNION, not UNION ALL: membership loops are data (S36) and must end.
constexpr std::string_view kAdmins =
    "WITH RECURSIVE reached (id) AS ("
    "  SELECT b.principal_id FROM binding b JOIN role r ON r.tenant_id = b.tenant_id AND r.role_id = b.role_id"
    "  WHERE b.tenant_id = $1 AND r.admin AND b.ns IS NULL AND b.expires_at IS NULL"
    "  UNION"
    "  SELECT m.member_id FROM reached x JOIN tenant_group g ON g.tenant_id = $1 AND g.id = x.id AND g.leaving = 0"
    "  JOIN membership m ON m.tenant_id = $1 AND m.group_id = g.id"
    ") SELECT (EXISTS (SELECT 1 FROM reached x JOIN tenant_user u ON u.tenant_id = $1 AND u.id = x.id AND u.leaving = 0 AND NOT "
    "u.admin_suspended)"
    " OR EXISTS (SELECT 1 FROM reached x JOIN service_account s ON s.tenant_id = $1 AND s.id = x.id AND s.enabled))::int";
}  // namespace

bool has_active_admin(Tenancy& inside) { return inside.db.number(kAdmins, {inside.number}) != 0; }

void ask_admin_beyond(Tenancy& inside, SourceId source, std::function<void(bool)> use) {
  static constexpr std::string_view kBeyond =
      "SELECT (EXISTS (SELECT 1 FROM binding b JOIN role r ON r.tenant_id = b.tenant_id AND r.role_id = b.role_id "
      "WHERE b.tenant_id = $1 AND r.admin AND b.ns IS NULL AND b.expires_at IS NULL AND ("
      "EXISTS (SELECT 1 FROM tenant_user u WHERE u.tenant_id = $1 AND u.id = b.principal_id AND u.source_id IS DISTINCT FROM $2 AND "
      "u.leaving = 0 AND NOT u.admin_suspended) OR "
      "EXISTS (SELECT 1 FROM service_account s WHERE s.tenant_id = $1 AND s.id = b.principal_id AND s.enabled))))::int";
  inside.db.ask(kBeyond, {inside.number, source}, [use = std::move(use)](Row& row) { use(row.flag()); });
}

Result<void> keep_an_admin(Tenancy& inside, bool before) {
  if (!before || has_active_admin(inside)) return {};
  return fail_as("last_admin", Errc::Conflict, "tenant {} would be left without an active Admin; a super admin may force it",
                 inside.id.value);
}

}  // namespace rosterd::postgres
