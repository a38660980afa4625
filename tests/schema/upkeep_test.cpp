#include <future>
#include <nlohmann/json.hpp>

#include "tests/schema/store_fixture.hpp"

// What nobody asks for: expired bindings are noticed and at last deleted (R38), managed roles follow the release (R23).

namespace rosterd::test {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

class UpkeepTest : public StoreTest {
 protected:
  static TimePoint now() { return soon() - std::chrono::hours(1); }
  BindingId bound_until(const TenantId& tenant, TimePoint expires, const std::string& name) {
    const auto user = must(store->create_user(tenant, person(name), kSomebody)).value;
    const auto viewer = must(store->role(tenant, "Viewer")).id;
    return must(store->create_binding(
                    tenant, {.role = viewer, .principal = {PrincipalType::User, user.id}, .ns = {}, .expires_at = expires}, kSomebody))
        .value.id;
  }
  Revision revision(const TenantId& tenant) { return must(store->tenant(tenant)).revision; }
  std::vector<AuditEntry> told(const TenantId& tenant, const std::string& action) {
    return must(store->audit(tenant, {.action = action}, {})).items;
  }

  ManagedRoles release(const std::string& number, const std::string& viewer = R"({"FLOW":["READ"]})") {
    auto wanted = tenant_named("any").managed_roles;
    wanted[1].permissions = viewer;
    return {.roles = wanted, .hash = std::to_string(content_hash(viewer)), .release = number};
  }
  std::string viewer_of(const TenantId& tenant) { return must(store->role(tenant, "Viewer")).permissions; }
};

TEST_F(UpkeepTest, AnExpiryMovesTheRevisionOnceAndTheBindingIsListedForThirtyDays) {  // R38:
  make_tenant("beta");
  const auto binding = bound_until(acme, now() + std::chrono::hours(2), "ada");
  const auto before = revision(acme), others = revision(TenantId{"beta"});
  EXPECT_THAT(must(store->sweep_bindings(now(), 100)).tenants, IsEmpty()) << "it has not expired yet";

  const auto later = now() + std::chrono::hours(3);
  const auto swept = must(store->sweep_bindings(later, 100));
  EXPECT_THAT(swept.tenants, testing::ElementsAre(acme));
  EXPECT_EQ(swept.expired, 1u);
  EXPECT_EQ(swept.deleted, 0u);
  EXPECT_EQ(revision(acme).number, before.number + 1);
  EXPECT_EQ(revision(TenantId{"beta"}), others);
  const auto entries = told(acme, "expired");
  ASSERT_THAT(entries, SizeIs(1));
  EXPECT_EQ(entries[0].object_id, text(binding));
  EXPECT_EQ(entries[0].by, "sweep");
  EXPECT_EQ(entries[0].revision, revision(acme));
  EXPECT_THAT(must(store->sweep_bindings(later, 100)).tenants, IsEmpty()) << "once";
  sql("UPDATE rosterd.binding SET expires_at = now() - interval '1 hour' WHERE expires_at IS NOT NULL");
  EXPECT_TRUE(must(store->binding(acme, text(binding))).expired);
  EXPECT_THAT(must(store->sweep_bindings(now() + std::chrono::hours(29 * 24), 100)).tenants, IsEmpty());
  EXPECT_OK(store->binding(acme, text(binding)));

  const auto gone = must(store->sweep_bindings(now() + std::chrono::hours(30 * 24), 100));
  EXPECT_EQ(gone.deleted, 1u);
  EXPECT_FAILS(store->binding(acme, text(binding)), Errc::NotFound);
  EXPECT_EQ(revision(acme).number, before.number + 2);
  const auto deleted = told(acme, "deleted");
  ASSERT_THAT(deleted, SizeIs(1));
  EXPECT_EQ(nlohmann::json::parse(deleted[0].before)["role"], "Viewer");
}

TEST_F(UpkeepTest, ManyExpiriesGoPieceByPieceAndTenantByTenant) {  // R38:
  make_tenant("beta");
  for (int i = 0; i < 5; ++i) {
    bound_until(acme, now() + std::chrono::hours(2), fmt::format("a{}", i));
    bound_until(TenantId{"beta"}, now() + std::chrono::hours(2), fmt::format("b{}", i));
  }
  const auto later = now() + std::chrono::hours(3);
  const auto first = must(store->sweep_bindings(later, 2));
  EXPECT_THAT(first.tenants, SizeIs(2));
  EXPECT_EQ(first.expired, 4u);
  std::uint64_t all = first.expired;
  int rounds = 1;
  for (auto some = must(store->sweep_bindings(later, 2)); !some.tenants.empty(); some = must(store->sweep_bindings(later, 2)), ++rounds)
    all += some.expired;
  EXPECT_EQ(all, 10u);
  EXPECT_EQ(rounds, 3);
}

TEST_F(UpkeepTest, TwoSweepersNoticeAnExpiryOnce) {  // R38:
  bound_until(acme, now() + std::chrono::hours(2), "ada");
  const auto before = revision(acme);
  const auto other = open_store(database);
  const auto later = now() + std::chrono::hours(3);
  auto theirs = std::async(std::launch::async, [&] { return must(other->sweep_bindings(later, 100)).expired; });
  const auto ours = must(store->sweep_bindings(later, 100)).expired;
  EXPECT_EQ(ours + theirs.get(), 1u);
  EXPECT_EQ(revision(acme).number, before.number + 1);
}

TEST_F(UpkeepTest, ANewReleaseUpdatesTheManagedRolesOfEveryTenantWithARevisionEach) {  // R23:
  make_tenant("beta");
  const TenantId beta{"beta"};
  EXPECT_TRUE(must(store->renew_managed_roles(release("1.0"))).renewed) << "nobody had said before what they come from";
  const auto before = revision(acme);
  EXPECT_FALSE(must(store->renew_managed_roles(release("1.0"))).renewed);
  EXPECT_EQ(revision(acme), before) << "nothing was different";

  const std::string wider = R"({"FLOW":["READ","UPDATE"]})";
  const auto done = must(store->renew_managed_roles(release("1.1", wider)));
  EXPECT_TRUE(done.renewed);
  EXPECT_EQ(done.tenants, 2u);
  for (const auto& tenant : {acme, beta}) {
    EXPECT_EQ(viewer_of(tenant), wider);
    const auto entries = told(tenant, "managed_roles_updated");
    ASSERT_THAT(entries, SizeIs(1));
    EXPECT_EQ(nlohmann::json::parse(entries[0].before)["Viewer"]["FLOW"].size(), 1u);
    EXPECT_EQ(nlohmann::json::parse(entries[0].after)["Viewer"]["FLOW"].size(), 2u);
    EXPECT_EQ(entries[0].revision, revision(tenant));
    EXPECT_EQ(entries[0].actor.type, AuditActor::Type::Rosterd);
  }
  EXPECT_EQ(revision(acme).number, before.number + 1);
}

TEST_F(UpkeepTest, AnOlderReleaseDoesNotTakeBackWhatANewerHasSet) {  // R23:
  const std::string wider = R"({"FLOW":["READ","UPDATE"]})";
  must(store->renew_managed_roles(release("1.10.0", wider)));
  const auto before = revision(acme);
  const auto older = must(store->renew_managed_roles(release("1.9.2")));
  EXPECT_FALSE(older.renewed);
  EXPECT_EQ(older.newer, "1.10.0");
  EXPECT_EQ(viewer_of(acme), wider);
  EXPECT_EQ(revision(acme), before);
  EXPECT_TRUE(must(store->renew_managed_roles(release("1.10.0"))).renewed) << "the same release with another catalogue";
  EXPECT_EQ(viewer_of(acme), R"({"FLOW":["READ"]})");
}

TEST_F(UpkeepTest, OfTwoThatStartAtOnceOneDoesIt) {  // R23:
  for (int i = 0; i < 5; ++i) make_tenant(fmt::format("t{}", i));
  const std::string wider = R"({"FLOW":["READ","UPDATE"]})";
  const auto other = open_store(database);
  auto theirs = std::async(std::launch::async, [&] { return must(other->renew_managed_roles(release("1.1", wider))); });
  const auto ours = must(store->renew_managed_roles(release("1.1", wider)));
  EXPECT_NE(ours.renewed, theirs.get().renewed);
  EXPECT_THAT(told(acme, "managed_roles_updated"), SizeIs(1));
}

TEST_F(UpkeepTest, ARoleOfTheTenantsOwnIsNoManagedOne) {  // R23:
  Role own;
  own.name = "Auditor";
  own.permissions = R"({"USER":["READ"]})";
  must(store->create_role(acme, own, kSomebody));
  auto wanted = release("2.0");
  wanted.roles.push_back({.id = {}, .name = "Auditor", .description = "new in 2.0", .managed = true, .admin = false, .permissions = "{}"});
  wanted.roles.push_back({.id = {}, .name = "Operator", .description = "new in 2.0", .managed = true, .admin = false, .permissions = "{}"});
  EXPECT_EQ(must(store->renew_managed_roles(wanted)).tenants, 1u);
  const auto kept = must(store->role(acme, "Auditor"));
  EXPECT_FALSE(kept.managed);
  EXPECT_EQ(kept.permissions, own.permissions);
  EXPECT_TRUE(must(store->role(acme, "Operator")).managed);
}

}  // namespace
}  // namespace rosterd::test
