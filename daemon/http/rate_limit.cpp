#include "daemon/http/rate_limit.hpp"

#include <algorithm>
#include <bit>

namespace rosterd::http {
namespace {

using std::chrono::nanoseconds;

static_assert(std::is_same_v<RateLimit::Steady::duration, nanoseconds>);
constexpr double kDeepest = 3.2e17;  // ten years, lest the sum of two moments overflows

}  // namespace

RateLimit::RateLimit(std::size_t keys)
    : mask_(std::bit_ceil(std::max<std::size_t>(1, keys / std::tuple_size_v<decltype(Set::buckets)>)) - 1),
      sets_(std::make_unique<Set[]>(mask_ + 1)) {}

void RateLimit::set(Rate rate) {
  if (rate.count == 0) {
    interval_ = 0;
    return;
  }
  const auto interval = std::max<Steady::rep>(1, nanoseconds(rate.per).count() / rate.count);
  depth_ = static_cast<Steady::rep>(std::min(kDeepest, static_cast<double>(interval) * std::max<std::uint32_t>(1, rate.burst)));
  interval_ = interval;
}

RateLimit::Next RateLimit::next(Steady::rep full_at, Steady::rep now) const {
  const auto then = std::max(full_at, now) + interval_.load(std::memory_order_relaxed);
  const auto beyond = then - now - depth_.load(std::memory_order_relaxed);
  if (beyond > 0) return {.full_at = full_at, .wait = nanoseconds(beyond)};
  return {.full_at = then, .wait = {}};
}

RateLimit::Bucket* RateLimit::bucket_of(Set& set, std::uint64_t key) {
  for (auto& bucket : set.buckets)
    if (bucket.key.load(std::memory_order_acquire) == key) return &bucket;
  return nullptr;
}

RateLimit::Bucket& RateLimit::place_for(Set& set, std::uint64_t key) {
  const std::lock_guard lock(set.mutex);
  if (auto* bucket = bucket_of(set, key)) return *bucket;  // somebody was quicker
  auto& fullest = *std::min_element(set.buckets.begin(), set.buckets.end(), [](const Bucket& a, const Bucket& b) {
    return a.full_at.load(std::memory_order_relaxed) < b.full_at.load(std::memory_order_relaxed);
  });
  fullest.full_at.store(0, std::memory_order_relaxed);
  fullest.key.store(key, std::memory_order_release);
  return fullest;
}

std::optional<RateLimit::Steady::duration> RateLimit::take(std::uint64_t key, Steady::time_point now) {
  if (interval_.load(std::memory_order_relaxed) == 0) return std::nullopt;
  auto& set = set_of(key);
  auto* bucket = bucket_of(set, key);
  if (bucket == nullptr) bucket = &place_for(set, key);
  auto full_at = bucket->full_at.load(std::memory_order_relaxed);
  while (true) {
    const auto next = this->next(full_at, now.time_since_epoch().count());
    if (next.wait || bucket->full_at.compare_exchange_weak(full_at, next.full_at, std::memory_order_relaxed)) return next.wait;
  }
}

std::optional<RateLimit::Steady::duration> RateLimit::wait(std::uint64_t key, Steady::time_point now) const {
  if (interval_.load(std::memory_order_relaxed) == 0) return std::nullopt;
  const auto* bucket = bucket_of(set_of(key), key);
  if (bucket == nullptr) return std::nullopt;
  return next(bucket->full_at.load(std::memory_order_relaxed), now.time_since_epoch().count()).wait;
}

}  // namespace rosterd::http
