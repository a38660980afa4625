#pragma once
// The test servers that do not come from Debian: what scripts/lib/servers.sh fetched from npm, PyPI and Maven Central, and how a test says
// that it cannot be without them. A server named in ROSTERD_TEST_WITHOUT ("keycloak,canaille") is left out on purpose: its tests are
// skipped with that reason. One that is missing without being named is a failure, never a skip.

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/support/process.hpp"

namespace rosterd::test {

/// Names: "node" (oidc-provider and scimmy; pages that are run with it), "keycloak", "canaille", "scim2-tester".
/// Empty, or, when `name` stands in ROSTERD_TEST_WITHOUT, the reason to skip with.
[[nodiscard]] std::string left_out(std::string_view name);
/// The folder it was fetched into; throws with how to mend when it is not there.
[[nodiscard]] std::filesystem::path fetched(std::string_view name);

/// At the top of a test (or of a fixture's SetUp): skips it when the server is left out on purpose.
#define ROSTERD_NEEDS(name) \
  if (const auto reason = ::rosterd::test::left_out(name); !reason.empty()) GTEST_SKIP() << reason

/// What the wire brought back for a plain request of a test (libcurl; no redirect is followed, proxies are not asked).
struct WebAnswer {
  long status = 0;                                           ///< 0 = no answer came; `body` then says why
  std::vector<std::pair<std::string, std::string>> headers;  ///< names in lower case, in the order they came
  std::string body;
  [[nodiscard]] std::string header(std::string_view name) const;  ///< the first of that name, or empty
};
struct WebRequest {
  std::string method = "GET";
  std::string url;
  std::vector<std::pair<std::string, std::string>> headers{};
  std::string body{};
  std::string ca_file{};                ///< for https
  std::string cert_file{}, key_file{};  ///< shown to a server that asks for a certificate
};
[[nodiscard]] WebAnswer web(const WebRequest& request);

/// A node module of tests/support/servers, run in a folder of its own with its settings as a JSON file beside it. Every one of them counts
/// its requests and can be told to misbehave:
///   GET  /__test/requests          -> {"total": 3, "paths": {"GET /token": 3}}; DELETE sets all to 0
///   POST /__test/faults {"path": "^/jwks", "times": 2, "status": 429, "headers": {"retry-after": "1"}, "body": "…", "delay_ms": 0, "drop":
///   false}
///                                  -> the next `times` requests whose path matches are answered so ("drop": the connection is closed;
///                                     without a status: the true answer after `delay_ms`); DELETE takes all faults away
class NodeServer {
 public:
  struct Fault {
    std::string path;  ///< regular expression on path and query
    int times = 1;     ///< -1 = until cleared
    int status = 500;  ///< 0 = the true answer, after delay_ms
    std::vector<std::pair<std::string, std::string>> headers{};
    std::string body{};
    int delay_ms = 0;
    bool drop = false;  ///< the connection is closed without an answer
  };

  [[nodiscard]] int port() const { return port_; }
  [[nodiscard]] std::string origin() const;  ///< http(s)://127.0.0.1:port
  [[nodiscard]] std::string log() const;
  void start();      ///< on the same port as before; what was changed at run time is forgotten, except where a class says otherwise
  void stop();       ///< SIGTERM, waits
  void kill_hard();  ///< SIGKILL
  void freeze();     ///< SIGSTOP: connections are accepted by the kernel, nobody answers
  void thaw();

  void fail(const Fault& fault) const;
  void clear_faults() const;
  /// Requests since the start or the last clear; `path` is a prefix of "METHOD /path" ("GET /scim/v2/Users"), empty = all.
  [[nodiscard]] int requests(std::string_view path = {}) const;
  void clear_requests() const;

 protected:
  /// `settings`: a JSON object; the port and the TLS files are added to it. With `ca_file` an https server asks for certificates of that
  /// CA.
  NodeServer(std::string module, std::string settings, const std::string& cert_file, const std::string& key_file, std::string ca_file);
  ~NodeServer() = default;
  WebAnswer ask(const std::string& method, const std::string& path, const std::string& body = {}) const;  ///< throws unless 2xx

 private:
  std::string module_, settings_, ca_file_;
  bool tls_ = false;
  TempDir dir_;
  int port_ = 0;
  std::optional<Process> server_;
};

}  // namespace rosterd::test
