// Which room may know which, as a table held against every #include of the tree, and "one library, one place".
#include <gtest/gtest.h>

#include <map>
#include <regex>
#include <set>

#include "tests/daemon/tree.hpp"

namespace rosterd::test {
namespace {

using Names = std::vector<std::string>;

/// A place is a folder ("rbac/") or one file; what it may include, besides itself, is a list of places.
struct Room {
  std::string place;
  Names knows;
};

/// Read from the top: the first place that holds a file is its room.
const std::vector<Room>& rooms() {
  const std::string connector = "connectors/connector.hpp", secrets = "daemon/secrets.hpp", passwords = "daemon/passwords.hpp";
  static const std::vector<Room> table{
      {"schema/core/", {}},
      {"schema/model/", {"schema/core/"}},
      {"schema/store/", {"schema/core/", "schema/model/"}},
      {"schema/postgres/", {"schema/core/", "schema/model/", "schema/store/"}},
      {"config/", {"schema/core/"}},
      {"connectors/oidc/jwt/", {"schema/core/"}},  // verifies tokens, and can be read and fuzzed alone
      {"connectors/", {"schema/core/", "schema/model/"}},
      {"rbac/", {"schema/core/", "schema/model/"}},
      {"daemon/sync/", {"schema/core/", "schema/model/", "schema/store/", "rbac/", connector}},
      {"daemon/http/", {"schema/core/", "schema/model/", "schema/store/", "rbac/", "daemon/sync/", connector, secrets, passwords}},
      // Sign-in stands between the providers' side and what HTTP asks of it.
      {"daemon/issuers/",
       {"schema/core/", "schema/model/", "schema/store/", connector, "connectors/oidc/", "connectors/http/", "daemon/http/issuers.hpp",
        "daemon/http/errands.hpp", secrets}},
      // Only the service names implementations.
      {"daemon/service.cpp", {"schema/", "config/", connector, "rbac/", "daemon/"}},
      {"daemon/", {"schema/core/", "schema/model/", "schema/store/", "config/", connector, "rbac/", "daemon/"}},
      {"cli/", {"schema/core/"}},  // shared words only: the rest of rosterd it meets over HTTP
      {"tests/", {"schema/", "config/", "connectors/", "rbac/", "daemon/", "cli/", "bench/"}},
      {"bench/", {"schema/", "config/", "connectors/", "rbac/", "daemon/", "cli/", "tests/"}},
  };
  return table;
}

bool lies_in(std::string_view file, std::string_view place) { return place.ends_with('/') ? file.starts_with(place) : file == place; }

const Room* room_of(std::string_view file) {
  for (const auto& room : rooms())
    if (lies_in(file, room.place)) return &room;
  return nullptr;
}

bool may_include(const Room& room, std::string_view target) {
  if (lies_in(target, room.place)) return true;
  return std::any_of(room.knows.begin(), room.knows.end(), [&](const std::string& place) { return lies_in(target, place); });
}

/// A library by its headers, and the places that may include them. A reason stands where there is more than one.
struct Library {
  std::string name;
  std::regex headers;
  Names places;
};

const std::vector<Library>& libraries() {
  static const std::vector<Library> table{
      {"libldap", std::regex("ldap\\.h|lber\\.h|openldap\\.h"), {"connectors/ldap/"}},
      {"SOCI", std::regex("soci/.*"), {"schema/postgres/"}},
      {"libpq", std::regex("libpq-fe\\.h"), {"schema/postgres/"}},
      {"cpp-httplib", std::regex("httplib\\.h"), {"daemon/http/"}},
      {"prometheus-cpp", std::regex("prometheus/.*"), {"daemon/http/"}},
      {"toml++", std::regex("toml\\+\\+/.*"), {"config/", "cli/"}},  // two programs, two kinds of file
      {"CLI11", std::regex("CLI/.*"), {"daemon/main.cpp", "cli/"}},  // two programs
      {"spdlog", std::regex("spdlog/.*"), {"daemon/logging.cpp"}},
      {"sd-journal", std::regex("systemd/sd-journal\\.h"), {"daemon/logging.cpp"}},
      {"sd-daemon", std::regex("systemd/sd-daemon\\.h"), {"daemon/notify.cpp"}},
      {"libcurl", std::regex("curl/.*"), {"cli/", "connectors/http/"}},  // a client of the API, and of providers
      {"PCRE2", std::regex("pcre2\\.h"), {"daemon/sync/"}},
      {"libsodium",
       std::regex("sodium\\.h"),
       {"schema/core/", "daemon/secrets.cpp", "daemon/passwords.cpp"}},  // hashes there, sealing and passwords here
      {"libunistring", std::regex("uni(str|norm|case|type)\\.h"), {"schema/core/"}},
      {"OpenSSL",
       std::regex("openssl/.*"),
       {"connectors/ldap/", "connectors/oidc/", "daemon/http/"}},  // the client's side of TLS, signed tokens, the server's side
      {"GoogleTest", std::regex("g(test|mock)/.*"), {}},
  };
  return table;
}

struct Include {
  std::string file, target;
  bool outside = false;
};

std::vector<Include> includes() {
  const std::regex line(R"(^[ \t]*#[ \t]*include[ \t]+([<"])([^>"]+)[>"])", std::regex::multiline);
  std::vector<Include> all;
  for (const auto& file : source_files())
    for (std::sregex_iterator it(file.text.begin(), file.text.end(), line), end; it != end; ++it)
      all.push_back({file.path, (*it)[2], (*it)[1] == "<"});
  return all;
}

TEST(Layering, EveryFileStandsInARoom) {
  const auto files = source_files();
  EXPECT_GT(files.size(), 50u) << "the tree was not found";
  for (const auto& file : files) EXPECT_NE(room_of(file.path), nullptr) << file.path;
}

TEST(Layering, ARoomIncludesOnlyWhatItKnows) {
  for (const auto& [file, target, outside] : includes()) {
    if (outside) continue;
    const auto* room = room_of(file);
    ASSERT_NE(room, nullptr) << file;
    ASSERT_NE(room_of(target), nullptr) << file << " includes \"" << target << "\", which is no path from the root";
    EXPECT_TRUE(may_include(*room, target)) << file << " includes " << target << ", which " << room->place << " must not know";
  }
}

TEST(Layering, OneLibraryHasOnePlace) {
  std::map<std::string, int> used;
  for (const auto& [file, target, outside] : includes()) {
    if (!outside || file.starts_with("tests/") || file.starts_with("bench/")) continue;
    for (const auto& library : libraries()) {
      if (!std::regex_match(target, library.headers)) continue;
      ++used[library.name];
      const bool allowed =
          std::any_of(library.places.begin(), library.places.end(), [&](const std::string& place) { return lies_in(file, place); });
      EXPECT_TRUE(allowed) << file << " includes <" << target << ">, but " << library.name << " has its place elsewhere";
    }
  }
  for (const auto& library : libraries())
    EXPECT_TRUE(library.places.empty() || used[library.name] > 0) << library.name << " is used nowhere: take its row out";
}

TEST(Layering, OwnHeadersAreIncludedByTheirPathFromTheRoot) {
  for (const auto& [file, target, outside] : includes())
    EXPECT_TRUE(outside || std::filesystem::exists(std::filesystem::path(ROSTERD_SOURCE_DIR) / target))
        << file << " includes \"" << target << "\"";
}

TEST(Layering, HeadersBeginWithPragmaOnceAndSayWhatTheyAre) {
  for (const auto& file : source_files())
    EXPECT_TRUE(!file.path.ends_with(".hpp") || file.text.starts_with("#pragma once\n//")) << file.path;
}

TEST(Layering, NoFileIsLongerThanAReaderCanKeepInMind) {
  for (const auto& file : source_files()) EXPECT_LE(std::count(file.text.begin(), file.text.end(), '\n'), 650) << file.path;
}

TEST(Layering, NothingIsLeftForLaterOrSwallowed) {
  // The words are put together here so that this file does not find itself.
  const std::regex forbidden(std::string("\\b(TO") + "DO|FIX" + R"(ME)\b|catch\s*\(\s*\.\.\.\s*\)\s*\{\s*\})");
  for (const auto& file : source_files()) {
    std::smatch found;
    EXPECT_FALSE(std::regex_search(file.text, found, forbidden)) << file.path << ": " << found.str();
  }
}

}  // namespace
}  // namespace rosterd::test
