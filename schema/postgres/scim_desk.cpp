#include "schema/postgres/scim_desk.hpp"

#include <nlohmann/json.hpp>

#include "schema/core/text.hpp"
#include "schema/postgres/rows.hpp"

namespace rosterd::postgres {
namespace {

using nlohmann::json;

std::string packed(const json& rows) { return rows.dump(-1, ' ', false, json::error_handler_t::replace); }

/// A JSON array of texts, for = ANY.
std::string packed_texts(const std::set<std::string>& texts) { return packed(json(texts)); }

constexpr std::string_view kMarkedColumns =
    "coalesce(u.leaving, g.leaving, 0)::bigint, (r.deleted_at IS NOT NULL)::int, coalesce(g.name, '')";
// Each key is looked up in the index that has it, whatever the planner believes about the tables (docs/decisions/0004). Before it has
// statistics it expects one row of a tenant, source and type, and takes the primary key, which begins with them, for as good as the index
// of names: the sums keep it from that.
constexpr std::string_view kMarkedFrom =
    "FROM {} CROSS JOIN LATERAL ({} OFFSET 0) r "
    "LEFT JOIN LATERAL (SELECT o.leaving FROM tenant_user o WHERE r.type = 1 AND o.tenant_id = r.tenant_id AND o.id = r.id OFFSET 0) u ON "
    "true LEFT JOIN LATERAL (SELECT o.leaving, o.name FROM tenant_group o WHERE r.type = 2 AND o.tenant_id = r.tenant_id AND o.id = r.id "
    "OFFSET 0) g ON true";
constexpr std::string_view kById =
    "SELECT * FROM scim_resource x WHERE x.tenant_id = $1 AND x.source_id = $2 AND x.type = w.t AND x.id = w.k";
constexpr std::string_view kByText =
    "SELECT * FROM scim_resource x WHERE x.tenant_id = $1 AND x.{} = w.k AND x.source_id + 0 = $2 AND x.type + 0 = {} AND {}";
constexpr std::string_view kIds = "unnest($3::bigint[], $4::smallint[]) AS w (k, t)";
constexpr std::string_view kTexts = "json_array_elements_text($3::json) AS w (k)";

}  // namespace

const std::string_view kPushedColumns =
    "r.type::bigint, r.id, r.external_id, r.name, r.document, r.version, micros(r.created_at), micros(r.modified_at), "
    "CASE WHEN r.type = 1 THEN (SELECT (x.leaving = 0)::int FROM tenant_user x WHERE x.tenant_id = r.tenant_id AND x.id = r.id) ELSE 1 END";

Pushed read_pushed(Row& row) {
  Pushed out;
  out.type = static_cast<PrincipalType>(row.number());
  out.id = row.id<PrincipalId>();
  out.external_id = row.maybe_text();
  out.name = row.text();
  out.document = row.text();
  out.version = static_cast<std::uint64_t>(row.number());
  out.created_at = row.time();
  out.modified_at = row.time();
  out.active = row.flag();
  return out;
}

std::vector<PushedMember> members_of(Tenancy& inside, SourceId source, std::span<const PrincipalId> groups) {
  std::vector<PushedMember> out;
  if (groups.empty()) return out;
  inside.db.each(
      "SELECT m.group_id, m.member_type::bigint, m.member_id, r.name FROM membership m JOIN scim_resource r ON r.tenant_id = m.tenant_id "
      "AND "
      "r.source_id = $2 AND r.type = m.member_type AND r.id = m.member_id AND r.deleted_at IS NULL "
      "WHERE m.tenant_id = $1 AND m.group_id = ANY ($3::bigint[]) AND m.source_id = $2 ORDER BY m.group_id, m.member_id",
      {inside.number, source, array_text(groups)}, [&](Row& row) {
        PushedMember one;
        one.group = row.id<PrincipalId>();
        one.who.type = static_cast<PrincipalType>(row.number());
        one.who.id = row.id<PrincipalId>();
        one.display = row.text();
        out.push_back(std::move(one));
      });
  return out;
}

Desk::Item& Desk::keep(Item item) {
  const auto id = item.now.id;
  const auto [at, is_first] = items_.try_emplace(id, std::move(item));
  auto& kept = at->second;
  if (is_first) {
    if (!kept.deleted) names_[{kept.now.type, fold(kept.now.name)}] = id;
    if (kept.now.external_id) externals_[{kept.now.type, *kept.now.external_id}] = id;
  }
  return kept;
}

void Desk::load_where(std::string_view keys, std::string_view which, Values values) {
  const auto from = fmt::format(kMarkedFrom, keys, which);
  inside_.db.ask(fmt::format("SELECT {}, {} {}", kPushedColumns, kMarkedColumns, from), values, [this](Row& row) {
    Item item;
    item.now = read_pushed(row);
    item.leaving = static_cast<Leaving>(row.number());
    item.deleted = row.flag();
    item.group_name = row.text();
    item.was_stored_active = item.leaving == Leaving::None;
    item.now.active = item.was_stored_active;
    keep(std::move(item));
  });
}

void Desk::load_ids(const std::set<Principal>& who) {
  if (who.empty()) return;
  std::string ids = "{", types = "{";
  for (const auto& [type, id] : who) {
    const char* comma = ids.size() > 1 ? "," : "";
    ids += fmt::format("{}{}", comma, id.value);
    types += fmt::format("{}{}", comma, static_cast<int>(type));
  }
  load_where(kIds, kById, {inside_.number, source_, ids + "}", types + "}"});
}

void Desk::load_names(PrincipalType type, const std::set<std::string>& folded) {
  if (folded.empty()) return;
  load_where(kTexts, fmt::format(kByText, "name_key", static_cast<int>(type), "x.deleted_at IS NULL"),
             {inside_.number, source_, packed_texts(folded)});
}

void Desk::load_externals(PrincipalType type, const std::set<std::string>& ids) {
  if (ids.empty()) return;
  load_where(kTexts, fmt::format(kByText, "external_id", static_cast<int>(type), "x.external_id IS NOT NULL"),
             {inside_.number, source_, packed_texts(ids)});
}

void Desk::ask_for(std::span<const Push> requests) {
  std::set<Principal> ids;
  std::set<std::string> user_names, user_externals, group_names, group_externals, tenant_names;
  std::uint64_t creations = 0;
  std::string pair_groups = "{", pair_members = "{";
  for (const auto& request : requests) {
    if (request.kind == Push::Kind::Create) {
      ++creations;
      const auto& content = request.made.content;
      const bool is_user = request.type == PrincipalType::User;
      const auto folded = fold(content.name);
      (is_user ? user_names : group_names).insert(folded);
      if (!is_user) tenant_names.insert(folded);
      names_.try_emplace({request.type, folded}, PrincipalId{});
      if (content.external_id) {
        (is_user ? user_externals : group_externals).insert(*content.external_id);
        externals_.try_emplace({request.type, *content.external_id}, PrincipalId{});
      }
    } else {
      ids.insert({request.type, request.id});
    }
    for (const auto& who : request.mentions) {
      ids.insert(who);
      if (request.kind == Push::Kind::Create) continue;
      const char* comma = pair_groups.size() > 1 ? "," : "";
      pair_groups += fmt::format("{}{}", comma, request.id.value);
      pair_members += fmt::format("{}{}", comma, who.id.value);
      edges_.try_emplace({request.id, who.id}, Edge{.type = who.type});
    }
  }
  looked_for_ = ids;
  load_ids(ids);
  load_names(PrincipalType::User, user_names);
  load_externals(PrincipalType::User, user_externals);
  load_names(PrincipalType::Group, group_names);
  load_externals(PrincipalType::Group, group_externals);
  if (!tenant_names.empty()) {
    for (const auto& name : tenant_names) group_names_.try_emplace(name, PrincipalId{});
    inside_.db.ask(
        "SELECT id, name_key FROM tenant_group WHERE tenant_id = $1 AND name_key = ANY (SELECT json_array_elements_text($2::json))",
        {inside_.number, packed_texts(tenant_names)}, [this](Row& row) {
          const auto id = row.id<PrincipalId>();
          group_names_[row.text()] = id;
        });
  }
  if (pair_groups.size() > 1)
    inside_.db.ask(
        "SELECT m.group_id, m.member_id, m.member_type::bigint FROM unnest($3::bigint[], $4::bigint[]) AS w (group_id, member_id) "
        "CROSS JOIN LATERAL (SELECT * FROM membership x WHERE x.tenant_id = $1 AND x.group_id = w.group_id AND x.member_id = w.member_id "
        "AND x.source_id = $2 OFFSET 0) m",
        {inside_.number, source_, pair_groups + "}", pair_members + "}"}, [this](Row& row) {
          const auto group = row.id<PrincipalId>();
          const auto member = row.id<PrincipalId>();
          edges_[{group, member}] = {.type = static_cast<PrincipalType>(row.number()), .was = true, .is = true};
        });
  if (creations > 0)
    inside_.db.ask("SELECT door_reserve_ids($1)", {creations}, [this, creations](Row& row) {
      const auto first = static_cast<std::uint64_t>(row.number());
      for (auto i = creations; i > 0; --i) fresh_ids_.push_back(first + i - 1);
    });
}

Desk::Item* Desk::find(PrincipalType type, PrincipalId id) {
  auto found = items_.find(id);
  if (found == items_.end() && looked_for_.insert({type, id}).second) {
    load_ids({{type, id}});
    inside_.db.collect();
    found = items_.find(id);
  }
  if (found == items_.end() || found->second.deleted || found->second.now.type != type) return nullptr;
  return &found->second;
}

Desk::Item* Desk::named(PrincipalType type, const std::string& folded) {
  const auto [at, is_unknown] = names_.try_emplace({type, folded}, PrincipalId{});
  if (is_unknown) {
    load_names(type, {folded});
    inside_.db.collect();
  }
  return at->second ? &items_.at(at->second) : nullptr;
}

Desk::Item* Desk::external(PrincipalType type, const std::string& external_id) {
  const auto [at, is_unknown] = externals_.try_emplace({type, external_id}, PrincipalId{});
  if (is_unknown) {
    load_externals(type, {external_id});
    inside_.db.collect();
  }
  return at->second ? &items_.at(at->second) : nullptr;
}

Desk::Item& Desk::add(PrincipalType type) {
  Item item;
  item.now.type = type;
  item.now.id = PrincipalId{fresh_ids_.back()};
  fresh_ids_.pop_back();
  item.is_new = true;
  item.now.version = 0;
  const auto id = item.now.id;
  whole_groups_.insert(id);  // it has no edges but those that are made here
  return items_.emplace(id, std::move(item)).first->second;
}

void Desk::set(Item& item, PushedContent content) {
  const auto type = item.now.type;
  const auto id = item.now.id;
  const auto old_key = fold(item.now.name), new_key = fold(content.name);
  if (const auto held = names_.find({type, old_key}); held != names_.end() && held->second == id) held->second = {};
  names_[{type, new_key}] = id;
  if (item.now.external_id)
    if (const auto held = externals_.find({type, *item.now.external_id}); held != externals_.end() && held->second == id) held->second = {};
  if (content.external_id) {
    auto& holder = externals_[{type, *content.external_id}];
    if (holder && holder != id) {  // whom the provider has deleted: nobody finds him by it any more
      auto& old = items_.at(holder);
      old.now.external_id.reset();
      old.is_dirty = true;
    }
    holder = id;
  }
  item.now.external_id = content.external_id;
  item.now.name = content.name;
  item.now.document = content.document;
  item.now.active = content.active;
  item.content = std::move(content);
  item.deleted = false;
  item.is_dirty = true;
  ++item.now.version;
}

void Desk::remove(Item& item) {
  if (const auto held = names_.find({item.now.type, fold(item.now.name)}); held != names_.end() && held->second == item.now.id)
    held->second = {};
  if (item.now.type == PrincipalType::Group) {
    if (const auto held = group_names_.find(fold(item.group_name)); held != group_names_.end() && held->second == item.now.id)
      held->second = {};
  }
  item.deleted = true;
  item.leaving = Leaving::DeletedAtSource;
  item.now.active = false;
  item.is_dirty = true;
  ++item.now.version;
}

void Desk::settle_name(Item& group) {
  const auto holder = [&](const std::string& key) {
    const auto [at, is_unknown] = group_names_.try_emplace(key, PrincipalId{});
    if (is_unknown)
      if (const auto found = inside_.db.first("SELECT id FROM tenant_group WHERE tenant_id = $1 AND name_key = $2", {inside_.number, key},
                                              [](Row& row) { return row.id<PrincipalId>(); }))
        at->second = *found;
    return at->second;
  };
  const auto id = text(PrincipalType::Group, group.now.id);
  const auto& external = group.now.external_id ? *group.now.external_id : id;
  for (const auto& suffix : {std::string(), "~" + external.substr(0, 8), "~" + external, "~" + id}) {
    auto name = group.now.name + suffix;
    if (!is_utf8(name)) continue;
    const auto key = fold(name);
    if (const auto who = holder(key); who && who != group.now.id) continue;
    if (const auto old = group_names_.find(fold(group.group_name)); old != group_names_.end() && old->second == group.now.id)
      old->second = {};
    group_names_[key] = group.now.id;
    group.group_name = std::move(name);
    group.renamed = true;
    return;
  }
}

bool Desk::is_member_like(const Principal& who) { return find(who.type, who.id) != nullptr; }

bool Desk::has_edge(PrincipalId group, const Principal& who) {
  const auto [at, is_unknown] = edges_.try_emplace({group, who.id}, Edge{.type = who.type});
  if (is_unknown && !whole_groups_.contains(group))
    at->second.was = at->second.is =
        inside_.db.number("SELECT 1 FROM membership WHERE tenant_id = $1 AND group_id = $2 AND member_id = $3 AND source_id = $4",
                          {inside_.number, group, who.id, source_}) != 0;
  return at->second.is;
}

void Desk::set_edge(PrincipalId group, const Principal& who, bool is) {
  auto& edge = edges_[{group, who.id}];
  edge.type = who.type;
  if (edge.is != is) member_change_[group] += is ? 1 : -1;
  edge.is = is;
}

std::vector<PushedMember> Desk::members(PrincipalId group) {
  const PrincipalId only[] = {group};
  std::map<PrincipalId, PushedMember> all;
  // Whole from the database, then what has happened here since.
  for (auto& one : members_of(inside_, source_, only)) {
    if (whole_groups_.contains(group) == false)
      edges_.try_emplace({group, one.who.id}, Edge{.type = one.who.type, .was = true, .is = true});
    all.emplace(one.who.id, std::move(one));
  }
  whole_groups_.insert(group);
  std::vector<PushedMember> out;
  for (auto at = edges_.lower_bound({group, PrincipalId{}}); at != edges_.end() && at->first.first == group; ++at) {
    if (!at->second.is) continue;
    const auto stored = all.find(at->first.second);
    PushedMember one;
    one.group = group;
    one.who = {at->second.type, at->first.second};
    if (stored != all.end())
      one.display = stored->second.display;
    else if (const auto* item = find(at->second.type, at->first.second))
      one.display = item->now.name;
    out.push_back(std::move(one));
  }
  return out;
}

std::uint64_t Desk::count_members(PrincipalId group) {
  const auto stored = inside_.db.number("SELECT count(*) FROM membership WHERE tenant_id = $1 AND group_id = $2 AND source_id = $3",
                                        {inside_.number, group, source_});
  return static_cast<std::uint64_t>(std::max<std::int64_t>(0, stored + member_change_[group]));
}

std::vector<PrincipalId> Desk::groups_with(const Principal& who) {
  std::vector<PrincipalId> out;
  inside_.db.each(
      "SELECT r.id FROM scim_resource r CROSS JOIN LATERAL (SELECT 1 FROM membership x WHERE x.tenant_id = $1 AND x.group_id = r.id AND "
      "x.member_id = $3 AND x.source_id = $2 OFFSET 0) m WHERE r.tenant_id = $1 AND r.source_id = $2 AND r.type = 2",
      {inside_.number, source_, who.id}, [&](Row& row) {
        const auto group = row.id<PrincipalId>();
        if (has_edge(group, who)) out.push_back(group);
      });
  for (const auto& [key, edge] : edges_)
    if (edge.is && !edge.was && key.second == who.id) out.push_back(key.first);
  return out;
}

namespace {

json or_null(const std::optional<std::string>& text) { return text ? json(*text) : json(nullptr); }

constexpr std::string_view kInsertUsers =
    "INSERT INTO tenant_user (tenant_id, id, source_id, external_id, username, email, first_name, last_name, leaving, state_reason, "
    "suspended_at) SELECT $1, id, $2, x, n, e, f, l, v, w, CASE WHEN v <> 0 THEN now() END FROM json_to_recordset($3::json) "
    "AS s (id bigint, x text, n text, e text, f text, l text, v smallint, w text)";
constexpr std::string_view kInsertGroups =
    "INSERT INTO tenant_group (tenant_id, id, source_id, external_id, name, name_key, source_name) SELECT $1, id, $2, x, g, k, n FROM "
    "json_to_recordset($3::json) AS s (id bigint, x text, g text, k text, n text)";
constexpr std::string_view kInsertResources =
    "INSERT INTO scim_resource (tenant_id, source_id, type, id, version, external_id, name, name_key, work_email, document) "
    "SELECT $1, $2, t, id, r, x, d, n, m, o FROM json_to_recordset($3::json) "
    "AS s (t smallint, id bigint, r bigint, x text, d text, n text, m text, o text)";
constexpr std::string_view kSuspendedAt =
    "suspended_at = CASE WHEN s.v = 0 THEN NULL WHEN o.leaving = s.v THEN o.suspended_at ELSE now() END";
constexpr std::string_view kUpdateUsers =
    "UPDATE tenant_user o SET external_id = s.x, username = coalesce(s.n, o.username), email = CASE WHEN s.n IS NULL THEN o.email ELSE s.e "
    "END, first_name = coalesce(s.f, o.first_name), last_name = coalesce(s.l, o.last_name), leaving = s.v, {}, "
    "state_reason = CASE WHEN s.v <> 0 THEN s.w WHEN o.admin_suspended THEN 'suspended by an administrator' ELSE '' END "
    "FROM (SELECT s.*, i.at FROM (SELECT * FROM json_to_recordset($3::json) AS s (id bigint, x text, n text, e text, f text, l text, v "
    "smallint, w text) LIMIT $4) s CROSS JOIN LATERAL (SELECT i.ctid AS at FROM tenant_user i WHERE i.tenant_id = $1 AND i.id = s.id "
    "OFFSET 0) i OFFSET 0) s "
    "WHERE o.ctid = s.at AND o.tenant_id = $1 AND o.source_id = $2";
constexpr std::string_view kUpdateGroups =
    "UPDATE tenant_group o SET external_id = s.x, source_name = s.n, name = coalesce(s.g, o.name), name_key = CASE WHEN s.v <> 0 THEN NULL "
    "ELSE coalesce(s.k, o.name_key) END, leaving = s.v, {}, state_reason = s.w "
    "FROM (SELECT s.*, i.at FROM (SELECT * FROM json_to_recordset($3::json) AS s (id bigint, x text, g text, k text, n text, v smallint, w "
    "text) LIMIT $4) s CROSS JOIN LATERAL (SELECT i.ctid AS at FROM tenant_group i WHERE i.tenant_id = $1 AND i.id = s.id OFFSET 0) i "
    "OFFSET 0) s "
    "WHERE o.ctid = s.at AND o.tenant_id = $1 AND o.source_id = $2";
constexpr std::string_view kUpdateResources =
    "UPDATE scim_resource o SET version = s.r, modified_at = now(), deleted_at = CASE WHEN s.z THEN coalesce(o.deleted_at, now()) END, "
    "external_id = s.x, name = s.d, name_key = s.n, work_email = CASE WHEN s.c THEN s.m ELSE o.work_email END, document = s.o "
    "FROM (SELECT s.*, i.at FROM (SELECT * FROM json_to_recordset($3::json) AS s (t smallint, id bigint, r bigint, x text, d text, n text, "
    "m text, o "
    "text, z "
    "boolean, c boolean) LIMIT $4) s CROSS JOIN LATERAL (SELECT i.ctid AS at FROM scim_resource i WHERE i.tenant_id = $1 AND i.source_id = "
    "$2 AND "
    "i.type = s.t AND i.id = s.id OFFSET 0) i OFFSET 0) s WHERE o.ctid = s.at AND o.tenant_id = $1";

std::string why(const Desk::Item& item) {
  switch (item.leaving) {
    case Leaving::DeletedAtSource:
      return "deleted by its provider";
    case Leaving::DisabledAtSource:
      return "active is false at its provider";
    default:
      return {};
  }
}

}  // namespace

void Desk::write(RunId run) {
  auto& db = inside_.db;
  auto new_users = json::array(), new_groups = json::array(), new_resources = json::array(), users = json::array(), groups = json::array(),
       resources = json::array();
  for (const auto& [id, item] : items_) {
    if (!item.is_dirty && !item.is_touched) continue;
    const auto& content = item.content;
    const bool is_user = item.now.type == PrincipalType::User;
    const bool has_content = !content.name.empty();
    const auto key = fold(item.now.name);
    json row = {{"id", id.value}, {"x", or_null(item.now.external_id)}, {"v", static_cast<int>(item.leaving)}, {"w", why(item)}};
    if (is_user && (item.is_new || has_content)) {
      row["n"] = key;
      row["e"] = or_null(content.email);
      row["f"] = content.first_name;
      row["l"] = content.last_name;
    }
    if (!is_user) {
      row["n"] = item.now.name;
      if (item.renamed) {
        row["g"] = item.group_name;
        row["k"] = fold(item.group_name);
      }
    }
    json resource = {{"t", static_cast<int>(item.now.type)},
                     {"id", id.value},
                     {"r", item.now.version},
                     {"x", or_null(item.now.external_id)},
                     {"d", item.now.name},
                     {"n", key},
                     {"o", item.now.document},
                     {"z", item.deleted},
                     {"c", has_content},
                     {"m", content.work_email.empty() ? json(nullptr) : json(content.work_email)}};
    if (item.is_dirty) (item.is_new ? (is_user ? new_users : new_groups) : (is_user ? users : groups)).push_back(std::move(row));
    (item.is_new ? new_resources : resources).push_back(std::move(resource));
  }
  const auto send = [&](std::string_view sql, const json& rows) {
    if (!rows.empty()) db.ask(sql, {inside_.number, source_, packed(rows)});
  };
  // Told how many they are, the planner looks each up; it takes a JSON document for a hundred, and reads the whole tenant for them.
  const auto update = [&](std::string_view sql, const json& rows) {
    if (!rows.empty()) db.ask(sql, {inside_.number, source_, packed(rows), rows.size()});
  };
  // What exists first: a new one may take the externalId that an old one gives up.
  update(fmt::format(kUpdateUsers, kSuspendedAt), users);
  update(fmt::format(kUpdateGroups, kSuspendedAt), groups);
  update(kUpdateResources, resources);
  send(kInsertUsers, new_users);
  send(kInsertGroups, new_groups);
  send(kInsertResources, new_resources);

  std::string groups_added = "{", members_added = "{", types_added = "{", groups_gone = "{", members_gone = "{";
  for (const auto& [key, edge] : edges_) {
    if (edge.was == edge.is) continue;
    auto& to_groups = edge.is ? groups_added : groups_gone;
    auto& to_members = edge.is ? members_added : members_gone;
    const char* comma = to_groups.size() > 1 ? "," : "";
    to_groups += fmt::format("{}{}", comma, key.first.value);
    to_members += fmt::format("{}{}", comma, key.second.value);
    if (edge.is) types_added += fmt::format("{}{}", comma, static_cast<int>(edge.type));
  }
  if (groups_gone.size() > 1)
    db.ask(
        "DELETE FROM membership m USING (SELECT x.at FROM unnest($3::bigint[], $4::bigint[]) AS w (group_id, member_id) CROSS JOIN "
        "LATERAL (SELECT i.ctid AS at FROM membership i WHERE i.tenant_id = $1 AND i.group_id = w.group_id AND i.member_id = w.member_id "
        "AND "
        "i.source_id = $2 OFFSET 0) x OFFSET 0) s WHERE m.ctid = s.at AND m.tenant_id = $1",
        {inside_.number, source_, groups_gone + "}", members_gone + "}"});
  if (groups_added.size() > 1)
    db.ask(
        "INSERT INTO membership (tenant_id, group_id, member_id, member_type, source_id, run_id) SELECT $1, g, m, t, $2, $6 FROM "
        "unnest($3::bigint[], $4::bigint[], $5::smallint[]) AS s (g, m, t) ON CONFLICT DO NOTHING",
        {inside_.number, source_, groups_added + "}", members_added + "}", types_added + "}", run});
}

}  // namespace rosterd::postgres
