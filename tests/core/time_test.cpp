#include <gtest/gtest.h>

#include "schema/core/clock.hpp"

namespace rosterd {
namespace {

using namespace std::chrono_literals;

TimePoint seconds_after_epoch(std::int64_t seconds) { return TimePoint(std::chrono::seconds(seconds)); }

TEST(Rfc3339, IsWrittenInUtcWithMicrosecondsOnlyWhereThereAreAny) {
  EXPECT_EQ(rfc3339(TimePoint{}), "1970-01-01T00:00:00Z");
  EXPECT_EQ(rfc3339(seconds_after_epoch(1795406706)), "2026-11-23T04:05:06Z");
  EXPECT_EQ(rfc3339(TimePoint(1500000us)), "1970-01-01T00:00:01.500000Z");
  EXPECT_EQ(rfc3339(TimePoint(-1us)), "1969-12-31T23:59:59.999999Z");
}

TEST(Rfc3339, IsReadInEveryLegalForm) {
  const auto time = seconds_after_epoch(1795406706);
  for (const auto* text : {"2026-11-23T04:05:06Z", "2026-11-23t04:05:06z", "2026-11-23 04:05:06Z", "2026-11-23T04:05:06+00:00",
                           "2026-11-23T06:05:06+02:00", "2026-11-22T22:35:06-05:30", "2026-11-23T04:05:06.0000009Z"})
    EXPECT_EQ(parse_rfc3339(text), time) << text;
  EXPECT_EQ(parse_rfc3339("2026-11-23T04:05:06.25Z"), time + 250ms);
  EXPECT_EQ(parse_rfc3339("2024-02-29T00:00:00Z"), seconds_after_epoch(1709164800));
  EXPECT_EQ(parse_rfc3339("2016-12-31T23:59:60Z"), *parse_rfc3339("2017-01-01T00:00:00Z"));  // a leap second
}

TEST(Rfc3339, AnythingElseIsRefused) {
  for (const auto* text : {"", "2026-11-23", "2026-11-23T04:05:06", "2026-11-23T04:05Z", "2026-13-01T00:00:00Z", "2025-02-29T00:00:00Z",
                           "2026-11-23T24:00:00Z", "2026-11-23T04:60:00Z", "2026-11-23T04:05:61Z", "2026-11-23T04:05:06.Z",
                           "2026-11-23T04:05:06Zx", "2026-11-23T04:05:06+24:00", "2026-11-23T04:05:06+0200", "26-11-23T04:05:06Z",
                           "+026-11-23T04:05:06Z", " 2026-11-23T04:05:06Z", "2026-11-23T04:05:06 +02:00"})
    EXPECT_FALSE(parse_rfc3339(text)) << text;
}

TEST(Rfc3339, ReadsWhatItWrites) {
  for (std::int64_t i = -5; i < 5; ++i) {
    const TimePoint time(std::chrono::microseconds(i * 987'654'321'012'345));
    EXPECT_EQ(parse_rfc3339(rfc3339(time)), time) << rfc3339(time);
  }
}

TEST(Duration, NeedsAUnit) {
  EXPECT_EQ(parse_duration("250ms"), 250ms);
  EXPECT_EQ(parse_duration("90s"), 90s);
  EXPECT_EQ(parse_duration("15m"), 15min);
  EXPECT_EQ(parse_duration("24h"), 24h);
  EXPECT_EQ(parse_duration("30d"), 720h);
  EXPECT_EQ(parse_duration("0s"), 0s);
  for (const auto* text : {"", "15", "m", "-5m", "-0s", "+5m", "1.5h", "5 m", "5M", "5mm", "5y", " 5m", "5m ", "9223372036854775807d",
                           "99999999999999999999s"})
    EXPECT_FALSE(parse_duration(text)) << text;
}

TEST(Duration, IsWrittenInItsShortestForm) {
  for (const auto* text : {"0s", "1ms", "250ms", "90s", "15m", "90m", "24d", "1d", "30d"})
    EXPECT_EQ(duration_text(*parse_duration(text)), text);
  EXPECT_EQ(duration_text(24h), "1d");
  EXPECT_EQ(duration_text(1500ms), "1500ms");
}

TEST(ManualClock, StandsStillUntilTold) {
  ManualClock clock(seconds_after_epoch(10));
  EXPECT_EQ(clock.now(), seconds_after_epoch(10));
  clock.advance(5s);
  EXPECT_EQ(clock.now(), seconds_after_epoch(15));
}

}  // namespace
}  // namespace rosterd
