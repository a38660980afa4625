#include "connectors/net.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace rosterd::connectors {
namespace {

using std::chrono::seconds;
using std::chrono::steady_clock;

Address address(const std::string& text) {
  const auto found = resolve(text, 389, steady_clock::now() + seconds(5), {});
  EXPECT_TRUE(found) << text;
  return found ? found->front() : Address{};
}

TEST(AddressPolicy, SpecialRangesAreKnownByName) {
  EXPECT_EQ(special_range(address("127.0.0.1")), "a loopback address");
  EXPECT_EQ(special_range(address("::1")), "a loopback address");
  EXPECT_EQ(special_range(address("169.254.169.254")), "a link-local address");
  EXPECT_EQ(special_range(address("fe80::1")), "a link-local address");
  for (const auto* text : {"10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "fd00::1"})
    EXPECT_EQ(special_range(address(text)), "a private address") << text;
  for (const auto* text : {"0.0.0.0", "::", "224.0.0.1", "100.64.0.1", "255.255.255.255"})
    EXPECT_NE(special_range(address(text)), "") << text;
  for (const auto* text : {"192.0.2.7", "172.32.0.1", "8.8.8.8", "2001:db8::1"}) EXPECT_EQ(special_range(address(text)), "") << text;
}

TEST(AddressPolicy, AnIpv4AddressInsideIpv6IsJudgedAsIpv4) {
  EXPECT_EQ(special_range(address("::ffff:127.0.0.1")), "a loopback address");
  EXPECT_EQ(special_range(address("64:ff9b::7f00:1")), "a loopback address");
}

TEST(AddressPolicy, ListedNetworksAreAllowed) {
  const std::vector<Network> allowed = {*parse_network("10.0.0.0/8"), *parse_network("fd00:1::/32"), *parse_network("192.168.7.7")};
  EXPECT_TRUE(is_listed(address("10.255.0.1"), allowed));
  EXPECT_TRUE(is_listed(address("::ffff:10.0.0.1"), allowed));
  EXPECT_TRUE(is_listed(address("fd00:1:2::3"), allowed));
  EXPECT_TRUE(is_listed(address("192.168.7.7"), allowed));
  EXPECT_FALSE(is_listed(address("192.168.7.8"), allowed));
  EXPECT_FALSE(is_listed(address("11.0.0.1"), allowed));
  EXPECT_FALSE(is_listed(address("fd00:2::1"), allowed));
}

TEST(AddressPolicy, WhatIsNoNetworkIsRefused) {
  for (const auto* text : {"", "10.0.0.0/33", "10.0.0/8", "fd00::/129", "example.org", "10.0.0.0/-1", "10.0.0.0/8x", "10.0.0.0/"})
    EXPECT_FALSE(parse_network(text)) << text;
}

TEST(AddressPolicy, LoopbackNamesAreDecidedWithoutResolving) {
  EXPECT_TRUE(is_loopback_name("localhost"));
  EXPECT_TRUE(is_loopback_name("127.9.9.9"));
  EXPECT_TRUE(is_loopback_name("::1"));
  EXPECT_FALSE(is_loopback_name("localhost.example"));
  EXPECT_FALSE(is_loopback_name("128.0.0.1"));
}

TEST(Resolve, AnUnknownHostIsAnErrorInWords) {
  const auto found = resolve("no-such-host.invalid", 389, steady_clock::now() + seconds(10), {});
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, Errc::Unavailable);
  EXPECT_THAT(found.error().what, testing::HasSubstr("no-such-host.invalid"));
}

}  // namespace
}  // namespace rosterd::connectors
