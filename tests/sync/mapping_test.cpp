#include "daemon/sync/mapping.hpp"

#include <gtest/gtest.h>

namespace rosterd::sync {
namespace {

Mappings compiled(std::vector<RoleMapping> rules) {
  auto out = Mappings::compile(rules);
  EXPECT_TRUE(out) << (out ? "" : out.error().what);
  return std::move(*out);
}
RoleMapping rule(std::string group, std::string role, std::optional<std::string> ns = std::nullopt) {
  return {.group = std::move(group), .role = std::move(role), .ns = std::move(ns)};
}

TEST(Mapping, GivesTheCapturedNamespace) {
  const auto mappings = compiled({rule("^ns-(?<ns>.+)-editors$", "Editor", "${ns}")});
  const auto answer = mappings.match("ns-company.team-editors");
  ASSERT_EQ(answer.roles.size(), 1u);
  EXPECT_EQ(answer.roles[0].ns, "company.team");
  EXPECT_TRUE(mappings.match("editors").roles.empty());
}

TEST(Mapping, IsAnchoredAtBothEndsEvenWithoutBeingAsked) {
  const auto mappings = compiled({rule("admins", "Admin")});
  EXPECT_EQ(mappings.match("admins").roles.size(), 1u);
  EXPECT_TRUE(mappings.match("not-admins").roles.empty());
  EXPECT_TRUE(mappings.match("admins2").roles.empty());
  EXPECT_TRUE(mappings.match("admins\n").roles.empty());
  EXPECT_TRUE(compiled({rule("admins$", "Admin")}).match("admins\n").roles.empty());
  EXPECT_TRUE(compiled({rule("a|admins", "Admin")}).match("admins").roles.size() == 1);
}

TEST(Mapping, MatchesWholeCharacters) {
  const auto mappings = compiled({rule("gr.n", "Viewer")});
  EXPECT_EQ(mappings.match("gr\xc3\xbcn").roles.size(), 1u);
  EXPECT_TRUE(mappings.match("gr\xc3n").undecided) << "a name that is not UTF-8 cannot be matched, which is not the same as not matching";
}

TEST(Mapping, ACapturedTextThatIsNoNamespaceGivesNothingAndIsReported) {
  const auto mappings = compiled({rule("ns-(?<ns>.*)", "Editor", "company.${ns}")});
  EXPECT_EQ(mappings.match("ns-a.b").roles[0].ns, "company.a.b");
  for (const auto* bad : {"ns-", "ns-A", "ns-a..b", "ns-a b", "ns-../x"}) {
    const auto answer = mappings.match(bad);
    EXPECT_TRUE(answer.roles.empty()) << bad;
    EXPECT_EQ(answer.invalid_namespaces.size(), 1u) << bad;
  }
}

TEST(Mapping, EveryRuleThatFitsGivesItsRole) {
  const auto mappings = compiled({rule(".*", "Viewer"), rule("dev-.*", "Developer", "dev"), rule("ops-.*", "Admin")});
  const auto answer = mappings.match("dev-anna");
  ASSERT_EQ(answer.roles.size(), 2u);
  EXPECT_EQ(answer.roles[0], (Mapped{.mapping = 0, .ns = std::nullopt}));
  EXPECT_EQ(answer.roles[1], (Mapped{.mapping = 1, .ns = "dev"}));
}

TEST(Mapping, APatternThatExplodesIsCutOffAndUndecided) {
  const auto mappings = compiled({rule("(a+)+[bc]", "Admin")});
  const auto answer = mappings.match(std::string(4000, 'a'));
  EXPECT_TRUE(answer.roles.empty());
  EXPECT_TRUE(answer.undecided);
}

TEST(Mapping, MistakesAreNamedWithTheirPlace) {
  const auto unclosed = Mappings::compile(std::vector{rule("ok", "Viewer"), rule("(", "Viewer")});
  ASSERT_FALSE(unclosed);
  EXPECT_EQ(unclosed.error().code, Errc::InvalidInput);
  EXPECT_NE(unclosed.error().what.find("/role_mappings/1/group"), std::string::npos) << unclosed.error().what;
  const auto unknown = Mappings::compile(std::vector{rule("(?<a>.)", "Viewer", "${b}")});
  ASSERT_FALSE(unknown);
  EXPECT_NE(unknown.error().what.find("/role_mappings/0/namespace"), std::string::npos) << unknown.error().what;
  EXPECT_FALSE(Mappings::compile(std::vector{rule("(?<a>.)", "Viewer", "${a")}));
  EXPECT_FALSE(Mappings::compile(std::vector{rule("\\C", "Viewer")}));
}

}  // namespace
}  // namespace rosterd::sync
