#include "daemon/http/errands.hpp"

#include <condition_variable>
#include <mutex>

namespace rosterd::http {

struct Errands::Done {
  std::mutex mutex;
  std::condition_variable changed;
  bool done = false;
};

bool Errands::run(std::function<void()> work, Steady::time_point deadline) {
  const auto state = std::make_shared<Done>();
  const bool taken = running_.with([&](std::list<Errand>& running) {
    std::erase_if(running, [](const Errand& errand) {
      const std::lock_guard lock(errand.done->mutex);
      return errand.done->done;  // joins it; it has nothing left to do
    });
    if (running.size() >= kMost) return false;
    running.push_back({.done = state, .thread = std::jthread([state, work = std::move(work)] {
                                        work();
                                        const std::lock_guard lock(state->mutex);
                                        state->done = true;
                                        state->changed.notify_all();
                                      })});
    return true;
  });
  if (!taken) return false;
  std::unique_lock lock(state->mutex);
  return state->changed.wait_until(lock, deadline, [&] { return state->done; });
}

}  // namespace rosterd::http
