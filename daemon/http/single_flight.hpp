#pragma once
// The same question, put by many at the same moment, is asked once: the first asks, the others wait for his answer. When an entry that all
// connections lean on has grown too old at a pause, the store hears of it once and not once for each of them.

#include <cstdint>
#include <exception>
#include <future>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

namespace rosterd::http {

template <class Answer>
class SingleFlight {
 public:
  /// What `ask()` gives, or gave to somebody who is asking now. Only an answer to a question of the same `moment` is shared: whoever
  /// comes after something was forgotten (ShortCache::clear) is not told what was true before.
  template <class Ask>
  [[nodiscard]] Answer share(std::string_view key, std::uint64_t moment, Ask&& ask) {
    std::promise<Answer> mine;
    std::shared_future<Answer> anothers;
    const std::pair name(std::string(key), moment);
    {
      const std::lock_guard lock(mutex_);
      const auto [at, is_first] = open_.try_emplace(name);
      if (is_first)
        at->second = mine.get_future().share();
      else
        anothers = at->second;
    }
    if (anothers.valid()) return anothers.get();
    try {
      auto answer = ask();
      close(name);
      mine.set_value(answer);
      return answer;
    } catch (...) {  // whoever waits must not wait for ever
      close(name);
      mine.set_exception(std::current_exception());
      throw;
    }
  }

 private:
  void close(const std::pair<std::string, std::uint64_t>& name) {
    const std::lock_guard lock(mutex_);
    open_.erase(name);
  }
  std::mutex mutex_;
  std::map<std::pair<std::string, std::uint64_t>, std::shared_future<Answer>> open_;
};

}  // namespace rosterd::http
