// The public vectors: RFC 7515 appendix A.2 and A.3, RFC 7520 §4.1 and §4.2, RFC 8037 appendix A.4.
#include "connectors/oidc/jwt/base64url.hpp"
#include "tests/jwt/issuer.hpp"

namespace rosterd::jwt {
namespace {

using nlohmann::json;

struct Vector {
  const char* name;
  std::string_view jwk, token, payload;
};

constexpr std::string_view kJoe = "{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}";
constexpr std::string_view kFrodo =
    "It\xe2\x80\x99s a dangerous business, Frodo, going out your door. You step onto the road, and if you don't keep your feet, "
    "there\xe2\x80\x99s no knowing where you might be swept off to.";
constexpr std::string_view kBilbo =
    R"({"kty":"RSA","kid":"bilbo.baggins@hobbiton.example","use":"sig","n":"n4EPtAOCc9AlkeQHPzHStgAbgs7bTZLwUBZdR8_KuKPEHLd4rHVTeT-O-XV2jRojdNhxJWTDvNd7nqQ0VEiZQHz_AJmSCpMaJMRBSFKrKb2wqVwGU_NsYOYL-QtiWN2lbzcEe6XC0dApr5ydQLrHqkHHig3RBordaZ6Aj-oBHqFEHYpPe7Tpe-OfVfHd1E6cS6M1FZcD1NNLYD5lFHpPI9bTwJlsde3uhGqC0ZCuEHg8lhzwOHrtIQbS0FVbb9k3-tVTU4fg_3L_vniUFAKwuCLqKnS2BYwdq_mzSnbLY7h_qixoR7jig3__kRhuaxwUkRz5iaiQkqgc5gHdrNP5zw","e":"AQAB"})";

const Vector kVectors[] = {
    {"RFC 7515 A.2",
     R"({"kty":"RSA","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ","e":"AQAB"})",
     "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
     "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_"
     "O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO-"
     "-xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
     kJoe},
    {"RFC 7515 A.3",
     R"({"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"})",
     "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
     "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
     kJoe},
    {"RFC 7520 4.1", kBilbo,
     "eyJhbGciOiJSUzI1NiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9."
     "SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW91IHN0ZXAgb250byB0aGUgcm9hZCwgYW5kIGlmIHlvdSBkb24ndCBrZ"
     "WVwIHlvdXIgZmVldCwgdGhlcmXigJlzIG5vIGtub3dpbmcgd2hlcmUgeW91IG1pZ2h0IGJlIHN3ZXB0IG9mZiB0by4.MRjdkly7_-"
     "oTPTS3AXP41iQIGKa80A0ZmTuV5MEaHoxnW2e5CZ5NlKtainoFmKZopdHM1O2U4mwzJdQx996ivp83xuglII7PNDi84wnB-BDkoBwA78185hX-Es4JIwmDLJK3lfWRa-"
     "XtL0RnltuYv746iYTh_qHRD68BNt1uSNCrUCTJDt5aAE6x8wW1Kt9eRo4QPocSadnHXFxnt8Is9UzpERV0ePPQdLuW3IS_"
     "de3xyIrDaLGdjluPxUAhb6L2aXic1U12podGU0KLUQSE_oI-ZnmKJ3F4uOZDnd6QZWJushZ41Axf_fcIe8u9ipH84ogoree7vjbU5y18kDquDg",
     kFrodo},
    {"RFC 7520 4.2", kBilbo,
     "eyJhbGciOiJQUzM4NCIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9."
     "SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW91IHN0ZXAgb250byB0aGUgcm9hZCwgYW5kIGlmIHlvdSBkb24ndCBrZ"
     "WVwIHlvdXIgZmVldCwgdGhlcmXigJlzIG5vIGtub3dpbmcgd2hlcmUgeW91IG1pZ2h0IGJlIHN3ZXB0IG9mZiB0by4."
     "cu22eBqkYDKgIlTpzDXGvaFfz6WGoz7fUDcfT0kkOy42miAh2qyBzk1xEsnk2IpN6-tPid6VrklHkqsGqDqHCdP6O8TTB5dDDItllVo6_1OLPpcbUrhiUSMxbbXUvdvWXzg-"
     "UD8biiReQFlfz28zGWVsdiNAUf8ZnyPEgVFn442ZdNqiVJRmBqrYRXe8P_ijQ7p8Vdz0TTrxUeT3lm8d9shnr2lfJT8ImUjvAA2Xez2Mlp8cBE5awDzT0qI0n6uiP1aCN_2_"
     "jLAeQTlqRHtfa64QQSUmFAAjVKPbByi7xho0uTOcbH510a6GYmJUAfmWjwZ6oD4ifKo8DYM-X72Eaw",
     kFrodo},
    {"RFC 8037 A.4", R"({"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})",
     "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-"
     "09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
     "Example of Ed25519 signing"},
};

TEST(Vectors, OfTheRfcsAreVerified) {
  for (const auto& vector : kVectors) {
    SCOPED_TRACE(vector.name);
    const auto jws = take_apart(vector.token);
    ASSERT_TRUE(jws) << jws.error().what;
    EXPECT_EQ(jws->payload, vector.payload);
    const auto key = Key::of(json::parse(vector.jwk));
    ASSERT_TRUE(key) << key.error().what;
    EXPECT_TRUE(key->has_signed(jws->algorithm, jws->signed_part, jws->signature));
  }
}

TEST(Vectors, WithOneBitChangedAnywhereAreNot) {
  for (const auto& vector : kVectors) {
    SCOPED_TRACE(vector.name);
    const auto jws = take_apart(vector.token);
    const auto key = Key::of(json::parse(vector.jwk));
    ASSERT_TRUE(jws && key);
    for (std::size_t i = 0; i < jws->signed_part.size(); i += 7) {
      auto bytes = jws->signed_part;
      bytes[i] = static_cast<char>(bytes[i] ^ 1);
      EXPECT_FALSE(key->has_signed(jws->algorithm, bytes, jws->signature)) << i;
    }
    for (std::size_t i = 0; i < jws->signature.size(); i += 3) {
      auto signature = jws->signature;
      signature[i] = static_cast<char>(signature[i] ^ 4);
      EXPECT_FALSE(key->has_signed(jws->algorithm, jws->signed_part, signature)) << i;
    }
  }
}

TEST(Vectors, OfTheSymmetricKindAreRefusedWhateverTheKey) {
  // RFC 7515 A.1
  const auto jws = take_apart(
      "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9."
      "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
      "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
  ASSERT_FALSE(jws);
  EXPECT_EQ(jws.error().slug, "algorithm_not_allowed");
  EXPECT_FALSE(
      Key::of(json{{"kty", "oct"}, {"k", "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}}));
}

TEST(Vectors, OfBase64urlGoRound) {
  // RFC 7515 appendix C
  const std::string bytes("\x03\xec\xff\xe0\xc1", 5);
  EXPECT_EQ(base64url_encode(bytes), "A-z_4ME");
  EXPECT_EQ(base64url_decode("A-z_4ME"), bytes);
  EXPECT_EQ(base64url_decode(""), "");
  for (const char* wrong : {"A", "A-z_4ME=", "A-z_4M E", "A+z/4ME", "A-z_4MF", "AB", "A-z_4ME\n", "\xc3\xa4"})
    EXPECT_FALSE(base64url_decode(wrong)) << wrong;
  for (int length = 0; length < 40; ++length) {
    std::string all;
    for (int i = 0; i < length; ++i) all.push_back(static_cast<char>(i * 37 + length));
    EXPECT_EQ(base64url_decode(base64url_encode(all)), all);
  }
}

}  // namespace
}  // namespace rosterd::jwt
