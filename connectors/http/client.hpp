#pragma once
// One HTTP request out, one whole answer back, over libcurl, for servers that a tenant names (directories, token endpoints, key sets):
// deadlines for the connection, for the first byte and for the whole, a limit to the (decompressed) body, certificates always verified,
// redirects never followed, and only addresses that may be spoken to (DESIGN §6.1), judged on the address of every connection made.
// What an answer means, when to ask again and where the next page is, live beside this file.

#include <chrono>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "connectors/net.hpp"
#include "schema/core/result.hpp"

namespace rosterd::connectors::http {

struct Options {
  std::vector<Network> allowed;  ///< loopback, link-local and private addresses are refused unless listed here
  /// "http://proxy.example:3128"; empty = none. The environment's http_proxy is never read. A proxy resolves names itself: what is judged
  /// then is what the name resolves to here, where it does.
  std::string proxy;
  std::string ca_file;                                ///< PEM; empty = the system's public authorities
  std::string ca_pem;                                 ///< PEM text; takes the place of ca_file
  std::string client_certificate;                     ///< PEM text, for mutual TLS (RFC 8705); empty = none
  std::string client_key;                             ///< PEM text
  bool allow_plaintext = false;                       ///< http:// to others than this machine
  std::chrono::milliseconds connect_timeout{10'000};  ///< name, TCP and TLS
  std::chrono::milliseconds silence{30'000};          ///< until the first byte, and between two pieces
  std::chrono::milliseconds whole{120'000};           ///< one request with its answer
  std::size_t max_body = std::size_t{64} << 20;       ///< bytes, after decompression
};

struct Request {
  std::string method = "GET";
  std::string url = {};
  std::vector<std::string> headers = {};  ///< "Accept: application/json"
  std::optional<std::string> body = std::nullopt;
  std::optional<std::size_t> max_body = std::nullopt;  ///< a smaller limit than that of the options
};

struct Response {
  int status = 0;
  std::vector<std::pair<std::string, std::string>> headers;  ///< names in lower case, in the order they came
  std::string body;
  /// The first header of that name (lower case); empty when there is none.
  [[nodiscard]] std::string_view header(std::string_view name) const;
};

/// Keeps its connections open between requests. Used from one thread at a time.
class Client {
 public:
  explicit Client(Options options);
  ~Client();
  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;

  /// An answer of any status, 3xx included. Errors: InvalidInput (no usable URL, plain http to a stranger), Refused (an address that may
  /// not be spoken to), Unavailable (no answer, too slow, too large, certificate not accepted; in words), Stopped.
  [[nodiscard]] Result<Response> send(const Request& request, std::stop_token stop);
  [[nodiscard]] const Options& options() const { return options_; }

 private:
  struct Handle;
  std::unique_ptr<Handle> handle_;
  Options options_;
};

}  // namespace rosterd::connectors::http
