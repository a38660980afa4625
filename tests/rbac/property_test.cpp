// Random tenants, drawn so that the hard cases are common: few names (so keys collide), few namespaces with near-equal beginnings, many
// loops, expiries close to the instants asked about. The compiled snapshot must agree with the reference in decision and code.

#include "schema/core/text.hpp"
#include "tests/rbac/reference.hpp"

namespace rosterd::rbac {
namespace {

const std::vector<std::string> kNamespaces{"a", "a.b", "a.bc", "a.b.c", "a.b-c", "ab", "a.b.c.d", "b", "b.a", "a0.b", "c.a.b"};

struct Dice {
  std::mt19937 random;
  std::size_t below(std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(random); }
  bool chance(int percent) { return below(100) < static_cast<std::size_t>(percent); }
  template <class T>
  const T& one_of(const std::vector<T>& from) {
    return from[below(from.size())];
  }
};

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
  for (const auto& user : world.users) everybody.push_back(user.id);
  for (const auto& group : world.groups) everybody.push_back(group.id);
  for (const auto& account : world.service_accounts) everybody.push_back(account.id);
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

Question random_question(Dice& dice, const World& world, const Catalogue& catalogue, std::string& key, std::string& ns) {
  Question q;
  q.type = dice.one_of(std::vector{PrincipalType::User, PrincipalType::User, PrincipalType::Group, PrincipalType::ServiceAccount});
  const auto kind = dice.below(4);
  if (kind == 0 && !world.users.empty())
    key = text(q.type, {dice.one_of(world.users).id});
  else if (q.type == PrincipalType::Group)
    key = fmt::format("gRoup  {}", dice.below(8));
  else if (q.type == PrincipalType::ServiceAccount)
    key = fmt::format("sa-{}", dice.below(4));
  else
    key = fmt::format("{}{}", dice.chance(50) ? "u" : "U", dice.below(13));
  q.key = key;
  const auto& permission = catalogue.permissions()[dice.below(catalogue.permissions().size())];
  q.permission = dice.chance(2) ? std::string_view("SPACESHIP") : std::string_view(permission.name);
  q.action = dice.chance(2) ? std::string_view("LAUNCH") : std::string_view(permission.actions[dice.below(permission.actions.size())]);
  if (dice.chance(75)) {
    ns = dice.one_of(kNamespaces) + (dice.chance(25) ? ".new" : "");
    q.ns = ns;
  }
  q.at = at(93 + static_cast<std::int64_t>(dice.below(14)));
  return q;
}

std::string shown(const Question& q) {
  return fmt::format("{}:{} {} {} {} at {}", name_of(q.type), q.key, q.permission, q.action, q.ns.value_or("*"),
                     q.at.time_since_epoch().count() / 1000000);
}

class RandomTenants : public testing::TestWithParam<unsigned> {};

TEST_P(RandomTenants, CompiledAnswersAreThoseOfTheRulesR100) {
  Dice dice{std::mt19937(GetParam())};
  const auto catalogue = Catalogue::built_in();
  std::map<Reason, int> met;
  for (int round = 0; round < 150; ++round) {
    const auto world = random_world(dice, *catalogue);
    const auto snapshot = compile(world, at(93 + static_cast<std::int64_t>(dice.below(14))));
    for (int i = 0; i < 120; ++i) {
      std::string key, ns;
      const auto question = random_question(dice, world, *catalogue, key, ns);
      const auto expected = reference(world, *catalogue, question);
      ASSERT_EQ(snapshot->check(question), expected) << shown(question) << " round " << round;
      ++met[expected.reason];
    }
  }
  EXPECT_EQ(met.size(), 14U) << "the draw no longer meets every code";  // denied_no_tenant_access is not a snapshot's
}

TEST_P(RandomTenants, GrantsSayTheSameAsChecksR105) {
  Dice dice{std::mt19937(GetParam() + 1000)};
  const auto catalogue = Catalogue::built_in();
  for (int round = 0; round < 100; ++round) {
    auto world = random_world(dice, *catalogue);
    world.enabled = true;
    for (auto& user : world.users) user.active = true, user.super_admin = false;
    const auto snapshot = compile(world, at(100));
    for (const auto& user : world.users) {
      std::string key, ns;
      auto q = random_question(dice, world, *catalogue, key, ns);
      const auto* permission = catalogue->find(q.permission);
      if (permission == nullptr || !catalogue->pair(*permission, q.action)) continue;
      bool admin = false, other = false;
      const auto grants = snapshot->grants({PrincipalType::User, {user.id}}, q.at, 0);
      for (const auto& grant : grants) {
        const auto& role =
            *std::find_if(world.roles.begin(), world.roles.end(), [&](const WorldRole& r) { return r.id == grant.role.value; });
        const auto actions = role.permissions.find(permission->name);
        if (!role.admin && (actions == role.permissions.end() || !actions->second.contains(std::string(q.action)))) continue;
        if (grant.ns && (permission->scope == Scope::Tenant || !q.ns || !covers(*grant.ns, *q.ns))) continue;
        (grant.admin ? admin : other) = true;
      }
      const auto decision = snapshot->check({PrincipalType::User, {user.id}}, q.permission, q.action, q.ns, q.at);
      EXPECT_EQ(decision, reference(world, *catalogue, user.id, q));
      EXPECT_EQ(decision.allowed, admin || other) << shown(q);
      EXPECT_EQ(decision.reason == Reason::AllowedAdminRole, admin) << shown(q);
    }
  }
}

TEST_P(RandomTenants, RowsInAnyOrderGiveTheSameSnapshotP4) {
  Dice dice{std::mt19937(GetParam() + 2000)};
  const auto catalogue = Catalogue::built_in();
  for (int round = 0; round < 50; ++round) {
    const auto world = random_world(dice, *catalogue);
    const auto mixed = shuffled(world, dice.random);
    const auto one = compile(world, at(100)), other = compile(mixed, at(100));
    ASSERT_EQ(one->content_hash(), other->content_hash());
    for (int i = 0; i < 50; ++i) {
      std::string key, ns;
      const auto question = random_question(dice, world, *catalogue, key, ns);
      ASSERT_EQ(one->check(question), other->check(question)) << shown(question);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomTenants, testing::Range(1U, 25U));

}  // namespace
}  // namespace rosterd::rbac
