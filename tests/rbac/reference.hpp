#pragma once
// A tenant as plain lists, and the decision straight from the rules of rbac.md (rbac/reference.hpp) on them. What the compiled snapshot
// answers is compared with it. Also the small helpers the tests of this folder share.

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "rbac/reference.hpp"
#include "rbac/snapshot.hpp"

namespace rosterd::rbac {

struct WorldUser {
  std::uint64_t id = 0;
  std::string username, email;
  bool active = true, super_admin = false;
};
struct WorldGroup {
  std::uint64_t id = 0;
  std::string name;  ///< as shown; folded by feed()
  bool active = true;
};
struct WorldServiceAccount {
  std::uint64_t id = 0;
  std::string name;
  bool enabled = true;
};
struct WorldEdge {
  std::uint64_t group = 0, member = 0;
};
struct WorldRole {
  std::uint64_t id = 0;
  std::string name;
  bool admin = false;
  std::map<std::string, std::set<std::string>> permissions;
};
struct WorldBinding {
  std::uint64_t id = 0, role = 0, principal = 0;
  std::optional<std::string> ns = std::nullopt;
  std::optional<TimePoint> expires = std::nullopt;
};

struct World {
  bool enabled = true;
  std::vector<WorldUser> users;
  std::vector<WorldGroup> groups;
  std::vector<WorldServiceAccount> service_accounts;
  std::vector<WorldEdge> edges;
  std::vector<WorldRole> roles;
  std::vector<WorldBinding> bindings;

  [[nodiscard]] std::optional<Principal> principal(std::uint64_t id) const;
};

[[nodiscard]] Role row_of(const WorldRole& role);
[[nodiscard]] Binding row_of(const World& world, const WorldBinding& binding);
/// Hands the rows over as a store does.
void feed(const World& world, AuthorizationSink& sink);
/// The same rows in another order.
[[nodiscard]] World shuffled(World world, std::mt19937& random);
/// Compiles it, with the bindings of `as_of` precomputed.
[[nodiscard]] std::shared_ptr<const Snapshot> compile(const World& world, TimePoint as_of = TimePoint{},
                                                      std::shared_ptr<const Catalogue> catalogue = Catalogue::built_in());

[[nodiscard]] Decision reference(const World& world, const Catalogue& catalogue, const Question& question);
[[nodiscard]] Decision reference(const World& world, const Catalogue& catalogue, std::uint64_t principal, const Question& question);

/// Seconds after the epoch: the tests' clock.
[[nodiscard]] inline TimePoint at(std::int64_t seconds) { return TimePoint(std::chrono::seconds(seconds)); }

inline void PrintTo(const Decision& decision, std::ostream* out) {
  *out << (decision.allowed ? "yes " : "no ") << name_of(decision.reason);
}

}  // namespace rosterd::rbac
