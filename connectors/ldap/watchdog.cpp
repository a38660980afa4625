#include "connectors/ldap/watchdog.hpp"

#include <fcntl.h>
#include <linux/tcp.h>  // the kernel's tcp_info; glibc's has no tcpi_bytes_received
#include <netinet/in.h>

namespace rosterd::connectors::ldap {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

Watchdog::Watchdog(int fd, milliseconds silence, Deadline deadline, std::stop_token stop)
    : fd_(::fcntl(fd, F_DUPFD_CLOEXEC, 0)),
      silence_(silence),
      deadline_(deadline),
      on_stop_(std::move(stop), [this] { strike(Reason::Stopped); }),
      thread_([this](const std::stop_token& end) { watch(end); }) {}

Watchdog::~Watchdog() = default;

void Watchdog::set_deadline(Deadline deadline) {
  const std::lock_guard lock(mutex_);
  deadline_ = deadline;
  changed_ = true;
  wake_.notify_all();
}

void Watchdog::strike(Reason reason) {
  auto none = Reason::None;
  reason_.compare_exchange_strong(none, reason);
  ::shutdown(fd_.get(), SHUT_RDWR);
}

std::uint64_t Watchdog::bytes_received() const {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (::getsockopt(fd_.get(), IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return 0;
  return info.tcpi_bytes_received;
}

void Watchdog::watch(const std::stop_token& end) {
  // Looks four times per silence: strikes after 1.0 to 1.25 of it. A large message on a slow line moves bytes and is no silence.
  const auto tick = std::max(silence_ / 4, milliseconds(5));
  std::uint64_t beat = 0;
  std::uint64_t bytes = 0;
  auto quiet_since = steady_clock::now();
  std::unique_lock lock(mutex_);
  while (!end.stop_requested()) {
    const auto next = std::min<Deadline>(deadline_, steady_clock::now() + tick);
    wake_.wait_until(lock, end, next, [this] { return changed_; });
    changed_ = false;
    if (end.stop_requested() || reason_.load() != Reason::None) return;
    const auto now = steady_clock::now();
    if (now >= deadline_) return strike(Reason::Late);
    const auto seen = beat_.load(std::memory_order_relaxed);
    const auto received = bytes_received();
    if (seen % 2 == 0 || seen != beat || received != bytes) {
      beat = seen;
      bytes = received;
      quiet_since = now;
    } else if (now - quiet_since >= silence_) {
      return strike(Reason::Silence);
    }
  }
}

}  // namespace rosterd::connectors::ldap
