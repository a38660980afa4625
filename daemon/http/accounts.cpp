#include "daemon/http/etag.hpp"
#include "daemon/http/handlers.hpp"
#include "daemon/http/preferences.hpp"
#include "daemon/http/render.hpp"
#include "daemon/http/sign_in.hpp"

namespace rosterd::http {
namespace {

Reply account_reply(int status, const Account& account) {
  auto out = reply(status, to_json(account));
  out.headers.emplace_back("ETag", etag(account));
  return out;
}

/// What an account was is not what it is: callers are asked for again, and tenants whose checks know of it are published anew.
void note_change(Call& call, const std::vector<TenantId>& moved) {
  call.app.callers.clear();
  call.app.standings.clear();
  for (const auto& tenant : moved) call.app.services.sync.changed(tenant);
}

Result<Account> named_account(Call& call) { return call.store().account(call.param("a")); }

/// What a merge patch names; the rest stays.
struct AccountPatch {
  std::optional<std::string> email, first_name, last_name;
  std::optional<bool> enabled;
  std::optional<nlohmann::json> preferences;

  [[nodiscard]] Result<Account> applied(Account account) const {
    if (email) account.email = *email;
    if (first_name) account.first_name = *first_name;
    if (last_name) account.last_name = *last_name;
    if (enabled) account.enabled = *enabled;
    if (preferences) {
      auto merged = merged_preferences(account.preferences, *preferences);
      if (!merged) return fail(merged.error());
      account.preferences = std::move(*merged);
    }
    return account;
  }
};

/// `own`: what people may change of themselves. Not the e-mail: invitations are made to it (R94), so it is not theirs to choose.
Result<AccountPatch> parse_patch(std::string_view body, bool own) {
  auto fields = Fields::of(body);
  if (!fields) return fail(fields.error());
  AccountPatch out;
  if (fields->has("first_name")) out.first_name = fields->optional_text("first_name").value_or("");
  if (fields->has("last_name")) out.last_name = fields->optional_text("last_name").value_or("");
  if (own) {
    if (fields->has("preferences")) {
      const auto* given = fields->value("preferences");
      if (given != nullptr)
        out.preferences = *given;
      else
        fields->problem("preferences", "must be an object");
    }
  } else {
    if (fields->has("email")) out.email = fields->text("email", 254);
    if (fields->has("enabled")) {
      out.enabled = fields->flag("enabled");
      if (!out.enabled) fields->problem("enabled", "must be true or false");
    }
  }
  if (const auto valid = fields->done(); !valid) return fail(valid.error());
  return out;
}

Result<AccountChange> changed(Call& call, AccountId id, const AccountPatch& patch) {
  const auto condition = if_match<Account>(call);
  const auto edit = [&](const Account& now) -> Result<Account> {
    if (condition)
      if (const auto good = condition(now); !good) return fail(good.error());
    return patch.applied(now);
  };
  const auto part = patch.enabled ? AccountPart::Standing : AccountPart::Profile;
  auto done = call.store().change_account(id, part, edit, call.actor());
  if (done) note_change(call, done->moved);
  return done;
}

Result<Reply> switch_super_admin(Call& call, bool granted) {
  const auto account = named_account(call);
  if (!account) return fail(account.error());
  const auto done = call.store().set_super_admin(account->id, granted, call.actor());
  if (!done) return fail(done.error());
  note_change(call, done->moved);
  return account_reply(200, done->account);
}

}  // namespace

Result<Reply> list_accounts(Call& call) {
  const auto page = call.page();
  if (!page) return fail(page.error());
  const auto found = call.store().accounts(*page);
  if (!found) return fail(found.error());
  return ok(list(*found, [](const Account& account) { return to_json(account); }));
}

Result<Reply> create_account(Call& call) {
  auto fields = Fields::of(call.request.body);
  if (!fields) return fail(fields.error());
  NewAccount made{.email = fields->text("email", 254),
                  .first_name = fields->optional_text("first_name").value_or(""),
                  .last_name = fields->optional_text("last_name").value_or(""),
                  .super_admin = fields->flag("super_admin").value_or(false)};
  const auto password = fields->optional_text("password", kMostPassword);
  if (const auto valid = fields->done(); !valid) return fail(valid.error());
  if (password) {
    auto hash = hash_of_new(call.app, *password, made.email);
    if (!hash) return fail(hash.error());
    made.password_hash = std::move(*hash);
    made.must_change_password = true;  // somebody else knows it
  }
  const auto account = call.store().create_account(made, call.actor());
  if (!account) return fail(account.error());
  auto out = account_reply(201, *account);
  out.headers.emplace_back("Location", "/v1/accounts/" + text(account->id));
  return out;
}

Result<Reply> get_account(Call& call) {
  const auto account = named_account(call);
  if (!account) return fail(account.error());
  return account_reply(200, *account);
}

Result<Reply> change_account(Call& call) {
  const auto patch = parse_patch(call.request.body, false);
  if (!patch) return fail(patch.error());
  const auto account = named_account(call);
  if (!account) return fail(account.error());
  const auto done = changed(call, account->id, *patch);
  if (!done) return fail(done.error());
  return account_reply(200, done->account);
}

Result<Reply> delete_account(Call& call) {
  const auto account = named_account(call);
  if (!account) return fail(account.error());
  const auto done = call.store().delete_account(account->id, if_match<Account>(call), call.actor());
  if (!done) return fail(done.error());
  note_change(call, done->moved);
  return Reply{.status = 204, .body = {}, .content_type = {}};
}

Result<Reply> reset_password(Call& call) {
  auto fields = Fields::of(call.request.body);
  if (!fields) return fail(fields.error());
  const auto password = fields->text("password", kMostPassword);
  if (const auto valid = fields->done(); !valid) return fail(valid.error());
  const auto account = named_account(call);
  if (!account) return fail(account.error());
  if (account->id == call.caller->account.id)
    return fail(Errc::Forbidden, "this sets the password of somebody else: PUT /v1/me/password changes one's own");
  const auto hash = hash_of_new(call.app, password, account->email);
  if (!hash) return fail(hash.error());
  const auto done = call.store().reset_password(account->id, *hash, call.actor());
  if (!done) return fail(done.error());
  note_change(call, {});
  return account_reply(200, *done);
}

Result<Reply> grant_super_admin(Call& call) { return switch_super_admin(call, true); }
Result<Reply> revoke_super_admin(Call& call) { return switch_super_admin(call, false); }

Result<Reply> unlock_account(Call& call) {
  const auto account = named_account(call);
  if (!account) return fail(account.error());
  const auto done = call.store().unlock(account->id, call.actor());
  if (!done) return fail(done.error());
  return account_reply(200, *done);
}

Result<Reply> change_me(Call& call) {
  const auto patch = parse_patch(call.request.body, true);
  if (!patch) return fail(patch.error());
  const auto done = changed(call, call.caller->account.id, *patch);
  if (!done) return fail(done.error());
  return account_reply(200, done->account);
}

}  // namespace rosterd::http
