#pragma once
// Whether the store answers, asked every other second by a thread of its own: a question to a database that is mute takes a time-out, and
// neither the watchdog nor anybody else should wait for that. Logs when it goes and when it comes back.

#include <atomic>
#include <functional>
#include <thread>

#include "schema/core/clock.hpp"
#include "schema/core/result.hpp"

namespace rosterd {

class StoreWatch {
 public:
  explicit StoreWatch(std::function<Result<void>()> ping, Millis period = Millis{2'000});
  [[nodiscard]] bool is_up() const { return up_; }

 private:
  void watch(std::stop_token stop);
  std::function<Result<void>()> ping_;
  Millis period_;
  std::atomic<bool> up_{true};
  std::jthread thread_;  // last: it uses the others
};

}  // namespace rosterd
