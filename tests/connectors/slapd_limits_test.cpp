// Limits and hidden entries of a real slapd: what cannot be read must never look gone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/connectors/collecting_sink.hpp"
#include "tests/support/slapd.hpp"

namespace rosterd::test {
namespace {

using namespace connectors;
using testing::HasSubstr;

constexpr auto kReader = "cn=reader,dc=example,dc=com";
constexpr int kUsers = 1200;
constexpr int kBigGroup = 20'000;

std::string directory() {
  std::string out = suffix_ldif("dc=example,dc=com") +
                    "dn: cn=reader,dc=example,dc=com\nobjectClass: person\ncn: reader\nsn: reader\nuserPassword: reads\n\n"
                    "dn: ou=people,dc=example,dc=com\nobjectClass: organizationalUnit\nou: people\n\n"
                    "dn: ou=hidden,ou=people,dc=example,dc=com\nobjectClass: organizationalUnit\nou: hidden\n\n"
                    "dn: ou=groups,dc=example,dc=com\nobjectClass: organizationalUnit\nou: groups\n\n";
  for (int i = 0; i < kUsers; ++i)
    out += fmt::format(
        "dn: uid=u{0},{1}ou=people,dc=example,dc=com\nobjectClass: inetOrgPerson\nuid: u{0}\ncn: U {0}\nsn: {0}\nmail: "
        "u{0}@example.com\n\n",
        i, i < 10 ? "ou=hidden," : "");
  for (int g = 0; g < 20; ++g)
    out += fmt::format(
        "dn: cn=g{0},ou=groups,dc=example,dc=com\nobjectClass: groupOfNames\ncn: g{0}\nmember: uid=u{0},ou=people,dc=example,dc=com\n\n",
        g);
  out += "dn: cn=big,ou=groups,dc=example,dc=com\nobjectClass: groupOfNames\ncn: big\n";
  for (int i = 0; i < kBigGroup; ++i) out += fmt::format("member: uid=u{},ou=people,dc=example,dc=com\n", i);
  out +=
      "\ndn: ou=accounts,dc=example,dc=com\nobjectClass: organizationalUnit\nou: accounts\n\n"
      "dn: cn=staff,ou=accounts,dc=example,dc=com\nobjectClass: posixGroup\ncn: staff\ngidNumber: 500\nmemberUid: p1\n\n";
  for (int i = 0; i < 3; ++i)
    out += fmt::format(
        "dn: uid=p{0},ou=accounts,dc=example,dc=com\nobjectClass: account\nobjectClass: posixAccount\nuid: p{0}\ncn: P {0}\nuidNumber: "
        "{0}\ngidNumber: 500\nhomeDirectory: /\n\n",
        i);
  return out;
}

class SlapdLimits : public testing::Test {
 protected:
  static void SetUpTestSuite() { server_ = new PrivateSlapd(PrivateSlapd::Options{.ldif = directory()}); }
  static void TearDownTestSuite() {
    delete server_;
    server_ = nullptr;
  }
  void SetUp() override { server_->reconfigure("", ""); }
  static std::string settings() {
    return fmt::format(R"({{"url": "{}", "preset": "openldap", "bind_dn": "{}", "bind_password": {{"value": "reads"}},
      "users": {{"base": "ou=people,dc=example,dc=com"}}, "groups": {{"base": "ou=groups,dc=example,dc=com"}}}})",
                       server_->url(), kReader);
  }
  static Result<FeedEnd> read(CollectingSink& sink, const std::string& learnt = {}) {
    return make_ldap(settings(), test_options(), learnt)->read({}, sink, {});
  }
  /// The posix accounts, known by their cn, so that a hidden uid leaves a username.
  static std::string accounts() {
    return fmt::format(R"({{"url": "{}", "preset": "rfc2307", "bind_dn": "{}", "bind_password": {{"value": "reads"}},
      "users": {{"base": "ou=accounts,dc=example,dc=com", "attributes": {{"username": "cn"}}}},
      "groups": {{"base": "ou=accounts,dc=example,dc=com"}}}})",
                       server_->url(), kReader);
  }
  static FeedEnd read_accounts(CollectingSink& sink) {
    auto end = make_ldap(accounts())->read({}, sink, {});
    if (!end) throw std::runtime_error(end.error().what);
    return std::move(*end);
  }
  /// The reader may search by these attributes and not see them.
  static void hide(const std::string& attributes) {
    server_->reconfigure("",
                         fmt::format("access to attrs={} by dn.exact=\"{}\" search by * read\naccess to * by * read", attributes, kReader));
  }
  static PrivateSlapd* server_;
};
PrivateSlapd* SlapdLimits::server_ = nullptr;

std::size_t distinct_users(const CollectingSink& sink) {
  std::set<std::string> ids;
  for (const auto& user : sink.users) ids.insert(user.id.value);
  return ids.size();
}

TEST_F(SlapdLimits, WithoutLimitsOneSearchStreamsEverything) {
  CollectingSink sink;
  const auto end = read(sink);
  ASSERT_TRUE(end) << end.error().what;
  EXPECT_TRUE(is_complete(*end)) << failed(*end);
  EXPECT_EQ(sink.users.size(), static_cast<std::size_t>(kUsers));
  EXPECT_EQ(sink.find_group("big").members.size(), static_cast<std::size_t>(kBigGroup));
  EXPECT_TRUE(sink.find_group("big").complete);
  EXPECT_THAT(end->learnt, HasSubstr("unneeded"));
}

TEST_F(SlapdLimits, ASoftLimitLeadsToPagesAndIsRemembered) {
  server_->reconfigure("", fmt::format("limits dn.exact=\"{}\" size.soft=500 size.hard=500 size.pr=1000 size.prtotal=unlimited", kReader));
  CollectingSink sink;
  const auto end = read(sink);
  ASSERT_TRUE(end) << end.error().what;
  EXPECT_TRUE(is_complete(*end)) << failed(*end);
  EXPECT_EQ(sink.users.size(), static_cast<std::size_t>(kUsers));  // none twice although the first 500 came twice
  EXPECT_EQ(distinct_users(sink), static_cast<std::size_t>(kUsers));
  EXPECT_THAT(end->learnt, HasSubstr("required"));
  EXPECT_THAT(sink.phases, testing::Contains("reading users again, in pages"));

  CollectingSink again;
  const auto second = read(again, end->learnt);
  ASSERT_TRUE(second) << second.error().what;
  EXPECT_TRUE(is_complete(*second)) << failed(*second);
  EXPECT_EQ(again.users.size(), static_cast<std::size_t>(kUsers));
  EXPECT_THAT(again.phases, testing::Not(testing::Contains("reading users again, in pages")));
}

TEST_F(SlapdLimits, APageSizeAboveTheServersIsLowered) {
  server_->reconfigure("", fmt::format("limits dn.exact=\"{}\" size.soft=500 size.hard=500 size.pr=100 size.prtotal=unlimited", kReader));
  CollectingSink sink;
  const auto end = read(sink);
  ASSERT_TRUE(end) << end.error().what;
  EXPECT_TRUE(is_complete(*end)) << failed(*end);
  EXPECT_EQ(distinct_users(sink), static_cast<std::size_t>(kUsers));
  EXPECT_THAT(end->learnt, HasSubstr("\"page_size\":100"));
}

TEST_F(SlapdLimits, AServerThatStopsAtItsSizeLimitIsNotComplete) {
  server_->reconfigure("", fmt::format("limits dn.exact=\"{}\" size.soft=500 size.hard=500 size.prtotal=500", kReader));
  CollectingSink sink;
  const auto end = read(sink);
  ASSERT_TRUE(end) << end.error().what;
  EXPECT_FALSE(is_complete(*end));
  EXPECT_TRUE(std::holds_alternative<KeepAbsent>(end->absence));
  EXPECT_EQ(distinct_users(sink), 500u);
  EXPECT_THAT(failed(*end), HasSubstr("size limit"));
  EXPECT_EQ(end->learnt, "");
}

TEST_F(SlapdLimits, PagingForbiddenAltogetherIsNotComplete) {
  server_->reconfigure("", fmt::format("limits dn.exact=\"{}\" size.soft=500 size.hard=500 size.prtotal=disabled", kReader));
  CollectingSink sink;
  const auto end = read(sink);
  ASSERT_TRUE(end) << end.error().what;
  EXPECT_FALSE(is_complete(*end));
}

TEST_F(SlapdLimits, AHiddenOuIsMissingFromTheFeedAndItsContainerUnreadable) {
  server_->reconfigure(
      "",
      fmt::format("access to dn.subtree=\"ou=hidden,ou=people,dc=example,dc=com\" by dn.exact=\"{}\" none by * read\naccess to * by * read",
                  kReader));
  CollectingSink sink;
  const auto end = read(sink);
  ASSERT_TRUE(end) << end.error().what;
  // No client can tell this from a smaller directory: the container rule of the engine asks readable() (S4).
  EXPECT_EQ(sink.users.size(), static_cast<std::size_t>(kUsers) - 10);
  const auto connector = make_ldap(settings());
  const auto hidden = connector->readable("ou=hidden,ou=people,dc=example,dc=com", {});
  ASSERT_TRUE(hidden) << hidden.error().what;
  EXPECT_FALSE(*hidden);
}

TEST_F(SlapdLimits, AHiddenBaseIsAnError) {
  server_->reconfigure(
      "", fmt::format("access to dn.subtree=\"ou=people,dc=example,dc=com\" by dn.exact=\"{}\" none by * read\naccess to * by * read",
                      kReader));
  CollectingSink sink;
  EXPECT_FALSE(read(sink));
}

TEST_F(SlapdLimits, HiddenMembersAreNotAnEmptyGroup) {
  server_->reconfigure("", fmt::format("access to attrs=member by dn.exact=\"{}\" none by * read\naccess to * by * read", kReader));
  CollectingSink sink;
  const auto end = read(sink);
  ASSERT_TRUE(end) << end.error().what;
  EXPECT_FALSE(is_complete(*end));
  EXPECT_THAT(failed(*end), HasSubstr("show no members"));
  EXPECT_FALSE(sink.find_group("g1").complete);
}

TEST_F(SlapdLimits, HiddenMembersAreNotAnEmptyGroupWhereTheObjectClassIsHiddenToo) {
  hide("objectClass,member");
  CollectingSink sink;
  auto end = read(sink);
  ASSERT_TRUE(end) << end.error().what;
  EXPECT_FALSE(is_complete(*end));
  EXPECT_THAT(failed(*end), HasSubstr("show no members"));
  EXPECT_FALSE(sink.find_group("g1").complete);

  hide("objectClass");
  CollectingSink shown;
  end = read(shown);
  ASSERT_TRUE(end) << end.error().what;
  EXPECT_TRUE(is_complete(*end)) << failed(*end);
  EXPECT_TRUE(shown.find_group("g1").complete);
}

TEST_F(SlapdLimits, AHiddenPrimaryGroupIsNotNone) {
  CollectingSink whole;
  auto end = read_accounts(whole);
  ASSERT_TRUE(is_complete(end)) << failed(end);
  ASSERT_THAT(whole.members_of("staff"), testing::UnorderedElementsAre("p 0", "p 1", "p 2"));

  server_->reconfigure(
      "",
      fmt::format("access to attrs=gidNumber filter=(objectClass=posixAccount) by dn.exact=\"{}\" none by * read\naccess to * by * read",
                  kReader));
  CollectingSink people;
  end = read_accounts(people);
  EXPECT_FALSE(is_complete(end));
  EXPECT_THAT(failed(end), HasSubstr("3 entries show no gidNumber"));
  EXPECT_EQ(people.users.size(), 3u) << "what else is known of them comes in";

  server_->reconfigure(
      "", fmt::format("access to attrs=gidNumber filter=(objectClass=posixGroup) by dn.exact=\"{}\" none by * read\naccess to * by * read",
                      kReader));
  CollectingSink groups;
  end = read_accounts(groups);
  EXPECT_FALSE(is_complete(end));
  EXPECT_THAT(failed(end), HasSubstr("1 entries show no gidNumber"));
  EXPECT_FALSE(groups.find_group("staff").complete);
}

TEST_F(SlapdLimits, AHiddenUidIsMissedWhereGroupsListPeopleByIt) {
  hide("uid");
  CollectingSink sink;
  const auto end = read_accounts(sink);
  EXPECT_FALSE(is_complete(end));
  EXPECT_THAT(failed(end), HasSubstr("3 entries show no uid"));
  EXPECT_EQ(sink.users.size(), 3u);
}

TEST_F(SlapdLimits, AHiddenUsernameSkipsAndAHiddenIdBreaksTheProof) {
  server_->reconfigure(
      "",
      fmt::format("access to dn.subtree=\"ou=people,dc=example,dc=com\" attrs=uid by dn.exact=\"{}\" none by * read\naccess to * by * read",
                  kReader));
  CollectingSink sink;
  auto end = read(sink);
  ASSERT_TRUE(end) << end.error().what;
  EXPECT_EQ(sink.skips.size(), static_cast<std::size_t>(kUsers));
  EXPECT_TRUE(is_complete(*end)) << failed(*end);

  server_->reconfigure("", fmt::format("access to attrs=entryUUID by dn.exact=\"{}\" none by * read\naccess to * by * read", kReader));
  CollectingSink without;
  end = read(without);
  ASSERT_TRUE(end) << end.error().what;
  EXPECT_FALSE(is_complete(*end));
  EXPECT_THAT(failed(*end), HasSubstr("no usable entryUUID"));
}

TEST_F(SlapdLimits, AServerThatIsAwayIsUnavailable) {
  server_->stop();
  CollectingSink sink;
  const auto end = read(sink);
  server_->start();
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().code, Errc::Unavailable);
  EXPECT_THAT(end.error().what, HasSubstr("refused"));
}

TEST_F(SlapdLimits, AServerKilledInMidReadIsNotAShorterDirectory) {
  class Killing final : public FeedSink {
   public:
    bool user(const UserRecord&) override {
      if (++users == 50) server_->kill_hard();
      return true;
    }
    bool group(const GroupRecord&) override { return true; }
    bool members(std::span<const Reference>) override { return true; }
    bool end_group(bool) override { return true; }
    bool skipped(const SkippedRecord&) override { return true; }
    void phase(std::string_view) override {}
    int users = 0;
  } sink;
  // Pages: what has not been asked for can not be in any buffer already.
  auto options = test_options();
  options.page_size = 100;
  const auto end = make_ldap(settings(), options, R"({"paging":"required"})")->read({}, sink, {});
  server_->start();
  ASSERT_TRUE(end) << end.error().what;
  EXPECT_FALSE(is_complete(*end));
  EXPECT_LT(sink.users, kUsers);
}

}  // namespace
}  // namespace rosterd::test
