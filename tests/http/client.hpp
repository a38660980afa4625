#pragma once
// A plain HTTP client for tests, and a rawer one for what no client would send.

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rosterd::test {

struct Answer {
  long status = 0;                             ///< 0 = no answer came
  std::map<std::string, std::string> headers;  ///< names in lower case
  std::string text;
  nlohmann::json body;  ///< discarded when the text is not JSON
  [[nodiscard]] std::string code() const { return body.is_object() ? body.value("code", "") : std::string(); }
  [[nodiscard]] std::string header(const std::string& name) const {
    const auto found = headers.find(name);
    return found == headers.end() ? std::string() : found->second;
  }
};

using Headers = std::vector<std::pair<std::string, std::string>>;

class Client {
 public:
  Client(std::uint16_t port, std::string token) : port_(port), token_(std::move(token)) {}

  Answer get(const std::string& path, const Headers& headers = {}) const { return call("GET", path, {}, headers); }
  Answer post(const std::string& path, const nlohmann::json& body = {}, const Headers& headers = {}) const {
    return call("POST", path, body.is_null() ? std::string() : body.dump(), headers);
  }
  Answer put(const std::string& path, const nlohmann::json& body, const Headers& headers = {}) const {
    return call("PUT", path, body.dump(), headers);
  }
  Answer patch(const std::string& path, const nlohmann::json& body, const Headers& headers = {}) const {
    return call("PATCH", path, body.dump(), headers);
  }
  Answer del(const std::string& path, const Headers& headers = {}) const { return call("DELETE", path, {}, headers); }
  /// `path` is sent as it is. A body goes out as application/json unless `headers` say otherwise.
  Answer call(const std::string& method, const std::string& path, const std::string& body, const Headers& headers = {}) const;
  [[nodiscard]] const std::string& token() const { return token_; }

 private:
  std::uint16_t port_;
  std::string token_;
};

/// Sends these bytes on a new connection and gives everything that comes back until the server closes or says nothing for `wait_ms`.
[[nodiscard]] std::string raw(std::uint16_t port, std::string_view bytes, int wait_ms = 1500, bool half_close = false);
/// Percent-encoding of everything that is not unreserved.
[[nodiscard]] std::string encoded(std::string_view text);

}  // namespace rosterd::test
