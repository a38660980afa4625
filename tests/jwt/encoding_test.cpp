// The form of a token, its header and its signature (check-api.md §10: signature, algorithm, header injection, encoding).
#include "connectors/oidc/jwt/base64url.hpp"
#include "tests/jwt/issuer.hpp"

namespace rosterd::jwt {
namespace {

using nlohmann::json;

class Token9068 : public testing::Test {
 protected:
  KeySet keys = key_set_of({rsa().jwk(), p256().jwk()});
  std::string good = good_token();
  /// The parts of the good token.
  std::string part(int which) const {
    const auto first = good.find('.'), second = good.rfind('.');
    return which == 0 ? good.substr(0, first) : which == 1 ? good.substr(first + 1, second - first - 1) : good.substr(second + 1);
  }
  std::string with_header(const json& header) const { return p256().token("ES256", good_claims(), header); }
};

TEST_F(Token9068, ThatIsRightInEverythingIsAccepted) {
  EXPECT_EQ(verdict(good, policy(), keys), "");
  EXPECT_EQ(verdict(rsa().token("RS256", good_claims(), {{"typ", "AT+JWT"}}), policy(), keys), "");
  EXPECT_EQ(verdict(rsa().token("PS256", good_claims(), {{"typ", "application/at+jwt"}}), policy(), keys), "");
  const auto claims = verify(good, policy(), keys, at(kNow));
  ASSERT_TRUE(claims);
  EXPECT_EQ(claims->subject, "ada-1");
  EXPECT_EQ(claims->expires_at, at(kNow + 300));
  EXPECT_FALSE(claims->of_client);
}

TEST_F(Token9068, HasExactlyThreePartsOfTheAlphabet) {
  for (const auto& wrong :
       {std::string(), std::string("."), std::string(".."), part(0), part(0) + '.' + part(1), good + '.', good + ".x", '.' + good,
        good + '=', good + ' ', ' ' + good, good + '\n', good + "==", part(0) + "=." + part(1) + '.' + part(2),
        part(0) + ". " + part(1) + '.' + part(2), part(0) + "+." + part(1) + '.' + part(2), std::string("eyJhbGciOiJub25lIn0..")})
    EXPECT_EQ(verdict(wrong, policy(), keys), wrong.starts_with("eyJhbGciOiJub25l") ? "algorithm_not_allowed" : "malformed_token") << wrong;
}

TEST_F(Token9068, IsRefusedUnreadWhenItIsTooLong) {
  auto claims = good_claims();
  claims["padding"] = std::string(kMostToken, 'x');
  EXPECT_EQ(verdict(p256().token("ES256", claims, {{"typ", "at+jwt"}}), policy(), keys), "malformed_token");
  EXPECT_EQ(verdict(std::string(10'000'000, '.'), policy(), keys), "malformed_token");
}

TEST_F(Token9068, MeansOneThingInOneSpelling) {
  // The last character of the signature has bits that mean nothing: another spelling of the same bytes is refused.
  auto spelt = good;
  const std::string alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  spelt.back() = alphabet[alphabet.find(spelt.back()) ^ 1];
  EXPECT_EQ(verdict(spelt, policy(), keys), "malformed_token");
}

TEST_F(Token9068, WithoutAFullSignatureIsRefused) {
  EXPECT_EQ(verdict(part(0) + '.' + part(1) + '.', policy(), keys), "bad_signature");
  for (const auto& signature :
       {std::string(64, '\0'), std::string(63, 'x'), std::string(65, 'x'), std::string(1, 'x'),
        std::string(32, '\0') + std::string(32, 'x'), std::string(32, 'x') + std::string(32, '\0'), std::string(64, '\xff')})
    EXPECT_EQ(verdict(part(0) + '.' + part(1) + '.' + base64url_encode(signature), policy(), keys), "bad_signature");
}

TEST_F(Token9068, WithADerSignatureIsRefused) {
  // What OpenSSL would take as it is.
  const auto raw = *base64url_decode(part(2));
  const auto integer = [](std::string bytes) {
    if ((bytes[0] & 0x80) != 0) bytes.insert(0, 1, '\0');
    return std::string("\x02") + static_cast<char>(bytes.size()) + bytes;
  };
  const auto body = integer(raw.substr(0, 32)) + integer(raw.substr(32));
  EXPECT_EQ(verdict(part(0) + '.' + part(1) + '.' + base64url_encode(std::string("\x30") + static_cast<char>(body.size()) + body), policy(),
                    keys),
            "bad_signature");
}

TEST_F(Token9068, WithTheSignatureOfAnotherHeaderOrPayloadIsRefused) {
  const auto other = with_header({{"typ", "at+jwt"}, {"x", 1}});
  EXPECT_EQ(verdict(other.substr(0, other.rfind('.')) + '.' + part(2), policy(), keys), "bad_signature");
  auto claims = good_claims();
  claims["sub"] = "root";
  EXPECT_EQ(verdict(part(0) + '.' + base64url_encode(claims.dump()) + '.' + part(2), policy(), keys), "bad_signature");
}

TEST_F(Token9068, OfAlgorithmNoneIsRefusedInEveryCase) {
  for (const char* none : {"none", "None", "NONE", "nOnE", "", "HS256", "hs256", "es256", "Es256", "RS1", "RSA1_5", "ES256K", "dir"}) {
    const auto header = json{{"alg", none}, {"typ", "at+jwt"}}.dump();
    for (const auto& signature : {std::string(), part(2)}) {
      const auto token = base64url_encode(header) + '.' + part(1) + '.' + signature;
      EXPECT_EQ(verdict(token, policy(), keys), "algorithm_not_allowed") << none;
    }
  }
  EXPECT_EQ(verdict(base64url_encode(R"({"typ":"at+jwt"})") + '.' + part(1) + '.' + part(2), policy(), keys), "malformed_token");
  EXPECT_EQ(verdict(base64url_encode(R"({"alg":["ES256"]})") + '.' + part(1) + '.' + part(2), policy(), keys), "malformed_token");
}

TEST_F(Token9068, WhoseAlgorithmIsNotOfTheKeyIsRefused) {
  // The key of the kid is there, and it cannot have made such a signature.
  EXPECT_EQ(verdict(p256().token("ES256", good_claims(), {{"typ", "at+jwt"}, {"alg", "RS256"}}), policy(), keys), "unknown_key");
  EXPECT_EQ(verdict(rsa().token("RS256", good_claims(), {{"typ", "at+jwt"}, {"alg", "ES256"}}), policy(), keys), "unknown_key");
  EXPECT_EQ(verdict(rsa().token("RS256", good_claims(), {{"typ", "at+jwt"}, {"alg", "PS256"}}), policy(), keys), "bad_signature");
}

TEST_F(Token9068, OfAnAlgorithmThatTheIssuerMayNotUseIsRefused) {
  auto only = policy();
  only.algorithms = {Algorithm::RS256};
  EXPECT_EQ(verdict(good, only, keys), "algorithm_not_allowed");
  EXPECT_EQ(verdict(rsa().token("RS384", good_claims(), {{"typ", "at+jwt"}}), policy(), keys), "algorithm_not_allowed");
}

TEST_F(Token9068, ThatBringsItsOwnKeyIsJudgedByTheIssuers) {
  const auto forger = test::SigningKey::curve("forger");
  for (const json& injected : {json{{"jwk", forger.jwk()}}, json{{"jku", "https://forger.example/keys"}},
                               json{{"x5u", "https://forger.example/chain"}}, json{{"x5c", {"AAAA"}}}, json{{"x5t", "AAAA"}}}) {
    auto header = injected;
    header["typ"] = "at+jwt";
    EXPECT_EQ(verdict(forger.token("ES256", good_claims(), header), policy(), keys), "unknown_key");
    header["kid"] = "p256";
    EXPECT_EQ(verdict(forger.token("ES256", good_claims(), header), policy(), keys), "bad_signature");
    EXPECT_EQ(verdict(with_header(header), policy(), keys), "") << "an honest token is not harmed by them";
  }
}

TEST_F(Token9068, WithAnExtensionIsRefused) {
  for (const json& extension :
       {json{{"crit", {"exp"}}, {"exp", 1}}, json{{"crit", json::array()}}, json{{"b64", false}}, json{{"zip", "DEF"}},
        json{{"enc", "A128GCM"}}, json{{"cty", "JWT"}}, json{{"cty", "jwt"}}, json{{"cty", 1}}}) {
    auto header = extension;
    header["typ"] = "at+jwt";
    EXPECT_EQ(verdict(with_header(header), policy(), keys), "malformed_token") << extension.dump();
  }
}

TEST_F(Token9068, TreatsItsKidAsATextThatIsComparedAndNothingElse) {
  for (const char* kid :
       {"../../../../dev/null", "' UNION SELECT 'x", "*)(objectClass=*", "/etc/passwd", "p256 ", "P256", "http://forger.example"})
    EXPECT_EQ(verdict(with_header({{"typ", "at+jwt"}, {"kid", kid}}), policy(), keys), "unknown_key") << kid;
  for (const json& kid : {json(""), json(1), json(json::array({"p256"})), json(std::string(600, 'k')), json("p256\n")}) {
    const auto header = json{{"alg", "ES256"}, {"typ", "at+jwt"}, {"kid", kid}}.dump();
    EXPECT_EQ(verdict(p256().token_of_texts("ES256", header, good_claims().dump()), policy(), keys), "malformed_token") << kid.dump();
  }
}

TEST_F(Token9068, WithADuplicateMemberIsRefused) {
  const auto header = R"({"alg":"ES256","kid":"p256","typ":"at+jwt"})";
  const auto claims = good_claims().dump();
  EXPECT_EQ(verdict(p256().token_of_texts("ES256", header, claims), policy(), keys), "");
  EXPECT_EQ(verdict(p256().token_of_texts("ES256", R"({"alg":"none","alg":"ES256","kid":"p256","typ":"at+jwt"})", claims), policy(), keys),
            "malformed_token");
  for (const char* twice : {R"("sub":"root",)", R"("iss":"https://forger.example",)", R"("exp":9999999999,)", R"("s\u0075b":"root",)",
                            R"("x":{"y":1,"y":2},)"}) {
    auto changed = claims;
    changed.insert(1, twice);
    EXPECT_EQ(verdict(p256().token_of_texts("ES256", header, changed), policy(), keys), "malformed_token") << twice;
  }
}

TEST_F(Token9068, IsJsonOfOneObjectInUtf8) {
  const auto header = R"({"alg":"ES256","kid":"p256","typ":"at+jwt"})";
  std::string deep = "1";
  for (int i = 0; i < 40; ++i) deep = "[" + deep + "]";
  for (const std::string& payload :
       {std::string(), std::string("[]"), std::string("\"text\""), std::string("null"), good_claims().dump() + "x",
        good_claims().dump() + "{}", "\xef\xbb\xbf" + good_claims().dump(), std::string("{\"iss\":\"\xff\"}"),
        std::string(R"({"iss":"a\u0000b"})"), std::string("{\"a\":") + deep + "}", std::string("{'iss':1}"), std::string("{\"a\":NaN}")})
    EXPECT_EQ(verdict(p256().token_of_texts("ES256", header, payload), policy(), keys), "malformed_token") << payload;
  EXPECT_EQ(verdict(p256().token_of_texts("ES256", "[]", good_claims().dump()), policy(), keys), "malformed_token");
}

TEST(Jws, IsRecognisedByItsShape) {
  EXPECT_TRUE(looks_like_jws(good_token()));
  for (const char* other : {"rst_0123456789", "ey.a", "ey.a.b.c", "ey.a.b c", "a.b.c", "", "ey..=", "ey.\xc3.x"})
    EXPECT_FALSE(looks_like_jws(other)) << other;
}

}  // namespace
}  // namespace rosterd::jwt
