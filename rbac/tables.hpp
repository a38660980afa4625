#pragma once
// What a snapshot is made of (docs/decisions/0003-snapshot-layout.md): principals and their names, who is a member of what, roles,
// bindings, and the flattened profiles a check reads. compile.cpp and profiles.cpp fill it, decide.cpp, paths.cpp and search.cpp read it.

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rbac/inverse.hpp"
#include "rbac/namespaces.hpp"
#include "rbac/region.hpp"
#include "rbac/snapshot.hpp"
#include "rbac/text_hash.hpp"

namespace rosterd::rbac {

using Micros = std::int64_t;  ///< of TimePoint
inline constexpr Micros kNever = std::numeric_limits<Micros>::max();
inline constexpr Micros kLongAgo = std::numeric_limits<Micros>::min();
[[nodiscard]] inline Micros micros(TimePoint time) { return time.time_since_epoch().count(); }

// The state word of a principal: where its profile starts, and what a check asks first.
inline constexpr std::uint32_t kProfileBits = (1U << 28) - 1;
inline constexpr std::uint32_t kActive = 1U << 28;
inline constexpr std::uint32_t kSuperAdmin = 1U << 29;
inline constexpr std::uint32_t kTypeShift = 30;
[[nodiscard]] inline PrincipalType type_of(std::uint32_t state) { return static_cast<PrincipalType>(state >> kTypeShift); }

/// Open addressing with one tag byte a slot, so that a probe looks at a value only when seven hash bits agree. Made once for a known
/// number of keys, seven eighths full at most.
template <class Value>
class ProbeTable {
 public:
  void make(std::size_t keys) {
    const auto capacity = keys + keys / 7 + 8;
    used_ = 0;
    tags_.reserve(capacity);
    tags_.assign(capacity, 0);
    values_.reserve(capacity);
    values_.assign(capacity, Value{});
  }
  [[nodiscard]] std::size_t bytes() const { return tags_.bytes() + values_.bytes(); }
  /// The same slots in the same memory; own() it before it is changed.
  [[nodiscard]] ProbeTable share() const {
    ProbeTable out;
    out.tags_ = tags_.share();
    out.values_ = values_.share();
    out.used_ = used_;
    return out;
  }
  void own() {
    tags_.own();
    values_.own();
  }
  /// Whether so many more keys leave it quick: up to ten elevenths full, forgotten keys included.
  [[nodiscard]] bool has_room_for(std::size_t more) const { return used_ + more + 1 <= tags_.size() - tags_.size() / 11; }
  void prefetch(std::uint64_t hash) const noexcept {
    const auto slot = home(hash);
    __builtin_prefetch(&tags_[slot]);
    __builtin_prefetch(&values_[slot]);
  }
  /// The value with that hash which `is_it` accepts; nullptr when there is none.
  template <class IsIt>
  [[nodiscard]] const Value* find(std::uint64_t hash, IsIt&& is_it) const noexcept {
    const auto slot = locate(hash, is_it);
    return tags_[slot] == 0 ? nullptr : &values_[slot];
  }
  /// The same, or a new slot holding `fresh`; tells which.
  template <class IsIt>
  std::pair<Value*, bool> insert(std::uint64_t hash, Value fresh, IsIt&& is_it) {
    const auto slot = locate(hash, is_it);
    if (tags_[slot] != 0) return {&values_[slot], false};
    tags_[slot] = tag_of(hash);
    values_[slot] = fresh;
    ++used_;
    return {&values_[slot], true};
  }
  template <class IsIt>
  [[nodiscard]] Value* find_to_change(std::uint64_t hash, IsIt&& is_it) {
    const auto slot = locate(hash, is_it);
    return tags_[slot] == 0 ? nullptr : &values_[slot];
  }
  /// The slot stays taken, so that what lies behind it is still found.
  void forget(const Value* found) { tags_[static_cast<std::size_t>(found - values_.data())] = kForgotten; }
  [[nodiscard]] bool is_made() const { return tags_.size() != 0; }
  [[nodiscard]] std::size_t used() const { return used_; }
  [[nodiscard]] std::size_t slots() const { return tags_.size(); }
  template <class Use>
  void each(Use&& use) {
    for (std::size_t slot = 0; slot < tags_.size(); ++slot)
      if (tags_[slot] > kForgotten) use(values_[slot]);
  }
  template <class Use>
  void each(Use&& use) const {
    for (std::size_t slot = 0; slot < tags_.size(); ++slot)
      if (tags_[slot] > kForgotten) use(values_[slot]);
  }

 private:
  __extension__ using Wide = unsigned __int128;
  static std::uint8_t tag_of(std::uint64_t hash) { return static_cast<std::uint8_t>(hash | 0x80); }
  [[nodiscard]] std::size_t home(std::uint64_t hash) const noexcept { return static_cast<std::size_t>((Wide{hash} * tags_.size()) >> 64); }
  template <class IsIt>
  [[nodiscard]] std::size_t locate(std::uint64_t hash, IsIt&& is_it) const noexcept {
    const auto tag = tag_of(hash);
    for (auto slot = home(hash);;) {
      if (tags_[slot] == 0 || (tags_[slot] == tag && is_it(values_[slot]))) return slot;
      if (++slot == tags_.size()) slot = 0;
    }
  }

  static constexpr std::uint8_t kForgotten = 1;
  Array<std::uint8_t> tags_;  ///< 0 = empty
  Array<Value> values_;
  std::size_t used_ = 0;  ///< slots that are not empty
};

/// One word of a profile. A profile is a head {count, validity}, the union of everything granted anywhere (mask_words words of
/// bits), then `count` words {node, mask} sorted by node.
struct ProfileWord {
  std::uint32_t first = 0;
  std::uint32_t second = 0;
  bool operator==(const ProfileWord&) const = default;
};
inline constexpr std::uint32_t kTimed = 1U << 31;  ///< of a head's count: holds only within its validity
inline constexpr std::uint32_t kWalk = 1U << 30;   ///< of a head's count: nothing precomputed, always walk the graph
inline constexpr std::uint32_t kCountBits = kWalk - 1;
inline constexpr std::uint32_t kAdminGrant = 1U << 31;  ///< of a word's mask: an Admin binding is among the grants
inline constexpr std::uint32_t kEmptyProfile = 0;       ///< where it starts: nothing granted
inline constexpr std::uint32_t kWalkProfile = 5;        ///< where it starts: see kWalk
inline constexpr std::uint32_t kFirstProfile = 10;      ///< where the others start, one behind the other

/// At `from` <= t < `until` the profile is what the bindings give; outside one more or one fewer of them is alive.
struct Validity {
  Micros from = kLongAgo;
  Micros until = kNever;
  bool operator==(const Validity&) const = default;
};

struct RoleRow {
  RoleId id;
  std::string name;
  bool admin = false;
  std::uint32_t mask = 0;     ///< everything it names; all pairs for Admin
  std::uint32_t limited = 0;  ///< without tenant-scope pairs: what it grants below a namespace (R30)
};

struct BindingRow {
  BindingId id;
  std::uint32_t principal = 0;
  std::uint32_t role = 0;
  std::uint32_t node = 0;
  std::uint32_t extra = 0;  ///< 0 = no expiry, local
};
struct BindingExtra {
  Micros expires = kNever;
  SourceId source;
};

/// A stored principal as its record has it.
struct Record {
  std::uint32_t rank = 0;   ///< its number among those of its type
  std::string_view key;     ///< folded username or name
  std::string_view second;  ///< of a user the e-mail, of a group the name as shown
};

/// Where a key leads: the record it stands in, which of its two texts it is, and a copy of the principal's state, so that a check
/// fetches the record (to compare the text) and the profile at the same time.
struct KeySlot {
  static constexpr std::uint32_t kAmbiguous = 1U << 31;  ///< several active principals have the key
  static constexpr std::uint32_t kSecond = 1U << 30;     ///< the record's second text; else the first
  static constexpr std::uint32_t kShared = 1U << 29;     ///< several principals have the key, active or not
  static constexpr std::uint32_t kRecordBits = kShared - 1;
  std::uint32_t entry = 0;
  std::uint32_t state = 0;
  /// Records start at even places, which makes room for a bit.
  [[nodiscard]] static std::uint32_t entry_of(std::uint32_t record) { return record >> 1; }
  [[nodiscard]] std::uint32_t record() const { return (entry & kRecordBits) << 1; }
  [[nodiscard]] bool is_shared() const { return (entry & kShared) != 0; }
  /// Nobody has the key any more (KeyTable). Who is ambiguous is shared, too, so that one without the other is free to say it.
  [[nodiscard]] bool is_forgotten() const { return (entry & (kAmbiguous | kShared)) == kAmbiguous; }
  void make_forgotten() { entry = (entry | kAmbiguous) & ~kShared; }
};

/// Keys and where they lead: a large table that one snapshot after the other shares, and in front of it a small one of what has changed
/// since it was made. An update copies the small one, and only when that is full both of them.
class KeyTable {
 public:
  void make(std::size_t keys) {
    whole_.make(keys);
    recent_ = {};
    is_direct_ = true;
  }
  [[nodiscard]] std::size_t bytes() const { return whole_.bytes() + recent_.bytes(); }
  /// The same keys in the same memory; prepare() it before it is changed.
  [[nodiscard]] KeyTable share() const {
    KeyTable out;
    out.whole_ = whole_.share();
    out.recent_ = recent_.share();
    return out;
  }
  /// Whether so many more keys leave it quick, also when all of them are in the large table.
  [[nodiscard]] bool has_room_for(std::size_t more) const { return whole_.has_room_for(recent_.used() + more); }
  /// Before at most so many keys are added or changed. `hash_of(slot)` and `is_same(slot, slot)`: of the keys that slots stand for.
  template <class HashOf, class IsSame>
  void prepare(std::size_t changes, HashOf&& hash_of, IsSame&& is_same) {
    if (is_direct_) return;
    if (recent_.used() + changes <= most_recent()) {
      if (recent_.is_made())
        recent_.own();
      else
        recent_.make(most_recent() + 8);
      return;
    }
    whole_.own();
    std::as_const(recent_).each([&](const KeySlot& slot) {
      const auto same = [&](const KeySlot& held) { return is_same(held, slot); };
      if (!slot.is_forgotten())
        *whole_.insert(hash_of(slot), slot, same).first = slot;
      else if (const auto* held = whole_.find_to_change(hash_of(slot), same))
        whole_.forget(held);
    });
    recent_ = {};
    is_direct_ = true;
  }
  void prefetch(std::uint64_t hash) const noexcept { whole_.prefetch(hash); }
  template <class IsIt>
  [[nodiscard]] const KeySlot* find(std::uint64_t hash, IsIt&& is_it) const noexcept {
    if (recent_.is_made())
      if (const auto* slot = recent_.find(hash, is_it)) return slot->is_forgotten() ? nullptr : slot;
    return whole_.find(hash, is_it);
  }
  template <class IsIt>
  [[nodiscard]] KeySlot* find_to_change(std::uint64_t hash, IsIt&& is_it) {
    if (is_direct_) return whole_.find_to_change(hash, is_it);
    if (auto* slot = recent_.find_to_change(hash, is_it)) return slot->is_forgotten() ? nullptr : slot;
    const auto* slot = std::as_const(whole_).find(hash, is_it);
    return slot == nullptr ? nullptr : recent_.insert(hash, *slot, is_it).first;
  }
  template <class IsIt>
  std::pair<KeySlot*, bool> insert(std::uint64_t hash, KeySlot fresh, IsIt&& is_it) {
    if (is_direct_) return whole_.insert(hash, fresh, is_it);
    if (auto* held = find_to_change(hash, is_it)) return {held, false};
    auto* slot = recent_.insert(hash, fresh, is_it).first;
    *slot = fresh;  // which it is not if the key stood there as forgotten
    return {slot, true};
  }
  /// What find_to_change has found.
  void forget(KeySlot* found) {
    if (is_direct_)
      whole_.forget(found);
    else
      found->make_forgotten();
  }

 private:
  /// So small that it stays in the caches next to a processor, where looking into it costs a check next to nothing.
  [[nodiscard]] std::size_t most_recent() const { return whole_.slots() / 128 + 64; }
  ProbeTable<KeySlot> whole_;
  ProbeTable<KeySlot> recent_;  ///< looked into first; not made = nothing has changed
  bool is_direct_ = false;      ///< `whole_` is nobody else's
};

/// Another principal has the key of `held`, too: active principals stand before suspended ones, two active ones are ambiguous, and of
/// several suspended ones the first stays. Principals come in the order of their numbers.
void meet(KeySlot& held, const KeySlot& other);

struct Subject {
  enum Kind : std::uint8_t { Unknown, Ambiguous, Found } kind = Unknown;
  std::uint32_t index = 0;
  std::uint32_t state = 0;
};

struct Tables {
  Revision revision;
  bool enabled = true;
  Micros as_of = kLongAgo;  ///< the instant whose live bindings the profiles are made of
  std::shared_ptr<const Catalogue> catalogue;
  std::vector<PairMask> permission_masks;  ///< by position in the catalogue: all pairs of the permission

  // Principals are numbered users first, then groups, then service accounts, each by id: equal rows give equal numbers.
  std::uint32_t users = 0, groups = 0, service_accounts = 0;
  std::uint64_t unknown_pairs = 0;  ///< of all roles (R15)
  Array<std::uint64_t> ids;
  Array<std::uint32_t> states;
  Array<std::uint32_t> records;  ///< by number: where its record starts in `texts`
  Array<char> texts;
  ProbeTable<std::uint32_t> by_id;  ///< id -> type and rank in it, which newcomers of other types do not move
  KeyTable by_key;
  TextHash text_hash;
  std::uint64_t id_seed = random_u64();

  Array<std::uint32_t> parent_rows;  ///< by number: where its groups start in `parents`; one more at the end
  Array<std::uint32_t> parents;      ///< numbers of groups, sorted within a row
  std::vector<RoleRow> roles;        ///< by id
  Array<BindingRow> bindings;        ///< by principal, then id
  Array<BindingExtra> extras;
  Namespaces namespaces;
  Array<PairMask> masks;
  std::uint32_t mask_words = 1;  ///< how many of a mask's words the catalogue uses
  Array<ProfileWord> profiles;
  Array<Validity> validities;
  std::uint64_t profile_count = 0;
  std::unique_ptr<LazyInverse> lazy_inverse = std::make_unique<LazyInverse>();

  /// Sizes after the last build from all rows: what an update leaves behind unused is told from them.
  struct Sizes {
    std::size_t texts = 0, profiles = 0, masks = 0, extras = 0;
  };
  Sizes whole;

  static constexpr std::size_t kMaxTexts = 2UL * KeySlot::kShared;

  [[nodiscard]] Sizes sizes() const { return {texts.size(), profiles.size(), masks.size(), extras.size()}; }
  /// Tables that share every array with these, for an update.
  [[nodiscard]] Tables successor() const;

  [[nodiscard]] std::uint32_t size() const { return users + groups + service_accounts; }
  [[nodiscard]] bool is_group(std::uint32_t number) const { return number - users < groups; }
  /// The number of the first principal of a type.
  [[nodiscard]] std::uint32_t first_of(PrincipalType type) const {
    return type == PrincipalType::User ? 0 : type == PrincipalType::Group ? users : users + groups;
  }
  /// What by_id holds for a principal, and back.
  [[nodiscard]] std::uint32_t place_of(std::uint32_t number) const noexcept {
    const auto type = number < users ? PrincipalType::User : is_group(number) ? PrincipalType::Group : PrincipalType::ServiceAccount;
    return static_cast<std::uint32_t>(type) << kTypeShift | (number - first_of(type));
  }
  [[nodiscard]] std::uint32_t number_at(std::uint32_t place) const noexcept {
    return first_of(type_of(place)) + (place & ((1U << kTypeShift) - 1));
  }
  [[nodiscard]] Record record_at(std::uint32_t offset) const noexcept;
  [[nodiscard]] Record record(std::uint32_t number) const noexcept { return record_at(records[number]); }
  /// Appends a record; gives where it starts.
  std::uint32_t append(std::string_view key, std::string_view second, std::uint32_t rank = 0);
  void set_rank(std::uint32_t offset, std::uint32_t rank);

  [[nodiscard]] std::uint64_t hash_of(PrincipalType type, std::string_view folded) const noexcept {
    return text_hash(folded, text_hash.seed() + static_cast<std::uint64_t>(type));
  }
  [[nodiscard]] std::uint64_t hash_of(std::uint64_t id) const noexcept;
  [[nodiscard]] std::optional<std::uint32_t> number_of(PrincipalId id) const noexcept;
  [[nodiscard]] Subject find(PrincipalType type, PrincipalId id) const noexcept;
  [[nodiscard]] Subject find(PrincipalType type, std::string_view folded, std::uint64_t hash) const noexcept;
  void prefetch_profile(std::uint32_t state) const noexcept {
    const auto* profile = profiles.data() + (state & kProfileBits);
    __builtin_prefetch(profile);
    __builtin_prefetch(profile + 8);  // the next line: most profiles take two
  }

  [[nodiscard]] std::span<const std::uint32_t> groups_of(std::uint32_t number) const noexcept {
    return {parents.data() + parent_rows[number], parents.data() + parent_rows[number + 1]};
  }
  [[nodiscard]] std::span<const BindingRow> bindings_of(std::uint32_t number) const noexcept;
  /// Once the tables are complete.
  [[nodiscard]] const Inverse& inverse() const { return lazy_inverse->of(*this); }
  /// Fills by_key from the records and the finished states; equal keys are settled here once (R7).
  void index_keys();
  /// The keys of a principal that are not empty, with the slot that says so: `use(KeySlot, std::string_view)`.
  template <class Use>
  void each_key(std::uint32_t record_offset, std::uint32_t state, Use&& use) const {
    const auto held = record_at(record_offset);
    const auto entry = KeySlot::entry_of(record_offset);
    if (!held.key.empty()) use(KeySlot{entry, state}, held.key);
    if (type_of(state) == PrincipalType::User && !held.second.empty()) use(KeySlot{entry | KeySlot::kSecond, state}, held.second);
  }
  /// The key a slot stands for.
  [[nodiscard]] std::string_view key_of(const KeySlot& slot) const noexcept {
    const auto held = record_at(slot.record());
    return (slot.entry & KeySlot::kSecond) == 0 ? held.key : held.second;
  }
  [[nodiscard]] bool is_slot_of(const KeySlot& slot, PrincipalType type, std::string_view key) const noexcept {
    return type_of(slot.state) == type && key_of(slot) == key;
  }
  [[nodiscard]] std::uint64_t bytes() const;
  [[nodiscard]] std::uint64_t content_hash() const;
};

/// The snapshot of compile.cpp; decide.cpp, explain.cpp and search.cpp hold its verbs.
class CompiledSnapshot final : public Snapshot {
 public:
  explicit CompiledSnapshot(Tables tables) : t_(std::move(tables)) {}
  [[nodiscard]] const Revision& revision() const noexcept override { return t_.revision; }
  [[nodiscard]] bool tenant_enabled() const noexcept override { return t_.enabled; }
  [[nodiscard]] Decision check(const Question& question) const noexcept override;
  [[nodiscard]] Decision check(const Principal& who, std::string_view permission, std::string_view action,
                               std::optional<std::string_view> ns, TimePoint at) const noexcept override;
  [[nodiscard]] Resolved resolve(PrincipalType type, std::string_view key) const noexcept override;
  [[nodiscard]] std::optional<Known> describe(const Principal& who) const noexcept override;
  [[nodiscard]] Explanation explain(const Question& question, const ExplainWish& wish) const override;
  [[nodiscard]] Grants effective(const Principal& who, TimePoint at, std::uint64_t skip, std::size_t limit) const override;
  [[nodiscard]] Subjects who_may(PrincipalType type, const Right& right, PrincipalId after, std::size_t limit) const override;
  [[nodiscard]] std::vector<std::string_view> what_may(const Principal& who, std::string_view permission,
                                                       std::optional<std::string_view> ns, TimePoint at) const override;
  [[nodiscard]] Places where_may(const Principal& who, std::string_view permission, std::string_view action, TimePoint at,
                                 std::string_view after, std::size_t limit) const override;
  [[nodiscard]] SnapshotStats stats() const noexcept override;
  [[nodiscard]] std::uint64_t content_hash() const override { return t_.content_hash(); }
  [[nodiscard]] const Tables& tables() const { return t_; }

 private:
  Tables t_;
};

}  // namespace rosterd::rbac
