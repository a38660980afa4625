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

}  // namespace
}  // namespace rosterd
