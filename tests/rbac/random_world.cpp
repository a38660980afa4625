#include "tests/rbac/random_world.hpp"

namespace rosterd::rbac {

WorldRole random_role(Dice& dice, const Catalogue& catalogue, std::uint64_t id) {
  WorldRole role{id, "role" + std::to_string(id), dice.chance(10), {}};
  if (role.admin || dice.chance(5)) return role;  // some roles are empty
  const bool large = dice.chance(20);             // more than 64 pairs
  for (const auto& permission : catalogue.permissions())
    for (const auto& action : permission.actions)
      if (dice.chance(large ? 80 : 4)) role.permissions[permission.name].insert(action);
  if (dice.chance(20)) role.permissions["SPACESHIP"].insert("LAUNCH");
  return role;
}

World random_world(Dice& dice, const Catalogue& catalogue) {
  World world;
  world.enabled = !dice.chance(3);
  std::uint64_t id = 1 + dice.below(5);
  const auto next = [&] { return id += 1 + dice.below(3); };
  const auto users = dice.below(14), groups = dice.below(9), accounts = dice.below(3);
  for (std::size_t i = 0; i < users; ++i)
    world.users.push_back({next(), fmt::format("U{}", dice.below(10)), dice.chance(60) ? fmt::format("u{}", dice.below(12)) : "",
                           dice.chance(75), dice.chance(15)});
  for (std::size_t i = 0; i < groups; ++i) world.groups.push_back({next(), fmt::format("Group {}", dice.below(7)), dice.chance(80)});
  for (std::size_t i = 0; i < accounts; ++i) world.service_accounts.push_back({next(), fmt::format("sa-{}", i), dice.chance(70)});
  std::vector<std::uint64_t> everybody;
  for (const auto& who : principals(world)) everybody.push_back(who.id.value);
  if (!world.groups.empty())
    for (std::size_t i = dice.below(30); i > 0; --i) world.edges.push_back({dice.one_of(world.groups).id, dice.one_of(everybody)});
  for (std::uint64_t role = 1; role <= 1 + dice.below(5); ++role) world.roles.push_back(random_role(dice, catalogue, role));
  if (!everybody.empty())
    for (std::size_t i = dice.below(20); i > 0; --i) {
      WorldBinding binding{1000 + i, dice.one_of(world.roles).id, dice.one_of(everybody), {}, {}};
      if (dice.chance(70)) binding.ns = dice.one_of(kNamespaces);
      if (dice.chance(30)) binding.expires = at(95 + static_cast<std::int64_t>(dice.below(10)));
      world.bindings.push_back(binding);
    }
  return world;
}

void draw(Dice& dice, const World& world, const Catalogue& catalogue, RandomQuestion& out) {
  out.q = {};
  auto& q = out.q;
  q.type = dice.one_of(std::vector{PrincipalType::User, PrincipalType::User, PrincipalType::Group, PrincipalType::ServiceAccount});
  const auto kind = dice.below(4);
  if (kind == 0 && !world.users.empty())
    out.key = text(q.type, {dice.one_of(world.users).id});
  else if (q.type == PrincipalType::Group)
    out.key = fmt::format("gRoup  {}", dice.below(8));
  else if (q.type == PrincipalType::ServiceAccount)
    out.key = fmt::format("sa-{}", dice.below(4));
  else
    out.key = fmt::format("{}{}", dice.chance(50) ? "u" : "U", dice.below(13));
  q.key = out.key;
  const auto& permission = catalogue.permissions()[dice.below(catalogue.permissions().size())];
  q.permission = dice.chance(2) ? std::string_view("SPACESHIP") : std::string_view(permission.name);
  q.action = dice.chance(2) ? std::string_view("LAUNCH") : std::string_view(permission.actions[dice.below(permission.actions.size())]);
  if (dice.chance(75)) {
    out.ns = dice.one_of(kNamespaces) + (dice.chance(25) ? ".new" : "");
    q.ns = out.ns;
  }
  q.at = random_instant(dice);
}

std::vector<Principal> principals(const World& world) {
  std::vector<Principal> out;
  for (const auto& user : world.users) out.push_back({PrincipalType::User, {user.id}});
  for (const auto& group : world.groups) out.push_back({PrincipalType::Group, {group.id}});
  for (const auto& account : world.service_accounts) out.push_back({PrincipalType::ServiceAccount, {account.id}});
  return out;
}

std::string shown(const Question& q) {
  return fmt::format("{}:{} {} {} {} at {}", name_of(q.type), q.key, q.permission, q.action, q.ns.value_or("*"),
                     q.at.time_since_epoch().count() / 1000000);
}

}  // namespace rosterd::rbac
