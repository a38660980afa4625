#pragma once
// How a list goes on, as data (protocols.md B3). Whatever a provider answers, a walk ends: a page that was there before is an error, and so
// are endless ones.

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "connectors/oidc/api.hpp"
#include "schema/core/hash.hpp"

namespace rosterd::connectors::oidc {

enum class NextPage {
  LinkHeader,  ///< Link: <url>; rel="next" (RFC 8288)
  BodyUrl,     ///< a whole URL in the answer: "@odata.nextLink"
  BodyToken,   ///< a token in the answer, sent back in a parameter: "nextCursor", "nextPageToken"
  Offset,      ///< the number of items so far, sent in a parameter; over only when a page is empty
};

struct PageRules {
  NextPage next = NextPage::LinkHeader;
  std::string_view items;      ///< key of the list in the answer; empty = the answer is the list
  std::string_view next_key;   ///< BodyUrl, BodyToken: where it stands
  std::string_view parameter;  ///< BodyToken, Offset: what it is sent back in
};

class Pages {
 public:
  /// `url` is that of the first page, page size and filters included.
  Pages(Api& api, std::string url, const PageRules& rules) : api_(api), url_(std::move(url)), rules_(rules) {}

  /// The whole answer of the next page; none after the last one. Errors are get_ok's; Unavailable for pages that go in a circle, Refused
  /// for a next-link to another host.
  [[nodiscard]] Result<std::optional<nlohmann::json>> next();
  /// The list in an answer of next(); never fails on one, an empty list where there is none.
  [[nodiscard]] const nlohmann::json& items(const nlohmann::json& page) const;
  [[nodiscard]] bool is_over() const { return over_; }  ///< followed to its end
  [[nodiscard]] std::uint64_t pages() const { return count_; }

 private:
  [[nodiscard]] Result<void> go_on(const Answer& answer);

  Api& api_;
  std::string url_;  // of the next page
  PageRules rules_;
  std::string first_;
  std::uint64_t count_ = 0, offset_ = 0;
  std::set<Hash128> seen_;
  KeyedHash hash_;
  bool over_ = false;
};

/// The target of `rel="next"` in Link headers; empty when there is none.
[[nodiscard]] std::string next_link(const http::Response& response);

}  // namespace rosterd::connectors::oidc
