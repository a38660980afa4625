#pragma once
// The class behind issuers.hpp, for the files of this folder.

#include <atomic>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "connectors/oidc/jwks.hpp"
#include "connectors/oidc/jwt/verify.hpp"
#include "connectors/oidc/sign_in_settings.hpp"
#include "daemon/http/errands.hpp"
#include "daemon/issuers/issuers.hpp"
#include "schema/core/guarded.hpp"
#include "schema/core/hash.hpp"

namespace rosterd::issuers {

using connectors::oidc::SignInSettings;

/// A source that signs in people, its settings read.
struct SignInSource {
  IssuerSource of;
  SignInSettings settings;
};
using SignInSources = std::shared_ptr<const std::vector<SignInSource>>;

/// Somebody a source's issuer has vouched for.
struct Vouched {
  SignInSource source;
  jwt::Claims claims;
};
/// What a token turned out to be, good for a minute at most.
struct Verified {
  std::string issuer;
  std::vector<Vouched> in;                                                 ///< each in a tenant of his own
  std::optional<std::string> account_subject;                              ///< at the instance's issuer
  std::vector<std::pair<connectors::oidc::IssuerAt, std::uint64_t>> keys;  ///< with which it was verified
  TimePoint expires_at{};                                                  ///< of the token, skew included
  std::chrono::steady_clock::time_point believed_until{};
};
using VerifiedPtr = std::shared_ptr<const Verified>;

class Parts final : public http::Issuers {
 public:
  Parts(Store& store, const Secrets& secrets, const Clock& clock, IssuersOptions options, std::optional<SignInSettings> instance);

  Result<std::optional<Caller>> identify(std::string_view token, Deadline deadline) override;
  Result<std::optional<http::Joined>> join(std::string_view token, const TenantId& tenant, const Actor& actor, Deadline deadline) override;
  Result<http::LoginStart> begin_login(const http::LoginWanted& wanted, Deadline deadline) override;
  Result<http::LoginDone> finish_login(const http::LoginAnswer& answer, const NewSession& session, const Actor& actor,
                                       Deadline deadline) override;
  [[nodiscard]] std::string instance_issuer() const override { return instance_ ? instance_->at.issuer : std::string(); }

 private:
  using Steady = std::chrono::steady_clock;
  /// What is kept of a browser's sign-in while it is at the provider.
  struct Flow;

  // sources.cpp
  [[nodiscard]] Result<SignInSources> sources_of(const std::string& issuer);
  [[nodiscard]] connectors::http::Options http_options() const;
  [[nodiscard]] Result<http::Joined> make_user(const Vouched& who, const Actor& actor);
  /// Memberships follow the groups claim, where the source says so and the token lists them all.
  [[nodiscard]] Result<void> refresh_groups(const Vouched& who, PrincipalId user, const Actor& actor);
  void refuse(std::string_view issuer, const Error& why);

  // bearer.cpp
  [[nodiscard]] Result<VerifiedPtr> verified(std::string_view token, Deadline deadline, bool& anew);
  [[nodiscard]] Result<VerifiedPtr> verify(std::string_view token, Deadline deadline);
  [[nodiscard]] bool keys_are_current(const Verified& verified);
  [[nodiscard]] Result<std::optional<Caller>> account_caller(const Verified& verified);
  [[nodiscard]] Result<std::optional<Caller>> user_caller(const Verified& verified, bool anew, bool& stale);

  // login.cpp
  [[nodiscard]] Result<SignInSource> login_source(const std::optional<TenantId>& tenant, const std::string& source);
  [[nodiscard]] std::string redirect_uri(const std::optional<TenantId>& tenant, const std::string& source) const;
  [[nodiscard]] Result<jwt::Claims> redeemed(const SignInSource& source, const Flow& flow, const std::string& code, Deadline deadline);
  [[nodiscard]] Result<http::LoginDone> user_login(const SignInSource& source, const Flow& flow, jwt::Claims claims,
                                                   const NewSession& session, const Actor& actor);
  [[nodiscard]] Result<http::LoginDone> account_login(const Flow& flow, const jwt::Claims& claims, const NewSession& session,
                                                      const Actor& actor);

  struct KnownSources {
    SignInSources list;
    Steady::time_point read{};
  };
  struct TokenHash {
    std::size_t operator()(const Sha256& hash) const noexcept {
      std::size_t out = 0;
      static_assert(sizeof out <= sizeof(Sha256));
      std::copy_n(hash.data(), sizeof out, reinterpret_cast<unsigned char*>(&out));
      return out;
    }
  };

  Store& store_;
  const Secrets& secrets_;
  const Clock& clock_;
  const IssuersOptions options_;
  const std::optional<SignInSettings> instance_;
  Guarded<std::unordered_map<std::string, KnownSources>> known_;
  Guarded<std::unordered_map<Sha256, VerifiedPtr, TokenHash>> tokens_;
  std::atomic<Steady::rep> said_{0};
  std::atomic<std::uint64_t> unsaid_{0};
  connectors::oidc::KeyCache keys_;
  http::Errands errands_;  // last: its work uses the others
};

}  // namespace rosterd::issuers
