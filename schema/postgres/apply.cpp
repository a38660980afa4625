#include <libpq-fe.h>

#include <nlohmann/json.hpp>

#include "schema/core/text.hpp"
#include "schema/postgres/admin_guard.hpp"
#include "schema/postgres/changes.hpp"
#include "schema/postgres/rows.hpp"
#include "schema/postgres/stage.hpp"

// From staged changes to rows, in one transaction: fence, record, removals, additions, names, last Admin, revision, run. Every statement
// that touches a principal, an edge or a binding carries the ownership predicate source_id = this source (S33).

namespace rosterd::postgres {
namespace {

std::size_t index(ChangeKind kind) { return static_cast<std::size_t>(kind); }

/// Leaving by its name; NULL for 0.
std::string leaving_name(std::string_view column) {
  std::string out = fmt::format("CASE {}", column);
  for (const auto leaving :
       {Leaving::Missing, Leaving::OutOfScope, Leaving::DeletedAtSource, Leaving::DisabledAtSource, Leaving::SourceDeleted})
    out += fmt::format(" WHEN {} THEN '{}'", static_cast<int>(leaving), name_of(leaving));
  return out + " END";
}

/// The rows of `table` that staged changes name, as a FROM item `s`: each staged row with the place (`at`) of the row it is about. $1 is
/// the tenant, $2 the source. OFFSET 0 keeps the planner from turning the join round: right after a first load it has no statistics, takes
/// a million rows for one, and would compare every one of them with every staged change.
std::string found(std::string_view table, std::string_view stage, std::string_view kinds, std::string_view key = "x.id = c.id") {
  return fmt::format(
      "(SELECT c.*, t.at FROM {} c CROSS JOIN LATERAL (SELECT x.ctid AS at, x.source_id FROM {} x WHERE x.tenant_id = $1 AND {} OFFSET 0) "
      "t "
      "WHERE c.kind IN ({}) AND t.source_id = $2 OFFSET 0) s",
      stage, table, key, kinds);
}

/// A text as an element of a PostgreSQL array.
std::string array_element(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

}  // namespace

void insert_users(Db& db, std::string_view from, int tenant, const Lease& lease) {
  static constexpr std::string_view kInsert =
      "INSERT INTO tenant_user (tenant_id, id, source_id, external_id, content_hash, username, email, first_name, last_name, entry, "
      "leaving, "
      "state_reason, suspended_at) SELECT $1::int, id, $2::bigint, external_id, content_hash, name, email, first_name, last_name, entry, "
      "leaving, "
      "state_reason, CASE WHEN leaving <> 0 THEN now() END FROM {}";
  db.run(fmt::format(kInsert, from), {tenant, lease.source});
}

void insert_groups(Db& db, std::string_view from, int tenant, const Lease& lease) {
  static constexpr std::string_view kInsert =
      "INSERT INTO tenant_group (tenant_id, id, source_id, external_id, content_hash, name, name_key, source_name, description, entry) "
      "SELECT $1::int, id, $2::bigint, external_id, content_hash, name, name_key, name, description, entry FROM {}";
  db.run(fmt::format(kInsert, from), {tenant, lease.source});
}

std::uint64_t insert_edges(Db& db, std::string_view from, int tenant, const Lease& lease, OnConflict on_conflict) {
  static constexpr std::string_view kInsert =
      "INSERT INTO membership (tenant_id, group_id, member_id, member_type, source_id, run_id) "
      "SELECT $1::int, group_id, member_id, member_type, $2::bigint, $3::bigint FROM {}{}";
  return db.run(fmt::format(kInsert, from, on_conflict == OnConflict::Skip ? " ON CONFLICT DO NOTHING" : ""),
                {tenant, lease.source, lease.run});
}

void PostgresStage::record_changes(Tenancy& tenancy, bool is_plan) {
  Db& db = tenancy.db;
  // Before the rows change, so that "before" is what they are now.
  static constexpr std::string_view kPrincipals =
      "INSERT INTO run_change (tenant_id, run_id, seq, type, kind, object_id, external_id, name, content_hash, before_hash, leaving, "
      "reason, before, after) "
      "SELECT $1::int, $2::bigint, s.seq, {type}, s.kind, s.id, s.external_id, coalesce(s.name, o.{name}, ''), s.content_hash, "
      "s.before_hash, s.leaving, "
      "s.reason, CASE WHEN s.kind <> 10 AND o.id IS NOT NULL THEN json_strip_nulls(json_build_object({shape}, 'leaving', {leaving}))::text "
      "END, s.after "
      "FROM {stage} s LEFT JOIN LATERAL (SELECT * FROM {table} x WHERE x.tenant_id = $1::int AND x.id = s.id OFFSET 0) o "
      "ON o.source_id = $3::bigint{only}";
  const auto leaving = leaving_name("o.leaving");
  if (users_.sent > 0) {
    // New ones have nothing before them: no join for them.
    static constexpr std::string_view kNew =
        "INSERT INTO run_change (tenant_id, run_id, seq, type, kind, object_id, external_id, name, content_hash, leaving, reason, after) "
        "SELECT $1::int, $2::bigint, seq, 1, kind, id, external_id, name, content_hash, leaving, reason, after FROM stage_user WHERE kind "
        "= 1";
    db.run(kNew, {tenancy.number, lease_.run});
    db.run(fmt::format(
               kPrincipals, fmt::arg("type", 1), fmt::arg("name", "username"), fmt::arg("stage", "stage_user"),
               fmt::arg("table", "tenant_user"), fmt::arg("leaving", leaving), fmt::arg("only", " WHERE s.kind <> 1"),
               fmt::arg("shape",
                        "'username', o.username, 'email', o.email, 'first_name', o.first_name, 'last_name', o.last_name, 'entry', o.entry, "
                        "'enabled', o.leaving <> 4, 'disabled_reason', CASE WHEN o.leaving = 4 THEN o.state_reason END")),
           {tenancy.number, lease_.run, lease_.source});
  }
  if (groups_.sent > 0)
    db.run(fmt::format(kPrincipals, fmt::arg("type", 2), fmt::arg("name", "name"), fmt::arg("stage", "stage_group"),
                       fmt::arg("table", "tenant_group"), fmt::arg("leaving", leaving), fmt::arg("only", ""),
                       fmt::arg("shape", "'name', o.source_name, 'description', o.description, 'entry', o.entry")),
           {tenancy.number, lease_.run, lease_.source});
  // In a plan that is kept, whom it would add has a name only here; everybody else's is looked up when the change is shown.
  static constexpr std::string_view kEdges =
      "INSERT INTO run_change (tenant_id, run_id, seq, type, kind, object_id, external_id, member_id, member_type, member_external_id, "
      "reason, name, after) "
      "SELECT $1::int, $2::bigint, s.seq, 4, s.kind, s.group_id, s.external_id, s.member_id, s.member_type, s.member_external_id, "
      "s.reason, "
      "{} FROM stage_edge s {}";
  if (edges_.sent > 0 && !is_plan) db.run(fmt::format(kEdges, "NULL, NULL", ""), {tenancy.number, lease_.run});
  if (edges_.sent > 0 && is_plan)
    db.run(fmt::format(kEdges, "g.name, CASE WHEN m.name IS NOT NULL THEN json_build_object('member_name', m.name)::text END",
                       "LEFT JOIN stage_group g ON g.kind = 1 AND g.id = s.group_id "
                       "LEFT JOIN (SELECT 1 AS type, id, name FROM stage_user WHERE kind = 1 UNION ALL SELECT 2, id, name FROM stage_group "
                       "WHERE kind = 1) m ON m.type = s.member_type AND m.id = s.member_id"),
           {tenancy.number, lease_.run});
  static constexpr std::string_view kBindings =
      "INSERT INTO run_change (tenant_id, run_id, seq, type, kind, object_id, external_id, name, role_id, binding_id, reason, before, "
      "after) "
      "SELECT $1::int, $2::bigint, seq, 5, kind, group_id, external_id, role_name, role_id, binding_id, reason, CASE WHEN kind = 9 THEN "
      "named END, CASE WHEN kind = 8 THEN named END FROM ("
      "  SELECT s.*, CASE WHEN coalesce(g.name, o.source_name) IS NULL THEN s.shape ELSE left(s.shape, -1) || ',\"group\":' || "
      "  to_json(coalesce(g.name, o.source_name))::text || '}' END AS named FROM stage_binding s "
      "  LEFT JOIN (SELECT DISTINCT ON (id) id, name FROM stage_group WHERE has_record) g ON g.id = s.group_id "
      "  LEFT JOIN LATERAL (SELECT x.source_name FROM tenant_group x WHERE x.tenant_id = $1::int AND x.id = s.group_id OFFSET 0) o ON true"
      ") b";
  if (bindings_.sent > 0) db.run(kBindings, {tenancy.number, lease_.run});
}

namespace {

/// Changes that found another number of rows than were staged: somebody else changed what the plan was made for.
void must_match(std::uint64_t done, std::uint64_t staged, std::string_view what) {
  if (done != staged)
    abort_with("plan_outdated", Errc::Conflict, "the plan changes {} {}, only {} of them are still as it was made for", staged, what, done);
}

constexpr std::string_view kSuspendedAt =
    "suspended_at = CASE WHEN s.leaving = 0 THEN NULL WHEN o.leaving = s.leaving THEN o.suspended_at ELSE now() END";

}  // namespace

void PostgresStage::change_users(Tenancy& tenancy) {
  if (users_.sent == 0) return;
  Db& db = tenancy.db;
  static constexpr std::string_view kUpdate =
      "UPDATE tenant_user o SET content_hash = s.content_hash, leaving = s.leaving, {}, "
      "state_reason = CASE WHEN s.leaving <> 0 THEN s.state_reason WHEN o.leaving <> 0 THEN CASE WHEN o.admin_suspended THEN 'suspended by "
      "an administrator' "
      "ELSE '' END ELSE o.state_reason END, "
      "username = CASE WHEN s.has_record THEN s.name ELSE o.username END, email = CASE WHEN s.has_record THEN s.email ELSE o.email END, "
      "first_name = CASE WHEN s.has_record THEN s.first_name ELSE o.first_name END, last_name = CASE WHEN s.has_record THEN s.last_name "
      "ELSE o.last_name END, "
      "entry = CASE WHEN s.has_record THEN s.entry ELSE o.entry END "
      "FROM {} WHERE o.ctid = s.at AND o.tenant_id = $1";
  const auto& n = counts_.users;
  const auto updates = n[index(ChangeKind::Changed)] + n[index(ChangeKind::Suspended)] + n[index(ChangeKind::Resumed)];
  if (updates > 0)
    must_match(db.run(fmt::format(kUpdate, kSuspendedAt, found("tenant_user", "stage_user", "2, 3, 4")), {tenancy.number, lease_.source}),
               updates, "users");
  const auto purged = n[index(ChangeKind::Purged)];
  if (purged > 0)
    must_match(db.run(fmt::format("DELETE FROM tenant_user o USING {} WHERE o.ctid = s.at AND o.tenant_id = $1 AND o.leaving <> 0",
                                  found("tenant_user", "stage_user", "5")),
                      {tenancy.number, lease_.source}),
               purged, "users to purge");
  if (n[index(ChangeKind::Added)] > 0) insert_users(db, "stage_user WHERE kind = 1", tenancy.number, lease_);
}

void PostgresStage::change_groups(Tenancy& tenancy) {
  if (groups_.sent == 0) return;
  Db& db = tenancy.db;
  // A group comes for a name when it is new, comes back, or is renamed; settle_names decides who gets it.
  db.run(
      "INSERT INTO stage_newcomer SELECT s.id FROM stage_group s LEFT JOIN LATERAL (SELECT * FROM tenant_group x WHERE x.tenant_id = $1 "
      "AND x.id "
      "= s.id OFFSET 0) o ON o.source_id = $2 "
      "WHERE s.leaving = 0 AND s.has_record AND (s.kind = 1 OR (s.kind IN (2, 4) AND (o.name_key IS NULL OR o.source_name <> s.name)))",
      {tenancy.number, lease_.source});
  static constexpr std::string_view kUpdate =
      "UPDATE tenant_group o SET content_hash = s.content_hash, leaving = s.leaving, state_reason = s.state_reason, {}, "
      "name = CASE WHEN s.has_record AND (o.name_key IS NULL OR o.source_name <> s.name) THEN s.name ELSE o.name END, "
      "name_key = CASE WHEN s.leaving <> 0 THEN NULL WHEN s.has_record AND (o.name_key IS NULL OR o.source_name <> s.name) THEN s.name_key "
      "ELSE o.name_key END, "
      "source_name = CASE WHEN s.has_record THEN s.name ELSE o.source_name END, description = CASE WHEN s.has_record THEN s.first_name "
      "ELSE o.description END, "
      "entry = CASE WHEN s.has_record THEN s.entry ELSE o.entry END "
      "FROM {} WHERE o.ctid = s.at AND o.tenant_id = $1";
  const auto& n = counts_.groups;
  const auto updates = n[index(ChangeKind::Changed)] + n[index(ChangeKind::Suspended)] + n[index(ChangeKind::Resumed)];
  if (updates > 0)
    must_match(db.run(fmt::format(kUpdate, kSuspendedAt, found("tenant_group", "stage_group", "2, 3, 4")), {tenancy.number, lease_.source}),
               updates, "groups");
  const auto purged = n[index(ChangeKind::Purged)];
  if (purged > 0)
    must_match(db.run(fmt::format("DELETE FROM tenant_group o USING {} WHERE o.ctid = s.at AND o.tenant_id = $1 AND o.leaving <> 0",
                                  found("tenant_group", "stage_group", "5")),
                      {tenancy.number, lease_.source}),
               purged, "groups to purge");
  if (n[index(ChangeKind::Added)] > 0)
    insert_groups(
        db, "(SELECT id, external_id, content_hash, name, name_key, first_name AS description, entry FROM stage_group WHERE kind = 1) s",
        tenancy.number, lease_);
}

/// R44: the holder keeps the plain name, among newcomers the smallest stable id gets it; the others get a suffix.
std::vector<Notice> PostgresStage::settle_names(Tenancy& tenancy) {
  if (groups_.sent + new_groups_.sent == 0) return {};
  Db& db = tenancy.db;
  if (new_groups_.sent > 0) {
    // Nearly always nobody shares a name, and finding that out is cheaper than ranking fifty thousand newcomers.
    static constexpr std::string_view kShared =
        "SELECT count(*) FROM (SELECT FROM tenant_group WHERE tenant_id = $1 AND name_key IS NOT NULL GROUP BY name_key HAVING count(*) > "
        "1 "
        "LIMIT 1) shared";
    if (db.number(kShared, {tenancy.number}) == 0) return {};
    db.run("INSERT INTO stage_newcomer SELECT id FROM tenant_group WHERE tenant_id = $1 AND source_id = $2",
           {tenancy.number, lease_.source});
  }
  static constexpr std::string_view kLosers =
      "SELECT id, source_name, coalesce(external_id, '') FROM ("
      "  SELECT g.id, g.source_name, g.external_id, row_number() OVER (PARTITION BY k.name_key ORDER BY (n.id IS NOT NULL), g.external_id, "
      "g.id) AS place"
      "  FROM (SELECT DISTINCT c.name_key FROM stage_newcomer m CROSS JOIN LATERAL"
      "        (SELECT x.name_key FROM tenant_group x WHERE x.tenant_id = $1 AND x.id = m.id OFFSET 0) c OFFSET 0) k"
      "  CROSS JOIN LATERAL (SELECT * FROM tenant_group x WHERE x.tenant_id = $1 AND x.name_key = k.name_key OFFSET 0) g"
      "  LEFT JOIN stage_newcomer n ON n.id = g.id"
      ") ranked WHERE place > 1 ORDER BY id";
  Notice notice{.code = "name_collision", .text = {}, .count = 0};
  // Two groups may share their first 8 characters too: then the whole stable id, at last our own id, which nobody else has.
  enum class Suffix { Short, Whole, Own };
  for (const auto suffix : {Suffix::Short, Suffix::Whole, Suffix::Own}) {
    std::string ids = "{", names = "{", keys = "{";
    std::uint64_t losers = 0;
    db.each(kLosers, {tenancy.number}, [&](Row& row) {
      const auto id = row.id<PrincipalId>();
      const auto plain = row.text(), external = row.text();
      std::string name = plain + "~";
      switch (suffix) {
        case Suffix::Short:
          name += external.substr(0, 8);
          break;
        case Suffix::Whole:
          name += external;
          break;
        case Suffix::Own:
          name += text(PrincipalType::Group, id);
          break;
      }
      if (!is_utf8(name)) name = plain + "~" + text(PrincipalType::Group, id);  // the 8th byte cut a character in half
      const char* comma = losers++ > 0 ? "," : "";
      ids += fmt::format("{}{}", comma, id.value);
      names += comma + array_element(name);
      keys += comma + array_element(fold(name));
      if (suffix == Suffix::Short && losers <= 3)
        notice.text += fmt::format("{}the name {} is taken, the group is called {}", losers > 1 ? "; " : "", plain, name);
    });
    if (suffix == Suffix::Short) notice.count = losers;
    if (losers == 0) break;
    db.run(
        "UPDATE tenant_group g SET name = x.name, name_key = x.name_key FROM unnest($2::bigint[], $3::text[], $4::text[]) AS x (id, name, "
        "name_key) "
        "WHERE g.tenant_id = $1 AND g.id = x.id AND g.source_id = $5",
        {tenancy.number, ids + "}", names + "}", keys + "}", lease_.source});
  }
  if (notice.count == 0) return {};
  return {notice};
}

ChangeCounts PostgresStage::change_rows(Tenancy& tenancy) {
  Db& db = tenancy.db;
  ChangeCounts done;
  done.users = counts_.users;
  done.groups = counts_.groups;
  if (edges_.sent > 0)
    done.edges_removed = db.run(
        fmt::format("DELETE FROM membership m USING {} WHERE m.ctid = s.at AND m.tenant_id = $1",
                    found("membership", "stage_edge", "7", "x.group_id = c.group_id AND x.member_id = c.member_id AND x.source_id = $2")),
        {tenancy.number, lease_.source});
  if (bindings_.sent > 0)
    done.bindings_removed = db.run(
        "DELETE FROM binding b USING stage_binding s WHERE s.kind = 9 AND b.tenant_id = $1 AND b.binding_id = s.binding_id AND b.source_id "
        "= $2",
        {tenancy.number, lease_.source});
  change_users(tenancy);
  change_groups(tenancy);
  const auto purged = counts_.users[index(ChangeKind::Purged)] + counts_.groups[index(ChangeKind::Purged)];
  if (purged > 0) {
    // With a principal go its edges and bindings, whoever made them (S24): one walk over the tenant's edges, not one for each who is
    // purged.
    db.simple("SET LOCAL enable_nestloop = off");
    constexpr std::string_view kPurged = "(SELECT id FROM stage_user WHERE kind = 5 UNION ALL SELECT id FROM stage_group WHERE kind = 5)";
    db.run(fmt::format("DELETE FROM membership WHERE tenant_id = $1 AND group_id IN {}", kPurged), {tenancy.number});
    db.run(fmt::format("DELETE FROM membership WHERE tenant_id = $1 AND member_id IN {}", kPurged), {tenancy.number});
    db.run(fmt::format("DELETE FROM binding WHERE tenant_id = $1 AND principal_id IN {}", kPurged), {tenancy.number});
    db.simple("SET LOCAL enable_nestloop = on");
  }
  done.edges_added = eager_edges_inserted_;
  if (edges_.sent > 0) done.edges_added += insert_edges(db, "stage_edge WHERE kind = 6", tenancy.number, lease_, OnConflict::Skip);
  if (bindings_.sent > 0)
    done.bindings_added = db.run(
        "INSERT INTO binding (tenant_id, binding_id, role_id, principal_id, principal_type, ns, source_id, created_by) "
        "SELECT $1, binding_id, role_id, group_id, 2, ns, $2, $3 FROM stage_binding WHERE kind = 8 ON CONFLICT ON CONSTRAINT binding_once "
        "DO NOTHING",
        {tenancy.number, lease_.source, "run " + text(lease_.run)});
  return done;
}

void PostgresStage::prepare(Tenancy& tenancy) {
  for (const auto* lane : {&users_, &groups_, &edges_, &bindings_}) {
    constexpr std::uint64_t kWorthIt = 5'000;  // below, the planner's guess from the table's size is good enough
    if (lane->sent > kWorthIt) tenancy.db.simple(fmt::format("ANALYZE {}", lane->table));
  }
}

/// Runs `work` inside the stage's transaction and commits; on any error nothing of it stays.
Result<void> PostgresStage::in_transaction(std::string_view doing, const std::function<void()>& work) {
  if (over_) return fail(Errc::Internal, "{}: the stage has ended already", doing);
  if (const auto sent = flush(); !sent) return fail(sent.error(), "{}", doing);
  try {
    if (eager_)
      db_->simple("SAVEPOINT staged");
    else
      db_->simple("BEGIN");
    work();
    db_->simple("COMMIT");
    over_ = true;
    return {};
  } catch (const DbError& error) {
    over_ = true;
    if (!error.lost && db_->is_open()) db_->simple("ROLLBACK");
    return fail(to_error(error), "{}", doing);
  } catch (const Abort& abort) {
    // What was staged stays, for keep: outside of a transaction in the temporary tables, or in the open one of an eager stage.
    try {
      db_->simple(eager_ ? "ROLLBACK TO SAVEPOINT staged" : "ROLLBACK");
    } catch (const DbError& error) {
      over_ = true;
      return fail(to_error(error), "{}", doing);
    }
    return fail(abort.error, "{}", doing);
  }
}

Result<Applied> PostgresStage::apply(const RunEnd& end) {
  Applied applied;
  const auto done = in_transaction("applying the plan", [&] {
    auto tenancy = inside();
    tenancy.lock();
    check_fence(tenancy, lease_);
    if (!tenancy.enabled) abort_with("tenant_disabled", Errc::Conflict, "tenant {} is disabled", lease_.tenant.value);
    prepare(tenancy);
    const bool watch_admin = counts_.takes_away() && has_active_admin(tenancy);
    if (!eager_) tenancy.db.number("SELECT 1 FROM (SELECT door_forget_plan($1)) gone", {lease_.run});
    if (counts_.bindings_added > 0) tenancy.db.run("UPDATE stage_binding SET binding_id = nextval('binding_seq') WHERE kind = 8");
    record_changes(tenancy, false);
    applied.counts = change_rows(tenancy);
    applied.notices = settle_names(tenancy);
    if (watch_admin && !has_active_admin(tenancy))
      abort_with("last_admin", Errc::Refused, "tenant {} would be left without an active Admin", lease_.tenant.value);

    auto info = end.plan.value_or(PlanInfo{});
    applied.counts.users_read = info.counts.users_read;
    applied.counts.groups_read = info.counts.groups_read;
    applied.counts.dangling_members = info.counts.dangling_members;
    info.counts = applied.counts;
    applied.revision = applied.counts.is_empty() ? tenancy.revision() : tenancy.bump();
    auto notices = end.notices;
    notices.insert(notices.end(), applied.notices.begin(), applied.notices.end());
    end_run(tenancy, lease_, end, {.applied = true, .revision = applied.revision, .plan = info, .notices = std::move(notices)});
    if (!applied.counts.is_empty())
      tenancy.audit(end.actor, {.action = "run_applied",
                                .object_type = "run",
                                .object_id = text(lease_.run),
                                .object_name = {},
                                .before = {},
                                .after = to_json(applied.counts).dump(),
                                .run = lease_.run,
                                .revision = applied.revision});
  });
  if (!done) return tl::unexpected(done.error());
  return applied;
}

/// Who was skipped, in words: of a run that changes nothing this is the only record (S52).
std::optional<Notice> PostgresStage::skipped_records(Tenancy& tenancy) {
  const auto count = counts_.users[index(ChangeKind::Skipped)] + counts_.groups[index(ChangeKind::Skipped)];
  if (count == 0) return std::nullopt;
  Notice notice{.code = "skipped", .text = {}, .count = count};
  tenancy.db.each(
      "SELECT reason FROM (SELECT seq, reason FROM stage_user WHERE kind = 10 UNION ALL SELECT seq, reason FROM stage_group WHERE kind = "
      "10) s ORDER BY seq LIMIT 3",
      {}, [&](Row& row) { notice.text += (notice.text.empty() ? "skipped: " : "; ") + row.text(); });
  if (count > 3) notice.text += fmt::format("; and {} more (a dry run lists them all)", count - 3);
  return notice;
}

/// Takes the rows back that were inserted behind the read; their record stays as the plan.
void PostgresStage::take_back_eager_rows(Tenancy& tenancy) {
  Db& db = tenancy.db;
  // created_at is when this very transaction began.
  db.run("DELETE FROM tenant_user WHERE tenant_id = $1 AND source_id = $2 AND created_at = now()", {tenancy.number, lease_.source});
  db.run("DELETE FROM tenant_group WHERE tenant_id = $1 AND source_id = $2 AND created_at = now()", {tenancy.number, lease_.source});
  db.run("DELETE FROM membership WHERE tenant_id = $1 AND source_id = $2 AND run_id = $3", {tenancy.number, lease_.source, lease_.run});
}

/// S19: the limit, the numbers and the first objects of each kind; for a plan that waits already, where they stand.
void PostgresStage::audit_held(Tenancy& tenancy, const RunEnd& end, std::optional<RunId> same) {
  nlohmann::json after = {{"reason", end.reason}, {"detail", end.detail}};
  if (end.plan) {
    after["plan"] = end.plan->hash;
    after["counts"] = to_json(end.plan->counts);
  }
  if (same) {
    after["waits_as"] = text(*same);
  } else {
    const auto first = first_changes(tenancy, lease_.run, kHeldChanges);
    tenancy.db.run("UPDATE run SET held_changes = $3 WHERE tenant_id = $1 AND run_id = $2", {tenancy.number, lease_.run, first});
    after["first_changes"] = nlohmann::json::parse(first);
  }
  tenancy.audit(end.actor, {.action = "run_held",
                            .object_type = "run",
                            .object_id = text(lease_.run),
                            .object_name = {},
                            .before = {},
                            .after = after.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace),
                            .run = lease_.run,
                            .revision = {}});
}

Result<void> PostgresStage::keep(const RunEnd& end) {
  return in_transaction("keeping the plan", [&] {
    auto tenancy = inside();
    check_fence(tenancy, lease_);
    auto notices = end.notices;
    const bool is_plan = end.outcome == Outcome::Held || end.outcome == Outcome::Planned;
    const auto same = held_with(tenancy, lease_, end);
    if (same && !eager_) {
      // The very same plan is stored under the older run already.
    } else {
      if (eager_)
        take_back_eager_rows(tenancy);
      else
        tenancy.db.number("SELECT 1 FROM (SELECT door_forget_plan($1)) gone", {lease_.run});
      if (is_plan || !counts_.is_empty()) {
        prepare(tenancy);
        record_changes(tenancy, is_plan);
      } else if (auto skipped = skipped_records(tenancy)) {
        // As rows, records that are skipped in every run would make every run write (S52) and the record grow without end.
        notices.push_back(std::move(*skipped));
      }
    }
    end_run(tenancy, lease_, end, {.applied = false, .revision = {}, .plan = end.plan, .notices = std::move(notices)});
    if (end.outcome == Outcome::Held) audit_held(tenancy, end, same);
  });
}

}  // namespace rosterd::postgres
