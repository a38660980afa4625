// The SCIM dialect against a provider whose quirks can be chosen. Real providers: scim_servers_test.cpp.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "connectors/oidc/oidc.hpp"
#include "connectors/oidc/scim/resources.hpp"
#include "tests/connectors/collecting_sink.hpp"
#include "tests/support/scim_provider.hpp"

namespace rosterd::test {
namespace {

using namespace connectors;
using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

std::unique_ptr<Connector> connector_of(const ScimProvider& provider, const std::string& learnt = {}) {
  auto options = test_options();
  options.operation_timeout = std::chrono::milliseconds(2000);
  options.read_deadline = std::chrono::milliseconds(15'000);
  auto made = oidc::make({.json = provider.settings(), .learnt = learnt}, options);
  if (!made) throw std::runtime_error(made.error().what);
  return std::move(*made);
}

struct Reading : testing::Test {
  Reading() {
    for (const auto* name : {"ada", "bob", "eve", "dan", "joe", "kim", "lea"}) provider.user("u-" + std::string(name), name);
    provider.group("g1", "Staff", {"u-ada", "u-bob", "u-eve"});
    provider.group("g2", "All", {"u-dan"}, {"g1"});
  }
  FeedEnd read(const Cursor& from = {}) {
    sink = {};
    auto end = connector_of(provider, learnt)->read(from, sink, {});
    if (!end) throw std::runtime_error(end.error().what);
    return *end;
  }
  std::set<std::string> names() const {
    std::set<std::string> out;
    for (const auto& user : sink.users) out.insert(user.username);
    return out;
  }
  ScimProvider provider;
  CollectingSink sink;
  std::string learnt;
};

using ScimDialect = Reading;

TEST_F(ScimDialect, EverybodyIsReadOnceByCursorByKeysetAndByIndex) {
  for (const auto* way : {"cursor", "keyset", "index"}) {
    provider.cursors = std::string_view(way) == "cursor";
    provider.keyset = std::string_view(way) == "keyset";
    const auto end = read();
    EXPECT_TRUE(is_complete(end)) << way << failed(end);
    EXPECT_EQ(sink.users.size(), 7u) << way;
    EXPECT_EQ(names().size(), 7u) << way;
    EXPECT_THAT(sink.members_of("All"), UnorderedElementsAre("dan", "Staff"));
    EXPECT_THAT(sink.members_of("Staff"), UnorderedElementsAre("ada", "bob", "eve"));
    EXPECT_EQ(json::parse(end.learnt)["users"], way);
    EXPECT_EQ(json::parse(end.learnt)["membership"], "inline");
  }
}

TEST_F(ScimDialect, AServerThatIgnoresFiltersIsNotWalkedByKeyset) {
  provider.first = [&](const HttpAsked& asked) -> std::optional<HttpSaid> {
    if (!asked.parameter("filter").starts_with("id gt")) return std::nullopt;
    return json_answer(json{{"totalResults", 7}, {"Resources", json::array({provider.users["u-ada"]})}}.dump());
  };
  const auto end = read();
  EXPECT_TRUE(is_complete(end)) << failed(end);
  EXPECT_EQ(json::parse(end.learnt)["users"], "index");
  EXPECT_EQ(names().size(), 7u);
}

TEST_F(ScimDialect, AListThatMovesIsWalkedAgain) {
  learnt = R"({"v":1,"users":"index","groups":"index","membership":"inline"})";
  int pages = 0;
  provider.first = [&](const HttpAsked& asked) -> std::optional<HttpSaid> {
    if (asked.path == "/v2/Users" && ++pages == 2) provider.users.erase("u-ada");  // everybody behind her moves up by one
    return std::nullopt;
  };
  const auto end = read();
  EXPECT_TRUE(is_complete(end)) << failed(end);
  EXPECT_EQ(names().size(), 7u) << "she was seen before she went; nobody was lost by it";
}

TEST_F(ScimDialect, AListThatNeverStandsStillIsNotComplete) {
  learnt = R"({"v":1,"users":"index","groups":"index","membership":"inline"})";
  provider.first = [&](const HttpAsked& asked) -> std::optional<HttpSaid> {
    if (asked.path != "/v2/Users") return std::nullopt;
    return json_answer(json{{"totalResults", 9}, {"Resources", json::array({provider.users["u-ada"], provider.users["u-bob"]})}}.dump());
  };
  const auto end = read();
  EXPECT_FALSE(is_complete(end));
  EXPECT_THAT(failed(end), HasSubstr("2 of 9"));
}

TEST_F(ScimDialect, MembersAreFoundWhereTheServerShowsThem) {
  provider.members_in_lists = false;
  auto end = read();
  EXPECT_EQ(json::parse(end.learnt)["membership"], "by_id");
  EXPECT_THAT(sink.members_of("Staff"), UnorderedElementsAre("ada", "bob", "eve"));
  provider.members_by_id = false;
  provider.groups_of_users = true;
  end = read();
  EXPECT_EQ(json::parse(end.learnt)["membership"], "user_groups");
  EXPECT_THAT(sink.members_of("Staff"), UnorderedElementsAre("ada", "bob", "eve"));
}

TEST_F(ScimDialect, AProviderDownInTheMiddleEndsAnUnfinishedFeedAndNeverAShorterOne) {
  for (const int dies_at : {1, 2, 3, 4, 5, 6}) {
    int asked_lists = 0;
    provider.first = [&](const HttpAsked& asked) -> std::optional<HttpSaid> {
      if (asked.path == "/v2/ServiceProviderConfig") return std::nullopt;
      if (++asked_lists >= dies_at) return HttpSaid{.fault = HttpSaid::Fault::Reset};
      return std::nullopt;
    };
    CollectingSink seen;
    const auto end = connector_of(provider)->read({}, seen, {});
    if (end) {
      EXPECT_FALSE(is_complete(*end)) << dies_at;
      EXPECT_TRUE(std::holds_alternative<KeepAbsent>(end->absence)) << dies_at;
    } else {
      EXPECT_TRUE(seen.users.empty()) << dies_at;
    }
  }
}

TEST_F(ScimDialect, AnswersThatAreNoListsEndTheRead) {
  for (const auto* body : {"<html>sign in</html>", "[]", R"({"Resources":7})", R"({"value":[]})", "{}"}) {
    provider.first = [&](const HttpAsked& asked) -> std::optional<HttpSaid> {
      return asked.path == "/v2/Users" ? std::optional(json_answer(body)) : std::nullopt;
    };
    CollectingSink seen;
    EXPECT_FALSE(connector_of(provider)->read({}, seen, {})) << body;
  }
}

TEST_F(ScimDialect, ATokenThatRunsOutInTheMiddleOfAWalkIsAnErrorInWordsWhenItIsStatic) {
  learnt = R"({"v":1,"users":"index","groups":"index","membership":"inline"})";
  int lists = 0;
  provider.first = [&](const HttpAsked& asked) -> std::optional<HttpSaid> {
    if (asked.path == "/v2/Users" && ++lists == 2) return HttpSaid{.status = 401};
    return std::nullopt;
  };
  const auto end = read();
  EXPECT_FALSE(is_complete(end));
  EXPECT_THAT(failed(end), HasSubstr("does not accept the token"));
}

TEST_F(ScimDialect, VerifyingAsksById) {
  const auto presence = connector_of(provider)->verify(PrincipalType::User, std::vector<ExternalId>{{"u-ada"}, {"u-gone"}}, {});
  ASSERT_TRUE(presence) << presence.error().what;
  EXPECT_THAT(presence->of, ElementsAre(Present::InScope, Present::Gone));
  provider.first = [](const HttpAsked&) { return HttpSaid{.status = 403}; };
  const auto unknown = connector_of(provider)->verify(PrincipalType::User, std::vector<ExternalId>{{"u-ada"}, {"u-gone"}}, {});
  ASSERT_TRUE(unknown);
  EXPECT_THAT(unknown->of, ElementsAre(Present::Unknown, Present::Unknown));
}

TEST_F(ScimDialect, ChangesSinceAMomentAreReadWhereTheFilterWorks) {
  provider.filters_time = true;
  const auto full = read();
  ASSERT_EQ(json::parse(full.to.value)["since"], "2026-11-26T09:55:00Z") << "the server's clock, less five minutes";
  provider.user("u-new", "new", {{"meta", {{"lastModified", "2026-11-26T10:01:00Z"}}}});
  provider.group("g1", "Staff", {"u-ada", "u-new"});
  const auto changes = read(full.to);
  EXPECT_TRUE(std::holds_alternative<KeepAbsent>(changes.absence));
  EXPECT_TRUE(changes.proof.complete());
  EXPECT_EQ(changes.cursor_kind, "last_modified");
  EXPECT_THAT(names(), ElementsAre("new"));
  EXPECT_THAT(sink.find_group("Staff").members, UnorderedElementsAre("user:u-ada", "user:u-new")) << "groups are read whole";
  EXPECT_FALSE(changes.to.value.empty());
}

TEST_F(ScimDialect, AFilterThatDoesNothingIsFoundOut) { EXPECT_EQ(read().to.value, "") << "an impossible moment gave everybody"; }

TEST_F(ScimDialect, ACursorOfAnotherKindAsksForAFullRead) {
  CollectingSink seen;
  const auto end = connector_of(provider)->read({"{\"v\":99}"}, seen, {});
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().code, Errc::CursorExpired);
}

TEST_F(ScimDialect, TestingSaysWhatIsThereOrWrong) {
  std::string text;
  for (const auto& finding : connector_of(provider)->test({}))
    text += fmt::format("{}{}: {}\n", finding.good ? "" : "BAD ", finding.step, finding.text);
  EXPECT_THAT(text, HasSubstr("users: 1 of 7: ada is ada X <ada@acme.example>"));
  EXPECT_THAT(text, HasSubstr("groups: 1 of 2: Staff with 3 members"));
  EXPECT_THAT(text, testing::Not(HasSubstr("BAD")));
}

TEST(ScimResources, NamesAreTakenInAnyCaseAndOddTypesAreUnderstood) {
  const auto user = oidc::scim::parse_user(
      json::parse(
          R"({"ID":17,"UserName":"Ada","ACTIVE":"False","emails":[{"value":"a@x.y"},{"value":"W@x.y","type":"work"}],"displayName":"Ada L"})"),
      false);
  EXPECT_EQ(user.record.id.value, "17");
  EXPECT_EQ(user.record.username, "ada");
  EXPECT_EQ(user.record.email, "w@x.y");
  EXPECT_FALSE(user.record.enabled);
  EXPECT_EQ(user.record.last_name, "Ada L");
  EXPECT_TRUE(user.trouble.empty());
  EXPECT_EQ(oidc::scim::parse_user(json::parse(R"({"id":"1"})"), false).trouble, "has no userName");
  const auto group =
      oidc::scim::parse_group(json::parse(R"({"id":"g","displayName":"G","members":[{"value":"a"},"b",{"value":"c","type":"group"},{}]})"));
  EXPECT_THAT(group.members, ElementsAre("id:a", "id:b", "group:c"));
}

}  // namespace
}  // namespace rosterd::test
