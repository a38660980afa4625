// Users as a provider pushes them: created, found, changed, suspended, gone, come back; and who may push at all.
#include "tests/http/scim/pusher.hpp"

namespace rosterd::test {
namespace {

TEST_F(Pushing, AUserIsCreatedAndReadBackAsItWasSent) {
  const auto answer = push("POST", "/Users",
                           {{"schemas", {kUserUrn, kEnterpriseUrn}},
                            {"userName", "Ada@Acme.example"},
                            {"externalId", "Ext-1"},
                            {"name", {{"givenName", "Ada"}, {"familyName", "Lovelace"}, {"middleName", "K"}}},
                            {"emails", json::array({{{"value", "Ada@Acme.example"}, {"type", "work"}, {"primary", true}}})},
                            {"phoneNumbers", json::array({{{"value", "+44 1"}, {"type", "mobile"}}})},
                            {"active", true},
                            {"password", "never kept"},
                            {"unheardOf", 7},
                            {kEnterpriseUrn, {{"department", "Engines"}, {"manager", "m-1"}}}});
  ASSERT_EQ(answer.status, 201) << answer.text;
  EXPECT_EQ(answer.header("content-type"), "application/scim+json");
  const auto id = answer.body["id"].get<std::string>();
  EXPECT_EQ(answer.header("location"), scim + "/Users/" + id);
  EXPECT_EQ(answer.header("etag"), "W/\"1\"");
  const auto got = push("GET", "/Users/" + id);
  ASSERT_EQ(got.status, 200) << got.text;
  EXPECT_EQ(got.body, answer.body);
  EXPECT_EQ(got.body["userName"], "Ada@Acme.example");
  EXPECT_EQ(got.body["name"]["middleName"], "K");
  EXPECT_EQ(got.body["phoneNumbers"][0]["value"], "+44 1");
  EXPECT_EQ(got.body[kEnterpriseUrn]["manager"]["value"], "m-1");
  EXPECT_EQ(got.body["meta"]["resourceType"], "User");
  EXPECT_FALSE(got.body.contains("password"));
  EXPECT_FALSE(got.body.contains("unheardOf"));
  EXPECT_EQ(got.text.find("never kept"), std::string::npos);

  const auto user = admin.get(path("/users/" + id));
  ASSERT_EQ(user.status, 200) << user.text;
  EXPECT_EQ(user.body["username"], "ada@acme.example");
  EXPECT_EQ(user.body["email"], "ada@acme.example");
  EXPECT_EQ(user.body["first_name"], "Ada");
  EXPECT_EQ(user.body["external_id"], "Ext-1");
  EXPECT_TRUE(user.body["origin"].contains("source"));
  EXPECT_EQ(history(id), (std::vector<std::string>{"created"}));
}

TEST_F(Pushing, AUserNameThatExistsInTheSourceIsAConflictWhateverItsCase) {
  push_user("ada", {{"externalId", "1"}});
  for (const auto& body : {json{{"userName", "ADA"}}, json{{"userName", "other"}, {"externalId", "1"}}}) {
    const auto answer = push("POST", "/Users", body);
    EXPECT_EQ(answer.status, 409) << answer.text;
    EXPECT_EQ(answer.body["scimType"], "uniqueness");
    EXPECT_EQ(answer.body["status"], "409");
    EXPECT_EQ(answer.body["schemas"][0], "urn:ietf:params:scim:api:messages:2.0:Error");
  }
  // externalId is compared exactly, and local users and other sources are other people (S31, S32).
  push_user("bob", {{"externalId", "e"}});
  push_user("eve", {{"externalId", "E"}});
  user("carl");
  push_user("carl");
}

TEST_F(Pushing, ActiveFalseSuspendsAndTrueResumesTheSameUserWithTheSameRights) {
  const auto id = push_user("ada");
  bind(role("flows", {{"FLOW", {"READ"}}}), "user:" + id);
  push_user("bob"), push_user("eve"), push_user("mia");
  EXPECT_TRUE(may("user:" + id, "FLOW", "READ"));
  const auto off = patch("/Users/" + id, json::array({{{"op", "Replace"}, {"path", "active"}, {"value", "False"}}}));
  ASSERT_EQ(off.status, 200) << off.text;
  EXPECT_EQ(off.body["active"], false);
  EXPECT_FALSE(may("user:" + id, "FLOW", "READ"));
  EXPECT_EQ(admin.get(path("/users/" + id)).body["state"], "suspended");
  EXPECT_EQ(find("/Users", "userName eq \"ada\"")["totalResults"], 1) << "who is inactive is still there";
  EXPECT_EQ(find("/Users", "active eq false")["totalResults"], 1);
  const auto on = patch("/Users/" + id, json::array({{{"op", "replace"}, {"value", {{"active", true}}}}}));
  ASSERT_EQ(on.status, 200) << on.text;
  EXPECT_TRUE(may("user:" + id, "FLOW", "READ"));
  EXPECT_EQ(history(id), (std::vector<std::string>{"created", "suspended", "resumed"}));
}

TEST_F(Pushing, AnAdministratorsSuspensionIsNotLiftedByTheProvider) {
  const auto id = push_user("ada");
  ASSERT_EQ(admin.patch(path("/users/" + id), {{"state", "suspended"}}).status, 200);
  EXPECT_EQ(patch("/Users/" + id, json::array({{{"op", "replace"}, {"path", "active"}, {"value", true}}})).status, 200);
  EXPECT_EQ(admin.get(path("/users/" + id)).body["state"], "suspended");
}

// S54
TEST_F(Pushing, WhatTheProviderDeletesIsGoneForItAndComesBackUnderTheSameExternalIdOnly) {
  for (int i = 0; i < 9; ++i) push_user("extra" + std::to_string(i));
  const auto id = push_user("ada", {{"externalId", "1"}});
  bind(role("flows", {{"FLOW", {"READ"}}}), "user:" + id);
  ASSERT_EQ(push("DELETE", "/Users/" + id).status, 204);
  EXPECT_EQ(push("GET", "/Users/" + id).status, 404);
  EXPECT_EQ(push("DELETE", "/Users/" + id).status, 404);
  EXPECT_EQ(push("PATCH", "/Users/" + id, {{"Operations", json::array({{{"op", "add"}, {"path", "title"}, {"value", "x"}}})}}).status, 404);
  EXPECT_EQ(find("/Users", "userName eq \"ada\"")["totalResults"], 0);
  EXPECT_FALSE(may("user:" + id, "FLOW", "READ"));
  const auto other = push_user("ada");
  EXPECT_NE(other, id);
  EXPECT_FALSE(may("user:" + other, "FLOW", "READ")) << "the same name is somebody else";
  const auto back = push_user("ada2", {{"externalId", "1"}});
  EXPECT_EQ(back, id);
  EXPECT_TRUE(may("user:" + id, "FLOW", "READ"));
}

TEST_F(Pushing, PutReplacesAndSilenceNeitherResumesNorSuspends) {
  const auto id = push_user("ada", {{"title", "Countess"}, {"active", false}});
  const auto put = push("PUT", "/Users/" + id, {{"userName", "ada"}, {"nickName", "A"}, {"id", "something else"}});
  ASSERT_EQ(put.status, 200) << put.text;
  EXPECT_FALSE(put.body.contains("title"));
  EXPECT_EQ(put.body["nickName"], "A");
  EXPECT_EQ(put.body["id"], id);
  EXPECT_EQ(put.body["active"], false);
  EXPECT_EQ(put.header("etag"), "W/\"2\"");
  EXPECT_EQ(push("PUT", "/Users/" + id, {{"nickName", "A"}}).status, 400);
}

TEST_F(Pushing, EtagsGuardChangesAndSpareReads) {
  const auto id = push_user("ada");
  EXPECT_EQ(push("GET", "/Users/" + id, nullptr, {{"If-None-Match", "W/\"1\""}}).status, 304);
  EXPECT_EQ(push("PUT", "/Users/" + id, {{"userName", "ada"}, {"title", "x"}}, {{"If-Match", "W/\"1\""}}).status, 200);
  const auto stale = push("PUT", "/Users/" + id, {{"userName", "ada"}, {"title", "y"}}, {{"If-Match", "W/\"1\""}});
  EXPECT_EQ(stale.status, 412) << stale.text;
  EXPECT_EQ(stale.body["status"], "412");
  EXPECT_EQ(push("DELETE", "/Users/" + id, nullptr, {{"If-Match", "W/\"1\""}}).status, 412);
  EXPECT_EQ(push("GET", "/Users/" + id, nullptr, {{"If-None-Match", "W/\"1\""}}).status, 200);
}

TEST_F(Pushing, AChangeThatChangesNothingMovesNothing) {
  const auto id = push_user("ada", {{"title", "x"}});
  const auto again = patch("/Users/" + id, json::array({{{"op", "replace"}, {"path", "title"}, {"value", "x"}}}));
  EXPECT_EQ(again.status, 200);
  EXPECT_EQ(again.header("etag"), "W/\"1\"");
  EXPECT_EQ(history(id), (std::vector<std::string>{"created"}));
}

TEST_F(Pushing, ListsAreFilteredSortedAndPagedByIndexAndByCursor) {
  for (const char* name : {"eve", "Ada", "bob", "dan", "carl"}) push_user(name, {{"title", name[0] == 'b' ? "x" : "y"}});
  auto page = push("GET", "/Users?sortBy=userName&startIndex=2&count=2").body;
  EXPECT_EQ(page["totalResults"], 5);
  EXPECT_EQ(page["startIndex"], 2);
  ASSERT_EQ(page["itemsPerPage"], 2);
  EXPECT_EQ(page["Resources"][0]["userName"], "bob");
  EXPECT_EQ(page["Resources"][1]["userName"], "carl");
  page = push("GET", "/Users?sortBy=userName&sortOrder=descending&count=1").body;
  EXPECT_EQ(page["Resources"][0]["userName"], "eve");
  EXPECT_EQ(push("GET", "/Users?count=0").body["totalResults"], 5);
  EXPECT_EQ(push("GET", "/Users?count=0").body["Resources"].size(), 0u);
  EXPECT_EQ(push("GET", "/Users?startIndex=-4&count=2").body["startIndex"], 1);
  for (const auto& sort : {std::string(), std::string("&sortBy=userName"), "&filter=" + encoded("title eq \"y\" or title eq \"x\"")}) {
    std::set<std::string> seen;
    std::string cursor;
    int pages = 0;
    do {
      const auto answer = push("GET", "/Users?count=2&cursor=" + cursor + sort);
      ASSERT_EQ(answer.status, 200) << answer.text;
      for (const auto& one : answer.body["Resources"]) EXPECT_TRUE(seen.insert(one["userName"]).second);
      cursor = answer.body.value("nextCursor", "");
    } while (!cursor.empty() && ++pages < 10);
    EXPECT_EQ(seen.size(), 5u) << sort;
  }
  const auto bad = push("GET", "/Users?cursor=nonsense");
  EXPECT_EQ(bad.status, 400);
  EXPECT_EQ(bad.body["scimType"], "invalidCursor");
}

TEST_F(Pushing, FiltersOfTheWholeGrammarAreUnderstood) {
  push_user("ada", {{"externalId", "E1"},
                    {"emails", json::array({{{"value", "ada@work"}, {"type", "work"}}, {{"value", "ada@home"}, {"type", "home"}}})},
                    {"name", {{"familyName", "Lovelace"}}}});
  push_user("bob", {{"title", "Sir"}, {kEnterpriseUrn, {{"department", "D"}}}});
  const std::pair<const char*, int> kCases[] = {
      {"userName eq \"ADA\"", 1},
      {"USERNAME Eq \"ada\"", 1},
      {"externalId eq \"E1\"", 1},
      {"externalId eq \"e1\"", 0},
      {"userName ne \"ada\"", 1},
      {"userName co \"d\"", 1},
      {"userName sw \"a\" or userName ew \"b\"", 2},
      {"title pr", 1},
      {"not (title pr)", 1},
      {"emails[type eq \"work\"].value eq \"ada@work\"", 1},
      {"emails[type eq \"work\"].value eq \"ada@home\"", 0},
      {"emails[type eq \"home\" and value co \"@home\"]", 1},
      {"emails.value eq \"ada@home\"", 1},
      {"emails eq \"ada@home\"", 1},
      {"name.familyName gt \"a\" and name.familyName lt \"m\"", 1},
      {"meta.created ge \"2020-01-01T00:00:00Z\"", 2},
      {"meta.lastModified lt \"2020-01-01T00:00:00Z\"", 0},
      {"active eq true and (userName eq \"ada\" or userName eq \"bob\")", 2},
      {"active eq \"True\"", 2},
      {"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department eq \"d\"", 1},
      {"urn:ietf:params:scim:schemas:core:2.0:User:userName eq \"ada\"", 1},
      {"id eq \"nobody\"", 0},
  };
  for (const auto& [filter, count] : kCases) EXPECT_EQ(find("/Users", filter)["totalResults"], count) << filter;
  for (const char* filter : {"userName", "userName eq", "userName xx \"a\"", "(userName eq \"a\"", "active gt true",
                             "userName eq \"a\" and", "emails[type eq \"work\"", "userName eq a"}) {
    const auto answer = push("GET", "/Users?filter=" + encoded(filter));
    EXPECT_EQ(answer.status, 400) << filter << answer.text;
    EXPECT_EQ(answer.body["scimType"], "invalidFilter") << filter;
  }
  const auto search = push("POST", "/.search", {{"filter", "userName sw \"a\""}, {"attributes", {"userName"}}});
  ASSERT_EQ(search.status, 200) << search.text;
  EXPECT_EQ(search.body["totalResults"], 1);
  EXPECT_FALSE(search.body["Resources"][0].contains("emails"));
}

TEST_F(Pushing, AttributesAreChosenAndLeftOut) {
  const auto id = push_user("ada", {{"title", "x"}, {"name", {{"givenName", "A"}, {"familyName", "B"}}}});
  auto one = push("GET", "/Users/" + id + "?attributes=name.givenName,TITLE").body;
  EXPECT_EQ(one["title"], "x");
  EXPECT_EQ(one["name"], (json{{"givenName", "A"}}));
  EXPECT_EQ(one["id"], id);
  EXPECT_FALSE(one.contains("userName"));
  one = push("GET", "/Users/" + id + "?excludedAttributes=title,name.familyName,id").body;
  EXPECT_FALSE(one.contains("title"));
  EXPECT_EQ(one["name"], (json{{"givenName", "A"}}));
  EXPECT_EQ(one["id"], id);
}

TEST_F(Pushing, OnlyTheSourcesOwnTokenOpensItsTenantsScim) {
  const auto there = push("GET", "/Users");
  ASSERT_EQ(there.status, 200) << there.text;
  const auto other_tenant = world.tenant(&boss);
  const auto elsewhere = "/t/" + other_tenant + "/scim/v2/Users";
  for (const auto& answer : {admin.get(scim + "/Users"), root.get(scim + "/Users"), world.nobody().get(scim + "/Users"),
                             provider.get(elsewhere), provider.get("/t/no-such-tenant/scim/v2/Users")}) {
    EXPECT_EQ(answer.status, 401) << answer.text;
    EXPECT_EQ(answer.body["status"], "401");
  }
  // And the token is nobody anywhere else.
  for (const char* elsewhere_path : {"/v1/me", "/v1/tenants"}) EXPECT_EQ(provider.get(elsewhere_path).status, 401);
  EXPECT_EQ(provider.get(path("/users")).status, 401);
}

TEST_F(Pushing, TokensOverlapAreRevokedAndSayWhenTheyWereUsed) {
  const auto second = world.as(token_of(source));
  EXPECT_EQ(second.get(scim + "/Users").status, 200);
  const auto listed = admin.get(path("/sources/" + source + "/tokens"));
  ASSERT_EQ(listed.body["items"].size(), 2u) << listed.text;
  EXPECT_FALSE(listed.body["items"][0].contains("token"));
  EXPECT_FALSE(listed.body["items"][1]["last_used_at"].is_null());
  EXPECT_EQ(push("GET", "/Users").status, 200);
  EXPECT_EQ(admin.del(path("/sources/" + source + "/tokens/" + listed.body["items"][0]["id"].get<std::string>())).status, 204);
  EXPECT_EQ(push("GET", "/Users").status, 401);
  EXPECT_EQ(second.get(scim + "/Users").status, 200);
  const auto limited = admin.post(path("/sources/" + source + "/tokens"), {{"name", "short"}, {"max_age", "30d"}});
  EXPECT_FALSE(limited.body["expires_at"].is_null());
}

// R81
TEST_F(Pushing, MakingATokenNeedsTenantWideAdmin) {
  const auto other = holder("sourcer", {{"SOURCE", {"READ", "UPDATE"}}});
  const auto answer = other.post(path("/sources/" + source + "/tokens"), {{"name", "x"}});
  EXPECT_EQ(answer.status, 403) << answer.text;
  EXPECT_EQ(answer.code(), "escalation");
}

TEST_F(Pushing, ADisabledSourceTakesNothing) {
  ASSERT_EQ(admin.patch(path("/sources/" + source), {{"enabled", false}}).status, 200);
  const auto answer = push("POST", "/Users", {{"userName", "ada"}});
  EXPECT_EQ(answer.status, 403) << answer.text;
  EXPECT_NE(answer.body["detail"].get<std::string>().find("disabled"), std::string::npos);
}

TEST_F(Pushing, ErrorsAreInTheWordsOfScim) {
  const auto expect = [&](const Answer& answer, int status, const char* type) {
    EXPECT_EQ(answer.status, status) << answer.text;
    EXPECT_EQ(answer.header("content-type"), "application/scim+json");
    EXPECT_EQ(answer.body["status"], std::to_string(status));
    EXPECT_TRUE(answer.body["detail"].is_string());
    EXPECT_EQ(answer.body.value("scimType", ""), type != nullptr ? type : "") << answer.text;
  };
  expect(push("GET", "/Users/nobody"), 404, nullptr);
  expect(push("GET", "/Nothing"), 404, nullptr);
  expect(push("DELETE", "/Users"), 405, nullptr);
  expect(push("POST", "/Bulk", {{"Operations", json::array()}}), 501, nullptr);
  expect(push("POST", "/Users", {{"name", {{"givenName", "x"}}}}), 400, "invalidValue");
  expect(push("POST", "/Users", {{"userName", 7}}), 400, "invalidValue");
  expect(push("POST", "/Users", {{"userName", "a"}, {"active", "perhaps"}}), 400, "invalidValue");
  expect(provider.call("POST", scim + "/Users", "{", {{"Content-Type", "application/scim+json"}}), 400, "invalidSyntax");
  expect(provider.call("POST", scim + "/Users", "{}", {{"Content-Type", "text/plain"}}), 415, nullptr);
}

TEST_F(Pushing, DiscoveryDescribesWhatIsThere) {
  const auto config = push("GET", "/ServiceProviderConfig");
  ASSERT_EQ(config.status, 200);
  EXPECT_EQ(config.body["patch"]["supported"], true);
  EXPECT_EQ(config.body["bulk"]["supported"], false);
  const auto schemas = push("GET", "/Schemas");
  EXPECT_EQ(schemas.body["totalResults"], 3);
  EXPECT_EQ(schemas.text.find("null"), std::string::npos);
  for (const auto& one : schemas.body["Resources"]) EXPECT_EQ(push("GET", "/Schemas/" + one["id"].get<std::string>()).body, one);
  EXPECT_EQ(push("GET", "/ResourceTypes").body["totalResults"], 2);
  EXPECT_EQ(push("GET", "/ResourceTypes/User").body["endpoint"], "/Users");
  EXPECT_EQ(push("GET", "/Schemas/nothing").status, 404);
}

}  // namespace
}  // namespace rosterd::test
