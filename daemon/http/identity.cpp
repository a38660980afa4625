#include "daemon/http/identity.hpp"

#include <algorithm>
#include <cstring>

#include "daemon/http/problem.hpp"
#include "daemon/http/token.hpp"

namespace rosterd::http {
namespace {

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    return (x >= 'A' && x <= 'Z' ? static_cast<char>(x + 32) : x) == (y >= 'A' && y <= 'Z' ? static_cast<char>(y + 32) : y);
  });
}

/// A tenant that is there, and the user an account is in it, if any.
Standing as_user(const std::optional<PrincipalId>& user) {
  return {.exists = true, .self = user ? std::optional(Principal{PrincipalType::User, *user}) : std::nullopt};
}

}  // namespace

Standing standing_of(const CallingService& service, const TenantId& tenant) {
  if (service.tenant != tenant) return {};
  return {.exists = true, .self = Principal{PrincipalType::ServiceAccount, service.id}};
}

std::uint64_t key_of(const TokenLookup& token) {
  std::uint64_t key = 0;
  std::memcpy(&key, token.hash.data(), std::min(sizeof key, token.hash.size()));
  return key;
}

namespace {

Result<std::optional<Caller>> ask_store(const App& app, const std::string& hash, bool session) {
  return session ? app.services.store.find_session(hash) : app.services.store.find_caller(hash);
}

Result<std::string> hash_of_secret(App& app, std::string_view secret, SecretKind kind) {
  auto known = app.token_hashes.find(secret);
  if (!known.empty()) return known;
  if (!plausible(secret, kind)) return fail(unauthenticated());
  auto hash = token_hash(secret, app.services.token_pepper);
  app.token_hashes.put(secret, hash);
  return hash;
}

Result<TokenLookup> look_up_secret(App& app, std::string_view secret) {
  const bool session = secret.starts_with("rss_");
  auto hash = hash_of_secret(app, secret, session ? SecretKind::Session : SecretKind::Token);
  if (!hash) return fail(hash.error());
  TokenLookup out{.hash = std::move(*hash), .session = session, .hit = {}};
  out.hit = app.callers.find(out.hash);
  if (out.hit && out.hit->refresh) {
    app.background.post([&app, hash = out.hash, session] {
      const auto asked = app.callers.asking();
      // An error leaves the entry to its age; then a request asks for itself and says what is wrong.
      if (auto found = ask_store(app, hash, session)) {
        if (*found)
          app.callers.put(hash, std::make_shared<const Caller>(std::move(**found)), asked);
        else
          app.callers.erase(hash);
      }
    });
  }
  return out;
}

/// The value of the session's cookie in "a=b; rosterd_session=…" (RFC 6265 §4.2.1).
std::string_view session_cookie(std::string_view cookies) {
  while (!cookies.empty()) {
    const auto end = cookies.find(';');
    auto one = cookies.substr(0, end);
    while (one.starts_with(' ')) one.remove_prefix(1);
    if (one.starts_with(kSessionCookie) && one.substr(kSessionCookie.size()).starts_with('=')) return one.substr(kSessionCookie.size() + 1);
    cookies = end == std::string_view::npos ? std::string_view{} : cookies.substr(end + 1);
  }
  return {};
}

}  // namespace

bool has_session_cookie(const Request& request) { return !session_cookie(request.headers.cookie).empty(); }

namespace {

/// Behind "Bearer"; empty for another scheme.
std::string_view bearer(std::string_view authorization) {
  constexpr std::string_view kScheme = "Bearer ";
  if (authorization.size() <= kScheme.size() || !equals_ignoring_case(authorization.substr(0, kScheme.size()), kScheme)) return {};
  auto token = authorization.substr(kScheme.size());
  while (token.starts_with(' ')) token.remove_prefix(1);
  return token;
}

}  // namespace

Result<TokenLookup> look_up_token(App& app, std::string_view authorization) {
  const auto token = bearer(authorization);
  if (token.empty()) return fail(unauthenticated());
  return look_up_secret(app, token);
}

Result<std::string> bearer_hash(App& app, std::string_view authorization) {
  return hash_of_secret(app, bearer(authorization), SecretKind::Token);
}

Result<TokenLookup> look_up_request(App& app, const Request& request) {
  const auto& headers = request.headers;
  const auto cookie = headers.authorization.empty() ? session_cookie(headers.cookie) : std::string_view{};
  if (cookie.empty()) return look_up_token(app, headers.authorization);
  if (!plausible(cookie, SecretKind::Session)) return fail(unauthenticated());
  if (request.method != "GET" && request.method != "HEAD" && headers.csrf.empty())
    return fail_as("csrf_header_required", Errc::Forbidden,
                   "a change that is authenticated by the cookie needs the header X-Rosterd-Csrf, with any value");
  return look_up_secret(app, cookie);
}

Result<void> may_act(const Caller& caller) {
  if (!caller.session || !caller.account.must_change_password) return {};
  return fail_as("password_change_required", Errc::Forbidden,
                 "the password was set by somebody else: change it (PUT /v1/me/password), then everything else answers");
}

Result<std::shared_ptr<const Caller>> ask_for_caller(App& app, const TokenLookup& token) {
  const auto asked = app.callers.asking();
  return app.caller_questions.share(token.hash, asked.moment, [&]() -> Result<std::shared_ptr<const Caller>> {
    auto found = ask_store(app, token.hash, token.session);
    if (!found) {
      const auto& hit = token.hit;
      if (found.error().code == Errc::Unavailable && hit && hit->age < app.options.max_snapshot_age) return hit->value;
      return fail(found.error(), "looking up the token");
    }
    if (!*found) {
      app.callers.erase(token.hash);
      return fail(unauthenticated());
    }
    auto caller = std::make_shared<const Caller>(std::move(**found));
    app.callers.put(token.hash, caller, asked);
    return caller;
  });
}

StandingLookup look_up_standing(App& app, const TenantId& tenant, AccountId account) {
  StandingLookup out{.tenant = tenant, .account = account, .key = {}, .hit = {}};
  out.key.append(tenant.value).append("/").append(std::to_string(account.value));
  out.hit = app.standings.find(out.key);
  if (out.hit && out.hit->refresh) {
    app.background.post([&app, key = out.key, tenant, account] {
      const auto asked = app.standings.asking();
      const auto found = app.services.store.linked_user(tenant, account);
      if (found)
        app.standings.put(key, as_user(*found), asked);
      else if (found.error().code == Errc::NotFound)
        app.standings.put(key, {}, asked);
    });
  }
  return out;
}

Result<Standing> ask_for_standing(App& app, const StandingLookup& place) {
  const auto asked = app.standings.asking();
  return app.standing_questions.share(place.key, asked.moment, [&]() -> Result<Standing> {
    const auto found = app.services.store.linked_user(place.tenant, place.account);
    Standing out;
    if (found) {
      out = as_user(*found);
    } else if (found.error().code != Errc::NotFound) {
      const auto& hit = place.hit;
      if (found.error().code == Errc::Unavailable && hit && hit->age < app.options.max_snapshot_age) return hit->value;
      return fail(found.error(), "looking up the caller in the tenant");
    }
    app.standings.put(place.key, out, asked);
    return out;
  });
}

}  // namespace rosterd::http
