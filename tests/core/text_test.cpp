#include "schema/core/text.hpp"

#include <gtest/gtest.h>

#include <array>
#include <string>

namespace rosterd {
namespace {

std::string utf8(char32_t c) {
  std::string out;
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xc0 | (c >> 6));
    out += static_cast<char>(0x80 | (c & 63));
  } else if (c < 0x10000) {
    out += static_cast<char>(0xe0 | (c >> 12));
    out += static_cast<char>(0x80 | ((c >> 6) & 63));
    out += static_cast<char>(0x80 | (c & 63));
  } else {
    out += static_cast<char>(0xf0 | (c >> 18));
    out += static_cast<char>(0x80 | ((c >> 12) & 63));
    out += static_cast<char>(0x80 | ((c >> 6) & 63));
    out += static_cast<char>(0x80 | (c & 63));
  }
  return out;
}

TEST(Fold, LowersTrimsAndCollapses) {
  EXPECT_EQ(fold("Ada"), "ada");
  EXPECT_EQ(fold("  Ada   Love LACE "), "ada love lace");
  EXPECT_EQ(fold(""), "");
  EXPECT_EQ(fold("   "), "");
  EXPECT_EQ(fold("a\tB"), "a\tb");  // a tab is no space: names with control characters are refused elsewhere
}

TEST(Fold, TakesDifferentWritingsOfOneNameForOne) {
  EXPECT_EQ(fold("JÖRG STRASSE"), fold("jörg straße"));
  EXPECT_EQ(fold("Jo\xCC\x88rg"), fold("Jörg"));           // o + combining diaeresis
  EXPECT_EQ(fold("Ａｄａ"), "ada");                        // full-width letters
  EXPECT_EQ(fold("ﬁsh"), "fish");                          // ligature
  EXPECT_EQ(fold("ΣΊΣΥΦΟΣ"), fold("σίσυφος"));             // final sigma
  EXPECT_EQ(fold("ada\xC2\xA0lovelace"), "ada lovelace");  // no-break space
  EXPECT_NE(fold("müller"), fold("mueller"));
  EXPECT_NE(fold("muller"), fold("müller"));
}

TEST(Fold, KeepsBytesThatAreNoUtf8) {
  EXPECT_EQ(fold("J\xF6RG"), "j\xF6rg");
  EXPECT_EQ(fold(std::string_view("a\0B", 3)), std::string("a\0b", 3));
}

TEST(Fold, OfAFoldedTextChangesNothing) {
  for (char32_t c = 1; c < 0x20000; ++c) {
    if (c >= 0xd800 && c < 0xe000) continue;
    const auto once = fold("x" + utf8(c) + "y");
    ASSERT_EQ(fold(once), once) << "U+" << std::hex << static_cast<std::uint32_t>(c);
  }
}

TEST(Fold, IntoABufferIsTheSameWhereItFits) {
  std::array<char, 64> buffer;
  for (const std::string_view text : {"", "  Ada  L ", "JÖRG STRASSE", "J\xF6RG", "ﷺ"})
    EXPECT_EQ(fold_to(text, buffer), fold(text)) << text;
  std::array<char, 4> small;
  EXPECT_EQ(fold_to("Ada", small), "ada");
  EXPECT_FALSE(fold_to("Lovelace", small));
  EXPECT_FALSE(fold_to("ﷺ", small));
  std::string out = "previous content";
  fold_into("ﷺ", out);
  EXPECT_EQ(out, fold("ﷺ"));
}

TEST(Namespace, IsADottedPathR26) {
  for (const auto* good : {"a", "a.b", "0.1", "company.team-1.sub_2", "a-", "a_"}) EXPECT_TRUE(is_namespace(good)) << good;
  for (const auto* bad : {"", ".", "a.", ".a", "a..b", "A", "a.B", "-a", "_a", "a.-b", "a b", "ä", "a/b", "*", "a\n"})
    EXPECT_FALSE(is_namespace(bad)) << bad;
}

TEST(Namespace, HasAtMost16SegmentsAnd255CharactersR26) {
  std::string sixteen = "a";
  for (int i = 1; i < 16; ++i) sixteen += ".a";
  EXPECT_TRUE(is_namespace(sixteen));
  EXPECT_FALSE(is_namespace(sixteen + ".a"));
  EXPECT_TRUE(is_namespace(std::string(255, 'a')));
  EXPECT_FALSE(is_namespace(std::string(256, 'a')));
}

TEST(Namespace, CoversItselfAndBelowR28) {
  EXPECT_TRUE(covers("a.b", "a.b"));
  EXPECT_TRUE(covers("a.b", "a.b.c.d"));
  EXPECT_FALSE(covers("a.b", "a"));
  EXPECT_FALSE(covers("a.b", "a.c"));
  EXPECT_FALSE(covers("a.b", "a.bc"));
  EXPECT_FALSE(covers("a.b", "a.b-c"));
}

TEST(Slug, IsWhatTheDesignSays) {
  for (const auto* good : {"a", "0", "acme", "acme-1_b"}) EXPECT_TRUE(is_slug(good)) << good;
  for (const auto* bad : {"", "-a", "_a", "A", "a.b", "a b", "ä"}) EXPECT_FALSE(is_slug(bad)) << bad;
  EXPECT_TRUE(is_slug(std::string(63, 'a')));
  EXPECT_FALSE(is_slug(std::string(64, 'a')));
}

TEST(Email, HasOneAtAndSomethingOnBothSides) {
  for (const auto* good : {"a@b", "ada@example.com", "jörg@example.com"}) EXPECT_TRUE(is_email(good)) << good;
  for (const auto* bad : {"", "@", "a@", "@b", "a@b@c", "a b@c", "a\n@b", "a\xFF@b"}) EXPECT_FALSE(is_email(bad)) << bad;
  EXPECT_FALSE(is_email(fmt::format("{}@b.cc", std::string(250, 'a'))));
}

std::string escaped(std::string_view text) {
  std::string out;
  append_json_escaped(out, text);
  return out;
}

TEST(JsonEscape, LeavesNothingThatEndsTheString) {
  EXPECT_EQ(escaped(R"(a"b\c)"), R"(a\"b\\c)");
  EXPECT_EQ(escaped("\n\r\t\x01\x1f\x7f"), "\\n\\r\\t\\u0001\\u001f\x7f");
  EXPECT_EQ(escaped(std::string_view("\0", 1)), "\\u0000");
  EXPECT_EQ(escaped("Jörg 😀"), "Jörg 😀");
}

TEST(JsonEscape, ReplacesOnlyWhatIsNoUtf8) {
  EXPECT_EQ(escaped("ö\xFFö"), "ö\xEF\xBF\xBDö");
  EXPECT_EQ(escaped("\xC3"), "\xEF\xBF\xBD");                                 // cut off
  EXPECT_EQ(escaped("\xC0\x80"), "\xEF\xBF\xBD\xEF\xBF\xBD");                 // overlong
  EXPECT_TRUE(is_utf8(escaped("\xED\xA0\x80\xF4\x90\x80\x80\x80\xE2\x82")));  // surrogate, beyond Unicode, cut off
}

TEST(ControlCharacters, AreSeenWhereverTheyStand) {
  EXPECT_TRUE(has_control_characters("a\nb"));
  EXPECT_TRUE(has_control_characters("\x7f"));
  EXPECT_TRUE(has_control_characters(std::string_view("a\0", 2)));
  EXPECT_FALSE(has_control_characters("Jörg 1"));
}

TEST(RoughAge, SaysItAsAPersonDoes) {
  EXPECT_EQ(rough_age(-5), "0 s");
  EXPECT_EQ(rough_age(89), "89 s");
  EXPECT_EQ(rough_age(90), "1 min");
  EXPECT_EQ(rough_age(5400), "1 h");
  EXPECT_EQ(rough_age(172800), "2 d");
}

}  // namespace
}  // namespace rosterd
