#pragma once
// The permission catalogue (rbac.md §2): which permissions there are, their scope and actions, numbered as pairs. Data, not code:
// the built-in one is a table in catalogue.cpp, a deployment may bring its own file. Also the contents of the managed roles.

#include <array>
#include <bitset>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "schema/core/result.hpp"

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

class Catalogue {
 public:
  /// The catalogue of rbac.md §2: 112 pairs.
  [[nodiscard]] static std::shared_ptr<const Catalogue> built_in();
  /// From JSON text {"permissions":[{"name","scope","actions"}…]}; the IAM permissions are always present (R13, R14).
  [[nodiscard]] static Result<std::shared_ptr<const Catalogue>> parse(std::string_view json);

  [[nodiscard]] std::span<const Permission> permissions() const;
  [[nodiscard]] const Permission* find(std::string_view name) const;  ///< exact case; nullptr = unknown
  [[nodiscard]] std::optional<std::uint16_t> pair(const Permission& permission, std::string_view action) const;
  [[nodiscard]] std::size_t pairs() const;
  [[nodiscard]] const PairMask& all() const;           ///< every pair
  [[nodiscard]] const PairMask& iam() const;           ///< pairs of IAM permissions
  [[nodiscard]] const PairMask& tenant_scope() const;  ///< pairs grantable only tenant-wide
  /// A role's content {"FLOW":["READ"]} as a mask; pairs the catalogue does not have grant nothing (R15).
  [[nodiscard]] Result<PairMask> mask(std::string_view permissions_json) const;

 private:
  Catalogue() = default;
  struct Index;
  std::shared_ptr<const Index> index_;
};

struct ManagedRole {
  std::string_view name;
  std::string_view description;
  bool admin = false;
  std::string permissions;  ///< JSON text; empty for Admin
};
/// Admin, Developer, Editor, Launcher, Viewer with the contents of rbac.md §3.
[[nodiscard]] std::span<const ManagedRole> managed_roles();

}  // namespace rosterd::rbac
