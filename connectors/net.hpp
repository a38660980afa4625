#pragma once
// From a host name to a connected socket, within a deadline and within the address policy of DESIGN §6.1. The address that was
// checked is the one connected to, so a name that answers differently the second time gains nothing.

#include <sys/socket.h>

#include <array>
#include <chrono>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "schema/core/result.hpp"

namespace rosterd::connectors {

using Deadline = std::chrono::steady_clock::time_point;

/// A file descriptor that closes itself.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept;
  ~Fd();
  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] int release() { return std::exchange(fd_, -1); }

 private:
  int fd_ = -1;
};

/// A CIDR block; IPv4 is kept as its IPv4-mapped IPv6 form.
struct Network {
  std::array<unsigned char, 16> prefix{};
  int bits = 0;
};
[[nodiscard]] Result<Network> parse_network(std::string_view cidr);

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;
  std::string text;  ///< "192.0.2.7"
};

/// "192.0.2.7" or "2001:db8::1"; empty for what is no IP address.
[[nodiscard]] std::string numeric_text(const Address& address);
/// "a loopback address", "a private address", … for what is refused unless listed; empty for a public address.
[[nodiscard]] std::string_view special_range(const Address& address);
[[nodiscard]] bool is_listed(const Address& address, std::span<const Network> allowed);
/// The host text itself names this machine: localhost, 127.0.0.0/8, ::1. No resolving.
[[nodiscard]] bool is_loopback_name(std::string_view host);

/// Names go to the system's resolver on a thread of its own, since getaddrinfo can not be interrupted.
[[nodiscard]] Result<std::vector<Address>> resolve(const std::string& host, std::uint16_t port, Deadline deadline, std::stop_token stop);
/// A blocking, connected TCP socket with keepalive and TCP_USER_TIMEOUT.
[[nodiscard]] Result<Fd> connect_tcp(const Address& address, Deadline deadline, std::chrono::milliseconds silence, std::stop_token stop);

}  // namespace rosterd::connectors
