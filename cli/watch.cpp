#include "cli/watch.hpp"

#include <algorithm>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "cli/words.hpp"

namespace rosterd::cli {
namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kFirstPause{50};
constexpr std::chrono::milliseconds kLongestPause{500};
constexpr std::chrono::seconds kFirstRun{2};           ///< within this time a new source's first run has begun, unless every worker is busy
constexpr std::chrono::milliseconds kChangedRun{500};  ///< the same for a changed source; a file that changes nothing starts none
constexpr std::chrono::seconds kPatience{15};          ///< so long rosterd may be away (a restart) before waiting is given up

bool is_over(const json& run) {
  const auto outcome = text_at(run, "outcome");
  return outcome != "queued" && outcome != "running";
}

struct Watched {
  json run;
  std::uint64_t expected = 0;
  std::string last_phase;
};

/// The lines of running syncs at the bottom of the terminal, redrawn in place; on anything else one line per phase.
class Display {
 public:
  Display(Session& session, std::string tenant)
      : session_(session), tenant_(std::move(tenant)), live_(session.world().err_is_terminal && !session.json()) {}
  ~Display() { clear(); }
  Display(const Display&) = delete;
  Display& operator=(const Display&) = delete;

  void show(std::vector<Watched>& all, std::chrono::milliseconds elapsed) {
    if (session_.json()) return;
    if (!live_) {
      for (auto& watched : all) {
        const auto phase = text_at(watched.run, "outcome") == "running" ? text_at(watched.run, {"progress", "phase"}) : std::string();
        if (phase.empty() || phase == watched.last_phase) continue;
        watched.last_phase = phase;
        session_.world().err << fmt::format("{} {}: {}\n", tenant_, harmless(text_at(watched.run, "source_name")), harmless(phase))
                             << std::flush;
      }
      return;
    }
    clear();
    std::string lines;
    for (const auto& watched : all) {
      if (is_over(watched.run)) continue;
      lines += progress_line(watched.run, watched.expected, elapsed, session_.world().columns, session_.colours_on_errors()) + "\n";
      ++drawn_;
    }
    session_.world().err << lines << std::flush;
  }
  void clear() {
    if (drawn_ == 0) return;
    session_.world().err << fmt::format("\x1b[{}A\x1b[J", drawn_) << std::flush;  // up to the first line, erase to the end
    drawn_ = 0;
  }

 private:
  Session& session_;
  std::string tenant_;
  bool live_;
  int drawn_ = 0;
};

/// How many objects the sources held before, by source id: what a bar is measured against.
std::map<std::string, std::uint64_t> sizes(Api& api, const std::string& tenant) {
  std::map<std::string, std::uint64_t> out;
  const auto status = api.get(path({"tenants", tenant, "status"}));
  if (!status) return out;  // without it there is no bar but still counts
  for (const auto& item : list_at(*status, "items"))
    out[text_at(item, {"source", "id"})] = number_at(item, {"users", "active"}) + number_at(item, {"groups", "active"});
  return out;
}

/// What an operator can do about a run that did not simply apply.
std::string advice(const std::string& tenant, const json& run) {
  const auto outcome = text_at(run, "outcome");
  const auto id = text_at(run, "id");
  if (outcome == "held")
    return fmt::format(
        "Nothing was changed. Look:    rosterctl runs changes {0} {1}\n"
        "Then, if it is right:         rosterctl runs approve {0} {1}\n"
        "or, if it is not:             rosterctl runs discard {0} {1}",
        tenant, id);
  if (outcome == "failed" || outcome == "partial")
    return fmt::format("To see what is wrong: rosterctl sources test {} {}", tenant, harmless(text_at(run, "source_name")));
  return {};
}

}  // namespace

Try<std::vector<json>> start_run(Api& api, const std::string& tenant, const std::string& source, const json& request) {
  auto run = api.post(path({"tenants", tenant, "sources", source, "sync"}), request);
  if (!run) {
    auto failure = run.error();
    failure.what = fmt::format("source {}: {}", source, failure.what);
    return fail(failure);
  }
  std::vector<json> out;
  // Asked afterwards: what has started in between is seen as well. Who may start a run but not list any sees only that one.
  if (const auto recent = api.list(path({"tenants", tenant, "sources", source, "runs"}), {}, 10))
    for (const auto& one : list_at(*recent, "items"))
      if (text_at(one, "id") != text_at(*run, "id") && text_at(one, "outcome") == "running") out.insert(out.begin(), one);
  out.push_back(std::move(*run));
  return out;
}

Try<std::vector<json>> first_run(Api& api, const std::string& tenant, const std::string& source) {
  const auto until = Clock::now() + kFirstRun;
  do {
    const auto runs = api.list(path({"tenants", tenant, "sources", source, "runs"}), {}, 1);
    if (!runs) break;  // who may not list runs may still start one
    if (const auto& items = list_at(*runs, "items"); !items.empty()) return std::vector<json>{items.front()};
    std::this_thread::sleep_for(kFirstPause);  // rosterd starts it within moments; there is nothing else to wait on
  } while (Clock::now() < until);
  return start_run(api, tenant, source, json::object());
}

std::string newest_run(Api& api, const std::string& tenant, const std::string& source) {
  const auto runs = api.list(path({"tenants", tenant, "sources", source, "runs"}), {}, 1);
  if (!runs) return {};
  const auto& items = list_at(*runs, "items");
  return items.empty() ? std::string() : text_at(items.front(), "id");
}

Try<std::vector<json>> next_run(Api& api, const std::string& tenant, const std::string& source, const std::string& before) {
  const auto until = Clock::now() + kChangedRun;
  do {
    const auto runs = api.list(path({"tenants", tenant, "sources", source, "runs"}), {}, 1);
    if (!runs) break;
    if (const auto& items = list_at(*runs, "items"); !items.empty() && text_at(items.front(), "id") != before)
      return std::vector<json>{items.front()};
    std::this_thread::sleep_for(kFirstPause);
  } while (Clock::now() < until);
  return start_run(api, tenant, source, json::object());
}

int code_of_outcome(std::string_view outcome) { return outcome == "applied" || outcome == "unchanged" || outcome == "planned" ? kOk : kNo; }

std::string progress_line(const json& run, std::uint64_t expected, std::chrono::milliseconds elapsed, int columns, bool colours) {
  const auto name = harmless(text_at(run, "source_name"));
  auto phase = harmless(text_at(run, {"progress", "phase"}));
  if (phase.empty()) phase = text_at(run, "outcome") == "queued" ? "waiting for its turn" : "starting";
  const auto done = number_at(run, {"progress", "users"}) + number_at(run, {"progress", "groups"});
  const double seconds = std::chrono::duration<double>(elapsed).count();
  std::string counts;
  if (done > 0)
    counts = fmt::format("  {} users, {} groups", grouped(number_at(run, {"progress", "users"})),
                         grouped(number_at(run, {"progress", "groups"})));
  if (done > 0 && seconds > 0.5) counts += fmt::format(", {}/s", grouped(static_cast<std::uint64_t>(static_cast<double>(done) / seconds)));
  const std::string times = fmt::format("  {:.0f} s", seconds);

  constexpr std::size_t kBar = 24;
  std::string bar;
  std::size_t bar_width = 0;
  if (expected > 0 && columns >= 60) {
    const auto filled = std::min<std::size_t>(kBar, static_cast<std::size_t>(done * kBar / expected));
    std::string full, rest;
    for (std::size_t i = 0; i < kBar; ++i) (i < filled ? full : rest) += i < filled ? "█" : "░";
    bar = painted(full, Colour::Green, colours && filled > 0) + painted(rest, Colour::Dim, colours && filled < kBar) +
          fmt::format(" {:3} %  ", std::min<std::uint64_t>(100, done * 100 / expected));
    bar_width = kBar + 8;
  } else if (columns >= 60) {
    // Nothing to measure against yet: a block that travels says that it goes on.
    constexpr std::size_t kBlock = 6;
    const auto at = static_cast<std::size_t>(elapsed.count() / 100) % (kBar - kBlock);
    for (std::size_t i = 0; i < kBar; ++i) bar += i >= at && i < at + kBlock ? "█" : "░";
    bar = painted(bar, Colour::Green, colours) + "  ";
    bar_width = kBar + 2;
  }
  // A line longer than the terminal would wrap, and moving up by lines would then miss: counts go first, then the phase.
  const auto room = static_cast<std::size_t>(std::max(columns - 1, 10));
  std::string words = phase + counts + times;
  if (width_of(name) + 2 + bar_width + width_of(words) > room) words = phase + times;
  if (width_of(name) + 2 + bar_width + width_of(words) > room) words = times.substr(2);
  if (width_of(name) + 2 + bar_width + width_of(words) > room) return words;
  return painted(name, Colour::Bold, colours) + "  " + bar + words;
}

Try<void> print_end(Session& session, const std::string& tenant, const json& run, std::size_t show) {
  const auto outcome = text_at(run, "outcome");
  const bool would = outcome == "planned" || outcome == "held";
  const auto duration = duration_between(text_at(run, "started_at"), text_at(run, "finished_at"));
  const auto& counts = run.contains("counts") ? run["counts"] : run;
  std::string line = painted(outcome, colour_of_outcome(outcome), session.colours());
  std::vector<std::string> parts;
  if (const auto read = number_at(counts, {"users_read"}) + number_at(counts, {"groups_read"}); read > 0)
    parts.push_back(fmt::format("{} and {} read", plural(number_at(counts, {"users_read"}), "user"),
                                plural(number_at(counts, {"groups_read"}), "group")));
  if (!duration.empty()) parts.push_back("in " + duration);
  session.print_line(fmt::format("{} {}: {}{}{}", tenant, painted(harmless(text_at(run, "source_name")), Colour::Bold, session.colours()),
                                 line, parts.empty() ? "" : ", ", joined(parts, " ")));
  const auto done = sentences(counts, would);
  if (!done.empty())
    session.print_line("  " + joined(done, ", "));
  else if (outcome == "planned")
    session.print_line("  nothing would change");
  if (const auto detail = text_at(run, "detail"); !detail.empty())
    session.print_line("  " + harmless(detail), outcome == "applied" || outcome == "unchanged" ? Colour::None : Colour::Yellow);
  else if (const auto reason = text_at(run, "reason"); !reason.empty())
    session.print_line("  " + harmless(reason), Colour::Yellow);
  for (const auto& notice : list_at(run, "notices"))
    session.print_line(
        fmt::format("  note: {}{}", harmless(text_at(notice, "text")),
                    number_at(notice, {"count"}) > 1 ? fmt::format(" ({} times)", grouped(number_at(notice, {"count"}))) : ""));

  const auto total = total_of(counts, true);
  const auto id = text_at(run, "id");
  const bool listed = outcome == "planned" || outcome == "held" || ((outcome == "applied" || outcome == "partial") && total <= show);
  if (listed && total > 0 && show > 0) {
    const auto api = session.api();
    if (!api) return fail(api.error());
    const auto changes = (*api)->list(path({"tenants", tenant, "runs", id, "changes"}), {}, show);
    if (!changes) return fail(changes.error());
    for (const auto& change : list_at(*changes, "items")) session.print_line("    " + harmless(sentence(change, would)));
    if (total > show)
      session.print_line(fmt::format("    … and {} more: rosterctl runs changes {} {}", grouped(total - show), tenant, id), Colour::Dim);
  }
  if (const auto what_now = advice(tenant, run); !what_now.empty()) session.note(what_now);
  // Nobody is wrong about a directory with groups and no people, but a newcomer's filter often is.
  if ((outcome == "applied" || outcome == "unchanged" || outcome == "planned") && number_at(counts, {"users_read"}) == 0 &&
      number_at(counts, {"groups_read"}) > 0)
    session.note(
        fmt::format("No user was read. If there should be some, look at the base and the filter of users: rosterctl sources test {} {}",
                    tenant, harmless(text_at(run, "source_name"))));
  return {};
}

Try<int> watch(Session& session, const std::string& tenant, std::vector<json> runs, const WatchOptions& options) {
  const auto api = session.api();
  if (!api) return fail(api.error());
  const auto held_before = sizes(**api, tenant);
  std::vector<Watched> all;
  for (auto& run : runs) {
    const auto size = held_before.find(text_at(run, "source"));
    all.push_back({.run = std::move(run), .expected = size == held_before.end() ? 0 : size->second, .last_phase = {}});
  }
  const auto start = Clock::now();
  auto heard = start;
  auto pause = kFirstPause;
  int code = kOk;
  json ended = {{"items", json::array()}, {"next", nullptr}};
  Display display(session, tenant);
  std::vector<bool> told(all.size(), false);
  for (;;) {
    bool waiting = false;
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (told[i]) continue;
      auto& watched = all[i];
      auto now = (*api)->get(path({"tenants", tenant, "runs", text_at(watched.run, "id")}));
      if (now) {
        heard = Clock::now();
        watched.run = std::move(*now);
      } else if ((now.error().code != kUnreachable && (*api)->status() != 503) || Clock::now() - heard > kPatience) {
        return fail(now.error());
      }
      if (!is_over(watched.run)) {
        waiting = true;
        continue;
      }
      told[i] = true;
      display.clear();
      if (session.json())
        ended["items"].push_back(watched.run);
      else if (const auto printed = print_end(session, tenant, watched.run, options.show); !printed)
        return fail(printed.error());
      if (const int one = code_of_outcome(text_at(watched.run, "outcome")); one != kOk) code = one;
    }
    if (!waiting) break;
    const auto elapsed = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - start);
    display.show(all, elapsed);
    if (options.timeout.count() > 0 && elapsed >= options.timeout) {
      display.clear();
      return fail_with_advice(
          kTimeout, fmt::format("not finished after {:.0f} s; it goes on in rosterd", std::chrono::duration<double>(elapsed).count()),
          fmt::format("see 'rosterctl status {}'", tenant));
    }
    // The API is asked, since it has nothing to push with; short at first, so that a small sync is told at once.
    std::this_thread::sleep_for(pause);
    pause = std::min(pause + pause / 2, session.world().err_is_terminal ? kLongestPause / 4 : kLongestPause);
  }
  if (session.json()) session.print_json(ended);
  return code;
}

}  // namespace rosterd::cli
