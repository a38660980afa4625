#pragma once
// The store on PostgreSQL: the verbs of schema/store/store.hpp go in, statements go out to a server of version 15 or newer. One file of
// this folder per subject; statements are constants beside the function that runs them. Starting a private server is embedded.hpp's
// business, deciding what to store everybody else's.

#include <memory>
#include <stop_token>
#include <string>

#include "schema/model/granting.hpp"
#include "schema/store/store.hpp"

namespace rosterd {

namespace postgres {
class Pool;
class TenantNumbers;
}  // namespace postgres

struct StoreOptions {
  std::string url;        ///< of the role rosterd works with: neither owner nor superuser nor BYPASSRLS, or open() refuses
  std::string owner_url;  ///< of the role that owns the tables, for migrating; empty = the schema is only verified
  std::size_t pool_size = 8;
  Millis connect_timeout{5'000};
  Millis statement_timeout{30'000};  ///< for ordinary statements; a stage's may take longer
  Millis lock_timeout{20'000};
  /// Says what a change may give away (R75); without one nobody but rosterd itself and super admins can give anything.
  GrantJudge judge = {};
};

class PostgresStore final : public Store {
 public:
  /// Connects, migrates, checks the role. Unavailable when the server cannot be reached; Refused when schema or role will not do; Stopped
  /// when `stop` is requested meanwhile, which also ends a migration in progress (it is rolled back).
  [[nodiscard]] static Result<std::unique_ptr<Store>> open(const StoreOptions& options, const std::stop_token& stop = {});
  PostgresStore(std::shared_ptr<postgres::Pool> pool, std::shared_ptr<postgres::Pool> leases, std::shared_ptr<postgres::Pool> snapshots,
                GrantJudge judge, std::string listen_on);
  ~PostgresStore() override;

  void limit_calls(Millis longest) override;

  // accounts.cpp
  Result<void> ping() override;
  Result<bool> setup_done() override;
  Result<Account> create_account(const NewAccount& account, const Actor& actor) override;
  Result<Account> account(std::string_view key) override;
  Result<Page<Account>> accounts(const PageRequest& page) override;
  Result<AccountChange> change_account(AccountId id, AccountPart part, const Edit<Account>& edit, const Actor& actor) override;
  Result<AccountChange> delete_account(AccountId id, const Condition<Account>& only_if, const Actor& actor) override;
  Result<AccountChange> set_super_admin(AccountId id, bool granted, const Actor& actor) override;
  Result<SuperAdminsSet> set_super_admins(const std::vector<std::string>& emails, const Actor& actor) override;

  // tokens.cpp
  Result<Account> set_up(const NewAccount& account, const NewToken& token, const Actor& actor) override;
  Result<TokenInfo> create_token(AccountId account, const NewToken& token, const Actor& actor) override;
  Result<std::vector<TokenInfo>> tokens(AccountId account) override;
  Result<void> revoke_token(AccountId account, std::string_view token_id, const Actor& actor) override;
  Result<std::optional<Caller>> find_caller(std::string_view token_hash) override;

  // sessions.cpp
  Result<SignInAttempt> begin_attempt(std::string_view email, const Lockout& lockout) override;
  Result<void> fail_attempt(std::string_view email, const Lockout& lockout, const Actor& actor) override;
  Result<SessionInfo> sign_in(const SignInAttempt& judged, const NewSession& session, const std::optional<std::string>& better_hash,
                              const Actor& actor) override;
  Result<std::optional<Caller>> find_session(std::string_view session_hash) override;
  Result<void> end_session(SessionId session, const Actor& actor) override;
  Result<void> change_password(AccountId id, const std::string& password_hash, std::optional<SessionId> kept, const Actor& actor) override;
  Result<Account> reset_password(AccountId id, const std::string& password_hash, const Actor& actor) override;
  Result<Account> unlock(AccountId id, const Actor& actor) override;

  // invitations.cpp
  Result<Page<Invitation>> invitations(const TenantId& tenant, const PageRequest& page) override;
  Result<Invitation> invitation(const TenantId& tenant, std::string_view id) override;
  Result<Written<Invitation>> invite(const TenantId& tenant, const NewInvitation& made, const Actor& actor) override;
  Result<Revision> delete_invitation(const TenantId& tenant, std::string_view id, const Actor& actor) override;
  Result<std::string> invited_email(std::string_view hash) override;
  Result<AcceptedInvitation> accept_invitation(std::string_view hash, const Accepting& who, const Actor& actor) override;

  // tenants.cpp
  Result<Page<Tenant>> tenants(const PageRequest& page, std::optional<AccountId> only_linked) override;
  Result<Tenant> tenant(const TenantId& tenant) override;
  Result<Written<Tenant>> create_tenant(const NewTenant& tenant, const Actor& actor) override;
  Result<Written<Tenant>> change_tenant(const TenantId& tenant, const TenantPatch& patch, const Actor& actor) override;
  Result<void> delete_tenant(const TenantId& tenant, const Actor& actor) override;
  Result<std::optional<PrincipalId>> linked_user(const TenantId& tenant, AccountId account) override;
  Result<std::vector<TenantRevision>> revisions() override;

  // sources.cpp
  Result<std::vector<Source>> sources(const TenantId& tenant) override;
  Result<Source> source(const TenantId& tenant, std::string_view key) override;
  Result<Written<Source>> create_source(const TenantId& tenant, const NewSource& source, const Actor& actor) override;
  Result<Written<Source>> change_source(const TenantId& tenant, SourceId id, const NewSource& source, std::uint64_t if_version,
                                        const Actor& actor) override;
  Result<Revision> delete_source(const TenantId& tenant, SourceId id, Force force, const Actor& actor) override;
  Result<std::vector<SourceStatus>> status(const TenantId& tenant) override;
  Result<SourceState> source_state(const TenantId& tenant, SourceId id) override;

  // runs.cpp
  Result<Run> request_run(const TenantId& tenant, SourceId source, RunMode mode, bool dry_run, const Actor& actor) override;
  Result<Page<Run>> runs(const TenantId& tenant, std::optional<SourceId> source, const PageRequest& page) override;
  Result<Run> run(const TenantId& tenant, RunId run) override;
  Result<Run> approve_run(const TenantId& tenant, RunId run, std::string_view plan_hash, const Actor& actor) override;
  Result<Run> discard_run(const TenantId& tenant, RunId run, const Actor& actor) override;
  Result<void> load_plan(const TenantId& tenant, RunId run, const std::function<Result<void>(const StoredChange&)>& use) override;

  // changes.cpp
  Result<Page<Change>> changes(const TenantId& tenant, RunId run, const PageRequest& page) override;
  Result<std::string> held_changes(const TenantId& tenant, RunId run) override;

  // audit.cpp
  Result<Page<AuditEntry>> audit(const std::optional<TenantId>& tenant, const AuditFilter& filter, const PageRequest& page) override;

  // work.cpp
  Result<std::optional<Work>> claim(std::string_view holder, Millis lease_for, TimePoint now) override;
  Result<void> heartbeat(const Lease& lease, Millis lease_for, std::string_view progress) override;
  Result<void> finish(const Lease& lease, const RunEnd& end) override;
  Result<std::uint64_t> sweep(TimePoint now) override;
  Result<Forgotten> forget_history(TimePoint older_than, std::uint32_t how_many) override;
  Result<std::vector<SourceAge>> source_ages() override;

  // held.cpp
  Result<void> load_held(const TenantId& tenant, SourceId source, TimePoint purge_before, HeldSink& sink) override;
  Result<std::vector<HeldEntry>> held_entries(const TenantId& tenant, SourceId source, PrincipalType type,
                                              std::span<const PrincipalId> ids) override;
  Result<void> each_held_entry(const TenantId& tenant, SourceId source, PrincipalType type,
                               const std::function<void(PrincipalId, std::string_view entry)>& use) override;
  Result<RecentLeaving> recent_leaving(const TenantId& tenant, SourceId source, TimePoint since) override;
  Result<std::uint64_t> reserve_principal_ids(std::uint64_t count) override;

  // stage.cpp
  Result<std::unique_ptr<Stage>> begin_stage(const Lease& lease, const StageOptions& options) override;

  // authorization.cpp
  Result<void> load_authorization(const TenantId& tenant, AuthorizationSink& sink) override;

  // authorization_changes.cpp
  Result<std::optional<AuthorizationChanges>> authorization_changes(const TenantId& tenant, const Revision& since) override;

  // listener.cpp
  void follow_revisions(const std::stop_token& stop, const std::function<void(const TenantRevision*)>& heard) override;

  // reads.cpp
  Result<Page<User>> users(const TenantId& tenant, const PageRequest& page) override;
  Result<User> user(const TenantId& tenant, std::string_view key) override;
  Result<std::vector<Group>> groups_of(const TenantId& tenant, const Principal& principal) override;
  Result<Page<Group>> groups(const TenantId& tenant, const PageRequest& page) override;
  Result<Group> group(const TenantId& tenant, std::string_view key) override;
  Result<Page<Member>> members(const TenantId& tenant, PrincipalId group, const PageRequest& page) override;
  Result<std::vector<EdgeOrigin>> edge_origins(const TenantId& tenant, std::span<const std::pair<PrincipalId, PrincipalId>> edges) override;
  Result<std::vector<Role>> roles(const TenantId& tenant) override;
  Result<std::vector<Binding>> bindings(const TenantId& tenant) override;

  // users.cpp
  Result<Written<User>> create_user(const TenantId& tenant, const UserRecord& user, const Actor& actor) override;
  Result<Written<User>> create_user_of(const TenantId& tenant, std::string_view account, const Actor& actor) override;
  Result<Written<User>> change_user(const TenantId& tenant, PrincipalId user, const Edit<User>& edit, bool force,
                                    const Actor& actor) override;
  Result<Revision> delete_user(const TenantId& tenant, PrincipalId user, const Condition<User>& only_if, bool force,
                               const Actor& actor) override;
  Result<Written<User>> link_account(const TenantId& tenant, PrincipalId user, std::string_view account, const Actor& actor) override;
  Result<Revision> unlink_account(const TenantId& tenant, PrincipalId user, const Actor& actor) override;

  // issuers.cpp
  Result<std::vector<IssuerSource>> issuer_sources(std::string_view issuer) override;
  Result<std::vector<IssuerUser>> issuer_users(std::span<const AskedSubject> asked) override;
  Result<MadeIssuerUser> create_issuer_user(const TenantId& tenant, const NewIssuerUser& made, const Actor& actor) override;
  Result<RefreshedMemberships> refresh_memberships(const TenantId& tenant, SourceId source, PrincipalId user, const ClaimedGroups& groups,
                                                   const Actor& actor) override;
  Result<SessionInfo> begin_user_session(const TenantId& tenant, SourceId source, PrincipalId user, const NewSession& session,
                                         const Actor& actor) override;
  Result<void> end_user_session(const TenantId& tenant, SessionId session, const Actor& actor) override;
  Result<Written<User>> link_by_sign_in(const TenantId& tenant, SourceId source, PrincipalId user, AccountId account,
                                        const Actor& actor) override;
  Result<std::optional<Account>> account_of_identity(std::string_view issuer, std::string_view subject) override;
  Result<std::optional<std::string>> identity_of(AccountId account, std::string_view issuer) override;
  Result<void> set_identity(AccountId account, std::string_view issuer, const std::optional<std::string>& subject,
                            const Actor& actor) override;
  Result<Account> create_account_of_identity(const NewAccount& account, std::string_view issuer, std::string_view subject,
                                             const Actor& actor) override;
  Result<SessionInfo> begin_identity_session(AccountId account, std::string_view issuer, std::string_view subject,
                                             const NewSession& session, const Actor& actor) override;

  // managed_roles.cpp
  Result<RenewedRoles> renew_managed_roles(const ManagedRoles& wanted) override;

  // groups.cpp
  Result<Written<Group>> create_group(const TenantId& tenant, const NewGroup& group, const Actor& actor) override;
  Result<Written<Group>> change_group(const TenantId& tenant, PrincipalId group, const Edit<Group>& edit, const Actor& actor) override;
  Result<Revision> delete_group(const TenantId& tenant, PrincipalId group, const Condition<Group>& only_if, bool force,
                                const Actor& actor) override;
  Result<Written<bool>> add_member(const TenantId& tenant, PrincipalId group, const Principal& member, const Actor& actor) override;
  Result<Revision> remove_member(const TenantId& tenant, PrincipalId group, const Principal& member, bool force,
                                 const Actor& actor) override;
  Result<std::vector<Principal>> local_members(const TenantId& tenant, PrincipalId group) override;
  Result<Revision> replace_members(const TenantId& tenant, PrincipalId group, std::vector<Principal> members,
                                   const Condition<std::vector<Principal>>& only_if, bool force, const Actor& actor) override;

  // service_accounts.cpp
  Result<Page<ServiceAccount>> service_accounts(const TenantId& tenant, const PageRequest& page) override;
  Result<ServiceAccount> service_account(const TenantId& tenant, std::string_view key) override;
  Result<Written<ServiceAccount>> create_service_account(const TenantId& tenant, const NewServiceAccount& made,
                                                         const Actor& actor) override;
  Result<Written<ServiceAccount>> change_service_account(const TenantId& tenant, PrincipalId id, const Edit<ServiceAccount>& edit,
                                                         bool force, const Actor& actor) override;
  Result<Revision> delete_service_account(const TenantId& tenant, PrincipalId id, const Condition<ServiceAccount>& only_if, bool force,
                                          const Actor& actor) override;
  Result<std::vector<TokenInfo>> service_tokens(const TenantId& tenant, PrincipalId id) override;
  Result<TokenInfo> create_service_token(const TenantId& tenant, PrincipalId id, const NewToken& token, const Actor& actor) override;
  Result<void> revoke_service_token(const TenantId& tenant, PrincipalId id, std::string_view token, const Actor& actor) override;

  // roles.cpp
  Result<Role> role(const TenantId& tenant, std::string_view key) override;
  Result<Written<Role>> create_role(const TenantId& tenant, const Role& role, const Actor& actor) override;
  Result<Written<Role>> change_role(const TenantId& tenant, RoleId role, const Edit<Role>& edit, const Actor& actor) override;
  Result<RoleGone> delete_role(const TenantId& tenant, RoleId role, const Condition<Role>& only_if, bool force,
                               const Actor& actor) override;

  // bindings.cpp
  Result<Page<ListedBinding>> list_bindings(const TenantId& tenant, const BindingFilter& filter, const PageRequest& page) override;
  Result<ListedBinding> binding(const TenantId& tenant, std::string_view id) override;
  Result<Written<std::vector<Binding>>> create_bindings(const TenantId& tenant, const std::vector<NewBinding>& made,
                                                        const Actor& actor) override;
  Result<Revision> delete_binding(const TenantId& tenant, BindingId binding, bool force, const Actor& actor) override;
  Result<SweptBindings> sweep_bindings(TimePoint now, std::uint32_t how_many) override;

  // scim_tokens.cpp
  Result<std::optional<Pusher>> find_pusher(std::string_view token_hash) override;
  Result<std::vector<TokenInfo>> source_tokens(const TenantId& tenant, SourceId source) override;
  Result<TokenInfo> create_source_token(const TenantId& tenant, SourceId source, const NewToken& token, const Actor& actor) override;
  Result<void> revoke_source_token(const TenantId& tenant, SourceId source, std::string_view token, const Actor& actor) override;

  // scim_push.cpp
  Result<std::vector<Result<PushAnswer>>> push(const TenantId& tenant, SourceId source, std::span<const Push> requests,
                                               const PushRules& rules) override;
  Result<Revision> remap_pushed(const TenantId& tenant, SourceId source, const PushRules& rules, const Actor& actor) override;

  // scim_reads.cpp
  Result<std::vector<Pushed>> pushed(const TenantId& tenant, SourceId source, const PushedQuery& query) override;
  Result<std::uint64_t> count_pushed(const TenantId& tenant, SourceId source, PrincipalType type) override;
  Result<std::vector<PushedMember>> pushed_members(const TenantId& tenant, SourceId source, std::span<const PrincipalId> groups) override;

 private:
  std::shared_ptr<postgres::Pool> pool_;  // stages give their connection back to it, and may outlive the store by a moment
  // What requests must not keep waiting, however many of them wait for a tenant themselves: heartbeats, and what checks are answered from.
  std::shared_ptr<postgres::Pool> leases_, snapshots_;
  const std::unique_ptr<postgres::TenantNumbers> numbers_;  // for pushes and snapshots
  const GrantJudge judge_;
  const std::string listen_on_;  // connection string of the line on which revisions are heard
};

}  // namespace rosterd
