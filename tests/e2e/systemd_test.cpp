// rosterd under a systemd that has really been booted (systemd_boot.sh): what its service manager sees from the first start to the
// watchdog.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <map>
#include <sstream>

#include "tests/support/process.hpp"

namespace rosterd::test {
namespace {

using testing::HasSubstr;

/// Booted once for all tests of this file.
class UnderSystemd : public testing::Test {
 protected:
  static void SetUpTestSuite() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    s_why_not = "a sanitizer's shadow memory does not fit into the unit's sandbox";
    return;
#endif
    if (::geteuid() != 0) {
      s_why_not = "only root boots a container";
      return;
    }
    if (::access("/usr/bin/systemd-nspawn", X_OK) != 0) {
      s_why_not = "systemd-nspawn is not installed (Debian package: systemd-container)";
      return;
    }
    const TempDir dir("rsd");
    std::filesystem::create_directory(dir.path() / "machine");
    const auto ran = run({"bash", std::string(ROSTERD_SOURCE_DIR) + "/tests/e2e/systemd_boot.sh", ROSTERD_BINARY_DIR, ROSTERD_SOURCE_DIR,
                          dir.path().string()},
                         {.cwd = dir.path().string()}, Milliseconds(240'000));
    if (std::filesystem::exists(dir.path() / "mounted") && !std::filesystem::exists(dir.path() / "installed")) {
      s_broken = ran.output;
      return;
    }
    if (!std::filesystem::exists(dir.path() / "booted")) {
      s_why_not = "no systemd comes up in a container here: " +
                  ran.output.substr(ran.output.size() - std::min<std::size_t>(ran.output.size(), 300));
      return;
    }
    std::istringstream facts(read_file(dir.path() / "facts"));
    for (std::string line; std::getline(facts, line);)
      if (const auto at = line.find('='); at != std::string::npos) s_facts[line.substr(0, at)] = line.substr(at + 1);
  }
  void SetUp() override {
    if (!s_broken.empty()) FAIL() << "rosterd could not be installed as docs/operations.md says: " << s_broken;
    if (!s_why_not.empty()) GTEST_SKIP() << s_why_not << ", so rosterd was NOT started by a systemd";
  }
  static std::string seen(const std::string& name) {
    const auto found = s_facts.find(name);
    return found == s_facts.end() ? "(the container did not come so far)" : found->second;
  }

 private:
  static inline std::map<std::string, std::string> s_facts;
  static inline std::string s_why_not, s_broken;
};

TEST_F(UnderSystemd, AFreshInstallIsReadyWhenItsStartReturns) {
  EXPECT_EQ(seen("start"), "0");
  EXPECT_EQ(seen("started"), "active success 0 restarts 0");
  EXPECT_THAT(seen("status"), HasSubstr("serving 0 tenants on port 8480"));
  EXPECT_EQ(seen("ready"), R"({"status":"ready"})");
  EXPECT_EQ(seen("journal_ready"), "1") << "with ROSTERD_EVENT as a field of the journal";
}

TEST_F(UnderSystemd, ItAndItsPostgresqlRunAsItsOwnUserWithFilesOfNobodyElse) {
  EXPECT_EQ(seen("users"), "rosterd");
  EXPECT_EQ(seen("state_dir"), "rosterd 700");
  EXPECT_EQ(seen("credential"), "rosterd 400");
}

TEST_F(UnderSystemd, AReloadTakesTheConfigurationOver) {
  EXPECT_EQ(seen("reload"), "0");
  EXPECT_EQ(seen("journal_reloaded"), "1");
}

TEST_F(UnderSystemd, WhenItIsKilledItIsStartedAgain) {
  EXPECT_EQ(seen("killed"), "active success 0 restarts 1");
  EXPECT_EQ(seen("ready_again"), R"({"status":"ready"})");
}

TEST_F(UnderSystemd, AStopIsCleanAndLeavesNoProcess) {
  EXPECT_EQ(seen("stopped"), "inactive success 0 restarts 1");
  EXPECT_EQ(seen("left"), "0");
}

TEST_F(UnderSystemd, AWrongConfigurationIsNotStartedAgainAndAgain) {
  EXPECT_EQ(seen("start_wrong"), "1");
  EXPECT_EQ(seen("wrong"), "failed exit-code 78 restarts 0");
}

TEST_F(UnderSystemd, TheWatchdogLeavesAloneWhoMovesAndReplacesWhoDoesNot) {
  EXPECT_EQ(seen("watched"), "active success 0 restarts 0");
  EXPECT_EQ(seen("bitten"), "active success 0 restarts 1");
  EXPECT_EQ(seen("ready_bitten"), R"({"status":"ready"})");
  EXPECT_EQ(seen("over"), "1");
}

}  // namespace
}  // namespace rosterd::test
