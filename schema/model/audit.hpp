#pragma once
// One entry of the audit log: a change made over the API, by a run or by rosterd itself, as it is listed and exported.

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "schema/core/clock.hpp"
#include "schema/model/ids.hpp"

namespace rosterd {

/// Who did it.
struct AuditActor {
  enum class Type : std::uint8_t { Account, ServiceAccount, User, Run, Rosterd };
  Type type = Type::Rosterd;
  std::string id;    ///< empty for rosterd itself
  std::string name;  ///< e-mail, name, or that of the run's source; empty where it is gone
};
[[nodiscard]] std::string_view name_of(AuditActor::Type type);  ///< "account", "service_account", "user", "run", "rosterd"

struct AuditEntry {
  AuditId id;
  std::uint64_t seq = 0;  ///< of a change that a run made: its position in the run; 0 for the entry itself
  TimePoint at{};
  std::optional<TenantId> tenant;  ///< none for an event of the instance
  AuditActor actor;
  std::string by;  ///< by what: "token tok_…", "run run_…", "setup"
  std::string ip, request_id;
  std::string action;
  std::string object_type, object_id, object_name;
  std::string before, after;  ///< JSON texts or empty
  std::string reason;         ///< of a run's change (R110)
  std::optional<RunId> run;
  std::optional<Revision> revision;
};

/// "aud_…", or "aud_….17" for a run's change.
[[nodiscard]] std::string text(const AuditEntry& entry);
[[nodiscard]] nlohmann::json to_json(const AuditEntry& entry);

}  // namespace rosterd
