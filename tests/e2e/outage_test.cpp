// PostgreSQL going away in the middle of anything, and two daemons on one database.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

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

TEST(Postgres, WithTooManyConnectionsIsReportedAndRecoveredFrom) {
  World world({.people = 20, .own_postgres = true});
  world.first_sync();
  {
    std::vector<std::unique_ptr<SqlSession>> crowd;
    for (int i = 0; i < 500; ++i) {
      crowd.push_back(std::make_unique<SqlSession>(world.database.superuser_url));
      if (!crowd.back()->is_open()) break;
    }
    ASSERT_FALSE(crowd.back()->is_open()) << "the server must be full";
    // Sessions rosterd holds already go on; one that it would have to open is refused with 503, never with a wrong answer.
    for (int i = 0; i < 5; ++i) {
      const auto answer = world.api().get("/v1/tenants/acme/users");
      EXPECT_TRUE(answer.status == 200 || answer.status == 503) << answer.status;
    }
  }
  EXPECT_TRUE(wait_until([&] { return world.api().get("/v1/tenants/acme/users").status == 200; }));
  EXPECT_EQ(world.sync()["outcome"], "unchanged");
}

TEST(TwoDaemons, OnOneDatabaseNeverRunOneSourceAtOnceAndTheOtherTakesOverWhenOneIsKilled) {
  World world({.people = 20});
  Daemon second(world.database, world.token);
  second.start();
  world.first_sync();

  world.slapd->freeze();
  const auto run = world.start_sync();
  ASSERT_TRUE(wait_until([&] { return world.run(run)["outcome"] == "running"; }));
  const auto running = world.postgres().query(world.database, "SELECT count(*) FROM rosterd.run WHERE outcome = 2");
  EXPECT_EQ(running.substr(0, 1), "1");
  // Either of the two may hold it: kill whoever it is not asked of, then the other; what matters is that a survivor takes over.
  world.daemon->kill_hard();
  world.slapd->thaw();
  const auto over = wait_until(
      [&] {
        const auto outcome = second.api().get("/v1/tenants/acme/runs/" + run).body.value("outcome", "");
        return outcome == "abandoned" || outcome == "unchanged" || outcome == "failed";
      },
      Milliseconds(10'000));
  EXPECT_TRUE(over) << second.log();
  const auto started = second.api().post("/v1/tenants/acme/sources/corp/sync");
  ASSERT_EQ(started.status, 202) << started.body.dump();
  EXPECT_TRUE(wait_until([&] {
    return second.api().get("/v1/tenants/acme/runs/" + started.body["id"].get<std::string>()).body.value("outcome", "") == "unchanged";
  })) << second.log();
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

}  // namespace
}  // namespace rosterd::e2e
