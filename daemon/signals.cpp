#include "daemon/signals.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>

namespace rosterd {

SignalSet::SignalSet(std::initializer_list<int> signals) {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : signals) sigaddset(&set, signal);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  fd_ = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  stopped_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  // Without these the process could not even be asked to end; nothing has started yet, so main may simply die of it.
  if (fd_ < 0 || stopped_ < 0) throw std::system_error(errno, std::generic_category(), "waiting for signals");
}

SignalSet::~SignalSet() {
  ::close(fd_);
  ::close(stopped_);
}

int SignalSet::wait() const {
  while (true)
    if (const auto signal = wait(std::stop_token())) return *signal;
}

std::optional<int> SignalSet::wait(std::stop_token stop) const {
  const std::stop_callback wake(stop, [this] { eventfd_write(stopped_, 1); });
  while (true) {
    std::array<pollfd, 2> waiting{pollfd{fd_, POLLIN, 0}, pollfd{stopped_, POLLIN, 0}};
    if (poll(waiting.data(), waiting.size(), -1) < 0 && errno != EINTR)
      throw std::system_error(errno, std::generic_category(), "waiting for signals");
    signalfd_siginfo info{};
    if (::read(fd_, &info, sizeof info) == sizeof info) return static_cast<int>(info.ssi_signo);
    if (!stop.stop_requested()) continue;
    eventfd_t count = 0;
    eventfd_read(stopped_, &count);  // ready for the next wait
    return std::nullopt;
  }
}

void unblock_all_signals() {
  sigset_t none;
  sigemptyset(&none);
  pthread_sigmask(SIG_SETMASK, &none, nullptr);
}

}  // namespace rosterd
