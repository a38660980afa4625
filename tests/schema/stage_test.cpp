#include <nlohmann/json.hpp>

#include "tests/schema/store_fixture.hpp"

// Stage, apply and keep: what a run's plan becomes.

namespace rosterd::test {
namespace {

using ::testing::HasSubstr;

class StageTest : public StoreTest {
 protected:
  void SetUp() override {
    StoreTest::SetUp();
    source = make_source(acme, "corp");
  }
  /// A first run that brings these people and one group holding all of them.
  void bring(const std::vector<std::string>& names, bool eager = false) {
    const auto work = claim();
    auto plan = stage(work, eager);
    const auto group = next_id();
    std::vector<PrincipalId> members;
    for (const auto& name : names) {
      const auto user = person(name);
      people[name] = next_id();
      members.push_back(people[name]);
      must(plan->user(of(ChangeKind::Added, people[name], user)));
    }
    const auto everybody = team("everybody");
    must(plan->group(of(ChangeKind::Added, group, everybody)));
    for (const auto& member : members) must(plan->edge(edge(ChangeKind::EdgeAdded, group, member)));
    groups["everybody"] = group;
    last = must(plan->apply(ended(Outcome::Applied)));
  }
  Source source;
  std::map<std::string, PrincipalId> people, groups;
  Applied last;
};

class StageBothWays : public StageTest, public ::testing::WithParamInterface<bool> {};
INSTANTIATE_TEST_SUITE_P(Eager, StageBothWays, ::testing::Values(true));
INSTANTIATE_TEST_SUITE_P(Plain, StageBothWays, ::testing::Values(false));

TEST_P(StageBothWays, ApplyingWritesRowsRecordRunAndRevisionTogether) {
  const auto before = must(store->tenant(acme)).revision;
  bring({"ada", "bob"}, GetParam());
  EXPECT_EQ(last.counts.users[1], 2u);
  EXPECT_EQ(last.counts.groups[1], 1u);
  EXPECT_EQ(last.counts.edges_added, 2u);
  EXPECT_EQ(last.revision.number, before.number + 1);
  EXPECT_EQ(must(store->tenant(acme)).revision, last.revision);

  const auto all = held(source, acme);
  EXPECT_EQ(all.users.size(), 2u);
  EXPECT_EQ(all.users.at("id-ada").id, people["ada"]);
  EXPECT_EQ(all.groups.at("gid-everybody").source_name, "everybody");
  EXPECT_EQ(all.edges.size(), 2u);

  const auto ada = must(store->user(acme, "ada"));
  EXPECT_EQ(ada.email, "ada@acme.example");
  EXPECT_EQ(ada.entry, "uid=ada,dc=acme");
  EXPECT_EQ(ada.source, source.id);

  const auto run = must(store->runs(acme, source.id, {})).items.at(0);
  EXPECT_EQ(run.outcome, Outcome::Applied);
  EXPECT_EQ(run.revision, last.revision);
  ASSERT_TRUE(run.plan.has_value());
  EXPECT_EQ(run.plan->counts.users[1], 2u);
  const auto changes = must(store->changes(acme, run.id, {.limit = 1000, .cursor = "", .query = ""}));
  ASSERT_EQ(changes.items.size(), 5u);
  EXPECT_EQ(changes.items[0].id, text(PrincipalType::User, people["ada"]));
  EXPECT_EQ(nlohmann::json::parse(changes.items[0].after)["username"], "ada");
  EXPECT_EQ(changes.items[3].name, "everybody");
  EXPECT_THAT(changes.items[3].after, HasSubstr("ada"));
  EXPECT_EQ(sql("SELECT count(*) FROM rosterd.audit_change WHERE tenant_id = (SELECT tenant_id FROM rosterd.tenant)"), "5");
  EXPECT_EQ(must(store->edge_origins(acme, std::vector{std::pair{groups["everybody"], people["ada"]}})).at(0).run, run.id);
  EXPECT_EQ(sql("SELECT count(*) FROM rosterd.source_lease WHERE expires_at IS NOT NULL"), "0");
  EXPECT_TRUE(must(store->source_state(acme, source.id)).last_complete_read.has_value());
}

TEST_P(StageBothWays, KeepingStoresThePlanAndNoRows) {
  const auto before = must(store->tenant(acme)).revision;
  const auto work = claim();
  auto plan = stage(work, GetParam());
  const auto user = person("ada");
  const auto id = next_id();
  constexpr std::uint64_t kLargeHash = 0xfedcba9876543210;  // more than a bigint holds without a sign
  must(plan->user(of(ChangeKind::Added, id, user, kLargeHash)));
  must(plan->group(of(ChangeKind::Added, next_id(), team("devs"))));
  must(plan->edge(edge(ChangeKind::EdgeAdded, PrincipalId{7}, id)));
  auto end = ended(Outcome::Held);
  end.reason = "guard_users";
  end.approval_expires_at = soon();
  ASSERT_OK(plan->keep(end));
  EXPECT_TRUE(held(source, acme).users.empty());
  EXPECT_TRUE(held(source, acme).edges.empty());
  EXPECT_EQ(must(store->tenant(acme)).revision, before);
  const auto run = must(store->run(acme, work.run.id));
  EXPECT_EQ(run.outcome, Outcome::Held);
  EXPECT_TRUE(run.approval_expires_at.has_value());
  const auto changes = must(store->changes(acme, work.run.id, {})).items;
  ASSERT_EQ(changes.size(), 3u);
  EXPECT_EQ(changes[0].id, "") << "what a plan would add has no id yet";
  std::vector<Store::StoredChange> stored;
  must(store->load_plan(acme, work.run.id, [&](const Store::StoredChange& one) -> Result<void> {
    stored.push_back(one);
    return {};
  }));
  ASSERT_EQ(stored.size(), 3u);
  EXPECT_FALSE(stored[0].object);
  EXPECT_EQ(stored[0].content_hash, kLargeHash);
  EXPECT_EQ(stored[0].change.external_id, "id-ada");
  EXPECT_FAILS(store->load_plan(acme, work.run.id, [](const auto&) -> Result<void> { return fail(Errc::Stopped, "enough"); }),
               Errc::Stopped);
  ASSERT_OK(store->ping());
}

TEST_P(StageBothWays, DroppingAStageLeavesNothing) {
  const auto work = claim();
  {
    auto plan = stage(work, GetParam());
    must(plan->user(of(ChangeKind::Added, next_id(), person("ada"))));
  }
  EXPECT_TRUE(held(source, acme).users.empty());
  EXPECT_EQ(must(store->run(acme, work.run.id)).outcome, Outcome::Running);
  ASSERT_OK(store->finish(work.lease, ended(Outcome::Abandoned)));
  EXPECT_EQ(must(store->run(acme, work.run.id)).outcome, Outcome::Abandoned);
}

TEST_P(StageBothWays, AStaleFenceAppliesNothing) {
  const auto work = claim();
  auto plan = stage(work, GetParam());
  must(plan->user(of(ChangeKind::Added, next_id(), person("ada"))));
  sql("UPDATE rosterd.source_lease SET fence = fence + 1");
  const auto refused = plan->apply(ended(Outcome::Applied));
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().slug, "stale_fence");
  EXPECT_EQ(plan->keep(ended(Outcome::Failed)).error().slug, "stale_fence");
  plan.reset();
  EXPECT_TRUE(held(source, acme).users.empty());
  EXPECT_EQ(store->heartbeat(work.lease, Millis(1000), "").error().slug, "stale_fence");
  EXPECT_EQ(store->begin_stage(work.lease, {}).error().slug, "stale_fence");
  EXPECT_EQ(store->finish(work.lease, ended(Outcome::Failed)).error().slug, "stale_fence");
}

TEST_F(StageTest, AThousandChunksOfPeopleArriveWhole) {
  const auto work = claim();
  auto plan = stage(work, true);
  const auto first = must(store->reserve_principal_ids(30'000));
  auto user = person("x");
  for (std::uint64_t i = 0; i < 30'000; ++i) {
    user.id.value = user.username = fmt::format("user{:05}", i);
    user.first_name = std::string(200, 'n');
    must(plan->user(of(ChangeKind::Added, PrincipalId{first + i}, user, i)));
  }
  EXPECT_EQ(must(plan->apply(ended(Outcome::Applied))).counts.users[1], 30'000u);
  const auto all = held(source, acme);
  ASSERT_EQ(all.users.size(), 30'000u);
  EXPECT_EQ(all.users.at("user12345").hash, 12'345u);
  EXPECT_EQ(sql("SELECT count(*) FROM rosterd.run_change_whole"), "30000");
  PageRequest page{.limit = 1000, .cursor = "", .query = ""};
  std::uint64_t seq = 0;
  do {
    const auto part = must(store->changes(acme, work.run.id, page));
    for (const auto& change : part.items) ASSERT_EQ(change.seq, ++seq);
    page.cursor = part.next;
  } while (!page.cursor.empty());
  EXPECT_EQ(seq, 30'000u);
}

TEST_F(StageTest, BytesThatAreNoTextAreMendedInsteadOfFailingTheRun) {
  const auto work = claim();
  auto plan = stage(work);
  auto user = person("ada");
  user.first_name = std::string(
      "A\0d\xff"
      "a",
      5);
  user.last_name = "Žižková \"quoted\" \\";
  must(plan->user(of(ChangeKind::Added, next_id(), user)));
  ASSERT_OK(plan->apply(ended(Outcome::Applied)));
  EXPECT_EQ(must(store->user(acme, "ada")).first_name,
            "A\xEF\xBF\xBD"
            "d\xEF\xBF\xBD"
            "a");
  EXPECT_EQ(must(store->user(acme, "ada")).last_name, user.last_name);
  const auto changes = must(store->changes(acme, work.run.id, {})).items;
  EXPECT_EQ(nlohmann::json::parse(changes[0].after)["last_name"], user.last_name);
}

TEST_F(StageTest, TwoUsersSwappingNamesAndEmailsSucceed) {
  bring({"ada", "bob"});
  const auto work = claim();
  auto plan = stage(work);
  auto ada = person("bob"), bob = person("ada");
  std::swap(ada.id, bob.id);
  must(plan->user(of(ChangeKind::Changed, people["ada"], ada, 2)));
  must(plan->user(of(ChangeKind::Changed, people["bob"], bob, 2)));
  ASSERT_OK(plan->apply(ended(Outcome::Applied)));
  EXPECT_EQ(must(store->user(acme, "ada")).id, people["bob"]);
  EXPECT_EQ(must(store->user(acme, "bob@acme.example")).id, people["ada"]);
  const auto change = must(store->changes(acme, work.run.id, {})).items.at(0);
  EXPECT_EQ(nlohmann::json::parse(change.before)["username"], "ada");
  EXPECT_EQ(nlohmann::json::parse(change.after)["username"], "bob");
}

TEST_F(StageTest, SuspendedComesBackWithTheSameIdAndAnAdministratorsMarkStays) {
  bring({"ada", "bob"});
  must(store->set_user_suspended(acme, people["ada"], true, kSomebody));
  auto plan = stage(claim());
  must(plan->user(gone(people["ada"], "id-ada")));
  auto end = ended(Outcome::Applied);
  end.users_leaving = 1;
  EXPECT_EQ(must(plan->apply(end)).counts.users[3], 1u);
  EXPECT_EQ(held(source, acme).users.at("id-ada").leaving, Leaving::Missing);
  EXPECT_EQ(must(store->recent_leaving(acme, source.id, TimePoint{})).users, 1u);
  EXPECT_EQ(must(store->user(acme, text(PrincipalType::User, people["ada"]))).state_reason, "no longer there");

  plan = stage(claim());
  const auto ada = person("ada");
  must(plan->user(of(ChangeKind::Resumed, people["ada"], ada)));
  ASSERT_OK(plan->apply(ended(Outcome::Applied)));
  const auto back = must(store->user(acme, text(PrincipalType::User, people["ada"])));
  EXPECT_EQ(back.source_suspended, Leaving::None);
  EXPECT_TRUE(back.admin_suspended);
  EXPECT_EQ(back.state_reason, "suspended by an administrator");
}

TEST_F(StageTest, PurgingTakesEdgesAndBindingsAlongAndTheIdIsNeverGivenAgain) {
  bring({"ada", "bob"});
  const auto viewer = must(store->roles(acme)).at(1).id;
  must(store->create_binding(acme, {.role = viewer, .principal = {PrincipalType::User, people["ada"]}, .ns = {}, .expires_at = {}},
                             kSomebody));
  auto plan = stage(claim());
  must(plan->user(gone(people["ada"], "id-ada")));
  must(plan->apply(ended(Outcome::Applied)));
  HeldAll due;
  must(store->load_held(acme, source.id, soon(), due));
  EXPECT_TRUE(due.users.at("id-ada").purge_due);
  EXPECT_FALSE(due.users.at("id-bob").purge_due);

  plan = stage(claim());
  auto purge = gone(people["ada"], "id-ada");
  purge.kind = ChangeKind::Purged;
  must(plan->user(purge));
  EXPECT_EQ(must(plan->apply(ended(Outcome::Applied))).counts.users[5], 1u);
  EXPECT_EQ(held(source, acme).users.count("id-ada"), 0u);
  EXPECT_EQ(held(source, acme).edges.size(), 1u);
  EXPECT_EQ(must(store->bindings(acme)).size(), 1u);
  EXPECT_GT(next_id(), people["bob"]);
}

TEST_F(StageTest, ASyncTouchesOnlyWhatItsSourceOwns) {
  bring({"ada"});
  const auto local = must(store->create_user(acme, person("local"), kSomebody)).value;
  must(store->add_member(acme, groups["everybody"], {PrincipalType::User, local.id}, kSomebody));
  must(store->add_member(acme, groups["everybody"], {PrincipalType::User, people["ada"]}, kSomebody));

  auto work = claim();
  auto plan = stage(work);
  must(plan->user(gone(local.id, "id-local")));
  EXPECT_EQ(plan->apply(ended(Outcome::Applied)).error().slug, "plan_outdated");
  plan.reset();
  must(store->finish(work.lease, ended(Outcome::Failed)));
  EXPECT_TRUE(must(store->user(acme, "local")).active());

  plan = stage(claim());
  must(plan->edge(edge(ChangeKind::EdgeRemoved, groups["everybody"], people["ada"])));
  must(plan->edge(edge(ChangeKind::EdgeRemoved, groups["everybody"], local.id)));
  EXPECT_EQ(must(plan->apply(ended(Outcome::Applied))).counts.edges_removed, 1u);
  EXPECT_EQ(must(store->members(acme, groups["everybody"], {})).items.size(), 2u) << "both local memberships stay";
}

// R44: a taken name gets a suffix and is reported.
TEST_F(StageTest, AGroupWhoseNameIsTakenGetsASuffixAndTheHolderKeepsIts) {
  must(store->create_group(acme, {.name = "Staff"}, kSomebody));
  auto plan = stage(claim());
  const auto b = team("staff", "bbbbbbbb-2"), a = team("STAFF", "aaaaaaaa-1");
  const auto late = team("Other", "zzzzzzzz-1"), early = team("other", "cccccccc-1");
  for (const auto* group : {&b, &a, &late, &early}) must(plan->group(of(ChangeKind::Added, next_id(), *group)));
  const auto applied = must(plan->apply(ended(Outcome::Applied)));
  ASSERT_EQ(applied.notices.size(), 1u);
  EXPECT_EQ(applied.notices[0].code, "name_collision");
  EXPECT_EQ(applied.notices[0].count, 3u);
  EXPECT_EQ(must(store->group(acme, "staff")).source_name, "");
  EXPECT_EQ(must(store->group(acme, "staff~bbbbbbbb")).source_name, "staff");
  EXPECT_EQ(must(store->group(acme, "STAFF~aaaaaaaa")).source_name, "STAFF");
  EXPECT_EQ(must(store->group(acme, "other")).external_id, "cccccccc-1");
  EXPECT_EQ(must(store->group(acme, "Other~zzzzzzzz")).external_id, "zzzzzzzz-1");
  EXPECT_EQ(must(store->runs(acme, source.id, {})).items.at(0).notices.at(0).code, "name_collision");
}

TEST_F(StageTest, GroupsWithOneNameAndOneBeginningOfTheirIdsAreStillTold) {
  auto plan = stage(claim());
  for (const auto* id : {"same-id-1", "same-id-2", "same-id-3"}) must(plan->group(of(ChangeKind::Added, next_id(), team("twins", id))));
  ASSERT_OK(plan->apply(ended(Outcome::Applied)));
  EXPECT_EQ(must(store->groups(acme, {})).items.size(), 3u);
  EXPECT_EQ(sql("SELECT count(DISTINCT name_key) FROM rosterd.tenant_group"), "3");
}

TEST_F(StageTest, GroupNamesAreSwappedAndReusedInOneBatch) {
  auto plan = stage(claim());
  const auto one = next_id(), two = next_id();
  const auto red = team("red", "id-1"), blue = team("blue", "id-2");
  must(plan->group(of(ChangeKind::Added, one, red)));
  must(plan->group(of(ChangeKind::Added, two, blue)));
  must(plan->apply(ended(Outcome::Applied)));

  plan = stage(claim());
  must(plan->group(of(ChangeKind::Changed, one, team("blue", "id-1"), 2)));
  must(plan->group(of(ChangeKind::Changed, two, team("red", "id-2"), 2)));
  EXPECT_TRUE(must(plan->apply(ended(Outcome::Applied))).notices.empty());
  EXPECT_EQ(must(store->group(acme, "blue")).id, one);

  // "blue" leaves and a new group of that name comes: a new principal under the plain name.
  plan = stage(claim());
  const auto three = next_id();
  must(plan->group(gone(one, "id-1")));
  must(plan->group(of(ChangeKind::Added, three, team("Blue", "id-3"))));
  EXPECT_TRUE(must(plan->apply(ended(Outcome::Applied))).notices.empty());
  EXPECT_EQ(must(store->group(acme, "blue")).id, three);

  // The old one comes back: the holder keeps the name.
  plan = stage(claim());
  const auto back = team("blue", "id-1");
  must(plan->group(of(ChangeKind::Resumed, one, back, 2)));
  EXPECT_EQ(must(plan->apply(ended(Outcome::Applied))).notices.size(), 1u);
  EXPECT_EQ(must(store->group(acme, "blue")).id, three);
  EXPECT_EQ(must(store->group(acme, "blue~id-1")).id, one);
}

TEST_F(StageTest, RoleMappedBindingsComeAndGoWithTheirSource) {
  bring({"ada"});
  const auto viewer = must(store->roles(acme)).at(1);
  auto plan = stage(claim());
  StagedBinding mapped{.kind = ChangeKind::BindingAdded,
                       .id = {},
                       .role = viewer.id,
                       .role_name = "Viewer",
                       .group = groups["everybody"],
                       .group_external_id = "gid-everybody",
                       .ns = "a.b",
                       .reason = "mapping ^every"};
  must(plan->binding(mapped));
  EXPECT_EQ(must(plan->apply(ended(Outcome::Applied))).counts.bindings_added, 1u);
  const auto all = held(source, acme);
  ASSERT_EQ(all.bindings.size(), 1u);
  EXPECT_EQ(all.bindings[0].ns, "a.b");
  EXPECT_EQ(store->delete_binding(acme, all.bindings[0].id, false, kSomebody).error().slug, "owned_by_source");

  const auto work = claim();
  plan = stage(work);
  mapped.kind = ChangeKind::BindingRemoved;
  mapped.id = all.bindings[0].id;
  must(plan->binding(mapped));
  EXPECT_EQ(must(plan->apply(ended(Outcome::Applied))).counts.bindings_removed, 1u);
  EXPECT_TRUE(held(source, acme).bindings.empty());
  EXPECT_EQ(must(store->recent_leaving(acme, source.id, TimePoint{})).bindings, 1u);
  const auto change = must(store->changes(acme, work.run.id, {})).items.at(0);
  EXPECT_EQ(change.id, text(all.bindings[0].id));
  EXPECT_THAT(change.before, HasSubstr("a.b"));
  EXPECT_EQ(nlohmann::json::parse(change.before)["group"], "everybody") << "the group is named, not only numbered";
}

TEST_F(StageTest, TheLastAdminIsNeverSuspendedByASyncAndThePlanCanStillBeKept) {
  bring({"ada", "bob"});
  const auto roles = must(store->roles(acme));
  const auto creators = must(store->bindings(acme)).at(0).id;
  must(store->create_binding(
      acme, {.role = roles[0].id, .principal = {PrincipalType::Group, groups["everybody"]}, .ns = {}, .expires_at = {}}, kSomebody));
  must(store->delete_binding(acme, creators, false, kSomebody));

  const auto work = claim();
  auto plan = stage(work);
  must(plan->user(gone(people["ada"], "id-ada")));
  must(plan->user(gone(people["bob"], "id-bob")));
  const auto before = must(store->tenant(acme)).revision;
  const auto refused = plan->apply(ended(Outcome::Applied));
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().slug, "last_admin");
  EXPECT_EQ(refused.error().code, Errc::Refused);
  auto end = ended(Outcome::Held);
  end.reason = "last_admin";
  end.approval_expires_at = soon();
  ASSERT_OK(plan->keep(end));
  EXPECT_EQ(must(store->tenant(acme)).revision, before);
  EXPECT_TRUE(must(store->user(acme, "ada")).active());
  EXPECT_EQ(must(store->changes(acme, work.run.id, {})).items.size(), 2u);

  // One of two may leave.
  plan = stage(claim());
  must(plan->user(gone(people["ada"], "id-ada")));
  EXPECT_OK(plan->apply(ended(Outcome::Applied)));
}

TEST_F(StageTest, AnEagerPlanThatIsRefusedCanBeKeptToo) {
  const auto work = claim();
  auto plan = stage(work, true);
  must(plan->user(of(ChangeKind::Added, next_id(), person("ada"))));
  sql("UPDATE rosterd.tenant SET enabled = false");
  EXPECT_EQ(plan->apply(ended(Outcome::Applied)).error().slug, "tenant_disabled");
  ASSERT_OK(plan->keep(ended(Outcome::Failed)));
  EXPECT_TRUE(held(source, acme).users.empty());
  EXPECT_EQ(must(store->changes(acme, work.run.id, {})).items.size(), 1u);
}

TEST_F(StageTest, AnUnchangedRunWritesNoTenantRowsAndNoRevision) {
  bring({"ada"});
  const auto before = must(store->tenant(acme)).revision;
  auto plan = stage(claim());
  auto end = ended(Outcome::Unchanged);
  end.cursor = "c1";
  ASSERT_OK(plan->keep(end));
  EXPECT_EQ(must(store->tenant(acme)).revision, before);
  EXPECT_EQ(must(store->source_state(acme, source.id)).cursor, "c1");
}

TEST_F(StageTest, SkippedRecordsOfARunThatChangesNothingAreToldInANoticeAndWriteNoRow) {
  bring({"ada"});
  const auto end_with = [&](Outcome outcome, int skipped, bool change = false) {
    const auto work = claim();
    auto plan = stage(work);
    for (int i = 0; i < skipped; ++i) {
      const auto id = fmt::format("id-{}", i);
      const auto reason = fmt::format("uid=u{},dc=acme: no username", i);
      must(plan->user({.kind = ChangeKind::Skipped,
                       .id = i == 0 ? people["ada"] : PrincipalId{},
                       .external_id = id,
                       .content_hash = 1,
                       .before_hash = 1,
                       .leaving = Leaving::None,
                       .reason = reason,
                       .user = nullptr,
                       .group = nullptr}));
    }
    if (change) must(plan->user(of(ChangeKind::Added, next_id(), person("new"))));
    if (change)
      must(plan->apply(ended(outcome)));
    else
      must(plan->keep(ended(outcome)));
    return must(store->run(acme, work.run.id));
  };
  const auto rows = [&] { return sql("SELECT count(*) FROM rosterd.run_change WHERE kind = 10"); };
  for (const auto outcome : {Outcome::Unchanged, Outcome::Partial}) {
    const auto run = end_with(outcome, 5);
    EXPECT_EQ(rows(), "0");
    ASSERT_EQ(run.notices.size(), 1u);
    EXPECT_EQ(run.notices[0].code, "skipped");
    EXPECT_EQ(run.notices[0].count, 5u);
    EXPECT_THAT(run.notices[0].text, HasSubstr("uid=u0,dc=acme: no username; uid=u1,dc=acme: no username"));
    EXPECT_THAT(run.notices[0].text, HasSubstr("and 2 more"));
  }
  EXPECT_TRUE(end_with(Outcome::Unchanged, 0).notices.empty());
  EXPECT_EQ(end_with(Outcome::Planned, 2).notices.size(), 0u);
  EXPECT_EQ(rows(), "2") << "a dry run lists them all";
  end_with(Outcome::Applied, 3, true);
  EXPECT_EQ(rows(), "5") << "and so does a run that changes something";
}

TEST_F(StageTest, AHeldPlanShowsTheFirstHundredOfEachKindAndNamesWhomItWouldAdd) {
  std::vector<std::string> names;
  for (int i = 0; i < 130; ++i) names.push_back(fmt::format("p{:03}", i));
  bring(names);
  const auto work = claim();
  auto plan = stage(work);
  for (const auto& name : names) must(plan->user(gone(people[name], "id-" + name)));
  const auto newcomer = person("newcomer");
  const auto newteam = team("newteam");
  const auto user = next_id(), group = next_id();
  must(plan->user(of(ChangeKind::Added, user, newcomer)));
  must(plan->group(of(ChangeKind::Added, group, newteam)));
  must(plan->edge(edge(ChangeKind::EdgeAdded, group, user)));
  must(plan->edge(edge(ChangeKind::EdgeRemoved, groups["everybody"], people["p007"])));
  must(plan->binding({.kind = ChangeKind::BindingAdded,
                      .id = {},
                      .role = must(store->roles(acme)).at(1).id,
                      .role_name = "Viewer",
                      .group = group,
                      .group_external_id = "gid-newteam",
                      .ns = std::nullopt,
                      .reason = "mapping"}));
  auto end = ended(Outcome::Held);
  end.reason = "guard_users";
  end.approval_expires_at = soon();
  end.plan->counts.users[static_cast<std::size_t>(ChangeKind::Suspended)] = 130;
  ASSERT_OK(plan->keep(end));
  plan.reset();

  const auto shown = nlohmann::json::parse(must(store->held_changes(acme, work.run.id)));
  std::map<std::string, int> kinds;
  for (const auto& change : shown) ++kinds[change["object"]["type"].get<std::string>() + " " + change["kind"].get<std::string>()];
  EXPECT_EQ(kinds, (std::map<std::string, int>{{"user added", 1},
                                               {"user suspended", 100},
                                               {"group added", 1},
                                               {"membership edge_added", 1},
                                               {"membership edge_removed", 1},
                                               {"binding binding_added", 1}}));
  EXPECT_EQ(shown[1]["object"]["name"], "p000");
  EXPECT_EQ(shown[1]["before"], nullptr) << "contents are what /changes is for";
  const auto changes = must(store->changes(acme, work.run.id, {.limit = 1000, .cursor = "", .query = ""})).items;
  const auto edge_added = std::find_if(changes.begin(), changes.end(), [](const Change& c) { return c.kind == ChangeKind::EdgeAdded; });
  ASSERT_NE(edge_added, changes.end());
  EXPECT_EQ(edge_added->name, "newteam");
  EXPECT_EQ(nlohmann::json::parse(edge_added->after)["member_name"], "newcomer");
  EXPECT_EQ(nlohmann::json::parse(changes.back().after)["group"], "newteam");

  const auto audit = nlohmann::json::parse(sql("SELECT after FROM rosterd.audit WHERE action = 'run_held'"));
  EXPECT_EQ(audit["reason"], "guard_users");
  EXPECT_EQ(audit["counts"]["users"]["suspended"], 130);
  EXPECT_EQ(audit["first_changes"].size(), shown.size());

  plan = stage(claim());
  must(plan->user(gone(people["p000"], "id-p000")));
  ASSERT_OK(plan->keep(end));
  EXPECT_EQ(sql("SELECT count(*) FROM rosterd.audit WHERE action = 'run_held' AND after LIKE '%first_changes%'"), "1")
      << "a plan that waits already is not told again object by object";
  EXPECT_EQ(
      sql("SELECT count(*) FROM rosterd.audit WHERE action = 'run_held' AND after LIKE '%\"waits_as\":\"" + text(work.run.id) + "\"%'"),
      "1");
}

TEST_F(StageTest, ADryRunMovesNeitherCursorNorLastRead) {
  must(store->request_run(acme, source.id, RunMode::Auto, true, kSomebody));
  const auto work = claim();
  ASSERT_TRUE(work.run.dry_run);
  auto plan = stage(work);
  must(plan->user(of(ChangeKind::Added, next_id(), person("ada"))));
  auto end = ended(Outcome::Planned);
  end.cursor = "c1";
  end.scope_fingerprint = "s";
  ASSERT_OK(plan->keep(end));
  const auto state = must(store->source_state(acme, source.id));
  EXPECT_EQ(state.cursor, "");
  EXPECT_EQ(state.scope_fingerprint, "");
  EXPECT_FALSE(state.last_complete_read.has_value());
  EXPECT_EQ(must(store->changes(acme, work.run.id, {})).items.size(), 1u);
}

TEST_F(StageTest, AReadOfChangesIsNoFullRead) {
  auto end = ended(Outcome::Unchanged);
  end.complete = true;
  end.cursor = "c1";
  end.cursor_kind = "admin_events";
  ASSERT_OK(stage(claim())->keep(end));
  const auto state = must(store->source_state(acme, source.id));
  EXPECT_EQ(state.cursor, "c1");
  EXPECT_FALSE(state.last_complete_read.has_value()) << "the next full read is due as before";
}

TEST_F(StageTest, AnApprovedPlanIsReplacedByWhatWasApplied) {
  auto work = claim();
  auto plan = stage(work);
  const auto ada = person("ada");
  must(plan->user(of(ChangeKind::Added, next_id(), ada)));
  auto end = ended(Outcome::Held);
  end.approval_expires_at = soon();
  must(plan->keep(end));
  plan.reset();

  EXPECT_EQ(store->approve_run(acme, work.run.id, "other", kSomebody).error().slug, "plan_outdated");
  const auto queued = must(store->approve_run(acme, work.run.id, end.plan->hash, kSomebody));
  EXPECT_EQ(queued.mode, RunMode::Approval);
  EXPECT_EQ(store->approve_run(acme, work.run.id, end.plan->hash, kSomebody).error().slug, "plan_outdated");

  const auto approved = claim();
  EXPECT_EQ(approved.run.id, work.run.id);
  plan = stage(approved);
  const auto id = next_id();
  must(plan->user(of(ChangeKind::Added, id, ada)));
  auto good = ended(Outcome::Applied);
  good.approved = true;
  ASSERT_OK(plan->apply(good));
  const auto changes = must(store->changes(acme, work.run.id, {})).items;
  ASSERT_EQ(changes.size(), 1u);
  EXPECT_EQ(changes[0].id, text(PrincipalType::User, id));
}

TEST_F(StageTest, AnEqualPlanKeepsTheHeldOneAndADifferentOneReplacesIt) {
  const auto hold = [&](char hash) {
    const auto work = claim();
    auto plan = stage(work);
    must(plan->user(of(ChangeKind::Added, next_id(), person("ada"))));
    auto end = ended(Outcome::Held);
    end.plan->hash = std::string(64, hash);
    end.approval_expires_at = soon();
    must(plan->keep(end));
    return work.run.id;
  };
  const auto first = hold('a');
  hold('a');
  EXPECT_EQ(must(store->status(acme)).at(0).held->id, first);
  const auto third = hold('b');
  EXPECT_EQ(must(store->status(acme)).at(0).held->id, third);
  EXPECT_EQ(must(store->run(acme, first)).reason, "superseded");
  ASSERT_OK(store->discard_run(acme, third, kSomebody));
  EXPECT_FALSE(must(store->status(acme)).at(0).held.has_value());
  EXPECT_EQ(store->discard_run(acme, third, kSomebody).error().slug, "plan_outdated");
}

// ---- reading back what a snapshot is made of ------------------------------------------------------------------------------------

struct Counted : AuthorizationSink {
  Revision revision;
  std::uint64_t users = 0, groups = 0, edges = 0, seen_edges = 0;
  std::map<std::string, bool> active;
  std::vector<std::string> group_keys;
  bool super = false;
  std::size_t roles = 0, bindings = 0;
  void begin(const Revision& at, bool, std::uint64_t u, std::uint64_t g, std::uint64_t e) override {
    revision = at, users = u, groups = g, edges = e;
  }
  void user(PrincipalId, std::string_view name, std::string_view, bool is_active, bool super_admin) override {
    active[std::string(name)] = is_active;
    super |= super_admin;
  }
  void group(PrincipalId, std::string_view folded, std::string_view, bool) override { group_keys.emplace_back(folded); }
  void service_account(PrincipalId, std::string_view, bool) override {}
  void edge(PrincipalId, PrincipalId) override { ++seen_edges; }
  void role(const Role&) override { ++roles; }
  void binding(const Binding&) override { ++bindings; }
};

TEST_F(StageTest, AuthorizationRowsHaveExactCountsAndOneRevision) {
  bring({"ada", "bob"});
  must(store->add_member(acme, groups["everybody"], {PrincipalType::User, people["ada"]}, kSomebody));
  auto plan = stage(claim());
  must(plan->user(gone(people["bob"], "id-bob")));
  must(plan->group(gone(groups["everybody"], "gid-everybody")));
  must(plan->apply(ended(Outcome::Applied)));
  Counted rows;
  ASSERT_OK(store->load_authorization(acme, rows));
  EXPECT_EQ(rows.revision, must(store->tenant(acme)).revision);
  EXPECT_EQ(rows.users, rows.active.size());
  EXPECT_EQ(rows.edges, 2u) << "a local twin of a source's edge is one membership";
  EXPECT_EQ(rows.seen_edges, rows.edges);
  EXPECT_TRUE(rows.active.at("ada"));
  EXPECT_FALSE(rows.active.at("bob"));
  EXPECT_TRUE(rows.super);
  EXPECT_THAT(rows.group_keys, ::testing::ElementsAre("everybody")) << "found by name although it holds none while suspended";
  EXPECT_EQ(rows.bindings, 1u);
}

}  // namespace
}  // namespace rosterd::test
