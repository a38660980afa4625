#include "schema/postgres/copy.hpp"
#include "schema/postgres/pool.hpp"
#include "schema/postgres/postgres_store.hpp"
#include "schema/postgres/rows.hpp"

// Runs: requested, listed, approval and discarding of what is held. Their changes are read in changes.cpp.

namespace rosterd {

using namespace postgres;

namespace {

std::optional<Run> find_run(Tenancy& inside, RunId id) {
  return inside.db.first(fmt::format("SELECT {} FROM run r WHERE r.tenant_id = $1 AND r.run_id = $2", kRunColumns), {inside.number, id},
                         read_run);
}

std::string requester(const Actor& actor) { return actor.account ? text(actor.account) : std::string(); }

/// A run of a disabled source or tenant would wait for ever. A dry run takes nothing from a disabled source and brings nothing in: that is
/// how a first plan is looked at before the source is let loose.
Result<Source> source_that_may_run(Tenancy& inside, SourceId id, bool dry_run) {
  const auto source = inside.db.first(fmt::format("SELECT {} FROM source s WHERE s.tenant_id = $1 AND s.source_id = $2", kSourceColumns),
                                      {inside.number, id}, read_source);
  if (!source) return fail(Errc::NotFound, "no source {}", text(id));
  if (!inside.enabled) return fail_as("tenant_disabled", Errc::Conflict, "tenant {} is disabled", inside.id.value);
  if (!source->enabled && !dry_run) return fail_as("source_disabled", Errc::Conflict, "source {} is disabled", source->name);
  return *source;
}

/// Requests do not lock the tenant: an apply of minutes must not keep the button from answering.
template <class Work>
auto in_tenant_unlocked(Pool& pool, const TenantId& tenant, std::string_view doing, Work work) {
  return pool.run(Mode::Write, doing, [&](Db& db) -> decltype(work(std::declval<Tenancy&>())) {
    auto inside = enter(db, tenant);
    if (!inside) return tl::unexpected(inside.error());
    return work(*inside);
  });
}

}  // namespace

Result<Run> PostgresStore::request_run(const TenantId& tenant, SourceId source, RunMode mode, bool dry_run, const Actor& actor) {
  if (mode == RunMode::Approval) return fail(Errc::InvalidInput, "mode: an approval is asked for with the run it approves");
  return in_tenant_unlocked(*pool_, tenant, "requesting a run", [&](Tenancy& inside) -> Result<Run> {
    const auto found = source_that_may_run(inside, source, dry_run);
    if (!found) return fail(found.error());
    if (found->type == kPushType)
      return fail_as("source_pushes", Errc::Conflict,
                     "source {} is of type {}: its provider sends what changes, and there is nothing here to read it from. Start the "
                     "provisioning there",
                     found->name, found->type);
    // A claim that is under way ends before the run gets its number, and a later one sees the run: a scheduled run that began in the same
    // moment would otherwise come first under the higher number.
    inside.db.number("SELECT 1 FROM source_lease WHERE tenant_id = $1 AND source_id = $2 FOR KEY SHARE", {inside.number, source});
    // One that waits already gets the stronger of the two modes: a full read does what an automatic one would.
    static constexpr std::string_view kQueue =
        "INSERT INTO run AS r (tenant_id, source_id, source_name, mode, trigger, dry_run, requested_by, outcome) VALUES ($1, $2, $3, $4, "
        "2, $5, $6, 1) "
        "ON CONFLICT (tenant_id, source_id, dry_run, (mode = 3)) WHERE outcome = 1 DO UPDATE SET mode = greatest(r.mode, excluded.mode) "
        "RETURNING {}";
    const auto run =
        inside.db.first(fmt::format(kQueue, kRunColumns), {inside.number, source, found->name, mode, dry_run, requester(actor)}, read_run);
    inside.audit(actor, {.action = dry_run ? "dry_run_requested" : "run_requested",
                         .object_type = "run",
                         .object_id = text(run->id),
                         .object_name = found->name,
                         .before = {},
                         .after = object_text({{"mode", name_of(run->mode)}}),
                         .run = {},
                         .revision = {}});
    return *run;
  });
}

Result<Page<Run>> PostgresStore::runs(const TenantId& tenant, std::optional<SourceId> source, const PageRequest& page) {
  return in_tenant(*pool_, Mode::Read, tenant, "listing runs", [&](Tenancy& inside) -> Result<Page<Run>> {
    const auto limit = page_limit(page);
    const auto place = parse_cursor(page.cursor);
    Page<Run> out;
    // Newest first: the cursor is the last run shown.
    inside.db.each(fmt::format("SELECT {} FROM run r WHERE r.tenant_id = $1 AND ($2::bigint IS NULL OR r.source_id = $2::bigint) "
                               "AND ($3::bigint = 0 OR r.run_id < $3::bigint) ORDER BY r.run_id DESC LIMIT $4",
                               kRunColumns),
                   {inside.number, source, place.id, limit + 1}, [&](Row& row) { out.items.push_back(read_run(row)); });
    if (out.items.size() > limit) {
      out.items.resize(limit);
      out.next = cursor_text("", out.items.back().id.value);
    }
    return out;
  });
}

Result<Run> PostgresStore::run(const TenantId& tenant, RunId run) {
  return in_tenant(*pool_, Mode::Read, tenant, "reading a run", [&](Tenancy& inside) -> Result<Run> {
    auto found = find_run(inside, run);
    if (!found) return fail(Errc::NotFound, "no run {}", text(run));
    return std::move(*found);
  });
}

Result<Run> PostgresStore::approve_run(const TenantId& tenant, RunId run, std::string_view plan_hash, const Actor& actor) {
  return in_tenant_unlocked(*pool_, tenant, "approving a run", [&](Tenancy& inside) -> Result<Run> {
    const auto held = find_run(inside, run);
    if (!held) return fail(Errc::NotFound, "no run {}", text(run));
    const auto source = source_that_may_run(inside, held->source, false);
    if (!source) return fail(source.error());
    const bool pushes = source->type == kPushType;
    // All conditions in the one statement that acts: two approvals at once cannot both pass.
    static constexpr std::string_view kApprove =
        "UPDATE run AS r SET outcome = 1, mode = 3, trigger = 3, requested_by = $4, approval_expires_at = NULL, queued_at = "
        "clock_timestamp(), "
        "finished_at = NULL WHERE r.tenant_id = $1 AND r.run_id = $2 AND r.plan_hash = $3 AND r.outcome = 6 AND r.approval_expires_at > "
        "now() RETURNING {}";
    // There is nothing to apply: what was refused is let through when its provider sends it again, once.
    static constexpr std::string_view kAllow =
        "UPDATE run AS r SET outcome = 3, mode = 3, trigger = 3, requested_by = $4, approval_expires_at = NULL, finished_at = "
        "clock_timestamp(), reason = 'approved', detail = detail || ' (approved: let through for 24 hours)' WHERE r.tenant_id = $1 AND "
        "r.run_id = $2 AND r.plan_hash = $3 AND r.outcome = 6 AND r.approval_expires_at > now() RETURNING {}";
    const auto queued = inside.db.first(fmt::format(fmt::runtime(pushes ? kAllow : kApprove), kRunColumns),
                                        {inside.number, run, plan_hash, requester(actor)}, read_run);
    if (!queued) {
      std::string why = "it is not held any more";
      if (held->outcome == Outcome::Held && held->approval_expires_at)
        why = held->plan && held->plan->hash == plan_hash ? "the approval has expired" : "its plan is another one";
      return fail_as("plan_outdated", Errc::Conflict, "run {} cannot be approved: {}", text(run), why);
    }
    if (pushes)
      inside.db.run(
          "INSERT INTO scim_allowance (tenant_id, source_id, object_id, run_id, expires_at) SELECT DISTINCT ON (object_id) tenant_id, $3, "
          "object_id, run_id, now() + interval '24 hours' FROM run_change WHERE tenant_id = $1 AND run_id = $2 "
          "ON CONFLICT (tenant_id, source_id, object_id) DO UPDATE SET run_id = excluded.run_id, expires_at = excluded.expires_at",
          {inside.number, run, held->source});
    inside.audit(actor, {.action = "plan_approved",
                         .object_type = "run",
                         .object_id = text(run),
                         .object_name = queued->source_name,
                         .before = {},
                         .after = object_text({{"plan", plan_hash}}),
                         .run = {},
                         .revision = {}});
    return *queued;
  });
}

Result<Run> PostgresStore::discard_run(const TenantId& tenant, RunId run, const Actor& actor) {
  return in_tenant_unlocked(*pool_, tenant, "discarding a run", [&](Tenancy& inside) -> Result<Run> {
    if (!find_run(inside, run)) return fail(Errc::NotFound, "no run {}", text(run));
    static constexpr std::string_view kDiscard =
        "UPDATE run AS r SET approval_expires_at = NULL, reason = 'discarded', detail = detail || ' (discarded by ' || $3 || ')' "
        "WHERE r.tenant_id = $1 AND r.run_id = $2 AND r.outcome = 6 AND r.approval_expires_at IS NOT NULL RETURNING {}";
    const auto by = actor.account ? text(actor.account) : actor.by;
    const auto dropped = inside.db.first(fmt::format(kDiscard, kRunColumns), {inside.number, run, by}, read_run);
    if (!dropped) return fail_as("plan_outdated", Errc::Conflict, "run {} is not held (any more)", text(run));
    inside.audit(actor, {.action = "plan_discarded",
                         .object_type = "run",
                         .object_id = text(run),
                         .object_name = dropped->source_name,
                         .before = {},
                         .after = {},
                         .run = {},
                         .revision = {}});
    return *dropped;
  });
}

Result<void> PostgresStore::load_plan(const TenantId& tenant, RunId run, const std::function<Result<void>(const StoredChange&)>& use) {
  return in_tenant(*pool_, Mode::Steady, tenant, "reading a stored plan", [&](Tenancy& inside) -> Result<void> {
    if (!find_run(inside, run)) return fail(Errc::NotFound, "no run {}", text(run));
    // An object counts as held when it exists now: what the plan would have added does not, and what was purged since neither.
    static constexpr std::string_view kPlan =
        "SELECT c.seq, c.type::bigint, c.kind::bigint, "
        "  CASE WHEN c.type = 1 THEN u.id ELSE g.id END, c.content_hash, c.before_hash, c.leaving::bigint, c.member_type::bigint, "
        "  CASE WHEN c.member_type = 1 THEN mu.id WHEN c.member_type = 2 THEN mg.id END, c.role_id, c.binding_id, c.external_id, "
        "coalesce(c.name, ''), "
        "  c.reason, c.member_external_id, c.before, c.after "
        "FROM run_change_whole c "
        "LEFT JOIN tenant_user u ON c.type = 1 AND u.tenant_id = c.tenant_id AND u.id = c.object_id "
        "LEFT JOIN tenant_group g ON c.type <> 1 AND g.tenant_id = c.tenant_id AND g.id = c.object_id "
        "LEFT JOIN tenant_user mu ON c.member_type = 1 AND mu.tenant_id = c.tenant_id AND mu.id = c.member_id "
        "LEFT JOIN tenant_group mg ON c.member_type = 2 AND mg.tenant_id = c.tenant_id AND mg.id = c.member_id "
        "WHERE c.tenant_id = {} AND c.run_id = {} ORDER BY c.seq";
    copy_rows(inside.db, fmt::format(kPlan, inside.number, run.value), [&](CopyReader& row) {
      StoredChange out;
      out.change.seq = row.number();
      out.change.type = static_cast<ObjectType>(row.number());
      out.change.kind = static_cast<ChangeKind>(row.number());
      out.object = PrincipalId{row.number()};
      out.content_hash = row.number();
      out.before_hash = row.number();
      out.leaving = static_cast<Leaving>(row.number());
      out.member_type = static_cast<PrincipalType>(row.number());
      out.member = PrincipalId{row.number()};
      out.role = RoleId{row.number()};
      out.binding = BindingId{row.number()};
      out.change.external_id = row.text();
      out.change.name = row.text();
      out.change.reason = row.text();
      out.member_external_id = row.text();
      out.change.before = row.text();
      out.change.after = row.text();
      if (out.object) out.change.id = text(out.change.type == ObjectType::User ? PrincipalType::User : PrincipalType::Group, out.object);
      if (out.change.type == ObjectType::Binding) out.change.id = out.binding ? text(out.binding) : "";
      if (const auto taken = use(out); !taken) throw Abort{taken.error()};
    });
    return {};
  });
}

}  // namespace rosterd
