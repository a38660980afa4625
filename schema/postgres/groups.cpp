#include <algorithm>
#include <nlohmann/json.hpp>

#include "schema/core/text.hpp"
#include "schema/postgres/grants.hpp"
#include "schema/postgres/people.hpp"
#include "schema/postgres/postgres_store.hpp"
#include "schema/postgres/rows.hpp"

// Local groups, and the local edges of all groups.

namespace rosterd {

using namespace postgres;

namespace {

using nlohmann::json;

json audited(const Group& group) { return {{"name", group.name}, {"description", group.description}}; }

Group need_group(Tenancy& inside, PrincipalId id) {
  auto found = inside.db.first(fmt::format("SELECT {} FROM tenant_group g WHERE g.tenant_id = $1 AND g.id = $2", kGroupColumns),
                               {inside.number, id}, read_group);
  if (!found) abort_with("", Errc::NotFound, "no group {}", text(PrincipalType::Group, id));
  return std::move(*found);
}

void need_local(const Group& group, std::string_view doing) {
  if (group.source)
    abort_with("owned_by_source", Errc::Conflict, "group {} comes from source {}, and {} is done there",
               text(PrincipalType::Group, group.id), text(*group.source), doing);
}

/// The unique key is deferred for the sake of syncs; under the tenant's lock looking first is as good.
void need_free_name(Tenancy& inside, std::string_view name) {
  if (inside.db.number("SELECT 1 FROM tenant_group WHERE tenant_id = $1 AND name_key = $2", {inside.number, fold(name)}) != 0)
    abort_with("name_taken", Errc::Conflict, "there is a group {} already", name);
}

Tenancy::Event event_of(std::string_view action, const Group& group, std::optional<std::string> before, std::optional<std::string> after,
                        const Revision& revision) {
  return {.action = action,
          .object_type = "group",
          .object_id = text(PrincipalType::Group, group.id),
          .object_name = group.name,
          .before = std::move(before),
          .after = std::move(after),
          .run = {},
          .revision = revision};
}

/// One row for each edge that comes or goes, so that the history of a person and of a group tell the same story.
void audit_edge(Tenancy& inside, const Actor& actor, const Group& group, const Principal& member, bool added, const Revision& revision) {
  const auto edge = audit_text({{"member", text(member)}});
  auto event = event_of(added ? "member_added" : "member_removed", group, added ? std::nullopt : std::optional(edge),
                        added ? std::optional(edge) : std::nullopt, revision);
  event.about_id = text(member);
  inside.audit(actor, event);
}

std::vector<Principal> local_edges(Tenancy& inside, PrincipalId group) {
  std::vector<Principal> out;
  inside.db.each(
      "SELECT member_type, member_id FROM membership WHERE tenant_id = $1 AND group_id = $2 AND source_id = 0 ORDER BY member_id",
      {inside.number, group}, [&](Row& row) {
        Principal one;
        one.type = static_cast<PrincipalType>(row.number());
        one.id = row.id<PrincipalId>();
        out.push_back(one);
      });
  return out;
}

void need_member(Tenancy& inside, PrincipalId group, const Principal& member) {
  if (!exists(inside, member)) abort_with("unknown_principal", Errc::InvalidInput, "no {} {}", name_of(member.type), text(member));
  if (member.id == group) abort_with("unknown_principal", Errc::InvalidInput, "a group cannot be its own member");
}

constexpr std::string_view kAddEdge =
    "INSERT INTO membership (tenant_id, group_id, member_id, member_type) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
constexpr std::string_view kDropEdge =
    "DELETE FROM membership WHERE tenant_id = $1 AND group_id = $2 AND member_id = $3 AND member_type = $4 AND source_id = 0";

}  // namespace

namespace postgres {

void insert_edge(Tenancy& inside, PrincipalId group, const Principal& member) {
  need_group(inside, group);
  need_member(inside, group, member);
  inside.db.run(kAddEdge, {inside.number, group, member.id, member.type});
}

void audit_edge_made(Tenancy& inside, const Actor& actor, PrincipalId group, const Principal& member, const Revision& revision) {
  audit_edge(inside, actor, need_group(inside, group), member, true, revision);
}

}  // namespace postgres

Result<Written<Group>> PostgresStore::create_group(const TenantId& tenant, const NewGroup& group, const Actor& actor) {
  return administer(*pool_, judge_, tenant, actor, "creating a group", [&](Tenancy& inside, Grants&) -> Result<Written<Group>> {
    need_text("name", group.name);
    need_description(group.description);
    need_free_name(inside, group.name);
    static constexpr std::string_view kInsert =
        "INSERT INTO tenant_group AS g (tenant_id, id, name, name_key, description) VALUES ($1, door_reserve_ids(1), $2, $3, $4) RETURNING "
        "{}";
    auto made =
        inside.db.first(fmt::format(kInsert, kGroupColumns), {inside.number, group.name, fold(group.name), group.description}, read_group);
    const auto revision = inside.bump();
    inside.audit(actor, event_of("created", *made, {}, audit_text(audited(*made)), revision));
    return Written<Group>{.value = std::move(*made), .revision = revision};
  });
}

Result<Written<Group>> PostgresStore::change_group(const TenantId& tenant, PrincipalId group, const Edit<Group>& edit, const Actor& actor) {
  return administer(*pool_, judge_, tenant, actor, "changing a group", [&](Tenancy& inside, Grants&) -> Result<Written<Group>> {
    const auto now = need_group(inside, group);
    const auto next = edit(now);
    if (!next) return fail(next.error());
    if (audited(*next) == audited(now)) return Written<Group>{.value = now, .revision = inside.revision()};
    need_local(now, "changing it");
    need_text("name", next->name);
    need_description(next->description);
    if (fold(next->name) != fold(now.name)) need_free_name(inside, next->name);
    inside.db.run("UPDATE tenant_group SET name = $3, name_key = $4, description = $5 WHERE tenant_id = $1 AND id = $2",
                  {inside.number, group, next->name, fold(next->name), next->description});
    auto after = need_group(inside, group);
    const auto revision = inside.bump();
    inside.audit(actor, event_of("changed", after, audit_text(audited(now)), audit_text(audited(after)), revision));
    return Written<Group>{.value = std::move(after), .revision = revision};
  });
}

Result<Revision> PostgresStore::delete_group(const TenantId& tenant, PrincipalId group, const Condition<Group>& only_if, bool force,
                                             const Actor& actor) {
  return administer(*pool_, judge_, tenant, actor, "deleting a group", [&](Tenancy& inside, Grants& grants) -> Result<Revision> {
    const auto now = need_group(inside, group);
    if (only_if)
      if (const auto good = only_if(now); !good) return fail(good.error());
    need_local(now, "deleting it");
    LastAdmin admin(inside);
    inside.db.run("DELETE FROM membership WHERE tenant_id = $1 AND group_id = $2", {inside.number, group});
    inside.db.run("DELETE FROM membership WHERE tenant_id = $1 AND member_id = $2 AND source_id = 0", {inside.number, group});
    const auto bindings = inside.db.run("DELETE FROM binding WHERE tenant_id = $1 AND principal_id = $2", {inside.number, group});
    inside.db.run("DELETE FROM tenant_group WHERE tenant_id = $1 AND id = $2", {inside.number, group});
    admin.stays(grants, force, actor);
    auto before = audited(now);
    before["members"] = now.member_count;
    before["bindings"] = bindings;
    const auto revision = inside.bump();
    inside.audit(actor, event_of("deleted", now, audit_text(before), {}, revision));
    return revision;
  });
}

Result<Written<bool>> PostgresStore::add_member(const TenantId& tenant, PrincipalId group, const Principal& member, const Actor& actor) {
  return administer(*pool_, judge_, tenant, actor, "adding a member", [&](Tenancy& inside, Grants& grants) -> Result<Written<bool>> {
    const auto now = need_group(inside, group);
    need_member(inside, group, member);
    grants.look();  // before: whoever adds himself must not be judged by what that gives him
    if (inside.db.run(kAddEdge, {inside.number, group, member.id, member.type}) == 0)
      return Written<bool>{.value = false, .revision = inside.revision()};
    grants.judge(grants.of(group));  // R78
    const auto revision = inside.bump();
    audit_edge(inside, actor, now, member, true, revision);
    return Written<bool>{.value = true, .revision = revision};
  });
}

Result<Revision> PostgresStore::remove_member(const TenantId& tenant, PrincipalId group, const Principal& member, bool force,
                                              const Actor& actor) {
  return administer(*pool_, judge_, tenant, actor, "removing a member", [&](Tenancy& inside, Grants& grants) -> Result<Revision> {
    const auto now = need_group(inside, group);
    LastAdmin admin(inside);
    if (inside.db.run(kDropEdge, {inside.number, group, member.id, member.type}) == 0) {
      if (inside.db.number("SELECT 1 FROM membership WHERE tenant_id = $1 AND group_id = $2 AND member_id = $3 LIMIT 1",
                           {inside.number, group, member.id}) != 0)
        return fail_as("owned_by_source", Errc::Conflict, "the membership comes from a source and ends only there");
      return inside.revision();
    }
    admin.stays(grants, force, actor);
    const auto revision = inside.bump();
    audit_edge(inside, actor, now, member, false, revision);
    return revision;
  });
}

Result<std::vector<Principal>> PostgresStore::local_members(const TenantId& tenant, PrincipalId group) {
  return in_tenant(*pool_, Mode::Read, tenant, "reading local members", [&](Tenancy& inside) -> Result<std::vector<Principal>> {
    need_group(inside, group);
    return local_edges(inside, group);
  });
}

Result<Revision> PostgresStore::replace_members(const TenantId& tenant, PrincipalId group, std::vector<Principal> members,
                                                const Condition<std::vector<Principal>>& only_if, bool force, const Actor& actor) {
  return administer(*pool_, judge_, tenant, actor, "replacing the members of a group",
                    [&](Tenancy& inside, Grants& grants) -> Result<Revision> {
                      const auto group_now = need_group(inside, group);
                      const auto now = local_edges(inside, group);
                      if (only_if)
                        if (const auto good = only_if(now); !good) return fail(good.error());
                      const auto by_id = [](const Principal& a, const Principal& b) { return a.id < b.id; };
                      std::sort(members.begin(), members.end(), by_id);
                      members.erase(std::unique(members.begin(), members.end()), members.end());
                      std::vector<Principal> come, go;
                      std::set_difference(members.begin(), members.end(), now.begin(), now.end(), std::back_inserter(come), by_id);
                      std::set_difference(now.begin(), now.end(), members.begin(), members.end(), std::back_inserter(go), by_id);
                      if (come.empty() && go.empty()) return inside.revision();
                      LastAdmin admin(inside);
                      if (!come.empty()) grants.look();
                      for (const auto& member : come) {
                        need_member(inside, group, member);
                        inside.db.run(kAddEdge, {inside.number, group, member.id, member.type});
                      }
                      for (const auto& member : go) inside.db.run(kDropEdge, {inside.number, group, member.id, member.type});
                      if (!come.empty()) grants.judge(grants.of(group));  // taking away needs no holding
                      admin.stays(grants, force, actor);
                      const auto revision = inside.bump();
                      for (const auto& member : come) audit_edge(inside, actor, group_now, member, true, revision);
                      for (const auto& member : go) audit_edge(inside, actor, group_now, member, false, revision);
                      return revision;
                    });
}

}  // namespace rosterd
