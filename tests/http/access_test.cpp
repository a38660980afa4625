// Setup, tokens, who may enter a tenant and what for (rbac.md §§1, 7, 9, 16).
#include <sys/stat.h>

#include <thread>

#include "daemon/http/app.hpp"
#include "daemon/http/token.hpp"
#include "tests/http/world.hpp"

namespace rosterd::test {
namespace {

using nlohmann::json;

TEST(Setup, WorksOnceWithTheSecretAndNeverAgain) {
  World world;
  const json good = {{"secret", world.setup_secret}, {"email", "Ada@Example.ORG"}, {"first_name", "Ada"}};
  auto wrong = good;
  wrong["secret"] = std::string(40, 'a');
  EXPECT_EQ(world.nobody().post("/v1/setup", wrong).status, 401);
  auto bad_mail = good;
  bad_mail["email"] = "nobody";
  EXPECT_EQ(world.nobody().post("/v1/setup", bad_mail).status, 400);

  const auto made = world.nobody().post("/v1/setup", good);
  ASSERT_EQ(made.status, 201) << made.text;
  EXPECT_EQ(made.body["account"]["email"], "ada@example.org");
  EXPECT_EQ(made.body["account"]["super_admin"], true);
  const std::string token = made.body["token"];
  EXPECT_TRUE(http::plausible(token));
  EXPECT_EQ(world.as(token).get("/v1/me").status, 200);

  for (const auto& body : {good, wrong}) {
    const auto again = world.nobody().post("/v1/setup", body);
    EXPECT_EQ(again.status, 409);
    EXPECT_EQ(again.code(), "setup_done");
  }
  EXPECT_FALSE(std::filesystem::exists(world.dir.file("setup-secret"))) << "the secret's file goes with it";
}

TEST(Setup, TheSecretLiesInAFileForItsOwnerAlone) {
  const TempDir dir;
  http::SetupGate gate;
  EXPECT_FALSE(gate.is_open());
  EXPECT_FALSE(gate.admits(""));
  const auto secret = gate.open(dir.file("s"));
  ASSERT_TRUE(secret);
  struct stat info{};
  ASSERT_EQ(::stat(dir.file("s").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  EXPECT_EQ(read_file(dir.file("s")), *secret + "\n");
  EXPECT_TRUE(gate.admits(*secret));
  EXPECT_FALSE(gate.admits(""));
  gate.close();
  EXPECT_FALSE(gate.admits(*secret));
  EXPECT_FALSE(gate.open_with("short"));
  EXPECT_TRUE(gate.open_with("a longer secret of the operator\n"));
  EXPECT_TRUE(gate.admits("a longer secret of the operator"));
}

// R59: every failed authentication looks the same.
TEST(Tokens, EveryFailedAuthenticationLooksTheSame) {
  auto& world = World::shared();
  const auto reference = world.nobody().get("/v1/me");
  EXPECT_EQ(reference.status, 401);
  EXPECT_EQ(reference.code(), "unauthenticated");
  EXPECT_EQ(reference.header("www-authenticate"), "Bearer");
  EXPECT_EQ(reference.header("content-type"), "application/problem+json");
  for (const auto& token : {http::make_token(), std::string("rst_"), std::string("x"), std::string(5000, 'a')})
    EXPECT_EQ(world.as(token).get("/v1/me").text, reference.text);
  EXPECT_EQ(world.nobody().get("/v1/me", {{"Authorization", "Basic " + world.root_token}}).text, reference.text);
  EXPECT_EQ(world.nobody().get("/v1/me", {{"Authorization", world.root_token}}).text, reference.text);
  EXPECT_EQ(world.nobody().get("/v1/me", {{"Authorization", "bearer " + world.root_token}}).status, 200)
      << "the scheme's case does not matter";
}

TEST(Tokens, AreMadeListedAndRevoked) {
  auto& world = World::shared();
  const auto ada = world.person("ada");
  const auto me = world.as(ada).get("/v1/me");
  ASSERT_EQ(me.status, 200);
  EXPECT_EQ(me.body["email"], ada.email);
  EXPECT_EQ(me.body["super_admin"], false);

  const auto made = world.as(ada).post("/v1/me/tokens", {{"name", "ci"}, {"max_age", "PT12H"}});
  ASSERT_EQ(made.status, 201) << made.text;
  const std::string token = made.body["token"];
  EXPECT_EQ(made.body["last4"], token.substr(36));
  EXPECT_TRUE(made.body["expires_at"].is_string());
  EXPECT_EQ(made.header("location"), "/v1/me/tokens/" + made.body["id"].get<std::string>());
  EXPECT_EQ(world.as(token).get("/v1/me").body["token"]["name"], "ci");

  const auto list = world.as(ada).get("/v1/me/tokens");
  ASSERT_EQ(list.body["items"].size(), 2u);
  EXPECT_EQ(list.text.find(token), std::string::npos) << "a token is shown once";

  EXPECT_EQ(world.as(ada).del("/v1/me/tokens/" + made.body["id"].get<std::string>()).status, 204);
  EXPECT_EQ(world.as(token).get("/v1/me").status, 401) << "gone at once";
  EXPECT_EQ(world.as(ada).del("/v1/me/tokens/tok_0000000000000").status, 404);
  EXPECT_EQ(world.as(ada).del("/v1/me/tokens/x").status, 404);
  const auto others = world.root().get("/v1/me/tokens");
  EXPECT_EQ(world.as(ada).del("/v1/me/tokens/" + others.body["items"][0]["id"].get<std::string>()).status, 404)
      << "another account's token does not exist for her";
}

TEST(Tokens, OneThatWasRevokedElsewhereIsGoneWithinASecond) {
  auto& world = World::shared();
  const auto ada = world.person("ada");
  const auto made = world.as(ada).post("/v1/me/tokens", {{"name", "other"}});
  const auto other = world.as(made.body["token"].get<std::string>());
  ASSERT_EQ(other.get("/v1/me").status, 200);
  ASSERT_TRUE(world.store->revoke_token(ada.account, made.body["id"].get<std::string>(), {}));  // as another replica does it
  outlast_caches();
  EXPECT_EQ(other.get("/v1/me").status, 401);
}

TEST(Tokens, OddAgesAreRefused) {
  auto& world = World::shared();
  const auto ada = world.person("ada");
  for (const json& age : {json("P"), json("1Y"), json("P1Y"), json("PT"), json("P1DT"), json("0s"), json(""), json(5), json("99999d"),
                          json("-1d"), json("P99999999999D")})
    EXPECT_EQ(world.as(ada).post("/v1/me/tokens", {{"name", "x"}, {"max_age", age}}).status, 400) << age;
  EXPECT_EQ(world.as(ada).post("/v1/me/tokens", {{"name", "x"}, {"max_age", "P1W"}}).status, 201);
  EXPECT_EQ(world.as(ada).post("/v1/me/tokens", {{"name", "x"}, {"sliding", true}}).status, 400);
}

// R4:
TEST(Standing, WithoutAnyATenantAnswersExactlyAsIfItDidNotExist) {
  auto& world = World::shared();
  const auto tenant = world.tenant();
  const auto stranger = world.person("mallory");
  for (const char* below : {"", "/users", "/users/ada", "/groups", "/roles", "/sources", "/sources/corp", "/runs", "/status",
                            "/permissions", "/check?subject=user:x&permission=FLOW&action=READ"}) {
    const auto real = world.as(stranger).get("/v1/tenants/" + tenant + below);
    const auto none = world.as(stranger).get(std::string("/v1/tenants/nowhere") + below);
    const auto silly = world.as(stranger).get(std::string("/v1/tenants/No%20Where") + below);
    EXPECT_EQ(real.status, 404) << below;
    EXPECT_EQ(real.text, none.text) << below;
    EXPECT_EQ(real.text, silly.text) << below;
    EXPECT_EQ(real.header("content-length"), none.header("content-length"));
  }
  EXPECT_EQ(world.root().get("/v1/tenants/nowhere").status, 404);
  EXPECT_EQ(world.as(stranger).get("/v1/tenants").body["items"].size(), 0u);
}

// R4: R86:
TEST(Standing, WithItButWithoutThePairItIs403) {
  auto& world = World::shared();
  const auto ada = world.person("ada");
  const auto tenant = world.tenant_where(ada, R"({"GROUP":["READ"]})");
  const auto base = "/v1/tenants/" + tenant;
  EXPECT_EQ(world.as(ada).get(base).status, 200);
  EXPECT_EQ(world.as(ada).get(base + "/permissions").status, 200);
  EXPECT_EQ(world.as(ada).get(base + "/groups").status, 200);
  for (const char* denied : {"/users", "/roles", "/sources", "/runs", "/status", "/users/keeper", "/users/nobody", "/users/keeper/groups",
                             "/users/keeper/effective"}) {
    const auto answer = world.as(ada).get(base + denied);
    EXPECT_EQ(answer.status, 403) << denied;
    EXPECT_EQ(answer.code(), "forbidden");
  }
  EXPECT_EQ(world.as(ada).patch(base, {{"name", "x"}}).status, 403) << "tenants are a super admin's business (R86)";
  EXPECT_EQ(world.as(ada).del(base).status, 403);
  EXPECT_EQ(world.as(ada).post("/v1/tenants", {{"id", "mine"}, {"name", "Mine"}}).status, 403);
}

// R16:
TEST(Standing, AnyPrincipalReadsTheCatalogue) {
  auto& world = World::shared();
  const auto ada = world.person("ada");
  const auto tenant = world.tenant_where(ada, "");
  const auto answer = world.as(ada).get("/v1/tenants/" + tenant + "/permissions");
  ASSERT_EQ(answer.status, 200);
  std::size_t pairs = 0;
  for (const auto& permission : answer.body["items"]) {
    pairs += permission["actions"].size();
    const auto is = [&](const char* name) { return permission["name"] == name; };
    const json flow{{"name", "FLOW"}, {"scope", "namespace"}, {"iam", false}, {"actions", {"CREATE", "READ", "UPDATE", "DELETE"}}};
    const json check{{"name", "CHECK"}, {"scope", "tenant"}, {"iam", true}, {"actions", json::array({"READ"})}};
    EXPECT_TRUE(!is("FLOW") || permission == flow) << permission;
    EXPECT_TRUE(!is("CHECK") || permission == check) << permission;
  }
  EXPECT_EQ(pairs, 112u);
  EXPECT_EQ(world.as(world.person("stranger")).get("/v1/tenants/" + tenant + "/permissions").status, 404);
}

// R96:
TEST(Standing, OnesOwnRecordNeedsNoRight) {
  auto& world = World::shared();
  const auto ada = world.person("ada");
  const auto tenant = world.tenant_where(ada, "");
  const auto id = text(PrincipalType::User, world.user_of(ada, tenant));
  const auto base = "/v1/tenants/" + tenant + "/users/";
  for (const auto& key : {id, encoded(ada.email)})
    for (const char* below : {"", "/groups", "/effective"}) EXPECT_EQ(world.as(ada).get(base + key + below).status, 200) << key << below;
}

TEST(Standing, ARightTakenAwayIsGoneWithTheNextRequest) {
  auto& world = World::shared();
  const auto ada = world.person("ada");
  const auto tenant = world.tenant_where(ada, R"({"USER":["READ"]})");
  const TenantId key{tenant};
  ASSERT_EQ(world.as(ada).get("/v1/tenants/" + tenant + "/users").status, 200);
  const auto self = world.user_of(ada, tenant);
  const auto bindings = world.store->bindings(key);
  for (const auto& binding : *bindings) {
    if (binding.principal.id != self) continue;
    ASSERT_TRUE(world.store->delete_binding(key, binding.id, false, {}));
  }
  world.control->changed(key);
  EXPECT_EQ(world.as(ada).get("/v1/tenants/" + tenant + "/users").status, 403);
}

TEST(Standing, ASuperAdminHoldsEveryIamPairAndNothingElse) {
  auto& world = World::shared();
  const auto ada = world.person("ada");
  const auto tenant = world.tenant(&ada);  // somebody else's: root has no user in it
  const auto base = "/v1/tenants/" + tenant;
  for (const char* path : {"", "/users", "/groups", "/roles", "/sources", "/runs", "/status"})
    EXPECT_EQ(world.root().get(base + path).status, 200) << path;
  const auto check = world.root().get(base + "/check?subject=" + encoded("user:" + world.root_email) + "&permission=FLOW&action=READ");
  EXPECT_EQ(check.body["reason"], "denied_unknown_subject");
}

TEST(Standing, ImpersonateIsForTheApplicationNobodyIsSomebodyElseHereR74) {
  auto& world = World::shared();
  for (const auto& route : http::routes()) {
    EXPECT_NE(route.permission, "IMPERSONATE") << route.path;
    EXPECT_EQ(route.path.find("impersonat"), std::string_view::npos);
  }
  const auto ada = world.person("ada");
  const auto tenant = world.tenant_where(ada, R"({"IMPERSONATE":["CREATE","READ","UPDATE","DELETE"]})");
  const auto base = "/v1/tenants/" + tenant;
  const auto other = world.person("other");
  const auto asked = world.as(ada).get(base + "/check?subject=" + encoded("user:" + ada.email) + "&permission=IMPERSONATE&action=CREATE");
  EXPECT_TRUE(asked.body["allowed"]) << asked.text << "; the application may ask for it";
  for (const char* header : {"Rosterd-Subject", "X-Impersonate", "Impersonate-User"}) {
    const auto me = world.as(ada).get("/v1/me", {{header, other.email}});
    EXPECT_EQ(me.body["email"], ada.email) << header << me.text;
  }
  EXPECT_EQ(world.as(ada).get(base + "/users").status, 403);
}

TEST(Standing, NobodyGetsInWithoutAToken) {
  auto& world = World::shared();
  for (const auto& route : http::routes()) {
    if (route.access == http::Access::Open) continue;
    auto path = std::string(route.path);
    for (const char* name : {"{t}", "{u}", "{g}", "{r}", "{s}", "{id}"})
      if (const auto at = path.find(name); at != std::string::npos) path.replace(at, std::string_view(name).size(), "x");
    const auto answer = world.nobody().call(std::string(route.method), path, {});
    EXPECT_EQ(answer.status, 401) << route.method << " " << route.path;
  }
}

}  // namespace
}  // namespace rosterd::test
