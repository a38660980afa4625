#pragma once
// Settings of one LDAP source, as DESIGN §6.1 writes them: parsed strictly, every problem with its JSON path, presets filled in.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "connectors/ldap/client.hpp"
#include "connectors/ldap/ids.hpp"

namespace rosterd::connectors::ldap {

enum class Preset { OpenLdap, Rfc2307, ActiveDirectory, Ds389, FreeIpa };
[[nodiscard]] std::string_view name_of(Preset preset);

/// How a group says who its members are.
enum class MemberStyle {
  Dn,        ///< member: the DN of an entry
  DnAndUid,  ///< uniqueMember: a DN, perhaps with a unique identifier behind it
  UserName,  ///< memberUid: the uid of a person
};
struct MemberAttribute {
  std::string name;
  MemberStyle style = MemberStyle::Dn;
};

/// The group that is known from the user's side only.
enum class PrimaryGroup { None, GidNumber, Rid };

/// What tells that an account is disabled (protocols A4); asked for and read per preset.
struct AccountState {
  bool user_account_control = false;  ///< userAccountControl and accountExpires
  bool ns_account_lock = false;
  bool pwd_account_locked = false;
  bool shadow_expire = false;
};

struct Part {
  std::string base;
  std::string filter;
  Scope scope = Scope::Subtree;
};
struct UserPart : Part {
  std::string username, email, first_name, last_name;
};
struct GroupPart : Part {
  std::string name, description;
  std::vector<MemberAttribute> members;
};

struct Settings {
  Target target;
  Preset preset = Preset::OpenLdap;
  std::string id_attribute;
  IdEncoding id_encoding = IdEncoding::Text;
  PrimaryGroup primary_group = PrimaryGroup::None;
  AccountState state;
  bool member_is_required = false;  ///< the server's schema wants member in groupOfNames: an answer without it was cut (S7)
  UserPart users;
  std::optional<GroupPart> groups;

  [[nodiscard]] bool has_style(MemberStyle style) const;
};

enum class SecretRule {
  MayBeClosed,  ///< {"file"}, {"env"}, {"value"}, {"sealed"}, {"set"}: how settings are stored and sent
  MustBeOpen,   ///< {"value"} only: on the way into a connection
};
/// InvalidInput lists every problem: "/users/filter: expected a closing bracket …; /url: …".
[[nodiscard]] Result<Settings> parse_settings(std::string_view json, SecretRule secrets);

/// What a preset says of everything but base and credentials.
[[nodiscard]] Settings defaults_of(Preset preset);
[[nodiscard]] std::optional<Preset> parse_preset(std::string_view name);
[[nodiscard]] std::string_view preset_names();  ///< for messages

}  // namespace rosterd::connectors::ldap
