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
  EXPECT_FAILS(impatient->create_group(acme, "x", kSomebody), Errc::Unavailable);
  EXPECT_LT(std::chrono::steady_clock::now() - started, Millis(1000));
  blocker.join();
  EXPECT_OK(impatient->create_group(acme, "x", kSomebody));
}

}  // namespace
}  // namespace rosterd::test
