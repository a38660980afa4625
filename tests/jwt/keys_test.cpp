// Key sets (check-api.md §10: keys).
#include "tests/jwt/issuer.hpp"

namespace rosterd::jwt {
namespace {

using nlohmann::json;

std::string refusal(json jwk) {
  const auto key = Key::of(jwk);
  return key ? "" : key.error().what;
}
json with(json jwk, const char* name, const json& value) {
  jwk[name] = value;
  return jwk;
}

TEST(KeySets, TakeTheKeysThatTheyMay) {
  const auto p384 = test::SigningKey::curve("p384", "P-384");
  const auto ed = test::SigningKey::ed25519("ed");
  const auto keys = key_set_of({rsa().jwk("RS256"), p256().jwk(), p384.jwk("ES384"), ed.jwk("EdDSA")});
  EXPECT_EQ(keys.keys.size(), 4u);
  EXPECT_TRUE(keys.left_out.empty());
  auto all = policy();
  all.algorithms = {Algorithm::RS256, Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA};
  EXPECT_EQ(verdict(p384.token("ES384", good_claims(), {{"typ", "at+jwt"}}), all, keys), "");
  EXPECT_EQ(verdict(ed.token("EdDSA", good_claims(), {{"typ", "at+jwt"}}), all, keys), "");
}

TEST(KeySets, LeaveOutPrivateAndSymmetricKeys) {
  EXPECT_EQ(refusal(with(rsa().jwk(), "d", "AQAB")), "is private or symmetric");
  EXPECT_EQ(refusal(with(p256().jwk(), "d", "AQAB")), "is private or symmetric");
  EXPECT_EQ(refusal(json{{"kty", "oct"}, {"k", "c2VjcmV0"}}), "is private or symmetric");
  const auto keys = key_set_of({with(rsa().jwk(), "d", "AQAB"), p256().jwk()});
  EXPECT_EQ(keys.keys.size(), 1u);
  EXPECT_EQ(keys.left_out.size(), 1u);
}

TEST(KeySets, LeaveOutKeysForAnotherUse) {
  EXPECT_NE(refusal(with(rsa().jwk(), "use", "enc")), "");
  EXPECT_NE(refusal(with(rsa().jwk(), "use", 1)), "");
  EXPECT_NE(refusal(with(rsa().jwk(), "key_ops", {"encrypt"})), "");
  EXPECT_NE(refusal(with(rsa().jwk(), "key_ops", "verify")), "");
  EXPECT_EQ(refusal(with(rsa().jwk(), "key_ops", {"verify"})), "");
  EXPECT_NE(refusal(with(rsa().jwk(), "alg", "RSA-OAEP")), "");
  EXPECT_NE(refusal(with(rsa().jwk(), "alg", "HS256")), "");
  EXPECT_NE(refusal(with(rsa().jwk(), "alg", "none")), "");
}

TEST(KeySets, BindAnAlgorithmToItsKey) {
  EXPECT_NE(refusal(with(rsa().jwk(), "alg", "ES256")), "");
  EXPECT_NE(refusal(with(p256().jwk(), "alg", "RS256")), "");
  EXPECT_NE(refusal(with(p256().jwk(), "alg", "ES384")), "");
  const auto keys = key_set_of({rsa().jwk("RS256")});
  EXPECT_EQ(verdict(rsa().token("PS256", good_claims(), {{"typ", "at+jwt"}}), policy(), keys), "unknown_key");
}

TEST(KeySets, LeaveOutWeakRsaKeys) {
  EXPECT_NE(refusal(test::SigningKey::rsa("weak", 1024).jwk()), "");
  EXPECT_NE(refusal(test::SigningKey::rsa("e3", 2048, 3).jwk()), "");
  EXPECT_NE(refusal(with(rsa().jwk(), "e", "AQ")), "");    // 1
  EXPECT_NE(refusal(with(rsa().jwk(), "e", "AQAC")), "");  // even
  EXPECT_NE(refusal(with(rsa().jwk(), "e", std::string(100, 'A') + "AQAB" + std::string(60, 'x'))), "");
  EXPECT_NE(refusal(with(rsa().jwk(), "n", std::string(3000, '_'))), "");
  EXPECT_NE(refusal(with(rsa().jwk(), "n", std::string(342, '_'))), "");  // 2^2052 - 1: has small factors
  auto half = rsa().jwk();
  half.erase("n");
  EXPECT_NE(refusal(half), "");
}

TEST(KeySets, LeaveOutPointsThatAreNotOnTheirCurve) {
  const auto other = test::SigningKey::curve("other").jwk();
  EXPECT_NE(refusal(with(p256().jwk(), "x", other["x"])), "");
  const auto zero = std::string(42, 'A') + "A";  // 32 bytes of zero
  EXPECT_NE(refusal(with(with(p256().jwk(), "x", zero), "y", zero)), "");
  EXPECT_NE(refusal(with(p256().jwk(), "x", "AQ")), "");
  EXPECT_NE(refusal(with(p256().jwk(), "x", "AAAA" + p256().jwk()["x"].get<std::string>())), "");
  EXPECT_NE(refusal(with(p256().jwk(), "crv", "P-384")), "");
  EXPECT_NE(refusal(with(p256().jwk(), "crv", "secp256k1")), "");
  EXPECT_NE(refusal(test::SigningKey::curve("p521", "P-521").jwk()), "");
  EXPECT_NE(refusal(with(test::SigningKey::ed25519("ed").jwk(), "x", "AQAB")), "");
}

TEST(KeySets, LeaveOutWhatIsNoKey) {
  for (const json& wrong :
       {json(1), json("key"), json::array(), json::object(), json{{"kty", "RSA"}}, json{{"kty", "EC"}, {"crv", "P-256"}},
        json{{"kty", "rsa"}}, with(rsa().jwk(), "kid", 7), with(rsa().jwk(), "n", "!!!"), with(rsa().jwk(), "n", 12)})
    EXPECT_NE(refusal(wrong), "") << wrong.dump();
}

TEST(KeySets, AreRefusedWholeWhenTheyAreNone) {
  for (const std::string& wrong : {std::string(), std::string("[]"), std::string("{}"), std::string(R"({"keys":{}})"),
                                   std::string("<html>"), std::string(R"({"keys":[],"keys":[]})"), std::string(kMostKeySet + 1, ' ')})
    EXPECT_FALSE(parse_key_set(wrong)) << wrong.substr(0, 40);
  json many = json::array();
  for (std::size_t i = 0; i <= kMostKeys; ++i) many.push_back(p256().jwk());
  EXPECT_FALSE(parse_key_set(json{{"keys", many}}.dump()));
  EXPECT_TRUE(parse_key_set(R"({"keys":[]})"));
}

TEST(KeySets, WithTwoKeysOfOneKidTrustNeither) {
  const auto one = test::SigningKey::curve("same"), two = test::SigningKey::curve("same");
  const auto keys = key_set_of({one.jwk(), two.jwk(), p256().jwk()});
  EXPECT_EQ(keys.keys.size(), 1u);
  EXPECT_EQ(verdict(one.token("ES256", good_claims(), {{"typ", "at+jwt"}}), policy(), keys), "unknown_key");
  EXPECT_EQ(verdict(good_token(), policy(), keys), "");
  EXPECT_EQ(key_set_of({one.jwk(), one.jwk()}).keys.size(), 1u) << "the same key twice is one key";
  EXPECT_EQ(key_set_of({test::SigningKey::rsa("same").jwk(), one.jwk()}).keys.size(), 2u) << "of two types they cannot be mistaken";
}

TEST(KeySets, AreSearchedForATokenWithoutAKid) {
  const auto unnamed = good_token({{"typ", "at+jwt"}, {"kid", nullptr}});
  EXPECT_EQ(verdict(unnamed, policy(), key_set_of({rsa().jwk(), p256().jwk()})), "");
  EXPECT_EQ(verdict(unnamed, policy(), key_set_of({rsa().jwk()})), "unknown_key");
  std::vector<json> many;
  for (std::size_t i = 0; i < kMostTried; ++i) many.push_back(test::SigningKey::curve(fmt::format("k{}", i)).jwk());
  many.push_back(p256().jwk());
  const auto keys = parse_key_set(json{{"keys", many}}.dump());
  ASSERT_TRUE(keys);
  EXPECT_EQ(verdict(unnamed, policy(), *keys), "bad_signature") << "a token may not make us try any number of keys";
  EXPECT_EQ(verdict(good_token(), policy(), *keys), "");
}

TEST(KeySets, WithoutARetiredKeyRefuseItsTokens) {
  const auto before = key_set_of({p256().jwk(), rsa().jwk()});
  const auto after = key_set_of({rsa().jwk()});
  EXPECT_EQ(verdict(good_token(), policy(), before), "");
  EXPECT_EQ(verdict(good_token(), policy(), after), "unknown_key");
  EXPECT_EQ(verdict(good_token(), policy(), KeySet{}), "unknown_key");
}

}  // namespace
}  // namespace rosterd::jwt
