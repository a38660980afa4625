#include <thread>

#include "schema/core/text.hpp"
#include "tests/rbac/reference.hpp"

namespace rosterd::rbac {
namespace {

std::string problem(const World& world) {
  const auto builder = make_builder(Catalogue::built_in(), at(0));
  feed(world, *builder);
  const auto snapshot = builder->finish();
  return snapshot ? "" : snapshot.error().what;
}

World small() {
  return {.enabled = true,
          .users = {{1, "ada", ""}},
          .groups = {{10, "g"}},
          .service_accounts = {{20, "robot"}},
          .edges = {{10, 1}},
          .roles = {{100, "Reader", false, {{"FLOW", {"READ"}}}}},
          .bindings = {{1000, 100, 10, "a"}}};
}

TEST(Compile, CountsWhatItHolds) {
  const auto stats = compile(small())->stats();
  EXPECT_EQ(stats.users, 1U);
  EXPECT_EQ(stats.groups, 1U);
  EXPECT_EQ(stats.service_accounts, 1U);
  EXPECT_EQ(stats.edges, 1U);
  EXPECT_EQ(stats.bindings, 1U);
  EXPECT_EQ(stats.profiles, 2U);  // the empty one, and one that user and group share
  EXPECT_GT(stats.bytes, 0U);
  EXPECT_EQ(compile(small())->revision(), (Revision{1, 7}));
}

TEST(Compile, RefusesRowsThatContradictEachOther) {
  EXPECT_EQ(problem(small()), "");
  auto world = small();
  world.edges = {{10, 99}};
  EXPECT_NE(problem(world).find("principal 99"), std::string::npos);
  world.edges = {{1, 10}};  // a user is no group
  EXPECT_NE(problem(world).find("group 1"), std::string::npos);
  world = small();
  world.bindings[0].role = 7;
  EXPECT_NE(problem(world).find("role"), std::string::npos);
  world = small();
  world.bindings[0].principal = 7;
  EXPECT_NE(problem(world).find("usr_"), std::string::npos);
  world = small();
  world.bindings[0].ns = "";  // must not become the whole tenant (R27)
  EXPECT_NE(problem(world).find("no namespace"), std::string::npos);
  world = small();
  world.users.push_back({1, "bob", ""});
  EXPECT_NE(problem(world).find("twice"), std::string::npos);
  world = small();
  world.groups[0].id = 1;
  EXPECT_NE(problem(world).find("twice"), std::string::npos);
}

TEST(Compile, RefusesFewerRowsThanWereAnnounced) {
  const auto builder = make_builder(Catalogue::built_in(), at(0));
  builder->begin({1, 1}, true, 2, 0, 0);
  builder->user({1}, "ada", "", true, false);
  const auto snapshot = builder->finish();
  ASSERT_FALSE(snapshot);
  EXPECT_EQ(snapshot.error().code, Errc::Internal);
}

TEST(Compile, TheHashNoticesEveryChange) {
  std::set<std::uint64_t> hashes{compile(small())->content_hash()};
  const auto differs = [&](auto&& change) {
    auto world = small();
    change(world);
    EXPECT_TRUE(hashes.insert(compile(world)->content_hash()).second);
  };
  differs([](World& w) { w.enabled = false; });
  differs([](World& w) { w.users[0].username = "bob"; });
  differs([](World& w) { w.users[0].email = "ada@example.com"; });
  differs([](World& w) { w.users[0].active = false; });
  differs([](World& w) { w.users[0].super_admin = true; });
  differs([](World& w) { w.groups[0].active = false; });
  differs([](World& w) { w.edges.clear(); });
  differs([](World& w) { w.roles[0].permissions["FLOW"].insert("CREATE"); });
  differs([](World& w) { w.roles[0].admin = true; });
  differs([](World& w) { w.bindings[0].ns = "b"; });
  differs([](World& w) { w.bindings[0].ns.reset(); });
  differs([](World& w) { w.bindings[0].expires = at(5); });
  differs([](World& w) { w.bindings[0].principal = 1; });
  EXPECT_EQ(compile(small(), at(99))->content_hash(), *hashes.find(compile(small())->content_hash()));
}

TEST(Compile, TheSameEdgeFromTwoOriginsIsOneMembership) {
  auto world = small();
  world.edges = {{10, 1}, {10, 1}};
  EXPECT_EQ(compile(world)->stats().edges, 1U);
  EXPECT_EQ(compile(world)->content_hash(), compile(small())->content_hash());
}

// 3,000 groups in a chain, each bound to a namespace of its own: flattened it would be 4.5 million words for 9,000 rows. What does not
// fit is answered from the rows, just as exactly.
TEST(Compile, AChainThatCannotBeFlattenedIsStillAnsweredExactly) {
  constexpr std::uint64_t kDepth = 3000;
  World world{.enabled = true,
              .users = {{1, "ada", ""}},
              .groups = {},
              .service_accounts = {},
              .edges = {{10, 1}},
              .roles = {{100, "Reader", false, {{"FLOW", {"READ"}}}}},
              .bindings = {}};
  for (std::uint64_t i = 0; i < kDepth; ++i) {
    world.groups.push_back({10 + i, fmt::format("g{}", i)});
    if (i > 0) world.edges.push_back({10 + i, 9 + i});
    world.bindings.push_back({100000 + i, 100, 10 + i, fmt::format("n{}", i)});
  }
  const auto snapshot = compile(world);
  EXPECT_LT(snapshot->stats().bytes, 12U * 1024 * 1024);
  for (const std::uint64_t i : {0, 1, 1500, 2998, 2999}) {
    const auto ns = fmt::format("n{}", i);
    EXPECT_EQ(snapshot->check({PrincipalType::User, {1}}, "FLOW", "READ", ns, at(0)), (Decision{true, Reason::AllowedBinding})) << i;
    EXPECT_EQ(snapshot->check({PrincipalType::User, {1}}, "FLOW", "CREATE", ns, at(0)), (Decision{false, Reason::DeniedActionMissing}))
        << i;
    EXPECT_EQ(snapshot->check({PrincipalType::Group, {10 + 1500}}, "FLOW", "READ", ns, at(0)).allowed, i >= 1500) << i;
  }
}

TEST(Compile, VeryDeepNestingNeedsNoStack) {
  World world{.enabled = true,
              .users = {{1, "ada", ""}},
              .groups = {},
              .service_accounts = {},
              .edges = {{10, 1}},
              .roles = {{100, "Reader", false, {{"FLOW", {"READ"}}}}},
              .bindings = {}};
  constexpr std::uint64_t kDepth = 200000;
  for (std::uint64_t i = 0; i < kDepth; ++i) {
    world.groups.push_back({10 + i, fmt::format("g{}", i)});
    if (i > 0) world.edges.push_back({10 + i, 9 + i});
  }
  const auto builder = make_builder(Catalogue::built_in(), at(0));
  builder->begin({1, 1}, true, 1, world.groups.size(), world.edges.size());
  builder->user({1}, "ada", "", true, false);
  for (const auto& group : world.groups) builder->group({group.id}, group.name, group.name, true);
  for (const auto& edge : world.edges) builder->edge({edge.group}, {edge.member});
  builder->role(
      {.id = {100}, .name = "Reader", .description = {}, .managed = false, .admin = false, .permissions = R"({"FLOW":["READ"]})"});
  builder->binding({.id = {1},
                    .role = {100},
                    .principal = {PrincipalType::Group, {10 + kDepth - 1}},
                    .ns = {},
                    .expires_at = {},
                    .source = {},
                    .created_at = {},
                    .created_by = {}});
  const auto snapshot = builder->finish();
  ASSERT_TRUE(snapshot) << snapshot.error().what;
  EXPECT_TRUE((*snapshot)->check({PrincipalType::User, {1}}, "FLOW", "READ", {}, at(0)).allowed);
}

TEST(Compile, LongNamesAreFoundToo) {
  for (const std::size_t length : {127U, 128U, 300U, 20000U}) {
    auto world = small();
    world.users[0].username = std::string(length, 'x');
    world.users[0].email = std::string(length, 'y');
    const auto snapshot = compile(world);
    for (const auto& key : {world.users[0].username, world.users[0].email})
      EXPECT_TRUE(snapshot->check({.type = PrincipalType::User, .key = key, .permission = "FLOW", .action = "READ", .ns = "a", .at = at(0)})
                      .allowed)
          << length;
  }
}

TEST(Compile, ManyThreadsReadOneSnapshot) {
  auto world = small();
  world.bindings[0].expires = at(10);  // so that some of them walk
  const auto snapshot = compile(world);
  std::vector<std::jthread> readers;
  for (int t = 0; t < 4; ++t)
    readers.emplace_back([&] {
      for (int i = 0; i < 5000; ++i) {
        EXPECT_EQ(snapshot->check({PrincipalType::User, {1}}, "FLOW", "READ", "a.b", at(i % 20)).allowed, i % 20 < 10);
        if (i % 500 == 0) {
          EXPECT_EQ(snapshot->grants({PrincipalType::User, {1}}, at(0), 0).size(), 1U);
        }
      }
    });
}

}  // namespace
}  // namespace rosterd::rbac
