// The built-in catalogue and the managed roles (rbac.md §§2-3), as the tables of that text.

#include <fmt/format.h>

#include "rbac/builtin.hpp"

namespace rosterd::rbac {

std::span<const BuiltinPermission> builtin_permissions() {
  using enum Scope;
  static constexpr BuiltinPermission kTable[] = {
      {"FLOW", Namespace, false, "CRUD"},
      {"TEMPLATE", Namespace, false, "CRUD"},
      {"EXECUTION", Namespace, false, "CRUD"},
      {"NAMESPACE", Namespace, false, "CRUD"},
      {"KVSTORE", Namespace, false, "CRUD"},
      {"SECRET", Namespace, false, "CRUD"},
      {"TEST", Namespace, false, "CRUD"},
      {"APPEXECUTION", Namespace, false, "CRUD"},
      {"CREDENTIAL", Namespace, false, "CRUD"},
      {"APP", Namespace, false, "CRUD"},
      {"ASSET", Namespace, false, "CRUD"},
      {"BLUEPRINT", Tenant, false, "CRUD"},
      {"DASHBOARD", Tenant, false, "CRUD"},
      {"AI_COPILOT", Tenant, false, "CRUD"},
      {"SETTING", Tenant, false, "CRUD"},
      {"INFRASTRUCTURE", Tenant, false, "CRUD"},
      {"IMPERSONATE", Tenant, false, "CRUD"},
      {"USER", Tenant, true, "CRUD"},
      {"GROUP", Tenant, true, "CRUD"},
      {"GROUP_MEMBERSHIP", Tenant, true, "CRUD"},
      {"ROLE", Tenant, true, "CRUD"},
      {"BINDING", Tenant, true, "CRUD"},
      {"SERVICE_ACCOUNT", Tenant, true, "CRUD"},
      {"INVITATION", Tenant, true, "CRUD"},
      {"TENANT_ACCESS", Tenant, true, "CRUD"},
      {"AUDITLOG", Tenant, true, "CRUD"},
      {"SOURCE", Tenant, true, "CRUD"},
      {"SYNC_RUN", Tenant, true, "CRU"},
      {"CHECK", Tenant, true, "R"},
  };
  return kTable;
}

std::vector<std::string> actions_of(std::string_view letters) {
  std::vector<std::string> out;
  for (const char letter : letters) {
    switch (letter) {
      case 'C':
        out.emplace_back("CREATE");
        break;
      case 'R':
        out.emplace_back("READ");
        break;
      case 'U':
        out.emplace_back("UPDATE");
        break;
      case 'D':
        out.emplace_back("DELETE");
        break;
      default:
        break;
    }
  }
  return out;
}

namespace {

// A pair not described is not given: no managed role but Admin holds an IAM permission, IMPERSONATE or INFRASTRUCTURE.
struct Row {
  std::string_view permission, developer, editor, launcher, viewer;
};
constexpr Row kRows[] = {
    {"FLOW", "CRUD", "CRUD", "R", "R"},   {"TEMPLATE", "CRUD", "CRUD", "R", "R"}, {"EXECUTION", "CRUD", "CRUD", "CRU", "R"},
    {"NAMESPACE", "CRUD", "R", "R", "R"}, {"KVSTORE", "CRUD", "CRUD", "R", ""},   {"DASHBOARD", "CRUD", "CRUD", "R", ""},
    {"ASSET", "CRUD", "CRUD", "R", ""},   {"APP", "CRUD", "CRUD", "", ""},        {"APPEXECUTION", "CRUD", "CRUD", "", ""},
    {"TEST", "CRUD", "CRUD", "", ""},     {"AI_COPILOT", "CRUD", "CRUD", "", ""}, {"BLUEPRINT", "CRUD", "R", "", ""},
    {"SECRET", "CRUD", "", "", ""},       {"CREDENTIAL", "CRUD", "", "", ""},     {"SETTING", "RU", "RU", "", ""},
};

std::string content(std::string_view Row::* column) {
  std::string out = "{";
  for (const auto& row : kRows) {
    if ((row.*column).empty()) continue;
    out += fmt::format(R"({}"{}":["{}"])", out.size() > 1 ? "," : "", row.permission, fmt::join(actions_of(row.*column), R"(",")"));
  }
  return out + "}";
}

}  // namespace

std::span<const ManagedRole> managed_roles() {
  static const std::vector<ManagedRole> kRoles{
      {.name = "Admin", .description = "Everything in this tenant, now and in future", .admin = true, .permissions = {}},
      {.name = "Developer",
       .description = "Builds and runs flows and apps, manages secrets and namespaces",
       .admin = false,
       .permissions = content(&Row::developer)},
      {.name = "Editor", .description = "Builds and runs flows and apps", .admin = false, .permissions = content(&Row::editor)},
      {.name = "Launcher", .description = "Runs what others built", .admin = false, .permissions = content(&Row::launcher)},
      {.name = "Viewer", .description = "Looks on", .admin = false, .permissions = content(&Row::viewer)},
  };
  return kRoles;
}

}  // namespace rosterd::rbac
