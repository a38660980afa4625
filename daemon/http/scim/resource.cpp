#include "daemon/http/scim/resource.hpp"

#include <algorithm>

#include "daemon/http/json.hpp"
#include "schema/core/text.hpp"

namespace rosterd::http::scim {
namespace {

using nlohmann::json;

constexpr std::size_t kMostDocument = 256 * 1024;
constexpr std::size_t kMostName = 255;
constexpr std::size_t kMostExternalId = 1024;

tl::unexpected<Error> wrong(std::string_view attribute, std::string_view what) {
  return fail_as("invalidValue", Errc::InvalidInput, "{}: {}", attribute, what);
}

std::string text_at(const json& object, std::string_view name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

/// Names that the rest of rosterd shows are short; longer ones stay whole in the document.
std::string shown(std::string text) {
  if (has_control_characters(text)) return {};
  if (text.size() <= kMostName) return text;
  text.resize(kMostName);
  while (!text.empty() && !is_utf8(text)) text.pop_back();
  return text;
}

bool has_type(const json& element, std::string_view type) { return element.is_object() && same_name(text_at(element, "type"), type); }

/// The primary one, else the one of type work, else the first.
std::optional<std::string> chosen_email(const json& document) {
  const auto emails = document.find("emails");
  if (emails == document.end() || !emails->is_array()) return std::nullopt;
  const auto value = [](const json& one) { return one.is_object() ? text_at(one, "value") : std::string(); };
  std::string best;
  for (const auto& one : *emails)
    if (best.empty()) best = value(one);
  for (const auto& one : *emails)
    if (has_type(one, "work") && !value(one).empty()) {
      best = value(one);
      break;
    }
  for (const auto& one : *emails)
    if (one.is_object() && one.value("primary", json(false)) == true && !value(one).empty()) best = value(one);
  best = fold(best);
  return is_email(best) ? std::optional(best) : std::nullopt;
}

void keep(json& out, const json& from, const Path& path) {
  const auto* source = &from;
  auto* target = &out;
  if (!path.urn.empty()) {
    source = member(from, path.urn);
    if (source == nullptr) return;
    if (path.attribute.empty()) {
      out[path.urn] = *source;
      return;
    }
    target = &out[path.urn];
    if (target->is_null()) *target = json::object();
  }
  for (const auto& [name, value] : source->items()) {
    if (!same_name(name, path.attribute)) continue;
    if (path.sub.empty()) {
      (*target)[name] = value;
      return;
    }
    const auto part = [&](const json& whole, json held) {
      if (!held.is_object()) held = json::object();
      for (const auto& [inner, inner_value] : whole.items())
        if (same_name(inner, path.sub)) held[inner] = inner_value;
      return held;
    };
    if (value.is_object()) {
      (*target)[name] = part(value, target->value(name, json()));
    } else if (value.is_array()) {
      auto held = target->value(name, json::array());
      for (std::size_t i = 0; i < value.size(); ++i) {
        if (held.size() <= i) held.push_back(json::object());
        if (value[i].is_object()) held[i] = part(value[i], held[i]);
      }
      (*target)[name] = std::move(held);
    }
    return;
  }
}

void drop(json& from, const Path& path) {
  auto* source = &from;
  if (!path.urn.empty()) {
    source = member(from, path.urn);
    if (source == nullptr) return;
    if (path.attribute.empty()) {
      from.erase(path.urn);
      return;
    }
  }
  for (auto at = source->begin(); at != source->end(); ++at) {
    if (!same_name(at.key(), path.attribute)) continue;
    if (path.sub.empty()) {
      source->erase(at);
      return;
    }
    const auto part = [&](json& whole) {
      if (!whole.is_object()) return;
      for (auto inner = whole.begin(); inner != whole.end(); ++inner)
        if (same_name(inner.key(), path.sub)) {
          whole.erase(inner);
          return;
        }
    };
    if (at->is_array())
      for (auto& one : *at) part(one);
    else
      part(*at);
    return;
  }
}

bool is_always_there(const Path& path) {
  return path.urn.empty() && (same_name(path.attribute, "id") || same_name(path.attribute, "schemas"));
}

}  // namespace

std::string location(std::string_view base, PrincipalType type, PrincipalId id) {
  return fmt::format("{}/{}/{}", base, type == PrincipalType::User ? "Users" : "Groups", text(type, id));
}

std::string etag(const Pushed& one) { return fmt::format("W/\"{}\"", one.version); }

json to_resource(std::string_view base, const Pushed& one) {
  auto out = json::parse(one.document, nullptr, false);
  if (!out.is_object()) out = json::object();
  auto schemas = json::array({schema_of(one.type)});
  for (const auto& [name, value] : out.items())
    if (name.starts_with("urn:")) schemas.push_back(name);
  out["schemas"] = std::move(schemas);
  out["id"] = text(one.type, one.id);
  if (one.type == PrincipalType::User) out["active"] = one.active;
  out["meta"] = {{"resourceType", one.type == PrincipalType::User ? "User" : "Group"},
                 {"created", rfc3339(one.created_at)},
                 {"lastModified", rfc3339(one.modified_at)},
                 {"location", location(base, one.type, one.id)},
                 {"version", etag(one)}};
  return out;
}

void add_members(json& group, std::string_view base, std::span<const PushedMember> members) {
  auto list = json::array();
  for (const auto& one : members)
    list.push_back({{"value", text(one.who)},
                    {"$ref", location(base, one.who.type, one.who.id)},
                    {"type", one.who.type == PrincipalType::User ? "User" : "Group"},
                    {"display", one.display}});
  group["members"] = std::move(list);
}

PushedQuery groups_of(PrincipalId user) {
  PushedQuery out;
  out.type = PrincipalType::Group;
  out.member = user;
  out.limit = 1000;
  return out;
}

void add_groups(json& user, std::string_view base, std::span<const Pushed> groups) {
  auto list = json::array();
  for (const auto& one : groups)
    list.push_back({{"value", text(PrincipalType::Group, one.id)},
                    {"$ref", location(base, PrincipalType::Group, one.id)},
                    {"display", one.name},
                    {"type", "direct"}});
  user["groups"] = std::move(list);
}

Result<PushedContent> to_content(PrincipalType type, const json& document) {
  const std::string_view named = type == PrincipalType::User ? "userName" : "displayName";
  PushedContent out;
  out.name = text_at(document, named);
  if (fold(out.name).empty()) return wrong(named, "is missing");
  if (out.name.size() > kMostName) return wrong(named, "must not be longer than 255 bytes");
  if (has_control_characters(out.name)) return wrong(named, "must not hold control characters");
  if (document.contains("externalId")) {
    out.external_id = text_at(document, "externalId");
    if (out.external_id->size() > kMostExternalId) return wrong("externalId", "must not be longer than 1024 bytes");
  }
  auto kept = document;
  if (type == PrincipalType::User) kept.erase("active");  // it is the user's state, and shown from there
  out.document = dump(kept);
  if (out.document.size() > kMostDocument) return wrong("the resource", "is larger than 256 KiB");
  if (type == PrincipalType::Group) return out;
  out.active = document.value("active", true);
  out.email = chosen_email(document);
  if (const auto name = document.find("name"); name != document.end() && name->is_object()) {
    out.first_name = shown(text_at(*name, "givenName"));
    out.last_name = shown(text_at(*name, "familyName"));
  }
  if (const auto emails = document.find("emails"); emails != document.end() && emails->is_array())
    for (const auto& one : *emails)
      if (out.work_email.empty() && has_type(one, "work")) out.work_email = fold(text_at(one, "value")).substr(0, 1024);
  return out;
}

Result<std::vector<Principal>> to_principals(const std::vector<std::string>& ids, bool pass_over) {
  std::vector<Principal> out;
  for (const auto& id : ids) {
    if (const auto user = parse_principal_id(PrincipalType::User, id))
      out.push_back({PrincipalType::User, *user});
    else if (const auto group = parse_principal_id(PrincipalType::Group, id))
      out.push_back({PrincipalType::Group, *group});
    else if (!pass_over)
      return wrong("members", fmt::format("there is no User or Group \"{}\"", id.substr(0, 100)));
  }
  return out;
}

Result<std::vector<MemberStep>> to_steps(const std::vector<MemberChange>& changes) {
  std::vector<MemberStep> out;
  for (const auto& change : changes) {
    MemberStep step;
    switch (change.kind) {
      case MemberChange::Kind::Add:
        step.kind = MemberStep::Kind::Add;
        break;
      case MemberChange::Kind::Remove:
        step.kind = MemberStep::Kind::Remove;
        break;
      case MemberChange::Kind::Replace:
        step.kind = MemberStep::Kind::Replace;
        break;
      case MemberChange::Kind::RemoveWhere:
        step.kind = MemberStep::Kind::RemoveWhere;
        step.where = [where = change.where](const PushedMember& one) {
          const json element{
              {"value", text(one.who)}, {"type", one.who.type == PrincipalType::User ? "User" : "Group"}, {"display", one.display}};
          return where && matches_element(*where, PrincipalType::Group, Path{.urn = {}, .attribute = "members", .sub = {}}, element);
        };
        break;
    }
    auto who = to_principals(change.ids, change.kind == MemberChange::Kind::Remove);
    if (!who) return tl::unexpected(who.error());
    step.who = std::move(*who);
    out.push_back(std::move(step));
  }
  return out;
}

bool Wanted::wants(std::string_view attribute) const {
  const auto names = [&](const Path& path) { return path.urn.empty() && same_name(path.attribute, attribute); };
  if (!only.empty()) return std::any_of(only.begin(), only.end(), names);
  return std::none_of(without.begin(), without.end(), [&](const Path& path) { return names(path) && path.sub.empty(); });
}

Result<Wanted> parse_wanted(std::string_view attributes, std::string_view excluded) {
  if (!attributes.empty() && !excluded.empty()) return wrong("attributes", "cannot be given together with excludedAttributes");
  Wanted out;
  const auto read = [](std::string_view names, std::vector<Path>& into) {
    while (!names.empty()) {
      const auto comma = names.find(',');
      auto one = names.substr(0, comma);
      names = comma == std::string_view::npos ? std::string_view{} : names.substr(comma + 1);
      while (one.starts_with(' ')) one.remove_prefix(1);
      while (one.ends_with(' ')) one.remove_suffix(1);
      if (one.empty()) continue;
      if (auto path = parse_path(one)) into.push_back(std::move(*path));  // what is no attribute selects nothing
    }
  };
  read(attributes, out.only);
  read(excluded, out.without);
  if (!attributes.empty() && out.only.empty()) out.only.push_back({.urn = {}, .attribute = "id", .sub = {}});
  return out;
}

json cut(json resource, const Wanted& wanted) {
  if (!wanted.only.empty()) {
    auto out = json::object();
    out["schemas"] = resource["schemas"];
    out["id"] = resource["id"];
    for (const auto& path : wanted.only) {
      if (path.attribute.empty() && path.urn.empty()) return resource;  // the core schema's own URN: all of it
      keep(out, resource, path);
    }
    return out;
  }
  for (const auto& path : wanted.without)
    if (!is_always_there(path)) drop(resource, path);
  return resource;
}

}  // namespace rosterd::http::scim
