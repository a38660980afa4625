#pragma once
// The store's door: few, coarse verbs. Plans and questions go in; rows, revisions and cursors come out. There is one implementation,
// schema/postgres; nobody but daemon/service names it. The tenant is the first parameter of every verb about a tenant, and an unknown
// tenant is NotFound. PostgreSQL being away is Unavailable; the next call tries again. Every verb may be called from any thread.

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "schema/core/clock.hpp"
#include "schema/core/result.hpp"
#include "schema/model/access.hpp"
#include "schema/model/ids.hpp"
#include "schema/model/records.hpp"
#include "schema/model/sync.hpp"
#include "schema/store/accounts.hpp"
#include "schema/store/administration.hpp"
#include "schema/store/audit_log.hpp"
#include "schema/store/issuers.hpp"
#include "schema/store/scim.hpp"

namespace rosterd {

// ---- sync: leases and work ------------------------------------------------------------------------------------------------------

/// The right to sync one source until it expires. `fence` grows with every holder; apply refuses a stale one.
struct Lease {
  TenantId tenant;
  SourceId source;
  RunId run;
  std::uint64_t fence = 0;
  std::string holder;
};

/// What a source remembers between runs.
struct SourceState {
  std::string cursor;
  std::string cursor_fingerprint;  ///< of the settings the cursor belongs to (S40)
  std::string scope_fingerprint;   ///< of identity and scope at the last applied complete read (S41); empty before the first
  std::string learnt;              ///< FeedEnd::learnt
  std::optional<TimePoint> last_complete_read;
  std::uint32_t failures = 0;
};

/// One claimed run.
struct Work {
  Lease lease;
  Source source;
  SourceState state;
  Run run;
  std::uint64_t plan_version = 0;  ///< with RunMode::Approval: the version of the source that the plan was made with
};

/// How a run ended; written together with what it did.
struct RunEnd {
  Outcome outcome = Outcome::Failed;
  std::string reason;  ///< short code or words: "guard_users", "container_vanished", "settings_changed", "last_admin", "size limit"
  std::string detail;  ///< the sentence for a person
  bool complete = false;
  std::string cursor_kind;
  std::optional<PlanInfo> plan;
  std::vector<Notice> notices;
  std::uint64_t users_leaving = 0, groups_leaving = 0;  ///< as the guard counted them: were active, are not when this is applied (S16)
  std::uint64_t source_version = 0;                     ///< of the settings that the run worked with
  std::optional<std::string> cursor;                    ///< moves only when set
  std::optional<std::string> cursor_fingerprint;
  std::optional<std::string> scope_fingerprint;
  std::optional<std::string> learnt;
  bool approved = false;                         ///< what leaves was approved and does not count towards the 24 h of S16
  std::optional<TimePoint> approval_expires_at;  ///< for Held
  TimePoint next_due{};                          ///< when the source is to run again
  std::uint32_t failures = 0;                    ///< in a row, this run included
  Actor actor;
};

/// How much of the history was forgotten.
struct Forgotten {
  std::uint64_t audit_rows = 0, runs = 0, change_rows = 0;
  [[nodiscard]] bool is_nothing() const { return audit_rows + runs + change_rows == 0; }
};
/// Bindings whose time is up (R38).
struct SweptBindings {
  std::vector<TenantId> tenants;  ///< that have moved on
  std::uint64_t expired = 0;      ///< noticed now; listed as expired for 30 days
  std::uint64_t deleted = 0;      ///< those days are over
};
/// What is_overdue asks of a source.
struct SourceAge {
  TenantId tenant;
  SourceId source;
  std::string name;
  Schedule schedule;
  std::optional<TimePoint> last_complete_read;
  TimePoint created_at{};
};

// ---- sync: what a source holds, and the plan on its way -------------------------------------------------------------------------

/// Receives what a source owns, streamed at the start of a run. Views live during the call only. Order: users, groups, edges, bindings.
class HeldSink {
 public:
  virtual ~HeldSink() = default;
  /// `purge_due`: suspended by its source since before the purge cut-off (never true for DisabledAtSource, S24).
  virtual void user(PrincipalId id, std::string_view external_id, std::uint64_t content_hash, Leaving suspended, bool purge_due) = 0;
  virtual void group(PrincipalId id, std::string_view external_id, std::uint64_t content_hash, Leaving suspended, bool purge_due,
                     std::string_view source_name) = 0;
  /// A direct edge whose origin is the source.
  virtual void edge(PrincipalId group, PrincipalId member) = 0;
  /// A binding made by the source's role mappings.
  virtual void binding(const Binding& binding) = 0;
};

struct HeldEntry {
  PrincipalId id;
  std::string external_id;
  std::string entry;
  std::string name;
};

/// What has left through this source lately and was not approved (S16).
struct RecentLeaving {
  std::uint64_t users = 0, groups = 0, bindings = 0;
};

/// One planned change of a user or group. Texts live until the call returns.
struct StagedPrincipal {
  ChangeKind kind = ChangeKind::Added;  ///< Added Changed Suspended Resumed Purged Skipped
  PrincipalId id;                       ///< from reserve_principal_ids for Added; 0 for a Skipped one that is not held
  std::string_view external_id;
  std::uint64_t content_hash = 0;   ///< new one; for Suspended the held one
  std::uint64_t before_hash = 0;    ///< content hash that was held; 0 for Added
  Leaving leaving = Leaving::None;  ///< state after the change
  std::string_view reason;          ///< in words
  const UserRecord* user =
      nullptr;  ///< new content for Added, Changed, Resumed of a user, and for a Suspended one that was read (disabled at the source)
  const GroupRecord* group = nullptr;  ///< the same for a group
};
struct StagedEdge {
  ChangeKind kind = ChangeKind::EdgeAdded;  ///< EdgeAdded EdgeRemoved
  PrincipalId group;
  Principal member;
  std::string_view group_external_id;
  std::string_view member_external_id;
  std::string_view reason;
};
struct StagedBinding {
  ChangeKind kind = ChangeKind::BindingAdded;  ///< BindingAdded BindingRemoved
  BindingId id;                                ///< of the held one, for BindingRemoved
  RoleId role;
  std::string_view role_name;
  PrincipalId group;
  std::string_view group_external_id;
  std::optional<std::string> ns;
  std::string_view reason;
};

/// What applying did. Counts are those of the committed rows.
struct Applied {
  Revision revision;
  ChangeCounts counts;
  std::vector<Notice> notices;  ///< "name_collision" (R44)
};

/// One run's plan while it is made. Changes go straight to a staging area on a connection of their own; memory does not grow with
/// their number. Dropping it without apply or keep leaves nothing. Used from one thread at a time.
class Stage {
 public:
  virtual ~Stage() = default;
  [[nodiscard]] virtual Result<void> user(const StagedPrincipal& change) = 0;
  [[nodiscard]] virtual Result<void> group(const StagedPrincipal& change) = 0;
  /// Each edge once.
  [[nodiscard]] virtual Result<void> edge(const StagedEdge& change) = 0;
  [[nodiscard]] virtual Result<void> binding(const StagedBinding& change) = 0;
  /// One transaction: fence check, rows, change rows, audit, cursor, run, state of the source, revision; releases the lease.
  /// Conflict "stale_fence" when the lease has gone to somebody else; Refused "last_admin" when no active Admin would be left (the stage is
  /// still usable then, for keep). On any error nothing was applied.
  [[nodiscard]] virtual Result<Applied> apply(const RunEnd& end) = 0;
  /// Stores the plan without applying it (held, dry run, unchanged with nothing staged, failed) and ends the run; releases the lease.
  [[nodiscard]] virtual Result<void> keep(const RunEnd& end) = 0;
};

struct StageOptions {
  bool eager = false;  ///< first load: rows may be inserted behind the read, in the one transaction that apply commits
};

// ---- requests -------------------------------------------------------------------------------------------------------------------

struct NewTenant {
  TenantId id;
  std::string name;
  AccountId creator;                ///< gets a linked user and the tenant-wide Admin binding (R84, R85)
  std::vector<Role> managed_roles;  ///< as rbac::managed_roles() has them; ids are given by the store
};
/// What every tenant's managed roles are to be (R23).
struct ManagedRoles {
  std::vector<Role> roles;  ///< as NewTenant has them
  std::string hash;         ///< of the catalogue they come from
  std::string release;      ///< "0.1.0"
};
struct RenewedRoles {
  bool renewed = false;       ///< release or catalogue were others than the last time
  std::uint64_t tenants = 0;  ///< in which something was different
  std::string newer = {};     ///< a newer release that has set them: nothing was changed
};
struct TenantPatch {
  std::optional<std::string> name;
  std::optional<bool> enabled;
};
struct NewSource {
  std::string name, type;
  bool enabled = true;
  std::string settings;  ///< JSON text, secrets sealed
  Schedule schedule;
  Guard guard;
  std::vector<RoleMapping> role_mappings;
};
/// How far deleting a source may go.
enum class Force {
  No,             ///< Conflict "owns_active_objects" when anybody would be suspended
  Suspend,        ///< suspends what it owns; Conflict "last_admin" when no active Admin would be left (R89)
  EvenLastAdmin,  ///< suspends what it owns, whoever that is: for super admins
};
class Store : public Administration, public Accounts, public IssuerSignIn, public AuditLog, public Scim {
 public:
  /// From now on no call takes longer than about this, those in progress included: they end with Unavailable, and what they had done is
  /// rolled back. For an end that waits no longer.
  virtual void limit_calls(Millis longest) = 0;

  // instance
  [[nodiscard]] virtual Result<void> ping() = 0;

  // tenants
  /// All of them, or only those where `only_linked` has a user.
  [[nodiscard]] virtual Result<Page<Tenant>> tenants(const PageRequest& page, std::optional<AccountId> only_linked) = 0;
  [[nodiscard]] virtual Result<Tenant> tenant(const TenantId& tenant) = 0;
  [[nodiscard]] virtual Result<Written<Tenant>> create_tenant(const NewTenant& tenant, const Actor& actor) = 0;
  [[nodiscard]] virtual Result<Written<Tenant>> change_tenant(const TenantId& tenant, const TenantPatch& patch, const Actor& actor) = 0;
  /// Once for each release and catalogue: brings the managed roles of every tenant up to date, a revision and an audit row for each that
  /// was different. Of several at once one does it and the others wait. An older release than the one that did it last changes nothing.
  [[nodiscard]] virtual Result<RenewedRoles> renew_managed_roles(const ManagedRoles& wanted) = 0;
  [[nodiscard]] virtual Result<void> delete_tenant(const TenantId& tenant, const Actor& actor) = 0;
  /// The user this account is linked to in the tenant; none = no standing.
  [[nodiscard]] virtual Result<std::optional<PrincipalId>> linked_user(const TenantId& tenant, AccountId account) = 0;

  // sources. `key` is an id text or a name.
  [[nodiscard]] virtual Result<std::vector<Source>> sources(const TenantId& tenant) = 0;
  [[nodiscard]] virtual Result<Source> source(const TenantId& tenant, std::string_view key) = 0;
  [[nodiscard]] virtual Result<Written<Source>> create_source(const TenantId& tenant, const NewSource& source, const Actor& actor) = 0;
  /// Conflict "stale_version" unless `if_version` is 0 or the current one.
  [[nodiscard]] virtual Result<Written<Source>> change_source(const TenantId& tenant, SourceId id, const NewSource& source,
                                                              std::uint64_t if_version, const Actor& actor) = 0;
  /// What it owns is suspended at once (source_deleted, S27), as far as `force` allows.
  [[nodiscard]] virtual Result<Revision> delete_source(const TenantId& tenant, SourceId id, Force force, const Actor& actor) = 0;
  [[nodiscard]] virtual Result<std::vector<SourceStatus>> status(const TenantId& tenant) = 0;
  [[nodiscard]] virtual Result<SourceState> source_state(const TenantId& tenant, SourceId id) = 0;

  // runs
  /// Queues a run, or gives the one already queued for this source (S44). A disabled tenant is Conflict; a disabled source too, except for
  /// a dry run: a first plan can be looked at before anything is let in.
  [[nodiscard]] virtual Result<Run> request_run(const TenantId& tenant, SourceId source, RunMode mode, bool dry_run,
                                                const Actor& actor) = 0;
  [[nodiscard]] virtual Result<Page<Run>> runs(const TenantId& tenant, std::optional<SourceId> source, const PageRequest& page) = 0;
  [[nodiscard]] virtual Result<Run> run(const TenantId& tenant, RunId run) = 0;
  [[nodiscard]] virtual Result<Page<Change>> changes(const TenantId& tenant, RunId run, const PageRequest& page) = 0;
  /// The first 100 changes of each kind of a plan that is or was held (S19), as a JSON array in the shape of `changes`; "[]" for another.
  [[nodiscard]] virtual Result<std::string> held_changes(const TenantId& tenant, RunId run) = 0;
  /// Queues a held run for applying its stored plan. Conflict "plan_outdated" when the hash differs, it is not held (any more) or the
  /// approval has expired.
  [[nodiscard]] virtual Result<Run> approve_run(const TenantId& tenant, RunId run, std::string_view plan_hash, const Actor& actor) = 0;
  [[nodiscard]] virtual Result<Run> discard_run(const TenantId& tenant, RunId run, const Actor& actor) = 0;

  // sync: work
  /// Takes the lease of the source that has waited longest among those that are queued or due and free, and starts its run; none when
  /// there is nothing to do. Whatever an earlier holder left running is marked abandoned.
  [[nodiscard]] virtual Result<std::optional<Work>> claim(std::string_view holder, Millis lease_for, TimePoint now) = 0;
  /// Prolongs the lease and notes progress; Conflict "stale_fence" when it has gone. Waits for nobody: neither for the run's own apply nor
  /// for a connection that requests could hold.
  [[nodiscard]] virtual Result<void> heartbeat(const Lease& lease, Millis lease_for, std::string_view progress) = 0;
  /// Ends a run that has no stage (failed before one, abandoned at shutdown); releases the lease.
  [[nodiscard]] virtual Result<void> finish(const Lease& lease, const RunEnd& end) = 0;
  /// Marks runs abandoned whose lease has expired (and who are not writing their end just now), expires approvals, purges what deleted
  /// sources left 30 days ago. Gives the number of abandoned runs.
  [[nodiscard]] virtual Result<std::uint64_t> sweep(TimePoint now) = 0;
  /// Moves the revision of tenants in which a binding has expired since the last look, and deletes what expired 30 days ago; both audited.
  /// At most `how_many` bindings a tenant and as many tenants, each in a transaction of its own; no tenant in the answer = nothing is left.
  [[nodiscard]] virtual Result<SweptBindings> sweep_bindings(TimePoint now, std::uint32_t how_many) = 0;
  /// Removes at most `how_many` audit rows and `how_many` runs (with their changes) that are older than that; kept are the newest run of
  /// each source and plans that wait for approval. Nothing was removed = nothing older is left.
  [[nodiscard]] virtual Result<Forgotten> forget_history(TimePoint older_than, std::uint32_t how_many) = 0;
  /// Of every enabled source of every enabled tenant.
  [[nodiscard]] virtual Result<std::vector<SourceAge>> source_ages() = 0;

  // sync: plan
  [[nodiscard]] virtual Result<void> load_held(const TenantId& tenant, SourceId source, TimePoint purge_before, HeldSink& sink) = 0;
  [[nodiscard]] virtual Result<std::vector<HeldEntry>> held_entries(const TenantId& tenant, SourceId source, PrincipalType type,
                                                                    std::span<const PrincipalId> ids) = 0;
  /// Streams (id, entry) of every active object of the source, for the container rule S4.
  [[nodiscard]] virtual Result<void> each_held_entry(const TenantId& tenant, SourceId source, PrincipalType type,
                                                     const std::function<void(PrincipalId, std::string_view entry)>& use) = 0;
  [[nodiscard]] virtual Result<RecentLeaving> recent_leaving(const TenantId& tenant, SourceId source, TimePoint since) = 0;
  /// `count` numbers from the principals' space; gives the first.
  [[nodiscard]] virtual Result<std::uint64_t> reserve_principal_ids(std::uint64_t count) = 0;
  [[nodiscard]] virtual Result<std::unique_ptr<Stage>> begin_stage(const Lease& lease, const StageOptions& options) = 0;
  /// Streams the stored plan of a held run in order, for applying it.
  struct StoredChange {
    Change change;
    PrincipalId object, member;  ///< 0 where the object is not held yet
    PrincipalType member_type = PrincipalType::User;
    std::string member_external_id;
    RoleId role;
    BindingId binding;
    std::uint64_t content_hash = 0, before_hash = 0;
    Leaving leaving = Leaving::None;
  };
  [[nodiscard]] virtual Result<void> load_plan(const TenantId& tenant, RunId run,
                                               const std::function<Result<void>(const StoredChange&)>& use) = 0;

  // rbac
  [[nodiscard]] virtual Result<void> load_authorization(const TenantId& tenant, AuthorizationSink& sink) = 0;
  /// What has changed since the tenant stood at `since`; none when it cannot be told, or is so much that reading everything is quicker.
  /// Never reads the tenant's rows beyond what changed.
  [[nodiscard]] virtual Result<std::optional<AuthorizationChanges>> authorization_changes(const TenantId& tenant,
                                                                                          const Revision& since) = 0;
  struct TenantRevision {
    TenantId tenant;
    Revision revision;
  };
  /// Of every tenant; a tenant that is missing has been deleted.
  [[nodiscard]] virtual Result<std::vector<TenantRevision>> revisions() = 0;
  /// Hears of revisions when they are committed, by whichever daemon, until `stop`: on a connection of its own, which is made again as
  /// often as it is lost. `heard` gets each, or none when some may have been missed (a connection was made): look at all of them then.
  virtual void follow_revisions(const std::stop_token& stop, const std::function<void(const TenantRevision*)>& heard) = 0;

  // reads for the API. `key` is an id text, or a name (user: username or e-mail), folded by the store; ambiguous names are Conflict.
  [[nodiscard]] virtual Result<Page<User>> users(const TenantId& tenant, const PageRequest& page) = 0;
  [[nodiscard]] virtual Result<User> user(const TenantId& tenant, std::string_view key) = 0;
  [[nodiscard]] virtual Result<std::vector<Group>> groups_of(const TenantId& tenant, const Principal& principal) = 0;
  [[nodiscard]] virtual Result<Page<Group>> groups(const TenantId& tenant, const PageRequest& page) = 0;
  [[nodiscard]] virtual Result<Group> group(const TenantId& tenant, std::string_view key) = 0;
  [[nodiscard]] virtual Result<Page<Member>> members(const TenantId& tenant, PrincipalId group, const PageRequest& page) = 0;
  [[nodiscard]] virtual Result<std::vector<EdgeOrigin>> edge_origins(const TenantId& tenant,
                                                                     std::span<const std::pair<PrincipalId, PrincipalId>> edges) = 0;
  [[nodiscard]] virtual Result<std::vector<Role>> roles(const TenantId& tenant) = 0;
};

}  // namespace rosterd
