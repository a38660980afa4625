// Completion: the scripts are run by the shell they are for, and must know exactly the commands there are.
#include <gmock/gmock.h>

#include <filesystem>

#include "tests/cli/invocation.hpp"
#include "tests/support/process.hpp"

namespace rosterd::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

/// What bash offers after these words, one per line.
std::string offered(const std::vector<std::string>& words) {
  const test::TempDir dir;
  const auto script = dir.write("completion.bash", rosterctl({"completion", "bash"}).out);
  std::string list;
  for (const auto& word : words) list += " '" + word + "'";
  return test::run_ok({"bash", "--norc", "-euc",
                       "source " + script + "; COMP_WORDS=(rosterctl" + list + "); COMP_CWORD=" + std::to_string(words.size()) +
                           "; _rosterctl; printf '%s\\n' \"${COMPREPLY[@]}\""});
}

TEST(Completion, BashOffersEveryCommandThatHelpNames) {
  const auto help = rosterctl({"--help"}).out;
  const auto words = offered({""});
  for (const char* command : {"setup", "login", "tenants", "sources", "apply", "sync", "status", "runs", "users", "groups", "effective",
                              "accounts", "me", "passwd", "invitations", "logout", "check", "completion", "version"}) {
    EXPECT_THAT(help, HasSubstr(std::string("  ") + command + " "));
    EXPECT_THAT("\n" + words, HasSubstr(std::string("\n") + command + "\n"));
  }
}

TEST(Completion, BashKnowsWhereInTheTreeItIs) {
  EXPECT_EQ(offered({"runs", "ap"}), "approve\n");
  EXPECT_EQ(offered({"--json", "runs", "ap"}), "approve\n");
  EXPECT_EQ(offered({"sync", "acme", "--dr"}), "--dry-run\n");
  EXPECT_THAT(offered({"sync", "acme", "--"}), HasSubstr("--no-wait"));
  EXPECT_THAT(offered({"tenants", "--"}), Not(HasSubstr("--dry-run")));
}

TEST(Completion, BashOffersFilesOnlyWhereAFileBelongs) {
  const test::TempDir dir;
  const auto file = dir.write("acme.toml", "");
  EXPECT_EQ(offered({"apply", "-f", dir.file("ac")}), file + "\n");
  EXPECT_EQ(offered({"check", "acme", "ada", "FLOW", "READ", "--namespace", ""}), "\n") << "a namespace is nothing to guess";
}

TEST(Completion, ZshScriptIsACompletionFunctionForTheSameCommands) {
  const auto script = rosterctl({"completion", "zsh"}).out;
  EXPECT_TRUE(script.starts_with("#compdef rosterctl\n"));
  EXPECT_THAT(script, HasSubstr("'approve:Apply a held plan, once'"));
  const auto zsh = test::run({"sh", "-c", "command -v zsh"});
  if (zsh.status != 0) GTEST_SKIP() << "zsh is not installed: its script is only looked at, not run";
  const test::TempDir dir;
  EXPECT_EQ(test::run({"zsh", "-n", dir.write("_rosterctl", script)}).output, "");
}

}  // namespace
}  // namespace rosterd::cli
