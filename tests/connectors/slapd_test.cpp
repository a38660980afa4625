// The connector against a real OpenLDAP: presets, member styles, odd names, verification.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/connectors/collecting_sink.hpp"
#include "tests/support/slapd.hpp"

namespace rosterd::test {
namespace {

using namespace connectors;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

constexpr auto kDirectory = R"(dn: dc=example,dc=com
objectClass: dcObject
objectClass: organization
o: Example
dc: example

dn: ou=people,dc=example,dc=com
objectClass: organizationalUnit
ou: people

dn: ou=groups,dc=example,dc=com
objectClass: organizationalUnit
ou: groups

dn: ou=former,dc=example,dc=com
objectClass: organizationalUnit
ou: former

dn: uid=ada,ou=people,dc=example,dc=com
objectClass: inetOrgPerson
objectClass: posixAccount
objectClass: shadowAccount
uid: ada
cn: Ada Lovelace
givenName: Ada
sn: Lovelace
mail: Ada@Example.com
uidNumber: 1001
gidNumber: 500
homeDirectory: /home/ada

dn: uid=bob,ou=people,dc=example,dc=com
objectClass: inetOrgPerson
objectClass: posixAccount
objectClass: shadowAccount
uid: bob
cn: Bob
sn: Builder
uidNumber: 1002
gidNumber: 501
homeDirectory: /home/bob
shadowExpire: 1

dn: cn=Doe\, John,ou=people,dc=example,dc=com
objectClass: inetOrgPerson
cn: Doe, John
uid: john
sn: Doe
mail: n/a

dn:: Y249Wm/DqyBNw7xsbGVyLG91PXBlb3BsZSxkYz1leGFtcGxlLGRjPWNvbQ==
objectClass: inetOrgPerson
cn:: Wm/DqyBNw7xsbGVy
uid:: Wm/Dqw==
givenName:: Wm/Dqw==
sn:: TcO8bGxlcg==

dn: cn=devs,ou=groups,dc=example,dc=com
objectClass: groupOfNames
cn: devs
description: Developers
member: UID=ada, OU=People, DC=example, DC=com
member: cn=Doe\2C John,ou=people,dc=example,dc=com
member:: Q049Wk/Dq1wgTcO8bGxlcixPVT1QZW9wbGUsZGM9ZXhhbXBsZSxkYz1jb20=
member: uid=nobody,ou=people,dc=example,dc=com

dn: cn=all,ou=groups,dc=example,dc=com
objectClass: groupOfNames
cn: all
member: cn=devs,ou=groups,dc=example,dc=com
member: cn=all,ou=groups,dc=example,dc=com

dn: cn=unique,ou=groups,dc=example,dc=com
objectClass: groupOfUniqueNames
cn: unique
uniqueMember: uid=bob,ou=people,dc=example,dc=com#'0101'B
uniqueMember: uid=ada,ou=people,dc=example,dc=com

dn: cn=staff,ou=groups,dc=example,dc=com
objectClass: posixGroup
cn: staff
gidNumber: 500
memberUid: bob
memberUid: BOB

)";

class Slapd : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    server_ = new PrivateSlapd(PrivateSlapd::Options{.ldif = kDirectory, .database_conf = "overlay ppolicy"});
  }
  static void TearDownTestSuite() {
    delete server_;
    server_ = nullptr;
  }
  static std::string settings(const std::string& preset, const std::string& users = "", const std::string& groups = "") {
    return fmt::format(R"({{"url": "{}", "preset": "{}", "bind_dn": "{}", "bind_password": {{"value": "{}"}},
      "users": {{"base": "ou=people,dc=example,dc=com"{}}}, "groups": {{"base": "ou=groups,dc=example,dc=com"{}}}}})",
                       server_->url(), preset, server_->admin_dn(), server_->admin_password(), users, groups);
  }
  static FeedEnd read(const std::string& json, CollectingSink& sink, const std::string& learnt = {}) {
    auto end = make_ldap(json, test_options(), learnt)->read({}, sink, {});
    if (!end) throw std::runtime_error(end.error().what);
    return std::move(*end);
  }
  static PrivateSlapd* server_;
};
PrivateSlapd* Slapd::server_ = nullptr;

TEST_F(Slapd, ReadsPeopleAndGroupsWithThePresetAlone) {
  CollectingSink sink;
  const auto end = read(settings("openldap"), sink);
  EXPECT_TRUE(is_complete(end)) << failed(end);
  EXPECT_EQ(end.cursor_kind, "full");
  EXPECT_TRUE(end.to.value.empty());
  EXPECT_EQ(sink.users.size(), 4u);
  const auto& ada = sink.find_user("ada");
  EXPECT_EQ(ada.email, "ada@example.com");
  EXPECT_EQ(ada.first_name, "Ada");
  EXPECT_EQ(ada.last_name, "Lovelace");
  EXPECT_EQ(ada.entry, "uid=ada,ou=people,dc=example,dc=com");
  EXPECT_EQ(ada.id.value.size(), 36u);
  EXPECT_FALSE(sink.find_user("john").email.has_value());
  EXPECT_EQ(sink.find_user("zoë").last_name, "Müller");
  EXPECT_THAT(sink.phases, ElementsAre("connecting", "reading users", "reading groups"));
}

TEST_F(Slapd, ResolvesMembersWhateverTheirSpelling) {
  CollectingSink sink;
  const auto end = read(settings("openldap"), sink);
  EXPECT_TRUE(is_complete(end)) << failed(end);
  EXPECT_THAT(sink.members_of("devs"), UnorderedElementsAre("ada", "john", "zoë", "dn:uid=nobody,ou=people,dc=example,dc=com"));
  EXPECT_THAT(sink.members_of("all"), UnorderedElementsAre("devs", "all"));
  EXPECT_THAT(sink.members_of("unique"), UnorderedElementsAre("bob", "ada"));
  EXPECT_EQ(sink.find_group("devs").record.description, "Developers");
}

TEST_F(Slapd, PosixGroupsNameUsersAndAreNamedByThem) {
  CollectingSink sink;
  const auto end = read(settings("rfc2307"), sink);
  EXPECT_TRUE(is_complete(end)) << failed(end);
  EXPECT_EQ(sink.users.size(), 2u);  // posixAccount only
  EXPECT_EQ(sink.groups.size(), 1u);
  // bob by memberUid, ada by her gidNumber; user names are case-exact, so BOB is nobody.
  EXPECT_THAT(sink.members_of("staff"), UnorderedElementsAre("bob", "ada", "uid:BOB"));
  EXPECT_FALSE(sink.find_user("bob").enabled);
  EXPECT_THAT(sink.find_user("bob").disabled_reason, HasSubstr("shadowExpire"));
  EXPECT_TRUE(sink.find_user("ada").enabled);
}

TEST_F(Slapd, SeveralMemberAttributesAreReadTogether) {
  CollectingSink sink;
  const auto end = read(
      settings(
          "openldap", R"(, "attributes": {"primary_group": "gidNumber"})",
          R"j(, "filter": "(|(objectClass=groupOfNames)(objectClass=posixGroup))", "attributes": {"member": ["member", "memberUid"]})j"),
      sink);
  EXPECT_TRUE(is_complete(end)) << failed(end);
  EXPECT_THAT(sink.members_of("staff"), UnorderedElementsAre("bob", "ada", "uid:BOB"));
  EXPECT_THAT(sink.members_of("devs"), testing::Contains("ada"));
}

TEST_F(Slapd, ALockedAccountIsReadAsDisabled) {
  server_->modify(
      "dn: uid=ada,ou=people,dc=example,dc=com\nchangetype: modify\nadd: pwdAccountLockedTime\npwdAccountLockedTime: 000001010000Z\n");
  CollectingSink sink;
  const auto end = read(settings("openldap"), sink);
  server_->modify("dn: uid=ada,ou=people,dc=example,dc=com\nchangetype: modify\ndelete: pwdAccountLockedTime\n");
  EXPECT_TRUE(is_complete(end)) << failed(end);
  EXPECT_FALSE(sink.find_user("ada").enabled);
}

TEST_F(Slapd, VerifyTellsInScopeFromOutOfScopeFromGone) {
  CollectingSink sink;
  const auto json = settings("openldap", R"j(, "filter": "(&(objectClass=inetOrgPerson)(!(employeeType=former)))")j");
  (void)read(json, sink);
  server_->add(
      "dn: uid=tmp1,ou=people,dc=example,dc=com\nobjectClass: inetOrgPerson\nuid: tmp1\ncn: t\nsn: t\nemployeeType: former\n\n"
      "dn: uid=tmp2,ou=former,dc=example,dc=com\nobjectClass: inetOrgPerson\nuid: tmp2\ncn: t\nsn: t\n\n");
  const auto id_of = [](const std::string& uid) {
    const auto text = server_->search("dc=example,dc=com", "(uid=" + uid + ")", {"entryUUID"});
    return ExternalId{text.substr(text.find("entryUUID: ") + 11, 36)};
  };
  std::vector<ExternalId> ids = {sink.find_user("ada").id, id_of("tmp1"), id_of("tmp2"), {"00000000-0000-0000-0000-000000000001"}};
  for (int i = 0; i < 200; ++i) ids.push_back({fmt::format("00000000-0000-0000-0001-{:012d}", i)});  // several batches
  const auto connector = make_ldap(json);
  const auto presence = connector->verify(PrincipalType::User, ids, {});
  server_->modify(
      "dn: uid=tmp1,ou=people,dc=example,dc=com\nchangetype: delete\n\ndn: uid=tmp2,ou=former,dc=example,dc=com\nchangetype: delete\n");
  ASSERT_TRUE(presence) << presence.error().what;
  ASSERT_EQ(presence->of.size(), ids.size());
  EXPECT_EQ(presence->of[0], Present::InScope);
  EXPECT_EQ(presence->of[1], Present::OutOfScope);
  EXPECT_EQ(presence->of[2], Present::OutOfScope);  // moved to an OU outside the base
  for (std::size_t i = 3; i < ids.size(); ++i) EXPECT_EQ(presence->of[i], Present::Gone);
  EXPECT_EQ(presence->trouble, "");
}

TEST_F(Slapd, VerifyKnowsGroupsToo) {
  CollectingSink sink;
  (void)read(settings("openldap"), sink);
  const auto connector = make_ldap(settings("openldap"));
  const auto presence =
      connector->verify(PrincipalType::Group, std::vector<ExternalId>{sink.find_group("devs").record.id, sink.find_user("ada").id}, {});
  ASSERT_TRUE(presence) << presence.error().what;
  EXPECT_THAT(presence->of, ElementsAre(Present::InScope, Present::OutOfScope));
}

TEST_F(Slapd, VerifyOfABaseThatCannotBeReadIsUnknown) {
  auto json = settings("openldap");
  json.replace(json.find("ou=people"), 9, "ou=gone12");
  const auto presence = make_ldap(json)->verify(PrincipalType::User, std::vector<ExternalId>{{"00000000-0000-0000-0000-000000000001"}}, {});
  ASSERT_TRUE(presence) << presence.error().what;
  EXPECT_THAT(presence->of, ElementsAre(Present::Unknown));
  EXPECT_THAT(presence->trouble, HasSubstr("no such object"));
}

TEST_F(Slapd, VerifyOfGroupsThatTheSettingsNoLongerNameIsOutOfScope) {
  CollectingSink sink;
  (void)read(settings("openldap"), sink);
  auto json = nlohmann::json::parse(settings("openldap"));
  json.erase("groups");
  const auto presence =
      make_ldap(json.dump())
          ->verify(PrincipalType::Group,
                   std::vector<ExternalId>{sink.find_group("devs").record.id, {"00000000-0000-0000-0000-000000000001"}}, {});
  ASSERT_TRUE(presence) << presence.error().what;
  EXPECT_THAT(presence->of, ElementsAre(Present::OutOfScope, Present::OutOfScope));
  EXPECT_EQ(presence->trouble, "");
}

TEST_F(Slapd, WhoeverWasRenamedIsFoundInTheGroupsThatListHisNewName) {
  CollectingSink sink;
  (void)read(settings("openldap"), sink);
  const auto devs = sink.find_group("devs").record.id, all = sink.find_group("all").record.id, unique = sink.find_group("unique").record.id;
  const auto ada = sink.find_user("ada").id, bob = sink.find_user("bob").id;
  const auto connector = make_ldap(settings("openldap"));
  const auto listed = [&](const std::vector<Unlisted>& asked) {
    const auto answer = connector->still_listed(asked, {});
    if (!answer) throw std::runtime_error(answer.error().what);
    return *answer;
  };
  server_->modify("dn: uid=ada,ou=people,dc=example,dc=com\nchangetype: modrdn\nnewrdn: uid=lovelace\ndeleteoldrdn: 1\n");
  EXPECT_EQ(listed({{devs, {ada}}}), std::nullopt) << "the group lists a name that nobody has any more";
  server_->modify(
      "dn: cn=devs,ou=groups,dc=example,dc=com\nchangetype: modify\nadd: member\nmember: uid=lovelace,ou=people,dc=example,dc=com\n");
  std::vector<ExternalId> strangers;
  for (int i = 0; i < 100; ++i) strangers.push_back({fmt::format("00000000-0000-0000-0001-{:012d}", i)});
  strangers.push_back(ada);  // in the second batch
  EXPECT_EQ(listed({{all, {ada, bob}}, {devs, strangers}}), 1u);
  EXPECT_EQ(listed({{all, {ada}}, {devs, {bob}}, {{"no id"}, {ada}}, {devs, {{"no id"}}}}), std::nullopt);
  EXPECT_EQ(listed({{all, {devs}}}), 0u) << "a group is a member as well as anybody";
  EXPECT_EQ(listed({{unique, {ada}}}), std::nullopt);
  server_->modify("dn: uid=lovelace,ou=people,dc=example,dc=com\nchangetype: modrdn\nnewrdn: uid=ada\ndeleteoldrdn: 1\n");
  EXPECT_EQ(listed({{unique, {ada}}}), 0u);
  server_->modify(
      "dn: cn=devs,ou=groups,dc=example,dc=com\nchangetype: modify\ndelete: member\nmember: uid=lovelace,ou=people,dc=example,dc=com\n");

  CollectingSink posix;
  (void)read(settings("rfc2307"), posix);
  const auto by_name =
      make_ldap(settings("rfc2307"))->still_listed(std::vector<Unlisted>{{posix.find_group("staff").record.id, {bob}}}, {});
  ASSERT_TRUE(by_name) << by_name.error().what;
  EXPECT_EQ(*by_name, 0u);
}

TEST_F(Slapd, WhereMembersCannotBeAskedForNothingIsSaid) {
  CollectingSink sink;
  (void)read(settings("openldap"), sink);
  auto json = settings("openldap");
  json.replace(json.find("ou=people"), 9, "ou=gone12");
  const auto listed =
      make_ldap(json)->still_listed(std::vector<Unlisted>{{sink.find_group("devs").record.id, {sink.find_user("ada").id}}}, {});
  ASSERT_FALSE(listed);
  EXPECT_THAT(listed.error().what, HasSubstr("no such object"));
}

TEST_F(Slapd, ContainersAreNamedAndRead) {
  const auto connector = make_ldap(settings("openldap"));
  EXPECT_EQ(connector->container_of("cn=Doe\\, John,OU=People,dc=example,dc=com"), "ou=people,dc=example,dc=com");
  const auto there = connector->readable("ou=people,dc=example,dc=com", {});
  ASSERT_TRUE(there) << there.error().what;
  EXPECT_TRUE(*there);
  const auto missing = connector->readable("ou=nowhere,dc=example,dc=com", {});
  ASSERT_TRUE(missing) << missing.error().what;
  EXPECT_FALSE(*missing);
}

TEST_F(Slapd, TheTestSaysWhatItFound) {
  const auto findings = make_ldap(settings("openldap"))->test({});
  std::vector<std::string> steps;
  for (const auto& finding : findings) {
    EXPECT_TRUE(finding.good) << finding.step << ": " << finding.text;
    steps.push_back(finding.step);
  }
  EXPECT_THAT(steps, ElementsAre("settings", "resolve", "connect", "tls", "bind", "users", "groups", "stable id"));
}

TEST_F(Slapd, TheTestSaysWhatIsWrong) {
  const auto finding = [](const std::string& json, const std::string& step) {
    for (const auto& found : make_ldap(json)->test({}))
      if (found.step == step && !found.good) return found.text;
    return std::string("nothing wrong");
  };
  auto wrong = settings("openldap");
  wrong.replace(wrong.find("\"secret\""), 8, "\"other\"");
  EXPECT_THAT(finding(wrong, "bind"), HasSubstr("wrong bind_dn or bind_password"));
  EXPECT_THAT(finding(settings("openldap", R"j(, "filter": "(uid=nobody)")j"), "users"), HasSubstr("no entry below"));
  EXPECT_THAT(finding(settings("active_directory", R"j(, "filter": "(uid=ada)")j"), "stable id"), HasSubstr("objectGUID"));
  wrong = settings("openldap");
  wrong.replace(wrong.find("ou=people"), 9, "ou=gone12");
  EXPECT_THAT(finding(wrong, "users"), HasSubstr("no such object"));
}

TEST_F(Slapd, AWrongPasswordIsUnauthorizedAndThePasswordStaysUnsaid) {
  auto wrong = settings("openldap");
  wrong.replace(wrong.find("\"secret\""), 8, "\"tell-no-one\"");
  CollectingSink sink;
  const auto end = make_ldap(wrong)->read({}, sink, {});
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().code, Errc::Unauthorized);
  EXPECT_THAT(end.error().what, testing::Not(HasSubstr("tell-no-one")));
}

TEST_F(Slapd, AMissingBaseIsAnErrorNotAnEmptyDirectory) {
  auto wrong = settings("openldap");
  wrong.replace(wrong.find("ou=people"), 9, "ou=gone12");
  CollectingSink sink;
  const auto end = make_ldap(wrong)->read({}, sink, {});
  ASSERT_FALSE(end);
  EXPECT_THAT(end.error().what, HasSubstr("no such object"));
}

TEST_F(Slapd, ACursorOfAnotherReleaseIsRefused) {
  CollectingSink sink;
  const auto end = make_ldap(settings("openldap"))->read({"v9:whatever"}, sink, {});
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().code, Errc::CursorExpired);
}

}  // namespace
}  // namespace rosterd::test
