#include <thread>

#include "schema/postgres/pool.hpp"
#include "tests/schema/store_fixture.hpp"

// Statements that are sent without waiting for each: their answers, their errors, and what a connection that has died makes of them.

namespace rosterd::test {
namespace {

using namespace postgres;

class Asking : public ::testing::Test {
 protected:
  Asking() {
    PoolOptions options;
    options.url = database.owner_url;
    options.size = 1;
    pool = std::make_unique<Pool>(options);
    Pool::open(db, options, options.statement_timeout);
    db.simple("CREATE TABLE public.note (n bigint PRIMARY KEY)");
  }
  std::string sql(const std::string& text) { return PrivatePostgres::shared().query(database, text); }

  Database database = PrivatePostgres::shared().fresh_database();
  std::unique_ptr<Pool> pool;
  Db db;
};

TEST_F(Asking, AnswersComeInTheOrderOfTheAskingWithTheFirstThatIsWaitedFor) {
  const Db::Keeping keeping(db);
  std::vector<std::int64_t> seen;
  for (int i = 0; i < 5; ++i) db.ask("SELECT $1::bigint", {i}, [&](Row& row) { seen.push_back(row.number()); });
  EXPECT_TRUE(seen.empty());
  EXPECT_EQ(db.number("SELECT $1::bigint + 100", {1}), 101);
  EXPECT_EQ(seen, (std::vector<std::int64_t>{0, 1, 2, 3, 4}));
  EXPECT_FALSE(db.is_asking());
  EXPECT_EQ(db.run("INSERT INTO public.note VALUES (1), (2)"), 2u);
}

TEST_F(Asking, BehindAnErrorNothingHasHappenedAndTheConnectionGoesOn) {
  const Db::Keeping keeping(db);
  std::int64_t before = 0;
  bool behind = false;
  db.ask("SELECT 7::bigint", {}, [&](Row& row) { before = row.number(); });
  db.ask("SELECT 1 / $1::bigint", {0});
  db.ask("INSERT INTO public.note VALUES (1) RETURNING n", {}, [&](Row&) { behind = true; });
  try {
    db.collect();
    FAIL() << "a division by zero";
  } catch (const DbError& error) {
    EXPECT_EQ(error.sqlstate, "22012");
    EXPECT_FALSE(error.lost);
  }
  EXPECT_EQ(before, 7);
  EXPECT_FALSE(behind);
  EXPECT_EQ(db.number("SELECT count(*) FROM public.note"), 0);
}

TEST_F(Asking, AStatementThatCouldNotBePreparedIsPreparedWhenItCan) {
  const Db::Keeping keeping(db);
  const auto ask = [&] {
    std::int64_t out = 0;
    db.ask("SELECT count(*) FROM public.later", {}, [&](Row& row) { out = row.number() + 1; });
    db.ask("SELECT 'behind it'", {});
    db.collect();
    return out;
  };
  EXPECT_THROW((void)ask(), DbError);
  db.simple("CREATE TABLE public.later (n int)");
  EXPECT_EQ(ask(), 1);
  EXPECT_EQ(ask(), 1);
}

TEST_F(Asking, WhatAReaderOfRowsThrowsIsThrownOnceAllIsRead) {
  const Db::Keeping keeping(db);
  db.ask("SELECT 1::bigint", {}, [](Row&) { abort_with("", Errc::NotFound, "as the test wants it"); });
  db.ask("SELECT 2::bigint", {}, [](Row&) { FAIL() << "it comes after the one that was thrown"; });
  EXPECT_THROW(db.collect(), Abort);
  EXPECT_EQ(db.number("SELECT 3::bigint"), 3);
}

TEST_F(Asking, ALargeQuestionAndALargeAnswerPassEachOther) {
  const Db::Keeping keeping(db);
  const std::string large(3 << 20, 'x');
  std::size_t got = 0;
  for (int i = 0; i < 6; ++i) db.ask("SELECT $1::text", {large}, [&](Row& row) { got += row.text().size(); });
  db.collect();
  EXPECT_EQ(got, 6 * large.size());
}

TEST_F(Asking, ATransactionWhoseBeginAndCommitAreAskedIsATransaction) {
  const auto add = [&](int n, bool keep) -> Result<void> {
    return pool->run(
        Mode::Write, "adding",
        [&](Db& own) -> Result<void> {
          const Db::Keeping keeping(own);
          own.ask("INSERT INTO public.note VALUES ($1)", {n});
          if (!keep) return fail(Errc::InvalidInput, "no");
          return {};
        },
        Begin::Asked);
  };
  EXPECT_TRUE(add(1, true));
  EXPECT_FALSE(add(2, false));
  EXPECT_EQ(sql("SELECT string_agg(n::text, ',' ORDER BY n) FROM public.note"), "1");
  const auto again = add(1, true);
  ASSERT_FALSE(again) << "its error comes with the commit";
  EXPECT_EQ(again.error().code, Errc::Conflict);
  EXPECT_TRUE(add(3, true));
  EXPECT_EQ(sql("SELECT string_agg(n::text, ',' ORDER BY n) FROM public.note"), "1,3");
}

TEST_F(Asking, AConnectionThatDiedWhileItLayIdleIsOpenedAnewAndTheWorkDoneOnce) {
  int calls = 0;
  const auto add = [&](int n) {
    return pool->run(
        Mode::Write, "adding",
        [&](Db& own) -> Result<std::int64_t> {
          ++calls;
          const Db::Keeping keeping(own);
          own.ask("INSERT INTO public.note VALUES ($1)", {n});
          return own.number("SELECT count(*) FROM public.note");
        },
        Begin::Asked);
  };
  ASSERT_TRUE(add(1));
  sql("SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity WHERE datname = current_database() AND application_name = "
      "'rosterd'");
  const auto second = add(2);
  ASSERT_TRUE(second) << second.error().what;
  EXPECT_EQ(*second, 2);
  EXPECT_EQ(calls, 3) << "the second one found a dead connection first";
}

TEST_F(Asking, WhatWasSentTogetherWithItsCommitIsNotSentAgain) {
  int calls = 0;
  const auto add = [&](int n) {
    return pool->run(
        Mode::Write, "adding",
        [&](Db& own) -> Result<void> {
          ++calls;
          const Db::Keeping keeping(own);
          own.ask("INSERT INTO public.note VALUES ($1)", {n});
          return {};
        },
        Begin::Asked);
  };
  ASSERT_TRUE(add(1));
  sql("SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity WHERE datname = current_database() AND application_name = "
      "'rosterd'");
  const auto lost = add(2);
  ASSERT_FALSE(lost) << "nobody can know here whether the commit was reached";
  EXPECT_EQ(lost.error().code, Errc::Unavailable);
  EXPECT_EQ(calls, 2);
  EXPECT_TRUE(add(2));
}

TEST_F(Asking, AConnectionThatDiesInTheMiddleIsAnErrorAndTheNextWorkGoesOn) {
  const auto work = [&](bool dies) {
    return pool->run(
        Mode::Write, "adding",
        [&](Db& own) -> Result<std::int64_t> {
          const Db::Keeping keeping(own);
          const auto pid = own.number("SELECT pg_backend_pid()::bigint");
          if (dies) sql(fmt::format("SELECT pg_terminate_backend({}, 10000)", pid));
          own.ask("INSERT INTO public.note VALUES (1)", {});
          return own.number("SELECT count(*) FROM public.note");
        },
        Begin::Asked);
  };
  const auto lost = work(true);
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().code, Errc::Unavailable);
  EXPECT_TRUE(work(false));
}

TEST_F(Asking, ATenantMadeAnewUnderTheSameNameIsFoundThoughItsNumberWasKnown) {
  const auto store = open_store(database, 3);
  const auto account =
      must(store->create_account({.email = "root@example.org", .first_name = "", .last_name = "", .super_admin = true}, kSomebody));
  Role role;
  role.name = "Admin";
  role.admin = true;
  const TenantId acme{"acme"};
  const auto make = [&] {
    return must(store->create_tenant({.id = acme, .name = "Acme", .creator = account.id, .managed_roles = {role}}, kSomebody)).revision;
  };
  const auto first = make();
  EXPECT_TRUE(must(store->authorization_changes(acme, first)));
  ASSERT_TRUE(store->delete_tenant(acme, kSomebody));
  const auto gone = store->authorization_changes(acme, first);
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().code, Errc::NotFound);
  EXPECT_EQ(must(store->authorization_changes(acme, make()))->to.epoch, first.epoch + 1);
}

}  // namespace
}  // namespace rosterd::test
