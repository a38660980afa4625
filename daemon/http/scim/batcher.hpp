#pragma once
// A tenant's writes happen one after the other, each at the price of a commit. What comes in while one transaction is under way therefore
// waits and goes into the next one together: whoever finds nobody at work does the work of all who wait. Nobody waits for company.

#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

#include "schema/store/store.hpp"

namespace rosterd::http::scim {

class Batchers {
 public:
  static constexpr std::size_t kMost = 64;  ///< requests in one transaction

  /// Gives the request's own answer, once it is committed or refused.
  [[nodiscard]] Result<PushAnswer> push(Store& store, const Pusher& pusher, const PushRules& rules, Push request);

 private:
  struct Job {
    Push request;
    std::optional<Result<PushAnswer>> answer;
    std::condition_variable moved;  ///< it has an answer, or nobody is at work
  };
  struct Lane {
    std::mutex mutex;
    std::deque<Job*> waiting;
    bool busy = false;
  };
  std::shared_ptr<Lane> lane_of(const Pusher& pusher);
  static std::vector<Result<PushAnswer>> serve(Store& store, const Pusher& pusher, const PushRules& rules,
                                               const std::vector<Push>& requests);

  std::mutex mutex_;
  std::map<std::pair<TenantId, SourceId>, std::weak_ptr<Lane>> lanes_;  // under mutex_
};

}  // namespace rosterd::http::scim
