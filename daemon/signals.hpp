#pragma once
// Signals as values: blocked for the whole process before any thread starts, then waited for by one thread. Nothing runs in a handler.

#include <csignal>
#include <initializer_list>
#include <optional>
#include <stop_token>

namespace rosterd {

class SignalSet {
 public:
  /// Blocks these signals for the calling thread and all threads it starts, and ignores SIGPIPE: a peer that goes away is an error of a
  /// write.
  SignalSet(std::initializer_list<int> signals);
  ~SignalSet();
  SignalSet(const SignalSet&) = delete;
  SignalSet& operator=(const SignalSet&) = delete;

  /// The next of the signals.
  [[nodiscard]] int wait() const;
  /// The next of the signals; none once a stop is requested.
  [[nodiscard]] std::optional<int> wait(std::stop_token stop) const;

 private:
  int fd_ = -1;
  int stopped_ = -1;
};

/// For a freshly forked child: the signal mask a program expects to start with.
void unblock_all_signals();

}  // namespace rosterd
