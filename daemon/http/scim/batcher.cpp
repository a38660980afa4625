#include "daemon/http/scim/batcher.hpp"

#include <exception>

namespace rosterd::http::scim {

std::shared_ptr<Batchers::Lane> Batchers::lane_of(const Pusher& pusher) {
  constexpr std::size_t kMany = 1024;
  const std::lock_guard lock(mutex_);
  if (lanes_.size() > kMany) std::erase_if(lanes_, [](const auto& entry) { return entry.second.expired(); });
  auto& slot = lanes_[{pusher.tenant, pusher.source}];
  auto lane = slot.lock();
  if (!lane) {
    lane = std::make_shared<Lane>();
    slot = lane;
  }
  return lane;
}

std::vector<Result<PushAnswer>> Batchers::serve(Store& store, const Pusher& pusher, const PushRules& rules,
                                                const std::vector<Push>& requests) {
  const auto all_fail = [&](const Error& error) { return std::vector<Result<PushAnswer>>(requests.size(), tl::unexpected(error)); };
  try {
    auto answers = store.push(pusher.tenant, pusher.source, requests, rules);
    return answers ? std::move(*answers) : all_fail(answers.error());
  } catch (const std::exception& error) {  // whoever waits must hear of it
    return all_fail({.code = Errc::Internal, .what = fmt::format("unexpected exception: {}", error.what()), .slug = {}});
  }
}

Result<PushAnswer> Batchers::push(Store& store, const Pusher& pusher, const PushRules& rules, Push request) {
  const auto lane = lane_of(pusher);
  Job own{.request = std::move(request), .answer = {}, .moved = {}};
  std::unique_lock lock(lane->mutex);
  lane->waiting.push_back(&own);
  while (!own.answer) {
    if (lane->busy) {
      own.moved.wait(lock);
      continue;
    }
    std::vector<Job*> jobs;
    std::vector<Push> requests;
    while (!lane->waiting.empty() && jobs.size() < kMost) {
      jobs.push_back(lane->waiting.front());
      requests.push_back(std::move(jobs.back()->request));
      lane->waiting.pop_front();
    }
    lane->busy = true;
    lock.unlock();
    auto answers = serve(store, pusher, rules, requests);
    lock.lock();
    // The next one at work first: all others only go their ways.
    lane->busy = false;
    if (!lane->waiting.empty()) lane->waiting.front()->moved.notify_one();
    for (std::size_t i = 0; i < jobs.size(); ++i) {
      jobs[i]->answer.emplace(std::move(answers[i]));
      jobs[i]->moved.notify_one();
    }
  }
  return std::move(*own.answer);
}

}  // namespace rosterd::http::scim
