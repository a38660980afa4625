#include "daemon/http/handlers.hpp"
#include "daemon/http/render.hpp"
#include "daemon/http/source_state.hpp"

namespace rosterd::http {

using nlohmann::json;

std::string_view state_of(const SourceStatus& status) {
  if (!status.source.enabled) return "disabled";
  if (status.current) return status.current->outcome == Outcome::Running ? "running" : "queued";
  if (status.held) return "held";
  if (status.source.type == kPushType)
    return status.last_run ? "ok" : "new";  // its provider says what it wants; completeness is its business
  if (status.failures > 0) return "failing";
  if (!status.last_complete_read) return status.last_run ? "incomplete" : "new";
  // An older complete read does not make a newer one good: nobody leaves meanwhile, and somebody has to look.
  if (status.last_run && status.last_run->outcome == Outcome::Partial) return "incomplete";
  return "ok";
}

bool overdue_in(const SourceStatus& status, TimePoint now) {
  // Without a next run (a disabled source or tenant) nobody expects a read.
  return status.next_run && is_overdue(status.source.schedule, status.last_complete_read, status.source.created_at, now);
}

Result<Reply> status(Call& call) {
  const auto found = call.store().status(call.tenant);
  if (!found) return fail(found.error());
  const auto now = call.app.services.clock.now();
  const auto run_or_null = [&](const std::optional<Run>& run) {
    if (!run) return json(nullptr);
    auto shown = *run;
    if (!is_over(shown.outcome))
      if (auto live = call.app.services.sync.progress(shown.id)) shown.progress = std::move(*live);
    return to_json(shown);
  };
  auto items = json::array();
  for (const auto& source : *found) {
    json age = nullptr;
    if (source.last_complete_read)
      age = std::max<std::int64_t>(0, std::chrono::duration_cast<Seconds>(now - *source.last_complete_read).count());
    auto held_changes = json::array();
    if (source.held) {
      const auto first = call.store().held_changes(call.tenant, source.held->id);
      if (!first) return fail(first.error());
      held_changes = json::parse(*first);
    }
    items.push_back(
        {{"source",
          {{"id", text(source.source.id)}, {"name", source.source.name}, {"type", source.source.type}, {"enabled", source.source.enabled}}},
         {"state", state_of(source)},
         {"last_run", run_or_null(source.last_run)},
         {"current_run", run_or_null(source.current)},
         {"held_run", run_or_null(source.held)},
         {"held_changes", std::move(held_changes)},
         {"last_complete_read", time_or_null(source.last_complete_read)},
         {"age_seconds", age},
         {"overdue", overdue_in(source, now)},
         {"next_run", time_or_null(source.next_run)},
         {"failures", source.failures},
         {"cursor_kind", text_or_null(source.cursor_kind)},
         {"users", {{"active", source.users_active}, {"suspended", source.users_suspended}}},
         {"groups", {{"active", source.groups_active}, {"suspended", source.groups_suspended}}}});
  }
  auto body = list(std::move(items));
  const auto published = call.app.services.snapshots.find(call.tenant);
  body["revision"] = published ? json(text(published->snapshot->revision())) : json(nullptr);
  return ok(body);
}

}  // namespace rosterd::http
