#pragma once
// What every handler leans on: the services, the short caches, the route table, and the call it answers. Internal to this room.

#include <atomic>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>

#include "daemon/http/background.hpp"
#include "daemon/http/errands.hpp"
#include "daemon/http/limits.hpp"
#include "daemon/http/metrics.hpp"
#include "daemon/http/request.hpp"
#include "daemon/http/scim/batcher.hpp"
#include "daemon/http/scim/pusher.hpp"
#include "daemon/http/server.hpp"
#include "daemon/http/short_cache.hpp"
#include "daemon/http/single_flight.hpp"
#include "daemon/http/token_cache.hpp"
#include "daemon/passwords.hpp"

namespace rosterd::http {

struct Call;
using Handler = Result<Reply> (*)(Call& call);

/// Who may call a route (rbac.md §16).
enum class Access {
  Open,        ///< anybody
  SignedIn,    ///< any valid token
  Account,     ///< a person: the token of an account
  SuperAdmin,  ///< the flag
  Standing,    ///< whoever is somebody in the tenant
  Pair,        ///< the pair, in the tenant
  PairOrSelf,  ///< the pair, or the path's {u} is the caller himself (R96)
  Pushing,     ///< the token of one of the tenant's sources of type scim_push, and nobody else
  Proxied,     ///< whoever the request comes from that a proxy asks about: the handler sees to it (check-api.md X7)
};

struct Route {
  std::string_view method;
  std::string_view path;  ///< "/v1/tenants/{t}/users/{u}"
  Access access = Access::Open;
  std::string_view permission;
  std::string_view action;
  Handler handler = nullptr;
  std::string_view query = {};  ///< parameters it takes, separated by spaces; any other is 400 and named
};

/// The whole surface, one row a verb; /openapi.json is tested against it (R111).
[[nodiscard]] std::span<const Route> routes();
/// The right a row asks for, in words: "open", "signed in", "super admin", "standing", "SOURCE READ", "USER READ or self".
[[nodiscard]] std::string right_of(const Route& route);

/// How long the answer to what has changed a tenant waits for the snapshot that shows it.
inline constexpr auto kOwnWrites = std::chrono::milliseconds(250);

/// The caller's place in a tenant.
struct Standing {
  bool exists = false;  ///< the tenant does
  std::optional<Principal> self;
};

struct App {
  HttpOptions options;
  HttpServices services;
  TokenCache token_hashes;
  ShortCache<std::shared_ptr<const Caller>> callers;             ///< by token hash
  ShortCache<std::shared_ptr<const scim::KnownPusher>> pushers;  ///< by token hash
  scim::Batchers batchers;
  ShortCache<Standing> standings;  ///< by tenant and account
  SingleFlight<Result<std::shared_ptr<const Caller>>> caller_questions;
  SingleFlight<Result<Standing>> standing_questions;
  Metrics metrics;
  Limits limits{metrics};
  std::atomic<bool> ready{false};
  std::atomic<int> tests{0};  ///< connector tests running now
  std::stop_source stopping;
  Passwords passwords;
  Slots waiting;          ///< threads that wait for something; a quarter of them never does
  Background background;  ///< its jobs use the others
  Errands errands;        ///< last: theirs use the background, too

  App(HttpOptions http_options, HttpServices http_services)
      : options(std::move(http_options)),
        services(std::move(http_services)),
        metrics(routes().size()),
        passwords(options.accounts.cost),
        waiting(options.threads - std::max<std::size_t>(1, options.threads / 4)) {
    limits.set(options.rates);
  }
};

struct Call {
  App& app;
  const Request& request;
  const Target& target;
  std::string_view request_id;
  std::span<const std::pair<std::string_view, std::string_view>> params;
  const Caller* caller = nullptr;            ///< set unless the route is open
  std::uint64_t caller_key = 0;              ///< for the limits; of whoever asks, known or not
  TenantId tenant;                           ///< of the path; empty elsewhere
  std::optional<Principal> self;             ///< in that tenant: the user the caller's account is linked to, or the service account he is
  std::optional<sync::Published> published;  ///< taken once (K8)
  std::shared_ptr<const scim::KnownPusher> pusher = {};  ///< whose source it is about, where that is who asks

  [[nodiscard]] Store& store() const { return app.services.store; }
  [[nodiscard]] std::string_view param(std::string_view name) const;
  /// The value of a query parameter, nullptr when it is absent.
  [[nodiscard]] const std::string* query(std::string_view name) const;
  [[nodiscard]] Actor actor() const;
  [[nodiscard]] bool super_admin() const { return caller != nullptr && caller->account.super_admin && caller->account.enabled; }
  /// The tenant's snapshot, the same one for the whole call; 503 while there is none.
  [[nodiscard]] Result<const rbac::Snapshot*> snapshot();
  /// Whether the caller holds an IAM pair tenant-wide: super admins do without a role (R70).
  [[nodiscard]] Result<bool> holds(std::string_view permission, std::string_view action);
  /// ?limit=&cursor=&q=
  [[nodiscard]] Result<PageRequest> page() const;
  /// ?name=true|false
  [[nodiscard]] Result<bool> query_flag(std::string_view name) const;
};

/// Answers one request, whatever it is: the endpoint wrapper. Never throws.
[[nodiscard]] Reply answer(App& app, const Request& request);

}  // namespace rosterd::http
