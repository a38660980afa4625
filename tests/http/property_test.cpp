// Random tenants over HTTP (check-api.md §11): whatever way a question is put, it has one answer. What the answer should be is tested in
// tests/rbac, against the rules.
#include <random>
#include <set>

#include "tests/http/world.hpp"

namespace rosterd::test {
namespace {

using nlohmann::json;

/// Nested groups with loops, places with near-equal names, roles without content and with more than 64 pairs, suspended users, bindings
/// before, behind and without their end.
class RandomTenant : public testing::TestWithParam<unsigned> {
 protected:
  World& world = World::shared();
  const std::string tenant = world.tenant();
  const TenantId key{tenant};
  const std::string path = "/v1/tenants/" + tenant + "/check", authzen = "/t/" + tenant + "/access/v1";
  std::mt19937 random{GetParam()};
  std::vector<std::string> subjects{"user:" + world.root_email, "user:nobody", "group:none"};

  std::size_t below(std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(random); }
  template <class T>
  const T& one_of(const std::vector<T>& from) {
    return from[below(from.size())];
  }
  static inline const std::vector<std::string> kPlaces{"a", "a.b", "a.bc", "a.b.c", "a.b-c", "ab", "b"};

  void SetUp() override {
    std::vector<Principal> everybody;
    std::vector<PrincipalId> groups;
    for (int i = 0; i < 6; ++i) {
      UserRecord record;
      record.username = fmt::format("user{}", i);
      record.email = fmt::format("user{}@example.org", i / 2);  // every other one shares his mailbox
      everybody.push_back({PrincipalType::User, world.store->create_user(key, record, {}).value().value.id});
      subjects.push_back("user:" + record.username);
      subjects.push_back("user:" + *record.email);
      subjects.push_back("user:" + text(everybody.back()));
    }
    for (int i = 0; i < 5; ++i) {
      const auto name = fmt::format("Group {}", i);
      groups.push_back(world.store->create_group(key, {.name = name}, {}).value().value.id);
      everybody.push_back({PrincipalType::Group, groups.back()});
      subjects.push_back("group:" + name);
    }
    for (int i = 0; i < 14; ++i) (void)world.store->add_member(key, one_of(groups), one_of(everybody), {});
    ASSERT_TRUE(world.store->set_user_suspended(key, everybody[below(6)].id, true, {}));

    std::vector<RoleId> roles;
    const auto made = world.store->roles(key);
    for (const auto& role : *made) roles.push_back(role.id);
    const auto& all = *world.catalogue;
    for (const auto& content : {std::string("{}"), all.content(all.all()), std::string(R"({"FLOW":["READ"],"USER":["READ"]})")})
      roles.push_back(world.store
                          ->create_role(key,
                                        {.id = {},
                                         .name = fmt::format("Role {}", roles.size()),
                                         .description = {},
                                         .managed = false,
                                         .admin = false,
                                         .permissions = content},
                                        {})
                          .value()
                          .value.id);
    const auto now = world.clock.now();
    const std::vector<std::optional<TimePoint>> ends{{}, {}, now + Seconds(3600), now - Seconds(1)};
    for (int i = 0; i < 16; ++i)
      (void)world.store->create_binding(key,
                                        {.role = one_of(roles),
                                         .principal = one_of(everybody),
                                         .ns = below(4) == 0 ? std::nullopt : std::optional(one_of(kPlaces)),
                                         .expires_at = one_of(ends)},
                                        {});
    world.control->changed(key);
  }

  json question() {
    static const std::vector<std::string> permissions{"FLOW", "SECRET", "USER", "CHECK", "NOPE"},
        actions{"READ", "CREATE", "DELETE", "NOPE"};
    json out = {{"subject", one_of(subjects)}, {"permission", one_of(permissions)}, {"action", one_of(actions)}};
    if (below(4) != 0) out["namespace"] = one_of(kPlaces) + (below(4) == 0 ? ".new" : "");
    return out;
  }
};

TEST_P(RandomTenant, EveryWayOfAskingHasTheSameAnswerR100R101) {
  auto checks = json::array(), evaluations = json::array();
  for (int i = 0; i < 250; ++i) {
    const auto q = question();
    const std::string subject = q["subject"];
    const auto colon = subject.find(':');
    checks.push_back(q);
    evaluations.push_back({{"subject", {{"type", subject.substr(0, colon)}, {"id", subject.substr(colon + 1)}}},
                           {"action", {{"name", q["action"]}}},
                           {"resource", {{"type", q["permission"]}, {"id", q.value("namespace", "*")}}}});
  }
  const auto client = world.root();
  const auto batch = client.post(path, {{"checks", checks}});
  ASSERT_EQ(batch.status, 200) << batch.text;
  const auto evaluated = client.post(authzen + "/evaluations", {{"evaluations", evaluations}});
  ASSERT_EQ(evaluated.status, 200) << evaluated.text;
  std::set<std::string> met;
  for (std::size_t i = 0; i < checks.size(); ++i) {
    const auto& q = checks[i];
    const auto& expected = batch.body["results"][i];
    met.insert(expected["reason"]);
    const auto single = client.post(path, q);
    EXPECT_EQ(single.body["allowed"], expected["allowed"]) << q;
    EXPECT_EQ(single.body["reason"], expected["reason"]) << q;
    EXPECT_EQ(single.body["revision"], batch.body["revision"]) << q;
    auto with_reasons = q;
    with_reasons["explain"] = true;
    const auto explained = client.post(path, with_reasons);
    EXPECT_EQ(explained.body["allowed"], expected["allowed"]) << q;
    EXPECT_EQ(explained.body["reason"], expected["reason"]) << q;
    const bool by_binding = expected["reason"] == "allowed_binding" || expected["reason"] == "allowed_admin_role";
    EXPECT_TRUE(!by_binding || explained.body["paths_total"] > 0) << q << explained.text;
    EXPECT_TRUE(expected["allowed"] == true || explained.body["paths"].empty()) << q << explained.text;
    EXPECT_EQ(client.post(authzen + "/evaluation", evaluations[i]).body, evaluated.body["evaluations"][i]) << q;
    EXPECT_EQ(evaluated.body["evaluations"][i]["decision"], expected["allowed"]) << q;
  }
  EXPECT_GE(met.size(), 6u) << "the questions were too alike to tell anything";
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomTenant, testing::Range(1U, 5U));

}  // namespace
}  // namespace rosterd::test
