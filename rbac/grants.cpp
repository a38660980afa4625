#include <algorithm>
#include <map>

#include "rbac/tables.hpp"

namespace rosterd::rbac {
namespace {

using Number = std::uint32_t;

/// The groups above one principal, and every chain that leads to some of them.
///
/// Chains are walked depth first with the groups in the order of their names, and a chain is longer than its beginnings, so they come
/// out sorted. A step is taken only when a goal can still be reached without stepping on the chain again: each step leads to at least
/// one chain that is wanted, so the cost follows the answer, not the number of ways through a tangle of groups.
class Chains {
 public:
  Chains(const Tables& tables, Number from) : t_(tables) {
    collect(from);
    for (Number at = 0; at < groups_.size(); ++at) {
      auto& above = above_[at];
      std::sort(above.begin(), above.end(), [&](Number a, Number b) { return before(a, b); });
    }
  }

  /// Calls `use(group, chain)` for each chain that ends in a goal; `use` gives false to end it. The principal itself (place 0)
  /// may be a goal too, with an empty chain.
  template <class Use>
  void to(const std::vector<Number>& goals, Use&& use) {
    is_goal_.assign(groups_.size(), false);
    for (const auto goal : goals) is_goal_[place_.at(goal)] = true;
    on_chain_.assign(groups_.size(), false);
    chain_.clear();
    extend(0, use);
  }

  [[nodiscard]] const std::vector<Number>& numbers() const { return groups_; }

 private:
  void collect(Number from) {
    groups_.push_back(from);
    place_.emplace(from, 0);
    for (Number at = 0; at < groups_.size(); ++at) {
      above_.emplace_back();
      for (const auto parent : t_.groups_of(groups_[at])) {
        if ((t_.states[parent] & kActive) == 0) continue;
        const auto [found, fresh] = place_.emplace(parent, static_cast<Number>(groups_.size()));
        if (fresh) groups_.push_back(parent);
        above_[at].push_back(found->second);
      }
    }
  }
  [[nodiscard]] bool before(Number a, Number b) const {
    const auto left = t_.record(groups_[a]).second, right = t_.record(groups_[b]).second;
    return left != right ? left < right : groups_[a] < groups_[b];
  }

  /// Whether a goal lies at or above `start` beside the chain.
  [[nodiscard]] bool leads_on(Number start) {
    seen_.assign(groups_.size(), false);
    open_.assign(1, start);
    seen_[start] = true;
    while (!open_.empty()) {
      const auto at = open_.back();
      open_.pop_back();
      if (is_goal_[at]) return true;
      for (const auto next : above_[at]) {
        if (seen_[next] || on_chain_[next]) continue;
        seen_[next] = true;
        open_.push_back(next);
      }
    }
    return false;
  }

  /// Without recursion: a chain may be as long as the directory nests.
  template <class Use>
  void extend(Number root, Use&& use) {
    struct Frame {
      Number at;
      std::size_t next;
    };
    std::vector<Frame> frames{{root, 0}};
    on_chain_[root] = true;
    if (is_goal_[root] && !use(groups_[root], chain_)) return;
    while (!frames.empty()) {
      auto& frame = frames.back();
      if (frame.next == above_[frame.at].size()) {
        on_chain_[frame.at] = false;
        frames.pop_back();
        if (!chain_.empty()) chain_.pop_back();
        continue;
      }
      const auto next = above_[frame.at][frame.next++];
      if (on_chain_[next] || !leads_on(next)) continue;
      on_chain_[next] = true;
      chain_.push_back(groups_[next]);
      frames.push_back({next, 0});
      if (is_goal_[next] && !use(groups_[next], chain_)) return;
    }
  }

  const Tables& t_;
  std::vector<Number> groups_;              ///< by place: number of the principal; place 0 is where it starts
  std::map<Number, Number> place_;          ///< the reverse
  std::vector<std::vector<Number>> above_;  ///< by place
  std::vector<bool> is_goal_, on_chain_, seen_;
  std::vector<Number> chain_, open_;
};

}  // namespace

std::vector<Grant> CompiledSnapshot::grants(const Principal& who, TimePoint at, std::size_t limit) const {
  std::vector<Grant> out;
  const auto subject = t_.find(who.type, who.id);
  if (subject.kind != Subject::Found) return out;
  Chains chains(t_, subject.index);

  // All grants of one role in one namespace stand together, sorted by the chain; so it is one walk for each.
  const auto key = [&](const BindingRow& b) {
    return std::tuple(std::string_view(t_.roles[b.role].name), b.node == 0 ? std::string_view{} : t_.namespaces.text(b.node), b.role);
  };
  std::map<decltype(key(BindingRow{})), std::vector<const BindingRow*>> sets;
  for (const auto number : chains.numbers())
    for (const auto& binding : t_.bindings_of(number))
      if (t_.extras[binding.extra].expires > micros(at)) sets[key(binding)].push_back(&binding);

  const auto room = [&] { return limit == 0 || out.size() < limit; };
  for (const auto& [set, bindings] : sets) {
    if (!room()) break;
    std::vector<Number> goals;
    for (const auto* binding : bindings) goals.push_back(binding->principal);
    chains.to(goals, [&](Number end, const std::vector<Number>& chain) {
      for (const auto* binding : bindings) {
        if (binding->principal != end || !room()) continue;
        const auto& role = t_.roles[binding->role];
        const auto& extra = t_.extras[binding->extra];
        Grant grant{.binding = binding->id,
                    .role = role.id,
                    .role_name = role.name,
                    .admin = role.admin,
                    .ns = {},
                    .expires_at = {},
                    .source = {},
                    .via = {}};
        if (binding->node != 0) grant.ns = std::string(t_.namespaces.text(binding->node));
        if (extra.expires != kNever) grant.expires_at = TimePoint(std::chrono::microseconds(extra.expires));
        if (extra.source) grant.source = extra.source;
        for (const auto hop : chain) grant.via.push_back({.group = PrincipalId{t_.ids[hop]}, .name = std::string(t_.record(hop).second)});
        out.push_back(std::move(grant));
      }
      return room();
    });
  }
  return out;
}

}  // namespace rosterd::rbac
