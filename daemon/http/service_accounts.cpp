#include "daemon/http/etag.hpp"
#include "daemon/http/handlers.hpp"
#include "daemon/http/new_token.hpp"
#include "daemon/http/render.hpp"

namespace rosterd::http {
namespace {

using nlohmann::json;

json to_json(const ServiceAccount& account) {
  return {{"id", text(PrincipalType::ServiceAccount, account.id)},
          {"name", account.name},
          {"description", text_or_null(account.description)},
          {"enabled", account.enabled},
          {"created_at", rfc3339(account.created_at)}};
}

Reply account_reply(int status, const ServiceAccount& account) {
  auto out = reply(status, to_json(account));
  out.headers.emplace_back("ETag", etag(account));
  return out;
}

Reply changed(int status, const Written<ServiceAccount>& done) {
  auto out = account_reply(status, done.value);
  out.revision = done.revision;
  out.changed = true;
  return out;
}

Result<ServiceAccount> named(Call& call) { return call.store().service_account(call.tenant, call.param("s")); }

}  // namespace

Result<Reply> list_service_accounts(Call& call) {
  const auto page = call.page();
  if (!page) return fail(page.error());
  const auto found = call.store().service_accounts(call.tenant, *page);
  if (!found) return fail(found.error());
  return ok(list(*found, [](const ServiceAccount& one) { return to_json(one); }));
}

Result<Reply> create_service_account(Call& call) {
  auto fields = Fields::of(call.request.body);
  if (!fields) return fail(fields.error());
  NewServiceAccount account{.name = fields->text("name", 63), .description = fields->optional_text("description", 1024).value_or("")};
  if (const auto valid = fields->done(); !valid) return fail(valid.error());
  const auto made = call.store().create_service_account(call.tenant, account, call.actor());
  if (!made) return fail(made.error());
  auto out = changed(201, *made);
  out.headers.emplace_back("Location", fmt::format("/v1/tenants/{}/service-accounts/{}", call.tenant.value,
                                                   text(PrincipalType::ServiceAccount, made->value.id)));
  return out;
}

Result<Reply> get_service_account(Call& call) {
  const auto account = named(call);
  if (!account) return fail(account.error());
  return account_reply(200, *account);
}

Result<Reply> change_service_account(Call& call) {
  auto fields = Fields::of(call.request.body);
  if (!fields) return fail(fields.error());
  std::optional<std::string> name, description;
  if (fields->has("name")) name = fields->text("name", 63);
  if (fields->has("description")) description = fields->optional_text("description", 1024).value_or("");
  const auto enabled = fields->flag("enabled");
  if (fields->has("enabled") && !enabled) fields->problem("enabled", "must be true or false");
  if (const auto valid = fields->done(); !valid) return fail(valid.error());
  const auto force = call.query_flag("force");
  if (!force) return fail(force.error());
  const auto account = named(call);
  if (!account) return fail(account.error());
  const auto edit = edit_if_match<ServiceAccount>(call, [&](const ServiceAccount& now) -> Result<ServiceAccount> {
    auto next = now;
    if (name) next.name = *name;
    if (description) next.description = *description;
    if (enabled) next.enabled = *enabled;
    return next;
  });
  const auto done = call.store().change_service_account(call.tenant, account->id, edit, *force, call.actor());
  if (!done) return fail(done.error());
  call.app.callers.clear();  // its tokens end at once here, within a second on other replicas
  return changed(200, *done);
}

Result<Reply> delete_service_account(Call& call) {
  const auto force = call.query_flag("force");
  if (!force) return fail(force.error());
  const auto account = named(call);
  if (!account) return fail(account.error());
  const auto done = call.store().delete_service_account(call.tenant, account->id, if_match<ServiceAccount>(call), *force, call.actor());
  if (!done) return fail(done.error());
  call.app.callers.clear();
  return gone(*done);
}

Result<Reply> list_service_tokens(Call& call) {
  const auto account = named(call);
  if (!account) return fail(account.error());
  const auto tokens = call.store().service_tokens(call.tenant, account->id);
  if (!tokens) return fail(tokens.error());
  auto items = json::array();
  for (const auto& token : *tokens) items.push_back(http::to_json(token));
  return ok(list(std::move(items)));
}

Result<Reply> create_service_token(Call& call) {
  auto token = parse_new_token(call);
  if (!token) return fail(token.error());
  const auto account = named(call);
  if (!account) return fail(account.error());
  const auto made = call.store().create_service_token(call.tenant, account->id, token->token, call.actor());
  if (!made) return fail(made.error());
  return token_reply(
      *made, token->secret,
      fmt::format("/v1/tenants/{}/service-accounts/{}/tokens", call.tenant.value, text(PrincipalType::ServiceAccount, account->id)));
}

Result<Reply> revoke_service_token(Call& call) {
  const auto account = named(call);
  if (!account) return fail(account.error());
  const auto done = call.store().revoke_service_token(call.tenant, account->id, call.param("id"), call.actor());
  if (!done) return fail(done.error());
  call.app.callers.clear();
  return Reply{.status = 204, .body = {}, .content_type = {}};
}

}  // namespace rosterd::http
