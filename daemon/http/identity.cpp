#include "daemon/http/identity.hpp"

#include <algorithm>
#include <cstring>

#include "daemon/http/problem.hpp"
#include "daemon/http/token.hpp"

namespace rosterd::http {
namespace {

using Steady = std::chrono::steady_clock;

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    return (x >= 'A' && x <= 'Z' ? static_cast<char>(x + 32) : x) == (y >= 'A' && y <= 'Z' ? static_cast<char>(y + 32) : y);
  });
}

}  // namespace

std::uint64_t key_of(const TokenLookup& token) {
  std::uint64_t key = 0;
  std::memcpy(&key, token.hash.data(), std::min(sizeof key, token.hash.size()));
  return key;
}

namespace {

Result<std::string> hash_of_token(App& app, std::string_view authorization) {
  auto known = app.token_hashes.find(authorization);
  if (!known.empty()) return known;
  constexpr std::string_view kScheme = "Bearer ";
  if (authorization.size() <= kScheme.size() || !equals_ignoring_case(authorization.substr(0, kScheme.size()), kScheme))
    return fail(unauthenticated());
  auto token = authorization.substr(kScheme.size());
  while (token.starts_with(' ')) token.remove_prefix(1);
  if (!plausible(token)) return fail(unauthenticated());
  auto hash = token_hash(token, app.services.token_pepper);
  app.token_hashes.put(authorization, hash);
  return hash;
}

}  // namespace

Result<TokenLookup> look_up_token(App& app, std::string_view authorization) {
  auto hash = hash_of_token(app, authorization);
  if (!hash) return fail(hash.error());
  TokenLookup out{.hash = std::move(*hash), .hit = {}};
  out.hit = app.callers.find(out.hash);
  if (out.hit && out.hit->refresh) {
    app.background.post([&app, hash = out.hash] {
      const auto asked = Steady::now();
      // An error leaves the entry to its age; then a request asks for itself and says what is wrong.
      if (auto found = app.services.store.find_caller(hash)) {
        if (*found)
          app.callers.put(hash, std::make_shared<const Caller>(std::move(**found)), asked);
        else
          app.callers.erase(hash);
      }
    });
  }
  return out;
}

Result<std::shared_ptr<const Caller>> ask_for_caller(App& app, const TokenLookup& token) {
  const auto asked = Steady::now();
  auto found = app.services.store.find_caller(token.hash);
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
}

StandingLookup look_up_standing(App& app, const TenantId& tenant, AccountId account) {
  StandingLookup out{.tenant = tenant, .account = account, .key = {}, .hit = {}};
  out.key.append(tenant.value).append("/").append(std::to_string(account.value));
  out.hit = app.standings.find(out.key);
  if (out.hit && out.hit->refresh) {
    app.background.post([&app, key = out.key, tenant, account] {
      const auto asked = Steady::now();
      const auto found = app.services.store.linked_user(tenant, account);
      if (found)
        app.standings.put(key, {.exists = true, .user = *found}, asked);
      else if (found.error().code == Errc::NotFound)
        app.standings.put(key, {}, asked);
    });
  }
  return out;
}

Result<Standing> ask_for_standing(App& app, const StandingLookup& place) {
  const auto asked = Steady::now();
  const auto found = app.services.store.linked_user(place.tenant, place.account);
  Standing out;
  if (found) {
    out = {.exists = true, .user = *found};
  } else if (found.error().code != Errc::NotFound) {
    const auto& hit = place.hit;
    if (found.error().code == Errc::Unavailable && hit && hit->age < app.options.max_snapshot_age) return hit->value;
    return fail(found.error(), "looking up the caller in the tenant");
  }
  app.standings.put(place.key, out, asked);
  return out;
}

}  // namespace rosterd::http
