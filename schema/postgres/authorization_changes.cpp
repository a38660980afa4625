#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "schema/core/text.hpp"
#include "schema/postgres/pool.hpp"
#include "schema/postgres/postgres_store.hpp"
#include "schema/postgres/rows.hpp"

// What changed since a revision: the audit log names the objects (and for a run its record does), their rows are looked up one by one.
// Whatever this file does not know for certain means "read everything": an unknown kind of change, a revision without an audit row, a
// record that is gone or packed.

namespace rosterd {

using namespace postgres;

namespace {

// Beyond, reading everything in a row is no slower than looking up so many one by one.
constexpr std::size_t kMost = 5'000;
// Counting more than so many rows costs milliseconds.
constexpr std::uint64_t kCountable = 10'000;

struct Touched {
  std::set<PrincipalId> principals, holders;
  std::set<std::pair<PrincipalId, PrincipalId>> edges;  ///< group, member
  std::set<RoleId> roles;
  [[nodiscard]] std::size_t size() const { return principals.size() + holders.size() + edges.size() + roles.size(); }
};

struct Event {
  std::uint64_t revision = 0;
  std::string action, type, object, before, after;
  RunId run;
};

std::optional<Principal> principal_named(std::string_view id) {
  for (const auto type : {PrincipalType::User, PrincipalType::Group, PrincipalType::ServiceAccount})
    if (const auto found = parse_principal_id(type, id)) return Principal{type, *found};
  return std::nullopt;
}

/// The principal that `field` of an audit row's before or after names.
std::optional<PrincipalId> principal_in(const std::string& shape, const char* field) {
  const auto from = nlohmann::json::parse(shape, nullptr, false);
  if (!from.is_object() || !from.contains(field) || !from[field].is_string()) return std::nullopt;
  const auto found = principal_named(from[field].get<std::string>());
  return found ? std::optional(found->id) : std::nullopt;
}

template <class Id>
bool add(std::set<Id>& to, const std::optional<Id>& id) {
  if (id) to.insert(*id);
  return id.has_value();
}

bool is_one_of(std::string_view action, std::initializer_list<std::string_view> known) {
  return std::find(known.begin(), known.end(), action) != known.end();
}

// | object          | action                                      | touches                     |
// |-----------------|---------------------------------------------|-----------------------------|
// | tenant          | changed                                     | the tenant's own row        |
// | source          | created changed                             | nothing until it syncs      |
// | user            | created changed suspended resumed deleted   | the user                    |
// | group           | created changed suspended resumed deleted   | the group                   |
// | group           | member_added member_removed                 | one membership              |
// | service_account | created changed deleted                     | the service account         |
// | role            | created changed deleted                     | the role                    |
// | binding         | created deleted                             | the bindings of its holder  |
// | run             | run_applied                                 | what the run's record names |
/// False for what is not in the table.
bool note(const Event& event, Touched& touched) {
  const auto principal = [&](PrincipalType type) { return add(touched.principals, parse_principal_id(type, event.object)); };
  if (event.type == "tenant") return event.action == "changed";
  if (event.type == "source") return is_one_of(event.action, {"created", "changed"});
  if (event.type == "user")
    return is_one_of(event.action, {"created", "changed", "suspended", "resumed", "deleted"}) && principal(PrincipalType::User);
  if (event.type == "service_account")
    return is_one_of(event.action, {"created", "changed", "deleted"}) && principal(PrincipalType::ServiceAccount);
  if (event.type == "group") {
    if (is_one_of(event.action, {"created", "changed", "suspended", "resumed", "deleted"})) return principal(PrincipalType::Group);
    if (!is_one_of(event.action, {"member_added", "member_removed"})) return false;
    const auto group = parse_principal_id(PrincipalType::Group, event.object);
    const auto member = principal_in(event.action == "member_added" ? event.after : event.before, "member");
    if (!group || !member) return false;
    touched.edges.emplace(*group, *member);
    return true;
  }
  if (event.type == "role")
    return is_one_of(event.action, {"created", "changed", "deleted"}) && add(touched.roles, parse_role_id(event.object));
  if (event.type == "binding" && is_one_of(event.action, {"created", "deleted"}))
    return add(touched.holders, principal_in(event.action == "created" ? event.after : event.before, "principal"));
  return false;
}

/// The same for an applied run. A record that is packed is a first load's; one that is gone has been forgotten (audit.retention).
bool note_run(Tenancy& inside, RunId run, Touched& touched) {
  auto& db = inside.db;
  if (db.number("SELECT applied::int FROM run WHERE tenant_id = $1 AND run_id = $2", {inside.number, run}) == 0) return false;
  if (db.number("SELECT 1 FROM run_change_pack WHERE tenant_id = $1 AND run_id = $2 LIMIT 1", {inside.number, run}) != 0) return false;
  bool known = true;
  const auto rows =
      db.each("SELECT type, object_id, member_id FROM run_change WHERE tenant_id = $1 AND run_id = $2 AND kind <> $3 LIMIT $4",
              {inside.number, run, ChangeKind::Skipped, kMost + 1}, [&](Row& row) {
                const auto type = static_cast<ObjectType>(row.number());
                const auto object = row.id<PrincipalId>(), member = row.id<PrincipalId>();
                known = known && object && (member || type != ObjectType::Membership);
                switch (type) {
                  case ObjectType::User:
                  case ObjectType::Group:
                    touched.principals.insert(object);
                    return;
                  case ObjectType::Membership:
                    touched.edges.emplace(object, member);
                    return;
                  case ObjectType::Binding:
                    touched.holders.insert(object);
                    return;
                }
                known = false;
              });
  return known && rows <= kMost;
}

void ask_for_events(Tenancy& inside, const Revision& since, std::vector<Event>& events) {
  static constexpr std::string_view kEvents =
      "SELECT revision, action, object_type, object_id, before, after, run_id FROM audit WHERE tenant_id = $1 AND epoch = $2 AND revision "
      "> "
      "$3 ORDER BY revision LIMIT $4";
  inside.db.ask(kEvents, {inside.number, since.epoch, since.number, kMost + 1}, [&events](Row& row) {
    Event event;
    event.revision = static_cast<std::uint64_t>(row.number());
    event.action = row.text();
    event.type = row.text();
    event.object = row.text();
    event.before = row.text();
    event.after = row.text();
    event.run = row.id<RunId>();
    events.push_back(std::move(event));
  });
}

/// What the events after `since` touched; none when not every revision up to `to` is accounted for.
std::optional<Touched> touched_by(Tenancy& inside, const std::vector<Event>& events, const Revision& since, const Revision& to) {
  auto last = since.number;
  for (const auto& event : events) {
    if (event.revision > last + 1) return std::nullopt;
    last = event.revision;
  }
  if (last != to.number) return std::nullopt;
  Touched touched;
  for (const auto& event : events) {
    const bool is_run = event.type == "run" && event.action == "run_applied";
    if (!(is_run ? note_run(inside, event.run, touched) : note(event, touched)) || touched.size() > kMost) return std::nullopt;
  }
  touched.holders.insert(touched.principals.begin(), touched.principals.end());
  return touched;
}

template <class Id>
std::string numbers(const std::set<Id>& ids) {
  return array_text(ids);
}

// Each row is looked up by its key, whatever the planner believes about the tables (docs/decisions/0004).
constexpr std::string_view kEach =
    "FROM unnest($2::bigint[]) AS w (id) CROSS JOIN LATERAL (SELECT * FROM {} x WHERE x.tenant_id = $1 AND {} OFFSET 0) ";

void ask_for_principals(Tenancy& inside, const Touched& touched, AuthorizationChanges& out) {
  out.principals.assign(touched.principals.begin(), touched.principals.end());
  if (out.principals.empty()) return;
  const auto ids = numbers(touched.principals);
  inside.db.ask(
      "SELECT u.id, u.username, u.email, (u.leaving = 0 AND NOT u.admin_suspended)::int, coalesce((SELECT a.super_admin AND "
      "a.enabled FROM account a WHERE a.account_id = u.account_id), false)::int " +
          fmt::format(kEach, "tenant_user", "x.id = w.id") + "u",
      {inside.number, ids}, [&out](Row& row) {
        AuthorizationChanges::User user;
        user.id = row.id<PrincipalId>();
        user.username = row.text();
        user.email = row.text();
        user.active = row.flag();
        user.super_admin = row.flag();
        out.users.push_back(std::move(user));
      });
  inside.db.ask("SELECT g.id, g.name, g.name_key, (g.leaving = 0)::int " + fmt::format(kEach, "tenant_group", "x.id = w.id") + "g",
                {inside.number, ids}, [&out](Row& row) {
                  AuthorizationChanges::Group group;
                  group.id = row.id<PrincipalId>();
                  group.name = row.text();
                  auto key = row.maybe_text();
                  group.folded_name = key ? std::move(*key) : fold(group.name);  // suspended groups hold no name in the table
                  group.active = row.flag();
                  out.groups.push_back(std::move(group));
                });
  inside.db.ask("SELECT s.id, s.name, s.enabled::int " + fmt::format(kEach, "service_account", "x.id = w.id") + "s", {inside.number, ids},
                [&out](Row& row) {
                  AuthorizationChanges::ServiceAccount account;
                  account.id = row.id<PrincipalId>();
                  account.name = row.text();
                  account.enabled = row.flag();
                  out.service_accounts.push_back(std::move(account));
                });
}

void ask_for_edges(Tenancy& inside, const Touched& touched, AuthorizationChanges& out) {
  if (touched.edges.empty()) return;
  std::string groups = "{", members = "{";
  for (const auto& [group, member] : touched.edges) {
    const char* comma = groups.size() > 1 ? "," : "";
    groups += fmt::format("{}{}", comma, group.value);
    members += fmt::format("{}{}", comma, member.value);
  }
  inside.db.ask(
      "SELECT w.group_id, w.member_id, (SELECT 1 FROM membership m WHERE m.tenant_id = $1 AND m.group_id = w.group_id AND m.member_id = "
      "w.member_id LIMIT 1) FROM unnest($2::bigint[], $3::bigint[]) AS w (group_id, member_id)",
      {inside.number, groups + "}", members + "}"}, [&out](Row& row) {
        AuthorizationChanges::Edge edge;
        edge.group = row.id<PrincipalId>();
        edge.member = row.id<PrincipalId>();
        edge.there = row.flag();
        out.edges.push_back(edge);
      });
}

void ask_for_roles_and_bindings(Tenancy& inside, const Touched& touched, AuthorizationChanges& out) {
  auto& db = inside.db;
  out.touched_roles.assign(touched.roles.begin(), touched.roles.end());
  if (!touched.roles.empty())
    db.ask(fmt::format("SELECT {} FROM role WHERE tenant_id = $1 AND role_id = ANY ($2::bigint[])", kRoleColumns),
           {inside.number, numbers(touched.roles)}, [&out](Row& row) { out.roles.push_back(read_role(row)); });
  out.holders.assign(touched.holders.begin(), touched.holders.end());
  if (!touched.holders.empty())
    db.ask(fmt::format("SELECT {} {}b", kBindingColumns, fmt::format(kEach, "binding", "x.principal_id = w.id")),
           {inside.number, numbers(touched.holders)}, [&out](Row& row) { out.bindings.push_back(read_binding(row)); });
  const auto count = [&](std::string_view table, std::optional<std::uint64_t>& into) {
    db.ask(fmt::format("SELECT count(*) FROM (SELECT FROM {} WHERE tenant_id = $1 LIMIT $2) counted", table), {inside.number, kCountable},
           [&into](Row& row) {
             if (const auto found = static_cast<std::uint64_t>(row.number()); found < kCountable) into = found;
           });
  };
  count("role", out.role_count);
  count("binding", out.binding_count);
}

}  // namespace

Result<std::optional<AuthorizationChanges>> PostgresStore::authorization_changes(const TenantId& tenant, const Revision& since) {
  using Changes = std::optional<AuthorizationChanges>;
  const auto read = [&](Db& db) -> Result<Changes> {
    const Db::Keeping keeping(db);
    // Written so that one plan is right for any values, and read some hundred times a second while somebody pushes.
    db.ask_once("SET LOCAL plan_cache_mode = force_generic_plan");
    auto entered = numbers_->enter(db, tenant);
    if (!entered) return fail(entered.error());
    auto& inside = *entered;
    bool is_there = false;
    AuthorizationChanges out;
    out.from = since;
    db.ask("SELECT epoch, revision, enabled::int FROM tenant WHERE tenant_id = $1 AND id = $2", {inside.number, tenant.value},
           [&](Row& row) {
             is_there = true;
             out.to.epoch = static_cast<std::uint32_t>(row.number());
             out.to.number = static_cast<std::uint64_t>(row.number());
             out.tenant_enabled = row.flag();
           });
    std::vector<Event> events;
    ask_for_events(inside, since, events);
    db.collect();
    if (!is_there) return fail(Errc::NotFound, "no tenant {}", tenant.value);
    if (out.to.epoch != since.epoch || out.to.number < since.number) return Changes();
    if (out.to == since) return Changes(std::move(out));
    const auto touched = touched_by(inside, events, since, out.to);
    if (!touched) return Changes();
    ask_for_principals(inside, *touched, out);
    ask_for_edges(inside, *touched, out);
    ask_for_roles_and_bindings(inside, *touched, out);
    db.collect();
    return Changes(std::move(out));
  };
  const auto once = [&] { return snapshots_->run(Mode::Steady, "reading what changed", read, Begin::Asked); };
  auto out = once();
  if (!out && out.error().code == Errc::NotFound && numbers_->forget(tenant)) out = once();
  return out;
}

}  // namespace rosterd
