#pragma once
// How a question is decided on the tables of a snapshot (rbac.md §13). Checks, explanations and searches all go through here, so they
// cannot disagree (R105).

#include "rbac/tables.hpp"

namespace rosterd::rbac {

/// A question whose pair the catalogue has: the pair, and the node where it is asked.
struct Asked {
  std::uint32_t pair = 0;
  std::uint32_t node = 0;
  std::size_t permission = 0;  ///< position in the catalogue
  bool iam = false;
  bool tenant_scope = false;
};

[[nodiscard]] inline bool has(const PairMask& mask, std::uint32_t pair) { return (mask[pair / 64] >> (pair % 64) & 1) != 0; }
/// What a binding of the role grants at a node (R30).
[[nodiscard]] inline const PairMask& granted(const Tables& t, const BindingRow& binding) {
  const auto& role = t.roles[binding.role];
  return t.masks[binding.node == 0 ? role.mask : role.limited];
}
[[nodiscard]] inline bool is_live(const Tables& t, const BindingRow& binding, Micros at) { return t.extras[binding.extra].expires > at; }

/// The question on these tables, or why it is refused before anybody looks at the subject.
[[nodiscard]] tl::expected<Asked, Reason> ask(const Tables& t, std::string_view permission, std::string_view action,
                                              std::optional<std::string_view> ns) noexcept;
/// The principal that a key of any spelling means (R7).
[[nodiscard]] Subject subject_of(const Tables& t, PrincipalType type, std::string_view key) noexcept;
[[nodiscard]] inline Subject subject_at(const Tables& t, std::uint32_t number) {
  return {.kind = Subject::Found, .index = number, .state = t.states[number]};
}
/// The steps from the subject on.
[[nodiscard]] Decision decide(const Tables& t, const Subject& subject, const Asked& asked, Micros at) noexcept;

}  // namespace rosterd::rbac
