#pragma once
// Who asks, and who that is in a tenant: first from the short caches, then from the store. Two steps, so that who cannot wait for the
// store need not.

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "daemon/http/app.hpp"

namespace rosterd::http {

struct TokenLookup {
  std::string hash;
  bool session = false;  ///< the secret of a session, not an API token
  std::string jwt = {};  ///< an issuer's token, as long as the cache does not do
  std::optional<ShortCache<std::shared_ptr<const Caller>>::Hit> hit;
};
/// By which the limits know him.
[[nodiscard]] std::uint64_t key_of(const TokenLookup& token);
/// What the cache knows; Unauthorized for what can be no token (R54: the store never hears of it).
[[nodiscard]] Result<TokenLookup> look_up_token(App& app, std::string_view authorization);
/// The same for a request that a browser sends: `Authorization`, or else the session's cookie. A cookie travels whether or not the user
/// meant it, so what changes something needs X-Rosterd-Csrf beside it (Forbidden "csrf_header_required").
[[nodiscard]] Result<TokenLookup> look_up_request(App& app, const Request& request);
inline constexpr std::string_view kSessionCookie = "rosterd_session";
[[nodiscard]] bool has_session_cookie(const Request& request);
/// The hash of a bearer token that has the form of an API token; Unauthorized for anything else.
[[nodiscard]] Result<std::string> bearer_hash(App& app, std::string_view authorization);
/// The value of a cookie in "a=b; c=d" (RFC 6265 §4.2.1); empty without it.
[[nodiscard]] std::string_view cookie_value(std::string_view cookies, std::string_view name);
/// What the store knows; while it is away, what was known last, for a bounded time (K6).
[[nodiscard]] Result<std::shared_ptr<const Caller>> ask_for_caller(App& app, const TokenLookup& token);

/// Forbidden "password_change_required" for a session whose account must change its password first (R66).
[[nodiscard]] Result<void> may_act(const Caller& caller);

/// Of a caller without an account: a service account is somebody in its own tenant alone (R51), and so is whom a tenant's issuer vouches
/// for. None for accounts, whose links are asked for.
[[nodiscard]] std::optional<Standing> standing_without_account(const Caller& caller, const TenantId& tenant);
/// The same for somebody whom the tenant does not know yet, and makes now if its source lets him in (R91).
[[nodiscard]] Result<Standing> join_tenant(App& app, std::string_view authorization, const Caller& caller, const TenantId& tenant,
                                           const Actor& actor);
/// Whether join_tenant is to be asked: he is nobody yet, and may become somebody.
[[nodiscard]] bool may_join(const Caller& caller, const TenantId& tenant);

struct StandingLookup {
  TenantId tenant;
  AccountId account;
  std::string key;
  std::optional<ShortCache<Standing>::Hit> hit;
};
[[nodiscard]] StandingLookup look_up_standing(App& app, const TenantId& tenant, AccountId account);
[[nodiscard]] Result<Standing> ask_for_standing(App& app, const StandingLookup& place);

/// For answers that take long, and last longer than the right to them may: whether that caller still is one and still holds the pair in the
/// tenant, or, without a tenant, is a super admin.
[[nodiscard]] Result<void> may_still(App& app, const std::string& token_hash, bool session, const TenantId& tenant,
                                     std::string_view permission, std::string_view action);

}  // namespace rosterd::http
