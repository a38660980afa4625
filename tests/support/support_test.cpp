// The test support itself: every private server starts, answers, stops and leaves nothing behind.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <fstream>

#include "tests/support/ds389.hpp"
#include "tests/support/postgres.hpp"
#include "tests/support/process.hpp"
#include "tests/support/samba.hpp"
#include "tests/support/slapd.hpp"
#include "tests/support/tls.hpp"

namespace rosterd::test {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(Process, GivesStatusAndOutput) {
  const Ran ran = run({"sh", "-c", "echo $GREETING; cat; exit 3"}, {.env = {{"GREETING", "hello"}}, .input = "world"});
  EXPECT_EQ(ran.status, 3);
  EXPECT_EQ(ran.output, "hello\nworld");
}

TEST(Process, ReportsTheSignalThatEndedIt) {
  Process process({"sleep", "60"});
  EXPECT_TRUE(process.is_running());
  EXPECT_EQ(process.wait(Milliseconds(20)), std::nullopt);
  process.kill(SIGTERM);
  EXPECT_EQ(process.wait(Milliseconds(5000)), 128 + SIGTERM);
}

TEST(Process, RunsAsAnotherUserWhenWeAreRoot) {
  if (!am_root()) GTEST_SKIP() << "only root can change the user";
  EXPECT_EQ(run_ok({"id", "-un"}, {.user = "postgres"}), "postgres\n");
}

TEST(Process, DiesWithTheProgramThatStartedItAlsoAfterAChangeOfUser) {
  if (!am_root()) GTEST_SKIP() << "only root can change the user";
  // PR_SET_PDEATHSIG shows in the child as the signal prctl(PR_GET_PDEATHSIG) answers; python reads it through libc.
  const std::string ask = "import ctypes; n = ctypes.c_int(); ctypes.CDLL(None).prctl(2, ctypes.byref(n)); print(n.value)";
  EXPECT_EQ(run_ok({"python3", "-c", ask}, {.user = "postgres", .death_signal = SIGQUIT}), std::to_string(SIGQUIT) + "\n");
}

TEST(TempDir, IsGoneAfterwards) {
  std::filesystem::path path;
  {
    const TempDir dir;
    path = dir.path();
    dir.write("a/b", "text");
    EXPECT_EQ(read_file(path / "a/b"), "text");
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(PrivatePostgres, GivesEachTestADatabaseWhoseApplicationRoleHasNoPrivileges) {
  auto& server = PrivatePostgres::shared();
  const Database one = server.fresh_database(), two = server.fresh_database();
  EXPECT_NE(one.name, two.name);
  EXPECT_EQ(PrivatePostgres::query(one.owner_url, "CREATE TABLE t(a int); INSERT INTO t VALUES (7) RETURNING a"), "7");
  EXPECT_EQ(server.query(one, "SELECT rolsuper, rolbypassrls FROM pg_roles WHERE rolname = '" + one.app_role + "'"), "f\tf");
  EXPECT_THROW((void)PrivatePostgres::query(one.app_url, "SELECT * FROM t"), std::runtime_error);
}

TEST(PrivatePostgres, ComesBackAfterACrashAndAfterAFreeze) {
  PrivatePostgres server;
  const Database database = server.fresh_database();
  server.query(database, "CREATE TABLE t AS SELECT 1 AS a; CHECKPOINT");
  server.kill_hard();
  EXPECT_THROW((void)server.query(database, "SELECT 1"), std::runtime_error);
  server.start();
  EXPECT_EQ(server.query(database, "SELECT a FROM t"), "1");
  server.freeze();
  server.thaw();
  server.restart();
  EXPECT_EQ(server.query(database, "SELECT a FROM t"), "1");
}

constexpr const char* kAda =
    "dn: dc=one,dc=example\nobjectClass: dcObject\nobjectClass: organization\no: One\ndc: one\n\n"
    "dn: uid=ada,dc=one,dc=example\nobjectClass: inetOrgPerson\nuid: ada\ncn: Ada\nsn: Lovelace\n\n"
    "dn:: dWlkPWJvYixkYz10d28sZGM9ZXhhbXBsZQ==\nobjectClass: inetOrgPerson\nuid: bob\ncn: Bob\nsn: Byte\n\n"
    "dn: dc=two,dc=example\nobjectClass: dcObject\nobjectClass: organization\no: Two\ndc: two\n";

TEST(PrivateSlapd, ServesTwoSuffixesAndSurvivesBeingKilled) {
  // The second suffix comes after one of its children on purpose: the loader sorts nothing, so it must be given parents first.
  std::string ldif = kAda;
  const auto child = ldif.find("dn:: "), parent = ldif.find("dn: dc=two");
  ldif = ldif.substr(0, child) + ldif.substr(parent) + "\n" + ldif.substr(child, parent - child);
  PrivateSlapd server({.suffixes = {"dc=one,dc=example", "dc=two,dc=example"}, .ldif = ldif});
  EXPECT_THAT(server.search("dc=one,dc=example", "(uid=ada)", {"sn"}), HasSubstr("sn: Lovelace"));
  EXPECT_THAT(server.search("dc=two,dc=example", "(uid=bob)", {"sn"}, 1), HasSubstr("sn: Byte"));
  server.modify("dn: uid=ada,dc=one,dc=example\nchangetype: modify\nreplace: sn\nsn: King\n");
  const std::string url = server.url();
  server.stop();
  EXPECT_THROW((void)server.search("dc=one,dc=example", "(uid=ada)"), std::runtime_error);
  server.start();
  EXPECT_EQ(server.url(), url);
  EXPECT_THAT(server.search("dc=one,dc=example", "(uid=ada)", {"sn", "entryUUID"}),
              testing::AllOf(HasSubstr("sn: King"), HasSubstr("entryUUID: ")));
  server.kill_hard();
  server.restart();
  EXPECT_THAT(server.search("dc=one,dc=example", "(uid=ada)"), HasSubstr("uid=ada"));
}

TEST(PrivateSlapd, AppliesLimitsAndAccessLines) {
  std::string ldif = suffix_ldif("dc=example,dc=com");
  for (int i = 0; i < 10; ++i) ldif += "dn: uid=u" + std::to_string(i) + ",dc=example,dc=com\nobjectClass: inetOrgPerson\ncn: u\nsn: u\n\n";
  PrivateSlapd server({.ldif = ldif, .database_conf = "limits anonymous size=3\naccess to * by anonymous read\n"});
  const Argv anonymous = {"ldapsearch", "-x", "-H", server.url(), "-b", "dc=example,dc=com"};
  EXPECT_EQ(run(anonymous).status, 4);  // sizeLimitExceeded
  server.reconfigure("", "");
  EXPECT_EQ(run(anonymous).status, 0);
}

TEST(PrivateSlapd, SpeaksTlsWithCertificatesGoodAndBad) {
  const TempDir dir;
  const PrivateCa ca(dir.file("ca"));
  PrivateSlapd server({.tls = ca.good()});
  const auto reachable = [&](const std::string& ca_file) {
    return run({"ldapsearch", "-x", "-H", server.tls_url(), "-s", "base", "-b", ""},
               {.env = {{"LDAPTLS_CACERT", ca_file}, {"LDAPTLS_REQCERT", "hard"}}})
               .status == 0;
  };
  EXPECT_TRUE(reachable(ca.ca_file()));
  EXPECT_FALSE(reachable(PrivateCa(dir.file("stranger"), "a stranger").ca_file()));
  server.use_certificate(ca.expired());
  EXPECT_FALSE(reachable(ca.ca_file()));
  server.use_certificate(ca.wrong_name());
  EXPECT_FALSE(reachable(ca.ca_file()));
}

TEST(PrivateSlapd, KnowsRfc2307bis) {
  const std::string ldif = suffix_ldif("dc=example,dc=com") +
                           "dn: cn=staff,dc=example,dc=com\nobjectClass: groupOfNames\nobjectClass: posixGroup\ncn: staff\ngidNumber: "
                           "7\nmember: cn=admin,dc=example,dc=com\n";
  PrivateSlapd server({.ldif = ldif, .schema = {"core", "cosine", "inetorgperson", "rfc2307bis"}});
  EXPECT_THAT(server.search("dc=example,dc=com", "(objectClass=posixGroup)"), HasSubstr("gidNumber: 7"));
}

TEST(PrivateSamba, StartsInItsNamespaceAndTakesChanges) {
  if (const auto reason = PrivateSamba::unavailable(); !reason.empty()) GTEST_SKIP() << reason;
  PrivateSamba server;
  server.tool({"user", "add", "ada", "Passw0rd.123"});
  EXPECT_THAT(server.search(PrivateSamba::base_dn(), "(sAMAccountName=ada)", {"objectGUID"}), HasSubstr("objectGUID:: "));
  server.modify("dn: CN=ada,CN=Users,DC=example,DC=test\nchangetype: modify\nreplace: sn\nsn: Lovelace\n");
  std::string seen;
  server.run([&] { seen = run_ok({"readlink", "/proc/self/ns/net"}); });
  server.stop();
  server.start();
  EXPECT_THAT(server.search(PrivateSamba::base_dn(), "(sAMAccountName=ada)", {"sn"}), HasSubstr("sn: Lovelace"));
}

TEST(Private389, StartsInItsNamespaceAndTakesChanges) {
  if (const auto reason = Private389::unavailable(); !reason.empty()) GTEST_SKIP() << reason;
  Private389 server;
  server.modify("dn: uid=ada,ou=people,dc=example,dc=com\nchangetype: add\nobjectClass: inetOrgPerson\nuid: ada\ncn: Ada\nsn: Lovelace\n");
  EXPECT_THAT(server.search("dc=example,dc=com", "(uid=ada)", {"nsUniqueId"}), HasSubstr("nsUniqueId: "));
  server.stop();
  server.start();
  EXPECT_THAT(server.search("dc=example,dc=com", "(uid=ada)", {"sn"}), HasSubstr("sn: Lovelace"));
  EXPECT_FALSE(std::filesystem::exists("/etc/dirsrv/slapd-t" + std::to_string(getpid()) + "x1"));
}

TEST(NetworkNamespace, IsAnotherNetworkForTheCallableOnly) {
  if (const auto reason = NetworkNamespace::unavailable(); !reason.empty()) GTEST_SKIP() << reason;
  const auto here = [] { return std::filesystem::read_symlink("/proc/thread-self/ns/net").string(); };
  const std::string outside = here();
  std::string name;
  {
    const NetworkNamespace other("rosterd-t");
    name = other.name();
    other.run([&] { EXPECT_NE(here(), outside); });
    EXPECT_EQ(here(), outside);
    EXPECT_THROW(other.run([] { throw std::runtime_error("from inside"); }), std::runtime_error);
  }
  EXPECT_FALSE(std::filesystem::exists("/run/netns/" + name));
}

}  // namespace
}  // namespace rosterd::test
