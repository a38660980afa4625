#include <nlohmann/json.hpp>

#include "tests/schema/store_fixture.hpp"

// The audit log as it is read: who, what, when, and a run's changes object by object.

namespace rosterd::test {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class AuditTest : public StoreTest {
 protected:
  using Entries = std::vector<AuditEntry>;

  Entries read(const AuditFilter& filter, std::uint32_t limit = 1000, std::optional<TenantId> tenant = TenantId{"acme"}) {
    Entries out;
    PageRequest page{.limit = limit, .cursor = {}, .query = {}};
    do {
      auto found = must(store->audit(tenant, filter, page));
      EXPECT_LE(found.items.size(), limit);
      for (auto& entry : found.items) out.push_back(std::move(entry));
      page.cursor = found.next;
    } while (!page.cursor.empty());
    return out;
  }
  static std::vector<std::string> actions(const Entries& entries) {
    std::vector<std::string> out;
    for (const auto& entry : entries) out.push_back(entry.action);
    return out;
  }
  static std::vector<std::string> ids(const Entries& entries) {
    std::vector<std::string> out;
    for (const auto& entry : entries) out.push_back(text(entry));
    return out;
  }
  /// A run that brings people n0, n1, … and one group of all of them.
  void bring(std::size_t how_many, bool eager) {
    const auto work = claim();
    auto plan = stage(work, eager);
    run = work.run.id;
    const auto first = must(store->reserve_principal_ids(how_many));
    for (std::size_t i = 0; i < how_many; ++i) {
      people.push_back(PrincipalId{first + i});
      const auto user = person(fmt::format("n{}", i));
      must(plan->user(of(ChangeKind::Added, people.back(), user)));
    }
    group = next_id();
    const auto everybody = team("everybody");
    must(plan->group(of(ChangeKind::Added, group, everybody)));
    for (const auto& one : people) must(plan->edge(edge(ChangeKind::EdgeAdded, group, one)));
    auto end = ended(Outcome::Applied);
    end.actor = {.account = {}, .by = "run " + text(run), .ip = {}, .request_id = {}};
    must(plan->apply(end));
  }
  RunId run;
  PrincipalId group;
  std::vector<PrincipalId> people;
};

TEST_F(AuditTest, EveryChangeIsToldNewestFirstWithWhoAndWhatItWasBefore) {  // R106:
  const Actor root{.account = admin, .by = "token tok_1", .ip = "192.0.2.7", .request_id = "abc"};
  const auto ada = must(store->create_user(acme, person("ada"), root)).value;
  must(store->set_user_suspended(acme, ada.id, true, root));
  const auto all = read({});
  ASSERT_THAT(actions(all), ElementsAre("suspended", "created", "created"));
  EXPECT_EQ(all[0].actor.type, AuditActor::Type::Account);
  EXPECT_EQ(all[0].actor.id, text(admin));
  EXPECT_EQ(all[0].actor.name, "root@example.org");
  EXPECT_EQ(all[0].by, "token tok_1");
  EXPECT_EQ(all[0].ip, "192.0.2.7");
  EXPECT_EQ(all[0].request_id, "abc");
  EXPECT_EQ(all[0].tenant, acme);
  EXPECT_EQ(all[0].object_type, "user");
  EXPECT_EQ(all[0].object_id, text(PrincipalType::User, ada.id));
  EXPECT_EQ(all[0].object_name, "ada");
  EXPECT_NE(all[0].before, all[0].after);
  EXPECT_EQ(all[0].revision, must(store->tenant(acme)).revision);
  EXPECT_GT(all[0].id, all[1].id);
  EXPECT_EQ(all[2].object_type, "tenant");
  EXPECT_EQ(all[2].actor.type, AuditActor::Type::Rosterd) << "made without an account";
}

TEST_F(AuditTest, FiltersAskWhoWhatAndWhen) {  // R109:
  const Actor root{.account = admin, .by = "token tok_1", .ip = {}, .request_id = {}};
  const auto app = must(store->create_service_account(acme, {.name = "billing"}, root)).value;
  const Actor billing{.account = {}, .by = "token tok_2", .ip = {}, .request_id = {}, .service_account = app.id};
  const auto ada =
      must(
          store->create_user_of(
              acme, text(must(store->create_account({.email = "ada@example.org", .first_name = {}, .last_name = {}}, kSomebody)).id), root))
          .value;
  must(store->set_user_suspended(acme, ada.id, true, kSomebody));
  must(store->create_group(acme, {.name = "devs"}, billing));
  EXPECT_THAT(actions(read({.actor = text(admin)})), ElementsAre("created", "created"));
  EXPECT_EQ(ids(read({.actor = "ROOT@example.org"})), ids(read({.actor = text(admin)})));
  EXPECT_THAT(read({.actor = text(PrincipalType::User, ada.id)}), IsEmpty()) << "the user's account has done nothing here";
  const auto creator = must(store->user(acme, "root@example.org"));
  EXPECT_EQ(ids(read({.actor = text(PrincipalType::User, creator.id)})), ids(read({.actor = text(admin)})));
  const auto by_app = read({.actor = text(PrincipalType::ServiceAccount, app.id)});
  ASSERT_THAT(by_app, SizeIs(1));
  EXPECT_EQ(by_app[0].actor.type, AuditActor::Type::ServiceAccount);
  EXPECT_EQ(by_app[0].actor.name, "billing");
  EXPECT_THAT(read({.actor = "nobody@example.org"}), IsEmpty()) << "who is not there has done nothing, not everything";
  EXPECT_THAT(actions(read({.actor = "rosterd"})), ElementsAre("suspended", "created"));
  EXPECT_THAT(actions(read({.type = "group"})), ElementsAre("created"));
  EXPECT_THAT(actions(read({.action = "suspended"})), ElementsAre("suspended"));
  EXPECT_THAT(read({.type = "group", .action = "suspended"}), IsEmpty());

  sql("UPDATE rosterd.audit SET at = at - interval '10 days' WHERE object_type <> 'group'");
  const auto now = soon() - std::chrono::hours(1);
  EXPECT_THAT(actions(read({.until = now - std::chrono::hours(24)})), ElementsAre("suspended", "created", "created", "created"));
  EXPECT_THAT(actions(read({.since = now - std::chrono::hours(24)})), ElementsAre("created"));
  EXPECT_THAT(read({.since = now - std::chrono::hours(300), .until = now + std::chrono::hours(24)}), SizeIs(5));
  EXPECT_THAT(actions(read({.since = now - std::chrono::hours(24)}, 1000, std::nullopt)), ElementsAre("created"));
  EXPECT_THAT(read({.since = now + std::chrono::hours(24)}), IsEmpty());
}

TEST_F(AuditTest, TheHistoryOfOneObjectHoldsWhatHappenedToItThroughOthers) {  // R109:
  const auto ada = must(store->create_user(acme, person("ada"), kSomebody)).value;
  const auto devs = must(store->create_group(acme, {.name = "devs"}, kSomebody)).value;
  must(store->add_member(acme, devs.id, {PrincipalType::User, ada.id}, kSomebody));
  const auto viewer = must(store->roles(acme)).at(1).id;
  const auto bound = must(
      store->create_binding(acme, {.role = viewer, .principal = {PrincipalType::User, ada.id}, .ns = {}, .expires_at = {}}, kSomebody));
  must(store->delete_binding(acme, bound.value.id, false, kSomebody));
  EXPECT_THAT(actions(read({.object = text(PrincipalType::User, ada.id)})), ElementsAre("deleted", "created", "member_added", "created"));
  EXPECT_THAT(actions(read({.object = text(PrincipalType::Group, devs.id)})), ElementsAre("member_added", "created"));
  EXPECT_THAT(actions(read({.object = text(bound.value.id)})), ElementsAre("deleted", "created"));
}

class AuditOfRuns : public AuditTest, public ::testing::WithParamInterface<bool> {
  void SetUp() override {
    AuditTest::SetUp();
    make_source(acme, "corp");
  }
};
INSTANTIATE_TEST_SUITE_P(Packed, AuditOfRuns, ::testing::Values(true));
INSTANTIATE_TEST_SUITE_P(Rows, AuditOfRuns, ::testing::Values(false));

TEST_P(AuditOfRuns, ARunsChangesAreToldObjectByObjectWithRunAndReason) {  // R110:
  bring(3, GetParam());
  const auto all = read({.actor = text(run)});
  ASSERT_THAT(actions(all), ElementsAre("run_applied", "added", "added", "added", "added", "edge_added", "edge_added", "edge_added"));
  for (const auto& entry : all) {
    EXPECT_EQ(entry.run, run);
    EXPECT_EQ(entry.actor.type, AuditActor::Type::Run);
    EXPECT_EQ(entry.actor.name, "corp");
    EXPECT_EQ(entry.id, all[0].id);
  }
  EXPECT_EQ(all[1].object_type, "user");
  EXPECT_EQ(all[1].object_id, text(PrincipalType::User, people[0]));
  EXPECT_EQ(all[1].object_name, "n0");
  EXPECT_EQ(all[1].reason, "new in the directory");
  EXPECT_EQ(nlohmann::json::parse(all[1].after)["username"], "n0");
  EXPECT_EQ(text(all[1]), text(all[0].id) + ".1");

  // The history of one person: that she came, and that she is in the group; and what was done over the API.
  must(store->set_user_suspended(acme, people[1], true, kSomebody));
  EXPECT_THAT(actions(read({.object = text(PrincipalType::User, people[1])})), ElementsAre("suspended", "added", "edge_added"));
  EXPECT_THAT(read({.type = "membership"}), SizeIs(3));
  EXPECT_THAT(read({.type = "user", .action = "added"}), SizeIs(3));
  EXPECT_THAT(actions(read({.type = "run", .action = "run_applied"})), ElementsAre("run_applied"));
  EXPECT_THAT(read({.type = "membership", .object = text(PrincipalType::Group, group)}), SizeIs(3));
}

TEST_P(AuditOfRuns, PagesOfAnySizeMeetEveryEntryOnceAndInOneOrder) {  // R109: R110:
  bring(40, GetParam());
  must(store->create_group(acme, {.name = "later"}, kSomebody));
  const auto whole = ids(read({}));
  EXPECT_THAT(whole, SizeIs(1 + 1 + 40 + 1 + 40 + 1 + 1)) << "group, run, its changes, source and tenant";
  for (const std::uint32_t limit : {1u, 2u, 7u, 40u, 82u, 83u, 84u, 85u}) EXPECT_EQ(ids(read({}, limit)), whole) << limit;
  EXPECT_EQ(ids(read({}, 7, std::nullopt)).size(), whole.size() + 1) << "beside the instance's own: an account was made";
}

TEST_F(AuditTest, AFirstLoadOfManyPacksIsReadPieceByPiece) {  // R110:
  make_source(acme, "corp");
  bring(9'000, true);
  EXPECT_GT(std::stoi(sql("SELECT count(*) FROM rosterd.run_change_pack")), 4);
  const auto all = read({.actor = text(run)});
  ASSERT_THAT(all, SizeIs(1 + 9'000 + 1 + 9'000));
  for (std::size_t i = 1; i < all.size(); ++i) ASSERT_EQ(all[i].seq, i);
  EXPECT_THAT(actions(read({.object = text(PrincipalType::User, people[8'500])})), ElementsAre("added", "edge_added"));
  EXPECT_THAT(read({.type = "group"}), SizeIs(1));
}

TEST_F(AuditTest, APlanThatWasOnlyHeldIsNoHistory) {
  make_source(acme, "corp");
  const auto work = claim();
  auto plan = stage(work);
  const auto ada = person("ada");
  must(plan->user(of(ChangeKind::Added, next_id(), ada)));
  auto end = ended(Outcome::Held);
  end.approval_expires_at = soon();
  must(plan->keep(end));
  EXPECT_THAT(actions(read({.type = "run"})), ElementsAre("run_held"));
  EXPECT_THAT(read({.type = "user"}), IsEmpty());
}

TEST_F(AuditTest, ATenantSeesNothingOfAnotherAndTheInstancesLogHoldsAll) {  // R109: R88:
  make_tenant("beta");
  const TenantId beta{"beta"};
  const auto bob = must(store->create_user(beta, person("bob"), kSomebody)).value;
  for (const auto& entry : read({})) EXPECT_EQ(entry.tenant, acme);
  EXPECT_THAT(read({.object = text(PrincipalType::User, bob.id)}), IsEmpty());
  must(store->delete_tenant(beta, kSomebody));
  EXPECT_EQ(store->audit(beta, {}, {}).error().code, Errc::NotFound);
  const auto all = read({}, 1000, std::nullopt);
  std::map<std::string, int> of;
  for (const auto& entry : all) ++of[entry.tenant ? entry.tenant->value : "instance"];
  EXPECT_EQ(of["acme"], 1);
  EXPECT_EQ(of["beta"], 3) << "audit rows outlive their tenant";
  EXPECT_GE(of["instance"], 1);
  EXPECT_TRUE(std::is_sorted(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.id > b.id; }));
}

TEST_F(AuditTest, APageLooksAtSoManyRowsAndGoesOnFromThere) {
  sql("INSERT INTO rosterd.audit (tenant_id, tenant, action) SELECT tenant_id, id, 'noise' FROM rosterd.tenant, generate_series(1, 45000)");
  const auto first = must(store->audit(acme, {.action = "created"}, {}));
  EXPECT_THAT(first.items, IsEmpty());
  EXPECT_NE(first.next, "") << "not done, only enough for one page";
  EXPECT_THAT(read({.action = "created"}), SizeIs(1));
  EXPECT_THAT(read({.action = "created"}, 1000, std::nullopt), SizeIs(2));
  EXPECT_THAT(read({.object = "acme"}), SizeIs(1)) << "an object is found through an index";
}

TEST_F(AuditTest, ACursorOfAnotherListIsRefused) {
  EXPECT_EQ(store->audit(acme, {}, {.limit = 10, .cursor = "nonsense", .query = {}}).error().code, Errc::InvalidInput);
  EXPECT_EQ(store->audit(acme, {}, {.limit = 10, .cursor = "1.61", .query = {}}).error().code, Errc::InvalidInput);
}

}  // namespace
}  // namespace rosterd::test
