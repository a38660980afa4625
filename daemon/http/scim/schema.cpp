#include "daemon/http/scim/schema.hpp"

#include <algorithm>

#include "schema/core/text.hpp"

namespace rosterd::http::scim {
namespace {

using nlohmann::json;

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

Attribute text_of(std::string_view name, std::string_view description) { return {.name = name, .description = description}; }

/// value, display, type, primary: RFC 7643 §2.4.
Attribute plural(std::string_view name, std::string_view description, bool case_exact = false, Kind kind = Kind::Text) {
  return {.name = name,
          .kind = Kind::Complex,
          .multi = true,
          .description = description,
          .sub = {{.name = "value", .kind = kind, .case_exact = case_exact, .description = "The value."},
                  text_of("display", "A name for people."),
                  text_of("type", "What kind of value it is, such as work or home."),
                  {.name = "primary", .kind = Kind::Boolean, .description = "The preferred value; true once at most."}}};
}

const std::vector<Attribute>& user_attributes() {
  static const std::vector<Attribute> table{
      {.name = "userName", .required = true, .unique = true, .description = "Name of the user, unique within the pushing source."},
      {.name = "name",
       .kind = Kind::Complex,
       .description = "The parts of the user's name.",
       .sub = {text_of("formatted", "The whole name."), text_of("familyName", "Family name."), text_of("givenName", "Given name."),
               text_of("middleName", "Middle names."), text_of("honorificPrefix", "Title."), text_of("honorificSuffix", "Suffix.")}},
      text_of("displayName", "Name as it is shown."),
      text_of("nickName", "What the user is called."),
      {.name = "profileUrl", .kind = Kind::Reference, .case_exact = true, .description = "Page of the user."},
      text_of("title", "Title, such as Vice President."),
      text_of("userType", "Relation to the organisation, such as Employee."),
      text_of("preferredLanguage", "Languages as in Accept-Language."),
      text_of("locale", "Where the user is, for formats."),
      text_of("timezone", "Time zone, as in the IANA database."),
      {.name = "active", .kind = Kind::Boolean, .description = "False suspends the user; true resumes the same user with the same rights."},
      {.name = "password",
       .case_exact = true,
       .mutability = Mutability::WriteOnly,
       .description = "Taken and thrown away: nobody signs in with it."},
      plural("emails", "E-mail addresses. The primary one, else the one of type work, else the first is rosterd's."),
      plural("phoneNumbers", "Telephone numbers."),
      plural("ims", "Instant messaging addresses."),
      plural("photos", "Pictures.", true, Kind::Reference),
      {.name = "addresses",
       .kind = Kind::Complex,
       .multi = true,
       .description = "Postal addresses.",
       .sub = {text_of("formatted", "The whole address."),
               text_of("streetAddress", "Street and number."),
               text_of("locality", "City."),
               text_of("region", "State or region."),
               text_of("postalCode", "Postal code."),
               text_of("country", "Country, ISO 3166-1."),
               text_of("type", "Such as work or home."),
               {.name = "primary", .kind = Kind::Boolean, .description = "The preferred address."}}},
      plural("entitlements", "Kept as sent; gives no right in rosterd."),
      plural("roles", "Kept as sent; gives no right in rosterd."),
      plural("x509Certificates", "Certificates.", true, Kind::Binary),
      {.name = "groups",
       .kind = Kind::Complex,
       .multi = true,
       .mutability = Mutability::ReadOnly,
       .description = "Groups of this source that the user is a direct member of; changed at the groups.",
       .sub = {{.name = "value", .case_exact = true, .mutability = Mutability::ReadOnly, .description = "Id of the group."},
               {.name = "$ref",
                .kind = Kind::Reference,
                .case_exact = true,
                .mutability = Mutability::ReadOnly,
                .description = "URI of the group."},
               {.name = "display", .mutability = Mutability::ReadOnly, .description = "Name of the group."},
               {.name = "type", .mutability = Mutability::ReadOnly, .description = "Always direct.", .canonical = {"direct"}}},
       .on_request = true},
  };
  return table;
}

const std::vector<Attribute>& enterprise_attributes() {
  static const std::vector<Attribute> table{
      text_of("employeeNumber", "Number of the employee."),
      text_of("costCenter", "Cost center."),
      text_of("organization", "Organisation."),
      text_of("division", "Division."),
      text_of("department", "Department."),
      {.name = "manager",
       .kind = Kind::Complex,
       .description = "The user's manager.",
       .sub = {{.name = "value", .case_exact = true, .description = "Id of the manager, as sent."},
               {.name = "$ref", .kind = Kind::Reference, .case_exact = true, .description = "URI of the manager."},
               text_of("displayName", "Name of the manager, as sent.")}},
  };
  return table;
}

const std::vector<Attribute>& group_attributes() {
  static const std::vector<Attribute> table{
      {.name = "displayName", .required = true, .unique = true, .description = "Name of the group, unique within the pushing source."},
      {.name = "members",
       .kind = Kind::Complex,
       .multi = true,
       .description = "Users and groups that are direct members.",
       .sub = {{.name = "value", .case_exact = true, .mutability = Mutability::Immutable, .description = "Id of the member."},
               {.name = "$ref",
                .kind = Kind::Reference,
                .case_exact = true,
                .mutability = Mutability::Immutable,
                .description = "URI of the member."},
               {.name = "type", .mutability = Mutability::Immutable, .description = "User or Group.", .canonical = {"User", "Group"}},
               {.name = "display", .mutability = Mutability::ReadOnly, .description = "Name of the member."}}},
  };
  return table;
}

/// What every resource has (RFC 7643 §3.1).
const std::vector<Attribute>& common_attributes() {
  static const std::vector<Attribute> table{
      {.name = "schemas", .kind = Kind::Reference, .multi = true, .case_exact = true},
      {.name = "id", .case_exact = true, .mutability = Mutability::ReadOnly},
      {.name = "externalId", .case_exact = true},
      {.name = "meta",
       .kind = Kind::Complex,
       .mutability = Mutability::ReadOnly,
       .sub = {{.name = "resourceType", .case_exact = true},
               {.name = "created", .kind = Kind::DateTime},
               {.name = "lastModified", .kind = Kind::DateTime},
               {.name = "location", .kind = Kind::Reference, .case_exact = true},
               {.name = "version", .case_exact = true}}},
  };
  return table;
}

const Attribute* named(const std::vector<Attribute>& table, std::string_view name) {
  const auto found = std::find_if(table.begin(), table.end(), [&](const Attribute& one) { return same_name(one.name, name); });
  return found == table.end() ? nullptr : &*found;
}

const std::vector<Attribute>& own_attributes(PrincipalType type) {
  return type == PrincipalType::User ? user_attributes() : group_attributes();
}

Error wrong(std::string_view attribute, std::string_view what) {
  return {.code = Errc::InvalidInput, .what = fmt::format("{}: {}", attribute, what), .slug = "invalidValue"};
}

/// Entra's "True" and "False" are truth values, too.
std::optional<bool> truth(const json& value) {
  if (value.is_boolean()) return value.get<bool>();
  if (!value.is_string()) return std::nullopt;
  const auto& text = value.get_ref<const std::string&>();
  if (same_name(text, "true")) return true;
  if (same_name(text, "false")) return false;
  return std::nullopt;
}

Result<json> one_value(const Attribute& attribute, const json& sent, std::string_view where);

/// Object of sub-attributes; a bare value stands for {"value": …} (Entra's manager).
Result<json> complex_value(const Attribute& attribute, const json& sent, std::string_view where) {
  if (!sent.is_object()) {
    if (sent.is_string() && named(attribute.sub, "value") != nullptr) return json{{"value", sent}};
    return tl::unexpected(wrong(where, "must be an object"));
  }
  auto out = json::object();
  for (const auto& [name, value] : sent.items()) {
    const auto* sub = named(attribute.sub, name);
    if (sub == nullptr || value.is_null()) continue;
    auto kept = one_value(*sub, value, fmt::format("{}.{}", where, sub->name));
    if (!kept) return kept;
    out[std::string(sub->name)] = std::move(*kept);
  }
  return out;
}

Result<json> one_value(const Attribute& attribute, const json& sent, std::string_view where) {
  switch (attribute.kind) {
    case Kind::Boolean:
      if (const auto value = truth(sent)) return json(*value);
      return tl::unexpected(wrong(where, "must be true or false"));
    case Kind::Complex:
      return complex_value(attribute, sent, where);
    case Kind::Text:
    case Kind::Reference:
    case Kind::DateTime:
    case Kind::Binary:
      if (sent.is_structured()) return tl::unexpected(wrong(where, "must be a text"));
      if (attribute.unique && !sent.is_string()) return tl::unexpected(wrong(where, "must be a text"));
      return sent;
  }
  return sent;
}

Result<json> value_of(const Attribute& attribute, const json& sent, std::string_view where) {
  if (!attribute.multi) {
    if (sent.is_array()) return tl::unexpected(wrong(where, "must be one value, not a list"));
    return one_value(attribute, sent, where);
  }
  auto out = json::array();
  bool has_primary = false;
  const auto take = [&](const json& value) -> Result<void> {
    if (value.is_null()) return {};
    auto kept = one_value(attribute, value, where);
    if (!kept) return tl::unexpected(kept.error());
    if (kept->is_object() && kept->empty()) return {};
    if (kept->is_object() && kept->value("primary", false)) {
      if (has_primary) return tl::unexpected(wrong(where, "more than one value is primary"));
      has_primary = true;
    }
    out.push_back(std::move(*kept));
    return {};
  };
  if (sent.is_array()) {
    for (const auto& value : sent)
      if (const auto good = take(value); !good) return tl::unexpected(good.error());
  } else if (const auto good = take(sent); !good) {
    return tl::unexpected(good.error());
  }
  return out;
}

Result<void> take_into(json& out, const std::vector<Attribute>& table, std::string_view prefix, const json& sent) {
  for (const auto& [name, value] : sent.items()) {
    const auto* attribute = named(table, name);
    if (attribute == nullptr || attribute->mutability == Mutability::ReadOnly || attribute->mutability == Mutability::WriteOnly ||
        value.is_null())
      continue;
    const auto where = prefix.empty() ? std::string(attribute->name) : fmt::format("{}:{}", prefix, attribute->name);
    auto kept = value_of(*attribute, value, where);
    if (!kept) return tl::unexpected(kept.error());
    if (kept->is_structured() && kept->empty() && attribute->name != "members") continue;
    if (out.contains(std::string(attribute->name)) && value != out[std::string(attribute->name)])
      return tl::unexpected(wrong(where, "is given twice, in different letters"));
    out[std::string(attribute->name)] = std::move(*kept);
  }
  return {};
}

std::string_view mutability_name(Mutability mutability) {
  switch (mutability) {
    case Mutability::ReadWrite:
      return "readWrite";
    case Mutability::ReadOnly:
      return "readOnly";
    case Mutability::WriteOnly:
      return "writeOnly";
    case Mutability::Immutable:
      return "immutable";
  }
  return "readWrite";
}

std::string_view kind_name(Kind kind) {
  switch (kind) {
    case Kind::Text:
      return "string";
    case Kind::Boolean:
      return "boolean";
    case Kind::Complex:
      return "complex";
    case Kind::Reference:
      return "reference";
    case Kind::DateTime:
      return "dateTime";
    case Kind::Binary:
      return "binary";
  }
  return "string";
}

json attribute_document(const Attribute& one) {
  const bool is_secret = one.mutability == Mutability::WriteOnly;
  json out{{"name", one.name},
           {"type", kind_name(one.kind)},
           {"multiValued", one.multi},
           {"description", one.description},
           {"required", one.required},
           {"caseExact", one.case_exact || one.kind == Kind::Binary},
           {"mutability", mutability_name(one.mutability)},
           {"returned", is_secret        ? "never"
                        : one.on_request ? "request"
                                         : "default"},
           {"uniqueness", one.unique ? "server" : "none"}};
  if (!one.canonical.empty()) out["canonicalValues"] = one.canonical;
  if (one.kind == Kind::Reference) out["referenceTypes"] = one.name == "$ref" ? json{"User", "Group"} : json{"external"};
  if (one.kind == Kind::Complex) {
    out["subAttributes"] = json::array();
    for (const auto& sub : one.sub) out["subAttributes"].push_back(attribute_document(sub));
  }
  return out;
}

json schema_document(std::string_view base, std::string_view id, std::string_view name, std::string_view description,
                     const std::vector<Attribute>& table) {
  auto attributes = json::array();
  for (const auto& one : table) attributes.push_back(attribute_document(one));
  return {{"schemas", {"urn:ietf:params:scim:schemas:core:2.0:Schema"}},
          {"id", id},
          {"name", name},
          {"description", description},
          {"attributes", std::move(attributes)},
          {"meta", {{"resourceType", "Schema"}, {"location", fmt::format("{}/Schemas/{}", base, id)}}}};
}

}  // namespace

bool same_name(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
}

json* member(json& object, std::string_view name) { return const_cast<json*>(member(std::as_const(object), name)); }

const json* member(const json& object, std::string_view name) {
  if (!object.is_object()) return nullptr;
  if (const auto exact = object.find(name); exact != object.end()) return &*exact;
  for (auto at = object.begin(); at != object.end(); ++at)
    if (same_name(at.key(), name)) return &*at;
  return nullptr;
}

std::string_view schema_of(PrincipalType type) { return type == PrincipalType::User ? kUserSchema : kGroupSchema; }

Result<Path> parse_path(std::string_view text) {
  const auto bad = [&] { return fail_as("invalidPath", Errc::InvalidInput, "\"{}\" is no attribute path", text.substr(0, 200)); };
  Path out;
  if (text.size() > 4 && same_name(text.substr(0, 4), "urn:")) {
    for (const auto known : {kEnterprise, kUserSchema, kGroupSchema}) {
      if (same_name(text, known)) {
        out.urn = known;
        return out;
      }
      if (text.size() > known.size() && text[known.size()] == ':' && same_name(text.substr(0, known.size()), known)) {
        out.urn = known;
        text.remove_prefix(known.size() + 1);
        break;
      }
    }
    if (out.urn.empty()) {
      const auto colon = text.rfind(':');
      out.urn = text.substr(0, colon);
      text.remove_prefix(colon + 1);
    }
    if (out.urn == kUserSchema || out.urn == kGroupSchema) out.urn.clear();
  }
  const auto dot = text.find('.');
  out.attribute = text.substr(0, dot);
  if (dot != std::string_view::npos) out.sub = text.substr(dot + 1);
  const auto is_name = [](std::string_view name) {
    return !name.empty() &&
           name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-$") == std::string_view::npos;
  };
  if (!is_name(out.attribute) || (dot != std::string_view::npos && !is_name(out.sub))) return bad();
  return out;
}

const Attribute* find_top(PrincipalType type, const Path& path) {
  if (path.urn == kEnterprise) return type == PrincipalType::User ? named(enterprise_attributes(), path.attribute) : nullptr;
  if (!path.urn.empty()) return nullptr;
  if (const auto* own = named(own_attributes(type), path.attribute)) return own;
  return named(common_attributes(), path.attribute);
}

const Attribute* find_attribute(PrincipalType type, const Path& path) {
  const auto* top = find_top(type, path);
  if (top == nullptr || path.sub.empty()) return top;
  return named(top->sub, path.sub);
}

Result<json> normalized(PrincipalType type, const json& sent) {
  if (!sent.is_object()) return fail_as("invalidSyntax", Errc::InvalidInput, "the resource must be a JSON object");
  auto out = json::object();
  if (const auto good = take_into(out, own_attributes(type), {}, sent); !good) return tl::unexpected(good.error());
  if (const auto* external = member(sent, "externalId"); external != nullptr && !external->is_null()) {
    if (!external->is_string()) return tl::unexpected(wrong("externalId", "must be a text"));
    if (!external->get_ref<const std::string&>().empty()) out["externalId"] = *external;
  }
  for (const auto& [name, value] : sent.items()) {
    if (name.size() < 5 || !same_name(std::string_view(name).substr(0, 4), "urn:") || !value.is_object()) continue;
    if (same_name(name, kEnterprise)) {
      if (type != PrincipalType::User) continue;
      auto extension = json::object();
      if (const auto good = take_into(extension, enterprise_attributes(), kEnterprise, value); !good) return tl::unexpected(good.error());
      if (!extension.empty()) out[std::string(kEnterprise)] = std::move(extension);
    } else if (!value.empty()) {
      out[name] = value;
    }
  }
  return out;
}

json schema_documents(std::string_view base) {
  return json::array(
      {schema_document(base, kUserSchema, "User", "A person of the tenant, owned by the pushing source", user_attributes()),
       schema_document(base, kGroupSchema, "Group", "A group of the tenant, owned by the pushing source", group_attributes()),
       schema_document(base, kEnterprise, "EnterpriseUser", "What enterprises add to a user", enterprise_attributes())});
}

json resource_types(std::string_view base) {
  const auto one = [&](std::string_view name, std::string_view endpoint, std::string_view schema, json extensions) {
    return json{{"schemas", {"urn:ietf:params:scim:schemas:core:2.0:ResourceType"}},
                {"id", name},
                {"name", name},
                {"endpoint", endpoint},
                {"description", fmt::format("{}s of the pushing source", name)},
                {"schema", schema},
                {"schemaExtensions", std::move(extensions)},
                {"meta", {{"resourceType", "ResourceType"}, {"location", fmt::format("{}/ResourceTypes/{}", base, name)}}}};
  };
  return json::array({one("User", "/Users", kUserSchema, json::array({{{"schema", kEnterprise}, {"required", false}}})),
                      one("Group", "/Groups", kGroupSchema, json::array())});
}

json service_provider_config(std::string_view base) {
  return {{"schemas", {"urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"}},
          {"patch", {{"supported", true}}},
          {"bulk", {{"supported", false}, {"maxOperations", 0}, {"maxPayloadSize", 0}}},
          {"filter", {{"supported", true}, {"maxResults", 1000}}},
          {"changePassword", {{"supported", false}}},
          {"sort", {{"supported", true}}},
          {"etag", {{"supported", true}}},
          {"pagination",
           {{"cursor", true}, {"index", true}, {"defaultPaginationMethod", "index"}, {"defaultPageSize", 100}, {"maxPageSize", 1000}}},
          {"authenticationSchemes",
           {{{"type", "oauthbearertoken"},
             {"name", "Token of the source"},
             {"description", "A long-lived bearer token made with: rosterctl sources create-token"},
             {"primary", true}}}},
          {"meta", {{"resourceType", "ServiceProviderConfig"}, {"location", fmt::format("{}/ServiceProviderConfig", base)}}}};
}

}  // namespace rosterd::http::scim
