// Overdue sources are told once, old history goes: a housekeeper on a real database, its clock turned by the test.
#include "daemon/sync/housekeeper.hpp"

#include "schema/core/guarded.hpp"
#include "schema/core/log.hpp"
#include "tests/schema/store_fixture.hpp"

namespace rosterd::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class HousekeeperTest : public StoreTest {
 protected:
  void SetUp() override {
    StoreTest::SetUp();
    log::set_sink([this](log::Level, std::string_view event, std::span<const log::Field> fields) {
      lines_.with([&](auto& all) { all.push_back(log::text(event, fields)); });
    });
  }
  void TearDown() override {
    log::set_sink([](log::Level, std::string_view, std::span<const log::Field>) {});
  }
  /// What was logged since it was asked last.
  std::vector<std::string> said() {
    return lines_.with([](auto& all) { return std::exchange(all, {}); });
  }
  void read_completely() {
    auto end = ended(Outcome::Unchanged);
    must(store->request_run(acme, must(store->source(acme, "corp")).id, RunMode::Auto, false, kSomebody));
    must(store->finish(claim().lease, end));
  }

  ManualClock clock{std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now())};
  Guarded<std::vector<std::string>> lines_;
};

// R38:
TEST_F(HousekeeperTest, ExpiredBindingsAreNoticedAndDeletedThirtyDaysLater) {
  sync::Housekeeper housekeeper(*store, clock, {.at_once = 2});
  const auto viewer = must(store->role(acme, "Viewer")).id;
  for (const auto* name : {"ada", "bob", "eve"}) {
    const auto user = must(store->create_user(acme, person(name), kSomebody)).value.id;
    must(
        store->create_binding(acme, {.role = viewer, .principal = {PrincipalType::User, user}, .ns = {}, .expires_at = soon()}, kSomebody));
  }
  said();
  EXPECT_EQ(must(housekeeper.sweep()), 0u);
  EXPECT_THAT(said(), IsEmpty());
  clock.advance(std::chrono::hours(2));
  EXPECT_EQ(must(housekeeper.sweep()), 3u);
  EXPECT_THAT(said(), ElementsAre("bindings.swept expired=3 deleted=0"));
  EXPECT_EQ(must(housekeeper.sweep()), 0u);
  clock.advance(std::chrono::hours(30 * 24));
  EXPECT_EQ(must(housekeeper.sweep()), 3u);
  EXPECT_THAT(said(), ElementsAre("bindings.swept expired=0 deleted=3"));
  EXPECT_THAT(must(store->list_bindings(acme, {.role = viewer}, {})).items, IsEmpty());
}

TEST_F(HousekeeperTest, ASourceThatBecomesOverdueIsToldOnceAndAgainWhenItIsNot) {
  make_source(acme, "corp");
  sync::Housekeeper housekeeper(*store, clock, {});
  said();
  ASSERT_OK(housekeeper.look());
  clock.advance(std::chrono::hours(47));
  ASSERT_OK(housekeeper.look());
  EXPECT_THAT(said(), IsEmpty());
  clock.advance(std::chrono::hours(2));
  ASSERT_OK(housekeeper.look());
  EXPECT_THAT(said(), ElementsAre("source.overdue tenant=acme source=corp last_complete_read=never expected_every=1d"))
      << "one that was never read counts from when it was made";
  clock.advance(std::chrono::hours(24));
  ASSERT_OK(housekeeper.look());
  EXPECT_THAT(said(), IsEmpty()) << "once";

  read_completely();
  sync::Housekeeper next_day(*store, clock, {});  // 73 h ahead of the read: a daemon that starts afterwards tells it anew
  ASSERT_OK(next_day.look());
  EXPECT_THAT(said(), ElementsAre(HasSubstr("source.overdue tenant=acme source=corp last_complete_read=20")));
  auto rarely = new_source("corp");
  rarely.schedule.full_every = std::chrono::hours(24 * 365);
  must(store->change_source(acme, must(store->source(acme, "corp")).id, rarely, 0, kSomebody));
  ASSERT_OK(next_day.look());
  EXPECT_THAT(said(), ElementsAre("source.overdue_no_more tenant=acme source=corp"));
}

TEST_F(HousekeeperTest, AnIntervalLongerThanTheSweepIsNotOverdueInBetween) {
  auto weekly = new_source("corp");
  weekly.schedule.interval = std::chrono::hours(24 * 7);
  must(store->create_source(acme, weekly, kSomebody));
  sync::Housekeeper housekeeper(*store, clock, {});
  said();
  clock.advance(std::chrono::hours(24 * 13));
  ASSERT_OK(housekeeper.look());
  EXPECT_THAT(said(), IsEmpty());
  clock.advance(std::chrono::hours(24 * 2));
  ASSERT_OK(housekeeper.look());
  EXPECT_EQ(said().size(), 1u);
}

TEST_F(HousekeeperTest, HistoryOlderThanTheRetentionGoesByItself) {
  make_source(acme, "corp");
  for (int i = 0; i < 5; ++i) read_completely();
  sync::Housekeeper housekeeper(*store, clock, {.retention = std::chrono::hours(24 * 30), .at_once = 2});
  EXPECT_TRUE(must(housekeeper.forget()).is_nothing());
  EXPECT_EQ(sql("SELECT count(*) FROM rosterd.run"), "5");
  said();
  clock.advance(std::chrono::hours(24 * 31));
  EXPECT_EQ(must(housekeeper.forget()).runs, 4u) << "in pieces of two, the newest stays";
  EXPECT_EQ(sql("SELECT count(*) FROM rosterd.audit"), "0");
  EXPECT_THAT(said(), ElementsAre(HasSubstr("history.forgotten older_than=")));
  EXPECT_TRUE(must(housekeeper.forget()).is_nothing());
  EXPECT_THAT(said(), IsEmpty());
}

// R67:
TEST_F(HousekeeperTest, SessionsThatAreOverGoThoughNobodySignsInAnyMore) {
  sql("INSERT INTO rosterd.account_session (account_id, hash, ends_at, idle_until, idle_ms) SELECT account_id, sha256(n::text::bytea), "
      "now() + interval '1 day', now() + interval '1 hour' * (n - 5), 1000 FROM rosterd.account, generate_series(1, 9) n WHERE email = "
      "(SELECT min(email) FROM rosterd.account)");
  sync::Housekeeper housekeeper(*store, clock, {.at_once = 2});
  EXPECT_TRUE(must(housekeeper.forget()).is_nothing());
  EXPECT_EQ(sql("SELECT count(*) FROM rosterd.account_session WHERE idle_until <= now()"), "0");
  EXPECT_EQ(sql("SELECT count(*) FROM rosterd.account_session"), "4") << "the others live on";
}

TEST_F(HousekeeperTest, ItsThreadDoesBothAndStopsAtOnce) {
  make_source(acme, "corp");
  read_completely();
  read_completely();
  clock.advance(std::chrono::hours(24 * 31));
  sync::Housekeeper housekeeper(
      *store, clock, {.retention = std::chrono::hours(24 * 30), .look_every = Millis(10), .forget_every = std::chrono::hours(24)});
  housekeeper.start();
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(15);
  while (sql("SELECT count(*) FROM rosterd.run") != "1" && std::chrono::steady_clock::now() < until)
    std::this_thread::sleep_for(Millis(10));  // it works on a thread and a connection of its own
  EXPECT_EQ(sql("SELECT count(*) FROM rosterd.run"), "1");
  housekeeper.stop();
  EXPECT_THAT(said(), testing::Contains(HasSubstr("source.overdue ")));

  sync::Housekeeper patient(*store, clock, {});
  patient.start();
  const auto before = std::chrono::steady_clock::now();
  patient.stop();
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(5)) << "it does not sleep its minute out";
}

}  // namespace
}  // namespace rosterd::test
