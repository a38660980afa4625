#include "schema/postgres/pool.hpp"
#include "schema/postgres/postgres_store.hpp"
#include "schema/postgres/rows.hpp"
#include "schema/postgres/run_end.hpp"

// Who syncs what: claiming, prolonging, ending, housekeeping.

namespace rosterd {

using namespace postgres;

Result<std::optional<Work>> PostgresStore::claim(std::string_view holder, Millis lease_for, TimePoint now) {
  struct Claimed {
    int tenant;
    std::string slug;
    SourceId source;
    RunId run;
    std::uint64_t fence;
  };
  return pool_->run(Mode::Write, "looking for work", [&](Db& db) -> Result<std::optional<Work>> {
    const auto claimed = db.first("SELECT tenant_id, slug, source_id, run_id, fence FROM door_claim($1, $2, $3)",
                                  {holder, lease_for.count(), now}, [](Row& row) {
                                    Claimed one;
                                    one.tenant = static_cast<int>(row.number());
                                    one.slug = row.text();
                                    one.source = row.id<SourceId>();
                                    one.run = row.id<RunId>();
                                    one.fence = static_cast<std::uint64_t>(row.number());
                                    return one;
                                  });
    if (!claimed) return std::nullopt;
    const auto inside = enter_number(db, claimed->tenant, TenantId{claimed->slug}, true);
    Work work;
    work.lease = {
        .tenant = inside.id, .source = claimed->source, .run = claimed->run, .fence = claimed->fence, .holder = std::string(holder)};
    work.source = *db.first(fmt::format("SELECT {} FROM source s WHERE s.tenant_id = $1 AND s.source_id = $2", kSourceColumns),
                            {claimed->tenant, claimed->source}, read_source);
    work.state = *db.first(fmt::format("SELECT {} FROM source_state st WHERE st.tenant_id = $1 AND st.source_id = $2", kStateColumns),
                           {claimed->tenant, claimed->source}, read_state);
    work.run = *db.first(fmt::format("SELECT {} FROM run r WHERE r.tenant_id = $1 AND r.run_id = $2", kRunColumns),
                         {claimed->tenant, claimed->run}, read_run);
    work.plan_version = static_cast<std::uint64_t>(
        db.number("SELECT source_version FROM run WHERE tenant_id = $1 AND run_id = $2", {claimed->tenant, claimed->run}));
    return work;
  });
}

namespace {
/// Leases belong to sync; they do not lock the tenant, so that an apply of another source never delays a heartbeat.
template <class Work>
auto with_lease(Pool& pool, const Lease& lease, std::string_view doing, Work work) {
  return pool.run(Mode::Write, doing, [&](Db& db) -> decltype(work(std::declval<Tenancy&>())) {
    auto inside = enter(db, lease.tenant);
    // A tenant that was deleted took the lease with it.
    if (!inside) return fail_as("stale_fence", Errc::Conflict, "{}", inside.error().what);
    return work(*inside);
  });
}
}  // namespace

Result<void> PostgresStore::heartbeat(const Lease& lease, Millis lease_for, std::string_view progress) {
  return with_lease(*leases_, lease, "prolonging a lease", [&](Tenancy& inside) -> Result<void> {
    // Whoever holds the row is either ending this very run or has yet to commit that it takes the lease away: as long as it is ours by what
    // is committed, it is ours, and waiting would cost the leases that are next.
    static constexpr std::string_view kProlong =
        "WITH ours AS (SELECT FROM source_lease WHERE tenant_id = $1 AND source_id = $2 AND fence = $3 AND holder = $4 AND run_id = $5), "
        "free AS (SELECT tenant_id, source_id FROM source_lease WHERE tenant_id = $1 AND source_id = $2 AND fence = $3 AND holder = $4 "
        "AND run_id = $5 FOR NO KEY UPDATE SKIP LOCKED), "
        "longer AS (UPDATE source_lease l SET expires_at = clock_timestamp() + $6 * interval '1 millisecond' FROM free f "
        "WHERE l.tenant_id = f.tenant_id AND l.source_id = f.source_id RETURNING 1) "
        "SELECT (SELECT count(*) FROM ours), (SELECT count(*) FROM longer)";
    bool ours = false, prolonged = false;
    inside.db.each(kProlong, {inside.number, lease.source, lease.fence, lease.holder, lease.run, lease_for.count()}, [&](Row& row) {
      ours = row.flag();
      prolonged = row.flag();
    });
    if (!ours) return fail_as("stale_fence", Errc::Conflict, "the lease of {} has gone to somebody else", text(lease.source));
    if (prolonged && !progress.empty())
      inside.db.run("UPDATE run SET progress = $3 WHERE tenant_id = $1 AND run_id = $2 AND outcome = 2",
                    {inside.number, lease.run, progress});
    return {};
  });
}

Result<void> PostgresStore::finish(const Lease& lease, const RunEnd& end) {
  return with_lease(*pool_, lease, "ending a run", [&](Tenancy& inside) -> Result<void> {
    check_fence(inside, lease);
    end_run(inside, lease, end, {.applied = false, .revision = {}, .plan = end.plan, .notices = end.notices});
    return {};
  });
}

Result<std::uint64_t> PostgresStore::sweep(TimePoint now) {
  return pool_->run(Mode::Write, "sweeping", [&](Db& db) -> Result<std::uint64_t> {
    db.allow(std::chrono::minutes(10));
    db.number("SELECT door_sweep_pushed($1)", {now});
    return static_cast<std::uint64_t>(db.number("SELECT door_sweep($1)", {now}));
  });
}

Result<Forgotten> PostgresStore::forget_history(TimePoint older_than, std::uint32_t how_many) {
  // Sessions that are over are history of no use; signing in removes some of them, too, but who signs in no more leaves his behind.
  const auto ended = pool_->run(Mode::Write, "forgetting sessions that are over", [&](Db& db) -> Result<void> {
    static constexpr std::string_view kOver =
        "DELETE FROM account_session WHERE session_id IN (SELECT session_id FROM account_session WHERE idle_until <= now() "
        "ORDER BY idle_until LIMIT $1 FOR UPDATE SKIP LOCKED)";
    while (db.run(kOver, {how_many}) == how_many) {
    }
    return {};
  });
  if (!ended) return fail(ended.error());
  return pool_->run(Mode::Write, "forgetting history", [&](Db& db) -> Result<Forgotten> {
    db.allow(std::chrono::minutes(10));
    return db
        .first("SELECT audit_rows, runs, change_rows FROM door_forget_history($1, $2)", {older_than, how_many},
               [](Row& row) {
                 Forgotten out;
                 out.audit_rows = static_cast<std::uint64_t>(row.number());
                 out.runs = static_cast<std::uint64_t>(row.number());
                 out.change_rows = static_cast<std::uint64_t>(row.number());
                 return out;
               })
        .value_or(Forgotten{});
  });
}

Result<std::vector<SourceAge>> PostgresStore::source_ages() {
  return pool_->run(Mode::Read, "asking how old the reads are", [&](Db& db) -> Result<std::vector<SourceAge>> {
    std::vector<SourceAge> out;
    db.each("SELECT tenant, source_id, source, interval_ms, full_every_ms, micros(read_at), micros(made_at) FROM door_source_ages()", {},
            [&](Row& row) {
              SourceAge one;
              one.tenant = TenantId{row.text()};
              one.source = row.id<SourceId>();
              one.name = row.text();
              one.schedule.interval = Millis(row.number());
              one.schedule.full_every = Millis(row.number());
              one.last_complete_read = row.maybe_time();
              one.created_at = row.time();
              out.push_back(std::move(one));
            });
    return out;
  });
}

}  // namespace rosterd
