#pragma once
// What a run shows while it runs, and why it was told to stop. Written by the run's thread, read by the heartbeat and the API.

#include <atomic>
#include <string>

#include "schema/core/guarded.hpp"
#include "schema/core/text.hpp"

namespace rosterd::sync {

enum class StopCause : std::uint8_t { None, Shutdown, LeaseLost, Deadline };

class RunControl {
 public:
  void phase(std::string_view text) {
    phase_.with([&](std::string& phase) { phase.assign(text); });
  }
  std::atomic<std::uint64_t> held{0}, users{0}, groups{0}, changes{0};

  /// The first cause counts.
  void because(StopCause cause) {
    auto none = StopCause::None;
    cause_.compare_exchange_strong(none, cause);
  }
  [[nodiscard]] StopCause cause() const { return cause_; }

  /// {"phase":"reading users","held":1000,"users":123,"groups":0,"changes":4}
  [[nodiscard]] std::string json() const {
    std::string out = "{\"phase\":\"";
    phase_.with([&](const std::string& phase) { append_json_escaped(out, phase); });
    return out + fmt::format("\",\"held\":{},\"users\":{},\"groups\":{},\"changes\":{}}}", held.load(), users.load(), groups.load(),
                             changes.load());
  }

 private:
  Guarded<std::string> phase_{std::string("starting")};
  std::atomic<StopCause> cause_{StopCause::None};
};

}  // namespace rosterd::sync
