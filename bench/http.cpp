// What a check costs over HTTP beside an empty handler of the same server, in the same run (DESIGN §7), and whether the server holds under
// idle and slow connections. The load comes from wrk, on the same cores. One line a figure:
//   figure NAME VALUE BOUND ok|short
// The exit code is 1 when one of them is short.

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <thread>

#include "bench/crowd.hpp"
#include "bench/load.hpp"
#include "rbac/snapshot.hpp"
#include "schema/core/log.hpp"
#include "tests/http/sockets.hpp"
#include "tests/http/world.hpp"

namespace rosterd {
namespace {

using namespace bench;
using test::Wire;
using test::World;
using Steady = std::chrono::steady_clock;

bool g_all_hold = true;

void figure(const std::string& name, double value, std::string_view sense, double bound, const char* unit) {
  const bool holds = sense == ">=" ? value >= bound : value <= bound;
  g_all_hold = g_all_hold && holds;
  std::printf("figure %s %.4g%s %.4g%s %s\n", name.c_str(), value, unit, bound, unit, holds ? "ok" : "short");
  std::fflush(stdout);
}

// ---- fresh checks beside thousands of silent and slow connections
// ----------------------------------------------------------------------------

void crowd_figure(const World& world, const std::string& path, const std::string& token) {
  std::vector<Wire> idle, slow;
  for (int i = 0; i < 2000; ++i) idle.emplace_back(world.server->port());
  for (int i = 0; i < 200; ++i) {
    slow.emplace_back(world.server->port());
    (void)slow.back().send("GET /healthz HTTP/1.1\r\nX-Slow: ");
  }
  std::jthread trickle([&](std::stop_token stop) {
    while (!stop.stop_requested()) {
      for (const auto& wire : slow) (void)wire.send("x");
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
  });
  std::vector<double> took;
  int wrong = 0;
  for (int i = 0; i < 500; ++i) {
    const auto begun = Steady::now();
    const Wire fresh(world.server->port());
    (void)fresh.send(fmt::format("GET {} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\r\n", path, token));
    if (!fresh.read_until("\"revision\"").starts_with("HTTP/1.1 200")) ++wrong;
    took.push_back(std::chrono::duration<double, std::milli>(Steady::now() - begun).count());
  }
  std::sort(took.begin(), took.end());
  std::printf(
      "a fresh connection with a check, beside 2,000 silent and 200 trickling ones: p50 %.2f ms, p99 %.2f ms, worst %.2f ms, wrong %d\n",
      took[took.size() / 2], took[took.size() * 99 / 100], took.back(), wrong);
  figure("http_fresh_beside_2200", wrong == 0 ? took.back() : 1e9, "<=", 50, "ms");
}

int measure(double seconds, int rounds, const std::vector<int>& connections, bool pause, std::size_t threads) {
  http::HttpOptions options;
  options.threads = threads;
  // As the configuration has them: they are part of what a check costs.
  options.rates = {.requests = {.count = 2'000, .burst = 4'000},
                   .checks = {.count = 10'000'000, .burst = 10'000'000},
                   .explains = {.count = 20, .burst = 200},
                   .failures = {.count = 20, .burst = 400}};
  options.read_timeout = Millis(60'000);  // the slow ones of the crowd stay
  World world(options);
  world.set_up();
  const auto person = world.person("asker");
  const TenantId tenant{world.tenant_where(person, R"({"CHECK":["READ"]})")};
  const auto builder = rbac::make_builder(world.catalogue);
  Crowd crowd(*builder);
  if (const auto loaded = world.store->load_authorization(tenant, crowd); !loaded) throw std::runtime_error(loaded.error().what);
  crowd.join();
  auto snapshot = builder->finish();
  if (!snapshot) throw std::runtime_error(snapshot.error().what);
  world.snapshots.publish(tenant, *snapshot);
  std::jthread current([&](std::stop_token stop) {  // as the publisher does: else the snapshot grows old
    while (!stop.stop_requested()) {
      world.snapshots.confirm(tenant);
      std::this_thread::sleep_for(std::chrono::milliseconds(500));
    }
  });

  const auto base = "/v1/tenants/" + tenant.value + "/check";
  std::vector<std::string> paths, singles, batches, evaluations;
  for (const auto& q : questions(1000)) {
    paths.push_back(base + "?" + q.query());
    singles.push_back(q.json());
    evaluations.push_back(q.authzen());
  }
  for (std::size_t i = 0; i + 50 <= singles.size(); i += 50) {
    std::string batch = R"({"checks":[)";
    for (std::size_t k = 0; k < 50; ++k) batch += (k > 0 ? "," : "") + singles[i + k];
    batches.push_back(batch + "]}");
  }
  const auto client = world.as(person);
  const auto one = client.get(paths[0]);
  if (one.status != 200) throw std::runtime_error("a check is answered " + one.text);
  int allowed = 0;
  for (const auto& path : paths) allowed += client.get(path).body.value("allowed", false) ? 1 : 0;
  std::printf("a tenant of %llu users, %llu groups, %llu bindings; of 1,000 questions %d are allowed\n",
              static_cast<unsigned long long>(kUsers), static_cast<unsigned long long>(kGroups), static_cast<unsigned long long>(kBindings),
              allowed);

  if (pause) {  // for perf, strace and the like
    std::printf("process %d, port %d\n  check  %s\n  token  %s\nEnter ends it\n", ::getpid(), world.server->port(), paths[0].c_str(),
                person.token.c_str());
    std::fflush(stdout);
    (void)std::getchar();
    return 0;
  }
  const Wrk wrk(world.server->port(), seconds);
  const auto empty = gets("empty", {"/healthz"}, person.token), check = gets("check", paths, person.token);
  (void)wrk.run(check, 64);  // warm
  for (const int c : connections) {
    const auto load = in_turn(wrk, {empty, check}, c, rounds);
    figure(fmt::format("http_check_over_empty_{}", c), load[1].per_second / load[0].per_second, ">=", 0.8, "");
    figure(fmt::format("http_check_p99_over_empty_{}", c), load[1].p99 / load[0].p99, "<=", 2, "");
    if (load[0].wrong + load[1].wrong > 0)
      figure(fmt::format("http_wrong_answers_{}", c), static_cast<double>(load[0].wrong + load[1].wrong), "<=", 0, "");
  }
  const auto load = in_turn(wrk,
                            {posts("single", base, singles, person.token), posts("batch50", base, batches, person.token),
                             posts("authzen", "/t/" + tenant.value + "/access/v1/evaluation", evaluations, person.token)},
                            8, rounds);
  figure("http_batch50_over_one", load[0].per_second / load[1].per_second, "<=", 5, "");
  figure("http_authzen_over_native", load[2].per_second / load[0].per_second, ">=", 0.7, "");
  if (load[2].wrong > 0) figure("http_wrong_answers_authzen", static_cast<double>(load[2].wrong), "<=", 0, "");
  crowd_figure(world, paths[0], person.token);
  return g_all_hold ? 0 : 1;
}

}  // namespace
}  // namespace rosterd

int main(int argc, char** argv) {
  rosterd::log::set_level(rosterd::log::Level::Warning);
  CLI::App app("Checks over HTTP beside an empty handler of the same server.");
  double seconds = 3;
  int rounds = 3;
  bool pause = false;
  std::vector<int> connections{8, 64, 256};
  app.add_option("--seconds", seconds, "of each run of wrk")->capture_default_str();
  app.add_option("--rounds", rounds, "of which the median counts")->capture_default_str();
  app.add_option("--connections", connections, "kept alive, one after the other")->capture_default_str();
  std::size_t threads = rosterd::http::HttpOptions{}.threads;
  app.add_option("--threads", threads, "of the server")->capture_default_str();
  app.add_flag("--pause", pause, "only serve, for profilers");
  CLI11_PARSE(app, argc, argv);
  try {
    return rosterd::measure(seconds, rounds, connections, pause, threads);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
  }
}
