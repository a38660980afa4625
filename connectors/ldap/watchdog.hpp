#pragma once
// Ends waits that libldap itself cannot end: at a deadline, after a silence, or when told to stop it shuts the socket down, and the
// library's blocked read returns at once. It watches its own duplicate of the descriptor, so that it can never hit a reused number.

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <stop_token>
#include <thread>

#include "connectors/net.hpp"

namespace rosterd::connectors::ldap {

class Watchdog {
 public:
  enum class Reason { None, Silence, Late, Stopped };

  /// Duplicates `fd`. `silence`: longest time without a byte from the server while the library waits for it.
  Watchdog(int fd, std::chrono::milliseconds silence, Deadline deadline, std::stop_token stop);
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  /// Around every call into the library that may wait. Cheap: one writer, no lock. Time outside is the receiver's, not the server's.
  void enter() { beat_.store(beat_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed); }
  void leave() { beat_.store(beat_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed); }
  void set_deadline(Deadline deadline);
  [[nodiscard]] Reason reason() const { return reason_.load(); }
  [[nodiscard]] int fd() const { return fd_.get(); }

 private:
  void watch(const std::stop_token& end);
  void strike(Reason reason);
  [[nodiscard]] std::uint64_t bytes_received() const;

  Fd fd_;
  std::chrono::milliseconds silence_;
  std::atomic<std::uint64_t> beat_{0};  // odd while the library is at work
  std::atomic<Reason> reason_{Reason::None};
  std::mutex mutex_;
  std::condition_variable_any wake_;
  Deadline deadline_;     // under mutex_
  bool changed_ = false;  // under mutex_
  std::stop_callback<std::function<void()>> on_stop_;
  std::jthread thread_;
};

}  // namespace rosterd::connectors::ldap
