#pragma once
// One SCIM resource as it arrives -> one record. Tolerant as protocols.md B2 asks: attribute names and schema URNs in any case (RFC 7643
// §2.1), ids that are numbers, `active` as a text, missing meta. Pure, no I/O.

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "connectors/connector.hpp"

namespace rosterd::connectors::oidc::scim {

/// The member of `object` by that name in any case; nullptr when there is none or it is null.
[[nodiscard]] const nlohmann::json* attribute(const nlohmann::json& object, std::string_view name);
/// A text, a number or a truth value as text; empty for anything else.
[[nodiscard]] std::string text_of(const nlohmann::json* value);

/// Empty when the resource has none.
[[nodiscard]] std::string id_of(const nlohmann::json& resource);

struct ParsedUser {
  UserRecord record;
  std::string trouble;        ///< why it cannot be used (it has an id); empty = usable
  bool shows_groups = false;  ///< carries the attribute `groups`
};
[[nodiscard]] ParsedUser parse_user(const nlohmann::json& resource, bool with_groups);

struct ParsedGroup {
  GroupRecord record;
  std::string trouble;
  bool shows_members = false;  ///< carries the attribute `members`, be it empty
  std::vector<Reference> members;
};
[[nodiscard]] ParsedGroup parse_group(const nlohmann::json& resource);

/// RFC 7644 §3.4.2.2: a text in a filter.
[[nodiscard]] std::string filter_text(std::string_view text);

}  // namespace rosterd::connectors::oidc::scim
