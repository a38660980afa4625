#include <gmock/gmock.h>

#include "tests/rbac/reference.hpp"

namespace rosterd::rbac {
namespace {

constexpr std::uint64_t kAda = 11, kBob = 12, kCleo = 13, kRoot = 14, kGroup = 21, kOuter = 22, kRobot = 31;
constexpr std::uint64_t kReader = 1, kAdmin = 2, kUsers = 3, kWriter = 4;

/// A tenant with people, two groups, a robot and four roles, and no binding at all.
World village() {
  return {.enabled = true,
          .users = {{kAda, "ada", "ada@example.com"},
                    {kBob, "bob", "bob@example.com"},
                    {kCleo, "cleo", "", false},
                    {kRoot, "root", "root@example.com", true, true}},
          .groups = {{kGroup, "Night Watch"}, {kOuter, "Everybody"}},
          .service_accounts = {{kRobot, "robot"}},
          .edges = {},
          .roles = {{kReader, "Reader", false, {{"FLOW", {"READ"}}}},
                    {kAdmin, "Admin", true, {}},
                    {kUsers, "UserKeeper", false, {{"USER", {"READ", "UPDATE"}}, {"FLOW", {"READ"}}}},
                    {kWriter, "Writer", false, {{"FLOW", {"CREATE"}}}}},
          .bindings = {}};
}

struct Ask {
  std::string subject = "user:ada";
  std::string permission = "FLOW";
  std::string action = "READ";
  std::optional<std::string> ns = std::nullopt;
  TimePoint when = at(100);
};

/// The code, after the compiled snapshot and the reference agreed on it.
std::string code(const World& world, const Ask& ask, TimePoint as_of = at(100)) {
  const auto colon = ask.subject.find(':');
  const auto type = parse_principal_type(ask.subject.substr(0, colon));
  const auto key = ask.subject.substr(colon + 1);
  const Question question{.type = *type, .key = key, .permission = ask.permission, .action = ask.action, .ns = ask.ns, .at = ask.when};
  const auto answer = compile(world, as_of)->check(question);
  EXPECT_EQ(answer, reference(world, *Catalogue::built_in(), question)) << ask.subject;
  EXPECT_EQ(answer.allowed, name_of(answer.reason).starts_with("allowed"));
  return std::string(name_of(answer.reason));
}

World with(World world, std::vector<WorldBinding> bindings, std::vector<WorldEdge> edges = {}) {
  world.bindings = std::move(bindings);
  world.edges = std::move(edges);
  return world;
}

TEST(Decision, ARoleWithoutABindingGrantsNothingR17) { EXPECT_EQ(code(village(), {}), "denied_no_binding"); }

TEST(Decision, ADirectBindingGrantsR33) { EXPECT_EQ(code(with(village(), {{1, kReader, kAda}}), {}), "allowed_binding"); }

TEST(Decision, AnIdIsAKeyAndWinsOverAUsernameR7) {
  auto world = with(village(), {{1, kReader, kAda}});
  const auto id = text(PrincipalType::User, {kAda});
  EXPECT_EQ(code(world, {.subject = "user:" + id}), "allowed_binding");
  world.users.push_back({99, id, ""});  // somebody calls himself by her id
  EXPECT_EQ(code(world, {.subject = "user:" + id}), "allowed_binding");
  EXPECT_EQ(code(world, {.subject = "group:" + id}), "denied_unknown_subject");
  EXPECT_EQ(code(world, {.subject = "user:" + text(PrincipalType::Group, {kGroup})}), "denied_unknown_subject");
}

TEST(Decision, AnIdOfNobodyMayStillBeAUsernameR7) {
  auto world = with(village(), {{1, kReader, 99}});
  world.users.push_back({99, "usr_0000000000zz9", ""});
  EXPECT_EQ(code(world, {.subject = "user:usr_0000000000zz9"}), "allowed_binding");
}

TEST(Decision, KeysAreFoldedR7) {
  auto world = with(village(), {{1, kReader, kAda}, {2, kReader, kGroup}, {3, kReader, 99}});
  world.users.push_back({99, "Jörg Straße", "jörg@example.com"});
  EXPECT_EQ(code(world, {.subject = "user:  ADA "}), "allowed_binding");
  EXPECT_EQ(code(world, {.subject = "user:Ada@Example.COM"}), "allowed_binding");
  EXPECT_EQ(code(world, {.subject = "user:JÖRG  STRASSE"}), "allowed_binding");
  EXPECT_EQ(code(world, {.subject = "group:NIGHT   watch"}), "allowed_binding");
  EXPECT_EQ(code(world, {.subject = "user:" + std::string(600, ' ') + "ada"}), "allowed_binding");
  EXPECT_EQ(code(world, {.subject = "user:" + std::string(70000, 'x')}), "denied_unknown_subject");
  EXPECT_EQ(code(world, {.subject = "user:ad"}), "denied_unknown_subject");
  EXPECT_EQ(code(world, {.subject = "user:"}), "denied_unknown_subject");
}

TEST(Decision, TwoActiveOnesUnderOneKeyAreAmbiguousR7) {
  auto world = with(village(), {{1, kReader, kAda}, {2, kReader, 99}});
  world.users.push_back({99, "ada@example.com", ""});  // the username of one is the e-mail of the other
  EXPECT_EQ(code(world, {.subject = "user:ada@example.com"}), "denied_ambiguous_subject");
  EXPECT_EQ(code(world, {.subject = "user:ada"}), "allowed_binding");
  world.users.back().active = false;
  EXPECT_EQ(code(world, {.subject = "user:ada@example.com"}), "allowed_binding");
  world.users[0].active = false;
  EXPECT_EQ(code(world, {.subject = "user:ada@example.com"}), "denied_user_suspended");
}

TEST(Decision, ManyWithOneMailboxAreAmbiguousAndCheapToCompileR7) {
  auto world = village();
  for (std::uint64_t i = 1000; i < 21000; ++i) world.users.push_back({i, "u" + std::to_string(i), "noreply@example.com", i % 2 == 0});
  EXPECT_EQ(code(world, {.subject = "user:noreply@example.com"}), "denied_ambiguous_subject");
  EXPECT_EQ(code(world, {.subject = "user:u1003"}), "denied_user_suspended");
}

TEST(Decision, HerOwnNameAsHerOwnMailIsNotAmbiguousR7) {
  auto world = with(village(), {{1, kReader, 99}});
  world.users.push_back({99, "dot@example.com", "dot@example.com"});
  EXPECT_EQ(code(world, {.subject = "user:dot@example.com"}), "allowed_binding");
}

// Small tables, made many times: every now and then the two keys of a person meet in one run of slots with equal tags.
TEST(Decision, ASharedMailNeverSpoilsAUsernameR7) {
  const World world{.enabled = true,
                    .users = {{1, "ada", "desk"}, {2, "bob", "desk"}, {3, "cleo", "bin", false}, {4, "dot", "bin"}},
                    .groups = {},
                    .service_accounts = {},
                    .edges = {},
                    .roles = {},
                    .bindings = {}};
  const auto reason = [](const Snapshot& snapshot, std::string_view key) {
    return snapshot.check({.type = PrincipalType::User, .key = key, .permission = "FLOW", .action = "READ", .ns = {}, .at = {}}).reason;
  };
  for (int i = 0; i < 3000; ++i) {
    const auto snapshot = compile(world);
    for (const auto* key : {"ada", "bob", "dot", "bin"}) ASSERT_EQ(reason(*snapshot, key), Reason::DeniedNoBinding) << key;
    ASSERT_EQ(reason(*snapshot, "desk"), Reason::DeniedAmbiguousSubject);
    ASSERT_EQ(reason(*snapshot, "cleo"), Reason::DeniedUserSuspended);
  }
}

TEST(Decision, NamesOfDifferentKindsDoNotMeetR7) {
  auto world = with(village(), {{1, kReader, kAda}});
  world.service_accounts.push_back({98, "ada"});
  world.groups.push_back({99, "ada"});
  EXPECT_EQ(code(world, {.subject = "user:ada"}), "allowed_binding");
  EXPECT_EQ(code(world, {.subject = "group:ada"}), "denied_no_binding");
  EXPECT_EQ(code(world, {.subject = "service_account:ada"}), "denied_no_binding");
}

TEST(Decision, SuspendedOnesAreDeniedWhateverTheyHoldR8R9R40) {
  auto world = with(village(), {{1, kAdmin, kCleo}, {2, kAdmin, kGroup}, {3, kAdmin, kRobot}});
  world.groups[0].active = false;
  world.service_accounts[0].enabled = false;
  EXPECT_EQ(code(world, {.subject = "user:cleo"}), "denied_user_suspended");
  EXPECT_EQ(code(world, {.subject = "group:night watch"}), "denied_group_suspended");
  EXPECT_EQ(code(world, {.subject = "service_account:robot"}), "denied_service_account_disabled");
}

TEST(Decision, ASuspendedGroupGivesNobodyAnythingAndPassesNothingOnR9) {
  auto world = with(village(), {{1, kReader, kGroup}, {2, kWriter, kOuter}}, {{kGroup, kAda}, {kOuter, kGroup}});
  EXPECT_EQ(code(world, {}), "allowed_binding");
  EXPECT_EQ(code(world, {.action = "CREATE"}), "allowed_binding");
  world.groups[0].active = false;
  EXPECT_EQ(code(world, {}), "denied_no_binding");
  EXPECT_EQ(code(world, {.action = "CREATE"}), "denied_no_binding");
}

TEST(Decision, AdminMeansEveryPairButNoUnknownOneR22) {
  const auto world = with(village(), {{1, kAdmin, kAda}});
  EXPECT_EQ(code(world, {}), "allowed_admin_role");
  EXPECT_EQ(code(world, {.permission = "SOURCE", .action = "DELETE"}), "allowed_admin_role");
  EXPECT_EQ(code(world, {.permission = "SPACESHIP"}), "denied_unknown_permission");
  EXPECT_EQ(code(world, {.action = "LAUNCH"}), "denied_unknown_action");
}

TEST(Decision, AdminIsNamedBeforeANearerBindingR97) {
  EXPECT_EQ(code(with(village(), {{1, kAdmin, kAda}, {2, kReader, kAda, "a.b"}}), {.ns = "a.b"}), "allowed_admin_role");
  EXPECT_EQ(code(with(village(), {{1, kReader, kAda}, {2, kAdmin, kAda, "a"}}), {.ns = "a.b"}), "allowed_admin_role");
  EXPECT_EQ(code(with(village(), {{1, kReader, kAda}, {2, kAdmin, kAda, "a"}}), {.ns = "b"}), "allowed_binding");
}

TEST(Decision, ARoleThatListsEveryPairIsNotAdminR80) {
  auto world = village();
  WorldRole all{9, "Everything", false, {}};
  for (const auto& permission : Catalogue::built_in()->permissions())
    all.permissions[permission.name] = {permission.actions.begin(), permission.actions.end()};
  world.roles.push_back(all);
  EXPECT_EQ(code(with(world, {{1, 9, kAda}}), {}), "allowed_binding");
  EXPECT_EQ(code(with(world, {{1, 9, kAda}, {2, kAdmin, kAda}}), {}), "allowed_admin_role");
}

TEST(Decision, ANamespaceBindingCoversItselfAndBelowR28) {
  const auto world = with(village(), {{1, kReader, kAda, "a.b"}});
  for (const auto* ns : {"a.b", "a.b.c", "a.b.c.d", "a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p"})
    EXPECT_EQ(code(world, {.ns = ns}), "allowed_binding") << ns;
  for (const auto* ns : {"a", "a.c", "a.bc", "a.b-c", "b", "ab", "x.a.b"})
    EXPECT_EQ(code(world, {.ns = ns}), "denied_wrong_namespace") << ns;
}

TEST(Decision, ANewNamespaceInheritsFromAncestorsThatCarryBindingsR29) {
  const auto world = with(village(), {{1, kReader, kAda, "a"}, {2, kWriter, kAda, "a.b.c"}});
  EXPECT_EQ(code(world, {.ns = "a.b"}), "allowed_binding");
  EXPECT_EQ(code(world, {.ns = "a.b.c.new"}), "allowed_binding");
  EXPECT_EQ(code(world, {.action = "CREATE", .ns = "a.b.c.new"}), "allowed_binding");
  EXPECT_EQ(code(world, {.action = "CREATE", .ns = "a.b.new"}), "denied_wrong_namespace");
}

TEST(Decision, ANamespaceBindingNeverGrantsATenantPairR30) {
  for (const auto role : {kUsers, kAdmin}) {
    const auto world = with(village(), {{1, role, kAda, "a"}});
    EXPECT_EQ(code(world, {.permission = "USER", .action = "READ"}), "denied_wrong_namespace");
    EXPECT_EQ(code(world, {.permission = "USER", .action = "READ", .ns = "a"}), "denied_wrong_namespace");
    EXPECT_NE(code(world, {.ns = "a"}).find("allowed"), std::string::npos);
  }
  EXPECT_EQ(code(with(village(), {{1, kUsers, kAda, "a"}}), {.permission = "USER", .action = "DELETE"}), "denied_action_missing");
}

TEST(Decision, TheWholeTenantAsksTenantWideBindingsOnlyR31) {
  EXPECT_EQ(code(with(village(), {{1, kReader, kAda, "a"}}), {}), "denied_wrong_namespace");
  EXPECT_EQ(code(with(village(), {{1, kReader, kAda}}), {.ns = "a"}), "allowed_binding");
}

TEST(Decision, TheNamespaceOfATenantPairIsIgnoredR31) {
  EXPECT_EQ(code(with(village(), {{1, kUsers, kAda}}), {.permission = "USER", .ns = "any.where"}), "allowed_binding");
}

// R25: order, number and duplicates never matter, and nothing takes away.
TEST(Decision, RightsAreTheUnionHoweverTheyComeR33R42) {
  const auto world = with(village(), {{1, kReader, kOuter}, {2, kReader, kGroup}, {3, kWriter, kAda, "x"}},
                          {{kGroup, kAda}, {kGroup, kAda}, {kOuter, kGroup}, {kOuter, kAda}});
  EXPECT_EQ(code(world, {.ns = "x"}), "allowed_binding");
  EXPECT_EQ(code(world, {.action = "CREATE", .ns = "x"}), "allowed_binding");
  EXPECT_EQ(code(world, {.subject = "user:bob"}), "denied_no_binding");
}

TEST(Decision, GroupLoopsEndByThemselvesR42) {
  auto world = village();
  world.groups.push_back({23, "Third"});
  world = with(world, {{1, kReader, 23, "a"}, {2, kWriter, kOuter, "a"}},
               {{kGroup, kAda}, {kOuter, kGroup}, {23, kOuter}, {kGroup, 23}, {kGroup, kGroup}});
  EXPECT_EQ(code(world, {.ns = "a"}), "allowed_binding");
  EXPECT_EQ(code(world, {.action = "CREATE", .ns = "a"}), "allowed_binding");
  EXPECT_EQ(code(world, {.subject = "group:third", .action = "CREATE", .ns = "a"}), "allowed_binding");
  EXPECT_EQ(code(world, {.action = "DELETE", .ns = "a"}), "denied_action_missing");
}

TEST(Decision, ABindingEndsAtItsInstantWithoutAWriteR37) {
  const auto world =
      with(village(), {{1, kReader, kGroup, std::nullopt, at(200)}, {2, kWriter, kAda}, {3, kAdmin, kAda, "a", at(300)}}, {{kGroup, kAda}});
  for (const auto as_of : {at(0), at(199), at(200), at(250), at(400)}) {  // however old the snapshot is
    EXPECT_EQ(code(world, {.when = at(199)}, as_of), "allowed_binding");
    EXPECT_EQ(code(world, {.when = at(200)}, as_of), "denied_wrong_namespace");
    EXPECT_EQ(code(world, {.ns = "a", .when = at(299)}, as_of), "allowed_admin_role");
    EXPECT_EQ(code(world, {.when = at(300)}, as_of), "denied_action_missing");
    EXPECT_EQ(code(world, {.action = "CREATE", .when = at(300)}, as_of), "allowed_binding");
    EXPECT_EQ(code(world, {.subject = "group:everybody", .when = at(300)}, as_of), "denied_no_binding");
  }
}

TEST(Decision, ASuperAdminHoldsTheIamPairsWithoutARoleR70) {
  for (const auto& permission : Catalogue::built_in()->permissions())
    for (const auto& action : permission.actions)
      EXPECT_EQ(code(village(), {.subject = "user:root", .permission = permission.name, .action = action}),
                permission.iam ? "allowed_super_admin" : "denied_no_binding");
  EXPECT_EQ(code(village(), {.subject = "user:root", .permission = "USER", .ns = "a"}), "allowed_super_admin");
}

TEST(Decision, ASuperAdminHoldsNoOtherPairUntilABindingGivesItR71) {
  EXPECT_EQ(code(village(), {.subject = "user:root"}), "denied_no_binding");
  EXPECT_EQ(code(with(village(), {{1, kReader, kRoot}}), {.subject = "user:root"}), "allowed_binding");
  EXPECT_EQ(code(with(village(), {{1, kAdmin, kRoot}}), {.subject = "user:root", .permission = "USER"}), "allowed_super_admin");
}

TEST(Decision, ASuspendedSuperAdminHoldsNothingHereR97) {
  auto world = village();
  world.users[3].active = false;
  EXPECT_EQ(code(world, {.subject = "user:root", .permission = "USER"}), "denied_user_suspended");
}

TEST(Decision, StepsAreTakenInTheirOrderR87R97R98) {
  auto world = village();
  EXPECT_EQ(code(world, {.subject = "user:nobody", .permission = "SPACESHIP", .action = "LAUNCH"}), "denied_unknown_permission");
  EXPECT_EQ(code(world, {.subject = "user:nobody", .action = "LAUNCH"}), "denied_unknown_action");
  EXPECT_EQ(code(world, {.subject = "user:nobody"}), "denied_unknown_subject");
  world.enabled = false;
  EXPECT_EQ(code(world, {.subject = "user:root", .permission = "SPACESHIP"}), "denied_tenant_disabled");
}

TEST(Decision, AGroupAsSubjectHasItsOwnBindingsAndThoseAboveR99) {
  const auto world = with(village(), {{1, kReader, kOuter}, {2, kWriter, kAda}}, {{kGroup, kAda}, {kOuter, kGroup}});
  EXPECT_EQ(code(world, {.subject = "group:Night Watch"}), "allowed_binding");
  EXPECT_EQ(code(world, {.subject = "group:Night Watch", .action = "CREATE"}), "denied_action_missing");
}

TEST(Decision, AServiceAccountBindsAndJoinsGroupsLikeAUserR51) {
  const auto world = with(village(), {{1, kReader, kGroup}}, {{kGroup, kRobot}});
  EXPECT_EQ(code(world, {.subject = "service_account:robot"}), "allowed_binding");
}

TEST(Decision, CodesOfADenialSayHowNearItWasR101) {
  const auto world = with(village(), {{1, kReader, kAda, "a"}, {2, kWriter, kBob}});
  EXPECT_EQ(code(world, {.ns = "b"}), "denied_wrong_namespace");
  EXPECT_EQ(code(world, {.subject = "user:bob", .ns = "b"}), "denied_action_missing");
  EXPECT_EQ(code(world, {.permission = "SECRET", .ns = "a"}), "denied_no_binding");
}

TEST(Decision, ARoleOfUnknownPairsGrantsNothingR15) {
  auto world = village();
  world.roles.push_back({9, "Captain", false, {{"SPACESHIP", {"LAUNCH"}}, {"FLOW", {"LAUNCH"}}}});
  EXPECT_EQ(code(with(world, {{1, 9, kAda}, {2, 9, kAda, "a", at(150)}}), {.when = at(120)}), "denied_no_binding");
}

TEST(Decision, ForAPrincipalByIdIsThatOfItsKey) {
  const auto world = with(village(), {{1, kReader, kAda}});
  const auto snapshot = compile(world);
  EXPECT_EQ(snapshot->check({PrincipalType::User, {kAda}}, "FLOW", "READ", "a.b", at(1)), (Decision{true, Reason::AllowedBinding}));
  EXPECT_EQ(snapshot->check({PrincipalType::Group, {kAda}}, "FLOW", "READ", "a.b", at(1)), (Decision{false, Reason::DeniedUnknownSubject}));
  EXPECT_EQ(snapshot->check({PrincipalType::User, {0}}, "FLOW", "READ", {}, at(1)), (Decision{false, Reason::DeniedUnknownSubject}));
  EXPECT_EQ(snapshot->check({PrincipalType::User, {kCleo}}, "FLOW", "READ", {}, at(1)), (Decision{false, Reason::DeniedUserSuspended}));
}

TEST(Decision, AnEmptyTenantAnswers) { EXPECT_EQ(code({}, {}), "denied_unknown_subject"); }

TEST(Decision, EveryReasonHasANameOfItsOwn) {
  std::set<std::string_view> names;
  for (int i = 0; i <= static_cast<int>(Reason::DeniedNoBinding); ++i) names.insert(name_of(static_cast<Reason>(i)));
  EXPECT_EQ(names.size(), 15U);
  EXPECT_FALSE(names.contains(""));
}

}  // namespace
}  // namespace rosterd::rbac
