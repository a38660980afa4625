#include <gmock/gmock.h>

#include <thread>

#include "tests/rbac/reference.hpp"

namespace rosterd::rbac {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

World village() {
  return {.enabled = true,
          .users = {{1, "ada", "ada@example.com"},
                    {2, "bob", "bob@example.com"},
                    {3, "cleo", ""},
                    {4, "dot", "", false},
                    {5, "bob@example.com", ""},
                    {6, "root", "", true, true}},
          .groups = {{10, "Left"}, {11, "Top"}, {12, "Gone", false}},
          .service_accounts = {{20, "robot"}, {21, "off", false}},
          .edges = {{10, 1}, {11, 10}, {10, 4}, {11, 20}, {11, 21}, {12, 3}, {11, 12}},
          .roles = {{100, "Reader", false, {{"FLOW", {"READ"}}, {"USER", {"READ"}}}},
                    {101, "Writer", false, {{"FLOW", {"CREATE", "DELETE"}}}},
                    {102, "Admin", true, {}}},
          .bindings = {{1000, 100, 11, "a"}, {1001, 101, 2}, {1002, 100, 5, "a.b", at(200)}}};
}

std::vector<std::string> who(const Snapshot& snapshot, PrincipalType type, const Right& right) {
  std::vector<std::string> out;
  for (const auto& one : snapshot.who_may(type, right, {}, 100).items)
    out.emplace_back(one.key.empty() ? text(one.who) : std::string(one.key));
  return out;
}

TEST(Search, WhoMayGoesThroughGroupsAndLeavesOutTheInactiveA9A10) {
  const auto snapshot = compile(village());
  const Right here{.permission = "FLOW", .action = "READ", .ns = "a.b", .at = at(100)};
  EXPECT_THAT(who(*snapshot, PrincipalType::User, here), ElementsAre("ada", text(PrincipalType::User, {5})));
  EXPECT_THAT(who(*snapshot, PrincipalType::Group, here), ElementsAre("Left", "Top"));
  EXPECT_THAT(who(*snapshot, PrincipalType::ServiceAccount, here), ElementsAre("robot"));
  EXPECT_THAT(who(*snapshot, PrincipalType::User, {.permission = "FLOW", .action = "READ", .ns = "b", .at = at(100)}), IsEmpty());
  EXPECT_THAT(who(*snapshot, PrincipalType::User, {.permission = "FLOW", .action = "READ", .ns = "a.b", .at = at(200)}),
              ElementsAre("ada"));
  EXPECT_THAT(who(*snapshot, PrincipalType::User, {.permission = "FLOW", .action = "CREATE", .ns = {}, .at = at(100)}), ElementsAre("bob"));
}

TEST(Search, ANameOfTwoIsNotGivenAsAnIdA10) {
  auto world = village();
  world.bindings.push_back({1003, 100, 2});
  const auto snapshot = compile(world);
  const auto found = snapshot->who_may(PrincipalType::User, {.permission = "FLOW", .action = "READ", .ns = "a.b", .at = at(100)}, {}, 10);
  ASSERT_EQ(found.items.size(), 3U);
  EXPECT_EQ(found.items[1].key, "bob");  // his e-mail is the username of another, his own name is not
  EXPECT_EQ(found.items[2].key, "");
}

TEST(Search, SuperAdminsMayWhatIamPairsGrantR70) {
  const auto snapshot = compile(village());
  EXPECT_THAT(who(*snapshot, PrincipalType::User, {.permission = "USER", .action = "READ", .ns = {}, .at = at(1)}), ElementsAre("root"));
  EXPECT_THAT(who(*snapshot, PrincipalType::User, {.permission = "SETTING", .action = "READ", .ns = {}, .at = at(1)}), IsEmpty());
  const Principal root{PrincipalType::User, {6}};
  EXPECT_THAT(snapshot->what_may(root, "USER", {}, at(1)), ElementsAre("CREATE", "READ", "UPDATE", "DELETE"));
  EXPECT_THAT(snapshot->what_may(root, "FLOW", {}, at(1)), IsEmpty());
  const auto places = snapshot->where_may(root, "USER", "READ", at(1), "", 10);
  EXPECT_TRUE(places.whole_tenant);
  EXPECT_THAT(places.namespaces, ElementsAre("a", "a.b"));  // a tenant-scope pair ignores the namespace (R31)
}

TEST(Search, UnknownPairsAndDisabledTenantsFindNobodyR97R98) {
  auto world = village();
  EXPECT_THAT(who(*compile(world), PrincipalType::User, {.permission = "SPACESHIP", .action = "READ", .ns = {}, .at = {}}), IsEmpty());
  EXPECT_THAT(who(*compile(world), PrincipalType::User, {.permission = "FLOW", .action = "LAUNCH", .ns = {}, .at = {}}), IsEmpty());
  EXPECT_THAT(compile(world)->what_may({PrincipalType::User, {2}}, "SPACESHIP", {}, {}), IsEmpty());
  world.enabled = false;
  EXPECT_THAT(who(*compile(world), PrincipalType::User, {.permission = "FLOW", .action = "CREATE", .ns = {}, .at = {}}), IsEmpty());
  EXPECT_THAT(compile(world)->what_may({PrincipalType::User, {2}}, "FLOW", {}, {}), IsEmpty());
  EXPECT_FALSE(compile(world)->where_may({PrincipalType::User, {2}}, "FLOW", "CREATE", {}, "", 10).whole_tenant);
}

TEST(Search, PagesGoOnWhereTheyEndedA11) {
  World world{.enabled = true,
              .users = {},
              .groups = {{100'000, "all"}},
              .service_accounts = {},
              .edges = {},
              .roles = {{100, "Reader", false, {{"FLOW", {"READ"}}}}},
              .bindings = {{1, 100, 100'000, "a"}}};
  std::vector<std::uint64_t> members;
  for (std::uint64_t id = 1; id <= 2000; ++id) {
    world.users.push_back({id, fmt::format("u{}", id), "", id % 7 != 0});
    if (id % 3 != 0) continue;
    world.edges.push_back({100'000, id});
    if (id % 7 != 0) members.push_back(id);
  }
  // A large part of all users, then a small one: found by passing them all, and by collecting members.
  for (int part = 0; part < 2; ++part) {
    const auto snapshot = compile(world);
    for (const std::size_t size : {1U, 7U, 100U, 5000U}) {
      std::vector<std::uint64_t> found;
      for (bool more = true; more;) {
        const auto page = snapshot->who_may(PrincipalType::User, {.permission = "FLOW", .action = "READ", .ns = "a", .at = at(1)},
                                            {found.empty() ? 0 : found.back()}, size);
        for (const auto& one : page.items) found.push_back(one.who.id.value);
        more = page.more;
      }
      EXPECT_EQ(found, members) << size;
    }
    world.edges.resize(20);
    members.clear();
    for (const auto& edge : world.edges)
      if (edge.member % 7 != 0) members.push_back(edge.member);
  }
}

TEST(Search, WhatMayListsActionsInCatalogueOrderA9) {
  auto world = village();
  world.bindings.push_back({1004, 101, 1, "a"});
  const auto snapshot = compile(world);
  const Principal ada{PrincipalType::User, {1}};
  EXPECT_THAT(snapshot->what_may(ada, "FLOW", "a.b", at(1)), ElementsAre("CREATE", "READ", "DELETE"));
  EXPECT_THAT(snapshot->what_may(ada, "FLOW", "ab", at(1)), IsEmpty());
  EXPECT_THAT(snapshot->what_may(ada, "FLOW", {}, at(1)), IsEmpty());
  EXPECT_THAT(snapshot->what_may({PrincipalType::User, {4}}, "FLOW", "a", at(1)), IsEmpty());
  EXPECT_THAT(snapshot->what_may({PrincipalType::User, {999}}, "FLOW", "a", at(1)), IsEmpty());
}

TEST(Search, WhereMayKnowsTheNamespacesOfLiveBindingsA10) {
  auto world = village();
  world.bindings.push_back({1003, 101, 3, "a.b.c"});           // somebody else's, and about something else: still a known place
  world.bindings.push_back({1004, 101, 3, "a.gone", at(50)});  // expired
  world.bindings.push_back({1005, 101, 3, "b"});
  const auto snapshot = compile(world);
  const auto places = snapshot->where_may({PrincipalType::User, {1}}, "FLOW", "READ", at(100), "", 10);
  EXPECT_FALSE(places.whole_tenant);
  EXPECT_FALSE(places.more);
  EXPECT_THAT(places.namespaces, ElementsAre("a", "a.b", "a.b.c"));
  const auto bob = snapshot->where_may({PrincipalType::User, {2}}, "FLOW", "CREATE", at(100), "", 2);
  EXPECT_TRUE(bob.whole_tenant);
  EXPECT_TRUE(bob.more);
  EXPECT_THAT(bob.namespaces, ElementsAre("a", "a.b"));
  EXPECT_THAT(snapshot->where_may({PrincipalType::User, {2}}, "FLOW", "CREATE", at(100), "a.b", 2).namespaces, ElementsAre("a.b.c", "b"));
  EXPECT_THAT(snapshot->where_may({PrincipalType::User, {4}}, "FLOW", "READ", at(100), "", 10).namespaces, IsEmpty());
}

TEST(Search, AnySearchingThreadMayBeTheFirst) {
  const auto snapshot = compile(village());
  std::vector<std::jthread> searchers;
  for (int t = 0; t < 4; ++t)
    searchers.emplace_back([&] {
      for (int i = 0; i < 200; ++i)
        EXPECT_EQ(who(*snapshot, PrincipalType::User, {.permission = "FLOW", .action = "READ", .ns = "a", .at = at(1)}).size(), 1U);
    });
  searchers.clear();
  EXPECT_GT(snapshot->stats().bytes, compile(village())->stats().bytes);  // what searching added is counted
}

}  // namespace
}  // namespace rosterd::rbac
