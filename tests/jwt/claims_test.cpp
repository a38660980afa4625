// What a token says (check-api.md §10: claims, authorization).
#include <openssl/evp.h>

#include "connectors/oidc/jwt/base64url.hpp"
#include "tests/jwt/issuer.hpp"

namespace rosterd::jwt {
namespace {

using nlohmann::json;

/// The good claims with what `change` says (null takes a claim away).
json claims(const json& change) {
  auto out = good_claims();
  out.merge_patch(change);
  return out;
}

class AccessToken : public testing::Test {
 protected:
  KeySet keys = key_set_of({p256().jwk()});
  std::string judged(const json& change, TokenType type = TokenType::Rfc9068, std::int64_t now = kNow) const {
    json header = json::object();
    if (type == TokenType::Rfc9068) header["typ"] = "at+jwt";
    if (type == TokenType::Jwt) header["typ"] = "JWT";
    return verdict(p256().token("ES256", claims(change), header), policy(type), keys, now);
  }
  std::string typed(const json& typ, TokenType type) const {
    return verdict(p256().token("ES256", good_claims(), {{"typ", typ}}), policy(type), keys);
  }
};

TEST_F(AccessToken, IsOfExactlyThatIssuer) {
  for (const json& wrong :
       {json(nullptr), json("https://idp.example/acme/"), json("https://idp.example/Acme"), json("https://idp.example"), json(""),
        json("http://idp.example/acme"), json("https://idp.example/acme "), json(json::array({"https://idp.example/acme"})), json(1)})
    EXPECT_EQ(judged({{"iss", wrong}}), "wrong_issuer") << wrong.dump();
  auto nobody = policy();
  nobody.issuer.clear();
  EXPECT_EQ(verdict(p256().token("ES256", claims({{"iss", ""}}), {{"typ", "at+jwt"}}), nobody, keys), "wrong_issuer");
}

TEST_F(AccessToken, IsForUs) {
  EXPECT_EQ(judged({{"aud", {"https://other.example", "https://rosterd.example"}}}), "");
  for (const json& wrong : {json(nullptr), json("https://rosterd.example/"), json("https://sibling.rosterd.example"), json("rosterd"),
                            json(""), json(json::array()), json({"https://other.example"}), json({"https://rosterd.example", 1}), json(7),
                            json({{"https://rosterd.example", true}})})
    EXPECT_EQ(judged({{"aud", wrong}}), "wrong_audience") << wrong.dump();
  auto anybody = policy();
  anybody.audiences.clear();
  EXPECT_EQ(verdict(good_token(), anybody, keys), "wrong_audience") << "an audience is never optional";
}

TEST_F(AccessToken, HasATimeAndASkewOfAMinuteAtMost) {
  EXPECT_EQ(judged({{"exp", nullptr}}), "wrong_claims");
  EXPECT_EQ(judged({{"exp", "1800000300"}}), "wrong_claims");
  EXPECT_EQ(judged({{"exp", -1}}), "wrong_claims");
  EXPECT_EQ(judged({{"exp", 1e300}}), "wrong_claims");
  EXPECT_EQ(judged({{"exp", true}}), "wrong_claims");
  EXPECT_EQ(judged({{"exp", kNow + 0.5}}), "");
  EXPECT_EQ(judged({{"exp", kNow - 59}}), "");
  EXPECT_EQ(judged({{"exp", kNow - 60}}), "expired");
  EXPECT_EQ(judged({{"exp", 0}}), "expired");
  EXPECT_EQ(judged({{"nbf", kNow + 60}}), "");
  EXPECT_EQ(judged({{"nbf", kNow + 61}}), "not_yet_valid");
  EXPECT_EQ(judged({{"nbf", "soon"}}), "wrong_claims");
  EXPECT_EQ(judged({{"iat", kNow + 60}}), "");
  EXPECT_EQ(judged({{"iat", kNow + 61}}), "not_yet_valid");
  EXPECT_EQ(judged({{"iat", "now"}}), "wrong_claims");
  auto none = policy();
  none.skew = Seconds{0};
  EXPECT_EQ(verdict(p256().token("ES256", claims({{"exp", kNow}}), {{"typ", "at+jwt"}}), none, keys), "expired");
  auto generous = policy();
  generous.skew = Seconds{3600};
  EXPECT_EQ(verdict(p256().token("ES256", claims({{"exp", kNow - 61}}), {{"typ", "at+jwt"}}), generous, keys), "expired");
}

TEST_F(AccessToken, NamesItsSubject) {
  for (const json& wrong : {json(""), json(1), json(std::string(256, 'x')), json("a\nb")})
    EXPECT_EQ(judged({{"sub", wrong}}), "wrong_claims");
  auto entra = policy(TokenType::Jwt);
  entra.subject_claim = "oid";
  const auto token = p256().token("ES256", claims({{"oid", "0000-1"}}), {{"typ", "JWT"}});
  const auto found = verify(token, entra, keys, at(kNow));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->subject, "0000-1");
  EXPECT_EQ(verdict(p256().token("ES256", good_claims(), {{"typ", "JWT"}}), entra, keys), "wrong_claims");
}

TEST_F(AccessToken, HasWhatRfc9068Requires) {
  for (const char* required : {"sub", "client_id", "iat", "jti"}) EXPECT_EQ(judged({{required, nullptr}}), "wrong_claims") << required;
  EXPECT_EQ(judged({{"client_id", nullptr}, {"jti", nullptr}, {"iat", nullptr}}, TokenType::Jwt), "");
}

TEST_F(AccessToken, IsOfTheTypeThatTheIssuerUses) {
  for (const json& wrong : {json(nullptr), json("JWT"), json("jwt"), json("logout+jwt"), json("dpop+jwt"), json("secevent+jwt"),
                            json("at+jwt;x"), json("at jwt")})
    EXPECT_EQ(typed(wrong, TokenType::Rfc9068), "wrong_type") << wrong.dump();
  EXPECT_EQ(typed("jwt", TokenType::Jwt), "");
  EXPECT_EQ(typed("at+jwt", TokenType::Jwt), "wrong_type");
  EXPECT_EQ(typed(nullptr, TokenType::Jwt), "wrong_type");
  EXPECT_EQ(typed(nullptr, TokenType::Absent), "");
  EXPECT_EQ(typed("JWT", TokenType::Absent), "wrong_type");
}

TEST_F(AccessToken, IsNeverAnIdTokenOrALogoutToken) {
  for (const json& other :
       {json{{"nonce", "n"}}, json{{"at_hash", "x"}}, json{{"c_hash", "x"}}, json{{"s_hash", "x"}}, json{{"events", json::object()}},
        json{{"typ", "ID"}}, json{{"typ", "Refresh"}}, json{{"typ", 1}}, json{{"token_use", "id"}}, json{{"cnf", {{"jkt", "x"}}}}})
    for (const auto type : {TokenType::Rfc9068, TokenType::Jwt, TokenType::Absent})
      EXPECT_EQ(judged(other, type), "not_an_access_token") << other.dump();
  EXPECT_EQ(judged({{"typ", "Bearer"}}, TokenType::Jwt), "");
}

TEST_F(AccessToken, WasGivenToAClientThatIsAllowed) {
  auto only = policy();
  only.clients = {"console"};
  EXPECT_EQ(verdict(good_token(), only, keys), "");
  only.clients = {"other"};
  EXPECT_EQ(verdict(good_token(), only, keys), "wrong_client");
  EXPECT_EQ(judged({{"azp", "another"}}), "wrong_client") << "azp and client_id contradict each other";
  EXPECT_EQ(judged({{"azp", 1}}), "wrong_client");
  EXPECT_EQ(judged({{"azp", "console"}}), "");
  EXPECT_EQ(verdict(
                p256().token("ES256", claims({{"client_id", nullptr}}), {{"typ", "JWT"}}),
                [] {
                  auto out = policy(TokenType::Jwt);
                  out.clients = {"console"};
                  return out;
                }(),
                keys),
            "wrong_client");
}

TEST_F(AccessToken, OfAClientForItselfIsToldApart) {
  const auto of_client = [&](const json& change, TokenType type = TokenType::Rfc9068) {
    auto by = policy(type);
    by.subject_claim = change.value("oid", "").empty() ? "sub" : "oid";
    const auto found =
        verify(p256().token("ES256", claims(change), {{"typ", type == TokenType::Jwt ? "JWT" : "at+jwt"}}), by, keys, at(kNow));
    EXPECT_TRUE(found);
    return found && found->of_client;
  };
  EXPECT_FALSE(of_client(json::object()));
  EXPECT_TRUE(of_client({{"sub", "console"}})) << "RFC 9068 §5: sub is the client";
  EXPECT_TRUE(of_client({{"idtyp", "app"}}, TokenType::Jwt)) << "Entra";
  EXPECT_TRUE(of_client({{"gty", "client-credentials"}}, TokenType::Jwt)) << "Auth0";
  EXPECT_TRUE(of_client({{"preferred_username", "service-account-console"}}, TokenType::Jwt)) << "Keycloak";
  EXPECT_TRUE(of_client({{"oid", "0000-1"}, {"sub", nullptr}}, TokenType::Jwt)) << "nobody is named but an object";
}

TEST_F(AccessToken, GrantsNothingByClaimsOfRoles) {
  const auto found =
      verify(p256().token("ES256", claims({{"roles", {"Admin"}}, {"entitlements", {"*"}}, {"groups", {"g"}}}), {{"typ", "at+jwt"}}),
             policy(), keys, at(kNow));
  ASSERT_TRUE(found);
  EXPECT_EQ(groups_of(*found, "").state, GroupsClaim::State::Absent) << "no setting, no groups";
}

TEST(GroupsClaims, OfTooManyAreNeverNone) {
  const auto state = [](const json& all, std::string_view name = "groups") {
    return groups_of(Claims{.issuer = {}, .subject = {}, .all = all}, std::string(name)).state;
  };
  using State = GroupsClaim::State;
  EXPECT_EQ(state(json::object()), State::Absent);
  EXPECT_EQ(state({{"groups", json::array()}}), State::Listed);
  EXPECT_EQ(state({{"groups", {"a", "b"}}}), State::Listed);
  EXPECT_EQ(state({{"_claim_names", {{"groups", "src1"}}}, {"_claim_sources", {{"src1", {{"endpoint", "https://graph.example"}}}}}}),
            State::Overage);
  EXPECT_EQ(state({{"_claim_names", {{"groups", "src1"}}}, {"groups", json::array()}}), State::Overage);
  EXPECT_EQ(state({{"hasgroups", true}}), State::Overage);
  EXPECT_EQ(state({{"hasgroups", "true"}}), State::Overage);
  EXPECT_EQ(state({{"hasgroups", false}, {"groups", {"a"}}}), State::Listed);
  EXPECT_EQ(state({{"_claim_names", "groups"}}), State::Overage);
  for (const json& wrong :
       {json("a"), json(nullptr), json({1}), json({{"a", 1}}), json(std::vector<std::string>(2001, "g")), json({std::string(2000, 'g')})})
    EXPECT_EQ(state({{"groups", wrong}}), State::Absent);
  EXPECT_EQ(groups_of(Claims{.issuer = {}, .subject = {}, .all = {{"groups", {"b", "a", "b"}}}}, "groups").values,
            (std::vector<std::string>{"a", "b"}));
}

class IdToken : public testing::Test {
 protected:
  KeySet keys = key_set_of({p256().jwk(), rsa().jwk()});
  IdTokenRules rules{.client_id = "console", .nonce = "n-1", .access_token = ""};
  static json id_claims() {
    return {
        {"iss", "https://idp.example/acme"}, {"aud", "console"}, {"sub", "ada-1"}, {"nonce", "n-1"}, {"exp", kNow + 300}, {"iat", kNow}};
  }
  std::string judged(const json& change, const json& header = json::object()) const {
    auto all = id_claims();
    all.merge_patch(change);
    const auto found = verify_id_token(p256().token("ES256", all, header), policy(), rules, keys, at(kNow));
    return found ? "" : found.error().slug;
  }
};

TEST_F(IdToken, ThatIsRightIsAccepted) {
  EXPECT_EQ(judged(json::object()), "");
  EXPECT_EQ(judged(json::object(), {{"typ", "JWT"}}), "");
}

TEST_F(IdToken, IsForTheClientAlone) {
  EXPECT_EQ(judged({{"aud", "other"}}), "wrong_audience");
  EXPECT_EQ(judged({{"aud", "https://rosterd.example"}}), "wrong_audience") << "an access token's audience is no client";
  EXPECT_EQ(judged({{"aud", {"console", "other"}}}), "wrong_client");
  EXPECT_EQ(judged({{"aud", {"console", "other"}}, {"azp", "other"}}), "wrong_client");
  EXPECT_EQ(judged({{"aud", {"console", "other"}}, {"azp", "console"}}), "");
  EXPECT_EQ(judged({{"azp", "other"}}), "wrong_client");
}

TEST_F(IdToken, BelongsToTheSignInThatAskedForIt) {
  EXPECT_EQ(judged({{"nonce", "n-2"}}), "wrong_nonce");
  EXPECT_EQ(judged({{"nonce", nullptr}}), "wrong_nonce");
  rules.nonce.clear();
  EXPECT_EQ(judged({{"nonce", ""}}), "wrong_nonce") << "no nonce is never a right one";
}

TEST_F(IdToken, IsNoOtherToken) {
  EXPECT_EQ(judged(json::object(), {{"typ", "at+jwt"}}), "wrong_type");
  EXPECT_EQ(judged(json::object(), {{"typ", "logout+jwt"}}), "wrong_type");
  EXPECT_EQ(judged({{"typ", "Bearer"}}), "wrong_type");
  EXPECT_EQ(judged({{"events", json::object()}}), "wrong_type");
  EXPECT_EQ(judged({{"iat", nullptr}}), "wrong_claims");
  EXPECT_EQ(judged({{"exp", kNow - 100}}), "expired");
  EXPECT_EQ(judged({{"iss", "https://forger.example"}}), "wrong_issuer");
}

TEST_F(IdToken, BelongsToTheAccessTokenItCameWith) {
  // OpenID Connect Core §3.1.3.6: the left half of the hash of the access token.
  rules.access_token = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y";  // of its appendix A.3
  EXPECT_EQ(judged({{"at_hash", "77QmUPtjPfzWtF2AnpK9RQ"}}), "");
  EXPECT_EQ(judged({{"at_hash", "77QmUPtjPfzWtF2AnpK9RA"}}), "wrong_claims");
  rules.access_token = "another";
  EXPECT_EQ(judged({{"at_hash", "77QmUPtjPfzWtF2AnpK9RQ"}}), "wrong_claims");
  rules.access_token.clear();
  EXPECT_EQ(judged({{"at_hash", "77QmUPtjPfzWtF2AnpK9RQ"}}), "wrong_claims");
}

}  // namespace
}  // namespace rosterd::jwt
