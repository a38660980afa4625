// What nobody may give away, the last Admin, and the walls around a tenant (rbac.md §§1, 10, 11).
#include <thread>

#include "tests/http/administration.hpp"

namespace rosterd::test {
namespace {

// ---- escalation ---------------------------------------------------------------------------------------------------------------------

// R75, R76: nobody binds what he does not hold in that scope or a wider one.
TEST_F(Administration, NobodyBindsWhatHeDoesNotHold) {
  user("ada");
  role("writer", {{"FLOW", {"CREATE"}}});
  role("reader", {{"FLOW", {"READ"}}});
  const auto boss_of_iam = manager();
  const auto refused = boss_of_iam.post(path("/bindings"), {{"role", "writer"}, {"principal", "user:ada"}, {"namespace", "a.b"}});
  EXPECT_EQ(refused.status, 403) << refused.text;
  EXPECT_EQ(refused.code(), "escalation");
  EXPECT_NE(refused.text.find("FLOW CREATE in a.b"), std::string::npos) << "it names what is missing, and where";
  EXPECT_EQ(boss_of_iam.post(path("/bindings"), {{"role", "reader"}, {"principal", "user:ada"}}).status, 201);
  EXPECT_EQ(root.post(path("/bindings"), {{"role", "writer"}, {"principal", "user:ada"}}).status, 201) << "super admins are exempt";
  const auto noted = sql(fmt::format("SELECT count(*) FROM rosterd.audit WHERE tenant = '{}' AND action = 'escalation_refused'", tenant));
  EXPECT_EQ(noted, "1") << "R107";

  // Held below a namespace counts below it, and nowhere else.
  const auto local = holder("local", {{"BINDING", {"CREATE"}}});
  bind("writer", "user:" + last_holder, "team.x");
  EXPECT_EQ(local.post(path("/bindings"), {{"role", "writer"}, {"principal", "group:" + group("g")}, {"namespace", "team.x.y"}}).status,
            201);
  EXPECT_EQ(local.post(path("/bindings"), {{"role", "writer"}, {"principal", "group:g"}, {"namespace", "team"}}).code(), "escalation");
}

// R80: Admin is given only by who has Admin.
TEST_F(Administration, AdminIsGivenOnlyByWhoHasIt) {
  user("ada");
  EXPECT_EQ(manager().post(path("/bindings"), {{"role", "Admin"}, {"principal", "user:ada"}, {"namespace", "a"}}).code(), "escalation");
  EXPECT_EQ(admin.post(path("/bindings"), {{"role", "Admin"}, {"principal", "user:ada"}, {"namespace", "a"}}).status, 201);
}

// R77: a role edit is judged by the pairs it adds, wherever the role is bound.
TEST_F(Administration, ARoleIsWidenedOnlyByWhoHoldsWhatComesIn) {
  user("ada");
  const auto id = role("R", {{"FLOW", {"READ", "DELETE"}}});
  bind("R", "user:ada", "a");
  const auto iam = manager();
  EXPECT_EQ(iam.patch(path("/roles/" + id), {{"permissions", {{"SECRET", {"READ"}}}}}).code(), "escalation");
  EXPECT_EQ(iam.patch(path("/roles/" + id), {{"description", "fine"}}).status, 200) << "nothing comes in";
  EXPECT_EQ(iam.patch(path("/roles/" + id), {{"permissions", {{"FLOW", {"READ"}}}}}).status, 200) << "taking away needs no holding";
  EXPECT_EQ(iam.post(path("/roles"), {{"name", "New"}, {"permissions", {{"SECRET", {"READ"}}}}}).code(), "escalation");
  EXPECT_EQ(iam.post(path("/roles"), {{"name", "New"}, {"permissions", {{"FLOW", {"READ"}}}}}).status, 201);
}

// R78: adding a member gives everything the group gives, through the groups above it too.
TEST_F(Administration, NobodyAddsToAGroupThatGivesMoreThanHeHolds) {
  user("ada");
  const auto inner = group("inner"), outer = group("outer");
  join(outer, "group:inner");
  bind("Developer", "group:outer");
  const auto iam = manager();
  EXPECT_EQ(iam.put(path("/groups/inner/members/user:ada"), json::object()).code(), "escalation");
  EXPECT_EQ(iam.put(path("/groups/inner/members"), {{"members", {"user:ada"}}}, {{"If-Match", "*"}}).code(), "escalation");
  EXPECT_EQ(admin.get(path("/groups/inner")).body["member_count"], 0) << "what is refused leaves nothing";
  const auto plain = group("plain");
  EXPECT_EQ(iam.put(path("/groups/plain/members/user:ada"), json::object()).status, 201);
  EXPECT_EQ(iam.put(path("/groups/outer/members/group:plain"), json::object()).code(), "escalation");
}

// R79: a token of a service account is worth what the service account holds.
TEST_F(Administration, NobodyMakesATokenOfAnApplicationThatHoldsMoreThanHe) {
  made("service-accounts", {{"name", "strong"}});
  made("service-accounts", {{"name", "weak"}});
  bind("Developer", "service_account:strong");
  const auto iam = manager();
  EXPECT_EQ(iam.post(path("/service-accounts/strong/tokens"), {{"name", "t"}}).code(), "escalation");
  EXPECT_EQ(iam.post(path("/service-accounts/weak/tokens"), {{"name", "t"}}).status, 201);
}

// R75-R79: what the change itself would give its author is not held yet, whichever change it is.
TEST_F(Administration, NobodyGivesHimselfWhatOnlyTheChangeItselfWouldGiveHim) {
  group("admins");
  bind("Admin", "group:admins");
  made("service-accounts", {{"name", "strong"}});
  bind("Admin", "service_account:strong");
  const auto own = role("own", {{"FLOW", {"READ"}}});
  const auto iam = manager();
  const auto me = "user:" + last_holder;
  bind("own", me);
  const json admin_for_me{{"role", "Admin"}, {"principal", me}};
  const json own_for_me{{"role", "own"}, {"principal", me}, {"namespace", "a"}};
  EXPECT_EQ(iam.post(path("/bindings"), admin_for_me).code(), "escalation");
  EXPECT_EQ(iam.post(path("/bindings"), {{"bindings", {own_for_me, admin_for_me}}}).code(), "escalation") << "all or nothing";
  EXPECT_EQ(iam.put(path("/groups/admins/members/" + me), json::object()).code(), "escalation");
  EXPECT_EQ(iam.put(path("/groups/admins/members"), {{"members", {me}}}, {{"If-Match", "*"}}).code(), "escalation");
  const auto plain = group("plain");
  EXPECT_EQ(iam.put(path("/groups/plain/members/" + me), json::object()).status, 201);
  EXPECT_EQ(iam.put(path("/groups/admins/members/group:plain"), json::object()).code(), "escalation");
  EXPECT_EQ(iam.post(path("/bindings"), {{"role", "Admin"}, {"principal", "group:plain"}}).code(), "escalation");
  EXPECT_EQ(iam.patch(path("/roles/" + own), {{"permissions", {{"FLOW", {"READ", "DELETE"}}}}}).code(), "escalation");
  EXPECT_EQ(iam.post(path("/service-accounts/strong/tokens"), {{"name", "t"}}).code(), "escalation");
  EXPECT_EQ(iam.post(path("/bindings"), {{"role", "Editor"}, {"principal", "service_account:strong"}}).code(), "escalation");
  EXPECT_EQ(iam.get(path("/"
                         "users/" +
                         last_holder + "/effective"))
                .text.find("\"Admin\""),
            std::string::npos);
}

// R82: a service account is judged like a person; a suspended author holds nothing.
TEST_F(Administration, AnApplicationGrantsOnlyWhatItHolds) {
  user("ada");
  made("service-accounts", {{"name", "ci"}});
  role("binder", {{"BINDING", {"CREATE"}}, {"FLOW", {"READ"}}});
  role("reader", {{"FLOW", {"READ"}}});
  bind("binder", "service_account:ci");
  const auto app = world.as(admin.post(path("/service-accounts/ci/tokens"), {{"name", "t"}}).body["token"].get<std::string>());
  EXPECT_EQ(app.post(path("/bindings"), {{"role", "reader"}, {"principal", "user:ada"}}).status, 201);
  EXPECT_EQ(app.post(path("/bindings"), {{"role", "Editor"}, {"principal", "user:ada"}}).code(), "escalation");
  const auto by = admin.get(path("/bindings?role=reader")).body["items"][0]["created_by"].get<std::string>();
  EXPECT_TRUE(by.starts_with("sva_")) << by;
}

// ---- the last Admin -------------------------------------------------------------------------------------------------------------------

// R89: no change by API empties the set of Admins; only a super admin may force it.
TEST_F(Administration, TheLastAdminStaysUnlessASuperAdminForcesIt) {
  const auto mine = admin.get(path("/bindings?role=Admin")).body["items"];
  ASSERT_EQ(mine.size(), 1u);
  const std::string binding = mine[0]["id"], who = mine[0]["principal"].get<std::string>().substr(5);
  for (const auto& refused : {admin.del(path("/bindings/" + binding)), admin.patch(path("/users/" + who), {{"state", "suspended"}}),
                              admin.del(path("/users/" + who))}) {
    EXPECT_EQ(refused.status, 409) << refused.text;
    EXPECT_EQ(refused.code(), "last_admin");
  }
  EXPECT_EQ(admin.del(path("/bindings/" + binding + "?force=true")).status, 403) << "an Admin is no super admin";

  // Through a group, it is the membership that must stay.
  const auto staff = group("admins");
  join(staff, "user:" + who);
  const auto through = bind("Admin", "group:admins");
  EXPECT_EQ(admin.del(path("/bindings/" + binding)).status, 204) << "another way to Admin is left";
  EXPECT_EQ(admin.del(path("/groups/admins/members/user:" + who)).code(), "last_admin");
  EXPECT_EQ(admin.put(path("/groups/admins/members"), {{"members", json::array()}}, {{"If-Match", "*"}}).code(), "last_admin");
  EXPECT_EQ(admin.del(path("/groups/admins")).code(), "last_admin");
  EXPECT_EQ(root.del(path("/groups/admins?force=true")).status, 204);
  EXPECT_EQ(history(tenant).back(), "forced") << "R107: that force was used";
}

// R89: a service account counts; an expiring or namespace-limited binding does not.
TEST_F(Administration, AnApplicationCanBeTheLastAdminButNoPassingOneCan) {
  const auto mine = admin.get(path("/bindings?role=Admin")).body["items"];
  const std::string binding = mine[0]["id"];
  user("ada");
  made("bindings", {{"role", "Admin"}, {"principal", "user:ada"}, {"expires_at", "2099-01-01T00:00:00Z"}});
  bind("Admin", "user:ada", "a");
  EXPECT_EQ(admin.del(path("/bindings/" + binding)).code(), "last_admin");
  made("service-accounts", {{"name", "ci"}});
  bind("Admin", "service_account:ci");
  EXPECT_EQ(root.del(path("/bindings/" + binding)).status, 204);
  EXPECT_EQ(root.patch(path("/service-accounts/ci"), {{"enabled", false}}).code(), "last_admin");
  EXPECT_EQ(root.del(path("/service-accounts/ci")).code(), "last_admin");
}

// R89: two who take Admin from each other at the same moment leave one.
TEST_F(Administration, TwoAdminsRevokingEachOtherLeaveOne) {
  const auto other = world.person("other");
  const auto id = made("users", {{"account", other.email}});
  const auto theirs = bind("Admin", "user:" + id);
  std::string mine;
  const auto held = admin.get(path("/bindings?role=Admin"));
  for (const auto& one : held.body["items"])
    if (one["id"] != theirs) mine = one["id"];
  long first = 0, second = 0;
  std::thread a([&] { first = admin.del(path("/bindings/" + theirs)).status; });
  std::thread b([&] { second = world.as(other).del(path("/bindings/" + mine)).status; });
  a.join();
  b.join();
  EXPECT_EQ((first == 204) + (second == 204), 1) << first << " " << second;
}

// ---- walls ----------------------------------------------------------------------------------------------------------------------------

// R3, R4: an id of another tenant is answered like one that does not exist, for every verb.
TEST_F(Administration, IdsOfAnotherTenantDoNotExistHere) {
  const auto other = world.tenant(&boss);
  const auto elsewhere = [&](const std::string& kind, const json& body) {
    return world.as(boss).post("/v1/tenants/" + other + "/" + kind, body).body["id"].get<std::string>();
  };
  const auto theirs_user = elsewhere("users", {{"username", "zoe"}}), theirs_group = elsewhere("groups", {{"name", "zoo"}});
  const auto theirs_role = elsewhere("roles", {{"name", "Z"}, {"permissions", {{"FLOW", {"READ"}}}}});
  const auto theirs_app = elsewhere("service-accounts", {{"name", "z"}});
  const auto theirs_binding = elsewhere("bindings", {{"role", "Z"}, {"principal", "user:zoe"}});
  const auto nothing = [](Answer answer, const std::string& id) {
    EXPECT_EQ(answer.status, 404) << answer.text;
    const auto place = answer.text.find(id);
    return place == std::string::npos ? answer.text : answer.text.replace(place, id.size(), "ID");
  };
  const auto compare = [&](const std::string& kind, const std::string& id, const std::string& unknown) {
    EXPECT_EQ(nothing(admin.get(path("/" + kind + "/" + id)), id), nothing(admin.get(path("/" + kind + "/" + unknown)), unknown));
    EXPECT_EQ(nothing(admin.del(path("/" + kind + "/" + id)), id), nothing(admin.del(path("/" + kind + "/" + unknown)), unknown));
  };
  compare("users", theirs_user, "usr_00000000fffff");
  compare("groups", theirs_group, "grp_00000000fffff");
  compare("roles", theirs_role, "rol_00000000fffff");
  compare("service-accounts", theirs_app, "sva_00000000fffff");
  compare("bindings", theirs_binding, "bnd_00000000fffff");
  EXPECT_EQ(admin.put(path("/groups/" + group("g") + "/members/user:" + theirs_user), json::object()).code(), "unknown_principal");
}

// R90: the same names may exist in any number of tenants.
TEST_F(Administration, EqualNamesInTwoTenantsAreTwoThings) {
  const auto other = world.tenant(&boss);
  user("ada");
  group("staff");
  EXPECT_EQ(world.as(boss).post("/v1/tenants/" + other + "/users", {{"username", "ada"}}).status, 201);
  EXPECT_EQ(world.as(boss).post("/v1/tenants/" + other + "/groups", {{"name", "staff"}}).status, 201);
}

// R112: what a list shows is what a single read may show: both need the same pair.
TEST_F(Administration, ListingNeedsTheSamePairAsReading) {
  user("ada");
  const auto outsider = holder("nobody", {{"FLOW", {"READ"}}});
  for (const auto* kind : {"users", "groups", "roles", "bindings", "service-accounts"}) {
    EXPECT_EQ(outsider.get(path(fmt::format("/{}", kind))).status, 403) << kind;
    EXPECT_EQ(outsider.get(path(fmt::format("/{}/x", kind))).status, 403) << kind;
  }
}

// R71: ASuperAdminWithoutRoleCannotReadFlows, and may bind himself, which is audited like any binding.
TEST_F(Administration, ASuperAdminHasNoRightToTenantResourcesUntilARoleGivesIt) {
  const auto me = root.get("/v1/me").body["id"].get<std::string>();
  const auto id = made("users", {{"account", me}});
  EXPECT_FALSE(may("user:" + id, "FLOW", "READ"));
  EXPECT_TRUE(may("user:" + id, "USER", "DELETE"));
  const auto bound = root.post(path("/bindings"), {{"role", "Viewer"}, {"principal", "user:" + id}});
  ASSERT_EQ(bound.status, 201) << bound.text;
  EXPECT_TRUE(may("user:" + id, "FLOW", "READ"));
  EXPECT_EQ(history(bound.body["id"]), (std::vector<std::string>{"created"}));
}

// R34: any number of bindings, also none; R33: the union of all.
TEST_F(Administration, RightsAreTheUnionOfAllBindings) {
  user("ada");
  EXPECT_FALSE(may("user:ada", "FLOW", "READ"));
  role("r", {{"FLOW", {"READ"}}});
  role("w", {{"FLOW", {"CREATE"}}});
  bind("r", "user:ada");
  bind("w", "user:ada", "a");
  join(group("g"), "user:ada");
  role("d", {{"FLOW", {"DELETE"}}});
  bind("d", "group:g", "a.b");
  EXPECT_TRUE(may("user:ada", "FLOW", "READ", "x"));
  EXPECT_TRUE(may("user:ada", "FLOW", "CREATE", "a.z"));
  EXPECT_TRUE(may("user:ada", "FLOW", "DELETE", "a.b.c"));
  EXPECT_FALSE(may("user:ada", "FLOW", "DELETE", "a"));
}

}  // namespace
}  // namespace rosterd::test
