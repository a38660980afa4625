// Groups as a provider pushes them, the guard over what it takes away, and how its pushes are shown.
#include "tests/http/scim/pusher.hpp"

namespace rosterd::test {
namespace {

struct PushedGroups : Pushing {
  json op(const std::string& name, const std::string& where, const json& value) const {
    return {{"op", name}, {"path", where}, {"value", value}};
  }
  json list_of(const std::vector<std::string>& ids) const {
    auto out = json::array();
    for (const auto& id : ids) out.push_back({{"value", id}});
    return out;
  }
};

TEST_F(PushedGroups, MembersComeAndGoInEveryFormThatIsSent) {
  const auto ada = push_user("ada"), bob = push_user("bob"), eve = push_user("eve");
  const auto group = push_group("engineers", {{"externalId", "g1"}});
  EXPECT_TRUE(members(group).empty());
  const auto there = "/Groups/" + group;
  // Entra: Add with $ref null.
  auto answer =
      patch(there, json::array({{{"op", "Add"},
                                 {"path", "members"},
                                 {"value", json::array({{{"$ref", nullptr}, {"value", ada}}, {{"$ref", nullptr}, {"value", bob}}})}}}));
  EXPECT_EQ(answer.status, 204) << answer.text;
  EXPECT_EQ(members(group), (std::vector{ada, bob}));
  EXPECT_EQ(patch(there, json::array({op("Add", "members", list_of({ada}))})).status, 204) << "again is no error";
  // Entra without its flag: Remove with a list, which must not empty the group.
  EXPECT_EQ(patch(there, json::array({op("Remove", "members", list_of({ada}))})).status, 204);
  EXPECT_EQ(members(group), (std::vector{bob}));
  // With the flag, and Okta: a filtered path.
  EXPECT_EQ(patch(there, json::array({{{"op", "remove"}, {"path", "members[value eq \"" + bob + "\"]"}}})).status, 204);
  EXPECT_TRUE(members(group).empty());
  // Okta: replace of members, without a path, with id and displayName.
  EXPECT_EQ(
      patch(there,
            json::array({{{"op", "replace"}, {"value", {{"id", group}, {"displayName", "engineers"}, {"members", list_of({ada, eve})}}}}}))
          .status,
      204);
  EXPECT_EQ(members(group), (std::vector{ada, eve}));
  EXPECT_EQ(patch(there, json::array({op("replace", "members", list_of({bob}))})).status, 204);
  EXPECT_EQ(members(group), (std::vector{bob}));
  EXPECT_EQ(patch(there, json::array({op("replace", "members", json::array())})).status, 204);
  EXPECT_TRUE(members(group).empty());
  EXPECT_EQ(patch(there, json::array({op("add", "members", list_of({ada, bob, eve}))})).status, 204);
  EXPECT_EQ(
      patch(there, json::array({{{"op", "remove"}, {"path", "members[value eq \"" + ada + "\" or value eq \"" + bob + "\"]"}}})).status,
      204);
  EXPECT_EQ(members(group), (std::vector{eve}));
  EXPECT_EQ(patch(there, json::array({{{"op", "remove"}, {"path", "members"}}})).status, 204);
  EXPECT_TRUE(members(group).empty());
}

TEST_F(PushedGroups, APatchIsWholeOrNotAtAll) {
  const auto ada = push_user("ada");
  const auto group = push_group("engineers");
  const auto answer =
      patch("/Groups/" + group,
            json::array({op("replace", "displayName", "renamed"), op("add", "members", list_of({ada, "usr_0000000000000"}))}));
  EXPECT_EQ(answer.status, 400) << answer.text;
  EXPECT_EQ(answer.body["scimType"], "invalidValue");
  EXPECT_EQ(push("GET", "/Groups/" + group).body["displayName"], "engineers");
  EXPECT_TRUE(members(group).empty());
}

TEST_F(PushedGroups, MembershipGivesWhatTheGroupIsBoundToAtOnce) {
  const auto ada = push_user("ada");
  const auto group = push_group("engineers", {{"members", list_of({ada})}});
  bind(role("flows", {{"FLOW", {"READ"}}}), "group:" + group);
  EXPECT_TRUE(may("user:" + ada, "FLOW", "READ"));
  EXPECT_EQ(patch("/Groups/" + group, json::array({op("remove", "members", list_of({ada}))})).status, 204);
  EXPECT_FALSE(may("user:" + ada, "FLOW", "READ"));
  EXPECT_EQ(history(group), (std::vector<std::string>{"created", "member_added", "member_removed"}));
}

TEST_F(PushedGroups, GroupsHoldGroups) {
  const auto ada = push_user("ada");
  const auto inner = push_group("inner", {{"members", list_of({ada})}});
  const auto outer = push_group("outer", {{"members", list_of({inner})}});
  bind(role("flows", {{"FLOW", {"READ"}}}), "group:" + outer);
  EXPECT_TRUE(may("user:" + ada, "FLOW", "READ"));
  EXPECT_EQ(push("GET", "/Groups/" + outer).body["members"][0]["type"], "Group");
  EXPECT_EQ(find("/Groups", "members.value eq \"" + ada + "\"")["totalResults"], 1);
  EXPECT_EQ(find("/Groups", "members[value eq \"" + inner + "\"]")["Resources"][0]["displayName"], "outer");
}

TEST_F(PushedGroups, ListsLeaveMembersOutWhenAsked) {
  const auto ada = push_user("ada");
  push_group("engineers", {{"members", list_of({ada})}});
  const auto list = push("GET", "/Groups?excludedAttributes=members&filter=" + encoded("displayName eq \"Engineers\""));
  ASSERT_EQ(list.body["totalResults"], 1) << list.text;
  EXPECT_FALSE(list.body["Resources"][0].contains("members"));
  EXPECT_EQ(push("GET", "/Groups").body["Resources"][0]["members"].size(), 1u);
  EXPECT_EQ(push("POST", "/Groups", {{"displayName", "ENGINEERS"}}).status, 409);
}

TEST_F(PushedGroups, APutKeepsTheMembersItDoesNotSpeakOf) {
  const auto ada = push_user("ada");
  const auto group = push_group("engineers", {{"members", list_of({ada})}});
  EXPECT_EQ(push("PUT", "/Groups/" + group, {{"displayName", "renamed"}}).status, 200);
  EXPECT_EQ(members(group), (std::vector{ada}));
  EXPECT_EQ(push("PUT", "/Groups/" + group, {{"displayName", "renamed"}, {"members", json::array()}}).status, 200);
  EXPECT_TRUE(members(group).empty());
}

TEST_F(PushedGroups, ADeletedUserLeavesTheGroupsOfItsSource) {
  for (int i = 0; i < 9; ++i) push_user("extra" + std::to_string(i));
  const auto ada = push_user("ada", {{"externalId", "1"}});
  const auto group = push_group("engineers", {{"members", list_of({ada})}});
  EXPECT_EQ(push("DELETE", "/Users/" + ada).status, 204);
  EXPECT_TRUE(members(group).empty());
  push_user("ada", {{"externalId", "1"}});
  EXPECT_TRUE(members(group).empty()) << "membership is the provider's word, and it has not said it again";
}

TEST_F(PushedGroups, ANameThatIsTakenInTheTenantGetsASuffix) {
  this->group("engineers");
  const auto pushed = push_group("Engineers", {{"externalId", "0123456789"}});
  EXPECT_EQ(push("GET", "/Groups/" + pushed).body["displayName"], "Engineers");
  EXPECT_EQ(admin.get(path("/groups/" + pushed)).body["name"], "Engineers~01234567");
}

TEST_F(PushedGroups, RoleMappingsFollowPushedGroups) {
  make_source("mapped", json::array({{{"group", "^ns-(?<ns>.+)-editors$"}, {"role", "Viewer"}, {"namespace", "${ns}"}}}));
  const auto bindings = [&](const std::string& group) { return admin.get(path("/bindings?principal=group:" + group)).body["items"]; };
  const auto group = push_group("ns-acme.team-editors");
  ASSERT_EQ(bindings(group).size(), 1u);
  EXPECT_EQ(bindings(group)[0]["namespace"], "acme.team");
  EXPECT_EQ(patch("/Groups/" + group, json::array({op("replace", "displayName", "others")})).status, 204);
  EXPECT_TRUE(bindings(group).empty());
  EXPECT_EQ(admin.patch(path("/sources/mapped"), {{"role_mappings", json::array({{{"group", "others"}, {"role", "Viewer"}}})}}).status,
            200);
  EXPECT_EQ(bindings(group).size(), 1u);
}

// S55
TEST_F(PushedGroups, ABurstOfRemovalsIsHeldUntilAPersonApproves) {
  std::vector<std::string> ids;
  for (int i = 0; i < 12; ++i) ids.push_back(push_user("user" + std::to_string(i)));
  for (int i = 0; i < 4; ++i) EXPECT_EQ(push("DELETE", "/Users/" + ids[static_cast<std::size_t>(i)]).status, 204);
  const auto held = push("DELETE", "/Users/" + ids[4]);
  ASSERT_EQ(held.status, 429) << held.text;
  EXPECT_EQ(held.header("retry-after"), "3600");
  EXPECT_EQ(patch("/Users/" + ids[5], json::array({op("replace", "active", false)})).status, 429);
  EXPECT_EQ(push("GET", "/Users/" + ids[4]).status, 200);
  push_user("additions-go-on");
  const auto shown = status();
  EXPECT_EQ(shown["state"], "held") << shown.dump();
  EXPECT_EQ(shown["held_run"]["reason"], "guard_users");
  EXPECT_EQ(shown["held_changes"].size(), 2u);
  const auto run = shown["held_run"]["id"].get<std::string>(), hash = shown["held_run"]["plan"]["hash"].get<std::string>();
  EXPECT_EQ(admin.post(path("/runs/" + run + "/approve"), {{"plan", "wrong"}}).status, 409);
  const auto approved = admin.post(path("/runs/" + run + "/approve"), {{"plan", hash}});
  EXPECT_EQ(approved.status, 202) << approved.text;
  EXPECT_EQ(status()["state"], "ok");
  EXPECT_EQ(push("DELETE", "/Users/" + ids[4]).status, 204);
  EXPECT_EQ(patch("/Users/" + ids[5], json::array({op("replace", "active", false)})).status, 200);
  EXPECT_EQ(push("DELETE", "/Users/" + ids[6]).status, 429) << "approved was what was shown, nothing else";
}

TEST_F(PushedGroups, HalfOfALargeGroupIsHeld) {
  std::vector<std::string> ids;
  for (int i = 0; i < 20; ++i) ids.push_back(push_user("user" + std::to_string(i)));
  const auto group = push_group("large", {{"members", list_of(ids)}});
  EXPECT_EQ(patch("/Groups/" + group, json::array({op("replace", "members", json::array())})).status, 429);
  EXPECT_EQ(members(group).size(), 20u);
  EXPECT_EQ(status()["held_run"]["reason"], "guard_group_half");
}

// S34, R89
TEST_F(PushedGroups, TheLastAdminIsNeverSuspended) {
  const auto ada = push_user("ada");
  for (int i = 0; i < 9; ++i) push_user("extra" + std::to_string(i));
  bind("Admin", "user:" + ada);
  const auto admins = admin.get(path("/bindings?role=Admin")).body["items"];
  for (const auto& one : admins)
    if (one["principal"] != "user:" + ada) {
      EXPECT_EQ(root.del(path("/bindings/" + one["id"].get<std::string>())).status, 204);
    }
  const auto answer = push("DELETE", "/Users/" + ada);
  EXPECT_EQ(answer.status, 409) << answer.text;
  EXPECT_NE(answer.body["detail"].get<std::string>().find("Admin"), std::string::npos);
  EXPECT_EQ(push("GET", "/Users/" + ada).status, 200);
  const auto seen = root.get(path("/status")).body["items"][0];
  EXPECT_EQ(seen["held_run"]["reason"], "last_admin") << seen.dump();
}

TEST_F(PushedGroups, PushesAreShownAsOneRunWithItsChanges) {
  EXPECT_EQ(status()["state"], "new");
  const auto ada = push_user("ada");
  const auto group = push_group("engineers", {{"members", list_of({ada})}});
  const auto runs = admin.get(path("/sources/" + source + "/runs")).body["items"];
  ASSERT_EQ(runs.size(), 1u);
  EXPECT_EQ(runs[0]["outcome"], "applied");
  EXPECT_EQ(runs[0]["trigger"], "push");
  const auto changes = admin.get(path("/runs/" + runs[0]["id"].get<std::string>() + "/changes")).body["items"];
  ASSERT_EQ(changes.size(), 3u);
  EXPECT_EQ(changes[0]["object"]["id"], ada);
  EXPECT_EQ(changes[2]["kind"], "edge_added");
  EXPECT_EQ(status()["state"], "ok");
  EXPECT_TRUE(status()["next_run"].is_null());
}

TEST_F(PushedGroups, APushingSourceIsNotReadAndSaysWhatItCan) {
  const auto sync = admin.post(path("/sources/" + source + "/sync"), json::object());
  EXPECT_EQ(sync.status, 409) << sync.text;
  EXPECT_EQ(sync.code(), "source_pushes");
  auto test = admin.post(path("/sources/" + source + "/test"), json::object());
  EXPECT_EQ(test.body["ok"], false) << test.text;
  push_user("ada");
  test = admin.post(path("/sources/" + source + "/test"), json::object());
  EXPECT_EQ(test.body["ok"], true) << test.text;
  EXPECT_FALSE(world.store->claim("t", Millis(1000), world.clock.now() + std::chrono::hours(24 * 300)).value());
}

TEST_F(PushedGroups, WhatIsDeletedIsPurgedAfterThirtyDays) {
  for (int i = 0; i < 9; ++i) push_user("extra" + std::to_string(i));
  const auto ada = push_user("ada", {{"externalId", "1"}});
  EXPECT_EQ(push("DELETE", "/Users/" + ada).status, 204);
  ASSERT_TRUE(world.store->sweep(world.clock.now() + std::chrono::hours(24 * 31)));
  EXPECT_EQ(admin.get(path("/users/" + ada)).status, 404);
  EXPECT_NE(push_user("ada", {{"externalId", "1"}}), ada);
}

TEST_F(Pushing, AUsersGroupsAreShownToWhoAsksForThem) {
  const auto ada = push_user("ada"), bob = push_user("bob");
  const auto group = push_group("engineers", {{"members", json::array({{{"value", ada}}})}});
  const auto user = push("GET", "/Users/" + ada + "?attributes=groups");
  ASSERT_EQ(user.status, 200) << user.text;
  EXPECT_EQ(user.body["groups"],
            json::array({{{"value", group}, {"display", "engineers"}, {"type", "direct"}, {"$ref", scim + "/Groups/" + group}}}));
  EXPECT_FALSE(push("GET", "/Users/" + ada).body.contains("groups"));
  const auto list = push("GET", "/Users?attributes=userName,groups&filter=" + encoded("userName eq \"bob\""));
  EXPECT_EQ(list.body["Resources"][0]["groups"], json::array());
  EXPECT_EQ(patch("/Users/" + bob, json::array({{{"op", "add"}, {"path", "groups"}, {"value", json::array({{{"value", group}}})}}}))
                .body["scimType"],
            "mutability");
}

}  // namespace
}  // namespace rosterd::test
