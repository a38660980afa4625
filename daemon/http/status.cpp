#include "daemon/http/handlers.hpp"
#include "daemon/http/render.hpp"
#include "daemon/http/source_state.hpp"

namespace rosterd::http {

using nlohmann::json;

std::string_view state_of(const SourceStatus& status) {
  if (!status.source.enabled) return "disabled";
  if (status.current) return status.current->outcome == Outcome::Running ? "running" : "queued";
  if (status.held) return "held";
  if (status.failures > 0) return "failing";
  if (!status.last_complete_read) return status.last_run ? "incomplete" : "new";
  return "ok";
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
    bool overdue = false;
    if (source.last_complete_read) {
      const auto old = std::chrono::duration_cast<Seconds>(now - *source.last_complete_read);
      age = std::max<std::int64_t>(0, old.count());
      overdue = old > 2 * source.source.schedule.full_every;  // S51
    }
    items.push_back(
        {{"source",
          {{"id", text(source.source.id)}, {"name", source.source.name}, {"type", source.source.type}, {"enabled", source.source.enabled}}},
         {"state", state_of(source)},
         {"last_run", run_or_null(source.last_run)},
         {"current_run", run_or_null(source.current)},
         {"held_run", run_or_null(source.held)},
         {"last_complete_read", time_or_null(source.last_complete_read)},
         {"age_seconds", age},
         {"overdue", overdue},
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
