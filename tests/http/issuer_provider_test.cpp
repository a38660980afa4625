// Signing in through oidc-provider, a certified OpenID provider: tokens and browsers as they come from somebody else's program.
#include "tests/http/issuer_world.hpp"
#include "tests/support/oidc_provider.hpp"

namespace rosterd::test {
namespace {

using nlohmann::json;

class IssuerProvider : public testing::Test {
 protected:
  /// A tenant whose source is of that provider; the provider is made once the tenant's redirect address is known.
  void SetUp() override {
    ROSTERD_NEEDS("node");
    tenant = world.tenant();
    path = "/v1/login/oidc/" + tenant + "/idp";
    OidcProvider::Options options;
    OidcProvider::Client confidential;
    confidential.id = "console";
    confidential.redirect_uris = {std::string(kPublic) + path + "/callback"};
    OidcProvider::Client open = confidential;
    open.id = "open-console";
    open.secret.clear();
    open.method = "none";
    options.clients = {OidcProvider::Client{}, confidential, open};
    secret = confidential.secret;
    provider.emplace(std::move(options));
  }
  SourceId source(const json& more = json::object()) {
    json settings{{"issuer", provider->issuer()},
                  {"api_url", provider->issuer() + "/scim"},
                  {"audiences", {provider->audience()}},
                  {"sign_in_options", {{"client_id", "console"}, {"client_secret", {{"value", secret}}}}}};
    settings.merge_patch(more);
    return world.source(tenant, unused, settings);
  }
  std::string id(PrincipalId user) const { return text(PrincipalType::User, user); }

  IssuerWorld& world = IssuerWorld::shared();
  FakeIssuer unused;
  std::optional<OidcProvider> provider;
  std::string tenant, path, secret;
};

TEST_F(IssuerProvider, TokenIsItsPersonThroughARotationOfTheProvidersKeys) {
  const auto idp = source();
  const auto ada = world.user(tenant, idp, "ada", "ada");
  const auto me = world.me(provider->access_token("ada"));
  ASSERT_EQ(me.status, 200) << me.text;
  EXPECT_EQ(me.body["users"][0]["id"], id(ada));
  EXPECT_EQ(world.me(provider->access_token("bob")).status, 401) << "the source does not know him";
  EXPECT_EQ(world.me(provider->access_token()).status, 401) << "a client's own token is nobody's";
  provider->rotate(false);
  world.later(std::chrono::seconds(61));
  EXPECT_EQ(world.me(provider->access_token("ada")).status, 200);
}

TEST_F(IssuerProvider, BrowserComesBackWithASessionAsAConfidentialClientAndAsAnOpenOne) {
  const auto idp = source();
  const auto ada = world.user(tenant, idp, "ada", "ada");
  const auto browse = [&](const std::string& who) {
    const auto begun = world.nobody().get(path + "?return_to=%2Fconsole");
    EXPECT_EQ(begun.status, 302) << begun.text;
    const auto back = provider->sign_in(begun.header("location"), who);
    EXPECT_TRUE(back.starts_with(std::string(kPublic) + path + "/callback?")) << back;
    const auto cookie = begun.header("set-cookie");
    return world.nobody().get(back.substr(std::string(kPublic).size()), {{"Cookie", cookie.substr(0, cookie.find(';'))}});
  };
  const auto signs_in = [&] {
    const auto done = browse("ada");
    ASSERT_EQ(done.status, 302) << done.text;
    EXPECT_EQ(done.header("location"), "/console");
    const auto cookie = done.header("set-cookie");
    const auto me = world.nobody().get("/v1/me", {{"Cookie", cookie.substr(0, cookie.find(';'))}});
    ASSERT_EQ(me.status, 200) << me.text;
    EXPECT_EQ(me.body["users"][0]["id"], id(ada));
  };
  signs_in();
  EXPECT_EQ(browse("bob").code(), "sign_in_refused");
  const auto now = world.store->source(TenantId{tenant}, "idp");
  ASSERT_TRUE(now.has_value());
  NewSource next;
  next.name = now->name;
  next.type = now->type;
  auto settings = json::parse(now->settings);
  settings["sign_in_options"] = {{"client_id", "open-console"}};
  next.settings = settings.dump();
  ASSERT_TRUE(world.store->change_source(TenantId{tenant}, now->id, next, now->version, {}).has_value());
  signs_in();
}

TEST_F(IssuerProvider, RefusalOfTheProviderIsSaidInItsWord) {
  (void)source();
  const auto begun = world.nobody().get(path);
  const auto back = provider->sign_in(begun.header("location") + "&deny=1", "ada");
  const auto cookie = begun.header("set-cookie");
  const auto done = world.nobody().get(back.substr(std::string(kPublic).size()), {{"Cookie", cookie.substr(0, cookie.find(';'))}});
  EXPECT_EQ(done.status, 401);
  EXPECT_NE(done.text.find("access_denied"), std::string::npos) << done.text;
}

}  // namespace
}  // namespace rosterd::test
