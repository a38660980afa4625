// The settings exist three times, in the structs, in the example and in the documentation. These tests keep the three the same.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "config/config.hpp"

namespace rosterd::config {
namespace {

using Paths = std::set<std::string>;

std::string content(const std::string& file) {
  std::ifstream in(std::string(ROSTERD_SOURCE_DIR) + "/" + file);
  EXPECT_TRUE(in) << file;
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

std::vector<std::string> lines(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> out;
  for (std::string line; std::getline(in, line);) out.push_back(line);
  return out;
}

Paths settings_of_the_code() {
  Paths all;
  for (const auto& setting : all_settings()) all.insert(setting.path);
  return all;
}

/// path -> value as written.
std::map<std::string, std::string> settings_of_the_example() {
  std::map<std::string, std::string> all;
  std::string section;
  const std::regex header(R"(\[([a-z_.]+)\])"), setting(R"(([a-z_]+) = (.*))");
  std::smatch match;
  for (const auto& line : lines(content("config/rosterd.example.toml"))) {
    if (std::regex_match(line, match, header)) section = match[1];
    if (std::regex_match(line, match, setting)) all[section + "." + match[1].str()] = match[2];
  }
  return all;
}

TEST(ExampleConfiguration, LoadsAndSaysNothingButTheDefaults) {
  const auto example = load(std::string(ROSTERD_SOURCE_DIR) + "/config/rosterd.example.toml");
  ASSERT_TRUE(example) << example.error().what;
  EXPECT_TRUE(warnings(*example).empty());
  const auto empty = parse("", example->file);
  EXPECT_EQ(effective(*example), effective(*empty));
}

TEST(ExampleConfiguration, ShowsEverySettingWithItsDefault) {
  const auto shown = settings_of_the_example();
  for (const auto& setting : all_settings()) {
    ASSERT_TRUE(shown.contains(setting.path)) << setting.path;
    EXPECT_EQ(shown.at(setting.path), setting.default_value) << setting.path;
  }
  for (const auto& [path, value] : shown) EXPECT_TRUE(settings_of_the_code().contains(path)) << path;
}

TEST(ExampleConfiguration, MarksWhatAReloadCanChange) {
  bool marked = false;
  bool comment_before = false;
  Paths reloadable;
  std::string section;
  for (const auto& line : lines(content("config/rosterd.example.toml"))) {
    if (line.starts_with("[")) section = line.substr(1, line.find(']') - 1);
    const bool comment = line.starts_with("#");
    if (comment && !comment_before) marked = false;  // a new comment covers all settings up to the next one
    if (comment) marked = marked || line.ends_with("(reload)");
    if (!comment && marked && line.find(" = ") != std::string::npos) reloadable.insert(section + "." + line.substr(0, line.find(' ')));
    comment_before = comment;
  }
  Paths expected;
  for (const auto& setting : all_settings())
    if (setting.reloadable) expected.insert(setting.path);
  EXPECT_EQ(reloadable, expected);
}

TEST(ConfigurationPage, HasARowForEverySettingWithDefaultAndReload) {
  // | `sync.workers` | `4` | reload | … |
  const std::regex row(R"(\| `([a-z_.]+)` \| `?([^|`]*)`? \| (reload|restart) \| .+ \|)");
  std::map<std::string, std::pair<std::string, bool>> documented;
  std::smatch match;
  for (const auto& line : lines(content("docs/configuration.md")))
    if (std::regex_match(line, match, row)) documented[match[1]] = {match[2], match[3] == "reload"};
  for (const auto& setting : all_settings()) {
    ASSERT_TRUE(documented.contains(setting.path)) << setting.path << " is missing in docs/configuration.md";
    EXPECT_EQ(documented.at(setting.path).first, setting.default_value) << setting.path;
    EXPECT_EQ(documented.at(setting.path).second, setting.reloadable) << setting.path;
  }
  for (const auto& [path, rest] : documented)
    EXPECT_TRUE(settings_of_the_code().contains(path)) << path << " is documented but does not exist";
}

/// The members of the structs in config.hpp, as "section.member".
Paths members_of_the_structs() {
  const std::map<std::string, std::string> sections{{"Server", "server"},       {"Database", "database"}, {"Embedded", "database.embedded"},
                                                    {"State", "state"},         {"Sync", "sync"},         {"SecretsSection", "secrets"},
                                                    {"Setup", "setup"},         {"Rbac", "rbac"},         {"Accounts", "accounts"},
                                                    {"Passwords", "passwords"}, {"Audit", "audit"},       {"Log", "log"},
                                                    {"SignIn", "sign_in"}};
  Paths all;
  std::string section;
  const std::regex opening(R"(struct (\w+) \{)"), member(R"(  [\w:<>, ]+ (\w+)( = [^;]+|\{[^;]*\})?;.*)");
  std::smatch match;
  for (const auto& line : lines(content("config/config.hpp"))) {
    if (std::regex_match(line, match, opening)) section = sections.contains(match[1]) ? sections.at(match[1]) : "";
    if (line == "};") section.clear();
    if (!section.empty() && std::regex_match(line, match, member)) all.insert(section + "." + match[1].str());
  }
  return all;
}

TEST(Structs, HaveASettingForEveryMember) { EXPECT_EQ(members_of_the_structs(), settings_of_the_code()); }

TEST(Structs, HaveNoMemberThatNobodyUses) {
  std::string daemon;
  for (const auto& file : std::filesystem::directory_iterator(std::string(ROSTERD_SOURCE_DIR) + "/daemon"))
    if (file.path().extension() == ".cpp") daemon += content("daemon/" + file.path().filename().string());
  for (const auto& path : members_of_the_structs()) {
    const auto section = path.starts_with("database.embedded.") ? "embedded" : path.substr(0, path.find('.'));
    EXPECT_NE(daemon.find(section + path.substr(path.rfind('.'))), std::string::npos) << path << " is read by no file of daemon/";
  }
}

}  // namespace
}  // namespace rosterd::config
