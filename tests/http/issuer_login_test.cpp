// Browsers that sign in through a provider.
#include "connectors/oidc/code_flow.hpp"
#include "tests/http/issuer_world.hpp"

namespace rosterd::test {
namespace {

using nlohmann::json;

/// The value of a parameter of a URL, undecoded.
std::string parameter(const std::string& url, const std::string& name) {
  const auto at = url.find_first_of("?&") == std::string::npos ? std::string::npos : url.find(name + "=");
  if (at == std::string::npos) return {};
  const auto begin = at + name.size() + 1;
  return url.substr(begin, url.find('&', begin) - begin);
}

/// A browser: what it was given, and what it sends.
struct Browser {
  std::string cookie;  ///< of the sign-in
  std::string session;
  std::string location;
  Answer last;

  [[nodiscard]] std::string state() const { return parameter(location, "state"); }
  [[nodiscard]] std::string nonce() const { return parameter(location, "nonce"); }
  [[nodiscard]] Headers headers() const {
    std::string all = cookie;
    if (!session.empty()) all += (all.empty() ? "" : "; ") + ("rosterd_session=" + session);
    return all.empty() ? Headers{} : Headers{{"Cookie", all}};
  }
};

class IssuerLogin : public testing::Test {
 protected:
  void SetUp() override {
    tenant = world.tenant();
    idp = world.source(tenant, issuer, {{"sign_in_options", {{"client_id", "browser"}}}});
    ada = world.user(tenant, idp, "ada-1", "ada");
    path = "/v1/login/oidc/" + tenant + "/idp";
  }
  Browser begin(const std::string& query = "", Browser browser = {}) const { return begin_at(path, query, std::move(browser)); }
  Browser begin_at(const std::string& where, const std::string& query = "", Browser browser = {}) const {
    browser.last = world.nobody().get(where + query, browser.headers());
    browser.location = browser.last.header("location");
    const auto set = browser.last.header("set-cookie");
    browser.cookie = set.substr(0, set.find(';'));
    return browser;
  }
  /// Comes back with a code for an ID token of that subject.
  Answer come_back(Browser& browser, FakeIssuer& from, const std::string& subject, const json& claims = json::object(),
                   const std::string& more = "") const {
    from.give({{"id_token", from.id_token(subject, browser.nonce(), claims)}, {"access_token", "at"}, {"token_type", "Bearer"}});
    return answer(browser, "?code=c0de&state=" + browser.state() + more);
  }
  Answer answer(Browser& browser, const std::string& query, const std::string& where = "") const {
    browser.last = world.nobody().get((where.empty() ? path : where) + "/callback" + query, browser.headers());
    const auto set = browser.last.header("set-cookie");  // the last one
    if (set.starts_with("rosterd_session=")) browser.session = set.substr(16, set.find(';') - 16);
    return browser.last;
  }
  std::string id(PrincipalId user) const { return text(PrincipalType::User, user); }

  IssuerWorld& world = IssuerWorld::shared();
  FakeIssuer issuer;
  std::string tenant, path;
  SourceId idp;
  PrincipalId ada;
};

TEST_F(IssuerLogin, SendsTheBrowserToTheProviderWithPkceStateAndNonce) {
  const auto browser = begin("?return_to=%2Fconsole%3Fa%3D1");
  ASSERT_EQ(browser.last.status, 302) << browser.last.text;
  EXPECT_TRUE(browser.location.starts_with(issuer.url() + "/authorize?response_type=code&client_id=browser&")) << browser.location;
  EXPECT_EQ(parameter(browser.location, "code_challenge_method"), "S256");
  EXPECT_EQ(parameter(browser.location, "code_challenge").size(), 43u);
  EXPECT_EQ(parameter(browser.location, "redirect_uri"), encoded(std::string(kPublic) + path + "/callback"));
  EXPECT_EQ(parameter(browser.location, "scope"), "openid%20profile%20email");
  EXPECT_GE(browser.state().size(), 32u);
  EXPECT_GE(browser.nonce().size(), 32u);
  const auto cookie = browser.last.header("set-cookie");
  for (const char* attribute : {"; HttpOnly", "; SameSite=Lax", "; Secure", "; Path=/v1/login/oidc", "; Max-Age=600"})
    EXPECT_NE(cookie.find(attribute), std::string::npos) << cookie;
  EXPECT_EQ(cookie.find(browser.nonce()), std::string::npos) << "sealed";
  EXPECT_EQ(browser.last.header("cache-control"), "no-store");
  EXPECT_NE(begin().state(), browser.state());
}

TEST_F(IssuerLogin, EndsWithASessionOfTheUserInHerTenantAlone_R67) {
  auto browser = begin("?return_to=%2Fconsole");
  const auto challenge = parameter(browser.location, "code_challenge");
  const auto back = come_back(browser, issuer, "ada-1");
  ASSERT_EQ(back.status, 302) << back.text;
  EXPECT_EQ(back.header("location"), "/console");
  const auto cookie = back.header("set-cookie");
  for (const char* attribute : {"; HttpOnly", "; SameSite=Lax", "; Secure", "; Path=/;"})
    EXPECT_NE(cookie.find(attribute), std::string::npos) << cookie;
  const auto verifier = parameter("?" + issuer.last_form(), "code_verifier");
  EXPECT_EQ(connectors::oidc::challenge_of(verifier), challenge);
  EXPECT_EQ(parameter("?" + issuer.last_form(), "client_id"), "browser");

  const auto me = world.nobody().get("/v1/me", browser.headers());
  ASSERT_EQ(me.status, 200) << me.text;
  EXPECT_EQ(me.body["users"][0]["id"], id(ada));
  EXPECT_TRUE(me.body.contains("session"));
  EXPECT_EQ(world.nobody().get("/v1/tenants/" + tenant + "/permissions", browser.headers()).status, 200);
  EXPECT_EQ(world.nobody().get("/v1/tenants/" + world.tenant() + "/permissions", browser.headers()).status, 404);
  EXPECT_EQ(world.nobody().get("/v1/accounts", browser.headers()).status, 403);
  EXPECT_EQ(world.nobody().post("/v1/logout", {}, browser.headers()).status, 403) << "a cookie changes nothing without the header";
  auto headers = browser.headers();
  headers.emplace_back("X-Rosterd-Csrf", "1");
  EXPECT_EQ(world.nobody().post("/v1/logout", {}, headers).status, 204);
  EXPECT_EQ(world.nobody().get("/v1/me", browser.headers()).status, 401);
}

TEST_F(IssuerLogin, SessionEndsWithTheUserAndTheSource) {
  auto browser = begin();
  ASSERT_EQ(come_back(browser, issuer, "ada-1").status, 302);
  EXPECT_TRUE(world.store->set_user_suspended(TenantId{tenant}, ada, true, {}).has_value());
  outlast_caches();
  EXPECT_EQ(world.nobody().get("/v1/me", browser.headers()).status, 401);
  EXPECT_TRUE(world.store->set_user_suspended(TenantId{tenant}, ada, false, {}).has_value());
  outlast_caches();
  EXPECT_EQ(world.nobody().get("/v1/me", browser.headers()).status, 200);
  EXPECT_EQ(world.root().patch("/v1/tenants/" + tenant, {{"enabled", false}}).status, 200);
  outlast_caches();
  EXPECT_EQ(world.nobody().get("/v1/me", browser.headers()).status, 401);
}

TEST_F(IssuerLogin, GoesBackToThisServerOnly) {
  for (const char* elsewhere :
       {"https://evil.example/", "//evil.example", "/\\evil.example", "\\/evil.example", "/%5cevil.example", "/a//evil.example",
        "javascript:alert(1)", "evil", "/%0d%0aSet-Cookie:x=1", "/%09/evil.example", "/%20/evil", "%2F%2Fevil.example"})
    EXPECT_EQ(begin("?return_to=" + std::string(elsewhere)).last.status, 400) << elsewhere;
  EXPECT_EQ(begin("?return_to=/console/tenants/a%3Fq=b%23c").last.status, 302);
  EXPECT_EQ(begin("?return_to=/" + std::string(600, 'a')).last.status, 400);
  EXPECT_EQ(begin("?next=/x").last.status, 400);
}

TEST_F(IssuerLogin, TakesAnAnswerOnlyInTheBrowserThatAsked) {
  const auto refused = [&](const Answer& answer) {
    EXPECT_EQ(answer.status, 401) << answer.text;
    EXPECT_EQ(answer.code(), "sign_in_failed");
    EXPECT_EQ(answer.header("set-cookie").find("rosterd_session="), std::string::npos);
  };
  auto browser = begin();
  issuer.give({{"id_token", issuer.id_token("ada-1", browser.nonce())}});
  Browser stranger;
  refused(answer(stranger, "?code=c&state=" + browser.state()));  // login CSRF: the attacker's answer in the victim's browser
  refused(answer(browser, "?code=c&state=" + std::string(64, 'a')));
  refused(answer(browser, "?code=c"));
  refused(answer(browser, "?state=" + browser.state()));
  refused(answer(browser, "?error=access_denied&state=" + browser.state()));
  auto tampered = begin();
  tampered.cookie.back() = tampered.cookie.back() == 'A' ? 'B' : 'A';
  refused(answer(tampered, "?code=c&state=" + tampered.state()));
  auto first = begin(), second = begin();  // two tabs: both cookies are there, each state finds its own
  first.cookie += "; " + second.cookie;
  EXPECT_EQ(come_back(first, issuer, "ada-1").status, 302);
}

TEST_F(IssuerLogin, TakesNoAnswerOfAnotherSourceOrIssuer) {
  FakeIssuer evil;
  const auto other = world.tenant();
  (void)world.source(other, evil, {{"sign_in_options", {{"client_id", "browser"}, {"unknown_people", "create"}}}});
  auto browser = begin();
  EXPECT_EQ(come_back(browser, issuer, "ada-1", json::object(), "&iss=" + encoded(evil.url())).status, 401) << "RFC 9207";
  EXPECT_EQ(answer(browser, "?code=c&state=" + browser.state(), "/v1/login/oidc/" + other + "/idp").status, 401) << "begun elsewhere";
  browser = begin();
  const auto back = come_back(browser, issuer, "ada-1", json::object(), "&iss=" + encoded(issuer.url()) + "&session_state=x");
  EXPECT_EQ(back.status, 302) << back.text;
}

TEST_F(IssuerLogin, JudgesTheIdToken) {
  const auto judged = [&](const json& claims) {
    auto browser = begin();
    return come_back(browser, issuer, "ada-1", claims).status;
  };
  EXPECT_EQ(judged({{"nonce", "another"}}), 401);
  EXPECT_EQ(judged({{"aud", "rosterd"}}), 401);
  EXPECT_EQ(judged({{"aud", {"browser", "rosterd"}}}), 401) << "several audiences need azp";
  EXPECT_EQ(judged({{"aud", {"browser", "rosterd"}}, {"azp", "browser"}}), 302);
  EXPECT_EQ(judged({{"azp", "other"}}), 401);
  EXPECT_EQ(judged({{"iss", "https://evil.example"}}), 401);
  EXPECT_EQ(judged({{"exp", 1}}), 401);
  EXPECT_EQ(judged({{"at_hash", "AAAAAAAAAAAAAAAAAAAAAA"}}), 401);
  auto browser = begin();
  issuer.give(nullptr);
  EXPECT_EQ(answer(browser, "?code=used&state=" + browser.state()).status, 401) << "the provider refuses the code";
  browser = begin();
  issuer.give({{"access_token", "at"}});
  EXPECT_EQ(answer(browser, "?code=c&state=" + browser.state()).status, 503);
}

TEST_F(IssuerLogin, LetsInWhomTheSourceKnowsOrMayMake_R91) {
  auto browser = begin();
  const auto refused = come_back(browser, issuer, "stranger");
  EXPECT_EQ(refused.status, 403);
  EXPECT_EQ(refused.code(), "sign_in_refused");
  const auto open = world.tenant();
  (void)world.source(
      open, issuer,
      {{"audiences", nullptr}, {"sign_in_options", {{"client_id", "browser"}, {"unknown_people", "create"}, {"default_role", "Viewer"}}}});
  auto newcomer = begin_at("/v1/login/oidc/" + open + "/idp");
  ASSERT_EQ(newcomer.last.status, 302) << newcomer.last.text;
  issuer.give({{"id_token", issuer.id_token("stranger", newcomer.nonce(),
                                            {{"preferred_username", "str"}, {"email", "s@example.org"}, {"email_verified", true}})}});
  ASSERT_EQ(answer(newcomer, "?code=c&state=" + newcomer.state(), "/v1/login/oidc/" + open + "/idp").status, 302);
  const auto me = world.nobody().get("/v1/me", newcomer.headers());
  EXPECT_EQ(me.body["users"][0]["username"], "str");
}

TEST_F(IssuerLogin, IsNotThereForWhoCannotUseIt) {
  for (const auto& nowhere :
       {"/v1/login/oidc/" + tenant + "/none", std::string("/v1/login/oidc/no-tenant/idp"), "/v1/login/oidc/" + tenant + "/IDP"}) {
    const auto answer = world.nobody().get(nowhere);
    EXPECT_EQ(answer.status, 404) << nowhere;
    EXPECT_EQ(answer.body, world.nobody().get("/v1/login/oidc/" + tenant + "/none").body);
  }
  const auto bare = world.tenant();
  (void)world.source(bare, issuer);  // signs in, and has no client for browsers
  EXPECT_EQ(world.nobody().get("/v1/login/oidc/" + bare + "/idp").status, 404);
}

TEST_F(IssuerLogin, LinksTheAccountOfWhoIsSignedInToo_R5) {
  const auto email = fmt::format("linker-{}@people.example", tenant);
  ASSERT_EQ(world.root().post("/v1/accounts", {{"email", email}, {"password", "Correct-horse-7"}}).status, 201);
  const auto first = world.nobody().post("/v1/login", {{"email", email}, {"password", "Correct-horse-7"}});
  ASSERT_EQ(first.status, 200) << first.text;
  ASSERT_EQ(world.as(first.body["token"]).put("/v1/me/password", {{"old", "Correct-horse-7"}, {"new", "Battery-staple-8"}}).status, 204);
  EXPECT_EQ(begin("?link=true").last.status, 401) << "nobody is signed in";
  Browser browser;
  browser.session = first.body["token"];
  browser = begin("?link=true", browser);
  ASSERT_EQ(browser.last.status, 302) << browser.last.text;
  auto signed_out = browser;
  signed_out.session.clear();
  EXPECT_EQ(come_back(signed_out, issuer, "ada-1").status, 401) << "the account must still be there";
  ASSERT_EQ(come_back(browser, issuer, "ada-1").status, 302);
  EXPECT_EQ(browser.session, first.body["token"]) << "the account's session goes on";
  EXPECT_EQ(world.nobody().get("/v1/tenants/" + tenant + "/permissions", browser.headers()).status, 200) << "now she is somebody here";
  const auto shown = world.root().get("/v1/tenants/" + tenant + "/users/" + id(ada));
  EXPECT_NE(shown.body["account"], nullptr);
  (void)world.user(tenant, idp, "bob-1", "bob");
  browser = begin("?link=true", browser);
  EXPECT_EQ(come_back(browser, issuer, "bob-1").status, 409) << "an account is one user of a tenant";
}

TEST_F(IssuerLogin, MakesAccountsOfTheInstancesIssuerAndTakesNoneOver) {
  auto& instance = world.instance();
  const std::string where = "/v1/login/oidc/instance";
  const auto comes = [&](const std::string& subject, const json& claims) {
    auto browser = begin_at(where);
    EXPECT_EQ(browser.last.status, 302) << browser.last.text;
    instance.give({{"id_token", instance.id_token(subject, browser.nonce(), claims)}});
    (void)answer(browser, "?code=c&state=" + browser.state(), where);
    return browser;
  };
  const auto email = fmt::format("new-{}@people.example", tenant);
  EXPECT_EQ(comes("n-" + tenant, {{"email", email}}).last.status, 403) << "not verified";
  EXPECT_EQ(comes("n-" + tenant, {{"email", email}, {"email_verified", "yes"}}).last.status, 403);
  const auto made = comes("n-" + tenant, {{"email", email}, {"email_verified", true}, {"given_name", "Nora"}});
  ASSERT_EQ(made.last.status, 302) << made.last.text;
  EXPECT_TRUE(instance.last_authorization().starts_with("Basic ")) << "a confidential client";
  const auto me = world.nobody().get("/v1/me", made.headers());
  EXPECT_EQ(me.body["email"], email);
  EXPECT_EQ(me.body["super_admin"], false);
  const auto again = comes("n-" + tenant, json::object());
  EXPECT_EQ(world.nobody().get("/v1/me", again.headers()).body["id"], me.body["id"]) << "known by issuer and subject";
  const auto thief = comes("thief-" + tenant, {{"email", email}, {"email_verified", true}});
  EXPECT_EQ(thief.last.status, 403) << "an equal e-mail takes nobody over";
  const auto root = comes("root-" + tenant, {{"email", world.root_email}, {"email_verified", true}});
  EXPECT_EQ(root.last.status, 403);
}

}  // namespace
}  // namespace rosterd::test
