// What is different from directory to directory, as data. docs/directories.md explains the columns.
#include <strings.h>

#include "connectors/ldap/settings.hpp"

namespace rosterd::connectors::ldap {

std::string_view name_of(Preset preset) {
  switch (preset) {
    case Preset::OpenLdap:
      return "openldap";
    case Preset::Rfc2307:
      return "rfc2307";
    case Preset::ActiveDirectory:
      return "active_directory";
    case Preset::Ds389:
      return "389ds";
    case Preset::FreeIpa:
      return "freeipa";
  }
  return "";
}

std::optional<Preset> parse_preset(std::string_view name) {
  for (const auto preset : {Preset::OpenLdap, Preset::Rfc2307, Preset::ActiveDirectory, Preset::Ds389, Preset::FreeIpa})
    if (name_of(preset) == name) return preset;
  return std::nullopt;
}

std::string_view preset_names() { return "openldap, rfc2307, active_directory, 389ds, freeipa"; }

bool Settings::has_style(MemberStyle style) const {
  if (!groups) return false;
  for (const auto& member : groups->members)
    if (member.style == style) return true;
  return false;
}

Settings defaults_of(Preset preset) {
  Settings out;
  out.preset = preset;
  out.users.username = "uid";
  out.users.email = "mail";
  out.users.first_name = "givenName";
  out.users.last_name = "sn";
  out.groups.emplace();
  out.groups->name = "cn";
  out.groups->description = "description";
  const MemberAttribute member{"member", MemberStyle::Dn};
  const MemberAttribute unique_member{"uniqueMember", MemberStyle::DnAndUid};
  switch (preset) {
    case Preset::OpenLdap:
      out.id_attribute = "entryUUID";
      out.users.filter = "(objectClass=inetOrgPerson)";
      out.groups->filter = "(|(objectClass=groupOfNames)(objectClass=groupOfUniqueNames))";
      out.groups->members = {member, unique_member};
      out.state.pwd_account_locked = true;
      out.member_is_required = true;
      break;
    case Preset::Rfc2307:
      out.id_attribute = "entryUUID";
      out.users.filter = "(objectClass=posixAccount)";
      out.groups->filter = "(objectClass=posixGroup)";
      out.groups->members = {{"memberUid", MemberStyle::UserName}};
      out.primary_group = PrimaryGroup::GidNumber;
      out.state.pwd_account_locked = true;
      out.state.shadow_expire = true;
      out.member_is_required = true;
      break;
    case Preset::ActiveDirectory:
      out.id_attribute = "objectGUID";
      out.id_encoding = IdEncoding::Raw16Ms;
      out.users.filter = "(&(objectCategory=person)(objectClass=user))";  // objectClass=user alone also names computers
      out.users.username = "sAMAccountName";
      out.groups->filter = "(objectClass=group)";
      out.groups->members = {member};
      out.primary_group = PrimaryGroup::Rid;
      out.state.user_account_control = true;
      break;
    case Preset::Ds389:
      out.id_attribute = "nsUniqueId";
      out.users.filter = "(objectClass=person)";
      out.groups->filter = "(|(objectClass=groupOfNames)(objectClass=groupOfUniqueNames))";
      out.groups->members = {member, unique_member};
      out.state.ns_account_lock = true;
      break;
    case Preset::FreeIpa:
      out.id_attribute = "ipaUniqueID";
      out.users.filter = "(objectClass=posixAccount)";
      out.groups->filter = "(objectClass=ipaUserGroup)";
      out.groups->members = {member};
      out.state.ns_account_lock = true;
      break;
  }
  return out;
}

}  // namespace rosterd::connectors::ldap
