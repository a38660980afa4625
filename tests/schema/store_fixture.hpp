#pragma once
// A store on a fresh database of this program's private PostgreSQL, and short ways to arrange tenants, sources and runs in it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "schema/core/hash.hpp"
#include "schema/postgres/postgres_store.hpp"
#include "tests/e2e/sql_session.hpp"
#include "tests/support/postgres.hpp"

namespace rosterd::test {

#define ASSERT_OK(expression)                                     \
  do {                                                            \
    const auto& ok_result = (expression);                         \
    ASSERT_TRUE(ok_result.has_value()) << ok_result.error().what; \
  } while (false)
#define EXPECT_OK(expression)                                        \
  if (const auto& ok_result = (expression); ok_result.has_value()) { \
  } else                                                             \
    ADD_FAILURE() << ok_result.error().what << ' '
#define EXPECT_FAILS(expression, errc)                                                                               \
  do {                                                                                                               \
    const auto& failing_result = (expression);                                                                       \
    ASSERT_FALSE(failing_result.has_value()) << "it succeeded";                                                      \
    EXPECT_EQ(static_cast<int>(failing_result.error().code), static_cast<int>(errc)) << failing_result.error().what; \
  } while (false)

/// The value, or a test failure with the error's words.
template <class T>
T must(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().what);
  return std::move(*result);
}
inline void must(Result<void> result) {
  if (!result) throw std::runtime_error(result.error().what);
}

inline const Actor kSomebody{.account = {}, .by = "test", .ip = "127.0.0.1", .request_id = "1"};

inline std::unique_ptr<Store> open_store(const Database& database, std::size_t pool = 6) {
  return must(
      PostgresStore::open({.url = database.app_url, .owner_url = database.owner_url, .pool_size = pool, .connect_timeout = Millis(3000)}));
}

/// One object the source holds, as load_held gives it.
struct Held {
  PrincipalId id;
  std::uint64_t hash = 0;
  Leaving leaving = Leaving::None;
  bool purge_due = false;
  std::string source_name;
  bool operator==(const Held&) const = default;
};
struct HeldAll : HeldSink {
  std::map<std::string, Held> users, groups;
  std::vector<std::pair<PrincipalId, PrincipalId>> edges;
  std::vector<Binding> bindings;
  void user(PrincipalId id, std::string_view external, std::uint64_t hash, Leaving leaving, bool due) override {
    users[std::string(external)] = {id, hash, leaving, due, ""};
  }
  void group(PrincipalId id, std::string_view external, std::uint64_t hash, Leaving leaving, bool due, std::string_view name) override {
    groups[std::string(external)] = {id, hash, leaving, due, std::string(name)};
  }
  void edge(PrincipalId group, PrincipalId member) override { edges.emplace_back(group, member); }
  void binding(const Binding& binding) override { bindings.push_back(binding); }
};

class StoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    database = PrivatePostgres::shared().fresh_database();
    store = open_store(database);
    admin =
        must(store->create_account({.email = "root@example.org", .first_name = "Root", .last_name = "", .super_admin = true}, kSomebody))
            .id;
    make_tenant("acme");
  }

  void make_tenant(const std::string& id) { must(store->create_tenant(tenant_named(id), kSomebody)); }
  [[nodiscard]] NewTenant tenant_named(const std::string& id) const {
    Role admin_role, viewer;
    admin_role.name = "Admin";
    admin_role.admin = true;
    viewer.name = "Viewer";
    viewer.permissions = R"({"FLOW":["READ"]})";
    return {.id = TenantId{id}, .name = "Tenant " + id, .creator = admin, .managed_roles = {admin_role, viewer}};
  }
  Source make_source(const TenantId& tenant, const std::string& name) {
    return must(store->create_source(tenant, new_source(name), kSomebody)).value;
  }
  static NewSource new_source(const std::string& name) {
    return {.name = name, .type = "ldap", .enabled = true, .settings = "{}", .schedule = {}, .guard = {}, .role_mappings = {}};
  }
  Work claim(const std::string& holder = "one") {
    auto work = must(store->claim(holder, Millis(60'000), soon()));
    if (!work) throw std::runtime_error("there was nothing to claim");
    return *work;
  }
  static TimePoint soon() {
    return std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now()) + std::chrono::hours(1);
  }
  /// The end of a good run; the source stays due.
  static RunEnd ended(Outcome outcome) {
    RunEnd end;
    end.outcome = outcome;
    end.complete = true;
    end.cursor_kind = "full";
    end.next_due = TimePoint(std::chrono::microseconds(0));
    end.plan = PlanInfo{.hash = std::string(64, 'a'), .counts = {}};
    end.actor = {.account = {}, .by = "run", .ip = "", .request_id = ""};
    return end;
  }
  static UserRecord person(const std::string& name) {
    UserRecord user;
    user.id = ExternalId{"id-" + name};
    user.username = name;
    user.email = name + "@acme.example";
    user.first_name = name;
    user.last_name = "Doe";
    user.entry = "uid=" + name + ",dc=acme";
    return user;
  }
  static GroupRecord team(const std::string& name, const std::string& external = "") {
    GroupRecord group;
    group.id = ExternalId{external.empty() ? "gid-" + name : external};
    group.name = name;
    group.entry = "cn=" + name + ",dc=acme";
    return group;
  }
  PrincipalId next_id() { return PrincipalId{must(store->reserve_principal_ids(1))}; }

  static StagedPrincipal of(ChangeKind kind, PrincipalId id, const UserRecord& user, std::uint64_t hash = 1) {
    return {.kind = kind,
            .id = id,
            .external_id = user.id.value,
            .content_hash = hash,
            .before_hash = 0,
            .leaving = Leaving::None,
            .reason = "new in the directory",
            .user = &user,
            .group = nullptr};
  }
  static StagedPrincipal of(ChangeKind kind, PrincipalId id, const GroupRecord& group, std::uint64_t hash = 1) {
    return {.kind = kind,
            .id = id,
            .external_id = group.id.value,
            .content_hash = hash,
            .before_hash = 0,
            .leaving = Leaving::None,
            .reason = "new in the directory",
            .user = nullptr,
            .group = &group};
  }
  static StagedPrincipal gone(PrincipalId id, std::string_view external, Leaving leaving = Leaving::Missing) {
    return {.kind = ChangeKind::Suspended,
            .id = id,
            .external_id = external,
            .content_hash = 1,
            .before_hash = 1,
            .leaving = leaving,
            .reason = "no longer there",
            .user = nullptr,
            .group = nullptr};
  }
  static StagedEdge edge(ChangeKind kind, PrincipalId group, PrincipalId member, PrincipalType type = PrincipalType::User) {
    return {
        .kind = kind, .group = group, .member = {type, member}, .group_external_id = "g", .member_external_id = "m", .reason = "listed"};
  }
  std::unique_ptr<Stage> stage(const Work& work, bool eager = false) { return must(store->begin_stage(work.lease, {.eager = eager})); }
  HeldAll held(const Source& source, const TenantId& tenant) {
    HeldAll all;
    must(store->load_held(tenant, source.id, TimePoint(std::chrono::microseconds(0)), all));
    return all;
  }
  std::string sql(const std::string& text) { return PrivatePostgres::shared().query(database, text); }
  /// How many sessions wait for a lock just now.
  int waiting() { return std::stoi(sql("SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted")); }

  Database database;
  std::unique_ptr<Store> store;
  AccountId admin;
  const TenantId acme{"acme"};
};

}  // namespace rosterd::test
