// What the store costs: a first load of USERS people, USERS/20 groups and about 10 members a group through Stage, then reading it back,
// then runs of 100 changes, and single ones, until checks are answered from them. Usage: bench_store [USERS] [--plain]. Prints seconds and
// the CPU seconds of the PostgreSQL backends that did it, and for DESIGN §7 lines like the other programs here:
//   figure NAME VALUE BOUND ok|short
// The exit code is 1 when one of them is short.

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <fstream>
#include <vector>

#include "daemon/sync/publisher.hpp"
#include "schema/postgres/postgres_store.hpp"
#include "tests/support/postgres.hpp"

namespace {

using namespace rosterd;

template <class T>
T must(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().what);
  return std::move(*result);
}
void must(Result<void> result) {
  if (!result) throw std::runtime_error(result.error().what);
}

/// User and system seconds of every child of the postmaster.
double server_cpu(pid_t postmaster) {
  double ticks = 0;
  std::ifstream children(fmt::format("/proc/{0}/task/{0}/children", postmaster));
  for (pid_t pid = 0; children >> pid;) {
    std::ifstream stat(fmt::format("/proc/{}/stat", pid));
    std::string text((std::istreambuf_iterator<char>(stat)), {});
    const auto at = text.rfind(')');
    if (at == std::string::npos) continue;
    unsigned long user = 0, system = 0;
    if (std::sscanf(text.c_str() + at + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) == 2)
      ticks += static_cast<double>(user + system);
  }
  return ticks / static_cast<double>(sysconf(_SC_CLK_TCK));
}

class Stopwatch {
 public:
  explicit Stopwatch(pid_t postmaster) : postmaster_(postmaster), cpu_(server_cpu(postmaster)) {}
  void lap(const char* what) {
    const auto now = std::chrono::steady_clock::now();
    const double cpu = server_cpu(postmaster_);
    fmt::print("{:<44} {:7.2f} s  postgres {:6.2f} s CPU\n", what, std::chrono::duration<double>(now - start_).count(), cpu - cpu_);
    std::fflush(stdout);
    start_ = now;
    cpu_ = cpu;
  }

 private:
  pid_t postmaster_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  double cpu_;
};

struct Counter : HeldSink, AuthorizationSink {
  std::uint64_t rows = 0;
  void user(PrincipalId, std::string_view, std::uint64_t, Leaving, bool) override { ++rows; }
  void group(PrincipalId, std::string_view, std::uint64_t, Leaving, bool, std::string_view) override { ++rows; }
  void edge(PrincipalId, PrincipalId) override { ++rows; }
  void binding(const Binding&) override { ++rows; }
  void begin(const Revision&, bool, std::uint64_t, std::uint64_t, std::uint64_t) override {}
  void user(PrincipalId, std::string_view, std::string_view, bool, bool) override { ++rows; }
  void group(PrincipalId, std::string_view, std::string_view, bool) override { ++rows; }
  void service_account(PrincipalId, std::string_view, bool) override { ++rows; }
  void role(const Role&) override { ++rows; }
};

bool g_all_hold = true;

void figure(const char* name, double value, double bound, const char* unit) {
  g_all_hold = g_all_hold && value <= bound;
  fmt::print("figure {} {:.4g}{} {:.4g}{} {}\n", name, value, unit, bound, unit, value <= bound ? "ok" : "short");
  std::fflush(stdout);
}

double percentile(std::vector<double> values, double part) {
  std::sort(values.begin(), values.end());
  return values[static_cast<std::size_t>(static_cast<double>(values.size() - 1) * part)];
}

/// A time-based entryUUID as OpenLDAP makes them: neighbours differ in the first field.
std::string uuid(std::uint64_t number) {
  return fmt::format("{:08x}-{:04x}-103e-9f3b-{:012x}", (number * 37) & 0xffffffff, 0x6b1c, 0x1f2e3d4c5bULL);
}

}  // namespace

int main(int argc, char** argv) try {
  const std::uint64_t users = argc > 1 && argv[1][0] != '-' ? std::stoull(argv[1]) : 1'000'000;
  const bool eager = argc < 2 || std::strcmp(argv[argc - 1], "--plain") != 0;
  const std::uint64_t groups = users / 20, members = 10;
  test::PrivatePostgres server({.settings = {{"shared_buffers", "256MB"}, {"max_wal_size", "4GB"}, {"log_min_duration_statement", "60"}}});
  const auto database = server.fresh_database();
  const auto store = must(PostgresStore::open({.url = database.app_url, .owner_url = database.owner_url}));
  const auto account = must(store->create_account({.email = "a@b.example", .first_name = "", .last_name = "", .super_admin = true}, {}));
  Role admin;
  admin.name = "Admin";
  admin.admin = true;
  const TenantId acme{"acme"};
  must(store->create_tenant({.id = acme, .name = "Acme", .creator = account.id, .managed_roles = {admin}}, {}));
  const auto source =
      must(store->create_source(
               acme, {.name = "corp", .type = "ldap", .enabled = true, .settings = "{}", .schedule = {}, .guard = {}, .role_mappings = {}},
               {}))
          .value;
  const auto now = std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now()) + std::chrono::hours(1);
  const auto claim = [&] { return *must(store->claim("bench", Millis(600'000), now)); };
  const auto end = [] {
    RunEnd one;
    one.outcome = Outcome::Applied;
    one.complete = true;
    one.plan = PlanInfo{.hash = std::string(64, 'a'), .counts = {}};
    return one;
  };

  Stopwatch watch(server.pid());
  PrincipalId first_user, first_group;
  {
    const auto work = claim();
    auto stage = must(store->begin_stage(work.lease, {.eager = eager}));
    const auto first = must(store->reserve_principal_ids(users + groups));
    first_user = {first};
    first_group = {first + users};
    UserRecord user;
    for (std::uint64_t i = 0; i < users; ++i) {
      user.id.value = uuid(i);
      user.username = fmt::format("user{:07}", i);
      user.email = fmt::format("user{:07}@acme.example", i);
      user.first_name = fmt::format("First{}", i % 997);
      user.last_name = fmt::format("Last{}", i % 7919);
      user.entry = fmt::format("uid=user{:07},ou=people,dc=acme,dc=example", i);
      must(stage->user({.kind = ChangeKind::Added,
                        .id = PrincipalId{first + i},
                        .external_id = user.id.value,
                        .content_hash = i,
                        .before_hash = 0,
                        .leaving = Leaving::None,
                        .reason = "new in the directory",
                        .user = &user,
                        .group = nullptr}));
    }
    watch.lap("staging users");
    GroupRecord group;
    for (std::uint64_t g = 0; g < groups; ++g) {
      const PrincipalId id{first + users + g};
      group.id.value = uuid(users + g);
      group.name = fmt::format("group{:06}", g);
      group.entry = fmt::format("cn=group{:06},ou=groups,dc=acme,dc=example", g);
      must(stage->group({.kind = ChangeKind::Added,
                         .id = id,
                         .external_id = group.id.value,
                         .content_hash = g,
                         .before_hash = 0,
                         .leaving = Leaving::None,
                         .reason = "new in the directory",
                         .user = nullptr,
                         .group = &group}));
      const auto count = g == 0 ? std::min<std::uint64_t>(20'000, users) : members;
      for (std::uint64_t m = 0; m < count; ++m) {
        const auto member = g == 0 ? m : (g * 7919 + m * 104729) % users;
        must(stage->edge({.kind = ChangeKind::EdgeAdded,
                          .group = id,
                          .member = {PrincipalType::User, PrincipalId{first + member}},
                          .group_external_id = group.id.value,
                          .member_external_id = uuid(member),
                          .reason = "listed as a member"}));
      }
    }
    watch.lap("staging groups and memberships");
    const auto applied = must(stage->apply(end()));
    watch.lap(eager ? "apply (inserted behind the staging)" : "apply");
    fmt::print("  users {} groups {} edges {}\n", applied.counts.users[1], applied.counts.groups[1], applied.counts.edges_added);
  }
  Counter held, rows;
  must(store->load_held(acme, source.id, now, held));
  watch.lap("load_held");
  must(store->load_authorization(acme, rows));
  watch.lap("load_authorization");
  {
    const auto work = claim();
    auto stage = must(store->begin_stage(work.lease, {}));
    must(stage->keep(end()));
    watch.lap("unchanged run");
  }
  must(store->status(acme));
  watch.lap("status");
  must(store->user(acme, "user0000100"));
  watch.lap("user by name");
  must(store->users(acme, {.limit = 100, .cursor = "", .query = "user09"}));
  watch.lap("users, first page of a prefix");

  // From the commit of 100 changes to the snapshot that answers with them, as on the daemon that made them and as on another one.
  sync::Snapshots here, there;
  sync::Publisher local(*store, here, rbac::Catalogue::built_in(), {.listen = false}), remote(*store, there, rbac::Catalogue::built_in());
  must(local.start());
  must(remote.start());
  watch.lap("two snapshots from all rows");
  std::vector<double> at_home, elsewhere;
  const auto note_visible = [&](const Revision& revision, std::chrono::steady_clock::time_point committed) {
    local.changed(acme);
    for (auto [snapshots, took] : {std::pair(&here, &at_home), std::pair(&there, &elsewhere)}) {
      if (!snapshots->wait_for(acme, revision, committed + std::chrono::seconds(30))) throw std::runtime_error("it never came");
      took->push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - committed).count());
    }
  };
  for (std::uint64_t round = 0; round < 15; ++round) {
    const auto work = claim();
    auto stage = must(store->begin_stage(work.lease, {}));
    UserRecord user;
    for (std::uint64_t i = 0; i < 50; ++i) {
      const auto number = (round * 50 + i) * (users / 1'000) % users;
      user.id.value = uuid(number);
      user.username = fmt::format("user{:07}", number);
      user.email = fmt::format("user{:07}.{}@acme.example", number, round);
      must(stage->user({.kind = ChangeKind::Changed,
                        .id = PrincipalId{first_user.value + number},
                        .external_id = user.id.value,
                        .content_hash = round + 1,
                        .before_hash = 0,
                        .leaving = Leaving::None,
                        .reason = "changed in the directory",
                        .user = &user,
                        .group = nullptr}));
      must(stage->edge({.kind = ChangeKind::EdgeAdded,
                        .group = PrincipalId{first_group.value + 1 + i},
                        .member = {PrincipalType::User, PrincipalId{first_user.value + number}},
                        .group_external_id = uuid(users + 1 + i),
                        .member_external_id = user.id.value,
                        .reason = "listed as a member"}));
    }
    const auto applied = must(stage->apply(end()));
    note_visible(applied.revision, std::chrono::steady_clock::now());
    fmt::print("100 changes are visible {:.1f} ms after their commit, on the other daemon {:.1f} ms (both on this machine)\n",
               at_home.back(), elsewhere.back());
  }
  figure("commit_to_visible_100_changes", percentile(at_home, 0.5), 50, "ms");
  figure("commit_to_visible_100_changes_elsewhere", percentile(elsewhere, 0.5), 1000, "ms");
  at_home.clear(), elsewhere.clear();
  for (int i = 0; i < 200; ++i) {
    UserRecord user;
    user.username = fmt::format("late{:04}", i);
    const auto made = must(store->create_user(acme, user, {}));
    note_visible(made.revision, std::chrono::steady_clock::now());
  }
  fmt::print(
      "a new user is visible p50 {:.1f} ms after the commit, p99 {:.1f} ms; on the other daemon p50 {:.1f} ms, p99 {:.1f} ms, worst {:.1f} "
      "ms\n",
      percentile(at_home, 0.5), percentile(at_home, 0.99), percentile(elsewhere, 0.5), percentile(elsewhere, 0.99),
      percentile(elsewhere, 1));
  figure("commit_to_visible_elsewhere_p99", percentile(elsewhere, 0.99), 1000, "ms");
  using sync::Made;
  for (const auto* snapshots : {&here, &there})
    fmt::print("snapshots: {} updated, {} built, {} that failed their self-check\n", snapshots->counted(Made::Updated),
               snapshots->counted(Made::Built), snapshots->counted(Made::CheckFailed));
  local.stop();
  remote.stop();
  fmt::print("rows read: held {}, authorization {}\n", held.rows, rows.rows);
  fmt::print("{}\n", server.query(database,
                                  "SELECT relname, pg_size_pretty(pg_total_relation_size(oid)) FROM pg_class WHERE relnamespace = "
                                  "'rosterd'::regnamespace AND relkind = 'r' AND pg_total_relation_size(oid) > 10e6 ORDER BY 1"));
  return g_all_hold ? 0 : 1;
} catch (const std::exception& error) {
  fmt::print(stderr, "bench_store: {}\n", error.what());
  return 2;
}
