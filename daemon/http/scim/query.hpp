#pragma once
// Lists: which resources are asked for, in which order, which part of them (RFC 7644 §3.4.2, RFC 9865).

#include "daemon/http/app.hpp"
#include "daemon/http/scim/filter.hpp"
#include "daemon/http/scim/resource.hpp"

namespace rosterd::http::scim {

inline constexpr std::size_t kPage = 100, kMostPage = 1000;

struct Query {
  std::string filter_text;
  std::optional<Filter> filter;
  Wanted wanted;
  std::optional<Path> sort_by;
  bool descending = false;
  std::size_t start = 1;
  std::size_t count = kPage;
  std::optional<std::string> cursor;  ///< pages by cursor; empty = the first
};
[[nodiscard]] Result<Query> query_of_parameters(const Call& call);
[[nodiscard]] Result<Query> query_of_body(const Call& call);
/// The ListResponse.
[[nodiscard]] Result<nlohmann::json> answer(Call& call, const Query& query, const std::vector<PrincipalType>& types);
/// Where the tenant's SCIM begins.
[[nodiscard]] std::string base_of(const Call& call);

}  // namespace rosterd::http::scim
