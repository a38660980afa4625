// The token buckets alone, with a clock of the test's own.
#include "daemon/http/rate_limit.hpp"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace rosterd::http {
namespace {

using Steady = RateLimit::Steady;
using std::chrono::milliseconds;

const auto kStart = Steady::time_point(std::chrono::hours(1'000));

int taken_at_once(RateLimit& limit, std::uint64_t key, Steady::time_point now) {
  int count = 0;
  while (count < 100'000 && !limit.take(key, now)) ++count;
  return count;
}

TEST(RateLimit, WithoutARateNobodyIsEverRefused) {
  RateLimit limit(64);
  for (int i = 0; i < 100'000; ++i) ASSERT_FALSE(limit.take(1, kStart));
}

TEST(RateLimit, ABurstIsLetThroughAndThenOneForEveryInterval) {
  RateLimit limit(64);
  limit.set({.count = 100, .per = Millis(1'000), .burst = 30});
  EXPECT_EQ(taken_at_once(limit, 7, kStart), 30);
  EXPECT_EQ(limit.take(7, kStart), milliseconds(10)) << "and says how long to wait";
  EXPECT_EQ(limit.wait(7, kStart + milliseconds(4)), milliseconds(6)) << "looking takes nothing";
  EXPECT_FALSE(limit.wait(7, kStart + milliseconds(10)));
  EXPECT_EQ(taken_at_once(limit, 7, kStart + milliseconds(10)), 1);
  EXPECT_EQ(taken_at_once(limit, 7, kStart + milliseconds(60)), 5);
  EXPECT_EQ(taken_at_once(limit, 7, kStart + milliseconds(10'000)), 30) << "a long pause fills the bucket and no more";
}

TEST(RateLimit, EveryKeyHasItsOwn) {
  RateLimit limit(1024);
  limit.set({.count = 1, .per = Millis(60'000), .burst = 3});
  for (std::uint64_t key = 1; key <= 100; ++key) EXPECT_EQ(taken_at_once(limit, key, kStart), 3) << key;
  for (std::uint64_t key = 1; key <= 100; ++key) EXPECT_EQ(taken_at_once(limit, key, kStart), 0) << key;
}

TEST(RateLimit, ManyStrangersPushOutNobodyWhoIsNearerToHisLimitThanThey) {
  RateLimit limit(8);  // one set of eight
  limit.set({.count = 1, .per = Millis(1'000), .burst = 50});
  EXPECT_EQ(taken_at_once(limit, 1, kStart), 50);
  for (std::uint64_t key = 2; key < 10'000; ++key) EXPECT_FALSE(limit.take(key, kStart));
  EXPECT_TRUE(limit.take(1, kStart)) << "the busy one is still known";
}

TEST(RateLimit, AChangedRateHoldsFromTheNextRequestOn) {
  RateLimit limit(64);
  limit.set({.count = 1, .per = Millis(3'600'000), .burst = 1});
  EXPECT_EQ(taken_at_once(limit, 5, kStart), 1);
  limit.set({});
  EXPECT_FALSE(limit.take(5, kStart));
  limit.set({.count = 1'000'000, .per = Millis(1'000), .burst = 10'000'000});
  EXPECT_FALSE(limit.take(6, kStart));
}

TEST(RateLimit, ThreadsTogetherGetWhatOneWouldGet) {
  RateLimit limit(64);
  limit.set({.count = 1, .per = Millis(3'600'000), .burst = 10'000});
  std::atomic<int> taken{0};
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i)
      threads.emplace_back([&] {
        for (int k = 0; k < 5'000; ++k)
          if (!limit.take(9, kStart)) ++taken;
      });
  }
  EXPECT_EQ(taken, 10'000);
}

}  // namespace
}  // namespace rosterd::http
