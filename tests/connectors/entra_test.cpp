// The dialect of Microsoft Entra ID against a simulator written from Microsoft's documentation; nothing here has met the real service.
#include "connectors/oidc/entra/entra.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "connectors/oidc/entra/reading.hpp"
#include "connectors/oidc/oidc.hpp"
#include "tests/connectors/collecting_sink.hpp"
#include "tests/support/entra_simulator.hpp"
#include "tests/support/process.hpp"

namespace rosterd::test {
namespace {

using namespace connectors;
using nlohmann::json;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

class Entra : public testing::Test {
 protected:
  Entra() {
    for (const auto* name : {"ada", "bob", "cleo", "dan", "eve", "fay", "gus", "hal"}) entra.user(name);
    entra.put_group("staff");
    entra.put_group("nested", {.name = "Nested", .description = "people of people"});
    entra.put_group("empty");
    for (const auto* name : {"ada", "bob", "cleo", "dan", "eve"}) entra.add_member("staff", name);
    entra.add_member("nested", "staff", "group");
    entra.add_member("nested", "fay");
    entra.add_member("nested", "printer", "device");
    entra.add_member("nested", "robot", "servicePrincipal");
  }

  [[nodiscard]] std::unique_ptr<Connector> connector(const json& more = json::object(),
                                                     std::chrono::milliseconds deadline = std::chrono::seconds(15)) const {
    auto settings = entra.settings();
    settings.update(more);
    auto options = test_options();
    options.operation_timeout = std::chrono::milliseconds(2000);
    options.read_deadline = deadline;
    auto made = oidc::make({.json = settings.dump(), .learnt = {}}, options);
    if (!made) throw std::runtime_error(made.error().what);
    return std::move(*made);
  }
  struct Done {
    CollectingSink sink;
    Result<FeedEnd> end;
  };
  [[nodiscard]] Done read(const std::string& cursor = {}) const {
    Done out;
    out.end = connector()->read({cursor}, out.sink, {});
    return out;
  }
  [[nodiscard]] std::string whole() const {
    const auto done = read();
    if (!done.end || !is_complete(*done.end)) throw std::runtime_error(done.end ? failed(*done.end) : done.end.error().what);
    return done.end->to.value;
  }
  static std::set<std::string> names(const CollectingSink& sink) {
    std::set<std::string> out;
    for (const auto& user : sink.users) out.insert(user.first_name);
    return out;
  }
  static std::set<std::string> dropped(const FeedEnd& end) {
    std::set<std::string> out;
    for (const auto& id : std::get<DropListed>(end.absence).ids) out.insert(id.value);
    return out;
  }
  static std::string user(const std::string& name) { return "user:" + EntraSimulator::id(name); }

  EntraSimulator entra;
};

void expect_the_whole_tenant(const CollectingSink& sink) {
  EXPECT_EQ(sink.members_of("staff"),
            (std::set<std::string>{"ada@acme.example", "bob@acme.example", "cleo@acme.example", "dan@acme.example", "eve@acme.example"}));
  EXPECT_EQ(sink.members_of("Nested"), (std::set<std::string>{"staff", "fay@acme.example"}));
  EXPECT_THAT(sink.members_of("empty"), IsEmpty());
  for (const auto& group : sink.groups) EXPECT_TRUE(group.complete);
  EXPECT_THAT(sink.skips, IsEmpty());
}

TEST_F(Entra, TheWholeTenantIsReadFromPagesAndPieces) {
  const auto done = read();
  ASSERT_TRUE(done.end) << done.end.error().what;
  EXPECT_TRUE(is_complete(*done.end)) << failed(*done.end);
  EXPECT_EQ(done.end->cursor_kind, "full");
  ASSERT_EQ(done.sink.users.size(), 8u);
  ASSERT_EQ(done.sink.groups.size(), 3u);
  expect_the_whole_tenant(done.sink);
  const auto& ada = done.sink.find_user("ada@acme.example");
  EXPECT_EQ(ada.id.value, EntraSimulator::id("ada"));
  EXPECT_EQ(ada.email, "ada@mail.acme.example");
  EXPECT_EQ(ada.first_name, "ada");
  EXPECT_EQ(ada.last_name, "Byron");
  EXPECT_TRUE(ada.enabled);
  EXPECT_EQ(done.sink.find_group("Nested").record.description, "people of people");
}

TEST_F(Entra, ACertificateTakesThePlaceOfTheSecret) {
  const TempDir dir;
  const auto make = [&](const std::string& name) {
    run_ok({"openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=" + name, "-days", "2", "-keyout",
            dir.file(name + ".key"), "-out", dir.file(name + ".pem")});
    return std::pair(read_file(dir.file(name + ".key")), read_file(dir.file(name + ".pem")));
  };
  const auto [key, certificate] = make("rosterd");
  const auto [other_key, other_certificate] = make("other");
  entra.with([&](EntraSwitches& switches) { switches.certificate = certificate; });
  const auto signs_in = [&](const std::string& with, const std::string& named) {
    const auto made = connector({{"auth", "private_key_jwt"}, {"private_key", {{"value", with}}}, {"key_certificate", named}});
    CollectingSink sink;
    return made->read({}, sink, {});
  };
  const auto done = signs_in(key, certificate);
  ASSERT_TRUE(done) << done.error().what;
  const auto not_registered = signs_in(other_key, other_certificate);
  ASSERT_FALSE(not_registered);
  EXPECT_EQ(not_registered.error().code, Errc::Unauthorized);
  EXPECT_THAT(not_registered.error().what, HasSubstr("AADSTS700027"));
  EXPECT_THROW((void)signs_in(key, other_certificate), std::runtime_error) << "the certificate of another key";
}

TEST_F(Entra, AnyOrderEmptyPagesAndRepeatedObjectsMakeNoDifference) {
  entra.with([](EntraSwitches& is) { is.shuffled = is.empty_pages = is.repeats = true; });
  for (int i = 0; i < 5; ++i) {
    const auto done = read();
    ASSERT_TRUE(done.end) << done.end.error().what;
    EXPECT_TRUE(is_complete(*done.end)) << failed(*done.end);
    EXPECT_EQ(names(done.sink).size(), 8u);
    expect_the_whole_tenant(done.sink);
  }
}

TEST_F(Entra, DisabledPeopleAreDeliveredWithTheReason) {
  entra.change_user("bob", [](EntraUser& bob) { bob.enabled = false; });
  const auto done = read();
  const auto& bob = done.sink.find_user("bob@acme.example");
  EXPECT_FALSE(bob.enabled);
  EXPECT_EQ(bob.disabled_reason, "accountEnabled is false");
}

TEST_F(Entra, WhoHasNoMailOrNameIsReadAllTheSame) {
  entra.put_user("svc", {.upn = "Svc@ACME.example", .mail = {}, .given = {}, .surname = {}, .display = "Service"});
  const auto done = read();
  const auto& svc = done.sink.find_user("svc@acme.example");
  EXPECT_FALSE(svc.email);
  EXPECT_EQ(svc.last_name, "Service");
}

TEST_F(Entra, NothingChangedIsTwoRequests) {
  const auto cursor = whole();
  entra.forget();
  const auto done = read(cursor);
  ASSERT_TRUE(done.end) << done.end.error().what;
  EXPECT_EQ(done.end->cursor_kind, "delta");
  EXPECT_TRUE(done.end->proof.complete());
  EXPECT_TRUE(done.sink.users.empty() && done.sink.groups.empty());
  EXPECT_THAT(dropped(*done.end), IsEmpty());
  EXPECT_EQ(entra.asked().size(), 4u) << "discovery, token, groups, users";
}

TEST_F(Entra, AnIncrementalReadBringsWhatChangedAndNamesWhoIsGone) {
  const auto cursor = whole();
  entra.change_user("ada", [](EntraUser& ada) { ada.mail = "Countess@acme.example"; });
  entra.user("ivy");
  entra.add_member("staff", "ivy");
  entra.remove_member("staff", "bob");
  entra.remove_user("hal");
  entra.remove_user("gus", "deleted");
  entra.remove_group("empty");
  const auto done = read(cursor);
  ASSERT_TRUE(done.end) << done.end.error().what;
  EXPECT_TRUE(done.end->proof.complete());
  EXPECT_THAT(names(done.sink), UnorderedElementsAre("ada", "ivy"));
  EXPECT_EQ(done.sink.find_user("ada@acme.example").email, "countess@acme.example");
  ASSERT_EQ(done.sink.groups.size(), 1u);
  EXPECT_THAT(done.sink.find_group("staff").members,
              UnorderedElementsAre(user("ada"), user("cleo"), user("dan"), user("eve"), user("ivy")));
  EXPECT_THAT(dropped(*done.end), UnorderedElementsAre(EntraSimulator::id("hal"), EntraSimulator::id("gus"), EntraSimulator::id("empty")));
  const auto next = read(done.end->to.value);
  EXPECT_TRUE(next.sink.users.empty() && next.sink.groups.empty());
}

TEST_F(Entra, WhatADeltaLeavesOutIsReadById) {
  const auto cursor = whole();
  entra.with([](EntraSwitches& is) { is.minimal = true; });
  entra.change_user("ada", [](EntraUser& ada) { ada.surname = "Lovelace"; });
  entra.change_user("bob", [](EntraUser& bob) { bob.enabled = false; });
  const auto done = read(cursor);
  ASSERT_TRUE(done.end) << done.end.error().what;
  const auto& ada = done.sink.find_user("ada@acme.example");
  EXPECT_EQ(ada.last_name, "Lovelace");
  EXPECT_EQ(ada.first_name, "ada");
  EXPECT_EQ(ada.email, "ada@mail.acme.example");
  EXPECT_FALSE(done.sink.find_user("bob@acme.example").enabled);
}

TEST_F(Entra, ManyAreReadByIdInBunchesOrOneByOne) {
  const auto cursor = whole();
  for (int i = 0; i < 40; ++i)
    entra.put_user(fmt::format("g{}", i),
                   {.upn = fmt::format("g{}@acme.example", i), .mail = {}, .given = fmt::format("g{}", i), .surname = {}, .display = "G"});
  entra.forget();
  EXPECT_EQ(read(cursor).sink.users.size(), 40u);
  EXPECT_LT(entra.asked().size(), 40u);
  entra.with([](EntraSwitches& is) { is.no_in_filter = true; });
  EXPECT_EQ(read(cursor).sink.users.size(), 40u);
}

TEST_F(Entra, ReplaysInAnyOrderDoNoHarm) {
  auto cursor = whole();
  entra.with([](EntraSwitches& is) { is.replays = is.shuffled = is.repeats = true; });
  for (int i = 0; i < 6; ++i) {
    entra.remove_member("staff", "ada");
    entra.remove_member("staff", "bob");
    entra.add_member("staff", "ada");
    entra.remove_user("fay");
    entra.user("fay");  // restored, with the same id
    entra.change_user("cleo", [&](EntraUser& cleo) { cleo.surname = fmt::format("of {}", i); });
    const auto done = read(cursor);
    ASSERT_TRUE(done.end) << done.end.error().what;
    EXPECT_TRUE(done.end->proof.complete());
    EXPECT_THAT(done.sink.find_group("staff").members, UnorderedElementsAre(user("ada"), user("cleo"), user("dan"), user("eve")));
    EXPECT_EQ(done.sink.find_user("cleo@acme.example").last_name, fmt::format("of {}", i));
    EXPECT_EQ(done.sink.find_user("fay@acme.example").id.value, EntraSimulator::id("fay"));
    EXPECT_THAT(dropped(*done.end), IsEmpty());
    cursor = done.end->to.value;
    entra.add_member("staff", "bob");
  }
}

TEST_F(Entra, ARemovalThatTheObjectContradictsIsLookedAtAgain) {
  const auto cursor = whole();
  entra.remove_user("hal");
  entra.remove_group("empty");
  const auto staff = "/v1.0/groups/" + EntraSimulator::id("empty");
  const auto hal = "/v1.0/users/" + EntraSimulator::id("hal");
  // Another of Graph's servers that has not heard of it yet.
  entra.intercept([&](const HttpAsked& asked) -> std::optional<HttpSaid> {
    if (asked.path == hal)
      return json_answer(
          json{{"id", EntraSimulator::id("hal")}, {"userPrincipalName", "hal@acme.example"}, {"accountEnabled", true}}.dump());
    if (asked.path == staff) return json_answer(json{{"id", EntraSimulator::id("empty")}, {"displayName", "empty"}}.dump());
    if (asked.path == staff + "/members") return json_answer(R"({"value":[]})");
    return std::nullopt;
  });
  const auto first = read(cursor);
  ASSERT_TRUE(first.end) << first.end.error().what;
  EXPECT_THAT(dropped(*first.end), IsEmpty());
  entra.intercept({});
  const auto second = read(first.end->to.value);
  ASSERT_TRUE(second.end) << second.end.error().what;
  EXPECT_THAT(dropped(*second.end), UnorderedElementsAre(EntraSimulator::id("hal"), EntraSimulator::id("empty")));
  const auto third = read(second.end->to.value);
  EXPECT_THAT(dropped(*third.end), IsEmpty());
}

TEST_F(Entra, ForgottenTokensAskForAFullRead) {
  const auto cursor = whole();
  for (const int status : {410, 400, 404}) {
    entra.with([&](EntraSwitches& is) {
      is.forgotten = true;
      is.forgotten_status = status;
    });
    const auto done = read(cursor);
    ASSERT_FALSE(done.end);
    EXPECT_EQ(done.end.error().code, Errc::CursorExpired) << done.end.error().what;
  }
}

TEST_F(Entra, TokensOlderThanGraphKeepsThemAreNotEvenTried) {
  const auto cursor = whole();
  auto old = json::parse(cursor);
  old["made"] = rfc3339(SystemClock().now() - std::chrono::hours(157));
  auto foreign = json::parse(cursor);
  foreign["users"] = "https://graph.microsoft.com.evil.example/v1.0/users/delta?$deltatoken=1";
  entra.forget();
  for (const auto& text : {old.dump(), foreign.dump(), std::string("{}"), std::string("nonsense"), std::string(R"({"v":2})")}) {
    const auto done = read(text);
    ASSERT_FALSE(done.end) << text;
    EXPECT_EQ(done.end.error().code, Errc::CursorExpired) << done.end.error().what;
  }
  for (const auto& asked : entra.asked()) EXPECT_THAT(asked, testing::Not(HasSubstr("/v1.0/")));
}

TEST_F(Entra, HiddenMembershipsAreNotReadAsNoMembers) {
  entra.change_group("staff", [](EntraGroup& staff) { staff.visibility = "HiddenMembership"; });
  expect_the_whole_tenant(read().sink);
  const auto cursor = whole();
  entra.with([](EntraSwitches& is) { is.permissions.erase("Member.Read.Hidden"); });
  entra.remove_member("staff", "ada");
  for (const auto& from : {std::string(), cursor}) {
    const auto done = read(from);
    ASSERT_TRUE(done.end) << done.end.error().what;
    EXPECT_TRUE(done.end->proof.complete());
    ASSERT_EQ(done.sink.skips.size(), 1u);
    EXPECT_EQ(done.sink.skips[0].id.value, EntraSimulator::id("staff"));
    EXPECT_THAT(done.sink.skips[0].reason, HasSubstr("Member.Read.Hidden"));
  }
}

TEST_F(Entra, WhoseEnablementIsNotShownIsSkippedNotEnabled) {
  entra.with([](EntraSwitches& is) { is.permissions = {"User.ReadBasic.All", "Group.Read.All"}; });
  const auto done = read();
  ASSERT_TRUE(done.end) << done.end.error().what;
  EXPECT_TRUE(done.sink.users.empty());
  ASSERT_EQ(done.sink.skips.size(), 8u);
  EXPECT_THAT(done.sink.skips[0].reason, HasSubstr("User.Read.All"));
}

TEST_F(Entra, VerifyTellsWhoIsThereAndWhoIsGone) {
  entra.remove_user("hal");
  std::vector<ExternalId> ids;
  for (const auto* name : {"ada", "hal", "nobody", "bob"}) ids.push_back({EntraSimulator::id(name)});
  const auto presence = connector()->verify(PrincipalType::User, ids, {});
  ASSERT_TRUE(presence) << presence.error().what;
  EXPECT_THAT(presence->of, ElementsAre(Present::InScope, Present::Gone, Present::Gone, Present::InScope));
  entra.with([](EntraSwitches& is) { is.permissions.clear(); });
  const auto refused = connector()->verify(PrincipalType::User, ids, {});
  ASSERT_TRUE(refused) << refused.error().what;
  EXPECT_THAT(refused->of, testing::Each(Present::Unknown));
  EXPECT_THAT(refused->trouble, HasSubstr("403"));
}

TEST_F(Entra, StillListedLooksAtTheMembersOfNow) {
  const auto listed = [&](const std::string& group, const std::string& member) {
    const std::vector<Unlisted> groups{{.group = {EntraSimulator::id("empty")}, .members = {{EntraSimulator::id("ada")}}},
                                       {.group = {EntraSimulator::id(group)}, .members = {{EntraSimulator::id(member)}}}};
    return connector()->still_listed(groups, {});
  };
  EXPECT_EQ(listed("staff", "eve").value(), std::optional<std::size_t>(1));
  EXPECT_EQ(listed("staff", "gus").value(), std::nullopt);
  EXPECT_EQ(listed("unknown", "gus").value(), std::nullopt);
}

TEST_F(Entra, TestSaysWhichPermissionIsMissing) {
  const auto findings = [&] {
    std::map<std::string, std::pair<bool, std::string>> out;
    for (const auto& finding : connector()->test({})) out[finding.step] = {finding.good, finding.text};
    return out;
  };
  for (const auto& [step, finding] : findings()) EXPECT_TRUE(finding.first) << step << ": " << finding.second;
  EXPECT_THAT(findings(), Contains(testing::Key("stable id")));
  entra.with([](EntraSwitches& is) { is.permissions = {"User.ReadBasic.All"}; });
  auto poor = findings();
  EXPECT_FALSE(poor["users"].first);
  EXPECT_THAT(poor["users"].second, HasSubstr("User.Read.All"));
  EXPECT_FALSE(poor["groups"].first);
  EXPECT_THAT(poor["groups"].second, HasSubstr("Group.Read.All"));
}

TEST_F(Entra, SettingsThatDeltaCannotHonourAreRefused) {
  auto settings = entra.settings();
  settings["users"] = {{"filter", "department eq 'R&D'"}};
  settings["groups"] = {{"filter", "x"}};
  settings["membership"] = "by_id";
  const auto ok = oidc::validate(settings.dump());
  ASSERT_FALSE(ok);
  EXPECT_THAT(ok.error().what, HasSubstr("/users/filter: "));
  EXPECT_THAT(ok.error().what, HasSubstr("/groups/filter: "));
  EXPECT_THAT(ok.error().what, HasSubstr("/membership: "));
  EXPECT_TRUE(oidc::validate(entra.settings().dump()));
}

TEST_F(Entra, AnotherTenantIsAnotherScope) {
  auto other = entra.settings();
  other["issuer"] = entra.url() + "/other/v2.0";
  EXPECT_NE(oidc::fingerprint(entra.settings().dump()).scope, oidc::fingerprint(other.dump()).scope);
  EXPECT_NE(oidc::fingerprint(entra.settings().dump()).cursor, oidc::fingerprint(other.dump()).cursor);
}

TEST_F(Entra, GroupsLeftOutAreNotAskedFor) {
  entra.forget();
  CollectingSink sink;
  const auto end = connector({{"groups", false}})->read({}, sink, {});
  ASSERT_TRUE(end) << end.error().what;
  EXPECT_TRUE(is_complete(*end));
  EXPECT_EQ(sink.users.size(), 8u);
  for (const auto& asked : entra.asked()) EXPECT_THAT(asked, testing::Not(HasSubstr("/groups")));
}

TEST_F(Entra, ATokenThatIsRefusedInMidWalkIsRenewed) {
  std::size_t asked_of_graph = 0;
  entra.intercept([&](const HttpAsked& asked) -> std::optional<HttpSaid> {
    if (!asked.path.starts_with("/v1.0/") || ++asked_of_graph != 3) return std::nullopt;
    return json_answer(R"({"error":{"code":"InvalidAuthenticationToken"}})", 401);
  });
  const auto done = read();
  ASSERT_TRUE(done.end) << done.end.error().what;
  EXPECT_TRUE(is_complete(*done.end)) << failed(*done.end);
  EXPECT_EQ(entra.tokens_given(), 2u);
}

TEST_F(Entra, ALimitThatIsNearSlowsTheReadDown) {
  entra.with([](EntraSwitches& is) {
    is.page = 100;
    is.throttle_share = "0.85";
  });
  const auto before = std::chrono::steady_clock::now();
  const auto done = read();
  ASSERT_TRUE(done.end) << done.end.error().what;
  EXPECT_TRUE(is_complete(*done.end)) << failed(*done.end);
  EXPECT_GE(std::chrono::steady_clock::now() - before, std::chrono::milliseconds(500)) << "two pages";
}

TEST_F(Entra, AWalkWithoutADeltaLinkIsNotComplete) {
  entra.with([](EntraSwitches& is) { is.omits_delta_link = true; });
  const auto done = read();
  ASSERT_FALSE(done.end);
  EXPECT_THAT(done.end.error().what, HasSubstr("deltaLink"));
}

TEST_F(Entra, AReadThatIsToldToStopStops) {
  CollectingSink sink;
  sink.stop_after = 3;
  const auto end = connector()->read({}, sink, {});
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().code, Errc::Stopped);
}

TEST(EntraMembers, ArePackedAndEachGivenOnce) {
  oidc::entra::MemberList members;
  const std::string guid = "12345678-9abc-def0-1234-56789abcdef0";
  for (int i = 0; i < 3; ++i) {
    members.add({{"id", guid}, {"@odata.type", "#microsoft.graph.user"}});
    members.add({{"id", "UPPER"}, {"@odata.type", "#microsoft.graph.group"}});
    members.add({{"id", "12345678-9ABC-DEF0-1234-56789ABCDEF0"}, {"@odata.type", "#microsoft.graph.user"}});
    members.add({{"id", guid}, {"@odata.type", "#microsoft.graph.device"}});
  }
  EXPECT_FALSE(members.has_unknown_kinds());
  members.add({{"id", "bare"}});
  EXPECT_TRUE(members.has_unknown_kinds());
  std::vector<std::string> out;
  EXPECT_TRUE(members.each_piece([&](std::span<const Reference> piece) {
    out.insert(out.end(), piece.begin(), piece.end());
    return true;
  }));
  EXPECT_THAT(out, UnorderedElementsAre("user:" + guid, "group:UPPER", "user:12345678-9ABC-DEF0-1234-56789ABCDEF0", "id:bare"));
}

}  // namespace
}  // namespace rosterd::test
