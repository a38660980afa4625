#pragma once
// One user or group of Keycloak's admin REST API as it arrives -> one record. Pure, no I/O.
//
// A group's name is its path without the first "/": names are unique only among siblings, and whoever may add groups below one of his own
// must not be able to choose a name that a role mapping means for another. A group's subgroups are its members: Keycloak gives the roles of
// a group to everybody below it.

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "schema/model/records.hpp"

namespace rosterd::connectors::oidc::keycloak {

/// Empty when it has none.
[[nodiscard]] std::string id_of(const nlohmann::json& item);

struct ParsedUser {
  UserRecord record;
  std::string trouble;     ///< why it cannot be used (it has an id); empty = usable
  bool federated = false;  ///< comes from a user storage (LDAP, for example), which changes people without a word in Keycloak's logs
};
[[nodiscard]] ParsedUser parse_user(const nlohmann::json& user);

/// A group as lists show it.
struct Group {
  std::string id, name;
  std::string path;  ///< "/company/team"; "/" in names is written "~/"
  std::string description;
  std::string parent;                     ///< id; empty = at the top
  std::optional<std::uint64_t> children;  ///< how many, where the server says
};
/// `parent` where it is known from the way; its path serves where the answer has none.
[[nodiscard]] Group parse_group(const nlohmann::json& group, const Group* parent);
[[nodiscard]] GroupRecord record_of(const Group& group);

/// Users of clients ("service accounts") are called so; Keycloak's list of users leaves them out, member lists do not.
[[nodiscard]] bool is_named_like_service_account(const nlohmann::json& user);

}  // namespace rosterd::connectors::oidc::keycloak
