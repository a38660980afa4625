// Tables: columns line up whatever the script, and nothing a directory delivers can move the cursor.
#include "cli/table.hpp"

#include <gtest/gtest.h>

namespace rosterd::cli {
namespace {

class Tables : public testing::Test {
 protected:
  void SetUp() override { use_utf8(); }
};

TEST_F(Tables, ColumnsAreAsWideAsTheirWidestCell) {
  Table table({"USER", ">GROUPS", "NAME"});
  table.row({"ada", "12", "Ada"});
  table.row({"konstantin", "3", ""});
  EXPECT_EQ(table.text(false),
            "USER        GROUPS  NAME\n"
            "ada             12  Ada\n"
            "konstantin       3\n");
}

TEST_F(Tables, WideAndCombiningCharactersKeepTheColumnsInLine) {
  EXPECT_EQ(width_of("渡辺"), 4u);
  EXPECT_EQ(width_of("Zółkowska"), 9u);
  EXPECT_EQ(width_of("e\u0301"), 1u);
  Table table({"NAME", "X"});
  table.row({"渡辺 結衣", "1"});
  table.row({"Jónsdóttir", "2"});
  EXPECT_EQ(table.text(false),
            "NAME        X\n"
            "渡辺 結衣   1\n"
            "Jónsdóttir  2\n");
}

TEST_F(Tables, ColoursDoNotCountAsWidth) {
  Table table({"A", "B"});
  table.row({Cell("ok", Colour::Green), "1"});
  EXPECT_EQ(table.text(true), "\x1b[1mA\x1b[0m   \x1b[1mB\x1b[0m\n\x1b[32mok\x1b[0m  1\n");
}

TEST_F(Tables, ASheetLeavesOutWhatIsEmpty) {
  Sheet sheet;
  sheet.line("user", "ada");
  sheet.line("e-mail", "");
  sheet.line("from", "corp");
  EXPECT_EQ(sheet.text(false), "user  ada\nfrom  corp\n");
}

TEST_F(Tables, WhatADirectoryDeliversCannotTalkToTheTerminal) {
  EXPECT_EQ(harmless("ada\x1b[2J"), "ada\\x1b[2J");
  EXPECT_EQ(harmless("two\nlines\r"), "two\\x0alines\\x0d");
  EXPECT_EQ(harmless("\u202etxt.exe"), "\\u202etxt.exe");
  EXPECT_EQ(harmless("\xc2\x9b"
                     "31m"),
            "\\x9b31m")
      << "C1 control sequence introducer";
  EXPECT_EQ(harmless("\xff\xfe"), "\\xff\\xfe");
  EXPECT_EQ(harmless("\xe2\x82"), "\\xe2\\x82") << "cut off";
  EXPECT_EQ(harmless("Zoë 渡辺 🙂"), "Zoë 渡辺 🙂");
  Table table({"NAME"});
  table.row({"a\x07"});
  EXPECT_EQ(table.text(false), "NAME\na\\x07\n");
}

}  // namespace
}  // namespace rosterd::cli
