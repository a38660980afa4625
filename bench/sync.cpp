// What a sync costs against the floor of reading the same directory with ldapsearch in the same run (DESIGN §7). For each size: a private
// slapd, the real daemon on its embedded PostgreSQL, runs over the HTTP API. One line a figure:
//   figure NAME VALUE BOUND ok|short
// The exit code is 1 when one of them is short. Lines that start with "info" have no bound.

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "bench/daemon.hpp"
#include "bench/gen_directory.hpp"
#include "schema/core/clock.hpp"
#include "tests/support/postgres.hpp"
#include "tests/support/process.hpp"
#include "tests/support/slapd.hpp"

namespace rosterd::bench {
namespace {

using nlohmann::json;
using test::Milliseconds;
using SteadyClock = std::chrono::steady_clock;

bool g_all_hold = true;

void figure(const std::string& name, double value, double bound) {
  const bool holds = value <= bound;
  g_all_hold = g_all_hold && holds;
  fmt::print("figure {} {:.4g} {:.4g} {}\n", name, value, bound, holds ? "ok" : "short");
  std::fflush(stdout);
}

template <class... Args>
void info(fmt::format_string<Args...> text, Args&&... args) {
  fmt::print("info {}\n", fmt::format(text, std::forward<Args>(args)...));
  std::fflush(stdout);
}

double seconds_since(SteadyClock::time_point start) { return std::chrono::duration<double>(SteadyClock::now() - start).count(); }

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

std::string shown(const std::vector<double>& values) {
  std::string text;
  for (const double value : values) text += fmt::format("{}{:.3f}", text.empty() ? "" : " ", value);
  return text;
}

struct Options {
  std::vector<std::uint32_t> users;
  std::string rosterd = ROSTERD_PROGRAM;
  std::string data_dir = ROSTERD_BENCH_DATA;
  std::vector<std::string> postgres;  ///< NAME=VALUE
  bool first_only = false;
  bool keep_log = false;
};

DirectorySize size_for(std::uint32_t users) {
  // The issue's sizes: 1 k groups for 10 k users, 10 k for 100 k, 50 k for 1 M; others by the same rule of thumb.
  const std::uint32_t groups = users >= 1'000'000 ? users / 20 : std::max(1U, users / 10);
  return {.users = users, .groups = groups, .largest_group = std::min(users, 20'000U)};
}

/// What one search asked for, as slapd's log has it.
struct Asked {
  std::string filter;
  test::Argv attributes;
};

Daemon daemon_for(const Options& options) {
  std::string settings;
  for (const auto& setting : options.postgres)
    settings += fmt::format("{} = \"{}\"\n", setting.substr(0, setting.find('=')), setting.substr(setting.find('=') + 1));
  return Daemon(options.rosterd, "[database.embedded.settings]\n" + settings + (options.keep_log ? "[log]\nlevel = \"debug\"\n" : ""));
}

struct Timed {
  double reported = 0;  ///< from the run's start to its end, as the run says
  double wall = 0;      ///< from the request to the answer that says it is over
  json run;
};

double seconds_between(const std::string& from, const std::string& to) {
  const auto a = parse_rfc3339(from), b = parse_rfc3339(to);
  if (!a || !b) throw std::runtime_error("a run without times");
  return std::chrono::duration<double>(*b - *a).count();
}

constexpr const char* kSource = "/v1/tenants/bench/sources/corp";

Timed wait_for(Daemon& daemon, const std::string& run, SteadyClock::time_point asked) {
  Timed timed;
  const bool over = test::wait_until(
      [&] {
        timed.run = daemon.get("/v1/tenants/bench/runs/" + run);
        timed.wall = seconds_since(asked);
        return !timed.run.at("finished_at").is_null();
      },
      Milliseconds(3'600'000));
  if (!over) throw std::runtime_error("the run does not end: " + timed.run.dump());
  timed.reported = seconds_between(timed.run.at("started_at"), timed.run.at("finished_at"));
  return timed;
}

Timed sync(Daemon& daemon, const std::string& expected) {
  const auto asked = SteadyClock::now();
  const json queued = daemon.post(std::string(kSource) + "/sync", {{"mode", "full"}, {"dry_run", false}});
  Timed timed = wait_for(daemon, queued.at("id"), asked);
  if (timed.run.at("outcome") != expected)
    throw std::runtime_error("the run should be " + expected + ": " + timed.run.dump() + "\n" + daemon.log());
  return timed;
}

void expect_all_read(const Timed& timed, const DirectorySize& size) {
  const json& counts = timed.run.at("counts");
  if (counts.at("users_read") != size.users || counts.at("groups_read") != size.groups || timed.run.at("complete") != true)
    throw std::runtime_error("not everything was read: " + timed.run.dump());
}

/// The searches of the daemon's own connection test, from slapd's log: the floor must read exactly the same attributes.
std::vector<Asked> asked_in(const std::string& log) {
  std::vector<Asked> found;
  std::istringstream in(log);
  std::string base, filter;
  for (std::string line; std::getline(in, line);) {
    if (const auto at = line.find("SRCH base=\""); at != std::string::npos) {
      base = line.substr(at + 11, line.find('"', at + 11) - at - 11);
      const auto f = line.find("filter=\"");
      filter = line.substr(f + 8, line.rfind('"') - f - 8);
    } else if (const auto attributes = line.find("SRCH attr="); attributes != std::string::npos && base.starts_with("ou=")) {
      Asked asked{filter, {}};
      std::istringstream words(line.substr(attributes + 10));
      for (std::string word; words >> word;) asked.attributes.push_back(word);
      const bool known = std::any_of(found.begin(), found.end(), [&](const Asked& other) { return other.filter == asked.filter; });
      // The presence of a base is looked at with "1.1" or objectClass alone; what counts is the read of whole records.
      if (!known && asked.attributes.size() > 1) found.push_back(asked);
    }
  }
  return found;
}

double paged_read(const test::PrivateSlapd& slapd, const std::vector<Asked>& searches) {
  const auto start = SteadyClock::now();
  for (const auto& search : searches) {
    test::Argv argv = {"ldapsearch",    "-x", "-LLL",  "-H", slapd.url(),        "-D",         kReaderDn, "-w",
                       kReaderPassword, "-b", kSuffix, "-E", "pr=1000/noprompt", search.filter};
    argv.insert(argv.end(), search.attributes.begin(), search.attributes.end());
    const auto ran = test::Process(argv, {.env = {{"LDAPNOINIT", "1"}}, .output = "/dev/null"}).wait(Milliseconds(1'800'000));
    if (ran != 0) throw std::runtime_error("ldapsearch failed");
  }
  return seconds_since(start);
}

std::string hundred_changes(const DirectorySize& size, const std::string& value) {
  std::string ldif;
  for (std::uint32_t i = 0; i < 100; ++i) {
    const std::uint32_t user = static_cast<std::uint32_t>(static_cast<std::uint64_t>(i) * size.users / 100);
    ldif += fmt::format("dn: uid={},ou=people,{}\nchangetype: modify\nreplace: sn\nsn: {}\n\n", user_name(user), kSuffix, value);
  }
  return ldif;
}

struct PerUser {
  double first = 0, unchanged = 0, floor = 0;
};

PerUser measure(const Options& options, std::uint32_t users) {
  const DirectorySize size = size_for(users);
  const std::string name = std::to_string(users);
  info("{} users, {} groups, the largest of {}", size.users, size.groups, size.largest_group);

  const std::string folder = fmt::format("{}/{}", options.data_dir, name);
  const std::string ldif = folder + "/directory.ldif";
  std::filesystem::create_directories(folder);
  auto start = SteadyClock::now();
  const bool loaded = std::filesystem::exists(folder + "/slapd/db0/loaded-directory.ldif");
  if (!loaded) write_directory(ldif + ".new", size), std::filesystem::rename(ldif + ".new", ldif);
  if (!loaded) info("generated in {:.1f} s", seconds_since(start));
  start = SteadyClock::now();
  // A reader with rights like any other: limits lifted for it, every value passing the access lists. The same identity for both sides.
  test::PrivateSlapd slapd(
      {.suffixes = {kSuffix},
       .ldif_files = {ldif},
       .database_conf =
           fmt::format("limits dn.exact=\"{}\" size=unlimited time=unlimited\naccess to attrs=userPassword by anonymous auth by * none\n"
                       "access to * by users read by * none\n",
                       kReaderDn),
       .dir = folder + "/slapd",
       .debug = "stats"});
  // A gigabyte that is in the database now. Its name is the mark of what was loaded, its first entry says under which suffix.
  std::filesystem::resize_file(ldif, std::min<std::uintmax_t>(std::filesystem::file_size(ldif), 4096));
  info("{} in {:.1f} s", loaded ? "slapd started on the kept database" : "slapadd", seconds_since(start));

  Daemon daemon = daemon_for(options);
  daemon.post("/v1/tenants", {{"id", "bench"}, {"name", "Bench"}});
  const std::uint32_t editors = std::min(1U, size.groups - 1);
  daemon.post(
      "/v1/tenants/bench/sources",
      {{"name", "corp"},
       {"type", "ldap"},
       {"enabled", false},  // so that nothing runs before it is asked for
       {"settings",
        {{"url", slapd.url()},
         {"preset", "openldap"},
         {"bind_dn", kReaderDn},
         {"bind_password", {{"value", kReaderPassword}}},
         {"users", {{"base", fmt::format("ou=people,{}", kSuffix)}}},
         {"groups", {{"base", fmt::format("ou=groups,{}", kSuffix)}}}}},
       {"schedule", {{"interval", "24h"}, {"full_every", "24h"}}},
       {"role_mappings", json::array({{{"group", "^" + group_name(editors) + "$"}, {"role", "Editor"}, {"namespace", "company"}}})}});
  daemon.post(std::string(kSource) + "/test", json::object());
  const auto searches = asked_in(slapd.log());
  if (searches.size() != 2) throw std::runtime_error("the daemon's searches were not found in slapd's log:\n" + slapd.log());
  for (const auto& search : searches) info("reads {} of {}", fmt::join(search.attributes, " "), search.filter);

  paged_read(slapd, searches);  // once for slapd's caches, not counted
  std::vector<double> floors{paged_read(slapd, searches)};

  // Enabling makes it due: that run is the first sync, whoever starts it.
  const auto enabled = SteadyClock::now();
  daemon.patch(kSource, {{"enabled", true}});
  json queued;
  while (queued.is_null()) {
    const json started = daemon.get(std::string(kSource) + "/runs").at("items");
    if (!started.empty()) queued = started.front();
  }
  const Timed first = wait_for(daemon, queued.at("id"), enabled);
  const json runs = daemon.get(std::string(kSource) + "/runs");
  if (runs.at("items").size() != 1 || first.run.at("outcome") != "applied")
    throw std::runtime_error("the first sync went wrong: " + runs.dump() + "\n" + daemon.log());
  expect_all_read(first, size);
  info("first sync {:.3f} s (client's wall {:.3f} s), memory peak {:.0f} MiB, now {:.0f} MiB", first.reported, first.wall,
       daemon.memory("VmHWM:"), daemon.memory("VmRSS:"));

  // The snapshot serves: somebody who has a right through a group of the directory may use it.
  const std::string question = fmt::format("/v1/tenants/bench/check?subject=user:{}&permission=FLOW&action=UPDATE&namespace=company.team",
                                           user_name(first_member(editors, size)));
  const auto applied = SteadyClock::now();
  if (!test::wait_until([&] { return daemon.get(question).at("allowed") == true; }, Milliseconds(120'000)))
    throw std::runtime_error("the check should allow: " + daemon.get(question).dump());
  info("checks answer from what was synced {:.3f} s after the run's end", seconds_since(applied));

  floors.push_back(paged_read(slapd, searches));
  if (options.first_only) {
    info("ldapsearch in pages {} s", shown(floors));
    figure("sync." + name + ".first_over_ldapsearch", first.reported / median(floors), 1.5);
    if (options.keep_log) fmt::print("{}", daemon.log());
    return {first.reported / users, 0, median(floors) / users};
  }
  const auto before = rows_written(daemon);
  std::vector<double> unchanged;
  for (int round = 0; round < 3; ++round) {
    const Timed timed = sync(daemon, "unchanged");
    expect_all_read(timed, size);
    unchanged.push_back(timed.reported);
    if (round == 0) floors.push_back(paged_read(slapd, searches));
  }
  const auto after = rows_written(daemon);
  // A run has a row of its own, its source's state, lease and next due time change with it, and that somebody asked for it is audited
  // once; nothing else may be written.
  const auto requests = static_cast<long long>(unchanged.size());
  long long content = 0, bookkeeping = 0;
  for (const auto& [table, rows] : after) {
    const long long written = rows - (before.contains(table) ? before.at(table) : 0);
    const bool is_bookkeeping =
        table == "run" || table == "source_state" || table == "source_lease" || (table == "audit" && written == requests);
    (is_bookkeeping ? bookkeeping : content) += written;
    if (written != 0) info("unchanged runs wrote {} rows of {}", written, table);
  }

  slapd.modify(hundred_changes(size, fmt::format("Changed-{}", std::chrono::system_clock::now().time_since_epoch().count())));
  const Timed changed = sync(daemon, "applied");
  if (changed.run.at("counts").at("users").at("changed") != 100)
    throw std::runtime_error("100 entries were changed: " + changed.run.dump());

  const double floor = median(floors), steady = median(unchanged);
  info("ldapsearch in pages {} s; unchanged {} s; 100 changed {:.3f} s (client's wall {:.3f} s)", shown(floors), shown(unchanged),
       changed.reported, changed.wall);
  figure("sync." + name + ".first_over_ldapsearch", first.reported / floor, 1.5);
  figure("sync." + name + ".unchanged_over_ldapsearch", steady / floor, 1.0);
  figure("sync." + name + ".unchanged_rows_written", static_cast<double>(content), 0);
  // A hundred changes cost a hundred changes, however many are held: right after a first load PostgreSQL has no statistics, and plans that
  // go by them would compare everybody with every change.
  figure("sync." + name + ".hundred_changed_over_unchanged", changed.reported / steady, 1.3);
  info("bookkeeping rows of three unchanged runs: {}", bookkeeping);
  const double peak = daemon.memory("VmHWM:");
  if (users >= 1'000'000)
    figure("sync." + name + ".memory_peak_mib", peak, 400);
  else
    info("memory peak {:.0f} MiB", peak);
  // For bench/RESULTS.md.
  fmt::print("row | {} | {} | {:.2f} | {:.2f} ({:.2f} x) | {:.2f} ({:.2f} x) | {} | {:.2f} | {:.0f} MiB |\n", size.users, size.groups,
             floor, first.reported, first.reported / floor, steady, steady / floor, content, changed.reported, peak);
  if (options.keep_log) fmt::print("{}", daemon.log());
  return {first.reported / users, steady / users, floor / users};
}

int run(int argc, char** argv) {
  CLI::App app("Measures a first sync, an unchanged sync and a sync of 100 changes against ldapsearch on the same directory.");
  Options options;
  app.add_option("--users", options.users, "Sizes to measure")->default_str("10000 100000 1000000")->check(CLI::Range(200U, 5'000'000U));
  app.add_option("--rosterd", options.rosterd, "The daemon")->capture_default_str()->check(CLI::ExistingFile);
  app.add_option("--data", options.data_dir, "Where loaded directories are kept for the next time")->capture_default_str();
  app.add_option("--postgres", options.postgres, "NAME=VALUE: a setting of the embedded PostgreSQL, to try it out");
  app.add_flag("--first", options.first_only, "Measure the first sync only");
  app.add_flag("--log", options.keep_log,
               "Print the daemon's log afterwards, with debug lines; statements too with --postgres log_min_duration_statement=5");
  CLI11_PARSE(app, argc, argv);
  if (options.users.empty()) options.users = {10'000, 100'000, 1'000'000};

  std::map<std::uint32_t, PerUser> by_size;
  for (const auto users : options.users) by_size[users] = measure(options, users);
  if (by_size.contains(10'000) && by_size.contains(1'000'000)) {
    // Linear from 10 k to 1 M within 20 %: a user of a million costs at most 1.2 x a user of ten thousand.
    const PerUser &small = by_size[10'000], &large = by_size[1'000'000];
    figure("sync.growth.first", large.first / small.first, 1.2);
    if (!options.first_only) figure("sync.growth.unchanged", large.unchanged / small.unchanged, 1.2);
    info("growth of ldapsearch itself {:.2f}", large.floor / small.floor);
  }
  return g_all_hold ? 0 : 1;
}

}  // namespace
}  // namespace rosterd::bench

int main(int argc, char** argv) {
  try {
    return rosterd::bench::run(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "bench sync: {}\n", error.what());
    return 2;
  }
}
