#pragma once
// The sockets rosterd answers on: an address goes in, a listening socket that never blocks comes out. A TCP port, and where configured a
// unix socket beside it.

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <utility>

#include "schema/core/result.hpp"

namespace rosterd::http {

/// A file descriptor that closes itself.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() { close(); }
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    if (this != &other) {
      close();
      number_ = std::exchange(other.number_, -1);
    }
    return *this;
  }
  [[nodiscard]] int get() const { return number_; }
  explicit operator bool() const { return number_ >= 0; }
  void close();

 private:
  int number_ = -1;
};

class Listening {
 public:
  /// Unavailable when the address is taken or cannot be used; port 0 takes any free one.
  [[nodiscard]] static Result<Listening> tcp(const std::string& host, std::uint16_t port);
  /// A socket file that nobody listens on any more is replaced; anything else that stands at `path` is an error. `mode` is what chmod(1)
  /// takes: who may connect.
  [[nodiscard]] static Result<Listening> unix_socket(const std::string& path, unsigned mode);
  ~Listening() { close(); }
  Listening(Listening&&) = default;
  Listening& operator=(Listening&&) = delete;

  [[nodiscard]] int socket() const { return socket_.get(); }
  [[nodiscard]] bool is_unix() const { return !path_.empty(); }
  [[nodiscard]] std::uint16_t port() const { return port_; }
  /// Takes no more connections, and takes the socket file away unless somebody has put another there.
  void close();

 private:
  explicit Listening(Descriptor socket) : socket_(std::move(socket)) {}
  Descriptor socket_;
  std::uint16_t port_ = 0;
  std::string path_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

}  // namespace rosterd::http
