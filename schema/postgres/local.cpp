#include "schema/core/text.hpp"
#include "schema/postgres/admin_guard.hpp"
#include "schema/postgres/pool.hpp"
#include "schema/postgres/postgres_store.hpp"
#include "schema/postgres/rows.hpp"

// Local objects: users, groups, memberships, roles and bindings that no source owns.

namespace rosterd {

using namespace postgres;

namespace {

Result<void> check_text(std::string_view field, std::string_view value) {
  if (value.empty() || value.size() > 255) return fail(Errc::InvalidInput, "{}: must have 1 to 255 characters", field);
  if (!is_utf8(value) || has_control_characters(value))
    return fail(Errc::InvalidInput, "{}: holds characters that no name may hold", field);
  return {};
}

/// Whether the principal is one of this tenant.
bool exists(Tenancy& inside, const Principal& principal) {
  const char* table = principal.type == PrincipalType::User    ? "tenant_user"
                      : principal.type == PrincipalType::Group ? "tenant_group"
                                                               : "service_account";
  return inside.db.number(fmt::format("SELECT 1 FROM {} WHERE tenant_id = $1 AND id = $2", table), {inside.number, principal.id}) != 0;
}

std::string by(const Actor& actor) { return actor.account ? text(actor.account) : actor.by; }

}  // namespace

Result<Written<User>> PostgresStore::create_user(const TenantId& tenant, const UserRecord& user, const Actor& actor) {
  if (const auto good = check_text("username", user.username); !good) return fail(good.error());
  if (user.email && !is_email(*user.email)) return fail(Errc::InvalidInput, "email: '{}' is not an e-mail address", *user.email);
  return in_tenant(*pool_, Mode::Write, tenant, "creating a user", [&](Tenancy& inside) -> Result<Written<User>> {
    static constexpr std::string_view kInsert =
        "INSERT INTO tenant_user AS u (tenant_id, id, username, email, first_name, last_name) VALUES ($1, door_reserve_ids(1), $2, $3, $4, "
        "$5) "
        "ON CONFLICT (tenant_id, username) WHERE source_id = 0 DO NOTHING RETURNING {}";
    const auto email = user.email ? std::optional(fold(*user.email)) : std::nullopt;
    const auto made = inside.db.first(fmt::format(kInsert, kUserColumns),
                                      {inside.number, fold(user.username), email, user.first_name, user.last_name}, read_user);
    if (!made) return fail_as("name_taken", Errc::Conflict, "there is a local user {} already", fold(user.username));
    const auto revision = inside.bump();
    inside.audit(actor, {.action = "created",
                         .object_type = "user",
                         .object_id = text(PrincipalType::User, made->id),
                         .object_name = made->username,
                         .before = {},
                         .after = object_text({{"username", made->username}, {"email", made->email.value_or("")}}),
                         .run = {},
                         .revision = revision});
    return Written<User>{.value = *made, .revision = revision};
  });
}

Result<Revision> PostgresStore::set_user_suspended(const TenantId& tenant, PrincipalId user, bool suspended, const Actor& actor) {
  return in_tenant(
      *pool_, Mode::Write, tenant, suspended ? "suspending a user" : "resuming a user", [&](Tenancy& inside) -> Result<Revision> {
        const auto state = inside.db.first("SELECT admin_suspended::int, username FROM tenant_user WHERE tenant_id = $1 AND id = $2",
                                           {inside.number, user}, [](Row& row) {
                                             const bool is = row.flag();
                                             return std::pair(is, row.text());
                                           });
        if (!state) return fail(Errc::NotFound, "no user {}", text(PrincipalType::User, user));
        if (state->first == suspended) return inside.revision();
        const bool had_admin = has_active_admin(inside);
        inside.db.run(
            "UPDATE tenant_user SET admin_suspended = $3, state_reason = CASE WHEN leaving <> 0 THEN state_reason WHEN $3 THEN 'suspended "
            "by an administrator' ELSE '' END "
            "WHERE tenant_id = $1 AND id = $2",
            {inside.number, user, suspended});
        if (const auto good = keep_an_admin(inside, had_admin); !good) return fail(good.error());
        const auto revision = inside.bump();
        inside.audit(actor, {.action = suspended ? "suspended" : "resumed",
                             .object_type = "user",
                             .object_id = text(PrincipalType::User, user),
                             .object_name = state->second,
                             .before = object_text({{"suspended", suspended ? "false" : "true"}}),
                             .after = object_text({{"suspended", suspended ? "true" : "false"}}),
                             .run = {},
                             .revision = revision});
        return revision;
      });
}

Result<Written<Group>> PostgresStore::create_group(const TenantId& tenant, std::string_view name, const Actor& actor) {
  if (const auto good = check_text("name", name); !good) return fail(good.error());
  return in_tenant(*pool_, Mode::Write, tenant, "creating a group", [&](Tenancy& inside) -> Result<Written<Group>> {
    // The unique key is deferred for the sake of syncs; under the tenant's lock looking first is as good.
    if (inside.db.number("SELECT 1 FROM tenant_group WHERE tenant_id = $1 AND name_key = $2", {inside.number, fold(name)}) != 0)
      return fail_as("name_taken", Errc::Conflict, "there is a group {} already", name);
    static constexpr std::string_view kInsert =
        "INSERT INTO tenant_group AS g (tenant_id, id, name, name_key) VALUES ($1, door_reserve_ids(1), $2, $3) RETURNING {}";
    const auto made = inside.db.first(fmt::format(kInsert, kGroupColumns), {inside.number, name, fold(name)}, read_group);
    const auto revision = inside.bump();
    inside.audit(actor, {.action = "created",
                         .object_type = "group",
                         .object_id = text(PrincipalType::Group, made->id),
                         .object_name = made->name,
                         .before = {},
                         .after = object_text({{"name", made->name}}),
                         .run = {},
                         .revision = revision});
    return Written<Group>{.value = *made, .revision = revision};
  });
}

Result<Revision> PostgresStore::add_member(const TenantId& tenant, PrincipalId group, const Principal& member, const Actor& actor) {
  return in_tenant(*pool_, Mode::Write, tenant, "adding a member", [&](Tenancy& inside) -> Result<Revision> {
    if (!exists(inside, {PrincipalType::Group, group})) return fail(Errc::NotFound, "no group {}", text(PrincipalType::Group, group));
    if (!exists(inside, member)) return fail_as("unknown_principal", Errc::InvalidInput, "no {} {}", name_of(member.type), text(member));
    if (member.id == group) return fail(Errc::InvalidInput, "a group cannot be its own member");
    static constexpr std::string_view kInsert =
        "INSERT INTO membership (tenant_id, group_id, member_id, member_type) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
    if (inside.db.run(kInsert, {inside.number, group, member.id, member.type}) == 0) return inside.revision();
    const auto revision = inside.bump();
    inside.audit(actor, {.action = "member_added",
                         .object_type = "group",
                         .object_id = text(PrincipalType::Group, group),
                         .object_name = {},
                         .before = {},
                         .after = object_text({{"member", text(member)}}),
                         .run = {},
                         .revision = revision});
    return revision;
  });
}

Result<Revision> PostgresStore::remove_member(const TenantId& tenant, PrincipalId group, const Principal& member, const Actor& actor) {
  return in_tenant(*pool_, Mode::Write, tenant, "removing a member", [&](Tenancy& inside) -> Result<Revision> {
    if (!exists(inside, {PrincipalType::Group, group})) return fail(Errc::NotFound, "no group {}", text(PrincipalType::Group, group));
    const bool had_admin = has_active_admin(inside);
    static constexpr std::string_view kDelete =
        "DELETE FROM membership WHERE tenant_id = $1 AND group_id = $2 AND member_id = $3 AND member_type = $4 AND source_id = 0";
    if (inside.db.run(kDelete, {inside.number, group, member.id, member.type}) == 0) {
      if (inside.db.number("SELECT 1 FROM membership WHERE tenant_id = $1 AND group_id = $2 AND member_id = $3 LIMIT 1",
                           {inside.number, group, member.id}) != 0)
        return fail_as("owned_by_source", Errc::Conflict, "the membership comes from a source and ends only there");
      return inside.revision();
    }
    if (const auto good = keep_an_admin(inside, had_admin); !good) return fail(good.error());
    const auto revision = inside.bump();
    inside.audit(actor, {.action = "member_removed",
                         .object_type = "group",
                         .object_id = text(PrincipalType::Group, group),
                         .object_name = {},
                         .before = object_text({{"member", text(member)}}),
                         .after = {},
                         .run = {},
                         .revision = revision});
    return revision;
  });
}

Result<Written<Role>> PostgresStore::create_role(const TenantId& tenant, const Role& role, const Actor& actor) {
  if (const auto good = check_text("name", role.name); !good) return fail(good.error());
  return in_tenant(*pool_, Mode::Write, tenant, "creating a role", [&](Tenancy& inside) -> Result<Written<Role>> {
    static constexpr std::string_view kInsert =
        "INSERT INTO role (tenant_id, name, name_key, description, permissions) VALUES ($1, $2, $3, $4, $5) ON CONFLICT ON CONSTRAINT "
        "role_name DO NOTHING RETURNING {}";
    const auto made = inside.db.first(fmt::format(kInsert, kRoleColumns),
                                      {inside.number, role.name, fold(role.name), role.description, role.permissions}, read_role);
    if (!made) return fail_as("name_taken", Errc::Conflict, "there is a role {} already", role.name);
    const auto revision = inside.bump();
    inside.audit(actor, {.action = "created",
                         .object_type = "role",
                         .object_id = text(made->id),
                         .object_name = made->name,
                         .before = {},
                         .after = object_text({{"name", made->name}, {"permissions", made->permissions}}),
                         .run = {},
                         .revision = revision});
    return Written<Role>{.value = *made, .revision = revision};
  });
}

Result<Written<Binding>> PostgresStore::create_binding(const TenantId& tenant, const NewBinding& binding, const Actor& actor) {
  if (binding.ns && !is_namespace(*binding.ns))
    return fail_as("invalid_namespace", Errc::InvalidInput, "namespace: '{}' is no namespace", *binding.ns);
  return in_tenant(*pool_, Mode::Write, tenant, "creating a binding", [&](Tenancy& inside) -> Result<Written<Binding>> {
    Db& db = inside.db;
    const auto role = db.first("SELECT name FROM role WHERE tenant_id = $1 AND role_id = $2", {inside.number, binding.role},
                               [](Row& row) { return row.text(); });
    if (!role) return fail_as("unknown_role", Errc::InvalidInput, "role: no role {}", text(binding.role));
    if (!exists(inside, binding.principal))
      return fail_as("unknown_principal", Errc::InvalidInput, "principal: no {} {}", name_of(binding.principal.type),
                     text(binding.principal));
    if (binding.expires_at && db.number("SELECT ($1::timestamptz <= now())::int", {*binding.expires_at}) != 0)
      return fail_as("expires_in_past", Errc::InvalidInput, "expires_at: must lie in the future");
    // An expired twin does not stand in the way (R35).
    db.run(
        "DELETE FROM binding WHERE tenant_id = $1 AND principal_id = $2 AND role_id = $3 AND ns IS NOT DISTINCT FROM $4 AND source_id = 0 "
        "AND expires_at <= now()",
        {inside.number, binding.principal.id, binding.role, binding.ns});
    static constexpr std::string_view kInsert =
        "INSERT INTO binding AS b (tenant_id, role_id, principal_id, principal_type, ns, expires_at, created_by) VALUES ($1, $2, $3, $4, "
        "$5, $6, $7) "
        "ON CONFLICT ON CONSTRAINT binding_once DO NOTHING RETURNING {}";
    const auto made =
        db.first(fmt::format(kInsert, kBindingColumns),
                 {inside.number, binding.role, binding.principal.id, binding.principal.type, binding.ns, binding.expires_at, by(actor)},
                 read_binding);
    if (!made) {
      const auto twin = db.first(
          "SELECT binding_id FROM binding WHERE tenant_id = $1 AND principal_id = $2 AND role_id = $3 AND ns IS NOT DISTINCT FROM $4 AND "
          "source_id = 0",
          {inside.number, binding.principal.id, binding.role, binding.ns}, [](Row& row) { return row.id<BindingId>(); });
      return fail_as("binding_exists", Errc::Conflict, "that binding exists already: {}", twin ? text(*twin) : "");
    }
    const auto revision = inside.bump();
    inside.audit(actor,
                 {.action = "created",
                  .object_type = "binding",
                  .object_id = text(made->id),
                  .object_name = *role,
                  .before = {},
                  .after = object_text({{"role", *role}, {"principal", text(binding.principal)}, {"namespace", binding.ns.value_or("")}}),
                  .run = {},
                  .revision = revision});
    return Written<Binding>{.value = *made, .revision = revision};
  });
}

Result<Revision> PostgresStore::delete_binding(const TenantId& tenant, BindingId binding, const Actor& actor) {
  return in_tenant(*pool_, Mode::Write, tenant, "deleting a binding", [&](Tenancy& inside) -> Result<Revision> {
    Db& db = inside.db;
    const auto found = db.first(fmt::format("SELECT {} FROM binding b WHERE b.tenant_id = $1 AND b.binding_id = $2", kBindingColumns),
                                {inside.number, binding}, read_binding);
    if (!found) return fail(Errc::NotFound, "no binding {}", text(binding));
    if (found->source)
      return fail_as("owned_by_source", Errc::Conflict, "binding {} belongs to source {} and follows its role mappings", text(binding),
                     text(*found->source));
    const bool had_admin = has_active_admin(inside);
    db.run("DELETE FROM binding WHERE tenant_id = $1 AND binding_id = $2", {inside.number, binding});
    if (const auto good = keep_an_admin(inside, had_admin); !good) return fail(good.error());
    const auto revision = inside.bump();
    inside.audit(
        actor,
        {.action = "deleted",
         .object_type = "binding",
         .object_id = text(binding),
         .object_name = {},
         .before = object_text({{"role", text(found->role)}, {"principal", text(found->principal)}, {"namespace", found->ns.value_or("")}}),
         .after = {},
         .run = {},
         .revision = revision});
    return revision;
  });
}

}  // namespace rosterd
