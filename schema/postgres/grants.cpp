#include "schema/postgres/grants.hpp"

#include <nlohmann/json.hpp>

#include "schema/core/log.hpp"
#include "schema/core/text.hpp"
#include "schema/postgres/admin_guard.hpp"

namespace rosterd::postgres {

bool Grants::is_exempt() {
  if (exempt_) return *exempt_;
  if (actor_.service_account || actor_.user) {
    exempt_ = false;
  } else if (!actor_.account) {
    exempt_ = true;
  } else {
    // FOR SHARE: whoever takes the flag away waits for this change or is seen by it.
    exempt_ =
        inside_.db.number("SELECT (super_admin AND enabled)::int FROM account WHERE account_id = $1 FOR SHARE", {actor_.account}) != 0;
  }
  return *exempt_;
}

std::optional<PrincipalId> Grants::author() {
  const auto id = [](Row& row) { return row.id<PrincipalId>(); };
  if (actor_.service_account)
    return inside_.db.first("SELECT id FROM service_account WHERE tenant_id = $1 AND id = $2 AND enabled",
                            {inside_.number, *actor_.service_account}, id);
  if (actor_.user)
    return inside_.db.first("SELECT id FROM tenant_user WHERE tenant_id = $1 AND id = $2 AND leaving = 0 AND NOT admin_suspended",
                            {inside_.number, *actor_.user}, id);
  return inside_.db.first("SELECT id FROM tenant_user WHERE tenant_id = $1 AND account_id = $2 AND leaving = 0 AND NOT admin_suspended",
                          {inside_.number, actor_.account}, id);
}

std::vector<RoleAt> Grants::reached(PrincipalId from, bool only_active) {
  // Two steps, since only nesting has an index by member (0011): first the groups of the principal, then up from group to group. UNION ends
  // loops. A suspended group gives nobody anything now (R9), but what is added to it would hold once it is back.
  static constexpr std::string_view kReached =
      "WITH RECURSIVE direct (id) AS MATERIALIZED ("
      "  SELECT m.group_id FROM membership m JOIN tenant_group g ON g.tenant_id = $1 AND g.id = m.group_id AND (g.leaving = 0 OR NOT "
      "$3::boolean)"
      "  WHERE m.tenant_id = $1 AND m.member_id = $2"
      "), above (id) AS ("
      "  SELECT id FROM direct UNION"
      "  SELECT m.group_id FROM above a JOIN membership m ON m.tenant_id = $1 AND m.member_id = a.id AND m.member_type = 2"
      "  JOIN tenant_group g ON g.tenant_id = $1 AND g.id = m.group_id AND (g.leaving = 0 OR NOT $3::boolean)"
      ") SELECT DISTINCT r.role_id, r.name, r.admin::int, r.permissions, b.ns FROM (SELECT $2::bigint AS id UNION SELECT id FROM above) p"
      "  JOIN binding b ON b.tenant_id = $1 AND b.principal_id = p.id AND (b.expires_at IS NULL OR b.expires_at > now())"
      "  JOIN role r ON r.tenant_id = $1 AND r.role_id = b.role_id";
  std::vector<RoleAt> out;
  inside_.db.each(kReached, {inside_.number, from, only_active}, [&](Row& row) {
    RoleAt one;
    one.role.id = row.id<RoleId>();
    one.role.name = row.text();
    one.role.admin = row.flag();
    one.role.permissions = row.text();
    one.ns = row.maybe_text();
    out.push_back(std::move(one));
  });
  return out;
}

std::vector<RoleAt> Grants::of(PrincipalId principal) { return reached(principal, false); }

void Grants::look() {
  if (held_ || is_exempt()) return;
  const auto who = author();
  held_ = who ? reached(*who, true) : std::vector<RoleAt>();
}

void Grants::judge(std::vector<RoleAt> wanted, std::vector<RoleAt> had) {
  if (wanted.empty() || is_exempt()) return;
  if (!judge_) abort_with("", Errc::Internal, "the store was opened without a judge of what may be granted");
  Granting question{.held = {}, .wanted = std::move(wanted), .had = std::move(had)};
  look();
  question.held = *held_;
  if (const auto good = judge_(question); !good) throw Abort{good.error()};
}

LastAdmin::LastAdmin(Tenancy& inside) : inside_(inside), before_(has_active_admin(inside)) {}

void LastAdmin::stays(Grants& grants, bool forced, const Actor& actor) {
  if (forced && !grants.is_exempt()) abort_with("", Errc::Forbidden, "only a super admin may force this");
  const auto kept = keep_an_admin(inside_, before_);
  if (kept) return;
  if (!forced) throw Abort{kept.error()};
  inside_.audit(actor, {.action = "forced",
                        .object_type = "tenant",
                        .object_id = inside_.id.value,
                        .object_name = {},
                        .before = {},
                        .after = audit_text({{"left_without", "Admin"}}),
                        .run = {},
                        .revision = {}});
}

std::string audit_text(const nlohmann::json& object) { return object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace); }

std::string author_text(const Actor& actor) {
  if (actor.service_account) return text(PrincipalType::ServiceAccount, *actor.service_account);
  if (actor.user) return text(PrincipalType::User, *actor.user);
  return actor.account ? text(actor.account) : actor.by;
}

void need_text(std::string_view field, std::string_view value) {
  if (value.empty() || value.size() > 255) abort_with("", Errc::InvalidInput, "{}: must have 1 to 255 characters", field);
  if (!is_utf8(value) || has_control_characters(value))
    abort_with("", Errc::InvalidInput, "{}: holds characters that no name may hold", field);
}

void need_description(std::string_view description) {
  if (description.size() > 1024 || !is_utf8(description) || has_control_characters(description))
    abort_with("", Errc::InvalidInput, "description: must have at most 1024 bytes of text without control characters");
}

bool exists(Tenancy& inside, const Principal& principal) {
  const char* table = principal.type == PrincipalType::User    ? "tenant_user"
                      : principal.type == PrincipalType::Group ? "tenant_group"
                                                               : "service_account";
  return inside.db.number(fmt::format("SELECT 1 FROM {} WHERE tenant_id = $1 AND id = $2", table), {inside.number, principal.id}) != 0;
}

void note_refusal(Pool& pool, const TenantId& tenant, const Actor& actor, std::string_view doing, const Error& why) {
  const auto noted = in_tenant(pool, Mode::Write, tenant, "noting a refused escalation", [&](Tenancy& inside) -> Result<void> {
    inside.audit(actor, {.action = "escalation_refused",
                         .object_type = "tenant",
                         .object_id = tenant.value,
                         .object_name = {},
                         .before = {},
                         .after = audit_text({{"while", doing}, {"why", why.what}}),
                         .run = {},
                         .revision = {}});
    return {};
  });
  // The refusal stands in any case; that the audit log lacks it must be known somewhere.
  if (!noted)
    log::error("audit.refusal_lost",
               {{"tenant", tenant.value}, {"actor", author_text(actor)}, {"why", why.what}, {"error", noted.error().what}});
}

}  // namespace rosterd::postgres
