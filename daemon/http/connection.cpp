#include "daemon/http/connection.hpp"

#include <openssl/err.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <limits>

namespace rosterd::http {
namespace {

std::string tls_reason() {
  char text[256] = "unknown reason";
  if (const auto error = ERR_get_error(); error != 0) ERR_error_string_n(error, text, sizeof text);
  ERR_clear_error();
  return text;
}

int milliseconds_left(Connection::Steady::time_point deadline) {
  const auto left = std::chrono::duration_cast<Millis>(deadline - Connection::Steady::now()).count();
  return static_cast<int>(std::clamp<long>(left, 0, 1'000'000));
}

bool ready(int socket, short events, int timeout) {
  pollfd entry{.fd = socket, .events = events, .revents = 0};
  while (true) {
    const int n = ::poll(&entry, 1, timeout);
    if (n >= 0 || errno != EINTR) return n > 0;
  }
}

}  // namespace

Result<TlsContext> make_tls_context(const std::string& certificate_file, const std::string& key_file) {
  TlsContext context(SSL_CTX_new(TLS_server_method()));
  if (!context) return fail(Errc::Internal, "OpenSSL does not start: {}", tls_reason());
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_mode(context.get(), SSL_MODE_AUTO_RETRY);
  if (SSL_CTX_use_certificate_chain_file(context.get(), certificate_file.c_str()) != 1)
    return fail(Errc::InvalidInput, "reading the certificate {}: {}", certificate_file, tls_reason());
  if (SSL_CTX_use_PrivateKey_file(context.get(), key_file.c_str(), SSL_FILETYPE_PEM) != 1)
    return fail(Errc::InvalidInput, "reading the key {}: {}", key_file, tls_reason());
  if (SSL_CTX_check_private_key(context.get()) != 1)
    return fail(Errc::InvalidInput, "the key {} does not belong to {}", key_file, certificate_file);
  return context;
}

Connection::~Connection() {
  if (tls_) SSL_shutdown(tls_.get());
  ::shutdown(socket_, SHUT_RDWR);
  ::close(socket_);
}

bool Connection::open(Millis timeout) {
  const timeval limit{.tv_sec = timeout.count() / 1000, .tv_usec = (timeout.count() % 1000) * 1000};
  ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  ::setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  if (tls_context_ == nullptr) return true;
  tls_.reset(SSL_new(tls_context_));
  if (!tls_ || SSL_set_fd(tls_.get(), socket_) != 1) return false;
  const bool open = SSL_accept(tls_.get()) == 1;
  if (!open) {
    ERR_clear_error();
    tls_.reset();  // no close-notify on a handshake that never was
  }
  return open;
}

bool Connection::pending() const { return begin_ < end_ || (tls_ && SSL_pending(tls_.get()) > 0); }

bool Connection::poll_in(Millis timeout) const { return ready(socket_, POLLIN, static_cast<int>(timeout.count())); }

void Connection::begin_request(std::size_t budget, Steady::time_point deadline) {
  budget_ = budget;
  deadline_ = deadline;
  too_large_ = false;
}

void Connection::head_done() { budget_ = std::numeric_limits<std::size_t>::max(); }

bool Connection::fill() {
  begin_ = end_ = 0;
  if (!std::exchange(readable_, false) && !(tls_ && SSL_pending(tls_.get()) > 0) && !ready(socket_, POLLIN, milliseconds_left(deadline_)))
    return false;
  long n = 0;
  if (tls_) {
    n = SSL_read(tls_.get(), buffer_, sizeof buffer_);
    if (n <= 0) ERR_clear_error();
  } else {
    do n = ::recv(socket_, buffer_, sizeof buffer_, 0);
    while (n < 0 && errno == EINTR);
  }
  if (n <= 0) return false;
  end_ = static_cast<std::size_t>(n);
  return true;
}

long Connection::read(char* into, std::size_t size) {
  if (budget_ == 0) {
    too_large_ = true;
    return -1;
  }
  if (begin_ == end_ && !fill()) return -1;
  const auto n = std::min({size, end_ - begin_, budget_});
  std::memcpy(into, buffer_ + begin_, n);
  begin_ += n;
  budget_ -= n;
  return static_cast<long>(n);
}

bool Connection::read_exactly(std::string& into, std::size_t size) {
  into.resize(size);
  for (std::size_t done = 0; done < size;) {
    const auto n = read(into.data() + done, size - done);
    if (n <= 0) return false;
    done += static_cast<std::size_t>(n);
  }
  return true;
}

bool Connection::skip(std::size_t size) {
  char nowhere[4096];
  while (size > 0) {
    const auto n = read(nowhere, std::min(size, sizeof nowhere));
    if (n <= 0) return false;
    size -= static_cast<std::size_t>(n);
  }
  return true;
}

bool Connection::flush(Millis timeout) {
  const auto deadline = Steady::now() + timeout;
  std::string_view left = out_;
  while (!left.empty()) {
    long n = 0;
    if (tls_) {
      n = SSL_write(tls_.get(), left.data(), static_cast<int>(std::min<std::size_t>(left.size(), 1 << 20)));
      if (n <= 0) ERR_clear_error();
    } else {
      n = ::send(socket_, left.data(), left.size(), MSG_NOSIGNAL);
      if (n < 0 && (errno == EINTR || ((errno == EAGAIN || errno == EWOULDBLOCK) && ready(socket_, POLLOUT, milliseconds_left(deadline)))))
        continue;
    }
    if (n <= 0 || Steady::now() > deadline) break;
    left.remove_prefix(static_cast<std::size_t>(n));
  }
  const bool sent = left.empty();
  out_.clear();
  if (out_.capacity() > (1 << 20)) out_.shrink_to_fit();  // one long list should not stay with the thread
  return sent;
}

}  // namespace rosterd::http
