// docs/api.md lists exactly the series that /metrics has.
#include <gtest/gtest.h>

#include <regex>
#include <set>

#include "tests/daemon/tree.hpp"

namespace rosterd::test {
namespace {

std::set<std::string> matches(const std::string& text, const std::regex& pattern) {
  std::set<std::string> out;
  for (std::sregex_iterator it(text.begin(), text.end(), pattern), end; it != end; ++it) out.insert((*it)[1]);
  return out;
}

TEST(Metrics, TheDocumentListsExactlyTheSeriesOfTheCode) {
  std::set<std::string> exposed;
  for (const auto& file : source_files())
    if (file.path.starts_with("daemon/")) exposed.merge(matches(file.text, std::regex("\"(rosterd_[a-z_]+)\"")));
  exposed.erase("rosterd_session");  // the cookies
  exposed.erase("rosterd_login_");
  const auto page = content_of(std::filesystem::path(ROSTERD_SOURCE_DIR) / "docs/api.md");
  std::set<std::string> listed;
  for (const auto& row : matches(page, std::regex("\n(\\| `rosterd_[^\n]*)"))) listed.merge(matches(row, std::regex("`(rosterd_[a-z_]+)")));
  EXPECT_GT(exposed.size(), 12u);
  EXPECT_EQ(listed, exposed);
}

}  // namespace
}  // namespace rosterd::test
