#include "connectors/http/throttle.hpp"

#include <algorithm>
#include <charconv>
#include <ctime>

namespace rosterd::connectors::http {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds kLongest = std::chrono::hours(1);

std::optional<std::int64_t> number(std::string_view text) {
  std::int64_t out = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc{} || end != text.data() + text.size() || out < 0) return std::nullopt;
  return out;
}

milliseconds bounded(milliseconds wait) { return std::clamp(wait, milliseconds(0), kLongest); }
milliseconds until(TimePoint when, TimePoint now) { return bounded(std::chrono::ceil<milliseconds>(when - now)); }

std::optional<milliseconds> until_reset(const Response& response, const ThrottleRules& rules, TimePoint now) {
  if (rules.reset_header.empty()) return std::nullopt;
  const auto at = number(response.header(rules.reset_header));
  if (!at || *at > 100'000'000'000) return std::nullopt;
  return until(TimePoint(seconds(*at)), now);
}

std::optional<milliseconds> retry_after(const Response& response, TimePoint now) {
  const auto text = response.header("retry-after");
  if (text.empty()) return std::nullopt;
  if (const auto wait = number(text)) return bounded(seconds(std::min<std::int64_t>(*wait, 86'400)));
  if (const auto date = parse_http_date(text)) return until(*date, now);
  return std::nullopt;
}

/// Moments that a server names are moments of its own clock, which may be minutes away from ours.
TimePoint servers_now(const Response& response, TimePoint now) { return parse_http_date(response.header("date")).value_or(now); }

bool is_too_fast(const Response& response, const ThrottleRules& rules) {
  if (response.status == 429) return true;
  if (response.status == 503) return !response.header("retry-after").empty();
  if (response.status != 403) return false;
  return std::any_of(rules.quota_reasons.begin(), rules.quota_reasons.end(),
                     [&](std::string_view reason) { return response.body.find(reason) != std::string::npos; });
}

}  // namespace

std::optional<milliseconds> asked_to_wait(const Response& response, const ThrottleRules& rules, TimePoint now, int attempt) {
  if (!is_too_fast(response, rules)) return std::nullopt;
  if (const auto wait = retry_after(response, servers_now(response, now))) return wait;
  if (const auto wait = until_reset(response, rules, servers_now(response, now))) return wait;
  return std::min<milliseconds>(seconds(1ll << std::clamp(attempt - 1, 0, 6)), seconds(60));
}

milliseconds pause_before_next(const Response& response, const ThrottleRules& rules, TimePoint now) {
  if (rules.remaining_header.empty()) return milliseconds(0);
  const auto left = number(response.header(rules.remaining_header));
  if (!left || *left > 0) return milliseconds(0);
  return until_reset(response, rules, servers_now(response, now)).value_or(milliseconds(0));
}

std::optional<TimePoint> parse_http_date(std::string_view text) {
  std::tm parts{};
  const std::string copy(text);
  const char* const end = ::strptime(copy.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  if (end == nullptr || *end != '\0') return std::nullopt;
  return TimePoint(seconds(::timegm(&parts)));
}

}  // namespace rosterd::connectors::http
