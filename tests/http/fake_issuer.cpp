#include "tests/http/fake_issuer.hpp"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <stdexcept>

namespace rosterd::test {
namespace {

using nlohmann::json;

std::int64_t now() { return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count(); }

std::string reply(int status, const std::string& body, const std::string& headers = "") {
  return "HTTP/1.1 " + std::to_string(status) +
         " X\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" + headers +
         "\r\n" + body;
}

/// Head and body of one request.
std::string read_request(int fd) {
  std::string out;
  char buffer[8192];
  while (true) {
    const auto head = out.find("\r\n\r\n");
    if (head != std::string::npos) {
      const auto at = out.find("Content-Length: ");
      const auto length = at == std::string::npos || at > head ? 0 : std::stoul(out.substr(at + 16));
      if (out.size() >= head + 4 + length) return out;
    }
    pollfd ready{.fd = fd, .events = POLLIN, .revents = 0};
    if (::poll(&ready, 1, 2000) <= 0) return out;
    const auto n = ::recv(fd, buffer, sizeof buffer, 0);
    if (n <= 0) return out;
    out.append(buffer, static_cast<std::size_t>(n));
  }
}

}  // namespace

FakeIssuer::FakeIssuer() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (::bind(socket_, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(socket_, 64) != 0 ||
      ::getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size) != 0)
    throw std::runtime_error("FakeIssuer: no port");
  url_ = "http://127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  use(SigningKey::curve("k1"));
  thread_ = std::jthread([this](const std::stop_token& stop) { serve(stop); });
}

FakeIssuer::~FakeIssuer() {
  thread_.request_stop();
  thread_.join();
  ::close(socket_);
}

void FakeIssuer::serve(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    pollfd ready{.fd = socket_, .events = POLLIN, .revents = 0};
    if (::poll(&ready, 1, 50) <= 0) continue;
    const int peer = ::accept4(socket_, nullptr, nullptr, SOCK_CLOEXEC);
    if (peer < 0) continue;
    const auto request = read_request(peer);
    for (int waited = 0; waited < dawdle_ms_ && !stop.stop_requested(); waited += 20)
      std::this_thread::sleep_for(std::chrono::milliseconds(20));  // slowness is what is tested
    const auto out = answer(request);
    ::send(peer, out.data(), out.size(), MSG_NOSIGNAL);
    ::close(peer);
  }
}

std::string FakeIssuer::answer(const std::string& request) {
  const bool keys = request.starts_with("GET /jwks");
  if (keys) ++key_requests_;
  if (down_) return reply(503, "{}");
  return with([&]() -> std::string {
    if (request.starts_with("GET /.well-known/openid-configuration"))
      return reply(200, json{{"issuer", url_},
                             {"jwks_uri", url_ + "/jwks"},
                             {"authorization_endpoint", url_ + "/authorize"},
                             {"token_endpoint", url_ + "/token"},
                             {"token_endpoint_auth_methods_supported", {"client_secret_basic", "none"}}}
                            .dump());
    if (keys) return reply(200, published_, cache_control_.empty() ? "" : "Cache-Control: " + cache_control_ + "\r\n");
    if (request.starts_with("POST /token")) {
      const auto head = request.find("\r\n\r\n");
      form_ = request.substr(head + 4);
      const auto at = request.find("Authorization: ");
      authorization_ = at == std::string::npos ? "" : request.substr(at + 15, request.find("\r\n", at) - at - 15);
      return tokens_.is_null() ? reply(400, R"({"error":"invalid_grant"})") : reply(200, tokens_.dump());
    }
    return reply(404, "{}");
  });
}

std::string FakeIssuer::token(const std::string& subject, const json& claims, const json& header) const {
  json all{{"iss", url_},        {"aud", "rosterd"}, {"sub", subject},       {"client_id", "console"},
           {"exp", now() + 300}, {"iat", now()},     {"jti", subject + "-1"}};
  all.merge_patch(claims);
  json typ{{"typ", "at+jwt"}};
  typ.merge_patch(header);
  return with([&] { return key_->token("ES256", all, typ); });
}

std::string FakeIssuer::id_token(const std::string& subject, const std::string& nonce, const json& claims) const {
  json all{{"iss", url_}, {"aud", "browser"}, {"sub", subject}, {"nonce", nonce}, {"exp", now() + 300}, {"iat", now()}};
  all.merge_patch(claims);
  return with([&] { return key_->token("ES256", all, {{"typ", "JWT"}}); });
}

}  // namespace rosterd::test
