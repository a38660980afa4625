#include "daemon/sync/scheduler.hpp"

#include <malloc.h>

#include "schema/core/log.hpp"

namespace rosterd::sync {

using std::chrono::steady_clock;

Scheduler::Scheduler(Store& store, const Clock& clock, Publisher& publisher, ConnectorFactory factory, FingerprintsOf fingerprints,
                     SchedulerOptions options)
    : store_(store),
      clock_(clock),
      publisher_(publisher),
      factory_(std::move(factory)),
      fingerprints_(std::move(fingerprints)),
      options_(std::move(options)),
      engine_(store, clock, options_.engine),
      run_deadline_(options_.run_deadline) {}

Scheduler::~Scheduler() { (void)stop(Millis{0}); }

Millis run_deadline(Millis read_deadline) {
  constexpr Millis kBeside{3'600'000};
  return 2 * read_deadline + kBeside;
}

void Scheduler::start() {
  {
    const std::lock_guard lock(mutex_);
    dispatching_ = true;
  }
  heart_ = std::jthread([this](std::stop_token stop) { beat(stop); });
  for (std::uint32_t at = 0; at < options_.workers; ++at) workers_.emplace_back([this](std::stop_token stop) { work(stop); });
  dispatcher_ = std::jthread([this](std::stop_token stop) { dispatch(stop); });
}

std::size_t Scheduler::stop(Millis deadline, const std::function<void()>& over) {
  const auto until = steady_clock::now() + deadline;
  dispatcher_.request_stop();  // from here on nothing new is claimed, only a claim that is under way may still bring a run
  std::size_t left = 0;
  {
    const auto idle = [&] { return active_.empty() && !dispatching_; };
    std::unique_lock lock(mutex_);
    changed_.wait_until(lock, until, [&] { return idle() || hurried_; });
    over_ = true;
    for (auto& [run, active] : active_) {
      active->control.because(StopCause::Shutdown);
      active->stop.request_stop();
    }
    if (!idle()) {
      lock.unlock();
      changed_.notify_all();
      if (over) over();
      lock.lock();
      changed_.wait_until(lock, steady_clock::now() + kToAbandon, idle);
    }
    left = active_.size();
  }
  if (dispatcher_.joinable()) dispatcher_.join();
  for (auto& worker : workers_) worker.request_stop();
  if (left == 0) {
    workers_.clear();  // joins
    heart_.request_stop();
    if (heart_.joinable()) heart_.join();
  }
  return left;
}

void Scheduler::hurry() {
  {
    const std::lock_guard lock(mutex_);
    hurried_ = true;
  }
  changed_.notify_all();
}

void Scheduler::wake() {
  {
    const std::lock_guard lock(mutex_);
    poked_ = true;
  }
  changed_.notify_all();
}

std::optional<std::string> Scheduler::progress(RunId run) const {
  const std::lock_guard lock(mutex_);
  const auto found = active_.find(run);
  return found == active_.end() ? std::nullopt : std::optional(found->second->control.json());
}

std::size_t Scheduler::running() const {
  const std::lock_guard lock(mutex_);
  return active_.size();
}

std::optional<SyncControl::RunsEnded> Scheduler::runs_ended() const {
  const std::lock_guard lock(mutex_);
  return ended_;
}

/// Once when it goes, once when it comes back: a log full of the same line helps nobody.
void Scheduler::note_store(const Result<void>& result) {
  if (!result && !away_)
    log::error("scheduler.store_unavailable", {log::field("error", result.error().what)});
  else if (result && away_)
    log::info("scheduler.store_back");
  away_ = !result;
}

void Scheduler::dispatch(std::stop_token stop) {
  auto next_sweep = steady_clock::now();
  while (!stop.stop_requested()) {
    last_tick_ = steady_clock::now();
    if (steady_clock::now() >= next_sweep) {
      const auto swept = store_.sweep(clock_.now());
      note_store(swept ? Result<void>() : Result<void>(fail(swept.error(), "sweeping")));
      if (swept && *swept > 0) log::warning("sync.abandoned", {log::field("runs", *swept), log::field("reason", "lease_expired")});
      next_sweep =
          steady_clock::now() + std::min(options_.sweep, options_.lease / 2);  // so that a dead holder is noticed soon after its lease
    }
    bool free = false;
    {
      const std::lock_guard lock(mutex_);
      free = active_.size() < options_.workers;
    }
    if (free && claim_one()) continue;
    std::unique_lock lock(mutex_);
    changed_.wait_until(lock, stop, steady_clock::now() + options_.tick, [&] { return poked_; });
    poked_ = false;
  }
  {
    const std::lock_guard lock(mutex_);
    dispatching_ = false;
  }
  changed_.notify_all();
}

bool Scheduler::claim_one() {
  auto work = store_.claim(options_.holder, options_.lease, clock_.now());
  note_store(work ? Result<void>() : Result<void>(fail(work.error(), "looking for work")));
  if (!work) return false;
  auto& claimed = *work;
  if (!claimed) return false;
  auto active = std::make_shared<Active>();
  active->work = std::move(*claimed);
  active->started = active->last_beat = steady_clock::now();
  active->deadline = run_deadline_;
  {
    const std::lock_guard lock(mutex_);
    if (over_) {
      active->control.because(StopCause::Shutdown);
      active->stop.request_stop();
    }
    active_.emplace(active->work.run.id, active);
    queue_.push_back(std::move(active));
  }
  changed_.notify_all();
  return true;
}

void Scheduler::work(std::stop_token stop) {
  while (true) {
    std::shared_ptr<Active> active;
    {
      std::unique_lock lock(mutex_);
      if (!changed_.wait(lock, stop, [&] { return !queue_.empty(); })) return;
      active = std::move(queue_.front());
      queue_.pop_front();
    }
    execute(*active);
    {
      const std::lock_guard lock(mutex_);
      active_.erase(active->work.run.id);
      poked_ = true;  // a slot is free, and this source may have been asked for again
    }
    changed_.notify_all();
  }
}

void Scheduler::execute(Active& active) {
  const auto& work = active.work;
  Finished finished;
  // A room's door gives no exceptions, but memory can run out behind any of them; one source must not take the others with it.
  try {
    if (active.stop.stop_requested()) {
      finished = engine_.give_up(work, {.code = Errc::Stopped, .what = "stopped before it began", .slug = {}}, active.control);
    } else if (auto connector = factory_(work.lease.tenant, work.source, work.state); !connector) {
      finished = engine_.give_up(work, fail(connector.error(), "preparing {}", work.source.name).value(), active.control);
    } else {
      finished = engine_.run(work, **connector, fingerprints_(work.source), active.control, active.stop.get_token());
    }
  } catch (const std::exception& error) {
    finished = engine_.give_up(work, {.code = Errc::Internal, .what = error.what(), .slug = {}}, active.control);
  }
  {
    const std::lock_guard lock(mutex_);
    ++ended_.at(static_cast<std::size_t>(finished.end.outcome));
  }
  if (finished.revision) publisher_.changed(work.lease.tenant);
  if (finished.records > options_.trim_above) malloc_trim(0);
}

void Scheduler::beat(std::stop_token stop) {
  std::mutex own;
  std::condition_variable_any timer;
  while (!stop.stop_requested()) {
    {
      std::unique_lock lock(own);
      timer.wait_for(lock, stop, options_.heartbeat, [] { return false; });
    }
    std::vector<std::shared_ptr<Active>> all;
    {
      const std::lock_guard lock(mutex_);
      for (const auto& [run, active] : active_) all.push_back(active);
    }
    // First what needs nobody: a store that is slow must not make a deadline late.
    for (const auto& active : all)
      if (steady_clock::now() - active->started > active->deadline && active->control.cause() == StopCause::None) {
        active->control.because(StopCause::Deadline);
        active->stop.request_stop();
      }
    for (const auto& active : all) beat(*active);
  }
}

void Scheduler::beat(Active& active) {
  const auto beaten = store_.heartbeat(active.work.lease, options_.lease, active.control.json());
  if (beaten) {
    active.last_beat = steady_clock::now();
    return;
  }
  const bool gone = beaten.error().code == Errc::Conflict || beaten.error().code == Errc::NotFound;
  if (!gone && steady_clock::now() - active.last_beat < options_.lease) return;
  bool still = false;  // it may have ended between the list and the beat, and then its lease is rightly gone
  {
    const std::lock_guard lock(mutex_);
    still = active_.contains(active.work.run.id);
  }
  if (!still || active.control.cause() == StopCause::LeaseLost) return;
  log::warning("sync.lease_lost", {log::field("tenant", active.work.lease.tenant.value), log::field("source", active.work.source.name),
                                   log::field("run", text(active.work.run.id)), log::field("error", beaten.error().what)});
  active.control.because(StopCause::LeaseLost);
  active.stop.request_stop();
}

}  // namespace rosterd::sync
