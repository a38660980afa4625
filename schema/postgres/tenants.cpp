#include "schema/core/text.hpp"
#include "schema/postgres/pool.hpp"
#include "schema/postgres/postgres_store.hpp"
#include "schema/postgres/rows.hpp"

// Tenants: made with their managed roles and their creator's Admin binding, changed, deleted.

namespace rosterd {

using namespace postgres;

Result<Page<Tenant>> PostgresStore::tenants(const PageRequest& page, std::optional<AccountId> only_linked) {
  return pool_->run(Mode::Read, "listing tenants", [&](Db& db) -> Result<Page<Tenant>> {
    const auto limit = page_limit(page);
    const auto place = parse_cursor(page.cursor);
    Page<Tenant> out;
    db.each(fmt::format("SELECT {} FROM door_tenants($1, $2, $3, $4)", kTenantColumns),
            {place.text, fold(page.query), only_linked, limit + 1}, [&](Row& row) { out.items.push_back(read_tenant(row)); });
    if (out.items.size() > limit) {
      out.items.resize(limit);
      out.next = cursor_text(out.items.back().id.value, 0);
    }
    return out;
  });
}

namespace {
Tenant read_own(Tenancy& inside) {
  return inside.db.first(fmt::format("SELECT {} FROM tenant WHERE tenant_id = $1", kTenantColumns), {inside.number}, read_tenant)
      .value_or(Tenant{});
}
}  // namespace

Result<Tenant> PostgresStore::tenant(const TenantId& tenant) {
  return in_tenant(*pool_, Mode::Read, tenant, "reading a tenant", [](Tenancy& inside) -> Result<Tenant> { return read_own(inside); });
}

namespace {

/// The creator's user, linked to the account (R84). The name is the e-mail: it is unique among accounts.
PrincipalId insert_creator(Tenancy& inside, const Account& creator) {
  static constexpr std::string_view kCreator =
      "INSERT INTO tenant_user (tenant_id, id, username, email, first_name, last_name, account_id) "
      "VALUES ($1, door_reserve_ids(1), $2, $2, $3, $4, $5) RETURNING id";
  return inside.db.one(kCreator, {inside.number, creator.email, creator.first_name, creator.last_name, creator.id},
                       [](Row& row) { return row.id<PrincipalId>(); });
}

}  // namespace

Result<Written<Tenant>> PostgresStore::create_tenant(const NewTenant& tenant, const Actor& actor) {
  if (!is_slug(tenant.id.value))
    return fail(Errc::InvalidInput, "id: '{}' is not of the form ^[a-z0-9][a-z0-9_-]{{0,62}}$", tenant.id.value);
  if (tenant.name.empty()) return fail(Errc::InvalidInput, "name: must not be empty");
  return pool_->run(Mode::Write, "creating a tenant", [&](Db& db) -> Result<Written<Tenant>> {
    const auto creator = db.first(fmt::format("SELECT {} FROM account a WHERE a.account_id = $1 FOR KEY SHARE", kAccountColumns),
                                  {tenant.creator}, read_account);
    if (!creator) return fail_as("unknown_account", Errc::InvalidInput, "creator: no account {}", text(tenant.creator));
    const auto number = static_cast<int>(db.number("SELECT nextval('tenant_seq')::int"));
    auto inside = enter_number(db, number, tenant.id, true);
    // The name is looked up through the door as well as guarded by the unique key: row-level security hides the other tenant's row.
    const auto made = db.first(
        "INSERT INTO tenant (tenant_id, id, name, created_by) VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO NOTHING RETURNING epoch, "
        "revision",
        {number, tenant.id.value, tenant.name, or_null(actor.account ? actor.account : tenant.creator)}, [](Row& row) {
          Revision revision;
          revision.epoch = static_cast<std::uint32_t>(row.number());
          revision.number = static_cast<std::uint64_t>(row.number());
          return revision;
        });
    if (!made) return fail_as("name_taken", Errc::Conflict, "there is a tenant {} already", tenant.id.value);
    RoleId admin;
    for (const auto& role : tenant.managed_roles) {
      const auto id = db.first(
          "INSERT INTO role (tenant_id, name, name_key, description, managed, admin, permissions) VALUES ($1, $2, $3, $4, true, $5, $6) "
          "RETURNING role_id",
          {number, role.name, fold(role.name), role.description, role.admin, role.permissions}, [](Row& row) { return row.id<RoleId>(); });
      if (role.admin) admin = *id;
    }
    if (!admin) return fail(Errc::InvalidInput, "managed_roles: there is no Admin among them");
    const auto user = insert_creator(inside, *creator);
    db.run("INSERT INTO binding (tenant_id, role_id, principal_id, principal_type, created_by) VALUES ($1, $2, $3, $4, $5)",
           {number, admin, user, PrincipalType::User, actor.account ? text(actor.account) : actor.by});
    inside.audit(actor,
                 {.action = "created",
                  .object_type = "tenant",
                  .object_id = tenant.id.value,
                  .object_name = tenant.name,
                  .before = {},
                  .after = object_text({{"name", tenant.name}, {"admin", creator->email}, {"admin_user", text(PrincipalType::User, user)}}),
                  .run = {},
                  .revision = *made});
    return Written<Tenant>{.value = read_own(inside), .revision = *made};
  });
}

Result<Written<Tenant>> PostgresStore::change_tenant(const TenantId& tenant, const TenantPatch& patch, const Actor& actor) {
  if (patch.name && patch.name->empty()) return fail(Errc::InvalidInput, "name: must not be empty");
  return in_tenant(*pool_, Mode::Write, tenant, "changing a tenant", [&](Tenancy& inside) -> Result<Written<Tenant>> {
    const auto before = read_own(inside);
    inside.db.run("UPDATE tenant SET name = coalesce($2, name), enabled = coalesce($3, enabled) WHERE tenant_id = $1",
                  {inside.number, patch.name, patch.enabled});
    if (patch.enabled == false) {
      // Runs stop (R87): whoever holds a lease of this tenant finds his fence stale at the next heartbeat, at the latest at apply.
      inside.db.run(
          "UPDATE source_lease SET fence = fence + 1, expires_at = NULL, holder = '', run_id = 0 WHERE tenant_id = $1 AND expires_at IS "
          "NOT NULL",
          {inside.number});
      inside.db.run(
          "UPDATE run SET outcome = $2, reason = 'tenant_disabled', detail = 'the tenant was disabled; nothing was applied', "
          "finished_at = clock_timestamp(), progress = '' WHERE tenant_id = $1 AND outcome IN (1, 2)",
          {inside.number, Outcome::Abandoned});
    }
    const auto revision = inside.bump();
    const auto after = read_own(inside);
    const auto shape = [](const Tenant& one) { return object_text({{"name", one.name}, {"enabled", one.enabled ? "true" : "false"}}); };
    inside.audit(actor, {.action = "changed",
                         .object_type = "tenant",
                         .object_id = tenant.value,
                         .object_name = after.name,
                         .before = shape(before),
                         .after = shape(after),
                         .run = {},
                         .revision = revision});
    return Written<Tenant>{.value = after, .revision = revision};
  });
}

Result<void> PostgresStore::delete_tenant(const TenantId& tenant, const Actor& actor) {
  return in_tenant(*pool_, Mode::Write, tenant, "deleting a tenant", [&](Tenancy& inside) -> Result<void> {
    const auto before = read_own(inside);
    // A tenant of a million users takes longer than an ordinary statement may.
    inside.db.allow(std::chrono::minutes(30));
    inside.audit(actor, {.action = "deleted",
                         .object_type = "tenant",
                         .object_id = tenant.value,
                         .object_name = before.name,
                         .before = object_text({{"name", before.name}}),
                         .after = {},
                         .run = {},
                         .revision = inside.bump()});
    inside.db.number("SELECT 1 FROM (SELECT door_delete_tenant()) gone");
    return {};
  });
}

Result<std::optional<PrincipalId>> PostgresStore::linked_user(const TenantId& tenant, AccountId account) {
  return in_tenant(*pool_, Mode::Read, tenant, "looking up a linked user", [&](Tenancy& inside) -> Result<std::optional<PrincipalId>> {
    return inside.db.first("SELECT id FROM tenant_user WHERE tenant_id = $1 AND account_id = $2", {inside.number, account},
                           [](Row& row) { return row.id<PrincipalId>(); });
  });
}

Result<std::vector<Store::TenantRevision>> PostgresStore::revisions() {
  return snapshots_->run(Mode::Read, "polling revisions", [](Db& db) -> Result<std::vector<TenantRevision>> {
    std::vector<TenantRevision> out;
    db.each("SELECT id, epoch, revision FROM door_revisions()", {}, [&](Row& row) {
      TenantRevision one;
      one.tenant = TenantId{row.text()};
      one.revision.epoch = static_cast<std::uint32_t>(row.number());
      one.revision.number = static_cast<std::uint64_t>(row.number());
      out.push_back(std::move(one));
    });
    return out;
  });
}

}  // namespace rosterd
