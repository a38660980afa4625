#include "daemon/http/app.hpp"

#include <algorithm>
#include <charconv>
#include <exception>

#include "daemon/http/front.hpp"
#include "daemon/http/handlers.hpp"
#include "daemon/http/identity.hpp"
#include "daemon/http/problem.hpp"
#include "daemon/http/router.hpp"
#include "schema/core/hash.hpp"
#include "schema/core/log.hpp"
#include "schema/core/text.hpp"

namespace rosterd::http {
namespace {

using Steady = std::chrono::steady_clock;

const Router& router() {
  static const Router made = [] {
    Router out;
    int index = 0;
    for (const auto& route : routes()) out.add(route.method, route.path, index++);
    return out;
  }();
  return made;
}

/// The caller's X-Request-ID when it is usable in a log line and a header, else one of ours: a random start per process, then counted.
std::string request_id(std::string_view given) {
  if (!given.empty() && given.size() <= 128 &&
      given.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.:/+=") == std::string_view::npos)
    return std::string(given);
  static std::atomic<std::uint64_t> next{random_u64()};
  return fmt::format("{:016x}", next.fetch_add(1));
}

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    return (x >= 'A' && x <= 'Z' ? static_cast<char>(x + 32) : x) == (y >= 'A' && y <= 'Z' ? static_cast<char>(y + 32) : y);
  });
}

Error no_thread_to_wait() {
  return {.code = Errc::Unavailable, .what = "too many requests are waiting already; try again", .slug = "busy"};
}

/// What the short cache holds of a token; null where there is no token, or nothing is held.
const ShortCache<std::shared_ptr<const Caller>>::Hit* held(const Result<TokenLookup>& token) {
  if (!token) return nullptr;
  const auto& hit = token->hit;
  return hit ? &*hit : nullptr;
}

/// Sets the caller. Some: the answer for whoever has failed to say who he is too often.
Result<std::optional<Reply>> authenticate(Call& call, std::shared_ptr<const Caller>& caller) {
  auto& app = call.app;
  const auto token = look_up_request(app, call.request);
  const auto* hit = held(token);
  if (hit != nullptr && hit->fresh) {
    caller = hit->value;
  } else {
    const auto remote = call.request.remote;
    // Tokens that were good a while ago are still asked for, lest a flood from behind the same proxy shuts out those who are known.
    if (hit == nullptr)
      if (auto refused = app.limits.look(Limit::Failures, app.limits.key_of(remote), remote)) return refused;
    std::optional<Slots::Slot> slot;  // an issuer's keys may have to be waited for
    if (token && !token->jwt.empty() && !(slot = app.waiting.take())) return fail(no_thread_to_wait());
    auto found = token ? ask_for_caller(app, *token) : fail(token.error());
    if (!found) {
      if (found.error().code == Errc::Unauthorized) (void)app.limits.take(Limit::Failures, app.limits.key_of(remote), remote);
      return fail(found.error());
    }
    caller = std::move(*found);
  }
  call.caller = caller.get();
  call.caller_key = key_of(*token);
  return std::nullopt;
}

bool answers_from_memory(const Route& route);

Result<Standing> known_standing(App& app, const TenantId& tenant, const Caller& caller) {
  if (const auto fixed = standing_without_account(caller, tenant)) return *fixed;
  const auto place = look_up_standing(app, tenant, caller.account.id);
  if (place.hit && place.hit->fresh) return place.hit->value;
  return ask_for_standing(app, place);
}

Result<Standing> standing(Call& call, const TenantId& tenant, const Route& route) {
  auto& app = call.app;
  const auto& caller = *call.caller;
  if (may_join(caller, tenant)) {
    std::optional<Slots::Slot> slot;
    if (answers_from_memory(route) && !(slot = app.waiting.take())) return fail(no_thread_to_wait());
    return join_tenant(app, call.request.headers.authorization, caller, tenant, call.actor());
  }
  return known_standing(app, tenant, caller);
}

/// AuthZEN's paths: what rosterd does not know is ignored there, and whole-request errors are 400 (check-api.md A2, A3).
bool is_lenient(const Route& route) { return route.path.starts_with("/t/{t}/access/"); }
bool is_scim(const Route& route) { return route.access == Access::Pushing; }
bool takes_batch(const Route& route) {
  return is_scim(route) || route.path.ends_with("/check") || route.path.ends_with("/access/v1/evaluations");
}
/// A decision is counted, not logged, whatever its method.
bool decides(const Route& route) { return route.path.ends_with("/check") || is_lenient(route) || route.access == Access::Proxied; }

/// Needs neither the database nor anything else that may take its time, once the caller is known.
bool answers_from_memory(const Route& route) {
  return decides(route) || route.path == "/healthz" || route.path == "/version" || route.path == "/openapi.json";
}

/// Whoever watches over the process is to hear about it, however many requests came from his address.
bool is_unlimited(const Route& route) { return route.path == "/healthz" || route.path == "/readyz"; }

/// R4: whoever is nobody in the tenant hears what he would hear about a tenant that does not exist.
Result<void> enter_tenant(Call& call, const Route& route) {
  const auto id = call.param("t");
  if (!is_slug(id)) return fail(no_such_tenant());
  call.tenant = TenantId{std::string(id)};
  const auto place = standing(call, call.tenant, route);
  if (!place) return fail(place.error());
  call.self = place->self;
  if (!place->exists || (!place->self && !call.super_admin())) return fail(no_such_tenant());
  return {};
}

Result<void> may(Call& call, const Route& route) {
  const auto refused = [&] { return fail(Errc::Forbidden, "this needs {} in the tenant", right_of(route)); };
  switch (route.access) {
    case Access::Open:
    case Access::SignedIn:
    case Access::Standing:
    case Access::Pushing:
    case Access::Proxied:
      return {};
    case Access::Account:
      if (call.caller->service)
        return fail(Errc::Forbidden, "this is for people: a service account has no profile and makes no tokens of its own");
      if (!call.caller->account.id)
        return fail(Errc::Forbidden, "this is for accounts: who signs in through a tenant's issuer has a user there and no account");
      return {};
    case Access::SuperAdmin:
      if (!call.super_admin()) return fail(Errc::Forbidden, "this needs a super admin");
      return {};
    case Access::Pair:
    case Access::PairOrSelf: {
      const auto held = call.holds(route.permission, route.action);
      if (!held) return fail(held.error());
      if (*held) return {};
      if (route.access == Access::Pair || !call.self || call.self->type != PrincipalType::User) return refused();
      const auto key = call.param("u");
      if (const auto id = parse_principal_id(PrincipalType::User, key); id && *id == call.self->id) return {};
      const auto snapshot = call.snapshot();  // by the rule of checks (R7), and without a search through a million rows
      if (!snapshot) return fail(snapshot.error());
      const auto found = (*snapshot)->resolve(PrincipalType::User, key);
      if (found.kind == rbac::Resolved::Found && found.known.who == *call.self) return {};
      return refused();  // also for a user who does not exist: who may not read users learns nothing about them
    }
  }
  return fail(Errc::Internal, "a route without a rule of access");
}

/// K4: answered from that revision or a newer one.
Result<void> await_revision(Call& call, const Route& route) {
  const auto least = parse_revision(call.request.headers.min_revision);
  if (!least) return fail(Errc::InvalidInput, "Rosterd-Min-Revision: must look like \"7.1042\"");
  auto& services = call.app.services;
  const auto other_epoch = [&] {
    return fail_as("unknown_epoch", Errc::Conflict,
                   "the tenant is not in epoch {}: its history was cut or it was made anew; forget that revision", least->epoch);
  };
  auto now = services.snapshots.find(call.tenant);
  if (now && now->snapshot->revision().epoch > least->epoch) return other_epoch();
  if (!now || now->snapshot->revision() < *least) {
    std::optional<Slots::Slot> slot;
    if (answers_from_memory(route)) {  // else it holds one already
      slot = call.app.waiting.take();
      if (!slot) return fail(no_thread_to_wait());
    }
    services.sync.changed(call.tenant);
    now = services.snapshots.wait_for(call.tenant, *least, Steady::now() + call.app.options.revision_wait);
    if (!now) {
      const auto stands = services.snapshots.find(call.tenant);
      if (stands && stands->snapshot->revision().epoch != least->epoch) return other_epoch();
      return fail_as("not_yet_at_revision", Errc::Unavailable, "this replica has not seen revision {} yet", text(*least));
    }
    if (now->snapshot->revision().epoch != least->epoch) return other_epoch();
  }
  call.published = std::move(now);
  return {};
}

Result<void> fresh_enough(Call& call) {
  std::int64_t most = 0;
  const auto given = call.request.headers.max_age;
  const auto [end, error] = std::from_chars(given.data(), given.data() + given.size(), most);
  if (error != std::errc{} || end != given.data() + given.size() || most < 0)
    return fail(Errc::InvalidInput, "Rosterd-Max-Age: must be a number of milliseconds");
  if (const auto snapshot = call.snapshot(); !snapshot) return fail(snapshot.error());
  if (const auto& published = call.published; !published || Steady::now() - published->seen > std::chrono::milliseconds(most))
    return fail_as("snapshot_too_old", Errc::Unavailable, "this replica last saw the tenant's revision longer ago than that");
  return {};
}

Result<void> known_parameters(const Route& route, const Target& target) {
  if (is_lenient(route) || is_scim(route) || route.path.ends_with("/callback")) return {};
  for (const auto& [name, value] : target.query) {
    auto rest = route.query;
    bool known = false;
    while (!rest.empty() && !known) {
      const auto space = rest.find(' ');
      known = rest.substr(0, space) == name;
      rest = space == std::string_view::npos ? std::string_view{} : rest.substr(space + 1);
    }
    if (!known)
      return fail(Errc::InvalidInput, "{}: unknown parameter (known: {})", name.substr(0, 64), route.query.empty() ? "none" : route.query);
  }
  return {};
}

Result<void> acceptable_body(const App& app, const Route& route, const Request& request) {
  if (request.body.empty()) return {};
  const auto most = takes_batch(route) ? app.options.max_batch_body : app.options.max_body;
  if (request.body.size() > most) return fail_as("payload_too_large", Errc::InvalidInput, "the body is larger than {} bytes", most);
  const auto type = request.headers.content_type.substr(0, request.headers.content_type.find(';'));
  const bool json = equals_ignoring_case(type, "application/json") ||
                    (is_scim(route) && equals_ignoring_case(type, "application/scim+json")) ||
                    (request.method == "PATCH" && !is_scim(route) && equals_ignoring_case(type, "application/merge-patch+json"));
  if (!json && is_lenient(route)) return fail(Errc::InvalidInput, "a body must be application/json");
  if (!json && is_scim(route))
    return fail_as("unsupported_media_type", Errc::InvalidInput, "a body must be application/scim+json or application/json");
  if (!json) return fail_as("unsupported_media_type", Errc::InvalidInput, "a body must be application/json");
  if (!request.headers.content_encoding.empty() && !equals_ignoring_case(request.headers.content_encoding, "identity"))
    return fail_as("unsupported_media_type", Errc::InvalidInput, "compressed bodies are not taken");
  return {};
}

/// Open, but with an answer of its own for who is somebody.
bool knows_callers(const Route& route) { return route.path == "/metrics" || route.path == "/v1/invitations/accept"; }
bool brings_credentials(const Request& request) { return !request.headers.authorization.empty() || has_session_cookie(request); }
/// R66: what a session may do while its password is to be changed.
bool answers_before_password_change(const Route& route) {
  return route.path == "/v1/me" || route.path == "/v1/me/password" || route.path == "/v1/logout";
}

/// Everything between a matched route and its handler.
Result<Reply> pass(Call& call, const Route& route) {
  if (const auto ok = acceptable_body(call.app, route, call.request); !ok) return fail(ok.error());
  std::shared_ptr<const Caller> caller;
  if (route.access == Access::Pushing) {
    auto refused = scim::recognize(call);
    if (!refused) return fail(refused.error());
    if (auto& answer = *refused) return std::move(*answer);
  } else if (route.access != Access::Open || (knows_callers(route) && brings_credentials(call.request))) {
    auto refused = authenticate(call, caller);
    if (!refused) return fail(refused.error());
    if (auto& answer = *refused) return std::move(*answer);
    if (!answers_before_password_change(route))
      if (const auto ready = may_act(*caller); !ready) return fail(ready.error());
  } else if (!is_unlimited(route)) {
    call.caller_key = call.app.limits.key_of(call.request.remote);
  }
  if (!is_unlimited(route))
    if (auto refused = call.app.limits.take(decides(route) ? Limit::Checks : Limit::Requests, call.caller_key, call.request.remote))
      return std::move(*refused);
  std::optional<Slots::Slot> slot;
  std::optional<Front::Waits> waits;
  if (!answers_from_memory(route)) {
    slot = call.app.waiting.take();
    if (!slot) return fail(no_thread_to_wait());
    waits.emplace();
  }
  const bool in_tenant = route.path.starts_with("/v1/tenants/{t}") || route.path.starts_with("/t/{t}/");
  if (in_tenant && !is_scim(route))
    if (const auto ok = enter_tenant(call, route); !ok) return fail(ok.error());
  if (const auto ok = may(call, route); !ok) return fail(ok.error());
  if (const auto ok = known_parameters(route, call.target); !ok) return fail(ok.error());
  if (in_tenant && !call.request.headers.min_revision.empty())
    if (const auto ok = await_revision(call, route); !ok) return fail(ok.error());
  if (in_tenant && !call.request.headers.max_age.empty())
    if (const auto ok = fresh_enough(call); !ok) return fail(ok.error());
  auto reply = route.handler(call);
  call.caller = nullptr;
  if (reply && reply->changed) {
    call.app.standings.clear();
    if (!call.tenant.value.empty()) {
      // The next check here sees it; one on another replica is made certain by Rosterd-Min-Revision. A tenant that takes longer is not
      // waited for, and no provider who adds people a thousand times a second.
      const auto& services = call.app.services;
      if (reply->gives_only)
        services.sync.changed_unawaited(call.tenant);
      else
        services.sync.changed(call.tenant);
      if (const auto& revision = reply->revision; revision && !reply->gives_only)
        (void)services.snapshots.wait_for(call.tenant, *revision, Steady::now() + kOwnWrites);
    }
  }
  return reply;
}

/// The one row that stands for every method and every path below it.
int proxy_row() {
  static const int row = [] {
    const auto all = routes();
    return static_cast<int>(std::find_if(all.begin(), all.end(), [](const Route& route) { return route.access == Access::Proxied; }) -
                            all.begin());
  }();
  return row;
}

/// Before anything else is looked at: the path below is that of another program, and whatever is wrong with it is a "no" (X1, X6).
Result<Reply> dispatch_proxy(App& app, const Request& request, std::string_view id, int& route_index) {
  route_index = proxy_row();
  const Target unread;
  Call call{.app = app,
            .request = request,
            .target = unread,
            .request_id = id,
            .params = {},
            .caller = nullptr,
            .tenant = {},
            .self = {},
            .published = {}};
  return routes()[static_cast<std::size_t>(route_index)].handler(call);
}

Result<Reply> dispatch(App& app, const Request& request, std::string_view id, int& route_index) {
  if (proxy_target(request.target)) return dispatch_proxy(app, request, id, route_index);
  if (request.target.size() > app.options.max_url)
    return fail_as("uri_too_long", Errc::InvalidInput, "the URL is longer than {} bytes", app.options.max_url);
  const auto target = parse_target(request.target);
  if (!target) return fail(target.error());
  const auto match = router().find(request.method, target->segments);
  if (!match.known) return fail(Errc::NotFound, "rosterd has no such path");
  if (match.route < 0) {
    auto reply =
        problem({.code = Errc::InvalidInput, .what = fmt::format("this path answers {}", match.allow), .slug = "method_not_allowed"});
    reply.headers.emplace_back("Allow", match.allow);
    return reply;
  }
  route_index = match.route;
  Call call{.app = app,
            .request = request,
            .target = *target,
            .request_id = id,
            .params = match.params,
            .caller = nullptr,
            .tenant = {},
            .self = {},
            .published = {}};
  return pass(call, routes()[static_cast<std::size_t>(match.route)]);
}

void note(const Request& request, std::string_view id, int route, const Reply& reply, double seconds, const Error* error) {
  const bool failed = reply.status >= 500;
  const auto* row = route >= 0 ? &routes()[static_cast<std::size_t>(route)] : nullptr;
  const bool mutation = request.method != "GET" && request.method != "HEAD" && !(row != nullptr && decides(*row));
  // Reads and checks are counted, not logged; to a proxy 401 and 403 are answers like 200.
  const bool fine = reply.status < 400 || reply.unlogged || (row != nullptr && row->access == Access::Proxied);
  if (!failed && fine && (!mutation || reply.unlogged)) return;
  const auto path = request.target.substr(0, request.target.find('?'));  // a query may name people
  log::event(failed ? log::Level::Error : log::Level::Info, "http.request",
             {{"method", std::string(request.method)},
              {"path", std::string(path.substr(0, 256))},
              log::field("status", reply.status),
              log::field("ms", static_cast<long long>(seconds * 1000)),
              {"request_id", std::string(id)},
              {"ip", std::string(request.remote)},
              {"error", error != nullptr ? error->what : std::string()}});
}

}  // namespace

std::string_view Call::param(std::string_view name) const {
  for (const auto& [key, value] : params)
    if (key == name) return value;
  return {};
}

const std::string* Call::query(std::string_view name) const {
  for (const auto& [key, value] : target.query)
    if (key == name) return &value;
  return nullptr;
}

Actor Call::actor() const {
  Actor out{.account = {}, .by = {}, .ip = std::string(request.remote), .request_id = std::string(request_id)};
  if (caller != nullptr) {
    out.account = caller->account.id;
    out.by = caller->session           ? "session " + text(caller->session->id)
             : !caller->issuer.empty() ? "issuer " + caller->issuer
                                       : "token " + text(caller->token);
    if (caller->service) out.service_account = caller->service->id;
    for (const auto& user : caller->users)
      if (user.id && (user.tenant == tenant || caller->session)) out.user = user.id;
  }
  return out;
}

Result<const rbac::Snapshot*> Call::snapshot() {
  if (!published) {
    published = app.services.snapshots.find(tenant);
    if (!published) {
      app.services.sync.changed(tenant);
      published = app.services.snapshots.wait_for(tenant, Revision{}, Steady::now() + app.options.revision_wait);
      if (!published) return fail_as("snapshot_loading", Errc::Unavailable, "the tenant's access data is still being loaded");
    }
  }
  if (Steady::now() - published->seen > app.options.max_snapshot_age)
    return fail_as("snapshot_too_old", Errc::Unavailable, "this replica has lost the database for too long to answer");
  return published->snapshot.get();
}

Result<bool> Call::holds(std::string_view permission, std::string_view action) {
  if (super_admin()) {
    const auto* known = app.services.catalogue->find(permission);
    if (known != nullptr && known->iam && app.services.catalogue->pair(*known, action)) return true;
  }
  if (!self) return false;
  const auto taken = snapshot();
  if (!taken) return fail(taken.error());
  return (*taken)->check(*self, permission, action, std::nullopt, app.services.clock.now()).allowed;
}

Result<PageRequest> Call::page() const {
  PageRequest out;
  if (const auto* limit = query("limit")) {
    const auto [end, error] = std::from_chars(limit->data(), limit->data() + limit->size(), out.limit);
    if (error != std::errc{} || end != limit->data() + limit->size() || out.limit < 1 || out.limit > 1000)
      return fail(Errc::InvalidInput, "limit: must be a number from 1 to 1000");
  }
  if (const auto* cursor = query("cursor")) out.cursor = *cursor;
  if (const auto* q = query("q")) out.query = *q;
  return out;
}

Result<bool> Call::query_flag(std::string_view name) const {
  const auto* value = query(name);
  if (value == nullptr || *value == "false") return false;
  if (*value == "true") return true;
  return fail(Errc::InvalidInput, "{}: must be true or false", name);
}

Result<void> may_still(App& app, const std::string& token_hash, bool session, const TenantId& tenant, std::string_view permission,
                       std::string_view action) {
  const TokenLookup token{.hash = token_hash, .session = session, .hit = app.callers.find(token_hash)};
  // The token of an issuer's user cannot be asked for again without its text: what was known of it last counts.
  const bool known = token.hit && (token.hit->fresh || !token.hit->value->users.empty());
  auto caller = known ? Result<std::shared_ptr<const Caller>>(token.hit->value) : ask_for_caller(app, token);
  if (!caller) return fail(caller.error());
  if (const auto ready = may_act(**caller); !ready) return fail(ready.error());
  const Request request;
  const Target target;
  Call call{.app = app,
            .request = request,
            .target = target,
            .request_id = {},
            .params = {},
            .caller = caller->get(),
            .tenant = tenant,
            .self = {},
            .published = {}};
  if (tenant.value.empty()) {
    if (!call.super_admin()) return fail(Errc::Forbidden, "this needs a super admin");
    return {};
  }
  const auto place = known_standing(app, tenant, **caller);
  if (!place) return fail(place.error());
  if (!place->exists || (!place->self && !call.super_admin())) return fail(no_such_tenant());
  call.self = place->self;
  const auto held = call.holds(permission, action);
  if (!held) return fail(held.error());
  if (!*held) return fail(Errc::Forbidden, "this needs {} {} in the tenant", permission, action);
  return {};
}

std::string right_of(const Route& route) {
  switch (route.access) {
    case Access::Open:
      return "open";
    case Access::SignedIn:
      return "signed in";
    case Access::Account:
      return "signed in as an account";
    case Access::SuperAdmin:
      return "super admin";
    case Access::Standing:
      return "standing";
    case Access::Pair:
      return fmt::format("{} {}", route.permission, route.action);
    case Access::Pushing:
      return "token of the source";
    case Access::Proxied:
      return "whom the proxy asks for";
    case Access::PairOrSelf:
      return fmt::format("{} {} or self", route.permission, route.action);
  }
  return {};
}

Reply answer(App& app, const Request& request) {
  const auto started = Steady::now();
  const auto id = request_id(request.headers.request_id);
  int route = -1;
  Result<Reply> result;
  try {
    result = dispatch(app, request, id, route);
  } catch (const std::exception& error) {  // a library threw where none should: the request fails, rosterd goes on
    result = fail(Errc::Internal, "unexpected exception: {}", error.what());
  }
  auto reply = result ? std::move(*result) : problem(result.error());
  if (reply.content_type == "application/problem+json" && is_scim_target(request.target)) reply = as_scim(std::move(reply));
  reply.headers.emplace_back("X-Request-ID", id);
  if (reply.revision) reply.headers.emplace_back("Rosterd-Revision", text(*reply.revision));
  const double seconds = std::chrono::duration<double>(Steady::now() - started).count();
  if (route >= 0)
    app.metrics.request(static_cast<std::size_t>(route), reply.status, seconds);
  else
    app.metrics.unrouted(reply.status);
  note(request, id, route, reply, seconds, result ? nullptr : &result.error());
  if (reply.status >= 500 && faults_are_denials(app.options, request.target)) {  // counted and logged as the fault that it is
    reply = problem(denied());
    reply.headers.emplace_back("X-Request-ID", id);
  }
  return reply;
}

}  // namespace rosterd::http
