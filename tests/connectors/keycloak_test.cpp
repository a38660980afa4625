// The dialect of Keycloak against a realm that changes and misbehaves at the right moment. Real Keycloak: keycloak_server_test.cpp.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "connectors/oidc/keycloak/keycloak.hpp"
#include "connectors/oidc/keycloak/realm.hpp"
#include "tests/connectors/collecting_sink.hpp"
#include "tests/connectors/scripted_realm.hpp"

namespace rosterd::test {
namespace {

using namespace connectors;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

struct Outcome {
  Result<FeedEnd> end;
  CollectingSink sink;
};
Outcome read(Connector& connector, const Cursor& from = {}) {
  Outcome out{.end = fail(Errc::Internal, "not run"), .sink = {}};
  out.end = connector.read(from, out.sink, {});
  return out;
}
Outcome read(const ScriptedRealm& realm, const std::string& more = {}, const Cursor& from = {}) {
  return read(*realm.connector(more), from);
}

constexpr const char* kSmallPages = R"("page_size": 10,)";

std::set<std::string> names(const CollectingSink& sink) {
  std::set<std::string> out;
  for (const auto& user : sink.users) out.insert(user.username);
  return out;
}

HttpSaid listed(const std::vector<std::string>& items, const HttpAsked& asked) {
  std::string out;
  for (auto at = std::stoul(asked.parameter("first")); at < items.size(); ++at) out += (out.empty() ? "" : ",") + items[at];
  return json_answer("[" + out + "]");
}

// ---- full reads

TEST(Keycloak, TheAdminApiFollowsFromTheIssuer) {
  using oidc::keycloak::api_url;
  EXPECT_EQ(api_url("https://sso.example/realms/acme"), "https://sso.example/admin/realms/acme");
  EXPECT_EQ(api_url("https://sso.example/auth/realms/acme"), "https://sso.example/auth/admin/realms/acme");
  EXPECT_EQ(api_url("https://sso.example/acme"), "");
  EXPECT_EQ(api_url("https://sso.example/realms/"), "");
}

TEST(Keycloak, AFullReadDeliversEverybodyAndEveryGroupWithAllMembers) {
  ScriptedRealm realm;
  realm.add_users(250);
  realm.user("user0007").enabled = false;
  for (const auto& user : realm.users) realm.group("everybody").members.push_back(user.id);
  for (int i = 0; i < 25; ++i) realm.group(fmt::format("team{:02}", i), "company").members = {fmt::format("u-user{:04}", i)};
  realm.group("company");
  realm.group("deep", "team03").members = {"u-user0100"};
  const auto [end, sink] = read(realm);
  ASSERT_TRUE(end) << end.error().what;
  EXPECT_TRUE(is_complete(*end)) << failed(*end);
  EXPECT_EQ(sink.users.size(), 250u);
  EXPECT_EQ(sink.groups.size(), 28u);
  const auto& user = sink.find_user("user0007");
  EXPECT_FALSE(user.enabled);
  EXPECT_THAT(user.disabled_reason, HasSubstr("enabled: false"));
  EXPECT_EQ(user.id.value, "u-user0007");
  EXPECT_EQ(user.email, "user0007@acme.example");
  EXPECT_THAT(user.references, Contains("user:u-user0007"));
  EXPECT_EQ(sink.members_of("everybody").size(), 250u);
  EXPECT_EQ(sink.members_of("company").size(), 25u) << "beyond the ten children that Keycloak shows unless asked for more";
  EXPECT_THAT(sink.members_of("company"), Contains("company/team24"));
  EXPECT_THAT(sink.members_of("company/team03"), UnorderedElementsAre("user0003", "company/team03/deep"));
  EXPECT_EQ(sink.find_group("company/team03/deep").record.entry, "/company/team03/deep");
}

TEST(Keycloak, SmallPagesAreFollowedToTheirEnd) {
  ScriptedRealm realm;
  realm.add_users(101);
  for (const auto& user : realm.users) realm.group("everybody").members.push_back(user.id);
  for (const auto* size : {"2", "3", "10", "100", "101", "102"}) {
    const auto [end, sink] = read(realm, fmt::format(R"("page_size": {},)", size));
    ASSERT_TRUE(end) << end.error().what;
    EXPECT_TRUE(is_complete(*end)) << size << ": " << failed(*end);
    EXPECT_EQ(sink.users.size(), 101u) << size;
    EXPECT_EQ(sink.members_of("everybody").size(), 101u) << size;
  }
}

TEST(Keycloak, AnEmptyRealmIsCompleteAndEmpty) {
  ScriptedRealm realm;
  const auto [end, sink] = read(realm);
  ASSERT_TRUE(end) << end.error().what;
  EXPECT_TRUE(is_complete(*end)) << failed(*end);
  EXPECT_THAT(sink.users, IsEmpty());
}

TEST(Keycloak, UsersOfClientsAreLeftOutAsUsersAndAsMembers) {
  ScriptedRealm realm;
  realm.add_users(2);
  realm.user("rosterd").service_account = true;
  realm.user("service-account-of-nobody");  // a person called so
  realm.group("staff").members = {"u-user0000", "u-rosterd", "u-service-account-of-nobody"};
  const auto [end, sink] = read(realm);
  ASSERT_TRUE(end) << end.error().what;
  EXPECT_THAT(names(sink), UnorderedElementsAre("user0000", "user0001", "service-account-of-nobody"));
  EXPECT_THAT(sink.members_of("staff"), UnorderedElementsAre("user0000", "service-account-of-nobody"));
}

TEST(Keycloak, GroupsOfOneNameAreToldApartByTheirPaths) {
  ScriptedRealm realm;
  realm.group("a");
  realm.group("b");
  realm.groups.push_back({.id = "g-1", .name = "admins", .parent = "g-a", .members = {}});
  realm.groups.push_back({.id = "g-2", .name = "admins", .parent = "g-b", .members = {}});
  const auto [end, sink] = read(realm);
  ASSERT_TRUE(end) << end.error().what;
  EXPECT_EQ(sink.find_group("a/admins").record.id.value, "g-1");
  EXPECT_EQ(sink.find_group("b/admins").record.id.value, "g-2");
}

TEST(Keycloak, AFilterOnUsersAndABranchOfGroupsSelect) {
  ScriptedRealm realm;
  realm.add_users(3);
  realm.user("user0001").enabled = false;
  realm.group("apps");
  realm.group("rosterd", "apps").members = {"u-user0000", "u-user0001"};
  realm.group("below", "rosterd");
  realm.group("other", "apps");
  const std::string more = R"("users": {"filter": "enabled=true"}, "groups": {"filter": "/apps/rosterd"},)";
  const auto [end, sink] = read(realm, more);
  ASSERT_TRUE(end) << end.error().what;
  EXPECT_TRUE(is_complete(*end)) << failed(*end);
  EXPECT_THAT(names(sink), UnorderedElementsAre("user0000", "user0002"));
  ASSERT_EQ(sink.groups.size(), 2u);
  EXPECT_THAT(sink.members_of("apps/rosterd"), UnorderedElementsAre("user0000", "apps/rosterd/below"));

  const auto connector = realm.connector(more);
  const auto users = connector->verify(PrincipalType::User, std::vector<ExternalId>{{"u-user0000"}, {"u-user0001"}, {"u-gone"}}, {});
  ASSERT_TRUE(users) << users.error().what;
  EXPECT_THAT(users->of, testing::ElementsAre(Present::InScope, Present::OutOfScope, Present::Gone));
  const auto groups = connector->verify(PrincipalType::Group, std::vector<ExternalId>{{"g-below"}, {"g-other"}, {"g-gone"}}, {});
  ASSERT_TRUE(groups) << groups.error().what;
  EXPECT_THAT(groups->of, testing::ElementsAre(Present::InScope, Present::OutOfScope, Present::Gone));
}

TEST(Keycloak, AFilterThatKeycloakCannotCountIsRefused) {
  using oidc::keycloak::parse_user_filter;
  EXPECT_TRUE(parse_user_filter("q=department:sales office:1&enabled=true"));
  for (const auto* filter : {"search=a", "enabled=maybe", "q", "q=&enabled=true", "&"}) EXPECT_FALSE(parse_user_filter(filter)) << filter;
  const auto type = find_connector_type("oidc");
  const auto valid = (*type)->validate(
      R"({"issuer": "https://sso.example/realms/acme", "dialect": "keycloak", "token": {"value": "t"}, "users": {"filter": "search=ada"}})");
  ASSERT_FALSE(valid);
  EXPECT_THAT(valid.error().what, HasSubstr("/users/filter"));
}

// ---- lists that move, servers that lie

TEST(Keycloak, WhoLeavesInTheMiddleOfTheWalkHidesNobodyElse) {
  for (const int gone : {1, 5, 30}) {
    ScriptedRealm realm;
    realm.add_users(100);
    realm.before = [&, done = false](const HttpAsked& asked, int nth) mutable -> std::optional<HttpSaid> {
      if (asked.path.ends_with("/users") && nth == 5 && !std::exchange(done, true))
        realm.users.erase(realm.users.begin(), realm.users.begin() + gone);
      return std::nullopt;
    };
    const auto [end, sink] = read(realm, kSmallPages);
    ASSERT_TRUE(end) << end.error().what;
    for (const auto& user : realm.users) EXPECT_THAT(names(sink), Contains(user.name)) << gone;
    EXPECT_TRUE(is_complete(*end)) << failed(*end);
  }
}

TEST(Keycloak, WhoComesInTheMiddleOfTheWalkDoublesNobody) {
  ScriptedRealm realm;
  realm.add_users(100);
  realm.before = [&](const HttpAsked& asked, int nth) -> std::optional<HttpSaid> {
    if (asked.path.ends_with("/users") && nth == 5)
      for (int i = 0; i < 15; ++i) realm.user(fmt::format("aaa{}", i));
    return std::nullopt;
  };
  const auto [end, sink] = read(realm, kSmallPages);
  ASSERT_TRUE(end) << end.error().what;
  EXPECT_TRUE(is_complete(*end)) << failed(*end);
  EXPECT_EQ(names(sink).size(), sink.users.size());
  EXPECT_EQ(sink.users.size(), 100u);
}

TEST(Keycloak, AMemberWhoLeavesMovesNoOtherOutOfTheList) {
  ScriptedRealm realm;
  realm.add_users(60);
  for (const auto& user : realm.users) realm.group("everybody").members.push_back(user.id);
  realm.before = [&](const HttpAsked& asked, int nth) -> std::optional<HttpSaid> {
    auto& members = realm.group("everybody").members;
    if (asked.path.ends_with("/members") && nth == 3) members.erase(members.begin(), members.begin() + 4);
    return std::nullopt;
  };
  const auto [end, sink] = read(realm, kSmallPages);
  ASSERT_TRUE(end) << end.error().what;
  EXPECT_TRUE(is_complete(*end)) << failed(*end);
  for (const auto& id : realm.group("everybody").members) EXPECT_THAT(sink.members_of("everybody"), Contains(id.substr(2)));
}

TEST(Keycloak, AShortOrEmptyPageInTheMiddleIsNoEnd) {
  ScriptedRealm realm;
  realm.add_users(100);
  for (int i = 31; i < 62; ++i) realm.hidden.insert(fmt::format("u-user{:04}", i));  // whole pages of whom the storage has forgotten
  const auto [end, sink] = read(realm, kSmallPages);
  ASSERT_TRUE(end) << end.error().what;
  EXPECT_EQ(sink.users.size(), 69u);
  EXPECT_TRUE(is_complete(*end)) << "two walks that agree outweigh a count: " << failed(*end);
}

TEST(Keycloak, TheSamePageForEverIsAnError) {
  for (const std::string list : {"/users", "/members", "/groups", "/children"}) {
    ScriptedRealm realm;
    realm.add_users(50);
    for (const auto& user : realm.users) realm.group("everybody").members.push_back(user.id);
    for (int i = 0; i < 30; ++i) realm.group(fmt::format("top{:02}", i)), realm.group(fmt::format("kid{:02}", i), "everybody");
    realm.before = [&](const HttpAsked& asked, int nth) -> std::optional<HttpSaid> {
      if (!asked.path.ends_with(list) || nth == 1) return std::nullopt;
      return realm.first_page(asked);
    };
    const auto [end, sink] = read(realm, kSmallPages);
    ASSERT_TRUE(end) << end.error().what;
    EXPECT_FALSE(end->proof.complete()) << list;
    EXPECT_TRUE(std::holds_alternative<KeepAbsent>(end->absence)) << list;
    EXPECT_THAT(failed(*end), HasSubstr("repeats its pages")) << list;
  }
}

TEST(Keycloak, AGroupThatIsItsOwnDescendantEnds) {
  ScriptedRealm realm;
  realm.group("a", "b");
  realm.group("b", "a");
  realm.group("top");
  realm.before = [&](const HttpAsked& asked, int) -> std::optional<HttpSaid> {
    if (asked.path.ends_with("/groups") || asked.path.ends_with("/children"))
      return listed({R"({"id":"g-a","name":"a","subGroupCount":1})", R"({"id":"g-b","name":"b"})"}, asked);
    if (asked.path.ends_with("/members") || asked.path.ends_with("/groups/count")) return json_answer("[]");
    return std::nullopt;
  };
  const auto [end, sink] = read(realm);
  ASSERT_TRUE(end) << end.error().what;
  EXPECT_EQ(sink.groups.size(), 2u);
}

TEST(Keycloak, ACountThatTwoWalksDoNotReachRemovesNobody) {
  ScriptedRealm realm;
  realm.add_users(30);
  realm.claimed_users = 40;
  bool second = false;
  realm.before = [&](const HttpAsked& asked, int nth) -> std::optional<HttpSaid> {
    if (asked.path.ends_with("/users/count") && nth == 2) second = true, realm.user("late");
    return std::nullopt;
  };
  const auto [end, sink] = read(realm, kSmallPages);
  ASSERT_TRUE(end) << end.error().what;
  EXPECT_TRUE(second);
  EXPECT_FALSE(end->proof.complete());
  EXPECT_THAT(failed(*end), HasSubstr("counts 40 users, 30 were seen in a first walk and 31 in a second"));
}

TEST(Keycloak, UsersWithoutIdOrWithoutStateRemoveNobody) {
  ScriptedRealm realm;
  realm.before = [&](const HttpAsked& asked, int) -> std::optional<HttpSaid> {
    if (asked.path.ends_with("/users/count")) return json_answer("2");
    if (!asked.path.ends_with("/users")) return std::nullopt;
    return listed({R"({"username":"ada","enabled":true})", R"({"id":"2","username":"bob"})"}, asked);
  };
  const auto [end, sink] = read(realm);
  ASSERT_TRUE(end) << end.error().what;
  EXPECT_THAT(failed(*end), HasSubstr("every one has an id: 1 have none"));
  ASSERT_EQ(sink.skips.size(), 1u);
  EXPECT_THAT(sink.skips[0].reason, HasSubstr("does not say whether it is enabled"));
}

}  // namespace
}  // namespace rosterd::test
