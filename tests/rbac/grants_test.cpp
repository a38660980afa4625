#include <gmock/gmock.h>

#include "tests/rbac/reference.hpp"

namespace rosterd::rbac {
namespace {

using testing::ElementsAre;

/// "Role@ns via a>b" for each grant.
std::vector<std::string> lines(const World& world, std::uint64_t id, std::size_t limit = 0, TimePoint when = at(100)) {
  std::vector<std::string> out;
  for (const auto& grant : compile(world, when)->grants(*world.principal(id), when, limit)) {
    std::string chain;
    for (const auto& hop : grant.via) chain += (chain.empty() ? " via " : ">") + hop.name;
    out.push_back(fmt::format("{}@{}{}", grant.role_name, grant.ns.value_or("*"), chain));
  }
  return out;
}

World diamond() {
  return {.enabled = true,
          .users = {{1, "ada", ""}},
          .groups = {{10, "left"}, {11, "right"}, {12, "top"}, {13, "gone", false}},
          .service_accounts = {},
          .edges = {{10, 1}, {11, 1}, {12, 10}, {12, 11}, {13, 1}},
          .roles = {{100, "Reader", false, {{"FLOW", {"READ"}}}}, {101, "Admin", true, {}}},
          .bindings = {{1000, 100, 12, "a"}, {1001, 100, 1}, {1002, 101, 11}, {1003, 100, 13}, {1004, 100, 10, std::nullopt, at(50)}}};
}

TEST(Grants, ListEveryChainOnceAndSortedR102R103) {
  EXPECT_THAT(lines(diamond(), 1), ElementsAre("Admin@* via right", "Reader@*", "Reader@a via left>top", "Reader@a via right>top"));
}

TEST(Grants, LeaveOutWhatHasExpiredR37) {
  EXPECT_THAT(lines(diamond(), 1, 0, at(49)),
              ElementsAre("Admin@* via right", "Reader@*", "Reader@* via left", "Reader@a via left>top", "Reader@a via right>top"));
}

TEST(Grants, TheLimitCutsTheSortedListR103) {
  EXPECT_THAT(lines(diamond(), 1, 2), ElementsAre("Admin@* via right", "Reader@*"));
  EXPECT_THAT(lines(diamond(), 1, 3), ElementsAre("Admin@* via right", "Reader@*", "Reader@a via left>top"));
}

TEST(Grants, ALoopShowsNoChainTwiceR103) {
  auto world = diamond();
  world.edges.push_back({10, 12});  // top is in left: left>top>left would go round
  world.edges.push_back({11, 12});
  EXPECT_THAT(lines(world, 1), ElementsAre("Admin@* via left>top>right", "Admin@* via right", "Reader@*", "Reader@a via left>top",
                                           "Reader@a via right>top"));
  EXPECT_THAT(lines(world, 12), ElementsAre("Admin@* via right", "Reader@a"));
}

TEST(Grants, KeepTheFactsOfTheBinding) {
  const auto grants = compile(diamond(), at(10))->grants({PrincipalType::Group, {10}}, at(10), 0);
  ASSERT_EQ(grants.size(), 2U);
  EXPECT_EQ(grants[0].binding, BindingId{1004});
  EXPECT_EQ(grants[0].role, RoleId{100});
  EXPECT_EQ(grants[0].expires_at, at(50));
  EXPECT_THAT(Catalogue::built_in()->names(grants[0].pairs), ElementsAre(NamedPair{"FLOW", "READ"}));
  EXPECT_FALSE(grants[0].source);
  EXPECT_EQ(grants[1].via.at(0).group, PrincipalId{12});
}

TEST(Grants, OfNobodyAreNone) {
  const auto snapshot = compile(diamond());
  EXPECT_TRUE(snapshot->grants({PrincipalType::User, {999}}, at(1), 0).empty());
  EXPECT_TRUE(snapshot->grants({PrincipalType::Group, {1}}, at(1), 0).empty());
}

/// Layers of two groups each, every one of a layer in both of the next: twice as many chains with each layer.
World ladder(std::uint64_t layers) {
  World world{.enabled = true,
              .users = {{1, "ada", ""}},
              .groups = {},
              .service_accounts = {},
              .edges = {},
              .roles = {{100, "Reader", false, {{"FLOW", {"READ"}}}}, {101, "Viewer", false, {{"APP", {"READ"}}}}},
              .bindings = {}};
  for (std::uint64_t i = 0; i < 2 * layers; ++i) {
    world.groups.push_back({10 + i, fmt::format("g{:03}", i)});
    if (i < 2) {
      world.edges.push_back({10 + i, 1});
    } else {
      world.edges.push_back({10 + i, 10 + (i / 2 * 2 - 2)});
      world.edges.push_back({10 + i, 10 + (i / 2 * 2 - 1)});
    }
  }
  world.bindings = {{1000, 100, 10 + 2 * layers - 2}, {1001, 100, 10 + 2 * layers - 1}, {1002, 101, 1}};
  return world;
}

/// `size` groups, each in each, with ada in the first; and a group outside that only the last is in.
World tangle(std::uint64_t size) {
  World world{.enabled = true,
              .users = {{1, "ada", ""}},
              .groups = {},
              .service_accounts = {},
              .edges = {{10, 1}},
              .roles = {{100, "Reader", false, {{"FLOW", {"READ"}}}}, {101, "Viewer", false, {{"APP", {"READ"}}}}},
              .bindings = {}};
  for (std::uint64_t i = 0; i < size; ++i) {
    world.groups.push_back({10 + i, fmt::format("g{:03}", i)});
    for (std::uint64_t j = 0; j < size; ++j) world.edges.push_back({10 + i, 10 + j});
  }
  world.groups.push_back({10 + size, "exit"});
  world.edges.push_back({10 + size, 9 + size});
  return world;
}

Grants effective(const World& world, std::uint64_t skip, std::size_t limit) {
  return compile(world, at(100))->effective({PrincipalType::User, {1}}, at(100), skip, limit);
}

// Forty layers of two groups make 2^40 chains; the first ten must not wait for the others.
TEST(Grants, AFewOfVeryManyChainsComeAtOnce) {
  const auto some = lines(ladder(40), 1, 10);
  EXPECT_EQ(some.size(), 10U);
  EXPECT_TRUE(some[0].starts_with("Reader@* via g000>g002>g004"));
  EXPECT_EQ(std::set(some.begin(), some.end()).size(), 10U);
}

TEST(Grants, VeryManyChainsAreCountedExactlyAndTheLastPageIsAsNearAsTheFirstR102) {
  const auto world = ladder(40);
  const auto first = effective(world, 0, 1);
  EXPECT_EQ(first.total, (1ULL << 40) + 1);
  EXPECT_FALSE(first.more);
  const auto last = effective(world, (1ULL << 40) - 1, 5);
  ASSERT_EQ(last.items.size(), 2U);
  for (std::size_t hop = 0; hop < 40; ++hop) EXPECT_EQ(last.items[0].via.at(hop).name, fmt::format("g{:03}", 2 * hop + 1));
  EXPECT_EQ(last.items[1].role_name, "Viewer");
  EXPECT_TRUE(effective(world, (1ULL << 40) + 1, 5).items.empty());
}

TEST(Grants, MoreChainsThanANumberHoldsAreSaidToBeMoreR103) {
  const auto many = effective(ladder(70), 0, 3);
  EXPECT_TRUE(many.more);
  EXPECT_EQ(many.items.size(), 3U);
  EXPECT_GE(many.total, 1ULL << 53);
}

// A clique of 16 groups has no end of simple chains, and most of its ways lead nowhere once the only exit is behind.
TEST(Grants, ATangleWithOneExitDoesNotLoseItsWay) {
  auto world = tangle(16);
  world.edges.pop_back();
  world.edges.push_back({26, 10});  // the exit is above the first group
  world.bindings = {{1000, 100, 26}};
  EXPECT_THAT(lines(world, 1, 5), ElementsAre("Reader@* via g000>exit"));
}

TEST(Grants, ATangleIsCutAtAThousandChainsOfARoleAndSaysSoR103) {
  auto world = tangle(16);
  world.bindings = {{1000, 100, 26}, {1001, 101, 26}, {1002, 100, 1}};
  const auto all = effective(world, 0, 10'000);
  EXPECT_TRUE(all.more);
  EXPECT_EQ(all.total, all.items.size());
  EXPECT_EQ(std::count_if(all.items.begin(), all.items.end(), [](const Grant& g) { return g.role_name == "Reader"; }), 1000);
  EXPECT_GE(std::count_if(all.items.begin(), all.items.end(), [](const Grant& g) { return g.role_name == "Viewer"; }), 1);
  EXPECT_TRUE(all.items[0].via.empty());  // the direct one is a chain's beginning, so it comes first
  const auto page = effective(world, 998, 4);
  EXPECT_EQ(page.total, all.total);
  ASSERT_EQ(page.items.size(), 4U);
  EXPECT_EQ(page.items[3].via.back().name, all.items[1001].via.back().name);
}

// Three hundred groups in each other are 90,000 memberships: finding the way must not try them again and again.
TEST(Grants, AHugeTangleAnswersAtOnceR103) {
  auto world = tangle(300);
  world.bindings = {{1000, 100, 310}, {1001, 101, 310}};
  const auto snapshot = compile(world, at(100));
  const auto start = std::chrono::steady_clock::now();
  const auto all = snapshot->effective({PrincipalType::User, {1}}, at(100), 0, 100);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(2));
  EXPECT_TRUE(all.more);
  std::set<std::string> roles;
  for (const auto& grant : snapshot->effective({PrincipalType::User, {1}}, at(100), 0, 10'000).items) roles.insert(grant.role_name);
  EXPECT_THAT(roles, ElementsAre("Reader", "Viewer"));  // each at least once, whatever the other one took
}

// A ring of 20,000 groups: one chain, as long as the ring.
TEST(Grants, ALongRingIsOneChainAtMostOrItsShortestR103) {
  World world{.enabled = true,
              .users = {{1, "ada", ""}},
              .groups = {},
              .service_accounts = {},
              .edges = {{10, 1}},
              .roles = {{100, "Reader", false, {{"FLOW", {"READ"}}}}},
              .bindings = {{1000, 100, 10 + 15'000}}};
  for (std::uint64_t i = 0; i < 20'000; ++i) {
    world.groups.push_back({10 + i, fmt::format("g{}", i)});
    world.edges.push_back({10 + (i + 1) % 20'000, 10 + i});
  }
  const auto builder = make_builder(Catalogue::built_in(), at(0));
  builder->begin({1, 1}, true, 1, world.groups.size(), world.edges.size());
  builder->user({1}, "ada", "", true, false);
  for (const auto& group : world.groups) builder->group({group.id}, group.name, group.name, true);
  for (const auto& edge : world.edges) builder->edge({edge.group}, {edge.member});
  builder->role(
      {.id = {100}, .name = "Reader", .description = {}, .managed = false, .admin = false, .permissions = R"({"FLOW":["READ"]})"});
  builder->binding({.id = {1000},
                    .role = {100},
                    .principal = {PrincipalType::Group, {15'010}},
                    .ns = {},
                    .expires_at = {},
                    .source = {},
                    .created_at = {},
                    .created_by = {}});
  const auto snapshot = builder->finish();
  ASSERT_TRUE(snapshot) << snapshot.error().what;
  const auto start = std::chrono::steady_clock::now();
  const auto all = (*snapshot)->effective({PrincipalType::User, {1}}, at(0), 0, 10);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(2));
  ASSERT_EQ(all.items.size(), 1U);
  EXPECT_EQ(all.items[0].via.size(), 15'001U);
}

}  // namespace
}  // namespace rosterd::rbac
