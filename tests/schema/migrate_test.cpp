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

TEST_F(MigrateTest, AServerThatIsNotThereIsUnavailableAndThePasswordStaysOutOfTheWords) {
  const auto missing = PostgresStore::open({.url = "postgresql://rosterd:hunter2@127.0.0.1:1/rosterd", .owner_url = ""});
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().code, Errc::Unavailable);
  EXPECT_THAT(missing.error().what, ::testing::Not(::testing::HasSubstr("hunter2")));
}

}  // namespace
}  // namespace rosterd::test
