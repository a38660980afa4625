// A source as TOML: the JSON that is sent, and what is wrong with a file, by line.
#include "cli/source_file.hpp"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "tests/support/process.hpp"

namespace rosterd::cli {
namespace {

using nlohmann::json;
using testing::HasSubstr;

TEST(SourceFile, SendsTheShapeOfTheApiWithoutTheTenant) {
  const auto source = parse_source(R"(
tenant = "acme"
name = "corp"
type = "ldap"
enabled = false
[settings]
url = "ldaps://ldap.acme.example"
bind_password = { file = "/run/secret" }
users = { base = "ou=people,dc=acme", attributes = { username = "uid" } }
[guard]
percent = 2.5
floor = 10
[[role_mappings]]
group = '^ns-(?<ns>.+)-editors$'
role = "Editor"
namespace = "${ns}"
)",
                                   "acme.toml");
  ASSERT_TRUE(source) << source.error().what;
  EXPECT_EQ(source->tenant, "acme");
  EXPECT_EQ(source->name, "corp");
  EXPECT_EQ(json::parse(source->json), json::parse(R"({
    "name": "corp", "type": "ldap", "enabled": false,
    "settings": {"url": "ldaps://ldap.acme.example", "bind_password": {"file": "/run/secret"},
                 "users": {"base": "ou=people,dc=acme", "attributes": {"username": "uid"}}},
    "guard": {"percent": 2.5, "floor": 10},
    "role_mappings": [{"group": "^ns-(?<ns>.+)-editors$", "role": "Editor", "namespace": "${ns}"}]})"));
}

struct Wrong {
  const char* toml;
  const char* place;
  const char* words;
};
TEST(SourceFile, SaysWhereAFileIsWrong) {
  const Wrong table[] = {
      {"tenant = \"acme\"\nname = \n", "f.toml:2", ""},
      {"name = \"a\"\nname = \"b\"\n", "f.toml:2", ""},
      {"type = \"ldap\"\n", "f.toml", "name is missing"},
      {"name = \"a\"\n", "f.toml", "type is missing"},
      {"name = 7\ntype = \"ldap\"\n", "f.toml:1", "must be a text"},
      {"tenant = 7\nname = \"a\"\ntype = \"ldap\"\n", "f.toml:1", "tenant"},
      {"name = \"a\"\ntype = \"ldap\"\n[settings]\nx = 2026-01-01\n", "f.toml:4", "no form in JSON"},
      {"name = \"a\"\ntype = \"ldap\"\n[settings]\nx = nan\n", "f.toml:4", "no form in JSON"},
  };
  for (const auto& row : table) {
    const auto source = parse_source(row.toml, "f.toml");
    ASSERT_FALSE(source) << row.toml;
    EXPECT_EQ(source.error().code, kUsage);
    EXPECT_THAT(source.error().what, HasSubstr(row.place));
    EXPECT_THAT(source.error().what, HasSubstr(row.words));
  }
}

TEST(SourceFile, TheFilesOfTheDemoAreGood) {
  for (const char* name : {"acme.toml.in", "globex.toml.in"}) {
    const auto text = test::read_file(std::string(ROSTERD_SOURCE_DIR "/scripts/demo.d/") + name);
    EXPECT_TRUE(parse_source(text, name)) << name;
  }
}

TEST(SourceFile, TheFileOfTheQuickstartIsGood) {
  const auto text = test::read_file(ROSTERD_SOURCE_DIR "/docs/quickstart.md");
  const auto start = text.find("```toml\n"), end = text.find("```", start + 8);
  ASSERT_NE(start, std::string::npos);
  const auto source = parse_source(text.substr(start + 8, end - start - 8), "quickstart.md");
  ASSERT_TRUE(source) << source.error().what;
  EXPECT_EQ(source->tenant, "acme");
}

}  // namespace
}  // namespace rosterd::cli
