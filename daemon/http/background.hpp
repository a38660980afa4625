#pragma once
// Small jobs that no request should wait for, such as looking up again what a cache will soon not believe any more: one thread, in order.

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>
#include <utility>

namespace rosterd::http {

class Background {
 public:
  Background() : thread_([this](const std::stop_token& stop) { work(stop); }) {}

  /// Drops the job when too many wait already: each is something that the next request would do itself.
  void post(std::function<void()> job) {
    {
      const std::lock_guard lock(mutex_);
      if (jobs_.size() >= kMost) return;
      jobs_.push_back(std::move(job));
    }
    wanted_.notify_one();
  }

 private:
  static constexpr std::size_t kMost = 1024;
  void work(const std::stop_token& stop) {
    while (true) {
      std::function<void()> job;
      {
        std::unique_lock lock(mutex_);
        if (!wanted_.wait(lock, stop, [&] { return !jobs_.empty(); })) return;
        job = std::move(jobs_.front());
        jobs_.pop_front();
      }
      if (stop.stop_requested()) return;
      job();
    }
  }

  std::mutex mutex_;
  std::condition_variable_any wanted_;
  std::deque<std::function<void()>> jobs_;
  std::jthread thread_;  // last: it uses the others
};

/// How many threads may wait for something at the same time (the database, a revision, a directory), so that some are always left for what
/// is answered from memory.
class Slots {
 public:
  explicit Slots(std::size_t most) : most_(most) {}
  class Slot {
   public:
    explicit Slot(std::atomic<std::size_t>* taken) : taken_(taken) {}
    Slot(Slot&& other) noexcept : taken_(std::exchange(other.taken_, nullptr)) {}
    Slot& operator=(Slot&& other) noexcept {
      std::swap(taken_, other.taken_);
      return *this;
    }
    ~Slot() {
      if (taken_ != nullptr) --*taken_;
    }

   private:
    std::atomic<std::size_t>* taken_;
  };
  /// None when all are taken.
  [[nodiscard]] std::optional<Slot> take() {
    if (++taken_ <= most_) return Slot(&taken_);
    --taken_;
    return std::nullopt;
  }

 private:
  std::size_t most_;
  std::atomic<std::size_t> taken_{0};
};

}  // namespace rosterd::http
