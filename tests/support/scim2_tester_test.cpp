#include "tests/support/scim2_tester.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/scimmy_server.hpp"

namespace rosterd::test {
namespace {

TEST(Scim2TesterTest, WalksAScimServerAndSaysWhatItFound) {
  ROSTERD_NEEDS("scim2-tester");
  ROSTERD_NEEDS("node");
  const ScimmyServer server({.users = 3, .groups = 1, .members = 2});
  const auto findings = run_scim2_tester(server.url(), server.token());
  const auto of = [&](const std::string& type, const std::string& status) {
    return std::count_if(findings.begin(), findings.end(),
                         [&](const Scim2Finding& one) { return one.resource_type == type && one.status == status; });
  };
  EXPECT_GT(of("", "SUCCESS"), 5) << "discovery";
  EXPECT_GT(of("User", "SUCCESS"), 20);
  EXPECT_GT(of("Group", "SUCCESS"), 5);
  for (const auto& one : run_scim2_tester("http://127.0.0.1:9/scim/v2", ""))
    EXPECT_NE(one.status, "SUCCESS") << "nobody answers there: " << one.title;
}

}  // namespace
}  // namespace rosterd::test
