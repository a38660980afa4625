#include "connectors/oidc/scim/resources.hpp"

#include <strings.h>

#include "connectors/oidc/dialect.hpp"
#include "schema/core/text.hpp"

namespace rosterd::connectors::oidc::scim {
namespace {

using Json = nlohmann::json;

bool same_name(std::string_view a, std::string_view b) { return a.size() == b.size() && ::strncasecmp(a.data(), b.data(), a.size()) == 0; }

/// "False" and 0 are false, too (Entra sends texts); what is absent is active (RFC 7643 §4.1.1 leaves the meaning to the provider).
bool is_active(const Json* value) {
  const auto text = text_of(value);
  return !(same_name(text, "false") || text == "0");
}

/// The primary one, else the one of type work, else the first.
std::string email_of(const Json& resource) {
  const Json* const emails = attribute(resource, "emails");
  if (emails == nullptr) return {};
  if (emails->is_string()) return emails->get<std::string>();
  if (!emails->is_array()) return {};
  std::string first, work;
  for (const auto& item : *emails) {
    const auto value = item.is_object() ? text_of(attribute(item, "value")) : text_of(&item);
    if (value.empty()) continue;
    if (item.is_object() && text_of(attribute(item, "primary")) == "true") return value;
    if (item.is_object() && work.empty() && same_name(text_of(attribute(item, "type")), "work")) work = value;
    if (first.empty()) first = value;
  }
  return work.empty() ? first : work;
}

/// The kind of a member is in `type`, or in the path of `$ref` (RFC 7643 §4.2); where neither says, it may be either.
Reference member_reference(const Json& item) {
  if (!item.is_object()) {
    const auto id = text_of(&item);
    return id.empty() ? Reference() : any_reference(id);
  }
  const auto id = text_of(attribute(item, "value"));
  if (id.empty()) return {};
  const auto type = text_of(attribute(item, "type"));
  if (same_name(type, "user")) return user_reference(id);
  if (same_name(type, "group")) return group_reference(id);
  const auto ref = text_of(attribute(item, "$ref"));
  if (ref.find("/Users/") != std::string::npos) return user_reference(id);
  if (ref.find("/Groups/") != std::string::npos) return group_reference(id);
  return any_reference(id);
}

void add_groups(const Json& resource, ParsedUser& out) {
  const Json* const groups = attribute(resource, "groups");
  if (groups == nullptr || !groups->is_array()) return;
  out.shows_groups = true;
  for (const auto& item : *groups) {
    if (item.is_object() && same_name(text_of(attribute(item, "type")), "indirect")) continue;  // follows from nested groups
    const auto id = item.is_object() ? text_of(attribute(item, "value")) : text_of(&item);
    if (!id.empty()) out.record.member_of.push_back(group_reference(id));
  }
}

}  // namespace

const Json* attribute(const Json& object, std::string_view name) {
  if (!object.is_object()) return nullptr;
  if (const auto exact = object.find(name); exact != object.end()) return exact->is_null() ? nullptr : &*exact;
  for (const auto& [key, value] : object.items())
    if (same_name(key, name)) return value.is_null() ? nullptr : &value;
  return nullptr;
}

std::string text_of(const Json* value) {
  if (value == nullptr) return {};
  if (value->is_string()) return value->get<std::string>();
  if (value->is_boolean() || value->is_number_integer()) return value->dump();
  return {};
}

std::string id_of(const Json& resource) { return text_of(attribute(resource, "id")); }

ParsedUser parse_user(const Json& resource, bool with_groups) {
  ParsedUser out;
  auto& record = out.record;
  const auto id = id_of(resource);
  record.id = {id};
  record.entry = "Users/" + id;
  record.references = {user_reference(id), any_reference(id)};
  record.username = fold(text_of(attribute(resource, "userName")));
  if (record.username.empty()) out.trouble = "has no userName";
  if (const auto email = email_of(resource); !email.empty()) record.email = fold(email);
  if (const Json* const name = attribute(resource, "name")) {
    record.first_name = text_of(attribute(*name, "givenName"));
    record.last_name = text_of(attribute(*name, "familyName"));
    if (record.first_name.empty() && record.last_name.empty()) record.last_name = text_of(attribute(*name, "formatted"));
  }
  if (record.first_name.empty() && record.last_name.empty()) record.last_name = text_of(attribute(resource, "displayName"));
  record.enabled = is_active(attribute(resource, "active"));
  if (!record.enabled) record.disabled_reason = "active is false";
  for (const auto* text : {&record.username, &record.first_name, &record.last_name})
    if (has_control_characters(*text) || !is_utf8(*text)) out.trouble = "holds control characters or no UTF-8";
  if (with_groups) add_groups(resource, out);
  return out;
}

ParsedGroup parse_group(const Json& resource) {
  ParsedGroup out;
  const auto id = id_of(resource);
  out.record.id = {id};
  out.record.entry = "Groups/" + id;
  out.record.references = {group_reference(id), any_reference(id)};
  out.record.name = text_of(attribute(resource, "displayName"));
  if (out.record.name.empty()) out.trouble = "has no displayName";
  if (has_control_characters(out.record.name) || !is_utf8(out.record.name)) out.trouble = "holds control characters or no UTF-8";
  const Json* const members = attribute(resource, "members");
  out.shows_members = members != nullptr && members->is_array();
  if (out.shows_members)
    for (const auto& item : *members)
      if (auto reference = member_reference(item); !reference.empty()) out.members.push_back(std::move(reference));
  return out;
}

std::string filter_text(std::string_view text) { return nlohmann::json(text).dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace rosterd::connectors::oidc::scim
