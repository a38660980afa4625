#include "bench/crowd.hpp"

#include <random>

namespace rosterd::bench {
namespace {

const char* const kPermissions[] = {"FLOW", "EXECUTION", "NAMESPACE", "KVSTORE", "SECRET", "APP"};
const char* const kActions[] = {"CREATE", "READ", "UPDATE", "DELETE"};

std::string ns_of(std::uint64_t i) { return fmt::format("company.team{}.app{}", i / 10, i % 10); }

}  // namespace

std::string user_name(std::uint64_t user) { return fmt::format("user{}", user); }
std::uint64_t group_of(std::uint64_t user, std::uint64_t k) { return (user + k * 331) % kGroups; }

std::string CrowdRole::json() const {
  std::string out = "{";
  for (const auto& [permission, actions] : permissions)
    out += fmt::format(R"({}"{}":["{}"])", out.size() > 1 ? "," : "", permission, fmt::join(actions, "\",\""));
  return out + "}";
}

CrowdAccess crowd_access() {
  std::mt19937_64 random(42);
  const auto below = [&](std::uint64_t n) { return random() % n; };
  CrowdAccess out;
  for (std::uint64_t i = 0; i < kRoles; ++i) {
    CrowdRole role;
    for (const auto* permission : kPermissions)
      if (below(2) == 0) role.permissions.push_back({permission, {"READ", kActions[below(4)]}});
    out.roles.push_back(std::move(role));
  }
  for (std::uint64_t i = 0; i < kBindings; ++i) {
    CrowdBinding binding;
    binding.role = below(kRoles);
    binding.to_group = i % 5 != 0;
    binding.holder = below(binding.to_group ? kGroups : kUsers);
    binding.ns = ns_of(below(kNamespaces));
    out.bindings.push_back(std::move(binding));
  }
  return out;
}

std::string Question::json() const {
  return fmt::format(R"({{"subject":"user:{}","permission":"{}","action":"{}","namespace":"{}"}})", user_name(user), permission, action,
                     ns);
}
std::string Question::authzen() const {
  return fmt::format(R"({{"subject":{{"type":"user","id":"{}"}},"action":{{"name":"{}"}},"resource":{{"type":"{}","id":"{}"}}}})",
                     user_name(user), action, permission, ns);
}

std::string Question::query() const {
  return fmt::format("subject=user:{}&permission={}&action={}&namespace={}", user_name(user), permission, action, ns);
}

std::vector<Question> questions(std::size_t count) {
  std::mt19937_64 random(7);
  const auto below = [&](std::uint64_t n) { return random() % n; };
  std::vector<Question> out;
  for (std::size_t i = 0; i < count; ++i) {
    Question q;
    q.user = below(kUsers);
    q.permission = kPermissions[below(std::size(kPermissions))];
    q.action = kActions[below(4)];
    q.ns = ns_of(below(kNamespaces));
    out.push_back(std::move(q));
  }
  return out;
}

void Crowd::begin(const Revision& revision, bool enabled, std::uint64_t users, std::uint64_t groups, std::uint64_t edges) {
  into_.begin(revision, enabled, users + kUsers, groups + kGroups, edges + kGroupsOfUser * kUsers);
}
void Crowd::user(PrincipalId id, std::string_view username, std::string_view email, bool active, bool super_admin) {
  into_.user(id, username, email, active, super_admin);
}
void Crowd::group(PrincipalId id, std::string_view folded, std::string_view name, bool active) {
  join_users();
  into_.group(id, folded, name, active);
}
void Crowd::service_account(PrincipalId id, std::string_view name, bool enabled) {
  join_groups();
  into_.service_account(id, name, enabled);
}
void Crowd::edge(PrincipalId group, PrincipalId member) {
  join_groups();
  into_.edge(group, member);
}
void Crowd::role(const Role& role) {
  join_edges();
  into_.role(role);
}
void Crowd::binding(const Binding& binding) {
  join_edges();
  into_.binding(binding);
}

void Crowd::join_users() {
  if (std::exchange(users_, true)) return;
  for (std::uint64_t i = 0; i < kUsers; ++i) into_.user({kFirst + i}, user_name(i), user_name(i) + "@example.com", true, false);
}
void Crowd::join_groups() {
  join_users();
  if (std::exchange(groups_, true)) return;
  for (std::uint64_t i = 0; i < kGroups; ++i) {
    const auto name = fmt::format("group{}", i);
    into_.group({kFirst + kUsers + i}, name, name, true);
  }
}
void Crowd::join_edges() {
  join_groups();
  if (std::exchange(edges_, true)) return;
  for (std::uint64_t i = 0; i < kUsers; ++i)
    for (std::uint64_t k = 0; k < kGroupsOfUser; ++k) into_.edge({kFirst + kUsers + group_of(i, k)}, {kFirst + i});
}
void Crowd::join() {
  join_edges();
  const auto access = crowd_access();
  std::uint64_t id = kFirst;
  for (const auto& role : access.roles) {
    into_.role({.id = {id},
                .name = fmt::format("role {}", id - kFirst),
                .description = {},
                .managed = false,
                .admin = false,
                .permissions = role.json()});
    ++id;
  }
  id = kFirst;
  for (const auto& binding : access.bindings)
    into_.binding({.id = {id++},
                   .role = {kFirst + binding.role},
                   .principal = binding.to_group ? Principal{PrincipalType::Group, {kFirst + kUsers + binding.holder}}
                                                 : Principal{PrincipalType::User, {kFirst + binding.holder}},
                   .ns = binding.ns,
                   .expires_at = {},
                   .source = {},
                   .created_at = {},
                   .created_by = {}});
}

}  // namespace rosterd::bench
