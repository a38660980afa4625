// A key with a table says what OpenSSL says without one.
#include "connectors/oidc/jwt/p256.hpp"

#include <openssl/evp.h>

#include <array>
#include <thread>

#include "connectors/oidc/jwt/base64url.hpp"
#include "tests/jwt/issuer.hpp"

namespace rosterd::jwt {
namespace {

std::string point_of(const test::SigningKey& key) {
  const auto jwk = key.jwk();
  return '\x04' + *base64url_decode(jwk["x"].get<std::string>()) + *base64url_decode(jwk["y"].get<std::string>());
}
std::string hash_of(std::string_view bytes) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> out{};
  unsigned size = 0;
  EXPECT_EQ(EVP_Digest(bytes.data(), bytes.size(), out.data(), &size, EVP_sha256(), nullptr), 1);
  return {reinterpret_cast<const char*>(out.data()), size};
}
/// Asked so often that it has its table.
std::unique_ptr<FrequentP256> in_use(const test::SigningKey& key) {
  auto out = std::make_unique<FrequentP256>(point_of(key));
  for (std::uint32_t i = 1; i < FrequentP256::kFrequent; ++i)
    EXPECT_FALSE(out->has_signed(hash_of("x"), key.signature("ES256", "x")).has_value());
  EXPECT_EQ(out->has_signed(hash_of("x"), key.signature("ES256", "x")), true);
  return out;
}

const std::string kOrder(
    "\xff\xff\xff\xff\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\xbc\xe6\xfa\xad\xa7\x17\x9e\x84\xf3\xb9\xca\xc2\xfc\x63\x25\x51", 32);

TEST(FrequentKeys, AcceptWhatTheyHaveSignedAndNothingElse) {
  for (int keys = 0; keys < 3; ++keys) {
    const auto key = test::SigningKey::curve("often"), other = test::SigningKey::curve("other");
    const auto often = in_use(key);
    const auto set = key_set_of({key.jwk()});
    for (int i = 0; i < 60; ++i) {
      const auto text = "text " + std::to_string(i);
      const auto good = key.signature("ES256", text);
      EXPECT_EQ(often->has_signed(hash_of(text), good), true);
      EXPECT_EQ(often->has_signed(hash_of(text + "!"), good), false);
      EXPECT_EQ(often->has_signed(hash_of(text), other.signature("ES256", text)), false);
      auto wrong = good;
      wrong[static_cast<std::size_t>(i)] = static_cast<char>(wrong[static_cast<std::size_t>(i)] ^ (1 << (i % 8)));
      EXPECT_EQ(often->has_signed(hash_of(text), wrong), false);
      // Through the door, before and after the table: the 64th of these makes it.
      EXPECT_TRUE(set.keys[0].has_signed(Algorithm::ES256, text, good));
      EXPECT_FALSE(set.keys[0].has_signed(Algorithm::ES256, text, wrong));
    }
  }
}

TEST(FrequentKeys, RefuseNumbersThatNoSignatureHas) {
  const auto key = p256();
  const auto often = in_use(key);
  const auto hash = hash_of("x"), good = key.signature("ES256", "x");
  const auto r = good.substr(0, 32), s = good.substr(32), zero = std::string(32, '\0'), most = std::string(32, '\xff');
  std::string one(32, '\0');
  one.back() = '\x01';
  for (const auto& bad : {zero + s, r + zero, zero + zero, kOrder + s, r + kOrder, most + s, r + most, kOrder + kOrder, one + one, s + r})
    EXPECT_EQ(often->has_signed(hash, bad), false);
  EXPECT_EQ(often->has_signed(hash, good + "x"), false);
  EXPECT_EQ(often->has_signed(hash, good.substr(1)), false);
  EXPECT_EQ(often->has_signed(hash, ""), false);
  EXPECT_EQ(often->has_signed(hash.substr(1), good), false);
  // A hash of zero, and one beyond the order, are numbers like others.
  EXPECT_EQ(often->has_signed(zero, good), false);
  EXPECT_EQ(often->has_signed(most, good), false);
  EXPECT_EQ(often->has_signed(hash, good), true);
}

TEST(FrequentKeys, AreAskedByManyThreadsAtOnce) {
  const auto key = test::SigningKey::curve("often");
  const auto set = key_set_of({key.jwk()});
  const auto good = key.signature("ES256", "x"), bad = key.signature("ES256", "y");
  std::atomic<int> wrong{0};
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t)
      threads.emplace_back([&] {
        for (int i = 0; i < 100; ++i) {
          if (!set.keys[0].has_signed(Algorithm::ES256, "x", good)) ++wrong;
          if (set.keys[0].has_signed(Algorithm::ES256, "x", bad)) ++wrong;
        }
      });
  }
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace rosterd::jwt
