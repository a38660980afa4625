#pragma once
// Flattening: direct bindings, group bindings and those of all groups above become one profile a principal. Principals with equal
// grants share one; a group loop is one knot whose members share everything, so loops end and every edge is looked at once.

#include "rbac/tables.hpp"

namespace rosterd::rbac {

/// Finds equal things that were stored before: hash -> number. Lives only while compiling.
class Interner {
 public:
  /// The number of a stored thing with this hash that is `same`, else the number that `store()` gives to the new one.
  template <class Same, class Store>
  std::uint32_t number(std::uint64_t hash, Same&& same, Store&& store) {
    if (used_ * 2 >= slots_.size()) grow();
    const auto mask = slots_.size() - 1;
    auto slot = hash >> 32 & mask;
    for (; slots_[slot] != 0; slot = (slot + 1) & mask) {
      const auto held = slots_[slot];
      if (held >> 32 == hash >> 32 && same(static_cast<std::uint32_t>(held) - 1)) return static_cast<std::uint32_t>(held) - 1;
    }
    const std::uint32_t fresh = store();
    slots_[slot] = (hash >> 32 << 32) | (fresh + 1);
    ++used_;
    return fresh;
  }
  [[nodiscard]] std::size_t size() const { return used_; }

 private:
  void grow();
  Array<std::uint64_t> slots_;  ///< upper half of the hash, number + 1
  std::size_t used_ = 0;
};

/// A mask's number in tables.masks, which may hold some already; equal masks get the same one. Number 0 is the empty mask.
class Masks {
 public:
  explicit Masks(Array<PairMask>& masks);
  [[nodiscard]] std::uint32_t number(const PairMask& mask);
  [[nodiscard]] const PairMask& operator[](std::uint32_t number) const { return std::as_const(masks_)[number]; }

 private:
  [[nodiscard]] std::uint64_t hash_of(const PairMask& mask) const;
  [[nodiscard]] std::uint32_t size() const { return static_cast<std::uint32_t>(masks_.size()); }
  Array<PairMask>& masks_;
  Interner interner_;
  std::uint64_t seed_ = random_u64();
};

/// Writes tables.profiles and every principal's place in it, with the bindings alive at tables.as_of. The rest of `tables` is complete.
void flatten(Tables& tables, Masks& masks);
/// The same for some principals (by number) of tables whose other profiles stand: new profiles are added behind the others. Everybody below
/// one of them is among them.
void flatten_again(Tables& tables, Masks& masks, const std::vector<bool>& again);

}  // namespace rosterd::rbac
