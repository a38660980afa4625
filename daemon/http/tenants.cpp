#include "daemon/http/handlers.hpp"
#include "daemon/http/render.hpp"
#include "rbac/catalogue.hpp"
#include "schema/core/text.hpp"

namespace rosterd::http {

Result<Reply> list_tenants(Call& call) {
  const auto page = call.page();
  if (!page) return fail(page.error());
  if (const auto& service = call.caller->service) {
    const auto own = call.store().tenant(service->tenant);
    if (!own) return fail(own.error());
    auto items = nlohmann::json::array();
    items.push_back(to_json(*own));
    return ok(list(std::move(items)));
  }
  if (!call.caller->account.id) {  // whom the issuers of these tenants vouch for
    auto items = nlohmann::json::array();
    for (const auto& user : call.caller->users) {
      if (!user.id) continue;
      const auto own = call.store().tenant(user.tenant);
      if (own) items.push_back(to_json(*own));
      if (!own && own.error().code != Errc::NotFound) return fail(own.error());
    }
    return ok(list(std::move(items)));
  }
  const auto found = call.store().tenants(*page, call.super_admin() ? std::nullopt : std::optional(call.caller->account.id));
  if (!found) return fail(found.error());
  return ok(list(*found, [](const Tenant& tenant) { return to_json(tenant); }));
}

Result<Reply> create_tenant(Call& call) {
  auto fields = Fields::of(call.request.body);
  if (!fields) return fail(fields.error());
  NewTenant tenant{
      .id = TenantId{fields->text("id", 63)}, .name = fields->text("name"), .creator = call.caller->account.id, .managed_roles = {}};
  const auto creator = fields->optional_text("creator", 254);
  if (!tenant.id.value.empty() && !is_slug(tenant.id.value)) fields->problem("id", "must match ^[a-z0-9][a-z0-9_-]{0,62}$");
  if (const auto valid = fields->done(); !valid) return fail(valid.error());
  if (creator) {  // R85: another person gets the Admin binding instead
    const auto account = call.store().account(*creator);
    if (!account && account.error().code == Errc::NotFound)
      return fail_as("unknown_account", Errc::InvalidInput, "creator: no account {}", *creator);
    if (!account) return fail(account.error());
    tenant.creator = account->id;
  }
  tenant.managed_roles = call.app.services.catalogue->born_roles();
  const auto made = call.store().create_tenant(tenant, call.actor());
  if (!made) return fail(made.error());
  auto answer = reply(201, to_json(made->value));
  answer.headers.emplace_back("Location", "/v1/tenants/" + tenant.id.value);
  answer.revision = made->revision;
  answer.changed = true;
  call.tenant = tenant.id;  // so that its first snapshot is published now
  return answer;
}

Result<Reply> get_tenant(Call& call) {
  const auto tenant = call.store().tenant(call.tenant);
  if (!tenant) return fail(tenant.error());
  return ok(to_json(*tenant));
}

Result<Reply> change_tenant(Call& call) {
  auto fields = Fields::of(call.request.body);
  if (!fields) return fail(fields.error());
  TenantPatch patch;
  if (fields->has("name")) patch.name = fields->text("name");
  if (fields->has("enabled")) {
    patch.enabled = fields->flag("enabled");
    if (!patch.enabled) fields->problem("enabled", "must be true or false");
  }
  if (const auto valid = fields->done(); !valid) return fail(valid.error());
  const auto changed = call.store().change_tenant(call.tenant, patch, call.actor());
  if (!changed) return fail(changed.error());
  auto answer = ok(to_json(changed->value));
  answer.revision = changed->revision;
  answer.changed = true;
  call.app.services.sync.wake();  // runs stop or may start again (R87)
  return answer;
}

Result<Reply> delete_tenant(Call& call) {
  const auto deleted = call.store().delete_tenant(call.tenant, call.actor());
  if (!deleted) return fail(deleted.error());
  call.app.services.sync.wake();
  return gone(std::nullopt);
}

}  // namespace rosterd::http
