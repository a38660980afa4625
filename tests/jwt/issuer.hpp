#pragma once
// An issuer with one key of each kind, its policy, and a token that is right in everything, for tests that make one thing wrong.

#include <gtest/gtest.h>

#include "connectors/oidc/jwt/verify.hpp"
#include "tests/jwt/signing_key.hpp"

namespace rosterd::jwt {

inline constexpr std::int64_t kNow = 1'800'000'000;
inline TimePoint at(std::int64_t seconds) { return TimePoint(std::chrono::seconds(seconds)); }

inline const test::SigningKey& rsa() {
  static const auto key = test::SigningKey::rsa("rsa");
  return key;
}
inline const test::SigningKey& p256() {
  static const auto key = test::SigningKey::curve("p256");
  return key;
}

inline Policy policy(TokenType type = TokenType::Rfc9068) {
  return {.issuer = "https://idp.example/acme", .audiences = {"https://rosterd.example"}, .type = type};
}

inline nlohmann::json good_claims() {
  return {{"iss", "https://idp.example/acme"},
          {"aud", "https://rosterd.example"},
          {"sub", "ada-1"},
          {"client_id", "console"},
          {"exp", kNow + 300},
          {"iat", kNow - 10},
          {"jti", "1"}};
}

inline KeySet key_set_of(std::initializer_list<nlohmann::json> jwks) {
  auto set = parse_key_set(nlohmann::json{{"keys", nlohmann::json(jwks)}}.dump());
  EXPECT_TRUE(set.has_value());
  return set ? std::move(*set) : KeySet{};
}

/// "" when it is accepted, else the reason.
inline std::string verdict(std::string_view token, const Policy& policy, const KeySet& keys, std::int64_t now = kNow) {
  const auto claims = verify(token, policy, keys, at(now));
  if (claims) return "";
  EXPECT_EQ(claims.error().code, Errc::Unauthorized) << claims.error().what;
  return claims.error().slug;
}

inline std::string good_token(const nlohmann::json& header = {{"typ", "at+jwt"}}) { return p256().token("ES256", good_claims(), header); }

}  // namespace rosterd::jwt
