// What changed since a revision, as the store tells it to whoever holds a snapshot of that revision; and word of new revisions.

#include <algorithm>
#include <mutex>
#include <thread>

#include "tests/schema/store_fixture.hpp"

namespace rosterd::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

class ChangesSince : public StoreTest {
 protected:
  Revision now() { return must(store->tenant(acme)).revision; }
  std::optional<AuthorizationChanges> since(const Revision& revision) { return must(store->authorization_changes(acme, revision)); }
  PrincipalId make_user(const std::string& name) {
    UserRecord user;
    user.username = name;
    return must(store->create_user(acme, user, kSomebody)).value.id;
  }
  PrincipalId make_group(const std::string& name) { return must(store->create_group(acme, {.name = name}, kSomebody)).value.id; }
  RoleId viewer() {
    for (const auto& role : must(store->roles(acme)))
      if (role.name == "Viewer") return role.id;
    return {};
  }
  /// A row that whoever looks at it fails: for proving that nobody does.
  void forbid_looking_at(const std::string& table, const std::string& row) {
    sql(fmt::format(
        "CREATE POLICY canary_{0} ON rosterd.{0} AS RESTRICTIVE FOR SELECT USING (CASE WHEN {1} THEN 1 / (tenant_id - tenant_id) "
        "= 1 ELSE true END)",
        table, row));
  }
};

TEST_F(ChangesSince, NothingHasChangedSinceNow) {
  const auto changes = since(now());
  ASSERT_TRUE(changes);
  EXPECT_EQ(changes->to, now());
  EXPECT_THAT(changes->principals, IsEmpty());
}

TEST_F(ChangesSince, WhatTheApiDidIsToldWithTheRowsAsTheyAreNow) {
  const auto before = now();
  const auto ada = make_user("ada"), bob = make_user("bob");
  const auto staff = make_group("Staff");
  must(store->add_member(acme, staff, {PrincipalType::User, ada}, kSomebody));
  must(store->add_member(acme, staff, {PrincipalType::User, bob}, kSomebody));
  must(store->remove_member(acme, staff, {PrincipalType::User, bob}, false, kSomebody));
  must(store->set_user_suspended(acme, bob, true, kSomebody));
  Role role;
  role.name = "Painter";
  role.permissions = R"({"FLOW":["READ"]})";
  const auto painter = must(store->create_role(acme, role, kSomebody)).value.id;
  const auto binding =
      must(store->create_binding(acme, {.role = painter, .principal = {PrincipalType::Group, staff}, .ns = "a.b", .expires_at = {}},
                                 kSomebody))
          .value.id;
  const auto changes = since(before);
  ASSERT_TRUE(changes);
  EXPECT_EQ(changes->from, before);
  EXPECT_EQ(changes->to, now());
  EXPECT_TRUE(changes->tenant_enabled);
  EXPECT_THAT(changes->principals, UnorderedElementsAre(ada, bob, staff));
  ASSERT_EQ(changes->users.size(), 2u);
  for (const auto& user : changes->users) {
    EXPECT_EQ(user.username, user.id == ada ? "ada" : "bob");
    EXPECT_EQ(user.active, user.id == ada);
  }
  ASSERT_EQ(changes->groups.size(), 1u);
  EXPECT_EQ(changes->groups[0].name, "Staff");
  EXPECT_EQ(changes->groups[0].folded_name, "staff");
  ASSERT_EQ(changes->edges.size(), 2u);
  for (const auto& edge : changes->edges) EXPECT_EQ(edge.there, edge.member == ada);
  EXPECT_THAT(changes->touched_roles, ElementsAre(painter));
  ASSERT_EQ(changes->roles.size(), 1u);
  EXPECT_EQ(changes->roles[0].permissions, role.permissions);
  ASSERT_EQ(changes->bindings.size(), 1u);
  EXPECT_EQ(changes->bindings[0].id, binding);
  EXPECT_EQ(changes->bindings[0].ns, "a.b");
  EXPECT_EQ(changes->role_count, 3u);
  EXPECT_EQ(changes->binding_count, 2u);

  const auto later = now();
  must(store->delete_binding(acme, binding, false, kSomebody));
  const auto gone = since(later);
  ASSERT_TRUE(gone);
  EXPECT_THAT(gone->holders, ElementsAre(staff));
  EXPECT_THAT(gone->bindings, IsEmpty());
}

TEST_F(ChangesSince, AnExpiredTwinThatMadeRoomForABindingIsGoneToo) {
  const auto ada = make_user("ada");
  const NewBinding wanted{.role = viewer(), .principal = {PrincipalType::User, ada}, .ns = "a", .expires_at = {}};
  auto expiring = wanted;
  expiring.expires_at = soon();
  must(store->create_binding(acme, expiring, kSomebody));
  sql("UPDATE rosterd.binding SET expires_at = now() - interval '1 hour' WHERE expires_at IS NOT NULL");
  const auto before = now();
  const auto made = must(store->create_binding(acme, wanted, kSomebody)).value.id;
  const auto changes = since(before);
  ASSERT_TRUE(changes);
  ASSERT_EQ(changes->bindings.size(), 1u);
  EXPECT_EQ(changes->bindings[0].id, made);
}

TEST_F(ChangesSince, ADisabledTenantIsAChangeOfItsOwnRow) {
  const auto before = now();
  must(store->change_tenant(acme, {.name = {}, .enabled = false}, kSomebody));
  const auto changes = since(before);
  ASSERT_TRUE(changes);
  EXPECT_FALSE(changes->tenant_enabled);
  EXPECT_THAT(changes->principals, IsEmpty());
}

TEST_F(ChangesSince, WhatCannotBeAccountedForMeansEverything) {
  const auto before = now();
  make_user("ada");
  make_user("bob");
  make_user("eve");
  ASSERT_TRUE(since(before));
  EXPECT_FALSE(since({.epoch = before.epoch + 1, .number = before.number})) << "another epoch";
  EXPECT_FALSE(since({.epoch = before.epoch, .number = now().number + 1})) << "a revision that is not yet";
  const auto first = std::to_string(before.number + 1);
  sql("UPDATE rosterd.audit SET action = 'painted' WHERE revision = " + first);
  EXPECT_FALSE(since(before)) << "an action nobody knows here";
  sql("UPDATE rosterd.audit SET action = 'created', object_type = 'easel' WHERE revision = " + first);
  EXPECT_FALSE(since(before)) << "an object nobody knows here";
  EXPECT_TRUE(since({.epoch = before.epoch, .number = before.number + 1})) << "what is known is told";
  sql("DELETE FROM rosterd.audit WHERE revision = " + std::to_string(before.number + 2));
  EXPECT_FALSE(since({.epoch = before.epoch, .number = before.number + 1})) << "a revision without a record";
  const auto last = now();
  sql("UPDATE rosterd.tenant SET revision = revision + 1");
  EXPECT_FALSE(since(last)) << "the last revision without a record";
}

TEST_F(ChangesSince, WhatARunDidIsToldByItsRecord) {
  const auto source = make_source(acme, "corp");
  const auto ada = next_id(), bob = next_id(), eve = next_id(), staff = next_id();
  {
    auto first = stage(claim());
    for (const auto& [id, name] : {std::pair(ada, "ada"), std::pair(bob, "bob"), std::pair(eve, "eve")}) {
      const auto user = person(name);
      must(first->user(of(ChangeKind::Added, id, user)));
    }
    const auto group = team("staff");
    must(first->group(of(ChangeKind::Added, staff, group)));
    must(first->edge(edge(ChangeKind::EdgeAdded, staff, ada)));
    must(first->edge(edge(ChangeKind::EdgeAdded, staff, eve)));
    must(first->apply(ended(Outcome::Applied)));
  }
  const auto before = now();
  {
    auto second = stage(claim());
    auto user = person("ada");
    user.username = "ada.l";
    must(second->user(of(ChangeKind::Changed, ada, user, 2)));
    must(second->user(gone(bob, "id-bob")));
    must(second->edge(edge(ChangeKind::EdgeAdded, staff, bob)));
    must(second->edge(edge(ChangeKind::EdgeRemoved, staff, ada)));
    StagedBinding binding;
    binding.kind = ChangeKind::BindingAdded;
    binding.role = viewer();
    binding.role_name = "Viewer";
    binding.group = staff;
    binding.group_external_id = "gid-staff";
    binding.reason = "mapped";
    must(second->binding(binding));
    must(second->apply(ended(Outcome::Applied)));
  }
  const auto changes = since(before);
  ASSERT_TRUE(changes);
  EXPECT_THAT(changes->principals, UnorderedElementsAre(ada, bob));
  ASSERT_EQ(changes->users.size(), 2u);
  for (const auto& user : changes->users) {
    EXPECT_EQ(user.username, user.id == ada ? "ada.l" : "bob");
    EXPECT_EQ(user.active, user.id == ada);
  }
  ASSERT_EQ(changes->edges.size(), 2u);
  for (const auto& one : changes->edges) EXPECT_EQ(one.there, one.member == bob);
  EXPECT_THAT(changes->holders, UnorderedElementsAre(ada, bob, staff));
  EXPECT_EQ(changes->bindings.size(), 1u);

  // Purged: gone with edges and bindings, which are not named.
  const auto later = now();
  {
    auto third = stage(claim());
    StagedPrincipal purge = gone(bob, "id-bob");
    purge.kind = ChangeKind::Purged;
    must(third->user(purge));
    must(third->apply(ended(Outcome::Applied)));
  }
  const auto purged = since(later);
  ASSERT_TRUE(purged);
  EXPECT_THAT(purged->principals, ElementsAre(bob));
  EXPECT_THAT(purged->users, IsEmpty());

  sql("DELETE FROM rosterd.run_change");
  sql("DELETE FROM rosterd.run");
  EXPECT_FALSE(since(later)) << "a record that has been forgotten";
  (void)source;
}

TEST_F(ChangesSince, AFirstLoadMeansEverything) {
  make_source(acme, "corp");
  const auto before = now();
  auto first = stage(claim(), true);
  const auto user = person("ada");
  must(first->user(of(ChangeKind::Added, next_id(), user)));
  must(first->apply(ended(Outcome::Applied)));
  EXPECT_NE(now(), before);
  EXPECT_FALSE(since(before));
}

TEST_F(ChangesSince, MoreThanAFewThousandMeansEverything) {
  make_source(acme, "corp");
  const auto first_id = must(store->reserve_principal_ids(6000));
  const auto load = [&](std::uint64_t from, std::uint64_t count) {
    const auto before = now();
    auto some = stage(claim());
    for (auto i = from; i < from + count; ++i) {
      const auto user = person(fmt::format("u{}", i));
      must(some->user(of(ChangeKind::Added, {first_id + i}, user)));
    }
    must(some->apply(ended(Outcome::Applied)));
    return before;
  };
  EXPECT_TRUE(since(load(0, 400)));
  EXPECT_FALSE(since(load(400, 5'001)));
}

TEST_F(ChangesSince, RowsThatDidNotChangeAreNotLookedAt) {
  const auto canary = make_user("canary");
  const auto ada = make_user("ada");
  const auto staff = make_group("Staff");
  must(store->add_member(acme, staff, {PrincipalType::User, canary}, kSomebody));
  for (int i = 0; i < 50; ++i) make_user(fmt::format("u{}", i));
  const auto before = now();
  must(store->add_member(acme, staff, {PrincipalType::User, ada}, kSomebody));
  must(store->set_user_suspended(acme, ada, true, kSomebody));
  forbid_looking_at("tenant_user", fmt::format("id = {}", canary.value));
  forbid_looking_at("membership", fmt::format("member_id = {}", canary.value));
  forbid_looking_at("audit", fmt::format("revision <= {}", before.number));
  EXPECT_FALSE(store->users(acme, {.limit = 100, .cursor = {}, .query = {}})) << "the canary sings when somebody looks";
  const auto changes = store->authorization_changes(acme, before);
  ASSERT_TRUE(changes) << changes.error().what;
  ASSERT_TRUE(*changes);
  EXPECT_THAT((*changes)->principals, ElementsAre(ada));
}

// ---- word of revisions ------------------------------------------------------------------------------------------------------------

/// Everything one store has heard.
class Heard {
 public:
  explicit Heard(Store& store)
      : thread_([this, &store](const std::stop_token& stop) {
          store.follow_revisions(stop, [this](const Store::TenantRevision* one) {
            const std::lock_guard lock(mutex_);
            if (one == nullptr)
              ++looks_;
            else
              all_.emplace_back(one->tenant.value, one->revision);
          });
          over_ = true;
        }) {}
  bool has(const std::string& tenant, const Revision& revision) {
    const std::lock_guard lock(mutex_);
    return std::find(all_.begin(), all_.end(), std::pair(tenant, revision)) != all_.end();
  }
  int looks() {
    const std::lock_guard lock(mutex_);
    return looks_;
  }
  void request_stop() { thread_.request_stop(); }
  [[nodiscard]] bool is_over() const { return over_; }

 private:
  std::mutex mutex_;
  std::vector<std::pair<std::string, Revision>> all_;
  int looks_ = 0;
  std::atomic<bool> over_{false};
  std::jthread thread_;
};

TEST_F(ChangesSince, WhoeverFollowsHearsOfCommitsAndOfNothingElseK7) {
  const auto other = open_store(database);
  Heard heard(*other);
  ASSERT_TRUE(wait_until([&] { return heard.looks() == 1; }));
  make_user("ada");
  EXPECT_TRUE(wait_until([&] { return heard.has("acme", now()); }));
  make_tenant("beta");
  EXPECT_TRUE(wait_until([&] { return heard.has("beta", must(store->tenant({"beta"})).revision); })) << "a new tenant";
  const auto before = now();
  EXPECT_FALSE(store->create_user(acme, person("ada"), kSomebody));
  sql("BEGIN; UPDATE rosterd.tenant SET revision = revision + 1; ROLLBACK");
  make_user("bob");
  EXPECT_TRUE(wait_until([&] { return heard.has("acme", now()); }));
  EXPECT_EQ(now().number, before.number + 1);
  sql("UPDATE rosterd.tenant SET revision = revision + 1 WHERE id = 'beta'");
  EXPECT_TRUE(wait_until([&] { return heard.has("beta", must(store->tenant({"beta"})).revision); })) << "whoever moves it";
  const auto last = now();
  must(store->delete_tenant(acme, kSomebody));
  EXPECT_TRUE(wait_until([&] { return heard.has("acme", {.epoch = last.epoch, .number = last.number + 1}); })) << "the end of a tenant";
}

TEST_F(ChangesSince, ALostLineIsMadeAgainAndSaysThatSomethingMayHaveBeenMissedK7) {
  Heard heard(*store);
  ASSERT_TRUE(wait_until([&] { return heard.looks() == 1; }));
  sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'rosterd-revisions'");
  ASSERT_TRUE(wait_until([&] { return heard.looks() == 2; }));
  make_user("ada");
  EXPECT_TRUE(wait_until([&] { return heard.has("acme", now()); }));
}

TEST_F(ChangesSince, FollowingEndsAtOnceAlsoWhenPostgresqlIsFrozen) {
  PrivatePostgres own;
  const auto other = own.fresh_database();
  const auto its_store = open_store(other);
  Heard listening(*its_store);
  ASSERT_TRUE(wait_until([&] { return listening.looks() == 1; }));
  own.freeze();
  Heard connecting(*its_store);                                 // the kernel takes the connection, nobody answers it
  std::this_thread::sleep_for(std::chrono::milliseconds(300));  // nothing happens, and that must be looked at for a while
  EXPECT_FALSE(listening.is_over());
  EXPECT_FALSE(connecting.is_over());
  listening.request_stop();
  connecting.request_stop();
  EXPECT_TRUE(wait_until([&] { return listening.is_over() && connecting.is_over(); }, Milliseconds(1'000)));
  own.thaw();
}

}  // namespace
}  // namespace rosterd::test
