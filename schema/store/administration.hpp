#pragma once
// What people and applications change in a tenant: the local half of the store's door. Every verb is one transaction that checks the
// state it finds, judges what would be given away (rbac.md §10), keeps an Admin (R89), moves the revision and writes the audit row.
// `key` is an id text, or a name folded by the store. Common errors: NotFound; Conflict "name_taken", "owned_by_source", "last_admin";
// Forbidden "escalation".

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "schema/core/clock.hpp"
#include "schema/core/result.hpp"
#include "schema/model/access.hpp"
#include "schema/model/ids.hpp"
#include "schema/model/records.hpp"

namespace rosterd {

/// One page of a list. `next` is opaque; empty = the end.
template <class T>
struct Page {
  std::vector<T> items;
  std::string next;
};
struct PageRequest {
  std::uint32_t limit = 100;  ///< 1..1000
  std::string cursor;         ///< `next` of the page before; empty = from the start
  std::string query;          ///< ?q=: prefix of the folded name (or e-mail); empty = all
};

/// Who did it, for the audit log, and in whose right: nobody can grant what he does not hold (R75). An actor without account, service
/// account and user is rosterd itself, which may; so may super admins.
struct Actor {
  AccountId account;  ///< 0 for rosterd itself and for service accounts
  std::string by;     ///< "token tok_…", "run run_…", "setup"
  std::string ip;
  std::string request_id;
  std::optional<PrincipalId> service_account = {};  ///< in its tenant
  std::optional<PrincipalId> user = {};             ///< in his tenant, when he has no account
};

/// An answer of a mutation with the revision it led to.
template <class T>
struct Written {
  T value;
  Revision revision;
};

/// Makes of an object, as it is now, what it shall be; asked inside the writing transaction, so that what it looked at is what is replaced.
/// Its error is the verb's: "stale_version" where the caller had seen another version (R20).
template <class T>
using Edit = std::function<Result<T>(const T& now)>;
/// Whether the object, as it is now, is the one the caller means. Empty = whatever it is.
template <class T>
using Condition = std::function<Result<void>(const T& now)>;

struct NewToken {
  std::string name;
  std::string hash;  ///< raw bytes, as presented to find_caller
  std::string last4;
  std::optional<TimePoint> expires_at;
  std::string description = {};
  std::optional<Millis> max_age = {};  ///< with sliding: how far every use moves expires_at (R57)
  bool sliding = false;
};
struct NewGroup {
  std::string name;
  std::string description = {};
};
struct NewServiceAccount {
  std::string name;
  std::string description = {};
};
struct NewBinding {
  RoleId role;
  Principal principal;
  std::optional<std::string> ns;
  std::optional<TimePoint> expires_at;
};
/// Which bindings a list holds; what is not given does not narrow it.
struct BindingFilter {
  std::optional<RoleId> role = {};
  std::optional<PrincipalId> principal = {};
  std::optional<std::string> ns = {};  ///< exactly this one; "" = the tenant-wide ones
};
/// A binding as a list shows it.
struct ListedBinding {
  Binding binding;
  std::string role_name;
  std::string principal_name;  ///< username or name
  bool expired = false;
};
/// What deleting a role took with it.
struct RoleGone {
  Revision revision;
  std::uint64_t bindings = 0;
};

class Administration {
 public:
  virtual ~Administration() = default;

  // users. `force`: also when no active Admin is left, for super admins alone (R89).
  [[nodiscard]] virtual Result<Written<User>> create_user(const TenantId& tenant, const UserRecord& user, const Actor& actor) = 0;
  /// From an account, by id text or e-mail, and linked to it (R5). InvalidInput "unknown_account"; Conflict "already_linked".
  [[nodiscard]] virtual Result<Written<User>> create_user_of(const TenantId& tenant, std::string_view account, const Actor& actor) = 0;
  /// Attributes of local users only (R47, R92); `admin_suspended` of all (R8).
  [[nodiscard]] virtual Result<Written<User>> change_user(const TenantId& tenant, PrincipalId user, const Edit<User>& edit, bool force,
                                                          const Actor& actor) = 0;
  /// A local one, with its edges, bindings and link (R91).
  [[nodiscard]] virtual Result<Revision> delete_user(const TenantId& tenant, PrincipalId user, const Condition<User>& only_if, bool force,
                                                     const Actor& actor) = 0;
  /// R5, R79: what the user holds is given to the account's owner.
  [[nodiscard]] virtual Result<Written<User>> link_account(const TenantId& tenant, PrincipalId user, std::string_view account,
                                                           const Actor& actor) = 0;
  [[nodiscard]] virtual Result<Revision> unlink_account(const TenantId& tenant, PrincipalId user, const Actor& actor) = 0;
  [[nodiscard]] Result<Revision> set_user_suspended(const TenantId& tenant, PrincipalId user, bool suspended, const Actor& actor);

  // groups
  [[nodiscard]] virtual Result<Written<Group>> create_group(const TenantId& tenant, const NewGroup& group, const Actor& actor) = 0;
  /// Name and description of a local one.
  [[nodiscard]] virtual Result<Written<Group>> change_group(const TenantId& tenant, PrincipalId group, const Edit<Group>& edit,
                                                            const Actor& actor) = 0;
  /// A local one, with its edges and the bindings it had; users and service accounts stay (R48).
  [[nodiscard]] virtual Result<Revision> delete_group(const TenantId& tenant, PrincipalId group, const Condition<Group>& only_if,
                                                      bool force, const Actor& actor) = 0;
  /// Idempotent (R46): tells whether the local edge is new.
  [[nodiscard]] virtual Result<Written<bool>> add_member(const TenantId& tenant, PrincipalId group, const Principal& member,
                                                         const Actor& actor) = 0;
  /// Idempotent. Conflict "owned_by_source" when only a source's edge is there.
  [[nodiscard]] virtual Result<Revision> remove_member(const TenantId& tenant, PrincipalId group, const Principal& member, bool force,
                                                       const Actor& actor) = 0;
  /// The local members, by id; what If-Match is about.
  [[nodiscard]] virtual Result<std::vector<Principal>> local_members(const TenantId& tenant, PrincipalId group) = 0;
  /// The whole list of local edges at once; those of sources stay (R46). `only_if` sees the local members, by id.
  [[nodiscard]] virtual Result<Revision> replace_members(const TenantId& tenant, PrincipalId group, std::vector<Principal> members,
                                                         const Condition<std::vector<Principal>>& only_if, bool force,
                                                         const Actor& actor) = 0;

  // service accounts
  [[nodiscard]] virtual Result<Page<ServiceAccount>> service_accounts(const TenantId& tenant, const PageRequest& page) = 0;
  [[nodiscard]] virtual Result<ServiceAccount> service_account(const TenantId& tenant, std::string_view key) = 0;
  [[nodiscard]] virtual Result<Written<ServiceAccount>> create_service_account(const TenantId& tenant, const NewServiceAccount& made,
                                                                               const Actor& actor) = 0;
  [[nodiscard]] virtual Result<Written<ServiceAccount>> change_service_account(const TenantId& tenant, PrincipalId id,
                                                                               const Edit<ServiceAccount>& edit, bool force,
                                                                               const Actor& actor) = 0;
  [[nodiscard]] virtual Result<Revision> delete_service_account(const TenantId& tenant, PrincipalId id,
                                                                const Condition<ServiceAccount>& only_if, bool force,
                                                                const Actor& actor) = 0;
  [[nodiscard]] virtual Result<std::vector<TokenInfo>> service_tokens(const TenantId& tenant, PrincipalId id) = 0;
  /// R79: whoever makes a token of it holds what it holds.
  [[nodiscard]] virtual Result<TokenInfo> create_service_token(const TenantId& tenant, PrincipalId id, const NewToken& token,
                                                               const Actor& actor) = 0;
  [[nodiscard]] virtual Result<void> revoke_service_token(const TenantId& tenant, PrincipalId id, std::string_view token,
                                                          const Actor& actor) = 0;

  // roles. Contents are canonical JSON that the catalogue has checked (R19).
  [[nodiscard]] virtual Result<Role> role(const TenantId& tenant, std::string_view key) = 0;
  [[nodiscard]] virtual Result<Written<Role>> create_role(const TenantId& tenant, const Role& role, const Actor& actor) = 0;
  /// Conflict "managed_role" for those of the release (R21). The pairs that come in are judged wherever the role is bound (R77).
  [[nodiscard]] virtual Result<Written<Role>> change_role(const TenantId& tenant, RoleId role, const Edit<Role>& edit,
                                                          const Actor& actor) = 0;
  /// Conflict "role_in_use" with the number of live bindings, unless they may go with it (R24).
  [[nodiscard]] virtual Result<RoleGone> delete_role(const TenantId& tenant, RoleId role, const Condition<Role>& only_if, bool force,
                                                     const Actor& actor) = 0;

  // bindings: immutable (R39)
  [[nodiscard]] virtual Result<std::vector<Binding>> bindings(const TenantId& tenant) = 0;
  [[nodiscard]] virtual Result<Page<ListedBinding>> list_bindings(const TenantId& tenant, const BindingFilter& filter,
                                                                  const PageRequest& page) = 0;
  [[nodiscard]] virtual Result<ListedBinding> binding(const TenantId& tenant, std::string_view id) = 0;
  /// All or none (R32). An error about one of several names its position.
  [[nodiscard]] virtual Result<Written<std::vector<Binding>>> create_bindings(const TenantId& tenant, const std::vector<NewBinding>& made,
                                                                              const Actor& actor) = 0;
  [[nodiscard]] Result<Written<Binding>> create_binding(const TenantId& tenant, const NewBinding& binding, const Actor& actor);
  [[nodiscard]] virtual Result<Revision> delete_binding(const TenantId& tenant, BindingId binding, bool force, const Actor& actor) = 0;
};

inline Result<Revision> Administration::set_user_suspended(const TenantId& tenant, PrincipalId user, bool suspended, const Actor& actor) {
  const auto edit = [&](const User& now) -> Result<User> {
    auto next = now;
    next.admin_suspended = suspended;
    return next;
  };
  return change_user(tenant, user, edit, false, actor).map([](const Written<User>& done) { return done.revision; });
}

inline Result<Written<Binding>> Administration::create_binding(const TenantId& tenant, const NewBinding& binding, const Actor& actor) {
  return create_bindings(tenant, {binding}, actor).map([](const Written<std::vector<Binding>>& made) {
    return Written<Binding>{.value = made.value.front(), .revision = made.revision};
  });
}

}  // namespace rosterd
