#pragma once
// Who somebody is whom an issuer has vouched for: a user of the source whose issuer it is, found by that source's stable id and nothing
// else, or the account that an identity of the instance's issuer belongs to. Whether a token is good is not the store's business.

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "schema/store/accounts.hpp"

namespace rosterd {

/// A source that signs people in: enabled, in a tenant that is.
struct IssuerSource {
  TenantId tenant;
  SourceId source;
  std::uint64_t version = 0;
  std::string name;
  std::string settings;  ///< as stored: secrets sealed
};
/// Somebody, as a source would know him.
struct AskedSubject {
  SourceId source;
  std::uint64_t version = 0;  ///< of the source that said under which claim he is known
  std::string subject;
};
struct IssuerUser {
  TenantId tenant;
  SourceId source;
  PrincipalId user;  ///< 0 = the source does not know him
  std::string username;
  bool active = false;
};
/// Made at a first sign-in, owned by the source (R91).
struct NewIssuerUser {
  SourceId source;
  std::uint64_t version = 0;
  UserRecord record;
  std::string default_role;  ///< name of a role that a binding of the source gives him; empty = none
};
struct MadeIssuerUser {
  User user;
  bool made = false;          ///< false: he was there already
  bool role_missing = false;  ///< there is no role of that name: he has no binding
  Revision revision;
};
/// What a groups claim lists, none included.
struct ClaimedGroups {
  std::vector<std::string> values;
  bool by_name = false;  ///< names in the directory; else stable ids
};
struct RefreshedMemberships {
  std::uint64_t added = 0, removed = 0;
  std::uint64_t unknown = 0;         ///< values that name no active group of the source
  std::optional<Revision> revision;  ///< when anything changed
};

class IssuerSignIn {
 public:
  virtual ~IssuerSignIn() = default;

  // tenants' issuers
  [[nodiscard]] virtual Result<std::vector<IssuerSource>> issuer_sources(std::string_view issuer) = 0;
  /// One for each asked source that still is as it was (version) and still signs in, in any order.
  [[nodiscard]] virtual Result<std::vector<IssuerUser>> issuer_users(std::span<const AskedSubject> asked) = 0;
  /// Conflict "stale_version" when the source is not that version any more.
  [[nodiscard]] virtual Result<MadeIssuerUser> create_issuer_user(const TenantId& tenant, const NewIssuerUser& made,
                                                                  const Actor& actor) = 0;
  /// The user's memberships in groups of that source become what the claim lists; no other group and no local edge is touched (S33).
  /// Conflict "last_admin" when no active Admin would be left: nothing is changed then.
  [[nodiscard]] virtual Result<RefreshedMemberships> refresh_memberships(const TenantId& tenant, SourceId source, PrincipalId user,
                                                                         const ClaimedGroups& groups, const Actor& actor) = 0;
  /// A session of a user, through that source; find_session finds it.
  [[nodiscard]] virtual Result<SessionInfo> begin_user_session(const TenantId& tenant, SourceId source, PrincipalId user,
                                                               const NewSession& session, const Actor& actor) = 0;
  [[nodiscard]] virtual Result<void> end_user_session(const TenantId& tenant, SessionId session, const Actor& actor) = 0;
  /// The link of R5 that is made by sign-in: the account's owner has signed in through the source's issuer, too. Conflict "already_linked".
  [[nodiscard]] virtual Result<Written<User>> link_by_sign_in(const TenantId& tenant, SourceId source, PrincipalId user, AccountId account,
                                                              const Actor& actor) = 0;

  // the instance's issuer
  /// The enabled account of an identity; none = nobody.
  [[nodiscard]] virtual Result<std::optional<Account>> account_of_identity(std::string_view issuer, std::string_view subject) = 0;
  /// Which subject of an issuer an account is; none = no such identity.
  [[nodiscard]] virtual Result<std::optional<std::string>> identity_of(AccountId account, std::string_view issuer) = 0;
  /// Sets it, in the place of another one; none takes it away, and with it the sessions. Conflict "name_taken" when another account has it.
  [[nodiscard]] virtual Result<void> set_identity(AccountId account, std::string_view issuer, const std::optional<std::string>& subject,
                                                  const Actor& actor) = 0;
  /// At a first sign-in. Conflict "name_taken" when an account has the e-mail or the identity: nobody is taken over.
  [[nodiscard]] virtual Result<Account> create_account_of_identity(const NewAccount& account, std::string_view issuer,
                                                                   std::string_view subject, const Actor& actor) = 0;
  /// A session of an account whose identity was vouched for. Unauthorized when it has lost it or is disabled.
  [[nodiscard]] virtual Result<SessionInfo> begin_identity_session(AccountId account, std::string_view issuer, std::string_view subject,
                                                                   const NewSession& session, const Actor& actor) = 0;
};

}  // namespace rosterd
