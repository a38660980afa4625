// What people and applications change in a tenant over the API (rbac.md §§3, 5, 6, 7, 12).
#include "tests/http/administration.hpp"

namespace rosterd::test {
namespace {

// ---- users ------------------------------------------------------------------------------------------------------------------------

// R91: local users are created and deleted by API; deleting one takes its bindings and edges.
TEST_F(Administration, ALocalUserIsMadeChangedAndDeletedWithAllItHad) {
  const auto answer = admin.post(path("/users"), {{"username", "Ada"}, {"email", "Ada@Example.org"}, {"first_name", "Ada"}});
  ASSERT_EQ(answer.status, 201) << answer.text;
  const std::string id = answer.body["id"];
  EXPECT_EQ(answer.header("location"), path("/users/" + id));
  EXPECT_EQ(answer.body["username"], "ada");
  EXPECT_EQ(answer.body["email"], "ada@example.org");
  EXPECT_EQ(answer.body["origin"], "local");
  EXPECT_FALSE(answer.header("rosterd-revision").empty());

  const auto staff = group("staff");
  join(staff, "user:" + id);
  bind("Viewer", "user:ada");
  EXPECT_TRUE(may("user:ada", "FLOW", "READ"));

  const auto changed = admin.patch(path("/users/ada"), {{"username", "ada.l"}, {"email", nullptr}, {"last_name", "Lovelace"}});
  ASSERT_EQ(changed.status, 200) << changed.text;
  EXPECT_EQ(changed.body["id"], id) << "a rename is no new person";
  EXPECT_TRUE(changed.body["email"].is_null());
  EXPECT_EQ(changed.body["first_name"], "Ada") << "what a patch does not name stays";
  EXPECT_TRUE(may("user:ada.l", "FLOW", "READ"));

  EXPECT_EQ(admin.del(path("/users/" + id)).status, 204);
  EXPECT_EQ(admin.get(path("/users/" + id)).status, 404);
  EXPECT_EQ(admin.get(path("/groups/" + staff)).body["member_count"], 0);
  EXPECT_TRUE(admin.get(path("/bindings?role=Viewer")).body["items"].empty());
  EXPECT_EQ(history(id), (std::vector<std::string>{"created", "changed", "deleted"}));
}

// R92: two local users cannot share a folded username; e-mails may coincide.
TEST_F(Administration, TwoLocalUsersCannotShareAUsername) {
  const auto ada = user("ada"), bob = user("bob");
  EXPECT_EQ(admin.post(path("/users"), {{"username", "ADA"}}).code(), "name_taken");
  const auto renamed = admin.patch(path("/users/" + bob), {{"username", "Ada"}});
  EXPECT_EQ(renamed.status, 409);
  EXPECT_EQ(renamed.code(), "name_taken");
  EXPECT_EQ(admin.patch(path("/users/" + bob), {{"email", "x@example.org"}}).status, 200);
  EXPECT_EQ(admin.patch(path("/users/" + ada), {{"email", "x@example.org"}}).status, 200);
  EXPECT_EQ(admin.get(path("/check?subject=user:x@example.org&permission=FLOW&action=READ")).body["reason"], "denied_ambiguous_subject");
}

// R8, R40: suspension denies at once and keeps the bindings; an administrator clears only his own mark.
TEST_F(Administration, SuspendingDeniesAtOnceAndResumingGivesEverythingBack) {
  const auto id = user("ada");
  bind("Viewer", "user:" + id);
  const auto suspended = admin.patch(path("/users/" + id), {{"state", "suspended"}});
  EXPECT_EQ(suspended.body["state"], "suspended");
  EXPECT_EQ(suspended.body["suspended_by"]["administrator"], true);
  EXPECT_EQ(admin.get(path("/check?subject=user:ada&permission=FLOW&action=READ")).body["reason"], "denied_user_suspended");
  EXPECT_EQ(admin.patch(path("/users/" + id), {{"state", "active"}}).body["state"], "active");
  EXPECT_TRUE(may("user:ada", "FLOW", "READ"));
  EXPECT_EQ(history(id), (std::vector<std::string>{"created", "suspended", "resumed"}));
  EXPECT_EQ(admin.patch(path("/users/" + id), {{"state", "gone"}}).status, 400);
}

// R20: what can be edited has an ETag and honours If-Match.
TEST_F(Administration, AChangeOfWhatSomebodyElseChangedMeanwhileIsRefused) {
  struct Case {
    std::string at;
    json patch, other;
  };
  const std::vector<Case> cases = {
      {path("/users/" + user("ada")), {{"first_name", "A"}}, {{"first_name", "B"}}},
      {path("/groups/" + group("staff")), {{"description", "A"}}, {{"description", "B"}}},
      {path("/roles/" + role("R", {{"FLOW", {"READ"}}})), {{"description", "A"}}, {{"description", "B"}}},
      {path("/service-accounts/" + made("service-accounts", {{"name", "ci"}})), {{"description", "A"}}, {{"description", "B"}}}};
  for (const auto& one : cases) {
    const auto read = admin.get(one.at);
    const auto seen = read.header("etag");
    ASSERT_FALSE(seen.empty()) << one.at;
    const auto first = admin.patch(one.at, one.patch, {{"If-Match", seen}});
    EXPECT_EQ(first.status, 200) << first.text;
    EXPECT_NE(first.header("etag"), seen);
    const auto second = admin.patch(one.at, one.other, {{"If-Match", seen}});
    EXPECT_EQ(second.status, 412) << one.at << second.text;
    EXPECT_EQ(second.code(), "stale_version");
    EXPECT_EQ(admin.del(one.at, {{"If-Match", seen}}).status, 412);
    EXPECT_EQ(admin.patch(one.at, one.other, {{"If-Match", "*"}}).status, 200);
    EXPECT_EQ(admin.del(one.at, {{"If-Match", admin.get(one.at).header("etag")}}).status, 204);
  }
}

// R5, R79: a link is made by who may, gives what the user holds, and is one to one.
TEST_F(Administration, AnAccountIsLinkedToOneUserAndAUserToOneAccount) {
  const auto ada = world.person("ada"), eve = world.person("eve");
  const auto first = user("one"), second = user("two");
  EXPECT_EQ(world.as(ada).get(at).status, 404) << "an account is nobody in a tenant it is not linked to";
  const auto linked = admin.put(path("/users/" + first + "/account"), {{"account", ada.email}});
  ASSERT_EQ(linked.status, 200) << linked.text;
  EXPECT_EQ(linked.body["account"], text(ada.account));
  outlast_caches();
  EXPECT_EQ(world.as(ada).get(at).status, 200);
  EXPECT_EQ(admin.put(path("/users/" + first + "/account"), {{"account", text(ada.account)}}).status, 200) << "again is as good as once";
  EXPECT_EQ(admin.put(path("/users/" + first + "/account"), {{"account", eve.email}}).code(), "already_linked");
  EXPECT_EQ(admin.put(path("/users/" + second + "/account"), {{"account", ada.email}}).code(), "already_linked");
  EXPECT_EQ(admin.put(path("/users/" + second + "/account"), {{"account", "nobody@example.org"}}).code(), "unknown_account");
  EXPECT_EQ(admin.get(path("/users/" + first + "/account")).body["email"], ada.email);
  EXPECT_EQ(admin.del(path("/users/" + first + "/account")).status, 204);
  EXPECT_EQ(admin.get(path("/users/" + first + "/account")).status, 404);
  outlast_caches();
  EXPECT_EQ(world.as(ada).get(at).status, 404);

  bind("Developer", "user:" + second);
  const auto refused = manager().put(path("/users/" + second + "/account"), {{"account", eve.email}});
  EXPECT_EQ(refused.status, 403) << refused.text;
  EXPECT_EQ(refused.code(), "escalation");
}

// R47: what a source owns is not edited here.
TEST_F(Administration, PeopleAndGroupsOfASourceAreNotEditedButSuspendedAndBound) {
  const auto ada = user("ada"), staff = group("staff");
  // As if a source had brought them: where they come from is all that matters here.
  sql(
      fmt::format("UPDATE rosterd.tenant_user SET source_id = 77, external_id = 'x' WHERE username = 'ada' AND tenant_id = "
                  "(SELECT tenant_id FROM rosterd.tenant WHERE id = '{}')",
                  tenant));
  sql(
      fmt::format("UPDATE rosterd.tenant_group SET source_id = 77, external_id = 'x' WHERE name = 'staff' AND tenant_id = "
                  "(SELECT tenant_id FROM rosterd.tenant WHERE id = '{}')",
                  tenant));
  for (const auto& refused : {admin.patch(path("/users/" + ada), {{"first_name", "X"}}), admin.del(path("/users/" + ada)),
                              admin.patch(path("/groups/" + staff), {{"name", "X"}}), admin.del(path("/groups/" + staff))}) {
    EXPECT_EQ(refused.status, 409) << refused.text;
    EXPECT_EQ(refused.code(), "owned_by_source");
  }
  EXPECT_EQ(admin.patch(path("/users/" + ada), {{"state", "suspended"}}).status, 200);
  EXPECT_EQ(admin.patch(path("/users/" + ada), {{"state", "active"}}).status, 200);
  join(staff, "user:" + ada);
  bind("Viewer", "group:" + staff);
  EXPECT_TRUE(may("user:" + ada, "FLOW", "READ"));
}

// ---- groups -----------------------------------------------------------------------------------------------------------------------

// R43, R48, R50: names are unique ignoring case; deleting a group takes the rights it gave and leaves its members.
TEST_F(Administration, DeletingAGroupTakesTheRightsItGaveAndLeavesItsMembers) {
  const auto ada = user("ada"), staff = group("Staff");
  EXPECT_EQ(admin.post(path("/groups"), {{"name", "STAFF"}}).code(), "name_taken");
  join(staff, "user:" + ada);
  bind("Viewer", "group:Staff");
  EXPECT_TRUE(may("user:ada", "FLOW", "READ"));
  EXPECT_EQ(admin.del(path("/groups/staff")).status, 204);
  EXPECT_FALSE(may("user:ada", "FLOW", "READ"));
  EXPECT_EQ(admin.get(path("/users/" + ada)).status, 200);
  EXPECT_TRUE(admin.get(path("/bindings?role=Viewer")).body["items"].empty());
}

// R49: there are no group owners: who makes a group has no say in it without GROUP_MEMBERSHIP.
TEST_F(Administration, WhoMakesAGroupDoesNotOwnIt) {
  user("ada");
  const auto maker = holder("maker", {{"GROUP", {"CREATE", "READ"}}});
  ASSERT_EQ(maker.post(path("/groups"), {{"name", "mine"}}).status, 201);
  EXPECT_EQ(maker.put(path("/groups/mine/members/user:ada"), json::object()).status, 403);
  EXPECT_EQ(maker.get(path("/groups/mine/members")).status, 403);
}

// R41, R42: users, service accounts and groups are members; a group is never its own.
TEST_F(Administration, MembersAreUsersGroupsAndServiceAccounts) {
  const auto ada = user("ada"), inner = group("inner"), outer = group("outer");
  const auto ci = made("service-accounts", {{"name", "ci"}});
  join(inner, "user:ada");
  join(inner, "service_account:ci");
  join(outer, "group:inner");
  bind("Viewer", "group:outer");
  EXPECT_TRUE(may("user:ada", "FLOW", "READ"));
  EXPECT_TRUE(may("service_account:ci", "FLOW", "READ"));
  const auto itself = admin.put(path("/groups/inner/members/group:inner"), json::object());
  EXPECT_EQ(itself.status, 422);
  EXPECT_EQ(admin.put(path("/groups/inner/members/user:nobody"), json::object()).code(), "unknown_principal");
  EXPECT_EQ(admin.put(path("/groups/inner/members/ada"), json::object()).code(), "unknown_principal");
  join(inner, "group:outer");  // a cycle ends by itself
  EXPECT_TRUE(may("user:ada", "FLOW", "READ"));
  std::set<std::string> types;
  const auto members = admin.get(path("/groups/inner/members"));
  for (const auto& member : members.body["items"]) types.insert(member["type"]);
  EXPECT_EQ(types, (std::set<std::string>{"user", "group", "service_account"}));
}

// R46: one membership at a time is idempotent; the whole list needs If-Match.
TEST_F(Administration, AWholeMemberListNeedsTheVersionItReplaces) {
  const auto ada = user("ada"), bob = user("bob"), eve = user("eve"), staff = group("staff");
  const auto members = path("/groups/staff/members");
  EXPECT_EQ(admin.put(members + "/user:ada", json::object()).status, 201);
  EXPECT_EQ(admin.put(members + "/user:ada", json::object()).status, 200);
  const json list = {{"members", {"user:bob", "user:" + eve}}};
  EXPECT_EQ(admin.put(members, list).status, 428);
  EXPECT_EQ(admin.put(members, list).code(), "if_match_required");
  const auto seen = admin.get(members).header("etag");
  join(staff, "user:bob");
  EXPECT_EQ(admin.put(members, list, {{"If-Match", seen}}).status, 412);
  const auto fresh = admin.get(members).header("etag");
  const auto done = admin.put(members, list, {{"If-Match", fresh}});
  EXPECT_EQ(done.status, 204) << done.text;
  std::set<std::string> now;
  const auto read = admin.get(members);
  for (const auto& member : read.body["items"]) now.insert(member["id"]);
  EXPECT_EQ(now, (std::set<std::string>{bob, eve}));
  EXPECT_EQ(done.header("etag"), read.header("etag"));
  EXPECT_EQ(admin.del(members + "/user:bob").status, 204);
  EXPECT_EQ(admin.del(members + "/user:bob").status, 204);
  EXPECT_EQ(admin.put(members, {{"members", {1}}}, {{"If-Match", "*"}}).status, 400);
  EXPECT_EQ(admin.put(members, {{"members", {"user:nobody"}}}, {{"If-Match", "*"}}).code(), "unknown_principal");
}

// R45: ReplacingAMemberListKeepsMembershipsOfOthers.
TEST_F(Administration, ReplacingAMemberListKeepsMembershipsOfOthers) {
  const auto ada = user("ada"), bob = user("bob"), staff = group("staff");
  join(staff, "user:ada");
  sql(fmt::format("UPDATE rosterd.membership SET source_id = 77 WHERE tenant_id = (SELECT tenant_id FROM rosterd.tenant WHERE id = '{}')",
                  tenant));
  const auto members = path("/groups/staff/members");
  EXPECT_EQ(admin.put(members, {{"members", {"user:bob"}}}, {{"If-Match", admin.get(members).header("etag")}}).status, 204);
  EXPECT_EQ(admin.get(path("/groups/staff")).body["member_count"], 2);
  const auto refused = admin.del(members + "/user:ada");
  EXPECT_EQ(refused.code(), "owned_by_source");
}

// ---- service accounts ---------------------------------------------------------------------------------------------------------------

// R51: a service account's name, and what it can never be.
TEST_F(Administration, AServiceAccountHasAPlainNameThatIsUniqueInItsTenant) {
  made("service-accounts", {{"name", "ci-runner2"}});
  EXPECT_EQ(admin.post(path("/service-accounts"), {{"name", "ci-runner2"}}).code(), "name_taken");
  for (const auto* bad : {"CI", "-ci", "ci-", "c--i", "ci_runner", "c.i"})
    EXPECT_EQ(admin.post(path("/service-accounts"), {{"name", bad}}).status, 400) << bad;
}

// R52, R56: a token acts as its owner, with the owner's rights at that moment, and is shown once.
TEST_F(Administration, ATokenOfAServiceAccountActsAsItInItsTenantAlone) {
  const auto ci = made("service-accounts", {{"name", "ci"}});
  const auto token = admin.post(path("/service-accounts/ci/tokens"), {{"name", "deploy"}, {"description", "for deployments"}});
  ASSERT_EQ(token.status, 201) << token.text;
  const auto app = world.as(token.body["token"].get<std::string>());
  EXPECT_EQ(app.get(at).status, 200) << "it has standing in its tenant";
  EXPECT_EQ(app.get("/v1/tenants/" + world.tenant()).status, 404) << "and in no other";
  EXPECT_EQ(app.get(path("/users")).status, 403);
  EXPECT_EQ(app.get("/v1/me").body["service_account"]["id"], ci);
  EXPECT_EQ(app.get("/v1/me/tokens").status, 403);
  EXPECT_EQ(app.get("/v1/tenants").body["items"].size(), 1u);
  const auto self = app.get(path("/check?subject=service_account:ci&permission=FLOW&action=READ"));
  EXPECT_EQ(self.status, 200) << "about oneself one may always ask";
  EXPECT_EQ(self.body["allowed"], false);
  role("reader", {{"USER", {"READ"}}});
  const auto binding = bind("reader", "service_account:ci");
  EXPECT_EQ(app.get(path("/users")).status, 200);
  EXPECT_EQ(admin.del(path("/bindings/" + binding)).status, 204);
  EXPECT_EQ(app.get(path("/users")).status, 403);

  const auto listed = admin.get(path("/service-accounts/ci/tokens"));
  ASSERT_EQ(listed.body["items"].size(), 1u);
  EXPECT_FALSE(listed.body["items"][0].contains("token"));
  EXPECT_EQ(listed.body["items"][0]["description"], "for deployments");
  EXPECT_FALSE(listed.body["items"][0]["last_used_at"].is_null());
}

// R58: revoked, owner disabled, owner gone, tenant disabled: 401 at once.
TEST_F(Administration, ATokenEndsWithItsRevocationItsOwnerAndItsTenant) {
  const auto fresh = [&](const std::string& name) {
    made("service-accounts", {{"name", name}});
    const auto token = admin.post(path("/service-accounts/" + name + "/tokens"), {{"name", "t"}});
    EXPECT_EQ(token.status, 201) << token.text;
    return token;
  };
  const auto one = fresh("one");
  const auto app = world.as(one.body["token"].get<std::string>());
  EXPECT_EQ(app.get("/v1/me").status, 200);
  EXPECT_EQ(admin.del(path("/service-accounts/one/tokens/" + one.body["id"].get<std::string>())).status, 204);
  EXPECT_EQ(app.get("/v1/me").status, 401);
  EXPECT_EQ(admin.del(path("/service-accounts/one/tokens/" + one.body["id"].get<std::string>())).status, 404);

  const auto two = world.as(fresh("two").body["token"].get<std::string>());
  EXPECT_EQ(two.get("/v1/me").status, 200);
  EXPECT_EQ(admin.patch(path("/service-accounts/two"), {{"enabled", false}}).status, 200);
  EXPECT_EQ(two.get("/v1/me").status, 401);
  EXPECT_EQ(admin.get(path("/check?subject=service_account:two&permission=FLOW&action=READ")).body["reason"],
            "denied_service_account_disabled");
  EXPECT_EQ(admin.patch(path("/service-accounts/two"), {{"enabled", true}}).status, 200);
  EXPECT_EQ(two.get("/v1/me").status, 200);
  EXPECT_EQ(root.patch(at, {{"enabled", false}}).status, 200);
  outlast_caches();
  EXPECT_EQ(two.get("/v1/me").status, 401);
  EXPECT_EQ(root.patch(at, {{"enabled", true}}).status, 200);
  outlast_caches();
  EXPECT_EQ(two.get("/v1/me").status, 200);
  EXPECT_EQ(admin.del(path("/service-accounts/two")).status, 204);
  EXPECT_EQ(two.get("/v1/me").status, 401);
  EXPECT_EQ(sql(fmt::format("SELECT count(*) FROM rosterd.token_home WHERE home = (SELECT tenant_id FROM rosterd.tenant WHERE id = '{}')",
                            tenant)),
            "1")
      << "of the two owners only the one that is left has a token on the list";
}

// R57: a sliding token lives on from its last use; any other ends at its age.
TEST_F(Administration, ASlidingTokenLivesOnFromItsLastUse) {
  made("service-accounts", {{"name", "ci"}});
  const auto make = [&](const json& body) { return admin.post(path("/service-accounts/ci/tokens"), body); };
  EXPECT_EQ(make({{"name", "x"}, {"sliding", true}}).status, 400) << "nothing to start anew";
  const auto sliding = make({{"name", "x"}, {"sliding", true}, {"max_age", "P30D"}});
  ASSERT_EQ(sliding.status, 201) << sliding.text;
  EXPECT_EQ(sliding.body["sliding"], true);
  const std::string before = sliding.body["expires_at"];
  sql("UPDATE rosterd.service_account_token SET expires_at = now() + interval '1 hour', last_used_at = now() - interval '2 minutes' WHERE "
      "sliding");
  EXPECT_EQ(world.as(sliding.body["token"].get<std::string>()).get("/v1/me").status, 200);
  const std::string after = admin.get(path("/service-accounts/ci/tokens")).body["items"][0]["expires_at"];
  EXPECT_GE(after, before);
}

// ---- roles --------------------------------------------------------------------------------------------------------------------------

// R18, R19: names are unique ignoring case; unknown pairs are all named and nothing is stored.
TEST_F(Administration, ARoleIsRefusedWithAllThatIsWrongWithIt) {
  role("Reader", {{"FLOW", {"READ"}}});
  EXPECT_EQ(admin.post(path("/roles"), {{"name", "READER"}, {"permissions", {{"FLOW", {"READ"}}}}}).code(), "name_taken");
  const auto unknown = admin.post(path("/roles"), {{"name", "X"}, {"permissions", {{"FLOWS", {"READ"}}, {"FLOW", {"READ", "VIEW"}}}}});
  EXPECT_EQ(unknown.status, 422);
  EXPECT_TRUE(unknown.code() == "unknown_permission" || unknown.code() == "unknown_action") << unknown.text;
  EXPECT_NE(unknown.text.find("FLOWS"), std::string::npos);
  EXPECT_NE(unknown.text.find("VIEW"), std::string::npos);
  EXPECT_EQ(admin.get(path("/roles/X")).status, 404);
  EXPECT_EQ(admin.post(path("/roles"), {{"name", "Y"}, {"permissions", json::object()}}).status, 400) << "at least one pair";
  EXPECT_EQ(admin.post(path("/roles"), {{"name", "Y"}}).status, 400);
  EXPECT_EQ(admin.post(path("/roles"), {{"name", "Y\u0007"}, {"permissions", {{"FLOW", {"READ"}}}}}).status, 400);
}

// R20: PUT replaces the whole content, PATCH the named parts.
TEST_F(Administration, PutReplacesARoleAndPatchMergesIt) {
  const auto id = role("R", {{"FLOW", {"READ"}}, {"SECRET", {"READ"}}});
  const auto patched = admin.patch(path("/roles/" + id), {{"permissions", {{"FLOW", {"READ", "CREATE"}}, {"SECRET", nullptr}}}});
  ASSERT_EQ(patched.status, 200) << patched.text;
  EXPECT_EQ(patched.body["permissions"], (json{{"FLOW", {"CREATE", "READ"}}}));
  EXPECT_EQ(patched.body["name"], "R");
  const auto put = admin.put(path("/roles/" + id), {{"name", "S"}, {"permissions", {{"APP", {"READ"}}}}});
  ASSERT_EQ(put.status, 200) << put.text;
  EXPECT_EQ(put.body["name"], "S");
  EXPECT_EQ(put.body["permissions"], (json{{"APP", {"READ"}}}));
  EXPECT_EQ(admin.patch(path("/roles/" + id), {{"permissions", {{"APP", nullptr}}}}).status, 400) << "nothing would be left";
}

// R21: managed roles are read-only and undeletable.
TEST_F(Administration, AManagedRoleIsToBeCopiedNotChanged) {
  for (const auto& refused : {admin.patch(path("/roles/Viewer"), {{"description", "x"}}), admin.del(path("/roles/Admin")),
                              admin.put(path("/roles/Editor"), {{"name", "Editor"}, {"permissions", {{"FLOW", {"READ"}}}}})}) {
    EXPECT_EQ(refused.status, 409) << refused.text;
    EXPECT_EQ(refused.code(), "managed_role");
    EXPECT_NE(refused.text.find("copy"), std::string::npos);
  }
}

// R24: a bound role is deleted only by force, and its bindings go with it.
TEST_F(Administration, ABoundRoleIsDeletedOnlyByForce) {
  user("ada");
  const auto id = role("R", {{"FLOW", {"READ"}}});
  bind("R", "user:ada");
  bind("R", "user:ada", "a.b");
  const auto refused = admin.del(path("/roles/R"));
  EXPECT_EQ(refused.status, 409);
  EXPECT_EQ(refused.code(), "role_in_use");
  EXPECT_NE(refused.text.find('2'), std::string::npos) << "it says how many";
  EXPECT_EQ(admin.del(path("/roles/R?force=true")).status, 204);
  EXPECT_FALSE(may("user:ada", "FLOW", "READ"));
  EXPECT_EQ(history(id), (std::vector<std::string>{"created", "deleted"}));
}

// R17: a role alone grants nothing.
TEST_F(Administration, ARoleWithoutABindingGrantsNothing) {
  user("ada");
  role("R", {{"FLOW", {"READ"}}});
  EXPECT_FALSE(may("user:ada", "FLOW", "READ"));
}

// ---- bindings -----------------------------------------------------------------------------------------------------------------------

// R32, R27: the shape of a binding, and all that is wrong with one.
TEST_F(Administration, ABindingNamesThingsOfItsTenantOrIsRefused) {
  user("ada");
  const auto refused = [&](const json& body) { return admin.post(path("/bindings"), body); };
  EXPECT_EQ(refused({{"role", "Nothing"}, {"principal", "user:ada"}}).code(), "unknown_role");
  EXPECT_EQ(refused({{"role", "Viewer"}, {"principal", "user:bob"}}).code(), "unknown_principal");
  EXPECT_EQ(refused({{"role", "Viewer"}, {"principal", "robot:ada"}}).code(), "unknown_principal");
  for (const auto* ns : {"", "A", "a..b", ".a", "a.", "a b"})
    EXPECT_EQ(refused({{"role", "Viewer"}, {"principal", "user:ada"}, {"namespace", ns}}).code(), "invalid_namespace") << ns;
  EXPECT_EQ(refused({{"role", "Viewer"}, {"principal", "user:ada"}, {"expires_at", "2020-01-01T00:00:00Z"}}).code(), "expires_in_past");
  EXPECT_EQ(refused({{"role", "Viewer"}, {"principal", "user:ada"}, {"expires_at", "soon"}}).status, 400);
  EXPECT_EQ(refused({{"role", "Viewer"}, {"principal", "user:ada"}, {"until", "x"}}).status, 400);
  const auto other = world.tenant(&boss);
  const auto stranger = world.as(boss).post("/v1/tenants/" + other + "/users", {{"username", "zoe"}});
  EXPECT_EQ(refused({{"role", "Viewer"}, {"principal", "user:" + stranger.body["id"].get<std::string>()}}).code(), "unknown_principal");
  EXPECT_TRUE(admin.get(path("/bindings?role=Viewer")).body["items"].empty());
}

// R35: a second one is 409 with the id of the first; an expired one does not stand in the way.
TEST_F(Administration, ASecondBindingOfTheSameKindNamesTheFirst) {
  user("ada");
  const auto first = bind("Viewer", "user:ada", "a.b");
  const auto again = admin.post(path("/bindings"), {{"role", "viewer"}, {"principal", "user:ADA"}, {"namespace", "a.b"}});
  EXPECT_EQ(again.status, 409);
  EXPECT_EQ(again.code(), "binding_exists");
  EXPECT_NE(again.text.find(first), std::string::npos);
  EXPECT_EQ(admin.post(path("/bindings"), {{"role", "Viewer"}, {"principal", "user:ada"}}).status, 201)
      << "another namespace, another binding";
  sql("UPDATE rosterd.binding SET expires_at = now() - interval '1 second' WHERE ns = 'a.b'");
  const auto listed = admin.get(path("/bindings?principal=user:ada&namespace=a.b"));
  EXPECT_EQ(listed.body["items"][0]["state"], "expired");
  EXPECT_EQ(admin.post(path("/bindings"), {{"role", "Viewer"}, {"principal", "user:ada"}, {"namespace", "a.b"}}).status, 201);
}

// R32: many at once, all or none.
TEST_F(Administration, ManyBindingsAreMadeAllOrNone) {
  user("ada");
  group("staff");
  const json good = {{"role", "Viewer"}, {"principal", "user:ada"}},
             other = {{"role", "Editor"}, {"principal", "group:staff"}, {"namespace", "x"}};
  const auto refused = admin.post(path("/bindings"), {{"bindings", {good, {{"role", "Viewer"}, {"principal", "user:bob"}}}}});
  EXPECT_EQ(refused.status, 422);
  EXPECT_NE(refused.text.find("bindings[1]"), std::string::npos) << refused.text;
  EXPECT_TRUE(admin.get(path("/bindings?role=Viewer")).body["items"].empty());
  EXPECT_EQ(admin.post(path("/bindings"), {{"bindings", {good, good}}}).code(), "binding_exists");
  const auto made_all = admin.post(path("/bindings"), {{"bindings", {good, other}}});
  ASSERT_EQ(made_all.status, 201) << made_all.text;
  EXPECT_EQ(made_all.body["bindings"].size(), 2u);
  EXPECT_EQ(made_all.body["bindings"][1]["principal_name"], "staff");
  EXPECT_EQ(admin.post(path("/bindings"), {{"bindings", json::array()}}).status, 400);
}

// R39: bindings are immutable.
TEST_F(Administration, ABindingIsNeverChanged) {
  user("ada");
  const auto id = bind("Viewer", "user:ada");
  for (const auto& refused :
       {admin.put(path("/bindings/" + id), {{"role", "Editor"}}), admin.patch(path("/bindings/" + id), {{"role", "Editor"}})}) {
    EXPECT_EQ(refused.status, 405);
    EXPECT_EQ(refused.code(), "binding_immutable");
    EXPECT_NE(refused.text.find("delete it"), std::string::npos);
  }
  EXPECT_EQ(admin.get(path("/bindings/" + id)).body["role_name"], "Viewer");
  EXPECT_EQ(admin.del(path("/bindings/" + id)).status, 204);
  EXPECT_EQ(admin.get(path("/bindings/" + id)).status, 404);
}

// R36: local and source-owned twins live side by side.
TEST_F(Administration, ABindingOfASourceIsNotDeletedByTheApi) {
  user("ada");
  const auto id = bind("Viewer", "user:ada");
  sql(
      fmt::format("UPDATE rosterd.binding SET source_id = 77 WHERE ns IS NULL AND principal_type = 1 AND role_id IN (SELECT role_id FROM "
                  "rosterd.role WHERE name = 'Viewer' AND tenant_id = (SELECT tenant_id FROM rosterd.tenant WHERE id = '{}'))",
                  tenant));
  EXPECT_EQ(admin.del(path("/bindings/" + id)).code(), "owned_by_source");
  const auto twin = bind("Viewer", "user:ada");
  EXPECT_EQ(admin.get(path("/bindings?principal=user:ada")).body["items"].size(), 2u);
  EXPECT_EQ(admin.del(path("/bindings/" + twin)).status, 204);
  EXPECT_TRUE(may("user:ada", "FLOW", "READ")) << "the end of one leaves the other";
}

// A change waits for the snapshot that has it, and not for ever: it is committed, and saying so late or never would only have it tried
// again.
TEST(OwnWrites, AreAnsweredThoughTheirSnapshotDoesNotCome) {
  World world;
  world.set_up();
  const auto tenant = world.tenant();
  world.control->asleep = true;
  const auto begun = std::chrono::steady_clock::now();
  const auto made = world.root().post("/v1/tenants/" + tenant + "/users", {{"username", "ada"}});
  const auto took = std::chrono::steady_clock::now() - begun;
  EXPECT_EQ(made.status, 201) << made.text;
  EXPECT_FALSE(made.header("rosterd-revision").empty()) << "with it a check can be made certain";
  EXPECT_GE(took, std::chrono::milliseconds(250)) << "as long as a usual update takes, and much more";
  EXPECT_LT(took, std::chrono::seconds(15));
  const auto check = "/v1/tenants/" + tenant + "/check?subject=user%3Aada&permission=FLOW&action=READ";
  EXPECT_EQ(world.root().get(check).body["reason"], "denied_unknown_subject") << "the old snapshot still answers";
  EXPECT_EQ(world.root().get(check, {{"Rosterd-Min-Revision", made.header("rosterd-revision")}}).code(), "not_yet_at_revision");
  world.control->asleep = false;
  const auto next = world.root().post("/v1/tenants/" + tenant + "/users", {{"username", "bob"}});
  EXPECT_EQ(next.status, 201);
  EXPECT_NE(world.root().get(check).body["reason"], "denied_unknown_subject");
}

}  // namespace
}  // namespace rosterd::test
