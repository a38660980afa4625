#include <nlohmann/json.hpp>

#include "schema/core/text.hpp"
#include "schema/postgres/grants.hpp"
#include "schema/postgres/people.hpp"
#include "schema/postgres/postgres_store.hpp"
#include "schema/postgres/rows.hpp"

// Bindings: made, listed and deleted, never changed (R39).

namespace rosterd {

using namespace postgres;

namespace {

using nlohmann::json;

json audited(const Binding& binding, std::string_view role) {
  return {{"role", role},
          {"principal", text(binding.principal)},
          {"namespace", binding.ns ? json(*binding.ns) : json(nullptr)},
          {"expires_at", binding.expires_at ? json(rfc3339(*binding.expires_at)) : json(nullptr)}};
}

Tenancy::Event event_of(std::string_view action, const Binding& binding, std::string_view role, const Revision& revision) {
  auto what = audit_text(audited(binding, role));
  const bool made = action == "created";
  return {.action = action,
          .object_type = "binding",
          .object_id = text(binding.id),
          .object_name = std::string(role),
          .before = made ? std::nullopt : std::optional(what),
          .after = made ? std::optional(what) : std::nullopt,
          .run = {},
          .revision = revision,
          .about_id = text(binding.principal)};
}

constexpr std::string_view kListed =
    "SELECT {}, r.name, coalesce(u.username, g.name, s.name, ''), coalesce(b.expires_at <= now(), false)::int FROM binding b "
    "JOIN role r ON r.tenant_id = b.tenant_id AND r.role_id = b.role_id "
    "LEFT JOIN tenant_user u ON b.principal_type = 1 AND u.tenant_id = b.tenant_id AND u.id = b.principal_id "
    "LEFT JOIN tenant_group g ON b.principal_type = 2 AND g.tenant_id = b.tenant_id AND g.id = b.principal_id "
    "LEFT JOIN service_account s ON b.principal_type = 3 AND s.tenant_id = b.tenant_id AND s.id = b.principal_id "
    "WHERE b.tenant_id = $1 AND ";

ListedBinding read_listed(Row& row) {
  ListedBinding out;
  out.binding = read_binding(row);
  out.role_name = row.text();
  out.principal_name = row.text();
  out.expired = row.flag();
  return out;
}

std::optional<ListedBinding> find_binding(Tenancy& inside, BindingId id) {
  return inside.db.first(fmt::format(fmt::runtime(kListed), kBindingColumns) + "b.binding_id = $2", {inside.number, id}, read_listed);
}

/// How long an expired binding is still listed (R38).
constexpr auto kListedExpired = std::chrono::hours(30 * 24);

/// One tenant's share of a sweep.
void sweep_tenant(Tenancy& inside, TimePoint now, std::uint32_t how_many, SweptBindings& swept) {
  const Actor sweep{.account = {}, .by = "sweep", .ip = {}, .request_id = {}};
  static constexpr std::string_view kOver =
      "b.expires_at <= $2 AND (NOT b.swept OR b.expires_at <= $3) ORDER BY b.expires_at, b.binding_id LIMIT $4";
  std::vector<ListedBinding> over;
  inside.db.each(fmt::format(fmt::runtime(kListed), kBindingColumns) + std::string(kOver),
                 {inside.number, now, now - kListedExpired, how_many}, [&](Row& row) { over.push_back(read_listed(row)); });
  if (over.empty()) return;  // another replica was first
  const auto revision = inside.bump();
  for (const auto& one : over) {
    const bool goes = one.binding.expires_at.value_or(now) <= now - kListedExpired;
    inside.db.run(goes ? "DELETE FROM binding WHERE tenant_id = $1 AND binding_id = $2"
                       : "UPDATE binding SET swept = true WHERE tenant_id = $1 AND binding_id = $2",
                  {inside.number, one.binding.id});
    ++(goes ? swept.deleted : swept.expired);
    inside.audit(sweep, event_of(goes ? "deleted" : "expired", one.binding, one.role_name, revision));
  }
  swept.tenants.push_back(inside.id);
}

}  // namespace

namespace postgres {

MadeBinding insert_binding(Tenancy& inside, const NewBinding& wanted, const Actor& actor) {
  Db& db = inside.db;
  const auto role = db.first(fmt::format("SELECT {} FROM role WHERE tenant_id = $1 AND role_id = $2", kRoleColumns),
                             {inside.number, wanted.role}, read_role);
  if (!role) abort_with("unknown_role", Errc::InvalidInput, "role: no role {}", text(wanted.role));
  if (!exists(inside, wanted.principal))
    abort_with("unknown_principal", Errc::InvalidInput, "principal: no {} {}", name_of(wanted.principal.type), text(wanted.principal));
  if (wanted.ns && !is_namespace(*wanted.ns))
    abort_with("invalid_namespace", Errc::InvalidInput, "namespace: '{}' is no namespace: words of a-z, 0-9, _ and -, joined by dots",
               *wanted.ns);
  if (wanted.expires_at && db.number("SELECT ($1::timestamptz <= now())::int", {*wanted.expires_at}) != 0)
    abort_with("expires_in_past", Errc::InvalidInput, "expires_at: must lie in the future");
  // An expired twin does not stand in the way (R35).
  db.run(
      "DELETE FROM binding WHERE tenant_id = $1 AND principal_id = $2 AND role_id = $3 AND ns IS NOT DISTINCT FROM $4 AND source_id = 0 "
      "AND expires_at <= now()",
      {inside.number, wanted.principal.id, wanted.role, wanted.ns});
  static constexpr std::string_view kInsert =
      "INSERT INTO binding AS b (tenant_id, role_id, principal_id, principal_type, ns, expires_at, created_by) VALUES ($1, $2, $3, $4, "
      "$5, $6, $7) ON CONFLICT ON CONSTRAINT binding_once DO NOTHING RETURNING {}";
  auto made =
      db.first(fmt::format(kInsert, kBindingColumns),
               {inside.number, wanted.role, wanted.principal.id, wanted.principal.type, wanted.ns, wanted.expires_at, author_text(actor)},
               read_binding);
  if (!made) {
    const auto twin = db.first(
        "SELECT binding_id FROM binding WHERE tenant_id = $1 AND principal_id = $2 AND role_id = $3 AND ns IS NOT DISTINCT FROM $4 AND "
        "source_id = 0",
        {inside.number, wanted.principal.id, wanted.role, wanted.ns}, [](Row& row) { return row.id<BindingId>(); });
    abort_with("binding_exists", Errc::Conflict, "that binding exists already: {}", twin ? text(*twin) : "");
  }
  return {.binding = std::move(*made), .role = *role};
}

void audit_made(Tenancy& inside, const Actor& actor, const MadeBinding& made, const Revision& revision) {
  inside.audit(actor, event_of("created", made.binding, made.role.name, revision));
}

}  // namespace postgres

Result<Page<ListedBinding>> PostgresStore::list_bindings(const TenantId& tenant, const BindingFilter& filter, const PageRequest& page) {
  return in_tenant(*pool_, Mode::Read, tenant, "listing bindings", [&](Tenancy& inside) -> Result<Page<ListedBinding>> {
    const auto limit = page_limit(page);
    const auto place = parse_cursor(page.cursor);
    Page<ListedBinding> out;
    static constexpr std::string_view kWhich =
        "b.binding_id > $2 AND ($3::bigint IS NULL OR b.role_id = $3) AND ($4::bigint IS NULL OR b.principal_id = $4) "
        "AND ($5::text IS NULL OR coalesce(b.ns, '') = $5) ORDER BY b.binding_id LIMIT $6";
    inside.db.each(fmt::format(fmt::runtime(kListed), kBindingColumns) + std::string(kWhich),
                   {inside.number, place.id, filter.role, filter.principal, filter.ns, limit + 1},
                   [&](Row& row) { out.items.push_back(read_listed(row)); });
    if (out.items.size() > limit) {
      out.items.resize(limit);
      out.next = cursor_text("", out.items.back().binding.id.value);
    }
    return out;
  });
}

Result<ListedBinding> PostgresStore::binding(const TenantId& tenant, std::string_view id) {
  return in_tenant(*pool_, Mode::Read, tenant, "reading a binding", [&](Tenancy& inside) -> Result<ListedBinding> {
    const auto number = parse_binding_id(id);
    auto found = number ? find_binding(inside, *number) : std::nullopt;
    if (!found) return fail(Errc::NotFound, "no binding {}", id);
    return std::move(*found);
  });
}

Result<Written<std::vector<Binding>>> PostgresStore::create_bindings(const TenantId& tenant, const std::vector<NewBinding>& made,
                                                                     const Actor& actor) {
  return administer(*pool_, judge_, tenant, actor, "creating bindings",
                    [&](Tenancy& inside, Grants& grants) -> Result<Written<std::vector<Binding>>> {
                      grants.look();  // before there is anything new: whoever binds himself must not be judged by what he makes
                      std::vector<MadeBinding> done;
                      std::vector<RoleAt> wanted;
                      for (const auto& one : made) {
                        try {
                          done.push_back(insert_binding(inside, one, actor));
                        } catch (Abort& abort) {
                          if (made.size() > 1) abort.error.what = fmt::format("bindings[{}]: {}", done.size(), abort.error.what);
                          throw;
                        }
                        wanted.push_back({.role = done.back().role, .ns = one.ns});
                      }
                      grants.judge(std::move(wanted));  // R76
                      Written<std::vector<Binding>> out{.value = {}, .revision = inside.bump()};
                      for (auto& one : done) {
                        audit_made(inside, actor, one, out.revision);
                        out.value.push_back(std::move(one.binding));
                      }
                      return out;
                    });
}

Result<Revision> PostgresStore::delete_binding(const TenantId& tenant, BindingId binding, bool force, const Actor& actor) {
  return administer(*pool_, judge_, tenant, actor, "deleting a binding", [&](Tenancy& inside, Grants& grants) -> Result<Revision> {
    const auto found = find_binding(inside, binding);
    if (!found) return fail(Errc::NotFound, "no binding {}", text(binding));
    if (found->binding.source)
      return fail_as("owned_by_source", Errc::Conflict, "binding {} belongs to source {} and follows its role mappings", text(binding),
                     text(*found->binding.source));
    LastAdmin admin(inside);
    inside.db.run("DELETE FROM binding WHERE tenant_id = $1 AND binding_id = $2", {inside.number, binding});
    admin.stays(grants, force, actor);
    const auto revision = inside.bump();
    inside.audit(actor, event_of("deleted", found->binding, found->role_name, revision));
    return revision;
  });
}

Result<SweptBindings> PostgresStore::sweep_bindings(TimePoint now, std::uint32_t how_many) {
  const auto found = pool_->run(Mode::Read, "looking for expired bindings", [&](Db& db) -> Result<std::vector<TenantId>> {
    std::vector<TenantId> out;
    db.each("SELECT id FROM door_expired_bindings($1, $2, $3)", {now, now - kListedExpired, how_many},
            [&](Row& row) { out.push_back(TenantId{row.text()}); });
    return out;
  });
  if (!found) return fail(found.error());
  SweptBindings swept;
  for (const auto& tenant : *found) {
    const auto done = in_tenant(*pool_, Mode::Write, tenant, "sweeping expired bindings", [&](Tenancy& inside) -> Result<void> {
      sweep_tenant(inside, now, how_many, swept);
      return {};
    });
    if (!done && done.error().code != Errc::NotFound) return fail(done.error());  // deleted meanwhile
  }
  return swept;
}

}  // namespace rosterd
