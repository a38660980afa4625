// Signing in through a provider with a browser: off to it, and back with a session (OpenID Connect, authorization code with PKCE). What the
// browser keeps in between is a sealed cookie, so that the answer is good for this browser alone, and any replica can take it.

#include "daemon/http/handlers.hpp"
#include "daemon/http/identity.hpp"
#include "daemon/http/json.hpp"
#include "daemon/http/problem.hpp"
#include "daemon/http/render.hpp"
#include "daemon/http/sign_in.hpp"
#include "daemon/http/token.hpp"
#include "schema/core/log.hpp"
#include "schema/core/text.hpp"

namespace rosterd::http {
namespace {

using Steady = std::chrono::steady_clock;

constexpr std::string_view kLoginCookie = "rosterd_login_";  // and the beginning of the state: two tabs may sign in at once
constexpr std::size_t kStateInName = 12;
constexpr auto kPatience = std::chrono::seconds(20);  // with the provider
constexpr int kMinutes = 10;                          // for a person at the provider

Error no_such_login() { return {.code = Errc::NotFound, .what = "nobody can sign in here like that", .slug = {}}; }

Result<Issuers*> issuers(Call& call) {
  if (call.app.services.issuers == nullptr) return fail(no_such_login());
  return call.app.services.issuers;
}

/// A path of this server and nothing else: what a browser takes for another host ("//host", "/\host", "/%09/host") is none.
Result<std::string> return_path(const Call& call) {
  const auto* given = call.query("return_to");
  if (given == nullptr || given->empty()) return std::string("/");
  const auto& path = *given;
  const bool local = path.size() <= 512 && path.front() == '/' && !path.starts_with("//") && path.find('\\') == std::string::npos &&
                     path.find("//") == std::string::npos && !has_control_characters(path) && path.find(' ') == std::string::npos;
  for (const char c : path)
    if (!local || static_cast<unsigned char>(c) >= 0x80)
      return fail(Errc::InvalidInput, "return_to: must be a path of this server, such as /console");
  return path;
}

std::string cookie_name(std::string_view state) { return std::string(kLoginCookie) + std::string(state.substr(0, kStateInName)); }

std::string login_cookie(const App& app, std::string_view state, std::string_view value, int seconds) {
  return fmt::format("{}={}; Path=/v1/login/oidc; HttpOnly; SameSite=Lax; Max-Age={}{}", cookie_name(state), value, seconds,
                     is_https(app) ? "; Secure" : "");
}

/// The account whose session the browser has; 0 = none, or one of a user without an account.
AccountId account_of_browser(Call& call) {
  if (!has_session_cookie(call.request)) return {};
  const auto token = look_up_request(call.app, call.request);
  if (!token) return {};
  const auto caller = ask_for_caller(call.app, *token);
  return caller && (*caller)->session ? (*caller)->account.id : AccountId{};
}

Result<Reply> begin(Call& call, std::optional<TenantId> tenant, std::string_view source) {
  const auto behind = issuers(call);
  if (!behind) return fail(behind.error());
  auto path = return_path(call);
  if (!path) return fail(path.error());
  const auto link = call.query_flag("link");
  if (!link) return fail(link.error());
  LoginWanted wanted{.tenant = std::move(tenant), .source = std::string(source), .return_to = std::move(*path), .link = {}};
  if (*link) {
    wanted.link = account_of_browser(call);
    if (!wanted.link) return fail(Errc::Unauthorized, "link: sign in with the account first");
  }
  const auto start = (*behind)->begin_login(wanted, Steady::now() + kPatience);
  if (!start) return fail(start.error());
  Reply out{.status = 302, .body = {}, .content_type = {}};
  out.headers.emplace_back("Location", start->location);
  out.headers.emplace_back("Set-Cookie", login_cookie(call.app, start->state, start->sealed, kMinutes * 60));
  out.headers.emplace_back("Cache-Control", "no-store");
  out.headers.emplace_back("Referrer-Policy", "no-referrer");
  return out;
}

Result<Reply> finish(Call& call, std::optional<TenantId> tenant, std::string_view source) {
  const auto behind = issuers(call);
  if (!behind) return fail(behind.error());
  const auto text_of = [&](std::string_view name) {
    const auto* value = call.query(name);
    return value == nullptr ? std::string() : *value;
  };
  LoginAnswer answer{.tenant = std::move(tenant),
                     .source = std::string(source),
                     .code = text_of("code"),
                     .state = text_of("state"),
                     .error = text_of("error"),
                     .issuer = text_of("iss"),
                     .sealed = {},
                     .signed_in = account_of_browser(call)};
  if (answer.state.size() < kStateInName)
    return fail_as("sign_in_failed", Errc::Unauthorized, "this answer belongs to no sign-in of this browser");
  answer.sealed = std::string(cookie_value(call.request.headers.cookie, cookie_name(answer.state)));
  const auto secret = make_token(SecretKind::Session);
  const auto& options = call.app.options.accounts;
  auto actor = call.actor();
  actor.by = "issuer";
  const auto done = (*behind)->finish_login(
      answer,
      {.hash = token_hash(secret, call.app.services.token_pepper), .lifetime = options.session_lifetime, .idle = options.session_idle},
      actor, Steady::now() + kPatience);
  if (!done) {
    log::info("issuer.sign_in_refused",
              {{"tenant", answer.tenant ? answer.tenant->value : std::string()}, {"source", answer.source}, {"reason", done.error().what}});
    if (done.error().code == Errc::Unauthorized)
      (void)call.app.limits.take(Limit::Failures, call.app.limits.key_of(call.request.remote), call.request.remote);
    auto refused = problem(done.error());
    refused.headers.emplace_back("Set-Cookie", login_cookie(call.app, answer.state, "", 0));
    refused.headers.emplace_back("Cache-Control", "no-store");
    return refused;
  }
  call.app.standings.clear();
  Reply out{.status = 302, .body = {}, .content_type = {}};
  out.headers.emplace_back("Location", done->return_to);
  out.headers.emplace_back("Set-Cookie", login_cookie(call.app, answer.state, "", 0));
  if (done->session) out.headers.emplace_back("Set-Cookie", session_cookie_text(call.app, secret, options.session_lifetime));
  out.headers.emplace_back("Cache-Control", "no-store");
  out.headers.emplace_back("Referrer-Policy", "no-referrer");
  return out;
}

/// What the path names; nobody hears whether a tenant exists that cannot be signed in to (R4).
Result<TenantId> tenant_of(const Call& call) {
  const auto id = call.param("t");
  if (!is_slug(id) || !is_slug(call.param("s"))) return fail(no_such_login());
  return TenantId{std::string(id)};
}

}  // namespace

Result<Reply> begin_instance_login(Call& call) { return begin(call, std::nullopt, {}); }

Result<Reply> finish_instance_login(Call& call) { return finish(call, std::nullopt, {}); }

Result<Reply> begin_tenant_login(Call& call) {
  auto tenant = tenant_of(call);
  if (!tenant) return fail(tenant.error());
  return begin(call, std::move(*tenant), call.param("s"));
}

Result<Reply> finish_tenant_login(Call& call) {
  auto tenant = tenant_of(call);
  if (!tenant) return fail(tenant.error());
  return finish(call, std::move(*tenant), call.param("s"));
}

namespace {

/// The account of the path, and the issuer that accounts sign in through.
struct Identity {
  Account account;
  std::string issuer;
};
Result<Identity> identity_in(Call& call) {
  auto account = call.store().account(call.param("a"));
  if (!account) return fail(account.error());
  const auto behind = issuers(call);
  auto issuer = behind ? (*behind)->instance_issuer() : std::string();
  if (issuer.empty())
    return fail(Errc::Conflict, "accounts have no issuer to sign in through: set sign_in.issuer in rosterd's configuration");
  return Identity{.account = std::move(*account), .issuer = std::move(issuer)};
}

}  // namespace

Result<Reply> get_identity(Call& call) {
  const auto identity = identity_in(call);
  if (!identity) return fail(identity.error());
  const auto subject = call.store().identity_of(identity->account.id, identity->issuer);
  if (!subject) return fail(subject.error());
  const auto& known = *subject;
  return ok({{"issuer", identity->issuer}, {"subject", known ? nlohmann::json(*known) : nlohmann::json(nullptr)}});
}

Result<Reply> set_identity(Call& call) {
  auto fields = Fields::of(call.request.body);
  if (!fields) return fail(fields.error());
  const auto subject = fields->text("subject");
  if (const auto valid = fields->done(); !valid) return fail(valid.error());
  const auto identity = identity_in(call);
  if (!identity) return fail(identity.error());
  const auto done = call.store().set_identity(identity->account.id, identity->issuer, subject, call.actor());
  if (!done) return fail(done.error());
  call.app.callers.clear();
  return ok({{"issuer", identity->issuer}, {"subject", subject}});
}

Result<Reply> remove_identity(Call& call) {
  const auto identity = identity_in(call);
  if (!identity) return fail(identity.error());
  const auto done = call.store().set_identity(identity->account.id, identity->issuer, std::nullopt, call.actor());
  if (!done) return fail(done.error());
  call.app.callers.clear();
  return Reply{.status = 204, .body = {}, .content_type = {}};
}

}  // namespace rosterd::http
