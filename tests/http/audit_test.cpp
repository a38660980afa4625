// The audit log over HTTP: who may read it, what its filters and formats give, and what never stands in it.
#include <functional>
#include <set>
#include <sstream>

#include "daemon/http/token.hpp"
#include "tests/http/sockets.hpp"
#include "tests/http/world.hpp"

namespace rosterd::test {
namespace {

using nlohmann::json;

struct AuditApi : testing::Test {
  World& world = World::shared();
  std::string tenant = world.tenant();
  std::string base = "/v1/tenants/" + tenant;

  json items(const std::string& query = {}) const {
    const auto answer = world.root().get(base + "/audit" + query);
    EXPECT_EQ(answer.status, 200) << answer.text;
    return answer.body.value("items", json::array());
  }
  std::string user(const std::string& name) const {
    const auto made = world.root().post(base + "/users", {{"username", name}});
    EXPECT_EQ(made.status, 201) << made.text;
    return made.body.value("id", "");
  }
};

std::vector<std::string> lines(const std::string& text) {
  std::vector<std::string> out;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) out.push_back(line);
  return out;
}

TEST_F(AuditApi, AnEntryTellsWhoDidWhatFromWhereAndWhatItWasBefore) {  // R106:
  const auto ada = user("ada");
  ASSERT_EQ(world.root().call("PATCH", base + "/users/" + ada, R"({"first_name":"Ada"})", {{"X-Request-ID", "here-1"}}).status, 200);
  const auto all = items();
  ASSERT_EQ(all.size(), 3u);
  const auto& last = all[0];
  EXPECT_EQ(last["action"], "changed");
  EXPECT_EQ(last["tenant"], tenant);
  EXPECT_EQ(last["actor"]["type"], "account");
  EXPECT_EQ(last["actor"]["name"], world.root_email);
  EXPECT_TRUE(last["by"].get<std::string>().starts_with("token tok_"));
  EXPECT_EQ(last["ip"], "127.0.0.1");
  EXPECT_EQ(last["request_id"], "here-1");
  EXPECT_EQ(last["object"], json({{"type", "user"}, {"id", ada}, {"name", "ada"}}));
  EXPECT_EQ(last["before"]["first_name"], "");
  EXPECT_EQ(last["after"]["first_name"], "Ada");
  EXPECT_TRUE(last["run"].is_null());
  EXPECT_FALSE(last["revision"].is_null());
}

TEST_F(AuditApi, FiltersAreHonouredAndWrongOnesAreNamed) {  // R109:
  const auto ada = user("ada"), bob = user("bob");
  EXPECT_EQ(items("?object=" + ada).size(), 1u);
  EXPECT_EQ(items("?type=user&action=created").size(), 2u);
  EXPECT_EQ(items("?type=user&action=deleted").size(), 0u);
  EXPECT_EQ(items("?actor=" + encoded(world.root_email)).size(), 3u);
  EXPECT_EQ(items("?actor=nobody%40example.org").size(), 0u);
  EXPECT_EQ(items("?since=2099-01-01T00:00:00Z").size(), 0u);
  EXPECT_EQ(items("?until=2099-01-01T00:00:00Z").size(), 3u);
  for (const auto* wrong : {"since=yesterday", "until=1", "format=xml", "actor=", "object=", "format=csv&limit=5", "format=jsonl&cursor=1.",
                            "who=me", "cursor=zz", "limit=0"}) {
    const auto answer = world.root().get(base + "/audit?" + wrong);
    EXPECT_EQ(answer.status, 400) << wrong << answer.text;
    const std::string named(wrong);
    EXPECT_NE(answer.text.find(named.find("&") == std::string::npos ? named.substr(0, named.find('=')) : "jsonl and csv"),
              std::string::npos)
        << answer.text;
  }
  const auto first = world.root().get(base + "/audit?limit=2");
  ASSERT_EQ(first.body["items"].size(), 2u);
  const auto rest = world.root().get(base + "/audit?limit=2&cursor=" + encoded(first.body["next"].get<std::string>()));
  ASSERT_EQ(rest.body["items"].size(), 1u);
  EXPECT_EQ(rest.body["items"][0]["object"]["type"], "tenant");
  EXPECT_TRUE(rest.body["next"].is_null());
}

TEST_F(AuditApi, TheTenantsLogNeedsItsPairAndTheInstancesASuperAdmin) {  // R109:
  const auto reader = world.person("reader"), other = world.person("other"), stranger = world.person("stranger");
  const auto place = world.tenant_where(reader, R"({"AUDITLOG":["READ"]})");
  const auto elsewhere = world.tenant_where(other, R"({"AUDITLOG":["CREATE"],"USER":["READ"]})");
  EXPECT_EQ(world.as(reader).get("/v1/tenants/" + place + "/audit").status, 200);
  EXPECT_EQ(world.as(other).get("/v1/tenants/" + elsewhere + "/audit").status, 403);
  EXPECT_EQ(world.as(other).get("/v1/tenants/" + elsewhere + "/audit?format=csv").status, 403);
  EXPECT_EQ(world.as(stranger).get("/v1/tenants/" + place + "/audit").status, 404);
  EXPECT_EQ(world.as(reader).get("/v1/audit").status, 403);
  EXPECT_EQ(world.nobody().get("/v1/audit").status, 401);

  const auto all = world.root().get("/v1/audit?limit=1000");
  ASSERT_EQ(all.status, 200);
  std::set<std::string> tenants;
  for (const auto& entry : all.body["items"]) tenants.insert(entry["tenant"].is_null() ? "none" : entry["tenant"].get<std::string>());
  EXPECT_TRUE(tenants.contains(place));
  EXPECT_TRUE(tenants.contains(elsewhere));
  EXPECT_EQ(all.body["items"][0]["id"].get<std::string>() > all.body["items"][1]["id"].get<std::string>(), true);
}

TEST_F(AuditApi, AnExportStreamsEverythingAsJsonLinesOrCsv) {  // R109:
  for (int i = 0; i < 30; ++i) user(fmt::format("p{}", i));
  const auto jsonl = world.root().get(base + "/audit?format=jsonl");
  ASSERT_EQ(jsonl.status, 200);
  EXPECT_EQ(jsonl.header("content-type"), "application/jsonl");
  const auto all = lines(jsonl.text);
  ASSERT_EQ(all.size(), 31u);
  const auto page = items("?limit=1000");
  for (std::size_t i = 0; i < all.size(); ++i) EXPECT_EQ(json::parse(all[i]), page[i]);

  const auto csv = world.root().get(base + "/audit?format=csv&type=user");
  ASSERT_EQ(csv.status, 200);
  EXPECT_TRUE(csv.header("content-type").starts_with("text/csv"));
  const auto rows = lines(csv.text);
  ASSERT_EQ(rows.size(), 31u) << "a header and a row each";
  EXPECT_EQ(rows[0],
            "id,at,tenant,actor_type,actor_id,actor_name,by,ip,request_id,action,object_type,object_id,object_name,before,after,reason,run,"
            "revision\r");
  EXPECT_NE(rows[1].find(",created,user,"), std::string::npos);
  EXPECT_NE(rows[1].find(R"(,"{""email"")"), std::string::npos) << "quotes are doubled: " << rows[1];
}

TEST_F(AuditApi, AnExportOfThousandsIsSentInPieces) {
  PrivatePostgres::shared().query(
      world.database,
      "INSERT INTO rosterd.audit (tenant_id, tenant, action) SELECT tenant_id, id, 'noise' FROM rosterd.tenant, "
      "generate_series(1, 2500) WHERE id = '" +
          tenant + "'");
  EXPECT_EQ(lines(world.root().get(base + "/audit?format=jsonl").text).size(), 2501u);
  EXPECT_EQ(lines(world.root().get(base + "/audit?format=csv&action=noise").text).size(), 2501u);
}

TEST_F(AuditApi, ACellThatASpreadsheetWouldCalculateIsText) {
  for (const auto* name : {"=1+1", "+1", "-1", "@sum(a1)"}) {
    ASSERT_EQ(world.root().post(base + "/groups", {{"name", name}}).status, 201);
    const auto rows = lines(world.root().get(base + "/audit?format=csv&type=group").text);
    EXPECT_NE(rows[1].find(fmt::format(",\"'{}\",", name)), std::string::npos) << rows[1];
  }
  ASSERT_EQ(world.root().post(base + "/groups", {{"name", "a, \"b\""}}).status, 201);
  EXPECT_NE(lines(world.root().get(base + "/audit?format=csv&type=group").text)[1].find(R"(,"a, ""b""",)"), std::string::npos);
}

TEST_F(AuditApi, NoSecretThatWasEverUsedStandsInTheLog) {  // R55: R106:
  World own;
  own.set_up();
  std::vector<std::string> secrets{own.setup_secret, own.root_token, "pepper", "hunter2-of-the-directory"};
  const auto root = own.root();
  ASSERT_EQ(root.post("/v1/tenants", {{"id", "acme"}, {"name", "Acme"}}).status, 201);
  const auto mine = root.post("/v1/me/tokens", {{"name", "ci"}});
  ASSERT_EQ(mine.status, 201);
  secrets.push_back(mine.body["token"]);
  ASSERT_EQ(root.del("/v1/me/tokens/" + mine.body["id"].get<std::string>()).status, 204);
  ASSERT_EQ(root.post("/v1/tenants/acme/service-accounts", {{"name", "app"}}).status, 201);
  const auto token = root.post("/v1/tenants/acme/service-accounts/app/tokens", {{"name", "one"}});
  ASSERT_EQ(token.status, 201) << token.text;
  secrets.push_back(token.body["token"]);
  const json settings{{"url", "ldaps://ldap.acme.example"},
                      {"bind_dn", "cn=rosterd,dc=acme"},
                      {"bind_password", {{"value", "hunter2-of-the-directory"}}},
                      {"preset", "openldap"},
                      {"users", {{"base", "ou=people,dc=acme"}}}};
  ASSERT_EQ(root.post("/v1/tenants/acme/sources", {{"name", "corp"}, {"type", "ldap"}, {"settings", settings}}).status, 201);
  ASSERT_EQ(root.patch("/v1/tenants/acme/sources/corp", {{"settings", {{"bind_password", {{"value", "another-hunter2"}}}}}}).status, 200);
  secrets.emplace_back("another-hunter2");
  const auto changes = root.get("/v1/tenants/acme/audit?type=source&action=changed").body["items"];
  ASSERT_EQ(changes.size(), 1u);
  EXPECT_EQ(changes[0]["before"]["settings"]["url"], "ldaps://ldap.acme.example") << "what is no secret is told";
  EXPECT_EQ(changes[0]["after"]["settings"]["bind_password"], json({{"set", true}}));
  for (const auto* format : {"jsonl", "csv"})
    for (const auto* log : {"/v1/audit", "/v1/tenants/acme/audit"}) {
      const auto whole = root.get(std::string(log) + "?format=" + format).text;
      ASSERT_GE(lines(whole).size(), 5u);
      for (const auto& secret : secrets) {
        EXPECT_EQ(whole.find(secret), std::string::npos) << secret << " in " << log;
        EXPECT_EQ(whole.find(http::token_hash(secret, "pepper")), std::string::npos);
      }
      EXPECT_EQ(whole.find("sealed"), std::string::npos) << "not even sealed";
    }
}

TEST_F(AuditApi, AnExportEndsWithTheRightToIt) {  // R109:
  // Three pieces, each more than the kernel takes from us for a peer who does not read.
  (void)PrivatePostgres::shared().query(
      world.database, fmt::format("INSERT INTO rosterd.audit (tenant_id, tenant, action, after) SELECT tenant_id, id, 'noise', "
                                  "to_json(repeat('x', 20000))::text FROM rosterd.tenant, generate_series(1, 2500) WHERE id = '{}'",
                                  tenant));
  const auto export_by = [&](const Person& person, const std::function<void()>& meanwhile) {
    const Wire wire(world.server->port(), 4096);
    EXPECT_TRUE(wire.send(fmt::format(
        "GET {}/audit?format=csv HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\r\n", base, person.token)));
    auto got = wire.read_until("noise", 20'000);
    meanwhile();
    got += wire.read_all(20'000);
    return std::pair(count_of(",noise,", got), got.ends_with("0\r\n\r\n"));
  };
  const auto reader = world.person("reader");
  ASSERT_EQ(world.root().post(base + "/roles", {{"name", "Auditor"}, {"permissions", {{"AUDITLOG", {"READ"}}}}}).status, 201);
  const auto made = world.root().post(base + "/users", {{"account", text(reader.account)}});
  ASSERT_EQ(made.status, 201) << made.text;
  const auto bound =
      world.root().post(base + "/bindings", {{"role", "Auditor"}, {"principal", "user:" + made.body["id"].get<std::string>()}});
  ASSERT_EQ(bound.status, 201) << bound.text;
  EXPECT_EQ(export_by(reader, [] {}), std::pair(std::size_t{2500}, true));
  const auto [without_right, whole] =
      export_by(reader, [&] { EXPECT_EQ(world.root().del(base + "/bindings/" + bound.body["id"].get<std::string>()).status, 204); });
  EXPECT_LT(without_right, 2500u);
  EXPECT_FALSE(whole) << "cut off, so that nobody takes it for all";

  const auto admin = world.person("admin");
  ASSERT_EQ(world.root().put("/v1/accounts/" + text(admin.account) + "/super-admin", json::object()).status, 200);
  const auto [without_account, all] =
      export_by(admin, [&] { EXPECT_EQ(world.root().patch("/v1/accounts/" + text(admin.account), {{"enabled", false}}).status, 200); });
  EXPECT_LT(without_account, 2500u);
  EXPECT_FALSE(all);
}

}  // namespace
}  // namespace rosterd::test
