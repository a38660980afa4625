// What the parts are told out of the configuration.
#include "daemon/options.hpp"

#include <gtest/gtest.h>

namespace rosterd {
namespace {

TEST(Options, ARunMayTakeAsLongAsItsDirectoryMayBeReadTwice) {
  config::Config config;
  for (const Millis deadline : {Millis(1'000), Millis(3'600'000), Millis(48LL * 3'600'000)}) {
    config.sync.read_deadline = deadline;
    EXPECT_EQ(connector_options(config).read_deadline, deadline);
    EXPECT_GE(scheduler_options(config).run_deadline, 2 * deadline + std::chrono::minutes(30));
  }
}

TEST(Options, SyncsAreLeasedAsConfigured) {
  config::Config config;
  config.sync.workers = 7;
  config.sync.lease_heartbeat = Millis(123);
  config.sync.lease_expiry = Millis(4'567);
  const auto options = scheduler_options(config);
  EXPECT_EQ(options.workers, 7u);
  EXPECT_EQ(options.heartbeat, Millis(123));
  EXPECT_EQ(options.lease, Millis(4'567));
}

TEST(Options, PeopleSignInAsConfigured) {
  config::Config config;
  config.accounts.session_idle = Millis(7'000);
  config.accounts.lockout_attempts = 3;
  config.accounts.lockout_duration = Millis(9'000);
  config.passwords.min_length = 12;
  config.passwords.other = false;
  config.passwords.memory = 1 << 20;
  const auto options = account_options(config);
  EXPECT_EQ(options.session_idle, Millis(7'000));
  EXPECT_EQ(options.session_lifetime, Millis(12LL * 3'600'000));
  EXPECT_EQ(options.lockout.attempts, 3u);
  EXPECT_EQ(options.lockout.lock, Millis(9'000));
  EXPECT_EQ(options.policy.min_length, 12u);
  EXPECT_FALSE(options.policy.other);
  EXPECT_TRUE(options.policy.digit);
  EXPECT_EQ(options.cost.memory, 1u << 20);
  EXPECT_EQ(options.cost.passes, 2u);
}

}  // namespace
}  // namespace rosterd
