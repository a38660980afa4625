#include <algorithm>
#include <map>
#include <new>
#include <set>
#include <unordered_map>

#include "rbac/profiles.hpp"
#include "rbac/tables.hpp"
#include "schema/core/text.hpp"

// From one snapshot to the next. Arrays without a change are shared; of the others a copy is changed, or something is added behind their
// end. Profiles are made again for whom the changes touch and for everybody below a touched group; the profiles nobody uses any more stay
// until all rows are compiled again.

namespace rosterd::rbac {
namespace {

constexpr std::uint32_t kGone = std::numeric_limits<std::uint32_t>::max();

/// Ends an update: the changes do not fit to the snapshot.
struct Contradiction {
  std::string what;
};
template <class... Args>
[[noreturn]] void refuse(fmt::format_string<Args...> what, Args&&... args) {
  throw Contradiction{fmt::format(what, std::forward<Args>(args)...)};
}

int place_of(PrincipalType type) { return type == PrincipalType::User ? 0 : type == PrincipalType::Group ? 1 : 2; }

/// A touched principal: what it was, what it is.
struct Touched {
  PrincipalId id;
  std::uint32_t before = kGone;  ///< its number in the old snapshot
  std::uint32_t now = kGone;
  bool there = false;  ///< has a row
  PrincipalType type = PrincipalType::User;
  std::uint32_t flags = 0;
  std::string_view key, second;
  bool is_renamed = false;
};

class Update {
 public:
  Update(const Tables& old, const AuthorizationChanges& changes, Micros as_of)
      : o_(old), c_(changes), t_(old.successor()), masks_(t_.masks) {
    t_.revision = changes.to;
    t_.enabled = changes.tenant_enabled;
    t_.as_of = std::max(old.as_of, as_of);
  }

  void run() {
    if (c_.from != o_.revision) refuse("they begin at {}", text(c_.from));
    gather_principals();
    number_principals();
    change_rows();
    due_.assign(t_.size(), false);
    change_memberships();
    change_roles();
    change_bindings();
    note_expired();
    for (const auto& one : touched_)
      if (one.there) due_[one.now] = true;
    spread();
    t_.states.own();
    flatten_again(t_, masks_, due_);
    change_keys();
    t_.masks.shrink(spare_of(t_.masks.size()));
    t_.extras.shrink(spare_of(t_.extras.size()));
    t_.texts.shrink(spare_of(t_.texts.size()));
  }

  /// Whether what is no longer used has become so much that compiling all rows is due.
  [[nodiscard]] bool is_worn() const {
    const auto now = t_.sizes();
    const auto is_much = [](std::size_t size, std::size_t whole, std::size_t part, std::size_t least) {
      return size > whole + whole / part + least;
    };
    return is_much(now.texts, t_.whole.texts, 4, 1 << 16) || is_much(now.profiles, t_.whole.profiles, 1, 1 << 17) ||
           is_much(now.masks, t_.whole.masks, 1, 1 << 12) || is_much(now.extras, t_.whole.extras, 1, 1 << 13) ||
           now.texts + (1 << 12) > Tables::kMaxTexts || now.profiles > kProfileBits / 2;
  }
  [[nodiscard]] Tables take() { return std::move(t_); }

 private:
  // ---- principals -----------------------------------------------------------------------------------------------------------------

  void gather_principals() {
    std::unordered_map<std::uint64_t, std::size_t> place;
    for (const auto id : c_.principals) {
      place.emplace(id.value, touched_.size());
      Touched one{.id = id, .key = {}, .second = {}};
      one.before = o_.number_of(id).value_or(kGone);
      touched_.push_back(one);
    }
    const auto row = [&](PrincipalType type, PrincipalId id, std::uint32_t flags, std::string_view key, std::string_view second) {
      const auto at = place.find(id.value);
      if (at == place.end()) refuse("{} has a row and was not touched", text(type, id));
      auto& one = touched_[at->second];
      if (one.there || (one.before != kGone && type_of(o_.states[one.before]) != type)) refuse("{} is two principals", text(type, id));
      one.there = true;
      one.type = type;
      one.flags = flags | static_cast<std::uint32_t>(type) << kTypeShift;
      one.key = key;
      one.second = second;
    };
    for (const auto& user : c_.users)
      row(PrincipalType::User, user.id, (user.active ? kActive : 0) | (user.super_admin ? kSuperAdmin : 0), user.username, user.email);
    for (const auto& group : c_.groups) row(PrincipalType::Group, group.id, group.active ? kActive : 0, group.folded_name, group.name);
    for (const auto& account : c_.service_accounts)
      row(PrincipalType::ServiceAccount, account.id, account.enabled ? kActive : 0, account.name, {});
    std::erase_if(touched_, [](const Touched& one) { return !one.there && one.before == kGone; });
  }

  /// New and gone principals shift the numbers of those behind them.
  void number_principals() {
    std::vector<Touched*> added;
    for (auto& one : touched_) {
      one.now = one.before;
      if (one.before == kGone) added.push_back(&one);
      if (!one.there) gone_.push_back(one.before);
    }
    if (added.empty() && gone_.empty()) return;
    is_renumbered_ = true;
    const auto place = [](const Touched* one) { return std::pair(place_of(one->type), one->id.value); };
    std::sort(gone_.begin(), gone_.end());
    std::sort(added.begin(), added.end(), [&](const Touched* a, const Touched* b) { return place(a) < place(b); });
    for (const auto* one : added) ++count_of(one->type);
    for (const auto number : gone_) --count_of(type_of(o_.states[number]));

    Array<std::uint64_t> ids;
    Array<std::uint32_t> states, records;
    ids.reserve(t_.size()), states.reserve(t_.size()), records.reserve(t_.size());
    std::uint32_t next = 0;  // of the old numbers
    const auto copy_up_to = [&](std::uint32_t end) {
      while (next < end) {
        const auto type = type_of(o_.states[next]);
        const auto stop = std::min(end, o_.first_of(type) + (type == PrincipalType::User    ? o_.users
                                                             : type == PrincipalType::Group ? o_.groups
                                                                                            : o_.service_accounts));
        const auto to = static_cast<std::uint32_t>(ids.size());
        std::copy(o_.ids.begin() + next, o_.ids.begin() + stop, ids.extend(stop - next));
        std::copy(o_.states.begin() + next, o_.states.begin() + stop, states.extend(stop - next));
        std::copy(o_.records.begin() + next, o_.records.begin() + stop, records.extend(stop - next));
        runs_.push_back({.from = next, .end = stop, .to = to});
        move_ranks(next, stop, to - t_.first_of(type));
        next = stop;
      }
    };
    auto skip_gone = [&, from = gone_.begin()](std::uint32_t end) mutable {
      for (; from != gone_.end() && *from < end; ++from) {
        copy_up_to(*from);
        next = *from + 1;
      }
      copy_up_to(end);
    };
    for (auto* one : added) {
      skip_gone(place_in_old(*one));
      one->now = static_cast<std::uint32_t>(ids.size());
      added_.push_back(one->now);
      ids.push_back(one->id.value);
      states.push_back(one->flags);
      records.push_back(0);
    }
    skip_gone(o_.size());
    for (auto& one : touched_)
      if (one.before != kGone) one.now = now_of(one.before);
    t_.ids = std::move(ids);
    t_.states = std::move(states);
    t_.records = std::move(records);
    find_by_id();
  }

  std::uint32_t& count_of(PrincipalType type) {
    return type == PrincipalType::User ? t_.users : type == PrincipalType::Group ? t_.groups : t_.service_accounts;
  }

  /// The old number before which a new principal stands.
  [[nodiscard]] std::uint32_t place_in_old(const Touched& one) const {
    const auto first = o_.first_of(one.type);
    const auto count = one.type == PrincipalType::User ? o_.users : one.type == PrincipalType::Group ? o_.groups : o_.service_accounts;
    const auto* ids = o_.ids.begin() + first;
    return first + static_cast<std::uint32_t>(std::lower_bound(ids, ids + count, one.id.value) - ids);
  }

  /// Records name their principal by its rank in its type: those behind somebody who is gone, or not the last of his type, are written
  /// anew.
  void move_ranks(std::uint32_t from, std::uint32_t end, std::uint32_t rank) {
    if (rank == from - o_.first_of(type_of(o_.states[from]))) return;
    is_reordered_ = true;
    t_.texts.own();
    for (auto number = from; number < end; ++number, ++rank) t_.set_rank(o_.records[number], rank);
  }

  void find_by_id() {
    auto& table = t_.by_id;
    const auto add = [&](std::uint32_t number) {
      const auto id = std::as_const(t_.ids)[number];
      table.insert(t_.hash_of(id), t_.place_of(number),
                   [&](std::uint32_t held) { return std::as_const(t_.ids)[t_.number_at(held)] == id; });
    };
    if (!table.has_room_for(added_.size())) {
      table = {};
      table.make(t_.ids.size());
      for (std::uint32_t number = 0; number < t_.size(); ++number) add(number);
      return;
    }
    table.own();
    for (const auto number : gone_)
      table.forget(table.find(o_.hash_of(o_.ids[number]), [&](std::uint32_t held) { return held == o_.place_of(number); }));
    if (is_reordered_) table.each([&](std::uint32_t& place) { place = t_.place_of(now_of(o_.number_at(place))); });
    for (const auto number : added_) add(number);
  }

  /// States and texts of the touched.
  void change_rows() {
    if (touched_.empty()) return;
    t_.states.own();
    for (auto& one : touched_) {
      if (!one.there) continue;
      auto& state = t_.states[one.now];
      state = one.flags | (state & kProfileBits);
      if (one.before != kGone) {
        const auto held = o_.record(one.before);
        one.is_renamed = held.key != one.key || held.second != one.second;
        if (!one.is_renamed) continue;
      }
      if (t_.texts.size() + one.key.size() + one.second.size() + 64 > Tables::kMaxTexts)
        refuse("names of more than {} bytes", Tables::kMaxTexts);
      t_.records.own();
      t_.records[one.now] = t_.append(one.key, one.second, one.now - t_.first_of(one.type));
    }
  }

  [[nodiscard]] std::uint32_t now_of(std::uint32_t before) const {
    if (!is_renumbered_) return before;
    const auto behind = std::upper_bound(runs_.begin(), runs_.end(), before, [](std::uint32_t n, const Run& run) { return n < run.from; });
    if (behind == runs_.begin() || before >= (behind - 1)->end) return kGone;
    return (behind - 1)->to + (before - (behind - 1)->from);
  }

  // ---- memberships ----------------------------------------------------------------------------------------------------------------

  void change_memberships() {
    struct Change {
      std::uint32_t group;
      bool there;
    };
    std::map<std::uint32_t, std::vector<Change>> changes;  // by member
    for (const auto& edge : c_.edges) {
      const auto group = t_.number_of(edge.group), member = t_.number_of(edge.member);
      if (!group || !member) {
        if (edge.there) refuse("a membership of {} in {} names a principal that is not there", edge.member.value, edge.group.value);
        continue;
      }
      if (!t_.is_group(*group)) refuse("{} has members and is no group", edge.group.value);
      changes[*member].push_back({*group, edge.there});
    }
    if (changes.empty() && !is_renumbered_) return;
    Array<std::uint32_t> rows, parents;
    rows.reserve(t_.size() + 1U);
    parents.reserve(o_.parents.size() + c_.edges.size());
    std::vector<std::uint32_t> row;
    auto change = changes.begin();
    auto added = added_.begin();
    auto gone = gone_.begin();
    for (std::uint32_t before = 0, number = 0; number < t_.size();) {
      while (gone != gone_.end() && *gone == before) ++gone, ++before;
      const auto next_change = change == changes.end() ? t_.size() : change->first;
      const auto next_added = added == added_.end() ? t_.size() : *added;
      const auto next_gone = (gone == gone_.end() ? o_.size() : *gone) - before;
      if (const auto run = std::min({next_change - number, next_added - number, next_gone}); run > 0) {
        copy_rows(before, before + run, number, rows, parents);
        before += run;
        number += run;
        continue;
      }
      rows.push_back(static_cast<std::uint32_t>(parents.size()));
      row.clear();
      if (next_added == number)
        ++added;
      else
        for (const auto group : o_.groups_of(before++))
          if (const auto now = now_of(group); now != kGone) row.push_back(now);
      if (next_change == number) {
        for (const auto& [group, there] : change->second) {
          std::erase(row, group);
          if (there) row.push_back(group);
        }
        ++change;
      }
      std::sort(row.begin(), row.end());
      std::copy(row.begin(), row.end(), parents.extend(row.size()));
      due_[number++] = true;
    }
    rows.push_back(static_cast<std::uint32_t>(parents.size()));
    parents.shrink();
    t_.parent_rows = std::move(rows);
    t_.parents = std::move(parents);
  }

  /// Memberships of old principals that are as they were, but for groups that are gone.
  void copy_rows(std::uint32_t from, std::uint32_t end, std::uint32_t number, Array<std::uint32_t>& rows, Array<std::uint32_t>& parents) {
    const auto* held = o_.parent_rows.begin();
    const auto first = held[from], count = held[end] - first;
    const auto start = static_cast<std::uint32_t>(parents.size());
    if (groups_stay()) {
      const auto shift = start - first, moved = t_.users - o_.users;
      std::transform(held + from, held + end, rows.extend(end - from), [&](std::uint32_t row) { return row + shift; });
      const auto* group = o_.parents.begin() + first;
      std::transform(group, group + count, parents.extend(count), [&](std::uint32_t one) { return one + moved; });
      return;
    }
    for (; from < end; ++from, ++number) {
      rows.push_back(static_cast<std::uint32_t>(parents.size()));
      for (const auto group : o_.groups_of(from)) {
        if (const auto now = now_of(group); now != kGone)
          parents.push_back(now);
        else
          due_[number] = true;
      }
    }
  }

  /// Whether every old group is where it was among the groups.
  [[nodiscard]] bool groups_stay() const {
    if (!is_renumbered_ || o_.groups == 0) return true;
    const auto is_group = [&](std::uint32_t number) { return o_.is_group(number); };
    return std::none_of(gone_.begin(), gone_.end(), is_group) && now_of(o_.users + o_.groups - 1) == t_.users + o_.groups - 1;
  }

  // ---- roles and bindings -----------------------------------------------------------------------------------------------------------

  [[nodiscard]] RoleRow row_of(const Role& role) {
    RoleRow row{.id = role.id, .name = role.name, .admin = role.admin};
    auto mask = t_.catalogue->all();
    if (!role.admin) {
      const auto parsed = t_.catalogue->mask(role.permissions);
      if (!parsed) refuse("role {}: {}", role.name, parsed.error().what);
      mask = *parsed;
    }
    row.mask = masks_.number(mask);
    for (std::size_t i = 0; i < mask.size(); ++i) mask[i] &= ~t_.catalogue->tenant_scope()[i];
    row.limited = masks_.number(mask);
    return row;
  }

  void change_roles() {
    std::set<RoleId> touched(c_.touched_roles.begin(), c_.touched_roles.end());
    role_now_.resize(o_.roles.size());
    role_touched_.assign(o_.roles.size(), false);
    std::vector<RoleRow> roles;
    roles.reserve(o_.roles.size() + c_.roles.size());
    for (std::size_t i = 0; i < o_.roles.size(); ++i) {
      role_touched_[i] = touched.contains(o_.roles[i].id);
      if (!role_touched_[i]) roles.push_back(std::move(t_.roles[i]));
    }
    for (const auto& role : c_.roles) {
      if (!touched.contains(role.id)) refuse("role {} has a row and was not touched", role.name);
      roles.push_back(row_of(role));
    }
    std::sort(roles.begin(), roles.end(), [](const RoleRow& a, const RoleRow& b) { return a.id < b.id; });
    t_.roles = std::move(roles);
    for (std::size_t i = 0; i < o_.roles.size(); ++i) role_now_[i] = role_number(o_.roles[i].id);
  }

  [[nodiscard]] std::uint32_t role_number(RoleId id) const {
    const auto at =
        std::lower_bound(t_.roles.begin(), t_.roles.end(), id, [](const RoleRow& row, RoleId wanted) { return row.id < wanted; });
    return at == t_.roles.end() || at->id != id ? kGone : static_cast<std::uint32_t>(at - t_.roles.begin());
  }

  void change_bindings() {
    const bool is_moved = is_renumbered_ || !c_.touched_roles.empty();
    if (c_.holders.empty() && c_.bindings.empty() && !is_moved) return;
    const auto fresh = fresh_bindings();
    std::vector<std::uint32_t> holders;  // in the old numbers
    for (const auto id : c_.holders) {
      if (const auto before = o_.number_of(id)) holders.push_back(*before);
      if (const auto now = t_.number_of(id)) due_[*now] = true;
    }
    std::sort(holders.begin(), holders.end());
    Array<BindingRow> bindings;
    bindings.reserve(o_.bindings.size() + fresh.size());
    auto next = fresh.begin();
    auto holder = holders.begin();
    for (const auto& held : o_.bindings) {
      while (holder != holders.end() && *holder < held.principal) ++holder;
      auto row = held;
      row.principal = now_of(held.principal);
      row.role = role_now_[held.role];
      row.node = node_now_.empty() ? held.node : node_now_[held.node];
      if (row.principal != kGone && role_touched_[held.role]) due_[row.principal] = true;
      const bool stays = row.principal != kGone && row.role != kGone && (holder == holders.end() || *holder != held.principal);
      if (!stays) continue;
      for (; next != fresh.end() && next->principal < row.principal; ++next) bindings.push_back(*next);
      bindings.push_back(row);
    }
    for (; next != fresh.end(); ++next) bindings.push_back(*next);
    bindings.shrink();
    t_.bindings = std::move(bindings);
  }

  /// The bindings of the holders, by principal and id.
  std::vector<BindingRow> fresh_bindings() {
    const std::set<PrincipalId> holders(c_.holders.begin(), c_.holders.end());
    add_namespaces();
    std::vector<BindingRow> out;
    out.reserve(c_.bindings.size());
    for (const auto& binding : c_.bindings) {
      const auto principal = t_.find(binding.principal.type, binding.principal.id);
      const auto role = role_number(binding.role);
      if (!holders.contains(binding.principal.id)) refuse("binding {} was not touched", text(binding.id));
      if (principal.kind != Subject::Found || role == kGone) refuse("binding {} names what is not there", text(binding.id));
      BindingRow row{.id = binding.id, .principal = principal.index, .role = role};
      if (binding.ns) row.node = t_.namespaces.exactly(*binding.ns);
      if (binding.expires_at || binding.source) {
        row.extra = static_cast<std::uint32_t>(t_.extras.size());
        t_.extras.push_back(
            {.expires = binding.expires_at ? micros(*binding.expires_at) : kNever, .source = binding.source.value_or(SourceId{})});
      }
      out.push_back(row);
    }
    std::sort(out.begin(), out.end(), [](const BindingRow& a, const BindingRow& b) {
      return a.principal != b.principal ? a.principal < b.principal : a.id < b.id;
    });
    return out;
  }

  /// A namespace nobody named before shifts the nodes behind it, in bindings and profiles. One that nobody names any more stays: it decides
  /// nothing.
  void add_namespaces() {
    std::set<std::string, std::less<>> fresh;
    for (const auto& binding : c_.bindings) {
      if (!binding.ns) continue;
      if (!is_namespace(*binding.ns)) refuse("binding {} is limited to '{}', which is no namespace", text(binding.id), *binding.ns);
      if (t_.namespaces.exactly(*binding.ns) == 0) fresh.insert(*binding.ns);
    }
    if (fresh.empty()) return;
    std::vector<std::string> names;
    names.reserve(o_.namespaces.size() + fresh.size());
    node_now_.assign(o_.namespaces.size(), 0);
    auto next = fresh.begin();
    for (std::uint32_t node = 1; node < o_.namespaces.size(); ++node) {
      const auto name = o_.namespaces.text(node);
      for (; next != fresh.end() && *next < name; ++next) names.push_back(*next);
      names.emplace_back(name);
      node_now_[node] = static_cast<std::uint32_t>(names.size());
    }
    names.insert(names.end(), next, fresh.end());
    t_.namespaces = Namespaces(names);
    t_.profiles.own();
    for (std::size_t at = kFirstProfile; at < t_.profiles.size();) {
      const auto words = t_.profiles[at].first & kCountBits;
      at += 1 + t_.mask_words;
      for (const auto end = at + words; at < end; ++at) t_.profiles[at].first = node_now_[t_.profiles[at].first];
    }
  }

  /// Bindings that have expired since the old profiles were made.
  void note_expired() {
    const auto has_expired = [&](const BindingExtra& extra) { return extra.expires > o_.as_of && extra.expires <= t_.as_of; };
    const auto& extras = std::as_const(t_.extras);
    if (std::none_of(extras.begin(), extras.end(), has_expired)) return;
    for (const auto& binding : std::as_const(t_.bindings))
      if (has_expired(extras[binding.extra])) due_[binding.principal] = true;
  }

  // ---- who is due -------------------------------------------------------------------------------------------------------------------

  /// Everybody below a group that is due is due.
  void spread() {
    std::vector<std::vector<std::uint32_t>> below;  // groups in groups, which are few
    std::vector<std::uint32_t> open;
    for (std::uint32_t group = t_.users; group < t_.users + t_.groups; ++group) {
      if (due_[group]) open.push_back(group);
      for (const auto above : t_.groups_of(group)) {
        if (below.empty()) below.resize(t_.groups);
        below[above - t_.users].push_back(group);
      }
    }
    if (open.empty()) return;
    while (!open.empty() && !below.empty()) {
      const auto group = open.back();
      open.pop_back();
      for (const auto member : below[group - t_.users])
        if (!due_[member]) {
          due_[member] = true;
          open.push_back(member);
        }
    }
    for (std::uint32_t number = 0; number < t_.size(); ++number) {
      if (due_[number] || t_.is_group(number)) continue;
      for (const auto group : t_.groups_of(number))
        if (due_[group]) {
          due_[number] = true;
          break;
        }
    }
  }

  // ---- keys -------------------------------------------------------------------------------------------------------------------------

  [[nodiscard]] KeySlot* slot_of(PrincipalType type, std::string_view key) {
    return t_.by_key.find_to_change(t_.hash_of(type, key), [&](const KeySlot& slot) { return t_.is_slot_of(slot, type, key); });
  }
  static bool is_same_record(const KeySlot& a, const KeySlot& b) { return ((a.entry ^ b.entry) & KeySlot::kRecordBits) == 0; }

  /// Whoever has a key alone is found and changed directly. A key that several have, or had, is settled among all who have it.
  void change_keys() {
    const auto fresh = 2 * static_cast<std::size_t>(std::count_if(touched_.begin(), touched_.end(), [](const Touched& one) {
                         return one.there && (one.before == kGone || one.is_renamed);
                       }));
    if (!t_.by_key.has_room_for(fresh)) {
      t_.by_key = {};
      return t_.index_keys();
    }
    const auto due = static_cast<std::size_t>(std::count(due_.begin(), due_.end(), true));
    t_.by_key.prepare(
        2 * (due + touched_.size()) + fresh, [&](const KeySlot& slot) { return t_.hash_of(type_of(slot.state), t_.key_of(slot)); },
        [&](const KeySlot& a, const KeySlot& b) { return t_.is_slot_of(a, type_of(b.state), t_.key_of(b)); });
    for (const auto& one : touched_)
      if (one.before != kGone && (!one.there || one.is_renamed)) leave_keys(one);
    for (const auto& one : touched_)
      if (one.there && (one.before == kGone || one.is_renamed)) take_keys(one.now);
    for (std::uint32_t number = 0; number < t_.size(); ++number)
      if (due_[number]) restate_keys(number);
    for (const auto& one : touched_)  // whether it is active is known from before the update alone
      if (one.there && one.before != kGone && ((one.flags ^ o_.states[one.before]) & kActive) != 0) settle_keys_of(one.now);
    if (!unsettled_.empty()) settle();
  }

  void leave_keys(const Touched& one) {
    t_.each_key(o_.records[one.before], o_.states[one.before], [&](const KeySlot&, std::string_view key) {
      const auto type = type_of(o_.states[one.before]);
      auto* slot = slot_of(type, key);
      if (slot == nullptr) return;  // both its texts were the same key
      if (slot->is_shared())
        unsettled_.try_emplace(std::pair(type, std::string(key)));
      else
        t_.by_key.forget(slot);
    });
  }

  void take_keys(std::uint32_t number) {
    t_.each_key(std::as_const(t_.records)[number], std::as_const(t_.states)[number], [&](const KeySlot& mine, std::string_view key) {
      const auto type = type_of(mine.state);
      const auto [slot, is_new] =
          t_.by_key.insert(t_.hash_of(type, key), mine, [&](const KeySlot& held) { return t_.is_slot_of(held, type, key); });
      if (!is_new && !is_same_record(*slot, mine)) unsettled_.try_emplace(std::pair(type, std::string(key)));
    });
  }

  /// A new state of somebody who keeps his keys.
  void restate_keys(std::uint32_t number) {
    const auto state = std::as_const(t_.states)[number];
    t_.each_key(std::as_const(t_.records)[number], state, [&](const KeySlot& mine, std::string_view key) {
      auto* slot = slot_of(type_of(state), key);
      if (slot == nullptr) refuse("a key of principal {} is not in the table", std::as_const(t_.ids)[number]);
      if (is_same_record(*slot, mine)) slot->state = state;
    });
  }

  void settle_keys_of(std::uint32_t number) {
    const auto state = std::as_const(t_.states)[number];
    t_.each_key(std::as_const(t_.records)[number], state, [&](const KeySlot&, std::string_view key) {
      if (const auto* slot = slot_of(type_of(state), key); slot->is_shared())
        unsettled_.try_emplace(std::pair(type_of(state), std::string(key)));
    });
  }

  /// One look at everybody's keys, for all that are to be settled.
  void settle() {
    constexpr std::size_t kFilter = 1 << 16;
    std::vector<bool> maybe(kFilter, false);
    const auto bit = [](std::uint64_t hash) { return hash >> 48 & (kFilter - 1); };
    for (const auto& [name, holders] : unsettled_) maybe[bit(t_.hash_of(name.first, name.second))] = true;
    for (std::uint32_t number = 0; number < t_.size(); ++number)
      t_.each_key(std::as_const(t_.records)[number], std::as_const(t_.states)[number], [&](const KeySlot& mine, std::string_view key) {
        const auto type = type_of(mine.state);
        if (!maybe[bit(t_.hash_of(type, key))]) return;
        const auto at = unsettled_.find(std::pair(type, std::string(key)));
        if (at == unsettled_.end()) return;
        auto& holders = at->second;
        if (holders.empty() || !is_same_record(holders.back(), mine)) holders.push_back(mine);
      });
    for (const auto& [name, holders] : unsettled_) {
      auto* slot = slot_of(name.first, name.second);
      if (slot == nullptr) refuse("a key that several have is not in the table");
      if (holders.empty()) {
        t_.by_key.forget(slot);
        continue;
      }
      *slot = holders.front();
      for (const auto& other : std::span(holders).subspan(1)) meet(*slot, other);
    }
  }

  const Tables& o_;
  const AuthorizationChanges& c_;
  Tables t_;
  Masks masks_;
  std::vector<Touched> touched_;
  bool is_renumbered_ = false;
  bool is_reordered_ = false;  ///< somebody has another rank in his type
  /// Old numbers that stay side by side, if they are renumbered; who is in none of them is gone.
  struct Run {
    std::uint32_t from = 0, end = 0, to = 0;
  };
  std::vector<Run> runs_;
  std::vector<std::uint32_t> gone_, added_;  ///< in the old numbers; in the new ones
  std::vector<std::uint32_t> role_now_;
  std::vector<bool> role_touched_;
  std::vector<std::uint32_t> node_now_;                                              ///< by old node; empty = all as they were
  std::vector<bool> due_;                                                            ///< by number: the profile is made again
  std::map<std::pair<PrincipalType, std::string>, std::vector<KeySlot>> unsettled_;  ///< with all who have the key
};

}  // namespace

Result<std::shared_ptr<const Snapshot>> update(const Snapshot& old, const AuthorizationChanges& changes, TimePoint as_of) {
  try {
    Update update(static_cast<const CompiledSnapshot&>(old).tables(), changes, micros(as_of));
    update.run();
    if (update.is_worn()) return std::shared_ptr<const Snapshot>();
    return std::make_shared<const CompiledSnapshot>(update.take());
  } catch (const Contradiction& contradiction) {
    return fail(Errc::Internal, "the changes up to revision {} do not fit to the snapshot: {}", text(changes.to), contradiction.what);
  }
}

Result<std::shared_ptr<const Snapshot>> update(const Snapshot& old, const AuthorizationChanges& changes) {
  return update(old, changes, SystemClock().now());
}

}  // namespace rosterd::rbac
