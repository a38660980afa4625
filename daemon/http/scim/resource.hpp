#pragma once
// Between what is stored and what is said: a pushed object becomes a resource, a resource becomes content to store, and an answer is cut
// down to the attributes that were asked for. Pure.

#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/http/scim/patch.hpp"
#include "schema/store/scim.hpp"

namespace rosterd::http::scim {

/// Where a resource stands below the tenant's SCIM: "/Users/usr_…".
[[nodiscard]] std::string location(std::string_view base, PrincipalType type, PrincipalId id);
[[nodiscard]] std::string etag(const Pushed& one);
/// The whole resource but for members.
[[nodiscard]] nlohmann::json to_resource(std::string_view base, const Pushed& one);
void add_members(nlohmann::json& group, std::string_view base, std::span<const PushedMember> members);
/// The groups that a user is a direct member of: at most a thousand of them are shown.
[[nodiscard]] PushedQuery groups_of(PrincipalId user);
void add_groups(nlohmann::json& user, std::string_view base, std::span<const Pushed> groups);

/// A normalized document as it is stored. InvalidInput "invalidValue" where what is needed is missing or unfit.
[[nodiscard]] Result<PushedContent> to_content(PrincipalType type, const nlohmann::json& document);
/// The ids of members as principals. InvalidInput "invalidValue" for what is no id of ours, unless those are passed over.
[[nodiscard]] Result<std::vector<Principal>> to_principals(const std::vector<std::string>& ids, bool pass_over);
[[nodiscard]] Result<std::vector<MemberStep>> to_steps(const std::vector<MemberChange>& changes);

/// ?attributes= and ?excludedAttributes= (RFC 7644 §3.9).
struct Wanted {
  std::vector<Path> only, without;
  [[nodiscard]] bool wants(std::string_view attribute) const;
  /// Whether ?attributes= names it.
  [[nodiscard]] bool asks_for(std::string_view attribute) const { return !only.empty() && wants(attribute); }
};
/// Of comma-separated names; InvalidInput "invalidValue" when both are given.
[[nodiscard]] Result<Wanted> parse_wanted(std::string_view attributes, std::string_view excluded);
[[nodiscard]] nlohmann::json cut(nlohmann::json resource, const Wanted& wanted);

}  // namespace rosterd::http::scim
