#include <nlohmann/json.hpp>

#include "schema/core/text.hpp"
#include "schema/postgres/grants.hpp"
#include "schema/postgres/people.hpp"
#include "schema/postgres/postgres_store.hpp"
#include "schema/postgres/rows.hpp"

// Local users, suspension by an administrator, and links between users and accounts.

namespace rosterd {

using namespace postgres;

namespace {

using nlohmann::json;

json audited(const User& user) {
  return {{"username", user.username},
          {"email", user.email ? json(*user.email) : json(nullptr)},
          {"first_name", user.first_name},
          {"last_name", user.last_name},
          {"suspended", user.admin_suspended}};
}

User need_user(Tenancy& inside, PrincipalId id) {
  auto found = inside.db.first(fmt::format("SELECT {} FROM tenant_user u WHERE u.tenant_id = $1 AND u.id = $2", kUserColumns),
                               {inside.number, id}, read_user);
  if (!found) abort_with("", Errc::NotFound, "no user {}", text(PrincipalType::User, id));
  return std::move(*found);
}

void need_local(const User& user, std::string_view doing) {
  if (user.source)
    abort_with("owned_by_source", Errc::Conflict, "user {} comes from source {}, and {} is done there", text(PrincipalType::User, user.id),
               text(*user.source), doing);
}

Tenancy::Event event_of(std::string_view action, const User& user, std::optional<std::string> before, std::optional<std::string> after,
                        const Revision& revision) {
  return {.action = action,
          .object_type = "user",
          .object_id = text(PrincipalType::User, user.id),
          .object_name = user.username,
          .before = std::move(before),
          .after = std::move(after),
          .run = {},
          .revision = revision};
}

/// The account a link names, and that it is free in this tenant (R5).
Account need_free_account(Tenancy& inside, std::string_view key) {
  const auto id = parse_account_id(key);
  // KEY SHARE: it cannot be deleted before this link is there to be taken away with it.
  const auto found = id ? inside.db.first(fmt::format("SELECT {} FROM account a WHERE a.account_id = $1 FOR KEY SHARE", kAccountColumns),
                                          {*id}, read_account)
                        : inside.db.first(fmt::format("SELECT {} FROM account a WHERE a.email = $1 FOR KEY SHARE", kAccountColumns),
                                          {fold(key)}, read_account);
  if (!found) abort_with("unknown_account", Errc::InvalidInput, "account: no account {}", key);
  const auto taken = inside.db.first("SELECT id FROM tenant_user WHERE tenant_id = $1 AND account_id = $2", {inside.number, found->id},
                                     [](Row& row) { return row.id<PrincipalId>(); });
  if (taken)
    abort_with("already_linked", Errc::Conflict, "the account is linked to user {} of this tenant already",
               text(PrincipalType::User, *taken));
  return *found;
}

}  // namespace

namespace postgres {

User insert_user(Tenancy& inside, const UserRecord& user, AccountId linked) {
  need_text("username", user.username);
  if (user.email && !is_email(*user.email)) abort_with("", Errc::InvalidInput, "email: '{}' is not an e-mail address", *user.email);
  static constexpr std::string_view kInsert =
      "INSERT INTO tenant_user AS u (tenant_id, id, username, email, first_name, last_name, account_id) "
      "VALUES ($1, door_reserve_ids(1), $2, $3, $4, $5, $6) ON CONFLICT (tenant_id, username) WHERE source_id = 0 DO NOTHING RETURNING {}";
  const auto email = user.email ? std::optional(fold(*user.email)) : std::nullopt;
  auto made = inside.db.first(fmt::format(kInsert, kUserColumns),
                              {inside.number, fold(user.username), email, user.first_name, user.last_name, or_null(linked)}, read_user);
  if (!made) abort_with("name_taken", Errc::Conflict, "there is a local user {} already", fold(user.username));
  return std::move(*made);
}

User insert_user_of(Tenancy& inside, const Account& account) {
  UserRecord record;
  record.username = account.email;
  record.email = account.email;
  record.first_name = account.first_name;
  record.last_name = account.last_name;
  return insert_user(inside, record, account.id);
}

void audit_made(Tenancy& inside, const Actor& actor, const User& user, const Revision& revision) {
  auto after = audited(user);
  if (user.account) after["account"] = text(*user.account);
  inside.audit(actor, event_of("created", user, {}, audit_text(after), revision));
}

}  // namespace postgres

Result<Written<User>> PostgresStore::create_user(const TenantId& tenant, const UserRecord& user, const Actor& actor) {
  return administer(*pool_, judge_, tenant, actor, "creating a user", [&](Tenancy& inside, Grants&) -> Result<Written<User>> {
    auto made = insert_user(inside, user, {});
    const auto revision = inside.bump();
    audit_made(inside, actor, made, revision);
    return Written<User>{.value = std::move(made), .revision = revision};
  });
}

Result<Written<User>> PostgresStore::create_user_of(const TenantId& tenant, std::string_view account, const Actor& actor) {
  return administer(*pool_, judge_, tenant, actor, "creating a user", [&](Tenancy& inside, Grants&) -> Result<Written<User>> {
    auto made = insert_user_of(inside, need_free_account(inside, account));
    const auto revision = inside.bump();
    audit_made(inside, actor, made, revision);
    return Written<User>{.value = std::move(made), .revision = revision};
  });
}

Result<Written<User>> PostgresStore::change_user(const TenantId& tenant, PrincipalId user, const Edit<User>& edit, bool force,
                                                 const Actor& actor) {
  return administer(*pool_, judge_, tenant, actor, "changing a user", [&](Tenancy& inside, Grants& grants) -> Result<Written<User>> {
    const auto now = need_user(inside, user);
    auto edited = edit(now);
    if (!edited) return fail(edited.error());
    auto& next = *edited;
    next.username = fold(next.username);
    if (next.email) next.email = fold(*next.email);
    if (audited(next) == audited(now)) return Written<User>{.value = now, .revision = inside.revision()};
    const bool attributes = std::tie(next.username, next.email, next.first_name, next.last_name) !=
                            std::tie(now.username, now.email, now.first_name, now.last_name);
    if (attributes) {
      need_local(now, "changing it");
      need_text("username", next.username);
      if (next.email && !is_email(*next.email)) abort_with("", Errc::InvalidInput, "email: '{}' is not an e-mail address", *next.email);
      if (next.username != now.username &&
          inside.db.number("SELECT 1 FROM tenant_user WHERE tenant_id = $1 AND source_id = 0 AND username = $2",
                           {inside.number, next.username}) != 0)
        return fail_as("name_taken", Errc::Conflict, "there is a local user {} already", next.username);
    }
    LastAdmin admin(inside);
    // The source's mark and its reason are its own (R8).
    inside.db.run(
        "UPDATE tenant_user SET username = $3, email = $4, first_name = $5, last_name = $6, admin_suspended = $7, "
        "state_reason = CASE WHEN leaving <> 0 THEN state_reason WHEN $7 THEN 'suspended by an administrator' ELSE '' END "
        "WHERE tenant_id = $1 AND id = $2",
        {inside.number, user, next.username, next.email, next.first_name, next.last_name, next.admin_suspended});
    admin.stays(grants, force, actor);
    auto after = need_user(inside, user);
    const auto revision = inside.bump();
    const bool marked = next.admin_suspended != now.admin_suspended;
    inside.audit(actor, event_of(attributes || !marked  ? "changed"
                                 : next.admin_suspended ? "suspended"
                                                        : "resumed",
                                 after, audit_text(audited(now)), audit_text(audited(after)), revision));
    return Written<User>{.value = std::move(after), .revision = revision};
  });
}

Result<Revision> PostgresStore::delete_user(const TenantId& tenant, PrincipalId user, const Condition<User>& only_if, bool force,
                                            const Actor& actor) {
  return administer(*pool_, judge_, tenant, actor, "deleting a user", [&](Tenancy& inside, Grants& grants) -> Result<Revision> {
    const auto now = need_user(inside, user);
    if (only_if)
      if (const auto good = only_if(now); !good) return fail(good.error());
    need_local(now, "deleting it");
    LastAdmin admin(inside);
    // Edges of sources are between what they own, which a local user is not.
    inside.db.run("DELETE FROM membership WHERE tenant_id = $1 AND member_id = $2 AND source_id = 0", {inside.number, user});
    const auto bindings = inside.db.run("DELETE FROM binding WHERE tenant_id = $1 AND principal_id = $2", {inside.number, user});
    inside.db.run("DELETE FROM tenant_user WHERE tenant_id = $1 AND id = $2", {inside.number, user});
    admin.stays(grants, force, actor);
    auto before = audited(now);
    before["bindings"] = bindings;
    const auto revision = inside.bump();
    inside.audit(actor, event_of("deleted", now, audit_text(before), {}, revision));
    return revision;
  });
}

Result<Written<User>> PostgresStore::link_account(const TenantId& tenant, PrincipalId user, std::string_view account, const Actor& actor) {
  return administer(*pool_, judge_, tenant, actor, "linking an account", [&](Tenancy& inside, Grants& grants) -> Result<Written<User>> {
    const auto now = need_user(inside, user);
    if (now.account) {
      const auto same = inside.db.number("SELECT 1 FROM account WHERE account_id = $1 AND (email = $2 OR $3 = $4)",
                                         {*now.account, fold(account), account, text(*now.account)});
      if (same != 0) return Written<User>{.value = now, .revision = inside.revision()};
      return fail_as("already_linked", Errc::Conflict, "the user is linked to account {} already", text(*now.account));
    }
    const auto owner = need_free_account(inside, account);
    grants.judge(grants.of(user));
    inside.db.run("UPDATE tenant_user SET account_id = $3 WHERE tenant_id = $1 AND id = $2", {inside.number, user, owner.id});
    auto after = need_user(inside, user);
    const auto revision = inside.bump();
    inside.audit(actor, event_of("account_linked", after, {}, audit_text({{"account", text(owner.id)}}), revision));
    return Written<User>{.value = std::move(after), .revision = revision};
  });
}

Result<Revision> PostgresStore::unlink_account(const TenantId& tenant, PrincipalId user, const Actor& actor) {
  return administer(*pool_, judge_, tenant, actor, "unlinking an account", [&](Tenancy& inside, Grants&) -> Result<Revision> {
    const auto now = need_user(inside, user);
    if (!now.account) return inside.revision();
    inside.db.run("UPDATE tenant_user SET account_id = NULL WHERE tenant_id = $1 AND id = $2", {inside.number, user});
    const auto revision = inside.bump();
    inside.audit(actor, event_of("account_unlinked", now, audit_text({{"account", text(*now.account)}}), {}, revision));
    return revision;
  });
}

}  // namespace rosterd
