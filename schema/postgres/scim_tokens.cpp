#include <nlohmann/json.hpp>

#include "schema/postgres/grants.hpp"
#include "schema/postgres/people.hpp"
#include "schema/postgres/postgres_store.hpp"
#include "schema/postgres/rows.hpp"

// Tokens of pushing sources, and which source shows one.

namespace rosterd {

using namespace postgres;

namespace {

using nlohmann::json;

Source need_source(Tenancy& inside, SourceId id) {
  auto found = inside.db.first(fmt::format("SELECT {} FROM source s WHERE s.tenant_id = $1 AND s.source_id = $2", kSourceColumns),
                               {inside.number, id}, read_source);
  if (!found) abort_with("", Errc::NotFound, "no source {}", text(id));
  return std::move(*found);
}

std::vector<TokenInfo> live_tokens(Tenancy& inside, SourceId source) {
  std::vector<TokenInfo> out;
  inside.db.each(fmt::format("SELECT {} FROM source_token k WHERE k.tenant_id = $1 AND k.source_id = $2 AND k.revoked_at IS NULL ORDER BY "
                             "k.token_id",
                             kTokenColumns),
                 {inside.number, source}, [&](Row& row) { out.push_back(read_token(row)); });
  return out;
}

Tenancy::Event token_event(std::string_view action, const Source& source, const TokenInfo& token) {
  const auto whose = audit_text({{"source", text(source.id)}, {"last4", token.last4}});
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

std::vector<RoleMapping> read_mappings(const std::string& text) {
  std::vector<RoleMapping> out;
  const auto list = json::parse(text, nullptr, false);
  if (!list.is_array()) return out;
  for (const auto& one : list)
    out.push_back({.group = one.value("group", ""),
                   .role = one.value("role", ""),
                   .ns = one.contains("ns") && one["ns"].is_string() ? std::optional(one["ns"].get<std::string>()) : std::nullopt});
  return out;
}

}  // namespace

Result<std::optional<Pusher>> PostgresStore::find_pusher(std::string_view token_hash) {
  const auto hash = hex_text(token_hash);
  bool note_use = false;
  auto found = pool_->run(Mode::Read, "looking up a source's token", [&](Db& db) -> Result<std::optional<Pusher>> {
    static constexpr std::string_view kFind =
        "SELECT tenant, source_id, source, enabled, token_id, version, guard_percent::text, guard_floor, guard_ceiling, role_mappings, "
        "note_use FROM door_source_token(decode($1, 'hex'))";
    return db.first(kFind, {hash}, [&](Row& row) {
      Pusher out;
      out.tenant = TenantId{row.text()};
      out.source = row.id<SourceId>();
      out.source_name = row.text();
      out.enabled = row.flag();
      out.token = row.id<TokenId>();
      out.version = static_cast<std::uint64_t>(row.number());
      out.guard.percent = std::stod(row.text());
      out.guard.floor = static_cast<std::uint32_t>(row.number());
      out.guard.ceiling = static_cast<std::uint32_t>(row.number());
      out.role_mappings = read_mappings(row.text());
      note_use = row.flag();
      return out;
    });
  });
  if (!found || !*found || !note_use) return found;
  const auto noted = pool_->run(Mode::Write, "noting a token's use", [&](Db& db) -> Result<void> {
    db.number("SELECT 1 FROM (SELECT door_note_source_token(decode($1, 'hex'))) noted", {hash});
    return {};
  });
  if (!noted) return fail(noted.error());
  return found;
}

Result<std::vector<TokenInfo>> PostgresStore::source_tokens(const TenantId& tenant, SourceId source) {
  return in_tenant(*pool_, Mode::Read, tenant, "listing tokens", [&](Tenancy& inside) -> Result<std::vector<TokenInfo>> {
    need_source(inside, source);
    return live_tokens(inside, source);
  });
}

Result<TokenInfo> PostgresStore::create_source_token(const TenantId& tenant, SourceId source, const NewToken& token, const Actor& actor) {
  return in_tenant(*pool_, Mode::Write, tenant, "creating a token", [&](Tenancy& inside) -> Result<TokenInfo> {
    const auto owner = need_source(inside, source);
    if (owner.type != kPushType)
      return fail_as("source_pulls", Errc::Conflict,
                     "source {} is of type {}, which rosterd reads: only a source of type {} has tokens for a provider that pushes",
                     owner.name, owner.type, kPushType);
    static constexpr std::string_view kInsert =
        "INSERT INTO source_token AS k (tenant_id, source_id, name, description, hash, last4, expires_at, max_age_ms, sliding) "
        "VALUES ($1, $2, $3, $4, decode($5, 'hex'), $6, $7, $8, $9) RETURNING {}";
    const auto age = token.max_age ? Value(token.max_age->count()) : Value(std::nullopt);
    auto made = *inside.db.first(
        fmt::format(kInsert, kTokenColumns),
        {inside.number, source, token.name, token.description, hex_text(token.hash), token.last4, token.expires_at, age, token.sliding},
        read_token);
    inside.audit(actor, token_event("token_created", owner, made));
    return made;
  });
}

Result<void> PostgresStore::revoke_source_token(const TenantId& tenant, SourceId source, std::string_view token, const Actor& actor) {
  return in_tenant(*pool_, Mode::Write, tenant, "revoking a token", [&](Tenancy& inside) -> Result<void> {
    const auto owner = need_source(inside, source);
    for (const auto& one : live_tokens(inside, source)) {
      if (text(one.id) != token) continue;
      inside.db.run("UPDATE source_token SET revoked_at = now() WHERE tenant_id = $1 AND token_id = $2", {inside.number, one.id});
      inside.audit(actor, token_event("token_revoked", owner, one));
      return {};
    }
    return fail(Errc::NotFound, "no token {}", token);
  });
}

}  // namespace rosterd
