#pragma once
// People at instance level: their accounts, how they sign in, who of them is super admin, and how they are invited into a tenant. Hashes
// go in, never passwords or secrets. Every verb is one transaction that also writes the audit row. Common errors: NotFound; Conflict
// "name_taken", "last_super_admin" (R72).

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "schema/store/administration.hpp"

namespace rosterd {

struct NewAccount {
  std::string email;
  std::string first_name;
  std::string last_name;
  bool super_admin = false;
  std::optional<std::string> password_hash = {};  ///< a PHC string (R61)
  bool must_change_password = false;              ///< somebody else has chosen it (R66)
};

/// When password sign-in locks (R63).
struct Lockout {
  std::uint32_t attempts = 10;
  Millis window{5 * 60'000};
  Millis lock{30 * 60'000};
  std::uint32_t most_remembered = 100'000;  ///< e-mails, whether or not there is such an account; the oldest go first
};
/// What a password is judged against.
struct SignInAttempt {
  std::optional<Account> account;    ///< none: nobody enabled has that e-mail
  std::string password_hash;         ///< empty: that account has none
  std::optional<Millis> locked_for;  ///< set: not to be judged at all
};
struct NewSession {
  std::string hash;  ///< raw bytes, as presented to find_session
  Millis lifetime{12 * 3'600'000};
  Millis idle{3'600'000};  ///< counted from its last use, which is noted at most once a minute
};
struct SessionInfo {
  SessionId id;
  TimePoint created_at{};
  TimePoint ends_at{};
  TimePoint idle_until{};
};

/// Which half of an account a change may touch: `Standing` (enabled) waits for the tenants it is linked in, a profile for nobody.
enum class AccountPart { Profile, Standing };
/// What became of an account, and which tenants have moved on because a check there may answer differently.
struct AccountChange {
  Account account;
  std::vector<TenantId> moved;
};
/// What the configured list of super admins has changed (R69).
struct SuperAdminsSet {
  std::vector<std::string> granted, revoked;
  std::vector<std::string> unknown;  ///< no enabled account has that e-mail
};

struct InvitedRole {
  RoleId role;
  std::optional<std::string> ns;
};
struct NewInvitation {
  std::string email;
  std::vector<InvitedRole> roles;
  std::vector<PrincipalId> groups;
  std::optional<TimePoint> expires_at;  ///< none = in 7 days
  std::string hash;                     ///< of the link's secret
};
enum class InvitationState { Pending, Accepted, Expired };
struct Invitation {
  InvitationId id;
  std::string email;
  std::vector<InvitedRole> roles;
  std::vector<PrincipalId> groups;
  InvitationState state = InvitationState::Pending;
  TimePoint created_at{};
  std::string created_by;  ///< id text
  TimePoint expires_at{};
  std::optional<TimePoint> accepted_at;
};
/// Who accepts: an account that is signed in, or one to be made with the invitation's e-mail.
using Accepting = std::variant<AccountId, NewAccount>;
struct AcceptedInvitation {
  TenantId tenant;
  User user;
  Account account;
  Revision revision;
};

class Accounts {
 public:
  virtual ~Accounts() = default;

  [[nodiscard]] virtual Result<bool> setup_done() = 0;
  /// First account, a super admin, with its first token. Conflict "setup_done" when any account exists.
  [[nodiscard]] virtual Result<Account> set_up(const NewAccount& account, const NewToken& token, const Actor& actor) = 0;

  [[nodiscard]] virtual Result<Account> create_account(const NewAccount& account, const Actor& actor) = 0;
  /// By id text ("acc_…") or e-mail.
  [[nodiscard]] virtual Result<Account> account(std::string_view key) = 0;
  [[nodiscard]] virtual Result<Page<Account>> accounts(const PageRequest& page) = 0;
  /// Disabling ends its sessions and tokens and its super admin right (R10).
  [[nodiscard]] virtual Result<AccountChange> change_account(AccountId id, AccountPart part, const Edit<Account>& edit,
                                                             const Actor& actor) = 0;
  /// Users linked to it stay, without the link. Forbidden for the author himself (R73).
  [[nodiscard]] virtual Result<AccountChange> delete_account(AccountId id, const Condition<Account>& only_if, const Actor& actor) = 0;
  [[nodiscard]] virtual Result<AccountChange> set_super_admin(AccountId id, bool granted, const Actor& actor) = 0;
  /// Exactly these, by e-mail; Refused when that would leave none who is enabled (R69).
  [[nodiscard]] virtual Result<SuperAdminsSet> set_super_admins(const std::vector<std::string>& emails, const Actor& actor) = 0;

  // tokens of accounts
  [[nodiscard]] virtual Result<TokenInfo> create_token(AccountId account, const NewToken& token, const Actor& actor) = 0;
  [[nodiscard]] virtual Result<std::vector<TokenInfo>> tokens(AccountId account) = 0;
  [[nodiscard]] virtual Result<void> revoke_token(AccountId account, std::string_view token_id, const Actor& actor) = 0;
  /// The owner of a live token (not expired or revoked, account enabled); none otherwise. Notes "last used" at most once a minute.
  [[nodiscard]] virtual Result<std::optional<Caller>> find_caller(std::string_view token_hash) = 0;

  // signing in
  /// Counts an attempt before it is judged, so that many at once cannot outrun the lock (R63). Takes as long for an e-mail that nobody has.
  [[nodiscard]] virtual Result<SignInAttempt> begin_attempt(std::string_view email, const Lockout& lockout) = 0;
  /// The password was wrong: locks when it was one too many (R63, R64).
  [[nodiscard]] virtual Result<void> fail_attempt(std::string_view email, const Lockout& lockout, const Actor& actor) = 0;
  /// The password was right: forgets the attempts and begins a session, unless what was judged is not the password any more
  /// (Unauthorized). `better_hash`: the same password at today's cost (R61).
  [[nodiscard]] virtual Result<SessionInfo> sign_in(const SignInAttempt& judged, const NewSession& session,
                                                    const std::optional<std::string>& better_hash, const Actor& actor) = 0;
  /// The owner of a live session, as find_caller.
  [[nodiscard]] virtual Result<std::optional<Caller>> find_session(std::string_view session_hash) = 0;
  [[nodiscard]] virtual Result<void> end_session(SessionId session, const Actor& actor) = 0;
  /// By its owner: ends his other sessions, not his tokens (R65), and forgets the attempts.
  [[nodiscard]] virtual Result<void> change_password(AccountId id, const std::string& password_hash, std::optional<SessionId> kept,
                                                     const Actor& actor) = 0;
  /// By a super admin: ends all sessions, unlocks, and has it changed at the next sign-in (R66).
  [[nodiscard]] virtual Result<Account> reset_password(AccountId id, const std::string& password_hash, const Actor& actor) = 0;
  [[nodiscard]] virtual Result<Account> unlock(AccountId id, const Actor& actor) = 0;

  // invitations. What they give is judged as if the inviter bound and added, when made and again when accepted (R79).
  [[nodiscard]] virtual Result<Page<Invitation>> invitations(const TenantId& tenant, const PageRequest& page) = 0;
  [[nodiscard]] virtual Result<Invitation> invitation(const TenantId& tenant, std::string_view id) = 0;
  /// Conflict "already_invited" while one is pending, and when the account is somebody in the tenant already.
  [[nodiscard]] virtual Result<Written<Invitation>> invite(const TenantId& tenant, const NewInvitation& made, const Actor& actor) = 0;
  /// Makes its link worthless (R94).
  [[nodiscard]] virtual Result<Revision> delete_invitation(const TenantId& tenant, std::string_view id, const Actor& actor) = 0;
  /// The e-mail behind a link, whatever its state; NotFound for one that leads nowhere.
  [[nodiscard]] virtual Result<std::string> invited_email(std::string_view hash) = 0;
  /// Makes the person's user, with all it was promised, or nothing. Conflict "invitation_stale"; Forbidden for another e-mail.
  [[nodiscard]] virtual Result<AcceptedInvitation> accept_invitation(std::string_view hash, const Accepting& who, const Actor& actor) = 0;
};

}  // namespace rosterd
