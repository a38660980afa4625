// Other people's programs against the SCIM server: scim2-tester, which walks all of it, and canaille, an identity provider that pushes.
#include <algorithm>

#include "tests/http/scim/pusher.hpp"
#include "tests/support/canaille_server.hpp"
#include "tests/support/scim2_tester.hpp"

namespace rosterd::test {
namespace {

class PushingServers : public Pushing {
 protected:
  /// The guard lets half of the people go.
  void allow_half() const {
    const auto found = admin.get(path("/sources/" + source));
    const auto widened = admin.patch(path("/sources/" + source), {{"guard", {{"percent", 50}, {"floor", 500}, {"ceiling", 500}}}},
                                     {{"If-Match", found.header("etag")}});
    ASSERT_EQ(widened.status, 200) << widened.text;
  }
  std::string url() const { return fmt::format("http://127.0.0.1:{}{}", world.server->port(), scim); }
};

TEST_F(PushingServers, Scim2TesterFindsNothingThatDeviates) {
  ROSTERD_NEEDS("scim2-tester");
  allow_half();  // it deletes all that it makes
  for (int i = 0; i < 40; ++i) push_user(fmt::format("filler{}", i)), push_group(fmt::format("filler{}", i));
  const auto findings = run_scim2_tester(url(), provider.token());
  std::size_t good = 0;
  for (const auto& one : findings) {
    // Without a value a user is active, so that there is always one.
    if (one.status == "ERROR" && one.reason.find("did not remove attribute 'active'") != std::string::npos) continue;
    // It wants members back as it sent them; ours have their names beside.
    if (one.status == "ERROR" && one.reason.find("Attribute 'members' was not") == 0) continue;
    if (one.status == "SUCCESS" || one.status == "COMPLIANT") ++good;
    EXPECT_TRUE(one.status == "SUCCESS" || one.status == "COMPLIANT" || one.status == "ACCEPTABLE" || one.status == "SKIPPED")
        << one.status << " " << one.title << " (" << one.resource_type << "): " << one.reason;
  }
  EXPECT_GE(good, 30u) << "of " << findings.size() << " findings";
}

TEST_F(PushingServers, CanaillePushesItsPeopleAndGroupsAndWhatBecomesOfThem) {
  ROSTERD_NEEDS("canaille");
  allow_half();
  const CanailleServer canaille(0, CanailleServer::Pushes{.url = url() + "/", .token = provider.token()});
  const auto bearer = "Bearer " + canaille.token();
  const auto ask = [&](const std::string& method, const std::string& below, const json& body = nullptr) {
    const auto answer = web({.method = method,
                             .url = canaille.scim_url() + below,
                             .headers = {{"Authorization", bearer}, {"Content-Type", "application/scim+json"}},
                             .body = body.is_null() ? std::string() : body.dump()});
    EXPECT_LT(answer.status, 300) << method << " " << below << ": " << answer.body << canaille.log();
    return json::parse(answer.body, nullptr, false);
  };
  const auto person = [](const std::string& name, bool active = true) {
    return json{{"schemas", {kUserUrn}}, {"userName", name},
                {"active", active},      {"name", {{"familyName", "Of " + name}, {"formatted", name}}},
                {"displayName", name},   {"emails", {{{"value", name + "@people.example"}}}}};
  };
  const auto ada = ask("POST", "/Users", person("ada")), bob = ask("POST", "/Users", person("bob"));
  ASSERT_TRUE(ada.contains("id") && bob.contains("id"));
  const auto members_of = [&](std::initializer_list<std::string> ids) {
    auto out = json::array();
    for (const auto& id : ids) out.push_back(json{{"value", id}, {"$ref", canaille.scim_url() + "/Users/" + id}});
    return out;
  };
  const std::string ada_id = ada["id"], bob_id = bob["id"];
  const auto staff =
      ask("POST", "/Groups", {{"schemas", {kGroupUrn}}, {"displayName", "staff"}, {"members", members_of({ada_id, bob_id})}});
  const auto seen = [&] {
    std::map<std::string, std::string> out;
    const auto users = admin.get(path("/users"));
    for (const auto& one : users.body["items"]) out[one["username"]] = one["state"];
    out.erase(boss.email);
    return out;
  };
  EXPECT_EQ(seen(), (std::map<std::string, std::string>{{"ada", "active"}, {"bob", "active"}})) << canaille.log();
  const auto group = admin.get(path("/groups/staff"));
  ASSERT_EQ(group.status, 200) << group.text << canaille.log();
  EXPECT_EQ(group.body["member_count"], 2);

  (void)ask("PUT", "/Users/" + bob_id, person("bob", false));
  EXPECT_EQ(seen()["bob"], "suspended") << canaille.log();
  (void)ask("DELETE", "/Users/" + bob_id);
  EXPECT_NE(seen()["bob"], "active") << "he does not come back by leaving";
  EXPECT_EQ(seen()["ada"], "active");
  const auto about = status();
  EXPECT_EQ(about["source"]["type"], "scim_push") << about.dump();
  EXPECT_FALSE(admin.get(path("/sources/" + source + "/runs")).body["items"].empty()) << "pushes are seen as runs";
}

}  // namespace
}  // namespace rosterd::test
