#include "daemon/http/listening.hpp"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

namespace rosterd::http {
namespace {

constexpr int kBacklog = 4096;  // the kernel cuts it to net.core.somaxconn

std::string reason() { return std::generic_category().message(errno); }

bool somebody_listens(const sockaddr_un& address) {
  const Descriptor probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  return !probe || ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 || errno != ECONNREFUSED;
}

}  // namespace

void Descriptor::close() {
  if (number_ >= 0) ::close(std::exchange(number_, -1));
}

Result<Listening> Listening::tcp(const std::string& host, std::uint16_t port) {
  const auto cannot = [&](std::string_view why) { return fail(Errc::Unavailable, "listening on {}:{}: {}", host, port, why); };
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  if (const int error = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found); error != 0)
    return cannot(::gai_strerror(error));
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> addresses(found, &::freeaddrinfo);
  std::string why = "the address cannot be used";
  bool taken = false;
  for (const auto* address = found; address != nullptr; address = address->ai_next) {
    Listening out(Descriptor(::socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)));
    // No SO_REUSEPORT: two daemons on one port are a mistake to be told.
    const int yes = 1, no = 0;
    if (out.socket() >= 0) {
      ::setsockopt(out.socket(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
      if (address->ai_family == AF_INET6) ::setsockopt(out.socket(), IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no);
    }
    sockaddr_storage bound{};
    socklen_t length = sizeof bound;
    if (out.socket() < 0 || ::bind(out.socket(), address->ai_addr, address->ai_addrlen) != 0 || ::listen(out.socket(), kBacklog) != 0 ||
        ::getsockname(out.socket(), reinterpret_cast<sockaddr*>(&bound), &length) != 0) {
      taken = errno == EADDRINUSE;
      why = reason();
      continue;
    }
    out.port_ = ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6&>(bound).sin6_port
                                                  : reinterpret_cast<const sockaddr_in&>(bound).sin_port);
    return out;
  }
  if (taken)
    return fail(Errc::Unavailable,
                "listening on {}:{}: another program listens there already; stop it (ss -ltnp names it), or choose another server.listen",
                host, port);
  return cannot(why);
}

Result<Listening> Listening::unix_socket(const std::string& path, unsigned mode) {
  const auto cannot = [&](std::string_view why) { return fail(Errc::Unavailable, "listening on {}: {}", path, why); };
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    return fail(Errc::InvalidInput, "{}: the path of a unix socket is at most {} bytes long", path, sizeof address.sun_path - 1);
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);

  struct stat there{};
  if (::lstat(path.c_str(), &there) == 0) {
    if (!S_ISSOCK(there.st_mode)) return cannot("something that is no socket stands there");
    if (somebody_listens(address)) return cannot("another process listens there");
    if (::unlink(path.c_str()) != 0) return cannot(reason());  // left by a daemon that was killed
  }
  Listening out(Descriptor(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)));
  if (out.socket() < 0 || ::bind(out.socket(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return cannot(reason());
  out.path_ = path;
  if (::lstat(path.c_str(), &there) != 0) return cannot(reason());
  out.device_ = there.st_dev;
  out.inode_ = there.st_ino;
  // Nobody can connect before listen(), so that the mode holds from the first moment.
  if (::chmod(path.c_str(), static_cast<mode_t>(mode)) != 0 || ::listen(out.socket(), kBacklog) != 0) return cannot(reason());
  return out;
}

void Listening::close() {
  if (!socket_) return;
  struct stat there{};
  if (is_unix() && ::lstat(path_.c_str(), &there) == 0 && there.st_dev == device_ && there.st_ino == inode_) ::unlink(path_.c_str());
  socket_.close();
}

}  // namespace rosterd::http
