// The check over HTTP: shape, batch, consistency, who may ask (check-api.md §§2, 6, 7). The decision itself is tested in tests/rbac.
#include <set>
#include <thread>

#include "tests/http/world.hpp"

namespace rosterd::test {
namespace {

using nlohmann::json;

struct CheckTest : testing::Test {
  World& world = World::shared();
  std::string tenant = world.tenant();
  std::string base = "/v1/tenants/" + tenant;
  std::string path = base + "/check";
  std::string me = "user:" + world.root_email;

  [[nodiscard]] Answer ask(const std::string& subject, const std::string& permission, const std::string& action,
                           const std::string& more = {}) const {
    return world.root().get(path + "?subject=" + encoded(subject) + "&permission=" + permission + "&action=" + action + more);
  }
};

TEST_F(CheckTest, AnswersWithReasonRevisionAndAge) {
  const auto answer = ask(me, "FLOW", "CREATE", "&namespace=company.team");
  ASSERT_EQ(answer.status, 200) << answer.text;
  EXPECT_EQ(answer.body["allowed"], true);
  EXPECT_EQ(answer.body["reason"], "allowed_admin_role");
  EXPECT_EQ(answer.body.size(), 3u);
  EXPECT_EQ(answer.header("rosterd-revision"), answer.body["revision"]);
  EXPECT_FALSE(answer.header("rosterd-snapshot-age").empty());
  EXPECT_EQ(answer.body["revision"], world.root().get(base).body["revision"]);
}

TEST_F(CheckTest, WhatIsUnknownIsAnAnswer) {
  EXPECT_EQ(ask(me, "FLOWS", "READ").body["reason"], "denied_unknown_permission");
  EXPECT_EQ(ask(me, "flow", "READ").body["reason"], "denied_unknown_permission") << "names are compared with their case";
  EXPECT_EQ(ask(me, "FLOW", "EXECUTE").body["reason"], "denied_unknown_action");
  EXPECT_EQ(ask("user:nobody", "FLOW", "READ").body["reason"], "denied_unknown_subject");
  EXPECT_EQ(ask("group:" + world.root_email, "FLOW", "READ").body["reason"], "denied_unknown_subject");
  EXPECT_EQ(ask(me, "SOURCE", "READ").body["reason"], "allowed_super_admin");
}

TEST_F(CheckTest, MalformedQuestionsAreErrors) {
  for (const char* subject : {"", "ada", "user:", "robot:ada", ":ada", "USER:ada"})
    EXPECT_EQ(ask(subject, "FLOW", "READ").status, 400) << subject;
  EXPECT_EQ(ask("user:" + std::string(600, 'a'), "FLOW", "READ").status, 400);
  EXPECT_EQ(world.root().get(path + "?subject=user:a&permission=FLOW").status, 400);
  EXPECT_EQ(world.root().get(path + "?subject=user:a&permission=&action=READ").status, 400);
  EXPECT_EQ(ask(me, "FLOW", "READ", "&colour=red").status, 400);
  EXPECT_EQ(ask(me, "FLOW", "READ", "&explain=yes").status, 400);
  EXPECT_EQ(ask(me, "FLOW", "READ", "&action=READ").status, 400);
}

TEST_F(CheckTest, AnEmptyNamespaceIsRefusedEverywhere) {
  for (const std::string ns : {"", ".", "a.", ".a", "a..b", "A", "a b", "a/b", "-a"}) {
    const auto by_query = ask(me, "FLOW", "READ", "&namespace=" + encoded(ns));
    EXPECT_EQ(by_query.status, 422) << ns;
    EXPECT_EQ(by_query.code(), "invalid_namespace");
    EXPECT_EQ(world.root().post(path, {{"subject", me}, {"permission", "FLOW"}, {"action", "READ"}, {"namespace", ns}}).code(),
              "invalid_namespace");
    const auto in_batch = world.root().post(
        path, {{"checks", json::array({json{{"subject", me}, {"permission", "FLOW"}, {"action", "READ"}, {"namespace", ns}}})}});
    ASSERT_EQ(in_batch.status, 200);
    EXPECT_EQ(in_batch.body["results"][0]["allowed"], false);
    EXPECT_EQ(in_batch.body["results"][0]["error"]["code"], "invalid_namespace");
  }
  EXPECT_EQ(world.root().post(path, {{"subject", me}, {"permission", "FLOW"}, {"action", "READ"}, {"namespace", nullptr}}).body["allowed"],
            true);
}

TEST_F(CheckTest, ABatchAnswersAsItsSinglesInOrderFromOneRevisionK8) {
  const TenantId key{tenant};
  UserRecord record;
  record.username = "grace";
  const auto grace = world.store->create_user(key, record, {});
  ASSERT_TRUE(grace);
  RoleId viewer;
  const auto roles = world.store->roles(key);
  for (const auto& role : *roles)
    if (role.name == "Viewer") viewer = role.id;
  ASSERT_TRUE(world.store->create_binding(
      key, {.role = viewer, .principal = {PrincipalType::User, grace->value.id}, .ns = "a.b", .expires_at = {}}, {}));
  world.control->changed(key);

  auto checks = json::array();
  for (const auto& subject : {me, std::string("user:grace"), std::string("user:nobody"), std::string("group:x")})
    for (const char* permission : {"FLOW", "USER", "SECRET", "NOPE"})
      for (const char* action : {"READ", "DELETE", "NOPE"})
        for (const json& ns : {json(nullptr), json("a.b"), json("a.b.c"), json("a.bc")})
          checks.push_back({{"subject", subject}, {"permission", permission}, {"action", action}, {"namespace", ns}});
  const auto batch = world.root().post(path, {{"checks", checks}});
  ASSERT_EQ(batch.status, 200) << batch.text;
  ASSERT_EQ(batch.body["results"].size(), checks.size());
  std::set<std::string> reasons;
  for (std::size_t i = 0; i < checks.size(); ++i) {
    const auto single = world.root().post(path, checks[i]);
    EXPECT_EQ(single.body["allowed"], batch.body["results"][i]["allowed"]) << checks[i];
    EXPECT_EQ(single.body["reason"], batch.body["results"][i]["reason"]) << checks[i];
    EXPECT_EQ(single.body["revision"], batch.body["revision"]);
    reasons.insert(single.body["reason"]);
  }
  EXPECT_GE(reasons.size(), 7u) << "the questions were too alike to tell anything";
}

TEST_F(CheckTest, ABatchHasALimitAndAShape) {
  auto checks = json::array();
  for (int i = 0; i < 1000; ++i) checks.push_back({{"subject", "user:u" + std::to_string(i)}, {"permission", "FLOW"}, {"action", "READ"}});
  EXPECT_EQ(world.root().post(path, {{"checks", checks}}).body["results"].size(), 1000u);
  checks.push_back(checks[0]);
  EXPECT_EQ(world.root().post(path, {{"checks", checks}}).status, 400);
  EXPECT_EQ(world.root().post(path, {{"checks", json::array()}}).body["results"], json::array());
  const auto refused = [&](const std::string& body, std::string_view named) {
    const auto answer = world.root().call("POST", path, body);
    EXPECT_EQ(answer.status, 400) << body;
    EXPECT_NE(answer.text.find(named), std::string::npos) << body << answer.text;
  };
  refused(R"([])", "object");
  refused(R"("x")", "object");
  refused(R"(null)", "object");
  refused(R"({"checks":{}})", "checks");
  refused(R"({"checks":[1]})", "checks");
  refused(R"({"checks":[null]})", "checks");
  refused(R"({"checks":[[]]})", "checks");
  refused(R"({"checks":[{"subject":"user:a","permission":"P","action":"A","explain":true}]})", "explain");
  refused(R"({"checks":[{"subject":{"a":1}}]})", "subject");
  refused(R"({"checks":[],"subject":"user:a"})", "checks");
  refused(R"({"subject":"user:a","checks":[]})", "checks");
  refused(R"({"checks":[],"checks":[]})", "checks");
  refused(R"({"subject":"user:a","subject":"user:b","permission":"P","action":"A"})", "twice");
  refused(R"({"subject":7,"permission":"P","action":"A"})", "subject");
  refused(R"({"subject":"user:a","permission":"P","action":"A","explain":"yes"})", "explain");
  refused(R"({"subject":"user:a","permission":"P","action":"A","colour":1})", "colour");
  refused(R"({"subject":"user:a","permission":"P","action":"A")", "not JSON");
  refused("{\"subject\":\"user:\xff\",\"permission\":\"P\",\"action\":\"A\"}", "not JSON");
  refused(R"({"subject":"user:a\u0000","permission":"P","action":"A"})", "U+0000");
  refused(R"({"checks":[{"sub\u0000ject":"user:a"}]})", "U+0000");
  refused(std::string(100'000, '['), "object");
  refused("{\"checks\":" + std::string(100'000, '['), "checks");
}

TEST_F(CheckTest, AnItemThatIsNoQuestionDoesNotSpoilTheOthers) {
  const auto batch = world.root().post(
      path, {{"checks", json::array({json{{"subject", "ada"}, {"permission", "FLOW"}, {"action", "READ"}},
                                     json{{"subject", me}, {"permission", "FLOW"}, {"action", "READ"}}, json::object()})}});
  ASSERT_EQ(batch.status, 200) << batch.text;
  EXPECT_EQ(batch.body["results"][0]["error"]["code"], "invalid_request");
  EXPECT_EQ(batch.body["results"][0]["allowed"], false);
  EXPECT_EQ(batch.body["results"][1]["allowed"], true);
  EXPECT_EQ(batch.body["results"][2]["allowed"], false);
}

TEST_F(CheckTest, AboutOneselfIsFreeAboutOthersTakesCheckRead) {
  const auto ada = world.person("ada");
  const auto hers = world.tenant_where(ada, R"({"FLOW":["READ"]})");
  const auto at = "/v1/tenants/" + hers + "/check";
  const auto id = text(PrincipalType::User, world.user_of(ada, hers));
  for (const auto& key : {id, ada.email}) {
    const auto free = world.as(ada).get(at + "?subject=" + encoded("user:" + key) + "&permission=FLOW&action=READ&explain=true");
    EXPECT_EQ(free.status, 200) << free.text;
    EXPECT_EQ(free.body["allowed"], true);
    EXPECT_EQ(free.body["paths_total"], 1);
  }
  for (const char* other : {"user:keeper", "user:nobody", "group:x"})
    EXPECT_EQ(world.as(ada).get(at + "?subject=" + other + "&permission=FLOW&action=READ").status, 403) << other;
  const auto batch =
      world.as(ada).post(at, {{"checks", json::array({json{{"subject", "user:" + id}, {"permission", "FLOW"}, {"action", "READ"}},
                                                      json{{"subject", "user:keeper"}, {"permission", "FLOW"}, {"action", "READ"}}})}});
  ASSERT_EQ(batch.status, 200) << batch.text;
  EXPECT_EQ(batch.body["results"][0]["allowed"], true);
  EXPECT_EQ(batch.body["results"][1]["error"]["code"], "forbidden");

  const auto grace = world.person("grace");
  const auto with = world.tenant_where(grace, R"({"CHECK":["READ"]})");
  EXPECT_EQ(world.as(grace).get("/v1/tenants/" + with + "/check?subject=user:keeper&permission=FLOW&action=READ").body["reason"],
            "allowed_admin_role");
  EXPECT_EQ(world.as(grace).get("/v1/tenants/" + with + "/check?subject=user:keeper&permission=FLOW&action=READ&explain=true").status, 403)
      << "paths are bindings";
}

TEST_F(CheckTest, ExplainSaysTheSameAndWhy) {
  for (const char* permission : {"FLOW", "USER", "NOPE"}) {
    const auto plain = ask(me, permission, "READ");
    const auto explained = ask(me, permission, "READ", "&explain=true");
    ASSERT_EQ(explained.status, 200) << explained.text;
    for (const char* field : {"allowed", "reason", "revision"}) EXPECT_EQ(plain.body[field], explained.body[field]);
    EXPECT_EQ(explained.body["state"]["tenant"], "active");
  }
  const auto paths = ask(me, "FLOW", "READ", "&explain=true").body["paths"];
  ASSERT_EQ(paths.size(), 1u);
  EXPECT_EQ(paths[0]["role"]["name"], "Admin");
  EXPECT_EQ(paths[0]["via"], json::array());
  EXPECT_EQ(paths[0]["permissions"], "ALL");
}

TEST_F(CheckTest, AMinimumRevisionIsHonoured) {
  const auto now = *parse_revision(world.root().get(base).body["revision"].get<std::string>());
  const auto at = [&](const Revision& revision) {
    return world.root().get(path + "?subject=" + encoded(me) + "&permission=FLOW&action=READ", {{"Rosterd-Min-Revision", text(revision)}});
  };
  EXPECT_EQ(at(now).status, 200);
  EXPECT_EQ(at({now.epoch, 0}).status, 200);
  const auto later = at({now.epoch, now.number + 1});
  EXPECT_EQ(later.status, 503);
  EXPECT_EQ(later.code(), "not_yet_at_revision");
  EXPECT_FALSE(later.header("retry-after").empty());
  EXPECT_EQ(at({now.epoch + 1, 1}).code(), "unknown_epoch");
  if (now.epoch > 0) {
    EXPECT_EQ(at({now.epoch - 1, 1}).code(), "unknown_epoch");
  }
  for (const char* bad : {"x", "1", "1.", ".1", "-1.1", "1.1.1", "1.99999999999999999999999"})
    EXPECT_EQ(world.root().get(base, {{"Rosterd-Min-Revision", bad}}).status, 400) << bad;
}

TEST_F(CheckTest, ItWaitsForARevisionThatIsOnItsWay) {
  world.control->asleep = true;
  const auto written = world.store->change_tenant(TenantId{tenant}, {.name = "Other", .enabled = {}}, {});
  world.control->asleep = false;
  ASSERT_TRUE(written);
  const auto answer = world.root().get(path + "?subject=" + encoded(me) + "&permission=FLOW&action=READ",
                                       {{"Rosterd-Min-Revision", text(written->revision)}});
  EXPECT_EQ(answer.status, 200) << answer.text;
  EXPECT_GE(*parse_revision(answer.body["revision"].get<std::string>()), written->revision);
}

TEST_F(CheckTest, AnAgeThatIsTooHighIsRefused) {
  const auto aged = [&](const char* age) {
    return world.root().get(path + "?subject=" + encoded(me) + "&permission=FLOW&action=READ", {{"Rosterd-Max-Age", age}});
  };
  std::this_thread::sleep_for(std::chrono::milliseconds(20));  // so that the snapshot is older than 5 ms for sure
  EXPECT_EQ(aged("5").code(), "snapshot_too_old");
  EXPECT_EQ(aged("60000").status, 200);
  for (const char* bad : {"x", "-1", "1s", "1.5"}) EXPECT_EQ(aged(bad).status, 400) << bad;
}

TEST_F(CheckTest, ATenantThatIsNotLoadedIsAFaultAndNeverADeny) {
  world.control->asleep = true;
  world.snapshots.forget(TenantId{tenant});
  const auto answer = ask(me, "FLOW", "READ");
  world.control->asleep = false;
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(answer.code(), "snapshot_loading");
  EXPECT_EQ(ask(me, "FLOW", "READ").status, 200) << "and it is loaded when asked for again";
}

}  // namespace
}  // namespace rosterd::test
