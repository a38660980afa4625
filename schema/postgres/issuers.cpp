#include <nlohmann/json.hpp>

#include "schema/core/text.hpp"
#include "schema/postgres/admin_guard.hpp"
#include "schema/postgres/grants.hpp"
#include "schema/postgres/people.hpp"
#include "schema/postgres/postgres_store.hpp"
#include "schema/postgres/rows.hpp"

// Whom an issuer vouches for: users of a tenant's source, and accounts by the identities they have with the instance's issuer. Every
// statement that changes something of a source carries source_id = that source.

namespace rosterd {

using namespace postgres;

namespace {

/// A list as PostgreSQL reads arrays.
template <class List, class Text>
std::string array_text(const List& list, Text text) {
  std::string out = "{";
  for (const auto& one : list) {
    if (out.size() > 1) out += ',';
    out += '"';
    for (const char c : text(one)) {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
    out += '"';
  }
  return out + "}";
}

std::optional<User> find_user(Tenancy& inside, SourceId source, std::string_view external_id) {
  return inside.db.first(
      fmt::format("SELECT {} FROM tenant_user u WHERE u.tenant_id = $1 AND u.source_id = $2 AND u.external_id = $3", kUserColumns),
      {inside.number, source, external_id}, read_user);
}

User need_user_of(Tenancy& inside, SourceId source, PrincipalId id) {
  auto found =
      inside.db.first(fmt::format("SELECT {} FROM tenant_user u WHERE u.tenant_id = $1 AND u.id = $2 AND u.source_id = $3", kUserColumns),
                      {inside.number, id, source}, read_user);
  if (!found) abort_with("", Errc::NotFound, "the source has no user {}", text(PrincipalType::User, id));
  if (!found->active()) abort_with("", Errc::Unauthorized, "user {} is suspended", text(PrincipalType::User, id));
  return std::move(*found);
}

Tenancy::Event user_event(std::string_view action, const User& user, const nlohmann::json& after, const Revision& revision) {
  return {.action = action,
          .object_type = "user",
          .object_id = text(PrincipalType::User, user.id),
          .object_name = user.username,
          .before = {},
          .after = audit_text(after),
          .run = {},
          .revision = revision};
}

/// A binding that the source owns, for who was made at his first sign-in. False: there is no such role.
bool bind_default_role(Tenancy& inside, const Actor& actor, SourceId source, const User& user, const std::string& role_name) {
  const auto role = inside.db.first(fmt::format("SELECT {} FROM role WHERE tenant_id = $1 AND name_key = $2", kRoleColumns),
                                    {inside.number, fold(role_name)}, read_role);
  if (!role) return false;
  static constexpr std::string_view kInsert =
      "INSERT INTO binding AS b (tenant_id, role_id, principal_id, principal_type, source_id, created_by) VALUES ($1, $2, $3, 1, $4, $5) "
      "ON CONFLICT ON CONSTRAINT binding_once DO NOTHING RETURNING {}";
  const auto made =
      inside.db.first(fmt::format(kInsert, kBindingColumns), {inside.number, role->id, user.id, source, author_text(actor)}, read_binding);
  if (made) audit_made(inside, actor, MadeBinding{.binding = *made, .role = *role}, inside.revision());
  return true;
}

}  // namespace

Result<std::vector<IssuerSource>> PostgresStore::issuer_sources(std::string_view issuer) {
  return pool_->run(Mode::Read, "looking up an issuer", [&](Db& db) -> Result<std::vector<IssuerSource>> {
    std::vector<IssuerSource> out;
    db.each("SELECT tenant, source_id, version, name, settings FROM door_issuer_sources($1)", {issuer}, [&](Row& row) {
      IssuerSource one;
      one.tenant = TenantId{row.text()};
      one.source = row.id<SourceId>();
      one.version = static_cast<std::uint64_t>(row.number());
      one.name = row.text();
      one.settings = row.text();
      out.push_back(std::move(one));
    });
    return out;
  });
}

Result<std::vector<IssuerUser>> PostgresStore::issuer_users(std::span<const AskedSubject> asked) {
  return pool_->run(Mode::Read, "looking up whom an issuer vouches for", [&](Db& db) -> Result<std::vector<IssuerUser>> {
    std::vector<IssuerUser> out;
    db.each("SELECT tenant, source_id, user_id, username, active FROM door_issuer_users($1::bigint[], $2::bigint[], $3::text[])",
            {array_text(asked, [](const AskedSubject& one) { return std::to_string(one.source.value); }),
             array_text(asked, [](const AskedSubject& one) { return std::to_string(one.version); }),
             array_text(asked, [](const AskedSubject& one) -> const std::string& { return one.subject; })},
            [&](Row& row) {
              IssuerUser one;
              one.tenant = TenantId{row.text()};
              one.source = row.id<SourceId>();
              one.user = row.id<PrincipalId>();
              one.username = row.text();
              one.active = row.flag();
              out.push_back(std::move(one));
            });
    return out;
  });
}

Result<MadeIssuerUser> PostgresStore::create_issuer_user(const TenantId& tenant, const NewIssuerUser& made, const Actor& actor) {
  return in_tenant(*pool_, Mode::Write, tenant, "making a user at his first sign-in", [&](Tenancy& inside) -> Result<MadeIssuerUser> {
    if (!inside.enabled) return fail(Errc::Unauthorized, "the tenant is disabled");
    if (inside.db.number("SELECT 1 FROM source WHERE tenant_id = $1 AND source_id = $2 AND version = $3 AND enabled FOR SHARE",
                         {inside.number, made.source, made.version}) == 0)
      return fail_as("stale_version", Errc::Conflict, "the source has changed since");
    MadeIssuerUser out;
    if (auto there = find_user(inside, made.source, made.record.id.value)) {  // another replica was quicker
      out.user = std::move(*there);
      out.revision = inside.revision();
      return out;
    }
    const auto& record = made.record;
    need_text("username", record.username);
    static constexpr std::string_view kInsert =
        "INSERT INTO tenant_user AS u (tenant_id, id, source_id, external_id, username, email, first_name, last_name) "
        "VALUES ($1, door_reserve_ids(1), $2, $3, $4, $5, $6, $7) RETURNING {}";
    const auto email = record.email ? std::optional(fold(*record.email)) : std::nullopt;
    out.user = *inside.db.first(
        fmt::format(kInsert, kUserColumns),
        {inside.number, made.source, record.id.value, fold(record.username), email, record.first_name, record.last_name}, read_user);
    out.made = true;
    if (!made.default_role.empty()) out.role_missing = !bind_default_role(inside, actor, made.source, out.user, made.default_role);
    out.revision = inside.bump();
    inside.audit(actor, user_event("created", out.user,
                                   {{"source", text(made.source)}, {"external_id", record.id.value}, {"username", out.user.username}},
                                   out.revision));
    return out;
  });
}

Result<RefreshedMemberships> PostgresStore::refresh_memberships(const TenantId& tenant, SourceId source, PrincipalId user,
                                                                const ClaimedGroups& groups, const Actor& actor) {
  // What the claim names, and where the user is now: usually the same, and then nothing is locked.
  const auto difference = [&](Tenancy& inside, std::vector<PrincipalId>& added, std::vector<PrincipalId>& removed) {
    const auto listed = array_text(groups.values, [](const std::string& value) -> const std::string& { return value; });
    static constexpr std::string_view kDifference =
        "WITH wanted AS (SELECT g.id FROM tenant_group g WHERE g.tenant_id = $1 AND g.source_id = $2 AND g.leaving = 0 AND g.{} = ANY "
        "($4::text[])), held AS (SELECT m.group_id AS id FROM membership m JOIN tenant_group g ON g.tenant_id = $1 AND g.id = m.group_id "
        "AND "
        "g.source_id = $2 WHERE m.tenant_id = $1 AND m.member_id = $3 AND m.source_id = $2) "
        "SELECT w.id, 1 FROM wanted w WHERE w.id NOT IN (SELECT id FROM held) UNION ALL "
        "SELECT h.id, 2 FROM held h WHERE h.id NOT IN (SELECT id FROM wanted) UNION ALL SELECT count(*), 3 FROM wanted ORDER BY 2, 1";
    std::uint64_t known = 0;
    inside.db.each(fmt::format(kDifference, groups.by_name ? "source_name" : "external_id"), {inside.number, source, user, listed},
                   [&](Row& row) {
                     const auto id = row.id<PrincipalId>();
                     const auto what = row.number();
                     if (what == 3)
                       known = id.value;
                     else
                       (what == 1 ? added : removed).push_back(id);
                   });
    return groups.values.size() - std::min<std::uint64_t>(known, groups.values.size());
  };
  RefreshedMemberships out;
  std::vector<PrincipalId> added, removed;
  const auto looked = in_tenant(*pool_, Mode::Read, tenant, "comparing a groups claim", [&](Tenancy& inside) -> Result<void> {
    out.unknown = difference(inside, added, removed);
    return {};
  });
  if (!looked) return fail(looked.error());
  if (added.empty() && removed.empty()) return out;
  return in_tenant(*pool_, Mode::Write, tenant, "refreshing memberships", [&](Tenancy& inside) -> Result<RefreshedMemberships> {
    const auto whom = need_user_of(inside, source, user);
    added.clear();
    removed.clear();
    out.unknown = difference(inside, added, removed);
    if (added.empty() && removed.empty()) return out;
    const bool had_admin = !removed.empty() && has_active_admin(inside);
    const auto ids = [](const PrincipalId& id) { return std::to_string(id.value); };
    out.added = inside.db.run(
        "INSERT INTO membership (tenant_id, group_id, member_id, member_type, source_id) SELECT $1, g, $2, 1, $3 FROM "
        "unnest($4::bigint[]) g ON CONFLICT DO NOTHING",
        {inside.number, user, source, array_text(added, ids)});
    out.removed =
        inside.db.run("DELETE FROM membership WHERE tenant_id = $1 AND member_id = $2 AND source_id = $3 AND group_id = ANY ($4::bigint[])",
                      {inside.number, user, source, array_text(removed, ids)});
    if (const auto kept = keep_an_admin(inside, had_admin); !kept) return fail(kept.error());
    out.revision = inside.bump();
    const auto names = [](const std::vector<PrincipalId>& from) {
      auto list = nlohmann::json::array();
      for (const auto id : from) list.push_back(text(PrincipalType::Group, id));
      return list;
    };
    inside.audit(actor, user_event("memberships_refreshed", whom,
                                   {{"source", text(source)}, {"added", names(added)}, {"removed", names(removed)}}, *out.revision));
    return out;
  });
}

Result<SessionInfo> PostgresStore::begin_user_session(const TenantId& tenant, SourceId source, PrincipalId user, const NewSession& session,
                                                      const Actor& actor) {
  return in_tenant(*pool_, Mode::Write, tenant, "beginning a session", [&](Tenancy& inside) -> Result<SessionInfo> {
    if (!inside.enabled) return fail(Errc::Unauthorized, "the tenant is disabled");
    const auto owner = need_user_of(inside, source, user);
    inside.db.run(
        "DELETE FROM user_session WHERE tenant_id = $1 AND session_id IN (SELECT session_id FROM user_session WHERE tenant_id = $1 AND "
        "idle_until <= now() ORDER BY idle_until LIMIT 100 FOR UPDATE SKIP LOCKED)",
        {inside.number});
    static constexpr std::string_view kInsert =
        "INSERT INTO user_session AS s (tenant_id, user_id, source_id, hash, ends_at, idle_until, idle_ms) VALUES ($1, $2, $3, "
        "decode($4, 'hex'), now() + $5 * interval '1 millisecond', now() + least($5::bigint, $6::bigint) * interval '1 millisecond', $6) "
        "RETURNING {}";
    const auto made = *inside.db.first(
        fmt::format(kInsert, kSessionColumns),
        {inside.number, user, source, hex_text(session.hash), session.lifetime.count(), session.idle.count()}, read_session);
    auto signed_in = actor;
    signed_in.user = user;
    inside.audit(signed_in, user_event("login", owner, {{"source", text(source)}, {"session", text(made.id)}}, inside.revision()));
    return made;
  });
}

Result<void> PostgresStore::end_user_session(const TenantId& tenant, SessionId session, const Actor& actor) {
  return in_tenant(*pool_, Mode::Write, tenant, "ending a session", [&](Tenancy& inside) -> Result<void> {
    const auto whose = inside.db.first("DELETE FROM user_session WHERE tenant_id = $1 AND session_id = $2 RETURNING user_id",
                                       {inside.number, session}, [](Row& row) { return row.id<PrincipalId>(); });
    if (!whose) return {};
    const auto owner = inside.db.first(fmt::format("SELECT {} FROM tenant_user u WHERE u.tenant_id = $1 AND u.id = $2", kUserColumns),
                                       {inside.number, *whose}, read_user);
    if (owner) inside.audit(actor, user_event("logout", *owner, {{"session", text(session)}}, inside.revision()));
    return {};
  });
}

Result<Written<User>> PostgresStore::link_by_sign_in(const TenantId& tenant, SourceId source, PrincipalId user, AccountId account,
                                                     const Actor& actor) {
  return in_tenant(*pool_, Mode::Write, tenant, "linking an account by sign-in", [&](Tenancy& inside) -> Result<Written<User>> {
    const auto now = need_user_of(inside, source, user);
    if (now.account == account) return Written<User>{.value = now, .revision = inside.revision()};
    if (now.account) return fail_as("already_linked", Errc::Conflict, "the user is linked to another account already");
    if (inside.db.number("SELECT 1 FROM account WHERE account_id = $1 AND enabled FOR KEY SHARE", {account}) == 0)
      return fail(Errc::Unauthorized, "the account is disabled or gone");
    if (inside.db.number("SELECT 1 FROM tenant_user WHERE tenant_id = $1 AND account_id = $2", {inside.number, account}) != 0)
      return fail_as("already_linked", Errc::Conflict, "the account is linked to another user of this tenant already");
    inside.db.run("UPDATE tenant_user SET account_id = $3 WHERE tenant_id = $1 AND id = $2", {inside.number, user, account});
    auto after = need_user_of(inside, source, user);
    const auto revision = inside.bump();
    inside.audit(actor, user_event("account_linked", after, {{"account", text(account)}, {"source", text(source)}}, revision));
    return Written<User>{.value = std::move(after), .revision = revision};
  });
}

Result<std::optional<Account>> PostgresStore::account_of_identity(std::string_view issuer, std::string_view subject) {
  return pool_->run(Mode::Read, "looking up an identity", [&](Db& db) -> Result<std::optional<Account>> {
    return db.first(fmt::format("SELECT {} FROM account_identity i JOIN account a ON a.account_id = i.account_id WHERE i.issuer = $1 AND "
                                "i.subject = $2 AND a.enabled",
                                kAccountColumns),
                    {issuer, subject}, read_account);
  });
}

Result<std::optional<std::string>> PostgresStore::identity_of(AccountId account, std::string_view issuer) {
  return pool_->run(Mode::Read, "looking up an identity", [&](Db& db) -> Result<std::optional<std::string>> {
    return db.first("SELECT subject FROM account_identity WHERE account_id = $1 AND issuer = $2", {account, issuer},
                    [](Row& row) { return row.text(); });
  });
}

Result<void> PostgresStore::set_identity(AccountId account, std::string_view issuer, const std::optional<std::string>& subject,
                                         const Actor& actor) {
  return pool_->run(Mode::Write, "setting an identity", [&](Db& db) -> Result<void> {
    const auto owner = need_account(db, account, "FOR NO KEY UPDATE");
    const auto before = db.first("SELECT subject FROM account_identity WHERE account_id = $1 AND issuer = $2", {account, issuer},
                                 [](Row& row) { return row.text(); });
    if (before == subject) return {};
    const auto shape = [&](const std::optional<std::string>& of) {
      return of ? std::optional(audit_text({{"issuer", issuer}, {"subject", *of}})) : std::nullopt;
    };
    db.run("DELETE FROM account_identity WHERE account_id = $1 AND issuer = $2", {account, issuer});
    if (before) db.run("DELETE FROM account_session WHERE account_id = $1", {account});  // one of them may be that identity's
    if (subject && db.run("INSERT INTO account_identity (issuer, subject, account_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
                          {issuer, *subject, account}) == 0)
      return fail_as("name_taken", Errc::Conflict, "that identity belongs to another account");
    audit_instance(db, actor, account_event(subject ? "identity_set" : "identity_removed", owner, shape(before), shape(subject)));
    return {};
  });
}

Result<Account> PostgresStore::create_account_of_identity(const NewAccount& account, std::string_view issuer, std::string_view subject,
                                                          const Actor& actor) {
  return pool_->run(Mode::Write, "making an account at its first sign-in", [&](Db& db) -> Result<Account> {
    auto made = insert_account(db, account);
    if (db.run("INSERT INTO account_identity (issuer, subject, account_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
               {issuer, subject, made.id}) == 0)
      return fail_as("name_taken", Errc::Conflict, "that identity belongs to another account");
    auto after = account_json(made);
    after["issuer"] = issuer;
    after["subject"] = subject;
    audit_instance(db, actor, account_event("created", made, {}, audit_text(after)));
    return made;
  });
}

Result<SessionInfo> PostgresStore::begin_identity_session(AccountId account, std::string_view issuer, std::string_view subject,
                                                          const NewSession& session, const Actor& actor) {
  return pool_->run(Mode::Write, "beginning a session", [&](Db& db) -> Result<SessionInfo> {
    if (db.number(
            "SELECT 1 FROM account a JOIN account_identity i ON i.account_id = a.account_id WHERE a.account_id = $1 AND a.enabled AND "
            "i.issuer = $2 AND i.subject = $3 FOR NO KEY UPDATE OF a",
            {account, issuer, subject}) == 0)
      return fail(Errc::Unauthorized, "the account is disabled or has another identity now");
    const auto owner = need_account(db, account);
    return insert_session(db, owner, session, actor);
  });
}

}  // namespace rosterd
