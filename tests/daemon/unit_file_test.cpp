// The systemd unit is held against systemd's own judgement.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <regex>

#include "tests/daemon/tree.hpp"
#include "tests/support/process.hpp"

namespace rosterd::test {
namespace {

using testing::HasSubstr;
using testing::Not;

const std::string kUnit = std::string(ROSTERD_SOURCE_DIR) + "/systemd/rosterd.service";

/// The largest exposure `systemd-analyze security` may compute, in tenths of its scale from 0 (closed) to 10 (open).
constexpr const char* kThreshold = "15";

bool has_systemd_analyze() {
  for (const char* path : {"/usr/bin/systemd-analyze", "/bin/systemd-analyze"})
    if (::access(path, X_OK) == 0) return true;
  return false;
}

#define NEEDS_SYSTEMD_ANALYZE() \
  if (!has_systemd_analyze())   \
  GTEST_SKIP() << "systemd-analyze is not installed here, so the unit file was NOT checked (Debian package: systemd)"

TEST(UnitFile, SystemdFindsNothingWrongWithIt) {
  NEEDS_SYSTEMD_ANALYZE();
  // verify wants the program to exist: the unit is checked with the one that was built.
  const TempDir dir;
  const auto unit =
      std::regex_replace(content_of(kUnit), std::regex("/usr/bin/rosterd "), std::string(ROSTERD_BINARY_DIR) + "/daemon/rosterd ");
  const auto file = dir.write("rosterd.service", unit, 0644);
  const auto ran = run({"systemd-analyze", "verify", "--man=no", "--recursive-errors=no", file});
  EXPECT_EQ(ran.status, 0) << ran.output;
  EXPECT_THAT(ran.output, Not(HasSubstr("rosterd.service"))) << "a warning about the unit";
}

TEST(UnitFile, IsSandboxed) {
  NEEDS_SYSTEMD_ANALYZE();
  const auto ran = run({"systemd-analyze", "security", "--offline=yes", std::string("--threshold=") + kThreshold, kUnit});
  EXPECT_EQ(ran.status, 0) << ran.output;
  EXPECT_THAT(ran.output, HasSubstr("Overall exposure level"));
}

TEST(UnitFile, SaysWhatTheDaemonReliesOn) {
  const auto unit = content_of(kUnit);
  for (const char* line : {"Type=notify\n", "NotifyAccess=main\n", "WatchdogSec=", "KillMode=mixed\n", "TimeoutStopSec=", "ExecReload=",
                           "StateDirectory=rosterd\n", "User=rosterd\n", "RestartPreventExitStatus=64 78\n"})
    EXPECT_THAT(unit, HasSubstr(std::string("\n") + line)) << "and not in a comment";
}

TEST(UnitFile, HandsTheCredentialsOfItsFolderOverAndStartsWithoutOne) {
  const auto unit = content_of(kUnit);
  std::smatch loaded;
  ASSERT_TRUE(std::regex_search(unit, loaded, std::regex("(?:^|\n)LoadCredential=([a-z]+):/etc/rosterd/credentials\n")));
  // systemd.exec(5): a path that is not there is an error unless SetCredential= gives the same name a default.
  EXPECT_THAT(unit, HasSubstr("\nSetCredential=" + loaded[1].str() + ":"));
  for (const char* document : {"docs/operations.md", "docs/configuration.md"})
    EXPECT_THAT(content_of(std::string(ROSTERD_SOURCE_DIR) + "/" + document), HasSubstr("/" + loaded[1].str() + "_first-admin"))
        << document;
}

}  // namespace
}  // namespace rosterd::test
