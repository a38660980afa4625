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
  std::optional<ShortCache<std::shared_ptr<const Caller>>::Hit> hit;
};
/// By which the limits know him.
[[nodiscard]] std::uint64_t key_of(const TokenLookup& token);
/// What the cache knows; Unauthorized for what can be no token (R54: the store never hears of it).
[[nodiscard]] Result<TokenLookup> look_up_token(App& app, std::string_view authorization);
/// What the store knows; while it is away, what was known last, for a bounded time (K6).
[[nodiscard]] Result<std::shared_ptr<const Caller>> ask_for_caller(App& app, const TokenLookup& token);

struct StandingLookup {
  TenantId tenant;
  AccountId account;
  std::string key;
  std::optional<ShortCache<Standing>::Hit> hit;
};
[[nodiscard]] StandingLookup look_up_standing(App& app, const TenantId& tenant, AccountId account);
[[nodiscard]] Result<Standing> ask_for_standing(App& app, const StandingLookup& place);

}  // namespace rosterd::http
