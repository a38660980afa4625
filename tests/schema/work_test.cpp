#include <future>
#include <thread>

#include "tests/schema/store_fixture.hpp"

// Who syncs what: leases, the queue, housekeeping, what becomes of a deleted source's objects.

namespace rosterd::test {
namespace {

class WorkTest : public StoreTest {
 protected:
  std::optional<Work> try_claim(const std::string& holder, Millis lease = Millis(60'000)) {
    return must(store->claim(holder, lease, soon()));
  }
};

TEST_F(WorkTest, ASourceIsRunByOneHolderAtATime) {
  make_source(acme, "corp");
  const auto work = try_claim("one");
  ASSERT_TRUE(work.has_value());
  EXPECT_EQ(work->run.outcome, Outcome::Running);
  EXPECT_EQ(work->source.name, "corp");
  EXPECT_FALSE(try_claim("two").has_value());
  ASSERT_OK(store->heartbeat(work->lease, Millis(60'000), R"({"phase":"reading users"})"));
  EXPECT_EQ(must(store->run(acme, work->run.id)).progress, R"({"phase":"reading users"})");
  ASSERT_OK(store->finish(work->lease, ended(Outcome::Unchanged)));
  EXPECT_EQ(must(store->run(acme, work->run.id)).outcome, Outcome::Unchanged);
  ASSERT_TRUE(try_claim("two").has_value());
}

TEST_F(WorkTest, ManyClaimersGetEverySourceOnce) {
  for (int i = 0; i < 12; ++i) make_source(acme, fmt::format("s{}", i));
  std::vector<std::thread> claimers;
  std::mutex mutex;
  std::vector<std::string> got;
  const auto other = open_store(database);
  for (int i = 0; i < 6; ++i)
    claimers.emplace_back([&, i] {
      Store& mine = i % 2 ? *store : *other;
      while (const auto work = must(mine.claim(fmt::format("h{}", i), Millis(60'000), soon()))) {
        const std::lock_guard lock(mutex);
        got.push_back(work->source.name);
      }
    });
  for (auto& claimer : claimers) claimer.join();
  EXPECT_EQ(got.size(), 12u);
  std::sort(got.begin(), got.end());
  EXPECT_EQ(std::unique(got.begin(), got.end()), got.end());
}

TEST_F(WorkTest, AnExpiredLeaseIsTakenOverAndTheOldHolderIsStale) {
  make_source(acme, "corp");
  const auto old = try_claim("one", Millis(1));
  std::this_thread::sleep_for(Millis(20));  // the lease is the database's clock, which no test can turn
  const auto next = try_claim("two");
  ASSERT_TRUE(next.has_value());
  EXPECT_GT(next->lease.fence, old->lease.fence);
  const auto left = must(store->run(acme, old->run.id));
  EXPECT_EQ(left.outcome, Outcome::Abandoned);
  EXPECT_EQ(left.reason, "lease_expired");
  EXPECT_EQ(store->heartbeat(old->lease, Millis(1000), "").error().slug, "stale_fence");
}

/// A row or a table that somebody else has locked.
class Locked {
 public:
  Locked(const Database& database, const std::string& statement) : session_(database.superuser_url) {
    session_.execute("BEGIN");
    session_.execute(statement);
  }
  void release() { session_.execute("COMMIT"); }

 private:
  e2e::SqlSession session_;
};

TEST_F(WorkTest, ALongApplyNeitherStopsTheHeartbeatNorLosesItsLease) {
  make_source(acme, "corp");
  const auto work = *try_claim("one", Millis(1));
  auto plan = stage(work);
  must(plan->user(of(ChangeKind::Added, next_id(), person("ada"))));
  Locked table(database, "LOCK TABLE rosterd.run_change IN SHARE ROW EXCLUSIVE MODE");  // stops the apply behind its look at the fence
  auto applying = std::async(std::launch::async, [&] { return plan->apply(ended(Outcome::Applied)); });
  ASSERT_TRUE(wait_until([&] { return waiting() == 1; }));
  EXPECT_EQ(must(store->sweep(soon())), 0u) << "its lease has run out, but it is at work";
  EXPECT_FALSE(try_claim("two").has_value());
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_OK(store->heartbeat(work.lease, Millis(3'600'000), ""));
  EXPECT_LT(std::chrono::steady_clock::now() - begun, Millis(1000));
  EXPECT_EQ(sql("SELECT expires_at > now() + interval '30 min' FROM rosterd.source_lease"), "t");
  table.release();
  ASSERT_OK(applying.get());
  EXPECT_EQ(must(store->run(acme, work.run.id)).outcome, Outcome::Applied);
  EXPECT_TRUE(try_claim("two").has_value()) << "and the lease is free";
}

TEST_F(WorkTest, AHeartbeatWaitsForNobodyWhoHasLockedTheLease) {
  make_source(acme, "corp");
  const auto work = *try_claim("one");
  Locked lease(database, "SELECT 1 FROM rosterd.source_lease FOR UPDATE");
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_OK(store->heartbeat(work.lease, Millis(1000), R"({"phase":"applying"})"));
  EXPECT_LT(std::chrono::steady_clock::now() - begun, Millis(1000));
}

TEST_F(WorkTest, AHeartbeatAndASnapshotDoNotWaitForACrowdOfRequests) {
  make_source(acme, "corp");
  const auto work = *try_claim("one");
  Locked tenant(database, "SELECT 1 FROM rosterd.tenant FOR NO KEY UPDATE");
  std::vector<std::future<Result<Written<Tenant>>>> crowd;
  for (int i = 0; i < 6; ++i)  // as many as the pool has connections
    crowd.push_back(std::async(std::launch::async, [&] { return store->change_tenant(acme, {.name = "Acme", .enabled = {}}, kSomebody); }));
  ASSERT_TRUE(wait_until([&] { return waiting() == 6; }));
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_OK(store->heartbeat(work.lease, Millis(1000), ""));
  EXPECT_OK(store->revisions());
  EXPECT_LT(std::chrono::steady_clock::now() - begun, Millis(1000));
  tenant.release();
  for (auto& one : crowd) EXPECT_OK(one.get());
}

TEST_F(WorkTest, ARunWhoseTenantIsDisabledWhileItsPlanIsKeptStaysAbandoned) {
  make_source(acme, "corp");
  const auto work = *try_claim("one");
  auto plan = stage(work);
  must(plan->user(of(ChangeKind::Added, next_id(), person("ada"))));
  Locked table(database, "LOCK TABLE rosterd.run_change IN SHARE ROW EXCLUSIVE MODE");
  auto keeping = std::async(std::launch::async, [&] { return plan->keep(ended(Outcome::Held)); });
  ASSERT_TRUE(wait_until([&] { return waiting() == 1; }));
  must(store->change_tenant(acme, {.name = {}, .enabled = false}, kSomebody));
  table.release();
  EXPECT_EQ(keeping.get().error().slug, "stale_fence");
  EXPECT_EQ(must(store->run(acme, work.run.id)).reason, "tenant_disabled");
}

TEST_F(WorkTest, ARequestInTheMomentOfAClaimIsNotOvertakenByALaterRun) {
  const auto source = make_source(acme, "corp");
  Locked audit(database, "LOCK TABLE rosterd.audit IN SHARE MODE");  // stops the request when its run has its number
  auto requesting = std::async(std::launch::async, [&] { return store->request_run(acme, source.id, RunMode::Auto, false, kSomebody); });
  ASSERT_TRUE(wait_until([&] { return waiting() == 1; }));
  EXPECT_FALSE(try_claim("one").has_value()) << "a scheduled run would start first under the higher number";
  audit.release();
  const auto requested = must(requesting.get());
  EXPECT_EQ(try_claim("one")->run.id, requested.id);
}

TEST_F(WorkTest, ADryRunDoesNotMoveTheNextRealOne) {
  const auto source = make_source(acme, "corp");
  auto end = ended(Outcome::Failed);
  end.failures = 2;
  end.next_due = soon() - std::chrono::minutes(1);
  must(store->finish(try_claim("one")->lease, end));
  for (const auto outcome : {Outcome::Planned, Outcome::Failed, Outcome::Abandoned}) {
    must(store->request_run(acme, source.id, RunMode::Auto, true, kSomebody));
    const auto dry = *try_claim("one");
    ASSERT_TRUE(dry.run.dry_run);
    auto over = ended(outcome);
    over.next_due = soon() + std::chrono::hours(24);
    over.failures = 7;
    must(store->finish(dry.lease, over));
    const auto status = must(store->status(acme)).at(0);
    EXPECT_EQ(status.next_run, end.next_due);
    EXPECT_EQ(status.failures, 2u);
  }
  EXPECT_TRUE(try_claim("one").has_value()) << "what was due is due";
}

TEST_F(WorkTest, AnAppliedApprovalLeavesNoEqualPlanWaiting) {
  make_source(acme, "corp");
  const auto hold = [&](char hash) {
    const auto work = *try_claim("one");
    auto end = ended(Outcome::Held);
    end.plan->hash = std::string(64, hash);
    end.approval_expires_at = soon();
    must(stage(work)->keep(end));
    return work.run.id;
  };
  const auto first = hold('a');
  must(store->approve_run(acme, first, std::string(64, 'a'), kSomebody));
  // A scheduled run that came before the approval's own: in the store's eyes nothing waits, so its equal plan does.
  sql("UPDATE rosterd.run SET outcome = 8 WHERE outcome = 1");
  const auto second = hold('a');
  sql("UPDATE rosterd.run SET outcome = 1 WHERE outcome = 8");
  ASSERT_EQ(must(store->status(acme)).at(0).held->id, second);
  const auto approved = *try_claim("one");
  ASSERT_EQ(approved.run.id, first);
  auto good = ended(Outcome::Applied);
  good.complete = false;
  good.approved = true;
  auto plan = stage(approved);
  must(plan->user(of(ChangeKind::Added, next_id(), person("ada"))));
  ASSERT_OK(plan->apply(good));
  EXPECT_FALSE(must(store->status(acme)).at(0).held.has_value());
  EXPECT_EQ(must(store->run(acme, second)).reason, "superseded");
}

TEST_F(WorkTest, TheSweepMarksWhatNobodyHoldsAnyMore) {
  make_source(acme, "corp");
  const auto old = try_claim("one", Millis(1));
  std::this_thread::sleep_for(Millis(20));  // as above
  EXPECT_EQ(must(store->sweep(soon())), 1u);
  EXPECT_EQ(must(store->sweep(soon())), 0u);
  EXPECT_EQ(must(store->run(acme, old->run.id)).outcome, Outcome::Abandoned);
  EXPECT_EQ(store->heartbeat(old->lease, Millis(1000), "").error().slug, "stale_fence");
}

TEST_F(WorkTest, RequestedRunsComeBeforeScheduledOnesAndDisabledOnesNever) {
  const auto a = make_source(acme, "a"), b = make_source(acme, "b");
  const auto requested = must(store->request_run(acme, b.id, RunMode::Full, false, kSomebody));
  const auto work = try_claim("one");
  EXPECT_EQ(work->run.id, requested.id);
  EXPECT_EQ(work->run.mode, RunMode::Full);
  must(store->change_tenant(acme, {.name = {}, .enabled = false}, kSomebody));
  EXPECT_FALSE(try_claim("two").has_value());
  EXPECT_EQ(store->heartbeat(work->lease, Millis(1000), "").error().slug, "stale_fence");
  EXPECT_EQ(must(store->run(acme, requested.id)).outcome, Outcome::Abandoned);
  EXPECT_FAILS(store->request_run(acme, a.id, RunMode::Auto, false, kSomebody), Errc::Conflict);
  must(store->change_tenant(acme, {.name = {}, .enabled = true}, kSomebody));
  EXPECT_TRUE(try_claim("two").has_value());
}

TEST_F(WorkTest, OfADisabledSourceOnlyARequestedDryRunRuns) {
  auto settings = new_source("corp");
  settings.enabled = false;
  const auto source = must(store->create_source(acme, settings, kSomebody)).value;
  EXPECT_FALSE(try_claim("one").has_value()) << "it is due, and disabled";
  EXPECT_EQ(store->request_run(acme, source.id, RunMode::Full, false, kSomebody).error().slug, "source_disabled");
  const auto asked = must(store->request_run(acme, source.id, RunMode::Full, true, kSomebody));
  const auto work = try_claim("one");
  ASSERT_TRUE(work.has_value());
  EXPECT_EQ(work->run.id, asked.id);
  EXPECT_TRUE(work->run.dry_run);
  auto end = ended(Outcome::Planned);
  end.next_due = TimePoint(std::chrono::microseconds(0));
  ASSERT_OK(stage(*work)->keep(end));
  EXPECT_EQ(must(store->run(acme, asked.id)).outcome, Outcome::Planned);
  EXPECT_FALSE(try_claim("one").has_value()) << "nothing follows from it";
}

TEST_F(WorkTest, ARunThatWaitsWhileItsSourceIsDisabledDoesNotHideADryRun) {
  const auto source = make_source(acme, "corp");
  const auto waiting = must(store->request_run(acme, source.id, RunMode::Full, false, kSomebody));
  auto settings = new_source("corp");
  settings.enabled = false;
  must(store->change_source(acme, source.id, settings, 0, kSomebody));
  const auto dry = must(store->request_run(acme, source.id, RunMode::Full, true, kSomebody));
  const auto work = try_claim("one");
  ASSERT_TRUE(work.has_value());
  EXPECT_EQ(work->run.id, dry.id);
  ASSERT_OK(store->finish(work->lease, ended(Outcome::Failed)));
  EXPECT_FALSE(try_claim("one").has_value());
  EXPECT_EQ(must(store->run(acme, waiting.id)).outcome, Outcome::Queued);
}

TEST_F(WorkTest, AnApprovedRunKnowsTheSettingsItsPlanWasMadeWith) {
  const auto source = make_source(acme, "corp");
  const auto work = *try_claim("one");
  auto end = ended(Outcome::Held);
  end.source_version = work.source.version;
  end.approval_expires_at = soon() + std::chrono::hours(1);
  must(stage(work)->keep(end));
  EXPECT_TRUE(must(store->run(acme, work.run.id)).notices.empty()) << "no notice for people: it is nothing that was found";
  must(store->change_source(acme, source.id, new_source("corp"), 0, kSomebody));
  must(store->approve_run(acme, work.run.id, end.plan->hash, kSomebody));
  const auto again = *try_claim("one");
  EXPECT_EQ(again.run.mode, RunMode::Approval);
  EXPECT_EQ(again.plan_version, work.source.version);
  EXPECT_EQ(again.source.version, work.source.version + 1);
}

TEST_F(WorkTest, ATenantWithManySourcesDoesNotKeepAnotherWaiting) {
  for (int i = 0; i < 3; ++i) make_source(acme, fmt::format("s{}", i));
  make_tenant("beta");
  make_source(TenantId{"beta"}, "only");
  EXPECT_EQ(try_claim("one")->lease.tenant.value, "acme");
  EXPECT_EQ(try_claim("two")->lease.tenant.value, "beta");
}

TEST_F(WorkTest, TheNextRunIsWhenItsEndSaidAndARequestIsDueNow) {
  const auto source = make_source(acme, "corp");
  const auto work = *try_claim("one");
  auto end = ended(Outcome::Failed);
  end.failures = 3;
  end.next_due = soon() + std::chrono::hours(5);
  must(store->finish(work.lease, end));
  EXPECT_FALSE(try_claim("one").has_value());
  const auto status = must(store->status(acme)).at(0);
  EXPECT_EQ(status.failures, 3u);
  EXPECT_EQ(status.next_run, end.next_due);
  EXPECT_EQ(status.last_run->id, work.run.id);
  must(store->request_run(acme, source.id, RunMode::Auto, false, kSomebody));
  EXPECT_TRUE(try_claim("one").has_value());
}

TEST_F(WorkTest, AnApprovalNobodyGaveExpires) {
  make_source(acme, "corp");
  const auto work = *try_claim("one");
  auto end = ended(Outcome::Held);
  end.approval_expires_at = soon();
  must(stage(work)->keep(end));
  must(store->sweep(soon() + std::chrono::hours(1)));
  EXPECT_EQ(must(store->run(acme, work.run.id)).reason, "approval_expired");
  EXPECT_EQ(store->approve_run(acme, work.run.id, end.plan->hash, kSomebody).error().slug, "plan_outdated");
}

TEST_F(WorkTest, ADeletedSourcesObjectsAreSuspendedAndPurgedAfterThirtyDays) {
  const auto source = make_source(acme, "corp");
  const auto work = *try_claim("one");
  auto plan = stage(work);
  const auto ada = next_id(), devs = next_id();
  must(plan->user(of(ChangeKind::Added, ada, person("ada"))));
  must(plan->group(of(ChangeKind::Added, devs, team("devs"))));
  must(plan->edge(edge(ChangeKind::EdgeAdded, devs, ada)));
  must(plan->apply(ended(Outcome::Applied)));
  plan.reset();

  EXPECT_FAILS(store->delete_source(acme, source.id, Force::No, kSomebody), Errc::Conflict);
  must(store->delete_source(acme, source.id, Force::Suspend, kSomebody));
  EXPECT_EQ(must(store->user(acme, "ada")).source_suspended, Leaving::SourceDeleted);
  EXPECT_EQ(must(store->group(acme, "devs")).source_suspended, Leaving::SourceDeleted);
  EXPECT_EQ(must(store->run(acme, work.run.id)).source_name, "corp") << "what runs did outlives their source";

  const auto before = must(store->tenant(acme)).revision;
  must(store->sweep(soon() + std::chrono::days(29)));
  EXPECT_OK(store->user(acme, "ada"));
  must(store->sweep(soon() + std::chrono::days(31)));
  EXPECT_FAILS(store->user(acme, "ada"), Errc::NotFound);
  EXPECT_EQ(sql("SELECT count(*) FROM rosterd.membership"), "0");
  EXPECT_GT(must(store->tenant(acme)).revision, before);
  EXPECT_TRUE(must(store->linked_user(acme, admin)).has_value()) << "local people are nobody's to purge";
  for (const auto& tenant : {std::optional(acme), std::optional<TenantId>()}) {
    const auto history = must(store->audit(tenant, {.object = text(PrincipalType::User, ada)}, {})).items;
    ASSERT_FALSE(history.empty());
    EXPECT_EQ(history.front().action, "purged") << "what became of her is told, too";
  }
  EXPECT_THAT(must(store->audit(acme, {.object = text(PrincipalType::User, next_id())}, {})).items, testing::IsEmpty());
}

TEST_F(WorkTest, DeletingASourceDoesNotTakeTheLastAdminAlongUnlessTold) {
  const auto source = make_source(acme, "corp");
  auto plan = stage(*try_claim("one"));
  const auto ada = next_id(), admins = next_id();
  must(plan->user(of(ChangeKind::Added, ada, person("ada"))));
  must(plan->group(of(ChangeKind::Added, admins, team("admins"))));
  must(plan->edge(edge(ChangeKind::EdgeAdded, admins, ada)));
  must(plan->apply(ended(Outcome::Applied)));
  plan.reset();
  const auto creators = must(store->bindings(acme)).at(0);
  must(store->create_binding(acme, {.role = creators.role, .principal = {PrincipalType::Group, admins}, .ns = {}, .expires_at = {}},
                             kSomebody));
  must(store->delete_binding(acme, creators.id, false, kSomebody));  // now the directory's group alone holds Admin

  const auto refused = store->delete_source(acme, source.id, Force::Suspend, kSomebody);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().slug, "last_admin");
  EXPECT_EQ(must(store->user(acme, "ada")).source_suspended, Leaving::None) << "nothing of it stayed";
  EXPECT_OK(store->source(acme, "corp"));
  EXPECT_OK(store->delete_source(acme, source.id, Force::EvenLastAdmin, kSomebody));
  EXPECT_EQ(must(store->user(acme, "ada")).source_suspended, Leaving::SourceDeleted);
  EXPECT_EQ(sql("SELECT count(*) FROM rosterd.audit WHERE action = 'deleted_by_force'"), "1");
}

TEST_F(WorkTest, HistoryOlderThanTheRetentionIsForgottenPieceByPiece) {
  const auto source = make_source(acme, "corp");
  const auto sync = [&](const char* name, Outcome outcome = Outcome::Applied, bool dry_run = false) {
    if (dry_run) must(store->request_run(acme, source.id, RunMode::Auto, true, kSomebody));
    const auto work = *try_claim("one");
    auto plan = stage(work);
    must(plan->user(of(ChangeKind::Added, next_id(), person(name))));
    auto end = ended(outcome);
    if (outcome == Outcome::Held) end.approval_expires_at = soon() + std::chrono::days(1000);
    must(outcome == Outcome::Applied ? Result<void>(plan->apply(end).map([](const Applied&) {})) : plan->keep(end));
    return work.run.id;
  };
  const auto first = sync("ada"), held_one = sync("bob", Outcome::Held), second = sync("cyd");
  const auto third = sync("dan"), dry = sync("eve", Outcome::Planned, true);
  // The end of a complete run supersedes held plans; this one is to wait on.
  sql(fmt::format("UPDATE rosterd.run SET approval_expires_at = now() + interval '9 years' WHERE run_id = {}", held_one.value));
  const auto audited = std::stoi(sql("SELECT count(*) FROM rosterd.audit"));
  ASSERT_GT(audited, 5);

  EXPECT_TRUE(must(store->forget_history(soon() - std::chrono::days(7), 1000)).is_nothing()) << "all of it is younger";
  EXPECT_EQ(sql("SELECT count(*) FROM rosterd.audit"), std::to_string(audited));
  const auto some = must(store->forget_history(soon(), 1));
  EXPECT_EQ(some.audit_rows, 1u);
  EXPECT_EQ(some.runs, 1u);
  EXPECT_EQ(some.change_rows, 1u);
  while (!must(store->forget_history(soon(), 2)).is_nothing()) continue;
  EXPECT_EQ(sql("SELECT count(*) FROM rosterd.audit"), "0");
  for (const auto gone : {first, second}) EXPECT_FAILS(store->run(acme, gone), Errc::NotFound);
  EXPECT_EQ(must(store->changes(acme, held_one, {})).items.size(), 1u) << "a plan that waits for approval stays";
  EXPECT_EQ(must(store->status(acme)).at(0).last_run->id, third) << "and the newest run of a source";
  EXPECT_OK(store->run(acme, dry));
  EXPECT_OK(store->user(acme, "ada"));
}

TEST_F(WorkTest, ADryRunIsNotTheLastRunOfASource) {
  const auto source = make_source(acme, "corp");
  const auto real = *try_claim("one");
  must(store->finish(real.lease, ended(Outcome::Partial)));
  must(store->request_run(acme, source.id, RunMode::Auto, true, kSomebody));
  must(store->finish(try_claim("one")->lease, ended(Outcome::Planned)));
  EXPECT_EQ(must(store->status(acme)).at(0).last_run->id, real.run.id);
}

TEST_F(WorkTest, AgesAreToldOfEverySourceThatIsScheduled) {
  make_tenant("beta");
  const auto corp = make_source(acme, "corp"), far = make_source(TenantId{"beta"}, "far");
  auto off = new_source("off");
  off.enabled = false;
  must(store->create_source(acme, off, kSomebody));
  must(store->finish(try_claim("one")->lease, ended(Outcome::Unchanged)));
  auto ages = must(store->source_ages());
  ASSERT_EQ(ages.size(), 2u);
  std::sort(ages.begin(), ages.end(), [](const SourceAge& a, const SourceAge& b) { return a.tenant < b.tenant; });
  EXPECT_EQ(ages[0].name, "corp");
  EXPECT_EQ(ages[0].source, corp.id);
  EXPECT_EQ(ages[0].schedule, corp.schedule);
  EXPECT_EQ(ages[0].created_at, corp.created_at);
  EXPECT_EQ(ages[1].source, far.id);
  EXPECT_NE(ages[0].last_complete_read.has_value(), ages[1].last_complete_read.has_value()) << "one of them was read";
  TenantPatch disable;
  disable.enabled = false;
  must(store->change_tenant(TenantId{"beta"}, disable, kSomebody));
  EXPECT_EQ(must(store->source_ages()).size(), 1u);
}

TEST_F(WorkTest, ReservedIdsNeverOverlap) {
  std::vector<std::thread> threads;
  std::mutex mutex;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> ranges;
  for (std::uint64_t t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (std::uint64_t i = 0; i < 25; ++i) {
        const auto count = 1 + (i * 7 + t) % 50;
        const auto first = must(store->reserve_principal_ids(count));
        const std::lock_guard lock(mutex);
        ranges.emplace_back(first, first + count);
      }
    });
  for (auto& thread : threads) thread.join();
  std::sort(ranges.begin(), ranges.end());
  for (std::size_t i = 1; i < ranges.size(); ++i) EXPECT_LE(ranges[i - 1].second, ranges[i].first);
}

}  // namespace
}  // namespace rosterd::test
