// TLS against a real slapd: what is right connects, what is wrong is refused and said in words.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/connectors/collecting_sink.hpp"
#include "tests/support/slapd.hpp"

namespace rosterd::test {
namespace {

using namespace connectors;
using testing::HasSubstr;

class SlapdTls : public testing::Test {
 protected:
  SlapdTls()
      : ca_(dir_.file("ca")),
        stranger_(dir_.file("stranger"), "a stranger"),
        server_(PrivateSlapd::Options{.ldif = ldif(), .tls = ca_.good()}) {}

  static std::string ldif() {
    return suffix_ldif("dc=example,dc=com") +
           "dn: ou=people,dc=example,dc=com\nobjectClass: organizationalUnit\nou: people\n\n"
           "dn: uid=ada,ou=people,dc=example,dc=com\nobjectClass: inetOrgPerson\nuid: ada\ncn: Ada\nsn: L\n\n";
  }
  std::string settings(const std::string& url, const std::string& ca_file, bool start_tls = false) const {
    return fmt::format(
        R"({{"url": "{}", "start_tls": {}, "ca_file": "{}", "preset": "openldap", "bind_dn": "{}", "bind_password": {{"value": "secret"}},
      "users": {{"base": "ou=people,dc=example,dc=com"}}}})",
        url, start_tls, ca_file, server_.admin_dn());
  }
  /// The error of a read; empty when it was complete.
  static std::string trouble(const std::string& json) {
    CollectingSink sink;
    const auto end = make_ldap(json)->read({}, sink, {});
    if (!end) return end.error().what;
    return is_complete(*end) && sink.users.size() == 1 ? "" : "not complete: " + failed(*end);
  }

  TempDir dir_;
  PrivateCa ca_, stranger_;
  PrivateSlapd server_;
};

TEST_F(SlapdTls, LdapsAndStartTlsWithTheRightCaConnect) {
  EXPECT_EQ(trouble(settings(server_.tls_url(), ca_.ca_file())), "");
  EXPECT_EQ(trouble(settings(server_.url(), ca_.ca_file(), true)), "");
}

TEST_F(SlapdTls, AnUnknownIssuerIsRefused) {
  for (const auto& json : {settings(server_.tls_url(), stranger_.ca_file()), settings(server_.url(), stranger_.ca_file(), true)})
    EXPECT_THAT(trouble(json), testing::AllOf(HasSubstr("issued by"), HasSubstr("ca_file")));
}

TEST_F(SlapdTls, AnExpiredCertificateIsRefused) {
  server_.use_certificate(ca_.expired());
  EXPECT_THAT(trouble(settings(server_.tls_url(), ca_.ca_file())), HasSubstr("expired"));
  EXPECT_THAT(trouble(settings(server_.url(), ca_.ca_file(), true)), HasSubstr("expired"));
}

TEST_F(SlapdTls, ACertificateForAnotherNameIsRefused) {
  server_.use_certificate(ca_.wrong_name());
  EXPECT_THAT(trouble(settings(server_.tls_url(), ca_.ca_file())), testing::AllOf(HasSubstr("elsewhere.example"), HasSubstr("127.0.0.1")));
  EXPECT_THAT(trouble(settings(server_.url(), ca_.ca_file(), true)), HasSubstr("elsewhere.example"));
}

TEST_F(SlapdTls, ACaFileThatCannotBeReadIsNamed) {
  EXPECT_THAT(trouble(settings(server_.tls_url(), "/nowhere/ca.pem")),
              testing::AllOf(HasSubstr("/nowhere/ca.pem"), HasSubstr("No such file")));
  EXPECT_THAT(trouble(settings(server_.tls_url(), dir_.write("empty.pem", "nothing"))), HasSubstr("empty.pem"));
}

TEST_F(SlapdTls, TheAuthorityMayStandInTheSettingsThemselves) {
  const auto with_pem = [&](const std::string& url, const PrivateCa& ca, bool start_tls) {
    auto json = nlohmann::json::parse(settings(url, "", start_tls));
    json.erase("ca_file");
    json["ca_pem"] = read_file(ca.ca_file());
    return json.dump();
  };
  EXPECT_EQ(trouble(with_pem(server_.tls_url(), ca_, false)), "");
  EXPECT_EQ(trouble(with_pem(server_.url(), ca_, true)), "");
  EXPECT_THAT(trouble(with_pem(server_.tls_url(), stranger_, false)),
              testing::AllOf(HasSubstr("which ca_pem does not hold"), testing::Not(HasSubstr("/proc/"))));
}

TEST_F(SlapdTls, TheEnvironmentCannotSwitchVerificationOff) {
  ::setenv("LDAPTLS_REQCERT", "never", 1);
  const auto text = trouble(settings(server_.tls_url(), stranger_.ca_file()));
  ::unsetenv("LDAPTLS_REQCERT");
  EXPECT_NE(text, "");
}

TEST_F(SlapdTls, TheTestNamesTheStepThatFailed) {
  server_.use_certificate(ca_.expired());
  const auto findings = make_ldap(settings(server_.tls_url(), ca_.ca_file()))->test({});
  ASSERT_FALSE(findings.empty());
  EXPECT_EQ(findings.back().step, "tls");
  EXPECT_FALSE(findings.back().good);
}

TEST_F(SlapdTls, LdapsToAPlainPortIsRefusedInWords) {
  auto url = server_.url();
  url.replace(0, 4, "ldaps");
  EXPECT_THAT(trouble(settings(url, ca_.ca_file())), HasSubstr("negotiating TLS"));
}

}  // namespace
}  // namespace rosterd::test
