#pragma once
// A fresh tenant for each test of its administration, with the words these tests are told in.
#include <set>
#include <sstream>

#include "tests/http/world.hpp"

namespace rosterd::test {

using nlohmann::json;

inline constexpr const char* kManager =
    R"({"USER":["CREATE","READ","UPDATE","DELETE"],"GROUP":["CREATE","READ","UPDATE","DELETE"],"GROUP_MEMBERSHIP":["CREATE","READ","UPDATE","DELETE"],"ROLE":["CREATE","READ","UPDATE","DELETE"],"BINDING":["CREATE","READ","DELETE"],"SERVICE_ACCOUNT":["CREATE","READ","UPDATE","DELETE"],"TENANT_ACCESS":["CREATE","READ","DELETE"],"FLOW":["READ"]})";

/// A fresh tenant with its paths, seen by a super admin who is its Admin, and by a manager who holds all of IAM but only FLOW READ besides.
class Administration : public ::testing::Test {
 protected:
  void SetUp() override {
    boss = world.person("boss");
    tenant = world.tenant(&boss);
    at = "/v1/tenants/" + tenant;
    root = world.root();
    admin = world.as(boss);
  }
  std::string path(const std::string& below) const { return at + below; }
  /// Makes it with the tenant's Admin and gives its id.
  std::string made(const std::string& kind, const json& body) const {
    const auto answer = admin.post(path("/" + kind), body);
    EXPECT_EQ(answer.status, 201) << answer.text;
    return answer.status == 201 ? answer.body["id"].get<std::string>() : std::string();
  }
  std::string user(const std::string& name) const { return made("users", {{"username", name}}); }
  std::string group(const std::string& name) const { return made("groups", {{"name", name}}); }
  std::string role(const std::string& name, const json& permissions) const {
    return made("roles", {{"name", name}, {"permissions", permissions}});
  }
  std::string bind(const std::string& role_key, const std::string& principal, const json& ns = nullptr) const {
    return made("bindings", {{"role", role_key}, {"principal", principal}, {"namespace", ns}});
  }
  void join(const std::string& group_id, const std::string& member) const {
    const auto answer = admin.put(path("/groups/" + group_id + "/members/" + member), json::object());
    EXPECT_TRUE(answer.status == 201 || answer.status == 200) << answer.text;
  }
  std::string sql(const std::string& text) const {
    auto out = PrivatePostgres::shared().query(world.database, text);
    while (out.ends_with('\n')) out.pop_back();
    return out;
  }
  bool may(const std::string& subject, const std::string& permission, const std::string& action, const std::string& ns = {}) const {
    auto url = path("/check?subject=" + subject + "&permission=" + permission + "&action=" + action);
    if (!ns.empty()) url += "&namespace=" + ns;
    const auto answer = admin.get(url);
    EXPECT_EQ(answer.status, 200) << answer.text;
    return answer.body.value("allowed", false);
  }
  /// Somebody with an account who is a user of the tenant, holding exactly this tenant-wide.
  Client holder(const std::string& name, const json& permissions) {
    const auto who = world.person(name);
    const auto id = made("users", {{"account", who.email}});
    if (!permissions.empty()) bind(role("of " + who.email, permissions), "user:" + id);
    last_holder = id;
    return world.as(who);
  }
  Client manager() { return holder("manager", json::parse(kManager)); }
  /// The audit rows of an object, as action names in order.
  std::vector<std::string> history(const std::string& object) const {
    std::vector<std::string> out;
    const auto rows = sql(fmt::format(
        "SELECT string_agg(a.action, ' ' ORDER BY a.audit_id) FROM rosterd.audit a WHERE a.tenant = '{}' AND a.object_id = '{}'", tenant,
        object));
    std::istringstream words(rows);
    for (std::string word; words >> word;) out.push_back(word);
    return out;
  }

  World& world = World::shared();
  Person boss;
  std::string tenant, at, last_holder;
  Client root{0, {}}, admin{0, {}};
};

}  // namespace rosterd::test
