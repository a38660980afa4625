#include <nlohmann/json.hpp>

#include "schema/core/text.hpp"
#include "schema/postgres/grants.hpp"
#include "schema/postgres/people.hpp"
#include "schema/postgres/postgres_store.hpp"
#include "schema/postgres/rows.hpp"

// Invitations: made by somebody of the tenant, accepted by the person whose e-mail they name.

namespace rosterd {

using namespace postgres;

namespace {

using nlohmann::json;

constexpr std::string_view kColumns =
    "i.invitation_id, i.email, i.roles, i.groups, micros(i.created_at), i.created_by, micros(i.expires_at), micros(i.accepted_at), "
    "(i.expires_at <= now())::int";

std::string roles_text(const std::vector<InvitedRole>& roles) {
  auto out = json::array();
  for (const auto& one : roles) out.push_back({{"role", one.role.value}, {"namespace", one.ns ? json(*one.ns) : json(nullptr)}});
  return out.dump();
}

std::vector<InvitedRole> parse_roles(const std::string& text) {
  std::vector<InvitedRole> out;
  const auto list = json::parse(text);
  for (const auto& one : list) {
    InvitedRole role;
    role.role = RoleId{one.at("role").get<std::uint64_t>()};
    if (one.at("namespace").is_string()) role.ns = one.at("namespace").get<std::string>();
    out.push_back(std::move(role));
  }
  return out;
}

std::string groups_text(const std::vector<PrincipalId>& groups) {
  auto out = json::array();
  for (const auto group : groups) out.push_back(group.value);
  return out.dump();
}

std::vector<PrincipalId> parse_groups(const std::string& text) {
  std::vector<PrincipalId> out;
  const auto list = json::parse(text);
  for (const auto& one : list) out.push_back(PrincipalId{one.get<std::uint64_t>()});
  return out;
}

Invitation read_invitation(Row& row) {
  Invitation out;
  out.id = row.id<InvitationId>();
  out.email = row.text();
  out.roles = parse_roles(row.text());
  out.groups = parse_groups(row.text());
  out.created_at = row.time();
  out.created_by = row.text();
  out.expires_at = row.time();
  out.accepted_at = row.maybe_time();
  const bool expired = row.flag();
  out.state = out.accepted_at ? InvitationState::Accepted : expired ? InvitationState::Expired : InvitationState::Pending;
  return out;
}

std::optional<Invitation> find_invitation(Tenancy& inside, InvitationId id) {
  return inside.db.first(fmt::format("SELECT {} FROM invitation i WHERE i.tenant_id = $1 AND i.invitation_id = $2", kColumns),
                         {inside.number, id}, read_invitation);
}

Invitation need_invitation(Tenancy& inside, std::string_view key) {
  const auto id = parse_invitation_id(key);
  auto found = id ? find_invitation(inside, *id) : std::nullopt;
  if (!found) abort_with("", Errc::NotFound, "no invitation {}", key);
  return std::move(*found);
}

json audited(const Invitation& one) {
  auto roles = json::array(), groups = json::array();
  for (const auto& role : one.roles) roles.push_back({{"role", text(role.role)}, {"namespace", role.ns ? json(*role.ns) : json(nullptr)}});
  for (const auto group : one.groups) groups.push_back(text(PrincipalType::Group, group));
  return {{"email", one.email}, {"roles", std::move(roles)}, {"groups", std::move(groups)}, {"expires_at", rfc3339(one.expires_at)}};
}

Tenancy::Event event_of(std::string_view action, const Invitation& one, std::optional<std::string> before, std::optional<std::string> after,
                        const Revision& revision) {
  return {.action = action,
          .object_type = "invitation",
          .object_id = text(one.id),
          .object_name = one.email,
          .before = std::move(before),
          .after = std::move(after),
          .run = {},
          .revision = revision};
}

/// What it gives, as bindings and memberships would (R79). Throws Abort for a role, group or namespace that is not there.
std::vector<RoleAt> given_by(Tenancy& inside, Grants& grants, const std::vector<InvitedRole>& roles,
                             const std::vector<PrincipalId>& groups) {
  std::vector<RoleAt> out;
  for (const auto& one : roles) {
    const auto role = inside.db.first(fmt::format("SELECT {} FROM role WHERE tenant_id = $1 AND role_id = $2", kRoleColumns),
                                      {inside.number, one.role}, read_role);
    if (!role) abort_with("unknown_role", Errc::InvalidInput, "roles: no role {}", text(one.role));
    if (one.ns && !is_namespace(*one.ns)) abort_with("invalid_namespace", Errc::InvalidInput, "roles: '{}' is no namespace", *one.ns);
    out.push_back({.role = *role, .ns = one.ns});
  }
  for (const auto group : groups) {
    if (!exists(inside, {PrincipalType::Group, group}))
      abort_with("unknown_principal", Errc::InvalidInput, "groups: no group {}", text(PrincipalType::Group, group));
    const auto gives = grants.of(group);
    out.insert(out.end(), gives.begin(), gives.end());
  }
  return out;
}

bool is_linked(Tenancy& inside, AccountId account) {
  return inside.db.number("SELECT 1 FROM tenant_user WHERE tenant_id = $1 AND account_id = $2", {inside.number, account}) != 0;
}

void need_new(Tenancy& inside, const std::string& email) {
  if (inside.db.number("SELECT 1 FROM invitation WHERE tenant_id = $1 AND email = $2 AND accepted_at IS NULL AND expires_at > now()",
                       {inside.number, email}) != 0)
    abort_with("already_invited", Errc::Conflict, "an invitation of {} is pending", email);
  const auto account =
      inside.db.first("SELECT account_id FROM account WHERE email = $1", {email}, [](Row& row) { return row.id<AccountId>(); });
  if (account && is_linked(inside, *account)) abort_with("already_invited", Errc::Conflict, "{} is somebody in this tenant already", email);
}

// ---- accepting --------------------------------------------------------------------------------------------------------------------

struct Inviter {
  AccountId account;
  std::optional<PrincipalId> service_account;
  std::optional<PrincipalId> user;  ///< who signed in through the tenant's issuer
};

/// Whether whoever invited is still somebody in the tenant.
bool is_there(Tenancy& inside, const Inviter& inviter) {
  if (inviter.service_account)
    return inside.db.number("SELECT 1 FROM service_account WHERE tenant_id = $1 AND id = $2 AND enabled",
                            {inside.number, *inviter.service_account}) != 0;
  if (inviter.user)
    return inside.db.number("SELECT 1 FROM tenant_user WHERE tenant_id = $1 AND id = $2 AND leaving = 0 AND NOT admin_suspended",
                            {inside.number, *inviter.user}) != 0;
  return inside.db.number(
             "SELECT 1 FROM account a WHERE a.account_id = $2 AND a.enabled AND (a.super_admin OR EXISTS (SELECT 1 FROM tenant_user u "
             "WHERE u.tenant_id = $1 AND u.account_id = a.account_id AND u.leaving = 0 AND NOT u.admin_suspended))",
             {inside.number, inviter.account}) != 0;
}

[[noreturn]] void stale(std::string_view why) {
  abort_with("invitation_stale", Errc::Conflict, "the invitation does not hold any more: {}", why);
}

/// The rights of whoever invited, as they are now: that they were enough once is not enough (R79).
void judge_again(Tenancy& inside, const GrantJudge& judge, const Invitation& one) {
  Inviter inviter;
  inside.db.each(
      "SELECT inviter_account, inviter_service_account, inviter_user FROM invitation WHERE tenant_id = $1 AND invitation_id = $2",
      {inside.number, one.id}, [&](Row& row) {
        inviter.account = row.id<AccountId>();
        inviter.service_account = row.maybe_id<PrincipalId>();
        inviter.user = row.maybe_id<PrincipalId>();
      });
  if (!is_there(inside, inviter)) stale("whoever made it is gone");
  const Actor author{
      .account = inviter.account, .by = {}, .ip = {}, .request_id = {}, .service_account = inviter.service_account, .user = inviter.user};
  Grants grants(inside, author, judge);
  try {
    grants.judge(given_by(inside, grants, one.roles, one.groups));
  } catch (const Abort& abort) {
    if (abort.error.code == Errc::Internal || abort.error.code == Errc::Unavailable) throw;
    stale(abort.error.slug == "escalation" ? "whoever made it may not give that any more" : abort.error.what);
  }
}

/// The tenant and the invitation behind a link. NotFound for one that leads nowhere (R94).
struct Place {
  int number = 0;
  TenantId tenant;
  bool enabled = true;
  InvitationId id;
};
Place place_of(Db& db, std::string_view hash) {
  const auto found =
      db.first("SELECT tenant_id, tenant, enabled, invitation_id FROM door_invitation(decode($1, 'hex'))", {hex_text(hash)}, [](Row& row) {
        Place out;
        out.number = static_cast<int>(row.number());
        out.tenant = TenantId{row.text()};
        out.enabled = row.flag();
        out.id = row.id<InvitationId>();
        return out;
      });
  if (!found) abort_with("", Errc::NotFound, "there is no such invitation, or none any more");
  return *found;
}

Account accepting_account(Db& db, const Invitation& one, const Accepting& who) {
  if (const auto* made = std::get_if<NewAccount>(&who)) {
    auto account = *made;
    account.email = one.email;
    return insert_account(db, account);
  }
  auto account = need_account(db, std::get<AccountId>(who), "FOR KEY SHARE");
  if (account.email != one.email) abort_with("", Errc::Forbidden, "the invitation is for another e-mail address");
  return account;
}

struct Joined {
  User user;
  std::vector<MadeBinding> bindings;
};
Joined join(Tenancy& inside, const Invitation& one, const Account& account, const Actor& inviter) {
  Joined out{.user = insert_user_of(inside, account), .bindings = {}};
  const Principal who{PrincipalType::User, out.user.id};
  for (const auto group : one.groups) insert_edge(inside, group, who);
  for (const auto& role : one.roles)
    out.bindings.push_back(insert_binding(inside, {.role = role.role, .principal = who, .ns = role.ns, .expires_at = {}}, inviter));
  return out;
}

}  // namespace

Result<Page<Invitation>> PostgresStore::invitations(const TenantId& tenant, const PageRequest& page) {
  return in_tenant(*pool_, Mode::Read, tenant, "listing invitations", [&](Tenancy& inside) -> Result<Page<Invitation>> {
    const auto limit = page_limit(page);
    const auto place = parse_cursor(page.cursor);
    Page<Invitation> out;
    static constexpr std::string_view kList =
        "SELECT {} FROM invitation i WHERE i.tenant_id = $1 AND i.invitation_id > $2 AND starts_with(i.email, $3) ORDER BY i.invitation_id "
        "LIMIT $4";
    inside.db.each(fmt::format(kList, kColumns), {inside.number, place.id, fold(page.query), limit + 1},
                   [&](Row& row) { out.items.push_back(read_invitation(row)); });
    if (out.items.size() > limit) {
      out.items.resize(limit);
      out.next = cursor_text("", out.items.back().id.value);
    }
    return out;
  });
}

Result<Invitation> PostgresStore::invitation(const TenantId& tenant, std::string_view id) {
  return in_tenant(*pool_, Mode::Read, tenant, "reading an invitation",
                   [&](Tenancy& inside) -> Result<Invitation> { return need_invitation(inside, id); });
}

Result<Written<Invitation>> PostgresStore::invite(const TenantId& tenant, const NewInvitation& made, const Actor& actor) {
  return administer(*pool_, judge_, tenant, actor, "inviting", [&](Tenancy& inside, Grants& grants) -> Result<Written<Invitation>> {
    const auto email = fold(made.email);
    if (!is_email(email)) return fail(Errc::InvalidInput, "email: '{}' is not an e-mail address", made.email);
    if (made.expires_at && inside.db.number("SELECT ($1::timestamptz <= now())::int", {*made.expires_at}) != 0)
      return fail_as("expires_in_past", Errc::InvalidInput, "expires_at: must lie in the future");
    need_new(inside, email);
    grants.judge(given_by(inside, grants, made.roles, made.groups));
    static constexpr std::string_view kInsert =
        "INSERT INTO invitation AS i (tenant_id, email, roles, groups, hash, inviter_account, inviter_service_account, inviter_user, "
        "created_by, expires_at) "
        "VALUES ($1, $2, $3, $4, decode($5, 'hex'), $6, $7, $8, $9, coalesce($10, now() + interval '7 days')) RETURNING {}";
    auto one = *inside.db.first(
        fmt::format(kInsert, kColumns),
        {inside.number, email, roles_text(made.roles), groups_text(made.groups), hex_text(made.hash), actor.account,
         actor.service_account.value_or(PrincipalId{}), actor.user.value_or(PrincipalId{}), author_text(actor), made.expires_at},
        read_invitation);
    const auto revision = inside.bump();
    inside.audit(actor, event_of("created", one, {}, audit_text(audited(one)), revision));
    return Written<Invitation>{.value = std::move(one), .revision = revision};
  });
}

Result<Revision> PostgresStore::delete_invitation(const TenantId& tenant, std::string_view id, const Actor& actor) {
  return administer(*pool_, judge_, tenant, actor, "revoking an invitation", [&](Tenancy& inside, Grants&) -> Result<Revision> {
    const auto one = need_invitation(inside, id);
    inside.db.run("DELETE FROM invitation WHERE tenant_id = $1 AND invitation_id = $2", {inside.number, one.id});
    const auto revision = inside.bump();
    inside.audit(actor, event_of("deleted", one, audit_text(audited(one)), {}, revision));
    return revision;
  });
}

Result<std::string> PostgresStore::invited_email(std::string_view hash) {
  return pool_->run(Mode::Read, "reading an invitation", [&](Db& db) -> Result<std::string> {
    const auto place = place_of(db, hash);
    auto inside = enter_number(db, place.number, place.tenant, place.enabled);
    auto one = find_invitation(inside, place.id);
    if (!one) return fail(Errc::NotFound, "there is no such invitation, or none any more");
    return std::move(one->email);
  });
}

Result<AcceptedInvitation> PostgresStore::accept_invitation(std::string_view hash, const Accepting& who, const Actor& actor) {
  return pool_->run(Mode::Write, "accepting an invitation", [&](Db& db) -> Result<AcceptedInvitation> {
    const auto place = place_of(db, hash);
    auto inside = enter_number(db, place.number, place.tenant, place.enabled);
    inside.lock();
    const auto one = find_invitation(inside, place.id);
    if (!one) return fail(Errc::NotFound, "there is no such invitation, or none any more");
    if (one->state == InvitationState::Accepted) stale("it has been accepted already");
    if (one->state == InvitationState::Expired) stale("it has expired");
    if (!inside.enabled) stale("the tenant is disabled");
    judge_again(inside, judge_, *one);
    const bool is_new = std::holds_alternative<NewAccount>(who);
    AcceptedInvitation out{.tenant = place.tenant, .user = {}, .account = accepting_account(db, *one, who), .revision = {}};
    if (is_linked(inside, out.account.id))
      return fail_as("already_invited", Errc::Conflict, "{} is somebody in this tenant already", out.account.email);
    auto author = actor;
    author.account = out.account.id;
    author.by = actor.by.empty() ? "invitation " + text(one->id) : actor.by;
    const auto joined = join(inside, *one, out.account, {.account = {}, .by = one->created_by, .ip = {}, .request_id = {}});
    out.user = joined.user;
    db.run("UPDATE invitation SET accepted_at = now(), accepted_by = $3 WHERE tenant_id = $1 AND invitation_id = $2",
           {inside.number, one->id, out.account.id});
    out.revision = inside.bump();
    audit_made(inside, author, joined.user, out.revision);
    for (const auto group : one->groups) audit_edge_made(inside, author, group, {PrincipalType::User, joined.user.id}, out.revision);
    for (const auto& binding : joined.bindings) audit_made(inside, author, binding, out.revision);
    inside.audit(author, event_of("accepted", *one, {}, audit_text({{"user", text(PrincipalType::User, joined.user.id)}}), out.revision));
    if (is_new) audit_instance(db, author, account_event("created", out.account, {}, audit_text(account_json(out.account))));
    return out;
  });
}

}  // namespace rosterd
