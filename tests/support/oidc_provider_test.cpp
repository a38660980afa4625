#include "tests/support/oidc_provider.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace rosterd::test {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

std::string base64url_decoded(std::string_view text) {
  constexpr std::string_view kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string out;
  std::uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    bits = bits << 6 | static_cast<std::uint32_t>(kLetters.find(c));
    if ((count += 6) >= 8) out += static_cast<char>(bits >> (count -= 8) & 0xff);
  }
  return out;
}

json part(const std::string& token, int which) {
  const auto first = token.find('.'), second = token.find('.', first + 1);
  return json::parse(base64url_decoded(which == 0 ? token.substr(0, first) : token.substr(first + 1, second - first - 1)));
}

std::vector<std::string> kids(const OidcProvider& provider) {
  std::vector<std::string> all;
  const auto jwks = json::parse(web({.url = provider.jwks_url()}).body);
  for (const auto& key : jwks.at("keys")) all.push_back(key.at("kid"));
  return all;
}

class OidcProviderTest : public testing::Test {
 protected:
  void SetUp() override { ROSTERD_NEEDS("node"); }
};

TEST_F(OidcProviderTest, AnnouncesItselfAndGivesAccessTokensAsJwtsForTheAudience) {
  const OidcProvider provider;
  const auto discovery = json::parse(web({.url = provider.discovery_url()}).body);
  EXPECT_EQ(discovery.at("issuer"), provider.issuer());
  EXPECT_EQ(discovery.at("jwks_uri"), provider.jwks_url());
  const auto token = provider.client_credentials();
  EXPECT_EQ(part(token, 0).at("typ"), "at+jwt");
  EXPECT_EQ(part(token, 1).at("aud"), provider.audience());
  EXPECT_EQ(part(token, 1).at("sub"), "rosterd");
  const auto adas = part(provider.access_token("ada"), 1);
  EXPECT_EQ(adas.at("sub"), "ada");
  EXPECT_EQ(adas.at("groups"), json({"engineers"}));
  EXPECT_EQ(adas.at("exp").get<long>() - adas.at("iat").get<long>(), 600);
  EXPECT_EQ(part(provider.sign(R"({"aud":"x"})", R"({"typ":"JWT"})", "ES256"), 0),
            json({{"alg", "ES256"}, {"kid", "es256-1"}, {"typ", "JWT"}}));
}

TEST_F(OidcProviderTest, RefusesAWrongSecretAndAForeignResource) {
  const OidcProvider provider;
  EXPECT_THROW((void)provider.client_credentials({.secret = "wrong"}), std::runtime_error);
  const auto posted = web({.method = "POST",
                           .url = provider.token_url(),
                           .headers = {{"Content-Type", "application/x-www-form-urlencoded"}},
                           .body = "grant_type=client_credentials&client_id=rosterd&client_secret=x"});
  EXPECT_EQ(posted.status, 401);
}

TEST_F(OidcProviderTest, RotatesItsKeysWithAndWithoutKeepingTheOldOnes) {
  const OidcProvider provider;
  EXPECT_THAT(kids(provider), testing::ElementsAre("rs256-1", "es256-1"));
  provider.rotate();
  EXPECT_THAT(kids(provider), testing::ElementsAre("rs256-2", "es256-2", "rs256-1", "es256-1"));
  provider.rotate(false);
  EXPECT_THAT(kids(provider), testing::ElementsAre("rs256-3", "es256-3"));
  EXPECT_EQ(part(provider.client_credentials(), 0).at("kid"), "rs256-3");
}

TEST_F(OidcProviderTest, SignsPeopleInWithACodeAndPkceWithoutAsking) {
  const OidcProvider provider({.clients = {{.secret = "plain", .redirect_uris = {"http://127.0.0.1:9/callback"}}}, .algorithm = "ES256"});
  const std::string url =
      provider.issuer() +
      "/auth?client_id=rosterd&response_type=code&scope=openid&state=s1&nonce=n1&redirect_uri=http%3A%2F%2F127.0.0.1%3A9%2Fcallback"
      "&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256";
  const auto back = provider.sign_in(url, "ada");
  EXPECT_THAT(back, AllOf(StartsWith("http://127.0.0.1:9/callback?code="), HasSubstr("&state=s1")));
  const auto code = back.substr(back.find("code=") + 5, back.find('&') - back.find("code=") - 5);
  const auto tokens =
      web({.method = "POST",
           .url = provider.token_url(),
           .headers = {{"Content-Type", "application/x-www-form-urlencoded"}, {"Authorization", "Basic cm9zdGVyZDpwbGFpbg=="}},
           .body = "grant_type=authorization_code&redirect_uri=http%3A%2F%2F127.0.0.1%3A9%2Fcallback&code=" + code +
                   "&code_verifier=dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"});
  ASSERT_EQ(tokens.status, 200) << tokens.body;
  const auto id_token = json::parse(tokens.body).at("id_token").get<std::string>();
  EXPECT_EQ(part(id_token, 0).at("alg"), "ES256");
  EXPECT_EQ(part(id_token, 1).at("sub"), "ada");
  EXPECT_EQ(part(id_token, 1).at("nonce"), "n1");
  EXPECT_EQ(part(id_token, 1).at("groups"), json({"engineers"}));
  EXPECT_EQ(part(json::parse(tokens.body).at("access_token"), 1).at("sub"), "ada");
  EXPECT_THAT(provider.sign_in(url + "&login_hint=bob"), HasSubstr("code="));
  EXPECT_THAT(provider.sign_in(url + "&deny=1", "ada"), HasSubstr("error=access_denied"));
  EXPECT_THAT(provider.sign_in(url, "nobody"), HasSubstr("error=access_denied"));
}

TEST_F(OidcProviderTest, KnowsClientsByTheirCertificate) {
  const TempDir dir;
  const PrivateCa ca(dir.file("ca"));
  const auto mine = ca.issue("client", {.common_name = "rosterd", .usage = "clientAuth"});
  const OidcProvider provider(
      {.clients = {{.method = "tls_client_auth", .subject_dn = "CN=rosterd"}}, .tls = ca.good(), .ca_file = ca.ca_file()});
  const WebRequest bare{.method = "POST",
                        .url = provider.token_url(),
                        .headers = {{"Content-Type", "application/x-www-form-urlencoded"}},
                        .body = "grant_type=client_credentials&client_id=rosterd",
                        .ca_file = ca.ca_file()};
  EXPECT_EQ(web(bare).status, 401);
  auto shown = bare;
  shown.cert_file = mine.cert_file;
  shown.key_file = mine.key_file;
  EXPECT_EQ(web(shown).status, 200) << web(shown).body << provider.log();
}

TEST_F(OidcProviderTest, CountsAndMisbehavesOnCommandAndComesBackOnItsPort) {
  OidcProvider provider;
  provider.fail({.path = "^/jwks", .times = 1, .status = 429, .headers = {{"retry-after", "1"}}, .body = "slow down"});
  const auto refused = web({.url = provider.jwks_url()});
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(refused.header("retry-after"), "1");
  EXPECT_EQ(web({.url = provider.jwks_url()}).status, 200);
  provider.fail({.path = "^/jwks", .drop = true});
  EXPECT_EQ(web({.url = provider.jwks_url()}).status, 0);
  EXPECT_EQ(provider.requests("GET /jwks"), 3);
  const auto issuer = provider.issuer();
  provider.kill_hard();
  EXPECT_EQ(web({.url = provider.jwks_url()}).status, 0);
  provider.start();
  EXPECT_EQ(provider.issuer(), issuer);
  EXPECT_EQ(web({.url = provider.jwks_url()}).status, 200);
  provider.stop();
}

}  // namespace
}  // namespace rosterd::test
