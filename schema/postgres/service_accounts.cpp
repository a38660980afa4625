#include <nlohmann/json.hpp>

#include "schema/core/hash.hpp"
#include "schema/core/text.hpp"
#include "schema/postgres/grants.hpp"
#include "schema/postgres/postgres_store.hpp"
#include "schema/postgres/rows.hpp"

// Applications of a tenant and their tokens.

namespace rosterd {

using namespace postgres;

namespace {

using nlohmann::json;

constexpr std::string_view kColumns = "s.id, s.name, s.description, s.enabled::int, micros(s.created_at)";

ServiceAccount read_service_account(Row& row) {
  ServiceAccount out;
  out.id = row.id<PrincipalId>();
  out.name = row.text();
  out.description = row.text();
  out.enabled = row.flag();
  out.created_at = row.time();
  return out;
}

json audited(const ServiceAccount& one) { return {{"name", one.name}, {"description", one.description}, {"enabled", one.enabled}}; }

ServiceAccount need_service_account(Tenancy& inside, PrincipalId id) {
  auto found = inside.db.first(fmt::format("SELECT {} FROM service_account s WHERE s.tenant_id = $1 AND s.id = $2", kColumns),
                               {inside.number, id}, read_service_account);
  if (!found) abort_with("", Errc::NotFound, "no service account {}", text(PrincipalType::ServiceAccount, id));
  return std::move(*found);
}

/// R51: `[a-z0-9]` with single inner hyphens, at most 63.
bool is_name(std::string_view name) {
  if (name.empty() || name.size() > 63 || name.front() == '-' || name.back() == '-' || name.find("--") != std::string_view::npos)
    return false;
  return name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string_view::npos;
}

void need_good(const ServiceAccount& one) {
  if (!is_name(one.name))
    abort_with("", Errc::InvalidInput, "name: '{}' must be made of a-z, 0-9 and single inner hyphens, at most 63 characters", one.name);
  need_description(one.description);
}

void need_free_name(Tenancy& inside, std::string_view name) {
  if (inside.db.number("SELECT 1 FROM service_account WHERE tenant_id = $1 AND name = $2", {inside.number, name}) != 0)
    abort_with("name_taken", Errc::Conflict, "there is a service account {} already", name);
}

Tenancy::Event event_of(std::string_view action, const ServiceAccount& one, std::optional<std::string> before,
                        std::optional<std::string> after, const std::optional<Revision>& revision) {
  return {.action = action,
          .object_type = "service_account",
          .object_id = text(PrincipalType::ServiceAccount, one.id),
          .object_name = one.name,
          .before = std::move(before),
          .after = std::move(after),
          .run = {},
          .revision = revision};
}

std::vector<TokenInfo> live_tokens(Tenancy& inside, PrincipalId owner) {
  std::vector<TokenInfo> out;
  inside.db.each(
      fmt::format("SELECT {} FROM service_account_token k WHERE k.tenant_id = $1 AND k.service_account_id = $2 AND k.revoked_at IS "
                  "NULL ORDER BY k.token_id",
                  kTokenColumns),
      {inside.number, owner}, [&](Row& row) { out.push_back(read_token(row)); });
  return out;
}

/// A token moves no revision (R57): what it gives is what its owner holds.
Tenancy::Event token_event(std::string_view action, const ServiceAccount& owner, const TokenInfo& token) {
  const auto whose = audit_text({{"service_account", text(PrincipalType::ServiceAccount, owner.id)}, {"last4", token.last4}});
  const bool made = action == "token_created";
  return {.action = action,
          .object_type = "token",
          .object_id = text(token.id),
          .object_name = token.name,
          .before = made ? std::nullopt : std::optional(whose),
          .after = made ? std::optional(whose) : std::nullopt,
          .run = {},
          .revision = {}};
}

}  // namespace

Result<Page<ServiceAccount>> PostgresStore::service_accounts(const TenantId& tenant, const PageRequest& page) {
  return in_tenant(*pool_, Mode::Read, tenant, "listing service accounts", [&](Tenancy& inside) -> Result<Page<ServiceAccount>> {
    const auto limit = page_limit(page);
    const auto place = parse_cursor(page.cursor);
    Page<ServiceAccount> out;
    static constexpr std::string_view kList =
        "SELECT {} FROM service_account s WHERE s.tenant_id = $1 AND s.name > $2 COLLATE \"C\" AND starts_with(s.name, $3) ORDER BY s.name "
        "LIMIT $4";
    inside.db.each(fmt::format(kList, kColumns), {inside.number, place.text, fold(page.query), limit + 1},
                   [&](Row& row) { out.items.push_back(read_service_account(row)); });
    if (out.items.size() > limit) {
      out.items.resize(limit);
      out.next = cursor_text(out.items.back().name, 0);
    }
    return out;
  });
}

Result<ServiceAccount> PostgresStore::service_account(const TenantId& tenant, std::string_view key) {
  return in_tenant(*pool_, Mode::Read, tenant, "reading a service account", [&](Tenancy& inside) -> Result<ServiceAccount> {
    if (const auto id = parse_principal_id(PrincipalType::ServiceAccount, key)) return need_service_account(inside, *id);
    auto found = inside.db.first(fmt::format("SELECT {} FROM service_account s WHERE s.tenant_id = $1 AND s.name = $2", kColumns),
                                 {inside.number, fold(key)}, read_service_account);
    if (!found) return fail(Errc::NotFound, "no service account {}", key);
    return std::move(*found);
  });
}

Result<Written<ServiceAccount>> PostgresStore::create_service_account(const TenantId& tenant, const NewServiceAccount& made,
                                                                      const Actor& actor) {
  return administer(
      *pool_, judge_, tenant, actor, "creating a service account", [&](Tenancy& inside, Grants&) -> Result<Written<ServiceAccount>> {
        need_good({.id = {}, .name = made.name, .description = made.description, .enabled = true, .created_at = {}});
        need_free_name(inside, made.name);
        static constexpr std::string_view kInsert =
            "INSERT INTO service_account AS s (tenant_id, id, name, description) VALUES ($1, door_reserve_ids(1), $2, $3) RETURNING {}";
        auto one = *inside.db.first(fmt::format(kInsert, kColumns), {inside.number, made.name, made.description}, read_service_account);
        const auto revision = inside.bump();
        inside.audit(actor, event_of("created", one, {}, audit_text(audited(one)), revision));
        return Written<ServiceAccount>{.value = std::move(one), .revision = revision};
      });
}

Result<Written<ServiceAccount>> PostgresStore::change_service_account(const TenantId& tenant, PrincipalId id,
                                                                      const Edit<ServiceAccount>& edit, bool force, const Actor& actor) {
  return administer(*pool_, judge_, tenant, actor, "changing a service account",
                    [&](Tenancy& inside, Grants& grants) -> Result<Written<ServiceAccount>> {
                      const auto now = need_service_account(inside, id);
                      const auto next = edit(now);
                      if (!next) return fail(next.error());
                      if (audited(*next) == audited(now)) return Written<ServiceAccount>{.value = now, .revision = inside.revision()};
                      need_good(*next);
                      if (next->name != now.name) need_free_name(inside, next->name);
                      LastAdmin admin(inside);
                      inside.db.run("UPDATE service_account SET name = $3, description = $4, enabled = $5 WHERE tenant_id = $1 AND id = $2",
                                    {inside.number, id, next->name, next->description, next->enabled});
                      admin.stays(grants, force, actor);
                      auto after = need_service_account(inside, id);
                      const auto revision = inside.bump();
                      inside.audit(actor, event_of("changed", after, audit_text(audited(now)), audit_text(audited(after)), revision));
                      return Written<ServiceAccount>{.value = std::move(after), .revision = revision};
                    });
}

Result<Revision> PostgresStore::delete_service_account(const TenantId& tenant, PrincipalId id, const Condition<ServiceAccount>& only_if,
                                                       bool force, const Actor& actor) {
  return administer(*pool_, judge_, tenant, actor, "deleting a service account", [&](Tenancy& inside, Grants& grants) -> Result<Revision> {
    const auto now = need_service_account(inside, id);
    if (only_if)
      if (const auto good = only_if(now); !good) return fail(good.error());
    LastAdmin admin(inside);
    inside.db.run("DELETE FROM membership WHERE tenant_id = $1 AND member_id = $2 AND source_id = 0", {inside.number, id});
    const auto bindings = inside.db.run("DELETE FROM binding WHERE tenant_id = $1 AND principal_id = $2", {inside.number, id});
    inside.db.run("DELETE FROM service_account WHERE tenant_id = $1 AND id = $2", {inside.number, id});  // its tokens go with it
    admin.stays(grants, force, actor);
    auto before = audited(now);
    before["bindings"] = bindings;
    const auto revision = inside.bump();
    inside.audit(actor, event_of("deleted", now, audit_text(before), {}, revision));
    return revision;
  });
}

Result<std::vector<TokenInfo>> PostgresStore::service_tokens(const TenantId& tenant, PrincipalId id) {
  return in_tenant(*pool_, Mode::Read, tenant, "listing tokens", [&](Tenancy& inside) -> Result<std::vector<TokenInfo>> {
    need_service_account(inside, id);
    return live_tokens(inside, id);
  });
}

Result<TokenInfo> PostgresStore::create_service_token(const TenantId& tenant, PrincipalId id, const NewToken& token, const Actor& actor) {
  return administer(*pool_, judge_, tenant, actor, "creating a token", [&](Tenancy& inside, Grants& grants) -> Result<TokenInfo> {
    const auto owner = need_service_account(inside, id);
    grants.judge(grants.of(id));  // R79
    static constexpr std::string_view kInsert =
        "INSERT INTO service_account_token AS k (tenant_id, service_account_id, name, description, hash, last4, expires_at, max_age_ms, "
        "sliding) "
        "VALUES ($1, $2, $3, $4, decode($5, 'hex'), $6, $7, $8, $9) RETURNING {}";
    const auto hash = hex({reinterpret_cast<const unsigned char*>(token.hash.data()), token.hash.size()});
    const auto age = token.max_age ? Value(token.max_age->count()) : Value(std::nullopt);
    auto made = *inside.db.first(
        fmt::format(kInsert, kTokenColumns),
        {inside.number, id, token.name, token.description, hash, token.last4, token.expires_at, age, token.sliding}, read_token);
    inside.audit(actor, token_event("token_created", owner, made));
    return made;
  });
}

Result<void> PostgresStore::revoke_service_token(const TenantId& tenant, PrincipalId id, std::string_view token, const Actor& actor) {
  return administer(*pool_, judge_, tenant, actor, "revoking a token", [&](Tenancy& inside, Grants&) -> Result<void> {
    const auto owner = need_service_account(inside, id);
    for (const auto& one : live_tokens(inside, id)) {
      if (text(one.id) != token) continue;
      inside.db.run("UPDATE service_account_token SET revoked_at = now() WHERE tenant_id = $1 AND token_id = $2", {inside.number, one.id});
      inside.audit(actor, token_event("token_revoked", owner, one));
      return {};
    }
    return fail(Errc::NotFound, "no token {}", token);
  });
}

}  // namespace rosterd
