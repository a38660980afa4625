#pragma once
// One HTTP request out, one answer back, over libcurl (which only http_client.cpp includes). Certificates are always verified,
// redirects are never followed (a token must not travel to where an answer points), and loopback never goes through a proxy.

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "cli/failure.hpp"

namespace rosterd::cli {

struct HttpRequest {
  std::string method = "GET";
  std::string url = {};
  std::string token = {};  ///< sent as Bearer when not empty
  std::string body = {};   ///< JSON; sent when not empty
  std::string content_type = "application/json";
  std::string if_match = {};  ///< sent when not empty
  /// For long answers: takes the body of a success piece by piece, and there is no limit to the whole, only to silence.
  std::function<void(std::string_view)> sink = {};
};

struct HttpReply {
  long status = 0;
  std::string body = {};
  std::string content_type;
  std::string etag;
  std::string revision;  ///< Rosterd-Revision
};

struct HttpOptions {
  std::string ca_file;  ///< empty = the system's certificates
  std::chrono::milliseconds connect_timeout{10'000};
  std::chrono::milliseconds timeout{120'000};  ///< of one whole request; tests of a source may wait for a slow directory
};

class HttpClient {
 public:
  explicit HttpClient(HttpOptions options);
  ~HttpClient();
  HttpClient(HttpClient&&) noexcept;
  HttpClient& operator=(HttpClient&&) noexcept;

  /// An answer of any status; kUnreachable when there was none.
  [[nodiscard]] Try<HttpReply> send(const HttpRequest& request);

 private:
  struct Handle;
  std::unique_ptr<Handle> handle_;
  HttpOptions options_;
};

/// RFC 3986 percent-encoding of one path segment or query value.
[[nodiscard]] std::string percent_encoded(std::string_view text);

struct UrlParts {
  std::string scheme;
  std::string host;
  std::string port;  ///< empty = the scheme's
};
/// kUsage for anything but http(s)://host[:port][/].
[[nodiscard]] Try<UrlParts> parse_url(const std::string& url);
/// 127.0.0.0/8, ::1, localhost: where nobody else listens on the wire.
[[nodiscard]] bool is_loopback(const std::string& host);

}  // namespace rosterd::cli
