#pragma once
// The ways from a principal up to the bindings that reach it: all groups above it (Above), and the chains through them to some bindings,
// listed in order, counted without being walked where that is possible.

#include <span>

#include "rbac/tables.hpp"

namespace rosterd::rbac {

/// A principal and the active groups above it, numbered as places: 0 is the principal, the others follow by their distance.
class Above {
 public:
  Above(const Tables& tables, std::uint32_t from);

  /// By place: the number of the principal.
  [[nodiscard]] std::span<const std::uint32_t> numbers() const { return numbers_; }
  /// The places a place is a direct member of.
  [[nodiscard]] std::span<const std::uint32_t> next(std::uint32_t place) const {
    return {edges_.data() + rows_[place], edges_.data() + rows_[place + 1]};
  }
  /// A shortest chain to a place, the place itself last.
  [[nodiscard]] std::vector<std::uint32_t> chain_to(std::uint32_t place) const;
  [[nodiscard]] bool contains(std::uint32_t number) const { return slots_[slot_of(number)] != 0; }

 private:
  [[nodiscard]] std::size_t slot_of(std::uint32_t number) const;
  std::uint32_t place_of(std::uint32_t number, std::uint32_t from);

  std::vector<std::uint32_t> numbers_, rows_, edges_;
  std::vector<std::uint32_t> came_from_;  ///< by place: the one it was first met at
  std::vector<std::uint64_t> slots_;      ///< open addressing, at most half full: number, place + 1; 0 = empty
};

/// A binding that reaches the principal, with the place of its holder.
struct Reaching {
  const BindingRow* binding = nullptr;
  std::uint32_t place = 0;
};

/// Sorts by role name, namespace and binding: the order in which grants are shown.
void sort_for_show(const Tables& tables, std::vector<Reaching>& bindings);
/// One binding with the chain to its holder.
[[nodiscard]] Grant grant_of(const Tables& tables, const Above& above, const BindingRow& binding, std::span<const std::uint32_t> chain);
/// Every chain to every one of the bindings: `limit` of them from the place `skip` on. See Grants for what is counted.
[[nodiscard]] Grants list_paths(const Tables& tables, const Above& above, std::vector<Reaching> bindings, std::uint64_t skip,
                                std::size_t limit);

}  // namespace rosterd::rbac
