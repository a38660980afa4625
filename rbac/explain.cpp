// Why a check says what it says, and what somebody holds. Everything is read from the snapshot the check itself reads (R105).

#include <algorithm>

#include "rbac/decide.hpp"
#include "rbac/paths.hpp"

namespace rosterd::rbac {
namespace {

Known known(const Tables& t, std::uint32_t number) {
  const auto record = t.record(number);
  const auto state = t.states[number];
  const auto type = type_of(state);
  return {.who = {type, {t.ids[number]}},
          .name = type == PrincipalType::Group ? record.second : record.key,
          .email = type == PrincipalType::User ? record.second : std::string_view{},
          .active = (state & kActive) != 0,
          .super_admin = (state & kSuperAdmin) != 0};
}

Resolved resolved(const Tables& t, const Subject& subject) {
  switch (subject.kind) {
    case Subject::Unknown:
      return {};
    case Subject::Ambiguous:
      return {.kind = Resolved::Ambiguous, .known = {}};
    case Subject::Found:
      return {.kind = Resolved::Found, .known = known(t, subject.index)};
  }
  return {};
}

template <class Use>
void each_binding(const Tables& t, const Above& above, Use&& use) {
  for (std::uint32_t place = 0; place < above.numbers().size(); ++place)
    for (const auto& binding : t.bindings_of(above.numbers()[place])) use(Reaching{&binding, place});
}

/// The first of a kind, each with its shortest chain.
std::vector<Grant> shown(const Tables& t, const Above& above, std::vector<Reaching> bindings, std::size_t most, bool& more) {
  sort_for_show(t, bindings);
  if (bindings.size() > most) {
    bindings.resize(most);
    more = true;
  }
  std::vector<Grant> out;
  out.reserve(bindings.size());
  for (const auto& reaching : bindings) out.push_back(grant_of(t, above, *reaching.binding, above.chain_to(reaching.place)));
  return out;
}

/// Groups that hold a binding which allows it here, other than those the subject is in (or is). The binding at the nearest namespace comes
/// first: joining that group gives away least.
void groups_to_join(const Tables& t, const Above& above, const Asked& asked, Micros at, std::size_t most, NearMisses& out) {
  const auto& inverse = t.inverse();
  for (auto node = asked.node;; node = t.namespaces.parent(node)) {
    for (const auto position : inverse.bindings_at(node)) {
      const auto& binding = t.bindings[position];
      const auto group = binding.principal;
      if (!t.is_group(group) || !has(granted(t, binding), asked.pair) || !is_live(t, binding, at)) continue;
      if ((t.states[group] & kActive) == 0 || above.contains(group)) continue;
      const PrincipalId id{t.ids[group]};
      if (std::any_of(out.groups.begin(), out.groups.end(), [&](const NearMisses::Joining& held) { return held.group == id; })) continue;
      if (out.groups.size() == most) {
        out.more = true;
        return;
      }
      out.groups.push_back({.group = id, .name = std::string(t.record(group).second), .grant = grant_of(t, above, binding, {})});
    }
    if (node == 0) return;
  }
}

NearMisses near_misses(const Tables& t, const Above& above, const Asked& asked, Micros at, std::size_t most) {
  std::vector<Reaching> elsewhere, without_action, tenant_scope, expired;
  const auto& permission = t.permission_masks[asked.permission];
  each_binding(t, above, [&](const Reaching& reaching) {
    const auto& binding = *reaching.binding;
    const bool here = t.namespaces.covers(binding.node, asked.node);
    if (!is_live(t, binding, at)) {
      if (here && has(granted(t, binding), asked.pair)) expired.push_back(reaching);
      return;
    }
    const auto& role = t.masks[t.roles[binding.role].mask];
    if (has(role, asked.pair)) {
      (asked.tenant_scope ? tenant_scope : elsewhere).push_back(reaching);
      return;
    }
    const auto& pairs = granted(t, binding);
    for (std::size_t i = 0; here && i < pairs.size(); ++i)
      if ((pairs[i] & permission[i]) != 0) {
        without_action.push_back(reaching);
        break;
      }
  });
  NearMisses out;
  out.elsewhere = shown(t, above, std::move(elsewhere), most, out.more);
  out.without_action = shown(t, above, std::move(without_action), most, out.more);
  out.tenant_scope = shown(t, above, std::move(tenant_scope), most, out.more);
  out.expired = shown(t, above, std::move(expired), most, out.more);
  groups_to_join(t, above, asked, at, most, out);
  return out;
}

}  // namespace

Resolved CompiledSnapshot::resolve(PrincipalType type, std::string_view key) const noexcept {
  return resolved(t_, subject_of(t_, type, key));
}

std::optional<Known> CompiledSnapshot::describe(const Principal& who) const noexcept {
  const auto subject = t_.find(who.type, who.id);
  if (subject.kind != Subject::Found) return std::nullopt;
  return known(t_, subject.index);
}

Explanation CompiledSnapshot::explain(const Question& q, const ExplainWish& wish) const {
  Explanation out;
  const auto subject = subject_of(t_, q.type, q.key);
  out.subject = resolved(t_, subject);
  const auto asked = ask(t_, q.permission, q.action, q.ns);
  if (!asked) {
    out.decision = {false, asked.error()};
    return out;
  }
  const auto at = micros(q.at);
  out.decision = decide(t_, subject, *asked, at);
  if (subject.kind != Subject::Found || (subject.state & kActive) == 0) return out;

  const Above above(t_, subject.index);
  std::vector<Reaching> allowing;
  std::uint32_t nearest = 0;  // covering nodes are ancestors of each other: the nearest has the largest number
  each_binding(t_, above, [&](const Reaching& reaching) {
    const auto& binding = *reaching.binding;
    if (!is_live(t_, binding, at) || !t_.namespaces.covers(binding.node, asked->node) || !has(granted(t_, binding), asked->pair)) return;
    allowing.push_back(reaching);
    nearest = std::max(nearest, binding.node);
  });
  if (nearest != 0) out.matched_namespace = std::string(t_.namespaces.text(nearest));
  auto listed = list_paths(t_, above, std::move(allowing), 0, wish.paths);
  out.paths = std::move(listed.items);
  out.paths_total = listed.total;
  out.paths_more = listed.more;
  if (wish.near_misses && !out.decision.allowed) out.near = near_misses(t_, above, *asked, at, wish.near);
  return out;
}

Grants CompiledSnapshot::effective(const Principal& who, TimePoint at, std::uint64_t skip, std::size_t limit) const {
  const auto subject = t_.find(who.type, who.id);
  if (subject.kind != Subject::Found) return {};
  const Above above(t_, subject.index);
  std::vector<Reaching> live;
  each_binding(t_, above, [&](const Reaching& reaching) {
    if (is_live(t_, *reaching.binding, micros(at))) live.push_back(reaching);
  });
  return list_paths(t_, above, std::move(live), skip, limit);
}

}  // namespace rosterd::rbac
