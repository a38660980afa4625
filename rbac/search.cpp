// Searches: a check the other way round. There is no deny and no priority (R25), so what is allowed is a union, and the union is walked
// from the bindings downwards (who) or from the principal upwards (what, where), with the clock.

#include <algorithm>

#include "rbac/decide.hpp"
#include "rbac/paths.hpp"

namespace rosterd::rbac {
namespace {

using Number = std::uint32_t;

bool is_active(const Tables& t, Number number) { return (t.states[number] & kActive) != 0; }

struct Range {
  Number first = 0, last = 0;  ///< numbers first <= n < last
};
Range range_of(const Tables& t, PrincipalType type) {
  switch (type) {
    case PrincipalType::User:
      return {0, t.users};
    case PrincipalType::Group:
      return {t.users, t.users + t.groups};
    case PrincipalType::ServiceAccount:
      return {t.users + t.groups, t.size()};
  }
  return {};
}

/// Who holds a pair somewhere: groups as marks, the others that are bound themselves as a list.
class Holders {
 public:
  Holders(const Tables& t, const Asked& asked, Micros at) : t_(t), inverse_(t.inverse()), asked_(asked), is_group_(t.groups, false) {
    for (auto node = asked.node;; node = t.namespaces.parent(node)) {
      for (const auto position : inverse_.bindings_at(node)) {
        const auto& binding = t.bindings[position];
        if (!is_live(t, binding, at) || !has(granted(t, binding), asked.pair)) continue;
        if (t.is_group(binding.principal))
          meet(binding.principal);
        else
          direct_.push_back(binding.principal);
      }
      if (node == 0) break;
    }
    for (std::size_t i = 0; i < groups_.size(); ++i)
      for (const auto member : members(groups_[i], PrincipalType::Group)) meet(member);
    std::sort(direct_.begin(), direct_.end());
    direct_.erase(std::unique(direct_.begin(), direct_.end()), direct_.end());
  }

  /// Calls `use(number)` for the active ones of a type from `first` on, ascending, until it gives false.
  template <class Use>
  void each(PrincipalType type, Number first, Use&& use) {
    const auto range = range_of(t_, type);
    first = std::max(first, range.first);
    if (type == PrincipalType::Group) {
      for (auto number = first; number < range.last; ++number)
        if (is_group_[number - t_.users] && !use(number)) return;
      return;
    }
    const bool by_flag = asked_.iam && type == PrincipalType::User;
    std::size_t most = direct_.size() + (by_flag ? inverse_.super_admins().size() : 0);
    for (const auto group : groups_) most += members(group, type).size();
    if (most < (range.last - first) / 16) {  // few: collect them
      std::vector<Number> found(direct_);
      if (by_flag) found.insert(found.end(), inverse_.super_admins().begin(), inverse_.super_admins().end());
      for (const auto group : groups_) {
        const auto of_group = members(group, type);
        found.insert(found.end(), of_group.begin(), of_group.end());
      }
      std::sort(found.begin(), found.end());
      found.erase(std::unique(found.begin(), found.end()), found.end());
      for (auto at = std::lower_bound(found.begin(), found.end(), first); at != found.end() && *at < range.last; ++at)
        if (is_active(t_, *at) && !use(*at)) return;
      return;
    }
    auto direct = std::lower_bound(direct_.begin(), direct_.end(), first);
    for (auto number = first; number < range.last; ++number) {  // many: meet them all in passing
      while (direct != direct_.end() && *direct < number) ++direct;
      if (!is_active(t_, number)) continue;
      const auto above = t_.groups_of(number);
      const bool found = (direct != direct_.end() && *direct == number) || (by_flag && (t_.states[number] & kSuperAdmin) != 0) ||
                         std::any_of(above.begin(), above.end(), [&](Number group) { return is_group_[group - t_.users]; });
      if (found && !use(number)) return;
    }
  }

 private:
  void meet(Number group) {
    if (is_group_[group - t_.users] || !is_active(t_, group)) return;
    is_group_[group - t_.users] = true;
    groups_.push_back(group);
  }
  [[nodiscard]] std::span<const Number> members(Number group, PrincipalType type) const {
    const auto all = inverse_.members(group - t_.users);
    const auto range = range_of(t_, type);
    return {std::lower_bound(all.begin(), all.end(), range.first), std::lower_bound(all.begin(), all.end(), range.last)};
  }

  const Tables& t_;
  const Inverse& inverse_;
  const Asked& asked_;
  std::vector<bool> is_group_;  ///< by group, counted from the first: active and a holder
  std::vector<Number> groups_, direct_;
};

/// The first number of a type whose id is above `after`.
Number first_after(const Tables& t, PrincipalType type, PrincipalId after) {
  const auto range = range_of(t, type);
  return static_cast<Number>(std::upper_bound(t.ids.begin() + range.first, t.ids.begin() + range.last, after.value) - t.ids.begin());
}

/// A name under which a check finds this principal and nobody else; empty when there is none.
std::string_view key_of(const Tables& t, PrincipalType type, Number number) {
  const auto record = t.record(number);
  const auto name = type == PrincipalType::Group ? record.second : record.key;
  const auto subject = name.empty() ? Subject{} : subject_of(t, type, name);
  return subject.kind == Subject::Found && subject.index == number ? name : std::string_view{};
}

/// What an active principal's bindings grant, by node; the super admin's flag is not part of it.
std::vector<std::pair<std::uint32_t, const PairMask*>> holdings(const Tables& t, Number number, Micros at) {
  std::vector<std::pair<std::uint32_t, const PairMask*>> out;
  const Above above(t, number);
  for (const auto holder : above.numbers())
    for (const auto& binding : t.bindings_of(holder))
      if (is_live(t, binding, at)) out.emplace_back(binding.node, &granted(t, binding));
  return out;
}

bool is_named_now(const Tables& t, std::uint32_t node, Micros at) {
  const auto positions = t.inverse().bindings_at(node);
  return std::any_of(positions.begin(), positions.end(), [&](std::uint32_t position) { return is_live(t, t.bindings[position], at); });
}

}  // namespace

Subjects CompiledSnapshot::who_may(PrincipalType type, const Right& right, PrincipalId after, std::size_t limit) const {
  Subjects out;
  const auto asked = ask(t_, right.permission, right.action, right.ns);
  if (!asked) return out;
  Holders(t_, *asked, micros(right.at)).each(type, first_after(t_, type, after), [&](Number number) {
    if (out.items.size() == limit) {
      out.more = true;
      return false;
    }
    out.items.push_back({.who = {type, {t_.ids[number]}}, .key = key_of(t_, type, number)});
    return true;
  });
  return out;
}

std::vector<std::string_view> CompiledSnapshot::what_may(const Principal& who, std::string_view permission_name,
                                                         std::optional<std::string_view> ns, TimePoint at) const {
  std::vector<std::string_view> out;
  const auto* permission = t_.catalogue->find(permission_name);
  const auto subject = t_.find(who.type, who.id);
  if (permission == nullptr || subject.kind != Subject::Found || (subject.state & kActive) == 0) return out;
  const auto asked = ask(t_, permission_name, permission->actions.front(), ns);
  if (!asked) return out;
  PairMask held{};
  if (asked->iam && (subject.state & kSuperAdmin) != 0) held = t_.catalogue->iam();
  for (const auto& [node, mask] : holdings(t_, subject.index, micros(at)))
    if (t_.namespaces.covers(node, asked->node))
      for (std::size_t i = 0; i < held.size(); ++i) held[i] |= (*mask)[i];
  for (std::size_t i = 0; i < permission->actions.size(); ++i)
    if (has(held, static_cast<std::uint32_t>(permission->first_pair + i))) out.emplace_back(permission->actions[i]);
  return out;
}

Places CompiledSnapshot::where_may(const Principal& who, std::string_view permission, std::string_view action, TimePoint at,
                                   std::string_view after, std::size_t limit) const {
  Places out;
  const auto asked = ask(t_, permission, action, std::nullopt);
  const auto subject = t_.find(who.type, who.id);
  if (!asked || subject.kind != Subject::Found || (subject.state & kActive) == 0) return out;
  std::vector<bool> allowed(t_.namespaces.size(), false);
  allowed[0] = asked->iam && (subject.state & kSuperAdmin) != 0;
  for (const auto& [node, mask] : holdings(t_, subject.index, micros(at)))
    if (has(*mask, asked->pair)) allowed[node] = true;
  out.whole_tenant = allowed[0];
  for (std::uint32_t node = 1; node < t_.namespaces.size(); ++node) {
    if (allowed[t_.namespaces.parent(node)]) allowed[node] = true;  // ancestors have smaller numbers
    if (!allowed[node] || t_.namespaces.text(node) <= after || !is_named_now(t_, node, micros(at))) continue;
    if (out.namespaces.size() == limit) {
      out.more = true;
      break;
    }
    out.namespaces.push_back(t_.namespaces.text(node));
  }
  return out;
}

}  // namespace rosterd::rbac
