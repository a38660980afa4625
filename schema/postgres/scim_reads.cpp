#include "schema/postgres/postgres_store.hpp"
#include "schema/postgres/rows.hpp"
#include "schema/postgres/scim_desk.hpp"

// What a provider has pushed, as it reads it back.

namespace rosterd {

using namespace postgres;

Result<std::vector<Pushed>> PostgresStore::pushed(const TenantId& tenant, SourceId source, const PushedQuery& query) {
  return in_tenant(*pool_, Mode::Read, tenant, "reading what was pushed", [&](Tenancy& inside) -> Result<std::vector<Pushed>> {
    // Values of our own where there are any, so that each shape of the question has the plan it needs.
    std::string where;
    if (query.id) where += fmt::format(" AND r.id = {}", query.id->value);
    if (query.name_key) where += " AND r.name_key = $4";
    if (query.external_id) where += " AND r.external_id = $5";
    if (query.work_email) where += " AND r.work_email = $6";
    if (query.member)
      where += fmt::format(
          " AND EXISTS (SELECT 1 FROM membership m WHERE m.tenant_id = $1 AND m.group_id = r.id AND m.member_id = {} AND m.source_id = $2 "
          "OFFSET 0)",
          query.member->value);
    if (!query.among.empty()) where += fmt::format(" AND r.id = ANY ('{}'::bigint[])", array_text(query.among));
    if (query.after) where += fmt::format(" AND r.id > {}", query.after.value);
    // By a name it is looked up in the index of names; scim_desk.cpp says what the sums are for.
    const bool by_text = query.name_key || query.external_id;
    static constexpr std::string_view kRead =
        "SELECT {} FROM scim_resource r WHERE r.tenant_id = $1 AND {} AND r.deleted_at IS NULL{} "
        "AND ($4::text IS NULL OR true) AND ($5::text IS NULL OR true) AND ($6::text IS NULL OR true) ORDER BY r.id OFFSET {} LIMIT {}";
    std::vector<Pushed> out;
    inside.db.each(
        fmt::format(kRead, kPushedColumns, by_text ? "r.source_id + 0 = $2 AND r.type + 0 = $3" : "r.source_id = $2 AND r.type = $3", where,
                    query.skip, query.limit),
        {inside.number, source, query.type, query.name_key, query.external_id, query.work_email},
        [&](Row& row) { out.push_back(read_pushed(row)); });
    return out;
  });
}

Result<std::uint64_t> PostgresStore::count_pushed(const TenantId& tenant, SourceId source, PrincipalType type) {
  return in_tenant(*pool_, Mode::Read, tenant, "counting what was pushed", [&](Tenancy& inside) -> Result<std::uint64_t> {
    return static_cast<std::uint64_t>(
        inside.db.number("SELECT count(*) FROM scim_resource WHERE tenant_id = $1 AND source_id = $2 AND type = $3 AND deleted_at IS NULL",
                         {inside.number, source, type}));
  });
}

Result<std::vector<PushedMember>> PostgresStore::pushed_members(const TenantId& tenant, SourceId source,
                                                                std::span<const PrincipalId> groups) {
  return in_tenant(*pool_, Mode::Read, tenant, "reading members",
                   [&](Tenancy& inside) -> Result<std::vector<PushedMember>> { return members_of(inside, source, groups); });
}

}  // namespace rosterd
