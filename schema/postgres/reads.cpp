#include "schema/core/text.hpp"
#include "schema/postgres/pool.hpp"
#include "schema/postgres/postgres_store.hpp"
#include "schema/postgres/rows.hpp"

// Reads for the API: people, groups, who is in what, roles and bindings.

namespace rosterd {

using namespace postgres;

namespace {

/// Cuts the one row too many off a page and says where the next one starts.
template <class T, class Key>
void close_page(Page<T>& page, std::uint32_t limit, Key key) {
  if (page.items.size() <= limit) return;
  page.items.resize(limit);
  page.next = cursor_text(key(page.items.back()).first, key(page.items.back()).second);
}

/// By id, or by a name that only one active object has; only suspended ones with that name count when no active one does (R7).
template <class T, class Active>
Result<T> pick(std::vector<T> found, std::string_view kind, std::string_view key, Active active) {
  if (found.empty()) return fail(Errc::NotFound, "no {} {}", kind, key);
  if (std::any_of(found.begin(), found.end(), active)) std::erase_if(found, [&](const T& one) { return !active(one); });
  if (found.size() > 1) return fail_as("ambiguous", Errc::Conflict, "{} is the name of more than one {}; use the id", key, kind);
  return std::move(found.front());
}

}  // namespace

Result<Page<User>> PostgresStore::users(const TenantId& tenant, const PageRequest& page) {
  return in_tenant(*pool_, Mode::Read, tenant, "listing users", [&](Tenancy& inside) -> Result<Page<User>> {
    const auto limit = page_limit(page);
    const auto place = parse_cursor(page.cursor);
    Page<User> out;
    static constexpr std::string_view kUsers =
        "SELECT {} FROM tenant_user u WHERE u.tenant_id = $1 AND (u.username, u.id) > ($2 COLLATE \"C\", $3::bigint) "
        "AND ($4 = '' OR starts_with(u.username, $4) OR starts_with(u.email, $4)) ORDER BY u.username, u.id LIMIT $5";
    inside.db.each(fmt::format(kUsers, kUserColumns), {inside.number, place.text, place.id, fold(page.query), limit + 1},
                   [&](Row& row) { out.items.push_back(read_user(row)); });
    close_page(out, limit, [](const User& user) { return std::pair(std::string_view(user.username), user.id.value); });
    return out;
  });
}

Result<User> PostgresStore::user(const TenantId& tenant, std::string_view key) {
  return in_tenant(*pool_, Mode::Read, tenant, "reading a user", [&](Tenancy& inside) -> Result<User> {
    std::vector<User> found;
    const auto take = [&](Row& row) { found.push_back(read_user(row)); };
    if (const auto id = parse_principal_id(PrincipalType::User, key))
      inside.db.each(fmt::format("SELECT {} FROM tenant_user u WHERE u.tenant_id = $1 AND u.id = $2", kUserColumns), {inside.number, *id},
                     take);
    else
      inside.db.each(fmt::format("SELECT {} FROM tenant_user u WHERE u.tenant_id = $1 AND (u.username = $2 OR u.email = $2)", kUserColumns),
                     {inside.number, fold(key)}, take);
    return pick(std::move(found), "user", key, [](const User& user) { return user.active(); });
  });
}

Result<std::vector<Group>> PostgresStore::groups_of(const TenantId& tenant, const Principal& principal) {
  return in_tenant(*pool_, Mode::Read, tenant, "listing groups of a principal", [&](Tenancy& inside) -> Result<std::vector<Group>> {
    std::vector<Group> out;
    inside.db.each(fmt::format("SELECT {} FROM tenant_group g WHERE g.tenant_id = $1 AND g.id IN (SELECT group_id FROM membership "
                               "WHERE tenant_id = $1 AND member_id = $2 AND member_type = $3) ORDER BY g.name, g.id",
                               kGroupColumns),
                   {inside.number, principal.id, principal.type}, [&](Row& row) { out.push_back(read_group(row)); });
    return out;
  });
}

Result<Page<Group>> PostgresStore::groups(const TenantId& tenant, const PageRequest& page) {
  return in_tenant(*pool_, Mode::Read, tenant, "listing groups", [&](Tenancy& inside) -> Result<Page<Group>> {
    const auto limit = page_limit(page);
    const auto place = parse_cursor(page.cursor);
    Page<Group> out;
    // Suspended groups have no key and come first, by their id.
    static constexpr std::string_view kGroups =
        "SELECT {}, coalesce(g.name_key, '') FROM tenant_group g WHERE g.tenant_id = $1 AND (coalesce(g.name_key, ''), g.id) > ($2 COLLATE "
        "\"C\", $3::bigint) "
        "AND ($4 = '' OR starts_with(g.name_key, $4)) ORDER BY coalesce(g.name_key, ''), g.id LIMIT $5";
    std::vector<std::string> keys;
    inside.db.each(fmt::format(kGroups, kGroupColumns), {inside.number, place.text, place.id, fold(page.query), limit + 1}, [&](Row& row) {
      out.items.push_back(read_group(row));
      keys.push_back(row.text());
    });
    if (out.items.size() > limit) {
      out.items.resize(limit);
      out.next = cursor_text(keys[limit - 1], out.items.back().id.value);
    }
    return out;
  });
}

Result<Group> PostgresStore::group(const TenantId& tenant, std::string_view key) {
  return in_tenant(*pool_, Mode::Read, tenant, "reading a group", [&](Tenancy& inside) -> Result<Group> {
    std::vector<Group> found;
    const auto take = [&](Row& row) { found.push_back(read_group(row)); };
    const auto by = [&](std::string_view condition, const Value& value) {
      inside.db.each(fmt::format("SELECT {} FROM tenant_group g WHERE g.tenant_id = $1 AND {}", kGroupColumns, condition),
                     {inside.number, value}, take);
    };
    if (const auto id = parse_principal_id(PrincipalType::Group, key)) {
      by("g.id = $2", *id);
    } else {
      by("g.name_key = $2", fold(key));
      if (found.empty()) by("g.name_key IS NULL AND g.name = $2", key);  // a suspended one, by its exact name: it holds no key
    }
    return pick(std::move(found), "group", key, [](const Group& group) { return group.source_suspended == Leaving::None; });
  });
}

Result<Page<Member>> PostgresStore::members(const TenantId& tenant, PrincipalId group, const PageRequest& page) {
  return in_tenant(*pool_, Mode::Read, tenant, "listing members", [&](Tenancy& inside) -> Result<Page<Member>> {
    if (inside.db.number("SELECT 1 FROM tenant_group WHERE tenant_id = $1 AND id = $2", {inside.number, group}) == 0)
      return fail(Errc::NotFound, "no group {}", text(PrincipalType::Group, group));
    const auto limit = page_limit(page);
    const auto place = parse_cursor(page.cursor);
    // By member id: the order of the key, so that a page of a group of 200,000 reads only its own rows. The text of the cursor holds the
    // origin, since a local and a source's edge may stand side by side.
    static constexpr std::string_view kMembers =
        "SELECT m.member_type, m.member_id, m.source_id, coalesce(u.username, g.name, s.name, ''), "
        "coalesce(u.leaving = 0 AND NOT u.admin_suspended, g.leaving = 0, s.enabled, false)::int "
        "FROM membership m "
        "LEFT JOIN tenant_user u ON m.member_type = 1 AND u.tenant_id = m.tenant_id AND u.id = m.member_id "
        "LEFT JOIN tenant_group g ON m.member_type = 2 AND g.tenant_id = m.tenant_id AND g.id = m.member_id "
        "LEFT JOIN service_account s ON m.member_type = 3 AND s.tenant_id = m.tenant_id AND s.id = m.member_id "
        "WHERE m.tenant_id = $1 AND m.group_id = $2 AND (m.member_id, m.source_id) > ($3::bigint, $4::bigint) "
        "AND ($5 = '' OR starts_with(coalesce(u.username, g.name_key, s.name), $5)) ORDER BY m.member_id, m.source_id LIMIT $6";
    Page<Member> out;
    inside.db.each(kMembers, {inside.number, group, place.id, place.text.empty() ? "-1" : place.text, fold(page.query), limit + 1},
                   [&](Row& row) {
                     Member one;
                     one.principal.type = static_cast<PrincipalType>(row.number());
                     one.principal.id = row.id<PrincipalId>();
                     one.source = row.maybe_id<SourceId>();
                     one.name = row.text();
                     one.active = row.flag();
                     out.items.push_back(std::move(one));
                   });
    if (out.items.size() > limit) {
      out.items.resize(limit);
      const auto& last = out.items.back();
      out.next = cursor_text(std::to_string(last.source ? last.source->value : 0), last.principal.id.value);
    }
    return out;
  });
}

Result<std::vector<EdgeOrigin>> PostgresStore::edge_origins(const TenantId& tenant,
                                                            std::span<const std::pair<PrincipalId, PrincipalId>> edges) {
  return in_tenant(
      *pool_, Mode::Read, tenant, "reading where memberships come from", [&](Tenancy& inside) -> Result<std::vector<EdgeOrigin>> {
        std::vector<PrincipalId> groups, members;
        for (const auto& [group, member] : edges) {
          groups.push_back(group);
          members.push_back(member);
        }
        static constexpr std::string_view kOrigins =
            "SELECT m.group_id, m.member_type, m.member_id, m.source_id, coalesce(s.name, ''), coalesce(g.entry, ''), m.run_id, "
            "micros(m.created_at) "
            "FROM unnest($2::bigint[], $3::bigint[]) AS asked (group_id, member_id) "
            "JOIN membership m ON m.tenant_id = $1 AND m.group_id = asked.group_id AND m.member_id = asked.member_id "
            "LEFT JOIN tenant_group g ON g.tenant_id = m.tenant_id AND g.id = m.group_id "
            "LEFT JOIN source s ON s.tenant_id = m.tenant_id AND s.source_id = m.source_id ORDER BY m.group_id, m.member_id, m.source_id";
        std::vector<EdgeOrigin> out;
        inside.db.each(kOrigins, {inside.number, array_text(groups), array_text(members)}, [&](Row& row) {
          EdgeOrigin one;
          one.group = row.id<PrincipalId>();
          one.member.type = static_cast<PrincipalType>(row.number());
          one.member.id = row.id<PrincipalId>();
          one.source = row.maybe_id<SourceId>();
          one.source_name = row.text();
          one.entry = row.text();
          if (!one.source) one.entry.clear();
          one.run = row.maybe_id<RunId>();
          one.since = row.time();
          out.push_back(std::move(one));
        });
        return out;
      });
}

Result<std::vector<Role>> PostgresStore::roles(const TenantId& tenant) {
  return in_tenant(*pool_, Mode::Read, tenant, "listing roles", [](Tenancy& inside) -> Result<std::vector<Role>> {
    std::vector<Role> out;
    inside.db.each(fmt::format("SELECT {} FROM role WHERE tenant_id = $1 ORDER BY name_key", kRoleColumns), {inside.number},
                   [&](Row& row) { out.push_back(read_role(row)); });
    return out;
  });
}

Result<std::vector<Binding>> PostgresStore::bindings(const TenantId& tenant) {
  return in_tenant(*pool_, Mode::Read, tenant, "listing bindings", [](Tenancy& inside) -> Result<std::vector<Binding>> {
    std::vector<Binding> out;
    inside.db.each(fmt::format("SELECT {} FROM binding b WHERE b.tenant_id = $1 ORDER BY b.binding_id", kBindingColumns), {inside.number},
                   [&](Row& row) { out.push_back(read_binding(row)); });
    return out;
  });
}

}  // namespace rosterd
