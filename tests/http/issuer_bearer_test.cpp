// Tokens of tenants' issuers and of the instance's, at the API.
#include <set>
#include <thread>

#include "tests/e2e/sql_session.hpp"
#include "tests/http/issuer_world.hpp"

namespace rosterd::test {
namespace {

using nlohmann::json;

class IssuerBearer : public testing::Test {
 protected:
  void SetUp() override {
    tenant = world.tenant();
    other = world.tenant();
    idp = world.source(tenant, issuer);
    ada = world.user(tenant, idp, "ada-1", "ada");
  }
  long status(const std::string& token, const std::string& path) const { return world.as(token).get(path).status; }
  std::string at(const std::string& where, const std::string& below = "/permissions") const { return "/v1/tenants/" + where + below; }
  std::string id(PrincipalId user) const { return text(PrincipalType::User, user); }
  Answer check(const std::string& subject, const std::string& permission, const std::string& action) const {
    return world.root().post(at(tenant, "/check"), {{"subject", subject}, {"permission", permission}, {"action", action}});
  }
  /// A group as a run of the source would have made it.
  PrincipalId group(SourceId source, const std::string& external_id, const std::string& name) const {
    e2e::SqlSession sql(world.database.superuser_url);
    const auto made = sql.value(fmt::format(
        "INSERT INTO rosterd.tenant_group (tenant_id, id, source_id, external_id, name, name_key, source_name) SELECT tenant_id, "
        "nextval('rosterd.principal_seq'), {}, '{}', '{}', '{}', '{}' FROM rosterd.tenant WHERE id = '{}' RETURNING id",
        source.value, external_id, name, name, name, tenant));
    return PrincipalId{std::stoull(made)};
  }
  std::set<std::string> groups_of(PrincipalId user) const {
    std::set<std::string> out;
    const auto found = world.store->groups_of(TenantId{tenant}, {PrincipalType::User, user});
    if (found)
      for (const auto& one : *found) out.insert(one.name);
    return out;
  }

  IssuerWorld& world = IssuerWorld::shared();
  FakeIssuer issuer;
  std::string tenant, other;
  SourceId idp;
  PrincipalId ada;
};

TEST_F(IssuerBearer, IsSomebodyInItsTenant_R5) {
  const auto token = issuer.token("ada-1");
  const auto me = world.me(token);
  ASSERT_EQ(me.status, 200) << me.text;
  EXPECT_EQ(me.body["users"], json::array({{{"tenant", tenant}, {"id", id(ada)}, {"username", "ada"}, {"source", text(idp)}}}));
  EXPECT_EQ(me.body["token"]["issuer"], issuer.url());
  EXPECT_EQ(status(token, at(tenant)), 200);
  EXPECT_EQ(status(token, at(tenant, "/users/" + id(ada))), 200) << "herself (R96)";
  EXPECT_EQ(status(token, at(tenant, "/users")), 403) << "standing, and no right";
  const auto tenants = world.as(token).get("/v1/tenants");
  ASSERT_EQ(tenants.body["items"].size(), 1u);
  EXPECT_EQ(tenants.body["items"][0]["id"], tenant);
  EXPECT_EQ(world.as(token).post("/v1/me/tokens", {{"name", "x"}}).status, 403) << "she has no account";
  EXPECT_EQ(status(token, "/v1/accounts"), 403);
}

TEST_F(IssuerBearer, IsNobodyInAnotherTenant_R3_R4) {
  FakeIssuer of_other;
  const auto there = world.source(other, of_other);
  (void)world.user(other, there, "ada-1", "ada");  // the same id and name
  const auto token = issuer.token("ada-1");
  const auto denied = world.as(token).get(at(other)), unknown = world.as(token).get(at("no-such-tenant"));
  EXPECT_EQ(denied.status, 404);
  EXPECT_EQ(denied.body, unknown.body);
  EXPECT_EQ(status(of_other.token("ada-1"), at(tenant)), 404);
  EXPECT_EQ(status(of_other.token("ada-1"), at(other)), 200);
  const auto proxied = world.as(token).get("/t/" + other + "/authz/proxy/x", {{"Rosterd-Permission", "FLOW"}, {"Rosterd-Action", "READ"}});
  EXPECT_EQ(proxied.status, 403);
}

TEST_F(IssuerBearer, OfOneIssuerSignedByAnotherIsRefused) {
  FakeIssuer of_other;
  of_other.use(SigningKey::curve("k1"));  // the same kid
  (void)world.source(other, of_other);
  EXPECT_EQ(world.me(of_other.token("ada-1", {{"iss", issuer.url()}})).status, 401) << "mix-up";
  EXPECT_EQ(world.me(issuer.token("ada-1", {{"iss", of_other.url()}})).status, 401);
  EXPECT_EQ(world.me(issuer.token("ada-1", {{"iss", issuer.url() + "/"}})).status, 401);
  EXPECT_EQ(world.me(issuer.token("ada-1", {{"iss", "https://nobody.example"}})).status, 401);
}

TEST_F(IssuerBearer, LooksTheSameHoweverItIsRefused_R59) {
  const auto good = issuer.token("ada-1");
  const auto first = world.me("eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL2EuZXhhbXBsZSJ9.");
  EXPECT_EQ(first.status, 401);
  EXPECT_EQ(first.header("www-authenticate"), "Bearer");
  for (const auto& token :
       {good + "x", good.substr(0, good.size() - 3), issuer.token("nobody"), issuer.token("ada-1", {{"aud", "other"}}),
        issuer.token("ada-1", {{"exp", 1}}), issuer.token("ada-1", {}, {{"typ", "JWT"}}), issuer.token("ada-1", {}, {{"kid", "k9"}}),
        issuer.token("ada-1", {{"nonce", "n"}}), issuer.id_token("ada-1", "n"), issuer.token("ada-1", {{"sub", "console"}}),
        std::string("ey.."), std::string(7000, 'e'), "ey" + std::string(7000, 'x') + ".y.z"}) {
    const auto refused = world.me(token);
    EXPECT_EQ(refused.status, 401) << token.substr(0, 60);
    EXPECT_EQ(refused.body, first.body);
  }
}

TEST_F(IssuerBearer, IsNeverMatchedByNameOrEmail_R5) {
  const auto made = world.root().post(at(tenant, "/users"), {{"username", "grace"}, {"email", "grace@example.org"}});
  ASSERT_EQ(made.status, 201) << made.text;
  EXPECT_EQ(
      world.me(issuer.token("grace-1", {{"preferred_username", "grace"}, {"email", "grace@example.org"}, {"email_verified", true}})).status,
      401);
  EXPECT_EQ(world.me(issuer.token("grace")).status, 401);
  EXPECT_EQ(world.me(issuer.token("ADA-1")).status, 401) << "ids are compared byte for byte";
  const auto account = world.person("linked");
  EXPECT_EQ(world.me(issuer.token("x", {{"email", account.email}, {"email_verified", true}})).status, 401);
}

TEST_F(IssuerBearer, OfUnknownPeopleIsRefusedOrMakesThem_R91) {
  FakeIssuer open;
  const auto inviting = world.source(other, open, {{"sign_in_options", {{"unknown_people", "create"}, {"default_role", "Viewer"}}}});
  EXPECT_EQ(world.me(issuer.token("new-1")).status, 401) << "refused is the default";
  const auto token = open.token("new-1", {{"preferred_username", "Newton"}, {"email", "n@example.org"}, {"given_name", "Isaac"}});
  ASSERT_EQ(world.as(token).get(at(other)).status, 200);
  const auto user = world.as(token).get("/v1/me").body["users"][0];
  EXPECT_EQ(user["username"], "newton");
  const auto shown = world.root().get(at(other, "/users/" + user["id"].get<std::string>()));
  EXPECT_EQ(shown.body["origin"]["source"], text(inviting));
  EXPECT_EQ(shown.body["external_id"], "new-1");
  EXPECT_EQ(shown.body["email"], nullptr) << "an address that the issuer has not verified is nobody's";
  EXPECT_EQ(shown.body["first_name"], "Isaac");
  const auto bindings = world.root().get(at(other, "/bindings?principal=user:" + user["id"].get<std::string>()));
  ASSERT_EQ(bindings.body["items"].size(), 1u) << bindings.text;
  EXPECT_EQ(bindings.body["items"][0]["origin"]["source"], text(inviting)) << "owned by the source";
  const auto allowed = world.as(token).get(at(other, "/check?subject=user:newton&permission=FLOW&action=READ"));
  EXPECT_EQ(allowed.body["allowed"], true) << allowed.text;
  EXPECT_EQ(status(token, at(tenant)), 404) << "and nobody elsewhere";
  EXPECT_EQ(world.as(open.token("new-2", {{"client_id", "new-2"}})).get(at(other)).status, 401) << "clients are no people";
}

TEST_F(IssuerBearer, OfOneIssuerAtTwoTenantsIsJudgedByEach) {
  const auto there = world.source(other, issuer, {{"audiences", {"other-rosterd"}}});
  (void)world.user(other, there, "ada-1", "countess");
  const auto here_only = issuer.token("ada-1"), there_only = issuer.token("ada-1", {{"aud", "other-rosterd"}});
  EXPECT_EQ(status(here_only, at(tenant)), 200);
  EXPECT_EQ(status(here_only, at(other)), 404);
  EXPECT_EQ(status(there_only, at(tenant)), 404);
  EXPECT_EQ(status(there_only, at(other)), 200);
  const auto both = issuer.token("ada-1", {{"aud", {"rosterd", "other-rosterd"}}});
  EXPECT_EQ(status(both, at(tenant)), 200);
  EXPECT_EQ(status(both, at(other)), 200);
  EXPECT_EQ(world.me(both).body["users"].size(), 2u);
}

TEST_F(IssuerBearer, LivesOnThroughARotationOfKeys) {
  const auto old_token = issuer.token("ada-1");
  EXPECT_EQ(world.me(old_token).status, 200);
  issuer.use(SigningKey::curve("k2"));
  const auto new_token = issuer.token("ada-1");
  EXPECT_EQ(world.me(new_token).status, 401) << "asked a moment ago: not asked again within a minute";
  world.later(std::chrono::seconds(61));
  EXPECT_EQ(world.me(new_token).status, 200);
  outlast_caches();
  EXPECT_EQ(world.me(old_token).status, 401) << "its key is retired";
}

TEST_F(IssuerBearer, WithUnknownKeysCannotFloodTheIssuer) {
  EXPECT_EQ(world.me(issuer.token("ada-1")).status, 200);
  world.later(std::chrono::seconds(61));
  const auto before = issuer.asked_for_keys();
  std::vector<std::jthread> crowd;
  for (int i = 0; i < 4; ++i)
    crowd.emplace_back([&, i] {
      for (int n = 0; n < 50; ++n) EXPECT_EQ(world.me(issuer.token("ada-1", {}, {{"kid", fmt::format("flood-{}-{}", i, n)}})).status, 401);
    });
  crowd.clear();
  EXPECT_LE(issuer.asked_for_keys() - before, 1);
  EXPECT_EQ(world.me(issuer.token("ada-1", {{"jti", "2"}})).status, 200) << "everybody else goes on";
}

TEST_F(IssuerBearer, IsGoodWhileTheIssuerIsDownAndItsKeysAreKnown) {
  EXPECT_EQ(world.me(issuer.token("ada-1")).status, 200);
  issuer.break_down(true);
  world.later(std::chrono::hours(25));
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(world.me(issuer.token("ada-1", {{"jti", i}})).status, 200) << "old keys serve until there are new ones";
  FakeIssuer never_up;
  never_up.break_down(true);
  const auto source = world.source(other, never_up);
  (void)world.user(other, source, "ada-1", "ada");
  const auto unavailable = world.me(never_up.token("ada-1"));
  EXPECT_EQ(unavailable.status, 503) << "a fault is no refusal";
  EXPECT_EQ(unavailable.code(), "issuer_unavailable");
  const auto shown = world.root().get(at(other, "/users"));
  for (const auto& user : shown.body["items"]) EXPECT_EQ(user["state"], "active") << "nobody is suspended by it";
}

TEST_F(IssuerBearer, WaitsForASlowIssuerOnlySoLong) {
  FakeIssuer slow;
  slow.dawdle(10'000);
  const auto source = world.source(other, slow);
  (void)world.user(other, source, "ada-1", "ada");
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_EQ(world.me(slow.token("ada-1")).status, 503);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(8));
  EXPECT_EQ(world.me(issuer.token("ada-1")).status, 200) << "and holds up nobody else";
}

TEST_F(IssuerBearer, MayBeAMinuteOffAndNoMore) {
  const auto now = std::chrono::duration_cast<std::chrono::seconds>(world.clock.now().time_since_epoch()).count();
  EXPECT_EQ(world.me(issuer.token("ada-1", {{"exp", now - 40}})).status, 200);
  EXPECT_EQ(world.me(issuer.token("ada-1", {{"exp", now - 61}})).status, 401);
  EXPECT_EQ(world.me(issuer.token("ada-1", {{"iat", now + 40}, {"nbf", now + 40}})).status, 200);
  EXPECT_EQ(world.me(issuer.token("ada-1", {{"iat", now + 90}})).status, 401);
  EXPECT_EQ(world.me(issuer.token("ada-1", {{"nbf", now + 90}})).status, 401);
}

TEST_F(IssuerBearer, IsNotReplacedByAnIdentityHeader) {
  const Headers headers{{"Rosterd-Subject", "user:ada"}, {"Rosterd-Permission", "FLOW"}, {"Rosterd-Action", "READ"}};
  const auto path = "/t/" + tenant + "/authz/proxy/x";
  EXPECT_EQ(world.nobody().get(path, headers).status, 401);
  EXPECT_EQ(world.as(issuer.token("ada-1")).get(path, headers).status, 401) << "she may not name anybody, herself neither";
  EXPECT_EQ(world.nobody().get(at(tenant), {{"X-Forwarded-User", "ada"}, {"Rosterd-Subject", "user:ada"}}).status, 401);
}

TEST_F(IssuerBearer, EndsWithTheUserTheSourceAndTheTenant_R58_R87) {
  const auto token = issuer.token("ada-1");
  const auto dies_by = [&](const std::function<void()>& change, const std::function<void()>& undo) {
    EXPECT_EQ(world.me(token).status, 200);
    change();
    outlast_caches();
    EXPECT_EQ(world.me(token).status, 401);
    undo();
    outlast_caches();
  };
  const auto suspend = [&](bool yes) {
    const auto done = world.store->set_user_suspended(TenantId{tenant}, ada, yes, {});
    EXPECT_TRUE(done.has_value());
  };
  dies_by([&] { suspend(true); }, [&] { suspend(false); });
  const auto change = [&](const std::function<void(NewSource&)>& edit) {
    const auto now = world.store->source(TenantId{tenant}, "idp");
    ASSERT_TRUE(now.has_value());
    NewSource next;
    next.name = now->name;
    next.type = now->type;
    next.settings = IssuerWorld::settings_for(issuer).dump();
    edit(next);
    EXPECT_TRUE(world.store->change_source(TenantId{tenant}, now->id, next, now->version, {}).has_value());
  };
  dies_by([&] { change([](NewSource& source) { source.enabled = false; }); }, [&] { change([](NewSource&) {}); });
  dies_by(
      [&] { change([&](NewSource& source) { source.settings = IssuerWorld::settings_for(issuer, {{"audiences", {"other"}}}).dump(); }); },
      [&] { change([](NewSource&) {}); });
  dies_by([&] { change([&](NewSource& source) { source.settings = IssuerWorld::settings_for(issuer, {{"sign_in", false}}).dump(); }); },
          [&] { change([](NewSource&) {}); });
  dies_by([&] { EXPECT_EQ(world.root().patch("/v1/tenants/" + tenant, {{"enabled", false}}).status, 200); },
          [&] { EXPECT_EQ(world.root().patch("/v1/tenants/" + tenant, {{"enabled", true}}).status, 200); });
  EXPECT_EQ(world.me(token).status, 200);
}

TEST_F(IssuerBearer, GrantsNothingByItsRolesAndRefreshesOnlyItsSourcesGroups) {
  const auto second = world.source(tenant, issuer, {{"sign_in", false}}, "second");
  const auto staff = group(idp, "g-1", "staff"), ops = group(idp, "g-2", "ops"), alien = group(second, "g-3", "alien");
  const auto local = world.root().post(at(tenant, "/groups"), {{"name", "local"}});
  ASSERT_EQ(local.status, 201);
  const auto local_id = local.body["id"].get<std::string>();
  ASSERT_EQ(world.root().put(at(tenant, "/groups/" + local_id + "/members/user:" + id(ada)), json::object()).status, 201);
  const auto sends = [&](const json& claims) { EXPECT_EQ(world.me(issuer.token("ada-1", claims)).status, 200) << claims.dump(); };
  sends({{"groups", {"g-1", "g-3", "g-9", local_id, "local"}}, {"roles", {"Admin"}}, {"entitlements", {"Admin"}}});
  EXPECT_EQ(groups_of(ada), (std::set<std::string>{"staff", "local"}));
  EXPECT_EQ(check("user:ada", "FLOW", "READ").body["allowed"], false) << "roles and entitlements grant nothing";
  sends({{"groups", {"g-1", "g-2"}}});
  EXPECT_EQ(groups_of(ada), (std::set<std::string>{"staff", "ops", "local"}));
  for (const json& unsaid :
       {json{{"jti", "a"}},
        json{{"_claim_names", {{"groups", "src1"}}}, {"_claim_sources", {{"src1", {{"endpoint", "https://x.example"}}}}}},
        json{{"hasgroups", true}}, json{{"groups", "staff"}}, json{{"groups", json::array()}, {"_claim_names", {{"groups", "src1"}}}}}) {
    sends(unsaid);
    EXPECT_EQ(groups_of(ada), (std::set<std::string>{"staff", "ops", "local"})) << "never read as no groups: " << unsaid.dump();
  }
  sends({{"groups", json::array()}});
  EXPECT_EQ(groups_of(ada), (std::set<std::string>{"local"}));
  (void)staff, (void)ops, (void)alien;
}

TEST_F(IssuerBearer, NeverTakesTheLastAdminAway_R89) {
  const auto admins = group(idp, "g-admin", "admins");
  EXPECT_EQ(world.me(issuer.token("ada-1", {{"groups", {"g-admin"}}})).status, 200);
  ASSERT_EQ(
      world.root().post(at(tenant, "/bindings"), {{"role", "Admin"}, {"principal", "group:" + text(PrincipalType::Group, admins)}}).status,
      201);
  const auto bindings = world.store->bindings(TenantId{tenant});
  ASSERT_TRUE(bindings.has_value());
  for (const auto& binding : *bindings)
    if (binding.principal.type == PrincipalType::User) {
      EXPECT_TRUE(world.store->delete_binding(TenantId{tenant}, binding.id, false, {}).has_value());
    }
  EXPECT_EQ(world.me(issuer.token("ada-1", {{"groups", json::array()}})).status, 200);
  EXPECT_EQ(groups_of(ada), (std::set<std::string>{"admins"}));
}

TEST_F(IssuerBearer, ActsAsTheUserAndIsAuditedAsHer_R75_R106) {
  const auto role = world.root().post(
      at(tenant, "/roles"),
      {{"name", "Binder"},
       {"permissions", {{"BINDING", {"CREATE"}}, {"ROLE", {"READ"}}, {"GROUP", {"CREATE"}}, {"GROUP_MEMBERSHIP", {"CREATE"}}}}});
  ASSERT_EQ(role.status, 201) << role.text;
  ASSERT_EQ(world.root().post(at(tenant, "/bindings"), {{"role", role.body["id"]}, {"principal", "user:" + id(ada)}}).status, 201);
  const auto token = issuer.token("ada-1");
  const auto escalated = world.as(token).post(at(tenant, "/bindings"), {{"role", "Admin"}, {"principal", "user:" + id(ada)}});
  EXPECT_EQ(escalated.status, 403);
  EXPECT_EQ(escalated.code(), "escalation");
  const auto admins = world.root().post(at(tenant, "/groups"), {{"name", "admins"}}).body["id"].get<std::string>();
  ASSERT_EQ(world.root().post(at(tenant, "/bindings"), {{"role", "Admin"}, {"principal", "group:" + admins}}).status, 201);
  EXPECT_EQ(world.as(token).put(at(tenant, "/groups/" + admins + "/members/user:" + id(ada)), json::object()).code(), "escalation");
  ASSERT_EQ(world.as(token).post(at(tenant, "/groups"), {{"name", "made-by-ada"}}).status, 201);
  const auto log = world.root().get(at(tenant, "/audit?actor=" + id(ada)));
  ASSERT_EQ(log.status, 200);
  bool found = false;
  for (const auto& entry : log.body["items"])
    if (entry["object"]["name"] == "made-by-ada") {
      found = true;
      EXPECT_EQ(entry["actor"], (json{{"type", "user"}, {"id", id(ada)}, {"name", "ada"}}));
      EXPECT_EQ(entry["by"], "issuer " + issuer.url());
    }
  EXPECT_TRUE(found) << log.text;
}

TEST_F(IssuerBearer, InvitesForHerselfAndIsJudgedAgainWhenItIsAccepted_R79) {
  const auto role = world.root().post(
      at(tenant, "/roles"), {{"name", "Inviter"}, {"permissions", {{"INVITATION", {"CREATE"}}, {"ROLE", {"READ"}}, {"FLOW", {"READ"}}}}});
  ASSERT_EQ(role.status, 201) << role.text;
  const auto bound = world.root().post(at(tenant, "/bindings"), {{"role", "Inviter"}, {"principal", "user:" + id(ada)}});
  ASSERT_EQ(bound.status, 201);
  const auto reader = world.root().post(at(tenant, "/roles"), {{"name", "Reader"}, {"permissions", {{"FLOW", {"READ"}}}}});
  ASSERT_EQ(reader.status, 201);
  const auto token = issuer.token("ada-1");
  const auto invite = [&](const std::string& who, const char* gives) {
    return world.as(token).post(at(tenant, "/invitations"),
                                {{"email", who + "-" + tenant + "@people.example"}, {"roles", {{{"role", gives}}}}});
  };
  const auto accept = [&](const Answer& invitation) {
    return world.nobody().post("/v1/invitations/accept", {{"token", invitation.body["token"]}, {"password", "Correct-horse-7"}});
  };
  EXPECT_EQ(invite("eve", "Admin").code(), "escalation");
  const auto first = invite("fay", "Reader"), second = invite("gus", "Reader");
  ASSERT_EQ(first.status, 201) << first.text;
  ASSERT_EQ(second.status, 201) << second.text;
  const auto joined = accept(first);
  EXPECT_EQ(joined.status, 201) << joined.text;
  ASSERT_EQ(world.root().del(at(tenant, "/bindings/" + bound.body["id"].get<std::string>())).status, 204);
  EXPECT_EQ(accept(second).code(), "invitation_stale") << "she holds nothing any more";
}

TEST_F(IssuerBearer, OfTheInstancesIssuerIsTheAccountThatHasTheIdentity) {
  auto& instance = world.instance();
  const auto person = world.person("ines");
  const auto path = "/v1/accounts/" + text(person.account) + "/identity";
  const auto token = instance.token("ines-1", {{"email", person.email}, {"email_verified", true}});
  EXPECT_EQ(world.me(token).status, 401) << "never by an equal e-mail";
  EXPECT_EQ(world.as(person).put(path, {{"subject", "ines-1"}}).status, 403);
  EXPECT_EQ(world.root().get(path).body["subject"], nullptr);
  ASSERT_EQ(world.root().put(path, {{"subject", "ines-1"}}).status, 200);
  outlast_caches();
  const auto me = world.me(token);
  ASSERT_EQ(me.status, 200) << me.text;
  EXPECT_EQ(me.body["email"], person.email);
  EXPECT_EQ(world.root().get(path).body["subject"], "ines-1");
  const auto second = world.person("iris");
  EXPECT_EQ(world.root().put("/v1/accounts/" + text(second.account) + "/identity", {{"subject", "ines-1"}}).status, 409);
  EXPECT_EQ(status(token, "/v1/accounts"), 403);
  EXPECT_EQ(status(instance.token("ines-1", {{"roles", {"super_admin"}}, {"jti", "9"}}), "/v1/accounts"), 403) << "never by a claim";
  const auto mine = world.tenant(&person);
  EXPECT_EQ(status(token, at(mine)), 200) << "through the link of the account";
  EXPECT_EQ(world.root().del(path).status, 204);
  outlast_caches();
  EXPECT_EQ(world.me(token).status, 401);
}

TEST_F(IssuerBearer, OfAnIssuerIsNotASecretOfOurs) {
  EXPECT_EQ(world.me("eyJ").status, 401);
  EXPECT_EQ(world.me("rst_" + issuer.token("ada-1")).status, 401);
  EXPECT_EQ(world.nobody().get("/v1/me", {{"Authorization", issuer.token("ada-1")}}).status, 401);
  EXPECT_EQ(world.nobody().get("/v1/me", {{"Authorization", "Basic " + issuer.token("ada-1")}}).status, 401);
  EXPECT_EQ(world.nobody().get("/v1/me", {{"Cookie", "rosterd_session=" + issuer.token("ada-1")}}).status, 401) << "a JWT is no session";
  EXPECT_EQ(world.nobody().get("/v1/me?access_token=" + issuer.token("ada-1")).status, 401);
}

}  // namespace
}  // namespace rosterd::test
