// Runs the conversations of tests/scenarios/*.txt: a command, its input, "----", the answer, an empty line. A file is one story on a
// fresh tenant. ROSTERD_REWRITE=1 writes the answers anew; reading that diff is reading the change in behaviour.

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "tests/scenarios/world.hpp"

namespace rosterd::test {
namespace {

std::vector<std::filesystem::path> files() {
  std::vector<std::filesystem::path> out;
  for (const auto& item : std::filesystem::directory_iterator(std::filesystem::path(ROSTERD_SOURCE_DIR) / "tests/scenarios"))
    if (item.path().extension() == ".txt" && item.path().stem() != "CMakeLists") out.push_back(item.path());
  std::sort(out.begin(), out.end());
  return out;
}

std::vector<std::string> lines_of(const std::filesystem::path& path) {
  std::vector<std::string> out;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) out.push_back(line);
  return out;
}

std::string joined(const std::vector<std::string>& lines) {
  std::string out;
  for (const auto& line : lines) out += line + "\n";
  return out;
}

class Scenario : public testing::TestWithParam<std::filesystem::path> {};

TEST_P(Scenario, Holds) {
  const auto lines = lines_of(GetParam());
  World world;
  std::vector<std::string> rewritten;
  std::size_t commands = 0;
  for (std::size_t at = 0; at < lines.size();) {
    if (lines[at].empty() || lines[at].starts_with('#')) {
      rewritten.push_back(lines[at++]);
      continue;
    }
    const auto first = at;
    const auto command = lines[at++];
    std::vector<std::string> input, expected;
    while (at < lines.size() && lines[at] != "----" && !lines[at].empty()) input.push_back(lines[at++]);
    if (at < lines.size() && lines[at] == "----")
      for (++at; at < lines.size() && !lines[at].empty();) expected.push_back(lines[at++]);
    std::string answer;
    try {
      answer = world.answer(command, input);
    } catch (const std::exception& error) {
      // A command that could not be carried out is never an answer to be written down as the right one.
      FAIL() << GetParam().filename().string() << ":" << first + 1 << ": " << command << ": " << error.what();
    }
    ++commands;
    EXPECT_EQ(answer, joined(expected)) << GetParam().filename().string() << ":" << first + 1 << ": " << command;
    rewritten.push_back(command);
    rewritten.insert(rewritten.end(), input.begin(), input.end());
    if (!answer.empty()) {
      rewritten.push_back("----");
      rewritten.push_back(answer.substr(0, answer.size() - 1));
    }
  }
  EXPECT_GT(commands, 0u);
  if (std::getenv("ROSTERD_REWRITE") != nullptr) std::ofstream(GetParam()) << joined(rewritten);
}

INSTANTIATE_TEST_SUITE_P(Sync, Scenario, testing::ValuesIn(files()), [](const auto& story) { return story.param.stem().string(); });

}  // namespace
}  // namespace rosterd::test
