#include <nlohmann/json.hpp>

#include "schema/core/hash.hpp"
#include "schema/core/text.hpp"
#include "schema/postgres/grants.hpp"
#include "schema/postgres/people.hpp"
#include "schema/postgres/postgres_store.hpp"
#include "schema/postgres/rows.hpp"

// What belongs to no tenant: accounts, and who of them is super admin. Signing in is in sessions.cpp, tokens are in tokens.cpp.

namespace rosterd {

using namespace postgres;

namespace postgres {

using nlohmann::json;

std::string hex_text(std::string_view bytes) { return hex({reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()}); }

namespace {
void need_good(const Account& account) {
  if (!is_email(account.email)) abort_with("", Errc::InvalidInput, "email: '{}' is not an e-mail address", account.email);
  for (const auto& [field, value] : {std::pair("first_name", &account.first_name), std::pair("last_name", &account.last_name)})
    if (!value->empty()) need_text(field, *value);
}
}  // namespace

Account insert_account(Db& db, const NewAccount& account) {
  Account wanted;
  wanted.email = fold(account.email);
  wanted.first_name = account.first_name;
  wanted.last_name = account.last_name;
  need_good(wanted);
  static constexpr std::string_view kInsert =
      "INSERT INTO account AS a (email, first_name, last_name, super_admin, password_hash, must_change_password) VALUES ($1, $2, $3, $4, "
      "$5, $6) ON CONFLICT (email) DO NOTHING RETURNING {}";
  auto made = db.first(fmt::format(kInsert, kAccountColumns),
                       {wanted.email, wanted.first_name, wanted.last_name, account.super_admin, account.password_hash,
                        account.password_hash && account.must_change_password},
                       read_account);
  if (!made) abort_with("name_taken", Errc::Conflict, "there is an account with the e-mail {} already", wanted.email);
  return std::move(*made);
}

json account_json(const Account& account) {
  return {{"email", account.email},
          {"first_name", account.first_name},
          {"last_name", account.last_name},
          {"enabled", account.enabled},
          {"super_admin", account.super_admin},
          {"has_password", account.has_password},
          {"preferences", json::parse(account.preferences, nullptr, false)}};
}

Tenancy::Event account_event(std::string_view action, const Account& account, std::optional<std::string> before,
                             std::optional<std::string> after) {
  return {.action = action,
          .object_type = "account",
          .object_id = account.id ? text(account.id) : std::string(),
          .object_name = account.email,
          .before = std::move(before),
          .after = std::move(after),
          .run = {},
          .revision = {}};
}

Account need_account(Db& db, AccountId id, std::string_view lock) {
  auto found = db.first(fmt::format("SELECT {} FROM account a WHERE a.account_id = $1 {}", kAccountColumns, lock), {id}, read_account);
  if (!found) abort_with("", Errc::NotFound, "no account {}", text(id));
  return std::move(*found);
}

}  // namespace postgres

namespace {

/// The order in which everything is locked whose outcome depends on who is super admin: this, the tenants the account is linked in, the
/// account. So two revocations never pass each other (R72), and neither waits for the other in a circle.
void lock_super_admins(Db& db) { db.number("SELECT 1 FROM (SELECT pg_advisory_xact_lock(hashtext('rosterd.super_admins'))) locked"); }

std::vector<TenantId> move_tenants(Db& db, AccountId id) {
  std::vector<TenantId> out;
  db.each("SELECT id FROM door_move_linked($1)", {id}, [&](Row& row) { out.push_back(TenantId{row.text()}); });
  return out;
}

/// Against new links, which no tenant of `moved` would hear of.
void lock_account(Db& db, AccountId id, const std::vector<TenantId>& moved) {
  static_cast<void>(need_account(db, id, "FOR UPDATE"));
  if (static_cast<std::size_t>(db.number("SELECT door_links($1)", {id})) != moved.size())
    abort_with("", Errc::Conflict, "the account became somebody in another tenant, or ceased to be, just now; try again");
}

/// Moves the tenants the account is linked in, then locks it.
std::vector<TenantId> move_linked(Db& db, AccountId id) {
  auto out = move_tenants(db, id);
  lock_account(db, id, out);
  return out;
}

void need_another_super_admin(Db& db, const Account& leaving) {
  if (!leaving.super_admin || !leaving.enabled) return;
  if (db.number("SELECT count(*) FROM account WHERE super_admin AND enabled AND account_id <> $1", {leaving.id}) == 0)
    abort_with("last_super_admin", Errc::Conflict, "{} is the last super admin, and there must be one", leaving.email);
}

void set_flag(Db& db, AccountId id, bool granted) { db.run("UPDATE account SET super_admin = $2 WHERE account_id = $1", {id, granted}); }

/// R10: what an account that is switched off loses for good.
void end_access(Db& db, AccountId id) {
  db.run("DELETE FROM account_session WHERE account_id = $1", {id});
  db.run("UPDATE account_token SET revoked_at = now() WHERE account_id = $1 AND revoked_at IS NULL", {id});
  set_flag(db, id, false);
}

}  // namespace

Result<void> PostgresStore::ping() {
  return pool_->run(Mode::Read, "asking PostgreSQL for a sign of life", [](Db& db) -> Result<void> {
    db.number("SELECT 1");
    return {};
  });
}

Result<bool> PostgresStore::setup_done() {
  return pool_->run(Mode::Read, "looking for accounts",
                    [](Db& db) -> Result<bool> { return db.number("SELECT EXISTS (SELECT 1 FROM account)::int") != 0; });
}

Result<Account> PostgresStore::create_account(const NewAccount& account, const Actor& actor) {
  return pool_->run(Mode::Write, "creating an account", [&](Db& db) -> Result<Account> {
    auto made = insert_account(db, account);
    audit_instance(db, actor, account_event("created", made, {}, audit_text(account_json(made))));
    return made;
  });
}

Result<Account> PostgresStore::account(std::string_view key) {
  return pool_->run(Mode::Read, "reading an account", [&](Db& db) -> Result<Account> {
    if (const auto id = parse_account_id(key)) return need_account(db, *id);
    auto found = db.first(fmt::format("SELECT {} FROM account a WHERE a.email = $1", kAccountColumns), {fold(key)}, read_account);
    if (!found) return fail(Errc::NotFound, "no account {}", key);
    return std::move(*found);
  });
}

Result<Page<Account>> PostgresStore::accounts(const PageRequest& page) {
  return pool_->run(Mode::Read, "listing accounts", [&](Db& db) -> Result<Page<Account>> {
    const auto limit = page_limit(page);
    const auto place = parse_cursor(page.cursor);
    Page<Account> out;
    db.each(fmt::format("SELECT {} FROM account a WHERE a.email > $1 COLLATE \"C\" AND starts_with(a.email, $2) ORDER BY a.email LIMIT $3",
                        kAccountColumns),
            {place.text, fold(page.query), limit + 1}, [&](Row& row) { out.items.push_back(read_account(row)); });
    if (out.items.size() > limit) {
      out.items.resize(limit);
      out.next = cursor_text(out.items.back().email, 0);
    }
    return out;
  });
}

Result<AccountChange> PostgresStore::change_account(AccountId id, AccountPart part, const Edit<Account>& edit, const Actor& actor) {
  return pool_->run(Mode::Write, "changing an account", [&](Db& db) -> Result<AccountChange> {
    AccountChange out;
    if (part == AccountPart::Standing) {
      lock_super_admins(db);
      out.moved = move_linked(db, id);
    }
    const auto now = need_account(db, id, "FOR NO KEY UPDATE");
    auto edited = edit(now);
    if (!edited) return fail(edited.error());
    auto& next = *edited;
    next.email = fold(next.email);
    if (account_json(next) == account_json(now)) {
      out.account = now;
      return out;
    }
    if (next.enabled != now.enabled && part != AccountPart::Standing)
      return fail(Errc::Internal, "an account was switched as if that were part of its profile");
    need_good(next);
    if (next.email != now.email && db.number("SELECT 1 FROM account WHERE email = $1", {next.email}) != 0)
      return fail_as("name_taken", Errc::Conflict, "there is an account with the e-mail {} already", next.email);
    if (!next.enabled) need_another_super_admin(db, now);
    db.run("UPDATE account SET email = $2, first_name = $3, last_name = $4, enabled = $5, preferences = $6 WHERE account_id = $1",
           {id, next.email, next.first_name, next.last_name, next.enabled, next.preferences});
    if (now.enabled && !next.enabled) end_access(db, id);
    out.account = need_account(db, id);
    const auto action = next.enabled == now.enabled ? "changed" : next.enabled ? "enabled" : "disabled";
    audit_instance(db, actor, account_event(action, out.account, audit_text(account_json(now)), audit_text(account_json(out.account))));
    return out;
  });
}

Result<AccountChange> PostgresStore::delete_account(AccountId id, const Condition<Account>& only_if, const Actor& actor) {
  if (actor.account == id) return fail(Errc::Forbidden, "nobody deletes his own account: another super admin can");
  return pool_->run(Mode::Write, "deleting an account", [&](Db& db) -> Result<AccountChange> {
    lock_super_admins(db);
    AccountChange out{.account = {}, .moved = move_linked(db, id)};
    out.account = need_account(db, id);
    if (only_if)
      if (const auto good = only_if(out.account); !good) return fail(good.error());
    need_another_super_admin(db, out.account);
    db.number("SELECT 1 FROM (SELECT door_unlink_account($1)) unlinked", {id});
    db.run("DELETE FROM account WHERE account_id = $1", {id});  // its tokens and sessions go with it
    audit_instance(db, actor, account_event("deleted", out.account, audit_text(account_json(out.account)), {}));
    return out;
  });
}

Result<AccountChange> PostgresStore::set_super_admin(AccountId id, bool granted, const Actor& actor) {
  return pool_->run(Mode::Write, granted ? "making a super admin" : "revoking a super admin", [&](Db& db) -> Result<AccountChange> {
    lock_super_admins(db);
    auto now = need_account(db, id);
    if (now.super_admin == granted) return AccountChange{.account = std::move(now), .moved = {}};
    AccountChange out{.account = {}, .moved = move_linked(db, id)};
    now = need_account(db, id);
    if (granted && !now.enabled) return fail(Errc::Conflict, "account {} is disabled: enable it first", now.email);
    if (!granted) need_another_super_admin(db, now);
    set_flag(db, id, granted);
    out.account = need_account(db, id);
    audit_instance(db, actor, account_event(granted ? "super_admin_granted" : "super_admin_revoked", out.account, {}, {}));
    return out;
  });
}

Result<SuperAdminsSet> PostgresStore::set_super_admins(const std::vector<std::string>& emails, const Actor& actor) {
  return pool_->run(Mode::Write, "setting the super admins", [&](Db& db) -> Result<SuperAdminsSet> {
    lock_super_admins(db);
    SuperAdminsSet out;
    std::vector<Account> wanted, changing;
    for (const auto& email : emails) {
      auto found =
          db.first(fmt::format("SELECT {} FROM account a WHERE a.email = $1 AND a.enabled", kAccountColumns), {fold(email)}, read_account);
      if (found)
        wanted.push_back(std::move(*found));
      else
        out.unknown.push_back(email);
    }
    if (wanted.empty())
      return fail(Errc::Refused, "none of {} is the e-mail of an enabled account: rosterd would be left without a super admin",
                  fmt::join(emails, ", "));
    const auto is_wanted = [&](const Account& one) {
      return std::any_of(wanted.begin(), wanted.end(), [&](const Account& other) { return other.id == one.id; });
    };
    db.each(fmt::format("SELECT {} FROM account a WHERE a.super_admin ORDER BY a.account_id", kAccountColumns), {}, [&](Row& row) {
      auto one = read_account(row);
      if (!is_wanted(one)) changing.push_back(std::move(one));
    });
    for (const auto& one : wanted)
      if (!one.super_admin) changing.push_back(one);
    std::vector<std::vector<TenantId>> moved;  // all tenants before any account: who holds a tenant may be waiting for an account
    for (const auto& one : changing) moved.push_back(move_tenants(db, one.id));
    for (std::size_t i = 0; i < changing.size(); ++i) {
      const auto& one = changing[i];
      lock_account(db, one.id, moved[i]);
      set_flag(db, one.id, !one.super_admin);
      (one.super_admin ? out.revoked : out.granted).push_back(one.email);
    }
    for (const auto& one : changing)
      audit_instance(db, actor, account_event(one.super_admin ? "super_admin_revoked" : "super_admin_granted", one, {}, {}));
    return out;
  });
}

}  // namespace rosterd
