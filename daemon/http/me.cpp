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
  if (!service && !call.caller->account.id) {  // whom the issuers of these tenants vouch for
    auto users = nlohmann::json::array();
    for (const auto& user : call.caller->users)
      if (user.id)
        users.push_back({{"tenant", user.tenant.value},
                         {"id", text(PrincipalType::User, user.id)},
                         {"username", user.name},
                         {"source", text(user.source)}});
    body = {{"users", std::move(users)}};
  }
  if (const auto& session = call.caller->session)
    body["session"] = {{"id", text(session->id)}, {"ends_at", rfc3339(session->ends_at)}};
  else if (!call.caller->issuer.empty())
    body["token"] = {{"issuer", call.caller->issuer}};
  else
    body["token"] = {{"id", text(call.caller->token)}, {"name", call.caller->token_name}};
  auto out = ok(body);
  if (call.caller->account.id) out.headers.emplace_back("ETag", etag(call.caller->account));
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
