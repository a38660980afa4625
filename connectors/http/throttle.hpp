#pragma once
// How a server says "too fast": read from its answer, as data, so that a dialect is a row and not a function (protocols.md B3).

#include <chrono>
#include <optional>
#include <span>
#include <string_view>

#include "connectors/http/client.hpp"
#include "schema/core/clock.hpp"

namespace rosterd::connectors::http {

/// Retry-After (RFC 9110 §10.2.3) is always read, as seconds and as a date.
struct ThrottleRules {
  std::string_view reset_header = {};                    ///< holds the second of the epoch from which it may go on: "x-rate-limit-reset"
  std::string_view remaining_header = {};                ///< 0 in a good answer: wait for the reset before asking again
  std::span<const std::string_view> quota_reasons = {};  ///< texts in the body of a 403 that mean "too fast", not "forbidden"
};

/// How long the server wants to be left alone; none when this is no matter of speed. `attempt` counts from 1 and spaces the tries where the
/// server names no time (1 s, 2 s, 4 s … at most a minute). Never negative, at most an hour.
[[nodiscard]] std::optional<std::chrono::milliseconds> asked_to_wait(const Response& response, const ThrottleRules& rules, TimePoint now,
                                                                     int attempt);
/// After a good answer that says nothing is left: how long until there is again.
[[nodiscard]] std::chrono::milliseconds pause_before_next(const Response& response, const ThrottleRules& rules, TimePoint now);
/// IMF-fixdate, the one form of HTTP dates that may be sent (RFC 9110 §5.6.7): "Sun, 06 Nov 1994 08:49:37 GMT".
[[nodiscard]] std::optional<TimePoint> parse_http_date(std::string_view text);

}  // namespace rosterd::connectors::http
