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
/// What the store knows; while it is away, what was known last, for a bounded time (K6).
[[nodiscard]] Result<std::shared_ptr<const Caller>> ask_for_caller(App& app, const TokenLookup& token);

/// Forbidden "password_change_required" for a session whose account must change its password first (R66).
[[nodiscard]] Result<void> may_act(const Caller& caller);

/// A service account is somebody in its own tenant alone (R51).
[[nodiscard]] Standing standing_of(const CallingService& service, const TenantId& tenant);

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
