// rosterctl against the real daemon, a real PostgreSQL and a real slapd: the way an operator goes, from setup to an answer that changes.
#include <gmock/gmock.h>

#include <fmt/format.h>

#include <csignal>
#include <nlohmann/json.hpp>

#include "tests/cli/invocation.hpp"
#include "tests/support/postgres.hpp"
#include "tests/support/process.hpp"
#include "tests/support/slapd.hpp"

namespace rosterd::cli {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kDirectory = R"(dn: dc=acme,dc=example
objectClass: dcObject
objectClass: organization
o: Acme
dc: acme

dn: ou=people,dc=acme,dc=example
objectClass: organizationalUnit
ou: people

dn: ou=groups,dc=acme,dc=example
objectClass: organizationalUnit
ou: groups

dn: uid=ada,ou=people,dc=acme,dc=example
objectClass: inetOrgPerson
uid: ada
cn: Ada L
sn: L
mail: ada@acme.example

dn: uid=frank,ou=people,dc=acme,dc=example
objectClass: inetOrgPerson
uid: frank
cn: Frank O
sn: O
mail: frank@acme.example

dn: cn=web-team,ou=groups,dc=acme,dc=example
objectClass: groupOfNames
cn: web-team
member: uid=ada,ou=people,dc=acme,dc=example
member: uid=frank,ou=people,dc=acme,dc=example

dn: cn=ns-company.web-editors,ou=groups,dc=acme,dc=example
objectClass: groupOfNames
cn: ns-company.web-editors
member: cn=web-team,ou=groups,dc=acme,dc=example
)";

/// One daemon with its servers for all tests of this program; the tests go in order, as an operator would.
class Live : public testing::Test {
 protected:
  struct Installation {
    test::TempDir dir{"rosterctl"};
    test::Database database = test::PrivatePostgres::shared().fresh_database();
    test::PrivateSlapd slapd{{.suffixes = {"dc=acme,dc=example"}, .ldif = kDirectory}};
    int port = test::free_port();
    std::optional<test::Process> daemon;
    Surroundings around{.environment = {{"XDG_CONFIG_HOME", dir.file("config")}}, .input = {}, .terminal = false};

    Installation() {
      dir.write(
          "rosterd.toml",
          fmt::format("[server]\nlisten = \"127.0.0.1:{}\"\n[database]\nurl = \"{}\"\nowner_url = \"{}\"\n[state]\ndirectory = \"{}\"\n"
                      "[sync]\nallowed_networks = [\"127.0.0.0/8\"]\n",
                      port, database.app_url, database.owner_url, dir.file("state")));
      daemon.emplace(test::Argv{ROSTERD_PROGRAM, "--config", dir.file("rosterd.toml")}, test::ProcessOptions{.output = dir.file("log")});
      const bool up = test::wait_until(
          [&] { return !daemon->is_running() || rosterctl({"version", "--url", url()}).out.find("rosterd ") != std::string::npos; },
          test::Milliseconds(60'000));
      if (!up || !daemon->is_running()) throw std::runtime_error("rosterd did not start:\n" + test::read_file(dir.file("log")));
    }
    ~Installation() {
      daemon->kill(SIGTERM);
      static_cast<void>(daemon->wait(test::Milliseconds(30'000)));
    }
    [[nodiscard]] std::string url() const { return fmt::format("http://127.0.0.1:{}", port); }
  };

  static void SetUpTestSuite() {
    installation_ = std::make_unique<Installation>();
    auto& here = *installation_;
    const auto said = rosterctl(
        {"setup", "--url", here.url(), "--email", "ada@acme.example", "--secret-file", here.dir.file("state/setup-secret")}, here.around);
    ASSERT_EQ(said.code, kOk) << said.err << test::read_file(here.dir.file("log"));
    ASSERT_EQ(ctl({"tenants", "create", "acme", "--name", "Acme Inc."}).code, kOk);
    here.dir.write("acme.toml", fmt::format(R"(tenant = "acme"
name = "corp"
type = "ldap"
[settings]
url = "{}"
preset = "openldap"
bind_dn = "{}"
bind_password = {{ value = "{}" }}
users = {{ base = "ou=people,dc=acme,dc=example" }}
groups = {{ base = "ou=groups,dc=acme,dc=example" }}
[[role_mappings]]
group = "^ns-(?<ns>.+)-editors$"
role = "Editor"
namespace = "${{ns}}"
)",
                                            here.slapd.url(), here.slapd.admin_dn(), test::PrivateSlapd::admin_password()));
    const auto applied = ctl({"apply", "-f", here.dir.file("acme.toml"), "--sync"});
    ASSERT_EQ(applied.code, kOk) << applied.out << applied.err;
    EXPECT_TRUE(applied.out.starts_with("source corp of tenant acme created\n")) << applied.out;
    EXPECT_THAT(applied.out, HasSubstr("acme corp: applied"));
    EXPECT_THAT(applied.out, HasSubstr("2 users added, 2 groups added, 3 memberships added, 1 role binding added"));
  }
  static void TearDownTestSuite() { installation_.reset(); }

  static Said ctl(const std::vector<std::string>& arguments) { return rosterctl(arguments, installation_->around); }
  static Installation& here() { return *installation_; }

 private:
  static inline std::unique_ptr<Installation> installation_;
};

TEST_F(Live, AFileThatWasMendedIsSyncedOnceAndAFilterThatFindsNobodyIsSaid) {
  ASSERT_EQ(ctl({"tenants", "create", "mended"}).code, kOk);
  auto text = test::read_file(here().dir.file("acme.toml"));
  const auto replace = [&](const std::string& from, const std::string& to) { text.replace(text.find(from), from.size(), to); };
  replace("\"acme\"", "\"mended\"");
  replace("users = { base", "users = { filter = \"(objectClass=device)\", base");
  here().dir.write("mended.toml", text);
  const auto nobody = ctl({"apply", "-f", here().dir.file("mended.toml"), "--sync"});
  EXPECT_EQ(nobody.code, kOk) << nobody.out << nobody.err;
  EXPECT_THAT(nobody.out + nobody.err, HasSubstr("No user was read. If there should be some"));
  replace("filter = \"(objectClass=device)\", ", "");
  here().dir.write("mended.toml", text);
  const auto mended = ctl({"apply", "-f", here().dir.file("mended.toml"), "--sync"});
  EXPECT_EQ(mended.code, kOk) << mended.out << mended.err;
  EXPECT_THAT(mended.out, HasSubstr("mended corp: applied"));
  EXPECT_THAT(mended.out, Not(HasSubstr("mended corp: unchanged"))) << "a second run followed the one that the change causes";
  // Nothing changed in the file: nothing starts by itself, and --sync asks for a run.
  EXPECT_THAT(ctl({"apply", "-f", here().dir.file("mended.toml"), "--sync"}).out, HasSubstr("mended corp: unchanged"));
  EXPECT_THAT(ctl({"users", "list", "mendd"}).err, HasSubstr("'rosterctl tenants list' shows the tenants that you may see"));
  EXPECT_EQ(ctl({"tenants", "delete", "mended", "--yes"}).code, kOk);
}

TEST_F(Live, SetupWorksOnceAndTheTokenIsNeverPrinted) {
  const auto again = rosterctl({"setup", "--url", here().url(), "--email", "eve@acme.example", "--secret-file", "-"},
                               {.environment = here().around.environment, .input = "0123456789abcdef0123\n"});
  EXPECT_EQ(again.code, kRefused);
  EXPECT_THAT(again.err, HasSubstr("[setup_done]"));
  EXPECT_THAT(again.err, HasSubstr("sign in with 'rosterctl login'"));
  EXPECT_THAT(ctl({"whoami"}).out, HasSubstr("ada@acme.example"));
  const auto stored = json::parse(test::read_file(here().dir.file("config/rosterctl/profiles.json")));
  const auto token = stored["profiles"]["default"]["token"].get<std::string>();
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"whoami", "--json"}, {"profiles", "list", "--json"}, {"sources", "show", "acme", "corp", "--json"}}) {
    const auto said = ctl(arguments);
    EXPECT_EQ(said.code, kOk) << said.err;
    EXPECT_THAT(said.out + said.err, Not(HasSubstr(token)));
    EXPECT_THAT(said.out + said.err, Not(HasSubstr("\"secret\"")));
  }
}

TEST_F(Live, AWrongTokenIsNotStored) {
  const auto before = test::read_file(here().dir.file("config/rosterctl/profiles.json"));
  const auto said =
      rosterctl({"login", "--url", here().url(), "--token-file", "-"}, {.environment = here().around.environment, .input = "rst_wrong\n"});
  EXPECT_EQ(said.code, kSignIn);
  EXPECT_EQ(test::read_file(here().dir.file("config/rosterctl/profiles.json")), before);
}

TEST_F(Live, PeopleSignInWithAPasswordAndComeIntoTenantsByInvitation) {
  const auto with_input = [](std::vector<std::string> arguments, const std::string& input) {
    return rosterctl(arguments, {.environment = here().around.environment, .input = input});
  };
  const auto made =
      with_input({"accounts", "create", "grace@acme.example", "--first-name", "Grace", "--password-stdin"}, "Battery-staple-8\n");
  ASSERT_EQ(made.code, kOk) << made.err;
  const std::vector<std::string> login{"login",   "--profile",          "grace",           "--url", here().url(),
                                       "--email", "grace@acme.example", "--password-stdin"};
  EXPECT_EQ(with_input(login, "Wrong-password-1\n").code, kSignIn);
  const auto in = with_input(login, "Battery-staple-8\n");
  ASSERT_EQ(in.code, kOk) << in.err;
  EXPECT_THAT(in.err, HasSubstr("rosterctl passwd"));
  EXPECT_EQ(ctl({"tenants", "list", "--profile", "grace"}).code, kRefused) << "first the password";
  const auto changed = with_input({"passwd", "--profile", "grace", "--password-stdin"}, "Battery-staple-8\nCorrect-horse-7\n");
  ASSERT_EQ(changed.code, kOk) << changed.err;
  EXPECT_THAT(ctl({"me", "--profile", "grace", "--set", "theme=dark", "--set", "page_size=50"}).out, HasSubstr("dark"));
  EXPECT_EQ(ctl({"accounts", "list", "--profile", "grace"}).code, kRefused);
  ASSERT_EQ(ctl({"profiles", "use", "default"}).code, kOk);
  EXPECT_THAT(ctl({"accounts", "list"}).out, HasSubstr("grace@acme.example"));
  EXPECT_EQ(ctl({"accounts", "grant-super-admin", "grace@acme.example"}).code, kOk);
  EXPECT_EQ(ctl({"accounts", "list", "--profile", "grace"}).code, kOk);
  EXPECT_EQ(ctl({"accounts", "revoke-super-admin", "grace@acme.example"}).code, kOk);
  const auto last = ctl({"accounts", "revoke-super-admin", "ada@acme.example"});
  EXPECT_EQ(last.code, kRefused);
  EXPECT_THAT(last.err, HasSubstr("last_super_admin"));

  const auto invited = ctl({"invitations", "create", "acme", "joan@acme.example", "--role", "Viewer@company"});
  ASSERT_EQ(invited.code, kOk) << invited.err;
  EXPECT_THAT(ctl({"invitations", "list", "acme"}).out, HasSubstr("PENDING"));
  const auto accepted = with_input({"invitations", "accept", "--new-account", "--token-file", "-"}, invited.out + "Correct-horse-7\n");
  ASSERT_EQ(accepted.code, kOk) << accepted.err;
  EXPECT_TRUE(test::wait_until([] { return ctl({"check", "acme", "joan@acme.example", "FLOW", "READ", "-n", "company.web"}).code == kOk; }))
      << "within a second, as any change";

  const auto profiles = json::parse(test::read_file(here().dir.file("config/rosterctl/profiles.json")));
  const auto session = profiles["profiles"]["grace"]["token"].get<std::string>();
  EXPECT_EQ(session.substr(0, 4), "rss_");
  EXPECT_EQ(ctl({"logout", "--profile", "grace"}).code, kOk);
  auto environment = here().around.environment;
  environment["ROSTERCTL_TOKEN"] = session;
  EXPECT_EQ(rosterctl({"whoami"}, {.environment = environment}).code, kSignIn) << "ended on the server, too";
  EXPECT_EQ(ctl({"accounts", "delete", "grace@acme.example", "--yes"}).code, kOk);
}

TEST_F(Live, ACheckAnswersByItsExitCode) {
  EXPECT_EQ(ctl({"check", "acme", "frank", "FLOW", "UPDATE", "-n", "company.web.shop"}).code, kOk);
  const auto denied = ctl({"check", "acme", "frank", "FLOW", "UPDATE", "-n", "company.finance"});
  EXPECT_EQ(denied.code, kNo);
  EXPECT_THAT(denied.out, HasSubstr("denied_wrong_namespace"));
  const auto quiet = ctl({"check", "acme", "frank", "FLOW", "UPDATE", "--quiet"});
  EXPECT_EQ(quiet.code, kNo);
  EXPECT_EQ(quiet.out + quiet.err, "");
  EXPECT_EQ(ctl({"check", "nowhere", "frank", "FLOW", "READ"}).code, kRefused);
}

TEST_F(Live, EffectiveShowsTheChainTheSourceAndTheEntry) {
  const auto said = ctl({"effective", "acme", "frank"});
  EXPECT_EQ(said.code, kOk) << said.err;
  EXPECT_THAT(said.out, HasSubstr("Editor in company.web and below  (bound by a role mapping of corp)"));
  EXPECT_THAT(said.out, HasSubstr("frank is a member of web-team  source corp, cn=web-team,ou=groups,dc=acme,dc=example"));
  EXPECT_THAT(said.out, HasSubstr("web-team is a member of ns-company.web-editors"));
}

TEST_F(Live, ExplainShowsTheGrantThatDecides) {
  const auto said = ctl({"check", "acme", "frank", "FLOW", "UPDATE", "-n", "company.web", "--explain"});
  EXPECT_EQ(said.code, kOk) << said.err;
  EXPECT_THAT(said.out, HasSubstr("Editor in company.web and below"));
}

TEST_F(Live, ExplainOfANoShowsWhatComesNearest) {
  const auto said = ctl({"check", "acme", "frank", "FLOW", "UPDATE", "-n", "company.finance", "--explain"});
  EXPECT_EQ(said.code, kNo) << said.err;
  EXPECT_THAT(said.out, HasSubstr("has it elsewhere:"));
  EXPECT_THAT(said.out, HasSubstr("Editor in company.web and below"));
}

TEST_F(Live, AnAdministratorRunsATenantWithRosterctlAlone) {
  const auto done = [](const std::vector<std::string>& arguments) {
    const auto said = ctl(arguments);
    EXPECT_EQ(said.code, kOk) << arguments.front() << " " << arguments.at(1) << ": " << said.out << said.err;
    return said.out;
  };
  done({"tenants", "create", "local", "--name", "By hand"});
  EXPECT_THAT(done({"users", "create", "local", "grace", "--email", "grace@local.example", "--first-name", "Grace"}),
              HasSubstr("user grace created: usr_"));
  done({"users", "edit", "local", "grace", "--last-name", "Hopper"});
  EXPECT_THAT(done({"users", "show", "local", "grace"}), HasSubstr("Grace Hopper"));
  done({"groups", "create", "local", "staff", "--description", "everybody"});
  done({"service-accounts", "create", "local", "ci"});
  EXPECT_THAT(done({"groups", "add", "local", "staff", "grace", "service_account:ci"}),
              HasSubstr("service_account:ci is a member of staff"));
  EXPECT_THAT(done({"groups", "add", "local", "staff", "grace"}), HasSubstr("was a member already"));
  EXPECT_THAT(done({"permissions", "list", "local"}), HasSubstr("FLOW"));
  done({"roles", "create", "local", "Reader", "-p", "FLOW:READ", "-p", "EXECUTION:READ,CREATE"});
  done({"roles", "edit", "local", "Reader", "-p", "FLOW:READ,UPDATE", "--drop", "EXECUTION"});
  const auto role = done({"roles", "show", "local", "Reader"});
  EXPECT_THAT(role, HasSubstr("FLOW: READ UPDATE"));
  EXPECT_THAT(role, Not(HasSubstr("EXECUTION")));
  EXPECT_THAT(done({"bindings", "create", "local", "Reader", "group:staff", "-n", "company.team", "--expires", "30d"}),
              HasSubstr("Reader is bound to staff"));
  EXPECT_THAT(done({"check", "local", "grace", "FLOW", "READ", "-n", "company.team.x"}), HasSubstr("allowed"));
  EXPECT_EQ(ctl({"check", "local", "grace", "FLOW", "READ"}).code, kNo);
  EXPECT_THAT(done({"bindings", "list", "local", "--role", "Reader"}), HasSubstr("group:staff"));
  done({"users", "suspend", "local", "grace"});
  EXPECT_EQ(ctl({"check", "local", "grace", "FLOW", "READ", "-n", "company.team"}).code, kNo);
  done({"users", "resume", "local", "grace"});
  const auto made = ctl({"service-accounts", "create-token", "local", "ci", "deploy", "--max-age", "90d"});
  EXPECT_TRUE(made.out.starts_with("rst_") && made.out.size() == 41) << "the secret alone, to be piped";
  EXPECT_THAT(made.err, HasSubstr("shown this once"));
  EXPECT_THAT(done({"service-accounts", "tokens", "local", "ci"}), HasSubstr("deploy"));
  EXPECT_EQ(ctl({"roles", "delete", "local", "Reader", "--yes"}).code, kRefused);
  done({"roles", "delete", "local", "Reader", "--yes", "--force"});
  done({"groups", "remove", "local", "staff", "grace"});
  done({"groups", "delete", "local", "staff", "--yes"});
  done({"users", "delete", "local", "grace", "--yes"});
  EXPECT_EQ(ctl({"roles", "create", "local", "Bad", "-p", "FLOW"}).code, kUsage);
  const auto unknown = ctl({"roles", "create", "local", "Bad", "-p", "FLOWS:READ"});
  EXPECT_EQ(unknown.code, kRefused);
  EXPECT_THAT(unknown.err, HasSubstr("[unknown_permission]"));
  done({"tenants", "delete", "local", "--yes"});
}

TEST_F(Live, TheListsNameWhoIsThere) {
  EXPECT_THAT(ctl({"tenants", "list"}).out, HasSubstr("acme    Acme Inc.  enabled"));
  EXPECT_THAT(ctl({"sources", "list", "acme"}).out, HasSubstr("corp    ldap  ok"));
  EXPECT_THAT(ctl({"users", "list", "acme"}).out, HasSubstr("frank"));
  EXPECT_EQ(ctl({"users", "list", "acme", "--query", "fr"}).out.find("uid=ada"), std::string::npos);
  EXPECT_THAT(ctl({"users", "show", "acme", "frank"}).out, HasSubstr("member of  web-team"));
  EXPECT_THAT(ctl({"groups", "members", "acme", "web-team"}).out, HasSubstr("frank"));
  EXPECT_THAT(ctl({"runs", "list", "acme"}).out, HasSubstr("applied"));
  const auto first = json::parse(ctl({"runs", "list", "acme", "--limit", "0", "--json"}).out)["items"].back()["id"].get<std::string>();
  EXPECT_THAT(ctl({"runs", "changes", "acme", first}).out, HasSubstr("frank in web-team"));
  EXPECT_THAT(ctl({"runs", "changes", "acme", first}).out, HasSubstr("Editor for ns-company.web-editors in company.web"));
  EXPECT_THAT(ctl({"runs", "show", "acme", "latest"}).out, HasSubstr("complete read  yes"));
  EXPECT_EQ(json::parse(ctl({"users", "list", "acme", "--limit", "1", "--json"}).out)["items"].size(), 1u);
  const auto status = ctl({"status", "acme"});
  EXPECT_EQ(status.code, kOk) << status.out << status.err;
  EXPECT_THAT(status.out, HasSubstr("acme    corp    ok"));
}

TEST_F(Live, ApplyingTheSameFileAgainUpdatesAndKeepsTheSecret) {
  EXPECT_EQ(ctl({"apply", "-f", here().dir.file("acme.toml")}).out, "source corp of tenant acme updated\n");
  const auto tested = ctl({"sources", "test", "acme", "corp"});
  EXPECT_EQ(tested.code, kOk) << tested.out << tested.err;
  EXPECT_THAT(ctl({"sources", "show", "acme", "corp"}).out, HasSubstr("bind_password  (secret)"));
}

TEST_F(Live, ADisabledSourceStaysDisabledWhenItsFileIsApplied) {
  ASSERT_EQ(ctl({"sources", "disable", "acme", "corp"}).code, kOk);
  ASSERT_EQ(ctl({"apply", "-f", here().dir.file("acme.toml")}).code, kOk);
  EXPECT_THAT(ctl({"sources", "list", "acme"}).out, HasSubstr("disabled"));
  ASSERT_EQ(ctl({"sources", "enable", "acme", "corp"}).code, kOk);
}

TEST_F(Live, AProvidersSourceNeedsNoSettingsAndAMappingToNoRoleIsSaid) {
  here().dir.write("push.toml",
                   "tenant = \"acme\"\nname = \"push\"\ntype = \"scim_push\"\n[[role_mappings]]\ngroup = \"ops\"\nrole = \"Oops\"\n");
  const auto said = ctl({"apply", "-f", here().dir.file("push.toml")});
  EXPECT_EQ(said.code, kOk) << said.err;
  EXPECT_THAT(said.err, HasSubstr("no role Oops"));
  EXPECT_THAT(ctl({"sources", "list", "acme"}).out, HasSubstr("its provider pushes"));
  const auto token = ctl({"sources", "create-token", "acme", "push", "provider"});
  EXPECT_TRUE(token.out.starts_with("rst_")) << token.err;
  EXPECT_THAT(ctl({"sources", "tokens", "acme", "push"}).out, HasSubstr("provider"));
  EXPECT_EQ(ctl({"sources", "delete", "acme", "push", "--yes"}).code, kOk);
}

TEST_F(Live, AnAccountHasAnIdentityWhereAccountsHaveAnIssuer) {
  const auto said = ctl({"accounts", "identity", "ada@acme.example"});
  EXPECT_EQ(said.code, kRefused);
  EXPECT_THAT(said.err, HasSubstr("sign_in.issuer"));
  EXPECT_EQ(ctl({"accounts", "identity", "ada@acme.example", "--subject", "x", "--remove"}).code, kUsage);
}

TEST_F(Live, WhatRosterdRefusesIsShownInItsWords) {
  here().dir.write("bad.toml",
                   "tenant = \"acme\"\nname = \"corp\"\ntype = \"ldap\"\nfrobnicate = 1\n[settings]\nurl = \"ldap://127.0.0.1\"\n");
  const auto said = ctl({"apply", "-f", here().dir.file("bad.toml")});
  EXPECT_EQ(said.code, kRefused);
  EXPECT_THAT(said.err, HasSubstr("source corp of tenant acme: "));
  EXPECT_THAT(said.err, HasSubstr("frobnicate"));
  EXPECT_THAT(said.err, HasSubstr("[invalid_request]"));
}

TEST_F(Live, ADryRunSaysWouldAndTheRealOneFlipsTheCheck) {
  ASSERT_EQ(ctl({"sync", "acme"}).code, kOk);  // a changed source is synced by itself: let that be over first
  here().slapd.modify(
      "dn: cn=web-team,ou=groups,dc=acme,dc=example\nchangetype: modify\ndelete: member\nmember: uid=frank,ou=people,dc=acme,dc=example\n");
  const auto dry = ctl({"sync", "acme", "--dry-run"});
  EXPECT_EQ(dry.code, kOk) << dry.out << dry.err;
  EXPECT_THAT(dry.out, HasSubstr("would remove 1 membership"));
  EXPECT_EQ(ctl({"check", "acme", "frank", "FLOW", "UPDATE", "-n", "company.web"}).code, kOk);
  const auto real = ctl({"sync", "acme"});
  EXPECT_EQ(real.code, kOk) << real.out << real.err;
  EXPECT_THAT(real.out, HasSubstr("1 membership removed"));
  EXPECT_THAT(real.out, HasSubstr("membership frank in web-team removed"));
  EXPECT_EQ(ctl({"check", "acme", "frank", "FLOW", "UPDATE", "-n", "company.web"}).code, kNo);
  here().slapd.modify(
      "dn: cn=web-team,ou=groups,dc=acme,dc=example\nchangetype: modify\nadd: member\nmember: uid=frank,ou=people,dc=acme,dc=example\n");
  EXPECT_EQ(ctl({"sync", "acme"}).code, kOk);
  EXPECT_EQ(ctl({"check", "acme", "frank", "FLOW", "UPDATE", "-n", "company.web"}).code, kOk);
}

TEST_F(Live, AReadThatWasNotCompleteIsAYellowStateWithItsReasonAndANegativeAnswer) {
  ASSERT_EQ(ctl({"sync", "acme"}).code, kOk);
  ASSERT_EQ(ctl({"status", "acme"}).code, kOk);
  const auto newest = "(SELECT max(run_id) FROM rosterd.run)";
  const auto sql = [&](const std::string& text) { test::PrivatePostgres::shared().query(here().database, text); };
  sql(fmt::format("UPDATE rosterd.run SET outcome = 5, detail = 'the server''s size limit was reached' WHERE run_id = {}", newest));
  const auto said = ctl({"status", "acme"});
  EXPECT_EQ(said.code, kNo) << said.out;
  EXPECT_THAT(said.out, HasSubstr("incomplete"));
  EXPECT_THAT(said.out, HasSubstr("acme corp: the server's size limit was reached"));
  EXPECT_EQ(ctl({"sync", "acme"}).code, kOk);
  sql(fmt::format("UPDATE rosterd.run SET outcome = 8, detail = 'rosterd was stopped; nothing was applied' WHERE run_id = {}", newest));
  EXPECT_THAT(ctl({"status", "acme"}).out, HasSubstr("acme corp: rosterd was stopped"));
  EXPECT_EQ(ctl({"sync", "acme"}).code, kOk);
  EXPECT_EQ(ctl({"status", "acme"}).code, kOk);
}

TEST_F(Live, WhatAFirstLoadBroughtIsListedByName) {
  const auto runs = json::parse(ctl({"runs", "list", "acme", "--limit", "0", "--json"}).out)["items"];
  ASSERT_FALSE(runs.empty());
  const auto said = ctl({"runs", "changes", "acme", runs.back()["id"].get<std::string>(), "--limit", "0"});
  EXPECT_EQ(said.code, kOk) << said.err;
  EXPECT_THAT(said.out, HasSubstr("frank in web-team"));
  EXPECT_THAT(said.out, HasSubstr("web-team in ns-company.web-editors"));
  EXPECT_THAT(said.out, HasSubstr("Editor for ns-company.web-editors in company.web"));
}

TEST_F(Live, ADryRunOfAFirstLoadNamesWhomItWouldBring) {
  auto file = test::read_file(here().dir.file("acme.toml"));
  file.replace(file.find("\"corp\""), 6, "\"copy\"");
  file.insert(file.find("[settings]"), "enabled = true\n[schedule]\ninterval = \"1d\"\n");
  ASSERT_EQ(ctl({"tenants", "create", "dry"}).code, kOk);
  here().dir.write("copy.toml", file);
  // Made while every worker is kept from it: the first run is the dry one.
  file.replace(file.find("enabled = true"), 14, "enabled = false");
  here().dir.write("off.toml", file);
  ASSERT_EQ(ctl({"apply", "-f", here().dir.file("off.toml"), "--tenant", "dry"}).code, kOk);
  const auto sql = [&](const std::string& text) { test::PrivatePostgres::shared().query(here().database, text); };
  sql("UPDATE rosterd.source_state SET next_due = now() + interval '1 day' WHERE source_id = (SELECT max(source_id) FROM rosterd.source)");
  sql("UPDATE rosterd.source SET enabled = true WHERE name = 'copy'");
  const auto dry = ctl({"sync", "dry", "copy", "--dry-run", "--show", "100"});
  EXPECT_EQ(dry.code, kOk) << dry.out << dry.err;
  EXPECT_THAT(dry.out, HasSubstr("would add membership frank in web-team"));
  EXPECT_THAT(dry.out, HasSubstr("would add membership web-team in ns-company.web-editors"));
  EXPECT_THAT(dry.out, HasSubstr("would add binding Editor for ns-company.web-editors in company.web"));
  EXPECT_EQ(ctl({"tenants", "delete", "dry", "--yes"}).code, kOk);
}

TEST_F(Live, ASyncThatFailsIsANegativeAnswerAndSaysWhatToDo) {
  here().slapd.stop();
  const auto said = ctl({"sync", "acme"});
  here().slapd.start();
  EXPECT_EQ(said.code, kNo) << said.out << said.err;
  EXPECT_THAT(said.out, HasSubstr("acme corp: failed"));
  EXPECT_THAT(said.err, HasSubstr("rosterctl sources test acme corp"));
  EXPECT_EQ(ctl({"sync", "acme"}).code, kOk);
}

TEST_F(Live, AHeldPlanIsShownAndAppliedOnceWhenApproved) {
  here().slapd.modify("dn: uid=frank,ou=people,dc=acme,dc=example\nchangetype: delete\n");
  here().slapd.modify("dn: uid=ada,ou=people,dc=acme,dc=example\nchangetype: delete\n");
  const auto held = ctl({"sync", "acme"});
  ASSERT_EQ(held.code, kNo) << held.out << held.err;
  EXPECT_THAT(held.out, HasSubstr("acme corp: held"));
  EXPECT_THAT(held.err, HasSubstr("rosterctl runs approve acme run_"));
  const auto status = ctl({"status", "acme"});
  EXPECT_EQ(status.code, kNo);
  EXPECT_THAT(status.out, HasSubstr("acme corp:   would suspend user frank ("));
  EXPECT_THAT(status.out, HasSubstr("held, see 'rosterctl runs show acme run_"));
  EXPECT_EQ(ctl({"check", "acme", "frank", "FLOW", "UPDATE", "-n", "company.web"}).code, kOk) << "held: nothing has changed";
  const auto run = json::parse(ctl({"runs", "list", "acme", "--limit", "1", "--json"}).out)["items"][0]["id"].get<std::string>();
  EXPECT_EQ(ctl({"runs", "approve", "acme", run}).code, kUsage) << "nobody there to confirm";
  EXPECT_EQ(ctl({"runs", "approve", "acme", run, "--plan", std::string(64, '0')}).code, kRefused) << "another plan than the one held";
  const auto approved = ctl({"runs", "approve", "acme", run, "--yes"});
  EXPECT_EQ(approved.code, kOk) << approved.out << approved.err;
  EXPECT_THAT(ctl({"check", "acme", "frank", "FLOW", "UPDATE", "-n", "company.web"}).out, HasSubstr("denied_user_suspended"));
  EXPECT_EQ(ctl({"runs", "approve", "acme", run, "--yes"}).code, kRefused) << "once";
}

TEST_F(Live, TheAuditLogIsShownAndExported) {
  const auto shown = ctl({"audit", "--tenant", "acme", "--type", "user", "--action", "suspended"});
  ASSERT_EQ(shown.code, kOk) << shown.err;
  EXPECT_THAT(shown.out, HasSubstr("sync of corp"));
  EXPECT_THAT(shown.out, HasSubstr("frank"));
  const auto csv = ctl({"audit", "--tenant", "acme", "--format", "csv"});
  EXPECT_EQ(csv.code, kOk) << csv.err;
  EXPECT_THAT(csv.out, testing::StartsWith("id,at,tenant,"));
  const auto lines = ctl({"audit", "--format", "jsonl", "--tenant", "acme"});
  EXPECT_EQ(std::count(lines.out.begin(), lines.out.end(), '\n'), std::count(csv.out.begin(), csv.out.end(), '\n') - 1);
  EXPECT_THAT(json::parse(ctl({"audit", "--limit", "2", "--json"}).out)["items"], testing::SizeIs(2));
  EXPECT_EQ(ctl({"audit", "--since", "yesterday"}).code, kRefused);
  EXPECT_EQ(ctl({"audit", "--tenant", "nowhere", "--format", "csv"}).code, kRefused) << "an error is none of the export's lines";
}

}  // namespace
}  // namespace rosterd::cli
