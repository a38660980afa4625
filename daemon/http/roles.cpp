#include "daemon/http/handlers.hpp"
#include "daemon/http/render.hpp"
#include "rbac/catalogue.hpp"
#include "schema/core/text.hpp"

namespace rosterd::http {
namespace {

using nlohmann::json;

/// Pairs that the catalogue no longer has stay in a role, grant nothing, and are shown (R15).
json role_json(const Role& role, const rbac::Catalogue& catalogue) {
  json out = {{"id", text(role.id)}, {"name", role.name}, {"description", text_or_null(role.description)}, {"managed", role.managed}};
  if (role.admin) {
    out["permissions"] = "ALL";
    out["unknown_pairs"] = json::array();
    return out;
  }
  out["permissions"] = json::parse(role.permissions, nullptr, false);
  auto unknown = json::array();
  if (out["permissions"].is_object())
    for (const auto& [name, actions] : out["permissions"].items()) {
      const auto* permission = catalogue.find(name);
      for (const auto& action : actions)
        if (action.is_string() && (permission == nullptr || !catalogue.pair(*permission, action.get<std::string>())))
          unknown.push_back(json{{"permission", name}, {"action", action}});
    }
  out["unknown_pairs"] = std::move(unknown);
  return out;
}

}  // namespace

Result<Reply> list_permissions(Call& call) {
  auto items = json::array();
  for (const auto& permission : call.app.services.catalogue->permissions())
    items.push_back({{"name", permission.name},
                     {"scope", permission.scope == rbac::Scope::Tenant ? "tenant" : "namespace"},
                     {"actions", permission.actions},
                     {"iam", permission.iam}});
  return ok(list(std::move(items)));
}

Result<Reply> list_roles(Call& call) {
  const auto roles = call.store().roles(call.tenant);
  if (!roles) return fail(roles.error());
  auto items = json::array();
  for (const auto& role : *roles) items.push_back(role_json(role, *call.app.services.catalogue));
  return ok(list(std::move(items)));
}

Result<Reply> get_role(Call& call) {
  const auto roles = call.store().roles(call.tenant);
  if (!roles) return fail(roles.error());
  const auto key = call.param("r");
  const auto id = parse_role_id(key);
  const auto folded = fold(key);
  for (const auto& role : *roles)
    if (id ? role.id == *id : fold(role.name) == folded) return ok(role_json(role, *call.app.services.catalogue));
  return fail(Errc::NotFound, "no role {}", key);
}

}  // namespace rosterd::http
