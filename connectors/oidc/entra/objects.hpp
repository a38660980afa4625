#pragma once
// Objects of Microsoft Graph as they arrive -> records and members. Pure, no I/O.

#include <array>
#include <functional>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "connectors/connector.hpp"

namespace rosterd::connectors::oidc::entra {

inline constexpr std::string_view kUserProperties = "id,userPrincipalName,mail,givenName,surname,displayName,accountEnabled";
inline constexpr std::string_view kGroupProperties = "id,displayName,description,visibility";

/// The text under `key`; empty when it is absent, null or no text.
[[nodiscard]] std::string text_at(const nlohmann::json& object, std::string_view key);
[[nodiscard]] bool is_removed(const nlohmann::json& object);  ///< carries "@removed", whatever the reason

struct ParsedUser {
  UserRecord record;
  std::string trouble;  ///< why it cannot be used; empty = usable
};
[[nodiscard]] ParsedUser parse_user(const nlohmann::json& object);
/// Whether the object says all that a user must have: by default delta leaves out only what was never set.
[[nodiscard]] bool says_enough(const nlohmann::json& user);
/// Whether it says everything that was selected, be it null.
[[nodiscard]] bool says_all(const nlohmann::json& user);

struct ParsedGroup {
  GroupRecord record;
  std::string trouble;
  bool hides_members = false;  ///< visibility HiddenMembership: members are shown to clients with Member.Read.Hidden only
};
[[nodiscard]] ParsedGroup parse_group(const nlohmann::json& object);

/// Members of one group, 17 bytes each: a whole directory's memberships are held until the end of a walk, since a group comes in pieces.
class MemberList {
 public:
  /// Takes one entry of a members list or of members@delta. Devices, service principals and contacts are no people: left out.
  void add(const nlohmann::json& member);
  [[nodiscard]] bool empty() const { return packed_.empty() && odd_.empty(); }
  [[nodiscard]] bool has_unknown_kinds() const { return unknown_; }  ///< some came without "@odata.type"
  void clear();
  /// Gives each member once, as references, in pieces; false from `use` ends it, and is given back.
  [[nodiscard]] bool each_piece(const std::function<bool(std::span<const Reference>)>& use);

 private:
  enum class Kind : unsigned char { User, Group, Unknown };
  struct Packed {
    std::array<unsigned char, 16> id;
    Kind kind;
    auto operator<=>(const Packed&) const = default;
  };
  [[nodiscard]] static Reference reference(Kind kind, std::string_view id);

  std::vector<Packed> packed_;
  std::vector<Reference> odd_;  // whose ids are no GUIDs in lower case
  bool unknown_ = false;
};

}  // namespace rosterd::connectors::oidc::entra
