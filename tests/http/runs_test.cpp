// Runs as the API shows them: queued, followed, approved and discarded (sync-rules.md §9). What a run does is the sync side's.
#include "tests/http/world.hpp"

namespace rosterd::test {
namespace {

using nlohmann::json;

struct RunsTest : testing::Test {
  World& world = World::shared();
  std::string tenant = world.tenant();
  std::string base = "/v1/tenants/" + tenant;
  void SetUp() override {
    const auto made = world.root().post(base + "/sources", {{"name", "corp"},
                                                            {"type", "ldap"},
                                                            {"settings",
                                                             {{"url", "ldaps://ldap.acme.example"},
                                                              {"preset", "openldap"},
                                                              {"users", {{"base", "ou=people,dc=acme"}}},
                                                              {"groups", {{"base", "ou=groups,dc=acme"}}}}}});
    ASSERT_EQ(made.status, 201) << made.text;
  }
  void TearDown() override {
    world.control->live.with([](std::string& text) { text.clear(); });
  }
};

TEST_F(RunsTest, ASyncIsQueuedAndToldWhere) {
  const int wakes = world.control->wakes;
  const auto run = world.root().post(base + "/sources/corp/sync", {{"mode", "full"}, {"dry_run", true}});
  ASSERT_EQ(run.status, 202) << run.text;
  EXPECT_GT(world.control->wakes, wakes) << "the scheduler is told";
  EXPECT_EQ(run.body["outcome"], "queued");
  EXPECT_EQ(run.body["mode"], "full");
  EXPECT_EQ(run.body["dry_run"], true);
  EXPECT_EQ(run.body["trigger"], "manual");
  const auto path = base + "/runs/" + run.body["id"].get<std::string>();
  EXPECT_EQ(run.header("location"), path);
  EXPECT_EQ(world.root().get(path).body["id"], run.body["id"]);
  EXPECT_EQ(world.root().get(path + "/changes").body, json({{"items", json::array()}, {"next", nullptr}}));
  EXPECT_EQ(world.root().get(base + "/runs").body["items"].size(), 1u);
  EXPECT_EQ(world.root().get(base + "/sources/corp/runs").body["items"][0]["id"], run.body["id"]);
  const auto status = world.root().get(base + "/status");
  EXPECT_EQ(status.body["items"][0]["state"], "queued") << status.text;
  EXPECT_EQ(status.body["items"][0]["source"]["name"], "corp");
}

TEST_F(RunsTest, AnEmptyBodyMeansAuto) {
  const auto run = world.root().post(base + "/sources/corp/sync");
  ASSERT_EQ(run.status, 202) << run.text;
  EXPECT_EQ(run.body["mode"], "auto");
  EXPECT_EQ(run.body["dry_run"], false);
}

TEST_F(RunsTest, OddRequestsAreRefused) {
  EXPECT_EQ(world.root().post(base + "/sources/corp/sync", {{"mode", "approval"}}).status, 400);
  EXPECT_EQ(world.root().post(base + "/sources/corp/sync", {{"dry_run", 1}}).status, 400);
  EXPECT_EQ(world.root().post(base + "/sources/corp/sync", {{"now", true}}).status, 400);
  EXPECT_EQ(world.root().post(base + "/sources/none/sync").status, 404);
  for (const char* id : {"x", "run_0000000000000", "run_zzzzzzzzzzzzz", "src_0000000000001"})
    EXPECT_EQ(world.root().get(base + "/runs/" + id).status, 404) << id;
}

TEST_F(RunsTest, ADisabledSourceIsNotSynced) {
  ASSERT_EQ(world.root().patch(base + "/sources/corp", {{"enabled", false}}).status, 200);
  EXPECT_EQ(world.root().post(base + "/sources/corp/sync").status, 409);
}

TEST_F(RunsTest, LiveProgressIsFurtherThanTheStore) {
  const auto run = world.root().post(base + "/sources/corp/sync");
  world.control->live.with([](std::string& text) { text = R"({"phase":"reading users","users":12,"groups":0})"; });
  const auto shown = world.root().get(base + "/runs/" + run.body["id"].get<std::string>());
  EXPECT_EQ(shown.body["progress"]["users"], 12);
  EXPECT_EQ(world.root().get(base + "/status").body["items"][0]["current_run"]["progress"]["phase"], "reading users");
}

TEST_F(RunsTest, OnlyAHeldPlanIsApproved) {
  const auto run = world.root().post(base + "/sources/corp/sync");
  const auto path = base + "/runs/" + run.body["id"].get<std::string>();
  const auto refused = world.root().post(path + "/approve", {{"plan", std::string(64, 'a')}});
  EXPECT_EQ(refused.status, 409);
  EXPECT_EQ(refused.code(), "plan_outdated");
  EXPECT_EQ(world.root().post(path + "/approve").status, 400);
  EXPECT_EQ(world.root().post(path + "/approve", {{"plan", 7}}).status, 400);
  EXPECT_EQ(world.root().post(path + "/discard", {{"why", "x"}}).status, 400);
  EXPECT_EQ(world.root().post(path + "/discard").status, 409);
}

TEST_F(RunsTest, AHeldRunIsApprovedOnceByItsHash) {
  const auto asked = world.root().post(base + "/sources/corp/sync");
  const auto now = world.clock.now();
  // As the engine does it: claim, hold with a plan.
  std::optional<Work> work;
  for (int i = 0; i < 100 && (!work || work->lease.tenant.value != tenant); ++i) {
    auto claimed = world.store->claim("test", Millis(60'000), now);
    ASSERT_TRUE(claimed) << claimed.error().what;
    if (!*claimed) break;
    work = std::move(**claimed);
  }
  ASSERT_TRUE(work);
  ASSERT_EQ(work->lease.tenant.value, tenant);
  auto stage = world.store->begin_stage(work->lease, {});
  ASSERT_TRUE(stage) << stage.error().what;
  RunEnd end;
  end.outcome = Outcome::Held;
  end.reason = "guard_users";
  end.detail = "would suspend 940 of 1000 users";
  end.plan = PlanInfo{.hash = std::string(64, 'b'), .counts = {}};
  end.approval_expires_at = now + std::chrono::hours(24);
  end.next_due = now + std::chrono::hours(1);
  ASSERT_TRUE((*stage)->keep(end));

  const auto path = base + "/runs/" + asked.body["id"].get<std::string>();
  EXPECT_EQ(world.root().get(path).body["outcome"], "held");
  EXPECT_EQ(world.root().get(base + "/status").body["items"][0]["held_run"]["plan"]["hash"], std::string(64, 'b'));
  EXPECT_EQ(world.root().post(path + "/approve", {{"plan", std::string(64, 'c')}}).code(), "plan_outdated");
  const auto approved = world.root().post(path + "/approve", {{"plan", std::string(64, 'b')}});
  EXPECT_EQ(approved.status, 202) << approved.text;
  EXPECT_EQ(world.root().post(path + "/approve", {{"plan", std::string(64, 'b')}}).status, 409) << "once";
}

TEST_F(RunsTest, ARunOfAnotherTenantDoesNotExistHere) {
  const auto run = world.root().post(base + "/sources/corp/sync");
  const auto other = "/v1/tenants/" + world.tenant() + "/runs/" + run.body["id"].get<std::string>();
  EXPECT_EQ(world.root().get(other).status, 404);
  EXPECT_EQ(world.root().get(other + "/changes").status, 404);
  EXPECT_EQ(world.root().post(other + "/approve", {{"plan", std::string(64, 'a')}}).status, 404);
  EXPECT_EQ(world.root().post(other + "/discard").status, 404);
}

}  // namespace
}  // namespace rosterd::test
