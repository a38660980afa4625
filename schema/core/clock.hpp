#pragma once
// Time as an input: whoever decides by the time of day takes a Clock. Texts are RFC 3339 UTC, durations "90s", "15m", "24h", "30d".

#include <atomic>
#include <chrono>
#include <string>
#include <string_view>

#include "schema/core/result.hpp"

namespace rosterd {

using TimePoint = std::chrono::sys_time<std::chrono::microseconds>;  // PostgreSQL's resolution
using Seconds = std::chrono::seconds;
using Millis = std::chrono::milliseconds;

class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual TimePoint now() const = 0;
};

class SystemClock final : public Clock {
 public:
  [[nodiscard]] TimePoint now() const override;
};

/// A clock for tests: stands still until told to advance.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(TimePoint start) : micros_(start.time_since_epoch().count()) {}
  [[nodiscard]] TimePoint now() const override { return TimePoint(std::chrono::microseconds(micros_.load())); }
  void advance(std::chrono::microseconds by) { micros_ += by.count(); }

 private:
  std::atomic<std::int64_t> micros_;
};

/// "2026-11-23T04:05:06Z", with microseconds only where there are any.
[[nodiscard]] std::string rfc3339(TimePoint time);
/// InvalidInput for anything but RFC 3339 with a zone ("Z" or "+hh:mm").
[[nodiscard]] Result<TimePoint> parse_rfc3339(std::string_view text);
/// "250ms" "90s" "15m" "24h" "30d"; a bare number is an error, since its unit would be a guess.
[[nodiscard]] Result<Millis> parse_duration(std::string_view text);
/// The shortest form parse_duration reads back: "15m", "90s", "250ms".
[[nodiscard]] std::string duration_text(Millis duration);

}  // namespace rosterd
