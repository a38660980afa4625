#pragma once
// Filters (RFC 7644 §3.4.2.2): a text goes in, a tree comes out, and a resource is or is not what it asks for. Pure.

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/http/scim/schema.hpp"

namespace rosterd::http::scim {

struct Filter {
  enum class Op { And, Or, Not, Eq, Ne, Co, Sw, Ew, Gt, Ge, Lt, Le, Pr, Within };
  Op op = Op::Pr;
  Path path = {};                  ///< of a comparison; of Within: the list whose elements `parts[0]` is about
  nlohmann::json value = nullptr;  ///< what is compared with
  std::vector<Filter> parts = {};  ///< of And, Or, Not, Within
};

/// A value path of PATCH: `emails[type eq "work"].value`.
struct ValuePath {
  Path path;                    ///< without sub where there is a filter
  std::optional<Filter> which;  ///< of the elements
  std::string sub;              ///< behind the bracket
};

/// InvalidInput "invalidFilter".
[[nodiscard]] Result<Filter> parse_filter(std::string_view text);
/// InvalidInput "invalidPath", or "invalidFilter" within the brackets.
[[nodiscard]] Result<ValuePath> parse_value_path(std::string_view text);
[[nodiscard]] bool matches(const Filter& filter, PrincipalType type, const nlohmann::json& resource);
/// The same for one element of a list, whose attributes the filter names: `type eq "work"`.
[[nodiscard]] bool matches_element(const Filter& filter, PrincipalType type, const Path& list, const nlohmann::json& element);
/// The value that `name` must be equal to wherever the filter holds; none where it does not say.
[[nodiscard]] const nlohmann::json* must_equal(const Filter& filter, std::string_view name);
/// The filter about this list's elements that must hold for one of them wherever `filter` does; nullptr where there is none.
[[nodiscard]] const Filter* must_hold_within(const Filter& filter, std::string_view list);
/// Whether any comparison is about this attribute.
[[nodiscard]] bool speaks_of(const Filter& filter, std::string_view attribute);
/// A value that sorts as the attribute does; null when the resource has none (RFC 7644 §3.4.2.3).
[[nodiscard]] nlohmann::json sort_key(PrincipalType type, const Path& path, const nlohmann::json& resource);

}  // namespace rosterd::http::scim
