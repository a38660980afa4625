// Sources: shape, secrets, versions, and who may decide what a tenant reads (rbac.md R20, R81; DESIGN §6.1).
#include <cstdlib>

#include "tests/http/world.hpp"
#include "tests/support/tls.hpp"

namespace rosterd::test {
namespace {

using nlohmann::json;

json ldap_source(const std::string& name = "corp") {
  return {{"name", name},
          {"type", "ldap"},
          {"settings",
           {{"url", "ldaps://ldap.acme.example"},
            {"bind_dn", "cn=rosterd,dc=acme"},
            {"bind_password", {{"value", "hunter2-secret"}}},
            {"preset", "openldap"},
            {"users", {{"base", "ou=people,dc=acme"}}},
            {"groups", {{"base", "ou=groups,dc=acme"}}}}},
          {"schedule", {{"interval", "15m"}}}};
}

TEST(Sources, AreMadeReadChangedAndDeleted) {
  auto& world = World::shared();
  const auto base = "/v1/tenants/" + world.tenant() + "/sources";
  const auto made = world.root().post(base, ldap_source());
  ASSERT_EQ(made.status, 201) << made.text;
  EXPECT_EQ(made.header("location"), base + "/corp");
  EXPECT_FALSE(made.header("etag").empty());
  EXPECT_FALSE(made.header("rosterd-revision").empty());
  EXPECT_EQ(made.body["schedule"]["interval"], "15m");
  EXPECT_EQ(made.body["guard"]["ceiling"], 500);
  EXPECT_EQ(made.body["state"], "new");

  const auto again = world.root().post(base, ldap_source());
  EXPECT_EQ(again.status, 409);
  EXPECT_EQ(again.code(), "name_taken");

  const auto by_id = world.root().get(base + "/" + made.body["id"].get<std::string>());
  EXPECT_EQ(by_id.body, made.body);
  EXPECT_EQ(world.root().get(base).body["items"][0], made.body);

  const auto patched = world.root().patch(base + "/corp", {{"enabled", false}, {"schedule", {{"interval", "5m"}}}});
  ASSERT_EQ(patched.status, 200) << patched.text;
  EXPECT_EQ(patched.body["enabled"], false);
  EXPECT_EQ(patched.body["state"], "disabled");
  EXPECT_EQ(patched.body["schedule"]["interval"], "5m");
  EXPECT_EQ(patched.body["schedule"]["full_every"], made.body["schedule"]["full_every"]) << "what the patch does not name stays";
  EXPECT_EQ(patched.body["settings"], made.body["settings"]);

  EXPECT_EQ(world.root().del(base + "/corp").status, 204);
  EXPECT_EQ(world.root().get(base + "/corp").status, 404);
  EXPECT_EQ(world.root().del(base + "/corp").status, 404);
}

TEST(Sources, IfMatchKeepsTwoEditorsApart) {
  auto& world = World::shared();
  const auto base = "/v1/tenants/" + world.tenant() + "/sources";
  const auto made = world.root().post(base, ldap_source());
  const auto first = made.header("etag");
  const auto one = world.root().patch(base + "/corp", {{"schedule", {{"interval", "1m"}}}}, {{"If-Match", first}});
  ASSERT_EQ(one.status, 200) << one.text;
  EXPECT_NE(one.header("etag"), first);
  for (const auto& stale : {first, std::string("\"0\""), std::string("5"), std::string("W/\"1\""), std::string("\"x\"")}) {
    const auto refused = world.root().patch(base + "/corp", {{"schedule", {{"interval", "2m"}}}}, {{"If-Match", stale}});
    EXPECT_EQ(refused.status, 412) << stale;
    EXPECT_EQ(refused.code(), "stale_version");
  }
  auto whole = ldap_source();
  EXPECT_EQ(world.root().put(base + "/corp", whole, {{"If-Match", first}}).status, 412);
  EXPECT_EQ(world.root().del(base + "/corp", {{"If-Match", first}}).status, 412);
  EXPECT_EQ(world.root().put(base + "/corp", whole, {{"If-Match", one.header("etag")}}).status, 200);
  EXPECT_EQ(world.root().patch(base + "/corp", {{"enabled", true}}, {{"If-Match", "*"}}).status, 200);
}

TEST(Sources, ASecretIsNeverReturnedAndStaysWhenNotTouched) {
  auto& world = World::shared();
  const auto tenant = world.tenant();
  const auto base = "/v1/tenants/" + tenant + "/sources";
  const auto made = world.root().post(base, ldap_source());
  ASSERT_EQ(made.status, 201) << made.text;
  EXPECT_EQ(made.body["settings"]["bind_password"], json({{"set", true}}));
  const auto stored = [&] {
    return *world.secrets->open_settings(world.store->source(TenantId{tenant}, "corp")->settings,
                                         std::array<std::string_view, 1>{"/bind_password"});
  };
  EXPECT_NE(stored().find("hunter2-secret"), std::string::npos);
  EXPECT_EQ(world.store->source(TenantId{tenant}, "corp")->settings.find("hunter2-secret"), std::string::npos) << "sealed at rest";

  auto back = ldap_source();
  back["settings"]["bind_password"] = {{"set", true}};
  EXPECT_EQ(world.root().put(base + "/corp", back).status, 200);
  EXPECT_NE(stored().find("hunter2-secret"), std::string::npos);
  EXPECT_EQ(world.root().patch(base + "/corp", {{"settings", {{"bind_password", {{"value", "another-secret"}}}}}}).status, 200);
  EXPECT_NE(stored().find("another-secret"), std::string::npos);

  for (const auto& answer : {made, world.root().get(base), world.root().get(base + "/corp"),
                             world.root().get("/v1/tenants/" + tenant + "/status"), world.root().post(base + "/corp/test")}) {
    EXPECT_EQ(answer.text.find("hunter2"), std::string::npos);
    EXPECT_EQ(answer.text.find("another-secret"), std::string::npos);
    EXPECT_EQ(answer.text.find("sealed"), std::string::npos);
  }
  auto broken = ldap_source("other");
  broken["settings"]["users"] = "hunter2-secret";
  EXPECT_EQ(world.root().post(base, broken).text.find("hunter2"), std::string::npos) << "nor in an error";
}

TEST(Sources, MistakesAreNamedByTheirPath) {
  auto& world = World::shared();
  const auto base = "/v1/tenants/" + world.tenant() + "/sources";
  const auto refused = [&](auto change, std::string_view path, int status = 400) {
    auto source = ldap_source();
    change(source);
    const auto answer = world.root().post(base, source);
    EXPECT_EQ(answer.status, status) << source << answer.text;
    EXPECT_NE(answer.text.find(path), std::string::npos) << answer.text;
  };
  refused([](json& s) { s["name"] = "Corp!"; }, "name");
  refused([](json& s) { s.erase("settings"); }, "settings");
  refused([](json& s) { s["colour"] = "red"; }, "colour");
  refused([](json& s) { s["type"] = "nis"; }, "nis", 422);
  refused([](json& s) { s["schedule"]["interval"] = "15"; }, "schedule.interval");
  refused([](json& s) { s["guard"]["percent"] = 99; }, "guard.percent");
  refused([](json& s) { s["role_mappings"] = json::array({json{{"group", "x"}}}); }, "role_mappings[0]");
  refused([](json& s) { s["settings"]["url"] = "ldap://ldap.acme.example"; }, "");
  refused([](json& s) { s["settings"]["bind_password"] = "plain"; }, "bind_password");
  refused([](json& s) { s["settings"]["bind_password"] = {{"set", true}}; }, "bind_password");
  refused([](json& s) { s["settings"]["bind_password"] = {{"file", "/nowhere/at/all"}}; }, "/nowhere/at/all");
  EXPECT_EQ(world.root().get(base).body["items"].size(), 0u) << "nothing was stored";
}

TEST(Sources, WhoDecidesWhatIsReadMustHoldAdmin) {
  auto& world = World::shared();
  const auto ada = world.person("ada");
  const auto tenant = world.tenant_where(ada, R"({"SOURCE":["CREATE","READ","UPDATE","DELETE"],"BINDING":["READ"]})");
  const auto base = "/v1/tenants/" + tenant + "/sources";
  const auto refused = world.as(ada).post(base, ldap_source());
  EXPECT_EQ(refused.status, 403);
  EXPECT_EQ(refused.code(), "escalation");
  ASSERT_EQ(world.root().post(base, ldap_source()).status, 201);
  EXPECT_EQ(world.as(ada).get(base + "/corp").status, 200);
  EXPECT_EQ(world.as(ada).patch(base + "/corp", {{"enabled", false}}).code(), "escalation");
  EXPECT_EQ(world.as(ada).put(base + "/corp", ldap_source()).code(), "escalation");

  const auto grace = world.person("grace");
  const auto hers = "/v1/tenants/" + world.tenant(&grace) + "/sources";
  EXPECT_EQ(world.as(grace).post(hers, ldap_source()).status, 201) << "the tenant's Admin may";
}

TEST(Sources, ATenantsAdminCannotReadTheHostOrCarryASecretAway) {
  auto& world = World::shared();
  const auto grace = world.person("grace");
  const auto base = "/v1/tenants/" + world.tenant(&grace) + "/sources";
  for (const json& secret : {json{{"file", "/etc/shadow"}}, json{{"env", "PATH"}}}) {
    auto source = ldap_source();
    source["settings"]["bind_password"] = secret;
    EXPECT_EQ(world.as(grace).post(base, source).code(), "forbidden") << secret;
  }
  ASSERT_EQ(world.as(grace).post(base, ldap_source()).status, 201);
  const auto moved = world.as(grace).patch(base + "/corp", {{"settings", {{"url", "ldaps://evil.example"}}}});
  EXPECT_EQ(moved.status, 422);
  EXPECT_EQ(moved.code(), "secret_required");
  EXPECT_EQ(world.as(grace)
                .patch(base + "/corp", {{"settings", {{"url", "ldaps://evil.example"}, {"bind_password", {{"value", "her own"}}}}}})
                .status,
            200);
  EXPECT_EQ(world.as(grace).patch(base + "/corp", {{"settings", {{"users", {{"base", "ou=staff,dc=acme"}}}}}}).status, 200)
      << "the secret may stay while the server does";
}

TEST(Sources, ATenantsAdminGivesCertificatesAsTextAndNamesNoFile) {
  auto& world = World::shared();
  const auto grace = world.person("grace");
  const auto base = "/v1/tenants/" + world.tenant(&grace) + "/sources";
  const PrivateCa ca(world.dir.file("grace-ca"));
  auto source = ldap_source();
  for (const char* path : {"/etc/shadow", "/nowhere/at/all", "/etc/ssl/certs/ca-certificates.crt"}) {
    source["settings"]["ca_file"] = path;
    const auto refused = world.as(grace).post(base, source);
    EXPECT_EQ(refused.status, 403) << "the same whether it is there or not: " << refused.text;
    EXPECT_EQ(refused.code(), "forbidden");
    EXPECT_NE(refused.text.find("ca_pem"), std::string::npos) << "it says what to do instead: " << refused.text;
  }
  source["settings"].erase("ca_file");
  source["settings"]["ca_pem"] = read_file(ca.ca_file());
  const auto made = world.as(grace).post(base, source);
  ASSERT_EQ(made.status, 201) << made.text;
  EXPECT_EQ(made.body["settings"]["ca_pem"], read_file(ca.ca_file())) << "certificates are public";
  EXPECT_EQ(world.as(grace).patch(base + "/corp", {{"settings", {{"ca_pem", "nothing"}}}}).status, 422)
      << "the password would go elsewhere";
  EXPECT_EQ(
      world.as(grace).patch(base + "/corp", {{"settings", {{"ca_pem", "nothing"}, {"bind_password", {{"value", "her own"}}}}}}).status,
      400);
  EXPECT_EQ(world.as(grace).patch(base + "/corp", {{"settings", {{"ca_pem", nullptr}, {"ca_file", "/etc/shadow"}}}}).status, 403);

  // What a super admin has named stays while others change the rest.
  ASSERT_EQ(world.root().patch(base + "/corp", {{"settings", {{"ca_pem", nullptr}, {"ca_file", "/etc/rosterd/ca.pem"}}}}).status, 200);
  EXPECT_EQ(world.as(grace).patch(base + "/corp", {{"schedule", {{"interval", "1h"}}}}).status, 200);
  EXPECT_EQ(world.as(grace).patch(base + "/corp", {{"settings", {{"ca_file", "/etc/rosterd/other.pem"}}}}).status, 403);
}

TEST(Sources, DeletingOneNeverLeavesATenantWithoutAnAdminButForASuperAdmin) {
  auto& world = World::shared();
  const auto grace = world.person("grace");
  const auto tenant = world.tenant(&grace);
  const auto base = "/v1/tenants/" + tenant + "/sources";
  ASSERT_EQ(world.root().post(base, ldap_source()).status, 201);
  const TenantId id{tenant};
  const auto source = *world.store->source(id, "corp");
  // Her user becomes one of the directory's, the only Admin there is.
  PrivatePostgres::shared().query(
      world.database, fmt::format("UPDATE rosterd.tenant_user SET source_id = {}, external_id = 'id-grace' WHERE id = {}", source.id.value,
                                  world.user_of(grace, tenant).value));
  EXPECT_EQ(world.as(grace).del(base + "/corp").code(), "owns_active_objects");
  const auto refused = world.as(grace).del(base + "/corp?force=true");
  EXPECT_EQ(refused.status, 409) << refused.text;
  EXPECT_EQ(refused.code(), "last_admin");
  EXPECT_EQ(world.as(grace).get(base + "/corp").status, 200);
  EXPECT_EQ(world.root().del(base + "/corp").code(), "owns_active_objects") << "a super admin says force, too";
  EXPECT_EQ(world.root().del(base + "/corp?force=true").status, 204);
}

TEST(Sources, ASourceKeepsItsType) {
  auto& world = World::shared();
  const auto base = "/v1/tenants/" + world.tenant() + "/sources";
  ASSERT_EQ(world.root().post(base, ldap_source()).status, 201);
  EXPECT_NE(world.root().patch(base + "/corp", {{"type", "oidc"}}).status, 200);
  EXPECT_EQ(world.root().patch(base + "/corp", {{"id", "src_1"}}).status, 400);
  EXPECT_EQ(world.root().patch(base + "/corp", {{"name", nullptr}}).status, 400);
}

TEST(Sources, TestSaysInWordsWhatIsWrong) {
  auto& world = World::shared();
  const auto base = "/v1/tenants/" + world.tenant() + "/sources";
  auto source = ldap_source();
  source["settings"]["url"] = fmt::format("ldap://127.0.0.1:{}", free_port());
  source["settings"]["allow_plaintext"] = true;
  ASSERT_EQ(world.root().post(base, source).status, 201);
  const auto result = world.root().post(base + "/corp/test");
  ASSERT_EQ(result.status, 200) << result.text;
  EXPECT_EQ(result.body["ok"], false);
  ASSERT_FALSE(result.body["findings"].empty());
  bool any = false;
  for (const auto& finding : result.body["findings"]) any = any || (finding["ok"] == false && !finding["text"].get<std::string>().empty());
  EXPECT_TRUE(any) << result.text;
  EXPECT_EQ(world.root().post(base + "/none/test").status, 404);
  EXPECT_EQ(world.root().post(base + "/corp/test", {{"settings", json::object()}}).status, 400);
}

}  // namespace
}  // namespace rosterd::test
