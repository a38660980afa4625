#include <gmock/gmock.h>

#include "tests/rbac/reference.hpp"

namespace rosterd::rbac {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

/// "Role@ns via a>b" for each grant.
std::vector<std::string> lines(const std::vector<Grant>& grants) {
  std::vector<std::string> out;
  for (const auto& grant : grants) {
    std::string chain;
    for (const auto& hop : grant.via) chain += (chain.empty() ? " via " : ">") + hop.name;
    out.push_back(fmt::format("{}@{}{}", grant.role_name, grant.ns.value_or("*"), chain));
  }
  return out;
}
std::vector<std::string> lines(const std::vector<NearMisses::Joining>& groups) {
  std::vector<std::string> out;
  for (const auto& one : groups) out.push_back(fmt::format("{}: {}", one.name, lines(std::vector{one.grant}).front()));
  return out;
}

World village() {
  return {.enabled = true,
          .users = {{1, "ada", "ada@example.com"}, {2, "bob", "bob@example.com"}, {3, "cleo", "bob@example.com"}, {4, "dot", "", false}},
          .groups = {{10, "Left"}, {11, "Right"}, {12, "Top"}, {13, "Others"}, {14, "Gone", false}},
          .service_accounts = {{20, "robot"}},
          .edges = {{10, 1}, {11, 1}, {12, 10}, {12, 11}},
          .roles = {{100, "Reader", false, {{"FLOW", {"READ"}}, {"USER", {"READ"}}}},
                    {101, "Writer", false, {{"FLOW", {"CREATE"}}}},
                    {102, "Admin", true, {}}},
          .bindings = {}};
}

Explanation explain(const World& world, std::string_view key, std::string_view action, std::optional<std::string_view> ns,
                    std::string_view permission = "FLOW", ExplainWish wish = {.paths = 100, .near_misses = true, .near = 20}) {
  const Question q{.type = PrincipalType::User, .key = key, .permission = permission, .action = action, .ns = ns, .at = at(100)};
  static std::shared_ptr<const Snapshot> kept;  // what is known of the subject points into it
  kept = compile(world, at(100));
  const auto out = kept->explain(q, wish);
  EXPECT_EQ(out.decision, reference(world, *Catalogue::built_in(), q));
  return out;
}

TEST(Explain, ListsEveryPathThatAllowsItAndTheNearestNamespaceR103) {
  auto world = village();
  world.bindings = {{1000, 100, 12, "a"}, {1001, 100, 1, "a.b"},    {1002, 101, 1},
                    {1003, 100, 13},      {1004, 102, 11, "a.b.c"}, {1005, 100, 1, "b"}};
  const auto why = explain(world, "ada", "READ", "a.b.x");
  EXPECT_THAT(lines(why.paths), ElementsAre("Reader@a via Left>Top", "Reader@a via Right>Top", "Reader@a.b"));
  EXPECT_EQ(why.paths_total, 3U);
  EXPECT_FALSE(why.paths_more);
  EXPECT_EQ(why.matched_namespace, "a.b");
  EXPECT_FALSE(why.near);
  EXPECT_EQ(why.subject.known.name, "ada");
  const auto admin = explain(world, "ada", "DELETE", "a.b.c.d");
  EXPECT_EQ(admin.decision.reason, Reason::AllowedAdminRole);
  EXPECT_THAT(lines(admin.paths), ElementsAre("Admin@a.b.c via Right"));
}

TEST(Explain, ATenantWideBindingMatchesNoNamespaceR31) {
  auto world = village();
  world.bindings = {{1000, 100, 1}};
  EXPECT_EQ(explain(world, "ada", "READ", "a.b").matched_namespace, std::nullopt);
  EXPECT_THAT(lines(explain(world, "ada", "READ", std::nullopt).paths), ElementsAre("Reader@*"));
}

TEST(Explain, PathsAreCappedAndTheirNumberIsExactR103) {
  auto world = village();
  world.bindings = {{1000, 100, 12}, {1001, 100, 1}, {1002, 102, 12}};
  const auto why = explain(world, "ada", "READ", "a", "FLOW", {.paths = 2, .near_misses = false, .near = 0});
  EXPECT_THAT(lines(why.paths), ElementsAre("Admin@* via Left>Top", "Admin@* via Right>Top"));
  EXPECT_EQ(why.paths_total, 5U);
  EXPECT_FALSE(why.paths_more);
}

TEST(Explain, ASuperAdminsPathsAreTheBindingsThatWouldDoR70) {
  auto world = village();
  world.users[0].super_admin = true;
  EXPECT_EQ(explain(world, "ada", "READ", std::nullopt, "USER").paths_total, 0U);
  world.bindings = {{1000, 100, 1}};
  const auto why = explain(world, "ada", "READ", std::nullopt, "USER");
  EXPECT_EQ(why.decision.reason, Reason::AllowedSuperAdmin);
  EXPECT_THAT(lines(why.paths), ElementsAre("Reader@*"));
  EXPECT_TRUE(why.subject.known.super_admin);
}

TEST(Explain, NamesTheRolesThatHaveThePairElsewhereR104) {
  auto world = village();
  world.bindings = {{1000, 100, 1, "a.b"}, {1001, 100, 12, "c"}, {1002, 101, 1, "a"}};
  const auto why = explain(world, "ada", "READ", "a.c");
  EXPECT_EQ(why.decision.reason, Reason::DeniedWrongNamespace);
  EXPECT_THAT(lines(why.paths), IsEmpty());
  ASSERT_TRUE(why.near);
  EXPECT_THAT(lines(why.near->elsewhere), ElementsAre("Reader@a.b", "Reader@c via Left>Top"));  // each binding once
  EXPECT_THAT(lines(why.near->without_action), ElementsAre("Writer@a"));
  EXPECT_THAT(lines(why.near->tenant_scope), IsEmpty());
}

TEST(Explain, NamesTheRolesHereWithoutTheActionR104) {
  auto world = village();
  world.bindings = {{1000, 101, 1}, {1001, 101, 11, "a"}, {1002, 101, 1, "b"}};
  const auto why = explain(world, "ada", "READ", "a");
  EXPECT_EQ(why.decision.reason, Reason::DeniedActionMissing);
  EXPECT_THAT(lines(why.near->without_action), ElementsAre("Writer@*", "Writer@a via Right"));
  EXPECT_THAT(lines(why.near->elsewhere), IsEmpty());
}

TEST(Explain, NamesTenantPairsInLimitedBindingsR30R104) {
  auto world = village();
  world.bindings = {{1000, 100, 1, "a"}, {1001, 102, 12, "b"}};
  const auto why = explain(world, "ada", "READ", std::nullopt, "USER");
  EXPECT_EQ(why.decision.reason, Reason::DeniedWrongNamespace);
  EXPECT_THAT(lines(why.near->tenant_scope), ElementsAre("Admin@b via Left>Top", "Reader@a"));
  EXPECT_THAT(lines(why.near->elsewhere), IsEmpty());
}

TEST(Explain, NamesBindingsThatHaveExpiredR37R104) {
  auto world = village();
  world.bindings = {
      {1000, 100, 1, "a", at(100)}, {1001, 100, 12, std::nullopt, at(50)}, {1002, 100, 1, "b", at(50)}, {1003, 101, 1, "a", at(50)}};
  const auto why = explain(world, "ada", "READ", "a");
  EXPECT_EQ(why.decision.reason, Reason::DeniedNoBinding);
  EXPECT_THAT(lines(why.near->expired), ElementsAre("Reader@* via Left>Top", "Reader@a"));
  EXPECT_EQ(why.near->expired[1].expires_at, at(100));
}

TEST(Explain, NamesTheGroupsWhoseMembershipWouldGrantR104) {
  auto world = village();
  world.groups.push_back({15, "Another"});
  world.groups.push_back({16, "Below"});
  world.edges.push_back({13, 16});
  world.bindings = {{1000, 100, 13, "a"}, {1001, 102, 13}, {1002, 100, 15},  // two bindings of Others, the nearer is shown
                    {1003, 100, 14},      {1004, 100, 2},  {1005, 100, 12, std::nullopt, at(50)},  // suspended; no group; expired
                    {1006, 101, 16, "a"}};
  const auto why = explain(world, "ada", "READ", "a.b");
  EXPECT_THAT(lines(why.near->groups), ElementsAre("Others: Reader@a", "Another: Reader@*"));
  EXPECT_FALSE(why.near->more);
}

TEST(Explain, NearMissesAreCappedAndSaySoC1) {
  auto world = village();
  for (std::uint64_t i = 0; i < 30; ++i) {
    world.groups.push_back({50 + i, fmt::format("team {:02}", i)});
    world.bindings.push_back({2000 + i, 100, 50 + i});
    world.bindings.push_back({3000 + i, 100, 1, fmt::format("n{:02}", i)});
  }
  const auto why = explain(world, "ada", "READ", "a", "FLOW", {.paths = 100, .near_misses = true, .near = 3});
  EXPECT_THAT(lines(why.near->groups), ElementsAre("team 00: Reader@*", "team 01: Reader@*", "team 02: Reader@*"));
  EXPECT_THAT(lines(why.near->elsewhere), ElementsAre("Reader@n00", "Reader@n01", "Reader@n02"));
  EXPECT_TRUE(why.near->more);
}

TEST(Explain, NearMissesAreGivenOnlyWhenWishedR104) {
  auto world = village();
  world.bindings = {{1000, 100, 1, "b"}};
  EXPECT_FALSE(explain(world, "ada", "READ", "a", "FLOW", {.paths = 100, .near_misses = false, .near = 20}).near);
}

TEST(Explain, AStepBeforeTheBindingsHasNeitherPathsNorNearMissesR97) {
  auto world = village();
  world.bindings = {{1000, 100, 4}, {1001, 100, 1}};
  for (const auto& [key, kind] :
       {std::pair{"dot", Resolved::Found}, {"nobody", Resolved::Unknown}, {"bob@example.com", Resolved::Ambiguous}}) {
    const auto why = explain(world, key, "READ", "a");
    EXPECT_THAT(lines(why.paths), IsEmpty());
    EXPECT_FALSE(why.near);
    EXPECT_EQ(why.subject.kind, kind);
  }
  const auto unknown = explain(world, "ada", "LAUNCH", "a");
  EXPECT_EQ(unknown.decision.reason, Reason::DeniedUnknownAction);
  EXPECT_EQ(unknown.subject.kind, Resolved::Found);
  EXPECT_FALSE(unknown.near);
  world.enabled = false;
  EXPECT_EQ(explain(world, "ada", "READ", "a").decision.reason, Reason::DeniedTenantDisabled);
}

TEST(Explain, DescribesWhomItKnowsR7) {
  const auto snapshot = compile(village());
  const auto ada = snapshot->resolve(PrincipalType::User, " ADA ");
  ASSERT_EQ(ada.kind, Resolved::Found);
  EXPECT_EQ(ada.known.who, (Principal{PrincipalType::User, {1}}));
  EXPECT_EQ(ada.known.email, "ada@example.com");
  EXPECT_TRUE(ada.known.active);
  const auto left = snapshot->describe({PrincipalType::Group, {10}});
  ASSERT_TRUE(left);
  EXPECT_EQ(left->name, "Left");  // as shown, not folded
  EXPECT_EQ(left->email, "");
  EXPECT_FALSE(snapshot->describe({PrincipalType::Group, {14}})->active);
  EXPECT_EQ(snapshot->describe({PrincipalType::ServiceAccount, {20}})->name, "robot");
  EXPECT_FALSE(snapshot->describe({PrincipalType::User, {10}}));
  EXPECT_FALSE(snapshot->describe({PrincipalType::User, {999}}));
  EXPECT_EQ(snapshot->resolve(PrincipalType::User, "bob@example.com").kind, Resolved::Ambiguous);
}

}  // namespace
}  // namespace rosterd::rbac
