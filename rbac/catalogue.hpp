#pragma once
// The permission catalogue (rbac.md §2): which permissions there are, their scope and actions, numbered as pairs. Data, not code:
// the built-in one is a table in builtin.cpp, a deployment may bring its own file. Also the contents of the managed roles.

#include <array>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "schema/core/result.hpp"
#include "schema/model/access.hpp"

namespace rosterd::rbac {

inline constexpr std::size_t kMaxPairs = 256;
using PairMask = std::array<std::uint64_t, 4>;  ///< one bit a pair

enum class Scope : std::uint8_t { Namespace, Tenant };

struct Permission {
  std::string name;
  Scope scope = Scope::Namespace;
  bool iam = false;  ///< enforced by rosterd itself
  std::vector<std::string> actions;
  std::uint16_t first_pair = 0;  ///< number of (name, actions[0]); the others follow
};

struct ManagedRole {
  std::string_view name;
  std::string_view description;
  bool admin = false;
  std::string permissions;  ///< JSON text; empty for Admin
};

/// A pair by its names, as role bodies and messages have it.
struct NamedPair {
  std::string permission, action;
  auto operator<=>(const NamedPair&) const = default;
};

class Catalogue {
 public:
  /// The catalogue of rbac.md §2: 112 pairs.
  [[nodiscard]] static std::shared_ptr<const Catalogue> built_in();
  /// From JSON text {"permissions":[{"name","scope","actions"}…], "roles"?: {"Editor": {"FLOW":["READ"]}}}; the IAM permissions are
  /// always present (R13, R14). "roles" replaces the contents of managed roles, the others are cut down to this catalogue (R23).
  [[nodiscard]] static Result<std::shared_ptr<const Catalogue>> parse(std::string_view json);

  [[nodiscard]] std::span<const Permission> permissions() const;
  [[nodiscard]] const Permission* find(std::string_view name) const;  ///< exact case; nullptr = unknown
  [[nodiscard]] std::optional<std::uint16_t> pair(const Permission& permission, std::string_view action) const;
  [[nodiscard]] std::size_t pairs() const;
  [[nodiscard]] const PairMask& all() const;           ///< every pair
  [[nodiscard]] const PairMask& iam() const;           ///< pairs of IAM permissions
  [[nodiscard]] const PairMask& tenant_scope() const;  ///< pairs grantable only tenant-wide
  /// A stored role's content {"FLOW":["READ"]} as a mask; pairs the catalogue does not have grant nothing (R15).
  [[nodiscard]] Result<PairMask> mask(std::string_view permissions_json) const;
  /// The same for a content that somebody wants to store: unknown_permission or unknown_action names every offender (R19), and a
  /// content without any pair is refused (R18).
  [[nodiscard]] Result<PairMask> strict_mask(std::string_view permissions_json) const;
  /// The pairs of a stored role that grant nothing now (R15), sorted.
  [[nodiscard]] std::vector<NamedPair> unknown_pairs(std::string_view permissions_json) const;
  /// The pairs of a mask by name, in catalogue order.
  [[nodiscard]] std::vector<NamedPair> names(const PairMask& mask) const;
  /// A mask as a role's content, in catalogue order: equal masks give equal texts.
  [[nodiscard]] std::string content(const PairMask& mask) const;

  /// Admin, Developer, Editor, Launcher, Viewer as every tenant has them under this catalogue (R21, R23).
  [[nodiscard]] std::span<const ManagedRole> managed_roles() const;
  /// The same as the store keeps them, without ids.
  [[nodiscard]] std::vector<Role> born_roles() const;
  /// Sixteen hex digits over permissions and managed roles: two replicas, or yesterday and today, have the same catalogue (R23, R100).
  [[nodiscard]] const std::string& hash() const;

 private:
  Catalogue() = default;
  struct Index;
  std::shared_ptr<const Index> index_;
};

/// Admin, Developer, Editor, Launcher, Viewer with the contents of rbac.md §3, that is, of the built-in catalogue.
[[nodiscard]] std::span<const ManagedRole> managed_roles();

}  // namespace rosterd::rbac
