// Contents of roles, {"FLOW":["READ"]}: read leniently when they come from the store (what the catalogue no longer has grants nothing),
// strictly when somebody wants to store them.

#include <algorithm>
#include <nlohmann/json.hpp>

#include "rbac/catalogue.hpp"

namespace rosterd::rbac {
namespace {

using nlohmann::json;

void set(PairMask& mask, std::size_t pair) { mask[pair / 64] |= std::uint64_t{1} << (pair % 64); }

/// Calls `use(permission, actions)` for each permission of a content whose shape is right.
template <class Use>
Result<void> each_permission(std::string_view text, Use&& use) {
  const auto document = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!document.is_object()) return fail(Errc::InvalidInput, "a role's permissions must be a JSON object such as {{\"FLOW\":[\"READ\"]}}");
  for (const auto& [name, actions] : document.items()) {
    if (!actions.is_array()) return fail(Errc::InvalidInput, "the actions of {} must be a list", name);
    for (const auto& action : actions)
      if (!action.is_string()) return fail(Errc::InvalidInput, "an action of {} is no text", name);
    use(name, actions);
  }
  return {};
}

}  // namespace

Result<PairMask> Catalogue::mask(std::string_view text) const {
  PairMask out{};
  const auto read = each_permission(text, [&](const std::string& name, const json& actions) {
    const Permission* permission = find(name);
    if (permission == nullptr) return;
    for (const auto& action : actions)
      if (const auto number = pair(*permission, action.get_ref<const std::string&>())) set(out, *number);
  });
  if (!read) return fail(read.error());
  return out;
}

Result<PairMask> Catalogue::strict_mask(std::string_view text) const {
  PairMask out{};
  std::vector<std::string> permissions, actions_of_known;
  const auto read = each_permission(text, [&](const std::string& name, const json& actions) {
    const Permission* permission = find(name);
    if (permission == nullptr) return permissions.push_back(name);
    std::vector<std::string> unknown;
    for (const auto& action : actions) {
      const auto& wanted = action.get_ref<const std::string&>();
      if (const auto number = pair(*permission, wanted))
        set(out, *number);
      else
        unknown.push_back(wanted);
    }
    if (!unknown.empty()) actions_of_known.push_back(fmt::format("{} has no action {}", name, fmt::join(unknown, ", ")));
  });
  if (!read) return fail(read.error());
  // Nothing is translated: an old name taken for a narrower new one would give less without a word (R19).
  auto what = permissions.empty() ? std::string() : fmt::format("the catalogue has no permission {}", fmt::join(permissions, ", "));
  if (!actions_of_known.empty()) what += fmt::format("{}{}", what.empty() ? "" : "; ", fmt::join(actions_of_known, "; "));
  if (!what.empty())
    return fail_as(permissions.empty() ? "unknown_action" : "unknown_permission", Errc::InvalidInput, "permissions: {}", what);
  if (out == PairMask{}) return fail(Errc::InvalidInput, "permissions: a role names at least one pair of permission and action");
  return out;
}

std::vector<NamedPair> Catalogue::unknown_pairs(std::string_view text) const {
  std::vector<NamedPair> out;
  // A content of the wrong shape has no pairs at all; where that matters, mask() says so.
  (void)each_permission(text, [&](const std::string& name, const json& actions) {
    const Permission* permission = find(name);
    for (const auto& action : actions) {
      const auto& wanted = action.get_ref<const std::string&>();
      if (permission == nullptr || !pair(*permission, wanted)) out.push_back({name, wanted});
    }
  });
  std::sort(out.begin(), out.end());
  return out;
}

std::vector<NamedPair> Catalogue::names(const PairMask& mask) const {
  std::vector<NamedPair> out;
  for (const auto& permission : permissions())
    for (std::size_t i = 0; i < permission.actions.size(); ++i) {
      const auto number = permission.first_pair + i;
      if ((mask[number / 64] >> (number % 64) & 1) != 0) out.push_back({permission.name, permission.actions[i]});
    }
  return out;
}

std::string Catalogue::content(const PairMask& mask) const {
  std::string out = "{", last;
  for (const auto& [permission, action] : names(mask)) {
    if (permission == last) {
      out += fmt::format(R"(,"{}")", action);  // names hold nothing that JSON escapes (R14)
      continue;
    }
    out += fmt::format(R"({}"{}":["{}")", last.empty() ? "" : "],", permission, action);
    last = permission;
  }
  return out + (last.empty() ? "}" : "]}");
}

}  // namespace rosterd::rbac
