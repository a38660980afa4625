#include "daemon/http/handlers.hpp"
#include "daemon/http/render.hpp"

namespace rosterd::http {

Result<Reply> list_users(Call& call) {
  const auto page = call.page();
  if (!page) return fail(page.error());
  const auto found = call.store().users(call.tenant, *page);
  if (!found) return fail(found.error());
  return ok(list(*found, [](const User& user) { return to_json(user); }));
}

Result<Reply> get_user(Call& call) {
  const auto user = call.store().user(call.tenant, call.param("u"));
  if (!user) return fail(user.error());
  return ok(to_json(*user));
}

Result<Reply> groups_of_user(Call& call) {
  const auto user = call.store().user(call.tenant, call.param("u"));
  if (!user) return fail(user.error());
  const auto groups = call.store().groups_of(call.tenant, {PrincipalType::User, user->id});
  if (!groups) return fail(groups.error());
  auto items = nlohmann::json::array();
  for (const auto& group : *groups) items.push_back(to_json(group));
  return ok(list(std::move(items)));
}

}  // namespace rosterd::http
