// rosterd as a program: its command line, its configuration errors, its exit statuses. Nothing here needs a database.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "daemon/first_admin.hpp"
#include "daemon/http/token.hpp"
#include "tests/daemon/daemon_process.hpp"

namespace rosterd::test {
namespace {

using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;
using testing::StartsWith;

TEST(Program, TellsVersionAndHelp) {
  EXPECT_EQ(run({kRosterd, "--version"}).output, "rosterd " ROSTERD_VERSION "\n");
  const auto help = run({kRosterd, "--help"});
  EXPECT_EQ(help.status, 0);
  for (const char* part : {"--config", "--check-config", "--new-credential", "/etc/rosterd/rosterd.toml", "Exit status"})
    EXPECT_THAT(help.output, HasSubstr(part));
}

TEST(Program, AWrongCommandLineIs64) {
  EXPECT_EQ(run({kRosterd, "--conifg", "x"}).status, 64);
  EXPECT_EQ(run({kRosterd, "--new-credential", "nobody"}).status, 64);
}

TEST(Program, CheckConfigReportsEverythingAtOnceWith78) {
  const TempDir dir;
  const auto file = dir.write("rosterd.toml", "[server]\nlistn = \"x\"\n[sync]\nworkers = 0\n");
  for (const Argv& argv : {Argv{kRosterd, "--config", file, "--check-config"}, Argv{kRosterd, "--config", file}}) {
    const auto ran = run(argv);
    EXPECT_EQ(ran.status, 78);
    EXPECT_EQ(ran.output, fmt::format("{0}:2: server.listn: there is no such setting; did you mean server.listen?\n"
                                      "{0}:4: sync.workers: 0 is out of range; write a number from 1 to 256\n",
                                      file));
  }
}

TEST(Program, CheckConfigPrintsWhatIsInEffectWithoutPasswords) {
  const TempDir dir;
  const auto file = dir.write("rosterd.toml", "[server]\nlisten = \"0.0.0.0:80\"\n[database]\nurl = \"postgresql://a:hunter2@h/d\"\n");
  const auto ran = run({kRosterd, "--config", file, "--check-config"});
  EXPECT_EQ(ran.status, 0);
  EXPECT_THAT(ran.output, HasSubstr("listen = \"0.0.0.0:80\"\n"));
  EXPECT_THAT(ran.output, HasSubstr("workers = 4\n"));
  EXPECT_THAT(ran.output, HasSubstr("warning: server.listen: 0.0.0.0:80 answers plain HTTP"));
  EXPECT_THAT(ran.output, Not(HasSubstr("hunter2")));
}

// R13: R14:
TEST(Program, CheckConfigReadsTheCatalogueAndNamesTheLine) {
  const TempDir dir;
  const auto catalogue =
      dir.write("catalogue.json",
                "{\"permissions\": [\n {\"name\": \"INVOICE\", \"scope\": \"namespace\", \"actions\": [\"VIEW\"]},\n"
                " {\"name\": \"USER\", \"scope\": \"namespace\", \"actions\": [\"CREATE\", \"READ\", \"UPDATE\", \"DELETE\"]}]}");
  const auto file = dir.write("rosterd.toml", "[rbac]\ncatalogue_file = \"catalogue.json\"\n");
  auto ran = run({kRosterd, "--config", file, "--check-config"});
  EXPECT_EQ(ran.status, 78);
  EXPECT_THAT(ran.output, StartsWith("rbac.catalogue_file: " + catalogue + ": permission catalogue: line 3: USER is enforced by rosterd"));
  EXPECT_EQ(run({kRosterd, "--config", file}).status, 78) << "the daemon does not start with it either";
  dir.write("catalogue.json", "{\"permissions\": [\n {\"name\": \"INVOICE\",\n \"scope\": }]}");
  ran = run({kRosterd, "--config", file, "--check-config"});
  EXPECT_EQ(ran.status, 78);
  EXPECT_THAT(ran.output, HasSubstr("line 3"));
  dir.write("rosterd.toml", "[rbac]\ncatalogue_file = \"nowhere.json\"\n");
  ran = run({kRosterd, "--config", file, "--check-config"});
  EXPECT_EQ(ran.status, 78);
  EXPECT_THAT(ran.output, HasSubstr("nowhere.json: No such file"));
}

// R13:
TEST(Program, TheExampleCatalogueIsOne) {
  const TempDir dir;
  const auto file =
      dir.write("rosterd.toml", fmt::format("[rbac]\ncatalogue_file = \"{}/config/catalogue.example.json\"\n", ROSTERD_SOURCE_DIR));
  const auto ran = run({kRosterd, "--config", file, "--check-config"});
  EXPECT_EQ(ran.status, 0) << ran.output;
  EXPECT_THAT(ran.output, HasSubstr("catalogue.example.json"));
}

TEST(Program, AMissingConfigurationIs78) {
  const auto ran = run({kRosterd, "--config", "/nonexistent/rosterd.toml"});
  EXPECT_EQ(ran.status, 78);
  EXPECT_THAT(ran.output, StartsWith("/nonexistent/rosterd.toml: cannot be read: "));
}

TEST(Program, NewCredentialPrintsAFileThatIsAccepted) {
  const auto ran = run({kRosterd, "--new-credential", "Ada@Example.org"});
  EXPECT_EQ(ran.status, 0);
  EXPECT_THAT(ran.output, MatchesRegex(R"re(\{"email":"ada@example.org","token":"rst_[0-9A-Za-z]{36}"\}
)re"));
  const TempDir dir;
  const auto admin = read_first_admin(dir.write("credential", ran.output));
  ASSERT_TRUE(admin) << admin.error().what;
  EXPECT_EQ(admin->email, "ada@example.org");
  EXPECT_NE(run({kRosterd, "--new-credential", "ada@example.org"}).output, ran.output) << "every token is a new one";
}

TEST(FirstAdmin, WhatIsWrongWithACredentialIsSaidWithoutTheToken) {
  const auto token = http::make_token();
  const auto trouble = [](std::string_view json) {
    const auto admin = parse_first_admin(json);
    return admin ? "" : admin.error().what;
  };
  EXPECT_EQ(trouble(fmt::format(R"({{"email":"a@b.c","token":"{}"}})", token)), "");
  EXPECT_THAT(trouble("not json"), HasSubstr("is not a JSON object"));
  EXPECT_THAT(trouble(fmt::format(R"({{"email":"a@b.c","tokn":"{}"}})", token)), HasSubstr("unknown field 'tokn'"));
  EXPECT_THAT(trouble(fmt::format(R"({{"email":"nobody","token":"{}"}})", token)), HasSubstr("email is missing or is not"));
  EXPECT_THAT(trouble(R"({"email":"a@b.c"})"), HasSubstr("token is missing"));
  auto damaged = token;
  damaged.back() = damaged.back() == 'a' ? 'b' : 'a';
  EXPECT_THAT(trouble(fmt::format(R"({{"email":"a@b.c","token":"{}"}})", damaged)),
              testing::AllOf(HasSubstr("not of the form"), Not(HasSubstr(damaged))));
  const TempDir dir;
  EXPECT_THAT(read_first_admin(dir.write("open", fmt::format(R"({{"email":"a@b.c","token":"{}"}})", token), 0644)).error().what,
              HasSubstr("can be read by other users (mode 0644)"));
  EXPECT_THAT(read_first_admin(dir.file("none")).error().what, StartsWith("setup.credential_file: opening "));
}

}  // namespace
}  // namespace rosterd::test
