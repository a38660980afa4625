#pragma once
// What a source holds, as small as it can be said: the digest of each stable id, its row, content hash and state. Comes from
// Store::load_held, answers "is this record known, and is it equal" for a million users without a query. Texts stay in the store.
//
// Bytes: 32 an entry and 6 to 11 for its place in the table; a reference (DN, uid, gid, …) takes 16 and 6 to 11.

#include <bit>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "schema/core/hash.hpp"
#include "schema/model/ids.hpp"
#include "schema/model/sync.hpp"

namespace rosterd::sync {

/// A vector that grows by whole chunks: nothing is copied, so there is no peak of old plus new.
template <class T>
class Chunked {
 public:
  static constexpr std::size_t kChunk = 4096;
  T& operator[](std::size_t at) { return chunks_[at / kChunk][at % kChunk]; }
  const T& operator[](std::size_t at) const { return chunks_[at / kChunk][at % kChunk]; }
  void push_back(const T& value) {
    if (size_ == chunks_.size() * kChunk) chunks_.push_back(std::make_unique_for_overwrite<T[]>(kChunk));
    chunks_[size_ / kChunk][size_ % kChunk] = value;
    ++size_;
  }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::size_t bytes() const { return chunks_.size() * kChunk * sizeof(T); }
  void clear() {
    chunks_.clear();
    size_ = 0;
  }

 private:
  std::vector<std::unique_ptr<T[]>> chunks_;
  std::size_t size_ = 0;
};

/// Open addressing over positions of a Chunked: 4 bytes a slot, so doubling it costs little. Slots are chosen under a random
/// multiplier, since ids are chosen by whoever writes the directory.
class Slots {
 public:
  Slots() : multiplier_(random_u64() | 1), mask_(random_u64()) {}
  /// Position whose hash fits and for which `same(position)` is true; none when there is no such.
  template <class Same>
  [[nodiscard]] std::optional<std::uint32_t> find(std::uint64_t hash, Same&& same) const {
    if (slots_.empty()) return std::nullopt;
    for (std::size_t slot = place(hash);; slot = (slot + 1) & (slots_.size() - 1)) {
      if (slots_[slot] == 0) return std::nullopt;
      if (same(slots_[slot] - 1)) return slots_[slot] - 1;
    }
  }
  /// `hash_of(position)` is asked again for every position when the table grows.
  template <class HashOf>
  void insert(std::uint32_t position, HashOf&& hash_of) {
    if ((used_ + 1) * 10 > slots_.size() * 7) {
      slots_.assign(slots_.empty() ? 64 : slots_.size() * 2, 0);
      for (std::uint32_t at = 0; at < position; ++at) put(at, hash_of(at));
    }
    put(position, hash_of(position));
    ++used_;
  }
  [[nodiscard]] std::size_t bytes() const { return slots_.size() * sizeof(std::uint32_t); }

 private:
  [[nodiscard]] std::size_t place(std::uint64_t hash) const {
    return static_cast<std::size_t>(((hash ^ mask_) * multiplier_) >> (64 - std::countr_zero(slots_.size())));
  }
  void put(std::uint32_t position, std::uint64_t hash) {
    std::size_t slot = place(hash);
    while (slots_[slot] != 0) slot = (slot + 1) & (slots_.size() - 1);
    slots_[slot] = position + 1;
  }
  std::uint64_t multiplier_;
  std::uint64_t mask_;
  std::vector<std::uint32_t> slots_;
  std::size_t used_ = 0;
};

/// The digest a stable id is known by. Unkeyed, because it is part of a plan's hash, which is compared across runs.
[[nodiscard]] Hash128 key_of(std::string_view external_id);

/// One user or group of the source.
class Entry {
 public:
  Entry() = default;
  Entry(const Hash128& entry_key, PrincipalId id, std::uint64_t content_hash, Leaving leaving, bool held, bool purge_due)
      : key(entry_key), content(content_hash), packed_((id.value << kFlags) | (static_cast<std::uint64_t>(leaving) << 8)) {
    set(kHeld, held);
    set(kPurgeDue, purge_due);
  }
  [[nodiscard]] PrincipalId id() const { return {packed_ >> kFlags}; }
  [[nodiscard]] Leaving leaving() const { return static_cast<Leaving>((packed_ >> 8) & 7); }  ///< before the run
  [[nodiscard]] bool active() const { return held() && leaving() == Leaving::None; }
  [[nodiscard]] bool held() const { return has(kHeld); }  ///< was there before the run
  [[nodiscard]] bool purge_due() const { return has(kPurgeDue); }
  [[nodiscard]] bool seen() const { return has(kSeen); }        ///< the feed mentioned it, usable or not
  [[nodiscard]] bool read() const { return has(kRead); }        ///< the feed delivered a usable record of it
  [[nodiscard]] bool dropped() const { return has(kDropped); }  ///< the directory named it as gone
  void mark_seen() { set(kSeen, true); }
  void mark_read() { set(kSeen, true), set(kRead, true); }
  void mark_dropped() { set(kDropped, true); }
  /// Known to the store, but by its state not to be found in the directory.
  [[nodiscard]] bool away() const { return held() && leaving() != Leaving::None && leaving() != Leaving::DisabledAtSource; }

  Hash128 key;
  std::uint64_t content = 0;  ///< hash of the held content; of the delivered one once read

 private:
  static constexpr unsigned kFlags = 16;  // the low 16 bits are state, 48 are left for the row id
  enum Flag : std::uint64_t { kHeld = 1, kPurgeDue = 2, kSeen = 4, kRead = 8, kDropped = 16 };
  [[nodiscard]] bool has(Flag flag) const { return (packed_ & flag) != 0; }
  void set(Flag flag, bool on) { packed_ = on ? packed_ | flag : packed_ & ~static_cast<std::uint64_t>(flag); }
  std::uint64_t packed_ = 0;
};
static_assert(sizeof(Entry) == 32);

/// All users, or all groups, of the source.
class EntryTable {
 public:
  [[nodiscard]] std::optional<std::uint32_t> find(const Hash128& key) const {
    return slots_.find(key.low, [&](std::uint32_t at) { return entries_[at].key == key; });
  }
  /// The key must be new.
  std::uint32_t add(const Entry& entry) {
    const auto at = static_cast<std::uint32_t>(entries_.size());
    entries_.push_back(entry);
    slots_.insert(at, [&](std::uint32_t position) { return entries_[position].key.low; });
    active_ += entry.active() ? 1 : 0;
    return at;
  }
  Entry& operator[](std::uint32_t at) { return entries_[at]; }
  const Entry& operator[](std::uint32_t at) const { return entries_[at]; }
  [[nodiscard]] std::uint32_t size() const { return static_cast<std::uint32_t>(entries_.size()); }
  [[nodiscard]] std::uint64_t active() const { return active_; }  ///< held and active before the run
  [[nodiscard]] std::size_t bytes() const { return entries_.bytes() + slots_.bytes(); }

 private:
  Chunked<Entry> entries_;
  Slots slots_;
  std::uint64_t active_ = 0;
};

/// A user or group of the index: the highest bit says which table.
class Target {
 public:
  Target() = default;
  Target(PrincipalType type, std::uint32_t at) : packed_(at | (type == PrincipalType::Group ? kGroup : 0)) {}
  [[nodiscard]] PrincipalType type() const { return (packed_ & kGroup) != 0 ? PrincipalType::Group : PrincipalType::User; }
  [[nodiscard]] std::uint32_t at() const { return packed_ & ~kGroup; }
  bool operator==(const Target&) const = default;

 private:
  static constexpr std::uint32_t kGroup = 1U << 31;
  std::uint32_t packed_ = 0;
};

/// 96 bits of a reference's keyed hash: two of ten million references meet by chance once in 10^15 runs, and nobody can aim.
struct ReferenceHash {
  std::uint64_t high = 0;
  std::uint32_t low = 0;
  auto operator<=>(const ReferenceHash&) const = default;
};

/// From the names members are written with to entries: filled while the feed is read, and good for that feed only.
class ReferenceTable {
 public:
  [[nodiscard]] ReferenceHash hash(std::string_view reference) const;
  /// A reference that names two entries names nobody from then on.
  void add(const ReferenceHash& reference, Target target);
  [[nodiscard]] std::optional<Target> find(const ReferenceHash& reference) const;
  /// It was read, of two entries.
  [[nodiscard]] bool is_ambiguous(const ReferenceHash& reference) const;
  [[nodiscard]] std::uint64_t ambiguous() const { return ambiguous_; }
  /// Whoever has a reference that another has as well; the same more than once.
  [[nodiscard]] const std::vector<Target>& namesakes() const { return namesakes_; }
  [[nodiscard]] std::size_t bytes() const { return entries_.bytes() + slots_.bytes() + namesakes_.capacity() * sizeof(Target); }

 private:
  struct Named {
    std::uint64_t high;
    std::uint32_t low;
    Target target;
  };
  static_assert(sizeof(Named) == 16);
  [[nodiscard]] std::optional<std::uint32_t> position(const ReferenceHash& reference) const;
  KeyedHash hash_;
  Chunked<Named> entries_;
  Slots slots_;
  std::uint64_t ambiguous_ = 0;
  std::vector<Target> namesakes_;
};

struct HeldIndex {
  EntryTable users;
  EntryTable groups;
  [[nodiscard]] EntryTable& of(PrincipalType type) { return type == PrincipalType::Group ? groups : users; }
  [[nodiscard]] const EntryTable& of(PrincipalType type) const { return type == PrincipalType::Group ? groups : users; }
  [[nodiscard]] const Entry& operator[](Target target) const { return of(target.type())[target.at()]; }
};

}  // namespace rosterd::sync
