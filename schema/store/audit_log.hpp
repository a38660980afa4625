#pragma once
// The audit log as it is read: a filter goes in, pages of entries come out, newest first. Writing it is every other verb's business. A
// run's changes stand behind the run's own entry, object by object, in the order in which the run made them (R110).

#include <optional>
#include <string>

#include "schema/core/clock.hpp"
#include "schema/core/result.hpp"
#include "schema/model/audit.hpp"
#include "schema/store/administration.hpp"

namespace rosterd {

/// What is empty does not narrow.
struct AuditFilter {
  /// An account's, user's (by his account), service account's or run's id; an e-mail; "rosterd" for what nobody asked for.
  std::string actor = {};
  std::string type = {};                ///< of the object
  std::string action = {};              ///< of a run's change: its kind
  std::string object = {};              ///< an id; also finds memberships of that member and bindings of that principal
  std::optional<TimePoint> since = {};  ///< this moment included
  std::optional<TimePoint> until = {};  ///< this one not
};

class AuditLog {
 public:
  virtual ~AuditLog() = default;
  /// Of one tenant, or of all of them (deleted ones, too) and the instance. The work for one page is bounded, so that a page may hold less
  /// than was asked for, even nothing, and still have a `next`.
  [[nodiscard]] virtual Result<Page<AuditEntry>> audit(const std::optional<TenantId>& tenant, const AuditFilter& filter,
                                                       const PageRequest& page) = 0;
};

}  // namespace rosterd
