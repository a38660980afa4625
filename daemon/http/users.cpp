#include "daemon/http/etag.hpp"
#include "daemon/http/handlers.hpp"
#include "daemon/http/render.hpp"

namespace rosterd::http {
namespace {

Reply user_reply(int status, const User& user) {
  auto out = reply(status, to_json(user));
  out.headers.emplace_back("ETag", etag(user));
  return out;
}

Reply changed(int status, const Written<User>& done) {
  auto out = user_reply(status, done.value);
  out.revision = done.revision;
  out.changed = true;
  return out;
}

Result<Written<User>> made_of_account(Call& call, std::string_view account) {
  // The link is an act of its own (rbac.md §16).
  const auto held = call.holds("TENANT_ACCESS", "CREATE");
  if (!held) return fail(held.error());
  if (!*held) return fail(Errc::Forbidden, "making a user of an account links the two, which needs TENANT_ACCESS CREATE in the tenant");
  return call.store().create_user_of(call.tenant, account, call.actor());
}

/// What a merge patch names; the rest stays. Names and e-mail of people from a source are refused by the store.
struct UserPatch {
  std::optional<std::string> username, first_name, last_name;
  std::optional<std::optional<std::string>> email;
  std::optional<bool> suspended;

  [[nodiscard]] User applied(User user) const {
    if (username) user.username = *username;
    if (first_name) user.first_name = *first_name;
    if (last_name) user.last_name = *last_name;
    if (email) user.email = *email;
    if (suspended) user.admin_suspended = *suspended;
    return user;
  }
};

Result<UserPatch> parse_patch(std::string_view body) {
  auto fields = Fields::of(body);
  if (!fields) return fail(fields.error());
  UserPatch out;
  if (fields->has("username")) out.username = fields->text("username");
  if (fields->has("first_name")) out.first_name = fields->optional_text("first_name").value_or("");
  if (fields->has("last_name")) out.last_name = fields->optional_text("last_name").value_or("");
  if (fields->has("email")) out.email = fields->optional_text("email", 254);
  if (fields->has("state")) {
    const auto state = fields->text("state", 16);
    if (state != "active" && state != "suspended") fields->problem("state", "must be \"active\" or \"suspended\"");
    out.suspended = state == "suspended";
  }
  if (const auto valid = fields->done(); !valid) return fail(valid.error());
  return out;
}

Result<User> named_user(Call& call) { return call.store().user(call.tenant, call.param("u")); }

}  // namespace

Result<Reply> list_users(Call& call) {
  const auto page = call.page();
  if (!page) return fail(page.error());
  const auto found = call.store().users(call.tenant, *page);
  if (!found) return fail(found.error());
  return ok(list(*found, [](const User& user) { return to_json(user); }));
}

Result<Reply> create_user(Call& call) {
  auto fields = Fields::of(call.request.body);
  if (!fields) return fail(fields.error());
  const auto account = fields->optional_text("account", 254);
  UserRecord user;
  if (!account) {
    user.username = fields->text("username");
    user.email = fields->optional_text("email", 254);
    user.first_name = fields->optional_text("first_name").value_or("");
    user.last_name = fields->optional_text("last_name").value_or("");
  }
  if (const auto valid = fields->done(); !valid) return fail(valid.error());
  const auto made = account ? made_of_account(call, *account) : call.store().create_user(call.tenant, user, call.actor());
  if (!made) return fail(made.error());
  auto out = changed(201, *made);
  out.headers.emplace_back("Location",
                           fmt::format("/v1/tenants/{}/users/{}", call.tenant.value, text(PrincipalType::User, made->value.id)));
  return out;
}

Result<Reply> get_user(Call& call) {
  const auto user = named_user(call);
  if (!user) return fail(user.error());
  return user_reply(200, *user);
}

Result<Reply> change_user(Call& call) {
  const auto patch = parse_patch(call.request.body);
  if (!patch) return fail(patch.error());
  const auto force = call.query_flag("force");
  if (!force) return fail(force.error());
  const auto user = named_user(call);
  if (!user) return fail(user.error());
  const auto edit = edit_if_match<User>(call, [&](const User& now) -> Result<User> { return patch->applied(now); });
  const auto done = call.store().change_user(call.tenant, user->id, edit, *force, call.actor());
  if (!done) return fail(done.error());
  return changed(200, *done);
}

Result<Reply> delete_user(Call& call) {
  const auto force = call.query_flag("force");
  if (!force) return fail(force.error());
  const auto user = named_user(call);
  if (!user) return fail(user.error());
  const auto done = call.store().delete_user(call.tenant, user->id, if_match<User>(call), *force, call.actor());
  if (!done) return fail(done.error());
  return gone(*done);
}

Result<Reply> groups_of_user(Call& call) {
  const auto user = named_user(call);
  if (!user) return fail(user.error());
  const auto groups = call.store().groups_of(call.tenant, {PrincipalType::User, user->id});
  if (!groups) return fail(groups.error());
  auto items = nlohmann::json::array();
  for (const auto& group : *groups) items.push_back(to_json(group));
  return ok(list(std::move(items)));
}

Result<Reply> get_user_account(Call& call) {
  const auto user = named_user(call);
  if (!user) return fail(user.error());
  const auto& linked = user->account;
  if (!linked) return fail(Errc::NotFound, "user {} is linked to no account", call.param("u"));
  const auto account = call.store().account(text(*linked));
  if (!account) return fail(account.error());
  return ok({{"account", text(account->id)}, {"email", account->email}});
}

Result<Reply> link_user_account(Call& call) {
  auto fields = Fields::of(call.request.body);
  if (!fields) return fail(fields.error());
  const auto account = fields->text("account", 254);
  if (const auto valid = fields->done(); !valid) return fail(valid.error());
  const auto user = named_user(call);
  if (!user) return fail(user.error());
  const auto done = call.store().link_account(call.tenant, user->id, account, call.actor());
  if (!done) return fail(done.error());
  return changed(200, *done);
}

Result<Reply> unlink_user_account(Call& call) {
  const auto user = named_user(call);
  if (!user) return fail(user.error());
  const auto done = call.store().unlink_account(call.tenant, user->id, call.actor());
  if (!done) return fail(done.error());
  return gone(*done);
}

}  // namespace rosterd::http
