// A real 389 Directory Server: nsUniqueId, nsAccountLock, groups that may be empty.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/connectors/collecting_sink.hpp"
#include "tests/support/ds389.hpp"

namespace rosterd::test {
namespace {

using namespace connectors;
using testing::HasSubstr;

constexpr auto kEntries = R"(dn: uid=ada,ou=people,dc=example,dc=com
changetype: add
objectClass: inetOrgPerson
uid: ada
cn: Ada Lovelace
givenName: Ada
sn: Lovelace
mail: ada@example.com

dn: uid=bob,ou=people,dc=example,dc=com
changetype: add
objectClass: inetOrgPerson
uid: bob
cn: Bob
sn: Builder
nsAccountLock: TRUE

dn: cn=devs,ou=groups,dc=example,dc=com
changetype: add
objectClass: groupOfNames
cn: devs
member: uid=ada,ou=people,dc=example,dc=com
member: uid=bob,ou=People,dc=example,dc=com

dn: cn=empty,ou=groups,dc=example,dc=com
changetype: add
objectClass: groupOfNames
cn: empty

dn: cn=unique,ou=groups,dc=example,dc=com
changetype: add
objectClass: groupOfUniqueNames
cn: unique
uniqueMember: cn=devs,ou=groups,dc=example,dc=com
)";

class Ds389 : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (!Private389::unavailable().empty()) return;
    server_ = new Private389();
    server_->modify(kEntries);
  }
  static void TearDownTestSuite() {
    delete server_;
    server_ = nullptr;
  }
  void SetUp() override {
    if (server_ == nullptr) GTEST_SKIP() << Private389::unavailable();
  }
  static std::string settings(const std::string& more = "") {
    return fmt::format(R"({{"url": "{}", "preset": "389ds", "bind_dn": "{}", "bind_password": {{"value": "{}"}}, {}
      "users": {{"base": "ou=people,dc=example,dc=com"}}, "groups": {{"base": "ou=groups,dc=example,dc=com"}}}})",
                       Private389::url(), Private389::admin_dn(), Private389::admin_password(), more);
  }
  static Result<FeedEnd> read(const std::string& json, CollectingSink& sink, const ConnectorOptions& options = test_options(),
                              const std::string& learnt = {}) {
    Result<FeedEnd> end = fail(Errc::Internal, "not run");
    server_->run([&] { end = make_ldap(json, options, learnt)->read({}, sink, {}); });
    return end;
  }
  static Private389* server_;
};
Private389* Ds389::server_ = nullptr;

TEST_F(Ds389, PeopleAreReadWithTheirUniqueIdAndState) {
  CollectingSink sink;
  const auto end = read(settings(), sink);
  ASSERT_TRUE(end) << end.error().what;
  EXPECT_TRUE(is_complete(*end)) << failed(*end);
  const auto& ada = sink.find_user("ada");
  EXPECT_THAT(ada.id.value, testing::MatchesRegex("[0-9a-f-]{35}"));
  EXPECT_TRUE(ada.enabled);
  EXPECT_FALSE(sink.find_user("bob").enabled);
  EXPECT_THAT(sink.find_user("bob").disabled_reason, HasSubstr("nsAccountLock"));
}

TEST_F(Ds389, GroupsMayBeEmptyHere) {
  CollectingSink sink;
  const auto end = read(settings(), sink);
  ASSERT_TRUE(end) << end.error().what;
  EXPECT_TRUE(is_complete(*end)) << failed(*end);
  EXPECT_THAT(sink.members_of("devs"), testing::UnorderedElementsAre("ada", "bob"));
  EXPECT_THAT(sink.members_of("unique"), testing::UnorderedElementsAre("devs"));
  EXPECT_TRUE(sink.find_group("empty").complete);
  EXPECT_TRUE(sink.find_group("empty").members.empty());
}

TEST_F(Ds389, PagesWorkWhereTheyAreRemembered) {
  CollectingSink sink;
  auto options = test_options();
  options.page_size = 1;
  const auto end = read(settings(), sink, options, R"({"paging":"required"})");
  ASSERT_TRUE(end) << end.error().what;
  EXPECT_TRUE(is_complete(*end)) << failed(*end);
  EXPECT_NO_THROW((void)sink.find_user("ada"));
  EXPECT_NO_THROW((void)sink.find_user("bob"));
}

TEST_F(Ds389, VerifyKnowsUniqueIds) {
  CollectingSink sink;
  const auto end = read(settings(), sink);
  ASSERT_TRUE(end) << end.error().what;
  const std::vector<ExternalId> ids = {
      sink.find_user("ada").id, {"00000000-00000000-00000000-00000001"}, sink.find_group("devs").record.id};
  Result<Presence> presence = fail(Errc::Internal, "not run");
  server_->run([&] { presence = make_ldap(settings())->verify(PrincipalType::User, ids, {}); });
  ASSERT_TRUE(presence) << presence.error().what;
  EXPECT_THAT(presence->of, testing::ElementsAre(Present::InScope, Present::Gone, Present::OutOfScope)) << presence->trouble;
}

TEST_F(Ds389, TheTestFindsEverythingGood) {
  std::vector<Finding> findings;
  server_->run([&] { findings = make_ldap(settings())->test({}); });
  for (const auto& finding : findings) EXPECT_TRUE(finding.good) << finding.step << ": " << finding.text;
}

}  // namespace
}  // namespace rosterd::test
