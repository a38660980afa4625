// Checks over HTTP beside two others who answer such questions, with one tenant, the same questions and the same load: rosterd, Cerbos and
// node-casbin behind node's own server. Every peer's answers are compared with rosterd's before it is measured. One line a figure:
//   figure NAME VALUE BOUND ok|short
// The exit code is 1 when one of them is short, 2 when a peer could not be measured.
//
// Cerbos knows no users, groups and bindings: the caller has to send what it is to judge by. Twice, therefore: with the roles that the
// caller found at the place asked about ("roles": its look-up is not measured), and with all of the user's bindings ("bindings").

#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <map>
#include <set>

#include "bench/crowd.hpp"
#include "bench/load.hpp"
#include "schema/core/log.hpp"
#include "tests/http/world.hpp"

namespace rosterd {
namespace {

using namespace bench;
using nlohmann::json;
using test::World;

constexpr std::size_t kQuestions = 1'000, kCompared = 500;

// ---- rosterd in a process of its own, so that its memory is its own
// ----------------------------------------------------------------------

int serve() {
  sigset_t ending;
  sigemptyset(&ending);
  sigaddset(&ending, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &ending, nullptr);  // before any thread starts
  World world;
  world.set_up();
  const auto person = world.person("asker");
  const TenantId tenant{world.tenant_where(person, R"({"CHECK":["READ"]})")};
  {
    const auto builder = rbac::make_builder(world.catalogue);
    Crowd crowd(*builder);
    if (const auto loaded = world.store->load_authorization(tenant, crowd); !loaded) throw std::runtime_error(loaded.error().what);
    crowd.join();
    auto snapshot = builder->finish();
    if (!snapshot) throw std::runtime_error(snapshot.error().what);
    world.snapshots.publish(tenant, *snapshot);
  }
  std::jthread current([&](const std::stop_token& stop) {  // as the publisher does: else the snapshot grows old
    while (!stop.stop_requested()) {
      world.snapshots.confirm(tenant);
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
    }
  });
  std::printf("ready: %d %s %s\n", world.server->port(), tenant.value.c_str(), person.token.c_str());
  std::fflush(stdout);
  int signal = 0;
  sigwait(&ending, &signal);
  return 0;
}

// ---- the tenant, as the peers take it
// ----------------------------------------------------------------------------------------------------

using Places = std::map<std::uint64_t, std::set<std::string>>;  ///< role -> the namespaces where somebody has it

struct Known {
  CrowdAccess access = crowd_access();
  std::vector<Question> asked = questions(kQuestions);
  std::vector<bool> allowed;
  std::vector<Places> places;  ///< of each question's user

  Known() {
    const auto builder = rbac::make_builder(rbac::Catalogue::built_in());
    Crowd crowd(*builder);
    crowd.begin({.epoch = 1, .number = 1}, true, 0, 0, 0);
    crowd.join();
    const auto snapshot = builder->finish();
    if (!snapshot) throw std::runtime_error(snapshot.error().what);
    const auto at = SystemClock().now();
    for (std::size_t i = 0; i < asked.size(); ++i) {
      auto& q = asked[i];
      places.push_back(places_of(q.user));
      if (i % 3 == 0) ask_for_what_is_held(q, places.back(), i);  // else hardly anything would be allowed
      const auto name = user_name(q.user);
      const auto decision = (*snapshot)->check(
          {.type = PrincipalType::User, .key = name, .permission = q.permission, .action = q.action, .ns = q.ns, .at = at});
      allowed.push_back(decision.allowed);
    }
  }

 private:
  [[nodiscard]] Places places_of(std::uint64_t user) const {
    std::set<std::uint64_t> groups;
    for (std::uint64_t k = 0; k < kGroupsOfUser; ++k) groups.insert(group_of(user, k));
    Places out;
    for (const auto& binding : access.bindings)
      if (binding.to_group ? groups.contains(binding.holder) : binding.holder == user) out[binding.role].insert(binding.ns);
    return out;
  }
  void ask_for_what_is_held(Question& q, const Places& held, std::size_t i) const {
    if (held.empty()) return;
    const auto& [role, namespaces] = *std::next(held.begin(), static_cast<std::ptrdiff_t>(i % held.size()));
    const auto& permissions = access.roles[role].permissions;
    if (permissions.empty()) return;
    const auto& [permission, actions] = permissions[i % permissions.size()];
    q.permission = permission;
    q.action = actions[i % actions.size()];
    q.ns = *namespaces.begin();
  }
};

std::string tenant_json(const Known& known) {
  auto groups_of = json::array(), roles = json::array(), bindings = json::array();
  for (std::uint64_t user = 0; user < kUsers; ++user) {
    auto& groups = groups_of.emplace_back(json::array());
    for (std::uint64_t k = 0; k < kGroupsOfUser; ++k) groups.push_back(group_of(user, k));
  }
  for (const auto& role : known.access.roles) roles.push_back(json::parse(role.json()));
  for (const auto& binding : known.access.bindings)
    bindings.push_back({{"role", binding.role}, {binding.to_group ? "group" : "user", binding.holder}, {"namespace", binding.ns}});
  return json{{"groups_of", std::move(groups_of)}, {"roles", std::move(roles)}, {"bindings", std::move(bindings)}}.dump();
}

/// Permission -> action -> the roles that have the pair.
using Pairs = std::map<std::string, std::map<std::string, std::set<std::string>>>;
Pairs pairs_of(const Known& known) {
  Pairs out;
  for (std::size_t role = 0; role < known.access.roles.size(); ++role)
    for (const auto& [permission, actions] : known.access.roles[role].permissions)
      for (const auto& action : actions) out[permission][action].insert(fmt::format("role{}", role));
  return out;
}

/// Cerbos reads YAML, of which JSON is a part.
void write_policies(const Known& known, const test::TempDir& dir, bool derived) {
  for (const auto& [permission, actions] : pairs_of(known)) {
    auto rules = json::array();
    for (const auto& [action, roles] : actions)
      rules.push_back({{"actions", {action}}, {"effect", "EFFECT_ALLOW"}, {derived ? "derivedRoles" : "roles", roles}});
    json policy = {{"resource", permission}, {"version", "default"}, {"rules", rules}};
    if (derived) policy["importDerivedRoles"] = {"tenant"};
    (void)dir.write(fmt::format("policies/{}.json", permission),
                    json{{"apiVersion", "api.cerbos.dev/v1"}, {"resourcePolicy", policy}}.dump(), 0644);
  }
  if (!derived) return;
  auto definitions = json::array();
  for (std::size_t role = 0; role < known.access.roles.size(); ++role) {
    const auto name = fmt::format("role{}", role);
    definitions.push_back(
        {{"name", name},
         {"parentRoles", {"user"}},
         {"condition", {{"match", {{"expr", fmt::format("has(P.attr.bindings.{0}) && R.id in P.attr.bindings.{0}", name)}}}}}});
  }
  (void)dir.write("policies/derived.json",
                  json{{"apiVersion", "api.cerbos.dev/v1"}, {"derivedRoles", {{"name", "tenant"}, {"definitions", definitions}}}}.dump(),
                  0644);
}

std::string cerbos_body(const Question& q, const Places& places, bool derived) {
  json principal = {{"id", user_name(q.user)}, {"roles", json::array()}};
  for (const auto& [role, namespaces] : places) {
    const auto name = fmt::format("role{}", role);
    if (derived)
      principal["attr"]["bindings"][name] = namespaces;
    else if (namespaces.contains(q.ns))
      principal["roles"].push_back(name);
  }
  if (derived) {
    principal["roles"] = {"user"};
    if (!principal.contains("attr")) principal["attr"]["bindings"] = json::object();
  }
  if (principal["roles"].empty()) principal["roles"] = {"nobody"};
  return json{{"principal", std::move(principal)},
              {"resources", json::array({{{"actions", {q.action}}, {"resource", {{"kind", q.permission}, {"id", q.ns}}}}})}}
      .dump();
}

// ---- measuring
// ---------------------------------------------------------------------------------------------------------------------------

struct Peer {
  std::string name;
  test::Process process;
  std::uint16_t port = 0;
  std::string path, token;
  std::vector<std::string> bodies;
  std::function<bool(const json& answer, const Question& q)> allowed;
};

double resident(pid_t pid) {
  std::ifstream status(fmt::format("/proc/{}/status", pid));
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmRSS:")) return std::strtod(line.c_str() + 6, nullptr) / 1024;
  return 0;
}

void wait_for(test::Process& process, const std::string& name, const std::function<bool()>& ready) {
  if (test::wait_until([&] { return ready() || !process.is_running(); }, std::chrono::seconds(60)) && process.is_running()) return;
  throw std::runtime_error(fmt::format("{} does not start:\n{}", name, process.output()));
}

Peer rosterd(const Known& known) {
  Peer out{
      .name = "rosterd", .process = test::Process({"/proc/self/exe", "--serve"}), .path = {}, .token = {}, .bodies = {}, .allowed = {}};
  wait_for(out.process, out.name, [&] { return out.process.output().find("ready: ") != std::string::npos; });
  const auto said = out.process.output();
  std::istringstream words(said.substr(said.find("ready: ") + 7));
  std::string tenant;
  words >> out.port >> tenant >> out.token;
  out.path = "/v1/tenants/" + tenant + "/check";
  for (const auto& q : known.asked) out.bodies.push_back(q.json());
  out.allowed = [](const json& answer, const Question&) { return answer.at("allowed").get<bool>(); };
  return out;
}

Peer casbin(const Known& known, const std::string& packages, const std::string& scripts, const test::TempDir& dir) {
  const auto port = test::free_port();
  Peer out{
      .name = "node-casbin",
      .process = test::Process({"node", scripts + "/casbin_server.cjs", dir.write("tenant.json", tenant_json(known)), std::to_string(port)},
                               {.env = {{"ROSTERD_PEERS", packages}}}),
      .port = static_cast<std::uint16_t>(port),
      .path = "/check",
      .token = {},
      .bodies = {},
      .allowed = {}};
  wait_for(out.process, out.name, [&] { return out.process.output().find("ready: ") != std::string::npos; });
  for (const auto& q : known.asked) out.bodies.push_back(q.json());
  out.allowed = [](const json& answer, const Question&) { return answer.at("allowed").get<bool>(); };
  return out;
}

Peer cerbos(const Known& known, const std::string& packages, bool derived, const test::TempDir& dir) {
  const auto port = test::free_port(), other = test::free_port();
  write_policies(known, dir, derived);
  const auto config = dir.write("cerbos.json", json{{"server",
                                                     {{"httpListenAddr", fmt::format("127.0.0.1:{}", port)},
                                                      {"grpcListenAddr", fmt::format("127.0.0.1:{}", other)},
                                                      {"logRequestPayloads", false}}},
                                                    {"telemetry", {{"disabled", true}}},
                                                    {"storage", {{"driver", "disk"}, {"disk", {{"directory", dir.file("policies")}}}}}}
                                                   .dump());
  Peer out{.name = derived ? "Cerbos, bindings" : "Cerbos, roles",
           .process = test::Process(
               {packages + "/node_modules/@cerbos/cerbos-linux-x64/cerbos-linux-x64", "server", "--log-level=error", "--config=" + config}),
           .port = static_cast<std::uint16_t>(port),
           .path = "/api/check/resources",
           .token = {},
           .bodies = {},
           .allowed = {}};
  const test::Client client(out.port, {});
  wait_for(out.process, out.name, [&] { return client.get("/_cerbos/health").status == 200; });
  for (std::size_t i = 0; i < known.asked.size(); ++i) out.bodies.push_back(cerbos_body(known.asked[i], known.places[i], derived));
  out.allowed = [](const json& answer, const Question& q) {
    return answer.at("results").at(0).at("actions").at(q.action) == "EFFECT_ALLOW";
  };
  return out;
}

/// Nobody is measured who answers something else.
void compare(const Peer& peer, const Known& known) {
  const test::Client client(peer.port, peer.token);
  for (std::size_t i = 0; i < kCompared; ++i) {
    const auto answer = client.call("POST", peer.path, peer.bodies[i], {});
    if (answer.status != 200 || peer.allowed(answer.body, known.asked[i]) != known.allowed[i])
      throw std::runtime_error(fmt::format("{} answers {} {} to {}", peer.name, answer.status, answer.text, peer.bodies[i]));
  }
}

struct Row {
  std::vector<Load> loads;  ///< one for each number of connections
  double memory = 0;
};

Row measured(const Peer& peer, const Known& known, double seconds, int rounds, const std::vector<int>& connections) {
  compare(peer, known);
  const Wrk wrk(peer.port, seconds);
  const auto kind = posts("check", peer.path, peer.bodies, peer.token);
  (void)Wrk(peer.port, 1).run(kind, connections.front());  // warm: node compiles what it runs often
  Row out;
  for (const int c : connections) {
    std::vector<Load> loads;
    for (int round = 0; round < rounds; ++round) loads.push_back(wrk.run(kind, c));
    out.loads.push_back(median(loads));
    const auto& load = out.loads.back();
    std::printf("| %s | %d | %.0f | %.2f | %.2f | %.0f |%s\n", peer.name.c_str(), c, load.per_second, load.p50, load.p99,
                resident(peer.process.pid()), load.wrong > 0 ? fmt::format(" {} wrong", load.wrong).c_str() : "");
    std::fflush(stdout);
    if (load.wrong > 0) throw std::runtime_error(peer.name + " did not answer everything");
  }
  out.memory = resident(peer.process.pid());
  return out;
}

bool figure(const std::string& name, double value, double least) {
  const bool holds = value >= least;
  std::printf("figure %s %.4g %.4g %s\n", name.c_str(), value, least, holds ? "ok" : "short");
  return holds;
}

int measure(const std::string& packages, const std::string& scripts, double seconds, int rounds, const std::vector<int>& connections) {
  const Known known;
  std::printf("%llu users in %llu of %llu groups each, %llu roles, %llu bindings at %llu namespaces; of %zu questions %td are allowed\n",
              static_cast<unsigned long long>(kUsers), static_cast<unsigned long long>(kGroupsOfUser),
              static_cast<unsigned long long>(kGroups), static_cast<unsigned long long>(kRoles), static_cast<unsigned long long>(kBindings),
              static_cast<unsigned long long>(kNamespaces), known.asked.size(),
              std::count(known.allowed.begin(), known.allowed.end(), true));
  std::printf("| | connections | checks/s | p50, ms | p99, ms | memory, MiB |\n|---|---|---|---|---|---|\n");
  const auto one = [&](Peer peer) {
    const auto row = measured(peer, known, seconds, rounds, connections);
    peer.process.kill(SIGTERM);
    (void)peer.process.wait(std::chrono::seconds(20));
    return row;
  };
  // One after the other: an idle server beside the measured one would still take memory, and a moment now and then.
  const auto ours = one(rosterd(known));
  const test::TempDir roles("rosterd-bench"), bindings("rosterd-bench"), tenant("rosterd-bench");
  const std::pair<std::string, Row> theirs[] = {{"cerbos_roles", one(cerbos(known, packages, false, roles))},
                                                {"cerbos_bindings", one(cerbos(known, packages, true, bindings))},
                                                {"casbin", one(casbin(known, packages, scripts, tenant))}};
  bool all = true;
  for (const auto& [name, row] : theirs) {
    for (std::size_t i = 0; i < connections.size(); ++i)
      all = figure(fmt::format("peers_rosterd_over_{}_{}", name, connections[i]), ours.loads[i].per_second / row.loads[i].per_second, 1) &&
            all;
    all = figure(fmt::format("peers_{}_memory_over_rosterd", name), row.memory / ours.memory, 1) && all;
  }
  return all ? 0 : 1;
}

}  // namespace
}  // namespace rosterd

int main(int argc, char** argv) {
  rosterd::log::set_level(rosterd::log::Level::Warning);
  CLI::App app("Checks over HTTP beside Cerbos and node-casbin.");
  double seconds = 5;
  int rounds = 3;
  bool serve = false;
  std::string packages, scripts = ROSTERD_PEER_SCRIPTS;
  std::vector<int> connections{8, 64};
  app.add_option("--packages", packages, "folder with node_modules of bench/peers/package.json");
  app.add_option("--seconds", seconds, "of each run of wrk")->capture_default_str();
  app.add_option("--rounds", rounds, "of which the median counts")->capture_default_str();
  app.add_option("--connections", connections, "kept alive, one after the other")->capture_default_str();
  app.add_flag("--serve", serve, "only be the rosterd that is measured");
  CLI11_PARSE(app, argc, argv);
  try {
    return serve ? rosterd::serve() : rosterd::measure(packages, scripts, seconds, rounds, connections);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
  }
}
