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

/// A principal as the snapshot has it; the views live as long as the snapshot.
struct Known {
  Principal who;
  std::string_view name;     ///< username, or name as shown
  std::string_view email;    ///< of a user; may be empty
  bool active = false;       ///< not suspended, not disabled
  bool super_admin = false;  ///< linked to an enabled super admin account
};
/// What a key leads to (R7).
struct Resolved {
  enum Kind : std::uint8_t { Unknown, Ambiguous, Found } kind = Unknown;
  Known known;  ///< of Found
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
  PairMask pairs{};                ///< what it grants at its namespace (R30)
  std::vector<Hop> via;            ///< empty = direct
};

/// A page of grants, of all there are: sorted by role name, namespace, chain.
///
/// Group graphs without loops are counted exactly, however many chains they make. Chains through a loop of groups cannot be counted in any
/// reasonable time: of those at most a thousand a role and namespace are listed (never none), and `more` says so.
struct Grants {
  std::vector<Grant> items;
  std::uint64_t total = 0;  ///< exact unless `more`
  bool more = false;        ///< there may be further chains than `total`
};

/// How much of an explanation is wanted.
struct ExplainWish {
  std::size_t paths = 100;
  bool near_misses = false;  ///< for those who hold BINDING READ and ROLE READ (R104)
  std::size_t near = 20;     ///< of each kind
};
/// Why not: what comes nearest to allowing it (check-api.md §7). Each binding once, with its shortest chain.
struct NearMisses {
  std::vector<Grant> elsewhere;       ///< the subject's, with the pair, at other namespaces
  std::vector<Grant> without_action;  ///< the subject's, here, with another action of the permission
  std::vector<Grant> tenant_scope;    ///< the subject's, with the pair, which no namespace-limited binding grants (R30)
  std::vector<Grant> expired;         ///< the subject's, would have allowed it
  /// Groups that hold a binding which allows it here, that at the nearest namespace first; members at any depth would be allowed.
  struct Joining {
    PrincipalId group;
    std::string name;
    Grant grant;
  };
  std::vector<Joining> groups;
  bool more = false;  ///< some kind had more than were wanted
};
struct Explanation {
  Decision decision;
  Resolved subject;
  std::vector<Grant> paths;  ///< those that allow it, at most as many as wished
  std::uint64_t paths_total = 0;
  bool paths_more = false;                       ///< as Grants::more
  std::optional<std::string> matched_namespace;  ///< the nearest one whose binding allows it; none = tenant-wide or not at all
  std::optional<NearMisses> near;                ///< when wished, for a denial that bindings decided
};

/// What a search asks about: a pair at a place and an instant.
struct Right {
  std::string_view permission;
  std::string_view action;
  std::optional<std::string_view> ns;
  TimePoint at{};
};
struct Subjects {
  struct One {
    Principal who;
    std::string_view key;  ///< a name under which exactly this principal is found; empty: only its id does
  };
  std::vector<One> items;  ///< by id
  bool more = false;
};
struct Places {
  bool whole_tenant = false;                 ///< also without a namespace
  std::vector<std::string_view> namespaces;  ///< sorted
  bool more = false;
};

struct SnapshotStats {
  std::uint64_t users = 0, groups = 0, service_accounts = 0, edges = 0, bindings = 0, profiles = 0;
  std::uint64_t unknown_pairs = 0;  ///< that roles hold and the catalogue does not have (R15)
  std::uint64_t bytes = 0;          ///< resident size of the whole snapshot
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
  /// The principal that a key of any spelling means, by the same rule as a check (R7).
  [[nodiscard]] virtual Resolved resolve(PrincipalType type, std::string_view key) const noexcept = 0;
  [[nodiscard]] virtual std::optional<Known> describe(const Principal& who) const noexcept = 0;

  /// The decision of check(), with every path that leads to it, or what comes nearest.
  [[nodiscard]] virtual Explanation explain(const Question& question, const ExplainWish& wish) const = 0;
  /// All grants that reach the principal, expired ones left out: `limit` of them from the place `skip` on.
  [[nodiscard]] virtual Grants effective(const Principal& who, TimePoint at, std::uint64_t skip, std::size_t limit) const = 0;
  /// The first `limit` of them (0 = 10,000).
  [[nodiscard]] std::vector<Grant> grants(const Principal& who, TimePoint at, std::size_t limit) const {
    return effective(who, at, 0, limit == 0 ? 10'000 : limit).items;
  }

  // Searches are the exact inverse of check() (check-api.md A10): what they give is allowed, and nothing allowed is missing.
  /// Active principals of a type that may, with an id above `after`.
  [[nodiscard]] virtual Subjects who_may(PrincipalType type, const Right& right, PrincipalId after, std::size_t limit) const = 0;
  /// The actions of a permission that the principal may here, in catalogue order.
  [[nodiscard]] virtual std::vector<std::string_view> what_may(const Principal& who, std::string_view permission,
                                                               std::optional<std::string_view> ns, TimePoint at) const = 0;
  /// The namespaces named by any live binding of the tenant in which the principal may, sorted, those behind `after`.
  [[nodiscard]] virtual Places where_may(const Principal& who, std::string_view permission, std::string_view action, TimePoint at,
                                         std::string_view after, std::size_t limit) const = 0;

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

/// The snapshot after `changes`, which begin at the old one's revision: the same as one compiled from all rows, with the same content hash.
/// What did not change is shared with the old one. Nothing when so much has gathered that is no longer used that all rows should be
/// compiled again; an error when the changes contradict the old snapshot.
[[nodiscard]] Result<std::shared_ptr<const Snapshot>> update(const Snapshot& old, const AuthorizationChanges& changes);
[[nodiscard]] Result<std::shared_ptr<const Snapshot>> update(const Snapshot& old, const AuthorizationChanges& changes, TimePoint as_of);

}  // namespace rosterd::rbac
