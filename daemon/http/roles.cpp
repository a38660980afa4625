#include "daemon/http/etag.hpp"
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

Reply role_reply(Call& call, int status, const Role& role) {
  auto out = reply(status, role_json(role, *call.app.services.catalogue));
  out.headers.emplace_back("ETag", etag(role));
  return out;
}

Reply changed(Call& call, int status, const Written<Role>& done) {
  auto out = role_reply(call, status, done.value);
  out.revision = done.revision;
  out.changed = true;
  return out;
}

/// A content that somebody wants stored, in its canonical form: equal rights give equal texts (R19).
Result<std::string> canonical(Call& call, const json& permissions) {
  const auto& catalogue = *call.app.services.catalogue;
  const auto mask = catalogue.strict_mask(permissions.dump(-1, ' ', false, json::error_handler_t::replace));
  if (!mask) return fail(mask.error());
  return catalogue.content(*mask);
}

Result<Role> parse_role(Call& call) {
  auto fields = Fields::of(call.request.body);
  if (!fields) return fail(fields.error());
  Role role;
  role.name = fields->text("name");
  role.description = fields->optional_text("description", 1024).value_or("");
  const auto* permissions = fields->value("permissions");
  if (permissions == nullptr) fields->problem("permissions", R"(is missing: an object such as {"FLOW":["READ"]})");
  if (const auto valid = fields->done(); !valid) return fail(valid.error());
  auto content = canonical(call, *permissions);
  if (!content) return fail(content.error());
  role.permissions = std::move(*content);
  return role;
}

/// RFC 7396: inside "permissions", too, what is not named stays, and null takes a permission away.
Result<Edit<Role>> parse_patch(Call& call) {
  auto fields = Fields::of(call.request.body);
  if (!fields) return fail(fields.error());
  std::optional<std::string> name, description;
  if (fields->has("name")) name = fields->text("name");
  if (fields->has("description")) description = fields->optional_text("description", 1024).value_or("");
  json permissions;
  if (const auto* given = fields->value("permissions")) {
    permissions = *given;
    if (!permissions.is_object()) fields->problem("permissions", R"(must be an object such as {"FLOW":["READ"]})");
  } else if (fields->has("permissions")) {
    fields->problem("permissions", "cannot be taken away: a role has at least one pair");
  }
  if (const auto valid = fields->done(); !valid) return fail(valid.error());
  return Edit<Role>([&call, name, description, permissions](const Role& now) -> Result<Role> {
    auto next = now;
    if (name) next.name = *name;
    if (description) next.description = *description;
    if (permissions.is_null()) return next;
    auto merged = json::parse(now.permissions, nullptr, false);
    merged.merge_patch(permissions);
    auto content = canonical(call, merged);
    if (!content) return fail(content.error());
    next.permissions = std::move(*content);
    return next;
  });
}

Result<Reply> edit_role(Call& call, const Edit<Role>& edit) {
  const auto role = call.store().role(call.tenant, call.param("r"));
  if (!role) return fail(role.error());
  const auto done = call.store().change_role(call.tenant, role->id, edit_if_match<Role>(call, edit), call.actor());
  if (!done) return fail(done.error());
  return changed(call, 200, *done);
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
  const auto role = call.store().role(call.tenant, call.param("r"));
  if (!role) return fail(role.error());
  return role_reply(call, 200, *role);
}

Result<Reply> create_role(Call& call) {
  const auto role = parse_role(call);
  if (!role) return fail(role.error());
  const auto made = call.store().create_role(call.tenant, *role, call.actor());
  if (!made) return fail(made.error());
  auto out = changed(call, 201, *made);
  out.headers.emplace_back("Location", fmt::format("/v1/tenants/{}/roles/{}", call.tenant.value, text(made->value.id)));
  return out;
}

Result<Reply> replace_role(Call& call) {
  const auto role = parse_role(call);
  if (!role) return fail(role.error());
  return edit_role(call, [&](const Role& now) -> Result<Role> {
    auto next = now;
    next.name = role->name;
    next.description = role->description;
    next.permissions = role->permissions;
    return next;
  });
}

Result<Reply> patch_role(Call& call) {
  const auto edit = parse_patch(call);
  if (!edit) return fail(edit.error());
  return edit_role(call, *edit);
}

Result<Reply> delete_role(Call& call) {
  const auto force = call.query_flag("force");
  if (!force) return fail(force.error());
  const auto role = call.store().role(call.tenant, call.param("r"));
  if (!role) return fail(role.error());
  const auto done = call.store().delete_role(call.tenant, role->id, if_match<Role>(call), *force, call.actor());
  if (!done) return fail(done.error());
  return gone(done->revision);
}

}  // namespace rosterd::http
