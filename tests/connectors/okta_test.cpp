// The dialect of Okta against a simulator written from Okta's documentation; nothing here has met the real service.
#include "connectors/oidc/okta/okta.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/pem.h>

#include <nlohmann/json.hpp>

#include "connectors/oidc/oidc.hpp"
#include "connectors/oidc/okta/objects.hpp"
#include "tests/connectors/collecting_sink.hpp"
#include "tests/support/okta_simulator.hpp"

namespace rosterd::test {
namespace {

using namespace connectors;
using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

std::string fresh_key() {
  EVP_PKEY* const key = EVP_EC_gen("P-256");
  BIO* const out = BIO_new(BIO_s_mem());
  PEM_write_bio_PrivateKey(out, key, nullptr, nullptr, 0, nullptr, nullptr);
  char* text = nullptr;
  const auto size = BIO_get_mem_data(out, &text);
  std::string pem(text, static_cast<std::size_t>(size));
  BIO_free(out);
  EVP_PKEY_free(key);
  return pem;
}

class Okta : public testing::Test {
 protected:
  Okta() {
    for (const auto* name : {"ada", "bob", "cleo", "dan", "eve", "fay"}) okta.user(name);
    okta.user("gone", "DEPROVISIONED");
    okta.group("staff", {"ada", "bob", "cleo", "dan", "eve"});
    okta.group("few", {"fay"});
    okta.group("empty");
  }
  [[nodiscard]] std::unique_ptr<Connector> connector(const json& more = json::object()) const {
    auto settings = okta.settings();
    settings.update(more);
    auto options = test_options();
    options.operation_timeout = std::chrono::milliseconds(2000);
    options.read_deadline = std::chrono::seconds(15);
    auto made = oidc::make({.json = settings.dump(), .learnt = {}}, options);
    if (!made) throw std::runtime_error(made.error().what);
    return std::move(*made);
  }
  /// Settings of a service app that proves itself with a key.
  [[nodiscard]] json with_key(const std::string& issuer) const {
    return {{"issuer", issuer},
            {"token", nullptr},
            {"client_id", OktaSimulator::kClient},
            {"private_key", {{"value", fresh_key()}}},
            {"key_id", "k1"}};
  }
  struct Done {
    CollectingSink sink;
    Result<FeedEnd> end;
  };
  [[nodiscard]] Done read(const std::string& cursor = {}, const json& more = json::object()) const {
    Done out;
    out.end = connector(more)->read({cursor}, out.sink, {});
    return out;
  }
  static std::set<std::string> names(const CollectingSink& sink) {
    std::set<std::string> out;
    for (const auto& user : sink.users) out.insert(user.first_name);
    return out;
  }
  static std::string user(const std::string& name) { return "user:" + OktaSimulator::id(name); }

  OktaSimulator okta;
};

TEST_F(Okta, TheWholeOrganisationIsReadAndDeactivatedPeopleAreDisabledNotAbsent) {
  for (const int form : {0, 1, 2, 3}) {
    okta.with([&](OktaSwitches& is) {
      is.self_first = form != 1;
      is.one_header = form == 2;
      is.repeats = form == 3;
    });
    const auto done = read();
    ASSERT_TRUE(done.end) << done.end.error().what;
    EXPECT_TRUE(is_complete(*done.end)) << failed(*done.end);
    EXPECT_EQ(done.sink.users.size(), 7u);
    const auto& gone = done.sink.find_user("gone@acme.example");
    EXPECT_FALSE(gone.enabled);
    EXPECT_THAT(gone.disabled_reason, HasSubstr("deactivated"));
    const auto& ada = done.sink.find_user("ada@acme.example");
    EXPECT_EQ(ada.id.value, "00uada");
    EXPECT_EQ(ada.email, "ada@mail.acme.example");
    EXPECT_TRUE(ada.enabled);
    EXPECT_EQ(done.sink.members_of("staff").size(), 5u);
    EXPECT_THAT(done.sink.members_of("few"), ElementsAre("fay@acme.example"));
    EXPECT_THAT(done.sink.members_of("empty"), IsEmpty());
    EXPECT_EQ(done.sink.find_group("few").record.description, "about few");
  }
}

TEST_F(Okta, EveryStatusMeansSomething) {
  const std::map<std::string, bool> meanings{{"STAGED", false},        {"PROVISIONED", true},     {"ACTIVE", true},
                                             {"RECOVERY", true},       {"LOCKED_OUT", true},      {"SUSPENDED", false},
                                             {"DEPROVISIONED", false}, {"PASSWORD_EXPIRED", true}};
  for (const auto& [status, enabled] : meanings) {
    const auto parsed = oidc::okta::parse_user({{"id", "1"}, {"status", status}, {"profile", {{"login", "Ada@Acme.example"}}}});
    EXPECT_TRUE(parsed.trouble.empty()) << status;
    EXPECT_EQ(parsed.record.enabled, enabled) << status;
    EXPECT_EQ(parsed.record.disabled_reason.empty(), enabled) << status;
    EXPECT_EQ(parsed.record.username, "ada@acme.example");
  }
  EXPECT_THAT(oidc::okta::parse_user({{"id", "1"}, {"status", "NEW"}, {"profile", {{"login", "a"}}}}).trouble, HasSubstr("NEW"));
  EXPECT_THAT(oidc::okta::parse_user({{"id", "1"}, {"status", "ACTIVE"}}).trouble, HasSubstr("login"));
}

TEST_F(Okta, AnIncrementalReadBringsWhatChangedSinceAndRemovesNobody) {
  okta.advance(std::chrono::hours(1));
  const auto first = read();
  ASSERT_TRUE(first.end) << first.end.error().what;
  okta.advance(std::chrono::hours(1));
  for (const bool omits : {true, false}) {
    okta.with([&](OktaSwitches& is) { is.time_omits_deprovisioned = omits; });
    okta.change_user("bob", [](OktaUser& bob) { bob.last = "Stone"; });
    okta.change_user("dan", [](OktaUser& dan) { dan.status = "DEPROVISIONED"; });
    okta.delete_user("eve");
    okta.user("ivy");
    okta.add_member("few", "ada");
    okta.change_group("empty", [](OktaGroup& group) { group.description = "still"; });
    okta.forget();
    const auto done = read(first.end->to.value);
    ASSERT_TRUE(done.end) << done.end.error().what;
    EXPECT_TRUE(done.end->proof.complete());
    EXPECT_TRUE(std::holds_alternative<KeepAbsent>(done.end->absence));
    EXPECT_EQ(done.end->cursor_kind, "last_updated");
    EXPECT_THAT(names(done.sink), UnorderedElementsAre("bob", "dan", "ivy"));
    EXPECT_FALSE(done.sink.find_user("dan@acme.example").enabled);
    EXPECT_EQ(done.sink.groups.size(), 3u) << "staff lost a member";
    EXPECT_THAT(done.sink.find_group("few").members, UnorderedElementsAre(user("ada"), user("fay")));
    EXPECT_THAT(done.sink.find_group("staff").members, UnorderedElementsAre(user("ada"), user("bob"), user("cleo"), user("dan")));
  }
}

TEST_F(Okta, TheNextReadOverlapsByFiveMinutesOfTheServersClock) {
  okta.advance(std::chrono::hours(-5));
  const auto first = read();
  const auto since = parse_rfc3339(json::parse(first.end->to.value).at("since").get<std::string>());
  ASSERT_TRUE(since);
  const auto age = SystemClock().now() - std::chrono::hours(5) - *since;
  EXPECT_GE(age, std::chrono::minutes(5));
  EXPECT_LT(age, std::chrono::minutes(6));
  for (const auto* text : {"{}", "x", R"({"v":1,"since":"\" or status eq \""})"}) {
    const auto done = read(text);
    ASSERT_FALSE(done.end);
    EXPECT_EQ(done.end.error().code, Errc::CursorExpired);
  }
}

TEST_F(Okta, FiltersNarrowEveryReadAndVerify) {
  okta.change_group("few", [](OktaGroup& group) { group.type = "APP_GROUP"; });
  const json more = {{"users", {{"filter", R"(profile.firstName eq "ada" or profile.firstName eq "gone")"}}},
                     {"groups", {{"filter", R"(type eq "OKTA_GROUP")"}}}};
  const auto done = read({}, more);
  ASSERT_TRUE(done.end) << done.end.error().what;
  EXPECT_TRUE(is_complete(*done.end));
  EXPECT_THAT(names(done.sink), UnorderedElementsAre("ada", "gone"));
  EXPECT_EQ(done.sink.groups.size(), 2u);
  okta.advance(std::chrono::seconds(1));
  const auto next = read(done.end->to.value, more);
  ASSERT_TRUE(next.end) << next.end.error().what;
  EXPECT_THAT(names(next.sink), UnorderedElementsAre("ada", "gone"));
  const std::vector<ExternalId> ids{{OktaSimulator::id("ada")}, {OktaSimulator::id("bob")}, {OktaSimulator::id("nobody")}};
  const auto presence = connector(more)->verify(PrincipalType::User, ids, {});
  ASSERT_TRUE(presence) << presence.error().what;
  EXPECT_THAT(presence->of, ElementsAre(Present::InScope, Present::OutOfScope, Present::Gone));
}

TEST_F(Okta, VerifyAsksForIdsAndFindsDeactivatedPeopleInScope) {
  const std::vector<ExternalId> ids{{OktaSimulator::id("gone")}, {OktaSimulator::id("nobody")}, {"ada@acme.example"}};
  const auto presence = connector()->verify(PrincipalType::User, ids, {});
  ASSERT_TRUE(presence) << presence.error().what;
  EXPECT_THAT(presence->of, ElementsAre(Present::InScope, Present::Gone, Present::Gone)) << "a login is no id";
  okta.with([](OktaSwitches& is) { is.scopes = {"okta.groups.read"}; });
  const auto refused = connector()->verify(PrincipalType::User, ids, {});
  ASSERT_TRUE(refused);
  EXPECT_THAT(refused->of, testing::Each(Present::Unknown));
}

TEST_F(Okta, StillListedLooksAtTheMembersOfNow) {
  const auto listed = [&](const std::string& group, const std::string& member) {
    const std::vector<Unlisted> groups{{.group = {OktaSimulator::id("empty")}, .members = {{OktaSimulator::id("ada")}}},
                                       {.group = {OktaSimulator::id(group)}, .members = {{OktaSimulator::id(member)}}}};
    return connector()->still_listed(groups, {});
  };
  EXPECT_EQ(listed("staff", "eve").value(), std::optional<std::size_t>(1));
  EXPECT_EQ(listed("staff", "fay").value(), std::nullopt);
  EXPECT_EQ(listed("unknown", "fay").value(), std::nullopt);
}

TEST_F(Okta, AServiceAppProvesItselfToTheTokenEndpointWithItsKey) {
  // Only the organisation's server gives tokens for its API: the issuer of an authorization server makes no difference.
  for (const auto& issuer : {okta.url(), okta.url() + "/oauth2/default"}) {
    const auto done = read({}, with_key(issuer));
    ASSERT_TRUE(done.end) << done.end.error().what;
    EXPECT_TRUE(is_complete(*done.end));
    EXPECT_EQ(okta.assertions().back().at("aud"), okta.url() + "/oauth2/v1/token");
    EXPECT_EQ(okta.assertions().back().at("iss"), OktaSimulator::kClient);
  }
  EXPECT_EQ(oidc::okta::api_url("https://acme.okta.com/oauth2/default"), "https://acme.okta.com");
  EXPECT_EQ(oidc::okta::token_url("https://acme.okta.com"), "") << "discovery says";
}

TEST_F(Okta, ARevokedTokenIsRenewedInMidWalk) {
  std::size_t pages = 0;
  okta.intercept([&](const HttpAsked& asked) -> std::optional<HttpSaid> {
    if (asked.path == "/api/v1/users" && ++pages == 3) return json_answer(R"({"errorCode":"E0000011"})", 401);
    return std::nullopt;
  });
  const auto done = read({}, with_key(okta.url()));
  ASSERT_TRUE(done.end) << done.end.error().what;
  EXPECT_TRUE(is_complete(*done.end)) << failed(*done.end);
  EXPECT_EQ(okta.assertions().size(), 2u);
}

TEST_F(Okta, LimitsAreWaitedForByTheServersClock) {
  okta.advance(std::chrono::minutes(-3));
  okta.with([](OktaSwitches& is) { is.remaining = 4; });
  auto done = read();
  ASSERT_TRUE(done.end) << done.end.error().what;
  EXPECT_TRUE(is_complete(*done.end)) << failed(*done.end);
  okta.with([](OktaSwitches& is) {
    is.remaining.reset();
    is.concurrency_429 = 3;
  });
  done = read();
  ASSERT_TRUE(done.end) << done.end.error().what;
  EXPECT_TRUE(is_complete(*done.end)) << failed(*done.end);
}

TEST_F(Okta, TestSaysWhichScopeIsMissing) {
  const auto findings = [&] {
    std::map<std::string, std::pair<bool, std::string>> out;
    for (const auto& finding : connector()->test({})) out[finding.step] = {finding.good, finding.text};
    return out;
  };
  for (const auto& [step, finding] : findings()) EXPECT_TRUE(finding.first) << step << ": " << finding.second;
  okta.with([](OktaSwitches& is) { is.scopes.clear(); });
  auto poor = findings();
  EXPECT_FALSE(poor["users"].first);
  EXPECT_THAT(poor["users"].second, HasSubstr("okta.users.read"));
  EXPECT_FALSE(poor["groups"].first);
  EXPECT_THAT(poor["groups"].second, HasSubstr("okta.groups.read"));
}

TEST_F(Okta, AGroupDeletedWhileItIsReadIsLeftOut) {
  okta.intercept([&](const HttpAsked& asked) -> std::optional<HttpSaid> {
    if (asked.path == "/api/v1/groups/00ufew/users") return json_answer(R"({"errorCode":"E0000007"})", 404);
    return std::nullopt;
  });
  const auto done = read();
  ASSERT_TRUE(done.end) << done.end.error().what;
  EXPECT_EQ(done.sink.groups.size(), 2u);
}

TEST_F(Okta, AGroupWhoseMembersBreakOffIsNotAShorterGroup) {
  okta.intercept([&](const HttpAsked& asked) -> std::optional<HttpSaid> {
    if (asked.path == "/api/v1/groups/00ustaff/users" && asked.query.contains("after"))
      return json_answer(R"({"errorCode":"E0000006"})", 403);
    return std::nullopt;
  });
  const auto done = read();
  ASSERT_TRUE(done.end) << done.end.error().what;
  EXPECT_FALSE(done.end->proof.complete());
  EXPECT_TRUE(std::holds_alternative<KeepAbsent>(done.end->absence));
  EXPECT_FALSE(done.sink.find_group("staff").complete);
}

}  // namespace
}  // namespace rosterd::test
