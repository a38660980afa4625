#include "tests/schema/store_fixture.hpp"

// Accounts, tenants, sources, runs, local objects: the simple verbs.

namespace rosterd::test {
namespace {

using ::testing::HasSubstr;

NewToken token(const std::string& name, std::string hash) {
  return {.name = name, .hash = std::move(hash), .last4 = "abcd", .expires_at = {}};
}

TEST(SetUp, WorksOnceAndMakesASuperAdminWithAToken) {
  const auto database = PrivatePostgres::shared().fresh_database();
  const auto store = open_store(database);
  EXPECT_FALSE(must(store->setup_done()));
  const auto account = must(store->set_up({.email = "Ada@Example.ORG", .first_name = "Ada", .last_name = "L", .super_admin = false},
                                          token("first", "h1"), kSomebody));
  EXPECT_EQ(account.email, "ada@example.org");
  EXPECT_TRUE(account.super_admin);
  EXPECT_TRUE(must(store->setup_done()));
  const auto again =
      store->set_up({.email = "eve@example.org", .first_name = "", .last_name = "", .super_admin = true}, token("x", "h2"), kSomebody);
  ASSERT_FALSE(again.has_value());
  EXPECT_EQ(again.error().slug, "setup_done");
  const auto caller = must(store->find_caller("h1"));
  ASSERT_TRUE(caller.has_value());
  EXPECT_EQ(caller->account.id, account.id);
  EXPECT_EQ(must(store->tokens(account.id)).at(0).last_used_at.has_value(), true);
  ASSERT_OK(store->ping());
}

TEST_F(StoreTest, ATokenActsUntilItIsRevokedExpiredOrItsOwnerDisabled) {
  const std::string binary("\0\1\xff'\\", 5);
  const auto made = must(store->create_token(admin, token("ci", binary), kSomebody));
  EXPECT_TRUE(must(store->find_caller(binary)).has_value());
  EXPECT_FALSE(must(store->find_caller("unknown")).has_value());
  sql("UPDATE rosterd.account SET enabled = false");
  EXPECT_FALSE(must(store->find_caller(binary)).has_value());
  sql("UPDATE rosterd.account SET enabled = true; UPDATE rosterd.account_token SET expires_at = now() - interval '1 s'");
  EXPECT_FALSE(must(store->find_caller(binary)).has_value());
  sql("UPDATE rosterd.account_token SET expires_at = NULL");
  ASSERT_OK(store->revoke_token(admin, text(made.id), kSomebody));
  EXPECT_FALSE(must(store->find_caller(binary)).has_value());
  EXPECT_TRUE(must(store->tokens(admin)).empty());
  EXPECT_FAILS(store->revoke_token(admin, text(made.id), kSomebody), Errc::NotFound);
}

TEST_F(StoreTest, AnAccountIsFoundByIdAndByFoldedEmailAndIsUnique) {
  EXPECT_EQ(must(store->account("ROOT@example.org")).id, admin);
  EXPECT_EQ(must(store->account(text(admin))).email, "root@example.org");
  EXPECT_FAILS(store->account("nobody@example.org"), Errc::NotFound);
  EXPECT_FAILS(store->create_account({.email = "Root@Example.org", .first_name = "", .last_name = "", .super_admin = false}, kSomebody),
               Errc::Conflict);
}

TEST_F(StoreTest, TheCreatorOfATenantHoldsAdminThroughALinkedUser) {
  const auto user = must(store->linked_user(acme, admin));
  ASSERT_TRUE(user.has_value());
  const auto bindings = must(store->bindings(acme));
  ASSERT_EQ(bindings.size(), 1u);
  EXPECT_EQ(bindings[0].principal.id, *user);
  EXPECT_FALSE(bindings[0].ns.has_value());
  const auto roles = must(store->roles(acme));
  ASSERT_EQ(roles.size(), 2u);
  EXPECT_TRUE(roles[0].admin && roles[0].managed);
  EXPECT_EQ(bindings[0].role, roles[0].id);
  EXPECT_EQ(sql("SELECT count(*) FROM rosterd.audit WHERE action = 'created' AND object_type = 'tenant' AND tenant = 'acme'"), "1");
  EXPECT_FAILS(store->create_tenant(tenant_named("acme"), kSomebody), Errc::Conflict);
  EXPECT_FAILS(store->create_tenant(tenant_named("Bad Id"), kSomebody), Errc::InvalidInput);
}

TEST_F(StoreTest, TenantsAreListedInPagesAndOnlyLinkedOnesToOthers) {
  make_tenant("beta");
  make_tenant("gamma");
  const auto first = must(store->tenants({.limit = 2, .cursor = "", .query = ""}, std::nullopt));
  ASSERT_EQ(first.items.size(), 2u);
  EXPECT_EQ(first.items[1].id.value, "beta");
  const auto second = must(store->tenants({.limit = 2, .cursor = first.next, .query = ""}, std::nullopt));
  ASSERT_EQ(second.items.size(), 1u);
  EXPECT_TRUE(second.next.empty());
  const auto stranger =
      must(store->create_account({.email = "s@example.org", .first_name = "", .last_name = "", .super_admin = false}, kSomebody)).id;
  EXPECT_TRUE(must(store->tenants({}, stranger)).items.empty());
  EXPECT_EQ(must(store->tenants({}, admin)).items.size(), 3u);
  EXPECT_FAILS(store->tenants({.limit = 2, .cursor = "garbage", .query = ""}, std::nullopt), Errc::InvalidInput);
}

TEST_F(StoreTest, ADeletedTenantLeavesOnlyItsAuditRowsAndANewOneStartsANewEpoch) {
  const auto source = make_source(acme, "corp");
  const auto before = must(store->tenant(acme)).revision;
  ASSERT_OK(store->delete_tenant(acme, kSomebody));
  EXPECT_FAILS(store->tenant(acme), Errc::NotFound);
  for (const auto* table : {"tenant", "tenant_user", "role", "binding", "source", "source_state", "source_lease"})
    EXPECT_EQ(sql(fmt::format("SELECT count(*) FROM rosterd.{}", table)), "0") << table;
  EXPECT_NE(sql("SELECT count(*) FROM rosterd.audit WHERE tenant = 'acme'"), "0");
  EXPECT_TRUE(must(store->revisions()).empty());
  make_tenant("acme");
  EXPECT_GT(must(store->tenant(acme)).revision, before);
  EXPECT_GT(must(store->tenant(acme)).revision.epoch, before.epoch);
  EXPECT_FAILS(store->source(acme, "corp"), Errc::NotFound);
}

TEST_F(StoreTest, EveryChangeMovesTheRevisionAndIsAudited) {
  const auto start = must(store->tenant(acme)).revision;
  const auto user = must(store->create_user(acme, person("ada"), kSomebody));
  EXPECT_GT(user.revision, start);
  EXPECT_EQ(must(store->revisions()).at(0).revision, user.revision);
  EXPECT_EQ(sql("SELECT revision FROM rosterd.audit WHERE object_type = 'user'"), std::to_string(user.revision.number));
  EXPECT_FAILS(store->create_user(acme, person("ADA"), kSomebody), Errc::Conflict);
}

TEST_F(StoreTest, ASourceIsChangedOnlyFromTheVersionTheCallerSaw) {
  const auto source = make_source(acme, "corp");
  auto changed = new_source("corp");
  changed.role_mappings = {{.group = "^x$", .role = "Viewer", .ns = "a.b"}};
  changed.guard.percent = 2.5;
  const auto next = must(store->change_source(acme, source.id, changed, source.version, kSomebody)).value;
  EXPECT_EQ(next.version, source.version + 1);
  EXPECT_EQ(next.role_mappings, changed.role_mappings);
  EXPECT_EQ(next.guard, changed.guard);
  const auto stale = store->change_source(acme, source.id, changed, source.version, kSomebody);
  ASSERT_FALSE(stale.has_value());
  EXPECT_EQ(stale.error().slug, "stale_version");
  EXPECT_EQ(must(store->source(acme, "corp")).id, source.id);
  EXPECT_EQ(must(store->source(acme, text(source.id))).name, "corp");
  EXPECT_FAILS(store->create_source(acme, new_source("corp"), kSomebody), Errc::Conflict);
}

TEST_F(StoreTest, ASecondRequestGetsTheRunThatWaitsAlready) {
  const auto source = make_source(acme, "corp");
  const auto first = must(store->request_run(acme, source.id, RunMode::Auto, false, kSomebody));
  const auto second = must(store->request_run(acme, source.id, RunMode::Full, false, kSomebody));
  EXPECT_EQ(first.id, second.id);
  EXPECT_EQ(second.mode, RunMode::Full);
  const auto dry = must(store->request_run(acme, source.id, RunMode::Auto, true, kSomebody));
  EXPECT_NE(dry.id, first.id);
  auto off = new_source("corp");
  off.enabled = false;
  must(store->change_source(acme, source.id, off, 0, kSomebody));
  EXPECT_FAILS(store->request_run(acme, source.id, RunMode::Auto, false, kSomebody), Errc::Conflict);
  // Of what waits, a disabled source may do the dry run only.
  EXPECT_EQ(must(store->claim("one", Millis(1000), soon())).value().run.id, dry.id);
  EXPECT_FALSE(must(store->claim("two", Millis(1000), soon())).has_value());
}

TEST_F(StoreTest, MembersGroupsAndRolesAreReadBack) {
  const auto ada = must(store->create_user(acme, person("ada"), kSomebody)).value;
  const auto devs = must(store->create_group(acme, {.name = "Developers"}, kSomebody)).value;
  const auto all = must(store->create_group(acme, {.name = "Everybody"}, kSomebody)).value;
  must(store->add_member(acme, devs.id, {PrincipalType::User, ada.id}, kSomebody));
  must(store->add_member(acme, all.id, {PrincipalType::Group, devs.id}, kSomebody));
  EXPECT_EQ(must(store->group(acme, "developers")).member_count, 1u);
  EXPECT_EQ(must(store->groups_of(acme, {PrincipalType::User, ada.id})).at(0).name, "Developers");
  const auto members = must(store->members(acme, all.id, {}));
  ASSERT_EQ(members.items.size(), 1u);
  EXPECT_EQ(members.items[0].name, "Developers");
  const std::pair<PrincipalId, PrincipalId> asked[] = {{devs.id, ada.id}};
  EXPECT_FALSE(must(store->edge_origins(acme, asked)).at(0).source.has_value());
  EXPECT_FAILS(store->create_group(acme, {.name = "DEVELOPERS"}, kSomebody), Errc::Conflict);
  EXPECT_FAILS(store->add_member(acme, devs.id, {PrincipalType::Group, devs.id}, kSomebody), Errc::InvalidInput);
  must(store->remove_member(acme, devs.id, {PrincipalType::User, ada.id}, false, kSomebody));
  EXPECT_TRUE(must(store->members(acme, devs.id, {})).items.empty());
}

TEST_F(StoreTest, ANameOfTwoActiveUsersIsAmbiguous) {
  auto other = person("bob");
  other.email = "ada";  // stored as it comes from a directory: e-mails of users are attributes, not keys
  const auto ada = must(store->create_user(acme, person("ada"), kSomebody)).value;
  const auto bob = must(store->create_user(acme, person("bob"), kSomebody)).value;
  sql(fmt::format("UPDATE rosterd.tenant_user SET email = 'ada' WHERE id = {}", bob.id.value));
  EXPECT_FAILS(store->user(acme, "ada"), Errc::Conflict);
  must(store->set_user_suspended(acme, bob.id, true, kSomebody));
  EXPECT_EQ(must(store->user(acme, "ADA")).id, ada.id);
}

TEST_F(StoreTest, UsersAreListedByNameInPagesAndByPrefix) {
  for (const auto* name : {"carl", "anna", "bert", "anton"}) must(store->create_user(acme, person(name), kSomebody));
  std::vector<std::string> names;
  PageRequest page{.limit = 2, .cursor = "", .query = ""};
  do {
    const auto part = must(store->users(acme, page));
    for (const auto& user : part.items) names.push_back(user.username);
    page.cursor = part.next;
  } while (!page.cursor.empty());
  EXPECT_THAT(names, ::testing::ElementsAre("anna", "anton", "bert", "carl", "root@example.org"));
  EXPECT_EQ(must(store->users(acme, {.limit = 10, .cursor = "", .query = "AN"})).items.size(), 2u);
}

TEST_F(StoreTest, TheLastAdminCanBeNeitherSuspendedNorUnbound) {
  const auto user = *must(store->linked_user(acme, admin));
  const auto binding = must(store->bindings(acme)).at(0);
  EXPECT_EQ(store->set_user_suspended(acme, user, true, kSomebody).error().slug, "last_admin");
  EXPECT_EQ(store->delete_binding(acme, binding.id, false, kSomebody).error().slug, "last_admin");
  const auto ada = must(store->create_user(acme, person("ada"), kSomebody)).value;
  const auto admins = must(store->create_group(acme, {.name = "admins"}, kSomebody)).value;
  must(store->create_binding(acme, {.role = binding.role, .principal = {PrincipalType::Group, admins.id}, .ns = {}, .expires_at = {}},
                             kSomebody));
  must(store->add_member(acme, admins.id, {PrincipalType::User, ada.id}, kSomebody));
  EXPECT_OK(store->delete_binding(acme, binding.id, false, kSomebody));
  EXPECT_EQ(store->remove_member(acme, admins.id, {PrincipalType::User, ada.id}, false, kSomebody).error().slug, "last_admin");
}

TEST_F(StoreTest, ABindingExistsOnceAndAnExpiredTwinGivesWay) {
  const auto viewer = must(store->roles(acme)).at(1).id;
  const auto ada = must(store->create_user(acme, person("ada"), kSomebody)).value;
  const NewBinding wanted{.role = viewer, .principal = {PrincipalType::User, ada.id}, .ns = {}, .expires_at = soon()};
  must(store->create_binding(acme, wanted, kSomebody));
  EXPECT_EQ(store->create_binding(acme, wanted, kSomebody).error().slug, "binding_exists");
  sql("UPDATE rosterd.binding SET expires_at = now() - interval '1 s' WHERE expires_at IS NOT NULL");
  EXPECT_OK(store->create_binding(acme, wanted, kSomebody));
  auto broken = wanted;
  broken.ns = "";
  EXPECT_EQ(store->create_binding(acme, broken, kSomebody).error().slug, "invalid_namespace");
  broken = wanted;
  broken.principal.id = PrincipalId{999'999};
  EXPECT_EQ(store->create_binding(acme, broken, kSomebody).error().slug, "unknown_principal");
}

// ---- the wall between tenants -----------------------------------------------------------------------------------------------------

TEST_F(StoreTest, WithoutATenantTheAppRoleSeesAndWritesNothing) {
  make_source(acme, "corp");
  const auto& url = database.app_url;
  for (const auto* table : {"tenant", "tenant_user", "tenant_group", "membership", "role", "binding", "source", "source_state",
                            "source_lease", "run", "run_change", "run_change_pack", "audit", "service_account", "service_account_token"})
    EXPECT_EQ(PrivatePostgres::query(url, fmt::format("SELECT count(*) FROM rosterd.{}", table)), "0") << table;
  EXPECT_THROW(PrivatePostgres::query(url, "INSERT INTO rosterd.tenant_user (tenant_id, id, username) VALUES (1, 1, 'x')"),
               std::runtime_error);
  EXPECT_EQ(PrivatePostgres::query(url, "UPDATE rosterd.tenant_user SET username = 'x' RETURNING 1"), "");
}

TEST_F(StoreTest, EveryTenantTableIsBehindTheWallAndStartsItsKeysWithTheTenant) {
  EXPECT_EQ(sql("SELECT count(*) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' "
                "WHERE c.relnamespace = 'rosterd'::regnamespace AND c.relkind = 'r' AND NOT (c.relrowsecurity AND c.relforcerowsecurity)"),
            "0");
  EXPECT_EQ(sql("SELECT string_agg(i.indexrelid::regclass::text, ' ') FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid "
                "JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' "
                "WHERE c.relnamespace = 'rosterd'::regnamespace AND i.indkey[0] <> a.attnum AND c.relname <> 'tenant'"),
            "");
}

// R2: R90:
TEST_F(StoreTest, OnePersonInTwoTenantsIsTwoUsers) {
  make_tenant("beta");
  const auto here = must(store->create_user(acme, person("ada"), kSomebody)).value;
  const auto there = must(store->create_user(TenantId{"beta"}, person("ada"), kSomebody)).value;
  EXPECT_NE(here.id, there.id);
  must(store->set_user_suspended(acme, here.id, true, kSomebody));
  EXPECT_FALSE(must(store->user(TenantId{"beta"}, "ada")).admin_suspended);
}

// R6:
TEST_F(StoreTest, AnIdIsNeverGivenTwiceNotEvenAfterDeletion) {
  const auto first = must(store->create_user(acme, person("ada"), kSomebody)).value.id;
  must(store->delete_user(acme, first, {}, false, kSomebody));
  const auto again = must(store->create_user(acme, person("ada"), kSomebody)).value.id;
  EXPECT_GT(again, first);
  EXPECT_FAILS(store->user(acme, text(PrincipalType::User, first)), Errc::NotFound);
  EXPECT_GT(must(store->create_group(acme, {.name = "devs"}, kSomebody)).value.id, again) << "one number space for all kinds";
}

// R108: the log has no other end than the retention, which is the owner's function (HousekeeperTest).
TEST_F(StoreTest, TheAppRoleCannotStepOverTheWall) {
  const auto& url = database.app_url;
  EXPECT_THROW(PrivatePostgres::query(url, "ALTER TABLE rosterd.tenant_user DISABLE ROW LEVEL SECURITY"), std::runtime_error);
  EXPECT_THROW(PrivatePostgres::query(url, "SET ROLE " + database.owner_role), std::runtime_error);
  EXPECT_THROW(PrivatePostgres::query(url, "SET row_security = off; SELECT count(*) FROM rosterd.tenant_user"), std::runtime_error);
  for (const auto* denied :
       {"DELETE FROM rosterd.audit", "UPDATE rosterd.audit SET actor = 'x'", "DELETE FROM rosterd.run_change",
        "UPDATE rosterd.run_change SET reason = ''", "TRUNCATE rosterd.audit", "SELECT rosterd.give_rights('postgres')"})
    EXPECT_THROW(PrivatePostgres::query(url, denied), std::runtime_error) << denied;
}

TEST_F(StoreTest, ATenantNeitherReadsNorChangesAnothersObjectsEvenWithTheirIds) {
  make_tenant("beta");
  const TenantId beta{"beta"};
  const auto source = make_source(acme, "corp");
  const auto run = must(store->request_run(acme, source.id, RunMode::Auto, false, kSomebody));
  const auto user = must(store->create_user(acme, person("ada"), kSomebody)).value;
  const auto group = must(store->create_group(acme, {.name = "devs"}, kSomebody)).value;
  const auto binding = must(store->bindings(acme)).at(0);
  EXPECT_FAILS(store->user(beta, text(PrincipalType::User, user.id)), Errc::NotFound);
  EXPECT_FAILS(store->user(beta, "ada"), Errc::NotFound);
  EXPECT_FAILS(store->group(beta, text(PrincipalType::Group, group.id)), Errc::NotFound);
  EXPECT_FAILS(store->members(beta, group.id, {}), Errc::NotFound);
  EXPECT_FAILS(store->source(beta, text(source.id)), Errc::NotFound);
  EXPECT_FAILS(store->run(beta, run.id), Errc::NotFound);
  EXPECT_FAILS(store->changes(beta, run.id, {}), Errc::NotFound);
  EXPECT_FAILS(store->approve_run(beta, run.id, "x", kSomebody), Errc::NotFound);
  EXPECT_FAILS(store->request_run(beta, source.id, RunMode::Auto, false, kSomebody), Errc::NotFound);
  EXPECT_FAILS(store->delete_source(beta, source.id, Force::EvenLastAdmin, kSomebody), Errc::NotFound);
  EXPECT_FAILS(store->set_user_suspended(beta, user.id, true, kSomebody), Errc::NotFound);
  EXPECT_FAILS(store->add_member(beta, group.id, {PrincipalType::User, user.id}, kSomebody), Errc::NotFound);
  EXPECT_FAILS(store->delete_binding(beta, binding.id, false, kSomebody), Errc::NotFound);
  EXPECT_EQ(
      store
          ->create_binding(beta, {.role = binding.role, .principal = {PrincipalType::User, user.id}, .ns = {}, .expires_at = {}}, kSomebody)
          .error()
          .slug,
      "unknown_role");
  EXPECT_TRUE(must(store->runs(beta, source.id, {})).items.empty());
  EXPECT_FAILS(store->users(TenantId{"nowhere"}, {}), Errc::NotFound);
}

}  // namespace
}  // namespace rosterd::test
