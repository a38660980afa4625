// Directories that fail. Whatever happens, nobody is suspended, and the outcome says why.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/e2e/world.hpp"

namespace rosterd::e2e {
namespace {

using test::wait_until;
using testing::HasSubstr;

std::string words(const json& run) { return run.value("reason", json("")).dump() + " " + run.value("detail", json("")).dump(); }

TEST(DirectoryFaults, ASlapdKilledInMidReadSuspendsNobody) {
  // In pages of 100, so that nothing of what slapd has not said yet waits in a buffer.
  World world({.people = 4000, .database_conf = "limits * size.soft=100 size.hard=100 size.pr=100 size.prtotal=unlimited"});
  world.first_sync();
  std::string run;
  json caught;
  // Frozen as soon as it has said something; a read that was over by then is none of ours, so another one is begun.
  const auto users_read = [&] {
    caught = world.run(run);
    return caught["progress"].is_object() ? caught["progress"].value("users", 0) : 0;
  };
  for (int attempt = 0; attempt < 50; ++attempt) {
    run = world.start_sync();
    (void)wait_until([&] { return users_read() > 0 || caught["outcome"] == "unchanged"; }, Milliseconds(5'000));
    world.slapd->freeze();
    if (users_read() < 4000 && caught["outcome"] == "running") break;
    world.slapd->thaw();
    (void)world.wait_for_run(run);
  }
  ASSERT_EQ(caught["outcome"], "running") << caught.dump();
  const auto met = users_read();
  ASSERT_GT(met, 0) << caught.dump();
  ASSERT_LT(met, 4000) << "it was through with the people already: " << caught.dump();
  world.slapd->kill_hard();
  const auto ended = world.wait_for_run(run);
  EXPECT_EQ(ended["outcome"], "partial") << ended.dump();
  EXPECT_EQ(ended["complete"], false);
  EXPECT_EQ(world.users("suspended"), 0u);
  EXPECT_EQ(world.sync()["outcome"], "failed") << "nobody listens now";
  EXPECT_EQ(world.users("active"), 4000u);
  world.slapd->start();
  EXPECT_EQ(world.sync()["outcome"], "unchanged");
}

TEST(DirectoryFaults, AMuteServerEndsTheRunAtItsDeadlineAndSuspendsNobody) {
  World world({.people = 20});
  world.first_sync();
  world.slapd->freeze();
  const auto run = world.sync();
  world.slapd->thaw();
  EXPECT_EQ(run["outcome"], "failed") << run.dump();
  EXPECT_FALSE(run["detail"].is_null());
  EXPECT_EQ(world.users("suspended"), 0u);
  EXPECT_EQ(world.sync()["outcome"], "unchanged");
}

TEST(DirectoryFaults, AServerThatStopsAtItsSizeLimitDisablesNobody) {
  World world({.people = 1000});
  world.first_sync();
  world.slapd->reconfigure("", "sizelimit 500");
  const auto run = world.sync();
  EXPECT_EQ(run["outcome"], "partial") << run.dump();
  EXPECT_EQ(run["complete"], false);
  EXPECT_THAT(words(run), HasSubstr("limit"));
  EXPECT_EQ(world.users("suspended"), 0u);
  const auto status = world.api().get("/v1/tenants/acme/status").body;
  EXPECT_FALSE(status.dump().empty());
  world.slapd->reconfigure("", "");
  EXPECT_EQ(world.sync()["outcome"], "unchanged");
}

TEST(DirectoryFaults, AWrongPasswordThenTheRightOneChangesNothing) {
  World world({.people = 20, .bind_dn = std::string("cn=admin,") + World::kSuffix, .bind_password = "secret"});
  world.first_sync();
  const auto before = world.all_users();
  world.change_source({{"settings", {{"bind_password", {{"value", "wrong-and-private"}}}}}});
  const auto run = world.sync();
  EXPECT_EQ(run["outcome"], "failed");
  EXPECT_THAT(words(run), HasSubstr("password"));
  EXPECT_THAT(words(run), testing::Not(HasSubstr("wrong-and-private")));
  world.change_source({{"settings", {{"bind_password", {{"value", "secret"}}}}}});
  EXPECT_EQ(world.sync()["outcome"], "unchanged");
  EXPECT_EQ(world.all_users(), before);
  EXPECT_THAT(world.daemon->log(), testing::Not(HasSubstr("wrong-and-private")));
}

TEST(DirectoryFaults, AWrongOrExpiredServerCertificateIsRefusedAndSuspendsNobody) {
  const test::TempDir dir;
  const test::PrivateCa ca(dir.file("ca"));
  World world({.people = 20, .tls = ca.good(), .ca_file = ca.ca_file()});
  world.first_sync();
  for (const auto& bad : {ca.wrong_name(), ca.expired()}) {
    world.slapd->use_certificate(bad);
    const auto run = world.sync();
    EXPECT_EQ(run["outcome"], "failed") << run.dump();
    EXPECT_THAT(words(run), HasSubstr("certificate"));
    EXPECT_EQ(world.users("suspended"), 0u);
  }
  world.slapd->use_certificate(ca.good());
  EXPECT_EQ(world.sync()["outcome"], "unchanged");
}

TEST(DirectoryFaults, LosingReadOnOneOuHoldsInsteadOfSuspending) {
  auto ldif = base_ldif(World::kSuffix) + "dn: ou=lab," + "ou=people," + World::kSuffix + "\nobjectClass: organizationalUnit\nou: lab\n\n";
  for (int i = 0; i < 200; ++i) ldif += person_ldif(fmt::format("u{:04}", i), World::kSuffix);
  for (int i = 0; i < 6; ++i) ldif += person_ldif(fmt::format("lab{}", i), std::string("ou=people,") + World::kSuffix, "lab");
  World world({.ldif = ldif});
  world.first_sync();
  ASSERT_EQ(world.users("active"), 206u);
  world.slapd->reconfigure(
      "", std::string("access to dn.subtree=\"ou=lab,ou=people,") + World::kSuffix + "\" by * none\naccess to * by * read");
  const auto run = world.sync();
  EXPECT_EQ(run["outcome"], "held") << run.dump();
  EXPECT_EQ(run["reason"], "container_vanished");
  EXPECT_EQ(world.users("suspended"), 0u);
  world.slapd->reconfigure("", "");
  EXPECT_EQ(world.sync()["outcome"], "unchanged");
}

}  // namespace
}  // namespace rosterd::e2e
