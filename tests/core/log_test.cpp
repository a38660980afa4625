#include "schema/core/log.hpp"

#include <gtest/gtest.h>

namespace rosterd::log {
namespace {

std::string line(std::string_view value) {
  const Field fields[] = {field("user", value)};
  return text("sync.held", fields);
}

TEST(LogText, IsTheEventAndItsFields) {
  const Field fields[] = {field("tenant", "acme"), field("suspend", 940)};
  EXPECT_EQ(text("sync.held", fields), "sync.held tenant=acme suspend=940");
  EXPECT_EQ(text("daemon.ready", {}), "daemon.ready");
}

TEST(LogText, ADirectoryCannotForgeALineOrAField) {
  EXPECT_EQ(line("ada"), "sync.held user=ada");
  EXPECT_EQ(line("ada role=admin"), "sync.held user=\"ada role=admin\"");
  EXPECT_EQ(line("ada\nsync.applied user=eve"), "sync.held user=\"ada\\x0async.applied user=eve\"");
  EXPECT_EQ(line("a\" x=\"b"), "sync.held user=\"a\\\" x=\\\"b\"");
  EXPECT_EQ(line("a\\"), "sync.held user=\"a\\\\\"");
  EXPECT_EQ(line(""), "sync.held user=\"\"");
  EXPECT_EQ(line("\r"), "sync.held user=\"\\x0d\"");
}

TEST(LogText, ADirectoryCannotSteerATerminal) {
  EXPECT_EQ(line("\x1b[2J"), "sync.held user=\"\\x1b[2J\"");
  EXPECT_EQ(line("\xc2\x9b"
                 "2J"),
            "sync.held user=\"\\xc2\\x9b2J\"");         // CSI as U+009B
  EXPECT_EQ(line("\x9b"), "sync.held user=\"\\x9b\"");  // and as a bare byte
  EXPECT_EQ(line("a\xe2\x80\xa8"
                 "b"),
            "sync.held user=\"a\\xe2\\x80\\xa8b\"");  // line separator
  EXPECT_EQ(line("Jörg"), "sync.held user=Jörg");
}

TEST(LogEvents, ReachTheSinkFromTheirLevelOn) {
  std::vector<std::string> seen;
  set_sink([&](Level, std::string_view name, std::span<const Field> fields) { seen.push_back(text(name, fields)); });
  set_level(Level::Warning);
  info("sync.applied");
  warning("sync.held", {field("tenant", "acme")});
  set_level(Level::Info);
  info("sync.applied");
  set_sink([](Level, std::string_view, std::span<const Field>) {});
  EXPECT_EQ(seen, (std::vector<std::string>{"sync.held tenant=acme", "sync.applied"}));
}

}  // namespace
}  // namespace rosterd::log
