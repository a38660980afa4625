#include "connectors/ldap/dn.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace rosterd::connectors::ldap {
namespace {

struct Row {
  std::string_view a, b;
};

TEST(Dn, SpellingsOfOneNameAreEqual) {
  constexpr Row kRows[] = {
      {"uid=ada,ou=people,dc=acme", "UID=Ada, OU=People ,DC=ACME"},
      {"cn=Doe\\, John,dc=acme", "cn=Doe\\2C John,dc=acme"},
      {"cn=Doe\\, John,dc=acme", "CN=\"doe, john\",dc=acme"},
      {"cn=a  b,dc=acme", "cn=a b,dc=acme"},
      {"cn=\\ a\\ ,dc=acme", "cn=a,dc=acme"},
      {"cn=Zoë,dc=acme", "cn=ZO\\C3\\8B,dc=acme"},
      {"cn=Zoe\xcc\x88,dc=acme", "cn=Zoë,dc=acme"},  // decomposed and composed
      {"2.5.4.3=ada,0.9.2342.19200300.100.1.25=acme", "cn=ada,dc=acme"},
      {"commonName=ada,domainComponent=acme", "cn=ada,dc=acme"},
      {"cn=ada+uid=1,dc=acme", "UID=1+CN=Ada,dc=acme"},
      {"cn=#0403616461,dc=acme", "cn=ada,dc=acme"},
      {"cn=\\23x,dc=acme", "cn=\\#x,dc=acme"},
      {"cn=a=b,dc=acme", "cn=a\\3Db,dc=acme"},
      {"cn=a\\<b\\>,dc=acme", "cn=a\\3Cb\\3E,dc=acme"},
  };
  for (const auto& [a, b] : kRows) EXPECT_EQ(normal_dn(a), normal_dn(b)) << a << " and " << b;
}

TEST(Dn, DifferentNamesStayDifferent) {
  constexpr Row kRows[] = {
      {"cn=a\\,cn=b,dc=acme", "cn=a,cn=b,dc=acme"},
      {"cn=a\\+cn=b,dc=acme", "cn=a+cn=b,dc=acme"},
      {"cn=\\#0403616461,dc=acme", "cn=#0403616461,dc=acme"},
      {"cn=a,dc=acme", "uid=a,dc=acme"},
      {"cn=a\\\\,dc=acme", "cn=a,dc=acme"},
  };
  for (const auto& [a, b] : kRows) EXPECT_NE(normal_dn(a), normal_dn(b)) << a << " and " << b;
}

TEST(Dn, TheNormalFormIsItsOwnNormalForm) {
  for (const std::string_view dn :
       {"CN=Doe\\, John+uid=X,OU=Zoë,DC=acme", "cn=#04820000,dc=acme", "cn=a\\00b,dc=acme", "cn=\\\"q\\\",dc=a", "cn=a\\;b,dc=x"}) {
    const auto once = normal_dn(dn);
    EXPECT_EQ(normal_dn(once), once) << dn;
    EXPECT_TRUE(is_dn(once)) << once;
  }
}

// A random name is written twice, each time with other case, spaces and escapes; both must meet in one normal form.
TEST(Dn, RandomSpellingsMeetInOneNormalForm) {
  std::mt19937 random(7);
  const auto chance = [&random](unsigned n) { return random() % n == 0; };
  const std::vector<std::string> letters = {"a", "b", "Z", "7", "-", " x", ",", "+", "\"", "\\",
                                            "<", ">", ";", "=", "#", "é",  "ß", "Ж", "ﬁ",  "名"};
  const std::vector<std::vector<std::string>> types = {
      {"cn", "CN", "commonName", "2.5.4.3"}, {"ou", "Ou", "2.5.4.11"}, {"dc", "DC"}, {"uid", "userid"}};
  const auto spell = [&](const std::vector<std::pair<std::size_t, std::vector<std::string>>>& name) {
    std::string out;
    for (const auto& [type, value] : name) {
      if (!out.empty()) out += chance(2) ? "," : " , ";
      out += types[type][random() % types[type].size()];
      out += chance(4) ? " = " : "=";
      for (std::size_t i = 0; i < value.size(); ++i) {
        std::string text = value[i];
        const bool special = text.size() == 1 && std::string_view(",+\"\\<>;#").find(text[0]) != std::string_view::npos;
        if (text.size() == 1 && std::isalpha(static_cast<unsigned char>(text[0])) && chance(2)) text[0] ^= 0x20;
        if (special || (chance(5) && text != " x")) {
          if (special && chance(2)) {
            out += '\\' + text;
          } else {
            for (const char c : text) out += fmt::format("\\{:02x}", static_cast<unsigned char>(c));
          }
        } else {
          out += text == " x" && chance(2) ? "   x" : text;
        }
      }
    }
    return out;
  };
  for (int round = 0; round < 5000; ++round) {
    std::vector<std::pair<std::size_t, std::vector<std::string>>> name(1 + random() % 4);
    for (auto& [type, value] : name) {
      type = random() % types.size();
      value.resize(1 + random() % 8);
      for (auto& letter : value) letter = letters[random() % letters.size()];
    }
    const auto a = spell(name);
    const auto b = spell(name);
    ASSERT_EQ(normal_dn(a), normal_dn(b)) << a << "\n" << b;
  }
}

TEST(Dn, WhatIsNoDnStillEqualsItself) {
  std::string out;
  EXPECT_FALSE(append_normal_dn("not a dn", out));
  EXPECT_EQ(out, "not a dn");
  EXPECT_FALSE(is_dn("cn"));
  EXPECT_FALSE(is_dn("=x,dc=a"));
}

TEST(Dn, TheParentOfAnEscapedCommaIsBehindTheRealOne) {
  EXPECT_EQ(parent_dn("cn=Doe\\, John,OU=People,dc=acme"), "ou=people,dc=acme");
  EXPECT_EQ(parent_dn("dc=acme"), "");
  EXPECT_EQ(parent_dn("cn=a\\\\,dc=acme"), "dc=acme");
}

TEST(Dn, WithinIsDecidedAtCommasOnly) {
  EXPECT_TRUE(is_within("uid=a,ou=people,dc=acme", "ou=people,dc=acme"));
  EXPECT_TRUE(is_within("ou=people,dc=acme", "ou=people,dc=acme"));
  EXPECT_FALSE(is_within("uid=a,xou=people,dc=acme", "ou=people,dc=acme"));
  EXPECT_FALSE(is_within("cn=x\\,ou=people,dc=acme", "ou=people,dc=acme"));
  EXPECT_TRUE(is_within("anything", ""));
}

TEST(Dn, AUniqueMemberLosesItsIdentifier) {
  EXPECT_EQ(without_uid("cn=ada,dc=acme#'0101'B"), "cn=ada,dc=acme");
  EXPECT_EQ(without_uid("cn=ada,dc=acme#''B"), "cn=ada,dc=acme");
  EXPECT_EQ(without_uid("cn=ada#1,dc=acme"), "cn=ada#1,dc=acme");
  EXPECT_EQ(without_uid("cn='B"), "cn='B");
}

}  // namespace
}  // namespace rosterd::connectors::ldap
