// The embedded PostgreSQL: made once, kept alive, stopped last; and what it says when it cannot.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "schema/core/guarded.hpp"
#include "schema/core/log.hpp"
#include "schema/postgres/embedded.hpp"
#include "tests/support/postgres.hpp"
#include "tests/support/process.hpp"

namespace rosterd {
namespace {

using test::PrivatePostgres;
using test::TempDir;
using test::wait_until;
using testing::AllOf;
using testing::HasSubstr;

/// What was logged, by event name.
Guarded<std::vector<std::string>>& logged() {
  static auto* const lines = [] {
    auto* made = new Guarded<std::vector<std::string>>;
    log::set_sink([made](log::Level, std::string_view event, std::span<const log::Field> fields) {
      made->with([&](auto& all) { all.push_back(log::text(event, fields)); });
    });
    return made;
  }();
  return *lines;
}
bool was_logged(std::string_view event) {
  return logged().with([&](const auto& all) {
    for (const auto& line : all)
      if (line.starts_with(event)) return true;
    return false;
  });
}

class Embedded : public testing::Test {
 protected:
  void SetUp() override {
    logged().with([](auto& all) { all.clear(); });
    chmod(dir.path().c_str(), 0711);  // as /var/lib/rosterd: the server's user passes through
  }
  EmbeddedPostgres::Options options() const { return {.state_dir = dir.path() / "pg", .settings = {{"fsync", "off"}}}; }
  static std::unique_ptr<EmbeddedPostgres> started(const EmbeddedPostgres::Options& options) {
    auto server = EmbeddedPostgres::start(options, {});
    if (!server) throw std::runtime_error(server.error().what);
    return std::move(*server);
  }
  static Error refused(const EmbeddedPostgres::Options& options, std::stop_token stop = {}) {
    auto server = EmbeddedPostgres::start(options, std::move(stop));
    if (server) throw std::runtime_error("it started");
    return server.error();
  }
  TempDir dir{"remb"};
};

TEST_F(Embedded, GivesAnOwnerAndAnApplicationRoleWithoutPrivilegesOnASafelyTunedServer) {
  const auto server = started({.state_dir = dir.path() / "pg"});
  EXPECT_EQ(server->state(), EmbeddedPostgres::State::Running);
  EXPECT_GE(server->version(), 15);
  const auto show = [&](const char* name) { return PrivatePostgres::query(server->app_url(), std::string("SHOW ") + name); };
  EXPECT_EQ(show("data_checksums"), "on");
  EXPECT_EQ(show("fsync"), "on");
  EXPECT_EQ(show("full_page_writes"), "on");
  EXPECT_EQ(show("synchronous_commit"), "on");
  EXPECT_EQ(show("listen_addresses"), "");
  EXPECT_EQ(show("unix_socket_permissions"), "0700");
  EXPECT_EQ(show("jit"), "off");
  EXPECT_EQ(show("max_connections"), "50");
  EXPECT_EQ(PrivatePostgres::query(server->app_url(),
                                   "SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname = current_user"),
            "f\tf\tf\tf");
  EXPECT_EQ(PrivatePostgres::query(server->app_url(),
                                   "SELECT pg_get_userbyid(datdba) = current_user FROM pg_database WHERE datname = current_database()"),
            "f");
  EXPECT_EQ(PrivatePostgres::query(server->owner_url(),
                                   "SELECT pg_get_userbyid(datdba) = current_user FROM pg_database WHERE datname = current_database()"),
            "t");
  EXPECT_EQ(PrivatePostgres::query(server->owner_url(), "CREATE SCHEMA s; CREATE TABLE s.t AS SELECT 1 AS a; SELECT a FROM s.t"), "1");
  EXPECT_THROW((void)PrivatePostgres::query(server->app_url(), "SELECT a FROM s.t"), std::runtime_error);
  EXPECT_EQ(PrivatePostgres::query(server->app_url(), "CREATE TEMPORARY TABLE mine(a int); SELECT count(*) FROM mine"), "0");
}

TEST_F(Embedded, HasRoomForAllConnectionsThatWillBeOpened) {
  auto many = options();
  many.connections = 90;
  const auto limit = [](const std::unique_ptr<EmbeddedPostgres>& server) {
    return std::stoi(PrivatePostgres::query(server->app_url(), "SHOW max_connections"));
  };
  EXPECT_GE(limit(started(many)), 90 + 10);
  many.settings["max_connections"] = "60";
  EXPECT_EQ(limit(started(many)), 60) << "the operator's word is the last";
}

TEST_F(Embedded, OnlyItsUserEntersItsFolders) {
  const auto server = started(options());
  for (const char* folder : {"", "data", "run"}) {
    struct stat info{};
    ASSERT_EQ(stat((dir.path() / "pg" / folder).c_str(), &info), 0) << folder;
    EXPECT_EQ(info.st_mode & 0777, 0700U) << folder;
    EXPECT_EQ(info.st_uid, test::am_root() ? test::identity_of("postgres").uid : geteuid()) << folder;
  }
  if (!test::am_root()) GTEST_SKIP() << "becoming a third user takes root";
  EXPECT_NE(test::run({"psql", server->app_url(), "-c", "SELECT 1"}, {.user = "nobody"}).status, 0);
}

TEST_F(Embedded, KeepsItsDataFromOneStartToTheNext) {
  long pid = 0;
  {
    const auto server = started(options());
    pid = server->server_pid();
    PrivatePostgres::query(server->owner_url(), "CREATE SCHEMA s; CREATE TABLE s.t AS SELECT 7 AS a");
  }
  EXPECT_EQ(kill(static_cast<pid_t>(pid), 0), -1) << "the server outlived its object";
  EXPECT_TRUE(was_logged("postgres.stopped manner=fast"));
  const auto server = started(options());
  EXPECT_EQ(PrivatePostgres::query(server->owner_url(), "SELECT a FROM s.t"), "7");
}

TEST_F(Embedded, StartsAServerAgainThatDied) {
  const auto server = started(options());
  PrivatePostgres::query(server->owner_url(), "CREATE SCHEMA s; CREATE TABLE s.t AS SELECT 7 AS a");
  for (const int signal : {SIGQUIT, SIGKILL}) {
    const long pid = server->server_pid();
    kill(static_cast<pid_t>(pid), signal);
    ASSERT_TRUE(wait_until(
        [&] { return server->state() == EmbeddedPostgres::State::Running && server->server_pid() > 0 && server->server_pid() != pid; },
        test::Milliseconds(30'000)));
    EXPECT_EQ(PrivatePostgres::query(server->owner_url(), "SELECT a FROM s.t"), "7");
  }
  EXPECT_TRUE(was_logged("postgres.died"));
}

TEST_F(Embedded, RefusesDataOfAnotherMajorVersionAndSaysWhatToDo) {
  started(options()).reset();
  const auto file = dir.path() / "pg/data/PG_VERSION";
  test::write_file(file, "13\n");
  const auto error = refused(options());
  EXPECT_EQ(error.code, Errc::Refused);
  EXPECT_THAT(error.what, AllOf(HasSubstr("PostgreSQL 13"), HasSubstr("version 1"), HasSubstr("pg_upgrade")));
}

TEST_F(Embedded, RedoesAnInitialisationThatWasCutOff) {
  std::filesystem::create_directories(dir.path() / "pg/data.new/base");
  test::write_file(dir.path() / "pg/data.new/PG_VERSION", "15\n");
  const auto server = started(options());
  EXPECT_FALSE(std::filesystem::exists(dir.path() / "pg/data.new"));
  EXPECT_EQ(PrivatePostgres::query(server->app_url(), "SELECT 1"), "1");
}

TEST_F(Embedded, CompletesRolesAndDatabaseThatAnEarlierStartDidNotComeTo) {
  {
    const auto server = started(options());
    PrivatePostgres::query(server->superuser_url(), "DROP DATABASE rosterd");
    PrivatePostgres::query(server->superuser_url(), "DROP ROLE rosterd");
  }
  EXPECT_EQ(PrivatePostgres::query(started(options())->app_url(), "SELECT 1"), "1");
}

TEST_F(Embedded, DoesNotTouchAFolderThatIsNoDataDirectory) {
  std::filesystem::create_directories(dir.path() / "pg/data");
  test::write_file(dir.path() / "pg/data/thesis.txt", "years of work");
  EXPECT_THAT(refused(options()).what, HasSubstr("no data directory"));
  EXPECT_EQ(test::read_file(dir.path() / "pg/data/thesis.txt"), "years of work");
}

TEST_F(Embedded, FindsAShorterPlaceForTheSocketOfADeepStateDirectory) {
  std::filesystem::path deep = dir.path();
  for (int i = 0; i < 6; ++i) deep /= "a-folder-with-a-long-name";
  std::filesystem::create_directories(deep);
  std::string url, socket_dir;
  {
    const auto server = started({.state_dir = deep / "pg", .settings = {{"fsync", "off"}}});
    url = server->app_url();
    EXPECT_EQ(PrivatePostgres::query(url, "SELECT 1"), "1");
    socket_dir = PrivatePostgres::query(server->superuser_url(), "SHOW unix_socket_directories");
    struct stat info{};
    ASSERT_EQ(stat(socket_dir.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0700U);
    EXPECT_LT(socket_dir.size(), 80U);
  }
  EXPECT_FALSE(std::filesystem::exists(socket_dir));
}

TEST_F(Embedded, IsOneServerPerDirectory) {
  const auto server = started(options());
  EXPECT_EQ(refused(options()).code, Errc::Conflict);
  EXPECT_EQ(PrivatePostgres::query(server->app_url(), "SELECT 1"), "1");
}

TEST_F(Embedded, RefusesToBecomeRoot) {
  if (!test::am_root()) GTEST_SKIP() << "we are not root";
  for (const char* user : {"", "root", "no-such-user"}) {
    auto as_root = options();
    as_root.run_as = user;
    const auto error = refused(as_root);
    EXPECT_EQ(error.code, Errc::Refused) << user;
    EXPECT_THAT(error.what, HasSubstr("run_as")) << user;
  }
}

TEST_F(Embedded, NamesASettingThatPostgresRefuses) {
  auto wrong = options();
  wrong.settings["shared_buffers"] = "a lot";
  const auto error = refused(wrong);
  EXPECT_EQ(error.code, Errc::Refused);
  EXPECT_THAT(error.what, AllOf(HasSubstr("shared_buffers"), HasSubstr("database.embedded.settings")));
}

TEST_F(Embedded, SaysWhichUserMayNotPass) {
  if (!test::am_root()) GTEST_SKIP() << "root can make a folder that postgres may not pass";
  chmod(dir.path().c_str(), 0700);
  EXPECT_THAT(refused(options()).what, AllOf(HasSubstr("postgres"), HasSubstr("may not")));
}

TEST_F(Embedded, SaysThatTheDiskIsFull) {
  std::string what;
  std::jthread([&] {
    // A mount namespace of this thread alone: what is mounted here is gone with it.
    if (unshare(CLONE_NEWNS | CLONE_FS) != 0 || mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        mount("tmpfs", dir.path().c_str(), "tmpfs", 0, "size=8m,mode=0711") != 0)
      return;
    what = refused(options()).what;
  }).join();
  if (what.empty()) GTEST_SKIP() << "mounting is not permitted here";
  EXPECT_THAT(what, HasSubstr("full"));
}

TEST_F(Embedded, StopsStartingWhenAsked) {
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(refused(options(), stop.get_token()).code, Errc::Stopped);
}

/// Not a test: the daemon that the next one kills. It runs in a process of its own.
TEST(EmbeddedHolder, DISABLED_HoldsAServerUntilKilled) {
  const char* dir = std::getenv("ROSTERD_TEST_EMBEDDED_DIR");
  ASSERT_NE(dir, nullptr);
  const auto server = EmbeddedPostgres::start({.state_dir = dir}, {});
  ASSERT_TRUE(server) << server.error().what;
  PrivatePostgres::query((*server)->owner_url(), "CREATE SCHEMA s; CREATE TABLE s.t AS SELECT 7 AS a");
  test::write_file(std::filesystem::path(dir) / "up", std::to_string((*server)->server_pid()));
  pause();
}

TEST_F(Embedded, DoesNotOutliveAKilledDaemonAndIsTakenOverAtOnce) {
  const auto state = dir.path() / "pg";
  test::Process holder(
      {std::filesystem::read_symlink("/proc/self/exe").string(), "--gtest_also_run_disabled_tests", "--gtest_filter=EmbeddedHolder.*"},
      {.env = {{"ROSTERD_TEST_EMBEDDED_DIR", state.string()}}});
  ASSERT_TRUE(wait_until([&] { return std::filesystem::exists(state / "up"); }, test::Milliseconds(60'000))) << holder.output();
  ASSERT_TRUE(wait_until([&] { return !test::read_file(state / "up").empty(); }));
  const auto pid = static_cast<pid_t>(std::stol(test::read_file(state / "up")));
  holder.kill(SIGKILL);
  holder.wait(test::Milliseconds(5'000));
  const auto server = started({.state_dir = state});  // at once, while the old one is still writing
  EXPECT_EQ(PrivatePostgres::query(server->owner_url(), "SELECT a FROM s.t"), "7");
  EXPECT_NE(server->server_pid(), pid);
  // An ended process may stay as a zombie where process 1 reaps nobody, as in some containers; it has no program any more.
  std::error_code error;
  EXPECT_EQ(std::filesystem::read_symlink(fmt::format("/proc/{}/exe", pid), error), "");
}

}  // namespace
}  // namespace rosterd
