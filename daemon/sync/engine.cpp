#include "daemon/sync/engine.hpp"

#include "schema/core/log.hpp"

namespace rosterd::sync {
namespace {

using connectors::ConnectorType;

/// A stable word for what went wrong; the sentence is in `detail`.
std::string_view word_for(const Error& error) {
  if (!error.slug.empty()) return error.slug;
  switch (error.code) {
    case Errc::InvalidInput:
      return "invalid_settings";
    case Errc::Unauthorized:
    case Errc::Forbidden:
      return "sign_in_refused";
    case Errc::NotFound:
      return "not_found";
    case Errc::Conflict:
      return "conflict";
    case Errc::Refused:
      return "refused";
    case Errc::CursorExpired:
      return "cursor_expired";
    case Errc::Unavailable:
      return "unavailable";
    case Errc::Stopped:
      return "stopped";
    case Errc::Internal:
      return "internal";
  }
  return "internal";
}

void report(const Work& work, const Finished& finished) {
  const auto& end = finished.end;
  const auto level = end.outcome == Outcome::Failed ? log::Level::Error
                     : end.outcome == Outcome::Held || end.outcome == Outcome::Partial || end.outcome == Outcome::Abandoned
                         ? log::Level::Warning
                         : log::Level::Info;
  const auto counts = end.plan ? end.plan->counts : ChangeCounts{};
  const auto users = [&](ChangeKind kind) { return counts.users[static_cast<std::size_t>(kind)]; };
  const auto groups = [&](ChangeKind kind) { return counts.groups[static_cast<std::size_t>(kind)]; };
  const auto is = [&](Outcome outcome) { return end.outcome == outcome; };
  log::event(
      level,
      is(Outcome::Applied)     ? "sync.applied"
      : is(Outcome::Unchanged) ? "sync.unchanged"
      : is(Outcome::Partial)   ? "sync.partial"
      : is(Outcome::Held)      ? "sync.held"
      : is(Outcome::Planned)   ? "sync.planned"
      : is(Outcome::Abandoned) ? "sync.abandoned"
                               : "sync.failed",
      {log::field("tenant", work.lease.tenant.value), log::field("source", work.source.name), log::field("run", text(work.run.id)),
       log::field("reason", end.reason), log::field("detail", end.detail), log::field("users_read", counts.users_read),
       log::field("groups_read", counts.groups_read), log::field("added", users(ChangeKind::Added) + groups(ChangeKind::Added)),
       log::field("changed", users(ChangeKind::Changed) + groups(ChangeKind::Changed)),
       log::field("suspended", users(ChangeKind::Suspended) + groups(ChangeKind::Suspended)), log::field("edges_added", counts.edges_added),
       log::field("edges_removed", counts.edges_removed), log::field("plan", end.plan ? end.plan->hash : std::string()),
       log::field("revision", finished.revision ? text(*finished.revision) : std::string())});
}

/// Uniform in [1 - 10 %, 1 + 10 %].
Millis jittered(Millis time) {
  const auto spread = time.count() / 5;
  if (spread == 0) return time;
  return Millis(time.count() - spread / 2 + static_cast<std::int64_t>(random_u64() % static_cast<std::uint64_t>(spread)));
}

Finished ended(RunEnd end) {
  Finished out;
  out.end = std::move(end);
  return out;
}

}  // namespace

/// One read and what came of it.
struct Engine::Read {
  std::unique_ptr<Plan> plan;
  connectors::FeedEnd end;
  Closed closed;
};

TimePoint after_interval(TimePoint now, Millis interval) { return now + jittered(interval); }

TimePoint after_failure(TimePoint now, std::uint32_t failures_in_a_row) {
  constexpr Millis kFirst{30'000}, kLongest{3'600'000};
  const auto doublings = std::min<std::uint32_t>(failures_in_a_row == 0 ? 0 : failures_in_a_row - 1, 16);
  return now + jittered(std::min<Millis>(kLongest, kFirst * (1LL << doublings)));
}

RunEnd Engine::begin_end(const Work& work) const {
  RunEnd end;
  end.cursor_kind = "full";
  end.source_version = work.source.version;
  end.next_due = after_interval(clock_.now(), work.source.schedule.interval);
  end.actor = {.account = {}, .by = "run " + text(work.run.id), .ip = {}, .request_id = {}};
  return end;
}

Finished Engine::run(const Work& work, connectors::Connector& directory, const ConnectorType::Fingerprints& fingerprints,
                     RunControl& control, std::stop_token stop) {
  log::info("sync.started", {log::field("tenant", work.lease.tenant.value), log::field("source", work.source.name),
                             log::field("run", text(work.run.id)), log::field("mode", name_of(work.run.mode)),
                             log::field("trigger", name_of(work.run.trigger)), log::field("dry_run", work.run.dry_run)});
  auto finished = work.run.mode == RunMode::Approval ? approve(work, directory, fingerprints, control, stop)
                                                     : sync(work, directory, fingerprints, control, stop);
  if (!finished) return give_up(work, finished.error(), control);
  report(work, *finished);
  return std::move(*finished);
}

Finished Engine::give_up(const Work& work, const Error& error, RunControl& control) {
  Finished out;
  out.end = begin_end(work);
  auto& end = out.end;
  end.outcome = Outcome::Failed;
  end.reason = word_for(error);
  end.detail = error.what;
  end.failures = work.state.failures + 1;
  const bool lost = control.cause() == StopCause::LeaseLost || error.slug == "stale_fence";
  if (lost) {
    end.outcome = Outcome::Abandoned;
    end.reason = "lease_lost";
  } else if (control.cause() == StopCause::Shutdown && (error.code == Errc::Stopped || error.code == Errc::Unavailable)) {
    // Unavailable is what a call to the store says that the end of the daemon has cut off.
    end.outcome = Outcome::Abandoned;
    end.reason = "shutdown";
    end.detail = "rosterd was stopped; nothing was applied";
    end.failures = work.state.failures;
  } else if (control.cause() == StopCause::Deadline) {
    end.reason = "deadline";
    end.detail = "the run took longer than it may: " + error.what;
  }
  const auto now = clock_.now();
  end.next_due = end.outcome == Outcome::Abandoned ? now : after_failure(now, end.failures);
  if (work.run.dry_run) end.failures = work.state.failures;
  if (lost) {
    out.recorded = false;
  } else if (const auto ok = store_.finish(work.lease, end); !ok) {
    out.recorded = false;
    log::error("sync.unrecorded", {log::field("tenant", work.lease.tenant.value), log::field("source", work.source.name),
                                   log::field("run", text(work.run.id)), log::field("error", ok.error().what)});
  }
  report(work, out);
  return out;
}

Result<Finished> Engine::sync(const Work& work, connectors::Connector& directory, const ConnectorType::Fingerprints& fingerprints,
                              RunControl& control, std::stop_token stop) {
  auto mappings = Mappings::compile(work.source.role_mappings);
  if (!mappings) return fail(mappings.error());
  const auto roles = store_.roles(work.lease.tenant);
  if (!roles) return fail(roles.error(), "reading the roles of {}", work.lease.tenant.value);
  const auto now = clock_.now();
  const auto recent = store_.recent_leaving(work.lease.tenant, work.source.id, now - options_.recent);
  if (!recent) return fail(recent.error(), "counting what left lately");

  connectors::Cursor from{work.state.cursor};
  std::string why_full;
  if (work.run.mode == RunMode::Full) {
    from = {};
  } else if (!from.value.empty() && work.state.cursor_fingerprint != fingerprints.cursor) {
    from = {};
    why_full = "the cursor was made under other settings";
  } else if (!from.value.empty() &&
             (!work.state.last_complete_read || now - *work.state.last_complete_read >= work.source.schedule.full_every)) {
    from = {};
    why_full = "a full read is due";
  }

  std::set<Hash128> repeated;
  for (bool again = true; again;) {
    again = false;
    Read read;
    read.plan = std::make_unique<Plan>(PlanInputs{.store = store_,
                                                  .work = work,
                                                  .mappings = *mappings,
                                                  .roles = *roles,
                                                  .purge_before = now - options_.purge_after,
                                                  .sample = options_.sample,
                                                  .recent = *recent,
                                                  .repeated = repeated,
                                                  .control = control});
    if (auto ok = read.plan->load(); !ok) return fail(ok.error());
    auto end = directory.read(from, *read.plan, stop);
    if (const auto& error = read.plan->error()) return fail(*error);  // the reader only knows that it was told to stop
    if (!end && end.error().code == Errc::CursorExpired && !from.value.empty()) {
      from = {};
      why_full = end.error().what;
      again = true;
      continue;
    }
    if (!end) return fail(end.error(), "reading {}", work.source.name);
    if (!read.plan->conflicting().empty() && repeated.empty()) {
      repeated = read.plan->conflicting();  // S8: once more, now holding back what came twice until its last version is there
      control.users = control.groups = control.changes = control.held = 0;
      again = true;
      continue;
    }
    read.end = std::move(*end);
    auto closed = read.plan->close(read.end, directory, stop);
    if (!closed) return fail(closed.error());
    read.closed = std::move(*closed);
    if (!why_full.empty()) read.closed.notices.push_back({.code = "full_read", .text = why_full, .count = 1});
    return conclude(work, read, fingerprints, control, stop);
  }
  return fail(Errc::Internal, "a read neither ended nor failed");
}

/// The table of outcomes, first line that fits:
///   scope settings changed and something could not be read                            -> partial, and nothing of it is applied
///   a container vanished, scope settings changed and somebody leaves, a limit breaks -> held
///   something could not be read                                                       -> partial
///   nothing to write                                                                  -> unchanged
///   else                                                                              -> applied
/// A dry run is `planned` and says what it would have been.
Result<Finished> Engine::conclude(const Work& work, Read& read, const ConnectorType::Fingerprints& fingerprints, RunControl& control,
                                  const std::stop_token& stop) {
  const auto& closed = read.closed;
  auto end = begin_end(work);
  end.complete = closed.guard.complete || (closed.complete && !std::holds_alternative<connectors::KeepOnly>(read.end.absence));
  end.cursor_kind = read.end.cursor_kind;
  end.notices = closed.notices;
  end.plan = read.plan->writer().info();
  end.users_leaving = closed.guard.users_leaving;
  end.groups_leaving = closed.guard.groups_leaving;
  const bool leaving = closed.guard.users_leaving + closed.guard.groups_leaving > 0;
  const bool other_scope = !work.state.scope_fingerprint.empty() && work.state.scope_fingerprint != fingerprints.scope;
  const bool apart = other_scope && !closed.complete;
  end.outcome = !closed.complete ? Outcome::Partial : end.plan->counts.is_empty() ? Outcome::Unchanged : Outcome::Applied;
  if (apart) {
    // Nobody leaves in such a read, so that nothing would hold the additions: under another id attribute everybody would be there twice
    // (S18).
    end.reason = "settings_changed";
    end.detail = fmt::format(
        "base, filter or id settings have changed since the last applied read, and this read was not complete, so nothing of it was "
        "applied: {}",
        closed.incomplete);
  } else if (closed.vanished) {
    end.outcome = Outcome::Held;
    end.reason = "container_vanished";
    end.detail = fmt::format("everything below {} is missing, and it cannot be read itself", *closed.vanished);
  } else if (leaving && other_scope) {
    end.outcome = Outcome::Held;
    end.reason = "settings_changed";
    end.detail = fmt::format("base, filter or id settings have changed since the last applied read, and {} users and {} groups would leave",
                             closed.guard.users_leaving, closed.guard.groups_leaving);
  } else if (auto tripped = trip(work.source.guard, closed.guard)) {
    end.outcome = Outcome::Held;
    end.reason = std::move(tripped->reason);
    end.detail = std::move(tripped->detail);
  } else if (!closed.complete) {
    end.reason = "incomplete_read";
    end.detail = closed.incomplete;
  }
  if (stop.stop_requested()) return fail(Errc::Stopped, "stopped before applying");
  Result<Finished> finished;
  if (apart && !work.run.dry_run) {
    end.plan.reset();
    if (auto ok = store_.finish(work.lease, end); !ok) return fail(ok.error(), "ending the run");
    finished = ended(std::move(end));
  } else if (auto stage = read.plan->writer().stage(); !stage) {
    return fail(stage.error());
  } else if (work.run.dry_run) {
    control.phase("storing the plan");
    if (end.outcome != Outcome::Applied && end.outcome != Outcome::Unchanged)
      end.detail = fmt::format("would be {}: {}", name_of(end.outcome), end.detail);
    end.outcome = Outcome::Planned;
    end.failures = work.state.failures;
    auto kept = (*stage)->keep(end);
    if (!kept) return fail(kept.error(), "storing the plan");
    finished = ended(std::move(end));
  } else {
    if (!read.end.learnt.empty()) end.learnt = read.end.learnt;
    if (closed.complete && end.outcome != Outcome::Held) {
      end.cursor = read.end.to.value;
      end.cursor_fingerprint = fingerprints.cursor;
      end.scope_fingerprint = fingerprints.scope;
    } else if (!closed.complete && work.state.scope_fingerprint.empty()) {
      end.scope_fingerprint = fingerprints.scope;  // what comes in now came in under these settings, complete or not
    }
    control.phase("applying");
    if (end.outcome == Outcome::Held) {
      finished = hold(**stage, std::move(end));
    } else if (end.plan->counts.is_empty()) {
      auto kept = (*stage)->keep(end);
      if (!kept) return fail(kept.error(), "ending the run");
      finished = ended(std::move(end));
    } else {
      finished = apply(**stage, std::move(end));
    }
  }
  if (finished) {
    finished->records = read.plan->records();
    finished->index_bytes = read.plan->bytes();
  }
  return finished;
}

Result<Finished> Engine::apply(Stage& stage, RunEnd end) {
  const auto applied = stage.apply(end);
  if (!applied && applied.error().slug == "last_admin") {  // S34, in every mode, approved or not
    end.outcome = Outcome::Held;
    end.reason = "last_admin";
    end.detail = applied.error().what;
    end.cursor.reset();
    end.cursor_fingerprint.reset();
    end.scope_fingerprint.reset();
    return hold(stage, std::move(end));
  }
  if (!applied) return fail(applied.error(), "applying the plan");
  if (auto& plan = end.plan) plan->counts = applied->counts;
  end.notices.insert(end.notices.end(), applied->notices.begin(), applied->notices.end());
  auto finished = ended(std::move(end));
  finished.revision = applied->revision;
  return finished;
}

/// S21: the store lets an equal plan that waits already go on waiting under its own id and until its own time; a different one takes its
/// place.
Result<Finished> Engine::hold(Stage& stage, RunEnd end) {
  end.approved = false;
  end.approval_expires_at = clock_.now() + options_.approval_life;
  if (auto ok = stage.keep(end); !ok) return fail(ok.error(), "storing the held plan");
  return ended(std::move(end));
}

}  // namespace rosterd::sync
