#include "rbac/self_check.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "rbac/reference.hpp"
#include "rbac/tables.hpp"
#include "schema/core/text.hpp"

namespace rosterd::rbac {
namespace {

/// The rows as the tables keep them, without anything that is derived from them.
class TableFacts final : public Facts {
 public:
  explicit TableFacts(const Tables& tables) : t_(tables) {}
  [[nodiscard]] bool tenant_enabled() const override { return t_.enabled; }
  [[nodiscard]] std::optional<Who> who(PrincipalId id) const override {
    const auto number = t_.number_of(id);
    if (!number) return std::nullopt;
    const auto state = t_.states[*number];
    return Who{.type = type_of(state), .active = (state & kActive) != 0, .super_admin = (state & kSuperAdmin) != 0};
  }
  [[nodiscard]] std::vector<PrincipalId> groups_of(PrincipalId id) const override {
    std::vector<PrincipalId> out;
    if (const auto number = t_.number_of(id))
      for (const auto group : t_.groups_of(*number)) out.push_back({t_.ids[group]});
    return out;
  }
  [[nodiscard]] std::vector<Held> bindings_of(PrincipalId id) const override {
    std::vector<Held> out;
    const auto number = t_.number_of(id);
    if (!number) return out;
    for (const auto& row : t_.bindings_of(*number)) {
      Held held{.role = row.role, .admin = t_.roles[row.role].admin, .ns = {}, .expires = {}};
      if (row.node != 0) held.ns = t_.namespaces.text(row.node);
      if (const auto expires = t_.extras[row.extra].expires; expires != kNever)
        held.expires = TimePoint(std::chrono::microseconds(expires));
      out.push_back(held);
    }
    return out;
  }
  [[nodiscard]] bool names(std::uint64_t role, const Permission& permission, std::string_view action) const override {
    const auto pair = t_.catalogue->pair(permission, action);
    return pair && (t_.masks[t_.roles[role].mask][*pair / 64] >> (*pair % 64) & 1) != 0;
  }

 private:
  const Tables& t_;
};

class SelfCheck {
 public:
  SelfCheck(const CompiledSnapshot& snapshot, const SelfCheckOptions& options)
      : snapshot_(snapshot), t_(snapshot.tables()), facts_(t_), options_(options) {}

  /// The rows of the changes are in the tables.
  Result<void> holds(const AuthorizationChanges& changes) {
    if (t_.revision != changes.to || t_.enabled != changes.tenant_enabled) return fail(Errc::Internal, "it is of another revision");
    if (changes.role_count && *changes.role_count != t_.roles.size())
      return fail(Errc::Internal, "it has {} roles, the store {}", t_.roles.size(), *changes.role_count);
    if (changes.binding_count && *changes.binding_count != t_.bindings.size())
      return fail(Errc::Internal, "it has {} bindings, the store {}", t_.bindings.size(), *changes.binding_count);
    std::set<PrincipalId> there;
    const auto has = [&](PrincipalType type, PrincipalId id, bool active, bool super_admin, std::string_view key, std::string_view second) {
      there.insert(id);
      const auto subject = t_.find(type, id);
      if (subject.kind != Subject::Found) return false;
      const auto record = t_.record(subject.index);
      return record.key == key && record.second == second && ((subject.state & kActive) != 0) == active &&
             ((subject.state & kSuperAdmin) != 0) == super_admin;
    };
    for (const auto& one : changes.users)
      if (!has(PrincipalType::User, one.id, one.active, one.super_admin, one.username, one.email))
        return differs(PrincipalType::User, one.id);
    for (const auto& one : changes.groups)
      if (!has(PrincipalType::Group, one.id, one.active, false, one.folded_name, one.name)) return differs(PrincipalType::Group, one.id);
    for (const auto& one : changes.service_accounts)
      if (!has(PrincipalType::ServiceAccount, one.id, one.enabled, false, one.name, {}))
        return differs(PrincipalType::ServiceAccount, one.id);
    for (const auto id : changes.principals)
      if (!there.contains(id) && t_.number_of(id)) return fail(Errc::Internal, "principal {} is gone and in it", id.value);
    for (const auto& edge : changes.edges)
      if (is_member(edge.member, edge.group) != edge.there)
        return fail(Errc::Internal, "the membership of {} in {} is not as it is", edge.member.value, edge.group.value);
    if (auto good = roles_hold(changes); !good) return good;
    return bindings_hold(changes);
  }

  /// Questions about those the changes touched, and about somebody.
  Result<void> answers_by_the_rules(const AuthorizationChanges* changes) {
    if (t_.size() == 0) return {};
    std::size_t asked = 0;
    const auto ask_of = [&](PrincipalId id) -> Result<void> {
      const auto number = t_.number_of(id);
      if (!number || asked++ >= options_.most_touched) return {};
      for (int i = 0; i < 4; ++i)
        if (auto good = ask(*number); !good) return good;
      return is_found(*number);
    };
    if (changes != nullptr) {
      for (const auto id : changes->holders)
        if (auto good = ask_of(id); !good) return good;
      for (const auto& edge : changes->edges)
        if (auto good = ask_of(edge.member); !good) return good;
    }
    for (std::size_t i = 0; i < options_.samples; ++i) {
      const auto number = below(t_.size());
      if (auto good = ask(number); !good) return good;
      if (i % 8 == 0)
        if (auto good = is_found(number); !good) return good;
    }
    return {};
  }

 private:
  /// SplitMix64 from a secret beginning: ten thousand numbers by system calls would cost more than all questions.
  [[nodiscard]] std::uint32_t below(std::size_t count) {
    auto z = seed_ += 0x9e3779b97f4a7c15U;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return static_cast<std::uint32_t>((z ^ (z >> 31)) % count);
  }
  static Result<void> differs(PrincipalType type, PrincipalId id) { return fail(Errc::Internal, "{} is not as its row", text(type, id)); }

  [[nodiscard]] bool is_member(PrincipalId member, PrincipalId group) const {
    const auto below = t_.number_of(member), above = t_.number_of(group);
    if (!below || !above) return false;
    const auto groups = t_.groups_of(*below);
    return std::binary_search(groups.begin(), groups.end(), *above);
  }

  Result<void> roles_hold(const AuthorizationChanges& changes) const {
    std::map<RoleId, const RoleRow*> rows;
    for (const auto& row : t_.roles) rows.emplace(row.id, &row);
    std::set<RoleId> there;
    for (const auto& role : changes.roles) {
      there.insert(role.id);
      const auto at = rows.find(role.id);
      if (at == rows.end() || at->second->admin != role.admin || at->second->name != role.name)
        return fail(Errc::Internal, "role {} is not as its row", text(role.id));
      const auto mask = role.admin ? t_.catalogue->all() : t_.catalogue->mask(role.permissions).value_or(PairMask{});
      if (t_.masks[at->second->mask] != mask) return fail(Errc::Internal, "role {} names other pairs than its row", text(role.id));
    }
    for (const auto id : changes.touched_roles)
      if (!there.contains(id) && rows.contains(id)) return fail(Errc::Internal, "role {} is gone and in it", text(id));
    return {};
  }

  Result<void> bindings_hold(const AuthorizationChanges& changes) const {
    std::map<PrincipalId, std::map<BindingId, const Binding*>> rows;
    for (const auto& binding : changes.bindings) rows[binding.principal.id].emplace(binding.id, &binding);
    for (const auto id : changes.holders) {
      const auto number = t_.number_of(id);
      const auto held = number ? t_.bindings_of(*number) : std::span<const BindingRow>{};
      const auto& wanted = rows[id];
      const auto is_same = [&](const BindingRow& row) {
        const auto at = wanted.find(row.id);
        if (at == wanted.end()) return false;
        const auto& binding = *at->second;
        const auto& extra = t_.extras[row.extra];
        return t_.roles[row.role].id == binding.role && (row.node == 0 ? !binding.ns : binding.ns == t_.namespaces.text(row.node)) &&
               extra.expires == (binding.expires_at ? micros(*binding.expires_at) : kNever) &&
               extra.source == binding.source.value_or(SourceId{});
      };
      if (held.size() != wanted.size() || !std::all_of(held.begin(), held.end(), is_same))
        return fail(Errc::Internal, "the bindings of principal {} are not as their rows", id.value);
    }
    return {};
  }

  /// A pair drawn at random, where a binding that reaches the principal lies or anywhere, now or later.
  Result<void> ask(std::uint32_t number) {
    const auto& permission = t_.catalogue->permissions()[below(t_.catalogue->permissions().size())];
    Question q;
    q.permission = permission.name;
    q.action = permission.actions[below(permission.actions.size())];
    q.at = TimePoint(std::chrono::microseconds(t_.as_of));
    if (below(8) == 0) q.at += std::chrono::hours(below(10'000));
    auto holder = number;
    while (below(4) != 0 && !t_.groups_of(holder).empty()) holder = t_.groups_of(holder)[below(t_.groups_of(holder).size())];
    const auto bindings = t_.bindings_of(holder);
    const auto node = bindings.empty() ? below(t_.namespaces.size()) : bindings[below(bindings.size())].node;
    if (node != 0) q.ns = t_.namespaces.text(node);
    const Principal who{type_of(t_.states[number]), {t_.ids[number]}};
    const auto quick = snapshot_.check(who, q.permission, q.action, q.ns, q.at);
    const auto slow = reference(facts_, *t_.catalogue, who.id, q);
    if (quick == slow) return {};
    return fail(Errc::Internal, "{} {} {} in {} is answered {}, by the rules it is {}", text(who), q.permission, q.action,
                q.ns.value_or("*"), name_of(quick.reason), name_of(slow.reason));
  }

  /// Her keys lead to her, with her state, or to somebody who has them, too.
  Result<void> is_found(std::uint32_t number) const {
    const auto state = t_.states[number];
    bool good = true;
    t_.each_key(t_.records[number], state, [&](const KeySlot&, std::string_view key) {
      const auto type = type_of(state);
      const auto found = t_.find(type, key, t_.hash_of(type, key));
      if (found.kind == Subject::Ambiguous) return;
      good = good && found.kind == Subject::Found && found.state == t_.states[found.index] &&
             (found.index == number || (state & kActive) == 0);
    });
    if (good) return {};
    return fail(Errc::Internal, "principal {} is not found under its names", t_.ids[number]);
  }

  const CompiledSnapshot& snapshot_;
  const Tables& t_;
  const TableFacts facts_;
  const SelfCheckOptions options_;
  std::uint64_t seed_ = random_u64();
};

}  // namespace

Result<void> self_check(const Snapshot& snapshot, const AuthorizationChanges* changes, const SelfCheckOptions& options) {
  SelfCheck check(static_cast<const CompiledSnapshot&>(snapshot), options);
  if (changes != nullptr)
    if (auto good = check.holds(*changes); !good) return good;
  return check.answers_by_the_rules(changes);
}

}  // namespace rosterd::rbac
