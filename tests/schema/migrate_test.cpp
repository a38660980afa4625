#include <sys/wait.h>
#include <unistd.h>

#include "schema/postgres/migrate.hpp"
#include "schema/postgres/pool.hpp"
#include "tests/schema/store_fixture.hpp"

namespace rosterd::test {
namespace {

StoreOptions options_for(const Database& database) {
  return {.url = database.app_url, .owner_url = database.owner_url, .pool_size = 2, .connect_timeout = Millis(3000)};
}

class MigrateTest : public ::testing::Test {
 protected:
  Database database = PrivatePostgres::shared().fresh_database();
  std::string sql(const std::string& text) { return PrivatePostgres::shared().query(database, text); }
};

TEST_F(MigrateTest, MigratingTwiceChangesNothing) {
  ASSERT_OK(PostgresStore::open(options_for(database)));
  const auto first = sql("SELECT number, sha256, applied_at FROM rosterd.schema_migration ORDER BY number");
  ASSERT_OK(PostgresStore::open(options_for(database)));
  EXPECT_EQ(sql("SELECT number, sha256, applied_at FROM rosterd.schema_migration ORDER BY number"), first);
  EXPECT_EQ(sql("SELECT count(*) FROM rosterd.schema_migration"), std::to_string(postgres::built_in_migrations().size()));
}

TEST_F(MigrateTest, ProcessesMigratingAtTheSameMomentMakeOneSchema) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "ThreadSanitizer ends a child of fork() that starts threads; the store's watch is one";
#endif
  std::vector<pid_t> children;
  for (int i = 0; i < 4; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      const auto opened = PostgresStore::open(options_for(database));
      if (!opened) fmt::print(stderr, "{}\n", opened.error().what);
      _exit(opened.has_value() ? 0 : 1);
    }
    ASSERT_GT(child, 0);
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = -1;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  EXPECT_EQ(sql("SELECT count(*) FROM rosterd.schema_migration"), std::to_string(postgres::built_in_migrations().size()));
}

TEST_F(MigrateTest, RefusesADatabaseThatANewerRosterdHasUpgraded) {
  ASSERT_OK(PostgresStore::open(options_for(database)));
  sql("INSERT INTO rosterd.schema_migration (number, name, sha256) VALUES (9999, 'from_the_future', 'x')");
  EXPECT_FAILS(PostgresStore::open(options_for(database)), Errc::Refused);
  auto without_owner = options_for(database);
  without_owner.owner_url.clear();
  const auto refused = PostgresStore::open(without_owner);
  ASSERT_FALSE(refused.has_value());
  EXPECT_THAT(refused.error().what, ::testing::HasSubstr("newer rosterd"));
}

TEST_F(MigrateTest, RefusesAMigrationThatWasAppliedWithAnotherText) {
  ASSERT_OK(PostgresStore::open(options_for(database)));
  sql("UPDATE rosterd.schema_migration SET sha256 = 'other' WHERE number = 2");
  EXPECT_FAILS(PostgresStore::open(options_for(database)), Errc::Refused);
}

TEST_F(MigrateTest, AFailingMigrationLeavesNothingOfItself) {
  postgres::Db owner;
  postgres::Pool::open(owner, {.url = database.owner_url}, Millis(5000));
  const std::vector<postgres::Migration> broken{
      {1, "good", "CREATE FUNCTION rosterd.give_rights(app name) RETURNS void LANGUAGE sql AS ''"},
      {2, "bad", "CREATE TABLE rosterd.half (x int); SELECT 1 / 0"}};
  EXPECT_FALSE(postgres::migrate(owner, database.app_role, broken).has_value());
  EXPECT_EQ(sql("SELECT max(number) FROM rosterd.schema_migration"), "1");
  EXPECT_EQ(sql("SELECT coalesce(to_regclass('rosterd.half')::text, 'none')"), "none");
}

TEST_F(MigrateTest, WithoutAnOwnerItOnlyVerifies) {
  auto options = options_for(database);
  options.owner_url.clear();
  EXPECT_FALSE(PostgresStore::open(options).has_value());
  EXPECT_EQ(sql("SELECT count(*) FROM pg_namespace WHERE nspname = 'rosterd'"), "0");
  ASSERT_OK(PostgresStore::open(options_for(database)));
  ASSERT_OK(PostgresStore::open(options));
}

TEST_F(MigrateTest, RefusesARoleThatCouldLookPastTheWall) {
  ASSERT_OK(PostgresStore::open(options_for(database)));
  auto options = options_for(database);
  for (const auto& url : {database.superuser_url, database.owner_url}) {
    options.url = url;
    EXPECT_FAILS(PostgresStore::open(options), Errc::Refused);
  }
  options.url = database.app_url;
  sql("ALTER ROLE " + database.app_role + " BYPASSRLS");
  EXPECT_FAILS(PostgresStore::open(options), Errc::Refused);
  sql("ALTER ROLE " + database.app_role + " NOBYPASSRLS; GRANT " + database.owner_role + " TO " + database.app_role);
  EXPECT_FAILS(PostgresStore::open(options), Errc::Refused);
}

TEST_F(MigrateTest, RefusesARoleThatCanBecomeOneThatLooksPastTheWall) {
  ASSERT_OK(PostgresStore::open(options_for(database)));
  const auto refused = [&](const std::string& url) -> std::string {
    auto options = options_for(database);
    options.url = url;
    const auto opened = PostgresStore::open(options);
    if (opened) return "opened";
    EXPECT_EQ(opened.error().code, Errc::Refused);
    return opened.error().what;
  };
  const auto& app = database.app_role;
  const auto mighty = app + "_mighty", between = app + "_between";
  sql("ALTER ROLE " + app + " CREATEROLE");
  EXPECT_THAT(refused(database.app_url), ::testing::HasSubstr(app + " is a role with CREATEROLE"));
  sql("ALTER ROLE " + app + " NOCREATEROLE");
  ASSERT_EQ(refused(database.app_url), "opened") << "a plain role is taken";

  sql(fmt::format("CREATE ROLE {0}; CREATE ROLE {1}; GRANT {0} TO {1}; GRANT {1} TO {2}", mighty, between, app));
  ASSERT_EQ(refused(database.app_url), "opened") << "membership in plain roles is nothing";
  for (const auto& [right, word] : {std::pair{"SUPERUSER", "a superuser"}, std::pair{"BYPASSRLS", "a role with BYPASSRLS"},
                                    std::pair{"CREATEROLE", "a role with CREATEROLE"}}) {
    sql(fmt::format("ALTER ROLE {} {}", mighty, right));
    EXPECT_THAT(refused(database.app_url), ::testing::HasSubstr(fmt::format("{} is a member of {}, {}", app, mighty, word)));
    sql(fmt::format("ALTER ROLE {} NO{}", mighty, right));
  }
  sql(fmt::format("GRANT pg_execute_server_program TO {}", mighty));
  EXPECT_THAT(refused(database.app_url), ::testing::HasSubstr("pg_execute_server_program"));
  sql(fmt::format("REVOKE pg_execute_server_program FROM {}", mighty));
  sql(fmt::format("GRANT {} TO {}", database.owner_role, mighty));
  EXPECT_THAT(refused(database.app_url), ::testing::HasSubstr("the owner of rosterd's tables"));
  sql(fmt::format("DROP ROLE {}; DROP ROLE {}", between, mighty));

  // A session of a superuser that only calls itself the plain role needs no more than RESET ROLE.
  const auto disguised =
      database.superuser_url + (database.superuser_url.find('?') == std::string::npos ? "?" : "&") + "options=-c%20role%3D" + app;
  EXPECT_THAT(refused(disguised), ::testing::HasSubstr("is a superuser"));
}

TEST_F(MigrateTest, AServerThatIsNotThereIsUnavailableAndThePasswordStaysOutOfTheWords) {
  const auto missing = PostgresStore::open({.url = "postgresql://rosterd:hunter2@127.0.0.1:1/rosterd", .owner_url = ""});
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().code, Errc::Unavailable);
  EXPECT_THAT(missing.error().what, ::testing::Not(::testing::HasSubstr("hunter2")));
}

TEST_F(MigrateTest, APasswordMayHoldWhateverItHolds) {
  ASSERT_OK(PostgresStore::open(options_for(database)));
  auto options = options_for(database);
  options.url += "&password=a%20b%27%5C%26%25c";  // nobody asks for it here, but it has to find its way
  ASSERT_OK(PostgresStore::open(options));
}

}  // namespace
}  // namespace rosterd::test
