#include "daemon/http/scim/patch.hpp"

#include <algorithm>

namespace rosterd::http::scim {
namespace {

using nlohmann::json;
using Op = Operation::Op;

tl::unexpected<Error> refuse(std::string_view slug, std::string_view what) { return fail_as(slug, Errc::InvalidInput, "{}", what); }

bool is_nothing(const json& value) { return value.is_null() || (value.is_string() && value.get_ref<const std::string&>().empty()); }

/// What an element must hold to be one of those a filter asks for, when it says so plainly: type eq "work" and primary eq true.
bool make_fit(const Filter& filter, json& element) {
  if (filter.op == Filter::Op::And)
    return std::all_of(filter.parts.begin(), filter.parts.end(), [&](const Filter& one) { return make_fit(one, element); });
  if (filter.op != Filter::Op::Eq || !filter.path.sub.empty()) return false;
  element[filter.path.attribute] = filter.value;
  return true;
}

json* place(json& document, const Path& path, bool make) {
  json* from = &document;
  if (!path.urn.empty()) {
    from = member(document, path.urn);
    if (from == nullptr && make) from = &(document[path.urn] = json::object());
  }
  if (from == nullptr || path.attribute.empty()) return from;
  auto* found = member(*from, path.attribute);
  if (found == nullptr && make) found = &((*from)[path.attribute] = nullptr);
  return found;
}

void erase(json& object, std::string_view name) {
  for (auto at = object.begin(); at != object.end(); ++at)
    if (same_name(at.key(), name)) {
      object.erase(at);
      return;
    }
}

void erase(json& document, const Path& path) {
  if (path.urn.empty()) {
    erase(document, path.attribute);
    return;
  }
  if (path.attribute.empty()) {
    erase(document, path.urn);
    return;
  }
  if (auto* extension = member(document, path.urn)) {
    erase(*extension, path.attribute);
    if (extension->empty()) erase(document, path.urn);
  }
}

void set_sub(json& object, const Attribute* attribute, std::string_view sub, const json& value) {
  if (!object.is_object()) object = object.is_string() ? json{{"value", object}} : json::object();
  std::string name(sub);
  if (attribute != nullptr)
    for (const auto& one : attribute->sub)
      if (same_name(one.name, sub)) name = one.name;
  erase(object, name);
  if (!is_nothing(value)) object[name] = value;
}

void merge(json& object, const json& value) {
  for (const auto& [name, part] : value.items()) set_sub(object, nullptr, name, part);
}

json as_list(const json& value) { return value.is_array() ? value : value.is_null() ? json::array() : json::array({value}); }

bool is_primary(const json& element) {
  const auto* primary = element.is_object() ? member(element, "primary") : nullptr;
  return primary != nullptr && (*primary == true || (primary->is_string() && same_name(primary->get_ref<const std::string&>(), "true")));
}

/// RFC 7644 §3.5.2: a new primary value takes the place of the one before.
void only_primary(json& list, const json* keep) {
  for (auto& one : list)
    if (&one != keep && is_primary(one)) one["primary"] = false;
}

json value_in(const json& element) {
  if (!element.is_object()) return element;
  const auto* value = member(element, "value");
  return value != nullptr ? *value : element;
}

class Applier {
 public:
  Applier(PrincipalType type, json& document, std::vector<MemberChange>& members) : type_(type), document_(document), members_(members) {}

  Result<void> apply(const Operation& operation) {
    if (operation.path.empty()) return without_path(operation);
    return at_path(operation.op, operation.path, operation.value, true);
  }

 private:
  /// The value is a resource in part. Entra with its flag sends dotted, URN-prefixed and bracketed names as keys; Okta names of attributes.
  Result<void> without_path(const Operation& operation) {
    if (operation.op == Op::Remove) return refuse("noTarget", "a remove operation needs a path");
    if (!operation.value.is_object()) return refuse("invalidValue", "an operation without a path needs an object as its value");
    for (const auto& [name, value] : operation.value.items()) {
      if (name.starts_with("urn:") && value.is_object()) {
        const auto path = parse_path(name);
        const bool is_attribute = path && find_top(type_, *path) != nullptr;
        if (!is_attribute) {
          const bool is_core = same_name(name, kUserSchema) || same_name(name, kGroupSchema);
          const bool is_known = is_core || same_name(name, kEnterprise);
          for (const auto& [inner, part] : value.items()) {
            if (is_known) {
              if (const auto good = at_path(operation.op, is_core ? inner : name + ":" + inner, part, false); !good) return good;
            } else if (is_nothing(part)) {
              if (auto* extension = member(document_, name)) erase(*extension, inner);
            } else {
              set_sub(document_[name], nullptr, inner, part);
            }
          }
          continue;
        }
      }
      if (const auto good = at_path(operation.op, name, value, false); !good) return good;
    }
    return {};
  }

  /// `strict`: the path was given as such; a name in a value that rosterd does not know or lets nobody write is passed over.
  Result<void> at_path(Op op, std::string_view text, const json& value, bool strict) {
    auto path = parse_value_path(text);
    if (!path) {
      if (!strict) return {};
      return tl::unexpected(path.error());
    }
    const auto* top = path->path.attribute.empty() ? nullptr : find_top(type_, path->path);
    if (top == nullptr) return unknown(op, *path, value, text, strict);
    if (top->mutability == Mutability::ReadOnly || top->name == "schemas") {
      if (!strict || top->name == "schemas") return {};
      return refuse("mutability", fmt::format("{} cannot be changed", top->name));
    }
    if (type_ == PrincipalType::Group && top->name == "members") return to_members(op, *path, value);
    if (!path->sub.empty() && top->kind == Kind::Complex &&
        std::none_of(top->sub.begin(), top->sub.end(), [&](const Attribute& one) { return same_name(one.name, path->sub); })) {
      if (!strict) return {};
      return refuse("invalidPath", fmt::format("{} has no {}", top->name, path->sub));
    }
    if (!path->sub.empty() && top->kind != Kind::Complex) return refuse("invalidPath", fmt::format("{} has no parts", top->name));
    if (path->which && !top->multi) return refuse("invalidPath", fmt::format("{} is no list", top->name));
    const bool removes = op == Op::Remove || (value.is_null() && op == Op::Replace);
    if (removes && top->required && path->sub.empty()) return refuse("mutability", fmt::format("{} cannot be removed", top->name));
    if (top->mutability == Mutability::WriteOnly) return {};  // thrown away
    if (top->multi) return to_list(op, *path, *top, value);
    return to_single(removes || (top->name == "manager" && is_nothing(value)), *path, *top, value);
  }

  /// A whole extension, or an attribute of one that rosterd keeps without knowing it.
  Result<void> unknown(Op op, const ValuePath& path, const json& value, std::string_view text, bool strict) {
    const auto& urn = path.path.urn;
    if (!urn.empty() && path.path.attribute.empty()) {
      if (op == Op::Remove) {
        erase(document_, urn);
        return {};
      }
      Operation inside{.op = op, .path = {}, .value = json{{urn, value}}};
      return value.is_object() ? without_path(inside) : Result<void>(refuse("invalidValue", fmt::format("{} needs an object", urn)));
    }
    if (!urn.empty() && urn != kEnterprise && !path.which) {
      if (op == Op::Remove) {
        if (path.sub.empty())
          erase(document_, path.path);
        else if (auto* object = place(document_, path.path, false); object != nullptr && object->is_object())
          erase(*object, path.sub);
        return {};
      }
      auto& target = *place(document_, path.path, true);
      if (path.sub.empty())
        target = value;
      else
        set_sub(target, nullptr, path.sub, value);
      return {};
    }
    if (!strict) return {};
    return refuse("invalidPath", fmt::format("there is no attribute \"{}\"", text.substr(0, 200)));
  }

  Result<void> to_single(bool removes, const ValuePath& path, const Attribute& top, const json& value) {
    if (path.sub.empty()) {
      if (removes) {
        erase(document_, path.path);
        return {};
      }
      auto& target = *place(document_, path.path, true);
      if (top.kind == Kind::Complex && value.is_object() && target.is_object())
        merge(target, value);
      else
        target = value;
      return {};
    }
    if (removes) {
      if (auto* object = place(document_, path.path, false); object != nullptr && object->is_object()) {
        erase(*object, path.sub);
        if (object->empty()) erase(document_, path.path);
      }
      return {};
    }
    set_sub(*place(document_, path.path, true), &top, path.sub, value);
    return {};
  }

  Result<void> to_list(Op op, const ValuePath& path, const Attribute& top, const json& value) {
    if (op == Op::Remove) return remove_from(path, value);
    auto& list = *place(document_, path.path, true);
    if (!list.is_array()) list = as_list(list);
    if (path.which) return to_elements(op, path, *path.which, top, value, list);
    if (!path.sub.empty()) {  // of all its elements, or of a first one
      if (list.empty()) list.push_back(json::object());
      for (auto& element : list) set_sub(element, &top, path.sub, value);
      return {};
    }
    const auto given = as_list(value);
    if (op == Op::Replace) {
      list = given;
      return {};
    }
    for (const auto& one : given) {
      const auto same = std::find_if(list.begin(), list.end(), [&](const json& held) {
        return held == one || (held.is_object() && one.is_object() && value_in(held) == value_in(one) &&
                               held.value("type", std::string()) == (member(one, "type") != nullptr && member(one, "type")->is_string()
                                                                         ? member(one, "type")->get<std::string>()
                                                                         : std::string()));
      });
      if (same == list.end()) {
        list.push_back(one);
        if (is_primary(one)) only_primary(list, &list.back());
      } else if (same->is_object()) {
        merge(*same, one);
        if (is_primary(*same)) only_primary(list, &*same);
      }
    }
    return {};
  }

  Result<void> to_elements(Op op, const ValuePath& path, const Filter& which, const Attribute& top, const json& value, json& list) {
    bool found = false;
    for (auto& element : list) {
      if (!matches_element(which, type_, path.path, element)) continue;
      found = true;
      if (!path.sub.empty())
        set_sub(element, &top, path.sub, value);
      else if (value.is_object() && op == Op::Add)
        merge(element, value);
      else if (value.is_object()) {
        const auto before = element;
        element = value;
        (void)make_fit(which, element);
        for (const auto& [name, part] : value.items()) element[name] = part;
      } else {
        return refuse("invalidValue", fmt::format("{}[…] needs an object", top.name));
      }
      if (is_primary(element)) only_primary(list, &element);
    }
    if (found) return {};
    // RFC 7644 says noTarget for replace; Entra expects the element to be made.
    json element = json::object();
    if (!make_fit(which, element)) return refuse("noTarget", fmt::format("no value of {} is what the filter asks for", top.name));
    if (!path.sub.empty()) {
      if (is_nothing(value)) return {};
      set_sub(element, &top, path.sub, value);
    } else {
      if (!value.is_object()) return refuse("invalidValue", fmt::format("{}[…] needs an object", top.name));
      merge(element, value);
    }
    list.push_back(std::move(element));
    if (is_primary(list.back())) only_primary(list, &list.back());
    return {};
  }

  Result<void> remove_from(const ValuePath& path, const json& value) {
    auto* list = place(document_, path.path, false);
    if (list == nullptr || !list->is_array()) return {};
    const auto goes = [&](const json& element) {
      if (path.which) return matches_element(*path.which, type_, path.path, element);
      if (value.is_null() || !path.sub.empty()) return true;
      const auto given = as_list(value);
      return std::any_of(given.begin(), given.end(), [&](const json& one) { return value_in(one) == value_in(element); });
    };
    if (!path.sub.empty()) {
      for (auto& element : *list)
        if (element.is_object() && goes(element)) erase(element, path.sub);
    } else {
      auto kept = json::array();
      for (auto& element : *list)
        if (!goes(element)) kept.push_back(std::move(element));
      *list = std::move(kept);
    }
    if (list->empty()) erase(document_, path.path);
    return {};
  }

  Result<void> to_members(Op op, const ValuePath& path, const json& value) {
    if (path.which) {
      if (op != Op::Remove || !path.sub.empty()) {
        if (path.sub.empty()) return refuse("mutability", "a member is added or removed, not changed");
        return {};  // display and $ref are rosterd's own
      }
      const auto* only = path.which->op == Filter::Op::Eq ? must_equal(*path.which, "value") : nullptr;
      if (only != nullptr)
        members_.push_back({.kind = MemberChange::Kind::Remove, .ids = {only->get<std::string>()}});
      else
        members_.push_back({.kind = MemberChange::Kind::RemoveWhere, .where = path.which});
      return {};
    }
    if (!path.sub.empty() && !same_name(path.sub, "value")) return {};
    // Entra without its flag names whom it removes in the value; without one the list is emptied.
    if (value.is_null()) {
      if (op == Op::Add) return {};
      members_.push_back({.kind = MemberChange::Kind::Replace});
      return {};
    }
    auto ids = member_ids(value);
    if (!ids) return tl::unexpected(ids.error());
    const auto kind = op == Op::Add       ? MemberChange::Kind::Add
                      : op == Op::Replace ? MemberChange::Kind::Replace
                                          : MemberChange::Kind::Remove;
    members_.push_back({.kind = kind, .ids = std::move(*ids)});
    return {};
  }

  PrincipalType type_;
  json& document_;
  std::vector<MemberChange>& members_;
};

}  // namespace

Result<std::vector<std::string>> member_ids(const json& value) {
  std::vector<std::string> out;
  for (const auto& one : as_list(value)) {
    const auto* id = one.is_object() ? member(one, "value") : &one;
    if (id == nullptr || !id->is_string()) return refuse("invalidValue", "members: each needs the id of a User or Group as its value");
    out.push_back(id->get<std::string>());
  }
  return out;
}

Result<std::vector<Operation>> parse_patch(const json& body) {
  const auto* operations = member(body, "Operations");
  if (operations == nullptr || !operations->is_array() || operations->empty())
    return refuse("invalidSyntax", "a PATCH needs a list \"Operations\" with at least one operation");
  if (const auto* schemas = member(body, "schemas");
      schemas != nullptr && schemas->is_array() && std::none_of(schemas->begin(), schemas->end(), [](const json& one) {
        return one.is_string() && same_name(one.get_ref<const std::string&>(), kPatchOp);
      }))
    return refuse("invalidSyntax", fmt::format("the schemas of a PATCH must hold {}", kPatchOp));
  if (operations->size() > kMostOperations)
    return refuse("tooMany", fmt::format("a PATCH may hold at most {} operations, this one holds {}", kMostOperations, operations->size()));
  std::vector<Operation> out;
  for (const auto& one : *operations) {
    const auto* op = member(one, "op");
    if (op == nullptr || !op->is_string()) return refuse("invalidSyntax", "each operation needs an \"op\"");
    Operation operation;
    const auto& name = op->get_ref<const std::string&>();
    if (same_name(name, "add"))
      operation.op = Op::Add;
    else if (same_name(name, "replace"))
      operation.op = Op::Replace;
    else if (same_name(name, "remove"))
      operation.op = Op::Remove;
    else
      return refuse("invalidSyntax", fmt::format("\"{}\" is no operation (add, replace, remove)", name.substr(0, 32)));
    if (const auto* path = member(one, "path"); path != nullptr && !path->is_null()) {
      if (!path->is_string()) return refuse("invalidPath", "a path must be a text");
      operation.path = path->get<std::string>();
    }
    if (const auto* value = member(one, "value")) operation.value = *value;
    if (operation.op == Op::Add && operation.value.is_null()) return refuse("invalidValue", "an add operation needs a value");
    out.push_back(std::move(operation));
  }
  return out;
}

Result<void> apply(PrincipalType type, const std::vector<Operation>& operations, json& document, std::vector<MemberChange>& members) {
  Applier applier(type, document, members);
  for (std::size_t i = 0; i < operations.size(); ++i)
    if (auto done = applier.apply(operations[i]); !done) {
      auto error = done.error();
      error.what = fmt::format("Operations[{}]: {}", i, error.what);
      return tl::unexpected(std::move(error));
    }
  auto good = normalized(type, document);
  if (!good) return tl::unexpected(good.error());
  document = std::move(*good);
  return {};
}

}  // namespace rosterd::http::scim
