#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "connectors/connector.hpp"

namespace rosterd::connectors {
namespace {

TEST(Registry, KnowsLdapAndItsSecrets) {
  const auto type = find_connector_type("ldap");
  ASSERT_TRUE(type) << type.error().what;
  ASSERT_EQ((*type)->secrets.size(), 1u);
  EXPECT_EQ((*type)->secrets[0], "/bind_password");
}

TEST(Registry, AnUnknownTypeNamesTheKnownOnes) {
  const auto type = find_connector_type("nis");
  ASSERT_FALSE(type);
  EXPECT_EQ(type.error().code, Errc::NotFound);
  EXPECT_THAT(type.error().what, testing::HasSubstr("ldap"));
}

TEST(Registry, ABadNetworkOfTheDaemonIsRefused) {
  const auto type = find_connector_type("ldap");
  ASSERT_TRUE(type);
  ConnectorOptions options;
  options.allowed_networks = {"ten dot anything"};
  const auto made =
      (*type)->make({.json = R"({"url":"ldaps://x.example","preset":"openldap","users":{"base":"dc=x"}})", .learnt = {}}, options);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Errc::InvalidInput);
}

}  // namespace
}  // namespace rosterd::connectors
