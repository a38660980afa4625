#include "tests/support/ldap_fault_server.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <optional>
#include <stdexcept>

namespace rosterd::test {
namespace {

constexpr std::string_view kPagedResults = "1.2.840.113556.1.4.319";

std::string tlv(unsigned char tag, std::string_view content) {
  std::string out(1, static_cast<char>(tag));
  const auto size = content.size();
  if (size < 128) {
    out += static_cast<char>(size);
  } else {
    out += static_cast<char>(0x84);
    for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(size >> shift & 0xff);
  }
  return out.append(content);
}

std::string integer(unsigned char tag, std::int64_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(value >> shift & 0xff);
  return tlv(tag, bytes);
}

std::string message(std::int64_t id, std::string_view operation, std::string_view controls = {}) {
  std::string content = integer(0x02, id);
  content += operation;
  if (!controls.empty()) content += tlv(0xa0, controls);
  return tlv(0x30, content);
}

std::string result(unsigned char tag, int code, std::string_view text) {
  return tlv(tag, tlv(0x0a, std::string(1, static_cast<char>(code))) + tlv(0x04, "") + tlv(0x04, text));
}

/// Reads one element at `at`: tag, content; moves on. Nothing when more bytes are needed.
struct Element {
  unsigned char tag = 0;
  std::string_view content;
};
std::optional<Element> read(std::string_view bytes, std::size_t& at) {
  if (at + 2 > bytes.size()) return std::nullopt;
  Element out{.tag = static_cast<unsigned char>(bytes[at]), .content = {}};
  std::size_t size = static_cast<unsigned char>(bytes[at + 1]);
  std::size_t head = 2;
  if (size >= 128) {
    const auto count = size & 0x7f;
    if (at + 2 + count > bytes.size()) return std::nullopt;
    size = 0;
    for (std::size_t i = 0; i < count; ++i) size = size << 8 | static_cast<unsigned char>(bytes[at + 2 + i]);
    head += count;
  }
  if (at + head + size > bytes.size()) return std::nullopt;
  out.content = bytes.substr(at + head, size);
  at += head + size;
  return out;
}

std::int64_t number(std::string_view content) {
  std::int64_t out = 0;
  for (const char c : content) out = out << 8 | static_cast<unsigned char>(c);
  return out;
}

LdapRequest decode(std::string_view content) {
  LdapRequest out;
  std::size_t at = 0;
  out.id = number(read(content, at)->content);
  const auto operation = *read(content, at);
  switch (operation.tag) {
    case 0x60:
      out.kind = LdapRequest::Kind::Bind;
      break;
    case 0x42:
      out.kind = LdapRequest::Kind::Unbind;
      break;
    case 0x50:
      out.kind = LdapRequest::Kind::Abandon;
      break;
    case 0x77:
      out.kind = LdapRequest::Kind::Extended;
      break;
    case 0x63: {
      out.kind = LdapRequest::Kind::Search;
      std::size_t in = 0;
      out.base = read(operation.content, in)->content;
      out.scope = static_cast<int>(number(read(operation.content, in)->content));
      for (int skip = 0; skip < 5; ++skip) read(operation.content, in);  // deref, size, time, types only, filter
      const auto list = *read(operation.content, in);
      std::size_t item = 0;
      while (const auto name = read(list.content, item)) out.attributes.emplace_back(name->content);
      break;
    }
    default:
      break;
  }
  if (const auto controls = read(content, at)) {
    std::size_t in = 0;
    while (const auto control = read(controls->content, in)) {
      std::size_t part = 0;
      if (read(control->content, part)->content != kPagedResults) continue;
      out.paged = true;
      while (const auto field = read(control->content, part)) {
        if (field->tag != 0x04) continue;
        std::size_t value = 0;
        const auto sequence = *read(field->content, value);
        value = 0;
        out.page_size = number(read(sequence.content, value)->content);
        out.cookie = read(sequence.content, value)->content;
      }
    }
  }
  return out;
}

int listen_on_loopback(int backlog, int& port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (fd < 0 || ::bind(fd, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(fd, backlog) != 0 ||
      ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0)
    throw std::runtime_error("no port to listen on");
  port = ntohs(address.sin_port);
  return fd;
}

}  // namespace

bool LdapRequest::asks_for(std::string_view attribute) const {
  for (const auto& name : attributes)
    if (name.size() == attribute.size() && ::strncasecmp(name.data(), attribute.data(), name.size()) == 0) return true;
  return false;
}

std::string ldap_entry(std::int64_t id, std::string_view dn, const LdapAttributes& attributes) {
  std::string list;
  for (const auto& [name, values] : attributes) {
    std::string set;
    for (const auto& value : values) set += tlv(0x04, value);
    list += tlv(0x30, tlv(0x04, name) + tlv(0x31, set));
  }
  return message(id, tlv(0x64, tlv(0x04, dn) + tlv(0x30, list)));
}

std::string ldap_reference(std::int64_t id, std::string_view url) { return message(id, tlv(0x73, tlv(0x04, url))); }

std::string ldap_done(std::int64_t id, int code, std::string_view text, const std::string* cookie) {
  std::string controls;
  if (cookie != nullptr) controls = tlv(0x30, tlv(0x04, kPagedResults) + tlv(0x04, tlv(0x30, integer(0x02, 0) + tlv(0x04, *cookie))));
  return message(id, result(0x65, code, text), controls);
}

void LdapConnection::send(std::string_view bytes) {
  while (!over_ && !bytes.empty()) {
    const auto sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

void LdapConnection::done(const LdapRequest& request, int code, std::string_view text) {
  const std::string closed;
  send(ldap_done(request.id, code, text, request.paged ? &closed : nullptr));
}

void LdapConnection::reset() {
  const linger now{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  over_ = true;
}

void LdapConnection::close() { over_ = true; }
void LdapConnection::mute() { mute_ = true; }

LdapFaultServer::LdapFaultServer(Options options) : options_(std::move(options)), listener_(listen_on_loopback(64, port_)) {
  acceptor_ = std::jthread([this](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      pollfd wait{.fd = listener_, .events = POLLIN, .revents = 0};
      if (::poll(&wait, 1, 20) <= 0) continue;  // looks at the stop token in between
      const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) continue;
      const int on = 1;
      ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      ++connections_;
      {
        const std::lock_guard lock(mutex_);
        open_.push_back(fd);
      }
      workers_.emplace_back([this, fd] { serve(fd); });
    }
  });
}

LdapFaultServer::~LdapFaultServer() {
  acceptor_.request_stop();
  acceptor_.join();
  {
    const std::lock_guard lock(mutex_);
    for (const int fd : open_) ::shutdown(fd, SHUT_RDWR);
  }
  workers_.clear();
  ::close(listener_);
}

std::string LdapFaultServer::url(std::string_view scheme) const { return std::string(scheme) + "://127.0.0.1:" + std::to_string(port_); }

void LdapFaultServer::serve(int fd) {
  LdapConnection connection(fd);
  std::string buffer;
  char bytes[65536];
  while (!connection.over_) {
    const auto got = ::recv(fd, bytes, sizeof bytes, 0);
    if (got <= 0) break;
    if (options_.mute_from_start || connection.mute_) continue;
    buffer.append(bytes, static_cast<std::size_t>(got));
    std::size_t at = 0;
    while (const auto whole = read(buffer, at)) {
      const auto request = decode(whole->content);
      if (!connection.over_ && !connection.mute_) answer(connection, request);
    }
    buffer.erase(0, at);
  }
  const std::lock_guard lock(mutex_);
  std::erase(open_, fd);
  ::close(fd);
}

void LdapFaultServer::answer(LdapConnection& connection, const LdapRequest& request) const {
  if (options_.handler && options_.handler(connection, request)) return;
  switch (request.kind) {
    case LdapRequest::Kind::Bind:
      return connection.send(message(request.id, result(0x61, 0, {})));
    case LdapRequest::Kind::Extended:
      return connection.send(message(request.id, result(0x78, 2, "unknown extended request")));
    case LdapRequest::Kind::Search:
      break;
    case LdapRequest::Kind::Unbind:
    case LdapRequest::Kind::Abandon:
    case LdapRequest::Kind::Other:
      return;
  }
  if (request.base.empty()) {
    LdapAttributes root = {{"supportedControl", {std::string(kPagedResults)}}, {"namingContexts", {"dc=example,dc=com"}}};
    if (options_.active_directory) root.push_back({"supportedCapabilities", {"1.2.840.113556.1.4.800"}});
    connection.entry(request, "", root);
  } else if (request.scope == 0) {
    connection.entry(request, request.base, {});
  }
  connection.done(request);
}

SilentPort::SilentPort() : listener_(listen_on_loopback(0, port_)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port_));
  // Once the queue of accepted connections is full, the kernel drops further SYNs.
  for (int i = 0; i < 4; ++i) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    ::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address);
    fillers_.push_back(fd);
  }
}

SilentPort::~SilentPort() {
  for (const int fd : fillers_) ::close(fd);
  ::close(listener_);
}

}  // namespace rosterd::test
