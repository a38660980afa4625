// Revisions to snapshots, on a real database: who is published when, and what keeps nobody waiting.
#include "daemon/sync/publisher.hpp"

#include <gtest/gtest.h>

#include <future>

#include "schema/postgres/postgres_store.hpp"
#include "tests/support/postgres.hpp"

namespace rosterd::test {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

class PublisherTest : public testing::Test {
 protected:
  PublisherTest() {
    options_.url = database_.app_url;
    options_.owner_url = database_.owner_url;
    auto opened = PostgresStore::open(options_);
    EXPECT_TRUE(opened) << opened.error().what;
    store_ = std::move(*opened);
    const auto account =
        store_->create_account({.email = "root@acme.test", .first_name = "R", .last_name = "A", .super_admin = true}, actor_);
    EXPECT_TRUE(account) << account.error().what;
    admin_ = account->id;
  }
  Revision make_tenant(const std::string& id) {
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
    return made->revision;
  }
  Revision add_user(const std::string& tenant, const std::string& name) {
    UserRecord user;
    user.username = name;
    const auto made = store_->create_user({tenant}, user, actor_);
    EXPECT_TRUE(made) << made.error().what;
    return made->revision;
  }
  std::unique_ptr<sync::Publisher> publisher(sync::PublisherOptions options = {.poll = 50ms}) {
    return std::make_unique<sync::Publisher>(*store_, snapshots_, rbac::Catalogue::built_in(), options);
  }
  std::optional<sync::Published> published(const std::string& tenant, const Revision& least, std::chrono::milliseconds within = 15s) {
    return snapshots_.wait_for({tenant}, least, steady_clock::now() + within);
  }
  std::string sql(const std::string& text) { return PrivatePostgres::shared().query(database_, text); }
  /// Reading this tenant's users takes seconds from now on: a tenant of millions, without the millions.
  void make_slow(const std::string& tenant) {
    sql(
        fmt::format("CREATE POLICY slow ON rosterd.tenant_user AS RESTRICTIVE FOR SELECT USING (CASE WHEN username = 'sleeper' THEN "
                    "pg_sleep(2) IS NOT NULL ELSE true END)"));
    add_user(tenant, "sleeper");
  }

  Database database_ = PrivatePostgres::shared().fresh_database();
  StoreOptions options_;
  std::unique_ptr<Store> store_;
  AccountId admin_;
  Actor actor_{.account = {}, .by = "test", .ip = {}, .request_id = {}};
  sync::Snapshots snapshots_;
};

TEST_F(PublisherTest, ATenantThatCannotBePublishedKeepsNobodyElseFromTheStart) {
  make_tenant("acme");
  make_tenant("beta");
  make_tenant("gone");
  sql("UPDATE rosterd.role SET permissions = 'no JSON' WHERE name = 'Viewer' AND tenant_id = (SELECT tenant_id FROM rosterd.tenant WHERE "
      "id "
      "= 'acme')");
  auto publisher = this->publisher();
  std::size_t told = 0;
  const auto started = publisher->start({}, [&](std::size_t, std::size_t of) {
    EXPECT_EQ(of, 3u);
    ++told;
  });
  ASSERT_TRUE(started) << started.error().what;
  EXPECT_EQ(told, 3u);
  EXPECT_FALSE(snapshots_.find({"acme"}));
  EXPECT_TRUE(snapshots_.find({"beta"}));
  // Mended, it comes by itself.
  sql("UPDATE rosterd.role SET permissions = '{}' WHERE permissions = 'no JSON'");
  EXPECT_TRUE(published("acme", {}));
}

TEST_F(PublisherTest, AStoreThatIsAwayIsNoStart) {
  make_tenant("acme");
  PrivatePostgres::shared().query(database_.superuser_url, fmt::format("ALTER ROLE {} CONNECTION LIMIT 0", database_.app_role));
  sql(fmt::format("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{}'", database_.app_role));
  const auto started = publisher()->start();
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, Errc::Unavailable);
}

TEST_F(PublisherTest, AStartEndsWhenAsked) {
  make_tenant("acme");
  std::stop_source stop;
  stop.request_stop();
  const auto started = publisher()->start(stop.get_token());
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, Errc::Stopped);
  EXPECT_EQ(snapshots_.size(), 0u);
}

TEST_F(PublisherTest, ASmallTenantDoesNotWaitForALargeOne) {
  make_tenant("large");
  for (int i = 0; i < 20; ++i) add_user("large", fmt::format("u{}", i));
  make_tenant("small");
  auto publisher = this->publisher({.poll = 50ms, .small = 10});
  ASSERT_TRUE(publisher->start());
  make_slow("large");
  publisher->changed({"large"});
  for (int round = 0; round < 3; ++round) {
    const auto revision = add_user("small", fmt::format("s{}", round));
    publisher->changed({"small"});
    EXPECT_TRUE(published("small", revision, 1s)) << "behind a build of seconds";
  }
  EXPECT_TRUE(published("large", store_->tenant({"large"})->revision)) << "which comes all the same";
}

TEST_F(PublisherTest, ATenantThatHasGrownIsPassedOnToWhoBuildsLargeOnes) {
  make_tenant("acme");
  make_tenant("beta");
  auto publisher = this->publisher({.poll = 50ms, .small = 10});
  ASSERT_TRUE(publisher->start());
  Revision newest;
  for (int i = 0; i < 20; ++i) {
    newest = add_user("acme", fmt::format("u{}", i));
    publisher->changed({"acme"});
    publisher->changed({"beta"});
  }
  const auto now = published("acme", newest);
  ASSERT_TRUE(now);
  EXPECT_EQ(now->snapshot->stats().users, 21u);
}

TEST_F(PublisherTest, WhatIsPublishedOnlyGoesForward) {
  make_tenant("acme");
  auto publisher = this->publisher({.poll = 5ms, .small = 10});
  ASSERT_TRUE(publisher->start());
  std::atomic<bool> over{false};
  auto reader = std::async(std::launch::async, [&] {
    Revision last;
    std::size_t steps = 0;
    while (!over) {
      const auto now = snapshots_.find({"acme"});
      if (!now || now->snapshot->revision() < last) return std::size_t{0};
      steps += now->snapshot->revision() > last ? 1 : 0;
      last = now->snapshot->revision();
    }
    return steps;
  });
  Revision newest;
  for (int i = 0; i < 60; ++i) {
    newest = add_user("acme", fmt::format("u{}", i));
    publisher->changed({"acme"});
  }
  EXPECT_TRUE(published("acme", newest));
  over = true;
  EXPECT_GT(reader.get(), 1u);
}

TEST_F(PublisherTest, ABurstNobodyWaitsForIsPublishedInFewSnapshotsAndWhoWaitsGetsHisAtOnce) {
  make_tenant("acme");
  auto publisher = this->publisher({.poll = 60s, .listen = false});
  ASSERT_TRUE(publisher->start());
  const auto before = snapshots_.counted(sync::Made::Updated);
  const auto begun = steady_clock::now();
  Revision newest;
  std::uint64_t told = 0;
  for (; steady_clock::now() - begun < 300ms; ++told) {
    newest = add_user("acme", fmt::format("u{}", told));
    publisher->changed({"acme"}, false);
  }
  EXPECT_TRUE(published("acme", newest)) << "the last ones, too";
  const auto rests = (steady_clock::now() - begun) / 10ms;
  EXPECT_LE(snapshots_.counted(sync::Made::Updated) - before, static_cast<std::uint64_t>(rests) + 1);
  newest = add_user("acme", "awaited");
  publisher->changed({"acme"}, false);
  publisher->changed({"acme"});
  EXPECT_TRUE(published("acme", newest));
}

TEST_F(PublisherTest, ABurstOfSnapshotsIsAskedItsThousandQuestionsTogether) {
  make_tenant("acme");
  std::mutex mutex;
  std::vector<std::pair<bool, std::size_t>> asked;  // from all rows, how many
  auto publisher =
      this->publisher({.poll = 60s,
                       .listen = false,
                       .check = [&](const rbac::Snapshot&, const AuthorizationChanges* changes, const rbac::SelfCheckOptions& options) {
                         const std::lock_guard lock(mutex);
                         asked.emplace_back(changes == nullptr, options.samples);
                         return Result<void>();
                       }});
  ASSERT_TRUE(publisher->start());
  const auto add = [&](const char* name) {
    const auto made = add_user("acme", name);
    publisher->changed({"acme"});
    EXPECT_TRUE(published("acme", made));
  };
  add("ada");
  const auto begun = steady_clock::now();
  add("bob");
  add("cyd");
  const auto took = steady_clock::now() - begun;
  std::this_thread::sleep_for(100ms);
  add("dan");
  const std::lock_guard lock(mutex);
  ASSERT_EQ(asked.size(), 5u);
  EXPECT_EQ(asked[0], std::pair(true, std::size_t{1'000}));
  EXPECT_EQ(asked[1], std::pair(false, std::size_t{1'000})) << "the first of a burst";
  if (took < 40ms) {
    EXPECT_LT(asked[2].second + asked[3].second, 1'000u);
  }
  EXPECT_GE(asked[3].second, 50u);
  EXPECT_EQ(asked[4], std::pair(false, std::size_t{1'000}));
}

TEST_F(PublisherTest, AnOlderSnapshotNeverTakesThePlaceOfANewerOne) {
  make_tenant("acme");
  const auto build = [&] {
    const auto builder = rbac::make_builder(rbac::Catalogue::built_in());
    EXPECT_TRUE(store_->load_authorization({"acme"}, *builder));
    return *builder->finish();
  };
  const auto older = build();
  add_user("acme", "ada");
  const auto newer = build();
  EXPECT_TRUE(snapshots_.publish({"acme"}, newer));
  EXPECT_FALSE(snapshots_.publish({"acme"}, older));
  EXPECT_EQ(snapshots_.find({"acme"})->snapshot->revision(), newer->revision());
  EXPECT_TRUE(snapshots_.publish({"acme"}, newer)) << "the same again does no harm";
}

TEST_F(PublisherTest, ADeletedTenantIsForgottenAlsoWhenItsSnapshotWasJustBeingMade) {
  make_tenant("acme");
  auto publisher = this->publisher();
  ASSERT_TRUE(publisher->start());
  make_slow("acme");
  publisher->changed({"acme"});
  ASSERT_TRUE(wait_until([&] { return sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'") == "1"; }));
  ASSERT_TRUE(store_->delete_tenant({"acme"}, actor_));
  EXPECT_TRUE(wait_until([&] { return !snapshots_.find({"acme"}); }));
  std::this_thread::sleep_for(4500ms);  // the build ends meanwhile
  EXPECT_TRUE(wait_until([&] { return !snapshots_.find({"acme"}); })) << "and whatever it published is forgotten again";
}

}  // namespace
}  // namespace rosterd::test
