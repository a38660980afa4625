// The endpoint that nginx, Envoy and Traefik ask before they let a request through (check-api.md §9). Whatever the proxy sends, the answer
// is 200 (let it through), 401 (nobody known asks), 403 (no), 429 (too often) or 503 (cannot be decided now), within the time a proxy
// waits.

#include "daemon/http/handlers.hpp"
#include "daemon/http/identity.hpp"
#include "daemon/http/problem.hpp"
#include "daemon/http/proxy_routes.hpp"
#include "daemon/http/render.hpp"
#include "daemon/http/trusted_proxy.hpp"
#include "schema/core/text.hpp"

namespace rosterd::http {
namespace {

using Steady = std::chrono::steady_clock;

/// X5: Envoy gives up after 200 ms.
constexpr auto kPatience = std::chrono::milliseconds(150);

struct Identified {
  std::shared_ptr<const Caller> caller;
  Standing place;
  std::uint64_t key = 0;
};

Result<Identified> identify_slowly(App& app, const TokenLookup& token, const std::string& authorization, const TenantId& tenant) {
  auto caller = token.hit && token.hit->fresh ? Result<std::shared_ptr<const Caller>>(token.hit->value) : ask_for_caller(app, token);
  if (!caller) return fail(caller.error());
  if (const auto ready = may_act(**caller); !ready) return fail(ready.error());
  if (may_join(**caller, tenant)) {
    Actor actor;
    actor.by = "issuer " + (*caller)->issuer;
    const auto joined = join_tenant(app, authorization, **caller, tenant, actor);
    if (!joined) return fail(joined.error());
    return Identified{.caller = *caller, .place = *joined, .key = key_of(token)};
  }
  if (const auto fixed = standing_without_account(**caller, tenant))
    return Identified{.caller = *caller, .place = *fixed, .key = key_of(token)};
  const auto place = look_up_standing(app, tenant, (*caller)->account.id);
  if (place.hit && place.hit->fresh) return Identified{.caller = std::move(*caller), .place = place.hit->value, .key = key_of(token)};
  const auto found = ask_for_standing(app, place);
  if (!found) return fail(found.error());
  return Identified{.caller = std::move(*caller), .place = *found, .key = key_of(token)};
}

/// Who asks, and who he is in the tenant. The store is asked when the short caches do not know, and not waited for beyond the deadline.
Result<Identified> identify(App& app, std::string_view authorization, const TenantId& tenant, Steady::time_point deadline) {
  const auto token = look_up_token(app, authorization);
  if (!token) return fail(token.error());
  if (const auto& hit = token->hit; hit && hit->fresh && !may_join(*hit->value, tenant)) {
    const auto& caller = hit->value;
    if (const auto ready = may_act(*caller); !ready) return fail(ready.error());
    if (const auto fixed = standing_without_account(*caller, tenant))
      return Identified{.caller = caller, .place = *fixed, .key = key_of(*token)};
    const auto place = look_up_standing(app, tenant, caller->account.id);
    if (place.hit && place.hit->fresh) return Identified{.caller = caller, .place = place.hit->value, .key = key_of(*token)};
  }
  const auto found = std::make_shared<std::optional<Result<Identified>>>();
  const bool in_time = app.errands.run([&app, found, token = *token, authorization = std::string(authorization),
                                        tenant] { found->emplace(identify_slowly(app, token, authorization, tenant)); },
                                       deadline);
  auto& answer = *found;
  if (!in_time || !answer.has_value()) return fail_as("unavailable", Errc::Unavailable, "the database did not say in time who is asking");
  return std::move(*answer);
}

Result<sync::Published> published(App& app, const TenantId& tenant, Steady::time_point deadline) {
  auto now = app.services.snapshots.find(tenant);
  if (!now) {
    app.services.sync.changed(tenant);
    now = app.services.snapshots.wait_for(tenant, Revision{}, deadline);
    if (!now) return fail_as("snapshot_loading", Errc::Unavailable, "the tenant's access data is still being loaded");
  }
  if (Steady::now() - now->seen > app.options.max_snapshot_age)
    return fail_as("snapshot_too_old", Errc::Unavailable, "this replica has lost the database for too long to answer");
  return std::move(*now);
}

/// What the proxy wants to know. Only one place is looked at, since a client could write into the others himself.
std::optional<ProxyQuestion> question_of(const ProxyRouteSet& set, const Request& request, std::string_view path) {
  const auto& headers = request.headers;
  if (headers.ambiguous) return std::nullopt;
  switch (set.asks) {
    case ProxyAsks::InRequest:
      return proxy_question(set.routes, request.method, path);
    case ProxyAsks::InForwarded:
      if (headers.forwarded_method.empty() || !headers.forwarded_uri.starts_with('/')) return std::nullopt;
      return proxy_question(set.routes, headers.forwarded_method, headers.forwarded_uri.substr(0, headers.forwarded_uri.find('?')));
    case ProxyAsks::InHeaders:
      break;
  }
  if (headers.permission.empty() || headers.action.empty()) return std::nullopt;
  ProxyQuestion out{.permission = std::string(headers.permission), .action = std::string(headers.action), .ns = {}};
  if (headers.ns.empty()) return out;
  if (!is_namespace(headers.ns)) return std::nullopt;
  out.ns = std::string(headers.ns);
  return out;
}

struct Judged {
  rbac::Decision decision;
  Principal who;
};

/// About the subject that a trusted proxy names: "user:ada".
std::optional<Judged> judge_named(const rbac::Snapshot& snapshot, std::string_view subject, const ProxyQuestion& question, TimePoint at) {
  const auto colon = subject.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const auto type = parse_principal_type(subject.substr(0, colon));
  if (!type) return std::nullopt;
  const auto key = subject.substr(colon + 1);
  const auto decision = snapshot.check(
      {.type = *type, .key = key, .permission = question.permission, .action = question.action, .ns = question.ns, .at = at});
  return Judged{.decision = decision, .who = snapshot.resolve(*type, key).known.who};
}

/// X8: what Envoy shall take out of the request before it lets it through.
std::string consumed(const RequestHeaders& headers) {
  std::string out;
  if (!headers.authorization.empty()) out = "authorization";
  if (!headers.subject.empty()) out += out.empty() ? "rosterd-subject" : ",rosterd-subject";
  return out;
}

Reply told(const Call& call, const ProxyRouteSet& set, const std::optional<Judged>& judged) {
  if (!judged) return problem(denied());
  call.app.metrics.check(judged->decision.reason);
  if (!judged->decision.allowed) {
    auto no = problem(denied());
    if (const auto& published = call.published) no.revision = published->snapshot->revision();
    return no;
  }
  auto yes = decided(call, {});
  yes.headers.emplace_back("Rosterd-Subject", fmt::format("{}:{}", name_of(judged->who.type), text(judged->who)));
  if (set.names_consumed) yes.headers.emplace_back("x-envoy-auth-headers-to-remove", consumed(call.request.headers));
  return yes;
}

/// The proxy is known by its connection and says who asks: no token is needed, and one that is there is not looked at.
Result<Reply> decide_for_named(Call& call, const ProxyRouteSet& set, std::string_view path, Steady::time_point deadline) {
  const auto subject = call.request.headers.subject;
  if (auto refused = call.app.limits.take(Limit::Checks, call.app.limits.key_of(subject), call.request.remote)) return std::move(*refused);
  const auto taken = published(call.app, call.tenant, deadline);
  if (!taken) return fail(taken.error());
  call.published = *taken;
  const auto question = question_of(set, call.request, path);
  if (!question) return fail(denied());
  return told(call, set, judge_named(*taken->snapshot, subject, *question, call.app.services.clock.now()));
}

Result<Reply> decide_for_caller(Call& call, const ProxyRouteSet& set, std::string_view path, Steady::time_point deadline) {
  const auto identified = identify(call.app, call.request.headers.authorization, call.tenant, deadline);
  if (!identified) return fail(identified.error());
  if (auto refused = call.app.limits.take(Limit::Checks, identified->key, call.request.remote)) return std::move(*refused);
  call.caller = identified->caller.get();
  call.self = identified->place.self;
  const auto forget = [&] { call.caller = nullptr; };  // it dies with this function
  // R4: a tenant that does not exist and one where the caller is nobody look the same.
  if (!identified->place.exists || (!call.self && !call.super_admin())) {
    forget();
    return fail(denied());
  }
  const auto taken = published(call.app, call.tenant, deadline);
  if (!taken) {
    forget();
    return fail(taken.error());
  }
  call.published = *taken;
  const auto& snapshot = *taken->snapshot;
  const auto at = call.app.services.clock.now();
  const auto subject = call.request.headers.subject;
  // X7: who may ask about anybody may say whom he asks for. Everybody else who tries is not taken for himself instead.
  const bool may_name = subject.empty() || call.holds("CHECK", "READ").value_or(false);
  forget();
  if (!may_name) return fail(unauthenticated());
  const auto question = question_of(set, call.request, path);
  if (!question) return fail(denied());
  if (!subject.empty()) return told(call, set, judge_named(snapshot, subject, *question, at));
  if (!call.self) return told(call, set, Judged{.decision = {false, rbac::Reason::DeniedNoTenantAccess}, .who = {}});
  const auto self = *call.self;
  return told(call, set, Judged{.decision = snapshot.check(self, question->permission, question->action, question->ns, at), .who = self});
}

}  // namespace

std::optional<ProxyTarget> proxy_target(std::string_view target) {
  constexpr std::string_view kBefore = "/t/", kAfter = "/authz/proxy";
  if (!target.starts_with(kBefore)) return std::nullopt;
  const auto slash = target.find('/', kBefore.size());
  if (slash == std::string_view::npos || !target.substr(slash).starts_with(kAfter)) return std::nullopt;
  const auto rest = target.substr(slash + kAfter.size());
  if (!rest.empty() && rest.front() != '/' && rest.front() != '?') return std::nullopt;
  return ProxyTarget{.tenant = target.substr(kBefore.size(), slash - kBefore.size()), .path = rest.substr(0, rest.find('?'))};
}

Result<Reply> proxy(Call& call) {
  const auto deadline = Steady::now() + kPatience;
  const auto target = proxy_target(call.request.target);
  if (!target || !is_slug(target->tenant)) {
    // As for any tenant the caller is nobody in, and 401 comes before that.
    const auto token = look_up_token(call.app, call.request.headers.authorization);
    return fail(token ? denied() : token.error());
  }
  call.tenant = TenantId{std::string(target->tenant)};
  const auto& set = routes_for(call.app.options.proxy_routes, target->tenant);
  const auto& headers = call.request.headers;
  if (!headers.subject.empty() && !headers.ambiguous && is_trusted(call.app.options.trusted_proxies, call.request, target->tenant))
    return decide_for_named(call, set, target->path, deadline);
  return decide_for_caller(call, set, target->path, deadline);
}

bool faults_are_denials(const HttpOptions& options, std::string_view target) {
  const auto asked = proxy_target(target);
  return asked && routes_for(options.proxy_routes, asked->tenant).faults_are_denials;
}

}  // namespace rosterd::http
