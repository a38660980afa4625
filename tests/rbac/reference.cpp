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

Role row_of(const WorldRole& role) {
  std::string json;
  for (const auto& [permission, actions] : role.permissions)
    json += fmt::format(R"({}"{}":["{}"])", json.empty() ? "" : ",", permission, fmt::join(actions, R"(",")"));
  return {.id = {role.id},
          .name = role.name,
          .description = {},
          .managed = false,
          .admin = role.admin,
          .permissions = role.admin ? "" : "{" + json + "}"};
}

Binding row_of(const World& world, const WorldBinding& binding) {
  return {.id = {binding.id},
          .role = {binding.role},
          .principal = world.principal(binding.principal).value_or(Principal{PrincipalType::User, {binding.principal}}),
          .ns = binding.ns,
          .expires_at = binding.expires,
          .source = {},
          .created_at = {},
          .created_by = {}};
}

void feed(const World& world, AuthorizationSink& sink) {
  sink.begin({.epoch = 1, .number = 7}, world.enabled, world.users.size(), world.groups.size(), world.edges.size());
  for (const auto& user : world.users) sink.user({user.id}, fold(user.username), fold(user.email), user.active, user.super_admin);
  for (const auto& group : world.groups) sink.group({group.id}, fold(group.name), group.name, group.active);
  for (const auto& account : world.service_accounts) sink.service_account({account.id}, account.name, account.enabled);
  for (const auto& edge : world.edges) sink.edge({edge.group}, {edge.member});
  for (const auto& role : world.roles) sink.role(row_of(role));
  for (const auto& binding : world.bindings) sink.binding(row_of(world, binding));
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

/// The lists as rows.
class WorldFacts final : public Facts {
 public:
  explicit WorldFacts(const World& world) : world_(world) {}
  [[nodiscard]] bool tenant_enabled() const override { return world_.enabled; }
  [[nodiscard]] std::optional<Who> who(PrincipalId id) const override {
    for (const auto& user : world_.users)
      if (user.id == id.value) return Who{.type = PrincipalType::User, .active = user.active, .super_admin = user.super_admin};
    for (const auto& group : world_.groups)
      if (group.id == id.value) return Who{.type = PrincipalType::Group, .active = group.active};
    for (const auto& account : world_.service_accounts)
      if (account.id == id.value) return Who{.type = PrincipalType::ServiceAccount, .active = account.enabled};
    return std::nullopt;
  }
  [[nodiscard]] std::vector<PrincipalId> groups_of(PrincipalId id) const override {
    std::vector<PrincipalId> out;
    for (const auto& edge : world_.edges)
      if (edge.member == id.value) out.push_back({edge.group});
    return out;
  }
  [[nodiscard]] std::vector<Held> bindings_of(PrincipalId id) const override {
    std::vector<Held> out;
    for (const auto& binding : world_.bindings)
      if (binding.principal == id.value)
        out.push_back({.role = binding.role, .admin = role(binding.role).admin, .ns = binding.ns, .expires = binding.expires});
    return out;
  }
  [[nodiscard]] bool names(std::uint64_t id, const Permission& permission, std::string_view action) const override {
    const auto& permissions = role(id).permissions;
    const auto actions = permissions.find(permission.name);
    return actions != permissions.end() && actions->second.contains(std::string(action));
  }

 private:
  [[nodiscard]] const WorldRole& role(std::uint64_t id) const {
    return *std::find_if(world_.roles.begin(), world_.roles.end(), [&](const WorldRole& r) { return r.id == id; });
  }
  const World& world_;
};

}  // namespace

Decision reference(const World& world, const Catalogue& catalogue, std::uint64_t principal, const Question& question) {
  return reference(WorldFacts(world), catalogue, PrincipalId{principal}, question);
}

Decision reference(const World& world, const Catalogue& catalogue, const Question& q) {
  // Of nobody: what is refused before anybody looks at the subject.
  if (const auto refused = reference(world, catalogue, 0, q); refused.reason != Reason::DeniedUnknownSubject) return refused;
  const auto of = [&](std::uint64_t id) { return reference(world, catalogue, id, q); };
  const auto key = fold(q.key);
  std::set<std::uint64_t> active, suspended;
  const auto note = [&](std::uint64_t id, bool is_active) { (is_active ? active : suspended).insert(id); };
  // R7: an exact id wins, then all active ones that have the key are taken together.
  if (const auto id = parse_principal_id(q.type, q.key))
    if (const auto who = world.principal(id->value); who && who->type == q.type) return of(id->value);
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
  return of(active.empty() ? *suspended.begin() : *active.begin());
}

}  // namespace rosterd::rbac
