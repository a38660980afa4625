// SIGKILL of the daemon at every step of a run. A lock held by the test stops rosterd's transaction at a known table, so each step is
// met for certain and rosterd itself needs no hooks for it.

#include <gtest/gtest.h>

#include "tests/e2e/sql_session.hpp"
#include "tests/e2e/world.hpp"

namespace rosterd::e2e {
namespace {

using test::wait_until;

/// Blocks every write to `table` while it lives.
class WriteLock {
 public:
  WriteLock(World& world, const std::string& table) : session_(world.database.superuser_url) {
    session_.execute("BEGIN");
    session_.execute("LOCK TABLE rosterd." + table + " IN SHARE ROW EXCLUSIVE MODE");
  }

 private:
  SqlSession session_;
};

bool somebody_waits_for_a_lock(World& world) {
  return world.postgres().query(world.database, "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'relation'").substr(0, 1) !=
         "0";
}

class KilledWhileWriting : public testing::TestWithParam<const char*> {};

TEST_P(KilledWhileWriting, LeavesTheStoreEitherBeforeOrAfterTheRun) {
  World world({.people = 20});
  world.first_sync();
  ASSERT_EQ(world.users("active"), 20u);
  const auto before = world.all_users();

  world.slapd->modify(std::string("dn: uid=u0003,ou=people,") + World::kSuffix + "\nchangetype: modify\nreplace: sn\nsn: Changed\n");
  world.slapd->add(person_ldif("newcomer", World::kSuffix));
  world.slapd->modify(std::string("dn: cn=staff,ou=groups,") + World::kSuffix +
                      "\nchangetype: modify\ndelete: member\nmember: uid=u0004,ou=people," + World::kSuffix + "\n");
  world.slapd->add(group_ldif("admins", {"u0001"}, World::kSuffix));

  std::string run;
  {
    const WriteLock lock(world, GetParam());
    run = world.start_sync();
    ASSERT_TRUE(wait_until([&] { return somebody_waits_for_a_lock(world); })) << world.daemon->log();
    world.daemon->kill_hard();
  }
  world.daemon->start();
  const auto ended = world.wait_for_run(run);
  // A run that had only been queued is no dead process's run: the next daemon simply does it.
  if (ended["outcome"] == "abandoned") {
    EXPECT_EQ(world.all_users(), before) << "an abandoned run must have applied nothing";
    EXPECT_FALSE(ended["detail"].is_null());
  } else {
    EXPECT_EQ(ended["outcome"], "applied");
  }
  const auto next = world.sync();
  EXPECT_TRUE(next["outcome"] == "applied" || next["outcome"] == "unchanged") << next.dump();
  EXPECT_EQ(world.users("active"), 21u);
  EXPECT_EQ(world.users("suspended"), 0u);
  EXPECT_EQ(world.user("u0003")["last_name"], "Changed");
  EXPECT_EQ(world.sync()["outcome"], "unchanged");
}

INSTANTIATE_TEST_SUITE_P(EachTable, KilledWhileWriting,
                         testing::Values("tenant_user", "tenant_group", "membership", "run_change", "source_state", "tenant"),
                         [](const auto& each) { return std::string(each.param); });

TEST(KilledDaemon, WhileReadingTheDirectoryTheRunIsAbandonedAndTheLeaseFreedInTime) {
  World world({.people = 20});
  world.first_sync();
  world.slapd->freeze();
  const auto run = world.start_sync();
  ASSERT_TRUE(wait_until([&] { return world.run(run)["outcome"] == "running"; }));
  world.daemon->kill_hard();
  world.slapd->thaw();
  world.daemon->start();
  EXPECT_EQ(world.wait_for_run(run, Milliseconds(8'000))["outcome"], "abandoned");
  EXPECT_EQ(world.sync()["outcome"], "unchanged");
  EXPECT_EQ(world.users("active"), 20u);
}

TEST(KilledDaemon, RightAfterApplyAnswersFromTheNewStateWhenItIsBack) {
  World world({.people = 20});
  world.first_sync();
  EXPECT_EQ(world.check("user:u0004", "FLOW", "READ")["allowed"], true);
  world.slapd->modify(std::string("dn: cn=staff,ou=groups,") + World::kSuffix +
                      "\nchangetype: modify\ndelete: member\nmember: uid=u0004,ou=people," + World::kSuffix + "\n");
  EXPECT_EQ(world.sync()["outcome"], "applied");
  world.daemon->kill_hard();
  world.daemon->start();
  EXPECT_EQ(world.check("user:u0004", "FLOW", "READ")["allowed"], false);
  EXPECT_EQ(world.check("user:u0005", "FLOW", "READ")["allowed"], true);
}

TEST(StoppedDaemon, AbandonsARunningSyncWithinItsDeadline) {
  // The daemon's own patience with the directory is longer than its deadline, or the run would fail by itself just then.
  World world({.people = 20, .daemon = {.operation_timeout = "20s", .connect_timeout = "20s"}});
  world.first_sync();
  world.slapd->freeze();
  const auto run = world.start_sync();
  ASSERT_TRUE(wait_until([&] { return world.run(run)["outcome"] == "running"; }));
  EXPECT_EQ(world.daemon->stop(), 0) << world.daemon->log();
  world.slapd->thaw();
  world.daemon->start();
  EXPECT_EQ(world.run(run)["outcome"], "abandoned") << "a clean stop says so at once, without waiting for the lease";
  EXPECT_EQ(world.users("active"), 20u);
}

}  // namespace
}  // namespace rosterd::e2e
