// Tenants, their people, groups and roles (rbac.md §§1, 3, 11, 14).
#include <set>

#include "tests/http/world.hpp"

namespace rosterd::test {
namespace {

using nlohmann::json;

// R84: R85:
TEST(Tenants, TheCreatorHoldsAdminASuperAdminToo) {
  auto& world = World::shared();
  const auto tenant = world.tenant();
  const auto base = "/v1/tenants/" + tenant;
  const auto mine = world.root().get(base + "/check?subject=" + encoded("user:" + world.root_email) +
                                     "&permission=FLOW&action=DELETE&namespace=any.where");
  EXPECT_EQ(mine.body["reason"], "allowed_admin_role") << mine.text;  // R85

  const auto ada = world.person("ada");
  const auto hers = world.tenant(&ada);
  const auto list = world.as(ada).get("/v1/tenants/" + hers + "/users");
  ASSERT_EQ(list.status, 200) << list.text;
  ASSERT_EQ(list.body["items"].size(), 1u) << "the super admin who made it for her is not in it";
  EXPECT_EQ(list.body["items"][0]["email"], ada.email);
  EXPECT_EQ(list.body["items"][0]["account"], text(ada.account));
  EXPECT_EQ(list.body["items"][0]["origin"], "local");
  ASSERT_EQ(world.as(ada).get("/v1/tenants").body["items"].size(), 1u);
}

// R21:
TEST(Tenants, AreBornWithTheManagedRoles) {
  auto& world = World::shared();
  const auto base = "/v1/tenants/" + world.tenant();
  const auto roles = world.root().get(base + "/roles");
  std::set<std::string> names;
  for (const auto& role : roles.body["items"]) {
    names.insert(role["name"]);
    EXPECT_EQ(role["managed"], true);
    EXPECT_EQ(role["unknown_pairs"], json::array());
  }
  EXPECT_EQ(names, (std::set<std::string>{"Admin", "Developer", "Editor", "Launcher", "Viewer"}));
  EXPECT_EQ(world.root().get(base + "/roles/ADMIN").body["permissions"], "ALL");
  const auto viewer = world.root().get(base + "/roles/viewer");
  EXPECT_EQ(viewer.body["permissions"]["FLOW"], json::array({"READ"}));
  EXPECT_EQ(world.root().get(base + "/roles/" + viewer.body["id"].get<std::string>()).body["name"], "Viewer");
  EXPECT_EQ(world.root().get(base + "/roles/none").status, 404);
}

// R83:
TEST(Tenants, AnIdIsTakenOnce) {
  auto& world = World::shared();
  const auto tenant = world.tenant();
  const auto again = world.root().post("/v1/tenants", {{"id", tenant}, {"name", "Again"}});
  EXPECT_EQ(again.status, 409);
  EXPECT_EQ(again.code(), "name_taken");
  const auto unknown = world.root().post("/v1/tenants", {{"id", "t-unknown"}, {"name", "X"}, {"creator", "nobody@nowhere.example"}});
  EXPECT_EQ(unknown.status, 422);
  EXPECT_EQ(unknown.code(), "unknown_account");
  EXPECT_EQ(world.root().get("/v1/tenants/t-unknown").status, 404);
}

// R83:
TEST(Tenants, BadIdsAndNamesAreRefused) {
  auto& world = World::shared();
  for (const json& id : {json(""), json("A"), json("-a"), json("a b"), json("a/b"), json(".."), json(std::string(64, 'a')), json(7),
                         json(nullptr), json("a\nb"), json("ä")})
    EXPECT_EQ(world.root().post("/v1/tenants", {{"id", id}, {"name", "X"}}).status, 400) << id;
  EXPECT_EQ(world.root().post("/v1/tenants", {{"id", "t-noname"}}).status, 400);
  EXPECT_EQ(world.root().post("/v1/tenants", {{"id", "t-control"}, {"name", "a\tb"}}).status, 400);
  EXPECT_EQ(world.root().post("/v1/tenants", {{"id", "t-long"}, {"name", std::string(256, 'x')}}).status, 400);
}

TEST(Tenants, ARenameMovesTheRevision) {
  auto& world = World::shared();
  const auto base = "/v1/tenants/" + world.tenant();
  const auto before = world.root().get(base).body["revision"].get<std::string>();
  const auto changed = world.root().patch(base, {{"name", "Other"}});
  ASSERT_EQ(changed.status, 200) << changed.text;
  EXPECT_EQ(changed.body["name"], "Other");
  EXPECT_FALSE(changed.header("rosterd-revision").empty());
  EXPECT_LE(*parse_revision(before), *parse_revision(changed.header("rosterd-revision")));
  EXPECT_EQ(world.root().patch(base, {{"name", nullptr}}).status, 400);
  EXPECT_EQ(world.root().patch(base, {{"id", "other"}}).status, 400);
  EXPECT_EQ(world.root().patch(base, {{"enabled", "no"}}).status, 400);
}

// R87:
TEST(Tenants, ADisabledOneDeniesEverythingAndComesBackUnchanged) {
  auto& world = World::shared();
  const auto ada = world.person("ada");
  const auto tenant = world.tenant(&ada);
  const auto base = "/v1/tenants/" + tenant;
  const auto check = base + "/check?subject=" + encoded("user:" + ada.email) + "&permission=FLOW&action=READ";
  ASSERT_EQ(world.as(ada).get(check).body["allowed"], true);
  ASSERT_EQ(world.root().patch(base, {{"enabled", false}}).status, 200);
  EXPECT_EQ(world.as(ada).get(check).body["reason"], "denied_tenant_disabled");
  EXPECT_EQ(world.as(ada).get(base + "/users").status, 403);
  EXPECT_EQ(world.root().get(base + "/users").status, 200) << "super admins still manage it";
  ASSERT_EQ(world.root().patch(base, {{"enabled", true}}).status, 200);
  EXPECT_EQ(world.as(ada).get(check).body["allowed"], true);
}

// R88:
TEST(Tenants, DeletionTakesEverythingAndANewOneIsAnotherEpoch) {
  auto& world = World::shared();
  const auto ada = world.person("ada");
  const auto tenant = world.tenant(&ada);
  const auto base = "/v1/tenants/" + tenant;
  const auto old = world.root().get(base).body["revision"].get<std::string>();
  EXPECT_EQ(world.root().del(base).status, 204);
  EXPECT_EQ(world.root().get(base).status, 404);
  EXPECT_EQ(world.as(ada).get(base).status, 404);
  EXPECT_EQ(world.root().get(base + "/check?subject=user:x&permission=FLOW&action=READ").status, 404);
  const auto again = world.root().post("/v1/tenants", {{"id", tenant}, {"name", "Again"}});
  ASSERT_EQ(again.status, 201) << again.text;
  EXPECT_GT(parse_revision(again.body["revision"].get<std::string>())->epoch, parse_revision(old)->epoch);
  EXPECT_EQ(world.as(ada).get(base).status, 404) << "nothing old is valid in it";
}

TEST(Tenants, ListsArePagedWithoutLossAndOddPagesAreRefused) {
  auto& world = World::shared();
  const auto ada = world.person("ada");
  std::set<std::string> made;
  for (int i = 0; i < 5; ++i) made.insert(world.tenant(&ada));
  std::set<std::string> seen;
  std::string path = "/v1/tenants?limit=2";
  for (int i = 0; i < 4; ++i) {
    const auto page = world.as(ada).get(path);
    ASSERT_EQ(page.status, 200) << page.text;
    for (const auto& tenant : page.body["items"]) EXPECT_TRUE(seen.insert(tenant["id"]).second);
    if (page.body["next"].is_null()) break;
    path = "/v1/tenants?limit=2&cursor=" + encoded(page.body["next"].get<std::string>());
  }
  EXPECT_EQ(seen, made);
  for (const char* bad : {"limit=0", "limit=1001", "limit=-1", "limit=x", "limit=", "size=3", "limit=1&limit=2"})
    EXPECT_EQ(world.root().get(std::string("/v1/tenants?") + bad).status, 400) << bad;
}

TEST(People, GroupsMembersAndEffectiveRightsShowTheirWay) {
  auto& world = World::shared();
  const auto tenant = world.tenant();
  const TenantId key{tenant};
  const auto base = "/v1/tenants/" + tenant;
  UserRecord record;
  record.username = "grace";
  record.first_name = "Grace";
  const auto grace = world.store->create_user(key, record, {});
  ASSERT_TRUE(grace);
  const auto inner = world.store->create_group(key, {.name = "Inner Circle"}, {});
  const auto outer = world.store->create_group(key, {.name = "Outer"}, {});
  ASSERT_TRUE(inner && outer);
  ASSERT_TRUE(world.store->add_member(key, inner->value.id, {PrincipalType::User, grace->value.id}, {}));
  ASSERT_TRUE(world.store->add_member(key, outer->value.id, {PrincipalType::Group, inner->value.id}, {}));
  RoleId editor;
  const auto roles = world.store->roles(key);
  for (const auto& role : *roles)
    if (role.name == "Editor") editor = role.id;
  ASSERT_TRUE(world.store->create_binding(
      key, {.role = editor, .principal = {PrincipalType::Group, outer->value.id}, .ns = "company.team", .expires_at = {}}, {}));
  world.control->changed(key);

  const auto effective = world.root().get(base + "/users/grace/effective");
  ASSERT_EQ(effective.status, 200) << effective.text;
  ASSERT_EQ(effective.body["items"].size(), 1u) << effective.text;
  const auto& grant = effective.body["items"][0];
  EXPECT_EQ(grant["role"]["name"], "Editor");
  EXPECT_EQ(grant["namespace"], "company.team");
  ASSERT_EQ(grant["via"].size(), 2u);
  EXPECT_EQ(grant["via"][0]["group"]["name"], "Inner Circle");
  EXPECT_EQ(grant["via"][1]["group"]["name"], "Outer");
  for (const auto& hop : grant["via"]) {
    ASSERT_EQ(hop["origins"].size(), 1u) << effective.text;
    EXPECT_EQ(hop["origins"][0]["origin"], "local");
  }
  EXPECT_EQ(grant["permissions"]["FLOW"], json::array({"CREATE", "READ", "UPDATE", "DELETE"}));
  EXPECT_EQ(effective.body["super_admin"], false);
  EXPECT_EQ(effective.body["total"], 1);

  const auto check = "/check?subject=user:GRACE&permission=FLOW&action=CREATE&explain=true&namespace=";
  const auto yes = world.root().get(base + check + "company.team.x");
  EXPECT_EQ(yes.body["reason"], "allowed_binding");
  EXPECT_EQ(yes.body["paths"], effective.body["items"]) << "explain and the effective view are the same walk (R105)";
  EXPECT_EQ(yes.body["paths_total"], 1);
  EXPECT_EQ(yes.body["matched_namespace"], "company.team");
  const auto no = world.root().get(base + check + "company.teams");
  EXPECT_EQ(no.body["reason"], "denied_wrong_namespace");
  EXPECT_EQ(no.body["paths"], json::array());

  const auto groups = world.root().get(base + "/users/grace/groups");
  ASSERT_EQ(groups.body["items"].size(), 1u);
  EXPECT_EQ(groups.body["items"][0]["name"], "Inner Circle");
  const auto members = world.root().get(base + "/groups/" + encoded("inner circle") + "/members");
  ASSERT_EQ(members.status, 200) << members.text;
  EXPECT_EQ(members.body["items"][0]["name"], "grace");
  EXPECT_EQ(members.body["items"][0]["type"], "user");
  EXPECT_EQ(world.root().get(base + "/groups?q=inn").body["items"].size(), 1u);
  EXPECT_EQ(world.root().get(base + "/users?q=gra").body["items"].size(), 1u);
  EXPECT_EQ(world.root().get(base + "/users?q=zzz").body["items"].size(), 0u);

  ASSERT_TRUE(world.store->set_user_suspended(key, grace->value.id, true, {}));
  world.control->changed(key);
  EXPECT_EQ(world.root().get(base + "/users/" + text(PrincipalType::User, grace->value.id)).body["state"], "suspended");
  EXPECT_EQ(world.root().get(base + check + "company.team").body["reason"], "denied_user_suspended");
}

// R3:
TEST(People, AnIdOfAnotherTenantDoesNotExistHere) {
  auto& world = World::shared();
  const auto one = world.tenant(), other = world.tenant();
  UserRecord record;
  record.username = "linus";
  const auto user = world.store->create_user(TenantId{other}, record, {});
  const auto group = world.store->create_group(TenantId{other}, {.name = "Kernel"}, {});
  ASSERT_TRUE(user && group);
  const auto user_id = text(PrincipalType::User, user->value.id), group_id = text(PrincipalType::Group, group->value.id);
  EXPECT_EQ(world.root().get("/v1/tenants/" + other + "/users/" + user_id).status, 200);
  for (const auto& path : {"/users/" + user_id, "/users/" + user_id + "/groups", "/users/" + user_id + "/effective", "/groups/" + group_id,
                           "/groups/" + group_id + "/members"})
    EXPECT_EQ(world.root().get("/v1/tenants/" + one + path).status, 404) << path;
  const auto check = world.root().get("/v1/tenants/" + one + "/check?subject=user:" + user_id + "&permission=FLOW&action=READ");
  EXPECT_EQ(check.body["reason"], "denied_unknown_subject");
}

TEST(People, ThePageOfAnOlderRevisionIsNotContinued) {
  auto& world = World::shared();
  const auto tenant = world.tenant();
  const TenantId key{tenant};
  const auto base = "/v1/tenants/" + tenant + "/users/" + encoded(world.root_email) + "/effective";
  RoleId viewer;
  const auto roles = world.store->roles(key);
  for (const auto& role : *roles)
    if (role.name == "Viewer") viewer = role.id;
  const auto self = world.root().get("/v1/tenants/" + tenant + "/users").body["items"][0]["id"].get<std::string>();
  const Principal me{PrincipalType::User, *parse_principal_id(PrincipalType::User, self)};
  for (const char* ns : {"a", "b", "c"})
    ASSERT_TRUE(world.store->create_binding(key, {.role = viewer, .principal = me, .ns = ns, .expires_at = {}}, {}));
  world.control->changed(key);
  const auto first = world.root().get(base + "?limit=3");
  ASSERT_EQ(first.body["items"].size(), 3u) << first.text;
  const auto next = encoded(first.body["next"].get<std::string>());
  EXPECT_EQ(world.root().get(base + "?limit=3&cursor=" + next).body["items"].size(), 1u);
  ASSERT_TRUE(world.store->create_binding(key, {.role = viewer, .principal = me, .ns = "d", .expires_at = {}}, {}));
  world.control->changed(key);
  EXPECT_EQ(world.root().get(base + "?limit=3&cursor=" + next).code(), "cursor_expired");
  for (const char* bad : {"x", "1.1", "1.1:", "1.1:x", ":3"})
    EXPECT_EQ(world.root().get(base + "?cursor=" + encoded(bad)).status, 400) << bad;
}

}  // namespace
}  // namespace rosterd::test
