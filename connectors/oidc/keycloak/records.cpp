#include "connectors/oidc/keycloak/records.hpp"

#include "connectors/oidc/dialect.hpp"
#include "schema/core/text.hpp"

namespace rosterd::connectors::oidc::keycloak {
namespace {

using Json = nlohmann::json;

std::string text_at(const Json& object, std::string_view key) {
  if (!object.is_object()) return {};
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

/// As Keycloak writes names in paths (KeycloakModelUtils.escapeGroupNameInPath).
std::string in_path(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (c == '/') out += '~';
    out += c;
  }
  return out;
}

}  // namespace

std::string id_of(const Json& item) { return text_at(item, "id"); }

ParsedUser parse_user(const Json& user) {
  ParsedUser out;
  auto& record = out.record;
  const auto id = id_of(user);
  record.id = {id};
  record.entry = "users/" + id;
  record.references = {user_reference(id), any_reference(id)};
  record.username = fold(text_at(user, "username"));
  if (record.username.empty()) out.trouble = "has no username";
  if (const auto email = text_at(user, "email"); !email.empty()) record.email = fold(email);
  record.first_name = text_at(user, "firstName");
  record.last_name = text_at(user, "lastName");
  const auto enabled = user.find("enabled");
  if (enabled == user.end() || !enabled->is_boolean()) {
    out.trouble = "does not say whether it is enabled";
  } else if (!enabled->get<bool>()) {
    record.enabled = false;
    record.disabled_reason = "Keycloak says enabled: false";
  }
  out.federated = !text_at(user, "federationLink").empty() || !text_at(user, "origin").empty();
  return out;
}

Group parse_group(const Json& group, const Group* parent) {
  Group out;
  out.id = id_of(group);
  out.name = text_at(group, "name");
  out.description = text_at(group, "description");
  out.parent = parent != nullptr ? parent->id : text_at(group, "parentId");
  out.path = text_at(group, "path");
  if (out.path.empty() && !out.name.empty()) out.path = (parent != nullptr ? parent->path : std::string()) + "/" + in_path(out.name);
  if (const auto count = group.find("subGroupCount"); count != group.end() && count->is_number_unsigned())
    out.children = count->get<std::uint64_t>();
  return out;
}

GroupRecord record_of(const Group& group) {
  return {.id = {group.id},
          .name = group.path.starts_with('/') ? group.path.substr(1) : group.path,
          .description = group.description,
          .entry = group.path,
          .references = {group_reference(group.id), any_reference(group.id)}};
}

bool is_named_like_service_account(const Json& user) { return text_at(user, "username").starts_with("service-account-"); }

}  // namespace rosterd::connectors::oidc::keycloak
