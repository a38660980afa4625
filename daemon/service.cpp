#include "daemon/service.hpp"

#include <unistd.h>

#include <array>
#include <condition_variable>
#include <fstream>
#include <mutex>
#include <sstream>

#include "daemon/catalogue_file.hpp"
#include "daemon/connections.hpp"
#include "daemon/first_admin.hpp"
#include "daemon/health.hpp"
#include "daemon/http/server.hpp"
#include "daemon/instance_lock.hpp"
#include "daemon/issuers/issuers.hpp"
#include "daemon/notify.hpp"
#include "daemon/options.hpp"
#include "daemon/secrets.hpp"
#include "daemon/store_watch.hpp"
#include "daemon/sync/housekeeper.hpp"
#include "daemon/sync/publisher.hpp"
#include "daemon/sync/scheduler.hpp"
#include "rbac/escalation.hpp"
#include "schema/core/hash.hpp"
#include "schema/core/log.hpp"
#include "schema/postgres/embedded.hpp"
#include "schema/postgres/postgres_store.hpp"

namespace rosterd {
namespace {

// A part that has not moved for this long does not move any more. Longer than the store's time-outs and than compiling the largest
// snapshot, since a database that is slow or away must not look like a daemon that hangs.
constexpr Millis kSilence{5 * 60'000};
// The first tries come quickly, since a database that starts together with us is there within seconds.
constexpr Millis kFirstPause{250}, kLongestPause{5'000};
// Once the end waits no longer, a call to the store has this long: enough to write down that a run was abandoned.
constexpr Millis kLastCall{1'000};
// Closing the store and stopping the embedded PostgreSQL, in the roughest manner at last.
constexpr Millis kToClose{120'000};
// Publishing a tenant at the start.
constexpr Millis kToPublish{5 * 60'000};

/// Host, process and something random: lease rows tell who holds them, and a process id that comes again is still somebody else.
std::string lease_holder() {
  std::array<char, 256> host{};
  if (::gethostname(host.data(), host.size() - 1) != 0) host[0] = '?';
  return fmt::format("{}:{}:{:08x}", host.data(), ::getpid(), static_cast<std::uint32_t>(random_u64()));
}

Result<std::string> content_without_newline(const config::Path& file) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream text;
  if (in) text << in.rdbuf();
  if (!in) return fail(Errc::InvalidInput, "reading {}: {}", file.string(), std::generic_category().message(errno));
  auto content = text.str();
  while (content.ends_with('\n') || content.ends_with('\r')) content.pop_back();
  return content;
}

http::RateLimits rates_of(const config::Server& server) {
  const auto rate = [](const config::Rate& from) { return http::Rate{.count = from.count, .per = from.per, .burst = from.burst}; };
  return {.requests = rate(server.rate_limit),
          .checks = rate(server.check_rate_limit),
          .explains = rate(server.explain_rate_limit),
          .failures = rate(server.failure_rate_limit)};
}

/// RFC 3986 §2.1 for everything that is not plainly harmless.
std::string percent_encoded(std::string_view text) {
  std::string out;
  for (const unsigned char c : text) {
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
      out += static_cast<char>(c);
    else
      out += fmt::format("%{:02X}", c);
  }
  return out;
}

/// libpq takes the password as a parameter of the URL; it is never shown from there.
Result<std::string> with_password(const std::string& url, const config::Path& file, std::string_view setting) {
  if (file.empty()) return url;
  const auto password = content_without_newline(file);
  if (!password) return fail(password.error(), "{}", setting);
  return fmt::format("{}{}password={}", url, url.find('?') == std::string::npos ? '?' : '&', percent_encoded(*password));
}

/// Repeats `attempt` while a server is away. `doing` is a phrase: "opening the store".
template <class Attempt>
auto until_available(std::string_view doing, const std::stop_token& stop, const Attempt& attempt) -> decltype(attempt()) {
  notify::status(doing);
  std::mutex mutex;
  std::condition_variable_any pause;
  auto wait = kFirstPause;
  for (bool away = false;; away = true) {
    auto result = attempt();
    if (!result && stop.stop_requested()) return fail(Errc::Stopped, "stopped while {}", doing);
    if (result || result.error().code != Errc::Unavailable) {
      if (away && result) log::info("store.back");
      return result;
    }
    if (!away) log::error("store.away", {log::field("doing", doing), log::field("error", result.error().what)});
    notify::status(fmt::format("waiting for PostgreSQL: {}", result.error().what));
    notify::extend_timeout(2 * kLongestPause + Millis(60'000));  // one attempt may take a connect time-out
    std::unique_lock lock(mutex);
    pause.wait_for(lock, stop, wait, [] { return false; });
    if (stop.stop_requested()) return fail(Errc::Stopped, "stopped while {}", doing);
    wait = std::min(2 * wait, kLongestPause);
  }
}

Result<void> moved(std::chrono::steady_clock::time_point last) {
  const auto silence = std::chrono::duration_cast<Millis>(std::chrono::steady_clock::now() - last);
  if (silence <= kSilence) return {};
  return fail(Errc::Internal, "has not moved for {} s", silence.count() / 1000);
}

}  // namespace

/// In the order in which they lean on each other: destruction runs backwards, the embedded PostgreSQL comes last but for lock and key.
struct Service::Parts {
  explicit Parts(config::Config settings) : config(std::move(settings)) {}

  config::Config config;
  SystemClock clock;
  std::optional<InstanceLock> lock;
  std::unique_ptr<Secrets> secrets;
  std::string token_pepper;
  std::unique_ptr<EmbeddedPostgres> embedded;
  std::unique_ptr<Store> store;
  std::shared_ptr<const rbac::Catalogue> catalogue;
  sync::Snapshots snapshots;
  std::unique_ptr<Connections> connections;
  std::unique_ptr<sync::Publisher> publisher;
  std::unique_ptr<sync::Scheduler> scheduler;
  std::unique_ptr<sync::Housekeeper> housekeeper;
  http::SetupGate gate;
  std::unique_ptr<http::Issuers> issuers;
  std::unique_ptr<http::Server> http;
  std::unique_ptr<StoreWatch> store_watch;
  std::unique_ptr<Health> health;
  struct Closing {  // of the API, by a thread: it takes as long as the requests that are being answered
    std::mutex mutex;
    std::condition_variable_any changed;
    bool over = false;  // under mutex
    std::jthread thread;
  } closing;

  Result<void> open_store(const std::stop_token& stop);
  Result<void> renew_roles(const std::stop_token& stop);
  Result<void> start_sync(const std::stop_token& stop);
  Result<void> set_up(const std::stop_token& stop);
  Result<void> set_super_admins(const std::stop_token& stop);
  Result<void> open_port();
  void watch(const Service& service);
  void close_port();
  [[nodiscard]] bool port_is_closed(const std::stop_token& hurry, std::chrono::steady_clock::time_point until);
  [[nodiscard]] std::string store_state() const;
};

Result<void> Service::Parts::open_store(const std::stop_token& stop) {
  auto url = with_password(config.database.url, config.database.password_file, "database.password_file");
  auto owner_url = with_password(config.database.owner_url, config.database.owner_password_file, "database.owner_password_file");
  if (!url) return fail(url.error());
  if (!owner_url) return fail(owner_url.error());
  if (config.database.is_embedded()) {
    notify::status("starting the embedded PostgreSQL");
    notify::extend_timeout(config.embedded.start_timeout + Millis(60'000));
    auto started = EmbeddedPostgres::start({.state_dir = config.embedded.directory,
                                            .bin_dir = config.embedded.bin_directory,
                                            .run_as = config.embedded.run_as,
                                            .settings = config.embedded.settings,
                                            .connections = config::connections_needed(config),
                                            .start_timeout = config.embedded.start_timeout},
                                           stop);
    if (!started) return fail(started.error(), "starting the embedded PostgreSQL");
    embedded = std::move(*started);
    url = embedded->app_url();
    owner_url = embedded->owner_url();
  }
  const StoreOptions options{.url = *url,
                             .owner_url = *owner_url,
                             .pool_size = config.database.connections,
                             .connect_timeout = config.database.connect_timeout,
                             .statement_timeout = config.database.statement_timeout,
                             .judge = rbac::make_judge(catalogue)};
  auto opened = until_available("opening the store", stop, [&] { return PostgresStore::open(options, stop); });
  if (!opened) return fail(opened.error(), "opening the store");
  store = std::move(*opened);
  return {};
}

Result<void> Service::Parts::renew_roles(const std::stop_token& stop) {
  const ManagedRoles wanted{.roles = catalogue->born_roles(), .hash = catalogue->hash(), .release = ROSTERD_VERSION};
  notify::extend_timeout(kToPublish);  // every tenant in turn
  const auto done = until_available("renewing the managed roles", stop, [&] { return store->renew_managed_roles(wanted); });
  if (!done) return fail(done.error(), "renewing the managed roles");
  if (!done->newer.empty()) log::warning("roles.newer_release", {log::field("own", wanted.release), log::field("newer", done->newer)});
  if (done->renewed)
    log::info("roles.renewed",
              {log::field("release", wanted.release), log::field("catalogue", wanted.hash), log::field("tenants", done->tenants)});
  return {};
}

Result<void> Service::Parts::start_sync(const std::stop_token& stop) {
  publisher = std::make_unique<sync::Publisher>(*store, snapshots, catalogue);
  auto told = std::chrono::steady_clock::now();
  const auto tell = [&](std::size_t published, std::size_t of) {
    if (const auto now = std::chrono::steady_clock::now(); now - told >= std::chrono::seconds(1)) {
      told = now;
      notify::status(fmt::format("publishing snapshots: {} of {} tenants", published, of));
      notify::extend_timeout(kToPublish);
    }
  };
  if (auto ok = until_available("publishing snapshots", stop, [&] { return publisher->start(stop, tell); }); !ok)
    return fail(ok.error(), "publishing snapshots");
  connections = std::make_unique<Connections>(*secrets, connector_options(config));
  auto options = scheduler_options(config);
  options.holder = lease_holder();
  scheduler = std::make_unique<sync::Scheduler>(
      *store, clock, *publisher,
      [this](const TenantId& tenant, const Source& source, const SourceState& state) { return connections->make(tenant, source, state); },
      &Connections::fingerprints, std::move(options));
  housekeeper = std::make_unique<sync::Housekeeper>(*store, clock, sync::HousekeeperOptions{.retention = config.audit.retention});
  return {};
}

Result<void> Service::Parts::set_up(const std::stop_token& stop) {
  const auto done = until_available("asking whether rosterd is set up", stop, [&] { return store->setup_done(); });
  if (!done) return fail(done.error(), "asking whether rosterd is set up");
  if (*done) return {};
  if (!config.setup.credential_file.empty()) {
    const auto admin = read_first_admin(config.setup.credential_file);
    if (!admin) return fail(admin.error());
    const auto made =
        until_available("making the first super admin", stop, [&] { return create_first_admin(*store, *admin, token_pepper); });
    if (!made) return fail(made.error());
    if (*made) log::info("setup.done", {log::field("account", text(**made)), log::field("by", "credential file")});
    return {};
  }
  const auto secret = gate.open(config.setup.secret_file.string());
  if (!secret) return fail(secret.error());
  // R68: whoever reads the daemon's log or its 0600 file may make the first account; the secret dies with that.
  log::warning("setup.open", {log::field("secret", *secret), log::field("file", config.setup.secret_file.string())});
  return {};
}

/// R69: whoever may write the configuration decides who is super admin.
Result<void> Service::Parts::set_super_admins(const std::stop_token& stop) {
  const auto& wanted = config.accounts.super_admins;
  if (wanted.empty()) return {};
  const auto done = until_available("setting the super admins", stop, [&]() -> Result<std::optional<SuperAdminsSet>> {
    const auto set_up = store->setup_done();
    if (!set_up) return fail(set_up.error());
    if (!*set_up) return std::optional<SuperAdminsSet>();  // the first account is made by setup, and it is one
    auto set = store->set_super_admins(wanted, Actor{.account = {}, .by = "configuration", .ip = {}, .request_id = {}});
    if (!set) return fail(set.error(), "accounts.super_admins");
    return std::optional(std::move(*set));
  });
  if (!done) return fail(done.error());
  const std::optional<SuperAdminsSet>& set = *done;
  if (!set) return {};
  for (const auto& email : set->unknown) log::warning("accounts.unknown_super_admin", {log::field("email", email)});
  if (set->granted.empty() && set->revoked.empty()) return {};
  log::info("accounts.super_admins_set", {log::field("granted", fmt::format("{}", fmt::join(set->granted, ","))),
                                          log::field("revoked", fmt::format("{}", fmt::join(set->revoked, ",")))});
  return {};
}

Result<void> Service::Parts::open_port() {
  const auto& server = config.server;
  http::HttpOptions options;
  options.address = server.listen.host;
  options.port = server.listen.port;
  options.unix_socket = server.unix_socket.string();
  options.unix_socket_mode = server.unix_socket_mode;
  options.public_url = server.public_url;
  auto routes = http::parse_proxy_routes(server.proxy_routes);
  if (!routes) return fail(routes.error(), "server.proxy_routes");
  options.proxy_routes = std::move(*routes);
  for (const auto& line : server.trusted_proxies) {
    auto proxy = http::parse_trusted_proxy(line);
    if (!proxy) return fail(proxy.error(), "server.trusted_proxies");
    options.trusted_proxies.push_back(std::move(*proxy));
  }
  options.rates = rates_of(server);
  options.threads = server.threads;
  options.max_connections = server.max_connections;
  options.max_body = server.max_body;
  options.max_batch_body = server.max_batch_body;
  options.read_timeout = server.request_timeout;
  options.keep_alive = server.keep_alive;
  options.max_wait = server.max_wait;
  options.revision_wait = server.revision_wait;
  options.max_token_age = server.max_token_age;
  options.accounts = account_options(config);
  options.max_snapshot_age = server.max_snapshot_age;
  options.tls_certificate_file = server.tls_certificate_file.string();
  options.tls_key_file = server.tls_key_file.string();
  options.tls_client_ca_file = server.tls_client_ca_file.string();
  auto instance = instance_issuer_settings(config);
  if (!instance) return fail(instance.error(), "sign_in.client_secret_file");
  auto made = issuers::make_issuers(*store, *secrets, clock,
                                    {.instance = {.settings = std::move(*instance), .create_accounts = config.sign_in.create_accounts},
                                     .public_url = server.public_url,
                                     .connections = [this] { return connections->options(); },
                                     .moved = [this](const TenantId& tenant) { scheduler->changed(tenant); }});
  if (!made) return fail(made.error(), "sign_in");
  issuers = std::move(*made);
  auto started = http::Server::start(std::move(options), http::HttpServices{.store = *store,
                                                                            .snapshots = snapshots,
                                                                            .sync = *scheduler,
                                                                            .catalogue = catalogue,
                                                                            .secrets = *secrets,
                                                                            .connector_options = connections->options(),
                                                                            .clock = clock,
                                                                            .setup = gate,
                                                                            .token_pepper = token_pepper,
                                                                            .reloaded_options = [this] { return connections->options(); },
                                                                            .issuers = issuers.get()});
  if (!started) return fail(started.error(), "server.listen");
  http = std::move(*started);
  return {};
}

std::string Service::Parts::store_state() const {
  if (embedded && embedded->state() != EmbeddedPostgres::State::Running)
    return fmt::format("embedded PostgreSQL {}", name_of(embedded->state()));
  return store_watch->is_up() ? "store up" : "store away";
}

void Service::Parts::watch(const Service& service) {
  store_watch = std::make_unique<StoreWatch>([this] { return store->ping(); });
  health = std::make_unique<Health>(std::vector<Probe>{{"http", [this] { return moved(http->last_tick()); }},
                                                       {"scheduler", [this] { return moved(scheduler->last_tick()); }},
                                                       {"publisher", [this] { return moved(publisher->last_tick()); }}},
                                    HealthOptions{.period = health_period(notify::watchdog_interval()),
                                                  .alive = notify::alive,
                                                  .status = [&service] { return service.status(); },
                                                  .tell_status = [](const std::string& text) { notify::status(text); }});
}

Result<std::unique_ptr<Service>> Service::start(const config::Config& config, std::stop_token stop) {
  auto parts = std::make_unique<Parts>(config);
  for (const auto& warning : config::warnings(config)) log::warning("config.warning", {log::field("text", warning)});
  auto lock = InstanceLock::take(config.state.directory);
  if (!lock) return fail(lock.error());
  parts->lock.emplace(std::move(*lock));
  auto secrets = Secrets::open(config.secrets.key_file.string());
  if (!secrets) return fail(secrets.error(), "secrets.key_file");
  parts->secrets = std::move(*secrets);
  if (!config.secrets.token_pepper_file.empty()) {
    auto pepper = content_without_newline(config.secrets.token_pepper_file);
    if (!pepper) return fail(pepper.error(), "secrets.token_pepper_file");
    parts->token_pepper = std::move(*pepper);
  }
  auto catalogue = load_catalogue(config);
  if (!catalogue) return fail(catalogue.error());
  parts->catalogue = std::move(*catalogue);
  if (auto ok = parts->open_store(stop); !ok) return fail(ok.error());
  {
    const std::stop_callback cut(stop, [&] { parts->store->limit_calls(Millis(0)); });
    if (auto ok = parts->renew_roles(stop); !ok) return fail(ok.error());
    if (auto ok = parts->set_up(stop); !ok) return fail(ok.error());
    if (auto ok = parts->set_super_admins(stop); !ok) return fail(ok.error());
    if (auto ok = parts->start_sync(stop); !ok) return fail(ok.error());
    if (auto ok = parts->open_port(); !ok) return fail(ok.error());
  }
  if (stop.stop_requested()) return fail(Errc::Stopped, "stopped while starting");
  // Syncs begin when everything else stands, so that a start that fails half-way has claimed nothing.
  parts->scheduler->start();
  parts->housekeeper->start();
  parts->http->set_ready(true);
  auto service = std::unique_ptr<Service>(new Service(std::move(parts)));
  service->parts_->watch(*service);
  return service;
}

Service::Service(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Service::~Service() = default;

void Service::reload(const config::Config& next) {
  auto& current = parts_->config;
  const auto found = config::changes(current, next);
  log::set_level(next.log.level);
  reload_tls(next.server);
  parts_->http->set_rates(rates_of(next.server));
  parts_->connections->set_options(connector_options(next));
  parts_->scheduler->set_run_deadline(scheduler_options(next).run_deadline);
  for (const auto& setting : found.need_restart) log::warning("config.needs_restart", {log::field("setting", setting)});
  log::info("config.reloaded", {log::field("changed", fmt::format("{}", fmt::join(found.reloaded, ",")))});
  current.log.level = next.log.level;
  current.server.rate_limit = next.server.rate_limit;
  current.server.check_rate_limit = next.server.check_rate_limit;
  current.server.explain_rate_limit = next.server.explain_rate_limit;
  current.server.failure_rate_limit = next.server.failure_rate_limit;
  const auto restart_only = current.sync;
  current.sync = next.sync;
  current.sync.workers = restart_only.workers;
  current.sync.lease_heartbeat = restart_only.lease_heartbeat;
  current.sync.lease_expiry = restart_only.lease_expiry;
}

/// Certificates are renewed under the same names more often than under new ones, so the files are read again in any case.
void Service::reload_tls(const config::Server& next) {
  const auto certificate = next.tls_certificate_file.string();
  auto& current = parts_->config.server;
  if (certificate.empty() && current.tls_certificate_file.empty()) return;
  if (const auto set = parts_->http->set_tls(certificate, next.tls_key_file.string(), next.tls_client_ca_file.string()); !set)
    return log::error("http.tls_refused", {log::field("certificate", certificate), log::field("error", set.error().what)});
  log::info("http.tls_reloaded", {log::field("certificate", certificate)});
  current.tls_certificate_file = next.tls_certificate_file;
  current.tls_key_file = next.tls_key_file;
  current.tls_client_ca_file = next.tls_client_ca_file;
}

void Service::Parts::close_port() {
  closing.thread = std::jthread([this] {
    http->stop();
    {
      const std::lock_guard mine(closing.mutex);
      closing.over = true;
    }
    closing.changed.notify_all();
  });
}

bool Service::Parts::port_is_closed(const std::stop_token& hurry, std::chrono::steady_clock::time_point until) {
  std::unique_lock mine(closing.mutex);
  return closing.changed.wait_until(mine, hurry, until, [this] { return closing.over; });
}

bool Service::stop(std::stop_token hurry) {
  using std::chrono::steady_clock;
  auto& parts = *parts_;
  const auto begun = steady_clock::now();
  const auto deadline = parts.config.sync.shutdown_deadline;
  // Whatever the rest waits for, a second signal and the service manager's patience are seen to first.
  notify::extend_timeout(deadline + sync::Scheduler::kToAbandon + kToClose);
  const std::stop_callback quickly(hurry, [&] { parts.scheduler->hurry(); });
  const auto cut = [&] { parts.store->limit_calls(kLastCall); };
  parts.http->set_ready(false);
  parts.health->stop();
  parts.close_port();
  notify::status(fmt::format("stopping: {} running syncs may finish", parts.scheduler->running()));
  const auto left = parts.scheduler->stop(deadline, cut);
  bool closed = parts.port_is_closed(hurry, begun + deadline);
  cut();
  closed = closed || parts.port_is_closed({}, steady_clock::now() + sync::Scheduler::kToAbandon);
  const auto took = [&] { return std::chrono::duration_cast<Millis>(steady_clock::now() - begun).count(); };
  notify::extend_timeout(kToClose);
  if (left > 0 || !closed) {
    log::warning("daemon.left_behind", {log::field("runs", left), log::field("requests", !closed), log::field("ms", took())});
    return false;
  }
  parts.health.reset();
  parts.store_watch.reset();
  parts.housekeeper->stop();
  parts.publisher->stop();
  log::info("daemon.parts_stopped", {log::field("ms", took())});
  return true;
}

void Service::leave() { parts_->embedded.reset(); }

std::uint16_t Service::port() const { return parts_->http->port(); }

std::string Service::status() const {
  const auto tenants = parts_->snapshots.size(), running = parts_->scheduler->running();
  return fmt::format("serving {} {} on port {}, {} {} running, {}", tenants, tenants == 1 ? "tenant" : "tenants", port(), running,
                     running == 1 ? "sync" : "syncs", parts_->store_state());
}

}  // namespace rosterd
