#pragma once
// Where a page of decisions goes on: a token that names the revision and the instant the first page was answered at, so that all pages
// of a list agree. It is sealed with the token pepper together with the question it belongs to: it fits no other question.

#include <optional>
#include <string>
#include <string_view>

#include "schema/core/clock.hpp"
#include "schema/core/result.hpp"
#include "schema/model/ids.hpp"

namespace rosterd::http {

struct PagePlace {
  Revision revision;
  TimePoint at{};        ///< the instant expiry is judged by
  std::string position;  ///< whatever the list needs to go on
};

/// `question`: everything that must be the same on the next page.
[[nodiscard]] std::string page_token(std::string_view pepper, const PagePlace& place, std::string_view question);
/// InvalidInput for a token that rosterd did not give for this question.
[[nodiscard]] Result<PagePlace> read_page_token(std::string_view pepper, std::string_view token, std::string_view question);

}  // namespace rosterd::http
