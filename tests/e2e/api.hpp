#pragma once
// A client for the tests that speak to a running rosterd: one request, its status and its JSON. Nothing is retried behind the back.

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace rosterd::e2e {

struct Answer {
  long status = 0;  ///< 0 = no answer at all
  nlohmann::json body;
  std::map<std::string, std::string> headers;  ///< names in lower case
};

class Api {
 public:
  Api(std::string base_url, std::string token) : base_(std::move(base_url)), token_(std::move(token)) {}
  [[nodiscard]] Answer get(std::string_view path) const { return call("GET", path, {}); }
  [[nodiscard]] Answer post(std::string_view path, const nlohmann::json& body = nlohmann::json::object()) const {
    return call("POST", path, body.dump());
  }
  [[nodiscard]] Answer patch(std::string_view path, const nlohmann::json& body) const { return call("PATCH", path, body.dump()); }
  [[nodiscard]] Answer remove(std::string_view path) const { return call("DELETE", path, {}); }

 private:
  [[nodiscard]] Answer call(const char* method, std::string_view path, const std::string& body) const;
  std::string base_, token_;
};

}  // namespace rosterd::e2e
