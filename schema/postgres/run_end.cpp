#include "schema/postgres/run_end.hpp"

#include <nlohmann/json.hpp>

#include "schema/postgres/rows.hpp"

namespace rosterd::postgres {

namespace {

[[noreturn]] void abort_stale(const Lease& lease) {
  abort_with("stale_fence", Errc::Conflict, "the lease of {} has gone to somebody else", text(lease.source));
}

}  // namespace

void check_fence(Tenancy& inside, const Lease& lease) {
  // The weakest lock that keeps the lease from changing hands: claim and sweep, which lock the row as a whole, pass over it, while
  // heartbeats, which only move its end, go on through an apply of minutes.
  static constexpr std::string_view kFence =
      "SELECT 1 FROM source_lease WHERE tenant_id = $1 AND source_id = $2 AND fence = $3 AND holder = $4 AND run_id = $5 FOR KEY SHARE";
  if (inside.db.number(kFence, {inside.number, lease.source, lease.fence, lease.holder, lease.run}) == 0) abort_stale(lease);
}

std::optional<RunId> held_with(Tenancy& inside, const Lease& lease, const RunEnd& end) {
  if (end.outcome != Outcome::Held || !end.plan) return std::nullopt;
  static constexpr std::string_view kSame =
      "SELECT run_id FROM run WHERE tenant_id = $1 AND source_id = $2 AND run_id <> $3 AND plan_hash = $4 AND approval_expires_at IS NOT "
      "NULL";
  return inside.db.first(kSame, {inside.number, lease.source, lease.run, end.plan->hash}, [](Row& row) { return row.id<RunId>(); });
}

namespace {

/// A plan that waits is void once a newer complete run has said otherwise (S21), or once its very equal was approved and applied: one that
/// a scheduled run stored between the two. `hash`: only plans of that one; empty = all.
void drop_held_plans(Tenancy& inside, const Lease& lease, std::string_view hash = {}) {
  static constexpr std::string_view kSupersede =
      "UPDATE run SET approval_expires_at = NULL, reason = 'superseded', detail = detail || ' (superseded by ' || $4 || ')' "
      "WHERE tenant_id = $1 AND source_id = $2 AND run_id <> $3 AND approval_expires_at IS NOT NULL AND $5 IN ('', plan_hash)";
  inside.db.run(kSupersede, {inside.number, lease.source, lease.run, text(lease.run), hash});
}

}  // namespace

void end_run(Tenancy& inside, const Lease& lease, const RunEnd& end, const RunRecord& record) {
  Db& db = inside.db;
  // First, since a heartbeat locks the lease before the run, too.
  static constexpr std::string_view kRelease =
      "UPDATE source_lease SET expires_at = NULL, holder = '', run_id = 0 WHERE tenant_id = $1 AND source_id = $2 AND fence = $3 AND "
      "holder = $4 AND run_id = $5";
  if (db.run(kRelease, {inside.number, lease.source, lease.fence, lease.holder, lease.run}) == 0) abort_stale(lease);
  const bool dry_run = db.number("SELECT dry_run::int FROM run WHERE tenant_id = $1 AND run_id = $2", {inside.number, lease.run}) != 0;

  auto detail = end.detail;
  auto approval = end.outcome == Outcome::Held && !dry_run ? end.approval_expires_at : std::nullopt;
  if (const auto same = held_with(inside, lease, end)) {
    // The older run keeps waiting under its own id, so that an approval given meanwhile still finds it.
    approval.reset();
    detail += fmt::format(" (the same plan already waits as {})", text(*same));
  } else if (!dry_run &&
             (end.outcome == Outcome::Held || (end.complete && (end.outcome == Outcome::Applied || end.outcome == Outcome::Unchanged)))) {
    drop_held_plans(inside, lease);
  } else if (end.approved && end.plan) {
    drop_held_plans(inside, lease, end.plan->hash);
  }

  static constexpr std::string_view kRun =
      "UPDATE run SET outcome = $3, reason = $4, detail = $5, cursor_kind = $6, plan_hash = $7, plan_counts = $8, notices = $9, complete = "
      "$10, "
      "finished_at = clock_timestamp(), approval_expires_at = $11, epoch = $12, revision = $13, applied = $14, progress = '', left_users = "
      "$15, "
      "left_groups = $16, left_bindings = $17, source_version = $18 WHERE tenant_id = $1 AND run_id = $2";
  const auto& plan = record.plan ? record.plan : end.plan;
  const ChangeCounts counts = plan ? plan->counts : ChangeCounts{};
  const bool counted = record.applied && !end.approved;
  db.run(kRun, {inside.number, lease.run, end.outcome, end.reason, detail, end.cursor_kind, plan ? plan->hash : "", to_json(counts).dump(),
                notices_text(record.notices), end.complete, approval, record.applied ? Value(record.revision.epoch) : Value(std::nullopt),
                record.applied ? Value(record.revision.number) : Value(std::nullopt), record.applied, counted ? end.users_leaving : 0,
                counted ? end.groups_leaving : 0, counted ? counts.bindings_removed : 0, end.source_version});

  // A dry run leaves no trace in what the source remembers, not even the time of its next run (S11).
  static constexpr std::string_view kState =
      "UPDATE source_state SET cursor = coalesce($3, cursor), cursor_fingerprint = coalesce($4, cursor_fingerprint), "
      "scope_fingerprint = coalesce($5, scope_fingerprint), learnt = coalesce($6, learnt), cursor_kind = coalesce(nullif($7, ''), "
      "cursor_kind), "
      "last_complete_read = CASE WHEN $8 THEN clock_timestamp() ELSE last_complete_read END, failures = $9, next_due = $10 "
      "WHERE tenant_id = $1 AND source_id = $2";
  // A read of changes, however sure of itself, puts off no full one (S39) and does not make the last one younger (S51).
  const bool full_read = end.complete && (end.cursor_kind.empty() || end.cursor_kind == "full");
  if (!dry_run)
    db.run(kState, {inside.number, lease.source, end.cursor, end.cursor_fingerprint, end.scope_fingerprint, end.learnt, end.cursor_kind,
                    full_read, end.failures, end.next_due});
}

}  // namespace rosterd::postgres
