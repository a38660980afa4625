// What a sync of an OIDC source costs against the floor of asking for the same pages with one libcurl handle and throwing the answers away,
// in the same run: the real daemon on its embedded PostgreSQL, real providers on loopback. One line a figure:
//   figure NAME VALUE BOUND ok|short
// The exit code is 1 when one of them is short. Lines that start with "info" have no bound. Which pages a sync asks for is learnt from a
// first daemon, which reads through a recorder and is thrown away.

#include <curl/curl.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "bench/daemon.hpp"
#include "bench/recorder.hpp"
#include "schema/core/clock.hpp"
#include "tests/support/keycloak_server.hpp"
#include "tests/support/oidc_provider.hpp"
#include "tests/support/scimmy_server.hpp"

namespace rosterd::bench {
namespace {

using nlohmann::json;
using test::Milliseconds;
using SteadyClock = std::chrono::steady_clock;

constexpr double kMost = 1.2;  // times the walk

bool g_all_hold = true;

void figure(const std::string& name, double value, double bound) {
  const bool holds = value <= bound;
  g_all_hold = g_all_hold && holds;
  fmt::print("figure {} {:.4g} {:.4g} {}\n", name, value, bound, holds ? "ok" : "short");
  std::fflush(stdout);
}

double seconds_since(SteadyClock::time_point start) { return std::chrono::duration<double>(SteadyClock::now() - start).count(); }
double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

struct Options {
  int users = 20'000, groups = 2'000, rounds = 1;
  bool log = false;
  std::string rosterd = ROSTERD_PROGRAM;
  std::vector<std::string> dialects = {"scim", "keycloak"};
};

std::size_t throw_away(char*, std::size_t size, std::size_t count, void* total) {
  *static_cast<std::size_t*>(total) += size * count;
  return size * count;
}

/// What the daemon asked for, and how to ask for the same.
struct Pages {
  std::string origin;
  std::vector<std::string> targets;
  std::function<std::string()> token;
};

/// Every page once over one kept connection. Tokens of providers may live a minute: a walk begins with a fresh one.
double curl_walk(const Pages& pages, std::size_t* bytes = nullptr) {
  const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl(curl_easy_init(), &curl_easy_cleanup);
  std::size_t total = 0;
  const auto bearer = "Authorization: Bearer " + pages.token();
  const std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> headers(curl_slist_append(nullptr, bearer.c_str()),
                                                                            &curl_slist_free_all);
  curl_easy_setopt(curl.get(), CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, throw_away);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &total);
  curl_easy_setopt(curl.get(), CURLOPT_ACCEPT_ENCODING, "");  // as the daemon does
  curl_easy_setopt(curl.get(), CURLOPT_NOPROXY, "*");
  const auto start = SteadyClock::now();
  for (const auto& target : pages.targets) {
    curl_easy_setopt(curl.get(), CURLOPT_URL, (pages.origin + target).c_str());
    long status = 0;
    if (curl_easy_perform(curl.get()) != CURLE_OK || curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &status) != CURLE_OK ||
        status >= 500 || status == 401)
      throw std::runtime_error(fmt::format("curl: {} answers {}", target, status));
  }
  if (bytes != nullptr) *bytes = total;
  return seconds_since(start);
}

struct Run {
  double seconds = 0;
  json run;
};
constexpr const char* kSource = "/v1/tenants/bench/sources/idp";

Run wait_for(Daemon& daemon, const std::string& id, const std::string& expected) {
  Run out;
  if (!test::wait_until([&] { return out.run = daemon.get("/v1/tenants/bench/runs/" + id), !out.run.at("finished_at").is_null(); },
                        Milliseconds(3'600'000)))
    throw std::runtime_error("the run does not end: " + out.run.dump());
  const auto begin = parse_rfc3339(out.run.at("started_at").get<std::string>()),
             end = parse_rfc3339(out.run.at("finished_at").get<std::string>());
  if (!begin || !end || out.run.at("outcome") != expected || out.run.at("complete") != true)
    throw std::runtime_error("the run should be " + expected + ": " + out.run.dump() + "\n" + daemon.log());
  out.seconds = std::chrono::duration<double>(*end - *begin).count();
  return out;
}
/// Enabling makes the source due: that run is the first sync, whoever starts it.
Run first_sync(Daemon& daemon) {
  daemon.patch(kSource, {{"enabled", true}});
  json runs;
  if (!test::wait_until([&] { return runs = daemon.get(std::string(kSource) + "/runs").at("items"), !runs.empty(); }, Milliseconds(60'000)))
    throw std::runtime_error("no run begins: " + daemon.log());
  return wait_for(daemon, runs.front().at("id"), "applied");
}
Run unchanged_sync(Daemon& daemon) {
  const json queued = daemon.post(std::string(kSource) + "/sync", {{"mode", "full"}, {"dry_run", false}});
  return wait_for(daemon, queued.at("id"), "unchanged");
}

std::unique_ptr<Daemon> daemon_with(const Options& options, const json& settings) {
  auto daemon = std::make_unique<Daemon>(options.rosterd, options.log ? "[log]\nlevel = \"debug\"\n" : "");
  daemon->post("/v1/tenants", {{"id", "bench"}, {"name", "Bench"}});
  daemon->post("/v1/tenants/bench/sources", {{"name", "idp"},
                                             {"type", "oidc"},
                                             {"enabled", false},  // so that nothing runs before it is asked for
                                             {"settings", settings},
                                             {"schedule", {{"interval", "24h"}, {"full_every", "24h"}}}});
  return daemon;
}

/// A provider at 127.0.0.1:`port`. `settings`: of a source, given the origin of what it reads.
struct Provider {
  std::string name;
  int port = 0;
  std::function<json(const std::string& origin)> settings;
  std::function<std::string()> token;
};

Pages learn_pages(const Provider& provider, const Options& options) {
  const Recorder recorder(provider.port);
  const auto scout = daemon_with(options, provider.settings(fmt::format("http://127.0.0.1:{}", recorder.port())));
  first_sync(*scout);
  return {.origin = fmt::format("http://127.0.0.1:{}", provider.port), .targets = recorder.gets(), .token = provider.token};
}

/// Rows that the unchanged syncs have written. A run has a row of its own, its source's state, lease and next due time change with it, and
/// that somebody asked for it is audited once.
long long content_rows(const std::map<std::string, long long>& before, const std::map<std::string, long long>& after, long long runs) {
  long long written = 0;
  for (const auto& [table, count] : after) {
    if (table == "run" || table == "source_state" || table == "source_lease") continue;
    const auto had = before.find(table);
    const auto more = count - (had == before.end() ? 0 : had->second);
    if (table != "audit" || more != runs) written += more;
  }
  return written;
}

/// Syncs for the first time, held against a walk just before it and one just after it, then unchanged.
void measure(const Provider& provider, const Options& options) {
  const auto pages = learn_pages(provider, options);  // which also fills the provider's caches
  const auto daemon = daemon_with(options, provider.settings(pages.origin));
  std::size_t bytes = 0;
  const double before = curl_walk(pages, &bytes);
  const auto first = first_sync(*daemon);
  const double after = curl_walk(pages), walk = (before + after) / 2;
  fmt::print(
      "info {}: {} users and {} groups in {} requests, {:.1f} MB; first sync {:.2f} s, curl {:.2f} s before it and {:.2f} s after it\n",
      provider.name, first.run.at("counts").at("users_read").get<int>(), first.run.at("counts").at("groups_read").get<int>(),
      pages.targets.size(), static_cast<double>(bytes) / 1e6, first.seconds, before, after);
  figure(fmt::format("oidc.{}.first_over_curl", provider.name), first.seconds / walk, kMost);
  const auto rows = rows_written(*daemon);
  std::vector<double> took;
  for (int round = 0; round < options.rounds; ++round) took.push_back(unchanged_sync(*daemon).seconds);
  fmt::print("info {}: unchanged sync {:.2f} s, {:.2f} x the walk\n", provider.name, median(took), median(took) / walk);
  figure(fmt::format("oidc.{}.unchanged_rows", provider.name),
         static_cast<double>(content_rows(rows, rows_written(*daemon), options.rounds)), 0);
  if (options.log) fmt::print("{}", daemon->log());
}

/// scimmy behind oidc-provider: its own pages of 200, tokens that it verifies.
void scim(const Options& options) {
  if (const auto reason = test::left_out("node"); !reason.empty()) {
    fmt::print("info scim: {}\n", reason);
    return;
  }
  const test::OidcProvider idp;
  const test::ScimmyServer server({.token = "",
                                   .jwks_url = idp.jwks_url(),
                                   .issuer = idp.issuer(),
                                   .audience = idp.audience(),
                                   .users = options.users,
                                   .groups = options.groups});
  const test::OidcProvider::Client client;
  const auto settings = [&](const std::string& origin) {
    return json{{"issuer", idp.issuer()},
                {"dialect", "scim"},
                {"api_url", origin + "/scim/v2"},
                {"client_id", client.id},
                {"client_secret", {{"value", client.secret}}}};
  };
  measure({.name = "scim", .port = server.port(), .settings = settings, .token = [&] { return idp.client_credentials(); }}, options);
}

void keycloak(const Options& options) {
  if (const auto reason = test::left_out("keycloak"); !reason.empty()) {
    fmt::print("info keycloak: {}\n", reason);
    return;
  }
  const test::KeycloakServer server({.users = options.users, .big_group = 3000, .groups = options.groups});
  const auto origin = server.origin();
  const auto settings = [&](const std::string& seen) {
    return json{{"issuer", seen + server.issuer().substr(origin.size())},
                {"dialect", "keycloak"},
                {"client_id", test::KeycloakServer::client_id()},
                {"client_secret", {{"value", test::KeycloakServer::client_secret()}}}};
  };
  measure({.name = "keycloak",
           .port = std::stoi(origin.substr(origin.rfind(':') + 1)),
           .settings = settings,
           .token = [&] { return server.service_token(); }},
          options);
}

}  // namespace

int run(int argc, char** argv) {
  Options options;
  CLI::App app{"Measures syncs of OIDC sources against a walk with curl."};
  app.add_option("--users", options.users, "people in the provider");
  app.add_option("--groups", options.groups, "groups in the provider");
  app.add_option("--rounds", options.rounds, "unchanged syncs");
  app.add_option("--dialect", options.dialects, "which to measure: scim, keycloak")->check(CLI::IsMember({"scim", "keycloak"}));
  app.add_flag("--log", options.log, "print the daemon's log afterwards, with debug lines");
  app.add_option("--rosterd", options.rosterd, "the daemon");
  CLI11_PARSE(app, argc, argv);
  for (const auto& dialect : options.dialects) dialect == "keycloak" ? keycloak(options) : scim(options);
  return g_all_hold ? 0 : 1;
}

}  // namespace rosterd::bench

int main(int argc, char** argv) {
  try {
    return rosterd::bench::run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench_oidc_sync: %s\n", error.what());
    return 70;
  }
}
