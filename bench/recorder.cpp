#include "bench/recorder.hpp"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <stdexcept>

namespace rosterd::bench {
namespace {

sockaddr_in loopback(int port) {
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  out.sin_port = htons(static_cast<std::uint16_t>(port));
  return out;
}

bool send_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const auto sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

}  // namespace

Recorder::Recorder(int to) : to_(to), listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  auto address = loopback(0);
  socklen_t size = sizeof address;
  if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(listener_, 16) != 0 ||
      ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0)
    throw std::runtime_error("the recorder has no port");
  port_ = ntohs(address.sin_port);
  acceptor_ = std::jthread([this] { accept_all(); });
}

Recorder::~Recorder() {
  over_ = true;
  acceptor_.join();
  threads_.clear();
  ::close(listener_);
}

std::vector<std::string> Recorder::gets() const {
  const std::lock_guard lock(mutex_);
  return gets_;
}

void Recorder::accept_all() {
  while (!over_) {
    pollfd ready{.fd = listener_, .events = POLLIN, .revents = 0};
    if (::poll(&ready, 1, 100) != 1) continue;
    const int client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (client >= 0) threads_.emplace_back([this, client] { forward(client); });
  }
}

void Recorder::forward(int client) {
  const int server = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  auto address = loopback(to_);
  bool good = ::connect(server, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  std::array<char, 65536> bytes{};
  while (good && !over_) {
    std::array<pollfd, 2> ends{{{.fd = client, .events = POLLIN, .revents = 0}, {.fd = server, .events = POLLIN, .revents = 0}}};
    if (::poll(ends.data(), ends.size(), 100) <= 0) continue;
    for (const auto& from : ends) {
      if (from.revents == 0) continue;
      const auto got = ::recv(from.fd, bytes.data(), bytes.size(), 0);
      if (got <= 0) {
        good = false;
        break;
      }
      const std::string_view text(bytes.data(), static_cast<std::size_t>(got));
      if (from.fd == client) note(text);
      good = good && send_all(from.fd == client ? server : client, text);
    }
  }
  ::close(client);
  ::close(server);
}

/// A client that waits for each answer sends each request as a write of its own.
void Recorder::note(std::string_view bytes) {
  if (!bytes.starts_with("GET ")) return;
  bytes.remove_prefix(4);
  const std::lock_guard lock(mutex_);
  gets_.emplace_back(bytes.substr(0, bytes.find(' ')));
}

}  // namespace rosterd::bench
