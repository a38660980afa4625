#include "schema/model/sync.hpp"

#include <numeric>

namespace rosterd {

std::string_view name_of(Outcome outcome) {
  switch (outcome) {
    case Outcome::Queued:
      return "queued";
    case Outcome::Running:
      return "running";
    case Outcome::Applied:
      return "applied";
    case Outcome::Unchanged:
      return "unchanged";
    case Outcome::Partial:
      return "partial";
    case Outcome::Held:
      return "held";
    case Outcome::Failed:
      return "failed";
    case Outcome::Abandoned:
      return "abandoned";
    case Outcome::Planned:
      return "planned";
  }
  return "";
}

std::string_view name_of(RunMode mode) {
  switch (mode) {
    case RunMode::Auto:
      return "auto";
    case RunMode::Full:
      return "full";
    case RunMode::Approval:
      return "approval";
  }
  return "";
}

std::string_view name_of(RunTrigger trigger) {
  switch (trigger) {
    case RunTrigger::Schedule:
      return "schedule";
    case RunTrigger::Manual:
      return "manual";
    case RunTrigger::Approval:
      return "approval";
    case RunTrigger::Push:
      return "push";
  }
  return "";
}

bool is_over(Outcome outcome) { return outcome != Outcome::Queued && outcome != Outcome::Running; }

std::string_view name_of(ChangeKind kind) {
  switch (kind) {
    case ChangeKind::Added:
      return "added";
    case ChangeKind::Changed:
      return "changed";
    case ChangeKind::Suspended:
      return "suspended";
    case ChangeKind::Resumed:
      return "resumed";
    case ChangeKind::Purged:
      return "purged";
    case ChangeKind::EdgeAdded:
      return "edge_added";
    case ChangeKind::EdgeRemoved:
      return "edge_removed";
    case ChangeKind::BindingAdded:
      return "binding_added";
    case ChangeKind::BindingRemoved:
      return "binding_removed";
    case ChangeKind::Skipped:
      return "skipped";
  }
  return "";
}

std::string_view name_of(Leaving reason) {
  switch (reason) {
    case Leaving::None:
      return "";
    case Leaving::Missing:
      return "missing";
    case Leaving::OutOfScope:
      return "out_of_scope";
    case Leaving::DeletedAtSource:
      return "deleted_at_source";
    case Leaving::DisabledAtSource:
      return "disabled_at_source";
    case Leaving::SourceDeleted:
      return "source_deleted";
  }
  return "";
}

std::string_view name_of(ObjectType type) {
  switch (type) {
    case ObjectType::User:
      return "user";
    case ObjectType::Group:
      return "group";
    case ObjectType::Membership:
      return "membership";
    case ObjectType::Binding:
      return "binding";
  }
  return "";
}

bool is_overdue(const Schedule& schedule, const std::optional<TimePoint>& last_complete_read, TimePoint created_at, TimePoint now) {
  return now - last_complete_read.value_or(created_at) > 2 * std::max(schedule.interval, schedule.full_every);
}

bool ChangeCounts::is_empty() const {
  const auto total = [](const auto& kinds) { return std::accumulate(kinds.begin(), kinds.end(), std::uint64_t{0}); };
  const auto skipped = static_cast<std::size_t>(ChangeKind::Skipped);
  return total(users) == users[skipped] && total(groups) == groups[skipped] &&
         edges_added + edges_removed + bindings_added + bindings_removed == 0;
}

}  // namespace rosterd
