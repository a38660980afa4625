// runs: list, show, changes, approve, discard.

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "cli/session.hpp"
#include "cli/watch.hpp"
#include "cli/words.hpp"

namespace rosterd::cli {
namespace {

using nlohmann::json;

struct RunOptions {
  std::string tenant, run, source, plan;
  std::size_t limit = 20;
  bool yes = false, wait = true;
};

/// "latest" is the newest run of the tenant; anything else is an id.
Try<json> find_run(Api& api, const std::string& tenant, const std::string& run) {
  if (run != "latest") return api.get(path({"tenants", tenant, "runs", run}));
  const auto newest = api.list(path({"tenants", tenant, "runs"}), {}, 1);
  if (!newest) return fail(newest.error());
  if (list_at(*newest, "items").empty()) return fail(kNo, "tenant {} has no runs yet", tenant);
  return (*newest)["items"][0];
}

Try<int> list_runs(Session& session, const RunOptions& options) {
  const auto api = session.api();
  if (!api) return fail(api.error());
  const auto where = options.source.empty() ? path({"tenants", options.tenant, "runs"})
                                            : path({"tenants", options.tenant, "sources", options.source, "runs"});
  const auto runs = (*api)->list(where, {}, options.limit);
  if (!runs) return fail(runs.error());
  if (session.json()) {
    session.print_json(*runs);
    return kOk;
  }
  Table table({"RUN", "SOURCE", "OUTCOME", "STARTED", "TOOK", ">CHANGES", "WHY"});
  for (const auto& run : list_at(*runs, "items")) {
    const auto outcome = text_at(run, "outcome");
    table.row({text_at(run, "id"), text_at(run, "source_name"), Cell(outcome, colour_of_outcome(outcome)),
               age_of(text_at(run, "started_at")), duration_between(text_at(run, "started_at"), text_at(run, "finished_at")),
               grouped(total_of(run.value("counts", json::object()), false)), text_at(run, "reason")});
  }
  session.print(table, fmt::format("Tenant {} has no runs yet.", options.tenant));
  return kOk;
}

Try<int> show_run(Session& session, const RunOptions& options) {
  const auto api = session.api();
  if (!api) return fail(api.error());
  const auto run = find_run(**api, options.tenant, options.run);
  if (!run) return fail(run.error());
  if (session.json()) {
    session.print_json(*run);
    return kOk;
  }
  const auto outcome = text_at(*run, "outcome");
  Sheet sheet;
  sheet.line("run", text_at(*run, "id"));
  sheet.line("source", text_at(*run, "source_name"));
  sheet.line("outcome", Cell(outcome, colour_of_outcome(outcome)));
  sheet.line("reason", text_at(*run, "reason"));
  sheet.line("in words", text_at(*run, "detail"));
  sheet.line("mode", text_at(*run, "mode") + (flag_at(*run, "dry_run") ? ", dry run" : ""));
  sheet.line("asked for by", text_at(*run, "requested_by").empty() ? text_at(*run, "trigger") : text_at(*run, "requested_by"));
  sheet.line("complete read", flag_at(*run, "complete") ? "yes" : "no");
  sheet.line("started", text_at(*run, "started_at"));
  sheet.line("finished", text_at(*run, "finished_at"));
  sheet.line("took", duration_between(text_at(*run, "started_at"), text_at(*run, "finished_at")));
  sheet.line("approval expires", age_of(text_at(*run, "approval_expires_at")));
  sheet.line("plan", text_at(*run, {"plan", "hash"}));
  sheet.line("revision", text_at(*run, "revision"));
  session.print(sheet);
  return print_end(session, options.tenant, *run, 20).transform([] { return static_cast<int>(kOk); });
}

Try<int> show_changes(Session& session, const RunOptions& options) {
  const auto api = session.api();
  if (!api) return fail(api.error());
  const auto run = find_run(**api, options.tenant, options.run);
  if (!run) return fail(run.error());
  const auto changes = (*api)->list(path({"tenants", options.tenant, "runs", text_at(*run, "id"), "changes"}), {}, options.limit);
  if (!changes) return fail(changes.error());
  if (session.json()) {
    session.print_json(*changes);
    return kOk;
  }
  Table table({">#", "OBJECT", "NAME", "CHANGE", "REASON"});
  for (const auto& change : list_at(*changes, "items")) {
    const auto name = object_of(change);
    table.row({text_at(change, "seq"), text_at(change, {"object", "type"}), name, text_at(change, "kind"), text_at(change, "reason")});
  }
  session.print(table, "This run changed nothing.");
  if (!text_at(*changes, "next").empty()) session.note(fmt::format("Only the first {} are shown; --limit 0 shows all.", options.limit));
  return kOk;
}

Try<int> approve(Session& session, const RunOptions& options) {
  const auto api = session.api();
  if (!api) return fail(api.error());
  auto run = find_run(**api, options.tenant, options.run);
  if (!run) return fail(run.error());
  std::string plan = options.plan.empty() ? text_at(*run, {"plan", "hash"}) : options.plan;
  const auto id = text_at(*run, "id");
  if (plan.empty()) return fail(kNo, "run {} has no plan to approve: it is {}", id, text_at(*run, "outcome"));
  if (!options.yes && options.plan.empty()) {
    // The hash that is approved is that of the plan shown here: if the plan changes meanwhile, rosterd refuses.
    const auto sure = session.confirm(
        fmt::format("Approving applies, once: {}.", joined(sentences(run->value("counts", json::object()), true), ", ")), "approve");
    if (!sure) return fail(sure.error());
  }
  auto queued = (*api)->post(path({"tenants", options.tenant, "runs", id, "approve"}), {{"plan", plan}});
  if (!queued) return fail(queued.error());
  if (options.wait) return watch(session, options.tenant, {std::move(*queued)}, {});
  if (session.json())
    session.print_json(*queued);
  else
    session.print_line(fmt::format("approved; queued as {}", text_at(*queued, "id")));
  return kOk;
}

Try<int> discard(Session& session, const RunOptions& options) {
  const auto api = session.api();
  if (!api) return fail(api.error());
  const auto run = find_run(**api, options.tenant, options.run);
  if (!run) return fail(run.error());
  const auto dropped = (*api)->post(path({"tenants", options.tenant, "runs", text_at(*run, "id"), "discard"}), json::object());
  if (!dropped) return fail(dropped.error());
  if (session.json())
    session.print_json(*dropped);
  else
    session.print_line(fmt::format("The plan of {} is dropped; the next sync makes a new one.", text_at(*dropped, "id")));
  return kOk;
}

}  // namespace

void add_runs(Commands commands) {
  auto* const session = &commands.session;
  auto* const choice = &commands.chosen;
  auto* runs = commands.app.add_subcommand("runs", "What syncs did, and what waits for approval");
  runs->require_subcommand(1);
  const auto options = std::make_shared<RunOptions>();
  const auto with_run = [&](const char* name, const char* what) {
    auto* command = runs->add_subcommand(name, what);
    command->add_option("tenant", options->tenant, "Tenant")->required()->type_name("");
    command->add_option("run", options->run, "Run id, or 'latest'")->required()->type_name("");
    return command;
  };

  auto* list = runs->add_subcommand("list", "List runs, newest first");
  list->add_option("tenant", options->tenant, "Tenant")->required()->type_name("");
  list->add_option("--source", options->source, "Only this source")->type_name("SOURCE");
  list->add_option("--limit", options->limit, "How many; 0 shows all")->type_name("N");
  list->callback([=] { *choice = [=] { return list_runs(*session, *options); }; });

  with_run("show", "Show one run")->callback([=] { *choice = [=] { return show_run(*session, *options); }; });
  auto* changes = with_run("changes", "List a run's changes, object by object, each with its reason");
  changes->add_option("--limit", options->limit, "How many; 0 shows all")->type_name("N");
  changes->callback([=] { *choice = [=] { return show_changes(*session, *options); }; });
  auto* approve_command = with_run("approve", "Apply a held plan, once");
  approve_command->add_option("--plan", options->plan, "Hash of the plan you have looked at; without it the plan is shown and confirmed")
      ->type_name("HASH");
  approve_command->add_flag("--yes", options->yes, "Do not ask");
  approve_command->add_flag("--wait,!--no-wait", options->wait, "Wait until it is applied (default)");
  approve_command->callback([=] { *choice = [=] { return approve(*session, *options); }; });
  with_run("discard", "Drop a held plan")->callback([=] { *choice = [=] { return discard(*session, *options); }; });
}

}  // namespace rosterd::cli
