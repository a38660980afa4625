#pragma once
// A tenant with a pushing source, and the provider's side of it: what SCIM tests are told in.
#include "tests/http/administration.hpp"

namespace rosterd::test {

inline constexpr const char* kUserUrn = "urn:ietf:params:scim:schemas:core:2.0:User";
inline constexpr const char* kGroupUrn = "urn:ietf:params:scim:schemas:core:2.0:Group";
inline constexpr const char* kEnterpriseUrn = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

class Pushing : public Administration {
 protected:
  void SetUp() override {
    Administration::SetUp();
    make_source("entra", json::array());
  }
  void make_source(const std::string& name, const json& mappings) {
    source = name;
    json body{{"name", name}, {"type", "scim_push"}, {"settings", json::object()}};
    if (!mappings.empty()) body["role_mappings"] = mappings;
    const auto answer = admin.post(path("/sources"), body);
    ASSERT_EQ(answer.status, 201) << answer.text;
    provider = world.as(token_of(name));
    scim = "/t/" + tenant + "/scim/v2";
  }
  std::string token_of(const std::string& name) const {
    const auto made = admin.post(path("/sources/" + name + "/tokens"), {{"name", "provider"}});
    EXPECT_EQ(made.status, 201) << made.text;
    return made.status == 201 ? made.body["token"].get<std::string>() : std::string();
  }
  Answer push(const std::string& method, const std::string& below, const json& body = nullptr, const Headers& headers = {}) const {
    auto all = headers;
    if (!body.is_null()) all.emplace_back("Content-Type", "application/scim+json");
    return provider.call(method, scim + below, body.is_null() ? std::string() : body.dump(), all);
  }
  std::string push_user(const std::string& name, json more = json::object()) const {
    more["schemas"] = {kUserUrn};
    more["userName"] = name;
    const auto answer = push("POST", "/Users", more);
    EXPECT_EQ(answer.status, 201) << answer.text;
    return answer.status == 201 ? answer.body["id"].get<std::string>() : std::string();
  }
  std::string push_group(const std::string& name, json more = json::object()) const {
    more["schemas"] = {kGroupUrn};
    more["displayName"] = name;
    const auto answer = push("POST", "/Groups", more);
    EXPECT_EQ(answer.status, 201) << answer.text;
    return answer.status == 201 ? answer.body["id"].get<std::string>() : std::string();
  }
  Answer patch(const std::string& below, const json& operations) const {
    return push("PATCH", below, {{"schemas", {"urn:ietf:params:scim:api:messages:2.0:PatchOp"}}, {"Operations", operations}});
  }
  json find(const std::string& below, const std::string& filter) const {
    const auto answer = push("GET", below + "?filter=" + encoded(filter));
    EXPECT_EQ(answer.status, 200) << filter << "\n" << answer.text;
    return answer.body;
  }
  std::vector<std::string> members(const std::string& group) const {
    std::vector<std::string> out;
    const auto answer = push("GET", "/Groups/" + group);
    EXPECT_EQ(answer.status, 200) << answer.text;
    for (const auto& one : answer.body["members"]) out.push_back(one["value"]);
    return out;
  }
  json status() const {
    const auto answer = admin.get(path("/status"));
    for (const auto& one : answer.body["items"])
      if (one["source"]["name"] == source) return one;
    return nullptr;
  }

  std::string source, scim;
  Client provider{0, {}};
};

}  // namespace rosterd::test
