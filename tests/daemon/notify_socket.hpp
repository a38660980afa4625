#pragma once
// A service manager's end of sd_notify(3): a datagram socket that collects what the daemon says.

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstring>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/support/process.hpp"

namespace rosterd::test {

class NotifySocket {
 public:
  NotifySocket() : fd_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path().c_str(), sizeof address.sun_path - 1);
    if (::bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) throw std::runtime_error("binding " + path());
  }
  ~NotifySocket() { ::close(fd_); }
  NotifySocket(const NotifySocket&) = delete;
  NotifySocket& operator=(const NotifySocket&) = delete;

  [[nodiscard]] std::string path() const { return dir_.file("notify"); }
  /// The next message; empty when none comes in time.
  std::string next(Milliseconds timeout = Milliseconds(10'000)) {
    pollfd waiting{fd_, POLLIN, 0};
    if (::poll(&waiting, 1, static_cast<int>(timeout.count())) <= 0) return {};
    std::array<char, 4096> message{};
    const auto length = ::recv(fd_, message.data(), message.size(), 0);
    heard.emplace_back(message.data(), length > 0 ? static_cast<std::size_t>(length) : 0);
    return heard.back();
  }
  /// Reads on until a message holds `part`; empty when none does in time.
  std::string next_with(std::string_view part, Milliseconds timeout = Milliseconds(30'000)) {
    const auto until = std::chrono::steady_clock::now() + timeout;
    while (std::chrono::steady_clock::now() < until)
      if (auto message = next(Milliseconds(200)); message.find(part) != std::string::npos) return message;
    return {};
  }
  std::vector<std::string> heard;  ///< everything so far, oldest first

 private:
  TempDir dir_{"notify"};
  int fd_;
};

}  // namespace rosterd::test
