#include <algorithm>
#include <map>
#include <new>
#include <unordered_map>

#include "rbac/profiles.hpp"
#include "rbac/tables.hpp"
#include "schema/core/text.hpp"

namespace rosterd::rbac {
namespace {

/// Rows arrive in any order within the phases AuthorizationSink names; the snapshot is the same for all of them.
class Compiler final : public Builder {
 public:
  Compiler(std::shared_ptr<const Catalogue> catalogue, TimePoint as_of) : masks_(t_.masks) {
    t_.as_of = micros(as_of);
    t_.catalogue = std::move(catalogue);
    t_.extras.push_back({});
  }

  void begin(const Revision& revision, bool tenant_enabled, std::uint64_t users, std::uint64_t groups, std::uint64_t edges) override {
    attempt([&] {
      t_.revision = revision;
      t_.enabled = tenant_enabled;
      announced_ = {users, groups, edges};
      t_.ids.reserve(users + groups);
      t_.records.reserve(users + groups);
      t_.states.reserve(users + groups);
      t_.texts.reserve(users * 32);
    });
  }

  void user(PrincipalId id, std::string_view username, std::string_view email, bool active, bool super_admin) override {
    attempt([&] {
      principal(PrincipalType::User, id, (active ? kActive : 0) | (super_admin ? kSuperAdmin : 0), username, email);
      ++t_.users;
    });
  }
  void group(PrincipalId id, std::string_view folded_name, std::string_view name, bool active) override {
    attempt([&] {
      principal(PrincipalType::Group, id, active ? kActive : 0, folded_name, name);
      ++t_.groups;
    });
  }
  void service_account(PrincipalId id, std::string_view name, bool enabled) override {
    attempt([&] {
      principal(PrincipalType::ServiceAccount, id, enabled ? kActive : 0, name, {});
      ++t_.service_accounts;
    });
  }

  void edge(PrincipalId group, PrincipalId member) override {
    attempt([&] {
      seal();
      if (group != last_group_ || edges_.size() == 0) last_number_ = t_.number_of(group);
      last_group_ = group;
      const auto below = t_.number_of(member);
      if (!last_number_ || !t_.is_group(*last_number_)) return refuse("a membership names group {}, which no row describes", group.value);
      if (!below) return refuse("a membership names principal {}, which no row describes", member.value);
      edges_.push_back({*below, *last_number_});
    });
  }

  void role(const Role& role) override {
    attempt([&] {
      RoleRow row{.id = role.id, .name = role.name, .admin = role.admin};
      auto mask = t_.catalogue->all();
      if (!role.admin) {
        const auto parsed = t_.catalogue->mask(role.permissions);
        if (!parsed) return refuse("role {}: {}", role.name, parsed.error().what);
        mask = *parsed;
        t_.unknown_pairs += t_.catalogue->unknown_pairs(role.permissions).size();
      }
      row.mask = masks_.number(mask);
      for (std::size_t i = 0; i < mask.size(); ++i) mask[i] &= ~t_.catalogue->tenant_scope()[i];
      row.limited = masks_.number(mask);
      if (!role_numbers_.emplace(role.id.value, t_.roles.size()).second) return refuse("role {} comes twice", role.name);
      t_.roles.push_back(std::move(row));
    });
  }

  void binding(const Binding& binding) override {
    attempt([&] {
      seal();
      const auto principal = t_.find(binding.principal.type, binding.principal.id);
      const auto role = role_numbers_.find(binding.role.value);
      if (principal.kind != Subject::Found)
        return refuse("binding {} names {}, which no row describes", text(binding.id), text(binding.principal));
      if (role == role_numbers_.end())
        return refuse("binding {} names role {}, which no row describes", text(binding.id), text(binding.role));
      BindingRow row{.id = binding.id, .principal = principal.index, .role = static_cast<std::uint32_t>(role->second)};
      if (binding.ns) {
        // A text that is no namespace must not turn into the whole tenant (R27).
        if (!is_namespace(*binding.ns))
          return refuse("binding {} is limited to '{}', which is no namespace", text(binding.id), *binding.ns);
        row.node = nodes_.emplace(*binding.ns, static_cast<std::uint32_t>(nodes_.size() + 1)).first->second;
      }
      if (binding.expires_at || binding.source) {
        row.extra = static_cast<std::uint32_t>(t_.extras.size());
        t_.extras.push_back(
            {.expires = binding.expires_at ? micros(*binding.expires_at) : kNever, .source = binding.source.value_or(SourceId{})});
      }
      t_.bindings.push_back(row);
    });
  }

  Result<std::shared_ptr<const Snapshot>> finish() override {
    attempt([&] {
      seal();
      if (announced_.users != t_.users || announced_.groups != t_.groups || announced_.edges != edges_.size())
        return refuse("{} users, {} groups and {} memberships were announced, {}, {} and {} came", announced_.users, announced_.groups,
                      announced_.edges, t_.users, t_.groups, edges_.size());
      settle_memberships();
      settle_namespaces();
      settle_roles();
      settle_bindings();
      flatten(t_, masks_);
      t_.masks.shrink(spare_of(t_.masks.size()));
      t_.index_keys();
      for (const auto& permission : t_.catalogue->permissions()) {
        PairMask mask{};
        for (std::size_t pair = permission.first_pair; pair < permission.first_pair + permission.actions.size(); ++pair)
          mask[pair / 64] |= std::uint64_t{1} << (pair % 64);
        t_.permission_masks.push_back(mask);
      }
      t_.whole = t_.sizes();
    });
    if (!problem_.empty()) return fail(Errc::Internal, "compiling revision {}: {}", text(t_.revision), problem_);
    return std::make_shared<const CompiledSnapshot>(std::move(t_));
  }

 private:
  struct Edge {
    std::uint32_t member, group;
  };
  struct Counts {
    std::uint64_t users = 0, groups = 0, edges = 0;
  };

  /// Rows that contradict each other are never answered from: the first contradiction is kept, the rest is not looked at.
  template <class... Args>
  void refuse(fmt::format_string<Args...> what, Args&&... args) {
    if (problem_.empty()) problem_ = fmt::format(what, std::forward<Args>(args)...);
  }
  template <class Step>
  void attempt(Step&& step) {
    if (!problem_.empty()) return;
    try {
      step();
    } catch (const std::bad_alloc&) {
      problem_ = "out of memory";
    }
  }

  void principal(PrincipalType type, PrincipalId id, std::uint32_t flags, std::string_view key, std::string_view second) {
    if (sealed_) return refuse("principal {} comes after the first membership or binding", id.value);
    if (t_.texts.size() + key.size() + second.size() + 64 > Tables::kMaxTexts)
      return refuse("names of more than {} bytes", Tables::kMaxTexts);
    const auto place = std::pair(place_of(type), id.value);
    in_order_ = in_order_ && (t_.ids.size() == 0 || last_place_ < place);
    last_place_ = place;
    t_.ids.push_back(id.value);
    t_.states.push_back(flags | static_cast<std::uint32_t>(type) << kTypeShift);
    t_.records.push_back(t_.append(key, second));
  }
  static int place_of(PrincipalType type) { return type == PrincipalType::User ? 0 : type == PrincipalType::Group ? 1 : 2; }

  /// All principals are here: numbers them and makes the table that finds them by id.
  void seal() {
    if (sealed_) return;
    sealed_ = true;
    t_.texts.shrink(spare_of(t_.texts.size()));
    t_.ids.shrink();
    t_.records.shrink();
    t_.states.shrink();
    if (!in_order_) put_in_order();
    t_.by_id.make(t_.ids.size());
    for (std::uint32_t number = 0; number < t_.ids.size(); ++number) {
      t_.set_rank(t_.records[number], number - t_.first_of(type_of(t_.states[number])));
      const auto id = t_.ids[number];
      if (!t_.by_id.insert(t_.hash_of(id), t_.place_of(number), [&](std::uint32_t held) { return t_.ids[t_.number_at(held)] == id; })
               .second)
        return refuse("principal {} comes twice", id);
    }
    edges_.reserve(announced_.edges);
  }

  void put_in_order() {
    struct Row {
      std::uint64_t id;
      std::uint32_t record, state;
    };
    Array<Row> rows;
    rows.reserve(t_.ids.size());
    for (std::size_t i = 0; i < t_.ids.size(); ++i) rows.push_back({t_.ids[i], t_.records[i], t_.states[i]});
    std::sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) {
      const int left = place_of(type_of(a.state)), right = place_of(type_of(b.state));
      return left != right ? left < right : a.id < b.id;
    });
    for (std::size_t i = 0; i < rows.size(); ++i) {
      t_.ids[i] = rows[i].id;
      t_.records[i] = rows[i].record;
      t_.states[i] = rows[i].state;
    }
  }

  /// One row of groups for each principal, sorted, twins (a local and a source's edge) once.
  void settle_memberships() {
    auto& rows = t_.parent_rows;
    rows.reserve(t_.size() + 1U);
    rows.assign(t_.size() + 1U, 0);
    for (const auto& edge : edges_) ++rows[edge.member];
    std::uint32_t start = 0;
    for (auto& row : rows) start += std::exchange(row, start);
    t_.parents.reserve(edges_.size());
    t_.parents.assign(edges_.size(), 0);
    for (const auto& edge : edges_) t_.parents[rows[edge.member]++] = edge.group;  // each row now starts where the next one did
    edges_.clear();
    std::uint32_t kept = 0, first = 0;
    for (std::uint32_t number = 0; number < t_.size(); ++number) {
      const auto end = rows[number];
      rows[number] = kept;
      std::sort(t_.parents.begin() + first, t_.parents.begin() + end);
      for (auto i = first; i < end; ++i)
        if (i == first || t_.parents[i] != t_.parents[i - 1]) t_.parents[kept++] = t_.parents[i];
      first = end;
    }
    rows[t_.size()] = kept;
    t_.parents.truncate(kept);
    t_.parents.shrink();
  }

  void settle_namespaces() {
    std::vector<std::string> names;
    names.reserve(nodes_.size());
    std::vector<std::uint32_t> sorted_number(nodes_.size() + 1, 0);
    for (const auto& [name, node] : nodes_) {
      names.push_back(name);
      sorted_number[node] = static_cast<std::uint32_t>(names.size());
    }
    nodes_.clear();
    for (auto& binding : t_.bindings) binding.node = sorted_number[binding.node];
    t_.namespaces = Namespaces(names);
  }

  void settle_roles() {
    std::vector<std::uint32_t> order(t_.roles.size()), place(t_.roles.size());
    for (std::uint32_t i = 0; i < order.size(); ++i) order[i] = i;
    std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) { return t_.roles[a].id < t_.roles[b].id; });
    std::vector<RoleRow> sorted;
    sorted.reserve(order.size());
    for (const auto from : order) {
      place[from] = static_cast<std::uint32_t>(sorted.size());
      sorted.push_back(std::move(t_.roles[from]));
    }
    t_.roles = std::move(sorted);
    for (auto& binding : t_.bindings) binding.role = place[binding.role];
    role_numbers_.clear();
  }

  void settle_bindings() {
    std::sort(t_.bindings.begin(), t_.bindings.end(), [](const BindingRow& a, const BindingRow& b) {
      return a.principal != b.principal ? a.principal < b.principal : a.id < b.id;
    });
    t_.bindings.shrink();
    t_.extras.shrink(spare_of(t_.extras.size()));
  }

  Tables t_;
  Masks masks_;
  Counts announced_;
  std::string problem_;
  bool sealed_ = false, in_order_ = true;
  std::pair<int, std::uint64_t> last_place_{};
  Array<Edge> edges_;
  PrincipalId last_group_;
  std::optional<std::uint32_t> last_number_;
  std::unordered_map<std::uint64_t, std::size_t> role_numbers_;
  std::map<std::string, std::uint32_t, std::less<>> nodes_;
};

}  // namespace

std::unique_ptr<Builder> make_builder(std::shared_ptr<const Catalogue> catalogue) {
  return make_builder(std::move(catalogue), SystemClock().now());
}
std::unique_ptr<Builder> make_builder(std::shared_ptr<const Catalogue> catalogue, TimePoint as_of) {
  return std::make_unique<Compiler>(std::move(catalogue), as_of);
}

}  // namespace rosterd::rbac
