#include "tests/support/keycloak_server.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace rosterd::test {
namespace {

using nlohmann::json;

TEST(KeycloakServerTest, ServesItsRealmToTheServiceAccountAndComesBackWithItsData) {
  ROSTERD_NEEDS("keycloak");
  KeycloakServer server;
  RecordProperty("start_ms", static_cast<int>(server.start_time().count()));
  const auto token = server.service_token();
  const auto get = [&](const std::string& path) {
    const auto answer = web({.url = server.admin_url() + path, .headers = {{"Authorization", "Bearer " + token}}});
    EXPECT_EQ(answer.status, 200) << path << ": " << answer.body;
    return json::parse(answer.body, nullptr, false);
  };
  EXPECT_EQ(get("/users/count"), 5003);  // ada, bob and the administrator too; service accounts are not counted
  EXPECT_EQ(get("/users?username=user00100&exact=true").at(0).at("enabled"), false);
  const auto groups = get("/groups?max=1000");
  EXPECT_EQ(groups.size(), 41u);
  const auto id_of = [](const json& list, const std::string& name) {
    for (const auto& one : list)
      if (one.at("name") == name) return one.at("id").get<std::string>();
    return std::string("none");
  };
  const auto team = id_of(groups, "team01");
  EXPECT_EQ(get("/groups/" + team + "/children").size(), 10u);
  const auto children = get("/groups/" + team + "/children?max=100");
  EXPECT_EQ(children.size(), 15u);
  const auto desks = get("/groups/" + id_of(children, "unit01") + "/children");
  ASSERT_EQ(desks.size(), 2u);
  EXPECT_EQ(get("/groups/" + id_of(desks, "desk1") + "/members").size(), 1u);
  const auto everybody = id_of(groups, "everybody");
  EXPECT_EQ(get("/groups/" + everybody + "/members?max=5000").size(), 3000u);

  const auto adas = json::parse(web({.url = server.issuer() + "/protocol/openid-connect/userinfo",
                                     .headers = {{"Authorization", "Bearer " + server.person_token("ada")}}})
                                    .body);
  EXPECT_EQ(adas.at("preferred_username"), "ada");

  const auto ada = json::parse(server.admin("GET", "/users?username=ada&exact=true").body).at(0).at("id").get<std::string>();
  server.admin("PUT", "/users/" + ada, R"({"username":"ada","email":"ada@example.test","enabled":false,"firstName":"A","lastName":"B"})");
  EXPECT_FALSE(get("/admin-events?resourceTypes=USER").empty());
  EXPECT_THROW((void)server.person_token("ada"), std::runtime_error);

  server.stop();
  server.start();
  EXPECT_EQ(json::parse(server.admin("GET", "/users/" + ada).body).at("enabled"), false);
}

}  // namespace
}  // namespace rosterd::test
