// What a check costs whose caller shows a JWT of his tenant's issuer, beside the same check with an API token, in the same run: the server
// in this process over the real store, an issuer on loopback, wrk on the same cores. One line a figure:
//   figure NAME VALUE BOUND ok|short
// The exit code is 1 when one of them is short.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <thread>

#include "bench/crowd.hpp"
#include "bench/load.hpp"
#include "rbac/snapshot.hpp"
#include "schema/core/log.hpp"
#include "tests/http/issuer_world.hpp"

namespace rosterd {
namespace {

using namespace bench;
using nlohmann::json;
using test::FakeIssuer;
using test::IssuerWorld;
using test::SigningKey;

constexpr double kLeast = 0.6;  // of the rate with an API token

http::HttpOptions options() {
  auto out = IssuerWorld::options();
  // As the configuration has them, but for the number of checks: they are part of what a check costs.
  out.rates = {.requests = {.count = 2'000, .burst = 4'000},
               .checks = {.count = 10'000'000, .burst = 10'000'000},
               .explains = {.count = 20, .burst = 200},
               .failures = {.count = 20, .burst = 400}};
  return out;
}

int measure(double seconds, int rounds, const std::vector<int>& connections) {
  // Before the world, whose threads use them to the end.
  struct Signer {
    std::string name, alg;
    SigningKey key;
    FakeIssuer issuer;
  };
  Signer es{.name = "es256", .alg = "ES256", .key = SigningKey::curve("es"), .issuer = {}};
  Signer rs{.name = "rs256", .alg = "RS256", .key = SigningKey::rsa("rs"), .issuer = {}};
  IssuerWorld world(options());
  const auto person = world.person("asker");
  const auto tenant = world.tenant_where(person, R"({"CHECK":["READ"]})");
  // The same right for the two whom the issuers vouch for.
  std::vector<std::pair<std::string, std::string>> callers{{"api-token", person.token}};
  const auto made = world.root().post("/v1/tenants/" + tenant + "/roles", {{"name", "Checker"}, {"permissions", {{"CHECK", {"READ"}}}}});
  for (auto* signer : {&es, &rs}) {
    signer->issuer.use(signer->key);
    const auto subject = "subject-" + signer->name;
    const auto id = world.user(tenant, world.source(tenant, signer->issuer, json::object(), signer->name), subject, subject);
    const auto bound = world.root().post("/v1/tenants/" + tenant + "/bindings",
                                         {{"role", made.body.value("id", "")}, {"principal", "user:" + text(PrincipalType::User, id)}});
    if (bound.status != 201) throw std::runtime_error("binding a role to " + subject + ": " + bound.text);
    const auto now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
    const json claims{{"iss", signer->issuer.url()}, {"aud", "rosterd"}, {"sub", subject}, {"client_id", "console"},
                      {"exp", now + 3600},           {"iat", now},       {"jti", "one"}};
    callers.emplace_back(signer->name, signer->key.token(signer->alg, claims, {{"typ", "at+jwt"}}));
  }

  const auto builder = rbac::make_builder(world.catalogue);
  Crowd crowd(*builder);
  if (const auto loaded = world.store->load_authorization(TenantId{tenant}, crowd); !loaded) throw std::runtime_error(loaded.error().what);
  crowd.join();
  auto snapshot = builder->finish();
  if (!snapshot) throw std::runtime_error(snapshot.error().what);
  world.snapshots.publish(TenantId{tenant}, *snapshot);
  std::jthread current([&](std::stop_token stop) {  // as the publisher does: else the snapshot grows old
    while (!stop.stop_requested()) {
      world.snapshots.confirm(TenantId{tenant});
      std::this_thread::sleep_for(std::chrono::milliseconds(500));
    }
  });

  std::vector<std::string> paths;
  for (const auto& q : questions(1000)) paths.push_back("/v1/tenants/" + tenant + "/check?" + q.query());
  std::vector<Kind> kinds;
  for (const auto& [name, token] : callers) {
    const auto one = world.as(token).get(paths[0]);
    if (one.status != 200) throw std::runtime_error("a check with " + name + " is answered " + one.text);
    kinds.push_back(gets(name, paths, token));
  }
  const Wrk wrk(world.server->port(), seconds);
  (void)wrk.run(kinds[0], 8);  // warm
  bool all_hold = true;
  for (const int c : connections) {
    const auto load = in_turn(wrk, kinds, c, rounds);
    for (std::size_t i = 0; i < load.size(); ++i) {
      const auto ratio = load[i].wrong > 0 ? 0 : load[i].per_second / load[0].per_second;
      if (i == 0 && load[i].wrong == 0) continue;
      all_hold = all_hold && ratio >= kLeast;
      std::printf("figure oidc.check.%s_over_api_token_%d %.3g >=%.3g %s\n", kinds[i].name.c_str(), c, ratio, kLeast,
                  ratio >= kLeast ? "ok" : "short");
      std::fflush(stdout);
    }
  }
  return all_hold ? 0 : 1;
}

}  // namespace
}  // namespace rosterd

int main(int argc, char** argv) {
  rosterd::log::set_level(rosterd::log::Level::Warning);
  CLI::App app("Checks over HTTP with a JWT of an issuer beside the same with an API token.");
  double seconds = 3;
  int rounds = 3;
  std::vector<int> connections{8, 64};
  app.add_option("--seconds", seconds, "of each run of wrk")->capture_default_str();
  app.add_option("--rounds", rounds, "of which the median counts")->capture_default_str();
  app.add_option("--connections", connections, "kept alive, one after the other")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    return rosterd::measure(seconds, rounds, connections);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench_oidc_check: %s\n", error.what());
    return 2;
  }
}
