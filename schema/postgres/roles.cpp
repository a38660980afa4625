#include <nlohmann/json.hpp>
#include <tuple>

#include "schema/core/text.hpp"
#include "schema/postgres/grants.hpp"
#include "schema/postgres/postgres_store.hpp"
#include "schema/postgres/rows.hpp"

// Roles of a tenant. Their contents are texts that rbac has checked and SQL never looks into.

namespace rosterd {

using namespace postgres;

namespace {

using nlohmann::json;

json audited(const Role& role) {
  auto permissions = json::parse(role.permissions, nullptr, false);
  return {{"name", role.name},
          {"description", role.description},
          {"permissions", permissions.is_discarded() ? json(role.permissions) : std::move(permissions)}};
}

Role need_role(Tenancy& inside, RoleId id) {
  auto found = inside.db.first(fmt::format("SELECT {} FROM role WHERE tenant_id = $1 AND role_id = $2", kRoleColumns), {inside.number, id},
                               read_role);
  if (!found) abort_with("", Errc::NotFound, "no role {}", text(id));
  return std::move(*found);
}

void need_free_name(Tenancy& inside, std::string_view name) {
  if (inside.db.number("SELECT 1 FROM role WHERE tenant_id = $1 AND name_key = $2", {inside.number, fold(name)}) != 0)
    abort_with("name_taken", Errc::Conflict, "there is a role {} already", name);
}

void need_own(const Role& role) {
  if (role.managed)
    abort_with("managed_role", Errc::Conflict, "role {} belongs to the release and cannot be changed; copy it under another name",
               role.name);
}

void need_good(const Role& role) {
  need_text("name", role.name);
  need_description(role.description);
}

Tenancy::Event event_of(std::string_view action, const Role& role, std::optional<std::string> before, std::optional<std::string> after,
                        const Revision& revision) {
  return {.action = action,
          .object_type = "role",
          .object_id = text(role.id),
          .object_name = role.name,
          .before = std::move(before),
          .after = std::move(after),
          .run = {},
          .revision = revision};
}

/// Wherever a role is bound by live bindings; the whole tenant for one that is not (R77).
std::vector<std::optional<std::string>> scopes_of(Tenancy& inside, RoleId role) {
  std::vector<std::optional<std::string>> out;
  inside.db.each("SELECT DISTINCT ns FROM binding WHERE tenant_id = $1 AND role_id = $2 AND (expires_at IS NULL OR expires_at > now())",
                 {inside.number, role}, [&](Row& row) { out.push_back(row.maybe_text()); });
  if (out.empty()) out.emplace_back(std::nullopt);
  return out;
}

}  // namespace

Result<Role> PostgresStore::role(const TenantId& tenant, std::string_view key) {
  return in_tenant(*pool_, Mode::Read, tenant, "reading a role", [&](Tenancy& inside) -> Result<Role> {
    if (const auto id = parse_role_id(key)) return need_role(inside, *id);
    auto found = inside.db.first(fmt::format("SELECT {} FROM role WHERE tenant_id = $1 AND name_key = $2", kRoleColumns),
                                 {inside.number, fold(key)}, read_role);
    if (!found) return fail(Errc::NotFound, "no role {}", key);
    return std::move(*found);
  });
}

Result<Written<Role>> PostgresStore::create_role(const TenantId& tenant, const Role& role, const Actor& actor) {
  return administer(*pool_, judge_, tenant, actor, "creating a role", [&](Tenancy& inside, Grants& grants) -> Result<Written<Role>> {
    need_good(role);
    need_free_name(inside, role.name);
    grants.judge({{.role = role, .ns = {}}});
    static constexpr std::string_view kInsert =
        "INSERT INTO role (tenant_id, name, name_key, description, permissions) VALUES ($1, $2, $3, $4, $5) RETURNING {}";
    auto made = inside.db.first(fmt::format(kInsert, kRoleColumns),
                                {inside.number, role.name, fold(role.name), role.description, role.permissions}, read_role);
    const auto revision = inside.bump();
    inside.audit(actor, event_of("created", *made, {}, audit_text(audited(*made)), revision));
    return Written<Role>{.value = std::move(*made), .revision = revision};
  });
}

Result<Written<Role>> PostgresStore::change_role(const TenantId& tenant, RoleId role, const Edit<Role>& edit, const Actor& actor) {
  return administer(*pool_, judge_, tenant, actor, "changing a role", [&](Tenancy& inside, Grants& grants) -> Result<Written<Role>> {
    const auto now = need_role(inside, role);
    need_own(now);
    const auto next = edit(now);
    if (!next) return fail(next.error());
    if (std::tie(next->name, next->description, next->permissions) == std::tie(now.name, now.description, now.permissions))
      return Written<Role>{.value = now, .revision = inside.revision()};
    need_good(*next);
    if (fold(next->name) != fold(now.name)) need_free_name(inside, next->name);
    std::vector<RoleAt> wanted, had;
    for (const auto& ns : scopes_of(inside, role)) {
      wanted.push_back({.role = *next, .ns = ns});
      had.push_back({.role = now, .ns = ns});
    }
    grants.judge(std::move(wanted), std::move(had));
    inside.db.run("UPDATE role SET name = $3, name_key = $4, description = $5, permissions = $6 WHERE tenant_id = $1 AND role_id = $2",
                  {inside.number, role, next->name, fold(next->name), next->description, next->permissions});
    auto after = need_role(inside, role);
    const auto revision = inside.bump();
    inside.audit(actor, event_of("changed", after, audit_text(audited(now)), audit_text(audited(after)), revision));
    return Written<Role>{.value = std::move(after), .revision = revision};
  });
}

Result<RoleGone> PostgresStore::delete_role(const TenantId& tenant, RoleId role, const Condition<Role>& only_if, bool force,
                                            const Actor& actor) {
  return administer(*pool_, judge_, tenant, actor, "deleting a role", [&](Tenancy& inside, Grants&) -> Result<RoleGone> {
    const auto now = need_role(inside, role);
    if (only_if)
      if (const auto good = only_if(now); !good) return fail(good.error());
    need_own(now);
    const auto live = inside.db.number(
        "SELECT count(*) FROM binding WHERE tenant_id = $1 AND role_id = $2 AND (expires_at IS NULL OR expires_at > now())",
        {inside.number, role});
    if (live > 0 && !force)
      return fail_as("role_in_use", Errc::Conflict, "role {} is bound {} times; with force=true the bindings go with it", now.name, live);
    RoleGone gone;
    gone.bindings = inside.db.run("DELETE FROM binding WHERE tenant_id = $1 AND role_id = $2", {inside.number, role});
    inside.db.run("DELETE FROM role WHERE tenant_id = $1 AND role_id = $2", {inside.number, role});
    auto before = audited(now);
    before["bindings"] = gone.bindings;
    before["forced"] = live > 0;
    gone.revision = inside.bump();
    inside.audit(actor, event_of("deleted", now, audit_text(before), {}, gone.revision));
    return gone;
  });
}

}  // namespace rosterd
