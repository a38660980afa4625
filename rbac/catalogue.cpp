#include "rbac/catalogue.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "rbac/builtin.hpp"
#include "rbac/text_hash.hpp"
#include "schema/core/hash.hpp"

namespace rosterd::rbac {
namespace {

using nlohmann::json;

void set(PairMask& mask, std::size_t pair) { mask[pair / 64] |= std::uint64_t{1} << (pair % 64); }

bool is_name(std::string_view text) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  if (text.empty() || text.size() > 64 || !letter(text.front())) return false;
  return std::all_of(text.begin(), text.end(),
                     [&](char c) { return letter(c) || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == ':' || c == '-'; });
}

/// The line on which `name` first stands as a JSON string; the parser keeps no positions.
std::size_t line_of(std::string_view text, std::string_view name) {
  const auto at = text.find(fmt::format("\"{}\"", name));
  return 1 + static_cast<std::size_t>(std::count(
                 text.begin(), at == std::string_view::npos ? text.end() : text.begin() + static_cast<std::ptrdiff_t>(at), '\n'));
}

struct Problems {
  std::string text;
  template <class... Args>
  void add(std::string_view where, fmt::format_string<Args...> what, Args&&... args) {
    text += fmt::format("{}{}: {}", text.empty() ? "" : "; ", where, fmt::format(what, std::forward<Args>(args)...));
  }
};

std::optional<Permission> read_permission(const json& item, std::string_view where, Problems& problems) {
  if (!item.is_object()) return problems.add(where, "must be an object {{name, scope, actions}}"), std::nullopt;
  for (const auto& [key, value] : item.items())
    if (key != "name" && key != "scope" && key != "actions") problems.add(where, "unknown field '{}'", key);
  Permission out;
  const auto name = item.find("name");
  if (name == item.end() || !name->is_string() || !is_name(name->get_ref<const std::string&>()))
    return problems.add(where, "name must be a text of letters, digits and _ . : -, at most 64, starting with a letter"), std::nullopt;
  out.name = name->get<std::string>();
  const auto scope = item.find("scope");
  if (scope != item.end() && *scope == "namespace")
    out.scope = Scope::Namespace;
  else if (scope != item.end() && *scope == "tenant")
    out.scope = Scope::Tenant;
  else
    problems.add(where, "scope of {} must be \"namespace\" or \"tenant\"", out.name);
  const auto actions = item.find("actions");
  if (actions == item.end() || !actions->is_array() || actions->empty())
    return problems.add(where, "actions of {} must be a list of at least one name", out.name), std::nullopt;
  for (const auto& action : *actions) {
    if (!action.is_string() || !is_name(action.get_ref<const std::string&>()))
      problems.add(where, "an action of {} is no name", out.name);
    else if (std::find(out.actions.begin(), out.actions.end(), action.get_ref<const std::string&>()) != out.actions.end())
      problems.add(where, "action {} of {} is listed twice", action.get_ref<const std::string&>(), out.name);
    else
      out.actions.push_back(action.get<std::string>());
  }
  return out;
}

/// The managed roles under a catalogue: with the contents the file brings, else those of the release as far as it has the pairs (R23).
std::vector<ManagedRole> read_managed(const json& contents, std::string_view text, const Catalogue& catalogue, Problems& problems) {
  std::vector<ManagedRole> out;
  if (!contents.is_object()) return problems.add(fmt::format("line {}", line_of(text, "roles")), "roles must be an object"), out;
  for (const auto& role : managed_roles()) {
    out.push_back(role);
    if (role.admin) continue;
    if (const auto own = contents.find(role.name); own != contents.end()) {
      const auto mask = catalogue.strict_mask(own->dump());
      if (!mask) {
        problems.add(fmt::format("line {}", line_of(text, role.name)), "role {}: {}", role.name, mask.error().what);
        continue;
      }
      out.back().permissions = catalogue.content(*mask);
    } else if (const auto mask = catalogue.mask(role.permissions)) {
      out.back().permissions = catalogue.content(*mask);
    }
  }
  for (const auto& [name, value] : contents.items()) {
    const auto known = std::find_if(out.begin(), out.end(), [&](const ManagedRole& role) { return role.name == name; });
    const auto where = fmt::format("line {}", line_of(text, name));
    if (known == out.end())
      problems.add(where, "there is no managed role '{}'", name);
    else if (known->admin)
      problems.add(where, "{} is every pair of the catalogue, it has no content", name);
  }
  return out;
}

}  // namespace

struct Catalogue::Index {
  std::vector<Permission> permissions;
  std::array<std::uint16_t, 1024> slots{};  ///< open addressing, 1 + position in `permissions`, 0 = empty; at most a quarter full
  PairMask all{}, iam{}, tenant{};
  std::size_t pairs = 0;
  std::vector<ManagedRole> managed;
  std::string digest;

  TextHash hash;
  [[nodiscard]] std::size_t slot_of(std::string_view name) const { return hash(name) % 1024; }

  /// Numbers the pairs and fills the masks; false when there are more than kMaxPairs.
  bool number() {
    for (auto& permission : permissions) {
      if (pairs + permission.actions.size() > kMaxPairs) return false;
      permission.first_pair = static_cast<std::uint16_t>(pairs);
      for (std::size_t i = 0; i < permission.actions.size(); ++i, ++pairs) {
        set(all, pairs);
        if (permission.iam) set(iam, pairs);
        if (permission.scope == Scope::Tenant) set(tenant, pairs);
      }
      auto slot = slot_of(permission.name);
      while (slots[slot] != 0) slot = (slot + 1) % slots.size();
      slots[slot] = static_cast<std::uint16_t>(&permission - permissions.data() + 1);
    }
    return true;
  }

  /// Over everything that decides an answer, in the order of the file: another order is another numbering.
  void digest_all() {
    std::string whole;
    for (const auto& permission : permissions)
      whole += fmt::format("{} {} {} {}\n", permission.name, permission.scope == Scope::Tenant ? "tenant" : "namespace", permission.iam,
                           fmt::join(permission.actions, " "));
    for (const auto& role : managed) whole += fmt::format("{} {} {}\n", role.name, role.admin, role.permissions);
    digest = fmt::format("{:016x}", content_hash(whole));
  }
};

std::shared_ptr<const Catalogue> Catalogue::built_in() {
  static const std::shared_ptr<const Catalogue> kBuiltIn = [] {
    auto index = std::make_shared<Index>();
    for (const auto& row : builtin_permissions())
      index->permissions.push_back(
          {.name = std::string(row.name), .scope = row.scope, .iam = row.iam, .actions = actions_of(row.actions), .first_pair = 0});
    index->number();
    const auto roles = rbac::managed_roles();
    index->managed.assign(roles.begin(), roles.end());
    index->digest_all();
    Catalogue out;
    out.index_ = std::move(index);
    return std::make_shared<const Catalogue>(out);
  }();
  return kBuiltIn;
}

Result<std::shared_ptr<const Catalogue>> Catalogue::parse(std::string_view text) {
  json document;
  try {
    document = json::parse(text);
  } catch (const json::parse_error& error) {
    return fail(Errc::InvalidInput, "permission catalogue: {}", error.what());  // names line and column
  }
  if (!document.is_object() || !document.contains("permissions") || !document["permissions"].is_array())
    return fail(Errc::InvalidInput, "permission catalogue: must be an object with a list \"permissions\"");
  Problems problems;
  for (const auto& [key, value] : document.items())
    if (key != "permissions" && key != "roles") problems.add(fmt::format("line {}", line_of(text, key)), "unknown field '{}'", key);

  auto index = std::make_shared<Index>();
  auto& permissions = index->permissions;
  const auto find = [&](std::string_view name) {
    return std::find_if(permissions.begin(), permissions.end(), [&](const Permission& p) { return p.name == name; });
  };
  std::size_t position = 0;
  for (const auto& item : document["permissions"]) {
    const auto where = fmt::format("permissions[{}]", position++);
    auto permission = read_permission(item, where, problems);
    if (!permission) continue;
    if (find(permission->name) != permissions.end())
      problems.add(where, "{} is listed twice (line {})", permission->name, line_of(text, permission->name));
    else
      permissions.push_back(std::move(*permission));
  }
  // What rosterd itself enforces is always there; a file may only add actions to it (R13).
  for (const auto& row : builtin_permissions()) {
    if (!row.iam) continue;
    const auto held = find(row.name);
    if (held == permissions.end()) {
      permissions.push_back(
          {.name = std::string(row.name), .scope = row.scope, .iam = true, .actions = actions_of(row.actions), .first_pair = 0});
      continue;
    }
    held->iam = true;
    const auto where = fmt::format("line {}", line_of(text, row.name));
    if (held->scope != row.scope) problems.add(where, "{} is enforced by rosterd, its scope is tenant", row.name);
    for (const auto& action : actions_of(row.actions))
      if (std::find(held->actions.begin(), held->actions.end(), action) == held->actions.end())
        problems.add(where, "{} is enforced by rosterd, its action {} cannot be left out", row.name, action);
  }
  if (!problems.text.empty()) return fail(Errc::InvalidInput, "permission catalogue: {}", problems.text);
  if (!index->number()) {
    std::size_t pairs = 0;
    const auto over =
        std::find_if(permissions.begin(), permissions.end(), [&](const Permission& p) { return (pairs += p.actions.size()) > kMaxPairs; });
    return fail(Errc::InvalidInput, "permission catalogue: line {}: with {} there are more than {} pairs of permission and action",
                line_of(text, over->name), over->name, kMaxPairs);
  }
  Catalogue out;
  out.index_ = index;
  index->managed = read_managed(document.value("roles", json::object()), text, out, problems);
  if (!problems.text.empty()) return fail(Errc::InvalidInput, "permission catalogue: {}", problems.text);
  index->digest_all();
  return std::make_shared<const Catalogue>(out);
}

std::span<const Permission> Catalogue::permissions() const { return index_->permissions; }

const Permission* Catalogue::find(std::string_view name) const {
  for (auto slot = index_->slot_of(name); index_->slots[slot] != 0; slot = (slot + 1) % index_->slots.size()) {
    const auto& permission = index_->permissions[index_->slots[slot] - 1U];
    if (permission.name == name) return &permission;
  }
  return nullptr;
}

std::optional<std::uint16_t> Catalogue::pair(const Permission& permission, std::string_view action) const {
  for (std::size_t i = 0; i < permission.actions.size(); ++i)
    if (permission.actions[i] == action) return static_cast<std::uint16_t>(permission.first_pair + i);
  return std::nullopt;
}

std::size_t Catalogue::pairs() const { return index_->pairs; }
const PairMask& Catalogue::all() const { return index_->all; }
const PairMask& Catalogue::iam() const { return index_->iam; }
const PairMask& Catalogue::tenant_scope() const { return index_->tenant; }
std::span<const ManagedRole> Catalogue::managed_roles() const { return index_->managed; }
std::vector<Role> Catalogue::born_roles() const {
  std::vector<Role> out;
  for (const auto& role : managed_roles())
    out.push_back({.id = {},
                   .name = std::string(role.name),
                   .description = std::string(role.description),
                   .managed = true,
                   .admin = role.admin,
                   .permissions = role.permissions});
  return out;
}
const std::string& Catalogue::hash() const { return index_->digest; }

}  // namespace rosterd::rbac
