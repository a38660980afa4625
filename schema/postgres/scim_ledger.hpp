#pragma once
// What one push leaves behind besides its rows: the audit log, the source's run with its changes, and what was refused and waits for a
// person. Internal to scim_push.cpp, which decides what happens.

#include <nlohmann/json.hpp>
#include <set>

#include "schema/core/log.hpp"
#include "schema/postgres/changes.hpp"
#include "schema/postgres/grants.hpp"
#include "schema/postgres/scim_desk.hpp"
#include "schema/store/scim.hpp"

namespace rosterd::postgres {

using nlohmann::json;

inline constexpr Millis kQuiet{60'000};            // a run of pushes ends when nothing has come for so long,
inline constexpr Millis kLongestRun{15 * 60'000};  // or after this

struct Event {
  std::size_t request = 0;
  std::string_view action, object_type;
  std::string object_id, object_name, about_id;
  std::optional<std::string> before, after;
  // the same for the run's record
  ObjectType type = ObjectType::User;
  ChangeKind kind = ChangeKind::Added;
  PrincipalId object;
  std::optional<Principal> member = {};
  std::string external_id = {}, member_external_id = {};
  std::optional<RoleId> role = {};
  std::optional<BindingId> binding = {};
  Leaving leaving = Leaving::None;
  std::string reason = {};
};

/// A removal that was refused.
struct Held {
  Principal object;
  std::string external_id, name;
  std::string_view action;  ///< "active:false", "DELETE", "PATCH"
  std::string reason, detail;
};

inline ObjectType object_type(PrincipalType type) { return type == PrincipalType::User ? ObjectType::User : ObjectType::Group; }

/// The records of one push, as far as they are known.
class Ledger {
 protected:
  Ledger(Tenancy& inside, SourceId source, std::span<const Push> requests) : inside_(inside), source_(source), requests_(requests) {}

  // ---- mapped bindings ----

  struct Bound {
    BindingId id;
    RoleId role;
    std::string role_name;
    bool admin = false;
    std::optional<std::string> ns;
  };
  [[nodiscard]] std::vector<Bound> bound(PrincipalId group) {
    std::vector<Bound> out;
    inside_.db.each(
        "SELECT b.binding_id, b.role_id, r.name, r.admin::int, b.ns FROM binding b JOIN role r ON r.tenant_id = b.tenant_id AND r.role_id "
        "= "
        "b.role_id WHERE b.tenant_id = $1 AND b.principal_id = $2 AND b.source_id = $3",
        {inside_.number, group, source_}, [&](Row& row) {
          Bound one;
          one.id = row.id<BindingId>();
          one.role = row.id<RoleId>();
          one.role_name = row.text();
          one.admin = row.flag();
          one.ns = row.maybe_text();
          out.push_back(std::move(one));
        });
    return out;
  }
  void note_binding(std::size_t request, const Desk::Item& group, BindingId id, RoleId role, const std::string& role_name,
                    const std::optional<std::string>& ns, bool added) {
    const auto principal = "group:" + text(PrincipalType::Group, group.now.id);
    const auto shape = audit_text({{"role", role_name},
                                   {"principal", text(PrincipalType::Group, group.now.id)},
                                   {"group", group.now.name},
                                   {"namespace", ns ? json(*ns) : json(nullptr)}});
    Event event{.request = request,
                .action = added ? "created" : "deleted",
                .object_type = "binding",
                .object_id = text(id),
                .object_name = role_name,
                .about_id = text(PrincipalType::Group, group.now.id),
                .before = added ? std::nullopt : std::optional(shape),
                .after = added ? std::optional(shape) : std::nullopt,
                .type = ObjectType::Binding,
                .kind = added ? ChangeKind::BindingAdded : ChangeKind::BindingRemoved,
                .object = group.now.id};
    event.external_id = group.now.external_id.value_or("");
    event.role = role;
    event.binding = id;
    event.reason = added ? "a role mapping matches the group's name" : "no role mapping matches the group's name any more";
    events_.push_back(std::move(event));
    (added ? bindings_added_ : bindings_removed_) += 1;
  }

  void write_audit(RunId run, const std::map<std::size_t, Revision>& revisions) {
    auto rows = json::array();
    for (const auto& event : events_) {
      const auto& actor = requests_[event.request].actor;
      const auto& revision = revisions.at(event.request);
      json row = {{"by", actor.by},          {"ip", actor.ip},          {"rq", actor.request_id},
                  {"ac", event.action},      {"ot", event.object_type}, {"oi", event.object_id},
                  {"on", event.object_name}, {"ep", revision.epoch},    {"rv", revision.number}};
      if (event.before) row["be"] = *event.before;
      if (event.after) row["af"] = *event.after;
      if (!event.about_id.empty()) row["ab"] = event.about_id;
      if (actor.account) row["ai"] = actor.account.value;
      rows.push_back(std::move(row));
    }
    inside_.db.ask(
        "INSERT INTO audit (tenant_id, tenant, account_id, actor, ip, request_id, action, object_type, object_id, object_name, before, "
        "after, run_id, epoch, revision, about_id) SELECT $1, $2, ai, by, ip, rq, ac, ot, oi, \"on\", be, af, $3, ep, rv, ab FROM "
        "json_to_recordset($4::json) AS s (ai bigint, by text, ip text, rq text, ac text, ot text, oi text, \"on\" text, be text, af text, "
        "ep int, rv bigint, ab text)",
        {inside_.number, inside_.id.value, run, rows.dump(-1, ' ', false, json::error_handler_t::replace)});
  }

  // ---- runs -----------------------------------------------------------------------------------------------------------------------

  struct OpenRun {
    RunId id;
    ChangeCounts counts;
    std::uint64_t next_seq = 1;
  };

  /// Asks for the run these pushes belong to: the one before while it is neither quiet nor old.
  void ask_for_run() {
    static constexpr std::string_view kOpen =
        "SELECT r.run_id, r.plan_counts, (SELECT coalesce(max(c.seq), 0) + 1 FROM run_change c WHERE c.tenant_id = r.tenant_id AND "
        "c.run_id "
        "= r.run_id)::bigint FROM (SELECT * FROM run WHERE tenant_id = $1 AND source_id = $2 AND trigger = $3 AND applied ORDER BY run_id "
        "DESC LIMIT 1) r WHERE r.finished_at > now() - $4 * interval '1 millisecond' AND r.started_at > now() - $5 * interval '1 "
        "millisecond'";
    inside_.db.ask(kOpen, {inside_.number, source_, RunTrigger::Push, kQuiet.count(), kLongestRun.count()}, [this](Row& row) {
      OpenRun out;
      out.id = row.id<RunId>();
      const auto counts = json::parse(row.text(), nullptr, false);
      if (counts.is_object()) out.counts = counts_from_json(counts);
      out.next_seq = static_cast<std::uint64_t>(row.number());
      run_ = out;
    });
  }
  /// It, or else a new one.
  OpenRun open_run() {
    if (run_) return *run_;
    OpenRun out;
    out.id = inside_.db.one(
        "INSERT INTO run (tenant_id, source_id, source_name, mode, trigger, outcome, started_at, finished_at, applied, cursor_kind, "
        "detail) "
        "VALUES ($1, $2, $3, 1, $4, $5, now(), now(), true, 'push', 'what the provider pushed, until it was quiet for a minute') RETURNING "
        "run_id",
        {inside_.number, source_, source_name_, RunTrigger::Push, Outcome::Applied}, [](Row& row) { return row.id<RunId>(); });
    return out;
  }

  void write_record(OpenRun& run) {
    auto rows = json::array();
    for (const auto& event : events_) {
      const auto kind = static_cast<std::size_t>(event.kind);
      switch (event.type) {
        case ObjectType::User:
          ++run.counts.users[kind];
          break;
        case ObjectType::Group:
          ++run.counts.groups[kind];
          break;
        case ObjectType::Membership:
          ++(event.kind == ChangeKind::EdgeAdded ? run.counts.edges_added : run.counts.edges_removed);
          break;
        case ObjectType::Binding:
          ++(event.kind == ChangeKind::BindingAdded ? run.counts.bindings_added : run.counts.bindings_removed);
          break;
      }
      const bool is_edge = event.type == ObjectType::Membership;
      json row = {{"t", static_cast<int>(event.type)},
                  {"k", static_cast<int>(event.kind)},
                  {"s", run.next_seq++},
                  {"o", event.object.value},
                  {"x", event.external_id},
                  {"l", static_cast<int>(event.leaving)},
                  {"r", event.reason}};
      if (!is_edge) row["n"] = event.object_name;
      if (event.member) {
        row["m"] = event.member->id.value;
        row["mt"] = static_cast<int>(event.member->type);
        row["mx"] = event.member_external_id;
      } else {
        row["mt"] = 0;
      }
      if (event.role) row["ro"] = event.role->value;
      if (event.binding) row["b"] = event.binding->value;
      if (!is_edge && event.before) row["be"] = *event.before;
      if (!is_edge && event.after) row["af"] = *event.after;
      rows.push_back(std::move(row));
    }
    record(run.id, rows);
  }

  void record(RunId run, const json& rows) {
    inside_.db.ask(
        "INSERT INTO run_change (tenant_id, type, kind, run_id, seq, object_id, leaving, member_type, member_id, role_id, binding_id, "
        "external_id, name, reason, member_external_id, before, after) SELECT $1, t, k, $2, s, o, l, mt, m, ro, b, x, n, r, mx, be, af "
        "FROM "
        "json_to_recordset($3::json) AS c (t smallint, k smallint, s bigint, o bigint, l smallint, mt smallint, m bigint, ro bigint, b "
        "bigint, x text, n text, r text, mx text, be text, af text)",
        {inside_.number, run, rows.dump(-1, ' ', false, json::error_handler_t::replace)});
  }

  void end_run(const OpenRun& run, const Revision& revision) {
    // finished_at moves once a second at most: it is in an index, and a push must not pay for that each time.
    inside_.db.ask(
        "UPDATE run SET plan_counts = $3, left_users = left_users + $4, left_groups = left_groups + $5, left_bindings = left_bindings + "
        "$6, "
        "epoch = $7, revision = $8, finished_at = CASE WHEN finished_at < now() - interval '1 second' THEN now() ELSE finished_at END "
        "WHERE tenant_id = $1 AND run_id = $2",
        {inside_.number, run.id, to_json(run.counts).dump(), left_users_, left_groups_, bindings_removed_, revision.epoch,
         revision.number});
  }

  /// The refusals of this call go into the source's held run, which waits for a person.
  void write_held() {
    auto& db = inside_.db;
    const auto waiting = db.first(
        "SELECT run_id FROM run WHERE tenant_id = $1 AND source_id = $2 AND approval_expires_at > now() AND outcome = $3 ORDER BY run_id "
        "DESC "
        "LIMIT 1",
        {inside_.number, source_, Outcome::Held}, [](Row& row) { return row.id<RunId>(); });
    const auto open = [&] {
      return db.one(
          "INSERT INTO run (tenant_id, source_id, source_name, mode, trigger, outcome, started_at, finished_at, cursor_kind, "
          "approval_expires_at) VALUES ($1, $2, $3, 1, $4, $5, now(), now(), 'push', now() + interval '24 hours') RETURNING run_id",
          {inside_.number, source_, source_name_, RunTrigger::Push, Outcome::Held}, [](Row& row) { return row.id<RunId>(); });
    };
    const auto run = waiting ? *waiting : open();
    auto rows = json::array();
    auto seq = db.number("SELECT coalesce(max(seq), 0) FROM run_change WHERE tenant_id = $1 AND run_id = $2", {inside_.number, run});
    std::set<PrincipalId> listed;
    for (const auto& one : held_) {
      const bool known = db.number("SELECT 1 FROM run_change WHERE tenant_id = $1 AND object_id = $2 AND run_id = $3 LIMIT 1",
                                   {inside_.number, one.object.id, run}) != 0;
      if (known || !listed.insert(one.object.id).second) continue;
      rows.push_back(
          {{"t", static_cast<int>(object_type(one.object.type))},
           {"k", static_cast<int>(one.action == "active:false" || one.action == "DELETE" ? ChangeKind::Suspended : ChangeKind::Changed)},
           {"s", ++seq},
           {"o", one.object.id.value},
           {"x", one.external_id},
           {"l", 0},
           {"mt", 0},
           {"n", one.name},
           {"r", fmt::format("{} by the provider: {}", one.action, one.detail)}});
    }
    if (rows.empty()) return;
    record(run, rows);
    ChangeCounts counts;
    db.each("SELECT type::bigint, kind::bigint, count(*) FROM run_change WHERE tenant_id = $1 AND run_id = $2 GROUP BY 1, 2",
            {inside_.number, run}, [&](Row& row) {
              const auto type = static_cast<ObjectType>(row.number());
              const auto kind = static_cast<std::size_t>(row.number());
              (type == ObjectType::User ? counts.users : counts.groups)[kind] = static_cast<std::uint64_t>(row.number());
            });
    const auto& first = held_.front();
    db.run(
        "UPDATE run SET reason = CASE WHEN reason = '' THEN $3 ELSE reason END, detail = CASE WHEN detail = '' THEN $4 ELSE detail END, "
        "plan_counts = $5, held_changes = $6, plan_hash = (SELECT encode(sha256(string_agg(object_id || '/' || kind, ',' ORDER BY "
        "object_id, "
        "kind)::bytea), 'hex') FROM run_change WHERE tenant_id = $1 AND run_id = $2) WHERE tenant_id = $1 AND run_id = $2",
        {inside_.number, run, first.reason,
         first.detail + "; the provider is told to wait. Once approved, what is listed here goes through when it is sent again",
         to_json(counts).dump(), first_changes(inside_, run, 100)});
    if (waiting) return;
    inside_.audit({.account = {}, .by = "run " + text(run), .ip = {}, .request_id = {}},
                  {.action = "run_held",
                   .object_type = "run",
                   .object_id = text(run),
                   .object_name = source_name_,
                   .before = {},
                   .after = audit_text({{"reason", first.reason}, {"detail", first.detail}}),
                   .run = run,
                   .revision = {}});
    log::warning(
        "scim.held",
        {{"tenant", inside_.id.value}, {"source", source_name_}, {"run", text(run)}, {"reason", first.reason}, {"detail", first.detail}});
  }

  Tenancy& inside_;
  SourceId source_;
  std::string source_name_;
  std::span<const Push> requests_;
  std::vector<Event> events_;
  std::vector<Held> held_;
  std::optional<OpenRun> run_;
  std::uint64_t left_users_ = 0, left_groups_ = 0, bindings_added_ = 0, bindings_removed_ = 0;
};

}  // namespace rosterd::postgres
