#include "schema/postgres/changes.hpp"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "schema/postgres/postgres_store.hpp"
#include "schema/postgres/rows.hpp"

namespace rosterd {

using namespace postgres;

namespace {

// Memberships and bindings are stored as numbers; the names are looked up (in tenant $1: a constant is what finds the index) for what is
// shown. A plan that was not applied brings the names of what it would add along.
constexpr std::string_view kChangeColumns =
    "c.seq, c.type, c.kind, c.object_id, c.binding_id, c.external_id, coalesce(g.name, c.name, ''), c.before, c.after, c.reason, "
    "c.member_id, c.member_type, c.member_external_id, coalesce(u.username, m.name, s.name)";
constexpr std::string_view kNames =
    "LEFT JOIN tenant_group g ON c.type = 4 AND g.tenant_id = $1 AND g.id = c.object_id "
    "LEFT JOIN tenant_user u ON c.member_type = 1 AND u.tenant_id = $1 AND u.id = c.member_id "
    "LEFT JOIN tenant_group m ON c.member_type = 2 AND m.tenant_id = $1 AND m.id = c.member_id "
    "LEFT JOIN service_account s ON c.member_type = 3 AND s.tenant_id = $1 AND s.id = c.member_id ";

/// What a membership's record says of its member's name; empty where it says nothing.
std::string name_in(const std::string& shape) {
  const auto from = nlohmann::json::parse(shape, nullptr, false);
  return from.is_object() ? from.value("member_name", std::string()) : std::string();
}

Change read_change(Row& row, bool applied) {
  Change change;
  change.seq = static_cast<std::uint64_t>(row.number());
  change.type = static_cast<ObjectType>(row.number());
  change.kind = static_cast<ChangeKind>(row.number());
  const auto object = row.id<PrincipalId>();
  const auto binding = row.maybe_id<BindingId>();
  // What a plan would add has no id yet: the number that was set aside for it never came to be.
  const bool exists = object && (applied || change.kind != ChangeKind::Added);
  switch (change.type) {
    case ObjectType::User:
      change.id = exists ? text(PrincipalType::User, object) : "";
      break;
    case ObjectType::Group:
    case ObjectType::Membership:
      change.id = exists ? text(PrincipalType::Group, object) : "";
      break;
    case ObjectType::Binding:
      change.id = binding ? text(*binding) : "";
      break;
  }
  change.external_id = row.text();
  change.name = row.text();
  change.before = row.text();
  change.after = row.text();
  change.reason = row.text();
  if (change.type == ObjectType::Membership) {
    const auto member = row.id<PrincipalId>();
    const auto type = static_cast<PrincipalType>(row.number());
    const auto external = row.text();
    auto name = row.text();
    auto& side = change.kind == ChangeKind::EdgeAdded ? change.after : change.before;
    if (name.empty()) name = name_in(side);
    side = object_text({{"member", text(type, member)}, {"member_name", name}, {"member_external_id", external}});
  }
  return change;
}

}  // namespace

Result<Page<Change>> PostgresStore::changes(const TenantId& tenant, RunId run, const PageRequest& page) {
  return in_tenant(*pool_, Mode::Read, tenant, "listing a run's changes", [&](Tenancy& inside) -> Result<Page<Change>> {
    const auto applied = inside.db.first("SELECT applied::int FROM run WHERE tenant_id = $1 AND run_id = $2", {inside.number, run},
                                         [](Row& row) { return row.flag(); });
    if (!applied) return fail(Errc::NotFound, "no run {}", text(run));
    const auto limit = page_limit(page);
    const auto place = parse_cursor(page.cursor);
    static constexpr std::string_view kChanges =
        "SELECT {columns} FROM ("
        // Packs hold more changes than a page, except the last of its kind, and those of groups and memberships lie across each other: four
        // of them reach past any page.
        "  (SELECT tenant_id, seq, type, kind, object_id, binding_id, external_id, name, before, after, reason, member_id, member_type, "
        "member_external_id "
        "  FROM run_change WHERE tenant_id = $1 AND run_id = $2 AND seq > $3 ORDER BY seq LIMIT $4) "
        "  UNION ALL SELECT p.tenant_id, c.s, p.type, p.kind, c.o, NULL, c.x, coalesce(c.a ->> 'username', c.a ->> 'name'), NULL, "
        "c.a::text, coalesce(c.r, p.reason), c.m, "
        "CASE WHEN p.type = 4 THEN coalesce(c.t, 1::smallint) ELSE 0::smallint END, c.y "
        "  FROM (SELECT * FROM run_change_pack WHERE tenant_id = $1 AND run_id = $2 AND last_seq > $3 ORDER BY first_seq LIMIT 4) p, "
        "  LATERAL json_to_recordset(p.changes::json) AS c (s bigint, o bigint, x text, r text, a json, m bigint, t smallint, y text) "
        "WHERE c.s > $3"
        ") c {names} ORDER BY c.seq LIMIT $4";
    Page<Change> out;
    inside.db.each(fmt::format(kChanges, fmt::arg("columns", kChangeColumns), fmt::arg("names", kNames)),
                   {inside.number, run, place.id, limit + 1}, [&](Row& row) { out.items.push_back(read_change(row, *applied)); });
    if (out.items.size() > limit) {
      out.items.resize(limit);
      out.next = cursor_text("", out.items.back().seq);
    }
    return out;
  });
}

Result<std::string> PostgresStore::held_changes(const TenantId& tenant, RunId run) {
  return in_tenant(*pool_, Mode::Read, tenant, "reading a held plan's first changes", [&](Tenancy& inside) -> Result<std::string> {
    auto found = inside.db.first("SELECT held_changes FROM run WHERE tenant_id = $1 AND run_id = $2", {inside.number, run},
                                 [](Row& row) { return row.text(); });
    if (!found) return fail(Errc::NotFound, "no run {}", text(run));
    return std::move(*found);
  });
}

SomeChanges postgres::some_changes(Tenancy& inside, RunId run, std::uint64_t after, std::uint32_t limit, const ChangeFilter& filter) {
  // Searching a pack that does not name the object costs about a millisecond, opening one ten to fifty. Packs of users, of groups and of
  // memberships lie across each other, so that three may hold the same position: a fourth begins behind it.
  constexpr std::size_t kOpened = 4, kSearched = 512;
  static constexpr auto kNoEnd = std::numeric_limits<std::int64_t>::max();
  const auto most = filter.principal ? kSearched : kOpened;
  // Integers of our own, so that each shape of the question has the plan it needs.
  std::string of_rows, of_packs, of_items;
  if (filter.type) of_rows = of_packs = fmt::format(" AND type = {}", static_cast<int>(*filter.type));
  if (filter.kind) {
    const auto kind = fmt::format(" AND kind = {}", static_cast<int>(*filter.kind));
    of_rows += kind;
    of_packs += kind;
  }
  std::string named;
  if (filter.principal) {
    const auto id = filter.principal->value;
    of_rows += fmt::format(" AND (object_id = {0} OR member_id = {0})", id);
    named = fmt::format(R"( AND (position('"o":{0},' IN p.changes) > 0 OR position('"m":{0},' IN p.changes) > 0))", id);
    of_items = fmt::format(" AND (c.o = {0} OR c.m = {0})", id);
  }
  if (filter.binding) {
    of_rows += fmt::format(" AND binding_id = {}", filter.binding->value);
    of_packs += " AND false";  // a first load packs no bindings
  }
  // Up to where this look goes: the first pack that it need not open, since so many changes lie before it.
  auto horizon = kNoEnd;
  std::size_t packs = 0;
  inside.db.each(
      fmt::format(
          "SELECT first_seq FROM run_change_pack WHERE tenant_id = $1 AND run_id = $2 AND last_seq > $3{} ORDER BY first_seq LIMIT $4",
          of_packs),
      {inside.number, run, after, most + 1}, [&](Row& row) {
        const auto first = row.number();
        const bool near = filter.principal || static_cast<std::uint64_t>(first) <= after + limit;
        if (packs++ == most || (packs > 1 && !near)) horizon = std::min(horizon, first);
      });
  static constexpr std::string_view kSome =
      // Names are looked up for what is given, not for everything in an opened pack.
      "SELECT {columns} FROM (SELECT * FROM ("
      "  (SELECT tenant_id, seq, type, kind, object_id, binding_id, external_id, name, before, after, reason, member_id, member_type, "
      "member_external_id FROM run_change WHERE tenant_id = $1 AND run_id = $2 AND seq > $3 AND seq < $4{of_rows} ORDER BY seq LIMIT $5) "
      "  UNION ALL SELECT p.tenant_id, c.s, p.type, p.kind, c.o, NULL, c.x, coalesce(c.a ->> 'username', c.a ->> 'name'), NULL, "
      "c.a::text, coalesce(c.r, p.reason), c.m, CASE WHEN p.type = 4 THEN coalesce(c.t, 1::smallint) ELSE 0::smallint END, c.y "
      "  FROM (SELECT * FROM run_change_pack WHERE tenant_id = $1 AND run_id = $2 AND last_seq > $3 AND first_seq < $4{of_packs}) p, "
      "  LATERAL json_to_recordset(p.changes::json) AS c (s bigint, o bigint, x text, r text, a json, m bigint, t smallint, y text) "
      "WHERE c.s > $3 AND c.s < $4{named}{of_items}"
      ") found ORDER BY seq LIMIT $5) c {names} ORDER BY c.seq";
  SomeChanges out;
  inside.db.each(fmt::format(kSome, fmt::arg("columns", kChangeColumns), fmt::arg("of_rows", of_rows), fmt::arg("of_packs", of_packs),
                             fmt::arg("named", named), fmt::arg("of_items", of_items), fmt::arg("names", kNames)),
                 {inside.number, run, after, horizon, limit}, [&](Row& row) { out.items.push_back(read_change(row, true)); });
  const bool full = out.items.size() == limit;
  out.reached = full ? out.items.back().seq : static_cast<std::uint64_t>(horizon - 1);
  out.over = !full && horizon == kNoEnd;
  return out;
}

std::string postgres::first_changes(Tenancy& inside, RunId run, std::uint32_t of_each) {
  static constexpr std::string_view kFirst =
      "SELECT {columns} FROM (SELECT *, row_number() OVER (PARTITION BY type, kind ORDER BY seq) AS place FROM run_change_whole "
      "WHERE tenant_id = $1 AND run_id = $2) c {names} WHERE c.place <= $3 ORDER BY c.type, c.kind, c.seq";
  auto out = nlohmann::json::array();
  inside.db.each(fmt::format(kFirst, fmt::arg("columns", kChangeColumns), fmt::arg("names", kNames)), {inside.number, run, of_each},
                 [&](Row& row) {
                   auto change = read_change(row, false);
                   if (change.type == ObjectType::User || change.type == ObjectType::Group) {
                     change.before.clear();
                     change.after.clear();
                   }
                   out.push_back(to_json(change));
                 });
  return out.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace rosterd
