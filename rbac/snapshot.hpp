#pragma once
// Rows of one tenant go in (AuthorizationSink), an immutable Snapshot comes out, and it answers "may this subject do that, here, and
// why". Where rows come from and who asks lives elsewhere. A Snapshot is read by any number of threads without a lock.

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rbac/catalogue.hpp"
#include "schema/core/clock.hpp"
#include "schema/model/access.hpp"

namespace rosterd::rbac {

/// The closed set of rbac.md §13, in the order the steps decide.
enum class Reason : std::uint8_t {
  DeniedTenantDisabled,
  DeniedUnknownPermission,
  DeniedUnknownAction,
  DeniedUnknownSubject,
  DeniedAmbiguousSubject,
  DeniedUserSuspended,
  DeniedServiceAccountDisabled,
  DeniedGroupSuspended,
  DeniedNoTenantAccess,
  AllowedSuperAdmin,
  AllowedAdminRole,
  AllowedBinding,
  DeniedWrongNamespace,
  DeniedActionMissing,
  DeniedNoBinding,
};
[[nodiscard]] std::string_view name_of(Reason reason);  ///< "allowed_binding", …

struct Decision {
  bool allowed = false;
  Reason reason = Reason::DeniedNoBinding;
  bool operator==(const Decision&) const = default;
};

/// A question in the caller's words. The namespace has been validated (is_namespace) by who asks; none = the whole tenant.
struct Question {
  PrincipalType type = PrincipalType::User;
  std::string_view key;  ///< id text, username, e-mail or name (R7); folded by the snapshot
  std::string_view permission;
  std::string_view action;
  std::optional<std::string_view> ns;
  TimePoint at{};  ///< for expiry
};

/// One step of a membership chain, outermost last: the user is a direct member of chain[0], which is a member of chain[1], …
struct Hop {
  PrincipalId group;
  std::string name;
};
/// One grant and the way it reaches the principal (R102, R103): all paths are listed, each chain once.
struct Grant {
  BindingId binding;
  RoleId role;
  std::string role_name;
  bool admin = false;
  std::optional<std::string> ns;
  std::optional<TimePoint> expires_at;
  std::optional<SourceId> source;  ///< of the binding (role mapping); none = local
  std::vector<Hop> via;            ///< empty = direct
};

struct SnapshotStats {
  std::uint64_t users = 0, groups = 0, service_accounts = 0, edges = 0, bindings = 0, profiles = 0;
  std::uint64_t bytes = 0;  ///< resident size of the whole snapshot
};

class Snapshot {
 public:
  virtual ~Snapshot() = default;
  [[nodiscard]] virtual const Revision& revision() const noexcept = 0;
  [[nodiscard]] virtual bool tenant_enabled() const noexcept = 0;
  /// The decision of rbac.md §13. No allocation for keys up to 512 bytes, no lock.
  [[nodiscard]] virtual Decision check(const Question& question) const noexcept = 0;
  /// The same for a principal known by id (the caller himself).
  [[nodiscard]] virtual Decision check(const Principal& who, std::string_view permission, std::string_view action,
                                       std::optional<std::string_view> ns, TimePoint at) const noexcept = 0;
  /// All grants that reach the principal, expired ones left out, sorted by role name, namespace, chain. The first `limit` of them
  /// (0 = all; chains through a tangle of groups can be very many, so what strangers ask has a limit).
  [[nodiscard]] virtual std::vector<Grant> grants(const Principal& who, TimePoint at, std::size_t limit) const = 0;
  [[nodiscard]] virtual SnapshotStats stats() const noexcept = 0;
  /// The same for the same rows in whatever order they came, on every replica; the revision is not part of it.
  [[nodiscard]] virtual std::uint64_t content_hash() const = 0;
};

/// Compiles rows into a snapshot. Use once: hand it to Store::load_authorization, then finish.
class Builder : public AuthorizationSink {
 public:
  [[nodiscard]] virtual Result<std::shared_ptr<const Snapshot>> finish() = 0;
};
[[nodiscard]] std::unique_ptr<Builder> make_builder(std::shared_ptr<const Catalogue> catalogue);
/// Answers are exact for every instant asked about; they are fastest from `as_of` (else: now) to the next expiry after it.
[[nodiscard]] std::unique_ptr<Builder> make_builder(std::shared_ptr<const Catalogue> catalogue, TimePoint as_of);

}  // namespace rosterd::rbac
