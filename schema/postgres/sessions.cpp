#include <nlohmann/json.hpp>

#include "schema/core/text.hpp"
#include "schema/postgres/grants.hpp"
#include "schema/postgres/people.hpp"
#include "schema/postgres/postgres_store.hpp"
#include "schema/postgres/rows.hpp"

// Signing in with a password: attempts and the lock they lead to, sessions, and what a changed password ends.

namespace rosterd {

using namespace postgres;

namespace {

std::optional<Account> find_by_email(Db& db, std::string_view email) {
  return db.first(fmt::format("SELECT {} FROM account a WHERE a.email = $1", kAccountColumns), {email}, read_account);
}

/// The account an attempt is about, as far as it exists, for the audit log.
Account attempted(Db& db, const std::string& email) {
  Account unknown;
  unknown.email = email;
  return find_by_email(db, email).value_or(unknown);
}

bool forget_attempts(Db& db, std::string_view email) {
  return db.number(
             "WITH gone AS (DELETE FROM sign_in_attempt WHERE email = $1 RETURNING locked_until) "
             "SELECT count(*) FROM gone WHERE locked_until > now()",
             {email}) != 0;
}

/// Strangers choose the e-mails, so the table is bounded: the rows that have been quiet longest go (R63).
void forget_oldest(Db& db, std::uint32_t kept) {
  db.run("DELETE FROM sign_in_attempt WHERE last_at <= (SELECT last_at FROM sign_in_attempt ORDER BY last_at DESC OFFSET $1 LIMIT 1)",
         {kept});
}

}  // namespace

namespace postgres {

SessionInfo read_session(Row& row) {
  SessionInfo out;
  out.id = row.id<SessionId>();
  out.created_at = row.time();
  out.ends_at = row.time();
  out.idle_until = row.time();
  return out;
}

SessionInfo insert_session(Db& db, const Account& owner, const NewSession& session, const Actor& actor) {
  // Some of those that are over, so that they do not pile up.
  db.run(
      "DELETE FROM account_session WHERE session_id IN (SELECT session_id FROM account_session WHERE idle_until <= now() "
      "ORDER BY idle_until LIMIT 100 FOR UPDATE SKIP LOCKED)");
  static constexpr std::string_view kInsert =
      "INSERT INTO account_session AS s (account_id, hash, ends_at, idle_until, idle_ms) VALUES ($1, decode($2, 'hex'), "
      "now() + $3 * interval '1 millisecond', now() + least($3::bigint, $4::bigint) * interval '1 millisecond', $4) RETURNING {}";
  const auto made = db.one(fmt::format(kInsert, kSessionColumns),
                           {owner.id, hex_text(session.hash), session.lifetime.count(), session.idle.count()}, read_session);
  auto signed_in = actor;
  signed_in.account = owner.id;
  signed_in.by = "session " + text(made.id);
  audit_instance(db, signed_in, account_event("login", owner, {}, {}));
  return made;
}

}  // namespace postgres

Result<SignInAttempt> PostgresStore::begin_attempt(std::string_view email, const Lockout& lockout) {
  return pool_->run(Mode::Write, "signing in", [&](Db& db) -> Result<SignInAttempt> {
    const auto key = fold(email);
    SignInAttempt out;
    // One statement counts the attempt: attempts at the same moment wait for each other here, and none is let by. Those that are older than
    // the window do not count any more.
    static constexpr std::string_view kCount =
        "INSERT INTO sign_in_attempt AS s (email, attempts, last_at) VALUES ($1, ARRAY[now()], now()) "
        "ON CONFLICT (email) DO UPDATE SET last_at = greatest(s.last_at, now()), attempts = "
        "array_append(ARRAY(SELECT t FROM unnest(s.attempts) t WHERE t > now() - $2 * interval '1 millisecond' ORDER BY t), now()) "
        "WHERE (s.locked_until IS NULL OR s.locked_until <= now()) AND "
        "(SELECT count(*) FROM unnest(s.attempts) t WHERE t > now() - $2 * interval '1 millisecond') < $3 "
        "RETURNING (cardinality(attempts) = 1)::int";
    const auto counted = db.first(kCount, {key, lockout.window.count(), lockout.attempts}, [](Row& row) { return row.flag(); });
    if (!counted) {
      // Locked; or as many are being judged just now as may be, and then the next second will know.
      out.locked_for =
          Millis(db.number("SELECT greatest(coalesce((extract(epoch FROM locked_until - now()) * 1000)::bigint, 0), 1000) "
                           "FROM sign_in_attempt WHERE email = $1",
                           {key}));
      return out;
    }
    if (*counted) forget_oldest(db, lockout.most_remembered);
    db.each(fmt::format("SELECT {}, a.password_hash FROM account a WHERE a.email = $1 AND a.enabled", kAccountColumns), {key},
            [&](Row& row) {
              out.account = read_account(row);
              out.password_hash = row.text();
            });
    return out;
  });
}

Result<void> PostgresStore::fail_attempt(std::string_view email, const Lockout& lockout, const Actor& actor) {
  return pool_->run(Mode::Write, "refusing a sign-in", [&](Db& db) -> Result<void> {
    const auto key = fold(email);
    const bool locked = db.run(
                            "UPDATE sign_in_attempt SET locked_until = now() + $2 * interval '1 millisecond', attempts = '{}' "
                            "WHERE email = $1 AND cardinality(attempts) >= $3",
                            {key, lockout.lock.count(), lockout.attempts}) != 0;
    const auto whom = attempted(db, key);
    audit_instance(db, actor, account_event("login_failure", whom, {}, {}));
    if (locked) audit_instance(db, actor, account_event("account_locked", whom, {}, audit_text({{"for_ms", lockout.lock.count()}})));
    return {};
  });
}

Result<SessionInfo> PostgresStore::sign_in(const SignInAttempt& judged, const NewSession& session,
                                           const std::optional<std::string>& better_hash, const Actor& actor) {
  return pool_->run(Mode::Write, "beginning a session", [&](Db& db) -> Result<SessionInfo> {
    const auto id = judged.account ? judged.account->id : AccountId{};
    if (db.number("SELECT 1 FROM account WHERE account_id = $1 AND enabled AND password_hash = $2 FOR NO KEY UPDATE",
                  {id, judged.password_hash}) == 0)
      return fail(Errc::Unauthorized, "the account or its password has changed meanwhile");
    const auto owner = need_account(db, id);
    forget_attempts(db, owner.email);
    if (better_hash) db.run("UPDATE account SET password_hash = $2 WHERE account_id = $1", {owner.id, *better_hash});
    return insert_session(db, owner, session, actor);
  });
}

namespace {

/// Of a user, who signed in through his tenant's issuer.
std::optional<Caller> user_of_session(Db& db, std::string_view hash, bool& note_use) {
  static constexpr std::string_view kFind =
      "SELECT tenant, user_id, username, source_id, session_id, micros(ends_at), note_use FROM door_user_session(decode($1, 'hex'))";
  return db.first(kFind, {hash}, [&](Row& row) {
    Caller caller;
    CallingUser user;
    user.tenant = TenantId{row.text()};
    user.id = row.id<PrincipalId>();
    user.name = row.text();
    user.source = row.id<SourceId>();
    caller.users.push_back(std::move(user));
    CallingSession session;
    session.id = row.id<SessionId>();
    session.ends_at = row.time();
    caller.session = session;
    note_use = row.flag();
    return caller;
  });
}

}  // namespace

Result<std::optional<Caller>> PostgresStore::find_session(std::string_view session_hash) {
  bool note_use = false;
  auto found = pool_->run(Mode::Read, "looking up a session", [&](Db& db) -> Result<std::optional<Caller>> {
    static constexpr std::string_view kFind =
        "SELECT {}, s.session_id, micros(s.ends_at), (s.last_used_at < now() - interval '1 minute')::int "
        "FROM account_session s JOIN account a ON a.account_id = s.account_id "
        "WHERE s.hash = decode($1, 'hex') AND s.idle_until > now() AND a.enabled";
    auto of_account = db.first(fmt::format(kFind, kAccountColumns), {hex_text(session_hash)}, [&](Row& row) {
      Caller caller;
      caller.account = read_account(row);
      CallingSession session;
      session.id = row.id<SessionId>();
      session.ends_at = row.time();
      caller.session = session;
      note_use = row.flag();
      return caller;
    });
    return of_account ? std::move(of_account) : user_of_session(db, hex_text(session_hash), note_use);
  });
  if (!found || !*found || !note_use) return found;
  const auto noted = pool_->run(Mode::Write, "noting a session's use", [&](Db& db) -> Result<void> {
    if (!(*found)->users.empty()) {
      db.number("SELECT 1 FROM (SELECT door_note_user_session(decode($1, 'hex'))) noted", {hex_text(session_hash)});
      return {};
    }
    db.run(
        "UPDATE account_session SET last_used_at = now(), idle_until = least(ends_at, now() + idle_ms * interval '1 millisecond') "
        "WHERE session_id = (SELECT session_id FROM account_session WHERE session_id = $1 FOR UPDATE SKIP LOCKED)",
        {(*found)->session->id});
    return {};
  });
  if (!noted) return fail(noted.error());
  return found;
}

Result<void> PostgresStore::end_session(SessionId session, const Actor& actor) {
  return pool_->run(Mode::Write, "ending a session", [&](Db& db) -> Result<void> {
    if (db.run("DELETE FROM account_session WHERE session_id = $1", {session}) == 0) return {};
    audit_instance(db, actor, account_event("logout", need_account(db, actor.account), {}, {}));
    return {};
  });
}

Result<void> PostgresStore::change_password(AccountId id, const std::string& password_hash, std::optional<SessionId> kept,
                                            const Actor& actor) {
  return pool_->run(Mode::Write, "changing a password", [&](Db& db) -> Result<void> {
    const auto owner = need_account(db, id, "FOR NO KEY UPDATE");
    db.run("UPDATE account SET password_hash = $2, must_change_password = false WHERE account_id = $1", {id, password_hash});
    const auto ended = db.run("DELETE FROM account_session WHERE account_id = $1 AND session_id IS DISTINCT FROM $2", {id, kept});
    forget_attempts(db, owner.email);
    audit_instance(db, actor, account_event("password_changed", owner, {}, audit_text({{"sessions_ended", ended}})));
    return {};
  });
}

Result<Account> PostgresStore::reset_password(AccountId id, const std::string& password_hash, const Actor& actor) {
  return pool_->run(Mode::Write, "resetting a password", [&](Db& db) -> Result<Account> {
    const auto owner = need_account(db, id, "FOR NO KEY UPDATE");
    db.run("UPDATE account SET password_hash = $2, must_change_password = true WHERE account_id = $1", {id, password_hash});
    const auto ended = db.run("DELETE FROM account_session WHERE account_id = $1", {id});
    const bool was_locked = forget_attempts(db, owner.email);
    auto after = need_account(db, id);
    audit_instance(db, actor, account_event("password_reset", after, {}, audit_text({{"sessions_ended", ended}})));
    if (was_locked) audit_instance(db, actor, account_event("account_unlocked", after, {}, {}));
    return after;
  });
}

Result<Account> PostgresStore::unlock(AccountId id, const Actor& actor) {
  return pool_->run(Mode::Write, "unlocking an account", [&](Db& db) -> Result<Account> {
    const auto owner = need_account(db, id);
    const bool was_locked = forget_attempts(db, owner.email);
    auto after = need_account(db, id);
    if (was_locked) audit_instance(db, actor, account_event("account_unlocked", after, {}, {}));
    return after;
  });
}

}  // namespace rosterd
