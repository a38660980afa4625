// What people do to a directory between two runs, on a real slapd.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/e2e/world.hpp"

namespace rosterd::e2e {
namespace {

std::string dn(const std::string& uid) { return fmt::format("uid={},ou=people,{}", uid, World::kSuffix); }
std::string replace(const std::string& entry, const std::string& attribute, const std::string& value) {
  return fmt::format("dn: {}\nchangetype: modify\nreplace: {}\n{}: {}\n\n", entry, attribute, attribute, value);
}
std::string rename(const std::string& uid, const std::string& to) {
  return fmt::format("dn: {}\nchangetype: modrdn\nnewrdn: uid={}\ndeleteoldrdn: 1\n\n", dn(uid), to);
}

TEST(DirectoryChanges, TwoUsersSwappingUsernamesAndEmailsInOneBatchKeepTheirIds) {
  World world({.people = 20});
  world.first_sync();
  const auto first = world.user("u0001"), second = world.user("u0002");
  world.slapd->modify(rename("u0001", "between") + rename("u0002", "u0001") + rename("between", "u0002"));
  world.slapd->modify(replace(dn("u0001"), "mail", "u0001@acme.example") + replace(dn("u0002"), "mail", "u0002@acme.example"));
  const auto run = world.sync();
  EXPECT_EQ(run["outcome"], "applied") << run.dump();
  EXPECT_EQ(run["counts"]["users"]["suspended"], 0);
  EXPECT_EQ(world.user("u0001")["id"], second["id"]);
  EXPECT_EQ(world.user("u0002")["id"], first["id"]);
  EXPECT_EQ(world.user("u0001")["email"], "u0001@acme.example");
}

TEST(DirectoryChanges, DeletedAndRecreatedUnderTheSameNameIsSomebodyElse) {
  World world({.people = 20});
  world.first_sync();
  const auto old = world.user("u0007");
  ASSERT_EQ(world.check("user:u0007", "FLOW", "READ")["allowed"], true);
  world.slapd->modify("dn: " + dn("u0007") + "\nchangetype: delete\n\ndn: cn=staff,ou=groups," + World::kSuffix +
                      "\nchangetype: modify\ndelete: member\nmember: " + dn("u0007") + "\n");
  world.slapd->add(person_ldif("u0007", World::kSuffix));  // a new entryUUID
  EXPECT_EQ(world.sync()["outcome"], "applied");
  const auto now = world.user(old["id"]);
  EXPECT_EQ(now["state"], "suspended");
  EXPECT_EQ(world.users("suspended"), 1u);
  const auto answer = world.check("user:u0007", "FLOW", "READ");
  EXPECT_EQ(answer["allowed"], false) << "the new one inherits nothing";
  EXPECT_EQ(answer["reason"], "denied_no_binding");
}

TEST(DirectoryChanges, RenamingAnOuOf500PeopleSuspendsNobody) {
  auto ldif = base_ldif(World::kSuffix) + "dn: ou=old,ou=people," + World::kSuffix + "\nobjectClass: organizationalUnit\nou: old\n\n";
  for (int i = 0; i < 500; ++i) ldif += person_ldif(fmt::format("u{:04}", i), fmt::format("ou=people,{}", World::kSuffix), "old");
  World world({.ldif = ldif});
  world.first_sync();
  const auto id = world.user("u0042")["id"];
  world.slapd->modify(std::string("dn: ou=old,ou=people,") + World::kSuffix + "\nchangetype: modrdn\nnewrdn: ou=new\ndeleteoldrdn: 1\n");
  const auto run = world.sync();
  EXPECT_EQ(run["outcome"], "applied") << run.dump();
  EXPECT_EQ(run["counts"]["users"]["changed"], 500);
  EXPECT_EQ(world.users("active"), 500u);
  EXPECT_EQ(world.user("u0042")["id"], id);
}

TEST(DirectoryChanges, AGroupCycleIsStoredAsItIsAndEnds) {
  auto ldif = base_ldif(World::kSuffix);
  for (int i = 0; i < 5; ++i) ldif += person_ldif(fmt::format("u{:04}", i), World::kSuffix);
  const auto group = [](const std::string& cn, const std::string& member) {
    return fmt::format("dn: cn={0},ou=groups,{1}\nobjectClass: groupOfNames\ncn: {0}\nmember: {2}\n\n", cn, World::kSuffix, member);
  };
  const auto group_dn = [](const std::string& cn) { return fmt::format("cn={},ou=groups,{}", cn, World::kSuffix); };
  ldif += group("staff", group_dn("inner")) + group("inner", group_dn("loop")) + group("loop", group_dn("inner"));
  World world({.ldif = ldif});
  world.first_sync();
  world.slapd->modify("dn: " + group_dn("loop") + "\nchangetype: modify\nadd: member\nmember: " + dn("u0003") + "\n");
  EXPECT_EQ(world.sync()["outcome"], "applied");
  EXPECT_EQ(world.check("user:u0003", "FLOW", "READ")["allowed"], true);
  EXPECT_EQ(world.check("user:u0002", "FLOW", "READ")["allowed"], false);
}

TEST(DirectoryChanges, AGroupGrowingPast1500KeepsItsMembersAndWritesOnlyTheNewEdges) {
  auto ldif = base_ldif(World::kSuffix);
  std::vector<std::string> members;
  for (int i = 0; i < 1501; ++i) {
    ldif += person_ldif(fmt::format("u{:04}", i), World::kSuffix);
    if (i < 1499) members.push_back(fmt::format("u{:04}", i));
  }
  World world({.ldif = ldif + group_ldif("staff", members, World::kSuffix)});
  world.first_sync();
  EXPECT_EQ(world.api().get("/v1/tenants/acme/groups/staff").body["member_count"], 1499);
  world.slapd->modify(std::string("dn: cn=staff,ou=groups,") + World::kSuffix +
                      "\nchangetype: modify\nadd: member\nmember: " + dn("u1499") + "\nmember: " + dn("u1500") + "\n");
  const auto run = world.sync();
  EXPECT_EQ(run["outcome"], "applied");
  EXPECT_EQ(run["counts"]["edges"]["added"], 2);
  EXPECT_EQ(run["counts"]["edges"]["removed"], 0);
  EXPECT_EQ(world.api().get("/v1/tenants/acme/groups/staff").body["member_count"], 1501);
}

TEST(DirectoryChanges, AnEmptiedGroupOfNamesComesBackAsANewGroup) {
  World world({.people = 20});
  world.slapd->add(group_ldif("lonely", {"u0001"}, World::kSuffix) + group_ldif("others", {"u0002"}, World::kSuffix) +
                   group_ldif("more", {"u0002"}, World::kSuffix));
  world.first_sync();
  const auto old = world.api().get("/v1/tenants/acme/groups/lonely").body["id"];
  world.slapd->modify(std::string("dn: cn=lonely,ou=groups,") + World::kSuffix + "\nchangetype: delete\n");
  ASSERT_EQ(world.sync()["outcome"], "applied");
  world.slapd->add(group_ldif("lonely", {"u0003"}, World::kSuffix));
  ASSERT_EQ(world.sync()["outcome"], "applied");
  const auto now = world.api().get("/v1/tenants/acme/groups/lonely").body;
  EXPECT_NE(now["id"], old);
  EXPECT_EQ(now["member_count"], 1);
}

TEST(DirectoryChanges, AUserWhoLeavesTheFilterAndReturnsGetsTheSameIdAndRights) {
  World world(
      {.people = 20, .source = {{"settings", {{"users", {{"filter", "(&(objectClass=inetOrgPerson)(!(employeeType=former)))"}}}}}}});
  world.first_sync();
  const auto id = world.user("u0009")["id"];
  world.slapd->modify(replace(dn("u0009"), "employeeType", "former"));
  ASSERT_EQ(world.sync()["outcome"], "applied");
  EXPECT_EQ(world.user(id)["state"], "suspended");
  EXPECT_THAT(world.user(id)["state_reason"].dump(), testing::HasSubstr("filter"));
  EXPECT_EQ(world.check("user:u0009", "FLOW", "READ")["reason"], "denied_user_suspended");
  world.slapd->modify(replace(dn("u0009"), "employeeType", "staff"));
  ASSERT_EQ(world.sync()["outcome"], "applied");
  EXPECT_EQ(world.user("u0009")["id"], id);
  EXPECT_EQ(world.check("user:u0009", "FLOW", "READ")["allowed"], true);
}

TEST(DirectoryChanges, ATenantOfFiveLosingThreeIsHeldAndApprovedOnce) {
  World world({.people = 5});
  world.first_sync();
  for (const char* uid : {"u0001", "u0002", "u0003"}) world.slapd->modify("dn: " + dn(uid) + "\nchangetype: delete\n");
  const auto run = world.sync();
  ASSERT_EQ(run["outcome"], "held") << run.dump();
  EXPECT_EQ(world.users("active"), 5u);
  const auto path = "/v1/tenants/acme/runs/" + run["id"].get<std::string>();
  EXPECT_EQ(world.api().post(path + "/approve", {{"plan", std::string(64, '0')}}).status, 409);
  EXPECT_EQ(world.api().post(path + "/approve", {{"plan", run["plan"]["hash"]}}).status, 202);
  const auto ended = world.wait_for_run(run["id"]);
  EXPECT_EQ(ended["outcome"], "applied") << ended.dump();
  EXPECT_EQ(world.users("suspended"), 3u);
  EXPECT_EQ(world.api().post(path + "/approve", {{"plan", run["plan"]["hash"]}}).status, 409) << "an approval is good once";
}

TEST(DirectoryChanges, TakingGroupsOutOfASourceIsHeldAndThenDone) {
  World world({.people = 20});
  world.first_sync();
  ASSERT_EQ(world.check("user:u0007", "FLOW", "READ")["allowed"], true);
  world.change_source({{"settings", {{"groups", nullptr}}}});
  const auto run = world.sync();
  ASSERT_EQ(run["outcome"], "held") << run.dump();
  EXPECT_EQ(run["reason"], "settings_changed");
  EXPECT_EQ(world.check("user:u0007", "FLOW", "READ")["allowed"], true);
  // A changed source is due at once: perhaps the schedule's run was the first to hold this plan, and then it waits under that one's id.
  const auto status = world.api().get("/v1/tenants/acme/status").body;
  const auto waiting = status["items"][0]["held_run"]["id"].get<std::string>();
  ASSERT_EQ(world.api().post("/v1/tenants/acme/runs/" + waiting + "/approve", {{"plan", run["plan"]["hash"]}}).status, 202);
  EXPECT_EQ(world.wait_for_run(waiting)["outcome"], "applied");
  EXPECT_EQ(world.check("user:u0007", "FLOW", "READ")["allowed"], false);
  const auto next = world.sync();
  EXPECT_EQ(next["outcome"], "unchanged") << next.dump();
  EXPECT_EQ(next["complete"], true);
}

TEST(DirectoryChanges, TheFirstPlanOfADisabledSourceCanBeLookedAt) {
  World world({.people = 20, .source = {{"enabled", false}}});
  EXPECT_EQ(world.api().post("/v1/tenants/acme/sources/corp/sync").status, 409) << "only a dry run";
  const auto dry = world.sync({{"dry_run", true}});
  ASSERT_EQ(dry["outcome"], "planned") << dry.dump();
  EXPECT_EQ(dry["counts"]["users"]["added"], 20);
  EXPECT_EQ(world.users("active"), 0u);
  const auto changes = world.api().get("/v1/tenants/acme/runs/" + dry["id"].get<std::string>() + "/changes?limit=1000").body["items"];
  EXPECT_EQ(changes.size(), 20u + 1u + 20u + 1u) << "people, the group, its members, its mapped role";
  world.change_source({{"enabled", true}});
  (void)world.sync();  // or the schedule was quicker: an enabled source is due at once
  EXPECT_EQ(world.users("active"), 20u);
  std::vector<json> applied;
  const auto runs = world.api().get("/v1/tenants/acme/sources/corp/runs").body["items"];
  for (const auto& one : runs)
    if (one["outcome"] == "applied") applied.push_back(one["plan"]["hash"]);
  EXPECT_THAT(applied, testing::ElementsAre(dry["plan"]["hash"]));
}

TEST(DirectoryChanges, AHeldRunShowsNothingButFindings) {
  World world({.people = 20});
  world.first_sync();
  for (int i = 0; i < 10; ++i) world.slapd->modify(fmt::format("dn: {}\nchangetype: delete\n", dn(fmt::format("u{:04}", i))));
  const auto run = world.sync();
  ASSERT_EQ(run["outcome"], "held") << run.dump();
  for (const auto& notice : run["notices"]) EXPECT_EQ(notice["code"], "dangling_member") << notice.dump();
}

TEST(DirectoryChanges, ADryRunMovesNothingAndTheRealRunHasTheSamePlan) {
  World world({.people = 20});
  world.first_sync();
  world.slapd->modify(replace(dn("u0001"), "sn", "Lovelace"));
  world.slapd->add(person_ldif("newcomer", World::kSuffix));
  const auto revision = world.api().get("/v1/tenants/acme").body["revision"];
  const auto dry = world.sync({{"dry_run", true}});
  EXPECT_EQ(dry["outcome"], "planned") << dry.dump();
  EXPECT_EQ(world.users("active"), 20u);
  EXPECT_EQ(world.api().get("/v1/tenants/acme").body["revision"], revision);
  const auto real = world.sync();
  EXPECT_EQ(real["outcome"], "applied");
  EXPECT_EQ(real["plan"]["hash"], dry["plan"]["hash"]);
  const auto changes = world.api().get("/v1/tenants/acme/runs/" + real["id"].get<std::string>() + "/changes").body["items"];
  EXPECT_EQ(changes.size(), 2u) << changes.dump();
}

}  // namespace
}  // namespace rosterd::e2e
