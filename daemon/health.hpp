#pragma once
// The daemon watching itself: a thread asks each part whether it still moves and, only when all of them do, tells the service manager's
// watchdog. A part that has stopped is logged by name, and the silence that follows makes systemd restart the daemon.

#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "schema/core/clock.hpp"
#include "schema/core/result.hpp"

namespace rosterd {

struct Probe {
  std::string part;  ///< "http", "scheduler", "publisher"
  std::function<Result<void>()> is_alive;
};

struct HealthOptions {
  Millis period{5'000};
  std::function<void()> alive;                          ///< called after every round in which all parts moved
  std::function<std::string()> status;                  ///< one line for people
  std::function<void(const std::string&)> tell_status;  ///< called when that line has changed
};

/// How often to look: thrice within the watchdog's time, at least every 5 s.
[[nodiscard]] Millis health_period(std::optional<Millis> watchdog);

class Health {
 public:
  Health(std::vector<Probe> probes, HealthOptions options);
  /// No more rounds; does not wait for a probe in progress, which only the destructor does.
  void stop() { thread_.request_stop(); }

 private:
  void watch(std::stop_token stop);
  std::vector<Probe> probes_;
  HealthOptions options_;
  std::jthread thread_;  // last: it uses the others
};

}  // namespace rosterd
