#include "daemon/http/connection.hpp"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace rosterd::http {
namespace {

std::string tls_reason() {
  char text[256] = "unknown reason";
  if (const auto error = ERR_get_error(); error != 0) ERR_error_string_n(error, text, sizeof text);
  ERR_clear_error();
  return text;
}

struct FreeX509 {
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(GENERAL_NAMES* names) const { GENERAL_NAMES_free(names); }
};

std::string text_of(const ASN1_STRING* value) {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(value)), static_cast<std::size_t>(ASN1_STRING_length(value))};
}

/// Of a certificate that was verified; none was shown: none. Lengths are the certificate's own: a NUL inside does not shorten a name.
std::vector<std::string> names_in_certificate(const SSL* ssl) {
  const std::unique_ptr<X509, FreeX509> certificate(SSL_get1_peer_certificate(ssl));
  if (!certificate || SSL_get_verify_result(ssl) != X509_V_OK) return {};
  std::vector<std::string> out;
  const std::unique_ptr<GENERAL_NAMES, FreeX509> names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate.get(), NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const auto* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type == GEN_DNS) out.push_back(text_of(name->d.dNSName));
    if (name->type == GEN_URI) out.push_back(text_of(name->d.uniformResourceIdentifier));
  }
  if (!out.empty()) return out;
  auto* subject = X509_get_subject_name(certificate.get());
  if (const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1); at >= 0)
    out.push_back(text_of(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at))));
  return out;
}

}  // namespace

Result<TlsContext> make_tls_context(const std::string& certificate_file, const std::string& key_file, const std::string& client_ca_file) {
  ERR_clear_error();
  TlsContext context(SSL_CTX_new(TLS_server_method()));
  if (!context) return fail(Errc::Internal, "OpenSSL does not start: {}", tls_reason());
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION);
  // Nothing waits, hence partial writes and no automatic retry; an idle connection keeps no buffers.
  SSL_CTX_clear_mode(context.get(), SSL_MODE_AUTO_RETRY);
  SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  // A key under a passphrase is an error; OpenSSL would ask on the terminal for it.
  SSL_CTX_set_default_passwd_cb(context.get(), [](char*, int, int, void*) { return 0; });
  if (SSL_CTX_use_certificate_chain_file(context.get(), certificate_file.c_str()) != 1)
    return fail(Errc::InvalidInput, "reading the certificate {}: {}", certificate_file, tls_reason());
  if (SSL_CTX_use_PrivateKey_file(context.get(), key_file.c_str(), SSL_FILETYPE_PEM) != 1)
    return fail(Errc::InvalidInput, "reading the key {}: {}", key_file, tls_reason());
  if (SSL_CTX_check_private_key(context.get()) != 1)
    return fail(Errc::InvalidInput, "the key {} does not belong to {}", key_file, certificate_file);
  if (client_ca_file.empty()) return context;
  auto* authorities = SSL_load_client_CA_file(client_ca_file.c_str());
  if (authorities == nullptr || SSL_CTX_load_verify_locations(context.get(), client_ca_file.c_str(), nullptr) != 1) {
    sk_X509_NAME_pop_free(authorities, X509_NAME_free);
    return fail(Errc::InvalidInput, "reading the authorities of clients {}: {}", client_ca_file, tls_reason());
  }
  SSL_CTX_set_client_CA_list(context.get(), authorities);  // theirs to free
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  // A resumed session would bring an identity along that was verified hours ago.
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_TICKET);
  SSL_CTX_set_num_tickets(context.get(), 0);
  return context;
}

void Buffer::consume(std::size_t count) {
  begin_ += count;
  if (begin_ == end_) begin_ = end_ = 0;
}

void Buffer::resize(std::size_t capacity) {
  auto bytes = std::make_unique_for_overwrite<char[]>(capacity);
  const auto held = view();
  if (!held.empty()) std::memcpy(bytes.get(), held.data(), held.size());
  *account_ += capacity;
  *account_ -= capacity_;
  end_ = held.size();
  begin_ = 0;
  bytes_ = std::move(bytes);
  capacity_ = capacity;
}

void Buffer::reset() {
  *account_ -= capacity_;
  bytes_.reset();
  capacity_ = begin_ = end_ = 0;
}

void Buffer::swap(Buffer& other) noexcept {
  std::swap(bytes_, other.bytes_);
  std::swap(capacity_, other.capacity_);
  std::swap(begin_, other.begin_);
  std::swap(end_, other.end_);
}

Connection::Connection(Descriptor socket, Peer peer, SSL_CTX* tls, std::atomic<std::size_t>* account)
    : phase(tls == nullptr ? Phase::Reading : Phase::Handshake),
      input(account),
      since(Steady::now()),
      socket_(std::move(socket)),
      peer_(std::move(peer)) {
  if (tls == nullptr) return;
  tls_.reset(SSL_new(tls));
  broken_ = !tls_ || SSL_set_fd(tls_.get(), socket_.get()) != 1;
}

Connection::~Connection() {
  // A close-notify tells the peer that it has got everything; not after a handshake that never was, nor after an error (SSL_shutdown(3)).
  if (tls_ && !broken_ && phase != Phase::Handshake) {
    SSL_shutdown(tls_.get());
    ERR_clear_error();
  }
}

Connection::Io Connection::tls_result(int result) {
  switch (SSL_get_error(tls_.get(), result)) {
    case SSL_ERROR_WANT_READ:
      drained_ = true;
      return Io::WouldBlock;
    case SSL_ERROR_WANT_WRITE:
      wants_write_ = true;
      return Io::WouldBlock;
    case SSL_ERROR_ZERO_RETURN:
      return Io::Ended;
    default:
      ERR_clear_error();
      broken_ = true;
      return Io::Broken;
  }
}

Connection::Io Connection::handshake() {
  if (broken_) return Io::Broken;
  wants_write_ = false;
  ERR_clear_error();
  const int result = SSL_accept(tls_.get());
  if (result != 1) return tls_result(result);
  peer_.certificate = names_in_certificate(tls_.get());
  return Io::Done;
}

Connection::Io Connection::read(char* into, std::size_t room, std::size_t& count) {
  count = 0;
  if (tls_) {
    wants_write_ = false;
    ERR_clear_error();
    const int n = SSL_read(tls_.get(), into, static_cast<int>(std::min<std::size_t>(room, 1 << 30)));
    if (n <= 0) return tls_result(n);
    count = static_cast<std::size_t>(n);  // one record; there may be more, in OpenSSL's hands or the system's
    return Io::Done;
  }
  long n = 0;
  do n = ::recv(socket_.get(), into, room, MSG_DONTWAIT);
  while (n < 0 && errno == EINTR);
  if (n > 0) {
    count = static_cast<std::size_t>(n);
    drained_ = count < room && !thoroughly_;  // epoll(7), on edge-triggered events: a short read tells that nothing is left
    return Io::Done;
  }
  if (n == 0) return Io::Ended;
  if (errno != EAGAIN && errno != EWOULDBLOCK) return Io::Broken;
  drained_ = true;
  thoroughly_ = false;
  return Io::WouldBlock;
}

Connection::Io Connection::fill() {
  std::size_t count = 0;
  const auto result = read(input.room(), input.room_size(), count);
  input.added(count);
  return result;
}

Connection::Io Connection::discard(std::size_t& count) {
  char nowhere[16 * 1024];
  return read(nowhere, sizeof nowhere, count);
}

Connection::Io Connection::flush() {
  while (sent < output.size()) {
    const auto* from = output.data() + sent;
    const auto left = output.size() - sent;
    long n = 0;
    if (tls_) {
      wants_write_ = false;
      ERR_clear_error();
      n = SSL_write(tls_.get(), from, static_cast<int>(std::min<std::size_t>(left, 1 << 30)));
      if (n <= 0) return tls_result(static_cast<int>(n));
    } else {
      do n = ::send(socket_.get(), from, left, MSG_DONTWAIT | MSG_NOSIGNAL);
      while (n < 0 && errno == EINTR);
      if (n < 0) {
        if (errno != EAGAIN && errno != EWOULDBLOCK) return Io::Broken;
        wants_write_ = true;
        return Io::WouldBlock;
      }
    }
    sent += static_cast<std::size_t>(n);
  }
  wants_write_ = false;
  output.clear();
  sent = 0;
  return Io::Done;
}

void Connection::half_close() {
  if (tls_ && !broken_) {
    SSL_shutdown(tls_.get());
    ERR_clear_error();
  }
  ::shutdown(socket_.get(), SHUT_WR);
}

}  // namespace rosterd::http
