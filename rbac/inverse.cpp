#include "rbac/inverse.hpp"

#include "rbac/tables.hpp"

namespace rosterd::rbac {
namespace {

/// Rows of equal keys side by side, in the order in which `each` names them: first counted, then placed.
template <class Each>
void group_by(std::size_t keys, std::size_t values, Each&& each, Array<std::uint32_t>& rows, Array<std::uint32_t>& out) {
  rows.reserve(keys + 1);
  rows.assign(keys + 1, 0);
  each([&](std::uint32_t key, std::uint32_t) { ++rows[key]; });
  std::uint32_t start = 0;
  for (auto& row : rows) start += std::exchange(row, start);
  out.reserve(values);
  out.assign(values, 0);
  each([&](std::uint32_t key, std::uint32_t value) { out[rows[key]++] = value; });  // each row now starts where the next one did
  for (auto key = keys; key > 0; --key) rows[key] = rows[key - 1];
  rows[0] = 0;
}

}  // namespace

Inverse::Inverse(const Tables& t) {
  group_by(
      t.namespaces.size(), t.bindings.size(),
      [&](auto&& use) {
        for (std::uint32_t i = 0; i < t.bindings.size(); ++i) use(t.bindings[i].node, i);
      },
      binding_rows_, bindings_);
  group_by(
      t.groups, t.parents.size(),
      [&](auto&& use) {
        for (std::uint32_t number = 0; number < t.size(); ++number)
          for (const auto group : t.groups_of(number)) use(group - t.users, number);
      },
      member_rows_, members_);
  for (std::uint32_t number = 0; number < t.users; ++number)
    if ((t.states[number] & (kActive | kSuperAdmin)) == (kActive | kSuperAdmin)) super_admins_.push_back(number);
}

std::uint64_t Inverse::bytes() const {
  return sizeof *this + binding_rows_.bytes() + bindings_.bytes() + member_rows_.bytes() + members_.bytes() +
         super_admins_.capacity() * sizeof(std::uint32_t);
}

const Inverse& LazyInverse::of(const Tables& tables) const {
  std::call_once(once_, [&] {
    inverse_ = std::make_unique<const Inverse>(tables);
    ready_.store(inverse_.get(), std::memory_order_release);
  });
  return *inverse_;
}

std::uint64_t LazyInverse::bytes() const {
  const auto* ready = ready_.load(std::memory_order_acquire);
  return ready == nullptr ? 0 : ready->bytes();
}

}  // namespace rosterd::rbac
