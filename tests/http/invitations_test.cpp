// Invitations to a tenant (rbac.md R93, R94, and R79 at both ends).
#include <gmock/gmock.h>

#include <stdexcept>
#include <thread>

#include "tests/http/sign_in_world.hpp"
#include "tests/support/fetched.hpp"

namespace rosterd::test {
namespace {

using nlohmann::json;
using testing::Contains;

/// A tenant of ada's, with a group that is bound to Viewer.
struct Invited : testing::Test {
  SignInWorld& world = SignInWorld::shared();
  Person ada = world.person("ada");
  std::string tenant = world.tenant(&ada);
  std::string base = "/v1/tenants/" + tenant;
  std::string group;

  void SetUp() override {
    const auto made = world.as(ada).post(base + "/groups", {{"name", "readers"}});
    ASSERT_EQ(made.status, 201) << made.text;
    group = made.body["id"];
    ASSERT_EQ(world.as(ada).post(base + "/bindings", {{"role", "Viewer"}, {"principal", "group:" + group}}).status, 201);
  }
  Answer invite(const std::string& email, const json& more = json::object(), const Person* by = nullptr) {
    json body = {{"email", email}};
    body.update(more);
    return world.as(by != nullptr ? *by : ada).post(base + "/invitations", body);
  }
  std::string token_of(const Answer& made) {
    EXPECT_EQ(made.status, 201) << made.text;
    return made.body.value("token", "");
  }
  Answer accept(const Client& as, const std::string& token, const json& more = json::object()) {
    json body = {{"token", token}};
    body.update(more);
    return as.post("/v1/invitations/accept", body);
  }
  std::string reason(const std::string& who, const std::string& pair) {
    return world.as(ada).get(base + "/check?subject=" + encoded("user:" + who) + "&" + pair).body.value("reason", "");
  }
};

TEST_F(Invited, R93AnExistingAccountGainsNothingUntilItsOwnerAccepts) {
  const auto bob = world.person("bob");
  const auto made = invite(bob.email, {{"roles", json::array({{{"role", "Editor"}, {"namespace", "company.web"}}})}, {"groups", {group}}});
  const auto token = token_of(made);
  EXPECT_EQ(made.body["state"], "PENDING");
  EXPECT_EQ(token.substr(0, 4), "rsi_");
  EXPECT_EQ(made.body["link"], "https://authz.example.org/invite#" + token) << "behind the #, where no server sees it";
  EXPECT_EQ(made.header("cache-control"), "no-store");
  const auto id = made.body["id"].get<std::string>();
  const auto read = world.as(ada).get(base + "/invitations/" + id);
  EXPECT_FALSE(read.body.contains("token")) << "returned once";
  EXPECT_EQ(world.as(bob).get(base).status, 404);

  const auto done = accept(world.as(bob), token);
  ASSERT_EQ(done.status, 200) << done.text;
  EXPECT_EQ(done.body["tenant"], tenant);
  EXPECT_EQ(done.body["user"]["account"], text(bob.account));
  EXPECT_EQ(world.as(bob).get(base).status, 200);
  EXPECT_EQ(reason(bob.email, "permission=FLOW&action=UPDATE&namespace=company.web.shop"), "allowed_binding");
  EXPECT_EQ(reason(bob.email, "permission=FLOW&action=READ"), "allowed_binding") << "through the group";
  EXPECT_EQ(reason(bob.email, "permission=FLOW&action=UPDATE"), "denied_wrong_namespace");
  EXPECT_EQ(world.as(ada).get(base + "/invitations/" + id).body["state"], "ACCEPTED");
  EXPECT_EQ(accept(world.as(bob), token).code(), "invitation_stale") << "once";
  EXPECT_THAT(world.audited(bob.email), Contains("accepted"));
}

TEST_F(Invited, R94AcceptingMakesTheAccountWithAPasswordOfThePolicy) {
  const auto email = fmt::format("new.{}@people.example", tenant);
  const auto token = token_of(invite(email, {{"roles", json::array({{{"role", "Viewer"}}})}}));
  EXPECT_EQ(accept(world.nobody(), token).status, 400) << "a password is needed";
  EXPECT_EQ(accept(world.nobody(), token, {{"password", "weak"}}).code(), "weak_password");
  const auto done = accept(world.nobody(), token, {{"password", kGood}, {"first_name", "New"}});
  ASSERT_EQ(done.status, 201) << done.text;
  EXPECT_EQ(done.body["account"]["email"], email);
  const auto session = world.signed_in(email);
  EXPECT_EQ(world.me(session).body["must_change_password"], false);
  EXPECT_EQ(world.as(session).get(base).status, 200);
  // An account that exists signs in first: nobody takes it over with a link.
  const auto other = world.tenant(&ada);
  const auto again = world.as(ada).post("/v1/tenants/" + other + "/invitations", {{"email", email}});
  EXPECT_EQ(accept(world.nobody(), again.body["token"], {{"password", kOther}}).code(), "name_taken");
  EXPECT_EQ(world.login(email, kGood).status, 200);
}

TEST_F(Invited, R94AnotherAccountCannotAccept) {
  const auto bob = world.person("bob"), eve = world.person("eve");
  const auto token = token_of(invite(bob.email));
  EXPECT_EQ(accept(world.as(eve), token).status, 403);
  EXPECT_EQ(world.as(eve).get(base).status, 404);
  EXPECT_EQ(accept(world.as("rst_wrong"), token).status, 401) << "bad credentials are not none";
  EXPECT_EQ(accept(world.as(bob), token).status, 200);
}

TEST_F(Invited, R94ADeletedInvitationsLinkIsWorthless) {
  const auto bob = world.person("bob");
  const auto made = invite(bob.email);
  const auto token = token_of(made);
  EXPECT_EQ(world.as(ada).del(base + "/invitations/" + made.body["id"].get<std::string>()).status, 204);
  EXPECT_EQ(accept(world.as(bob), token).status, 404);
  EXPECT_EQ(accept(world.as(bob), "rsi_nothing").status, 404);
}

TEST_F(Invited, R93ASecondPendingOneOrOneForWhoIsThereIsRefused) {
  const auto bob = world.person("bob");
  const auto token = token_of(invite(bob.email));
  EXPECT_EQ(invite("B" + bob.email.substr(1)).code(), "already_invited");
  ASSERT_EQ(accept(world.as(bob), token).status, 200);
  EXPECT_EQ(invite(bob.email).code(), "already_invited");
}

TEST_F(Invited, R93ExpiresAndWhatItNamesMustExist) {
  const auto bob = world.person("bob");
  EXPECT_EQ(invite(bob.email, {{"expires_at", "2020-01-01T00:00:00Z"}}).code(), "expires_in_past");
  EXPECT_EQ(invite(bob.email, {{"roles", json::array({{{"role", "Nonesuch"}}})}}).code(), "unknown_role");
  EXPECT_EQ(invite(bob.email, {{"roles", json::array({{{"role", "Viewer"}, {"namespace", ""}}})}}).code(), "invalid_namespace");
  EXPECT_EQ(invite(bob.email, {{"groups", {"nonesuch"}}}).code(), "unknown_principal");
  EXPECT_EQ(invite("no e-mail").status, 400);
  const auto soon = world.clock.now() + std::chrono::milliseconds(1'500);
  const auto token = token_of(invite(bob.email, {{"expires_at", rfc3339(soon)}}));
  std::this_thread::sleep_for(std::chrono::milliseconds(1'600));  // its time passes on the database's clock
  EXPECT_EQ(accept(world.as(bob), token).code(), "invitation_stale");
  EXPECT_EQ(world.as(ada).get(base + "/invitations").body["items"][0]["state"], "EXPIRED");
  EXPECT_EQ(invite(bob.email).status, 201) << "an expired one does not stand in the way";
}

TEST_F(Invited, R79NobodyInvitesIntoMoreThanHeHolds) {
  const auto carol = world.person("carol");
  const auto theirs = world.tenant_where(carol, R"({"INVITATION":["CREATE","READ"],"FLOW":["READ"]})");
  const auto path = "/v1/tenants/" + theirs + "/invitations";
  const auto refused = world.as(carol).post(path, {{"email", "x@people.example"}, {"roles", json::array({{{"role", "Editor"}}})}});
  EXPECT_EQ(refused.status, 403);
  EXPECT_EQ(refused.code(), "escalation");
  EXPECT_EQ(world.as(carol).post(path, {{"email", "y@people.example"}}).status, 201) << "nothing but being there is given";
}

TEST_F(Invited, R79AnInvitationIsStaleWhenItsAuthorHoldsThatNoMore) {
  const auto bob = world.person("bob"), carol = world.person("carol");
  // Carol becomes an Admin, invites an Editor, and ceases to be Admin.
  ASSERT_EQ(accept(world.as(carol), token_of(invite(carol.email, {{"roles", json::array({{{"role", "Admin"}}})}}))).status, 200);
  const auto token = token_of(invite(bob.email, {{"roles", json::array({{{"role", "Editor"}}})}}, &carol));
  const auto user = text(PrincipalType::User, world.user_of(carol, tenant));
  const auto bindings = world.as(ada).get(base + "/bindings?principal=" + encoded("user:" + user));
  ASSERT_EQ(bindings.body["items"].size(), 1u) << bindings.text;
  ASSERT_EQ(world.as(ada).del(base + "/bindings/" + bindings.body["items"][0]["id"].get<std::string>()).status, 204);
  EXPECT_EQ(accept(world.as(bob), token).code(), "invitation_stale");
  EXPECT_EQ(world.as(bob).get(base).status, 404) << "all or nothing";
}

TEST_F(Invited, R79AnInvitationIsStaleWhenItsAuthorIsGone) {
  const auto bob = world.person("bob"), carol = world.person("carol");
  ASSERT_EQ(accept(world.as(carol), token_of(invite(carol.email, {{"roles", json::array({{{"role", "Admin"}}})}}))).status, 200);
  const auto token = token_of(invite(bob.email, json::object(), &carol));
  ASSERT_EQ(world.root().del(world.account_path(carol.email)).status, 204);
  EXPECT_EQ(accept(world.as(bob), token).code(), "invitation_stale");
}

TEST_F(Invited, R79AServiceAccountInvitesInItsOwnRight) {
  const auto bob = world.person("bob"), carol = world.person("carol");
  const auto made = world.as(ada).post(base + "/service-accounts", {{"name", "desk"}});
  ASSERT_EQ(made.status, 201) << made.text;
  const auto path = base + "/service-accounts/" + made.body["id"].get<std::string>();
  ASSERT_EQ(world.as(ada).post(base + "/bindings", {{"role", "Admin"}, {"principal", "service_account:desk"}}).status, 201);
  const auto desk = world.as(world.as(ada).post(path + "/tokens", {{"name", "t"}}).body["token"].get<std::string>());
  const json viewer = {{"roles", json::array({{{"role", "Viewer"}}})}};
  const auto invite_by_desk = [&](const std::string& email) {
    json body = {{"email", email}};
    body.update(viewer);
    return token_of(desk.post(base + "/invitations", body));
  };
  EXPECT_EQ(accept(world.as(bob), invite_by_desk(bob.email)).status, 200);
  const auto token = invite_by_desk(carol.email);
  ASSERT_EQ(world.as(ada).patch(path, {{"enabled", false}}).status, 200);
  EXPECT_EQ(accept(world.as(carol), token).code(), "invitation_stale");
  EXPECT_EQ(accept(desk, token).status, 401);
}

TEST_F(Invited, R5AcceptingNeverTakesOverAUserWithTheSameEmail) {
  const auto bob = world.person("bob"), carol = world.person("carol");
  const auto there = world.as(ada).post(base + "/users", {{"username", "robert"}, {"email", bob.email}});
  ASSERT_EQ(there.status, 201) << there.text;
  const auto done = accept(world.as(bob), token_of(invite(bob.email)));
  ASSERT_EQ(done.status, 200) << done.text;
  EXPECT_NE(done.body["user"]["id"], there.body["id"]);
  EXPECT_TRUE(world.as(ada).get(base + "/users/robert").body["account"].is_null());
  ASSERT_EQ(world.as(ada).post(base + "/users", {{"username", carol.email}}).status, 201);
  EXPECT_EQ(accept(world.as(carol), token_of(invite(carol.email))).code(), "name_taken") << "nor one with the same name";
}

TEST_F(Invited, ATenantNeverSeesAnothersInvitations) {
  const auto made = invite("bob@people.example");
  const auto other = world.tenant(&ada);
  const auto id = made.body["id"].get<std::string>();
  EXPECT_EQ(world.as(ada).get("/v1/tenants/" + other + "/invitations/" + id).status, 404);
  EXPECT_EQ(world.as(ada).get("/v1/tenants/" + other + "/invitations").body["items"].size(), 0u);
  EXPECT_EQ(world.as(ada).del("/v1/tenants/" + other + "/invitations/" + id).status, 404);
  EXPECT_EQ(world.root().del(base).status, 204) << "and they go with their tenant";
  EXPECT_EQ(accept(world.nobody(), made.body["token"], {{"password", kGood}}).status, 404);
}

TEST_F(Invited, TwoAcceptancesAtOnceMakeOneUser) {
  const auto bob = world.person("bob");
  const auto token = token_of(invite(bob.email));
  std::atomic<int> done{0};
  {
    std::vector<std::jthread> both;
    for (int i = 0; i < 4; ++i) both.emplace_back([&] { done += accept(world.as(bob), token).status == 200 ? 1 : 0; });
  }
  EXPECT_EQ(done, 1);
}

// ---- the page behind the link ----------------------------------------------------------------------------------------------------------

TEST_F(Invited, R93TheLinkLeadsToAPageThatAsksNobodyElse) {
  const auto page = world.nobody().get("/invite");
  ASSERT_EQ(page.status, 200) << page.text;
  EXPECT_EQ(page.header("content-type"), "text/html; charset=utf-8");
  EXPECT_EQ(page.header("cache-control"), "no-store");
  EXPECT_EQ(page.header("referrer-policy"), "no-referrer");
  const auto policy = page.header("content-security-policy");
  EXPECT_EQ(policy.rfind("default-src 'none'; script-src 'nonce-", 0), 0u) << policy;
  EXPECT_EQ(policy.find("unsafe"), std::string::npos) << policy;
  const auto nonce = policy.substr(policy.find("'nonce-") + 7, 32);
  EXPECT_NE(page.text.find("<script nonce=\"" + nonce + "\">"), std::string::npos);
  EXPECT_NE(page.text.find("<style nonce=\"" + nonce + "\">"), std::string::npos);
  EXPECT_EQ(page.text.find("@NONCE@"), std::string::npos);
  for (const char* outside : {"http:", "https:", " src=", " href=", "@import", "url(", "<link", "style=\"", "innerHTML"})
    EXPECT_EQ(page.text.find(outside), std::string::npos) << outside;
  EXPECT_NE(world.nobody().get("/invite").header("content-security-policy"), policy) << "each answer has its own nonce";
}

/// What a person sees who opens the link of an invitation and fills in the page; ROSTERD_NEEDS("node") before it.
json filled_in(const World& world, const std::string& fragment, const json& fields) {
  const auto ran = run({"node", std::string(ROSTERD_SOURCE_DIR) + "/tests/http/invite_page.cjs",
                        fmt::format("http://127.0.0.1:{}", world.server->port()), fragment, fields.dump()});
  if (ran.status != 0)
    throw std::runtime_error("running the page with node (package nodejs; ROSTERD_TEST_WITHOUT=node leaves it out on purpose): " +
                             ran.output);
  return json::parse(ran.output);
}

TEST_F(Invited, R94WhoOpensTheLinkAcceptsThereWithAPasswordOfHisOwn) {
  ROSTERD_NEEDS("node");
  const auto email = fmt::format("page.{}@people.example", tenant);
  const auto made = invite(email, {{"roles", json::array({{{"role", "Viewer"}}})}});
  const auto link = made.body["link"].get<std::string>();
  const auto fragment = link.substr(link.find('#'));
  auto seen = filled_in(world, fragment, {{"who", "new"}, {"password", "weak"}});
  EXPECT_EQ(seen["done"], false);
  EXPECT_NE(seen["said"].get<std::string>().find("password"), std::string::npos) << seen.dump();
  seen = filled_in(world, fragment, {{"who", "new"}, {"password", kGood}, {"first_name", "Paige"}});
  EXPECT_EQ(seen["done"], true) << seen.dump();
  EXPECT_EQ(seen["address"], "/invite") << "the token does not stay in the address bar";
  EXPECT_EQ(seen["password"], "");
  EXPECT_EQ(seen["requests"], json::array({"v1/invitations/accept"}));
  EXPECT_EQ(world.as(world.signed_in(email)).get(base).status, 200);
  EXPECT_EQ(reason(email, "permission=FLOW&action=READ"), "allowed_binding");
  seen = filled_in(world, fragment, {{"who", "new"}, {"password", kGood}});
  EXPECT_EQ(seen["done"], false) << "once";
}

TEST_F(Invited, R94WhoOpensTheLinkAcceptsThereWithTheAccountHeHas) {
  ROSTERD_NEEDS("node");
  const auto email = world.somebody("joan");
  const auto fragment = "#" + token_of(invite(email));
  auto seen = filled_in(world, fragment, {{"who", "known"}, {"email", email}, {"password", kOther}});
  EXPECT_EQ(seen["done"], false);
  seen = filled_in(world, fragment, {{"who", "known"}, {"email", email}, {"password", kGood}});
  EXPECT_EQ(seen["done"], true) << seen.dump();
  EXPECT_EQ(seen["requests"], json::array({"v1/login", "v1/invitations/accept", "v1/logout"}));
  EXPECT_EQ(world.as(world.signed_in(email)).get(base).status, 200);
}

TEST_F(Invited, ALinkThatWasCutOffShowsNoForm) {
  ROSTERD_NEEDS("node");
  const auto seen = filled_in(world, "#rsi_abc", json::object());
  EXPECT_EQ(seen["shown"], false);
}

}  // namespace
}  // namespace rosterd::test
