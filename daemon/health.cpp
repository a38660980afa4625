#include "daemon/health.hpp"

#include <condition_variable>
#include <mutex>
#include <set>

#include "schema/core/log.hpp"

namespace rosterd {

Millis health_period(std::optional<Millis> watchdog) {
  constexpr Millis kLongest{5'000};
  return watchdog ? std::clamp(*watchdog / 3, Millis(10), kLongest) : kLongest;
}

Health::Health(std::vector<Probe> probes, HealthOptions options)
    : probes_(std::move(probes)), options_(std::move(options)), thread_([this](std::stop_token stop) { watch(std::move(stop)); }) {}

void Health::watch(std::stop_token stop) {
  std::mutex mutex;
  std::condition_variable_any pause;
  std::set<std::string> silent;
  std::string told;
  while (!stop.stop_requested()) {
    bool all = true;
    for (const auto& probe : probes_) {
      const auto alive = probe.is_alive();
      if (stop.stop_requested()) return;  // parts that end may be silent
      all = all && alive.has_value();
      if (!alive && silent.insert(probe.part).second)
        log::error("daemon.part_silent", {log::field("part", probe.part), log::field("detail", alive.error().what)});
      else if (alive && silent.erase(probe.part) > 0)
        log::info("daemon.part_moves_again", {log::field("part", probe.part)});
    }
    if (all) options_.alive();
    if (auto now = options_.status(); now != told) {
      told = std::move(now);
      options_.tell_status(told);
    }
    std::unique_lock lock(mutex);
    pause.wait_for(lock, stop, options_.period, [] { return false; });
  }
}

}  // namespace rosterd
