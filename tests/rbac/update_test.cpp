// An updated snapshot is the one that compiling all rows gives, and updating it leaves its predecessor alone. Also the self-check.

#include <gmock/gmock.h>

#include <atomic>
#include <mutex>
#include <thread>

#include "rbac/self_check.hpp"
#include "rbac/tables.hpp"
#include "schema/core/text.hpp"
#include "tests/rbac/random_world.hpp"

namespace rosterd::rbac {
namespace {

using Snapshots = std::shared_ptr<const Snapshot>;

template <class Row>
const Row* find(const std::vector<Row>& rows, std::uint64_t id) {
  const auto at = std::find_if(rows.begin(), rows.end(), [&](const Row& row) { return row.id == id; });
  return at == rows.end() ? nullptr : &*at;
}

/// What a store would tell of two states of a world; `noise`: also things that are as they were.
AuthorizationChanges between(const World& before, const World& now, const Revision& from, bool noise) {
  AuthorizationChanges out;
  out.from = from;
  out.to = {.epoch = from.epoch, .number = from.number + 1};
  out.tenant_enabled = now.enabled;
  std::set<std::uint64_t> principals, holders, roles;
  const auto differ = [&](const auto& a, const auto& b, auto same) {
    for (const auto& row : a)
      if (const auto* other = find(b, row.id); noise || other == nullptr || !same(row, *other)) principals.insert(row.id);
    for (const auto& row : b)
      if (find(a, row.id) == nullptr) principals.insert(row.id);
  };
  differ(before.users, now.users, [](const WorldUser& a, const WorldUser& b) {
    return a.username == b.username && a.email == b.email && a.active == b.active && a.super_admin == b.super_admin;
  });
  differ(before.groups, now.groups, [](const WorldGroup& a, const WorldGroup& b) { return a.name == b.name && a.active == b.active; });
  differ(before.service_accounts, now.service_accounts,
         [](const WorldServiceAccount& a, const WorldServiceAccount& b) { return a.name == b.name && a.enabled == b.enabled; });
  const auto edges_of = [](const World& world) {
    std::set<std::pair<std::uint64_t, std::uint64_t>> edges;
    for (const auto& edge : world.edges) edges.emplace(edge.group, edge.member);
    return edges;
  };
  const auto held = edges_of(before), hold = edges_of(now);
  // With a principal its edges go, without being named.
  for (const auto& [group, member] : held)
    if ((noise || !hold.contains({group, member})) && now.principal(group) && now.principal(member))
      out.edges.push_back({.group = {group}, .member = {member}, .there = hold.contains({group, member})});
  for (const auto& [group, member] : hold)
    if (!held.contains({group, member})) out.edges.push_back({.group = {group}, .member = {member}, .there = true});
  const auto same_role = [](const WorldRole& a, const WorldRole& b) { return a.admin == b.admin && a.permissions == b.permissions; };
  for (const auto& role : before.roles)
    if (const auto* other = find(now.roles, role.id); noise || other == nullptr || !same_role(role, *other)) roles.insert(role.id);
  for (const auto& role : now.roles)
    if (find(before.roles, role.id) == nullptr) roles.insert(role.id);
  for (const auto& binding : before.bindings)
    if ((noise || find(now.bindings, binding.id) == nullptr) && find(now.roles, binding.role) != nullptr) holders.insert(binding.principal);
  for (const auto& binding : now.bindings)
    if (find(before.bindings, binding.id) == nullptr) holders.insert(binding.principal);
  holders.insert(principals.begin(), principals.end());

  for (const auto id : principals) {
    out.principals.push_back({id});
    if (const auto* user = find(now.users, id))
      out.users.push_back({{id}, fold(user->username), fold(user->email), user->active, user->super_admin});
    if (const auto* group = find(now.groups, id)) out.groups.push_back({{id}, fold(group->name), group->name, group->active});
    if (const auto* account = find(now.service_accounts, id)) out.service_accounts.push_back({{id}, account->name, account->enabled});
  }
  for (const auto id : roles) {
    out.touched_roles.push_back({id});
    if (const auto* role = find(now.roles, id)) out.roles.push_back(row_of(*role));
  }
  for (const auto id : holders) {
    out.holders.push_back({id});
    for (const auto& binding : now.bindings)
      if (binding.principal == id) out.bindings.push_back(row_of(now, binding));
  }
  out.role_count = now.roles.size();
  out.binding_count = now.bindings.size();
  return out;
}

/// Numbers that were never given out: bindings in their order, ids also lower than those that were, as no store gives them.
struct Numbers {
  std::uint64_t next = 5000;
  std::set<std::uint64_t> used;
  explicit Numbers(const World& world) {
    for (const auto& who : principals(world)) used.insert(who.id.value);
  }
  std::uint64_t id(Dice& dice) {
    std::uint64_t id = dice.chance(80) ? 100 + dice.below(400) : 1 + dice.below(60);
    while (!used.insert(id).second) ++id;
    return id;
  }
};

void remove_principal(World& world, std::uint64_t id) {
  std::erase_if(world.users, [&](const auto& row) { return row.id == id; });
  std::erase_if(world.groups, [&](const auto& row) { return row.id == id; });
  std::erase_if(world.service_accounts, [&](const auto& row) { return row.id == id; });
  std::erase_if(world.edges, [&](const auto& row) { return row.group == id || row.member == id; });
  std::erase_if(world.bindings, [&](const auto& row) { return row.principal == id; });
}

void change(Dice& dice, World& world, const Catalogue& catalogue, Numbers& numbers) {
  const auto everybody = principals(world);
  const auto somebody = [&] { return dice.one_of(everybody).id.value; };
  const auto one_of = [&](auto& rows) -> auto& { return rows[dice.below(rows.size())]; };
  switch (dice.below(16)) {
    case 0:
      world.users.push_back(
          {numbers.id(dice), fmt::format("U{}", dice.below(10)), fmt::format("u{}", dice.below(12)), dice.chance(75), dice.chance(15)});
      break;
    case 1:
      world.groups.push_back({numbers.id(dice), fmt::format("Group {}", dice.below(7)), dice.chance(80)});
      break;
    case 2:
      world.service_accounts.push_back({numbers.id(dice), fmt::format("sa-new{}", dice.below(1000)), dice.chance(70)});
      break;
    case 3:
      if (!everybody.empty()) remove_principal(world, somebody());
      break;
    case 4:
    case 5:
      if (!world.users.empty()) one_of(world.users).username = fmt::format("U{}", dice.below(10));
      break;
    case 6:
      if (!world.users.empty()) one_of(world.users).email = dice.chance(30) ? "" : fmt::format("u{}", dice.below(12));
      break;
    case 7:
      if (!world.users.empty()) one_of(world.users).active ^= true;
      break;
    case 8:
      if (!world.users.empty()) one_of(world.users).super_admin ^= true;
      break;
    case 9:
      if (world.groups.empty()) break;
      if (dice.chance(50))
        one_of(world.groups).active ^= true;
      else
        one_of(world.groups).name = fmt::format("Group {}", dice.below(7));
      break;
    case 10:
    case 11:
      if (!world.groups.empty()) world.edges.push_back({dice.one_of(world.groups).id, somebody()});
      break;
    case 12:
      if (!world.edges.empty()) {
        const auto gone = dice.one_of(world.edges);
        std::erase_if(world.edges, [&](const auto& row) { return row.group == gone.group && row.member == gone.member; });
      }
      break;
    case 13:
      if (!everybody.empty() && !world.roles.empty()) {
        WorldBinding binding{numbers.next++, dice.one_of(world.roles).id, somebody(), {}, {}};
        if (dice.chance(70)) binding.ns = dice.chance(30) ? fmt::format("z{}.y", dice.below(30)) : dice.one_of(kNamespaces);
        if (dice.chance(40)) binding.expires = at(95 + static_cast<std::int64_t>(dice.below(14)));
        world.bindings.push_back(binding);
      }
      break;
    case 14:
      if (!world.bindings.empty())
        world.bindings.erase(world.bindings.begin() + static_cast<std::ptrdiff_t>(dice.below(world.bindings.size())));
      break;
    case 15:
      if (world.roles.empty() || dice.chance(30)) {
        world.roles.push_back(random_role(dice, catalogue, 50 + numbers.next++));
      } else if (dice.chance(70)) {
        auto& role = one_of(world.roles);
        role = random_role(dice, catalogue, role.id);
      } else {
        const auto gone = dice.one_of(world.roles).id;
        std::erase_if(world.roles, [&](const auto& row) { return row.id == gone; });
        std::erase_if(world.bindings, [&](const auto& row) { return row.role == gone; });
      }
      break;
    default:
      break;
  }
  if (dice.chance(3)) world.enabled ^= true;
}

std::vector<std::string> names(const Subjects& subjects) {
  std::vector<std::string> out;
  for (const auto& one : subjects.items) out.push_back(text(one.who) + " " + std::string(one.key));
  return out;
}

class ChangingTenants : public testing::TestWithParam<unsigned> {
 protected:
  void answers_as(const Snapshot& snapshot, const World& world, int questions) {
    for (int i = 0; i < questions; ++i) {
      RandomQuestion drawn;
      draw(dice, world, *catalogue, drawn);
      ASSERT_EQ(snapshot.check(drawn.q), reference(world, *catalogue, drawn.q)) << shown(drawn.q);
    }
  }
  /// Searches read the tables the other way round.
  void searches_as(const Snapshot& updated, const Snapshot& whole, const World& world) {
    for (int i = 0; i < 6; ++i) {
      RandomQuestion drawn;
      draw(dice, world, *catalogue, drawn);
      const auto& q = drawn.q;
      const Right right{.permission = q.permission, .action = q.action, .ns = q.ns, .at = q.at};
      EXPECT_EQ(names(updated.who_may(q.type, right, {}, 100)), names(whole.who_may(q.type, right, {}, 100)));
      for (const auto& who : principals(world)) {
        const auto one = updated.where_may(who, q.permission, q.action, q.at, "", 100),
                   other = whole.where_may(who, q.permission, q.action, q.at, "", 100);
        EXPECT_EQ(one.namespaces, other.namespaces);
        EXPECT_EQ(one.whole_tenant, other.whole_tenant);
        EXPECT_EQ(updated.effective(who, q.at, 0, 100).total, whole.effective(who, q.at, 0, 100).total);
      }
    }
  }

  const std::shared_ptr<const Catalogue> catalogue = Catalogue::built_in();
  Dice dice{std::mt19937(GetParam() + 7000)};
};

TEST_P(ChangingTenants, AnUpdateGivesWhatCompilingAllRowsGivesP3P4) {
  int updated_ones = 0, worn = 0;
  for (int round = 0; round < 15; ++round) {
    auto world = random_world(dice, *catalogue);
    Numbers numbers(world);
    std::int64_t clock = 92;
    auto snapshot = compile(world, at(clock));
    for (int step = 0; step < 14; ++step) {
      auto next = world;
      for (auto changes = 1 + dice.below(5); changes > 0; --changes) change(dice, next, *catalogue, numbers);
      clock += static_cast<std::int64_t>(dice.below(3));
      const auto changes = between(world, next, snapshot->revision(), dice.chance(20));
      const auto updated = update(*snapshot, changes, at(clock));
      ASSERT_TRUE(updated) << updated.error().what << " round " << round << " step " << step;
      if (!*updated) {
        ++worn;
        break;
      }
      ++updated_ones;
      const auto whole = compile(next, at(clock));
      ASSERT_EQ((*updated)->content_hash(), whole->content_hash()) << "round " << round << " step " << step;
      EXPECT_EQ((*updated)->revision(), changes.to);
      EXPECT_EQ((*updated)->stats().edges, whole->stats().edges);
      EXPECT_EQ((*updated)->stats().bindings, whole->stats().bindings);
      answers_as(**updated, next, 60);
      answers_as(*snapshot, world, 10);  // which shares most of its memory
      searches_as(**updated, *whole, next);
      const auto good = self_check(**updated, &changes);
      ASSERT_TRUE(good) << good.error().what;
      if (testing::Test::HasFatalFailure()) return;
      world = std::move(next);
      snapshot = *updated;
    }
  }
  EXPECT_GT(updated_ones, 150);
  EXPECT_LT(worn, 20);
}

TEST_P(ChangingTenants, TwoUpdatesOfOneSnapshotDoNotMeetEachOther) {
  for (int round = 0; round < 20; ++round) {
    const auto world = random_world(dice, *catalogue);
    const auto snapshot = compile(world, at(95));
    Numbers numbers(world);
    std::vector<std::pair<World, Snapshots>> ways;
    for (int way = 0; way < 4; ++way) {
      auto next = world;
      for (int i = 0; i < 6; ++i) change(dice, next, *catalogue, numbers);
      const auto updated = update(*snapshot, between(world, next, snapshot->revision(), false), at(96));
      ASSERT_TRUE(updated && *updated);
      ways.emplace_back(std::move(next), *updated);
    }
    answers_as(*snapshot, world, 30);
    for (const auto& [next, updated] : ways) {
      answers_as(*updated, next, 30);
      EXPECT_EQ(updated->content_hash(), compile(next, at(96))->content_hash());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, ChangingTenants, testing::Range(1U, 13U));

// ---- single cases ---------------------------------------------------------------------------------------------------------------

World small_world() {
  World world;
  for (std::uint64_t i = 1; i <= 40; ++i) world.users.push_back({i, fmt::format("user{}", i), fmt::format("user{}@acme.test", i)});
  world.groups = {{101, "Staff"}, {102, "Outer"}};
  world.edges = {{101, 1}, {101, 2}, {102, 101}};
  world.roles = {{1, "Reader", false, {{"FLOW", {"READ"}}}}};
  world.bindings = {{1, 1, 102, "a.b"}};
  return world;
}
AuthorizationChanges nothing(const Snapshot& snapshot) {
  AuthorizationChanges out;
  out.from = snapshot.revision();
  out.to = {.epoch = out.from.epoch, .number = out.from.number + 1};
  return out;
}
bool may(const Snapshot& snapshot, std::string_view key, std::string_view ns, TimePoint when = at(100)) {
  return snapshot.check({.type = PrincipalType::User, .key = key, .permission = "FLOW", .action = "READ", .ns = ns, .at = when}).allowed;
}

TEST(Update, ARightOfAnOuterGroupEndsForWhoeverIsDeepBelowIt) {
  const auto world = small_world();
  const auto snapshot = compile(world, at(100));
  ASSERT_TRUE(may(*snapshot, "user1", "a.b.c"));
  auto changes = nothing(*snapshot);
  changes.holders = {{102}};
  const auto updated = update(*snapshot, changes, at(100));
  ASSERT_TRUE(updated && *updated);
  EXPECT_FALSE(may(**updated, "user1", "a.b.c"));
  EXPECT_TRUE(may(*snapshot, "user1", "a.b.c")) << "the old snapshot is what it was";
}

TEST(Update, WhatDoesNotChangeIsNotCopied) {
  auto world = small_world();
  for (std::uint64_t i = 1000; i < 40'000; ++i) world.users.push_back({i, fmt::format("someone{}", i), fmt::format("s{}@acme.test", i)});
  const auto snapshot = compile(world, at(100));
  auto changes = nothing(*snapshot);
  changes.edges = {{.group = {101}, .member = {3}, .there = true}};
  changes.principals = {{7}};
  changes.users = {{{7}, "renamed", "user7@acme.test", true, false}};
  changes.holders = {{7}};
  const auto updated = update(*snapshot, changes, at(100));
  ASSERT_TRUE(updated && *updated);
  EXPECT_TRUE(may(**updated, "user3", "a.b"));
  EXPECT_FALSE(may(**updated, "renamed", "a.b"));
  EXPECT_EQ((*updated)->resolve(PrincipalType::User, "user7").kind, Resolved::Unknown);
  const auto& before = static_cast<const CompiledSnapshot&>(*snapshot).tables();
  const auto& after = static_cast<const CompiledSnapshot&>(**updated).tables();
  EXPECT_EQ(before.texts.data(), after.texts.data()) << "the new name stands behind the others";
  EXPECT_EQ(before.ids.data(), after.ids.data());
  EXPECT_EQ(before.profiles.data(), after.profiles.data());
  EXPECT_EQ(before.bindings.size(), after.bindings.size());
  EXPECT_NE(before.parents.data(), after.parents.data());
}

TEST(Update, ChangesThatContradictTheSnapshotAreRefused) {
  const auto snapshot = compile(small_world(), at(100));
  auto other = nothing(*snapshot);
  other.from.number -= 1;
  EXPECT_FALSE(update(*snapshot, other, at(100)));
  auto nobody = nothing(*snapshot);
  nobody.edges = {{.group = {101}, .member = {999}, .there = true}};
  EXPECT_FALSE(update(*snapshot, nobody, at(100)));
  auto untouched = nothing(*snapshot);
  untouched.bindings = {row_of(small_world(), {77, 1, 3})};
  EXPECT_FALSE(update(*snapshot, untouched, at(100)));
  auto no_role = nothing(*snapshot);
  no_role.holders = {{3}};
  no_role.bindings = {row_of(small_world(), {77, 5, 3})};
  EXPECT_FALSE(update(*snapshot, no_role, at(100)));
}

TEST(Update, ThousandsOfUpdatesEndInAWholeBuildAndNotInEverGrowingMemory) {
  auto world = small_world();
  auto snapshot = compile(world, at(100));
  const auto least = snapshot->stats().bytes;
  int updates = 0;
  for (; updates < 100'000; ++updates) {
    auto changes = nothing(*snapshot);
    changes.principals = {{5}};
    changes.users = {{{5}, fmt::format("{}{}", std::string(500, 'n'), updates), "", true, false}};
    changes.holders = {{5}};
    changes.bindings = {row_of(world, {9, 1, 5, updates % 2 == 0 ? "a.b" : "a"})};
    const auto updated = update(*snapshot, changes, at(100));
    ASSERT_TRUE(updated) << updated.error().what;
    if (!*updated) break;
    snapshot = *updated;
    ASSERT_LT(snapshot->stats().bytes, least + (2U << 20));
  }
  EXPECT_GT(updates, 50);
  EXPECT_LT(updates, 100'000);
}

TEST(Update, ChecksGoOnWhileTheNextSnapshotsAreMadeC18) {
  auto world = small_world();
  std::mutex mutex;
  Snapshots current = compile(world, at(100));
  const auto take = [&] {
    const std::lock_guard lock(mutex);
    return current;
  };
  std::atomic<bool> over{false};
  std::atomic<int> wrong{0};
  std::vector<std::jthread> checking;
  for (int thread = 0; thread < 3; ++thread)
    checking.emplace_back([&] {
      while (!over) {
        const auto snapshot = take();
        // Every second revision user1 is out of the group.
        const bool expected = snapshot->revision().number % 2 == 1;
        for (int i = 0; i < 20; ++i)
          if (may(*snapshot, "user1", "a.b.c") != expected || !may(*snapshot, "user2@acme.test", "a.b")) ++wrong;
      }
    });
  for (int i = 0; i < 300; ++i) {
    const auto snapshot = take();
    auto changes = nothing(*snapshot);
    changes.edges = {{.group = {101}, .member = {1}, .there = changes.to.number % 2 == 1}};
    changes.principals = {{9}};
    changes.users = {{{9}, fmt::format("user9-{}", i), "", i % 3 != 0, false}};
    changes.holders = {{9}};
    auto updated = update(*snapshot, changes, at(100));
    ASSERT_TRUE(updated) << updated.error().what;
    if (!*updated) {
      world.users[8].username = fmt::format("user9-{}", i);
      break;
    }
    const std::lock_guard lock(mutex);
    current = *updated;
  }
  over = true;
  checking.clear();
  EXPECT_EQ(wrong, 0);
}

// ---- the self-check ---------------------------------------------------------------------------------------------------------------

class SelfCheck : public testing::Test {
 protected:
  SelfCheck() {
    changes.edges = {{.group = {101}, .member = {3}, .there = true}};
    changes.principals = {{7}, {8}};
    changes.users = {{{7}, "renamed", "user7@acme.test", true, false}};
    changes.holders = {{7}, {8}};
    changes.bindings = {row_of(world, {9, 1, 7, "a"})};
    changes.binding_count = 2;
    changes.role_count = 1;
    updated = *update(*snapshot, changes, at(100));
  }
  [[nodiscard]] const Tables& tables() const { return static_cast<const CompiledSnapshot&>(*updated).tables(); }

  const World world = small_world();
  const Snapshots snapshot = compile(world, at(100));
  AuthorizationChanges changes = nothing(*snapshot);
  Snapshots updated;
};

TEST_F(SelfCheck, FindsNothingInAGoodSnapshotP2) {
  const auto good = self_check(*updated, &changes);
  EXPECT_TRUE(good) << good.error().what;
  EXPECT_TRUE(self_check(*snapshot, nullptr));
}

TEST_F(SelfCheck, FindsWhatTheStoreSaysOtherwiseP2) {
  const auto is_found = [&](auto&& spoil) {
    auto other = changes;
    spoil(other);
    return !self_check(*updated, &other);
  };
  EXPECT_TRUE(is_found([](auto& c) { c.to.number += 1; }));
  EXPECT_TRUE(is_found([](auto& c) { c.users[0].active = false; }));
  EXPECT_TRUE(is_found([](auto& c) { c.users[0].username = "other"; }));
  EXPECT_TRUE(is_found([](auto& c) { c.users.clear(); }));
  EXPECT_TRUE(is_found([](auto& c) { c.edges[0].there = false; }));
  EXPECT_TRUE(is_found([](auto& c) { c.bindings.clear(); }));
  EXPECT_TRUE(is_found([](auto& c) { c.bindings[0].ns = "b"; }));
  EXPECT_TRUE(is_found([](auto& c) { c.binding_count = 3; }));
  EXPECT_TRUE(is_found([](auto& c) { c.role_count = 2; }));
  EXPECT_TRUE(is_found([](auto& c) { c.touched_roles = {{1}}; }));
}

TEST_F(SelfCheck, FindsAnswersThatAreNotThoseOfTheRulesP2) {
  auto spoilt = tables().successor();
  spoilt.states.own();
  for (std::uint32_t number = 0; number < spoilt.size(); ++number) spoilt.states[number] &= ~kProfileBits;
  const CompiledSnapshot empty(std::move(spoilt));
  const auto found = self_check(empty, &changes);
  ASSERT_FALSE(found);
  EXPECT_THAT(found.error().what, testing::AnyOf(testing::HasSubstr("by the rules"), testing::HasSubstr("not found under")));
}

TEST_F(SelfCheck, FindsNamesThatLeadToNobodyP2) {
  auto spoilt = tables().successor();
  spoilt.by_key = {};
  spoilt.by_key.make(100);
  const CompiledSnapshot lost(std::move(spoilt));
  EXPECT_FALSE(self_check(lost, &changes));
}

}  // namespace
}  // namespace rosterd::rbac
