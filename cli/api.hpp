#pragma once
// rosterd's HTTP API as functions: JSON in, JSON out. Whatever is not a success becomes a Failure that carries the problem's words.

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <utility>
#include <vector>

#include "cli/http_client.hpp"
#include "cli/profile.hpp"

namespace rosterd::cli {

using Query = std::vector<std::pair<std::string, std::string>>;

/// "/v1/tenants/acme/users/ada%40acme": each part percent-encoded, /v1 before them.
[[nodiscard]] std::string path(std::initializer_list<std::string_view> parts);

class Api {
 public:
  explicit Api(Target target);

  [[nodiscard]] Try<nlohmann::json> get(const std::string& path, const Query& query = {});
  [[nodiscard]] Try<nlohmann::json> post(const std::string& path, const nlohmann::json& body);
  /// Without the profile's token.
  [[nodiscard]] Try<nlohmann::json> post_as_nobody(const std::string& path, const nlohmann::json& body);
  [[nodiscard]] Try<nlohmann::json> put(const std::string& path, const nlohmann::json& body, const std::string& if_match);
  [[nodiscard]] Try<nlohmann::json> patch(const std::string& path, const nlohmann::json& body, const Query& query = {});
  [[nodiscard]] Try<nlohmann::json> remove(const std::string& path, const Query& query = {});
  /// A list with all its pages: {"items": […]}; stops after `most` items (0 = all) and then keeps "next".
  [[nodiscard]] Try<nlohmann::json> list(const std::string& path, Query query = {}, std::size_t most = 0);
  /// An answer that is no JSON document, handed over while it comes.
  [[nodiscard]] Try<void> download(const std::string& path, const Query& query, std::function<void(std::string_view)> sink);
  /// Status of the last answer that came, 0 before the first.
  [[nodiscard]] long status() const { return status_; }
  /// The ETag of the last answer; empty when it had none.
  [[nodiscard]] const std::string& etag() const { return etag_; }
  [[nodiscard]] const Target& target() const { return target_; }

 private:
  [[nodiscard]] Try<nlohmann::json> call(HttpRequest request, const std::string& path, const Query& query, bool as_nobody = false);

  Target target_;
  HttpClient http_;
  std::string etag_;
  long status_ = 0;
};

}  // namespace rosterd::cli
