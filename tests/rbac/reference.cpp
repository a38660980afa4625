#include "tests/rbac/reference.hpp"

#include <algorithm>

#include "schema/core/text.hpp"

namespace rosterd::rbac {

std::optional<Principal> World::principal(std::uint64_t id) const {
  for (const auto& user : users)
    if (user.id == id) return Principal{PrincipalType::User, {id}};
  for (const auto& group : groups)
    if (group.id == id) return Principal{PrincipalType::Group, {id}};
  for (const auto& account : service_accounts)
    if (account.id == id) return Principal{PrincipalType::ServiceAccount, {id}};
  return std::nullopt;
}

void feed(const World& world, AuthorizationSink& sink) {
  sink.begin({.epoch = 1, .number = 7}, world.enabled, world.users.size(), world.groups.size(), world.edges.size());
  for (const auto& user : world.users) sink.user({user.id}, fold(user.username), fold(user.email), user.active, user.super_admin);
  for (const auto& group : world.groups) sink.group({group.id}, fold(group.name), group.name, group.active);
  for (const auto& account : world.service_accounts) sink.service_account({account.id}, account.name, account.enabled);
  for (const auto& edge : world.edges) sink.edge({edge.group}, {edge.member});
  for (const auto& role : world.roles) {
    std::string json;
    for (const auto& [permission, actions] : role.permissions)
      json += fmt::format(R"({}"{}":["{}"])", json.empty() ? "" : ",", permission, fmt::join(actions, R"(",")"));
    sink.role({.id = {role.id},
               .name = role.name,
               .description = {},
               .managed = false,
               .admin = role.admin,
               .permissions = role.admin ? "" : "{" + json + "}"});
  }
  for (const auto& binding : world.bindings) {
    const auto principal = world.principal(binding.principal).value_or(Principal{PrincipalType::User, {binding.principal}});
    sink.binding({.id = {binding.id},
                  .role = {binding.role},
                  .principal = principal,
                  .ns = binding.ns,
                  .expires_at = binding.expires,
                  .source = {},
                  .created_at = {},
                  .created_by = {}});
  }
}

World shuffled(World world, std::mt19937& random) {
  const auto mix = [&](auto& rows) { std::shuffle(rows.begin(), rows.end(), random); };
  mix(world.users), mix(world.groups), mix(world.service_accounts), mix(world.edges), mix(world.roles), mix(world.bindings);
  return world;
}

std::shared_ptr<const Snapshot> compile(const World& world, TimePoint as_of, std::shared_ptr<const Catalogue> catalogue) {
  const auto builder = make_builder(std::move(catalogue), as_of);
  feed(world, *builder);
  auto snapshot = builder->finish();
  if (!snapshot) throw std::runtime_error(snapshot.error().what);
  return *snapshot;
}

namespace {

bool is_active_group(const World& world, std::uint64_t id) {
  return std::any_of(world.groups.begin(), world.groups.end(), [&](const WorldGroup& g) { return g.id == id && g.active; });
}

/// The principal and every active group that contains it, at any depth (R33, R42, R9).
void gather(const World& world, std::uint64_t id, std::set<std::uint64_t>& found) {
  if (!found.insert(id).second) return;
  for (const auto& edge : world.edges)
    if (edge.member == id && is_active_group(world, edge.group)) gather(world, edge.group, found);
}

const WorldRole& role_of(const World& world, const WorldBinding& binding) {
  return *std::find_if(world.roles.begin(), world.roles.end(), [&](const WorldRole& r) { return r.id == binding.role; });
}

bool role_names(const WorldRole& role, const std::string& permission, const std::string& action) {
  if (role.admin) return true;  // R22
  const auto actions = role.permissions.find(permission);
  return actions != role.permissions.end() && actions->second.contains(action);
}

/// R28 said with segments: the binding's path is a beginning of the asked one, segment by segment.
bool is_covered(const std::string& bound, const std::string& asked) { return (asked + ".").starts_with(bound + "."); }

Decision reference_of(const World& world, const Permission& permission, const Question& q, std::uint64_t id) {
  const std::string name(q.permission), action(q.action);
  if (const auto who = world.principal(id); who->type == PrincipalType::User) {
    const auto& user = *std::find_if(world.users.begin(), world.users.end(), [&](const WorldUser& u) { return u.id == id; });
    if (!user.active) return {false, Reason::DeniedUserSuspended};
    if (user.super_admin && permission.iam) return {true, Reason::AllowedSuperAdmin};
  } else if (who->type == PrincipalType::Group) {
    if (!is_active_group(world, id)) return {false, Reason::DeniedGroupSuspended};
  } else {
    for (const auto& account : world.service_accounts)
      if (account.id == id && !account.enabled) return {false, Reason::DeniedServiceAccountDisabled};
  }

  std::set<std::uint64_t> holders;
  gather(world, id, holders);
  bool admin = false, other = false, pair_somewhere = false, permission_somewhere = false;
  for (const auto& binding : world.bindings) {
    if (!holders.contains(binding.principal) || (binding.expires && *binding.expires <= q.at)) continue;
    const auto& role = role_of(world, binding);
    for (const auto& any : permission.actions) permission_somewhere = permission_somewhere || role_names(role, name, any);
    if (!role_names(role, name, action)) continue;
    pair_somewhere = true;
    if (binding.ns) {
      if (permission.scope == Scope::Tenant) continue;                      // R30
      if (!q.ns || !is_covered(*binding.ns, std::string(*q.ns))) continue;  // R28, R31
    }
    (role.admin ? admin : other) = true;
  }
  if (admin) return {true, Reason::AllowedAdminRole};
  if (other) return {true, Reason::AllowedBinding};
  if (pair_somewhere) return {false, Reason::DeniedWrongNamespace};
  if (permission_somewhere) return {false, Reason::DeniedActionMissing};
  return {false, Reason::DeniedNoBinding};
}

struct Known {
  const Permission* permission = nullptr;
  std::optional<Decision> refused;
};

Known known(const World& world, const Catalogue& catalogue, const Question& q) {
  if (!world.enabled) return {nullptr, Decision{false, Reason::DeniedTenantDisabled}};
  for (const auto& permission : catalogue.permissions()) {
    if (permission.name != q.permission) continue;
    if (std::find(permission.actions.begin(), permission.actions.end(), q.action) == permission.actions.end())
      return {nullptr, Decision{false, Reason::DeniedUnknownAction}};
    return {&permission, std::nullopt};
  }
  return {nullptr, Decision{false, Reason::DeniedUnknownPermission}};
}

}  // namespace

Decision reference(const World& world, const Catalogue& catalogue, std::uint64_t principal, const Question& question) {
  const auto [permission, refused] = known(world, catalogue, question);
  if (refused) return *refused;
  if (!world.principal(principal)) return {false, Reason::DeniedUnknownSubject};
  return reference_of(world, *permission, question, principal);
}

Decision reference(const World& world, const Catalogue& catalogue, const Question& q) {
  const auto [permission, refused] = known(world, catalogue, q);
  if (refused) return *refused;
  const auto key = fold(q.key);
  std::set<std::uint64_t> active, suspended;
  const auto note = [&](std::uint64_t id, bool is_active) { (is_active ? active : suspended).insert(id); };
  // R7: an exact id wins, then all active ones that have the key are taken together.
  if (const auto id = parse_principal_id(q.type, q.key))
    if (const auto who = world.principal(id->value); who && who->type == q.type) return reference_of(world, *permission, q, id->value);
  switch (q.type) {
    case PrincipalType::User:
      for (const auto& user : world.users)
        if ((!user.username.empty() && fold(user.username) == key) || (!user.email.empty() && fold(user.email) == key))
          note(user.id, user.active);
      break;
    case PrincipalType::Group:
      for (const auto& group : world.groups)
        if (fold(group.name) == key) note(group.id, group.active);
      break;
    case PrincipalType::ServiceAccount:
      for (const auto& account : world.service_accounts)
        if (account.name == key) note(account.id, account.enabled);
      break;
  }
  if (active.size() > 1) return {false, Reason::DeniedAmbiguousSubject};
  if (active.empty() && suspended.empty()) return {false, Reason::DeniedUnknownSubject};
  return reference_of(world, *permission, q, active.empty() ? *suspended.begin() : *active.begin());
}

}  // namespace rosterd::rbac
