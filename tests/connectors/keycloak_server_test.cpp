// The dialect of Keycloak against the real one: 5,000 people, a group of 3,000, a tree three deep, and its event logs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/connectors/collecting_sink.hpp"
#include "tests/support/keycloak_server.hpp"

namespace rosterd::test {
namespace {

using namespace connectors;
using testing::Contains;
using testing::HasSubstr;
using testing::UnorderedElementsAre;
using Json = nlohmann::json;

KeycloakServer& keycloak() {
  static KeycloakServer server;
  return server;
}

std::unique_ptr<Connector> connector(const std::string& more = {}) {
  const auto type = find_connector_type("oidc");
  if (!type) throw std::runtime_error(type.error().what);
  auto made = (*type)->make(
      {.json = fmt::format(R"({{"issuer": "{}", "dialect": "keycloak", {} "client_id": "{}", "client_secret": {{"value": "{}"}}}})",
                           keycloak().issuer(), more, KeycloakServer::client_id(), KeycloakServer::client_secret()),
       .learnt = {}},
      test_options());
  if (!made) throw std::runtime_error(made.error().what);
  return std::move(*made);
}

struct Outcome {
  Result<FeedEnd> end;
  CollectingSink sink;
};
Outcome read(const Cursor& from = {}, const std::string& more = {}) {
  Outcome out{.end = fail(Errc::Internal, "not run"), .sink = {}};
  out.end = connector(more)->read(from, out.sink, {});
  return out;
}

std::string id_from(const WebAnswer& answer) {
  const auto location = answer.header("location");
  return location.substr(location.rfind('/') + 1);
}
std::string user_id(const std::string& name) {
  return Json::parse(keycloak().admin("GET", "/users?exact=true&username=" + name).body).at(0).at("id");
}
std::string group_id(const std::string& path) { return Json::parse(keycloak().admin("GET", "/group-by-path" + path).body).at("id"); }

class KeycloakReal : public testing::Test {
 protected:
  void SetUp() override { ROSTERD_NEEDS("keycloak"); }
};

TEST_F(KeycloakReal, AFullReadIsCompleteWithEveryMemberAndEverySubgroup) {
  const auto& options = keycloak().options();
  const auto [end, sink] = read();
  ASSERT_TRUE(end) << end.error().what;
  EXPECT_TRUE(is_complete(*end)) << failed(*end);
  EXPECT_EQ(sink.users.size(), static_cast<std::size_t>(options.users) + 3) << "ada, bob and the realm's administrator; no service account";
  EXPECT_EQ(sink.members_of("everybody").size(), static_cast<std::size_t>(options.big_group));
  EXPECT_EQ(sink.groups.size(), static_cast<std::size_t>(options.groups) + 1 + 15 + 2);
  EXPECT_THAT(sink.members_of("team01"), Contains("team01/unit15")) << "more children than a page of ten";
  EXPECT_THAT(sink.members_of("team01"), Contains("ada"));
  EXPECT_THAT(sink.members_of("team01/unit01"), Contains("team01/unit01/desk2"));
  EXPECT_EQ(sink.members_of("team01/unit01/desk1").size(), 1u);
  EXPECT_FALSE(sink.find_user("user00100").enabled);
  EXPECT_EQ(sink.find_user("ada").email, "ada@example.test");
}

TEST_F(KeycloakReal, PagesOfAnySizeGiveTheSame) {
  const auto [end, sink] = read({}, R"("page_size": 37,)");
  ASSERT_TRUE(end) << end.error().what;
  EXPECT_TRUE(is_complete(*end)) << failed(*end);
  EXPECT_EQ(sink.users.size(), static_cast<std::size_t>(keycloak().options().users) + 3);
  EXPECT_EQ(sink.members_of("everybody").size(), static_cast<std::size_t>(keycloak().options().big_group));
}

TEST_F(KeycloakReal, FiltersSelectAndAreVerified) {
  const std::string more = R"("users": {"filter": "enabled=false"}, "groups": {"filter": "/team01/unit01"},)";
  const auto [end, sink] = read({}, more);
  ASSERT_TRUE(end) << end.error().what;
  EXPECT_TRUE(is_complete(*end)) << failed(*end);
  EXPECT_EQ(sink.users.size(), static_cast<std::size_t>(keycloak().options().users) / 100);
  EXPECT_EQ(sink.groups.size(), 3u);
  const auto there = sink.find_user("user00100").id;
  const auto verified = connector(more)->verify(
      PrincipalType::User, std::vector<ExternalId>{there, {user_id("ada")}, {"00000000-0000-0000-0000-000000000000"}}, {});
  ASSERT_TRUE(verified) << verified.error().what;
  EXPECT_THAT(verified->of, testing::ElementsAre(Present::InScope, Present::OutOfScope, Present::Gone));
  const auto groups = connector(more)->verify(
      PrincipalType::Group,
      std::vector<ExternalId>{{group_id("/team01/unit01/desk1")}, {group_id("/team02")}, {"00000000-0000-0000-0000-000000000000"}}, {});
  ASSERT_TRUE(groups) << groups.error().what;
  EXPECT_THAT(groups->of, testing::ElementsAre(Present::InScope, Present::OutOfScope, Present::Gone));
}

TEST_F(KeycloakReal, StillListedFindsMembersAndSubgroups) {
  const auto ada = user_id("ada");
  const auto listed = connector()->still_listed(
      std::vector<Unlisted>{{.group = {group_id("/team02")}, .members = {{ada}}}, {.group = {group_id("/team01")}, .members = {{ada}}}},
      {});
  ASSERT_TRUE(listed) << listed.error().what;
  EXPECT_EQ(*listed, 1u);
}

TEST_F(KeycloakReal, TestingSaysWhatItFound) {
  std::string text;
  for (const auto& finding : connector()->test({})) text += fmt::format("{} {} {}\n", finding.step, finding.good, finding.text);
  EXPECT_THAT(text, HasSubstr("realm true"));
  EXPECT_THAT(text, HasSubstr("users true 1 of"));
  EXPECT_THAT(text, HasSubstr("groups true 1 of"));
  EXPECT_THAT(text, HasSubstr("events true every run reads everything"));
}

/// Lets the client see that nobody signs in through other providers, and keeps both logs with something in them.
void keep_events() {
  const auto management = Json::parse(keycloak().admin("GET", "/clients?clientId=realm-management").body).at(0).at("id").get<std::string>();
  const auto client =
      Json::parse(keycloak().admin("GET", "/clients?clientId=" + KeycloakServer::client_id()).body).at(0).at("id").get<std::string>();
  const auto account =
      Json::parse(keycloak().admin("GET", "/clients/" + client + "/service-account-user").body).at("id").get<std::string>();
  const auto role = Json::parse(keycloak().admin("GET", "/clients/" + management + "/roles/view-identity-providers").body);
  keycloak().admin("POST", "/users/" + account + "/role-mappings/clients/" + management, Json::array({role}).dump());
  keycloak().admin("PUT", "/events/config", R"({"eventsEnabled": true, "adminEventsEnabled": true})");
  keycloak().admin("PUT", "/users/" + user_id("bob"), R"({"username": "bob", "firstName": "Bob", "email": "bob@example.test"})");
}

TEST_F(KeycloakReal, WhatIsDoneInTheAdminConsoleIsReadByItsEvents) {
  keep_events();
  const auto [full, everybody] = read();
  ASSERT_TRUE(full) << full.error().what;
  ASSERT_TRUE(is_complete(*full)) << failed(*full);
  ASSERT_NE(full->to.value, "");
  const auto [same, nobody] = read(full->to);
  ASSERT_TRUE(same) << same.error().what;
  EXPECT_EQ(same->cursor_kind, "admin_events");
  EXPECT_TRUE(nobody.users.empty() && nobody.groups.empty());

  const auto team = group_id("/team03"), below = group_id("/team01/unit01"), user = user_id("user00042"), gone = user_id("user00043");
  const auto newbie = id_from(keycloak().admin("POST", "/users", R"({"username": "newbie", "enabled": true})"));
  keycloak().admin("PUT", "/users/" + newbie + "/groups/" + team);
  keycloak().admin("PUT", "/users/" + user, R"({"enabled": false})");
  keycloak().admin("DELETE", "/users/" + gone);
  keycloak().admin("POST", "/groups/" + below + "/children", R"({"name": "desk3"})");
  keycloak().admin("PUT", "/groups/" + team, R"({"name": "team03-renamed"})");
  const auto [end, sink] = read(same->to);
  ASSERT_TRUE(end) << end.error().what;
  EXPECT_TRUE(end->proof.complete()) << failed(*end);
  EXPECT_EQ(sink.users.size(), 2u);
  EXPECT_FALSE(sink.find_user("user00042").enabled);
  EXPECT_THAT(sink.find_group("team03-renamed").members, Contains("user:" + newbie));
  EXPECT_THAT(sink.members_of("team01/unit01"), Contains("team01/unit01/desk3"));
  const auto* dropped = std::get_if<DropListed>(&end->absence);
  ASSERT_NE(dropped, nullptr);
  EXPECT_EQ(dropped->ids, std::vector<ExternalId>{{gone}});

  keycloak().admin("DELETE", "/users/" + newbie + "/groups/" + team);
  const auto [left, who] = read(end->to);
  ASSERT_TRUE(left) << left.error().what;
  EXPECT_EQ(who.find_user("newbie").id.value, newbie);
  EXPECT_THAT(who.find_group("team03-renamed").members, testing::Not(Contains("user:" + newbie)));

  keycloak().admin("DELETE", "/groups/" + below);
  const auto [over, none] = read(left->to);
  ASSERT_FALSE(over);
  EXPECT_EQ(over.error().code, Errc::CursorExpired);
  EXPECT_THAT(over.error().what, HasSubstr("a group was deleted"));
}

TEST_F(KeycloakReal, ARealmThatChangesUnderAReadLosesNobody) {
  // Thirty people whose names come first in the order are deleted while the pages are walked.
  std::vector<std::string> early;
  for (int i = 0; i < 30; ++i)
    early.push_back(id_from(keycloak().admin("POST", "/users", fmt::format(R"({{"username": "aaa{:02}", "enabled": true}})", i))));
  struct Deleting final : FeedSink {
    explicit Deleting(std::vector<std::string>& ids) : doomed(ids) {}
    bool user(const UserRecord& record) override {
      if (++count % 150 == 0 && !doomed.empty()) {
        keycloak().admin("DELETE", "/users/" + doomed.back());
        doomed.pop_back();
      }
      return inner.user(record);
    }
    bool group(const GroupRecord& record) override { return inner.group(record); }
    bool members(std::span<const Reference> references) override { return inner.members(references); }
    bool end_group(bool complete) override { return inner.end_group(complete); }
    bool skipped(const SkippedRecord& record) override { return inner.skipped(record); }
    void phase(std::string_view) override {}
    std::vector<std::string>& doomed;
    CollectingSink inner;
    int count = 0;
  } sink(early);
  const auto end = connector(R"("page_size": 100,)")->read({}, sink, {});
  ASSERT_TRUE(end) << end.error().what;
  EXPECT_TRUE(is_complete(*end)) << failed(*end);
  EXPECT_LT(early.size(), 5u) << "so many were deleted in the middle";
  std::set<std::string> names;
  for (const auto& user : sink.inner.users) names.insert(user.username);
  for (int i = 100; i <= keycloak().options().users; ++i) EXPECT_TRUE(names.contains(fmt::format("user{:05}", i))) << i;
}

}  // namespace
}  // namespace rosterd::test
