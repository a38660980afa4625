#include "connectors/net.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <charconv>
#include <condition_variable>
#include <cstring>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

namespace rosterd::connectors {
namespace {

using Bytes16 = std::array<unsigned char, 16>;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

Bytes16 mapped(const in_addr& v4) {
  Bytes16 out{};
  out[10] = out[11] = 0xff;
  std::memcpy(out.data() + 12, &v4, 4);
  return out;
}

bool starts_with(const Bytes16& address, const Bytes16& prefix, int bits) {
  const auto whole = static_cast<std::size_t>(bits / 8);
  if (std::memcmp(address.data(), prefix.data(), whole) != 0) return false;
  if (bits % 8 == 0) return true;
  const auto mask = static_cast<unsigned char>(0xff << (8 - bits % 8));
  return (address[whole] & mask) == (prefix[whole] & mask);
}

Bytes16 bytes_of(const Address& address) {
  if (address.storage.ss_family == AF_INET) return mapped(reinterpret_cast<const sockaddr_in&>(address.storage).sin_addr);
  Bytes16 out{};
  std::memcpy(out.data(), &reinterpret_cast<const sockaddr_in6&>(address.storage).sin6_addr, 16);
  // 64:ff9b::/96 (RFC 6052) carries an IPv4 address through a NAT64: judge the address that is really reached.
  constexpr Bytes16 kNat64 = {0, 0x64, 0xff, 0x9b};
  if (starts_with(out, kNat64, 96)) {
    in_addr v4{};
    std::memcpy(&v4, out.data() + 12, 4);
    return mapped(v4);
  }
  return out;
}

struct Range {
  std::string_view cidr, what;
};
// IANA special-purpose registries (RFC 6890 and successors): what is not the public Internet.
constexpr Range kSpecial[] = {
    {"127.0.0.0/8", "a loopback address"},      {"::1/128", "a loopback address"},
    {"169.254.0.0/16", "a link-local address"}, {"fe80::/10", "a link-local address"},
    {"10.0.0.0/8", "a private address"},        {"172.16.0.0/12", "a private address"},
    {"192.168.0.0/16", "a private address"},    {"fc00::/7", "a private address"},
    {"fec0::/10", "a private address"},         {"100.64.0.0/10", "a shared address (carrier NAT)"},
    {"0.0.0.0/8", "an unspecified address"},    {"::/128", "an unspecified address"},
    {"192.0.0.0/24", "a reserved address"},     {"198.18.0.0/15", "a reserved address"},
    {"224.0.0.0/4", "a multicast address"},     {"ff00::/8", "a multicast address"},
    {"240.0.0.0/4", "a reserved address"},
};

std::optional<Network> network(std::string_view cidr) {
  const auto slash = cidr.find('/');
  const std::string host(cidr.substr(0, slash));
  Network out;
  int most = 128;
  int offset = 0;
  in_addr v4{};
  in6_addr v6{};
  if (inet_pton(AF_INET, host.c_str(), &v4) == 1) {
    out.prefix = mapped(v4);
    most = 32;
    offset = 96;
  } else if (inet_pton(AF_INET6, host.c_str(), &v6) == 1) {
    std::memcpy(out.prefix.data(), &v6, 16);
  } else {
    return std::nullopt;
  }
  out.bits = most;
  if (slash != std::string_view::npos) {
    const auto digits = cidr.substr(slash + 1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), out.bits);
    if (error != std::errc{} || end != digits.data() + digits.size() || out.bits < 0 || out.bits > most) return std::nullopt;
  }
  out.bits += offset;
  return out;
}

struct Answer {
  std::mutex mutex;
  std::condition_variable_any ready;
  bool done = false;
  int code = 0;
  int system_error = 0;
  std::vector<Address> addresses;
};

std::vector<Address> copy(const addrinfo* list) {
  std::vector<Address> out;
  for (const addrinfo* item = list; item != nullptr; item = item->ai_next) {
    if (item->ai_addrlen > sizeof(sockaddr_storage)) continue;
    Address address;
    std::memcpy(&address.storage, item->ai_addr, item->ai_addrlen);
    address.size = item->ai_addrlen;
    address.text = numeric_text(address);
    out.push_back(std::move(address));
  }
  return out;
}

int look_up(const std::string& host, const std::string& port, int flags, std::vector<Address>& out) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags | AI_NUMERICSERV;
  addrinfo* list = nullptr;
  const int code = getaddrinfo(host.c_str(), port.c_str(), &hints, &list);
  if (code == 0) {
    out = copy(list);
    freeaddrinfo(list);
  }
  return code;
}

}  // namespace

Fd& Fd::operator=(Fd&& other) noexcept {
  if (this != &other) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

Fd::~Fd() {
  if (fd_ >= 0) ::close(fd_);
}

Result<Network> parse_network(std::string_view cidr) {
  if (auto found = network(cidr)) return *found;
  return fail(Errc::InvalidInput, "\"{}\" is no network in CIDR form such as 10.0.0.0/8 or fd00::/8", cidr);
}

std::string numeric_text(const Address& address) {
  char text[INET6_ADDRSTRLEN + 1] = {};
  const auto* const raw = reinterpret_cast<const sockaddr*>(&address.storage);
  return getnameinfo(raw, address.size, text, sizeof text, nullptr, 0, NI_NUMERICHOST) == 0 ? text : std::string();
}

std::string_view special_range(const Address& address) {
  const auto bytes = bytes_of(address);
  for (const auto& range : kSpecial) {
    const auto block = network(range.cidr);
    if (block && starts_with(bytes, block->prefix, block->bits)) return range.what;
  }
  return {};
}

bool is_listed(const Address& address, std::span<const Network> allowed) {
  const auto bytes = bytes_of(address);
  for (const auto& block : allowed)
    if (starts_with(bytes, block.prefix, block.bits)) return true;
  return false;
}

bool is_loopback_name(std::string_view host) {
  if (host == "localhost" || host == "::1") return true;
  in_addr v4{};
  return inet_pton(AF_INET, std::string(host).c_str(), &v4) == 1 && (ntohl(v4.s_addr) >> 24) == 127;
}

Result<std::vector<Address>> resolve(const std::string& host, std::uint16_t port, Deadline deadline, std::stop_token stop) {
  const auto service = std::to_string(port);
  std::vector<Address> numeric;
  if (look_up(host, service, AI_NUMERICHOST, numeric) == 0) return numeric;

  const auto answer = std::make_shared<Answer>();
  std::thread([answer, host, service] {
    std::vector<Address> found;
    const int code = look_up(host, service, 0, found);
    const std::lock_guard lock(answer->mutex);
    answer->done = true;
    answer->code = code;
    answer->system_error = errno;
    answer->addresses = std::move(found);
    answer->ready.notify_all();
  }).detach();  // it ends when the resolver gives up; what it shares it owns a part of

  std::unique_lock lock(answer->mutex);
  answer->ready.wait_until(lock, stop, deadline, [&] { return answer->done; });
  if (!answer->done && stop.stop_requested()) return fail(Errc::Stopped, "resolving {}: told to stop", host);
  if (!answer->done) return fail(Errc::Unavailable, "resolving {}: no answer from the name server in time", host);
  if (answer->code == EAI_SYSTEM) return fail(Errc::Unavailable, "resolving {}: {}", host, std::strerror(answer->system_error));
  if (answer->code != 0) return fail(Errc::Unavailable, "resolving {}: {}; check the host name", host, gai_strerror(answer->code));
  return std::move(answer->addresses);
}

Result<Fd> connect_tcp(const Address& address, Deadline deadline, milliseconds silence, std::stop_token stop) {
  Fd fd(::socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP));
  Fd wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (fd.get() < 0 || wake.get() < 0) return fail(Errc::Unavailable, "making a socket: {}", std::strerror(errno));
  const std::stop_callback on_stop(stop, [&wake] { eventfd_write(wake.get(), 1); });

  int on = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  const auto user_timeout = static_cast<unsigned>(silence.count());
  ::setsockopt(fd.get(), IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout, sizeof user_timeout);

  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address.storage), address.size) != 0) {
    if (errno != EINPROGRESS) return fail(Errc::Unavailable, "{}", std::strerror(errno));
    for (;;) {
      const auto left = std::chrono::ceil<milliseconds>(deadline - steady_clock::now()).count();
      if (left <= 0) return fail(Errc::Unavailable, "no answer in time (firewall, or the host is down)");
      pollfd waits[2] = {{.fd = fd.get(), .events = POLLOUT, .revents = 0}, {.fd = wake.get(), .events = POLLIN, .revents = 0}};
      const int ready = ::poll(waits, 2, static_cast<int>(std::min<long long>(left, 3'600'000)));
      if (ready < 0 && errno != EINTR) return fail(Errc::Unavailable, "waiting for the connection: {}", std::strerror(errno));
      if (stop.stop_requested()) return fail(Errc::Stopped, "told to stop");
      if (ready > 0 && waits[0].revents != 0) break;
    }
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return fail(Errc::Unavailable, "{}", std::strerror(error));
  }
  // libldap 2.5 is reliable on blocking sockets only; the watchdog ends its waits.
  ::fcntl(fd.get(), F_SETFL, ::fcntl(fd.get(), F_GETFL) & ~O_NONBLOCK);
  return fd;
}

}  // namespace rosterd::connectors
