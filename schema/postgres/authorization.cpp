#include "schema/core/text.hpp"
#include "schema/postgres/copy.hpp"
#include "schema/postgres/pool.hpp"
#include "schema/postgres/postgres_store.hpp"
#include "schema/postgres/rows.hpp"

// The rows a snapshot is compiled from, all of one moment: one REPEATABLE READ transaction, so that revision and rows belong together.

namespace rosterd {

using namespace postgres;

Result<void> PostgresStore::load_authorization(const TenantId& tenant, AuthorizationSink& sink) {
  return in_tenant(*snapshots_, Mode::Steady, tenant, "reading what a snapshot is made of", [&](Tenancy& inside) -> Result<void> {
    Db& db = inside.db;
    db.allow(std::chrono::minutes(10));
    const int t = inside.number;

    // A local edge beside a source's edge (R45) is one membership for a check. Twins have one local half, so leaving out the other is
    // enough.
    static constexpr std::string_view kEdges =
        "FROM membership m WHERE m.tenant_id = {0} AND (m.source_id = 0 OR NOT EXISTS (SELECT 1 FROM membership l WHERE l.tenant_id = {0} "
        "AND l.source_id = 0 AND l.group_id = m.group_id AND l.member_id = m.member_id))";
    const auto edges_from = fmt::format(kEdges, t);

    Revision revision;
    bool enabled = false;
    std::uint64_t users = 0, groups = 0;
    db.each(
        "SELECT epoch, revision, enabled::int, (SELECT count(*) FROM tenant_user WHERE tenant_id = $1), "
        "(SELECT count(*) FROM tenant_group WHERE tenant_id = $1) FROM tenant WHERE tenant_id = $1",
        {t}, [&](Row& row) {
          revision.epoch = static_cast<std::uint32_t>(row.number());
          revision.number = static_cast<std::uint64_t>(row.number());
          enabled = row.flag();
          users = static_cast<std::uint64_t>(row.number());
          groups = static_cast<std::uint64_t>(row.number());
        });
    const auto edges = static_cast<std::uint64_t>(db.number("SELECT count(*) " + edges_from));
    sink.begin(revision, enabled, users, groups, edges);

    copy_rows(
        db,
        fmt::format(
            "SELECT u.id, u.username, u.email, (u.leaving = 0 AND NOT u.admin_suspended), coalesce(a.super_admin AND a.enabled, false) "
            "FROM tenant_user u LEFT JOIN account a ON a.account_id = u.account_id WHERE u.tenant_id = {}",
            t),
        [&](CopyReader& row) {
          const PrincipalId id{row.number()};
          const auto username = row.text();
          const auto email = row.text();
          const bool active = row.flag();
          sink.user(id, username, email, active, row.flag());
        });
    std::string folded;
    copy_rows(db, fmt::format("SELECT id, name_key, name, leaving = 0 FROM tenant_group WHERE tenant_id = {}", t), [&](CopyReader& row) {
      const PrincipalId id{row.number()};
      auto key = row.maybe_text();
      const auto name = row.text();
      if (!key) {  // suspended groups hold no name in the table, but are still found by it (R7)
        fold_into(name, folded);
        key = folded;
      }
      sink.group(id, *key, name, row.flag());
    });
    copy_rows(db, fmt::format("SELECT id, name, enabled FROM service_account WHERE tenant_id = {}", t), [&](CopyReader& row) {
      const PrincipalId id{row.number()};
      const auto name = row.text();
      sink.service_account(id, name, row.flag());
    });
    copy_rows(db, "SELECT m.group_id, m.member_id " + edges_from, [&](CopyReader& row) {
      const PrincipalId group{row.number()};
      sink.edge(group, PrincipalId{row.number()});
    });
    db.each(fmt::format("SELECT {} FROM role WHERE tenant_id = $1 ORDER BY role_id", kRoleColumns), {t},
            [&](Row& row) { sink.role(read_role(row)); });
    copy_rows(db,
              fmt::format("SELECT binding_id, role_id, principal_type::bigint, principal_id, ns, micros(expires_at), source_id, "
                          "micros(created_at), created_by "
                          "FROM binding WHERE tenant_id = {} ORDER BY binding_id",
                          t),
              [&](CopyReader& row) {
                Binding one;
                one.id = BindingId{row.number()};
                one.role = RoleId{row.number()};
                one.principal.type = static_cast<PrincipalType>(row.number());
                one.principal.id = PrincipalId{row.number()};
                if (const auto ns = row.maybe_text()) one.ns = std::string(*ns);
                if (const auto at = row.maybe_number())
                  one.expires_at = TimePoint(std::chrono::microseconds(static_cast<std::int64_t>(*at)));
                if (const auto source = row.number(); source != 0) one.source = SourceId{source};
                one.created_at = TimePoint(std::chrono::microseconds(static_cast<std::int64_t>(row.number())));
                one.created_by = std::string(row.text());
                sink.binding(one);
              });
    return {};
  });
}

}  // namespace rosterd
