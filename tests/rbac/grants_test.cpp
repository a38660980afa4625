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

TEST(Grants, LeaveOutWhatHasExpired) {
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
  EXPECT_FALSE(grants[0].source);
  EXPECT_EQ(grants[1].via.at(0).group, PrincipalId{12});
}

TEST(Grants, OfNobodyAreNone) {
  const auto snapshot = compile(diamond());
  EXPECT_TRUE(snapshot->grants({PrincipalType::User, {999}}, at(1), 0).empty());
  EXPECT_TRUE(snapshot->grants({PrincipalType::Group, {1}}, at(1), 0).empty());
}

// Forty layers of two groups make 2^40 chains; the first ten must not wait for the others.
TEST(Grants, AFewOfVeryManyChainsComeAtOnce) {
  World world{.enabled = true,
              .users = {{1, "ada", ""}},
              .groups = {},
              .service_accounts = {},
              .edges = {},
              .roles = {{100, "Reader", false, {{"FLOW", {"READ"}}}}},
              .bindings = {}};
  for (std::uint64_t i = 0; i < 80; ++i) {
    world.groups.push_back({10 + i, fmt::format("g{:03}", i)});
    if (i < 2) {
      world.edges.push_back({10 + i, 1});
    } else {
      world.edges.push_back({10 + i, 10 + (i / 2 * 2 - 2)});
      world.edges.push_back({10 + i, 10 + (i / 2 * 2 - 1)});
    }
  }
  world.bindings = {{1000, 100, 88}, {1001, 100, 89}};
  const auto some = lines(world, 1, 10);
  EXPECT_EQ(some.size(), 10U);
  EXPECT_TRUE(some[0].starts_with("Reader@* via g000>g002>g004"));
  EXPECT_EQ(std::set(some.begin(), some.end()).size(), 10U);
}

// A clique of 16 groups has no end of simple chains, and most of its ways lead nowhere once the only exit is behind.
TEST(Grants, ATangleWithOneExitDoesNotLoseItsWay) {
  World world{.enabled = true,
              .users = {{1, "ada", ""}},
              .groups = {},
              .service_accounts = {},
              .edges = {},
              .roles = {{100, "Reader", false, {{"FLOW", {"READ"}}}}},
              .bindings = {}};
  for (std::uint64_t i = 0; i < 16; ++i) {
    world.groups.push_back({10 + i, fmt::format("g{:03}", i)});
    for (std::uint64_t j = 0; j < 16; ++j) world.edges.push_back({10 + i, 10 + j});
  }
  world.groups.push_back({50, "exit"});
  world.edges.erase(std::remove_if(world.edges.begin(), world.edges.end(), [](const WorldEdge& e) { return e.member > 25; }),
                    world.edges.end());
  world.edges.push_back({10, 1});
  world.edges.push_back({50, 10});
  world.bindings = {{1000, 100, 50}};
  EXPECT_THAT(lines(world, 1, 5), ElementsAre("Reader@* via g000>exit"));
}

}  // namespace
}  // namespace rosterd::rbac
