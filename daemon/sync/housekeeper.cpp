#include "daemon/sync/housekeeper.hpp"

#include <condition_variable>
#include <mutex>

#include "schema/core/log.hpp"

namespace rosterd::sync {

using std::chrono::steady_clock;

void Housekeeper::start() {
  thread_ = std::jthread([this](const std::stop_token& stop) { work(stop); });
}

void Housekeeper::stop() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

void Housekeeper::work(const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any pause;
  auto next_forgetting = steady_clock::now();
  bool failing = false;
  for (;;) {
    {
      // First the pause: what became overdue while rosterd was stopped gets a chance to be read.
      std::unique_lock lock(mutex);
      pause.wait_for(lock, stop, options_.look_every, [] { return false; });
    }
    if (stop.stop_requested()) return;
    auto done = look();
    if (done)
      if (const auto swept = sweep(stop); !swept) done = fail(swept.error());
    if (done && steady_clock::now() >= next_forgetting) {
      if (const auto forgotten = forget(stop); !forgotten)
        done = fail(forgotten.error());
      else
        next_forgetting = steady_clock::now() + options_.forget_every;
    }
    // Once, not every minute; it is tried again each time.
    if (!done && !failing) log::warning("housekeeping.failed", {log::field("error", done.error().what)});
    failing = !done;
  }
}

Result<void> Housekeeper::look() {
  const auto ages = store_.source_ages();
  if (!ages) return fail(ages.error(), "looking for overdue sources");
  const auto now = clock_.now();
  std::set<std::pair<TenantId, SourceId>> overdue;
  for (const auto& age : *ages) {
    const std::pair key(age.tenant, age.source);
    const bool late = is_overdue(age.schedule, age.last_complete_read, age.created_at, now);
    if (late) overdue.insert(key);
    if (late && !overdue_.contains(key))
      log::warning("source.overdue",
                   {log::field("tenant", age.tenant.value), log::field("source", age.name),
                    log::field("last_complete_read", age.last_complete_read ? rfc3339(*age.last_complete_read) : "never"),
                    log::field("expected_every", duration_text(std::max(age.schedule.interval, age.schedule.full_every)))});
    if (!late && overdue_.contains(key))
      log::info("source.overdue_no_more", {log::field("tenant", age.tenant.value), log::field("source", age.name)});
  }
  overdue_ = std::move(overdue);
  return {};
}

Result<std::uint64_t> Housekeeper::sweep(const std::stop_token& stop) {
  std::uint64_t expired = 0, deleted = 0;
  while (!stop.stop_requested()) {
    const auto some = store_.sweep_bindings(clock_.now(), options_.at_once);
    if (!some) return fail(some.error(), "sweeping expired bindings");
    if (some->tenants.empty()) break;
    expired += some->expired;
    deleted += some->deleted;
  }
  if (expired + deleted > 0) log::info("bindings.swept", {log::field("expired", expired), log::field("deleted", deleted)});
  return expired + deleted;
}

Result<Forgotten> Housekeeper::forget(const std::stop_token& stop) {
  const auto older_than = clock_.now() - options_.retention;
  Forgotten all;
  while (!stop.stop_requested()) {
    const auto some = store_.forget_history(older_than, options_.at_once);
    if (!some) return fail(some.error(), "forgetting what is older than {}", rfc3339(older_than));
    if (some->is_nothing()) break;
    all.audit_rows += some->audit_rows;
    all.runs += some->runs;
    all.change_rows += some->change_rows;
  }
  if (!all.is_nothing())
    log::info("history.forgotten", {log::field("older_than", rfc3339(older_than)), log::field("audit_rows", all.audit_rows),
                                    log::field("runs", all.runs), log::field("changes", all.change_rows)});
  return all;
}

}  // namespace rosterd::sync
