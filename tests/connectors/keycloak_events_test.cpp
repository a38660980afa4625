// Keycloak: providers that go away, what verifying and testing say, and reads by the realm's event logs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/connectors/collecting_sink.hpp"
#include "tests/connectors/scripted_realm.hpp"

namespace rosterd::test {
namespace {

using namespace connectors;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

struct Outcome {
  Result<FeedEnd> end;
  CollectingSink sink;
};
Outcome read(const ScriptedRealm& realm, const Cursor& from = {}, const std::string& more = {}) {
  Outcome out{.end = fail(Errc::Internal, "not run"), .sink = {}};
  out.end = realm.connector(more)->read(from, out.sink, {});
  return out;
}

constexpr const char* kSmallPages = R"("page_size": 10,)";

std::set<std::string> names(const CollectingSink& sink) {
  std::set<std::string> out;
  for (const auto& user : sink.users) out.insert(user.username);
  return out;
}
std::vector<std::string> dropped(const FeedEnd& end) {
  std::vector<std::string> out;
  if (const auto* listed = std::get_if<DropListed>(&end.absence))
    for (const auto& id : listed->ids) out.push_back(id.value);
  return out;
}

// ---- a provider that goes away

struct Fault {
  const char* name;
  HttpSaid said;
  std::vector<std::string> where = {"/users", "/groups", "/children", "/members"};  ///< one where each takes seconds, for the tries
};
class KeycloakFaults : public testing::TestWithParam<Fault> {};

TEST_P(KeycloakFaults, OnTheWayRemoveNobody) {
  for (const auto& where : GetParam().where) {
    ScriptedRealm realm;
    realm.add_users(50);
    for (const auto& user : realm.users) realm.group("everybody").members.push_back(user.id);
    for (int i = 0; i < 30; ++i) realm.group(fmt::format("top{:02}", i)), realm.group(fmt::format("kid{:02}", i), "everybody");
    realm.before = [&](const HttpAsked& asked, int nth) -> std::optional<HttpSaid> {
      return asked.path.ends_with(where) && nth >= 3 ? std::optional(GetParam().said) : std::nullopt;
    };
    const auto [end, sink] = read(realm, {}, kSmallPages);
    ASSERT_TRUE(end) << where << ": " << end.error().what;
    EXPECT_TRUE(std::holds_alternative<KeepAbsent>(end->absence)) << where;
    EXPECT_FALSE(end->proof.complete()) << where;
    EXPECT_THAT(end->to.value, IsEmpty());
  }
}

TEST_P(KeycloakFaults, AtTheFirstPageFailTheRead) {
  ScriptedRealm realm;
  realm.add_users(5);
  realm.before = [&](const HttpAsked& asked, int) -> std::optional<HttpSaid> {
    return asked.path.ends_with("/users") ? std::optional(GetParam().said) : std::nullopt;
  };
  const auto [end, sink] = read(realm);
  EXPECT_FALSE(end);
}

INSTANTIATE_TEST_SUITE_P(Of, KeycloakFaults,
                         testing::Values(Fault{"Down", {.status = 502, .body = "Bad Gateway"}, {"/users"}},
                                         Fault{"Reset", {.fault = HttpSaid::Fault::Reset}, {"/children"}},
                                         Fault{"CutOff", {.body = "[]", .fault = HttpSaid::Fault::CutOff}, {"/members"}},
                                         Fault{"Html", {.body = "<html>welcome</html>"}}, Fault{"Object", {.body = "{}"}},
                                         Fault{"Forbidden", {.status = 403, .body = "{}"}},
                                         Fault{"Unauthorized", {.status = 401, .body = "{}"}}, Fault{"Redirect", {.status = 302}}),
                         [](const auto& fault) { return fault.param.name; });

TEST(Keycloak, AMemberListThatBreaksOffIsNotWhole) {
  ScriptedRealm realm;
  realm.add_users(5000);
  for (const auto& user : realm.users) realm.group("everybody").members.push_back(user.id);
  realm.before = [&](const HttpAsked& asked, int nth) -> std::optional<HttpSaid> {
    return asked.path.ends_with("/members") && nth == 3 ? std::optional(HttpSaid{.status = 403}) : std::nullopt;
  };
  const auto [end, sink] = read(realm);
  ASSERT_TRUE(end) << end.error().what;
  EXPECT_FALSE(end->proof.complete());
  EXPECT_FALSE(sink.find_group("everybody").complete);
  EXPECT_GE(sink.find_group("everybody").members.size(), 1000u);
}

TEST(Keycloak, ARealmThatCanNoLongerBeReadAtTheEndRemovesNobody) {
  ScriptedRealm realm;
  realm.add_users(3);
  realm.before = [&](const HttpAsked& asked, int) -> std::optional<HttpSaid> {
    return asked.path == "/admin/realms/acme" ? std::optional(json_answer(R"({"error":"gone"})", 403)) : std::nullopt;
  };
  const auto [end, sink] = read(realm);
  ASSERT_TRUE(end) << end.error().what;
  EXPECT_THAT(failed(*end), HasSubstr("the realm is still readable"));
  EXPECT_TRUE(std::holds_alternative<KeepAbsent>(end->absence));
}

TEST(Keycloak, AGroupThatIsDeletedDuringTheReadIsLeftToTheNext) {
  ScriptedRealm realm;
  realm.add_users(3);
  realm.group("a").members = {"u-user0000"};
  realm.group("b").members = {"u-user0001"};
  realm.before = [&](const HttpAsked& asked, int) -> std::optional<HttpSaid> {
    if (asked.path.ends_with("/g-a/members")) std::erase_if(realm.groups, [](const auto& group) { return group.name == "a"; });
    return std::nullopt;
  };
  const auto [end, sink] = read(realm);
  ASSERT_TRUE(end) << end.error().what;
  EXPECT_TRUE(is_complete(*end)) << failed(*end);
  ASSERT_EQ(sink.groups.size(), 1u);
  EXPECT_EQ(sink.groups[0].record.name, "b");
}

TEST(Keycloak, ASinkThatWantsNoMoreStopsTheRead) {
  ScriptedRealm realm;
  realm.add_users(30);
  CollectingSink sink;
  sink.stop_after = 5;
  const auto end = realm.connector()->read({}, sink, {});
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().code, Errc::Stopped);
}

// ---- asked by id

TEST(Keycloak, VerifyingTellsThereGoneAndUnknownApart) {
  ScriptedRealm realm;
  realm.add_users(2);
  realm.group("a");
  const auto connector = realm.connector();
  const auto users = connector->verify(PrincipalType::User, std::vector<ExternalId>{{"u-user0000"}, {"u-gone"}}, {});
  ASSERT_TRUE(users) << users.error().what;
  EXPECT_THAT(users->of, ElementsAre(Present::InScope, Present::Gone));
  realm.forbidden = {"g-a"};
  const auto groups = connector->verify(PrincipalType::Group, std::vector<ExternalId>{{"g-a"}}, {});
  ASSERT_TRUE(groups) << groups.error().what;
  EXPECT_THAT(groups->of, ElementsAre(Present::Unknown));
  EXPECT_THAT(groups->trouble, HasSubstr("403"));
}

TEST(Keycloak, StillListedLooksAtMembersAndChildren) {
  ScriptedRealm realm;
  realm.add_users(30);
  for (const auto& user : realm.users) realm.group("a").members.push_back(user.id);
  realm.group("b");
  realm.group("kid", "b");
  const auto connector = realm.connector(kSmallPages);
  const auto ask = [&](std::vector<Unlisted> groups) { return connector->still_listed(groups, {}).value(); };
  EXPECT_EQ(ask({{.group = {"g-gone"}, .members = {{"u-user0000"}}}, {.group = {"g-a"}, .members = {{"u-user0029"}}}}), 1u);
  EXPECT_EQ(ask({{.group = {"g-b"}, .members = {{"g-kid"}}}}), 0u);
  EXPECT_EQ(ask({{.group = {"g-b"}, .members = {{"u-user0000"}, {"g-a"}}}}), std::nullopt);
}

std::string text_of(const std::vector<Finding>& findings, std::string_view step) {
  for (const auto& finding : findings)
    if (finding.step == step) return (finding.good ? "good: " : "bad: ") + finding.text;
  return "none";
}

TEST(Keycloak, TestingSaysWhatWasFoundAndWhichRolesAreMissing) {
  ScriptedRealm realm;
  realm.add_users(2);
  realm.group("a");
  auto findings = realm.connector()->test({});
  EXPECT_THAT(text_of(findings, "realm"), HasSubstr("good: "));
  EXPECT_THAT(text_of(findings, "users"), HasSubstr("good: 1 of 2: user0000 is First Last <user0000@acme.example>"));
  EXPECT_THAT(text_of(findings, "groups"), HasSubstr("good: 1 of 1: /a"));
  EXPECT_THAT(text_of(findings, "events"), HasSubstr("does not save admin events"));
  realm.keep_events();
  EXPECT_THAT(text_of(realm.connector()->test({}), "events"), HasSubstr("what changed is read by the realm's events"));
  realm.forbidden = {"count", "members", "config"};
  findings = realm.connector()->test({});
  EXPECT_THAT(text_of(findings, "users"), HasSubstr("bad: the client may not see users"));
  EXPECT_THAT(text_of(findings, "users"), HasSubstr("view-users"));
  EXPECT_THAT(text_of(findings, "groups"), HasSubstr("bad: the client may not see groups"));
  EXPECT_THAT(text_of(findings, "events"), HasSubstr("view-events"));
  realm.forbidden = {};
  realm.hidden = {"u-user0000", "u-user0001"};
  EXPECT_THAT(text_of(realm.connector()->test({}), "users"), HasSubstr("counts 2 users and lists none"));
}

// ---- by the logs

/// A realm with events, read once.
struct Followed : ScriptedRealm {
  Followed() {
    add_users(20);
    group("a").members = {"u-user0001", "u-user0002"};
    group("b").members = {"u-user0003"};
    group("kid", "b").members = {"u-user0004"};
    keep_events();
    const auto [end, sink] = read(*this);
    if (!end || !is_complete(*end)) throw std::runtime_error("the full read failed");
    cursor = end->to;
  }
  Cursor cursor;
};

TEST(KeycloakEvents, NothingHappenedReadsNobody) {
  Followed realm;
  ASSERT_NE(realm.cursor.value, "");
  const auto [end, sink] = read(realm, realm.cursor);
  ASSERT_TRUE(end) << end.error().what;
  EXPECT_EQ(end->cursor_kind, "admin_events");
  EXPECT_TRUE(end->proof.complete());
  EXPECT_TRUE(std::holds_alternative<KeepAbsent>(end->absence));
  EXPECT_THAT(sink.users, IsEmpty());
  EXPECT_THAT(sink.groups, IsEmpty());
  EXPECT_EQ(end->to, realm.cursor);
}

TEST(KeycloakEvents, UsersThatChangedAreReadByIdAndDeletedOnesAreNamed) {
  Followed realm;
  realm.user("user0005").enabled = false;
  realm.admin_event("USER", "UPDATE", "users/u-user0005");
  realm.user("newbie");
  realm.admin_event("USER", "CREATE", "users/u-newbie");
  std::erase_if(realm.users, [](const auto& user) { return user.name == "user0006"; });
  realm.admin_event("USER", "DELETE", "users/u-user0006");
  realm.user_event("UPDATE_PROFILE", "u-user0007");
  realm.user_event("LOGIN", "u-user0008");
  const auto [end, sink] = read(realm, realm.cursor);
  ASSERT_TRUE(end) << end.error().what;
  EXPECT_THAT(names(sink), UnorderedElementsAre("user0005", "newbie", "user0007"));
  EXPECT_FALSE(sink.find_user("user0005").enabled);
  EXPECT_THAT(dropped(*end), ElementsAre("u-user0006"));
  const auto [again, nothing] = read(realm, end->to);
  ASSERT_TRUE(again) << again.error().what;
}

TEST(KeycloakEvents, WhatHappenedJustBeforeTheReadIsNotReadAgain) {
  ScriptedRealm realm;
  realm.add_users(5);
  realm.keep_events();
  realm.admin_event("REALM", "UPDATE", "events/config");
  realm.admin_event("USER", "UPDATE", "users/u-user0001");
  const auto [full, everybody] = read(realm);
  ASSERT_TRUE(full && is_complete(*full));
  realm.admin_log.insert(realm.admin_log.end() - 1, realm.admin_log.back());  // stamped before, committed after
  auto& late = *(realm.admin_log.end() - 2);
  late["id"] = "late", late["resourcePath"] = "users/u-user0002", late["time"] = late["time"].get<std::int64_t>() - 500;
  const auto [end, sink] = read(realm, full->to);
  ASSERT_TRUE(end) << end.error().what;
  EXPECT_THAT(names(sink), ElementsAre("user0002"));
}

TEST(KeycloakEvents, AMembershipThatChangedReadsItsGroupWholeAndItsUser) {
  Followed realm;
  realm.group("a").members = {"u-user0002", "u-user0009"};
  realm.admin_event("GROUP_MEMBERSHIP", "DELETE", "users/u-user0001/groups/g-a");
  realm.admin_event("GROUP_MEMBERSHIP", "CREATE", "users/u-user0009/groups/g-a");
  const auto [end, sink] = read(realm, realm.cursor);
  ASSERT_TRUE(end) << end.error().what;
  EXPECT_THAT(names(sink), UnorderedElementsAre("user0001", "user0009"));
  ASSERT_EQ(sink.groups.size(), 1u);
  EXPECT_TRUE(sink.groups[0].complete);
  EXPECT_THAT(sink.groups[0].members, UnorderedElementsAre("user:u-user0002", "user:u-user0009"));
}

TEST(KeycloakEvents, ARenamedGroupIsReadWithEverythingBelowIt) {
  Followed realm;
  realm.group("b").name = "c";
  realm.admin_event("GROUP", "UPDATE", "groups/g-b");
  const auto [end, sink] = read(realm, realm.cursor);
  ASSERT_TRUE(end) << end.error().what;
  EXPECT_THAT(sink.find_group("c").members, UnorderedElementsAre("user:u-user0003", "group:g-kid"));
  EXPECT_THAT(sink.find_group("c/kid").members, ElementsAre("user:u-user0004"));
}

TEST(KeycloakEvents, ANewChildIsFoundThroughItsParent) {
  Followed realm;
  realm.group("kid2", "kid").members = {"u-user0001"};
  realm.admin_event("GROUP", "CREATE", "groups/g-kid/children");
  const auto [end, sink] = read(realm, realm.cursor);
  ASSERT_TRUE(end) << end.error().what;
  EXPECT_THAT(sink.find_group("b/kid").members, UnorderedElementsAre("user:u-user0004", "group:g-kid2"));
  EXPECT_THAT(sink.find_group("b/kid/kid2").members, ElementsAre("user:u-user0001"));
}

TEST(KeycloakEvents, WhatNoEventTellsIsReadInFull) {
  const auto expired = [](const std::function<void(Followed&)>& change, const std::string& why) {
    Followed realm;
    change(realm);
    const auto [end, sink] = read(realm, realm.cursor);
    ASSERT_FALSE(end) << why;
    EXPECT_EQ(end.error().code, Errc::CursorExpired) << why << ": " << end.error().what;
    EXPECT_THAT(end.error().what, HasSubstr(why));
  };
  expired([](Followed& realm) { realm.admin_event("GROUP", "DELETE", "groups/g-b"); }, "a group was deleted");
  expired([](Followed& realm) { realm.admin_event("GROUP", "UPDATE", "groups/g-a/children"); }, "a group was moved");
  expired([](Followed& realm) { realm.admin_event("GROUP", "UPDATE", "groups"); }, "a group was moved");
  expired([](Followed& realm) { realm.admin_event("REALM", "UPDATE", "events/config"); }, "the realm itself was changed");
  expired([](Followed& realm) { realm.admin_event("COMPONENT", "CREATE", "components/1"); }, "the realm itself was changed");
  expired([](Followed& realm) { realm.admin_event("ORGANIZATION", "DELETE", "organizations/1"); }, "the realm itself was changed");
  expired([](Followed& realm) { realm.admin_log.clear(), realm.admin_event("USER", "UPDATE", "users/u-user0001"); },
          "no longer reaches back");
  expired([](Followed& realm) { realm.user_log.clear(), realm.user_event("LOGIN", "u-user0001"); }, "no longer reaches back");
  expired([](Followed& realm) { realm.admin_log.clear(); }, "is empty as yet");
  expired([](Followed& realm) { realm.events_config["adminEventsEnabled"] = false; }, "does not save admin events");
  expired([](Followed& realm) { realm.events_config["eventsEnabled"] = false; }, "does not save user events");
  expired([](Followed& realm) { realm.events_config["enabledEventTypes"].erase(0); }, "does not save the user event REGISTER");
  expired([](Followed& realm) { realm.identity_providers.push_back({{"alias", "google"}}); }, "identity provider");
  expired([](Followed& realm) { realm.user("user0001").federation = "ldap", realm.admin_event("USER", "UPDATE", "users/u-user0001"); },
          "user storage");
  expired([](Followed& realm) { realm.cursor.value = R"({"v":0})"; }, "another release");
  expired(
      [](Followed& realm) {
        realm.add_users(150);
        for (int i = 0; i < 150; ++i) realm.admin_event("USER", "UPDATE", fmt::format("users/u-user{:04}", i));
      },
      "reading all is less work");
}

TEST(KeycloakEvents, ThereIsNoCursorWhereEventsDoNotTellEverything) {
  const auto has_cursor = [](const std::function<void(ScriptedRealm&)>& change, const std::string& more = {}) {
    ScriptedRealm realm;
    realm.add_users(3);
    realm.keep_events();
    change(realm);
    const auto [end, sink] = read(realm, {}, more);
    EXPECT_TRUE(end && is_complete(*end));
    return end && !end->to.value.empty();
  };
  EXPECT_TRUE(has_cursor([](ScriptedRealm&) {}));
  EXPECT_FALSE(has_cursor([](ScriptedRealm& realm) { realm.user("user0001").federation = "ldap"; }));
  EXPECT_FALSE(has_cursor([](ScriptedRealm& realm) { realm.admin_log.clear(); }));
  EXPECT_FALSE(has_cursor([](ScriptedRealm& realm) { realm.forbidden = {"config"}; }));
  EXPECT_FALSE(has_cursor([](ScriptedRealm& realm) { realm.forbidden = {"instances"}; }));
  EXPECT_FALSE(has_cursor([](ScriptedRealm&) {}, R"("users": {"filter": "enabled=true"},)"));
}

TEST(KeycloakEvents, WhatHappensDuringAFullReadIsReadAgain) {
  ScriptedRealm realm;
  realm.add_users(30);
  realm.keep_events();
  realm.before = [&](const HttpAsked& asked, int nth) -> std::optional<HttpSaid> {
    if (asked.path.ends_with("/users") && nth == 3)
      realm.user("user0001").enabled = false, realm.admin_event("USER", "UPDATE", "users/u-user0001");
    return std::nullopt;
  };
  const auto [end, sink] = read(realm, {}, kSmallPages);
  ASSERT_TRUE(end && is_complete(*end));
  EXPECT_TRUE(sink.find_user("user0001").enabled) << "it was read before";
  const auto [next, changed] = read(realm, end->to);
  ASSERT_TRUE(next) << next.error().what;
  EXPECT_FALSE(changed.find_user("user0001").enabled);
}

TEST(KeycloakEvents, AReadOfChangesThatBreaksOffMovesNoCursor) {
  Followed realm;
  realm.admin_event("USER", "UPDATE", "users/u-user0001");
  realm.admin_event("USER", "UPDATE", "users/u-user0002");
  realm.before = [](const HttpAsked& asked, int) -> std::optional<HttpSaid> {
    return asked.path.ends_with("/u-user0002") ? std::optional(HttpSaid{.status = 500}) : std::nullopt;
  };
  const auto [end, sink] = read(realm, realm.cursor);
  ASSERT_TRUE(end) << end.error().what;
  EXPECT_FALSE(end->proof.complete());
  EXPECT_TRUE(std::holds_alternative<KeepAbsent>(end->absence));
  EXPECT_EQ(end->to.value, "");
}

}  // namespace
}  // namespace rosterd::test
