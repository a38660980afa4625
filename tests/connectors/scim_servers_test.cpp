// The SCIM dialect and the ways a client proves itself, against real servers: scimmy behind oidc-provider, and canaille.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <nlohmann/json.hpp>

#include "connectors/oidc/oidc.hpp"
#include "tests/connectors/collecting_sink.hpp"
#include "tests/support/canaille_server.hpp"
#include "tests/support/oidc_provider.hpp"
#include "tests/support/scimmy_server.hpp"

namespace rosterd::test {
namespace {

using namespace connectors;
using nlohmann::json;
using testing::HasSubstr;

std::unique_ptr<Connector> connector_of(const json& settings) {
  auto made = oidc::make({.json = settings.dump(), .learnt = {}}, test_options());
  if (!made) throw std::runtime_error(made.error().what);
  return std::move(*made);
}

json settings_of(const OidcProvider& provider, const ScimmyServer& scim, const OidcProvider::Client& client = {}) {
  return {{"issuer", provider.issuer()},
          {"dialect", "scim"},
          {"api_url", scim.url()},
          {"client_id", client.id},
          {"client_secret", {{"value", client.secret}}}};
}

std::string text_of(BIO* bio) {
  char* data = nullptr;
  const auto size = BIO_get_mem_data(bio, &data);
  std::string out(data, static_cast<std::size_t>(size));
  BIO_free(bio);
  return out;
}

struct KeyPair {
  std::string secret, open;
};
KeyPair new_keys(bool rsa) {
  EVP_PKEY* const key = rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
  BIO* const secret = BIO_new(BIO_s_mem());
  BIO* const open = BIO_new(BIO_s_mem());
  PEM_write_bio_PrivateKey(secret, key, nullptr, nullptr, 0, nullptr, nullptr);
  PEM_write_bio_PUBKEY(open, key);
  EVP_PKEY_free(key);
  return {text_of(secret), text_of(open)};
}

TEST(ScimServers, ScimmyBehindOidcProviderIsReadInFullAndThenByChanges) {
  ROSTERD_NEEDS("node");
  OidcProvider provider;
  ScimmyServer scim({.token = "",
                     .jwks_url = provider.jwks_url(),
                     .issuer = provider.issuer(),
                     .audience = provider.audience(),
                     .users = 450,
                     .groups = 30,
                     .nested = true});
  const auto connector = connector_of(settings_of(provider, scim));
  CollectingSink all;
  const auto full = connector->read({}, all, {});
  ASSERT_TRUE(full) << full.error().what;
  EXPECT_TRUE(is_complete(*full)) << failed(*full);
  EXPECT_EQ(all.users.size(), 450u);
  EXPECT_EQ(all.groups.size(), 30u);
  EXPECT_EQ(std::count_if(all.users.begin(), all.users.end(), [](const auto& user) { return !user.enabled; }), 9);
  EXPECT_TRUE(all.members_of("Group 0010").contains("Group 0011"));
  EXPECT_EQ(all.find_user("user000001").email, "user000001@example.test");

  scim.put_user(R"({"id":"u-new","userName":"newcomer","active":true})");
  scim.put_group(R"({"id":"g-0001","displayName":"Group 0001","members":[{"value":"u-new","type":"User"}]})");
  ASSERT_FALSE(full->to.value.empty()) << "scimmy filters by meta.lastModified";
  CollectingSink changed;
  const auto delta = connector->read(full->to, changed, {});
  ASSERT_TRUE(delta) << delta.error().what;
  EXPECT_TRUE(delta->proof.complete());
  EXPECT_EQ(changed.find_user("newcomer").id.value, "u-new");
  EXPECT_THAT(changed.find_group("Group 0001").members, testing::ElementsAre("user:u-new"));

  scim.remove_user("u-000007");
  const auto presence = connector->verify(PrincipalType::User, std::vector<ExternalId>{{"u-000007"}, {"u-000008"}}, {});
  ASSERT_TRUE(presence);
  EXPECT_THAT(presence->of, testing::ElementsAre(Present::Gone, Present::InScope));
}

TEST(ScimServers, AClientProvesItselfInEveryWayThatOidcProviderKnows) {
  ROSTERD_NEEDS("node");
  const auto rsa = new_keys(true), ec = new_keys(false);
  const OidcProvider::Client basic{.id = "basic"}, post{.id = "post", .method = "client_secret_post"},
      rs{.id = "rs", .method = "private_key_jwt", .algorithm = "RS256", .public_key = rsa.open},
      es{.id = "es", .method = "private_key_jwt", .algorithm = "ES256", .public_key = ec.open};
  OidcProvider provider({.clients = {basic, post, rs, es}});
  ScimmyServer scim({.token = "",
                     .jwks_url = provider.jwks_url(),
                     .issuer = provider.issuer(),
                     .audience = provider.audience(),
                     .users = 3,
                     .groups = 1,
                     .members = 2});
  for (const auto* client : {&basic, &post, &rs, &es}) {
    auto settings = settings_of(provider, scim, *client);
    if (client == &post) settings["auth"] = "client_secret_post";
    if (client == &rs || client == &es) {
      settings.erase("client_secret");
      settings["private_key"] = {{"value", client == &rs ? rsa.secret : ec.secret}};
      settings["key_id"] = "client-key";
    }
    CollectingSink sink;
    const auto end = connector_of(settings)->read({}, sink, {});
    ASSERT_TRUE(end) << client->id << ": " << end.error().what;
    EXPECT_TRUE(is_complete(*end)) << client->id << ": " << failed(*end);
    EXPECT_EQ(sink.users.size(), 3u) << client->id;
  }
  auto wrong = settings_of(provider, scim, basic);
  wrong["client_secret"]["value"] = "wrong";
  std::string text;
  for (const auto& finding : connector_of(wrong)->test({}))
    text += fmt::format("{}{}: {}\n", finding.good ? "" : "BAD ", finding.step, finding.text);
  EXPECT_THAT(text, HasSubstr("BAD token: "));
  EXPECT_THAT(text, HasSubstr("invalid_client"));
}

TEST(ScimServers, FaultsOfTheProviderEndNoReadAsComplete) {
  ROSTERD_NEEDS("node");
  OidcProvider provider;
  ScimmyServer scim({.token = "",
                     .jwks_url = provider.jwks_url(),
                     .issuer = provider.issuer(),
                     .audience = provider.audience(),
                     .users = 30,
                     .groups = 2,
                     .max_results = 10});
  const auto read = [&] {
    CollectingSink sink;
    return connector_of(settings_of(provider, scim))->read({}, sink, {});
  };
  ASSERT_TRUE(read());
  provider.fail({.path = "openid-configuration", .times = -1, .status = 503});
  EXPECT_FALSE(read()) << "down at discovery";
  provider.clear_faults();
  provider.fail({.path = "^/token", .times = -1, .status = 500});
  EXPECT_FALSE(read()) << "down at the token";
  provider.clear_faults();
  scim.fail({.path = "Groups", .times = -1, .drop = true});
  const auto broken = read();
  EXPECT_TRUE(!broken || !is_complete(*broken));
  scim.clear_faults();
  scim.fail({.path = "Users", .times = 2, .status = 429, .headers = {{"retry-after", "1"}}});
  const auto patient = read();
  ASSERT_TRUE(patient) << patient.error().what;
  EXPECT_TRUE(is_complete(*patient)) << failed(*patient);
  scim.fail({.path = "Users", .times = 1, .status = 401});
  const auto renewed = read();
  ASSERT_TRUE(renewed) << renewed.error().what;
  EXPECT_TRUE(is_complete(*renewed)) << "the token is renewed once";
}

TEST(ScimServers, CanailleIsReadThoughItKnowsNeitherFiltersNorSorting) {
  ROSTERD_NEEDS("canaille");
  CanailleServer server(25);
  const auto connector = connector_of({{"issuer", server.issuer()},
                                       {"dialect", "scim"},
                                       {"api_url", server.scim_url()},
                                       {"client_id", CanailleServer::client_id()},
                                       {"client_secret", {{"value", CanailleServer::client_secret()}}}});
  CollectingSink sink;
  const auto end = connector->read({}, sink, {});
  ASSERT_TRUE(end) << end.error().what;
  EXPECT_TRUE(is_complete(*end)) << failed(*end);
  EXPECT_GE(sink.users.size(), 25u);
  EXPECT_EQ(sink.members_of("few").size(), 3u);
  EXPECT_TRUE(end->to.value.empty()) << "its filters do nothing, which is found out";
}

}  // namespace
}  // namespace rosterd::test
