#include "rbac/reference.hpp"

#include <algorithm>
#include <set>

namespace rosterd::rbac {
namespace {

/// The principal and every active group that contains it, at any depth (R33, R42, R9).
void gather(const Facts& facts, PrincipalId id, std::set<PrincipalId>& found) {
  std::vector<PrincipalId> open{id};
  while (!open.empty()) {
    const auto one = open.back();
    open.pop_back();
    if (!found.insert(one).second) continue;
    for (const auto group : facts.groups_of(one))
      if (const auto who = facts.who(group); who && who->active) open.push_back(group);
  }
}

/// R28 said with segments: the binding's path is a beginning of the asked one, segment by segment.
bool is_covered(std::string_view bound, std::string_view asked) {
  return asked.starts_with(bound) && (asked.size() == bound.size() || asked[bound.size()] == '.');
}

}  // namespace

Decision reference(const Facts& facts, const Catalogue& catalogue, PrincipalId principal, const Question& q) {
  if (!facts.tenant_enabled()) return {false, Reason::DeniedTenantDisabled};
  const auto permissions = catalogue.permissions();
  const auto permission = std::find_if(permissions.begin(), permissions.end(), [&](const Permission& p) { return p.name == q.permission; });
  if (permission == permissions.end()) return {false, Reason::DeniedUnknownPermission};
  if (std::find(permission->actions.begin(), permission->actions.end(), q.action) == permission->actions.end())
    return {false, Reason::DeniedUnknownAction};
  const auto who = facts.who(principal);
  if (!who) return {false, Reason::DeniedUnknownSubject};
  if (!who->active) switch (who->type) {
      case PrincipalType::User:
        return {false, Reason::DeniedUserSuspended};
      case PrincipalType::Group:
        return {false, Reason::DeniedGroupSuspended};
      case PrincipalType::ServiceAccount:
        return {false, Reason::DeniedServiceAccountDisabled};
    }
  if (who->super_admin && permission->iam) return {true, Reason::AllowedSuperAdmin};

  std::set<PrincipalId> holders;
  gather(facts, principal, holders);
  bool admin = false, other = false, pair_somewhere = false, permission_somewhere = false;
  for (const auto holder : holders)
    for (const auto& held : facts.bindings_of(holder)) {
      if (held.expires && *held.expires <= q.at) continue;
      const auto names = [&](std::string_view action) { return held.admin || facts.names(held.role, *permission, action); };  // R22
      for (const auto& any : permission->actions) permission_somewhere = permission_somewhere || names(any);
      if (!names(q.action)) continue;
      pair_somewhere = true;
      if (held.ns) {
        if (permission->scope == Scope::Tenant) continue;     // R30
        if (!q.ns || !is_covered(*held.ns, *q.ns)) continue;  // R28, R31
      }
      (held.admin ? admin : other) = true;
    }
  if (admin) return {true, Reason::AllowedAdminRole};
  if (other) return {true, Reason::AllowedBinding};
  if (pair_somewhere) return {false, Reason::DeniedWrongNamespace};
  if (permission_somewhere) return {false, Reason::DeniedActionMissing};
  return {false, Reason::DeniedNoBinding};
}

}  // namespace rosterd::rbac
