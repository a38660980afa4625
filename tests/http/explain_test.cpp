// Explain and the effective view over HTTP: all of it from one snapshot, near misses for those who may see them (rbac.md §14,
// check-api.md §7). Chains and misses themselves are tested in tests/rbac.
#include <set>

#include "tests/http/world.hpp"

namespace rosterd::test {
namespace {

using nlohmann::json;

struct ExplainTest : testing::Test {
  World& world = World::shared();
  std::string tenant = world.tenant();
  TenantId key{tenant};
  std::string base = "/v1/tenants/" + tenant;

  PrincipalId user(const std::string& name) {
    UserRecord record;
    record.username = name;
    return world.store->create_user(key, record, {}).value().value.id;
  }
  PrincipalId group(const std::string& name) { return world.store->create_group(key, {.name = name}, {}).value().value.id; }
  RoleId role(const std::string& name, const std::string& permissions) {
    return world.store
        ->create_role(key, {.id = {}, .name = name, .description = {}, .managed = false, .admin = false, .permissions = permissions}, {})
        .value()
        .value.id;
  }
  void bind(RoleId role, const Principal& principal, const std::optional<std::string>& ns, std::optional<TimePoint> expires = {}) {
    ASSERT_TRUE(world.store->create_binding(key, {.role = role, .principal = principal, .ns = ns, .expires_at = expires}, {}));
  }
  [[nodiscard]] Answer explain(const Client& client, const std::string& subject, const std::string& permission, const std::string& action,
                               const std::string& ns = {}) const {
    return client.get(base + "/check?explain=true&subject=" + encoded(subject) + "&permission=" + permission + "&action=" + action +
                      (ns.empty() ? "" : "&namespace=" + ns));
  }
};

std::set<std::string> roles_of(const json& grants) {
  std::set<std::string> out;
  for (const auto& grant : grants) out.insert(grant["role"]["name"]);
  return out;
}

TEST_F(ExplainTest, ADenialNamesTheNearestMissesOfEveryKind) {
  const auto grace = user("grace");
  const Principal her{PrincipalType::User, grace};
  const auto crew = group("Crew");
  bind(role("Writer", R"({"FLOW":["CREATE"]})"), her, "a.b");
  bind(role("Reader", R"({"FLOW":["READ"]})"), her, std::nullopt);
  bind(role("Clerk", R"({"USER":["READ"]})"), her, "a.b");
  bind(role("Chief", R"({"FLOW":["CREATE"],"SECRET":["READ"]})"), {PrincipalType::Group, crew}, "a");
  world.control->changed(key);

  const auto elsewhere = explain(world.root(), "user:grace", "FLOW", "CREATE", "a.c");
  ASSERT_EQ(elsewhere.status, 200) << elsewhere.text;
  EXPECT_EQ(elsewhere.body["reason"], "denied_wrong_namespace");
  EXPECT_EQ(elsewhere.body["paths"], json::array());
  const auto& near = elsewhere.body["near_misses"];
  EXPECT_EQ(roles_of(near["elsewhere"]), std::set<std::string>{"Writer"});
  EXPECT_EQ(roles_of(near["without_action"]), std::set<std::string>{"Reader"});
  ASSERT_EQ(near["groups"].size(), 1u) << near;
  EXPECT_EQ(near["groups"][0]["group"]["name"], "Crew");
  EXPECT_EQ(near["groups"][0]["role"]["name"], "Chief");
  EXPECT_EQ(near["groups"][0]["namespace"], "a");
  EXPECT_EQ(near["more"], false);

  const auto limited = explain(world.root(), "user:grace", "USER", "READ");
  EXPECT_EQ(roles_of(limited.body["near_misses"]["tenant_scope"]), std::set<std::string>{"Clerk"}) << limited.text;
  EXPECT_FALSE(explain(world.root(), "user:grace", "FLOW", "READ").body.contains("near_misses")) << "a yes misses nothing";
}

TEST_F(ExplainTest, NearMissesNeedRoleReadAndAreNeverShownToTheSubjectR104) {
  const auto ada = world.person("ada");
  const auto with = [&](const char* permissions) {
    tenant = world.tenant_where(ada, permissions);
    key = TenantId{tenant};
    base = "/v1/tenants/" + tenant;
    user("grace");
    world.control->changed(key);
    return explain(world.as(ada), "user:grace", "FLOW", "READ");
  };
  EXPECT_EQ(with(R"({"CHECK":["READ"]})").status, 403);
  const auto bindings_only = with(R"({"CHECK":["READ"],"BINDING":["READ"]})");
  EXPECT_EQ(bindings_only.status, 200) << bindings_only.text;
  EXPECT_FALSE(bindings_only.body.contains("near_misses"));
  const auto both = with(R"({"CHECK":["READ"],"BINDING":["READ"],"ROLE":["READ"]})");
  EXPECT_TRUE(both.body.contains("near_misses")) << both.text;
  for (const auto& own : {text(PrincipalType::User, world.user_of(ada, tenant)), ada.email}) {
    const auto self = explain(world.as(ada), "user:" + own, "FLOW", "READ");
    EXPECT_EQ(self.status, 200) << self.text;
    EXPECT_FALSE(self.body.contains("near_misses")) << own;
  }
}

TEST_F(ExplainTest, RolesNamesAndStateAreThoseOfTheRevisionThatDecidesR105) {
  const auto grace = user("grace");
  bind(role("Reader", R"({"FLOW":["READ"]})"), {PrincipalType::User, grace}, "a");
  world.control->changed(key);
  world.control->asleep = true;  // what follows is committed and not yet published
  const auto suspended = world.store->set_user_suspended(key, grace, true, {});
  const auto bindings = world.store->bindings(key);
  for (const auto& binding : *bindings)
    if (binding.principal.id == grace) {
      EXPECT_TRUE(world.store->delete_binding(key, binding.id, false, {}));
    }
  const auto why = explain(world.root(), "user:grace", "FLOW", "READ", "a");
  const auto effective = world.root().get(base + "/users/grace/effective");
  world.control->asleep = false;
  ASSERT_TRUE(suspended);
  EXPECT_EQ(why.body["allowed"], true) << why.text;
  EXPECT_EQ(why.body["paths_total"], 1);
  EXPECT_EQ(why.body["paths"][0]["permissions"], json({{"FLOW", {"READ"}}}));
  EXPECT_EQ(why.body["state"]["subject"], "active");
  EXPECT_EQ(effective.body["items"], why.body["paths"]);
  EXPECT_EQ(effective.body["state"], "active");
  EXPECT_EQ(effective.body["revision"], why.body["revision"]);
  EXPECT_EQ(effective.header("rosterd-revision"), effective.body["revision"]);

  world.control->changed(key);
  const auto later = world.root().get(base + "/users/grace/effective");
  EXPECT_EQ(later.body["state"], "suspended") << later.text;
  EXPECT_EQ(later.body["total"], 0);
  EXPECT_EQ(explain(world.root(), "user:grace", "FLOW", "READ", "a").body["state"]["subject"], "suspended");
  EXPECT_EQ(explain(world.root(), "user:grace", "NOPE", "READ").body["state"]["subject"], "suspended");
}

TEST_F(ExplainTest, AMembershipThatEndedSinceTheRevisionIsSaidToBeGone) {
  const auto grace = user("grace");
  const auto crew = group("Crew");
  ASSERT_TRUE(world.store->add_member(key, crew, {PrincipalType::User, grace}, {}));
  bind(role("Reader", R"({"FLOW":["READ"]})"), {PrincipalType::Group, crew}, std::nullopt);
  world.control->changed(key);
  const auto hop = [&] { return explain(world.root(), "user:grace", "FLOW", "READ").body["paths"][0]["via"][0]; };
  EXPECT_EQ(hop()["gone"], false);
  EXPECT_EQ(hop()["origins"][0]["origin"], "local");
  world.control->asleep = true;
  const auto removed = world.store->remove_member(key, crew, {PrincipalType::User, grace}, false, {});
  const auto after = hop();
  world.control->asleep = false;
  ASSERT_TRUE(removed);
  EXPECT_EQ(after["gone"], true);
  EXPECT_EQ(after["origins"], json::array());
}

TEST_F(ExplainTest, TheEffectiveViewIsPagedWithoutGapsAndItsCursorFitsNobodyElse) {
  const Principal her{PrincipalType::User, user("grace")};
  user("linus");
  const auto reader = role("Reader", R"({"FLOW":["READ"]})");
  for (int i = 0; i < 7; ++i) bind(reader, her, fmt::format("n{}", i));
  world.control->changed(key);
  const auto path = base + "/users/grace/effective?limit=3";
  std::vector<std::string> seen;
  std::string next;
  for (int pages = 0; pages < 4; ++pages) {
    const auto page = world.root().get(next.empty() ? path : path + "&cursor=" + encoded(next));
    ASSERT_EQ(page.status, 200) << page.text;
    EXPECT_EQ(page.body["total"], 7);
    EXPECT_EQ(page.body["more"], false);
    for (const auto& item : page.body["items"]) seen.push_back(item["namespace"]);
    if (page.body["next"].is_null()) break;
    next = page.body["next"];
  }
  EXPECT_EQ(seen, (std::vector<std::string>{"n0", "n1", "n2", "n3", "n4", "n5", "n6"}));
  EXPECT_EQ(world.root().get(base + "/users/linus/effective?cursor=" + encoded(next)).status, 400);
  next.back() = next.back() == '6' ? '5' : '6';
  EXPECT_EQ(world.root().get(path + "&cursor=" + encoded(next)).status, 400) << "a cursor is not for editing";
}

TEST_F(ExplainTest, AKeyMeansTheSameToEffectiveAsToACheckR7) {
  UserRecord record;
  record.username = "Grace";
  record.email = "grace@example.org";
  const auto grace = world.store->create_user(key, record, {});
  record.username = "other";
  ASSERT_TRUE(world.store->create_user(key, record, {}));
  ASSERT_TRUE(grace);
  world.control->changed(key);
  for (const auto& spelling : {std::string("grace"), std::string("GRACE"), text(PrincipalType::User, grace->value.id)}) {
    const auto found = world.root().get(base + "/users/" + spelling + "/effective");
    ASSERT_EQ(found.status, 200) << found.text;
    EXPECT_EQ(found.body["user"]["id"], text(PrincipalType::User, grace->value.id));
  }
  const auto shared = world.root().get(base + "/users/" + encoded("grace@example.org") + "/effective");
  EXPECT_EQ(shared.status, 409);
  EXPECT_EQ(shared.code(), "ambiguous");
  EXPECT_EQ(explain(world.root(), "user:grace@example.org", "FLOW", "READ").body["state"]["subject"], "ambiguous");
  EXPECT_EQ(world.root().get(base + "/users/nobody/effective").status, 404);
}

}  // namespace
}  // namespace rosterd::test
