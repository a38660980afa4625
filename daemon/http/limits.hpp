#pragma once
// Who is limited how: a caller by his token, a stranger by his address. What comes out is nothing, or the 429 to answer with.

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <string_view>

#include "daemon/http/rate_limit.hpp"
#include "daemon/http/request.hpp"
#include "schema/core/hash.hpp"

namespace rosterd::http {

class Metrics;

enum class Limit {
  Requests,  ///< of one caller, or of one address to what is open: all that is no decision
  Checks,    ///< of one caller: decisions in every form
  Explains,  ///< of one caller, beside Checks: the policy behind decisions could be probed (check-api.md §7)
  Failures,  ///< of one address: requests whose token is missing or wrong
};
[[nodiscard]] std::string_view name_of(Limit limit);

struct RateLimits {
  Rate requests, checks, explains, failures;
};

class Limits {
 public:
  explicit Limits(Metrics& metrics) : metrics_(metrics) {}
  void set(const RateLimits& rates);

  /// Takes one request of this key. Some: that was one too many.
  [[nodiscard]] std::optional<Reply> take(Limit limit, std::uint64_t key, std::string_view remote);
  /// Whether take() would refuse.
  [[nodiscard]] std::optional<Reply> look(Limit limit, std::uint64_t key, std::string_view remote);
  /// The key of a stranger. Whoever has one IPv6 address has 2^64 of them, so it is their common half that counts.
  [[nodiscard]] std::uint64_t key_of(std::string_view remote) const;

 private:
  static constexpr std::size_t kLimits = 4;
  [[nodiscard]] Reply refusal(Limit limit, RateLimit::Steady::duration wait, std::string_view remote);

  Metrics& metrics_;
  KeyedHash hash_;
  std::array<RateLimit, kLimits> limits_{RateLimit(16'384), RateLimit(16'384), RateLimit(4'096), RateLimit(16'384)};
  std::array<std::atomic<RateLimit::Steady::rep>, kLimits> said_{};  // when the log last heard of it
  std::array<std::atomic<std::uint64_t>, kLimits> unsaid_{};
};

}  // namespace rosterd::http
