// docs/log-events.md lists exactly the events the code logs, with their levels.
#include <gtest/gtest.h>

#include <map>
#include <regex>
#include <set>

#include "tests/daemon/tree.hpp"

namespace rosterd::test {
namespace {

using Levels = std::set<std::string>;

/// Event -> levels it is logged at ("any" where the code decides at run time).
std::map<std::string, Levels> logged_events() {
  const std::regex call(R"(log::(debug|info|warning|error|event)\(([^{;]*))"), name(R"re("([a-z_]+\.[a-z_]+)")re");
  std::map<std::string, Levels> events;
  for (const auto& file : source_files()) {
    if (file.path.starts_with("tests/") || file.path.starts_with("bench/") || file.path.starts_with("cli/") ||
        file.path.starts_with("schema/core/"))
      continue;
    for (std::sregex_iterator it(file.text.begin(), file.text.end(), call), end; it != end; ++it) {
      const std::string level = (*it)[1], rest = (*it)[2];
      int names = 0;
      for (std::sregex_iterator found(rest.begin(), rest.end(), name); found != end; ++found, ++names)
        events[(*found)[1]].insert(level == "event" ? "any" : level);
      EXPECT_GT(names, 0) << file.path << " logs an event whose name is not written out: log::" << level << "(" << rest;
    }
  }
  return events;
}

std::map<std::string, Levels> documented_events() {
  // | `sync.held` | warning | tenant, source, run | … |
  const std::regex row(R"(\| `([a-z_.]+)` \| ([a-z, ]+) \|[^|]*\| [^|]+ \|)"), word("[a-z]+");
  std::map<std::string, Levels> events;
  const auto text = content_of(std::filesystem::path(ROSTERD_SOURCE_DIR) / "docs/log-events.md");
  for (std::sregex_iterator it(text.begin(), text.end(), row), end; it != end; ++it) {
    const std::string levels = (*it)[2];
    for (std::sregex_iterator level(levels.begin(), levels.end(), word); level != end; ++level) events[(*it)[1]].insert(level->str());
  }
  return events;
}

TEST(LogEvents, TheDocumentListsExactlyTheEventsOfTheCode) {
  const auto logged = logged_events(), documented = documented_events();
  EXPECT_FALSE(logged.empty());
  for (const auto& [event, levels] : logged) EXPECT_TRUE(documented.contains(event)) << event << " is logged but not in docs/log-events.md";
  for (const auto& [event, levels] : documented)
    EXPECT_TRUE(logged.contains(event)) << event << " is in docs/log-events.md but nothing logs it";
}

TEST(LogEvents, TheDocumentTellsTheirLevels) {
  const auto documented = documented_events();
  for (const auto& [event, levels] : logged_events()) {
    if (!documented.contains(event) || levels.contains("any")) continue;
    EXPECT_EQ(documented.at(event), levels) << event;
  }
}

}  // namespace
}  // namespace rosterd::test
