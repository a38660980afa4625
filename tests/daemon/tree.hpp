#pragma once
// The source tree as data, for the tests that hold it against its own rules.

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace rosterd::test {

struct SourceFile {
  std::string path;  ///< from the root of the tree
  std::string text;
};

inline std::string content_of(const std::filesystem::path& path) {
  std::ifstream in(path);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

/// All C++ files below the rooms, sorted.
inline std::vector<SourceFile> source_files() {
  const std::filesystem::path root(ROSTERD_SOURCE_DIR);
  std::vector<SourceFile> files;
  for (const char* room : {"schema", "config", "connectors", "rbac", "daemon", "cli", "tests", "bench"}) {
    if (!std::filesystem::exists(root / room)) continue;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root / room))
      if (entry.path().extension() == ".cpp" || entry.path().extension() == ".hpp")
        files.push_back({std::filesystem::relative(entry.path(), root).string(), content_of(entry.path())});
  }
  std::sort(files.begin(), files.end(), [](const SourceFile& a, const SourceFile& b) { return a.path < b.path; });
  return files;
}

}  // namespace rosterd::test
