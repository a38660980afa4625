#pragma once
// The tables of a snapshot read the other way round, for searches and near misses: which bindings stand at a namespace, who is a direct
// member of a group. Built when first asked for, once per snapshot; a snapshot nobody searches does not pay for it.

#include <atomic>
#include <cstdint>
#include <mutex>
#include <span>
#include <vector>

#include "rbac/region.hpp"

namespace rosterd::rbac {

struct Tables;

class Inverse {
 public:
  explicit Inverse(const Tables& tables);

  /// Positions in tables.bindings, by principal.
  [[nodiscard]] std::span<const std::uint32_t> bindings_at(std::uint32_t node) const {
    return {bindings_.data() + binding_rows_[node], bindings_.data() + binding_rows_[node + 1]};
  }
  /// Numbers of the direct members of a group (counted from the first group), ascending: users, groups, service accounts.
  [[nodiscard]] std::span<const std::uint32_t> members(std::uint32_t group) const {
    return {members_.data() + member_rows_[group], members_.data() + member_rows_[group + 1]};
  }
  [[nodiscard]] std::span<const std::uint32_t> super_admins() const { return super_admins_; }  ///< active ones
  [[nodiscard]] std::uint64_t bytes() const;

 private:
  Array<std::uint32_t> binding_rows_, bindings_, member_rows_, members_;
  std::vector<std::uint32_t> super_admins_;
};

/// Holds the place of an Inverse until somebody wants it. Any number of threads may ask at the same time.
class LazyInverse {
 public:
  [[nodiscard]] const Inverse& of(const Tables& tables) const;
  [[nodiscard]] std::uint64_t bytes() const;  ///< 0 while nobody asked

 private:
  mutable std::once_flag once_;
  mutable std::unique_ptr<const Inverse> inverse_;
  mutable std::atomic<const Inverse*> ready_ = nullptr;
};

}  // namespace rosterd::rbac
