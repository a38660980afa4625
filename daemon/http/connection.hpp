#pragma once
// One accepted connection: buffered reads against a deadline and a budget, buffered writes sent in one piece, TLS where configured.

#include <openssl/ssl.h>

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "schema/core/clock.hpp"
#include "schema/core/result.hpp"

namespace rosterd::http {

struct FreeSsl {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
using TlsContext = std::unique_ptr<SSL_CTX, FreeSsl>;

/// InvalidInput says what is wrong with certificate or key.
[[nodiscard]] Result<TlsContext> make_tls_context(const std::string& certificate_file, const std::string& key_file);

class Connection {
 public:
  using Steady = std::chrono::steady_clock;

  /// Takes the socket; closes it at the end.
  Connection(int socket, SSL_CTX* tls) : socket_(socket), tls_context_(tls) {}
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// The TLS handshake, nothing without TLS. False: hang up.
  [[nodiscard]] bool open(Millis timeout);
  /// True once there is something to read; false when the peer has gone or `give_up(idle for)` says so.
  template <class GiveUp>
  [[nodiscard]] bool wait_for_request(GiveUp give_up) {
    const auto since = Steady::now();
    while (true) {
      if (pending()) return true;
      if (poll_in(kSlice)) return readable_ = true;
      if (give_up(std::chrono::duration_cast<Millis>(Steady::now() - since))) return false;
    }
  }
  /// From here to head_done() at most `budget` bytes are read, and until `deadline` for the whole request.
  void begin_request(std::size_t budget, Steady::time_point deadline);
  void head_done();

  /// Bytes read, 0 at the end, -1 for an error, the deadline or a head beyond its budget.
  [[nodiscard]] long read(char* into, std::size_t size);
  [[nodiscard]] bool read_exactly(std::string& into, std::size_t size);
  /// Reads and forgets.
  [[nodiscard]] bool skip(std::size_t size);
  void write(std::string_view bytes) { out_.append(bytes); }
  /// Sends what was written.
  [[nodiscard]] bool flush(Millis timeout);

  [[nodiscard]] bool pending() const;
  [[nodiscard]] int socket() const { return socket_; }
  [[nodiscard]] bool head_too_large() const { return too_large_; }

 private:
  static constexpr Millis kSlice{50};  // how soon a waiting connection notices that it should leave
  [[nodiscard]] bool poll_in(Millis timeout) const;
  [[nodiscard]] bool fill();

  int socket_;
  SSL_CTX* tls_context_;
  std::unique_ptr<SSL, FreeSsl> tls_;
  std::string out_;
  char buffer_[8192];
  std::size_t begin_ = 0, end_ = 0;
  std::size_t budget_ = 0;
  Steady::time_point deadline_{};
  bool too_large_ = false;
  bool readable_ = false;  // poll has just said so: no need to ask again
};

}  // namespace rosterd::http
