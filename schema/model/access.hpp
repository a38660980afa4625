#pragma once
// The nouns of access: tenant, account, user, group, role, binding, token; and the rows a snapshot is compiled from.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "schema/core/clock.hpp"
#include "schema/model/ids.hpp"
#include "schema/model/sync.hpp"

namespace rosterd {

struct Tenant {
  TenantId id;
  std::string name;
  bool enabled = true;
  TimePoint created_at{};
  std::string created_by;  ///< account id text
  Revision revision;
};

struct Account {
  AccountId id;
  std::string email;  ///< folded, unique
  std::string first_name;
  std::string last_name;
  bool enabled = true;
  bool super_admin = false;
  TimePoint created_at{};
  bool has_password = false;
  bool must_change_password = false;      ///< a super admin has set it (R66)
  std::optional<TimePoint> locked_until;  ///< password sign-in, while it is locked (R63)
  std::string preferences = "{}";         ///< JSON object (R95)
};

/// An application that asks, in the one tenant it belongs to.
struct CallingService {
  TenantId tenant;
  PrincipalId id;
  std::string name;
};

/// A person who signed in.
struct CallingSession {
  SessionId id;
  TimePoint ends_at{};
};

/// A person whom a tenant's own issuer vouches for: somebody in that tenant alone, linked to an account or not.
struct CallingUser {
  TenantId tenant;
  PrincipalId id;    ///< 0: unknown to the source so far, and made by the first request to the tenant (R91)
  std::string name;  ///< username
  SourceId source;
};

/// Who is asking, found by a token or a session.
struct Caller {
  Account account;                             ///< id 0 when a service account or a user without one asks
  std::optional<CallingService> service = {};  ///< with a service account's token
  std::vector<CallingUser> users = {};  ///< by a tenant's issuer; in several tenants where they share it, each with a rule of its own
  std::optional<CallingSession> session = {};  ///< signed in; then there is no token
  TokenId token;                               ///< 0 when an issuer's token was shown
  std::string token_name;
  std::string issuer = {};                   ///< of that token
  std::optional<TimePoint> expires_at = {};  ///< of that token
};

struct TokenInfo {
  TokenId id;
  std::string name;
  std::string description;
  std::string last4;
  TimePoint created_at{};
  std::optional<TimePoint> expires_at;
  std::optional<TimePoint> last_used_at;
  bool sliding = false;  ///< every use moves expires_at on (R57)
};

struct ServiceAccount {
  PrincipalId id;
  std::string name;
  std::string description;
  bool enabled = true;
  TimePoint created_at{};
};

struct User {
  PrincipalId id;
  std::string username;
  std::optional<std::string> email;
  std::string first_name;
  std::string last_name;
  bool admin_suspended = false;
  Leaving source_suspended = Leaving::None;
  std::string state_reason;        ///< in words
  std::optional<SourceId> source;  ///< none = local
  std::string external_id;
  std::string entry;
  std::optional<AccountId> account;
  TimePoint created_at{};
  std::optional<TimePoint> suspended_at;
  [[nodiscard]] bool active() const { return !admin_suspended && source_suspended == Leaving::None; }
};

struct Group {
  PrincipalId id;
  std::string name;
  std::string source_name;  ///< as the directory writes it; empty for a local group
  std::string description;
  Leaving source_suspended = Leaving::None;
  std::optional<SourceId> source;
  std::string external_id;
  std::string entry;
  std::uint64_t member_count = 0;
  TimePoint created_at{};
};

struct Member {
  Principal principal;
  std::string name;
  bool active = true;
  std::optional<SourceId> source;  ///< origin of the edge; none = local
};

/// Where a membership edge comes from, for explanations.
struct EdgeOrigin {
  PrincipalId group;
  Principal member;
  std::optional<SourceId> source;
  std::string source_name;
  std::string entry;         ///< the group's entry in that source
  std::optional<RunId> run;  ///< the run that brought it
  TimePoint since{};
};

struct Role {
  RoleId id;
  std::string name;
  std::string description;
  bool managed = false;
  bool admin = false;       ///< every pair, present and future
  std::string permissions;  ///< JSON object text {"FLOW":["READ"]}; empty for Admin
};

struct Binding {
  BindingId id;
  RoleId role;
  Principal principal;
  std::optional<std::string> ns;  ///< none = tenant-wide
  std::optional<TimePoint> expires_at;
  std::optional<SourceId> source;  ///< none = local, else the source whose role mapping made it
  TimePoint created_at{};
  std::string created_by;
};

/// Receives the rows one snapshot is compiled from, all of one revision. Order of calls: begin, then users, groups and service
/// accounts, then edges, roles, bindings. Views live only during the call.
class AuthorizationSink {
 public:
  virtual ~AuthorizationSink() = default;
  /// `users` and `edges` are exact counts, so that tables are made once at their size.
  virtual void begin(const Revision& revision, bool tenant_enabled, std::uint64_t users, std::uint64_t groups, std::uint64_t edges) = 0;
  /// `super_admin`: linked to an enabled account with the flag.
  virtual void user(PrincipalId id, std::string_view username, std::string_view email, bool active, bool super_admin) = 0;
  virtual void group(PrincipalId id, std::string_view folded_name, std::string_view name, bool active) = 0;
  virtual void service_account(PrincipalId id, std::string_view name, bool enabled) = 0;
  virtual void edge(PrincipalId group, PrincipalId member) = 0;
  virtual void role(const Role& role) = 0;
  virtual void binding(const Binding& binding) = 0;
};

/// What changed in a tenant from one revision to another: whom and what it touched, with the rows as they are at `to`, all of one moment.
/// What was touched and has no row is gone: with a principal its memberships and bindings, with a role its bindings.
struct AuthorizationChanges {
  struct User {
    PrincipalId id;
    std::string username, email;
    bool active = true, super_admin = false;
  };
  struct Group {
    PrincipalId id;
    std::string folded_name, name;
    bool active = true;
  };
  struct ServiceAccount {
    PrincipalId id;
    std::string name;
    bool enabled = true;
  };
  struct Edge {
    PrincipalId group, member;
    bool there = true;  ///< a membership now, from whichever source
  };

  Revision from, to;
  bool tenant_enabled = true;
  std::vector<PrincipalId> principals;  ///< touched; each once
  std::vector<User> users;
  std::vector<Group> groups;
  std::vector<ServiceAccount> service_accounts;
  std::vector<Edge> edges;            ///< touched; each once
  std::vector<RoleId> touched_roles;  ///< each once
  std::vector<Role> roles;
  std::vector<PrincipalId> holders;  ///< whose bindings were touched, all of `principals` among them; each once
  std::vector<Binding> bindings;     ///< all bindings of the holders
  // How many the tenant has in all, where counting them is cheap.
  std::optional<std::uint64_t> role_count, binding_count;
};

}  // namespace rosterd
