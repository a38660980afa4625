#include "daemon/store_watch.hpp"

#include <condition_variable>
#include <mutex>

#include "schema/core/log.hpp"

namespace rosterd {

StoreWatch::StoreWatch(std::function<Result<void>()> ping, Millis period)
    : ping_(std::move(ping)), period_(period), thread_([this](std::stop_token stop) { watch(std::move(stop)); }) {}

void StoreWatch::watch(std::stop_token stop) {
  std::mutex mutex;
  std::condition_variable_any pause;
  while (!stop.stop_requested()) {
    const auto answered = ping_();
    const bool was_up = up_.exchange(answered.has_value());
    if (!answered && was_up) log::error("store.away", {log::field("doing", "serving"), log::field("error", answered.error().what)});
    if (answered && !was_up) log::info("store.back");
    std::unique_lock lock(mutex);
    pause.wait_for(lock, stop, period_, [] { return false; });
  }
}

}  // namespace rosterd
