#pragma once
// What this room asks of sign-in through issuers (OpenID providers): whom a JWT names, and the two halves of a browser's sign-in. Keys,
// policies and requests to providers live behind it (daemon/issuers). Every verb may wait for the store, and for a provider until the
// deadline; requests to providers run on threads of their own.

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "schema/core/result.hpp"
#include "schema/model/access.hpp"
#include "schema/store/store.hpp"

namespace rosterd::http {

/// Somebody whom his tenant's issuer vouches for and whom the tenant did not know (R91).
struct Joined {
  CallingUser user;
  Revision revision;
};

/// The way to the provider.
struct LoginStart {
  std::string location;  ///< where the browser goes
  std::string state;     ///< names the sign-in
  std::string sealed;    ///< what the browser keeps until it comes back; nobody but rosterd can read or make it
};
struct LoginWanted {
  std::optional<TenantId> tenant;  ///< none = the instance's issuer
  std::string source;              ///< name of the tenant's source
  std::string return_to;           ///< a path of this server
  AccountId link;                  ///< whose owner wants to be linked to whom he signs in as; 0 = nobody
};
/// What came back.
struct LoginAnswer {
  std::optional<TenantId> tenant;
  std::string source;
  std::string code, state, error, issuer;  ///< of the query; `issuer` is RFC 9207's
  std::string sealed;                      ///< of the browser
  AccountId signed_in;                     ///< whose session the browser has now; 0 = none
};
struct LoginDone {
  std::optional<SessionInfo> session;  ///< none: the session that the browser has stays, and was linked
  std::string return_to;
};

class Issuers {
 public:
  using Deadline = std::chrono::steady_clock::time_point;
  virtual ~Issuers() = default;

  /// Whom a JWT names; nobody for one that is not good, whatever is wrong with it. Unavailable "issuer_unavailable" while it can not be
  /// told, because the issuer's keys can not be had.
  [[nodiscard]] virtual Result<std::optional<Caller>> identify(std::string_view token, Deadline deadline) = 0;
  /// Makes the user of somebody whom identify() gave with the id 0 in that tenant. None: nobody may join there.
  [[nodiscard]] virtual Result<std::optional<Joined>> join(std::string_view token, const TenantId& tenant, const Actor& actor,
                                                           Deadline deadline) = 0;

  /// NotFound where nobody can sign in like that, whatever the reason.
  [[nodiscard]] virtual Result<LoginStart> begin_login(const LoginWanted& wanted, Deadline deadline) = 0;
  /// Errors: Unauthorized "sign_in_failed", in words for the person; Forbidden "sign_in_refused" for who is nobody here; Conflict.
  [[nodiscard]] virtual Result<LoginDone> finish_login(const LoginAnswer& answer, const NewSession& session, const Actor& actor,
                                                       Deadline deadline) = 0;
  /// The issuer for accounts; empty = there is none.
  [[nodiscard]] virtual std::string instance_issuer() const = 0;
};

}  // namespace rosterd::http
