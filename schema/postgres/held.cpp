#include "schema/postgres/copy.hpp"
#include "schema/postgres/pool.hpp"
#include "schema/postgres/postgres_store.hpp"
#include "schema/postgres/rows.hpp"

// What a source holds, streamed at the start of its runs: ids and hashes, a million in well under a second.

namespace rosterd {

using namespace postgres;

namespace {

std::string_view table_of(PrincipalType type) { return type == PrincipalType::User ? "tenant_user" : "tenant_group"; }

/// Numbers only, so that they may stand in the text: COPY takes no parameters.
template <class Use>
Result<void> stream(Pool& pool, const TenantId& tenant, std::string_view doing, Use use) {
  return in_tenant(pool, Mode::Steady, tenant, doing, [&](Tenancy& inside) -> Result<void> {
    inside.db.allow(std::chrono::minutes(10));  // the reader sets the pace
    use(inside);
    return {};
  });
}

}  // namespace

Result<void> PostgresStore::load_held(const TenantId& tenant, SourceId source, TimePoint purge_before, HeldSink& sink) {
  return stream(*pool_, tenant, "reading what a source holds", [&](Tenancy& inside) {
    const auto cut = rfc3339(purge_before);
    const auto purge_due =
        fmt::format("(leaving NOT IN (0, 4) AND suspended_at <= '{}')", cut);  // 4: disabled at the source is never purged (S24)
    copy_rows(
        inside.db,
        fmt::format("SELECT id, external_id, content_hash, leaving::bigint, {} FROM tenant_user WHERE tenant_id = {} AND source_id = {}",
                    purge_due, inside.number, source.value),
        [&](CopyReader& row) {
          const PrincipalId id{row.number()};
          const auto external = row.text();
          const auto hash = row.number();
          const auto leaving = static_cast<Leaving>(row.number());
          sink.user(id, external, hash, leaving, row.flag());
        });
    copy_rows(inside.db,
              fmt::format("SELECT id, external_id, content_hash, leaving::bigint, {}, source_name FROM tenant_group WHERE tenant_id = {} "
                          "AND source_id = {}",
                          purge_due, inside.number, source.value),
              [&](CopyReader& row) {
                const PrincipalId id{row.number()};
                const auto external = row.text();
                const auto hash = row.number();
                const auto leaving = static_cast<Leaving>(row.number());
                const bool due = row.flag();
                sink.group(id, external, hash, leaving, due, row.text());
              });
    copy_rows(
        inside.db,
        fmt::format("SELECT group_id, member_id FROM membership WHERE tenant_id = {} AND source_id = {}", inside.number, source.value),
        [&](CopyReader& row) {
          const PrincipalId group{row.number()};
          sink.edge(group, PrincipalId{row.number()});
        });
    // Role mappings bind groups; what a user has of the source is the default role of his first sign-in (R91), and no run's business.
    inside.db.each(
        fmt::format("SELECT {} FROM binding b WHERE b.tenant_id = $1 AND b.source_id = $2 AND b.principal_type = 2 ORDER BY b.binding_id",
                    kBindingColumns),
        {inside.number, source}, [&](Row& row) { sink.binding(read_binding(row)); });
  });
}

Result<std::vector<HeldEntry>> PostgresStore::held_entries(const TenantId& tenant, SourceId source, PrincipalType type,
                                                           std::span<const PrincipalId> ids) {
  return in_tenant(*pool_, Mode::Read, tenant, "reading held objects", [&](Tenancy& inside) -> Result<std::vector<HeldEntry>> {
    std::vector<HeldEntry> out;
    inside.db.each(
        fmt::format(
            "SELECT id, external_id, entry, {} FROM {} WHERE tenant_id = $1 AND source_id = $2 AND id = ANY ($3::bigint[]) ORDER BY id",
            type == PrincipalType::User ? "username" : "source_name", table_of(type)),
        {inside.number, source, array_text(ids)}, [&](Row& row) {
          HeldEntry one;
          one.id = row.id<PrincipalId>();
          one.external_id = row.text();
          one.entry = row.text();
          one.name = row.text();
          out.push_back(std::move(one));
        });
    return out;
  });
}

Result<void> PostgresStore::each_held_entry(const TenantId& tenant, SourceId source, PrincipalType type,
                                            const std::function<void(PrincipalId, std::string_view entry)>& use) {
  return stream(*pool_, tenant, "reading where held objects stand", [&](Tenancy& inside) {
    copy_rows(inside.db,
              fmt::format("SELECT id, entry FROM {} WHERE tenant_id = {} AND source_id = {} AND leaving = 0", table_of(type), inside.number,
                          source.value),
              [&](CopyReader& row) {
                const PrincipalId id{row.number()};
                use(id, row.text());
              });
  });
}

Result<RecentLeaving> PostgresStore::recent_leaving(const TenantId& tenant, SourceId source, TimePoint since) {
  return in_tenant(*pool_, Mode::Read, tenant, "counting who left lately", [&](Tenancy& inside) -> Result<RecentLeaving> {
    return inside.db
        .first(
            "SELECT coalesce(sum(left_users), 0)::bigint, coalesce(sum(left_groups), 0)::bigint, coalesce(sum(left_bindings), 0)::bigint "
            "FROM run WHERE tenant_id = $1 AND source_id = $2 AND applied AND finished_at >= $3",
            {inside.number, source, since},
            [](Row& row) {
              RecentLeaving out;
              out.users = static_cast<std::uint64_t>(row.number());
              out.groups = static_cast<std::uint64_t>(row.number());
              out.bindings = static_cast<std::uint64_t>(row.number());
              return out;
            })
        .value_or(RecentLeaving{});
  });
}

Result<std::uint64_t> PostgresStore::reserve_principal_ids(std::uint64_t count) {
  if (count == 0 || count > 100'000'000)
    return fail(Errc::InvalidInput, "between 1 and 100000000 ids can be reserved at once, not {}", count);
  return pool_->run(Mode::Write, "reserving ids", [&](Db& db) -> Result<std::uint64_t> {
    return static_cast<std::uint64_t>(db.number("SELECT door_reserve_ids($1)", {count}));
  });
}

}  // namespace rosterd
