#include "connectors/oidc/okta/objects.hpp"

#include "connectors/oidc/dialect.hpp"
#include "schema/core/text.hpp"

namespace rosterd::connectors::oidc::okta {
namespace {

using Json = nlohmann::json;

/// What a status means for whoever has it. Being locked out concerns signing in, and anybody can bring it about for anybody: nobody loses
/// his rights by it.
struct Status {
  std::string_view name;
  bool enabled;
  std::string_view reason;
};
constexpr Status kStatuses[] = {
    {"ACTIVE", true, ""},
    {"PROVISIONED", true, ""},
    {"RECOVERY", true, ""},
    {"PASSWORD_EXPIRED", true, ""},
    {"LOCKED_OUT", true, ""},
    {"STAGED", false, "not activated yet (status STAGED)"},
    {"SUSPENDED", false, "suspended in Okta (status SUSPENDED)"},
    {"DEPROVISIONED", false, "deactivated in Okta (status DEPROVISIONED)"},
};

const Json& profile_of(const Json& object) {
  static const Json none = Json::object();
  const auto found = object.find("profile");
  return found != object.end() && found->is_object() ? *found : none;
}

}  // namespace

std::string text_at(const Json& object, std::string_view key) {
  if (!object.is_object()) return {};
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

ParsedUser parse_user(const Json& object) {
  ParsedUser out;
  auto& record = out.record;
  const auto id = text_at(object, "id");
  const auto& profile = profile_of(object);
  record.id = {id};
  record.entry = "users/" + id;
  record.references = {user_reference(id), any_reference(id)};
  record.username = fold(text_at(profile, "login"));
  if (record.username.empty()) out.trouble = "has no login";
  if (const auto email = text_at(profile, "email"); !email.empty()) record.email = fold(email);
  record.first_name = text_at(profile, "firstName");
  record.last_name = text_at(profile, "lastName");
  if (record.first_name.empty() && record.last_name.empty()) record.last_name = text_at(profile, "displayName");
  const auto status = text_at(object, "status");
  const Status* known = nullptr;
  for (const auto& one : kStatuses)
    if (one.name == status) known = &one;
  if (known == nullptr) {
    out.trouble = fmt::format("has the status \"{}\", which this release does not know", status);
  } else {
    record.enabled = known->enabled;
    record.disabled_reason = known->reason;
  }
  for (const auto* text : {&record.username, &record.first_name, &record.last_name})
    if (has_control_characters(*text) || !is_utf8(*text)) out.trouble = "holds control characters or no UTF-8";
  return out;
}

ParsedGroup parse_group(const Json& object) {
  ParsedGroup out;
  const auto id = text_at(object, "id");
  const auto& profile = profile_of(object);
  out.record.id = {id};
  out.record.entry = "groups/" + id;
  out.record.references = {group_reference(id), any_reference(id)};
  out.record.name = text_at(profile, "name");
  out.record.description = text_at(profile, "description");
  if (out.record.name.empty()) out.trouble = "has no name";
  if (has_control_characters(out.record.name) || !is_utf8(out.record.name) || !is_utf8(out.record.description))
    out.trouble = "holds control characters or no UTF-8";
  return out;
}

std::string filter_time(TimePoint time) {
  auto text = rfc3339(std::chrono::floor<std::chrono::seconds>(time));
  if (text.ends_with('Z')) text.pop_back();
  return text + ".000Z";
}

}  // namespace rosterd::connectors::oidc::okta
