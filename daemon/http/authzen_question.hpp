#pragma once
// The entities of AuthZEN, read from a request and turned into rosterd's words by the mapping table of check-api.md §8.

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "daemon/http/authzen.hpp"

namespace rosterd::http::authzen {

/// "at least one action of the permission here"; no action of a catalogue has this name.
inline constexpr std::string_view kAnyAction = "*any*";
inline constexpr std::string_view kWholeTenant = "*";

struct SubjectRef {
  std::optional<PrincipalType> type;  ///< none: a type rosterd does not have, hence nobody
  std::string key;
};
struct ResourceRef {
  std::string permission;
  std::optional<std::string> ns;  ///< none = the whole tenant
  bool nowhere = false;           ///< an id that is no namespace: nothing is allowed there
};

/// `entity` is the value of the member `name`; nullptr when the request has none.
[[nodiscard]] Result<SubjectRef> subject_of(const nlohmann::json* entity);
[[nodiscard]] Result<ResourceRef> resource_of(const nlohmann::json* entity);
[[nodiscard]] Result<std::string> action_of(const nlohmann::json* entity);
/// The type alone: an id is ignored (A9).
[[nodiscard]] Result<std::string> type_of(std::string_view name, const nlohmann::json* entity);
/// A context, when there is one, is an object. True when it asks for reasons.
[[nodiscard]] Result<bool> wants_reasons(const nlohmann::json* context);

/// The member of an object; nullptr when it is absent.
[[nodiscard]] const nlohmann::json* member(const nlohmann::json& object, const char* name);
/// The body as an object; anything but JSON as check-api.md A13 wants it is InvalidInput.
[[nodiscard]] Result<nlohmann::json> request_of(std::string_view body);

/// The principal meant, when there is exactly one.
[[nodiscard]] std::optional<Principal> principal_of(const Ground& ground, const SubjectRef& subject);
/// The actions to look at: one, or all of the permission for kAnyAction.
[[nodiscard]] std::vector<std::string> actions_of(const Ground& ground, const std::string& permission, const std::string& action);

}  // namespace rosterd::http::authzen
