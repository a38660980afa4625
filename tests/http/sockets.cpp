#include "tests/http/sockets.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>

namespace rosterd::test {
namespace {

/// Appends what is there; 0 at the end, -1 when nothing came in time.
int more(int fd, std::string& into, int wait_ms) {
  pollfd entry{.fd = fd, .events = POLLIN, .revents = 0};
  if (::poll(&entry, 1, wait_ms) <= 0) return -1;
  char buffer[65536];
  const auto n = ::recv(fd, buffer, sizeof buffer, 0);
  if (n <= 0) return 0;
  into.append(buffer, static_cast<std::size_t>(n));
  return 1;
}

}  // namespace

Wire::Wire(std::uint16_t port, int receive_buffer) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  if (receive_buffer > 0) ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  connected_ = ::connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0;
}

Wire::Wire(const std::string& path) : fd_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  std::memcpy(to.sun_path, path.c_str(), std::min(path.size() + 1, sizeof to.sun_path));
  connected_ = ::connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0;
}

Wire::~Wire() {
  if (fd_ >= 0) ::close(fd_);
}

Wire::Wire(Wire&& other) noexcept : fd_(std::exchange(other.fd_, -1)), connected_(other.connected_) {}

bool Wire::send(std::string_view bytes) const {
  while (!bytes.empty()) {
    const auto n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

void Wire::half_close() const { ::shutdown(fd_, SHUT_WR); }

std::string Wire::read_until(std::string_view enough, int wait_ms) const {
  std::string out;
  while (out.find(enough) == std::string::npos && more(fd_, out, wait_ms) > 0) continue;
  return out;
}

std::string Wire::read_all(int wait_ms) const {
  std::string out;
  while (true) {
    const int got = more(fd_, out, wait_ms);
    if (got == 0) return out;
    if (got < 0) return out + "…(still open)";
  }
}

bool Wire::ends(int wait_ms) const {
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(wait_ms);
  std::string ignored;
  while (true) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - std::chrono::steady_clock::now()).count();
    if (left < 0) return false;
    if (more(fd_, ignored, static_cast<int>(left)) == 0) return true;
  }
}

std::size_t count_of(std::string_view part, std::string_view text) {
  std::size_t count = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != std::string_view::npos; at += part.size()) ++count;
  return count;
}

}  // namespace rosterd::test
