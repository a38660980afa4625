// sync and status.

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "cli/session.hpp"
#include "cli/watch.hpp"
#include "cli/words.hpp"
#include "schema/core/clock.hpp"
#include "schema/core/text.hpp"

namespace rosterd::cli {
namespace {

using nlohmann::json;

struct SyncOptions {
  std::string tenant;
  std::vector<std::string> sources;
  bool dry_run = false, full = false, wait = true;
  std::string timeout = "0s";
  std::size_t show = 20;
};

Try<int> sync(Session& session, const SyncOptions& options) {
  const auto timeout = parse_duration(options.timeout);
  if (!timeout) return fail(kUsage, "--timeout: {}", timeout.error().what);
  const auto api = session.api();
  if (!api) return fail(api.error());
  auto names = options.sources;
  if (names.empty()) {
    const auto sources = (*api)->get(path({"tenants", options.tenant, "sources"}));
    if (!sources) return fail(sources.error());
    for (const auto& source : list_at(*sources, "items"))
      if (flag_at(source, "enabled")) names.push_back(text_at(source, "name"));
    if (names.empty())
      return fail_with_advice(kNo, fmt::format("tenant {} has no enabled source", options.tenant),
                              "add one with 'rosterctl apply -f FILE.toml'");
  }
  std::vector<json> runs;
  for (const auto& name : names) {
    auto started = start_run(**api, options.tenant, name, {{"mode", options.full ? "full" : "auto"}, {"dry_run", options.dry_run}});
    if (!started) return fail(started.error());
    if (!options.wait) started->erase(started->begin(), started->end() - 1);  // only what was asked for
    std::move(started->begin(), started->end(), std::back_inserter(runs));
  }
  if (options.wait) return watch(session, options.tenant, std::move(runs), {.timeout = *timeout, .show = options.show});
  if (session.json()) {
    session.print_json({{"items", runs}, {"next", nullptr}});
    return kOk;
  }
  for (const auto& run : runs)
    session.print_line(
        fmt::format("{} {}: {} as {}", options.tenant, harmless(text_at(run, "source_name")), text_at(run, "outcome"), text_at(run, "id")));
  return kOk;
}

constexpr std::size_t kHeldShown = 5;  ///< changes of a held plan that status shows; the rest is for 'runs show' and 'runs changes'

Colour colour_of_state(std::string_view state) {
  if (state == "ok") return Colour::Green;
  if (state == "failing") return Colour::Red;
  if (state == "held" || state == "incomplete" || state == "disabled") return Colour::Yellow;
  return Colour::Cyan;
}

Try<int> status(Session& session, const std::string& only) {
  const auto api = session.api();
  if (!api) return fail(api.error());
  std::vector<std::string> tenants;
  if (!only.empty()) {
    tenants.push_back(only);
  } else {
    const auto all = (*api)->list(path({"tenants"}));
    if (!all) return fail(all.error());
    for (const auto& tenant : list_at(*all, "items")) tenants.push_back(text_at(tenant, "id"));
  }
  json document = {{"items", json::array()}, {"next", nullptr}};
  Table table({"TENANT", "SOURCE", "STATE", "LAST RUN", "OUTCOME", "COMPLETE READ", "NEXT RUN", ">USERS", ">GROUPS", ">SUSPENDED"});
  std::vector<std::string> below;
  bool well = true;
  for (const auto& tenant : tenants) {
    auto answer = (*api)->get(path({"tenants", tenant, "status"}));
    if (!answer) return fail(answer.error());
    for (const auto& item : list_at(*answer, "items")) {
      const auto state = text_at(item, "state");
      const auto outcome = text_at(item, {"last_run", "outcome"});
      const bool overdue = flag_at(item, "overdue");
      well = well && !overdue && state != "failing" && state != "held" && state != "incomplete";
      auto finished = text_at(item, {"last_run", "finished_at"});
      table.row({tenant, text_at(item, {"source", "name"}), Cell(state, colour_of_state(state)), age_of(finished),
                 Cell(outcome, colour_of_outcome(outcome)),
                 Cell(text_at(item, "last_complete_read").empty() ? "never" : age_of(text_at(item, "last_complete_read")),
                      overdue ? Colour::Red : Colour::None),
                 age_of(text_at(item, "next_run")), grouped(number_at(item, {"users", "active"})),
                 grouped(number_at(item, {"groups", "active"})),
                 grouped(number_at(item, {"users", "suspended"}) + number_at(item, {"groups", "suspended"}))});
      const auto name = text_at(item, {"source", "name"});
      const bool fine = outcome.empty() || outcome == "applied" || outcome == "unchanged";
      if (const auto detail = text_at(item, {"last_run", "detail"}); !detail.empty() && !fine && state != "disabled")
        below.push_back(fmt::format("{} {}: {}", tenant, name, detail));
      if (const auto held = text_at(item, {"held_run", "id"}); !held.empty()) {
        const auto& changes = list_at(item, "held_changes");
        for (std::size_t i = 0; i < std::min(changes.size(), kHeldShown); ++i)
          below.push_back(fmt::format("{} {}:   {}", tenant, name, sentence(changes[i], true)));
        below.push_back(fmt::format("{0} {1}: {2}held, see 'rosterctl runs show {0} {3}'", tenant, name,
                                    changes.size() > kHeldShown ? "  …; " : "", held));
      }
      if (overdue)
        below.push_back(text_at(item, "last_complete_read").empty()
                            ? fmt::format("{} {}: overdue, it was never read completely", tenant, name)
                            : fmt::format("{} {}: overdue, no complete read for {}", tenant, name,
                                          rough_age(static_cast<long long>(number_at(item, {"age_seconds"})))));
    }
    (*answer)["tenant"] = tenant;
    document["items"].push_back(std::move(*answer));
  }
  if (session.json()) {
    session.print_json(only.empty() ? document : document["items"][0]);
    return well ? kOk : kNo;
  }
  session.print(table, "Nothing to show: no tenant has a source yet.");
  for (const auto& line : below) session.print_line(harmless(line), Colour::Yellow);
  return well ? kOk : kNo;
}

}  // namespace

void add_sync(Commands commands) {
  auto* const session = &commands.session;
  auto* const choice = &commands.chosen;
  const auto options = std::make_shared<SyncOptions>();
  auto* command = commands.app.add_subcommand("sync", "Sync a tenant's sources now and show what changed");
  command->add_option("tenant", options->tenant, "Tenant")->required()->type_name("");
  command->add_option("source", options->sources, "Sources, by name or id (default: all that are enabled)")->type_name("");
  command->add_flag("--dry-run", options->dry_run, "Only show what would happen");
  command->add_flag("--full", options->full, "Read everything, whatever the source remembers");
  command->add_flag("--wait,!--no-wait", options->wait, "Wait until it is finished (default); --no-wait only queues it");
  command->add_option("--timeout", options->timeout, "Stop waiting after this time, such as 90s or 10m; the sync goes on")
      ->type_name("DURATION");
  command->add_option("--show", options->show, "Print up to so many changes one by one (default 20)")->type_name("N");
  command->callback([=] { *choice = [=] { return sync(*session, *options); }; });

  const auto tenant = std::make_shared<std::string>();
  command = commands.app.add_subcommand("status", "Show how the sources are: last run, age of the last complete read, what is held");
  command->add_option("tenant", *tenant, "Tenant (default: all you may see)")->type_name("");
  command->callback([=] { *choice = [=] { return status(*session, *tenant); }; });
}

}  // namespace rosterd::cli
