#pragma once
// Work that may take longer than its caller can wait: it runs on a thread of its own, and the caller leaves at his deadline.

#include <chrono>
#include <functional>
#include <list>
#include <memory>
#include <thread>

#include "schema/core/guarded.hpp"

namespace rosterd::http {

/// Destruction waits for what still runs.
class Errands {
 public:
  using Steady = std::chrono::steady_clock;
  static constexpr std::size_t kMost = 64;  ///< at the same time

  /// True when `work` ended before the deadline. False: it goes on alone, so it owns all it uses; or too much is under way already.
  [[nodiscard]] bool run(std::function<void()> work, Steady::time_point deadline);

 private:
  struct Done;
  struct Errand {
    std::shared_ptr<Done> done;
    std::jthread thread;
  };
  Guarded<std::list<Errand>> running_;
};

}  // namespace rosterd::http
