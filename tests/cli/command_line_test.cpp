// The command line: what is refused before anything is sent, and with which exit code.
#include <gmock/gmock.h>

#include "tests/cli/invocation.hpp"
#include "tests/support/process.hpp"

namespace rosterd::cli {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

/// A port where nobody listens, so that what would be sent ends at the connection.
Surroundings nobody_there() {
  return {.environment = {{"ROSTERCTL_URL", "http://127.0.0.1:" + std::to_string(test::free_port())}, {"ROSTERCTL_TOKEN", "rst_secret"}}};
}

TEST(CommandLine, HelpIsAnAnswerAndNamesTheExitCodes) {
  const auto said = rosterctl({"--help"});
  EXPECT_EQ(said.code, kOk);
  EXPECT_THAT(said.out, HasSubstr("Exit codes:"));
  EXPECT_THAT(said.err, IsEmpty());
}

TEST(CommandLine, WhatIsNotUnderstoodIsAUsageErrorThatNamesTheHelp) {
  for (const std::vector<std::string>& arguments : {std::vector<std::string>{},
                                                    {"dance"},
                                                    {"tenants"},
                                                    {"check", "acme"},
                                                    {"sync"},
                                                    {"runs", "show", "acme"},
                                                    {"--color", "pink", "version"}}) {
    const auto said = rosterctl(arguments, nobody_there());
    EXPECT_EQ(said.code, kUsage) << said.err;
    EXPECT_THAT(said.err, HasSubstr("--help'"));
    EXPECT_THAT(said.out, IsEmpty());
  }
}

TEST(CommandLine, GlobalOptionsAreTakenBeforeAndBehindTheCommand) {
  const std::string url = "http://127.0.0.1:" + std::to_string(test::free_port());
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"--url", url, "tenants", "list"}, {"tenants", "list", "--url", url}}) {
    const auto said = rosterctl(arguments, {.environment = {{"ROSTERCTL_TOKEN", "rst_x"}}});
    EXPECT_EQ(said.code, kUnreachable);
    EXPECT_THAT(said.err, HasSubstr(url));
  }
}

TEST(CommandLine, WithoutATokenItSaysHowToSignIn) {
  const auto said = rosterctl({"status"}, {.environment = {{"ROSTERCTL_URL", "http://127.0.0.1:1"}}});
  EXPECT_EQ(said.code, kSignIn);
  EXPECT_THAT(said.err, HasSubstr("rosterctl login"));
}

TEST(CommandLine, ATokenIsNeverSentOverAPlainNetworkUnlessAllowed) {
  const std::map<std::string, std::string> token{{"ROSTERCTL_TOKEN", "rst_secret"}};
  const auto refused = rosterctl({"status", "--url", "http://rosterd.example:8480"}, {.environment = token});
  EXPECT_EQ(refused.code, kUsage);
  EXPECT_THAT(refused.err, HasSubstr("clear text"));
  EXPECT_EQ(rosterctl({"status", "--url", "http://127.evil.example:8480"}, {.environment = token}).code, kUsage);
}

TEST(CommandLine, NoErrorShowsTheToken) {
  const auto said = rosterctl({"status"}, nobody_there());
  EXPECT_EQ(said.code, kUnreachable);
  EXPECT_THAT(said.out + said.err, Not(HasSubstr("rst_secret")));
}

TEST(CommandLine, DeletingWithoutATerminalAsksForYes) {
  for (const std::vector<std::string>& arguments : {std::vector<std::string>{"sources", "delete", "acme", "corp"}}) {
    const auto said = rosterctl(arguments, nobody_there());
    EXPECT_EQ(said.code, kUsage);
    EXPECT_THAT(said.err, HasSubstr("--yes"));
  }
}

TEST(CommandLine, DeletingOnATerminalWantsTheNameTyped) {
  auto around = nobody_there();
  around.terminal = true;
  around.input = "globex\n";
  EXPECT_EQ(rosterctl({"sources", "delete", "acme", "corp"}, around).code, kUsage);
  around.input = "corp\n";
  EXPECT_EQ(rosterctl({"sources", "delete", "acme", "corp"}, around).code, kUnreachable) << "confirmed, so it is sent";
}

TEST(CommandLine, ATimeoutWithoutAUnitIsRefused) {
  const auto said = rosterctl({"sync", "acme", "--timeout", "90"}, nobody_there());
  EXPECT_EQ(said.code, kUsage);
  EXPECT_THAT(said.err, HasSubstr("--timeout"));
}

TEST(CommandLine, ApplyParsesEveryFileBeforeItSendsTheFirst) {
  const test::TempDir dir;
  const auto good = dir.write("good.toml", "tenant = \"acme\"\nname = \"a\"\ntype = \"ldap\"\n");
  const auto bad = dir.write("bad.toml", "tenant = \"acme\"\nname = \n");
  const auto said = rosterctl({"apply", "-f", good, "-f", bad}, nobody_there());
  EXPECT_EQ(said.code, kUsage);
  EXPECT_THAT(said.err, HasSubstr(bad + ":2"));
}

TEST(CommandLine, TheSetupSecretMayComeFromStandardInput) {
  auto around = nobody_there();
  around.input = "0123456789abcdef\n";
  EXPECT_EQ(rosterctl({"setup", "--email", "ada@acme.example", "--secret-file", "-"}, around).code, kUnreachable);
  around.input.clear();
  const auto said = rosterctl({"setup", "--email", "ada@acme.example", "--secret-file", "-"}, around);
  EXPECT_EQ(said.code, kUsage);
  EXPECT_THAT(said.err, HasSubstr("no one-time setup secret on standard input"));
}

TEST(CommandLine, APasswordNeedsAnEmailAndASecretToBeThere) {
  auto around = nobody_there();
  EXPECT_EQ(rosterctl({"login", "--password-stdin"}, around).code, kUsage);
  EXPECT_EQ(rosterctl({"login", "--email", "a@b.c", "--token-file", "-"}, around).code, kUsage);
  const auto said = rosterctl({"login", "--email", "a@b.c", "--password-stdin"}, around);
  EXPECT_EQ(said.code, kUsage);
  EXPECT_THAT(said.err, HasSubstr("no password on standard input"));
  EXPECT_EQ(rosterctl({"accounts", "edit", "a@b.c"}, around).code, kUsage) << "nothing to change";
  around.input = "Correct-horse-7\n";
  EXPECT_EQ(rosterctl({"login", "--email", "a@b.c", "--password-stdin"}, around).code, kUnreachable);
}

TEST(CommandLine, NoOptionTakesASecretItself) {
  // Arguments stand in process lists and shell histories: tokens and secrets come from files, standard input or a prompt.
  for (const std::vector<std::string>& command : std::vector<std::vector<std::string>>{
           {"setup"}, {"login"}, {"passwd"}, {"accounts", "create"}, {"accounts", "password"}, {"invitations", "accept"}}) {
    auto arguments = command;
    arguments.emplace_back("--help");
    const auto said = rosterctl(arguments);
    EXPECT_EQ(said.code, kOk) << command.back();
    EXPECT_THAT(said.out, Not(testing::ContainsRegex("--(token|secret|password) "))) << command.back();
  }
}

}  // namespace
}  // namespace rosterd::cli
