// What a check costs in the process, and what a snapshot costs to build and to keep (DESIGN §7). One line a figure:
//   figure NAME VALUE BOUND ok|short
// The exit code is 1 when one of them is short.

#include <benchmark/benchmark.h>
#include <x86intrin.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <new>
#include <random>
#include <string>
#include <vector>

#include "rbac/self_check.hpp"
#include "rbac/snapshot.hpp"

namespace {
std::atomic<std::uint64_t> g_allocations{0};
}  // namespace

void* operator new(std::size_t size) {
  g_allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace {

using namespace rosterd;
using SteadyClock = std::chrono::steady_clock;

bool g_all_hold = true;

void figure(const char* name, double value, double bound, const char* unit) {
  const bool holds = value <= bound;
  g_all_hold = g_all_hold && holds;
  std::printf("figure %s %.6g%s %.6g%s %s\n", name, value, unit, bound, unit, holds ? "ok" : "short");
  std::fflush(stdout);
}

double seconds_since(SteadyClock::time_point start) { return std::chrono::duration<double>(SteadyClock::now() - start).count(); }

/// "VmRSS" or "VmHWM" of this process, in bytes.
double memory(const char* field) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with(field)) return 1024.0 * std::strtod(line.c_str() + std::string_view(field).size() + 1, nullptr);
  return 0;
}
/// From here on VmHWM is the peak since now (proc(5), clear_refs).
void forget_peak() { std::ofstream("/proc/self/clear_refs") << "5"; }

constexpr const char* kFirst[] = {"ada", "grace", "edsger", "barbara", "donald", "margaret", "alan", "katherine", "john", "frances"};
constexpr const char* kLast[] = {"lovelace", "hopper", "dijkstra", "liskov", "knuth", "hamilton", "turing", "johnson", "backus", "allen"};

/// Names as directories have them, without an allocation: the generator is not what is measured.
struct Name {
  char username[40], email[64];
  explicit Name(std::uint64_t i) {
    std::snprintf(username, sizeof username, "%c%s%llu", kFirst[i % 10][0], kLast[i / 10 % 10], static_cast<unsigned long long>(i));
    std::snprintf(email, sizeof email, "%s.%s.%llu@example.com", kFirst[i % 10], kLast[i / 10 % 10], static_cast<unsigned long long>(i));
  }
};

struct Size {
  std::uint64_t users = 0, groups = 0, edges = 0, roles = 0;
};

constexpr std::uint64_t kFirstGroup = 1'000'000'000, kFirstRole = 1, kFirstBinding = 1;
const char* const kPermissions[] = {"FLOW", "EXECUTION", "NAMESPACE", "KVSTORE", "SECRET", "APP", "USER", "SETTING"};
const char* const kActions[] = {"CREATE", "READ", "UPDATE", "DELETE"};

std::string ns_of(std::uint64_t i) { return i % 21 == 0 ? fmt::format("team{}", i / 21) : fmt::format("team{}.app{}", i / 21, i % 21); }
constexpr std::uint64_t kNamespaces = 1050;

/// One tenant: every group holds one role at one namespace (each tenth of them tenant-wide), members are drawn at random.
void feed(const Size& size, AuthorizationSink& sink) {
  std::mt19937_64 random(42);
  const auto below = [&](std::uint64_t n) { return random() % n; };
  sink.begin({.epoch = 1, .number = 1}, true, size.users, size.groups, size.edges);
  for (std::uint64_t i = 0; i < size.users; ++i) {
    const Name name(i);
    sink.user({1 + i}, name.username, name.email, true, false);
  }
  for (std::uint64_t i = 0; i < size.groups; ++i) {
    char name[32];
    std::snprintf(name, sizeof name, "group-%llu", static_cast<unsigned long long>(i));
    sink.group({kFirstGroup + i}, name, name, true);
  }
  for (std::uint64_t i = 0; i < size.edges; ++i) sink.edge({kFirstGroup + i * size.groups / size.edges}, {1 + below(size.users)});
  for (std::uint64_t i = 0; i < size.roles; ++i) {
    std::string permissions;
    for (const auto* permission : kPermissions) {
      if (below(4) != 0) continue;
      permissions += fmt::format(R"({}"{}":["READ","{}"])", permissions.empty() ? "" : ",", permission, kActions[below(4)]);
    }
    sink.role({.id = {kFirstRole + i},
               .name = fmt::format("role-{}", i),
               .description = {},
               .managed = false,
               .admin = i % 500 == 0,
               .permissions = "{" + permissions + "}"});
  }
  for (std::uint64_t i = 0; i < std::min(size.roles, size.groups); ++i)
    sink.binding({.id = {kFirstBinding + i},
                  .role = {kFirstRole + i},
                  .principal = {PrincipalType::Group, {kFirstGroup + i}},
                  .ns = i % 10 == 0 ? std::nullopt : std::optional(ns_of(below(kNamespaces))),
                  .expires_at = {},
                  .source = {},
                  .created_at = {},
                  .created_by = {}});
}

std::shared_ptr<const rbac::Snapshot> build(const Size& size) {
  const auto builder = rbac::make_builder(rbac::Catalogue::built_in());
  feed(size, *builder);
  auto snapshot = builder->finish();
  if (!snapshot) {
    std::fprintf(stderr, "%s\n", snapshot.error().what.c_str());
    std::exit(2);
  }
  return *snapshot;
}

struct Counting final : AuthorizationSink {
  std::uint64_t bytes = 0;
  void begin(const Revision&, bool, std::uint64_t, std::uint64_t, std::uint64_t) override {}
  void user(PrincipalId, std::string_view username, std::string_view email, bool, bool) override {
    bytes += username.size() + email.size();
  }
  void group(PrincipalId, std::string_view folded, std::string_view, bool) override { bytes += folded.size(); }
  void service_account(PrincipalId, std::string_view, bool) override {}
  void edge(PrincipalId, PrincipalId member) override { bytes += member.value & 1; }
  void role(const Role& role) override { bytes += role.name.size(); }
  void binding(const Binding&) override {}
};

// ---- memory and time of a snapshot of a million users --------------------------------------------------------------------------------

double resident_growth(const Size& size) {
  const double before = memory("VmRSS");
  const auto snapshot = build(size);
  const double after = memory("VmRSS");
  benchmark::DoNotOptimize(snapshot);
  return after - before;
}

void snapshot_figures() {
  constexpr Size kUsers{.users = 1'000'000, .groups = 0, .edges = 0, .roles = 0};
  constexpr Size kNoMembers{.users = 1'000'000, .groups = 50'000, .edges = 0, .roles = 1'000};
  constexpr Size kWhole{.users = 1'000'000, .groups = 50'000, .edges = 1'000'000, .roles = 1'000};

  Counting generated;
  auto start = SteadyClock::now();
  feed(kWhole, generated);
  const double generating = seconds_since(start);

  const double users_only = resident_growth(kUsers);
  const double no_members = resident_growth(kNoMembers);

  const double before = memory("VmRSS");
  forget_peak();
  start = SteadyClock::now();
  auto snapshot = build(kWhole);
  const double built = seconds_since(start) - generating;
  const double peak = memory("VmHWM") - before;
  const double whole = memory("VmRSS") - before;
  const auto stats = snapshot->stats();
  std::printf(
      "snapshot of %llu users, %llu groups, %llu memberships, %llu bindings: %llu profiles, %.1f MiB counted, %.1f MiB resident; names "
      "take %.1f bytes a user\n",
      static_cast<unsigned long long>(stats.users), static_cast<unsigned long long>(stats.groups),
      static_cast<unsigned long long>(stats.edges), static_cast<unsigned long long>(stats.bindings),
      static_cast<unsigned long long>(stats.profiles), static_cast<double>(stats.bytes) / 1048576, whole / 1048576,
      static_cast<double>(generated.bytes) / static_cast<double>(kWhole.users));
  snapshot.reset();
  const double left = memory("VmRSS") - before;

  figure("snapshot_build_1m", built, 1.5, "s");
  figure("snapshot_bytes_per_user", users_only / static_cast<double>(kUsers.users), 200, "B");
  figure("snapshot_bytes_per_membership", (whole - no_members) / static_cast<double>(kWhole.edges), 64, "B");
  figure("snapshot_build_peak", peak / whole, 1.6, "x");
  figure("snapshot_kept_after_freeing", left / whole, 0.1, "x");
}

// ---- the next snapshot ---------------------------------------------------------------------------------------------------------------

/// A hundred changes as a sync brings them: new names, people who leave or come, memberships, some bindings of groups.
AuthorizationChanges hundred_changes(const Size& size, const Revision& from, std::uint64_t round) {
  AuthorizationChanges out;
  out.from = from;
  out.to = {.epoch = from.epoch, .number = from.number + 1};
  std::mt19937_64 random(1'000 + round);
  const auto below = [&](std::uint64_t n) { return random() % n; };
  const auto touch = [&](std::uint64_t id, const std::string& prefix, bool active) {
    const Name name(id - 1);
    out.principals.push_back({id});
    out.holders.push_back({id});
    out.users.push_back({{id}, prefix + name.username, name.email, active, false});
  };
  const auto stride = size.users / 50;
  for (std::uint64_t i = 0; i < 50; ++i) touch(1 + i * stride + below(stride), i < 30 ? fmt::format("r{}", round) : "", i < 30);
  for (std::uint64_t i = 0; i < 10; ++i) touch(size.users + 1 + 10 * round + i, "", true);
  for (std::uint64_t i = 0; i < 30; ++i)
    out.edges.push_back({.group = {kFirstGroup + i * (size.groups / 30)}, .member = {1 + below(size.users)}, .there = i % 3 != 0});
  for (std::uint64_t i = 0; i < 10; ++i) {
    const auto at = (i + 10 * round) % std::min(size.roles, size.groups);
    out.holders.push_back({kFirstGroup + at});
    out.bindings.push_back({.id = {2'000'000 + 10 * round + i},
                            .role = {kFirstRole + below(size.roles)},
                            .principal = {PrincipalType::Group, {kFirstGroup + at}},
                            .ns = ns_of(below(kNamespaces)),
                            .expires_at = {},
                            .source = {},
                            .created_at = {},
                            .created_by = {}});
  }
  return out;
}

/// From the changes in memory to the snapshot that may be published, self-check included. What the store needs for telling them, and the
/// way to a check, is measured by bench_store.
void update_figures() {
  constexpr Size kWhole{.users = 1'000'000, .groups = 50'000, .edges = 1'000'000, .roles = 1'000};
  constexpr int kRounds = 9;
  const double before = memory("VmRSS");
  auto snapshot = build(kWhole);
  const double whole = memory("VmRSS") - before;
  std::vector<double> all, checks;
  double peak = 0;
  for (int round = 0; round < kRounds; ++round) {
    const auto changes = hundred_changes(kWhole, snapshot->revision(), static_cast<std::uint64_t>(round));
    forget_peak();
    const auto start = SteadyClock::now();
    auto next = rbac::update(*snapshot, changes);
    const auto updated = SteadyClock::now();
    if (!next || !*next) {
      std::fprintf(stderr, "%s\n", next ? "worn out" : next.error().what.c_str());
      std::exit(2);
    }
    if (const auto good = rbac::self_check(**next, &changes); !good) {
      std::fprintf(stderr, "%s\n", good.error().what.c_str());
      std::exit(2);
    }
    all.push_back(seconds_since(start) * 1e3);
    checks.push_back(seconds_since(updated) * 1e3);
    peak = std::max(peak, memory("VmHWM") - before);
    snapshot = *next;
  }
  std::sort(all.begin(), all.end());
  std::sort(checks.begin(), checks.end());
  std::printf("100 changes in 1,000,000 users: %.1f ms (best %.1f, worst %.1f), of it self-check %.1f ms; afterwards %.1f MiB\n",
              all[kRounds / 2], all.front(), all.back(), checks[kRounds / 2], (memory("VmRSS") - before) / 1048576);
  figure("snapshot_update_100_in_1m", all[kRounds / 2], 50, "ms");
  figure("snapshot_update_peak", peak / whole, 2.0, "x");
}

// ---- cost of a check -----------------------------------------------------------------------------------------------------------------

struct Asked {
  std::string key, ns;
  const char* permission;
  const char* action;
  [[nodiscard]] rbac::Question question(TimePoint at) const {
    return {.type = PrincipalType::User, .key = key, .permission = permission, .action = action, .ns = ns, .at = at};
  }
};

std::uint64_t ticks() {
  _mm_lfence();
  const auto now = __rdtsc();
  _mm_lfence();
  return now;
}

double ticks_per_ns() {
  const auto start = SteadyClock::now();
  const auto first = ticks();
  while (seconds_since(start) < 0.05) benchmark::ClobberMemory();
  return static_cast<double>(ticks() - first) / (seconds_since(start) * 1e9);
}

double percentile(std::vector<std::uint32_t>& values, double part) {
  const auto at = values.begin() + static_cast<std::ptrdiff_t>(static_cast<double>(values.size() - 1) * part);
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

/// What single checks cost, in ticks without the cost of reading the clock.
struct Costs {
  std::vector<std::uint32_t> ticks;
  double clock = 0, scale = 1;
  std::uint64_t allocations = 0;
  double at(double part) { return std::max(0.0, percentile(ticks, part) - clock) / scale; }
  [[nodiscard]] double mean() const {
    double sum = 0;
    for (const auto one : ticks) sum += one;
    return sum / static_cast<double>(ticks.size()) / scale - clock / scale;
  }
};

/// Asks everything once to warm up, then `rounds` times. A question is copied before its clock starts: a request has just been parsed
/// when it is checked, so its words are in the cache, and fetching them is no part of a check.
Costs measure(const rbac::Snapshot& snapshot, const std::vector<Asked>& asked, int rounds, TimePoint at) {
  Costs out;
  out.scale = ticks_per_ns();
  out.ticks.reserve(asked.size() * static_cast<std::size_t>(rounds));
  for (int i = 0; i < 10'000; ++i) {
    const auto start = ticks();
    out.ticks.push_back(static_cast<std::uint32_t>(ticks() - start));
  }
  out.clock = percentile(out.ticks, 0.5);
  out.ticks.clear();
  Asked held;
  held.key.reserve(256);
  held.ns.reserve(256);
  const auto before = g_allocations.load();
  for (int round = -1; round < rounds; ++round)
    for (const auto& one : asked) {
      held.key.assign(one.key);
      held.ns.assign(one.ns);
      held.permission = one.permission;
      held.action = one.action;
      const auto question = held.question(at);
      const auto start = ticks();
      benchmark::DoNotOptimize(snapshot.check(question));
      const auto spent = ticks() - start;
      if (round >= 0) out.ticks.push_back(static_cast<std::uint32_t>(spent));
    }
  out.allocations = g_allocations.load() - before;
  return out;
}

void check_figures() {
  constexpr Size kSize{.users = 100'000, .groups = 10'000, .edges = 1'000'000, .roles = 10'000};
  const auto snapshot = build(kSize);
  const auto at = SystemClock().now();
  std::mt19937_64 random(7);
  const auto below = [&](std::uint64_t n) { return random() % n; };

  std::vector<Asked> all;
  for (int i = 0; i < 200'000; ++i) {
    const Name name(below(kSize.users));
    // One in four asks in a namespace that nobody bound; it resolves to its ancestors.
    auto ns = ns_of(below(kNamespaces));
    if (below(4) == 0) ns += ".sub";
    all.push_back(
        {below(2) == 0 ? name.username : name.email, std::move(ns), kPermissions[below(std::size(kPermissions))], kActions[below(4)]});
  }
  // Warm: what a daemon is asked within a moment. Cold: everybody once in turn, so that nearly nothing of a user is in any cache.
  const std::vector<Asked> some(all.begin(), all.begin() + 1'000);
  std::vector<Asked> allowed, denied;
  for (const auto& one : all) {
    auto& list = snapshot->check(one.question(at)).allowed ? allowed : denied;
    if (list.size() < 1'000) list.push_back(one);
  }
  auto warm = measure(*snapshot, some, 200, at);
  auto cold = measure(*snapshot, all, 2, at);
  const double yes = measure(*snapshot, allowed, 200, at).mean(), no = measure(*snapshot, denied, 200, at).mean();

  const auto stats = snapshot->stats();
  std::printf("check among %llu users, %llu memberships, %llu bindings (%llu profiles, %.1f MiB)\n",
              static_cast<unsigned long long>(stats.users), static_cast<unsigned long long>(stats.edges),
              static_cast<unsigned long long>(stats.bindings), static_cast<unsigned long long>(stats.profiles),
              static_cast<double>(stats.bytes) / 1048576);
  std::printf("  1,000 users at a time: p50 %.0f ns, p99 %.0f ns, p99.9 %.0f ns; allowed %.0f ns, denied %.0f ns\n", warm.at(0.5),
              warm.at(0.99), warm.at(0.999), yes, no);
  std::printf("  everybody in turn:     p50 %.0f ns, p99 %.0f ns, p99.9 %.0f ns\n", cold.at(0.5), cold.at(0.99), cold.at(0.999));
  figure("check_p50_warm", warm.at(0.5), 150, "ns");
  figure("check_p99_cold", cold.at(0.99), 1000, "ns");
  figure("check_allocations", static_cast<double>(warm.allocations + cold.allocations), 0, "");
  figure("check_deny_over_allow", no / yes, 1.5, "x");
}

// ---- other shapes: what a check costs must not depend on how much there is ----------------------------------------------------------

/// A small tenant written down row by row; kept in order by whoever writes it.
struct Rows {
  std::vector<std::pair<std::uint64_t, std::string>> users, groups;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> edges;  ///< group, member
  std::vector<Role> roles;
  std::vector<Binding> bindings;

  std::uint64_t user(std::string name) { return add(users, std::move(name)); }
  std::uint64_t group(std::string name) { return add(groups, std::move(name)); }
  RoleId role(std::string permissions) {
    const RoleId id{roles.size() + 1};
    roles.push_back({.id = id,
                     .name = fmt::format("role-{}", id.value),
                     .description = {},
                     .managed = false,
                     .admin = false,
                     .permissions = std::move(permissions)});
    return id;
  }
  void bind(RoleId role, PrincipalType type, std::uint64_t id, std::string ns) {
    bindings.push_back({.id = {bindings.size() + 1},
                        .role = role,
                        .principal = {type, {id}},
                        .ns = std::move(ns),
                        .expires_at = {},
                        .source = {},
                        .created_at = {},
                        .created_by = {}});
  }
  [[nodiscard]] std::shared_ptr<const rbac::Snapshot> compiled() const {
    const auto builder = rbac::make_builder(rbac::Catalogue::built_in());
    builder->begin({.epoch = 1, .number = 1}, true, users.size(), groups.size(), edges.size());
    for (const auto& [id, name] : users) builder->user({id}, name, {}, true, false);
    for (const auto& [id, name] : groups) builder->group({id}, name, name, true);
    for (const auto& [group, member] : edges) builder->edge({group}, {member});
    for (const auto& one : roles) builder->role(one);
    for (const auto& one : bindings) builder->binding(one);
    auto snapshot = builder->finish();
    if (!snapshot) {
      std::fprintf(stderr, "%s\n", snapshot.error().what.c_str());
      std::exit(2);
    }
    return *snapshot;
  }

 private:
  std::uint64_t add(std::vector<std::pair<std::uint64_t, std::string>>& to, std::string name) {
    to.emplace_back(++last_, std::move(name));
    return last_;
  }
  std::uint64_t last_ = 0;
};

struct Shape {
  std::string name;
  std::shared_ptr<const rbac::Snapshot> snapshot;
  std::vector<Asked> asked;
  double p50 = 0;
};

/// Measured in turns, each shape's best turn counts: a neighbour on the machine slows a turn, not a shape.
double measure_shapes(const char* what, std::vector<Shape>& shapes) {
  const auto at = SystemClock().now();
  for (int turn = 0; turn < 7; ++turn)
    for (auto& shape : shapes) {
      const auto p50 = measure(*shape.snapshot, shape.asked, 40, at).at(0.5);
      shape.p50 = turn == 0 ? p50 : std::min(shape.p50, p50);
    }
  std::printf("%s:", what);
  double least = shapes.front().p50, most = least;
  for (const auto& shape : shapes) {
    std::printf("%s %s %.0f ns", &shape == shapes.data() ? "" : ",", shape.name.c_str(), shape.p50);
    least = std::min(least, shape.p50);
    most = std::max(most, shape.p50);
  }
  std::printf("\n");
  return most / least;
}

/// What others are asked about the same shape, with the answers: {"roles":100,"questions":[["user5","data0",true]]}.
void write_questions(const std::string& path, std::uint64_t roles, const Shape& shape) {
  std::ofstream out(path);
  out << fmt::format(R"({{"roles":{},"questions":[)", roles);
  const auto at = SystemClock().now();
  for (const auto& one : shape.asked)
    out << fmt::format(R"({}["{}","{}",{}])", &one == shape.asked.data() ? "" : ",", one.key, one.ns,
                       shape.snapshot->check(one.question(at)).allowed);
  out << "]}\n";
}

/// Casbin's RBAC benchmark: ten users a role, each role may read one thing; check-api.md §1 has what others need for it.
void casbin_figures(const char* folder) {
  std::mt19937_64 random(11);
  std::vector<Shape> shapes;
  for (const std::uint64_t roles : {100, 1'000, 10'000}) {
    Rows rows;
    for (std::uint64_t i = 0; i < 10 * roles; ++i) rows.user(fmt::format("user{}", i));
    for (std::uint64_t i = 0; i < roles; ++i) {
      const auto group = rows.group(fmt::format("group{}", i));
      for (std::uint64_t member = 10 * i; member < 10 * i + 10; ++member) rows.edges.emplace_back(group, member + 1);
      rows.bind(rows.role(R"({"FLOW":["READ"]})"), PrincipalType::Group, group, fmt::format("data{}", i));
    }
    Shape shape{.name = fmt::format("{} rules", 11 * roles), .snapshot = rows.compiled(), .asked = {}};
    for (int i = 0; i < 1'000; ++i) {
      const auto user = random() % (10 * roles);
      const auto data = random() % 2 == 0 ? user / 10 : random() % roles;
      shape.asked.push_back({fmt::format("user{}", user), fmt::format("data{}", data), "FLOW", "READ"});
    }
    if (folder != nullptr) write_questions(fmt::format("{}/casbin-{}.json", folder, roles), roles, shape);
    shapes.push_back(std::move(shape));
  }
  const double growth = measure_shapes("Casbin's sizes", shapes);
  figure("check_casbin_110k", shapes.back().p50, 237, "ns");  // of a cached answer there; uncached it takes 8.9 ms
  figure("check_casbin_growth", growth, 1.5, "x");
}

/// One principal with ever more bindings, in a tenant that names 4,000 namespaces anyway.
void bindings_figures() {
  constexpr std::uint64_t kMost = 4'000;
  std::mt19937_64 random(12);
  std::vector<Shape> shapes;
  for (const std::uint64_t held : {std::uint64_t{1}, std::uint64_t{40}, std::uint64_t{400}, kMost}) {
    Rows rows;
    const auto reader = rows.role(R"({"FLOW":["READ"]})");
    const auto ada = rows.user("ada"), other = rows.user("other");
    for (std::uint64_t i = 0; i < kMost; ++i)
      rows.bind(reader, PrincipalType::User, i % (kMost / held) == 0 ? ada : other, fmt::format("team{}.app{}", i / 20, i % 20));
    Shape shape{.name = fmt::format("{} bindings", held), .snapshot = rows.compiled(), .asked = {}};
    for (int i = 0; i < 1'000; ++i) {
      const auto n = random() % kMost;
      shape.asked.push_back({"ada", fmt::format("team{}.app{}.sub", n / 20, n % 20), "FLOW", random() % 2 == 0 ? "READ" : "CREATE"});
    }
    shapes.push_back(std::move(shape));
  }
  figure("check_bindings_growth", measure_shapes("bindings of one principal", shapes), 1.5, "x");
}

/// One user in ever more groups, each with a binding of its own (Keto's fan-out), some of them nested.
void fan_out_figures() {
  std::mt19937_64 random(13);
  std::vector<Shape> shapes;
  for (const std::uint64_t wide : {1, 20, 200}) {
    Rows rows;
    const auto reader = rows.role(R"({"FLOW":["READ"]})");
    const auto ada = rows.user("ada");
    std::vector<std::uint64_t> groups;
    for (std::uint64_t i = 0; i < 200; ++i) groups.push_back(rows.group(fmt::format("group{}", i)));
    for (std::uint64_t i = 0; i < 200; ++i) {
      if (i < wide) rows.edges.emplace_back(groups[i], i % 2 == 0 ? ada : groups[i - 1]);
      rows.bind(reader, PrincipalType::Group, groups[i], fmt::format("team{}", i));
    }
    Shape shape{.name = fmt::format("{} groups", wide), .snapshot = rows.compiled(), .asked = {}};
    for (int i = 0; i < 1'000; ++i)
      shape.asked.push_back({"ada", fmt::format("team{}.sub", random() % 200), "FLOW", random() % 2 == 0 ? "READ" : "CREATE"});
    shapes.push_back(std::move(shape));
  }
  figure("check_fan_out_growth", measure_shapes("groups of one user", shapes), 1.5, "x");
}

// ---- explanations and searches -------------------------------------------------------------------------------------------------------

/// Microseconds of each call of `one(i)`, i < count.
template <class One>
std::vector<std::uint32_t> micros_of(int count, One&& one) {  // in tenths, so that a percentile keeps a digit
  std::vector<std::uint32_t> out;
  for (int i = 0; i < count; ++i) {
    const auto start = SteadyClock::now();
    one(i);
    out.push_back(static_cast<std::uint32_t>(seconds_since(start) * 1e7));
  }
  return out;
}

void explain_figures() {
  constexpr Size kSize{.users = 100'000, .groups = 10'000, .edges = 1'000'000, .roles = 10'000};
  const auto snapshot = build(kSize);
  const auto at = SystemClock().now();
  std::mt19937_64 random(17);
  const auto below = [&](std::uint64_t n) { return random() % n; };
  std::vector<Asked> asked;
  for (int i = 0; i < 20'000; ++i)
    asked.push_back(
        {Name(below(kSize.users)).username, ns_of(below(kNamespaces)), kPermissions[below(std::size(kPermissions))], kActions[below(4)]});
  const rbac::ExplainWish wish{.paths = 100, .near_misses = true, .near = 20};
  auto start = SteadyClock::now();
  benchmark::DoNotOptimize(snapshot->explain(asked[0].question(at), wish));
  const double first = seconds_since(start);  // builds what searches and near misses look into
  auto all = micros_of(static_cast<int>(asked.size()),
                       [&](int i) { benchmark::DoNotOptimize(snapshot->explain(asked[static_cast<std::size_t>(i)].question(at), wish)); });
  std::printf("explain with near misses: p50 %.1f us, p99 %.1f us; the very first %.1f ms\n", percentile(all, 0.5) / 10,
              percentile(all, 0.99) / 10, first * 1e3);
  figure("explain_p99", percentile(all, 0.99) / 10, 50, "us");

  auto users = micros_of(200, [&](int i) {
    const auto& one = asked[static_cast<std::size_t>(i)];
    benchmark::DoNotOptimize(
        snapshot->who_may(PrincipalType::User, {.permission = one.permission, .action = one.action, .ns = one.ns, .at = at}, {}, 100));
  });
  auto places = micros_of(2'000, [&](int i) {
    const auto& one = asked[static_cast<std::size_t>(i)];
    benchmark::DoNotOptimize(snapshot->where_may({PrincipalType::User, {1 + below(kSize.users)}}, one.permission, one.action, at, "", 100));
  });
  std::printf("search: 100 users who may p50 %.0f us, p99 %.0f us; where may a user p50 %.0f us, p99 %.0f us\n",
              percentile(users, 0.5) / 10, percentile(users, 0.99) / 10, percentile(places, 0.5) / 10, percentile(places, 0.99) / 10);

  Rows rows;
  const auto ada = rows.user("ada");
  for (int i = 0; i < 500; ++i) {
    const auto group = rows.group(fmt::format("department {} of the whole company", i));
    rows.edges.emplace_back(group, ada);
    rows.bind(rows.role(R"({"FLOW":["READ"],"APP":["READ","UPDATE"]})"), PrincipalType::Group, group, fmt::format("team{}", i));
  }
  const auto crowded = rows.compiled();
  auto effective = micros_of(500, [&](int) { benchmark::DoNotOptimize(crowded->effective({PrincipalType::User, {ada}}, at, 0, 1'000)); });
  std::printf("effective view of a user in 500 groups: p50 %.0f us, p99 %.0f us\n", percentile(effective, 0.5) / 10,
              percentile(effective, 0.99) / 10);
  figure("effective_of_500_groups", percentile(effective, 0.5) / 1e4, 1, "ms");
}

}  // namespace

/// bench_check [FOLDER] [--update]: FOLDER is where the questions about Casbin's shapes go; --update measures updates and plain checks
/// alone.
int main(int argc, char** argv) {
  const bool update_only = argc > 1 && std::string_view(argv[argc - 1]) == "--update";
  const char* folder = argc > 1 && argv[1][0] != '-' ? argv[1] : nullptr;
  if (!update_only) snapshot_figures();  // first, while the process is small and its memory is easy to read
  update_figures();
  check_figures();
  if (update_only) return g_all_hold ? 0 : 1;
  casbin_figures(folder);
  bindings_figures();
  fan_out_figures();
  explain_figures();
  return g_all_hold ? 0 : 1;
}
