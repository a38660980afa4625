#include "connectors/ldap/settings.hpp"

#include <strings.h>

#include <charconv>
#include <initializer_list>
#include <nlohmann/json.hpp>

#include "connectors/ldap/dn.hpp"
#include "connectors/ldap/filter.hpp"
#include "connectors/ldap/tls_explain.hpp"
#include "connectors/settings_object.hpp"
#include "schema/core/text.hpp"

namespace rosterd::connectors::ldap {
namespace {

using Json = nlohmann::json;

// Debian's bundle of public CAs, for servers with a public certificate; libldap itself has none under LDAPNOINIT.
constexpr std::string_view kSystemBundle = "/etc/ssl/certs/ca-certificates.crt";

using Object = SettingsObject;

void read_url(Object& root, Settings& out, Problems& problems) {
  const bool start_tls = root.flag("start_tls");
  const bool allow_plaintext = root.flag("allow_plaintext");
  const auto url = root.required("url");
  if (!url) return;
  const auto path = root.at("url");
  std::string_view rest = *url;
  if (rest.starts_with("ldaps://")) {
    out.target.security = Security::Ldaps;
    out.target.port = 636;
    rest.remove_prefix(8);
    if (start_tls) problems.add(root.at("start_tls"), "ldaps:// is encrypted from the start; use either ldaps:// or start_tls");
  } else if (rest.starts_with("ldap://")) {
    out.target.security = start_tls ? Security::StartTls : Security::Plain;
    rest.remove_prefix(7);
  } else {
    return problems.add(path, "must begin with ldap:// or ldaps://");
  }
  if (rest.ends_with('/')) rest.remove_suffix(1);
  if (rest.find_first_of("/?@# \\") != std::string_view::npos)
    return problems.add(path, "must be only ldap(s)://host or ldap(s)://host:port");
  std::string_view port;
  if (rest.starts_with('[')) {
    const auto close = rest.find(']');
    if (close == std::string_view::npos) return problems.add(path, "has an address without closing bracket");
    out.target.host = rest.substr(1, close - 1);
    port = rest.substr(close + 1);
  } else {
    const auto colon = rest.find(':');
    out.target.host = rest.substr(0, colon);
    port = colon == std::string_view::npos ? std::string_view{} : rest.substr(colon);
  }
  if (out.target.host.empty()) return problems.add(path, "names no host");
  if (!port.empty()) {
    int number = 0;
    const auto [end, error] = std::from_chars(port.data() + 1, port.data() + port.size(), number);
    if (port.front() != ':' || error != std::errc{} || end != port.data() + port.size() || number < 1 || number > 65535)
      return problems.add(path, "has no usable port number");
    out.target.port = static_cast<std::uint16_t>(number);
  }
  if (out.target.security == Security::Plain && !allow_plaintext && !is_loopback_name(out.target.host))
    problems.add(
        path, "ldap:// without encryption would show the bind password and every entry; use ldaps://, start_tls, or say allow_plaintext");
}

void read_ca(Object& root, Settings& out, Problems& problems) {
  const auto file = root.text("ca_file");
  out.target.ca_file = file.value_or(std::string(kSystemBundle));
  const Json* const pem = root.field("ca_pem");
  if (pem == nullptr) return;
  const auto path = root.at("ca_pem");
  if (!pem->is_string()) return problems.add(path, "must be a text");
  if (file) problems.add(path, "ca_file is set as well; use one of them");
  out.target.ca_pem = pem->get<std::string>();
  if (const auto wrong = trouble_with_certificates(out.target.ca_pem); !wrong.empty()) problems.add(path, "{}", wrong);
}

void read_password(Object& root, SecretRule rule, Settings& out, Problems& problems) {
  const bool has_dn = !out.target.bind_dn.empty();
  const Json* const secret = root.object("bind_password");
  if (secret == nullptr) {
    if (has_dn && root.field("bind_password") == nullptr) problems.add(root.at("bind_password"), "is missing (bind_dn is set)");
    return;
  }
  if (!has_dn) problems.add(root.at("bind_dn"), "is missing (bind_password is set)");
  const auto path = root.at("bind_password");
  if (const auto value = secret->find("value"); value != secret->end()) {
    if (!value->is_string() || secret->size() != 1) return problems.add(path, "must be {{\"value\": text}}");
    out.target.bind_password = value->get<std::string>();
    // RFC 4513 §5.1.2: a server takes this as "nobody" and answers success.
    if (out.target.bind_password.empty()) problems.add(path, "is empty; a bind with an empty password is no bind");
    if (out.target.bind_password.find('\0') != std::string::npos) problems.add(path, "holds a NUL");
    return;
  }
  switch (rule) {
    case SecretRule::MustBeOpen:
      return problems.add(path, "must be {{\"value\": text}}");
    case SecretRule::MayBeClosed:
      for (const std::string_view form : {"file", "env", "sealed", "set"})
        if (secret->contains(form)) return;
      return problems.add(path, "must be one of {{\"file\": path}}, {{\"env\": name}}, {{\"value\": text}}");
  }
}

void read_attribute(Object& attributes, std::string_view key, std::string& into, Problems& problems) {
  const auto name = attributes.text(key);
  if (!name) return;
  if (is_attribute_description(*name)) {
    into = *name;
  } else {
    problems.add(attributes.at(key), "\"{}\" is no attribute name", *name);
  }
}

void read_part(Object& object, Part& part, Problems& problems) {
  if (const auto base = object.required("base")) {
    part.base = *base;
    if (!is_dn(*base)) problems.add(object.at("base"), "\"{}\" is no DN", *base);
  }
  if (const auto filter = object.text("filter")) {
    part.filter = *filter;
    if (auto ok = check_filter(*filter); !ok) problems.add(object.at("filter"), "{}", ok.error().what);
  }
  if (const auto scope = object.text("scope")) {
    if (*scope == "subtree") {
      part.scope = Scope::Subtree;
    } else if (*scope == "one") {
      part.scope = Scope::One;
    } else {
      problems.add(object.at("scope"), "must be \"subtree\" or \"one\"");
    }
  }
}

MemberAttribute member_attribute(std::string name) {
  if (::strcasecmp(name.c_str(), "memberUid") == 0) return {std::move(name), MemberStyle::UserName};
  if (::strcasecmp(name.c_str(), "uniqueMember") == 0) return {std::move(name), MemberStyle::DnAndUid};
  return {std::move(name), MemberStyle::Dn};
}

void read_members(Object& attributes, GroupPart& groups, Problems& problems) {
  const Json* const value = attributes.field("member");
  if (value == nullptr) return;
  const auto path = attributes.at("member");
  const Json list = value->is_array() ? *value : Json::array({*value});
  groups.members.clear();
  for (const auto& item : list) {
    const auto name = item.is_string() ? item.get<std::string>() : std::string();
    if (!is_attribute_description(name) || name.find(';') != std::string::npos) {
      problems.add(path, "must be an attribute name or a list of them");
      continue;
    }
    groups.members.push_back(member_attribute(name));
  }
  if (list.empty()) problems.add(path, "names no attribute");
}

void read_users(Object& root, Settings& out, Problems& problems) {
  const Json* const json = root.object("users");
  if (json == nullptr) {
    if (root.field("users") == nullptr) problems.add(root.at("users"), "is missing");
    return;
  }
  Object users(*json, root.at("users"), problems);
  read_part(users, out.users, problems);
  if (const Json* const mapped = users.object("attributes")) {
    Object attributes(*mapped, users.at("attributes"), problems);
    read_attribute(attributes, "username", out.users.username, problems);
    read_attribute(attributes, "email", out.users.email, problems);
    read_attribute(attributes, "first_name", out.users.first_name, problems);
    read_attribute(attributes, "last_name", out.users.last_name, problems);
    if (const auto primary = attributes.text("primary_group")) {
      if (::strcasecmp(primary->c_str(), "gidNumber") == 0) {
        out.primary_group = PrimaryGroup::GidNumber;
      } else if (::strcasecmp(primary->c_str(), "primaryGroupID") == 0) {
        out.primary_group = PrimaryGroup::Rid;
      } else if (*primary == "none") {
        out.primary_group = PrimaryGroup::None;
      } else {
        problems.add(attributes.at("primary_group"), "must be \"gidNumber\", \"primaryGroupID\" or \"none\"");
      }
    }
    attributes.name_unknown();
  }
  users.name_unknown();
}

void read_groups(Object& root, Settings& out, Problems& problems) {
  const Json* const json = root.object("groups");
  if (json == nullptr) {
    out.groups.reset();
    return;
  }
  auto& part = out.groups ? *out.groups : out.groups.emplace();
  Object groups(*json, root.at("groups"), problems);
  read_part(groups, part, problems);
  if (const Json* const mapped = groups.object("attributes")) {
    Object attributes(*mapped, groups.at("attributes"), problems);
    read_attribute(attributes, "name", part.name, problems);
    read_attribute(attributes, "description", part.description, problems);
    read_members(attributes, part, problems);
    attributes.name_unknown();
  }
  groups.name_unknown();
}

}  // namespace

Result<Settings> parse_settings(std::string_view text, SecretRule secrets) {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) return fail(Errc::InvalidInput, "/: the settings are no JSON object");
  Problems problems;
  Object root(json, "", problems);

  Settings out = defaults_of(Preset::OpenLdap);
  if (const auto name = root.required("preset")) {
    if (const auto preset = parse_preset(*name)) {
      out = defaults_of(*preset);
    } else {
      problems.add(root.at("preset"), "there is no preset \"{}\"; there are {}", *name, preset_names());
    }
  }
  read_url(root, out, problems);
  read_ca(root, out, problems);
  out.target.bind_dn = root.text("bind_dn").value_or("");
  read_password(root, secrets, out, problems);
  read_attribute(root, "id_attribute", out.id_attribute, problems);
  if (const auto name = root.text("id_encoding")) {
    if (const auto encoding = parse_id_encoding(*name)) {
      out.id_encoding = *encoding;
    } else {
      problems.add(root.at("id_encoding"), "must be \"text\", \"raw16-be\" or \"raw16-ms\"");
    }
  }
  read_users(root, out, problems);
  read_groups(root, out, problems);
  root.name_unknown();
  if (!problems.none()) return tl::unexpected(problems.error());
  return out;
}

}  // namespace rosterd::connectors::ldap
