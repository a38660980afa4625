#include "tests/support/http_fault_server.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>

#include <chrono>
#include <stdexcept>

namespace rosterd::test {
namespace {

bool send_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const auto sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

std::string decoded(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '%' && at + 2 < text.size()) {
      out += static_cast<char>(std::stoi(std::string(text.substr(at + 1, 2)), nullptr, 16));
      at += 2;
    } else {
      out += text[at] == '+' ? ' ' : text[at];
    }
  }
  return out;
}

void take_target(HttpAsked& asked) {
  const auto mark = asked.target.find('?');
  asked.path = decoded(std::string_view(asked.target).substr(0, mark));
  if (mark == std::string::npos) return;
  std::string_view rest = std::string_view(asked.target).substr(mark + 1);
  while (!rest.empty()) {
    const auto end = std::min(rest.find('&'), rest.size());
    const auto pair = rest.substr(0, end);
    const auto equal = std::min(pair.find('='), pair.size());
    asked.query[decoded(pair.substr(0, equal))] = equal < pair.size() ? decoded(pair.substr(equal + 1)) : std::string();
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (auto& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

/// Reads one request; false when the connection is over.
bool read_request(int fd, std::string& buffer, HttpAsked& asked) {
  char chunk[16384];
  std::size_t head = 0;
  while ((head = buffer.find("\r\n\r\n")) == std::string::npos) {
    const auto got = ::recv(fd, chunk, sizeof chunk, 0);
    if (got <= 0) return false;
    buffer.append(chunk, static_cast<std::size_t>(got));
  }
  std::string_view text = std::string_view(buffer).substr(0, head);
  const auto line_end = std::min(text.find("\r\n"), text.size());
  const auto line = text.substr(0, line_end);
  const auto first = line.find(' '), second = line.rfind(' ');
  asked.method = line.substr(0, first);
  asked.target = line.substr(first + 1, second - first - 1);
  text.remove_prefix(std::min(line_end + 2, text.size()));
  while (!text.empty()) {
    const auto end = std::min(text.find("\r\n"), text.size());
    const auto header = text.substr(0, end);
    const auto colon = std::min(header.find(':'), header.size());
    auto value = header.substr(std::min(colon + 1, header.size()));
    while (value.starts_with(' ')) value.remove_prefix(1);
    asked.headers[lower(header.substr(0, colon))] = std::string(value);
    text.remove_prefix(std::min(end + 2, text.size()));
  }
  std::size_t length = 0;
  if (const auto found = asked.headers.find("content-length"); found != asked.headers.end()) length = std::stoul(found->second);
  while (buffer.size() < head + 4 + length) {
    const auto got = ::recv(fd, chunk, sizeof chunk, 0);
    if (got <= 0) return false;
    buffer.append(chunk, static_cast<std::size_t>(got));
  }
  asked.body = buffer.substr(head + 4, length);
  buffer.erase(0, head + 4 + length);
  take_target(asked);
  return true;
}

std::string head_of(const HttpSaid& said, std::size_t length) {
  std::string out = fmt::format("HTTP/1.1 {} Said\r\nContent-Length: {}\r\n", said.status, length);
  for (const auto& [name, value] : said.headers) out += fmt::format("{}: {}\r\n", name, value);
  return out + "\r\n";
}

}  // namespace

HttpSaid json_answer(std::string body, int status) {
  return {.status = status, .body = std::move(body), .headers = {{"Content-Type", "application/json"}}};
}

HttpFaultServer::HttpFaultServer(Handler handler) : handler_(std::move(handler)) {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (listener_ < 0 || ::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(listener_, 64) != 0 ||
      ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0)
    throw std::runtime_error("the fault server cannot listen");
  port_ = ntohs(address.sin_port);
  acceptor_ = std::jthread([this] { accept_all(); });
}

HttpFaultServer::~HttpFaultServer() {
  over_ = true;
  ::shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  {
    const std::lock_guard lock(mutex_);
    for (const int fd : open_) ::shutdown(fd, SHUT_RDWR);
  }
  threads_.clear();
  ::close(listener_);
}

std::string HttpFaultServer::url() const { return fmt::format("http://127.0.0.1:{}", port_); }

void HttpFaultServer::set(Handler handler) {
  const std::lock_guard lock(mutex_);
  handler_ = std::move(handler);
}

void HttpFaultServer::accept_all() {
  while (!over_) {
    const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) return;
    ++accepted_;
    const std::lock_guard lock(mutex_);
    open_.insert(fd);
    threads_.emplace_back([this, fd] {
      serve(fd);
      const std::lock_guard closing(mutex_);
      open_.erase(fd);
      ::close(fd);
    });
  }
}

void HttpFaultServer::serve(int fd) {
  std::string buffer;
  while (!over_) {
    HttpAsked asked;
    if (!read_request(fd, buffer, asked)) return;
    asked.number = ++count_;
    Handler handler;
    {
      const std::lock_guard lock(mutex_);
      handler = handler_;
    }
    const auto said = handler(asked);
    if (said.fault != HttpSaid::Fault::None) return send_faulty(fd, said);
    if (!send_all(fd, head_of(said, said.body.size()) + (asked.method == "HEAD" ? "" : said.body))) return;
  }
}

void HttpFaultServer::send_faulty(int fd, const HttpSaid& said) {
  using namespace std::chrono_literals;
  switch (said.fault) {
    case HttpSaid::Fault::None:
    case HttpSaid::Fault::Reset:
      return;
    case HttpSaid::Fault::Mute:
      while (!over_) {
        char one = 0;
        if (::recv(fd, &one, 1, 0) <= 0) return;
      }
      return;
    case HttpSaid::Fault::CutOff:
      static_cast<void>(send_all(fd, head_of(said, said.body.size()) + said.body.substr(0, said.body.size() / 2)));
      return;
    case HttpSaid::Fault::Drip: {
      const auto all = head_of(said, said.body.size()) + said.body;
      for (const char c : all) {
        if (over_ || !send_all(fd, {&c, 1})) return;
        std::this_thread::sleep_for(100ms);
      }
      return;
    }
    case HttpSaid::Fault::Endless: {
      const std::string piece(1 << 16, ' ');
      if (!send_all(fd, "HTTP/1.1 200 Said\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n")) return;
      while (!over_ && send_all(fd, piece)) continue;
      return;
    }
    case HttpSaid::Fault::HeadFlood:
      if (!send_all(fd, "HTTP/1.1 200 Said\r\n")) return;
      while (!over_ && send_all(fd, "X-Filler: " + std::string(4000, 'x') + "\r\n")) continue;
      return;
  }
}

std::string gzip_bomb(std::size_t size) {
  z_stream stream{};
  if (deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK) throw std::runtime_error("zlib");
  std::string out;
  std::vector<unsigned char> zeros(1 << 20), into(1 << 16);
  for (std::size_t done = 0;;) {
    const auto now = std::min(zeros.size(), size - done);
    done += now;
    stream.next_in = zeros.data();
    stream.avail_in = static_cast<uInt>(now);
    const int flush = done == size ? Z_FINISH : Z_NO_FLUSH;
    do {
      stream.next_out = into.data();
      stream.avail_out = static_cast<uInt>(into.size());
      deflate(&stream, flush);
      out.append(reinterpret_cast<char*>(into.data()), into.size() - stream.avail_out);
    } while (stream.avail_out == 0);
    if (flush == Z_FINISH) break;
  }
  deflateEnd(&stream);
  return out;
}

}  // namespace rosterd::test
