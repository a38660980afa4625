#pragma once
// The nouns of a sync: source, run, change, plan summary, guard. Their JSON shapes are those of DESIGN §6.

#include <array>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "schema/core/clock.hpp"
#include "schema/model/ids.hpp"

namespace rosterd {

/// One rule "groups named like this get that role there". `group` is a PCRE2 pattern, anchored at both ends.
struct RoleMapping {
  std::string group;
  std::string role;
  std::optional<std::string> ns;  ///< may hold ${name} of a named group of the pattern; none = tenant-wide
  bool operator==(const RoleMapping&) const = default;
};

struct Schedule {
  Millis interval{15 * 60 * 1000};
  Millis full_every{24 * 3600 * 1000};
  bool live = false;  ///< kept for the incremental connectors; a connector that cannot follow ignores it
  bool operator==(const Schedule&) const = default;
};

/// Limits of sync-rules §4: at most min(ceiling, max(percent % of n, min(floor, n/3))) may leave within 24 h.
struct Guard {
  double percent = 5;
  std::uint32_t floor = 10;
  std::uint32_t ceiling = 500;
  bool operator==(const Guard&) const = default;
};

/// Whether the last complete read is older than two full intervals (S51). A source that never had one counts from when it was made.
[[nodiscard]] bool is_overdue(const Schedule& schedule, const std::optional<TimePoint>& last_complete_read, TimePoint created_at,
                              TimePoint now);

struct Source {
  SourceId id;
  std::string name;  ///< slug, unique in its tenant
  std::string type;  ///< a row of connectors/registry.cpp: "ldap"
  bool enabled = true;
  std::string settings;  ///< JSON text in the connector's shape; secrets sealed (see daemon/secrets.hpp)
  Schedule schedule;
  Guard guard;
  std::vector<RoleMapping> role_mappings;
  std::uint64_t version = 0;  ///< grows with every change of the source; the ETag
  TimePoint created_at{};
};

enum class RunMode : std::uint8_t { Auto = 1, Full = 2, Approval = 3 };  // Approval applies a held plan
enum class RunTrigger : std::uint8_t { Schedule = 1, Manual = 2, Approval = 3, Push = 4 };

enum class Outcome : std::uint8_t {
  Queued = 1,
  Running = 2,
  Applied = 3,
  Unchanged = 4,
  Partial = 5,    ///< something could not be read: additions and updates applied, nobody left
  Held = 6,       ///< the guard (or a rule) stopped it: waits for approval
  Failed = 7,     ///< nothing applied
  Abandoned = 8,  ///< the process died or was stopped; nothing applied
  Planned = 9,    ///< a dry run: the plan is stored, nothing applied
};
[[nodiscard]] std::string_view name_of(Outcome outcome);  ///< "queued", "applied", …
[[nodiscard]] std::string_view name_of(RunMode mode);     ///< "auto", "full", "approval"
[[nodiscard]] std::string_view name_of(RunTrigger trigger);
[[nodiscard]] bool is_over(Outcome outcome);  ///< neither queued nor running

enum class ChangeKind : std::uint8_t {
  Added = 1,
  Changed = 2,
  Suspended = 3,
  Resumed = 4,
  Purged = 5,
  EdgeAdded = 6,
  EdgeRemoved = 7,
  BindingAdded = 8,
  BindingRemoved = 9,
  Skipped = 10,
};
[[nodiscard]] std::string_view name_of(ChangeKind kind);  ///< "added", "edge_added", …
inline constexpr std::size_t kChangeKinds = 11;           // array size for counting by kind; index 0 unused

/// Why a source suspends somebody (sync-rules S23). Stored as these numbers; None = not suspended by its source.
enum class Leaving : std::uint8_t { None = 0, Missing = 1, OutOfScope = 2, DeletedAtSource = 3, DisabledAtSource = 4, SourceDeleted = 5 };
[[nodiscard]] std::string_view name_of(Leaving reason);  ///< "missing", "out_of_scope", …

enum class ObjectType : std::uint8_t { User = 1, Group = 2, Membership = 4, Binding = 5 };
[[nodiscard]] std::string_view name_of(ObjectType type);

/// How many changes of each kind, users and groups apart.
struct ChangeCounts {
  std::array<std::uint64_t, kChangeKinds> users{};
  std::array<std::uint64_t, kChangeKinds> groups{};
  std::uint64_t edges_added = 0;
  std::uint64_t edges_removed = 0;
  std::uint64_t bindings_added = 0;
  std::uint64_t bindings_removed = 0;
  std::uint64_t users_read = 0;  ///< records the directory delivered
  std::uint64_t groups_read = 0;
  std::uint64_t dangling_members = 0;  ///< member values that name nobody who was read
  bool operator==(const ChangeCounts&) const = default;
  /// True when applying would write nothing (skipped records are no change).
  [[nodiscard]] bool is_empty() const;
};

struct PlanInfo {
  std::string hash;  ///< 64 hex digits, SHA-256 over the sorted digests of the changes
  ChangeCounts counts;
};

/// A finding of a run that is neither a change nor a failure: "role_mapping_unresolved", "name_collision", "dangling_member",
/// "membership_loop".
struct Notice {
  std::string code;
  std::string text;
  std::uint64_t count = 1;
};

struct Run {
  RunId id;
  SourceId source;
  std::string source_name;
  RunMode mode = RunMode::Auto;
  bool dry_run = false;
  RunTrigger trigger = RunTrigger::Schedule;
  std::string requested_by;  ///< account id in its text form; empty for the schedule
  Outcome outcome = Outcome::Queued;
  std::string reason;       ///< code or sentence: why it is not simply applied
  std::string detail;       ///< the whole sentence for a person
  std::string cursor_kind;  ///< "full" in this release
  std::optional<PlanInfo> plan;
  std::vector<Notice> notices;
  bool complete = false;  ///< the read was proved complete
  TimePoint queued_at{};
  std::optional<TimePoint> started_at;
  std::optional<TimePoint> finished_at;
  std::optional<TimePoint> approval_expires_at;  ///< while held
  std::optional<Revision> revision;              ///< what applying it led to
  std::string progress;                          ///< JSON object text while running: {"phase":"reading users","users":123,"groups":0}
};

struct Change {
  std::uint64_t seq = 0;  ///< position in the run, from 1
  ObjectType type = ObjectType::User;
  ChangeKind kind = ChangeKind::Added;
  std::string id;  ///< text form of the object; for a membership that of the group; empty in a plan that was not applied and adds it
  std::string external_id;
  std::string name;
  std::string before;  ///< JSON text or empty
  std::string after;   ///< JSON text or empty
  std::string reason;
};

/// What `status` says of one source.
struct SourceStatus {
  Source source;
  std::optional<Run> last_run;  ///< the newest that is over; dry runs do not count
  std::optional<Run> held;
  std::optional<Run> current;  ///< queued or running now
  std::optional<TimePoint> last_complete_read;
  std::optional<TimePoint> next_run;
  std::uint32_t failures = 0;  ///< in a row
  std::string cursor_kind;
  std::uint64_t users_active = 0, users_suspended = 0, groups_active = 0, groups_suspended = 0;
};

[[nodiscard]] nlohmann::json to_json(const Run& run);
[[nodiscard]] nlohmann::json to_json(const Change& change);
[[nodiscard]] nlohmann::json to_json(const ChangeCounts& counts);
[[nodiscard]] ChangeCounts counts_from_json(const nlohmann::json& json);
[[nodiscard]] nlohmann::json to_json(const Notice& notice);
[[nodiscard]] nlohmann::json to_json(const RoleMapping& mapping);
[[nodiscard]] nlohmann::json to_json(const Schedule& schedule);
[[nodiscard]] nlohmann::json to_json(const Guard& guard);
/// Without `settings`; the caller adds the masked ones.
[[nodiscard]] nlohmann::json to_json(const Source& source);

/// Strict readers of the POST shapes of DESIGN §6.1; every problem is collected with its JSON path into one InvalidInput error.
[[nodiscard]] Result<Schedule> schedule_from_json(const nlohmann::json& json);
[[nodiscard]] Result<Guard> guard_from_json(const nlohmann::json& json);
[[nodiscard]] Result<std::vector<RoleMapping>> role_mappings_from_json(const nlohmann::json& json);

}  // namespace rosterd
