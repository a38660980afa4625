#include "schema/core/clock.hpp"

#include <charconv>
#include <cstdint>

namespace rosterd {
namespace {

/// Reads exactly `width` digits at the front of `text` and takes them off.
bool take_digits(std::string_view& text, std::size_t width, int& value) {
  if (text.size() < width) return false;
  value = 0;
  for (std::size_t i = 0; i < width; ++i) {
    if (text[i] < '0' || text[i] > '9') return false;
    value = value * 10 + (text[i] - '0');
  }
  text.remove_prefix(width);
  return true;
}

bool take(std::string_view& text, char expected) {
  if (text.empty() || text.front() != expected) return false;
  text.remove_prefix(1);
  return true;
}

}  // namespace

TimePoint SystemClock::now() const { return std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now()); }

std::string rfc3339(TimePoint time) {
  using namespace std::chrono;
  const auto day = floor<days>(time);
  const year_month_day date(day);
  const hh_mm_ss clock(time - day);
  auto text = fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", int(date.year()), unsigned(date.month()), unsigned(date.day()),
                          clock.hours().count(), clock.minutes().count(), clock.seconds().count());
  if (clock.subseconds().count() != 0) text += fmt::format(".{:06}", clock.subseconds().count());
  return text + "Z";
}

Result<TimePoint> parse_rfc3339(std::string_view text) {
  using namespace std::chrono;
  const auto refuse = [whole = std::string(text)] {
    return fail(Errc::InvalidInput, "'{}' is not an RFC 3339 time such as 2026-11-23T04:05:06Z", whole);
  };
  int y = 0, mo = 0, d = 0, h = 0, mi = 0, s = 0;
  if (!take_digits(text, 4, y) || !take(text, '-') || !take_digits(text, 2, mo) || !take(text, '-') || !take_digits(text, 2, d))
    return refuse();
  if (!take(text, 'T') && !take(text, 't') && !take(text, ' ')) return refuse();
  if (!take_digits(text, 2, h) || !take(text, ':') || !take_digits(text, 2, mi) || !take(text, ':') || !take_digits(text, 2, s))
    return refuse();
  microseconds fraction{0};
  if (take(text, '.')) {
    std::int64_t scale = 100000;
    std::size_t digits = 0;
    for (; !text.empty() && text.front() >= '0' && text.front() <= '9'; text.remove_prefix(1), ++digits, scale /= 10)
      fraction += microseconds((text.front() - '0') * scale);
    if (digits == 0) return refuse();
  }
  minutes offset{0};
  if (!take(text, 'Z') && !take(text, 'z')) {
    const bool minus = !text.empty() && text.front() == '-';
    int oh = 0, om = 0;
    if ((!take(text, '+') && !take(text, '-')) || !take_digits(text, 2, oh) || !take(text, ':') || !take_digits(text, 2, om))
      return refuse();
    if (oh > 23 || om > 59) return refuse();
    offset = hours(oh) + minutes(om);
    if (minus) offset = -offset;
  }
  const year_month_day date{year(y), month(unsigned(mo)), day(unsigned(d))};
  if (!text.empty() || !date.ok() || h > 23 || mi > 59 || s > 60) return refuse();
  return TimePoint(sys_days(date)) + hours(h) + minutes(mi) + seconds(s) + fraction - offset;
}

Result<Millis> parse_duration(std::string_view text) {
  const auto refuse = [&] { return fail(Errc::InvalidInput, "'{}' is not a duration such as 250ms, 90s, 15m, 24h or 30d", text); };
  std::int64_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error != std::errc{} || text.front() == '-') return refuse();
  const std::string_view unit(end, std::size_t(text.data() + text.size() - end));
  std::int64_t scale = 0;
  if (unit == "ms") scale = 1;
  if (unit == "s") scale = 1000;
  if (unit == "m") scale = 60'000;
  if (unit == "h") scale = 3'600'000;
  if (unit == "d") scale = 86'400'000;
  if (scale == 0 || count > INT64_MAX / scale / 1000) return refuse();  // must also fit as microseconds
  return Millis(count * scale);
}

std::string duration_text(Millis duration) {
  const auto ms = duration.count();
  if (ms != 0 && ms % 86'400'000 == 0) return fmt::format("{}d", ms / 86'400'000);
  if (ms != 0 && ms % 3'600'000 == 0) return fmt::format("{}h", ms / 3'600'000);
  if (ms != 0 && ms % 60'000 == 0) return fmt::format("{}m", ms / 60'000);
  if (ms % 1000 == 0) return fmt::format("{}s", ms / 1000);
  return fmt::format("{}ms", ms);
}

}  // namespace rosterd
