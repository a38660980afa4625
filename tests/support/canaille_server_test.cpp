#include "tests/support/canaille_server.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace rosterd::test {
namespace {

using nlohmann::json;

TEST(CanailleServerTest, ServesItsPeopleOverScimToTheClient) {
  ROSTERD_NEEDS("canaille");
  const CanailleServer server(25);
  const auto token = server.token();
  const auto get = [&](const std::string& path) {
    const auto answer = web({.url = server.scim_url() + path, .headers = {{"Authorization", "Bearer " + token}}});
    EXPECT_EQ(answer.status, 200) << answer.body << server.log();
    return json::parse(answer.body, nullptr, false);
  };
  const auto page = get("/Users?startIndex=21&count=10");
  EXPECT_EQ(page.at("totalResults"), 25);
  EXPECT_EQ(page.at("Resources").size(), 5u);
  const auto groups = get("/Groups");
  ASSERT_EQ(groups.at("Resources").size(), 2u);
  EXPECT_EQ(groups.at("Resources")[0].at("members").size() + groups.at("Resources")[1].at("members").size(), 28u);
  EXPECT_EQ(web({.url = server.scim_url() + "/Users"}).status, 401);
}

}  // namespace
}  // namespace rosterd::test
