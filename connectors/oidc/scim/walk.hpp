#pragma once
// All resources of one SCIM endpoint, each once, and what the walk proves. Three ways, the best that the server honours (protocols.md B2):
//
//   cursor  RFC 9865; nothing is lost or repeated
//   keyset  sortBy=id with filter=id gt "last": every page is judged; the first that does not fit ends the way
//   index   RFC 7644 §3.4.2.4; the last resource of a page is asked for again with the next one: where it is another, the list has moved,
//   and
//           the whole is walked once more. Servers keep no state between pages, so that repeated ids are dropped.

#include <functional>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>

#include "connectors/connector.hpp"
#include "connectors/oidc/api.hpp"
#include "schema/core/hash.hpp"

namespace rosterd::connectors::oidc::scim {

enum class Way { Unknown, Cursor, Keyset, Index };
[[nodiscard]] std::string_view name_of(Way way);
[[nodiscard]] Way parse_way(std::string_view name);

struct WalkOptions {
  std::string endpoint;    ///< "https://…/Users"
  std::string attributes;  ///< "id,userName"; empty = all
  std::string filter;      ///< SCIM; empty = none
  std::uint32_t page_size = 500;
  Way way = Way::Unknown;   ///< Unknown = found out at the first page
  bool may_cursor = false;  ///< the server says that it pages by cursor
};

class Walk {
 public:
  Walk(Api& api, WalkOptions options) : api_(api), options_(std::move(options)) {}

  /// Calls `use` for every resource that has an id, once per id; its error ends the walk. An error of the walk itself says that it broke
  /// off.
  [[nodiscard]] Result<void> run(const std::function<Result<void>(const nlohmann::json&)>& use);
  [[nodiscard]] Way way() const { return options_.way; }
  [[nodiscard]] std::uint64_t seen() const { return seen_.size(); }
  /// Whether everything there is has been seen, in words where not.
  [[nodiscard]] const Evidence& evidence() const { return evidence_; }
  /// The server's clock at the first page, where it says.
  [[nodiscard]] const std::optional<TimePoint>& started() const { return started_; }

 private:
  using Use = std::function<Result<void>(const nlohmann::json&)>;
  struct Page {
    nlohmann::json json;
    const nlohmann::json* resources = nullptr;
    std::optional<std::uint64_t> total;
    std::string next_cursor;
  };
  [[nodiscard]] std::string url() const;
  [[nodiscard]] std::string filtered(std::string_view more) const;
  [[nodiscard]] Result<Page> page(const std::string& url);
  [[nodiscard]] Result<void> deliver(const Page& page, const Use& use);
  [[nodiscard]] Result<void> by_cursor(const Use& use);
  [[nodiscard]] Result<bool> by_keyset(const Use& use);  ///< false = the server does not honour it
  [[nodiscard]] Result<void> by_index(const Use& use);
  [[nodiscard]] Result<bool> index_once(const Use& use);  ///< false = the list moved meanwhile
  [[nodiscard]] bool ascends(const Page& page, std::string& last) const;

  Api& api_;
  WalkOptions options_;
  std::set<Hash128> seen_;
  KeyedHash hash_;
  std::uint64_t without_id_ = 0;
  std::optional<std::uint64_t> total_;
  std::optional<TimePoint> started_;
  Evidence evidence_;
};

/// The number a list answer says there are; none when it does not say.
[[nodiscard]] std::optional<std::uint64_t> total_of(const nlohmann::json& list);
/// The resources of a list answer; nullptr when there is no such list.
[[nodiscard]] const nlohmann::json* resources_of(const nlohmann::json& list);

}  // namespace rosterd::connectors::oidc::scim
