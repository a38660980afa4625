// What stands around every dialect: settings, discovery, tokens, asking, paging.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <nlohmann/json.hpp>

#include "connectors/http/url.hpp"
#include "connectors/oidc/discovery.hpp"
#include "connectors/oidc/oidc.hpp"
#include "connectors/oidc/paging.hpp"
#include "connectors/oidc/settings.hpp"
#include "tests/support/http_fault_server.hpp"
#include "tests/support/process.hpp"
#include "tests/support/tls.hpp"

namespace rosterd::connectors::oidc {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;
using test::HttpAsked;
using test::HttpFaultServer;
using test::HttpSaid;
using test::json_answer;
using testing::HasSubstr;

http::Options local() {
  http::Options out;
  out.allowed = {*parse_network("127.0.0.0/8")};
  return out;
}

std::string new_key(const char* kind) {
  EVP_PKEY* const key = std::string_view(kind) == "RSA" ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
  BIO* const bio = BIO_new(BIO_s_mem());
  PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
  char* data = nullptr;
  const auto size = BIO_get_mem_data(bio, &data);
  std::string out(data, static_cast<std::size_t>(size));
  BIO_free(bio);
  EVP_PKEY_free(key);
  return out;
}

// ---- settings

std::string problems(const std::string& json) {
  const auto parsed = parse_settings(json, SecretRule::MayBeClosed);
  return parsed ? std::string() : parsed.error().what;
}

TEST(OidcSettings, EveryProblemIsNamedWithItsPath) {
  const auto text = problems(R"({"issuer":"http://idp.example","dialect":"scum","client_secret":"plain","colour":"red","page_size":0})");
  for (const auto* part : {"/issuer: http://", "/dialect: must be one of \"scim\"", "/client_secret: must be an object",
                           "/client_id: is missing", "/colour: there is no such setting", "/page_size"})
    EXPECT_THAT(text, HasSubstr(part));
}

TEST(OidcSettings, TheWayAClientProvesItselfFollowsFromWhatIsGiven) {
  const auto parse = [](const std::string& more) {
    return parse_settings(R"({"issuer":"https://idp.example/","dialect":"scim","api_url":"https://idp.example/scim/v2/",)" + more + "}",
                          SecretRule::MustBeOpen);
  };
  const auto secret = parse(R"("client_id":"r","client_secret":{"value":"s"})");
  ASSERT_TRUE(secret) << secret.error().what;
  EXPECT_EQ(secret->client.auth, ClientAuth::SecretBasic);
  EXPECT_EQ(secret->api_url, "https://idp.example/scim/v2");
  EXPECT_EQ(secret->issuer, "https://idp.example");
  const auto key = parse(R"("client_id":"r","private_key":{"value":)" + nlohmann::json(new_key("EC")).dump() + "}");
  ASSERT_TRUE(key) << key.error().what;
  EXPECT_EQ(key->client.auth, ClientAuth::PrivateKeyJwt);
  EXPECT_EQ(key->client.key->algorithm(), "ES256");
  const auto token = parse(R"("token":{"value":"t"})");
  ASSERT_TRUE(token) << token.error().what;
  EXPECT_TRUE(token->is_static);
  EXPECT_THAT(problems(R"({"issuer":"https://i.example","dialect":"scim","api_url":"https://i.example/v2","client_id":"r"})"),
              HasSubstr("/client_secret: is missing"));
}

TEST(OidcSettings, AKeyThatIsNoneIsRefusedWithoutShowingIt) {
  const auto parsed = parse_settings(
      R"({"issuer":"https://i.example","dialect":"scim","api_url":"https://i.example","client_id":"r","private_key":{"value":"hunter2"}})",
      SecretRule::MustBeOpen);
  ASSERT_FALSE(parsed);
  EXPECT_THAT(parsed.error().what, HasSubstr("/private_key: is no unencrypted private key"));
  EXPECT_THAT(parsed.error().what, testing::Not(HasSubstr("hunter2")));
}

TEST(OidcSettings, ACertificateThatIsNotTheKeysIsRefused) {
  const auto settings = [](const std::string& more) {
    return R"({"issuer":"https://i.example","dialect":"scim","api_url":"https://i.example/v2","client_id":"r",)" + more + "}";
  };
  const auto key = R"("private_key":{"value":)" + nlohmann::json(new_key("RSA")).dump() + "}";
  EXPECT_THAT(problems(settings(key + R"(,"key_certificate":"none")")), HasSubstr("/key_certificate: is no certificate in PEM form"));
  EXPECT_THAT(problems(settings(key + R"(,"key_certificate":7)")), HasSubstr("/key_certificate: must be a text in PEM form"));
  EXPECT_THAT(problems(settings(R"("client_secret":{"value":"s"},"key_certificate":"none")")),
              HasSubstr("/key_certificate: is of no use without private_key"));
  const test::TempDir dir;
  const auto other = test::PrivateCa(dir.file("ca")).good();
  EXPECT_THAT(problems(settings(key + R"(,"key_certificate":)" + nlohmann::json(test::read_file(other.cert_file)).dump())),
              HasSubstr("/key_certificate: is not the certificate of private_key"));
}

TEST(OidcSettings, AnotherFilterIsAnotherScopeAndAnotherSecretIsNot) {
  const auto base = std::string(R"({"issuer":"https://i.example","dialect":"scim","api_url":"https://i.example/v2","client_id":"r",)");
  const auto one = fingerprint(base + R"("client_secret":{"sealed":"v1:a"}})");
  const auto other_secret = fingerprint(base + R"("client_secret":{"sealed":"v1:b"}})");
  const auto other_filter = fingerprint(base + R"("client_secret":{"sealed":"v1:a"},"users":{"filter":"active eq true"}})");
  EXPECT_EQ(one.cursor, other_secret.cursor);
  EXPECT_NE(one.scope, other_filter.scope);
}

// ---- discovery

TEST(Discovery, TheDocumentMustBeThatOfTheIssuer) {
  EXPECT_TRUE(parse_metadata(R"({"issuer":"https://i.example/","token_endpoint":"https://i.example/token"})", "https://i.example"));
  const auto other =
      parse_metadata(R"({"issuer":"https://evil.example","token_endpoint":"https://evil.example/token"})", "https://i.example");
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, Errc::Refused);
  EXPECT_TRUE(parse_metadata(R"({"issuer":"https://login.example/{tenantid}/v2.0"})", "https://login.example/1234/v2.0"));
  EXPECT_FALSE(parse_metadata(R"({"issuer":"https://login.example/{tenantid}/v2.0"})", "https://login.example/12/34/v2.0"));
}

TEST(Discovery, EndpointsWithoutEncryptionAreRefused) {
  EXPECT_FALSE(parse_metadata(R"({"issuer":"https://i.example","token_endpoint":"http://i.example/token"})", "https://i.example"));
  EXPECT_TRUE(parse_metadata(R"({"issuer":"http://127.0.0.1:1","token_endpoint":"http://127.0.0.1:1/t"})", "http://127.0.0.1:1"));
}

TEST(Discovery, AnAnswerThatIsNoneSaysWhatCame) {
  HttpFaultServer server(
      [](const HttpAsked&) { return HttpSaid{.body = "<html>welcome</html>", .headers = {{"Content-Type", "text/html"}}}; });
  http::Client client(local());
  const auto found = discover(client, server.url(), {});
  ASSERT_FALSE(found);
  EXPECT_THAT(found.error().what, HasSubstr("no JSON object"));
}

// ---- tokens

struct TokenEndpoint {
  HttpFaultServer server{[this](const HttpAsked& asked) {
    last = asked;
    ++tokens;
    return json_answer(
        answer.empty() ? fmt::format(R"({{"access_token":"t{}","token_type":"bearer","expires_in":{}}})", tokens, life) : answer, status);
  }};
  HttpAsked last;
  int tokens = 0, life = 3600, status = 200;
  std::string answer;
  ClientCredentials credentials{.token_endpoint = server.url() + "/token", .client_id = "rosterd app", .client_secret = "s:e/c"};
};

TEST(Tokens, BasicFormEncodesBothBeforeTheyAreJoined) {
  TokenEndpoint endpoint;
  http::Client client(local());
  const auto token = fetch_token(client, endpoint.credentials, SystemClock().now(), {});
  ASSERT_TRUE(token) << token.error().what;
  EXPECT_EQ(token->value, "t1");
  EXPECT_EQ(endpoint.last.headers.at("authorization"), "Basic cm9zdGVyZCthcHA6cyUzQWUlMkZj");  // "rosterd+app:s%3Ae%2Fc"
  EXPECT_EQ(endpoint.last.body, "grant_type=client_credentials");
}

TEST(Tokens, AnAssertionIsShortLivedAndHasItsOwnId) {
  TokenEndpoint endpoint;
  endpoint.credentials.auth = ClientAuth::PrivateKeyJwt;
  endpoint.credentials.key = *SigningKey::parse(new_key("RSA"));
  endpoint.credentials.key_id = "k1";
  const auto one = client_assertion(endpoint.credentials, SystemClock().now());
  const auto two = client_assertion(endpoint.credentials, SystemClock().now());
  ASSERT_TRUE(one && two);
  EXPECT_NE(*one, *two);
  EXPECT_EQ(std::count(one->begin(), one->end(), '.'), 2);
  http::Client client(local());
  ASSERT_TRUE(fetch_token(client, endpoint.credentials, SystemClock().now(), {}));
  EXPECT_THAT(endpoint.last.body, HasSubstr("client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer"));
  EXPECT_FALSE(endpoint.last.headers.contains("authorization"));
}

TEST(Tokens, ARefusedClientIsToldWhatToCheckAndTheSecretIsNotShown) {
  TokenEndpoint endpoint;
  endpoint.status = 401;
  endpoint.answer = R"({"error":"invalid_client","error_description":"wrong\u0007 secret"})";
  http::Client client(local());
  const auto token = fetch_token(client, endpoint.credentials, SystemClock().now(), {});
  ASSERT_FALSE(token);
  EXPECT_EQ(token.error().code, Errc::Unauthorized);
  EXPECT_THAT(token.error().what, HasSubstr("invalid_client: wrong  secret; check client_id"));
  EXPECT_THAT(token.error().what, testing::Not(HasSubstr("s:e/c")));
}

TEST(Tokens, ATokenThatCannotBeAHeaderIsRefused) {
  TokenEndpoint endpoint;
  endpoint.answer = R"({"access_token":"a\r\nX-Evil: 1","token_type":"Bearer"})";
  http::Client client(local());
  EXPECT_FALSE(fetch_token(client, endpoint.credentials, SystemClock().now(), {}));
}

TEST(Tokens, OneIsKeptUntilItGrowsOldOrIsRefused) {
  TokenEndpoint endpoint;
  http::Client client(local());
  TokenSource source(endpoint.credentials);
  EXPECT_EQ(source.current(client, {}).value_or("none"), "t1");
  EXPECT_EQ(source.current(client, {}).value_or("none"), "t1");
  EXPECT_TRUE(source.refused("t1"));
  EXPECT_EQ(source.current(client, {}).value_or("none"), "t2");
  endpoint.life = 0;
  EXPECT_TRUE(source.refused("t2"));
  EXPECT_EQ(source.current(client, {}).value_or("none"), "t3");
  EXPECT_EQ(source.current(client, {}).value_or("none"), "t4") << "t3 was old at once";
}

// ---- asking and paging

struct Asking {
  explicit Asking(HttpFaultServer::Handler handler, std::chrono::milliseconds time = 20s) : server(std::move(handler)), time_(time) {}
  Api api() { return Api({.client = client, .tokens = tokens, .throttle = {}, .deadline = steady_clock::now() + time_, .stop = {}}); }
  HttpFaultServer server;
  http::Client client{local()};
  TokenSource tokens{std::string("static")};

 private:
  std::chrono::milliseconds time_;
};

TEST(AskingAProvider, ALimitIsPatienceAndNotAnError) {
  Asking asking([](const HttpAsked& asked) {
    if (asked.number == 1) return HttpSaid{.status = 429, .headers = {{"Retry-After", "1"}}};
    return json_answer("{}");
  });
  auto api = asking.api();
  std::string told;
  api.on_wait = [&](std::string_view text) { told = text; };
  EXPECT_TRUE(api.get_ok(asking.server.url()));
  EXPECT_THAT(told, HasSubstr("the provider limits requests"));
}

TEST(AskingAProvider, ALimitBeyondTheRunsTimeEndsItWithTheReason) {
  Asking asking([](const HttpAsked&) { return HttpSaid{.status = 429, .headers = {{"Retry-After", "600"}}}; }, 2s);
  auto api = asking.api();
  const auto began = steady_clock::now();
  const auto answer = api.get(asking.server.url());
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Errc::Unavailable);
  EXPECT_THAT(answer.error().what, HasSubstr("limits requests"));
  EXPECT_LT(steady_clock::now() - began, 2s) << "there is no use in waiting for that";
}

TEST(AskingAProvider, APassingFaultIsTriedAgainAndALastingOneIsNot) {
  Asking passing([](const HttpAsked& asked) {
    if (asked.number == 1) return HttpSaid{.fault = HttpSaid::Fault::Reset};
    if (asked.number == 2) return HttpSaid{.status = 502, .body = "<html>"};
    return json_answer(R"({"a":1})");
  });
  auto api = passing.api();
  EXPECT_TRUE(api.get_ok(passing.server.url()));
  Asking lasting([](const HttpAsked&) { return HttpSaid{.status = 500}; });
  auto other = lasting.api();
  EXPECT_FALSE(other.get_ok(lasting.server.url()));
  EXPECT_EQ(lasting.server.requests(), 4u);
}

TEST(AskingAProvider, ATokenIsRenewedOnceWhenItIsRefused) {
  TokenEndpoint endpoint;
  HttpFaultServer server([](const HttpAsked& asked) {
    return asked.headers.at("authorization") == "Bearer t1" ? HttpSaid{.status = 401} : json_answer("{}");
  });
  http::Client client(local());
  TokenSource tokens(endpoint.credentials);
  Api api({.client = client, .tokens = tokens, .deadline = steady_clock::now() + 20s});
  EXPECT_TRUE(api.get_ok(server.url()));
  EXPECT_EQ(endpoint.tokens, 2);
  server.set([](const HttpAsked&) { return HttpSaid{.status = 401}; });
  const auto refused = api.get_ok(server.url());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::Unauthorized);
  EXPECT_EQ(endpoint.tokens, 3) << "one try more, not a storm";
}

TEST(AskingAProvider, APageInHtmlIsNoAnswer) {
  Asking asking([](const HttpAsked&) { return HttpSaid{.body = "<html>sign in</html>", .headers = {{"Content-Type", "text/html"}}}; });
  auto api = asking.api();
  const auto answer = api.get_ok(asking.server.url());
  ASSERT_FALSE(answer);
  EXPECT_THAT(answer.error().what, HasSubstr("text/html instead of JSON"));
}

std::vector<int> all(Pages& pages, std::string& trouble) {
  std::vector<int> out;
  while (true) {
    const auto page = pages.next();
    if (!page) {
      trouble = page.error().what;
      return out;
    }
    if (!*page) return out;
    for (const auto& item : pages.items(**page)) out.push_back(item.get<int>());
  }
}

TEST(Paging, LinksUrlsTokensAndOffsetsAreFollowedToTheEnd) {
  Asking asking([](const HttpAsked& asked) -> HttpSaid {
    const auto base = "http://" + asked.headers.at("host");
    if (asked.path == "/link") {
      auto said = json_answer(asked.query.contains("p") ? "[3]" : "[1,2]");
      if (!asked.query.contains("p"))
        said.headers.emplace_back("Link", "<" + base + "/x>; rel=\"self\", <" + base + "/link?p=a,b>; rel=\"next\"");
      return said;
    }
    if (asked.path == "/url")
      return json_answer(asked.query.contains("p") ? R"({"value":[3]})" : R"({"value":[1,2],"@odata.nextLink":")" + base + R"(/url?p=1"})");
    if (asked.path == "/token") return json_answer(asked.parameter("t") == "2" ? R"({"items":[3]})" : R"({"items":[1,2],"next":"2"})");
    const auto first = asked.query.contains("first") ? std::stoi(asked.parameter("first")) : 0;
    return json_answer(first == 0 ? "[1]" : first == 1 ? "[2,3]" : "[]");  // a short page in the middle is no end
  });
  struct Case {
    std::string path;
    PageRules rules;
  };
  for (const auto& [path, rules] :
       {Case{"/link", {.next = NextPage::LinkHeader, .items = "", .next_key = "", .parameter = ""}},
        Case{"/url", {.next = NextPage::BodyUrl, .items = "value", .next_key = "@odata.nextLink", .parameter = ""}},
        Case{"/token", {.next = NextPage::BodyToken, .items = "items", .next_key = "next", .parameter = "t"}},
        Case{"/offset", {.next = NextPage::Offset, .items = "", .next_key = "", .parameter = "first"}}}) {
    auto api = asking.api();
    Pages pages(api, asking.server.url() + path, rules);
    std::string trouble;
    EXPECT_EQ(all(pages, trouble), (std::vector<int>{1, 2, 3})) << path << ": " << trouble;
    EXPECT_TRUE(pages.is_over());
  }
}

TEST(Paging, CirclesForeignHostsAndMissingListsEndTheWalkWithTheReason) {
  Asking asking([](const HttpAsked& asked) {
    const auto base = "http://" + asked.headers.at("host");
    if (asked.path == "/circle") return json_answer(R"({"value":[1],"next":")" + base + R"(/circle?p=1"})");
    if (asked.path == "/foreign") return json_answer(R"({"value":[1],"next":"http://127.0.0.2:9/steal"})");
    return json_answer(R"({"error":"later"})");
  });
  const PageRules rules{.next = NextPage::BodyUrl, .items = "value", .next_key = "next", .parameter = ""};
  for (const auto& [path, words] :
       {std::pair("/circle", "circle"), {"/foreign", "a token must not travel there"}, {"/none", "without the list"}}) {
    auto api = asking.api();
    Pages pages(api, asking.server.url() + path, rules);
    std::string trouble;
    static_cast<void>(all(pages, trouble));
    EXPECT_THAT(trouble, HasSubstr(words));
    EXPECT_FALSE(pages.is_over());
  }
}

}  // namespace
}  // namespace rosterd::connectors::oidc
