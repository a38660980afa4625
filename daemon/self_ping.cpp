#include "daemon/self_ping.hpp"

#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>

namespace rosterd {
namespace {

class Socket {
 public:
  explicit Socket(int fd) : fd_(fd) {}
  ~Socket() {
    if (fd_ >= 0) ::close(fd_);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  [[nodiscard]] int fd() const { return fd_; }

 private:
  int fd_;
};

Result<void> wait_for(int fd, short events, std::chrono::steady_clock::time_point until, std::string_view doing) {
  pollfd waiting{fd, events, 0};
  const auto left = std::chrono::duration_cast<Millis>(until - std::chrono::steady_clock::now()).count();
  const int ready = ::poll(&waiting, 1, static_cast<int>(std::max<std::int64_t>(left, 0)));
  if (ready > 0) return {};
  if (ready == 0) return fail(Errc::Unavailable, "{}: no answer in time", doing);
  return fail(Errc::Unavailable, "{}: {}", doing, std::generic_category().message(errno));
}

}  // namespace

Result<void> ping_http(const std::string& host, std::uint16_t port, Millis deadline) {
  const auto until = std::chrono::steady_clock::now() + deadline;
  const auto target = host == "0.0.0.0" ? "127.0.0.1" : host == "::" ? "::1" : host;
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int error = ::getaddrinfo(target.c_str(), std::to_string(port).c_str(), &hints, &found); error != 0)
    return fail(Errc::Unavailable, "resolving {}: {}", target, ::gai_strerror(error));
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> addresses(found, &::freeaddrinfo);

  const Socket socket(::socket(addresses->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (socket.fd() < 0) return fail(Errc::Unavailable, "making a socket: {}", std::generic_category().message(errno));
  if (::connect(socket.fd(), addresses->ai_addr, addresses->ai_addrlen) != 0 && errno != EINPROGRESS)
    return fail(Errc::Unavailable, "connecting: {}", std::generic_category().message(errno));
  if (const auto ok = wait_for(socket.fd(), POLLOUT, until, "connecting"); !ok) return ok;
  constexpr std::string_view kRequest = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
  if (::send(socket.fd(), kRequest.data(), kRequest.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(kRequest.size()))
    return fail(Errc::Unavailable, "asking: {}", std::generic_category().message(errno));
  return wait_for(socket.fd(), POLLIN, until, "waiting for the answer");  // readable also when the server closed: somebody was there
}

}  // namespace rosterd
