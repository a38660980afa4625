#include "connectors/ldap/settings.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "connectors/ldap/ldap.hpp"
#include "tests/support/process.hpp"
#include "tests/support/tls.hpp"

namespace rosterd::connectors::ldap {
namespace {

using nlohmann::json;
using test::PrivateCa;
using test::read_file;
using test::TempDir;
using testing::HasSubstr;

json good() {
  return json::parse(
      R"({"url": "ldaps://ldap.acme.example", "bind_dn": "cn=rosterd,dc=acme", "bind_password": {"value": "s3cret"}, "preset": "openldap",
    "users": {"base": "ou=people,dc=acme"}, "groups": {"base": "ou=groups,dc=acme"}})");
}

Result<Settings> parse(const json& settings) { return parse_settings(settings.dump(), SecretRule::MustBeOpen); }

std::string problems_of(const json& settings) {
  const auto parsed = parse(settings);
  return parsed ? "" : parsed.error().what;
}

TEST(Settings, APresetFillsInEverythingButBaseAndCredentials) {
  for (const std::string_view preset : {"openldap", "rfc2307", "active_directory", "389ds", "freeipa"}) {
    auto settings = good();
    settings["preset"] = preset;
    const auto parsed = parse(settings);
    ASSERT_TRUE(parsed) << preset << ": " << parsed.error().what;
    EXPECT_FALSE(parsed->id_attribute.empty());
    EXPECT_FALSE(parsed->users.username.empty());
    EXPECT_FALSE(parsed->users.filter.empty());
    EXPECT_FALSE(parsed->groups->members.empty());
    EXPECT_EQ(name_of(parsed->preset), preset);
  }
}

TEST(Settings, TheDesignsExampleIsUnderstood) {
  auto settings = good();
  settings["start_tls"] = false;
  settings["ca_file"] = "/etc/rosterd/acme-ca.pem";
  settings["users"]["filter"] = "(objectClass=inetOrgPerson)";
  settings["users"]["attributes"] = {{"username", "uid"}, {"email", "mail"}, {"first_name", "givenName"}, {"last_name", "sn"}};
  settings["groups"]["filter"] = "(objectClass=groupOfNames)";
  settings["groups"]["attributes"] = {{"name", "cn"}, {"member", {"member", "memberUid", "uniqueMember"}}};
  const auto parsed = parse(settings);
  ASSERT_TRUE(parsed) << parsed.error().what;
  EXPECT_EQ(parsed->target.port, 636);
  EXPECT_EQ(parsed->target.ca_file, "/etc/rosterd/acme-ca.pem");
  ASSERT_EQ(parsed->groups->members.size(), 3u);
  EXPECT_EQ(parsed->groups->members[1].style, MemberStyle::UserName);
  EXPECT_EQ(parsed->groups->members[2].style, MemberStyle::DnAndUid);
}

TEST(Settings, TheAuthoritysCertificateMayStandInThem) {
  const TempDir dir;
  const PrivateCa ca(dir.file("ca"));
  const auto pem = read_file(ca.ca_file());
  auto settings = good();
  settings["ca_pem"] = pem + pem;
  const auto parsed = parse(settings);
  ASSERT_TRUE(parsed) << parsed.error().what;
  EXPECT_EQ(parsed->target.ca_pem, pem + pem);
  settings["ca_file"] = "/etc/rosterd/acme-ca.pem";
  EXPECT_THAT(problems_of(settings), HasSubstr("/ca_pem: ca_file is set as well"));
  settings.erase("ca_file");
  settings["ca_pem"] = "/etc/rosterd/acme-ca.pem";
  EXPECT_THAT(problems_of(settings), HasSubstr("/ca_pem: holds no readable certificate"));
  settings["ca_pem"] = pem + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
  EXPECT_THAT(problems_of(settings), HasSubstr("/ca_pem: certificate 2 is damaged"));
  settings["ca_pem"] = pem + read_file(ca.good().key_file);
  EXPECT_THAT(problems_of(settings), HasSubstr("/ca_pem: holds a private key"));
  settings["ca_pem"] = 7;
  EXPECT_THAT(problems_of(settings), HasSubstr("/ca_pem: must be a text"));
}

TEST(Settings, GroupsMayBeAbsent) {
  auto settings = good();
  settings.erase("groups");
  const auto parsed = parse(settings);
  ASSERT_TRUE(parsed) << parsed.error().what;
  EXPECT_FALSE(parsed->groups.has_value());
}

TEST(Settings, EveryProblemIsNamedWithItsPath) {
  auto settings = good();
  settings["url"] = "http://x";
  settings["preset"] = "novell";
  settings["colour"] = "red";
  settings["users"] = {{"filter", "(uid=*"}, {"scope", "all"}, {"attributes", {{"username", "a b"}, {"shoe_size", "x"}}}};
  settings["groups"]["attributes"] = {{"member", json::array()}};
  const auto text = problems_of(settings);
  for (const auto* path : {"/url:", "/preset:", "/colour:", "/users/base:", "/users/filter:", "/users/scope:",
                           "/users/attributes/username:", "/users/attributes/shoe_size:", "/groups/attributes/member:"})
    EXPECT_THAT(text, HasSubstr(path));
}

TEST(Settings, WrongTypesAreNamedAndNotGuessed) {
  auto settings = good();
  settings["start_tls"] = "yes";
  settings["users"]["base"] = 7;
  settings["bind_password"] = "s3cret";
  const auto text = problems_of(settings);
  EXPECT_THAT(text, HasSubstr("/start_tls: must be true or false"));
  EXPECT_THAT(text, HasSubstr("/users/base: must be a text"));
  EXPECT_THAT(text, HasSubstr("/bind_password: must be an object"));
  EXPECT_THAT(text, testing::Not(HasSubstr("s3cret")));
  EXPECT_THAT(problems_of(json::array()), HasSubstr("no JSON object"));
}

TEST(Settings, PlainTextNeedsLoopbackOrAWord) {
  auto settings = good();
  settings["url"] = "ldap://ldap.acme.example";
  EXPECT_THAT(problems_of(settings), HasSubstr("/url: ldap:// without encryption"));
  settings["allow_plaintext"] = true;
  EXPECT_EQ(problems_of(settings), "");
  settings.erase("allow_plaintext");
  settings["start_tls"] = true;
  EXPECT_EQ(problems_of(settings), "");
  settings.erase("start_tls");
  for (const auto* url : {"ldap://127.0.0.1:3890", "ldap://localhost", "ldap://[::1]:389"}) {
    settings["url"] = url;
    EXPECT_EQ(problems_of(settings), "") << url;
  }
  settings["url"] = "ldap://127.0.0.1.evil.example";
  EXPECT_NE(problems_of(settings), "");
}

TEST(Settings, UrlsAreHostAndPortOnly) {
  for (const auto* url :
       {"ldaps://", "ldaps://h:0", "ldaps://h:99999", "ldaps://h:x", "ldaps://h/dc=x", "ldaps://u@h", "ldaps://[::1", "ldaps://h?x"}) {
    auto settings = good();
    settings["url"] = url;
    EXPECT_THAT(problems_of(settings), HasSubstr("/url:")) << url;
  }
}

TEST(Settings, AnEmptyPasswordWithADnIsRefusedHere) {
  auto settings = good();
  settings["bind_password"] = {{"value", ""}};
  EXPECT_THAT(problems_of(settings), HasSubstr("/bind_password: is empty"));
  settings.erase("bind_password");
  EXPECT_THAT(problems_of(settings), HasSubstr("/bind_password: is missing"));
  settings.erase("bind_dn");
  EXPECT_EQ(problems_of(settings), "");  // anonymous, said by leaving both out
}

TEST(Settings, SecretsMayBeClosedForValidationOnly) {
  for (const auto& secret :
       {json{{"file", "/x"}}, json{{"env", "X"}}, json{{"sealed", "v1:x"}}, json{{"set", true}}, json{{"value", "x"}}}) {
    auto settings = good();
    settings["bind_password"] = secret;
    EXPECT_TRUE(validate(settings.dump())) << secret.dump();
  }
  auto settings = good();
  settings["bind_password"] = {{"file", "/x"}};
  EXPECT_THAT(problems_of(settings), HasSubstr("/bind_password: must be {\"value\""));
  settings["bind_password"] = {{"vault", "x"}};
  EXPECT_FALSE(validate(settings.dump()));
}

TEST(Settings, FingerprintsFollowScopeAndIdentity) {
  const auto before = fingerprint(good().dump());
  auto other = good();
  other["bind_password"] = {{"file", "/elsewhere"}};
  EXPECT_EQ(fingerprint(other.dump()).cursor, before.cursor);
  other["url"] = "ldaps://replica.acme.example";
  EXPECT_EQ(fingerprint(other.dump()).scope, before.scope);  // a host name is no change of scope (S41)
  EXPECT_NE(fingerprint(other.dump()).cursor, before.cursor);
  other = good();
  other["users"]["base"] = "OU=People, DC=acme";
  EXPECT_EQ(fingerprint(other.dump()).scope, before.scope);
  for (const auto& [path, value] :
       {std::pair{"/users/base", "ou=staff,dc=acme"}, {"/users/filter", "(uid=a*)"}, {"/id_attribute", "uid"}, {"/preset", "rfc2307"}}) {
    other = good();
    other[json::json_pointer(path)] = value;
    EXPECT_NE(fingerprint(other.dump()).scope, before.scope) << path;
  }
  other = good();
  other["users"]["attributes"] = {{"email", "rfc822Mailbox"}};
  EXPECT_EQ(fingerprint(other.dump()).scope, before.scope);
  EXPECT_NE(fingerprint(other.dump()).cursor, before.cursor);
}

}  // namespace
}  // namespace rosterd::connectors::ldap
