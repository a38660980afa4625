#include "daemon/http/authzen_question.hpp"

#include "daemon/http/json.hpp"
#include "schema/core/text.hpp"

namespace rosterd::http::authzen {
namespace {

using nlohmann::json;

/// An entity is an object, and so are its properties, which rosterd never believes: whoever asks could write anything into them.
Result<void> is_entity(std::string_view name, const json* entity) {
  if (entity == nullptr) return fail(Errc::InvalidInput, "{}: is missing", name);
  if (!entity->is_object()) return fail(Errc::InvalidInput, "{}: must be an object", name);
  if (const auto* properties = member(*entity, "properties"); properties != nullptr && !properties->is_object())
    return fail(Errc::InvalidInput, "{}.properties: must be an object", name);
  return {};
}

Result<std::string> text_of(std::string_view name, const json& entity, const char* attribute) {
  const auto* value = member(entity, attribute);
  if (value == nullptr) return fail(Errc::InvalidInput, "{}.{}: is missing", name, attribute);
  if (!value->is_string()) return fail(Errc::InvalidInput, "{}.{}: must be a text", name, attribute);
  auto text = value->get<std::string>();
  if (text.empty()) return fail(Errc::InvalidInput, "{}.{}: must not be empty", name, attribute);
  return text;
}

}  // namespace

const json* member(const json& object, const char* name) {
  const auto found = object.find(name);
  return found == object.end() ? nullptr : &*found;
}

Result<json> request_of(std::string_view body) {
  auto parsed = parse_json(body);
  if (!parsed) return fail(parsed.error());
  if (!parsed->is_object()) return fail(Errc::InvalidInput, "the body must be a JSON object");
  return parsed;
}

Result<std::string> type_of(std::string_view name, const json* entity) {
  if (const auto ok = is_entity(name, entity); !ok) return fail(ok.error());
  return text_of(name, *entity, "type");
}

Result<SubjectRef> subject_of(const json* entity) {
  const auto type = type_of("subject", entity);
  if (!type) return fail(type.error());
  auto key = text_of("subject", *entity, "id");
  if (!key) return fail(key.error());
  const auto known = parse_principal_type(*type);
  return SubjectRef{.type = known ? std::optional(*known) : std::nullopt, .key = std::move(*key)};
}

Result<ResourceRef> resource_of(const json* entity) {
  auto type = type_of("resource", entity);
  if (!type) return fail(type.error());
  auto id = text_of("resource", *entity, "id");
  if (!id) return fail(id.error());
  ResourceRef out{.permission = std::move(*type), .ns = {}, .nowhere = false};
  if (*id == kWholeTenant) return out;
  out.nowhere = !is_namespace(*id);
  out.ns = std::move(*id);
  return out;
}

Result<std::string> action_of(const json* entity) {
  if (const auto ok = is_entity("action", entity); !ok) return fail(ok.error());
  return text_of("action", *entity, "name");
}

Result<bool> wants_reasons(const json* context) {
  if (context == nullptr) return false;
  if (!context->is_object()) return fail(Errc::InvalidInput, "context: must be an object");
  const auto* explain = member(*context, "explain");
  return explain != nullptr && explain->is_boolean() && explain->get<bool>();
}

std::optional<Principal> principal_of(const Ground& ground, const SubjectRef& subject) {
  if (!subject.type) return std::nullopt;
  const auto found = ground.snapshot.resolve(*subject.type, subject.key);
  if (found.kind != rbac::Resolved::Found) return std::nullopt;
  return found.known.who;
}

std::vector<std::string> actions_of(const Ground& ground, const std::string& permission, const std::string& action) {
  const auto* known = ground.catalogue.find(permission);
  if (action != kAnyAction || known == nullptr) return {action};
  return known->actions;
}

}  // namespace rosterd::http::authzen
