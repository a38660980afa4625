#include "daemon/http/handlers.hpp"
#include "daemon/http/new_token.hpp"
#include "daemon/http/render.hpp"

// Tokens of pushing sources: shown once, several at a time so that a new one is in use before the old one goes.

namespace rosterd::http {
namespace {

Result<Source> named(Call& call) { return call.store().source(call.tenant, call.param("s")); }

}  // namespace

Result<Reply> list_source_tokens(Call& call) {
  const auto source = named(call);
  if (!source) return fail(source.error());
  const auto tokens = call.store().source_tokens(call.tenant, source->id);
  if (!tokens) return fail(tokens.error());
  auto items = nlohmann::json::array();
  for (const auto& token : *tokens) items.push_back(http::to_json(token));
  return ok(list(std::move(items)));
}

Result<Reply> create_source_token(Call& call) {
  auto token = parse_new_token(call);
  if (!token) return fail(token.error());
  const auto source = named(call);
  if (!source) return fail(source.error());
  // R81: whoever holds it chooses the members.
  if (const auto granted = may_grant_everything(call); !granted) return fail(granted.error());
  const auto made = call.store().create_source_token(call.tenant, source->id, token->token, call.actor());
  if (!made) return fail(made.error());
  return token_reply(*made, token->secret, fmt::format("/v1/tenants/{}/sources/{}/tokens", call.tenant.value, source->name));
}

Result<Reply> revoke_source_token(Call& call) {
  const auto source = named(call);
  if (!source) return fail(source.error());
  const auto done = call.store().revoke_source_token(call.tenant, source->id, call.param("id"), call.actor());
  if (!done) return fail(done.error());
  call.app.pushers.clear();  // ends at once here, within a second on other replicas
  return Reply{.status = 204, .body = {}, .content_type = {}};
}

}  // namespace rosterd::http
