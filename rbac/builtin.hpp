#pragma once
// The table of the built-in permissions, read by catalogue.cpp alone.

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rbac/catalogue.hpp"

namespace rosterd::rbac {

struct BuiltinPermission {
  std::string_view name;
  Scope scope;
  bool iam;
  std::string_view actions;  ///< letters of CREATE READ UPDATE DELETE
};
[[nodiscard]] std::span<const BuiltinPermission> builtin_permissions();
[[nodiscard]] std::vector<std::string> actions_of(std::string_view letters);

}  // namespace rosterd::rbac
