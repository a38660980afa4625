// Accounts, profiles and super admins over HTTP (rbac.md §§1, 9, 12).
#include <gmock/gmock.h>

#include <thread>

#include "tests/http/sign_in_world.hpp"

namespace rosterd::test {
namespace {

using nlohmann::json;
using testing::Contains;
using testing::HasSubstr;

std::string check_path(const std::string& tenant, const std::string& who, const char* pair = "permission=USER&action=READ") {
  return fmt::format("/v1/tenants/{}/check?subject={}&{}", tenant, encoded("user:" + who), pair);
}

TEST(Accounts, R1AreUniqueByFoldedEmailWhoseFormIsChecked) {
  auto& world = SignInWorld::shared();
  const auto made = world.root().post("/v1/accounts", {{"email", "Grace@Navy.Example"}, {"first_name", "Grace"}});
  ASSERT_EQ(made.status, 201) << made.text;
  EXPECT_EQ(made.body["email"], "grace@navy.example");
  EXPECT_EQ(made.header("location"), "/v1/accounts/" + made.body["id"].get<std::string>());
  const auto again = world.root().post("/v1/accounts", {{"email", "GRACE@navy.example"}});
  EXPECT_EQ(again.status, 409);
  EXPECT_EQ(again.code(), "name_taken");
  EXPECT_EQ(world.root().post("/v1/accounts", {{"email", "no e-mail"}}).status, 400);
  const auto other = world.somebody("other");
  EXPECT_EQ(world.root().patch(world.account_path(other), {{"email", "grace@navy.example"}}).code(), "name_taken");
  EXPECT_EQ(world.root().get("/v1/accounts?q=grace").body["items"].size(), 1u);
  EXPECT_EQ(world.root().get("/v1/accounts/acc_zzzzzzzzzzzzz").status, 404);
}

TEST(Accounts, OnlySuperAdminsSeeAndChangeThem) {
  auto& world = SignInWorld::shared();
  const auto person = world.person("plain");
  const auto path = "/v1/accounts/" + text(person.account);
  for (const auto& answer :
       {world.as(person).get("/v1/accounts"), world.as(person).get(path), world.as(person).patch(path, {{"enabled", true}}),
        world.as(person).del(path), world.as(person).put(path + "/super-admin", json::object())})
    EXPECT_EQ(answer.status, 403);
}

TEST(Accounts, AChangeHonoursIfMatchAndNamesUnknownFields) {
  auto& world = SignInWorld::shared();
  const auto path = world.account_path(world.somebody("edit"));
  const auto read = world.root().get(path);
  const auto changed = world.root().patch(path, {{"last_name", "Hopper"}}, {{"If-Match", read.header("etag")}});
  ASSERT_EQ(changed.status, 200) << changed.text;
  EXPECT_EQ(changed.body["last_name"], "Hopper");
  const auto stale = world.root().patch(path, {{"last_name", "Other"}}, {{"If-Match", read.header("etag")}});
  EXPECT_EQ(stale.status, 412);
  EXPECT_EQ(world.root().patch(path, {{"super_admin", true}}).status, 400) << "that has a path of its own";
}

TEST(Accounts, ListsArePagedWithoutLoss) {
  auto& world = SignInWorld::shared();
  std::set<std::string> made, seen;
  for (int i = 0; i < 5; ++i) {
    const auto email = fmt::format("paged{}@list.example", i);
    made.insert(email);
    ASSERT_EQ(world.root().post("/v1/accounts", {{"email", email}}).status, 201);
  }
  std::string path = "/v1/accounts?q=paged&limit=2";
  for (int i = 0; i < 4; ++i) {
    const auto page = world.root().get(path);
    for (const auto& one : page.body["items"]) EXPECT_TRUE(seen.insert(one["email"]).second);
    if (page.body["next"].is_null()) break;
    path = "/v1/accounts?q=paged&limit=2&cursor=" + encoded(page.body["next"].get<std::string>());
  }
  EXPECT_EQ(seen, made);
}

TEST(Accounts, R10DisablingEndsSessionsTokensAndTheSuperAdminRightAtOnce) {
  auto& world = SignInWorld::shared();
  const auto email = world.somebody("off", {{"super_admin", true}});
  const auto session = world.signed_in(email);
  const auto token = world.as(session).post("/v1/me/tokens", {{"name", "t"}}).body["token"].get<std::string>();
  const auto made = world.root().post("/v1/tenants", {{"id", "t-off"}, {"name", "Off"}, {"creator", email}});
  ASSERT_EQ(made.status, 201);
  // R58: they are gone with the answer, not when some cache has aged.
  ASSERT_EQ(world.me(session).status, 200);
  ASSERT_EQ(world.me(token).status, 200);
  const auto disabled = world.root().patch(world.account_path(email), {{"enabled", false}});
  ASSERT_EQ(disabled.status, 200) << disabled.text;
  EXPECT_EQ(disabled.body["super_admin"], false);
  EXPECT_EQ(world.me(session).status, 401);
  EXPECT_EQ(world.me(token).status, 401);
  EXPECT_EQ(world.login(email, kGood).status, 401);
  EXPECT_EQ(world.root().get("/v1/tenants/t-off/users/" + encoded(email)).body["state"], "active") << "what a tenant gave is the tenant's";
  ASSERT_EQ(world.root().patch(world.account_path(email), {{"enabled", true}}).status, 200);
  EXPECT_EQ(world.me(token).status, 401) << "ended is ended";
  EXPECT_EQ(world.root().get(world.account_path(email)).body["super_admin"], false);
  EXPECT_EQ(world.login(email, kGood).status, 200);
}

TEST(Accounts, DeletionLeavesTheUsersWithoutTheLink) {
  auto& world = SignInWorld::shared();
  const auto email = world.somebody("gone");
  const auto session = world.signed_in(email);
  ASSERT_EQ(world.root().post("/v1/tenants", {{"id", "t-gone"}, {"name", "Gone"}, {"creator", email}}).status, 201);
  EXPECT_EQ(world.root().del(world.account_path(email)).status, 204);
  EXPECT_EQ(world.me(session).status, 401);
  EXPECT_EQ(world.root().get(world.account_path(email)).status, 404);
  const auto user = world.root().get("/v1/tenants/t-gone/users/" + encoded(email));
  EXPECT_EQ(user.status, 200);
  EXPECT_TRUE(user.body["account"].is_null());
  EXPECT_THAT(world.audited(email), Contains("deleted"));
}

TEST(SuperAdmins, R69AreGrantedAndRevokedAndChecksKnowAtOnce) {
  auto& world = SignInWorld::shared();
  const auto person = world.person("promoted");
  const auto tenant = world.tenant_where(person, "");
  const auto path = "/v1/accounts/" + text(person.account) + "/super-admin";
  EXPECT_EQ(world.root().get(check_path(tenant, person.email)).body["allowed"], false);
  ASSERT_EQ(world.root().put(path, json::object()).status, 200);
  EXPECT_EQ(world.root().get(check_path(tenant, person.email)).body["reason"], "allowed_super_admin");
  EXPECT_EQ(world.as(person).get("/v1/accounts").status, 200);
  EXPECT_EQ(world.root().put(path, json::object()).status, 200) << "again is the same";
  ASSERT_EQ(world.root().del(path).status, 200);
  EXPECT_EQ(world.root().get(check_path(tenant, person.email)).body["allowed"], false);
  EXPECT_EQ(world.as(person).get("/v1/accounts").status, 403);
  EXPECT_THAT(world.audited(person.email), Contains("super_admin_granted").Times(1));
  EXPECT_THAT(world.audited(person.email), Contains("super_admin_revoked").Times(1));
}

TEST(SuperAdmins, R72TheLastOneCanBeNeitherRevokedDisabledNorDeleted) {
  SignInWorld world;
  const auto path = world.account_path(world.root_email);
  EXPECT_EQ(world.root().del(path + "/super-admin").code(), "last_super_admin");
  EXPECT_EQ(world.root().patch(path, {{"enabled", false}}).code(), "last_super_admin");
  EXPECT_EQ(world.root().del(path).status, 403) << "R73: nobody deletes himself";
  const auto email = world.somebody("second", {{"super_admin", true}});
  const auto second = world.signed_in(email);
  EXPECT_EQ(world.as(second).get("/v1/accounts").status, 200);
  ASSERT_EQ(world.as(second).del(path + "/super-admin").status, 200);
  EXPECT_EQ(world.as(second).del(world.account_path(email) + "/super-admin").status, 409);
  // R73: with another one there, one's own flag may go.
  ASSERT_EQ(world.as(second).put(path + "/super-admin", json::object()).status, 200);
  EXPECT_EQ(world.as(second).del(world.account_path(email) + "/super-admin").status, 200);
  EXPECT_EQ(world.as(second).get("/v1/accounts").status, 403);
}

TEST(SuperAdmins, R72TwoWhoRevokeEachOtherLeaveOne) {
  SignInWorld world;
  const auto a = world.somebody("a", {{"super_admin", true}}), b = world.somebody("b", {{"super_admin", true}});
  const auto as_a = world.signed_in(a), as_b = world.signed_in(b);
  ASSERT_EQ(world.as(as_a).del(world.account_path(world.root_email) + "/super-admin").status, 200);
  for (int round = 0; round < 10; ++round) {
    Answer one, two;
    {
      std::jthread first([&] { one = world.as(as_a).del(world.account_path(b) + "/super-admin"); });
      std::jthread second([&] { two = world.as(as_b).del(world.account_path(a) + "/super-admin"); });
    }
    ASSERT_EQ((one.status == 200) + (two.status == 200), 1) << one.text << two.text;
    const bool a_stays = one.status == 200;
    ASSERT_EQ(world.as(a_stays ? as_a : as_b).put(world.account_path(a_stays ? b : a) + "/super-admin", json::object()).status, 200);
  }
}

TEST(SuperAdmins, TheirChangesAndThoseOfTheirTenantsNeverWaitForEachOtherInACircle) {
  auto& world = SignInWorld::shared();
  const auto person = world.person("busy");
  const auto one = world.tenant(&person), two = world.tenant(&person);
  const auto path = "/v1/accounts/" + text(person.account);
  std::atomic<int> good{0};
  {
    std::vector<std::jthread> all;
    all.emplace_back([&] {
      for (int i = 0; i < 20; ++i) good += world.root().put(path + "/super-admin", json::object()).status == 200;
    });
    all.emplace_back([&] {
      for (int i = 0; i < 20; ++i) good += world.root().del(path + "/super-admin").status == 200;
    });
    all.emplace_back([&] {
      for (int i = 0; i < 20; ++i) good += world.as(person).patch("/v1/me", {{"first_name", fmt::format("B{}", i)}}).status == 200;
    });
    for (const auto& tenant : {one, two})
      all.emplace_back([&, tenant] {
        for (int i = 0; i < 20; ++i) {
          const auto made =
              world.as(person).post("/v1/tenants/" + tenant + "/bindings",
                                    {{"role", "Viewer"}, {"principal", "user:" + person.email}, {"namespace", fmt::format("n{}", i)}});
          good += made.status == 201;
        }
      });
  }
  EXPECT_EQ(good, 100);
}

TEST(SuperAdmins, R69TheConfigurationNamesThemAndCannotLeaveNone) {
  SignInWorld world;
  const auto email = world.somebody("named");
  const auto none = world.store->set_super_admins({"nobody@people.example"}, {});
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, Errc::Refused);
  const auto off = world.somebody("off");
  ASSERT_EQ(world.root().patch(world.account_path(off), {{"enabled", false}}).status, 200);
  EXPECT_FALSE(world.store->set_super_admins({off}, {})) << "a disabled one is none";
  const auto set = world.store->set_super_admins({"Named" + email.substr(5), "nobody@people.example"}, {});
  ASSERT_TRUE(set) << set.error().what;
  EXPECT_EQ(set->granted, std::vector<std::string>{email});
  EXPECT_EQ(set->revoked, std::vector<std::string>{world.root_email});
  EXPECT_EQ(set->unknown, std::vector<std::string>{"nobody@people.example"});
  outlast_caches();
  EXPECT_EQ(world.root().get("/v1/accounts").status, 403);
  EXPECT_EQ(world.as(world.signed_in(email)).get("/v1/accounts").status, 200);
}

TEST(Profile, R95PreferencesAreValidatedMergedAndOnesOwn) {
  auto& world = SignInWorld::shared();
  const auto session = world.signed_in(world.somebody("profile"));
  const auto me = world.as(session);
  const json good = {{"theme", "dark"},
                     {"editor", "vim"},
                     {"language", "pt-BR"},
                     {"timezone", "Europe/Berlin"},
                     {"date_format", "YYYY-MM-DD"},
                     {"default_tenant", "acme"},
                     {"default_namespace", {{"acme", "company.team"}}},
                     {"page_size", 50},
                     {"environment_name", "prod"},
                     {"environment_color", "#aa3300"},
                     {"extra", {{"anything", json::array({1, 2})}}}};
  const auto set = me.patch("/v1/me", {{"first_name", "Ada"}, {"preferences", good}});
  ASSERT_EQ(set.status, 200) << set.text;
  EXPECT_EQ(set.body["preferences"], good);
  const auto merged = me.patch("/v1/me", {{"preferences", {{"theme", nullptr}, {"default_namespace", {{"other", "a.b"}}}}}});
  ASSERT_EQ(merged.status, 200) << merged.text;
  EXPECT_FALSE(merged.body["preferences"].contains("theme"));
  EXPECT_EQ(merged.body["preferences"]["default_namespace"].size(), 2u);
  EXPECT_EQ(me.get("/v1/me").body["preferences"], merged.body["preferences"]);
  for (const json& bad : {json{{"theme", "pink"}}, json{{"language", "not a tag"}}, json{{"timezone", "Mars/Olympus"}},
                          json{{"timezone", "../etc/passwd"}}, json{{"default_namespace", {{"acme", ""}}}},
                          json{{"default_namespace", "a.b"}}, json{{"page_size", 0}}, json{{"environment_color", "red"}},
                          json{{"extra", {{"x", std::string(17'000, 'x')}}}}, json{{"unknown", 1}}, json{{"default_tenant", "A B"}}})
    EXPECT_EQ(me.patch("/v1/me", {{"preferences", bad}}).status, 400) << bad.dump().substr(0, 80);
  const auto wrong = me.patch("/v1/me", {{"preferences", {{"theme", 1}, {"page_size", "x"}}}});
  EXPECT_THAT(wrong.body["detail"].get<std::string>(), HasSubstr("preferences.theme"));
  EXPECT_THAT(wrong.body["detail"].get<std::string>(), HasSubstr("preferences.page_size"));
  EXPECT_EQ(me.patch("/v1/me", {{"email", "other@people.example"}}).status, 400)
      << "invitations are made to it, so it is not one's own to choose";
}

}  // namespace
}  // namespace rosterd::test
