// What a check costs over HTTP beside an empty handler of the same server, in the same run (DESIGN §7), and whether the server holds under
// idle and slow connections. The load comes from wrk, on the same cores. One line a figure:
//   figure NAME VALUE BOUND ok|short
// The exit code is 1 when one of them is short.

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <numeric>
#include <random>
#include <thread>

#include "rbac/snapshot.hpp"
#include "schema/core/log.hpp"
#include "tests/http/sockets.hpp"
#include "tests/http/world.hpp"

namespace rosterd {
namespace {

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

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// ---- a tenant of a size that is worth asking about
// ---------------------------------------------------------------------------------------

constexpr std::uint64_t kUsers = 10'000, kGroups = 1'000, kRoles = 50, kBindings = 5'000, kNamespaces = 100;
constexpr std::uint64_t kFirst = 1'000'000'000;  // ids beyond those of the store
const char* const kPermissions[] = {"FLOW", "EXECUTION", "NAMESPACE", "KVSTORE", "SECRET", "APP"};
const char* const kActions[] = {"CREATE", "READ", "UPDATE", "DELETE"};

std::string ns_of(std::uint64_t i) { return fmt::format("company.team{}.app{}", i / 10, i % 10); }

/// What the store holds of a tenant, and a crowd beside it: the model of spec/floors.md §4.
class Crowd final : public AuthorizationSink {
 public:
  explicit Crowd(AuthorizationSink& into) : into_(into) {}
  void begin(const Revision& revision, bool enabled, std::uint64_t users, std::uint64_t groups, std::uint64_t edges) override {
    into_.begin(revision, enabled, users + kUsers, groups + kGroups, edges + 3 * kUsers);
  }
  void user(PrincipalId id, std::string_view username, std::string_view email, bool active, bool super_admin) override {
    into_.user(id, username, email, active, super_admin);
  }
  void group(PrincipalId id, std::string_view folded, std::string_view name, bool active) override {
    join_users();
    into_.group(id, folded, name, active);
  }
  void service_account(PrincipalId id, std::string_view name, bool enabled) override {
    join_groups();
    into_.service_account(id, name, enabled);
  }
  void edge(PrincipalId group, PrincipalId member) override {
    join_groups();
    into_.edge(group, member);
  }
  void role(const Role& role) override {
    join_edges();
    into_.role(role);
  }
  void binding(const Binding& binding) override {
    join_edges();
    into_.binding(binding);
  }

  void join_users() {
    if (std::exchange(users_, true)) return;
    for (std::uint64_t i = 0; i < kUsers; ++i)
      into_.user({kFirst + i}, fmt::format("user{}", i), fmt::format("user{}@example.com", i), true, false);
  }
  void join_groups() {
    join_users();
    if (std::exchange(groups_, true)) return;
    for (std::uint64_t i = 0; i < kGroups; ++i) {
      const auto name = fmt::format("group{}", i);
      into_.group({kFirst + kUsers + i}, name, name, true);
    }
  }
  void join_edges() {
    join_groups();
    if (std::exchange(edges_, true)) return;
    for (std::uint64_t i = 0; i < kUsers; ++i)
      for (std::uint64_t k = 0; k < 3; ++k) into_.edge({kFirst + kUsers + (i + k * 331) % kGroups}, {kFirst + i});
  }
  void join() {
    join_edges();
    std::mt19937_64 random(42);
    const auto below = [&](std::uint64_t n) { return random() % n; };
    for (std::uint64_t i = 0; i < kRoles; ++i) {
      std::string permissions;
      for (const auto* permission : kPermissions)
        if (below(2) == 0)
          permissions += fmt::format(R"({}"{}":["READ","{}"])", permissions.empty() ? "" : ",", permission, kActions[below(4)]);
      into_.role({.id = {kFirst + i},
                  .name = fmt::format("role {}", i),
                  .description = {},
                  .managed = false,
                  .admin = false,
                  .permissions = "{" + permissions + "}"});
    }
    for (std::uint64_t i = 0; i < kBindings; ++i)
      into_.binding({.id = {kFirst + i},
                     .role = {kFirst + below(kRoles)},
                     .principal = i % 5 == 0 ? Principal{PrincipalType::User, {kFirst + below(kUsers)}}
                                             : Principal{PrincipalType::Group, {kFirst + kUsers + below(kGroups)}},
                     .ns = ns_of(below(kNamespaces)),
                     .expires_at = {},
                     .source = {},
                     .created_at = {},
                     .created_by = {}});
  }

 private:
  AuthorizationSink& into_;
  bool users_ = false, groups_ = false, edges_ = false;
};

struct Question {
  std::string subject, permission, action, ns;
};

std::vector<Question> questions(std::size_t count) {
  std::mt19937_64 random(7);
  const auto below = [&](std::uint64_t n) { return random() % n; };
  std::vector<Question> out;
  for (std::size_t i = 0; i < count; ++i)
    out.push_back({fmt::format("user:user{}", below(kUsers)), kPermissions[below(std::size(kPermissions))], kActions[below(4)],
                   ns_of(below(kNamespaces))});
  return out;
}

std::string json_of(const Question& q) {
  return fmt::format(R"({{"subject":"{}","permission":"{}","action":"{}","namespace":"{}"}})", q.subject, q.permission, q.action, q.ns);
}

std::string authzen_of(const Question& q) {
  return fmt::format(R"({{"subject":{{"type":"user","id":"{}"}},"action":{{"name":"{}"}},"resource":{{"type":"{}","id":"{}"}}}})",
                     q.subject.substr(5), q.action, q.permission, q.ns);
}

// ---- load -------------------------------------------------------------------------------------------------------------------------------

struct Load {
  double per_second = 0, p50 = 0, p99 = 0;  // milliseconds
  std::uint64_t wrong = 0;                  // answers that were not 2xx, and connections that broke
};

/// One request, as the lines of a Lua script for wrk.
struct Kind {
  std::string name, script;
};

Kind gets(std::string name, const std::vector<std::string>& paths, const std::string& token) {
  Kind out{std::move(name), "local all = {}\n"};
  const auto authorization = token.empty() ? std::string() : fmt::format("[\"Authorization\"] = \"Bearer {}\"", token);
  std::size_t i = 0;
  out.script += "local made = {}\n";
  for (const auto& path : paths) out.script += fmt::format("all[{}] = \"{}\"\n", ++i, path);
  out.script += fmt::format(
      "local headers = {{{}}}\nfunction init() for i = 1, #all do made[i] = wrk.format(\"GET\", all[i], headers) end end\n", authorization);
  return out;
}

Kind posts(std::string name, const std::string& path, const std::vector<std::string>& bodies, const std::string& token) {
  Kind out{std::move(name), "local all = {}\nlocal made = {}\n"};
  std::size_t i = 0;
  for (const auto& body : bodies) out.script += fmt::format("all[{}] = [[{}]]\n", ++i, body);
  out.script += fmt::format(
      "local headers = {{[\"Authorization\"] = \"Bearer {}\", [\"Content-Type\"] = \"application/json\"}}\n"
      "function init() for i = 1, #all do made[i] = wrk.format(\"POST\", \"{}\", headers, all[i]) end end\n",
      token, path);
  return out;
}

class Wrk {
 public:
  Wrk(std::uint16_t port, double seconds) : port_(port), seconds_(seconds) {}

  Load run(const Kind& kind, int connections) const {
    const auto file = dir_.write(kind.name + ".lua", kind.script + R"(
local at = 0
function request() at = at % #made + 1; return made[at] end
function done(summary, latency)
  io.write(string.format("result %d %d %d %d %d\n", summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout))
end
)");
    const auto ran = test::run({"wrk", "-t1", fmt::format("-c{}", connections), fmt::format("-d{}s", static_cast<int>(seconds_)), "-s",
                                file, fmt::format("http://127.0.0.1:{}/", port_)});
    const auto at = ran.output.find("result ");
    unsigned long long requests = 0, microseconds = 0, p50 = 0, p99 = 0, wrong = 0;
    if (at == std::string::npos ||
        std::sscanf(ran.output.c_str() + at, "result %llu %llu %llu %llu %llu", &requests, &microseconds, &p50, &p99, &wrong) != 5) {
      std::fprintf(stderr, "wrk said: %s\n", ran.output.c_str());
      std::exit(2);
    }
    return {.per_second = static_cast<double>(requests) / (static_cast<double>(microseconds) / 1e6),
            .p50 = static_cast<double>(p50) / 1000,
            .p99 = static_cast<double>(p99) / 1000,
            .wrong = wrong};
  }

 private:
  std::uint16_t port_;
  double seconds_;
  test::TempDir dir_{"rosterd-bench"};
};

/// Runs them in turn, so that what else the machine does meets all of them alike, and gives the median of each.
std::vector<Load> in_turn(const Wrk& wrk, const std::vector<Kind>& kinds, int connections, int rounds) {
  std::vector<std::vector<Load>> all(kinds.size());
  for (int round = 0; round < rounds; ++round)
    for (std::size_t i = 0; i < kinds.size(); ++i) all[i].push_back(wrk.run(kinds[i], connections));
  std::vector<Load> out;
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    const auto middle = [&](double Load::* member) {
      std::vector<double> values;
      for (const auto& load : all[i]) values.push_back(load.*member);
      return median(values);
    };
    Load load{.per_second = middle(&Load::per_second), .p50 = middle(&Load::p50), .p99 = middle(&Load::p99)};
    for (const auto& one : all[i]) load.wrong += one.wrong;
    std::printf("  %-8s c=%-3d  %9.0f requests/s   p50 %.3f ms   p99 %.3f ms   wrong %llu\n", kinds[i].name.c_str(), connections,
                load.per_second, load.p50, load.p99, static_cast<unsigned long long>(load.wrong));
    std::fflush(stdout);
    out.push_back(load);
  }
  return out;
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
    paths.push_back(fmt::format("{}?subject={}&permission={}&action={}&namespace={}", base, q.subject, q.permission, q.action, q.ns));
    singles.push_back(json_of(q));
    evaluations.push_back(authzen_of(q));
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
