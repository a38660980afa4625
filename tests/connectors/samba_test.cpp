// A real Active Directory (Samba): binary ids, account state, primary groups, always in pages.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/connectors/collecting_sink.hpp"
#include "tests/support/samba.hpp"

namespace rosterd::test {
namespace {

using namespace connectors;
using testing::HasSubstr;

class SambaAd : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (!PrivateSamba::unavailable().empty()) return;
    server_ = new PrivateSamba();
    for (const auto* name : {"ada", "bob", "carla"})
      server_->tool({"user", "create", name, "Passw0rd.123", fmt::format("--given-name={}", name), "--surname=Example",
                     fmt::format("--mail-address={}@example.test", name)});
    server_->tool({"user", "disable", "bob"});
    server_->tool({"group", "add", "devs"});
    server_->tool({"group", "add", "everyone"});
    server_->tool({"group", "addmembers", "devs", "ada,bob"});
    server_->tool({"group", "addmembers", "everyone", "devs"});
  }
  static void TearDownTestSuite() {
    delete server_;
    server_ = nullptr;
  }
  void SetUp() override {
    if (server_ == nullptr) GTEST_SKIP() << PrivateSamba::unavailable();
  }
  static std::string settings() {
    return fmt::format(R"({{"url": "{}", "preset": "active_directory", "bind_dn": "{}", "bind_password": {{"value": "{}"}},
      "users": {{"base": "CN=Users,{}"}}, "groups": {{"base": "CN=Users,{}"}}}})",
                       PrivateSamba::url(), PrivateSamba::admin_dn(), PrivateSamba::admin_password(), PrivateSamba::base_dn(),
                       PrivateSamba::base_dn());
  }
  /// Reads inside the server's network.
  static Result<FeedEnd> read(CollectingSink& sink, const ConnectorOptions& options = test_options()) {
    Result<FeedEnd> end = fail(Errc::Internal, "not run");
    server_->run([&] { end = make_ldap(settings(), options)->read({}, sink, {}); });
    return end;
  }
  static PrivateSamba* server_;
};
PrivateSamba* SambaAd::server_ = nullptr;

TEST_F(SambaAd, PeopleAreReadWithTheirGuidAndState) {
  CollectingSink sink;
  auto options = test_options();
  options.page_size = 2;  // several pages even here
  const auto end = read(sink, options);
  ASSERT_TRUE(end) << end.error().what;
  EXPECT_TRUE(is_complete(*end)) << failed(*end);
  const auto& ada = sink.find_user("ada");
  EXPECT_EQ(ada.email, "ada@example.test");
  EXPECT_TRUE(ada.enabled);
  EXPECT_FALSE(sink.find_user("bob").enabled);
  EXPECT_THAT(sink.find_user("bob").disabled_reason, HasSubstr("ACCOUNTDISABLE"));
  // Samba's own tool prints a GUID as Windows does: the canonical text must be that.
  const auto shown = server_->tool({"user", "show", "ada", "--attributes=objectGUID"});
  EXPECT_THAT(shown, HasSubstr("objectGUID: " + ada.id.value));
}

TEST_F(SambaAd, PrimaryGroupsAndNestedGroupsAreResolved) {
  CollectingSink sink;
  const auto end = read(sink);
  ASSERT_TRUE(end) << end.error().what;
  EXPECT_TRUE(is_complete(*end)) << failed(*end);
  EXPECT_THAT(sink.members_of("devs"), testing::UnorderedElementsAre("ada", "bob"));
  EXPECT_THAT(sink.members_of("everyone"), testing::UnorderedElementsAre("devs"));
  EXPECT_THAT(sink.members_of("Domain Users"), testing::IsSupersetOf({"ada", "bob", "carla"}));  // primaryGroupID, not in member
}

TEST_F(SambaAd, VerifyFindsIdsByTheirBytes) {
  CollectingSink sink;
  const auto end = read(sink);
  ASSERT_TRUE(end) << end.error().what;
  const std::vector<ExternalId> ids = {
      sink.find_user("ada").id, {"00000000-0000-0000-0000-000000000001"}, {"no guid"}, sink.find_group("devs").record.id};
  Result<Presence> presence = fail(Errc::Internal, "not run");
  server_->run([&] { presence = make_ldap(settings())->verify(PrincipalType::User, ids, {}); });
  ASSERT_TRUE(presence) << presence.error().what;
  EXPECT_THAT(presence->of, testing::ElementsAre(Present::InScope, Present::Gone, Present::Unknown, Present::OutOfScope))
      << presence->trouble;
}

TEST_F(SambaAd, AnAccountWhoseStateIsHiddenIsSkippedAndTheReadIsNotComplete) {
  server_->tool({"user", "create", "reader", "Passw0rd.123"});
  const auto shown = server_->tool({"user", "show", "reader", "--attributes=objectSid"});
  const auto at = shown.find("S-1-5-");
  const auto sid = shown.substr(at, shown.find('\n', at) - at);
  auto json = settings();
  json.replace(json.find(PrivateSamba::admin_dn()), PrivateSamba::admin_dn().size(), "reader@example.test");
  const auto read_as_reader = [&](CollectingSink& sink) {
    Result<FeedEnd> end = fail(Errc::Internal, "not run");
    server_->run([&] { end = make_ldap(json)->read({}, sink, {}); });
    if (!end) throw std::runtime_error(end.error().what);
    return std::move(*end);
  };
  CollectingSink before;
  auto end = read_as_reader(before);
  EXPECT_TRUE(is_complete(end)) << failed(end) << "an ordinary account may read all of it";
  EXPECT_FALSE(before.find_user("bob").enabled);

  const auto bob = before.find_user("bob").entry;
  const auto hide = [&](const char* attribute) {
    server_->tool({"dsacl", "set", "--objectdn=" + bob, fmt::format("--sddl=(OD;;RP;{};;{})", attribute, sid)});
  };
  hide("bf967a00-0de6-11d0-a285-00aa003049e2");  // primaryGroupID
  CollectingSink without_group;
  end = read_as_reader(without_group);
  EXPECT_FALSE(is_complete(end));
  EXPECT_THAT(failed(end), HasSubstr("1 entries show no primaryGroupID"));
  EXPECT_FALSE(without_group.find_user("bob").enabled) << "his state is known";

  hide("bf967a68-0de6-11d0-a285-00aa003049e2");  // userAccountControl
  CollectingSink without_state;
  end = read_as_reader(without_state);
  EXPECT_FALSE(is_complete(end));
  EXPECT_THAT(failed(end), HasSubstr("1 entries show no userAccountControl"));
  ASSERT_EQ(without_state.skips.size(), 1u);
  EXPECT_THAT(without_state.skips[0].entry, HasSubstr("bob"));
}

TEST_F(SambaAd, WhoeverWasRenamedIsFoundInTheGroupThatListsHisNewName) {
  CollectingSink sink;
  const auto end = read(sink);
  ASSERT_TRUE(end) << end.error().what;
  const std::vector<Unlisted> asked = {{sink.find_group("everyone").record.id, {sink.find_user("ada").id}},
                                       {sink.find_group("devs").record.id, {sink.find_user("carla").id, sink.find_user("ada").id}}};
  Result<std::optional<std::size_t>> listed = fail(Errc::Internal, "not run");
  const auto ada = sink.find_user("ada").entry;
  server_->modify("dn: " + ada + "\nchangetype: modrdn\nnewrdn: CN=lovelace\ndeleteoldrdn: 1\n");
  server_->run([&] { listed = make_ldap(settings())->still_listed(asked, {}); });  // the server has rewritten member by itself
  const auto comma = ada.find(',');
  server_->modify("dn: CN=lovelace" + ada.substr(comma) + "\nchangetype: modrdn\nnewrdn: " + ada.substr(0, comma) + "\ndeleteoldrdn: 1\n");
  ASSERT_TRUE(listed) << listed.error().what;
  EXPECT_EQ(*listed, 1u);
}

TEST_F(SambaAd, AWrongPasswordIsSaidInWords) {
  auto wrong = settings();
  wrong.replace(wrong.find(PrivateSamba::admin_password()), PrivateSamba::admin_password().size(), "wrong");
  CollectingSink sink;
  Result<FeedEnd> end = fail(Errc::Internal, "not run");
  server_->run([&] { end = make_ldap(wrong)->read({}, sink, {}); });
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().code, Errc::Unauthorized);
  EXPECT_THAT(end.error().what, HasSubstr("password"));
}

TEST_F(SambaAd, TheTestIsGoodAndAWrongPresetIsNamed) {
  std::vector<Finding> findings;
  server_->run([&] { findings = make_ldap(settings())->test({}); });
  for (const auto& finding : findings) EXPECT_TRUE(finding.good) << finding.step << ": " << finding.text;
  auto wrong = settings();
  wrong.replace(wrong.find("active_directory"), 16, "openldap");
  server_->run([&] { findings = make_ldap(wrong)->test({}); });
  EXPECT_TRUE(std::any_of(findings.begin(), findings.end(), [](const Finding& found) {
    return !found.good && found.text.find("set preset to active_directory") != std::string::npos;
  }));
}

}  // namespace
}  // namespace rosterd::test
