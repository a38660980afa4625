#pragma once
// What a SCIM resource may hold (RFC 7643): the tables of attributes go in, and out come the discovery documents, where an attribute
// stands, and what was sent in the one form in which it is kept. Pure: no store, no request.

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "schema/core/result.hpp"
#include "schema/model/ids.hpp"

namespace rosterd::http::scim {

inline constexpr std::string_view kUserSchema = "urn:ietf:params:scim:schemas:core:2.0:User";
inline constexpr std::string_view kGroupSchema = "urn:ietf:params:scim:schemas:core:2.0:Group";
inline constexpr std::string_view kEnterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
inline constexpr std::string_view kListResponse = "urn:ietf:params:scim:api:messages:2.0:ListResponse";
inline constexpr std::string_view kSearchRequest = "urn:ietf:params:scim:api:messages:2.0:SearchRequest";
inline constexpr std::string_view kPatchOp = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
inline constexpr std::string_view kErrorSchema = "urn:ietf:params:scim:api:messages:2.0:Error";

enum class Kind { Text, Boolean, Complex, Reference, DateTime, Binary };
enum class Mutability { ReadWrite, ReadOnly, WriteOnly, Immutable };

struct Attribute {
  std::string_view name;
  Kind kind = Kind::Text;
  bool multi = false;
  bool case_exact = false;
  bool required = false;
  bool unique = false;
  Mutability mutability = Mutability::ReadWrite;
  std::string_view description = {};
  std::vector<Attribute> sub = {};
  std::vector<std::string_view> canonical = {};  ///< the values it usually has
  bool on_request = false;                       ///< shown only where `attributes` names it
};

/// Attribute names and URNs are compared without regard to ASCII case (RFC 7643 §2.1).
[[nodiscard]] bool same_name(std::string_view a, std::string_view b);
[[nodiscard]] nlohmann::json* member(nlohmann::json& object, std::string_view name);
[[nodiscard]] const nlohmann::json* member(const nlohmann::json& object, std::string_view name);

/// "[urn:]attribute[.sub]".
struct Path {
  std::string urn;        ///< empty = the resource's own schema; in canonical form where it is known
  std::string attribute;  ///< empty: the whole extension
  std::string sub;
  bool operator==(const Path&) const = default;
};
/// InvalidInput "invalidPath" for what is none.
[[nodiscard]] Result<Path> parse_path(std::string_view text);
/// The tables' row; nullptr for what they do not know.
[[nodiscard]] const Attribute* find_attribute(PrincipalType type, const Path& path);
/// Its attribute alone, without `sub`.
[[nodiscard]] const Attribute* find_top(PrincipalType type, const Path& path);
[[nodiscard]] std::string_view schema_of(PrincipalType type);

/// What was sent as it is kept: names as the tables write them, truth values as such ("False" of Entra), one value where a list is wanted
/// in a list; what is read-only, secret or unknown is left out, unknown extensions stay. InvalidInput "invalidValue" says which attribute
/// is wrong.
[[nodiscard]] Result<nlohmann::json> normalized(PrincipalType type, const nlohmann::json& sent);

/// For /Schemas, /ResourceTypes, /ServiceProviderConfig; `base` is where the tenant's SCIM begins.
[[nodiscard]] nlohmann::json schema_documents(std::string_view base);
[[nodiscard]] nlohmann::json resource_types(std::string_view base);
[[nodiscard]] nlohmann::json service_provider_config(std::string_view base);

}  // namespace rosterd::http::scim
