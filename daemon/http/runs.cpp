#include "daemon/http/handlers.hpp"
#include "daemon/http/render.hpp"

namespace rosterd::http {
namespace {

Result<RunId> run_of_path(const Call& call) {
  const auto id = parse_run_id(call.param("r"));
  if (!id) return fail(Errc::NotFound, "no run {}", call.param("r"));
  return *id;
}

/// A run that this process executes is further on than its row says.
Run with_progress(const Call& call, Run run) {
  if (!is_over(run.outcome))
    if (auto live = call.app.services.sync.progress(run.id)) run.progress = std::move(*live);
  return run;
}

Reply accepted(const Call& call, const Run& run) {
  auto answer = reply(202, to_json(with_progress(call, run)));
  answer.headers.emplace_back("Location", fmt::format("/v1/tenants/{}/runs/{}", call.tenant.value, text(run.id)));
  call.app.services.sync.wake();
  return answer;
}

Result<Reply> page_of_runs(Call& call, std::optional<SourceId> source) {
  const auto page = call.page();
  if (!page) return fail(page.error());
  const auto found = call.store().runs(call.tenant, source, *page);
  if (!found) return fail(found.error());
  return ok(list(*found, [&](const Run& run) { return to_json(with_progress(call, run)); }));
}

}  // namespace

Result<Reply> sync_source(Call& call) {
  auto fields = Fields::of(call.request.body);
  if (!fields) return fail(fields.error());
  const auto mode = fields->optional_text("mode").value_or("auto");
  const bool dry_run = fields->flag("dry_run").value_or(false);
  if (mode != "auto" && mode != "full") fields->problem("mode", "must be \"auto\" or \"full\"");
  if (const auto valid = fields->done(); !valid) return fail(valid.error());
  const auto source = call.store().source(call.tenant, call.param("s"));
  if (!source) return fail(source.error());
  const auto run = call.store().request_run(call.tenant, source->id, mode == "full" ? RunMode::Full : RunMode::Auto, dry_run, call.actor());
  if (!run) return fail(run.error());
  return accepted(call, *run);
}

Result<Reply> list_source_runs(Call& call) {
  const auto source = call.store().source(call.tenant, call.param("s"));
  if (!source) return fail(source.error());
  return page_of_runs(call, source->id);
}

Result<Reply> list_runs(Call& call) { return page_of_runs(call, std::nullopt); }

Result<Reply> get_run(Call& call) {
  const auto id = run_of_path(call);
  if (!id) return fail(id.error());
  const auto run = call.store().run(call.tenant, *id);
  if (!run) return fail(run.error());
  // Whoever reads here that it is over asks a check next, and is to be answered from what it led to, as after a change by the API.
  if (const auto& revision = run->revision)
    (void)call.app.services.snapshots.wait_for(call.tenant, *revision, std::chrono::steady_clock::now() + kOwnWrites);
  return ok(to_json(with_progress(call, *run)));
}

Result<Reply> list_changes(Call& call) {
  const auto id = run_of_path(call);
  if (!id) return fail(id.error());
  const auto page = call.page();
  if (!page) return fail(page.error());
  const auto found = call.store().changes(call.tenant, *id, *page);
  if (!found) return fail(found.error());
  return ok(list(*found, [](const Change& change) { return to_json(change); }));
}

Result<Reply> approve_run(Call& call) {
  auto fields = Fields::of(call.request.body);
  if (!fields) return fail(fields.error());
  const auto plan = fields->text("plan", 64);
  if (const auto valid = fields->done(); !valid) return fail(valid.error());
  const auto id = run_of_path(call);
  if (!id) return fail(id.error());
  const auto run = call.store().approve_run(call.tenant, *id, plan, call.actor());
  if (!run) return fail(run.error());
  return accepted(call, *run);
}

Result<Reply> discard_run(Call& call) {
  auto fields = Fields::of(call.request.body);
  if (!fields) return fail(fields.error());
  if (const auto valid = fields->done(); !valid) return fail(valid.error());
  const auto id = run_of_path(call);
  if (!id) return fail(id.error());
  const auto run = call.store().discard_run(call.tenant, *id, call.actor());
  if (!run) return fail(run.error());
  call.app.services.sync.wake();
  return ok(to_json(*run));
}

}  // namespace rosterd::http
