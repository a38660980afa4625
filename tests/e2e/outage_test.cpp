// PostgreSQL going away in the middle of anything, and two daemons on one database.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <thread>

#include "tests/e2e/sql_session.hpp"
#include "tests/e2e/world.hpp"

namespace rosterd::e2e {
namespace {

using test::wait_until;

class PostgresGoesAway : public testing::TestWithParam<const char*> {};

TEST_P(PostgresGoesAway, InMidRunNothingIsLostAndTheDaemonRecoversByItself) {
  World world({.people = 20, .own_postgres = true});
  world.first_sync();
  world.slapd->add(person_ldif("newcomer", World::kSuffix));
  world.slapd->freeze();  // holds the run in its read, so that the outage falls into it
  const auto run = world.start_sync();
  ASSERT_TRUE(wait_until([&] { return world.run(run)["outcome"] == "running"; }));
  if (std::string(GetParam()) == "stop")
    world.postgres().stop();
  else
    world.postgres().kill_hard();
  world.slapd->thaw();
  EXPECT_TRUE(wait_until([&] { return world.api().get("/v1/tenants/acme").status == 503; })) << "an outage is said, not hidden";
  const auto check = world.api().get("/v1/tenants/acme/check?subject=user:u0001&permission=FLOW&action=READ");
  EXPECT_TRUE(check.status == 200 || check.status == 503) << check.status << check.body.dump();
  world.postgres().start();
  ASSERT_TRUE(wait_until([&] { return world.api().get("/v1/tenants/acme").status == 200; }, Milliseconds(20'000))) << world.daemon->log();
  const auto ended = world.wait_for_run(run);
  EXPECT_THAT(ended["outcome"].get<std::string>(), testing::AnyOf("failed", "abandoned", "applied")) << ended.dump();
  (void)world.sync();
  EXPECT_EQ(world.users("active"), 21u);
  EXPECT_EQ(world.users("suspended"), 0u);
  EXPECT_TRUE(world.daemon->is_running());
}
INSTANTIATE_TEST_SUITE_P(How, PostgresGoesAway, testing::Values("stop", "crash"), [](const auto& each) { return std::string(each.param); });

/// Makes the daemon open all connections it has for requests, by as many that wait for the same lock.
void open_all_connections(World& world) {
  constexpr int kConnections = 8;
  SqlSession session(world.database.superuser_url);
  session.execute("BEGIN");
  session.execute("LOCK TABLE rosterd.tenant_group");
  std::vector<std::future<Answer>> asking;
  for (int i = 0; i < kConnections; ++i)
    asking.push_back(std::async(std::launch::async, [&] { return world.api().get("/v1/tenants/acme/groups"); }));
  const auto waiting = [&] { return session.value("SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted"); };
  if (!wait_until([&] { return waiting() == std::to_string(kConnections); })) throw std::runtime_error("waiting: " + waiting());
  session.execute("COMMIT");
  for (auto& one : asking) EXPECT_EQ(one.get().status, 200);
}

TEST(Postgres, WithTooManyConnectionsFailsTheRunThatNeedsOneAndIsRecoveredFrom) {
  World world({.people = 20, .own_postgres = true});
  world.first_sync();
  world.slapd->add(person_ldif("newcomer", World::kSuffix));
  open_all_connections(world);
  const auto syncing = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'rosterd-sync'";
  {
    std::vector<std::unique_ptr<SqlSession>> crowd;
    const auto fill = [&] {
      do {
        crowd.push_back(std::make_unique<SqlSession>(world.database.superuser_url));
        ASSERT_LT(crowd.size(), 500u);
      } while (crowd.back()->is_open());
      crowd.pop_back();
    };
    fill();
    // Sessions rosterd holds already go on. Those it keeps for syncs are taken away, so that a run has to open one.
    crowd.front()->execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'rosterd-sync'");
    ASSERT_TRUE(wait_until([&] { return crowd.front()->value(syncing) == "0"; }));
    fill();
    EXPECT_EQ(world.api().get("/v1/tenants/acme/users").status, 200);
    const auto run = world.sync();
    EXPECT_EQ(run["outcome"], "failed") << run.dump();
    EXPECT_EQ(run["reason"], "unavailable") << run.dump();
    EXPECT_THAT(run["detail"].get<std::string>(), testing::HasSubstr("too many connections"));
    EXPECT_EQ(world.users("active"), 20u) << "which is answered all the while";
  }
  EXPECT_EQ(world.sync()["outcome"], "applied");
  EXPECT_EQ(world.users("active"), 21u);
  EXPECT_EQ(world.users("suspended"), 0u);
}

/// The process that holds the lease of a source, as its row says ("host:pid:random").
pid_t holder_of_the_lease(World& world) {
  const auto pid = world.postgres().query(world.database, "SELECT split_part(holder, ':', 2) FROM rosterd.source_lease WHERE holder <> ''");
  return pid.empty() ? 0 : static_cast<pid_t>(std::stol(pid));
}

class TwoDaemonsOneKilled : public testing::TestWithParam<bool> {};

TEST_P(TwoDaemonsOneKilled, NeverRunOneSourceAtOnceAndTheSurvivorTakesOver) {
  World world({.people = 20});
  Daemon other(world.database, world.token);
  other.start();
  world.first_sync();

  world.slapd->freeze();
  const auto run = world.start_sync();
  ASSERT_TRUE(wait_until([&] { return world.run(run)["outcome"] == "running"; }));
  EXPECT_EQ(world.postgres().query(world.database, "SELECT count(*) FROM rosterd.run WHERE outcome = 2"), "1");
  const auto holder = holder_of_the_lease(world);
  ASSERT_TRUE(holder == world.daemon->pid() || holder == other.pid()) << holder;
  const bool kill_the_holder = GetParam();
  auto& killed = (holder == other.pid()) == kill_the_holder ? other : *world.daemon;
  auto& survivor = &killed == &other ? *world.daemon : other;
  killed.kill_hard();
  world.slapd->thaw();
  nlohmann::json ended;
  ASSERT_TRUE(wait_until(
      [&] {
        ended = survivor.api().get("/v1/tenants/acme/runs/" + run).body;
        const auto outcome = ended.value("outcome", "running");
        return outcome != "running";
      },
      Milliseconds(10'000)))
      << survivor.log();
  EXPECT_EQ(ended["outcome"], kill_the_holder ? "abandoned" : "unchanged") << ended.dump();
  const auto started = survivor.api().post("/v1/tenants/acme/sources/corp/sync");
  ASSERT_EQ(started.status, 202) << started.body.dump();
  EXPECT_TRUE(wait_until([&] {
    return survivor.api().get("/v1/tenants/acme/runs/" + started.body["id"].get<std::string>()).body.value("outcome", "") == "unchanged";
  })) << survivor.log();
}
INSTANTIATE_TEST_SUITE_P(Who, TwoDaemonsOneKilled, testing::Bool(),
                         [](const auto& each) { return std::string(each.param ? "Holder" : "Bystander"); });

TEST(TwoSources, OfOneTenantApplyAtOnceAndNeitherFails) {
  World world({.people = 20});
  world.first_sync();
  const auto made = world.api().post("/v1/tenants/acme/sources", {{"name", "other"},
                                                                  {"type", "ldap"},
                                                                  {"settings",
                                                                   {{"url", world.slapd->url()},
                                                                    {"preset", "openldap"},
                                                                    {"users", {{"base", std::string("ou=people,") + World::kSuffix}}},
                                                                    {"groups", {{"base", std::string("ou=groups,") + World::kSuffix}}}}},
                                                                  {"schedule", {{"interval", "24h"}}}});
  ASSERT_EQ(made.status, 201) << made.body.dump();
  ASSERT_TRUE(wait_until([&] { return world.users("active") == 2 * 20u; })) << "a new source is synced at once";
  world.slapd->add(person_ldif("newcomer", World::kSuffix));
  std::vector<std::string> runs;
  {
    SqlSession session(world.database.superuser_url);
    session.execute("BEGIN");
    session.execute("SELECT 1 FROM rosterd.tenant FOR NO KEY UPDATE");  // an apply of a third: both wait at the same door
    runs.push_back(world.start_sync());
    const auto started = world.api().post("/v1/tenants/acme/sources/other/sync");
    ASSERT_EQ(started.status, 202);
    runs.push_back(started.body["id"].get<std::string>());
    const auto applying = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'rosterd-sync' AND wait_event_type = 'Lock'";
    ASSERT_TRUE(wait_until([&] { return world.postgres().query(world.database, applying) == "2"; })) << world.daemon->log();
    std::this_thread::sleep_for(std::chrono::seconds(21));  // longer than a request waits for a tenant
  }
  for (const auto& run : runs) {
    const auto ended = world.wait_for_run(run);
    EXPECT_THAT(ended["outcome"].get<std::string>(), testing::AnyOf("applied", "unchanged")) << ended.dump();
  }
  EXPECT_EQ(world.users("active"), 2 * 21u);
}

TEST(TwoDaemons, ACommitOfOneIsAnsweredByTheOtherWithinASecondOrTwo) {
  World world({.people = 20});
  world.first_sync();
  Daemon second(world.database, world.token);
  second.start();
  const auto path = "/v1/tenants/acme/check?subject=user:u0004&permission=FLOW&action=READ";
  EXPECT_EQ(second.api().get(path).body["allowed"], true);
  world.slapd->modify(std::string("dn: cn=staff,ou=groups,") + World::kSuffix +
                      "\nchangetype: modify\ndelete: member\nmember: uid=u0004,ou=people," + World::kSuffix + "\n");
  world.first_sync();
  EXPECT_TRUE(wait_until([&] { return second.api().get(path).body.value("allowed", true) == false; }, Milliseconds(3'000)));
}

TEST(TwoDaemons, WithoutPostgresqlBothAnswerFromWhatTheyKnowUpToTheConfiguredAgeK6) {
  World world({.people = 5, .daemon = {.max_snapshot_age = "4s"}, .own_postgres = true});
  world.first_sync();
  Daemon second(world.database, world.token, {.max_snapshot_age = "4s"});
  second.start();
  const auto path = "/v1/tenants/acme/check?subject=user:u0004&permission=FLOW&action=READ";
  for (auto* daemon : {world.daemon.get(), &second}) ASSERT_EQ(daemon->api().get(path).body["allowed"], true);

  world.postgres().stop();
  for (auto* daemon : {world.daemon.get(), &second}) {
    const auto answer = daemon->api().get(path);
    EXPECT_EQ(answer.status, 200) << answer.body.dump();
    EXPECT_EQ(answer.body["allowed"], true);
    EXPECT_TRUE(answer.headers.contains("rosterd-snapshot-age"));
    EXPECT_EQ(daemon->api().patch("/v1/tenants/acme", {{"name", "Other"}}).status, 503) << "writes are refused at once";
  }
  for (auto* daemon : {world.daemon.get(), &second})
    EXPECT_TRUE(wait_until([&] { return daemon->api().get(path).status == 503; })) << "and what is too old is not answered from";
  world.postgres().start();
  for (auto* daemon : {world.daemon.get(), &second})
    EXPECT_TRUE(wait_until([&] { return daemon->api().get(path).status == 200; }, Milliseconds(20'000))) << daemon->log();
}

}  // namespace
}  // namespace rosterd::e2e
