#pragma once
// The tenant that HTTP checks are measured with, ours and our peers': 10,000 users in three of 1,000 groups each, 50 roles, 5,000 bindings
// of which four in five are a group's, each at one of 100 namespaces; and questions about it. The same on every machine.

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "rbac/snapshot.hpp"

namespace rosterd::bench {

inline constexpr std::uint64_t kUsers = 10'000, kGroups = 1'000, kRoles = 50, kBindings = 5'000, kNamespaces = 100;
inline constexpr std::uint64_t kGroupsOfUser = 3;
inline constexpr std::uint64_t kFirst = 1'000'000'000;  ///< ids beyond those of the store

/// "user17", and the number of the k-th group she is in.
[[nodiscard]] std::string user_name(std::uint64_t user);
[[nodiscard]] std::uint64_t group_of(std::uint64_t user, std::uint64_t k);

struct CrowdRole {
  std::vector<std::pair<std::string, std::vector<std::string>>> permissions;  ///< with their actions
  [[nodiscard]] std::string json() const;                                     ///< {"FLOW":["READ"]}
};
struct CrowdBinding {
  std::uint64_t role = 0;
  bool to_group = false;
  std::uint64_t holder = 0;  ///< number of the group or user
  std::string ns;
};
struct CrowdAccess {
  std::vector<CrowdRole> roles;
  std::vector<CrowdBinding> bindings;
};
[[nodiscard]] CrowdAccess crowd_access();

struct Question {
  std::uint64_t user = 0;
  std::string permission, action, ns;
  [[nodiscard]] std::string json() const;  ///< as POST …/check takes it
  [[nodiscard]] std::string query() const;
  [[nodiscard]] std::string authzen() const;  ///< as POST …/access/v1/evaluation takes it
};
[[nodiscard]] std::vector<Question> questions(std::size_t count);

/// Passes on what the store holds of a tenant, and the crowd beside it. After the last row: join().
class Crowd final : public AuthorizationSink {
 public:
  explicit Crowd(AuthorizationSink& into) : into_(into) {}
  void begin(const Revision& revision, bool enabled, std::uint64_t users, std::uint64_t groups, std::uint64_t edges) override;
  void user(PrincipalId id, std::string_view username, std::string_view email, bool active, bool super_admin) override;
  void group(PrincipalId id, std::string_view folded, std::string_view name, bool active) override;
  void service_account(PrincipalId id, std::string_view name, bool enabled) override;
  void edge(PrincipalId group, PrincipalId member) override;
  void role(const Role& role) override;
  void binding(const Binding& binding) override;
  void join();

 private:
  void join_users();
  void join_groups();
  void join_edges();
  AuthorizationSink& into_;
  bool users_ = false, groups_ = false, edges_ = false;
};

}  // namespace rosterd::bench
