// Leases, workers, stopping: schedulers on a real database with directories from a script.
#include "daemon/sync/scheduler.hpp"

#include <gtest/gtest.h>

#include "rbac/catalogue.hpp"
#include "schema/postgres/postgres_store.hpp"
#include "tests/e2e/sql_session.hpp"
#include "tests/support/postgres.hpp"
#include "tests/sync/scripted.hpp"

namespace rosterd::test {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

/// Looks every few milliseconds, since what is awaited happens on another connection of another thread.
bool eventually(const std::function<bool()>& is_so, std::chrono::milliseconds within = 15s) {
  const auto deadline = steady_clock::now() + within;
  while (!is_so()) {
    if (steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(10ms);
  }
  return true;
}

class SchedulerTest : public testing::Test {
 protected:
  SchedulerTest() {
    database_ = PrivatePostgres::shared().fresh_database();
    options_.url = database_.app_url;
    options_.owner_url = database_.owner_url;
    options_.pool_size = 6;
    store_ = open();
    const auto account =
        store_->set_up({.email = "root@acme.test", .first_name = "R", .last_name = "A", .super_admin = true},
                       {.name = "first", .hash = std::string(32, 'h'), .last4 = "hhhh", .expires_at = std::nullopt}, actor_);
    EXPECT_TRUE(account) << account.error().what;
    admin_ = account->id;
    publisher_ = std::make_unique<sync::Publisher>(*store_, snapshots_, rbac::Catalogue::built_in());
  }

  std::unique_ptr<Store> open() {
    auto store = PostgresStore::open(options_);
    EXPECT_TRUE(store) << store.error().what;
    return std::move(*store);
  }

  /// A tenant with one source, whose directory is `directory`.
  Source tenant(const std::string& id, ScriptedDirectory& directory) {
    std::vector<Role> roles;
    for (const auto& role : rbac::managed_roles())
      roles.push_back({.id = {},
                       .name = std::string(role.name),
                       .description = {},
                       .managed = true,
                       .admin = role.admin,
                       .permissions = role.permissions});
    const auto made = store_->create_tenant({.id = {id}, .name = id, .creator = admin_, .managed_roles = roles}, actor_);
    EXPECT_TRUE(made) << made.error().what;
    NewSource source;
    source.name = "corp";
    source.type = "ldap";
    source.settings = "{}";
    const auto created = store_->create_source({id}, source, actor_);
    EXPECT_TRUE(created) << created.error().what;
    directories_[id] = &directory;
    return created->value;
  }

  std::unique_ptr<sync::Scheduler> scheduler(const std::string& holder, std::uint32_t workers = 2, Store* store = nullptr) {
    sync::SchedulerOptions options;
    options.holder = holder;
    options.workers = workers;
    options.heartbeat = 100ms;
    options.lease = 1s;
    options.tick = 50ms;
    options.sweep = 200ms;
    options.run_deadline = deadline_;
    return std::make_unique<sync::Scheduler>(
        store != nullptr ? *store : *store_, clock_, *publisher_,
        [this](const TenantId& tenant, const Source&, const SourceState&) -> Result<std::unique_ptr<connectors::Connector>> {
          return std::make_unique<ScriptedConnector>(*directories_.at(tenant.value));
        },
        [](const Source&) { return connectors::ConnectorType::Fingerprints{.cursor = "c", .scope = "s"}; }, options);
  }

  std::optional<rosterd::Run> last_run(const std::string& tenant) {
    const auto status = store_->status({tenant});
    return status && !status->empty() ? status->front().last_run : std::nullopt;
  }
  std::optional<RunId> last_started(const std::string& tenant) {
    const auto status = store_->status({tenant});
    return status && !status->empty() && status->front().current ? std::optional(status->front().current->id) : std::nullopt;
  }
  bool ended(const std::string& tenant, Outcome outcome) {
    const auto run = last_run(tenant);
    return run && run->outcome == outcome;
  }
  std::uint64_t active_users(const std::string& tenant) {
    const auto status = store_->status({tenant});
    return status && !status->empty() ? status->front().users_active : 0;
  }

  Database database_;
  StoreOptions options_;
  std::unique_ptr<Store> store_;
  AccountId admin_;
  Actor actor_{.account = {}, .by = "test", .ip = {}, .request_id = {}};
  SystemClock clock_;
  sync::Snapshots snapshots_;
  std::unique_ptr<sync::Publisher> publisher_;
  std::map<std::string, ScriptedDirectory*> directories_;
  Millis deadline_{60'000};
};

void fill(ScriptedDirectory& directory, int users) {
  for (int at = 0; at < users; ++at) directory.users.push_back(ScriptedDirectory::person("u" + std::to_string(at)));
}

/// Hangs in the read until it is told to stop (or for ever, if nobody tells it).
void hang(ScriptedDirectory& directory) {
  directory.before_end = [](std::stop_token stop) {
    std::mutex mutex;
    std::condition_variable_any never;
    std::unique_lock lock(mutex);
    never.wait(lock, stop, [] { return false; });
  };
}

TEST_F(SchedulerTest, RunsThatEndedAreCountedByOutcome) {
  ScriptedDirectory directory;
  fill(directory, 3);
  const auto source = tenant("acme", directory);
  auto scheduler = this->scheduler("one");
  const auto count = [&](Outcome outcome) { return scheduler->runs_ended()->at(static_cast<std::size_t>(outcome)); };
  EXPECT_EQ(count(Outcome::Applied), 0u);
  scheduler->start();
  ASSERT_TRUE(eventually([&] { return count(Outcome::Applied) == 1; }));
  ASSERT_TRUE(store_->request_run({"acme"}, source.id, RunMode::Full, false, actor_));
  scheduler->wake();
  ASSERT_TRUE(eventually([&] { return count(Outcome::Unchanged) == 1; }));
  EXPECT_EQ(count(Outcome::Applied), 1u);
  EXPECT_EQ(count(Outcome::Failed), 0u);
}

TEST_F(SchedulerTest, ADueSourceIsSyncedAndPublishedWithoutBeingAskedFor) {
  ScriptedDirectory directory;
  fill(directory, 3);
  const auto source = tenant("acme", directory);
  ASSERT_TRUE(publisher_->start());
  const auto before = snapshots_.find({"acme"});
  ASSERT_TRUE(before);
  auto scheduler = this->scheduler("one");
  scheduler->start();
  ASSERT_TRUE(eventually([&] { return ended("acme", Outcome::Applied); })) << (last_run("acme") ? last_run("acme")->detail : "never ran");
  EXPECT_EQ(active_users("acme"), 3u);
  const auto run = last_run("acme");
  ASSERT_TRUE(run->revision);
  const auto after = snapshots_.wait_for({"acme"}, *run->revision, steady_clock::now() + 5s);
  ASSERT_TRUE(after);
  EXPECT_EQ(after->snapshot->stats().users, before->snapshot->stats().users + 3);
  const auto status = store_->status({"acme"});
  ASSERT_TRUE(status->front().next_run);
  const auto wait = *status->front().next_run - clock_.now();
  EXPECT_GT(wait, 13min);  // 15 minutes from the end of the run, 10 % jitter
  EXPECT_LT(wait, 17min);
  EXPECT_EQ(scheduler->stop(5s), 0u);
}

TEST_F(SchedulerTest, TwoOnOneDatabaseNeverRunOneSourceAtOnce) {
  ScriptedDirectory directory;
  fill(directory, 2);
  std::atomic<int> inside{0}, most{0};
  directory.before_end = [&](std::stop_token) {
    const auto now = ++inside;
    most = std::max(most.load(), now);
    std::this_thread::sleep_for(30ms);  // long enough for the other to come in, if it could
    --inside;
  };
  const auto source = tenant("acme", directory);
  auto other_store = open();
  auto one = scheduler("one", 3), two = scheduler("two", 3, other_store.get());
  one->start();
  two->start();
  for (int round = 0; round < 15; ++round) {
    const auto queued = store_->request_run({"acme"}, source.id, RunMode::Full, false, actor_);
    ASSERT_TRUE(queued) << queued.error().what;
    one->wake();
    two->wake();
    ASSERT_TRUE(eventually([&] { return is_over(store_->run({"acme"}, queued->id)->outcome); }));
  }
  EXPECT_EQ(most, 1);
  EXPECT_GE(directory.reads, 15);
  EXPECT_EQ(one->stop(5s) + two->stop(5s), 0u);
}

TEST_F(SchedulerTest, WhenOneDiesTheOtherTakesOverAfterTheLease) {
  ScriptedDirectory directory;
  fill(directory, 2);
  const auto source = tenant("acme", directory);
  // A holder that claims and is never heard of again, as a killed process is.
  const auto lost = store_->claim("dead", 1s, clock_.now());
  ASSERT_TRUE(lost && *lost);
  auto scheduler = this->scheduler("alive");
  scheduler->start();
  EXPECT_FALSE(eventually([&] { return directory.reads > 0; }, 500ms)) << "the lease was not respected";
  ASSERT_TRUE(eventually([&] { return store_->run({"acme"}, (*lost)->run.id)->outcome == Outcome::Abandoned; }));
  const auto again = store_->request_run({"acme"}, source.id, RunMode::Full, false, actor_);
  ASSERT_TRUE(again);
  scheduler->wake();
  ASSERT_TRUE(eventually([&] { return ended("acme", Outcome::Applied) || ended("acme", Outcome::Unchanged); }));
  EXPECT_EQ(active_users("acme"), 2u);
  // The sleeper wakes: its fence is stale.
  EXPECT_FALSE(store_->heartbeat((*lost)->lease, 1s, "{}"));
  EXPECT_EQ(scheduler->stop(5s), 0u);
}

TEST_F(SchedulerTest, StoppingDuringARunAbandonsItAndFreesTheLease) {
  ScriptedDirectory directory;
  fill(directory, 5);
  hang(directory);
  tenant("acme", directory);
  auto scheduler = this->scheduler("one");
  scheduler->start();
  ASSERT_TRUE(eventually([&] { return directory.reads == 1 && scheduler->running() == 1; }));
  const auto started = steady_clock::now();
  EXPECT_EQ(scheduler->stop(2s), 0u);
  EXPECT_LT(steady_clock::now() - started, 5s);
  const auto run = last_run("acme");
  ASSERT_TRUE(run);
  EXPECT_EQ(run->outcome, Outcome::Abandoned);
  EXPECT_EQ(run->reason, "shutdown");
  EXPECT_EQ(active_users("acme"), 0u);
  const auto next = store_->claim("next", 1s, clock_.now() + 1h);
  ASSERT_TRUE(next);
  EXPECT_TRUE(*next) << "the lease is still held";
}

TEST_F(SchedulerTest, ARunThatFinishesInTimeIsNotAbandonedByStopping) {
  ScriptedDirectory directory;
  fill(directory, 2);
  directory.before_end = [](std::stop_token) { std::this_thread::sleep_for(300ms); };  // a read that takes a moment
  tenant("acme", directory);
  auto scheduler = this->scheduler("one");
  scheduler->start();
  ASSERT_TRUE(eventually([&] { return directory.reads == 1; }));
  EXPECT_EQ(scheduler->stop(10s), 0u);
  EXPECT_TRUE(ended("acme", Outcome::Applied));
}

TEST_F(SchedulerTest, AStopGivesRunningSyncsItsWholeDeadline) {
  ScriptedDirectory directory;
  fill(directory, 2);
  directory.before_end = [](std::stop_token) { std::this_thread::sleep_for(2s); };  // a read that takes more than half of the deadline
  tenant("acme", directory);
  auto scheduler = this->scheduler("one");
  scheduler->start();
  ASSERT_TRUE(eventually([&] { return directory.reads == 1; }));
  const auto started = steady_clock::now();
  EXPECT_EQ(scheduler->stop(3s, [] { ADD_FAILURE() << "there was time"; }), 0u);
  EXPECT_LT(steady_clock::now() - started, 3s) << "and nobody waits for what is over";
  EXPECT_TRUE(ended("acme", Outcome::Applied));
}

TEST_F(SchedulerTest, ARunInTheMiddleOfAWriteIsAbandonedAtTheDeadline) {
  ScriptedDirectory directory;
  fill(directory, 2);
  tenant("acme", directory);
  e2e::SqlSession other(database_.superuser_url);
  other.execute("BEGIN");
  other.execute("SELECT 1 FROM rosterd.tenant FOR NO KEY UPDATE");  // the apply waits for it
  auto scheduler = this->scheduler("one");
  scheduler->start();
  const auto applies = [&] {
    const auto run = last_started("acme");
    return run && scheduler->progress(*run).value_or("").find("applying") != std::string::npos;
  };
  ASSERT_TRUE(eventually(applies));
  const auto started = steady_clock::now();
  EXPECT_EQ(scheduler->stop(300ms, [&] { store_->limit_calls(500ms); }), 0u);
  EXPECT_LT(steady_clock::now() - started, 4s);
  store_ = open();
  EXPECT_TRUE(ended("acme", Outcome::Abandoned));
  EXPECT_EQ(last_run("acme")->reason, "shutdown");
  scheduler.reset();
}

TEST_F(SchedulerTest, AHurryEndsAStopThatHasTime) {
  ScriptedDirectory directory;
  fill(directory, 2);
  hang(directory);
  tenant("acme", directory);
  auto scheduler = this->scheduler("one");
  scheduler->start();
  ASSERT_TRUE(eventually([&] { return directory.reads == 1; }));
  const auto started = steady_clock::now();
  const std::jthread impatient([&] {
    std::this_thread::sleep_for(200ms);  // when the stop is under way
    scheduler->hurry();
  });
  EXPECT_EQ(scheduler->stop(10min), 0u);
  EXPECT_LT(steady_clock::now() - started, 10s);
  EXPECT_TRUE(ended("acme", Outcome::Abandoned));
}

TEST_F(SchedulerTest, ALongApplyCostsNoOtherRunItsLease) {
  ScriptedDirectory slow, other;
  fill(slow, 2);
  fill(other, 2);
  const auto source = tenant("acme", slow);
  auto scheduler = this->scheduler("one");
  scheduler->start();
  ASSERT_TRUE(eventually([&] { return ended("acme", Outcome::Applied); }));
  e2e::SqlSession session(database_.superuser_url);
  session.execute("BEGIN");
  session.execute("SELECT 1 FROM rosterd.tenant_user WHERE username = 'u0' FOR UPDATE");  // the apply is to change it
  slow.users[0].first_name = "Changed";
  const auto changing = store_->request_run({"acme"}, source.id, RunMode::Full, false, actor_);
  ASSERT_TRUE(changing);
  scheduler->wake();
  ASSERT_TRUE(eventually([&] { return scheduler->progress(changing->id).value_or("").find("applying") != std::string::npos; }));
  std::atomic<bool> go_on{false};
  other.before_end = [&](std::stop_token stop) {
    while (!go_on && !stop.stop_requested()) std::this_thread::sleep_for(10ms);  // until three leases have run out
  };
  tenant("beta", other);
  scheduler->wake();
  ASSERT_TRUE(eventually([&] { return other.reads == 1; }));
  std::this_thread::sleep_for(3s);  // three leases, and many sweeps
  EXPECT_EQ(scheduler->running(), 2u);
  go_on = true;
  EXPECT_TRUE(eventually([&] { return ended("beta", Outcome::Applied); })) << last_run("beta")->reason;
  session.execute("COMMIT");
  EXPECT_TRUE(eventually([&] { return is_over(store_->run({"acme"}, changing->id)->outcome); }));
  EXPECT_EQ(store_->run({"acme"}, changing->id)->outcome, Outcome::Applied);
  EXPECT_EQ(scheduler->stop(5s), 0u);
}

TEST_F(SchedulerTest, OneHungTenantOfFiveHundredDelaysNobody) {
  constexpr int kTenants = 200;  // 500 take 24 s, most of it to make them, and show no more
  std::vector<std::unique_ptr<ScriptedDirectory>> directories;
  for (int at = 0; at < kTenants; ++at) {
    directories.push_back(std::make_unique<ScriptedDirectory>());
    fill(*directories.back(), 6);
    tenant("t" + std::to_string(at), *directories.back());
  }
  auto scheduler = this->scheduler("one", 3);
  scheduler->start();
  for (int at = 0; at < kTenants; ++at)
    ASSERT_TRUE(eventually([&] { return ended("t" + std::to_string(at), Outcome::Applied); }, 60s)) << at;
  hang(*directories[0]);
  directories[1]->broken = "size limit exceeded";
  directories[2]->users.clear();
  directories[3]->read_error = Error{.code = Errc::Unavailable, .what = "connection refused", .slug = {}};
  std::map<int, RunId> asked;
  for (int at = 0; at < kTenants; ++at) {
    const TenantId tenant{"t" + std::to_string(at)};
    asked[at] = store_->request_run(tenant, store_->sources(tenant)->front().id, RunMode::Full, false, actor_)->id;
  }
  scheduler->wake();
  const auto outcome = [&](int at) { return store_->run({"t" + std::to_string(at)}, asked[at])->outcome; };
  for (int at = 1; at < kTenants; ++at) ASSERT_TRUE(eventually([&] { return is_over(outcome(at)); }, 60s)) << at;
  EXPECT_EQ(outcome(0), Outcome::Running);
  EXPECT_TRUE(scheduler->progress(asked[0]));
  EXPECT_EQ(outcome(1), Outcome::Partial);
  EXPECT_EQ(outcome(2), Outcome::Held);
  EXPECT_EQ(outcome(3), Outcome::Failed);
  for (int at = 4; at < kTenants; ++at) EXPECT_EQ(outcome(at), Outcome::Unchanged) << at;
  EXPECT_EQ(active_users("t2"), 6u);
  EXPECT_EQ(scheduler->stop(1s), 0u);
  EXPECT_EQ(outcome(0), Outcome::Abandoned);
}

TEST_F(SchedulerTest, ARunThatTakesTooLongFailsWithItsDeadline) {
  ScriptedDirectory directory;
  fill(directory, 1);
  hang(directory);
  tenant("acme", directory);
  deadline_ = 300ms;
  auto scheduler = this->scheduler("one");
  scheduler->start();
  ASSERT_TRUE(eventually([&] { return ended("acme", Outcome::Failed); }));
  EXPECT_EQ(last_run("acme")->reason, "deadline");
  EXPECT_EQ(scheduler->stop(2s), 0u);
}

TEST_F(SchedulerTest, AReloadedDeadlineHoldsForTheRunsThatBeginAfterIt) {
  ScriptedDirectory directory;
  fill(directory, 1);
  hang(directory);
  tenant("acme", directory);
  auto scheduler = this->scheduler("one");
  scheduler->set_run_deadline(300ms);
  scheduler->start();
  ASSERT_TRUE(eventually([&] { return ended("acme", Outcome::Failed); }));
  EXPECT_EQ(last_run("acme")->reason, "deadline");
  EXPECT_EQ(scheduler->stop(2s), 0u);
}

TEST_F(SchedulerTest, AFailureBacksOffAndARequestDoesNotWaitForIt) {
  ScriptedDirectory directory;
  directory.read_error = Error{.code = Errc::Unavailable, .what = "connection refused", .slug = {}};
  const auto source = tenant("acme", directory);
  auto scheduler = this->scheduler("one");
  scheduler->start();
  ASSERT_TRUE(eventually([&] { return ended("acme", Outcome::Failed); }));
  auto status = store_->status({"acme"});
  EXPECT_EQ(status->front().failures, 1u);
  EXPECT_GT(*status->front().next_run - clock_.now(), 20s);
  EXPECT_LT(*status->front().next_run - clock_.now(), 40s);
  directory.read_error.reset();
  fill(directory, 1);
  const auto asked = store_->request_run({"acme"}, source.id, RunMode::Full, false, actor_);
  scheduler->wake();
  ASSERT_TRUE(eventually([&] { return store_->run({"acme"}, asked->id)->outcome == Outcome::Applied; }, 5s));
  status = store_->status({"acme"});
  EXPECT_EQ(status->front().failures, 0u);
  EXPECT_EQ(scheduler->stop(2s), 0u);
}

TEST(Schedule, BacksOffFromThirtySecondsToAnHourWithJitter) {
  const auto now = SystemClock().now();
  const auto between = [&](std::uint32_t failures, std::chrono::milliseconds about) {
    for (int times = 0; times < 50; ++times) {
      const auto wait = sync::after_failure(now, failures) - now;
      EXPECT_GE(wait, about * 9 / 10) << failures;
      EXPECT_LE(wait, about * 11 / 10) << failures;
    }
  };
  between(1, 30s);
  between(2, 60s);
  between(5, 480s);
  between(8, 1h);
  between(4'000'000, 1h);
}

TEST(Schedule, TheIntervalIsSpreadByTenPercent) {
  const auto now = SystemClock().now();
  std::set<TimePoint> seen;
  for (int times = 0; times < 100; ++times) {
    const auto next = sync::after_interval(now, Millis{900'000});
    EXPECT_GE(next - now, 810s);
    EXPECT_LE(next - now, 990s);
    seen.insert(next);
  }
  EXPECT_GT(seen.size(), 50u);
}

TEST_F(SchedulerTest, TheStoreGoingAwayStopsNoThreadAndIsRecoveredFrom) {
  PrivatePostgres server;
  const auto database = server.fresh_database();
  options_.url = database.app_url;
  options_.owner_url = database.owner_url;
  store_ = open();
  const auto account = store_->set_up({.email = "root@acme.test", .first_name = "R", .last_name = "A", .super_admin = true},
                                      {.name = "first", .hash = std::string(32, 'h'), .last4 = "hhhh", .expires_at = std::nullopt}, actor_);
  ASSERT_TRUE(account);
  admin_ = account->id;
  sync::Snapshots snapshots;
  publisher_ = std::make_unique<sync::Publisher>(*store_, snapshots, rbac::Catalogue::built_in(), sync::PublisherOptions{.poll = 100ms});
  ScriptedDirectory directory;
  fill(directory, 2);
  const auto source = tenant("acme", directory);
  ASSERT_TRUE(publisher_->start());
  auto scheduler = this->scheduler("one");
  scheduler->start();
  ASSERT_TRUE(eventually([&] { return ended("acme", Outcome::Applied); }));
  server.kill_hard();
  std::this_thread::sleep_for(500ms);  // several ticks, heartbeats and polls meet a store that is away
  const auto stale = snapshots.find({"acme"});
  ASSERT_TRUE(stale) << "what was published goes on answering";
  server.start();
  directory.users.push_back(ScriptedDirectory::person("later"));
  ASSERT_TRUE(eventually([&] { return store_->request_run({"acme"}, source.id, RunMode::Full, false, actor_).has_value(); }));
  scheduler->wake();
  ASSERT_TRUE(eventually([&] { return active_users("acme") == 3; }));
  const auto revision = last_run("acme")->revision;
  ASSERT_TRUE(revision);
  EXPECT_TRUE(snapshots.wait_for({"acme"}, *revision, steady_clock::now() + 5s));
  EXPECT_EQ(scheduler->stop(5s), 0u);
  publisher_->stop();
}

}  // namespace
}  // namespace rosterd::test
