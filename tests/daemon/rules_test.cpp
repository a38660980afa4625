// Every numbered rule of the access rules has a test that names it: "R42" in a test's name, or in a comment beside it.
#include <gtest/gtest.h>

#include <map>
#include <regex>
#include <set>

#include "tests/daemon/tree.hpp"

namespace rosterd::test {
namespace {

constexpr int kRules = 112;

/// Rule -> files whose tests name it.
std::map<int, std::set<std::string>> named_rules() {
  const std::regex line(R"(^[ \t]*TEST[A-Z_]*\([^,\n]*,.*|//.*)", std::regex::multiline), rule("R([0-9]{1,3})(?![0-9a-z])");
  std::map<int, std::set<std::string>> out;
  for (const auto& file : source_files()) {
    if (!file.path.starts_with("tests/") || file.path == "tests/daemon/rules_test.cpp") continue;
    for (std::sregex_iterator it(file.text.begin(), file.text.end(), line), end; it != end; ++it) {
      const auto text = it->str();
      for (std::sregex_iterator found(text.begin(), text.end(), rule); found != end; ++found) out[std::stoi((*found)[1])].insert(file.path);
    }
  }
  return out;
}

TEST(Rules, EveryOneIsNamedByATest) {
  const auto named = named_rules();
  for (int rule = 1; rule <= kRules; ++rule) EXPECT_TRUE(named.contains(rule)) << "no test names R" << rule;
  for (const auto& [rule, files] : named) EXPECT_LE(rule, kRules) << "there is no rule R" << rule << ", named in " << *files.begin();
}

}  // namespace
}  // namespace rosterd::test
