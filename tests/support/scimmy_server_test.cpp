#include "tests/support/scimmy_server.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/support/oidc_provider.hpp"

namespace rosterd::test {
namespace {

using nlohmann::json;

class ScimmyServerTest : public testing::Test {
 protected:
  void SetUp() override { ROSTERD_NEEDS("node"); }
};

WebAnswer get(const ScimmyServer& server, const std::string& path, const std::string& token) {
  return web({.url = server.url() + path, .headers = {{"Authorization", "Bearer " + token}}});
}

TEST_F(ScimmyServerTest, ServesGeneratedUsersInPagesAndGroupsWithMembers) {
  const ScimmyServer server({.users = 250, .groups = 12, .members = 3, .big_group = 120, .nested = true});
  const auto page = json::parse(get(server, "/Users?startIndex=201&count=100", server.token()).body);
  EXPECT_EQ(page.at("totalResults"), 250);
  EXPECT_EQ(page.at("startIndex"), 201);
  ASSERT_EQ(page.at("Resources").size(), 50u);
  EXPECT_EQ(page.at("Resources")[0].at("id"), "u-000201");
  EXPECT_EQ(page.at("Resources")[49].at("active"), false);
  EXPECT_EQ(json::parse(get(server, "/Users?count=1000", server.token()).body).at("Resources").size(), 200u);
  EXPECT_EQ(json::parse(get(server, "/Groups/g-0001", server.token()).body).at("members").size(), 120u);
  EXPECT_EQ(json::parse(get(server, "/Groups/g-0010", server.token()).body).at("members").back().at("value"), "g-0011");
  EXPECT_EQ(json::parse(get(server, "/Users?filter=userName%20eq%20%22user000007%22", server.token()).body).at("totalResults"), 1);
  EXPECT_EQ(
      json::parse(get(server, "/Users?filter=meta.lastModified%20gt%20%222099-01-01T00:00:00Z%22", server.token()).body).at("totalResults"),
      0);
  EXPECT_EQ(get(server, "/Users", "wrong").status, 401);
  EXPECT_EQ(server.requests("GET /scim/v2/Users"), 5);
}

TEST_F(ScimmyServerTest, ChangesBehindTheApiAreSeen) {
  const ScimmyServer server({.users = 3});
  const auto before = json::parse(get(server, "/Users/u-000001", server.token()).body);
  server.put_user(R"({"id":"u-000001","userName":"renamed","active":true})");
  server.put_group(R"({"id":"g-x","displayName":"X","members":[{"value":"u-000001","type":"User"}]})");
  const auto after = json::parse(get(server, "/Users/u-000001", server.token()).body);
  EXPECT_EQ(after.at("userName"), "renamed");
  EXPECT_EQ(after.at("groups")[0].at("value"), "g-x");
  EXPECT_GE(after.at("meta").at("lastModified"), before.at("meta").at("lastModified"));
  server.remove_user("u-000002");
  EXPECT_EQ(get(server, "/Users/u-000002", server.token()).status, 404);
  server.load(R"({"users":[{"id":"only","userName":"only"}]})");
  EXPECT_EQ(json::parse(get(server, "/Users", server.token()).body).at("totalResults"), 1);
}

TEST_F(ScimmyServerTest, TakesTokensOfAProviderAndNoOthers) {
  const OidcProvider provider, stranger;
  const ScimmyServer server(
      {.token = "", .jwks_url = provider.jwks_url(), .issuer = provider.issuer(), .audience = provider.audience(), .users = 1});
  EXPECT_EQ(get(server, "/Users", provider.client_credentials()).status, 200);
  EXPECT_EQ(get(server, "/Users", stranger.client_credentials()).status, 401);
  EXPECT_EQ(get(server, "/Users", provider.sign(R"({"aud":"elsewhere"})")).status, 401);
  EXPECT_EQ(get(server, "/Users", "").status, 401);
  provider.rotate();
  EXPECT_EQ(get(server, "/Users", provider.client_credentials()).status, 200);
}

TEST_F(ScimmyServerTest, LetsClientsCreatePatchAndDelete) {
  const ScimmyServer server;
  const auto call = [&](const std::string& method, const std::string& path, const std::string& body) {
    return web({.method = method,
                .url = server.url() + path,
                .headers = {{"Authorization", "Bearer " + server.token()}, {"Content-Type", "application/scim+json"}},
                .body = body});
  };
  const auto made = call("POST", "/Users", R"({"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"ada"})");
  ASSERT_EQ(made.status, 201) << made.body;
  const auto id = json::parse(made.body).at("id").get<std::string>();
  EXPECT_EQ(call("POST", "/Users", R"({"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"ADA"})").status, 409);
  const auto patched = call(
      "PATCH", "/Users/" + id,
      R"({"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"replace","path":"active","value":false}]})");
  EXPECT_EQ(json::parse(patched.body).at("active"), false) << patched.body;
  EXPECT_EQ(call("DELETE", "/Users/" + id, "").status, 204);
}

}  // namespace
}  // namespace rosterd::test
