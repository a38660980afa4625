#pragma once
// The decision straight from the rules of rbac.md §13: no masks, no profiles, no order of evaluation that saves anything. What a snapshot
// answers is compared with it, in tests and before a snapshot is published. Where the rows come from is the caller's business.

#include <optional>
#include <string_view>
#include <vector>

#include "rbac/snapshot.hpp"

namespace rosterd::rbac {

/// A tenant's rows, asked for one by one.
class Facts {
 public:
  struct Who {
    PrincipalType type = PrincipalType::User;
    bool active = true;
    bool super_admin = false;
  };
  struct Held {
    std::uint64_t role = 0;  ///< as names() takes it
    bool admin = false;
    std::optional<std::string_view> ns;
    std::optional<TimePoint> expires;
  };
  virtual ~Facts() = default;
  [[nodiscard]] virtual bool tenant_enabled() const = 0;
  [[nodiscard]] virtual std::optional<Who> who(PrincipalId id) const = 0;
  /// Of which it is a direct member, active or not.
  [[nodiscard]] virtual std::vector<PrincipalId> groups_of(PrincipalId id) const = 0;
  [[nodiscard]] virtual std::vector<Held> bindings_of(PrincipalId id) const = 0;
  /// Whether a role that is no Admin names the pair.
  [[nodiscard]] virtual bool names(std::uint64_t role, const Permission& permission, std::string_view action) const = 0;
};

/// The question's key is not looked at: it is asked of `principal`.
[[nodiscard]] Decision reference(const Facts& facts, const Catalogue& catalogue, PrincipalId principal, const Question& question);

}  // namespace rosterd::rbac
