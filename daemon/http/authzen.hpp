#pragma once
// OpenID AuthZEN Authorization API 1.0 (check-api.md §8) on a snapshot: the text of a request goes in, the text of the answer comes out,
// in exactly the shape of the specification. Who asks, HTTP and headers are the doormen's (authzen_routes.cpp).

#include <functional>
#include <string>
#include <string_view>

#include "rbac/catalogue.hpp"
#include "rbac/snapshot.hpp"

namespace rosterd::http::authzen {

inline constexpr std::size_t kMostEvaluations = 1000;
inline constexpr std::size_t kPage = 100, kMostPage = 1000;

struct Ground {
  const rbac::Snapshot& snapshot;
  const rbac::Catalogue& catalogue;
  TimePoint at{};
  std::string_view pepper;                         ///< seals page tokens
  std::function<void(rbac::Reason)> decided = {};  ///< told of every decision
};

[[nodiscard]] Result<std::string> evaluation(const Ground& ground, std::string_view body);
/// Several at once, or a single one when the body has no `evaluations` (A6).
[[nodiscard]] Result<std::string> evaluations(const Ground& ground, std::string_view body);

// Searches (A9-A11): a page token is good for the revision and the question it was given for, else InvalidInput.
[[nodiscard]] Result<std::string> subject_search(const Ground& ground, std::string_view body);
[[nodiscard]] Result<std::string> resource_search(const Ground& ground, std::string_view body);
[[nodiscard]] Result<std::string> action_search(const Ground& ground, std::string_view body);

}  // namespace rosterd::http::authzen
