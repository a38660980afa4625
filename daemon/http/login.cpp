#include "daemon/http/handlers.hpp"
#include "daemon/http/identity.hpp"
#include "daemon/http/problem.hpp"
#include "daemon/http/render.hpp"
#include "daemon/http/sign_in.hpp"
#include "daemon/http/token.hpp"
#include "schema/core/text.hpp"

namespace rosterd::http {
namespace {

Error refused() { return {.code = Errc::Unauthorized, .what = "the e-mail or the password is wrong", .slug = {}}; }

}  // namespace

bool is_https(const App& app) { return !app.options.tls_certificate_file.empty() || app.options.public_url.starts_with("https://"); }

/// Lax: links from elsewhere arrive signed in, requests that change something need X-Rosterd-Csrf besides.
std::string session_cookie_text(const App& app, std::string_view value, Millis age) {
  return fmt::format("{}={}; Path=/; HttpOnly; SameSite=Lax; Max-Age={}{}", kSessionCookie, value, age.count() / 1000,
                     is_https(app) ? "; Secure" : "");
}

Result<std::string> hash_of_new(App& app, const std::string& password, const std::string& email) {
  if (const auto good = judge_password(app.options.accounts.policy, password, email); !good) return fail(good.error());
  const auto turn = app.passwords.turn();
  if (!turn) return fail(turn.error());
  return turn->hash(password);
}

Result<Judged> judge_sign_in(Call& call, const std::string& email, const std::string& password, const Actor& actor) {
  const auto& lockout = call.app.options.accounts.lockout;
  // The turn comes first, so that whoever gets none has not used up an attempt.
  const auto turn = call.app.passwords.turn();
  if (!turn) return fail(turn.error());
  auto attempt = call.store().begin_attempt(email, lockout);
  if (!attempt) return fail(attempt.error());
  Judged out{.attempt = std::move(*attempt), .right = false, .better_hash = {}};
  if (out.attempt.locked_for) return out;
  out.right = turn->matches(out.attempt.password_hash, password);
  if (!out.right) {
    const auto noted = call.store().fail_attempt(email, lockout, actor);
    if (!noted) return fail(noted.error());
  } else if (call.app.passwords.is_outdated(out.attempt.password_hash)) {
    if (auto better = turn->hash(password)) out.better_hash = std::move(*better);
  }
  return out;
}

Result<Reply> log_in(Call& call) {
  auto fields = Fields::of(call.request.body);
  if (!fields) return fail(fields.error());
  const auto email = fields->text("email", 254);
  const auto password = fields->text("password", kMostPassword);
  const bool cookie = fields->flag("cookie").value_or(false);
  if (const auto valid = fields->done(); !valid) return fail(valid.error());
  auto actor = call.actor();
  actor.by = "password";
  const auto judged = judge_sign_in(call, email, password, actor);
  if (!judged) return fail(judged.error());
  const auto& attempt = judged->attempt;
  if (attempt.locked_for) return too_many_attempts(*attempt.locked_for);
  if (!judged->right) return fail(refused());
  const auto& options = call.app.options.accounts;
  const auto secret = make_token(SecretKind::Session);
  const auto session = call.store().sign_in(
      judged->attempt,
      {.hash = token_hash(secret, call.app.services.token_pepper), .lifetime = options.session_lifetime, .idle = options.session_idle},
      judged->better_hash, actor);
  if (!session && session.error().code == Errc::Unauthorized) return fail(refused());
  if (!session) return fail(session.error());
  const auto account = attempt.account.value_or(Account{});  // there is one, since its password was right
  auto body = nlohmann::json{{"account", to_json(account)},
                             {"session", {{"id", text(session->id)}, {"ends_at", rfc3339(session->ends_at)}}},
                             {"must_change_password", account.must_change_password}};
  // Whoever asks for the cookie is a page, and no script of it needs to see the secret.
  body["token"] = cookie ? nlohmann::json(nullptr) : nlohmann::json(secret);
  auto out = ok(body);
  if (cookie) out.headers.emplace_back("Set-Cookie", session_cookie_text(call.app, secret, options.session_lifetime));
  out.headers.emplace_back("Cache-Control", "no-store");
  return out;
}

Result<Reply> log_out(Call& call) {
  if (!call.caller->session)
    return fail(Errc::InvalidInput, "this ends a session, and the caller has an API token: DELETE /v1/me/tokens/{{id}} revokes that");
  const auto& session = call.caller->session->id;
  const auto& users = call.caller->users;
  const auto done = users.empty() ? call.store().end_session(session, call.actor())
                                  : call.store().end_user_session(users.front().tenant, session, call.actor());
  if (!done) return fail(done.error());
  call.app.callers.clear();  // at once here, within a second on other replicas
  Reply out{.status = 204, .body = {}, .content_type = {}};
  out.headers.emplace_back("Set-Cookie", session_cookie_text(call.app, "", Millis(0)));
  return out;
}

Result<Reply> change_own_password(Call& call) {
  auto fields = Fields::of(call.request.body);
  if (!fields) return fail(fields.error());
  const auto& account = call.caller->account;
  const auto old = fields->optional_text("old", kMostPassword);
  const auto fresh = fields->text("new", kMostPassword);
  const auto now = call.store().account(text(account.id));
  if (!now) return fail(now.error());
  if (!old && now->has_password) fields->problem("old", "is missing");
  if (const auto valid = fields->done(); !valid) return fail(valid.error());
  if (now->has_password) {
    const auto judged = judge_sign_in(call, now->email, old.value_or(""), call.actor());
    if (!judged) return fail(judged.error());
    if (const auto& locked_for = judged->attempt.locked_for) return too_many_attempts(*locked_for);
    if (!judged->right) return fail_as("wrong_password", Errc::Forbidden, "old: is not the password");
  }
  const auto hash = hash_of_new(call.app, fresh, now->email);
  if (!hash) return fail(hash.error());
  const auto kept = call.caller->session ? std::optional(call.caller->session->id) : std::nullopt;
  const auto done = call.store().change_password(account.id, *hash, kept, call.actor());
  if (!done) return fail(done.error());
  call.app.callers.clear();
  return Reply{.status = 204, .body = {}, .content_type = {}};
}

}  // namespace rosterd::http
