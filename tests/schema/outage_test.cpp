#include <future>
#include <thread>

#include "tests/schema/store_fixture.hpp"

// PostgreSQL going away in the middle of things: nothing is lost, the words say what happened, the next call works.

namespace rosterd::test {
namespace {

class OutageTest : public ::testing::Test {
 protected:
  void SetUp() override {
    // fsync off, as everywhere in the tests: the operating system does not crash here, only PostgreSQL does.
    database = server.fresh_database();
    store = open_store(database, 3);
    const auto account =
        must(store->create_account({.email = "root@example.org", .first_name = "", .last_name = "", .super_admin = true}, kSomebody));
    Role role;
    role.name = "Admin";
    role.admin = true;
    must(store->create_tenant({.id = acme, .name = "Acme", .creator = account.id, .managed_roles = {role}}, kSomebody));
    source = must(store->create_source(
                      acme,
                      {.name = "corp", .type = "ldap", .enabled = true, .settings = "{}", .schedule = {}, .guard = {}, .role_mappings = {}},
                      kSomebody))
                 .value;
  }
  static TimePoint soon() {
    return std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now()) + std::chrono::hours(1);
  }
  static RunEnd applied() {
    RunEnd end;
    end.outcome = Outcome::Applied;
    end.complete = true;
    end.plan = PlanInfo{.hash = std::string(64, 'a'), .counts = {}};
    return end;
  }
  Work claim() { return *must(store->claim("one", Millis(60'000), soon())); }
  /// Stages `count` new users.
  void fill(Stage& plan, std::uint64_t count) {
    const auto first = must(store->reserve_principal_ids(count));
    UserRecord user;
    user.first_name = std::string(100, 'x');
    for (std::uint64_t i = 0; i < count; ++i) {
      user.id.value = user.username = fmt::format("u{}", first + i);
      if (!plan.user({.kind = ChangeKind::Added,
                      .id = PrincipalId{first + i},
                      .external_id = user.id.value,
                      .content_hash = 1,
                      .before_hash = 0,
                      .leaving = Leaving::None,
                      .reason = "new",
                      .user = &user,
                      .group = nullptr}))
        return;
    }
  }
  std::uint64_t held() {
    HeldAll all;
    must(store->load_held(acme, source.id, TimePoint{}, all));
    return all.users.size();
  }
  PrivatePostgres server;
  Database database;
  std::unique_ptr<Store> store;
  const TenantId acme{"acme"};
  Source source;
};

TEST_F(OutageTest, ARestartIsHealedByTheNextCall) {
  server.restart();
  EXPECT_OK(store->tenant(acme)) << "the dead connection is noticed before anything was asked";
  server.stop();
  const auto away = store->tenant(acme);
  ASSERT_FALSE(away.has_value());
  EXPECT_EQ(away.error().code, Errc::Unavailable);
  EXPECT_FAILS(store->ping(), Errc::Unavailable);
  EXPECT_FAILS(store->claim("one", Millis(1000), soon()), Errc::Unavailable);
  server.start();
  EXPECT_OK(store->ping());
  EXPECT_OK(store->tenant(acme));
}

class OutageBothWays : public OutageTest, public ::testing::WithParamInterface<bool> {};
INSTANTIATE_TEST_SUITE_P(Eager, OutageBothWays, ::testing::Values(true));
INSTANTIATE_TEST_SUITE_P(Plain, OutageBothWays, ::testing::Values(false));

TEST_P(OutageBothWays, ACrashWhileStagingLosesNothing) {
  const auto work = claim();
  auto plan = must(store->begin_stage(work.lease, {.eager = GetParam()}));
  fill(*plan, 20'000);
  server.kill_hard();
  const auto late = plan->apply(applied());
  ASSERT_FALSE(late.has_value());
  EXPECT_EQ(late.error().code, Errc::Unavailable) << late.error().what;
  plan.reset();
  server.start();
  EXPECT_EQ(held(), 0u);
  EXPECT_EQ(must(store->run(acme, work.run.id)).outcome, Outcome::Running);
  EXPECT_OK(store->heartbeat(work.lease, Millis(60'000), ""));
  auto again = must(store->begin_stage(work.lease, {.eager = GetParam()}));
  fill(*again, 1000);
  EXPECT_OK(again->apply(applied()));
  EXPECT_EQ(held(), 1000u);
}

TEST_P(OutageBothWays, ACrashDuringApplyLeavesAllOrNothing) {
  for (const int wait_ms : {5, 40, 120, 250}) {
    const auto work = claim();
    const auto before = held();
    auto plan = must(store->begin_stage(work.lease, {.eager = GetParam()}));
    fill(*plan, 20'000);
    std::optional<bool> worked;
    std::thread applying([&] { worked = plan->apply(applied()).has_value(); });
    std::this_thread::sleep_for(Millis(wait_ms));  // the crash is to fall somewhere into the apply
    server.kill_hard();
    applying.join();
    plan.reset();
    server.start();
    const auto outcome = must(store->run(acme, work.run.id)).outcome;
    if (outcome == Outcome::Applied) {
      EXPECT_EQ(held(), before + 20'000);
    } else {
      EXPECT_FALSE(*worked);
      EXPECT_EQ(outcome, Outcome::Running);
      EXPECT_EQ(held(), before);
      RunEnd end = applied();
      end.outcome = Outcome::Failed;
      must(store->finish(work.lease, end));
    }
  }
}

TEST_F(OutageTest, TooManyConnectionsIsSaidAndTheNextCallWorks) {
  const auto limit = std::stoi(server.query(database, "SHOW max_connections"));
  server.query(database, fmt::format("ALTER ROLE {} CONNECTION LIMIT 1", database.app_role));
  EXPECT_GT(limit, 1);
  // A pool of its own: its first connection is one too many.
  const auto refused = PostgresStore::open({.url = database.app_url, .owner_url = ""});
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Errc::Unavailable);
  EXPECT_THAT(refused.error().what, ::testing::HasSubstr("too many connections"));
  const auto work = claim();
  const auto staged = store->begin_stage(work.lease, {});
  ASSERT_FALSE(staged.has_value()) << "a stage needs a connection of its own";
  EXPECT_EQ(staged.error().code, Errc::Unavailable);
  server.query(database, fmt::format("ALTER ROLE {} CONNECTION LIMIT -1", database.app_role));
  EXPECT_OK(store->begin_stage(work.lease, {}));
}

TEST_F(OutageTest, AConnectionCutByTheServerIsReplaced) {
  must(store->ping());
  server.query(database, fmt::format("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{}'", database.app_role));
  EXPECT_OK(store->ping());
}

TEST_F(OutageTest, AStatementThatTakesTooLongIsUnavailableAndNotForEver) {
  const auto impatient = must(PostgresStore::open({.url = database.app_url,
                                                   .owner_url = "",
                                                   .pool_size = 1,
                                                   .connect_timeout = Millis(3000),
                                                   .statement_timeout = Millis(500),
                                                   .lock_timeout = Millis(300)}));
  const auto work = claim();
  std::thread blocker([&] { server.query(database, "BEGIN; SELECT 1 FROM rosterd.tenant FOR UPDATE; SELECT pg_sleep(1.5); COMMIT"); });
  std::this_thread::sleep_for(Millis(400));  // until the other session holds its lock
  const auto started = std::chrono::steady_clock::now();
  EXPECT_FAILS(impatient->create_group(acme, {.name = "x"}, kSomebody), Errc::Unavailable);
  EXPECT_LT(std::chrono::steady_clock::now() - started, Millis(1000));
  blocker.join();
  EXPECT_OK(impatient->create_group(acme, {.name = "x"}, kSomebody));
}

TEST_F(OutageTest, AFrozenServerIsWaitedForNoLongerThanAStatementMayTake) {
  const auto impatient = must(PostgresStore::open({.url = database.app_url,
                                                   .owner_url = "",
                                                   .pool_size = 2,
                                                   .connect_timeout = Millis(2000),
                                                   .statement_timeout = Millis(500),
                                                   .lock_timeout = Millis(300)}));
  const auto work = claim();
  must(impatient->ping());
  must(impatient->heartbeat(work.lease, Millis(60'000), ""));
  auto plan = must(impatient->begin_stage(work.lease, {}));
  server.freeze();  // its time-outs are frozen, too
  const auto begun = std::chrono::steady_clock::now();
  const auto asked = impatient->ping();
  EXPECT_FAILS(asked, Errc::Unavailable);
  EXPECT_THAT(asked.error().what, ::testing::HasSubstr("PostgreSQL is not reachable"));
  EXPECT_FAILS(impatient->heartbeat(work.lease, Millis(60'000), ""), Errc::Unavailable);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(15));
  server.thaw();
  EXPECT_OK(impatient->ping());
  EXPECT_OK(impatient->heartbeat(work.lease, Millis(60'000), ""));
}

TEST_F(OutageTest, CallsInProgressEndWhenTheEndWaitsNoLonger) {
  const auto ending = must(PostgresStore::open({.url = database.app_url, .owner_url = "", .pool_size = 3}));
  const auto work = claim();
  auto plan = must(ending->begin_stage(work.lease, {}));
  fill(*plan, 10);
  e2e::SqlSession blocker(database.superuser_url);
  blocker.execute("BEGIN");
  blocker.execute("SELECT 1 FROM rosterd.tenant FOR NO KEY UPDATE");
  auto applying = std::async(std::launch::async, [&] { return plan->apply(applied()).error(); });
  auto writing = std::async(std::launch::async, [&] { return ending->create_group(acme, {.name = "x"}, kSomebody).error(); });
  const auto waiting = [&] { return server.query(database, "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted"); };
  ASSERT_TRUE(wait_until([&] { return waiting() == "2"; }));
  const auto begun = std::chrono::steady_clock::now();
  ending->limit_calls(Millis(1000));
  for (auto* each : {&applying, &writing}) EXPECT_EQ(each->get().code, Errc::Unavailable);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, Millis(5000));
  EXPECT_OK(ending->ping()) << "what takes no longer than that is still answered";
  EXPECT_TRUE(wait_until([&] { return waiting() == "0"; }, Milliseconds(15'000))) << "the server goes on for nobody";
  server.freeze();
  EXPECT_FAILS(ending->ping(), Errc::Unavailable);
  server.thaw();
}

TEST_F(OutageTest, ASourceWaitsForAnothersApplyOfTheSameTenantHoweverLongItTakes) {
  const auto hasty = must(PostgresStore::open({.url = database.app_url,
                                               .owner_url = "",
                                               .pool_size = 4,
                                               .connect_timeout = Millis(3000),
                                               .statement_timeout = Millis(30'000),
                                               .lock_timeout = Millis(200)}));
  must(hasty->create_source(
      acme, {.name = "other", .type = "ldap", .enabled = true, .settings = "{}", .schedule = {}, .guard = {}, .role_mappings = {}},
      kSomebody));
  std::vector<Work> works{*must(hasty->claim("one", Millis(60'000), soon())), *must(hasty->claim("one", Millis(60'000), soon()))};
  std::vector<std::unique_ptr<Stage>> plans;
  for (const auto& work : works) {
    plans.push_back(must(hasty->begin_stage(work.lease, {})));
    fill(*plans.back(), 10);
  }
  // The first one's apply takes its time behind the lock of the tenant.
  e2e::SqlSession slow(database.superuser_url);
  slow.execute("BEGIN");
  slow.execute("LOCK TABLE rosterd.run_change IN SHARE ROW EXCLUSIVE MODE");
  std::vector<std::future<Result<Applied>>> applying;
  for (auto& plan : plans) applying.push_back(std::async(std::launch::async, [&] { return plan->apply(applied()); }));
  std::this_thread::sleep_for(Millis(1000));  // five times as long as a request would wait
  EXPECT_FAILS(hasty->create_group(acme, {.name = "x"}, kSomebody), Errc::Unavailable);
  slow.execute("COMMIT");
  for (auto& one : applying) EXPECT_OK(one.get());
  EXPECT_EQ(held(), 10u);
  EXPECT_EQ(must(store->status(acme)).at(1).users_active, 10u);
}

TEST_F(OutageTest, OpeningEndsWhenAsked) {
  e2e::SqlSession other(database.superuser_url);
  other.execute("SELECT pg_advisory_lock(" + std::to_string(0x726f7374657264) + ")");  // as another replica that is migrating
  std::stop_source stop;
  auto opening = std::async(std::launch::async, [&] {
    return PostgresStore::open({.url = database.app_url, .owner_url = database.owner_url}, stop.get_token()).error().code;
  });
  ASSERT_TRUE(wait_until([&] { return server.query(database, "SELECT count(*) FROM pg_locks WHERE NOT granted") == "1"; }));
  const auto begun = std::chrono::steady_clock::now();
  stop.request_stop();
  EXPECT_EQ(opening.get(), Errc::Stopped);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, Millis(2000));
  EXPECT_EQ(PostgresStore::open({.url = database.app_url, .owner_url = ""}, stop.get_token()).error().code, Errc::Stopped);
}

}  // namespace
}  // namespace rosterd::test
