#pragma once
// How Microsoft Graph is asked: delta queries followed to their end, lists, and objects by id in bunches.

#include <functional>
#include <nlohmann/json.hpp>
#include <span>
#include <string>

#include "connectors/oidc/api.hpp"
#include "schema/model/ids.hpp"

namespace rosterd::connectors::oidc::entra {

using Use = std::function<Result<void>(const nlohmann::json& object)>;

class Graph {
 public:
  /// `api_url` without "/" at the end; links are followed on its scheme, host and port only.
  Graph(Api& api, std::string api_url, std::uint32_t page_size) : api_(api), api_url_(std::move(api_url)), page_size_(page_size) {}

  [[nodiscard]] std::string url(std::string_view path) const { return api_url_ + std::string(path); }
  /// Follows a delta query to its end and gives its deltaLink. CursorExpired when Graph does not know the state of `from` any more (410, or
  /// 40x with syncStateNotFound and its like), also in the middle.
  [[nodiscard]] Result<std::string> delta(const std::string& from, const Use& use);
  /// Follows a list; NotFound where what it hangs on is gone.
  [[nodiscard]] Result<void> list(const std::string& from, const Use& use);
  /// One object with these properties; null when there is none (deleted ones included: Graph keeps them elsewhere).
  [[nodiscard]] Result<nlohmann::json> object(PrincipalType type, std::string_view id, std::string_view properties);
  /// Many of them, 15 in a request: `found` for each there is, `gone` for each there is none of.
  [[nodiscard]] Result<void> objects(PrincipalType type, std::span<const std::string> ids, std::string_view properties, const Use& found,
                                     const std::function<void(const std::string& id)>& gone);
  /// An answer of any status; waits a little when Graph says that its limit is near.
  [[nodiscard]] Result<Answer> get(const std::string& url);
  [[nodiscard]] static Error refusal(const Answer& answer, const std::string& url);

 private:
  [[nodiscard]] Result<std::string> follow(std::string url, const Use& use);  ///< gives the deltaLink of the last page, or nothing

  Api& api_;
  std::string api_url_;
  std::uint32_t page_size_;
};

}  // namespace rosterd::connectors::oidc::entra
