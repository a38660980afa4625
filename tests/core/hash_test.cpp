#include "schema/core/hash.hpp"

#include <gtest/gtest.h>

#include <set>

namespace rosterd {
namespace {

TEST(Sha256, GivesTheVectorsOfTheStandard) {
  EXPECT_EQ(hex(sha256("")), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(hex(sha256("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(HmacSha256, GivesTheVectorsOfRfc4231) {
  EXPECT_EQ(hex(hmac_sha256(std::string(20, '\x0b'), "Hi There")), "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  EXPECT_EQ(hex(hmac_sha256("Jefe", "what do ya want for nothing?")), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(hex(hmac_sha256(std::string(131, '\xaa'), "Test Using Larger Than Block-Size Key - Hash Key First")),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST(Crc32, GivesTheCheckValueOfIeee8023) {
  EXPECT_EQ(crc32("123456789"), 0xcbf43926U);
  EXPECT_EQ(crc32(""), 0U);
}

TEST(KeyedHash, IsStableUnderOneKeyAndDifferentUnderAnother) {
  const KeyedHash one, other;
  EXPECT_EQ(one("ada"), one("ada"));
  EXPECT_NE(one("ada"), one("adb"));
  EXPECT_NE(one("ada"), other("ada"));
}

TEST(ContentHash, IsTheSameOnEveryMachineAndRun) {
  EXPECT_EQ(content_hash("ada"), digest128("ada").high);
  EXPECT_EQ(content_hash("ada"), content_hash(std::string("ada")));
  EXPECT_NE(digest128("ada"), digest128("adb"));
  // Held by value: a change would make every stored record look changed after an upgrade.
  const auto digest = digest128("rosterd");
  EXPECT_EQ(hex({reinterpret_cast<const unsigned char*>(&digest), sizeof digest}), "9a61b17bc7b676be4a537e2ea2167655");
}

TEST(RandomBelow, StaysBelowAndMeetsEveryValue) {
  std::set<std::uint32_t> met;
  for (int i = 0; i < 2000; ++i) met.insert(random_below(7));
  EXPECT_EQ(met.size(), 7U);
  EXPECT_EQ(*met.rbegin(), 6U);
}

TEST(EqualSecret, ComparesLengthAndBytes) {
  EXPECT_TRUE(equal_secret("abc", "abc"));
  EXPECT_TRUE(equal_secret("", ""));
  EXPECT_FALSE(equal_secret("abc", "abd"));
  EXPECT_FALSE(equal_secret("abc", "ab"));
}

}  // namespace
}  // namespace rosterd
