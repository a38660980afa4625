// Runs as the API shows them: queued, followed, approved and discarded (sync-rules.md §9). What a run does is the sync side's.
#include <fstream>
#include <regex>

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
  /// The run that was asked for, claimed as a scheduler would.
  std::optional<Work> claim() {
    std::optional<Work> work;
    for (int i = 0; i < 100 && (!work || work->lease.tenant.value != tenant); ++i) {
      auto claimed = world.store->claim("test", Millis(60'000), world.clock.now());
      if (!claimed || !*claimed) return std::nullopt;
      work = std::move(**claimed);
    }
    return work && work->lease.tenant.value == tenant ? work : std::nullopt;
  }
  /// Asks for a run and ends it.
  void run_that_ends(Outcome outcome, bool complete, bool dry_run = false) {
    ASSERT_EQ(world.root().post(base + "/sources/corp/sync", {{"dry_run", dry_run}}).status, 202);
    const auto work = claim();
    ASSERT_TRUE(work);
    RunEnd end;
    end.outcome = outcome;
    end.complete = complete;
    end.detail = "as the test wants it";
    end.failures = outcome == Outcome::Failed ? 1 : 0;
    end.next_due = world.clock.now() + std::chrono::hours(1);
    ASSERT_TRUE(world.store->finish(work->lease, end));
  }
  json corp() { return world.root().get(base + "/status").body["items"][0]; }
  /// The value of a gauge of the source.
  std::string gauge(const std::string& name) {
    const auto text = world.root().get("/metrics").text;
    const auto series = fmt::format("\n{}{{source=\"corp\",tenant=\"{}\"}} ", name, tenant);
    const auto at = text.find(series);
    return at == std::string::npos ? "none" : text.substr(at + series.size(), text.find('\n', at + 1) - at - series.size());
  }
  void TearDown() override {
    world.control->live.with([](std::string& text) { text.clear(); });
  }
};

TEST_F(RunsTest, MetricsHaveEverySeriesOfTheList) {
  run_that_ends(Outcome::Unchanged, true);
  world.root().get(base + "/check?subject=user:x&permission=FLOW&action=READ");
  std::ifstream file(std::string(ROSTERD_SOURCE_DIR) + "/docs/api.md");
  const std::string page{std::istreambuf_iterator<char>(file), {}};
  const auto open = "\n" + world.nobody().get("/metrics").text, all = "\n" + world.root().get("/metrics").text;
  const std::regex row("\n(\\| `rosterd_[^\n]*)"), name("`(rosterd_[a-z_]+)");
  int listed = 0;
  const auto tenants_begin = page.find("With a super admin's token, of each tenant or source");
  ASSERT_NE(tenants_begin, std::string::npos);
  for (std::sregex_iterator it(page.begin(), page.end(), row), end; it != end; ++it) {
    const std::string line = (*it)[1];
    const bool of_tenants = static_cast<std::size_t>(it->position()) > tenants_begin;
    for (std::sregex_iterator found(line.begin(), line.end(), name); found != end; ++found) {
      const std::string series = (*found)[1], type = "\n# TYPE " + series + " ";
      ++listed;
      if (series == "rosterd_runs_total") continue;  // counted by the scheduler, which this world has not
      EXPECT_NE(all.find(type), std::string::npos) << series;
      EXPECT_EQ(open.find(type) == std::string::npos, of_tenants) << series << ": tenants' names are not for everybody";
    }
  }
  EXPECT_GT(listed, 12);
}

// R15:
TEST_F(RunsTest, PairsThatTheCatalogueDoesNotHaveAreCounted) {
  PrivatePostgres::shared().query(world.database,
                                  "INSERT INTO rosterd.role (tenant_id, name, name_key, permissions) SELECT tenant_id, 'Old', 'old', "
                                  "'{\"FLOW\":[\"READ\",\"PAINT\"],\"GONE\":[\"READ\",\"UPDATE\"]}' FROM rosterd.tenant WHERE id = '" +
                                      tenant + "'");
  world.control->changed(TenantId{tenant});
  const auto text = world.root().get("/metrics").text;
  EXPECT_NE(text.find(fmt::format("\nrosterd_role_unknown_pairs{{tenant=\"{}\"}} 3", tenant)), std::string::npos);
}

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
  const auto work = claim();  // as the engine does it: claim, hold with a plan
  ASSERT_TRUE(work);
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

TEST_F(RunsTest, AnIncompleteReadIsNotOkBecauseAnOlderOneWasComplete) {
  EXPECT_EQ(corp()["state"], "new");
  run_that_ends(Outcome::Unchanged, true);
  EXPECT_EQ(corp()["state"], "ok");
  run_that_ends(Outcome::Partial, false);
  EXPECT_EQ(corp()["state"], "incomplete");
  EXPECT_EQ(world.root().get(base + "/sources/corp").body["state"], "incomplete");
  run_that_ends(Outcome::Planned, true, true);
  EXPECT_EQ(corp()["state"], "incomplete") << "a dry run mends nothing";
  EXPECT_EQ(corp()["last_run"]["outcome"], "partial");
  run_that_ends(Outcome::Abandoned, false);
  EXPECT_EQ(corp()["last_run"]["outcome"], "abandoned");
  run_that_ends(Outcome::Unchanged, true);
  EXPECT_EQ(corp()["state"], "ok");
}

TEST_F(RunsTest, AHeldPlanShowsWhomItWouldTouchAndStaysVisibleBehindAFailedRun) {
  EXPECT_EQ(corp()["held_changes"], json::array());
  EXPECT_EQ(gauge("rosterd_source_held"), "0");
  ASSERT_EQ(world.root().post(base + "/sources/corp/sync").status, 202);
  const auto work = claim();
  ASSERT_TRUE(work);
  {
    auto stage = world.store->begin_stage(work->lease, {});
    ASSERT_TRUE(stage) << stage.error().what;
    UserRecord ada;
    ada.id = ExternalId{"id-ada"};
    ada.username = "ada";
    ASSERT_TRUE((*stage)->user({.kind = ChangeKind::Added,
                                .id = PrincipalId{*world.store->reserve_principal_ids(1)},
                                .external_id = ada.id.value,
                                .content_hash = 1,
                                .before_hash = 0,
                                .leaving = Leaving::None,
                                .reason = "new in the directory",
                                .user = &ada,
                                .group = nullptr}));
    RunEnd end;
    end.outcome = Outcome::Held;
    end.reason = "guard_users";
    end.plan = PlanInfo{.hash = std::string(64, 'b'), .counts = {}};
    end.approval_expires_at = world.clock.now() + std::chrono::hours(24);
    end.next_due = world.clock.now() + std::chrono::hours(1);
    ASSERT_TRUE((*stage)->keep(end));
  }
  run_that_ends(Outcome::Failed, false);
  const auto shown = corp();
  EXPECT_EQ(shown["state"], "held");
  EXPECT_EQ(shown["last_run"]["outcome"], "failed");
  ASSERT_EQ(shown["held_changes"].size(), 1u) << shown;
  EXPECT_EQ(shown["held_changes"][0]["object"]["name"], "ada");
  EXPECT_EQ(shown["held_changes"][0]["kind"], "added");
  EXPECT_EQ(shown["held_changes"][0]["reason"], "new in the directory");
  EXPECT_EQ(gauge("rosterd_source_held"), "1");
  ASSERT_EQ(world.root().post(base + "/runs/" + text(work->run.id) + "/discard").status, 200);
  EXPECT_EQ(corp()["held_changes"], json::array());
  EXPECT_EQ(gauge("rosterd_source_held"), "0");
}

TEST_F(RunsTest, ASourceThatWasNeverReadBecomesOverdueToo) {
  EXPECT_EQ(corp()["overdue"], false);
  EXPECT_EQ(gauge("rosterd_source_overdue"), "0");
  PrivatePostgres::shared().query(
      world.database,
      "UPDATE rosterd.source SET created_at = now() - interval '49 hours' WHERE tenant_id = (SELECT tenant_id FROM "
      "rosterd.tenant WHERE id = '" +
          tenant + "')");
  EXPECT_EQ(corp()["overdue"], true);
  EXPECT_EQ(gauge("rosterd_source_overdue"), "1");
  ASSERT_EQ(world.root().patch(base + "/sources/corp", {{"enabled", false}}).status, 200);
  EXPECT_EQ(corp()["overdue"], false) << "nobody expects a disabled source to be read";
  ASSERT_EQ(world.root().patch(base + "/sources/corp", {{"enabled", true}}).status, 200);
  run_that_ends(Outcome::Unchanged, true);
  EXPECT_EQ(corp()["overdue"], false);
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
