#include "daemon/http/limits.hpp"

#include <arpa/inet.h>

#include <algorithm>

#include "daemon/http/metrics.hpp"
#include "daemon/http/problem.hpp"
#include "schema/core/log.hpp"

namespace rosterd::http {
namespace {

using Steady = RateLimit::Steady;

std::string_view what_of(Limit limit) {
  switch (limit) {
    case Limit::Requests:
      return "more requests than one caller may make in this time";
    case Limit::Checks:
      return "more checks than one caller may ask for in this time";
    case Limit::Explains:
      return "more explanations than one caller may ask for in this time";
    case Limit::Failures:
      return "too many requests without a valid token came from this address";
  }
  return {};
}

}  // namespace

std::string_view name_of(Limit limit) {
  switch (limit) {
    case Limit::Requests:
      return "requests";
    case Limit::Checks:
      return "checks";
    case Limit::Explains:
      return "explains";
    case Limit::Failures:
      return "failures";
  }
  return {};
}

void Limits::set(const RateLimits& rates) {
  limits_[static_cast<std::size_t>(Limit::Requests)].set(rates.requests);
  limits_[static_cast<std::size_t>(Limit::Checks)].set(rates.checks);
  limits_[static_cast<std::size_t>(Limit::Explains)].set(rates.explains);
  limits_[static_cast<std::size_t>(Limit::Failures)].set(rates.failures);
}

std::optional<Reply> Limits::take(Limit limit, std::uint64_t key, std::string_view remote) {
  const auto wait = limits_[static_cast<std::size_t>(limit)].take(key);
  if (!wait) return std::nullopt;
  return refusal(limit, *wait, remote);
}

std::optional<Reply> Limits::look(Limit limit, std::uint64_t key, std::string_view remote) {
  const auto wait = limits_[static_cast<std::size_t>(limit)].wait(key);
  if (!wait) return std::nullopt;
  return refusal(limit, *wait, remote);
}

std::uint64_t Limits::key_of(std::string_view remote) const {
  in6_addr v6{};
  if (::inet_pton(AF_INET6, std::string(remote).c_str(), &v6) == 1) remote = {reinterpret_cast<const char*>(v6.s6_addr), 8};
  return hash_(remote).low;
}

Reply Limits::refusal(Limit limit, Steady::duration wait, std::string_view remote) {
  metrics_.rate_limited(limit);
  const auto at = static_cast<std::size_t>(limit);
  // The log hears of it once a second at most, so that whoever floods rosterd does not flood the log.
  ++unsaid_[at];
  const auto now = Steady::now().time_since_epoch().count();
  auto said = said_[at].load();
  if ((said == 0 || now - said >= Steady::duration(std::chrono::seconds(1)).count()) && said_[at].compare_exchange_strong(said, now))
    log::warning("http.rate_limited", {log::field("limit", name_of(limit)), log::field("ip", remote),
                                       log::field("refused", static_cast<long long>(unsaid_[at].exchange(0)))});
  auto out = problem({.code = Errc::Refused, .what = std::string(what_of(limit)), .slug = "rate_limited"});
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(wait).count();
  for (auto& [name, value] : out.headers)
    if (name == "Retry-After") value = std::to_string(std::max<std::int64_t>(1, seconds));
  out.unlogged = true;
  return out;
}

}  // namespace rosterd::http
