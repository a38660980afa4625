#pragma once
// PATCH (RFC 7644 §3.5.2) in the forms that providers really send (docs/scim.md): operations go in, and out come a changed document and
// what is to happen to a group's members, step by step and without a look at who they are. Pure; whoever calls it throws a half-changed
// document away.

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "daemon/http/scim/filter.hpp"
#include "daemon/http/scim/schema.hpp"

namespace rosterd::http::scim {

inline constexpr std::size_t kMostOperations = 100;

struct Operation {
  enum class Op { Add, Replace, Remove };
  Op op = Op::Add;
  std::string path;
  nlohmann::json value = nullptr;
};

struct MemberChange {
  enum class Kind { Add, Remove, Replace, RemoveWhere };
  Kind kind = Kind::Add;
  std::vector<std::string> ids = {};  ///< as sent
  std::optional<Filter> where = {};   ///< RemoveWhere
};

/// InvalidInput "invalidSyntax", "tooMany".
[[nodiscard]] Result<std::vector<Operation>> parse_patch(const nlohmann::json& body);
/// Applies all of them to the document, which is normalized before and after. InvalidInput "invalidPath", "invalidValue", "noTarget",
/// "mutability" names the operation.
[[nodiscard]] Result<void> apply(PrincipalType type, const std::vector<Operation>& operations, nlohmann::json& document,
                                 std::vector<MemberChange>& members);
/// The ids in a `members` value: a list, one object, or a bare id.
[[nodiscard]] Result<std::vector<std::string>> member_ids(const nlohmann::json& value);

}  // namespace rosterd::http::scim
