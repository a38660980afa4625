#include "daemon/http/scim/pusher.hpp"

#include "daemon/http/app.hpp"
#include "daemon/http/identity.hpp"
#include "daemon/http/problem.hpp"
#include "daemon/sync/guard.hpp"
#include "daemon/sync/mapping.hpp"

namespace rosterd::http::scim {
namespace {

using Steady = std::chrono::steady_clock;
using Known = std::shared_ptr<const KnownPusher>;

/// Null for no such token.
Result<Known> ask(App& app, const std::string& hash) {
  auto found = app.services.store.find_pusher(hash);
  if (!found) return tl::unexpected(found.error());
  auto& pusher = *found;
  if (!pusher) return Known();
  auto rules = rules_of(pusher->guard, pusher->role_mappings);
  if (!rules) return tl::unexpected(rules.error());
  return std::make_shared<const KnownPusher>(KnownPusher{.pusher = std::move(*pusher), .rules = std::move(*rules)});
}

Result<Known> find(App& app, const std::string& hash) {
  const auto asked = app.pushers.asking();
  auto known = ask(app, hash);
  if (!known) return fail(known.error(), "looking up the source's token");
  if (!*known) {
    app.pushers.erase(hash);
    return fail(unauthenticated());
  }
  app.pushers.put(hash, *known, asked);
  return known;
}

}  // namespace

Result<PushRules> rules_of(const Guard& guard, const std::vector<RoleMapping>& mappings) {
  auto compiled = sync::Mappings::compile(mappings);
  if (!compiled) return tl::unexpected(compiled.error());
  const auto shared = std::make_shared<sync::Mappings>(std::move(*compiled));
  PushRules out;
  out.limit = [guard](std::uint64_t active) { return sync::limit(guard, active); };
  out.loses_too_many = sync::loses_too_many;
  out.roles = [shared](std::string_view name) -> std::optional<std::vector<MappedRole>> {
    std::vector<MappedRole> roles;
    if (shared->empty()) return roles;
    const auto answer = shared->match(name);
    if (answer.undecided) return std::nullopt;
    for (const auto& one : answer.roles) roles.push_back({.role = shared->rules()[one.mapping].role, .ns = one.ns});
    return roles;
  };
  return out;
}

Result<std::optional<Reply>> recognize(Call& call) {
  auto& app = call.app;
  const auto remote = call.request.remote;
  const auto hash = bearer_hash(app, call.request.headers.authorization);
  const auto hit = hash ? app.pushers.find(*hash) : std::nullopt;
  Known known;
  if (hit && hit->fresh) {
    known = hit->value;
    if (hit->refresh)
      app.background.post([&app, hash = *hash] {
        // An error leaves the entry to its age; then a request asks for itself.
        (void)find(app, hash);
      });
  } else {
    if (!hit)
      if (auto refused = app.limits.look(Limit::Failures, app.limits.key_of(remote), remote)) return refused;
    auto found = hash ? find(app, *hash) : Result<Known>(tl::unexpected(hash.error()));
    if (!found) {
      if (found.error().code == Errc::Unauthorized) (void)app.limits.take(Limit::Failures, app.limits.key_of(remote), remote);
      return tl::unexpected(found.error());
    }
    known = std::move(*found);
  }
  if (known->pusher.tenant.value != call.param("t")) return fail(unauthenticated());
  call.caller_key = key_of({.hash = *hash, .session = false, .hit = {}});
  if (!known->pusher.enabled)
    return fail_as("source_disabled", Errc::Forbidden, "the source {} is disabled in rosterd", known->pusher.source_name);
  call.tenant = known->pusher.tenant;
  call.pusher = std::move(known);
  return std::nullopt;
}

}  // namespace rosterd::http::scim
