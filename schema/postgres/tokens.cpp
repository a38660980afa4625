#include <nlohmann/json.hpp>

#include "schema/postgres/grants.hpp"
#include "schema/postgres/people.hpp"
#include "schema/postgres/postgres_store.hpp"
#include "schema/postgres/rows.hpp"

// API tokens of accounts, the first one included, and whom any API token belongs to.

namespace rosterd {

using namespace postgres;

namespace {

constexpr std::string_view kInsertToken =
    "INSERT INTO account_token AS k (account_id, name, hash, last4, expires_at, description, max_age_ms, sliding) "
    "VALUES ($1, $2, decode($3, 'hex'), $4, $5, $6, $7, $8) RETURNING ";

TokenInfo insert_token(Db& db, AccountId account, const NewToken& token) {
  auto made = db.first(std::string(kInsertToken) + std::string(kTokenColumns),
                       {account, token.name, hex_text(token.hash), token.last4, token.expires_at, token.description,
                        token.max_age ? Value(token.max_age->count()) : Value(std::nullopt), token.sliding},
                       read_token);
  if (!made) abort_with("", Errc::Internal, "a token was stored and did not come back");
  return std::move(*made);
}

}  // namespace

Result<Account> PostgresStore::set_up(const NewAccount& account, const NewToken& token, const Actor& actor) {
  return pool_->run(Mode::Write, "setting up", [&](Db& db) -> Result<Account> {
    // Two setups at once: the second waits here, then sees the first one's account.
    db.simple("LOCK TABLE account IN SHARE ROW EXCLUSIVE MODE");
    if (db.number("SELECT EXISTS (SELECT 1 FROM account)::int") != 0)
      return fail_as("setup_done", Errc::Conflict, "rosterd has been set up already");
    auto first = account;
    first.super_admin = true;
    const auto made = insert_account(db, first);
    const auto info = insert_token(db, made.id, token);
    audit_instance(db, actor, account_event("setup", made, {}, audit_text(account_json(made))));
    audit_instance(db, actor,
                   {.action = "token_created",
                    .object_type = "token",
                    .object_id = text(info.id),
                    .object_name = info.name,
                    .before = {},
                    .after = {},
                    .run = {},
                    .revision = {}});
    return made;
  });
}

Result<TokenInfo> PostgresStore::create_token(AccountId account, const NewToken& token, const Actor& actor) {
  return pool_->run(Mode::Write, "creating a token", [&](Db& db) -> Result<TokenInfo> {
    if (db.number("SELECT 1 FROM account WHERE account_id = $1 FOR KEY SHARE", {account}) == 0)
      return fail(Errc::NotFound, "no account {}", text(account));
    const auto made = insert_token(db, account, token);
    audit_instance(db, actor,
                   {.action = "token_created",
                    .object_type = "token",
                    .object_id = text(made.id),
                    .object_name = made.name,
                    .before = {},
                    .after = object_text({{"account", text(account)}}),
                    .run = {},
                    .revision = {}});
    return made;
  });
}

namespace {
std::vector<TokenInfo> live_tokens(Db& db, AccountId account) {
  std::vector<TokenInfo> out;
  db.each(fmt::format("SELECT {} FROM account_token k WHERE k.account_id = $1 AND k.revoked_at IS NULL ORDER BY k.token_id", kTokenColumns),
          {account}, [&](Row& row) { out.push_back(read_token(row)); });
  return out;
}
}  // namespace

Result<std::vector<TokenInfo>> PostgresStore::tokens(AccountId account) {
  return pool_->run(Mode::Read, "listing tokens", [&](Db& db) -> Result<std::vector<TokenInfo>> { return live_tokens(db, account); });
}

Result<void> PostgresStore::revoke_token(AccountId account, std::string_view token_id, const Actor& actor) {
  return pool_->run(Mode::Write, "revoking a token", [&](Db& db) -> Result<void> {
    for (const auto& token : live_tokens(db, account)) {
      if (text(token.id) != token_id) continue;
      db.run("UPDATE account_token SET revoked_at = now() WHERE account_id = $1 AND token_id = $2 AND revoked_at IS NULL",
             {account, token.id});
      audit_instance(db, actor,
                     {.action = "token_revoked",
                      .object_type = "token",
                      .object_id = text(token.id),
                      .object_name = token.name,
                      .before = object_text({{"account", text(account)}}),
                      .after = {},
                      .run = {},
                      .revision = {}});
      return {};
    }
    return fail(Errc::NotFound, "no token {}", token_id);
  });
}

namespace {

std::optional<Caller> account_of_token(Db& db, std::string_view hash, bool& note_use) {
  static constexpr std::string_view kFind =
      "SELECT {}, k.token_id, k.name, (k.last_used_at IS NULL OR k.last_used_at < now() - interval '1 minute')::int "
      "FROM account_token k JOIN account a ON a.account_id = k.account_id "
      "WHERE k.hash = decode($1, 'hex') AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now()) AND a.enabled";
  return db.first(fmt::format(kFind, kAccountColumns), {hash}, [&](Row& row) {
    Caller caller;
    caller.account = read_account(row);
    caller.token = row.id<TokenId>();
    caller.token_name = row.text();
    note_use = row.flag();
    return caller;
  });
}

std::optional<Caller> service_account_of_token(Db& db, std::string_view hash, bool& note_use) {
  static constexpr std::string_view kFind =
      "SELECT tenant, service_account_id, service_account, token_id, token, note_use FROM door_service_token(decode($1, 'hex'))";
  return db.first(kFind, {hash}, [&](Row& row) {
    Caller caller;
    CallingService service;
    service.tenant = TenantId{row.text()};
    service.id = row.id<PrincipalId>();
    service.name = row.text();
    caller.service = std::move(service);
    caller.token = row.id<TokenId>();
    caller.token_name = row.text();
    note_use = row.flag();
    return caller;
  });
}

}  // namespace

Result<std::optional<Caller>> PostgresStore::find_caller(std::string_view token_hash) {
  const auto hash = hex_text(token_hash);
  bool note_use = false;
  auto found = pool_->run(Mode::Read, "looking up a token", [&](Db& db) -> Result<std::optional<Caller>> {
    auto caller = account_of_token(db, hash, note_use);
    if (!caller) caller = service_account_of_token(db, hash, note_use);
    return caller;
  });
  if (!found || !*found || !note_use) return found;
  const auto noted = pool_->run(Mode::Write, "noting a token's use", [&](Db& db) -> Result<void> {
    if ((*found)->service) {
      db.number("SELECT 1 FROM (SELECT door_note_service_token(decode($1, 'hex'))) noted", {hash});
      return {};
    }
    // SKIP LOCKED: many requests of one token at once must not queue up for a time stamp. A sliding token lives on from here (R57).
    db.run(
        "UPDATE account_token SET last_used_at = now(), expires_at = CASE WHEN sliding THEN now() + max_age_ms * interval '1 millisecond' "
        "ELSE expires_at END WHERE token_id = (SELECT token_id FROM account_token WHERE token_id = $1 FOR UPDATE SKIP LOCKED)",
        {(*found)->token});
    return {};
  });
  if (!noted) return fail(noted.error());
  return found;
}

}  // namespace rosterd
