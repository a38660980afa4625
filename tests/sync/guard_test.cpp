// Every row of the table in sync-rules §4, on both sides of its limit.
#include "daemon/sync/guard.hpp"

#include <gtest/gtest.h>

namespace rosterd::sync {
namespace {

GuardInput users(std::uint64_t active, std::uint64_t leaving) {
  GuardInput plan;
  plan.complete = true;
  plan.users_active = active;
  plan.users_leaving = leaving;
  plan.users_read = active - leaving + 1;
  return plan;
}
GuardInput groups(std::uint64_t active, std::uint64_t leaving) {
  auto plan = users(0, 0);
  plan.groups_active = active;
  plan.groups_leaving = leaving;
  plan.groups_read = active - leaving + 1;
  return plan;
}
std::string reason(const GuardInput& plan, const Guard& guard = {}) {
  const auto tripped = trip(guard, plan);
  return tripped ? tripped->reason : "";
}

struct Row {
  std::uint64_t active, passes, trips;
};
constexpr Row kTable[] = {{5, 1, 2}, {12, 4, 5}, {20, 6, 7}, {100, 10, 11}, {1000, 50, 51}, {20'000, 500, 501}};

TEST(GuardTable, UsersMayLeaveUpToTheLimitAndNotOneMore) {
  for (const auto& row : kTable) {
    EXPECT_EQ(reason(users(row.active, row.passes)), "") << row.active << " lose " << row.passes;
    EXPECT_EQ(reason(users(row.active, row.trips)), "guard_users") << row.active << " lose " << row.trips;
  }
}

TEST(GuardTable, GroupsAreCountedAloneByTheSameFormula) {
  for (const auto& row : kTable) {
    EXPECT_EQ(reason(groups(row.active, row.passes)), "") << row.active << " lose " << row.passes;
    EXPECT_EQ(reason(groups(row.active, row.trips)), "guard_groups") << row.active << " lose " << row.trips;
  }
}

TEST(GuardTable, AnEmptyFeedAgainstANonEmptyStoreTripsWhateverTheNumbers) {
  auto plan = users(1, 0);
  plan.users_read = 0;
  EXPECT_EQ(reason(plan), "guard_empty_users");
  plan = groups(1, 0);
  plan.groups_read = 0;
  EXPECT_EQ(reason(plan), "guard_empty_groups");
}

TEST(GuardTable, TheFirstSyncOfAnEmptyDirectoryPasses) {
  GuardInput plan;
  plan.complete = true;
  EXPECT_EQ(reason(plan), "");
}

TEST(GuardTable, AnEmptyPartialReadSaysNothingAboutAbsenceAndPasses) {
  auto plan = users(100, 0);
  plan.users_read = 0;
  plan.complete = false;
  EXPECT_EQ(reason(plan), "");
}

TEST(GuardTable, HalfOfAGroupOfTwentyOrMore) {
  EXPECT_TRUE(loses_too_many(11, 20));
  EXPECT_FALSE(loses_too_many(10, 20));
  EXPECT_FALSE(loses_too_many(19, 19));
  EXPECT_TRUE(loses_too_many(20, 20));
  auto plan = users(100, 0);
  plan.halved_groups = 1;
  plan.worst = {.group = {7}, .lost = 11, .of = 20};
  EXPECT_EQ(reason(plan), "guard_group_half");
}

TEST(GuardTable, SeveralGroupsThatAllArriveWithoutMembers) {
  EXPECT_TRUE(empties_too_many(3, 3));
  EXPECT_TRUE(empties_too_many(3, 6));
  EXPECT_FALSE(empties_too_many(3, 7));
  EXPECT_FALSE(empties_too_many(2, 2)) << "two may well have been emptied";
  auto plan = users(100, 0);
  plan.groups_listing = 4;
  plan.groups_emptied = 3;
  EXPECT_EQ(reason(plan), "guard_groups_emptied");
  plan.complete = false;
  EXPECT_EQ(reason(plan), "") << "a partial read removes nobody";
}

TEST(GuardTable, MappedBindingsFollowTheSameFormula) {
  for (const auto& row : kTable) {
    auto plan = users(1, 0);
    plan.bindings_held = row.active;
    plan.bindings_removed = row.passes;
    EXPECT_EQ(reason(plan), "") << row.active << " lose " << row.passes;
    plan.bindings_removed = row.trips;
    EXPECT_EQ(reason(plan), "guard_bindings") << row.active << " lose " << row.trips;
  }
}

TEST(GuardTable, OneAdminBindingIsOneTooMany) {
  auto plan = users(1, 0);
  plan.bindings_held = 1000;
  plan.bindings_removed = plan.admin_bindings_removed = 1;
  EXPECT_EQ(reason(plan), "guard_admin_binding");
}

TEST(GuardTable, WhatLeftWithinADayCountsAsIfItLeftNow) {
  auto plan = users(95, 6);  // 100 were active when the day began, 5 have left, 6 more would be 11
  plan.recent.users = 5;
  EXPECT_EQ(reason(plan), "guard_users");
  plan.users_leaving = 5;
  EXPECT_EQ(reason(plan), "");
}

TEST(GuardTable, APlanThatTakesNothingAwayNeverTrips) {
  auto plan = users(90, 0);
  plan.recent.users = 60;
  EXPECT_EQ(reason(plan), "");
}

TEST(GuardTable, TheThreeNumbersBelongToTheSource) {
  EXPECT_EQ(limit({.percent = 50, .floor = 1, .ceiling = 1000}, 1000), 500u);
  EXPECT_EQ(limit({.percent = 50, .floor = 1, .ceiling = 100}, 1000), 100u);
  EXPECT_EQ(limit({.percent = 5, .floor = 30, .ceiling = 500}, 100), 30u);
  EXPECT_EQ(limit({}, 0), 0u);
}

TEST(GuardTable, TheSentenceNamesLimitAndNumbers) {
  const auto tripped = trip({}, users(1000, 940));
  ASSERT_TRUE(tripped);
  EXPECT_EQ(tripped->detail, "would suspend 940 of 1000 users; at most 50 may go within 24 hours");
}

}  // namespace
}  // namespace rosterd::sync
