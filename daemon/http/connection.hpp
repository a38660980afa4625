#pragma once
// One accepted connection: its socket, TLS where configured, what has arrived and what is still to be sent. No verb of it ever waits: each
// does what can be done now and says how far it came. Used by one thread at a time.

#include <openssl/ssl.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/http/listening.hpp"
#include "schema/core/clock.hpp"
#include "schema/core/result.hpp"

namespace rosterd::http {

struct FreeSsl {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
using TlsContext = std::unique_ptr<SSL_CTX, FreeSsl>;

/// InvalidInput says what is wrong with which file. With a `client_ca_file` clients are asked for a certificate and may do without.
[[nodiscard]] Result<TlsContext> make_tls_context(const std::string& certificate_file, const std::string& key_file,
                                                  const std::string& client_ca_file = {});

/// Who is at the other end.
struct Peer {
  std::string address;  ///< of TCP; "unix" over the unix socket
  bool unix_socket = false;
  std::vector<std::string> certificate = {};  ///< DNS names and URIs of the verified client certificate; without any, its common name
};

/// Bytes that have arrived, in memory that is counted.
class Buffer {
 public:
  explicit Buffer(std::atomic<std::size_t>* account) : account_(account) {}
  ~Buffer() { reset(); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  [[nodiscard]] std::string_view view() const { return {bytes_.get() + begin_, end_ - begin_}; }
  [[nodiscard]] bool empty() const { return begin_ == end_; }
  [[nodiscard]] std::size_t capacity() const { return capacity_; }
  void consume(std::size_t count);
  /// The place after the last byte, and how many fit there.
  [[nodiscard]] char* room() { return bytes_.get() + end_; }
  [[nodiscard]] std::size_t room_size() const { return capacity_ - end_; }
  void added(std::size_t count) { end_ += count; }
  /// Moves the bytes into memory of this size, which must hold them.
  void resize(std::size_t capacity);
  void reset();
  void swap(Buffer& other) noexcept;

 private:
  std::atomic<std::size_t>* account_;
  std::unique_ptr<char[]> bytes_;
  std::size_t capacity_ = 0, begin_ = 0, end_ = 0;
};

class Connection {
 public:
  using Steady = std::chrono::steady_clock;
  enum class Phase { Handshake, Reading, Writing, Lingering };
  enum class Io {
    Done,        ///< something was read, everything was sent, the handshake is over
    WouldBlock,  ///< the peer's turn
    Ended,       ///< nothing more comes from there
    Broken,
  };
  /// Gives the next piece of an answer that is made while it is sent; false = that was the last one.
  using Stream = std::function<Result<bool>(std::string& out)>;

  /// With a context the peer has to begin with a TLS handshake.
  Connection(Descriptor socket, Peer peer, SSL_CTX* tls, std::atomic<std::size_t>* account);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  [[nodiscard]] Io handshake();
  /// Reads once into `input`, which must have room.
  [[nodiscard]] Io fill();
  /// Reads once and forgets.
  [[nodiscard]] Io discard(std::size_t& count);
  /// Sends what is left of `output`.
  [[nodiscard]] Io flush();
  /// Says to the peer that nothing more comes; reading goes on.
  void half_close();

  /// Something may have arrived. `thoroughly`: read until the system says that there is nothing, a short read does not prove it.
  void look_again(bool thoroughly) {
    drained_ = false;
    thoroughly_ = thoroughly_ || thoroughly;
  }
  /// Everything that had arrived when it was last looked has been read.
  [[nodiscard]] bool drained() const { return drained_; }
  [[nodiscard]] bool is_tls() const { return tls_ != nullptr; }
  [[nodiscard]] bool wants_write() const { return wants_write_; }
  [[nodiscard]] int socket() const { return socket_.get(); }
  [[nodiscard]] const Peer& peer() const { return peer_; }

  // What those who serve it note on it.
  Phase phase;
  Buffer input;
  std::string output;
  std::size_t sent = 0;       ///< of output
  Stream stream;              ///< more output to come
  std::size_t scanned = 0;    ///< of input, by look()
  std::size_t served = 0;     ///< requests
  std::size_t discarded = 0;  ///< bytes, while lingering
  bool ended = false;         ///< the peer sends nothing more
  bool closing = false;       ///< after the output, and after reading on for a moment so that it arrives
  bool continued = false;     ///< the 100 was sent
  bool surplus = false;       ///< beyond max_connections: it gets one answer, which says so
  bool watched_for_writing = false;
  Steady::time_point since{};                               ///< accepted, or last answered
  Steady::time_point deadline = Steady::time_point::max();  ///< of the request that is arriving, or the output that is leaving

 private:
  [[nodiscard]] Io read(char* into, std::size_t room, std::size_t& count);
  [[nodiscard]] Io tls_result(int result);

  Descriptor socket_;
  Peer peer_;
  std::unique_ptr<SSL, FreeSsl> tls_;
  bool drained_ = false, thoroughly_ = false, wants_write_ = false, broken_ = false;
};

}  // namespace rosterd::http
