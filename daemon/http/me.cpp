#include "daemon/http/etag.hpp"
#include "daemon/http/handlers.hpp"
#include "daemon/http/new_token.hpp"
#include "daemon/http/render.hpp"

namespace rosterd::http {
Result<Reply> me(Call& call) {
  const auto& service = call.caller->service;
  auto body = service
                  ? nlohmann::json{{"tenant", service->tenant.value},
                                   {"service_account", {{"id", text(PrincipalType::ServiceAccount, service->id)}, {"name", service->name}}}}
                  : to_json(call.caller->account);
  if (const auto& session = call.caller->session)
    body["session"] = {{"id", text(session->id)}, {"ends_at", rfc3339(session->ends_at)}};
  else
    body["token"] = {{"id", text(call.caller->token)}, {"name", call.caller->token_name}};
  auto out = ok(body);
  if (!service) out.headers.emplace_back("ETag", etag(call.caller->account));
  return out;
}

Result<Reply> list_tokens(Call& call) {
  const auto tokens = call.store().tokens(call.caller->account.id);
  if (!tokens) return fail(tokens.error());
  auto items = nlohmann::json::array();
  for (const auto& token : *tokens) items.push_back(to_json(token));
  return ok(list(std::move(items)));
}

Result<Reply> create_token(Call& call) {
  auto token = parse_new_token(call);
  if (!token) return fail(token.error());
  const auto made = call.store().create_token(call.caller->account.id, token->token, call.actor());
  if (!made) return fail(made.error());
  return token_reply(*made, token->secret, "/v1/me/tokens");
}

Result<Reply> revoke_token(Call& call) {
  const auto done = call.store().revoke_token(call.caller->account.id, call.param("id"), call.actor());
  if (!done) return fail(done.error());
  call.app.callers.clear();  // at once here, within a second on other replicas
  return Reply{.status = 204, .body = {}, .content_type = {}};
}

}  // namespace rosterd::http
