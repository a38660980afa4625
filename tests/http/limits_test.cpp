// Who is told 429 and who is not (check-api.md §10): callers by their token, strangers by their address.
#include "daemon/http/limits.hpp"

#include "daemon/http/metrics.hpp"
#include "daemon/http/token.hpp"
#include "tests/http/sockets.hpp"
#include "tests/http/world.hpp"

namespace rosterd::test {
namespace {

http::Rate a_few(std::uint32_t burst) { return {.count = 1, .per = Millis(3'600'000), .burst = burst}; }

http::HttpOptions limited(http::RateLimits rates) {
  http::HttpOptions out;
  out.rates = rates;
  return out;
}

void expect_limited(const Answer& answer) {
  EXPECT_EQ(answer.status, 429) << answer.text;
  EXPECT_EQ(answer.code(), "rate_limited");
  EXPECT_EQ(answer.header("content-type"), "application/problem+json");
  EXPECT_GT(std::stoi("0" + answer.header("retry-after")), 3'000) << "when there will be one again, not just any second";
}

TEST(Limits, ACallerWhoAsksTooOftenIsTold429AndNobodyElseIs) {
  World world(limited({.requests = a_few(5), .checks = {}, .explains = {}, .failures = {}}));
  world.set_up();
  const auto busy = world.person("busy"), calm = world.person("calm");
  for (int i = 0; i < 5; ++i) EXPECT_EQ(world.as(busy).get("/v1/me").status, 200);
  expect_limited(world.as(busy).get("/v1/me"));
  expect_limited(world.as(busy).post("/v1/tenants", {{"id", "x"}, {"name", "X"}}));
  EXPECT_EQ(world.as(calm).get("/v1/me").status, 200);
  EXPECT_NE(world.nobody().get("/metrics").text.find("rosterd_http_rate_limited_total{limit=\"requests\"} 2"), std::string::npos);
}

TEST(Limits, ChecksAreCountedApartFromEverythingElse) {
  World world(limited({.requests = a_few(200), .checks = a_few(4), .explains = {}, .failures = {}}));
  world.set_up();
  const auto tenant = world.tenant();
  const auto path = "/v1/tenants/" + tenant + "/check?subject=user:x&permission=FLOW&action=READ";
  const auto evaluation = "/t/" + tenant + "/access/v1/evaluation";
  const nlohmann::json question = {
      {"subject", {{"type", "user"}, {"id", "x"}}}, {"action", {{"name", "READ"}}}, {"resource", {{"type", "FLOW"}, {"id", "*"}}}};
  EXPECT_EQ(world.root().get(path).status, 200);
  EXPECT_EQ(world.root().post(evaluation, question).status, 200);
  EXPECT_EQ(world.root().get("/t/" + tenant + "/authz/proxy").status, 403);
  EXPECT_EQ(
      world.root()
          .post("/v1/tenants/" + tenant + "/check", {{"checks", {{{"subject", "user:x"}, {"permission", "FLOW"}, {"action", "READ"}}}}})
          .status,
      200);
  expect_limited(world.root().get(path));
  expect_limited(world.root().post(evaluation, question));
  expect_limited(world.root().get("/t/" + tenant + "/authz/proxy"));
  EXPECT_EQ(world.root().get("/v1/me").status, 200);
}

TEST(Limits, ExplainingHasAStricterOneOfItsOwn) {
  World world(limited({.requests = {}, .checks = {}, .explains = a_few(3), .failures = {}}));
  world.set_up();
  const auto path = "/v1/tenants/" + world.tenant() + "/check?subject=user:x&permission=FLOW&action=READ";
  for (int i = 0; i < 3; ++i) EXPECT_EQ(world.root().get(path + "&explain=true").status, 200);
  expect_limited(world.root().get(path + "&explain=true"));
  EXPECT_EQ(world.root().get(path).status, 200) << "plain checks go on";
}

TEST(Limits, AnAddressThatTriesTokensIsStoppedBeforeTheStoreAndKnownCallersGoOn) {
  World world(limited({.requests = {}, .checks = {}, .explains = {}, .failures = a_few(6)}));
  world.set_up();
  const auto known = world.person("known"), fresh = world.person("fresh");
  ASSERT_EQ(world.as(known).get("/v1/me").status, 200);
  for (int i = 0; i < 6; ++i) EXPECT_EQ(world.as(i % 2 == 0 ? http::make_token() : std::string()).get("/v1/me").status, 401);
  expect_limited(world.as(http::make_token()).get("/v1/me"));
  expect_limited(world.as("rst_nonsense").get("/v1/me"));
  expect_limited(world.nobody().get("/v1/me"));
  EXPECT_EQ(world.as(known).get("/v1/me").status, 200);
  outlast_caches();
  EXPECT_EQ(world.as(known).get("/v1/me").status, 200) << "also when his token has to be looked up again";
  expect_limited(world.as(fresh).get("/v1/me"));
  EXPECT_EQ(world.nobody().get("/healthz").status, 200) << "what is open is no failure";
}

TEST(Limits, WhatProxiesAskAboutComesFromOneAddressAndIsNoFailureOfIt) {
  World world(limited({.requests = {}, .checks = {}, .explains = {}, .failures = a_few(2)}));
  world.set_up();
  const auto path = "/t/" + world.tenant() + "/authz/proxy";
  for (int i = 0; i < 10; ++i) EXPECT_EQ(world.nobody().get(path).status, 401);
  EXPECT_EQ(world.as("rst_nonsense").get("/v1/me").status, 401);
}

TEST(Limits, WhatIsOpenIsLimitedByAddressExceptForThoseWhoWatch) {
  World world(limited({.requests = a_few(10), .checks = {}, .explains = {}, .failures = {}}));
  for (int i = 0; i < 10; ++i) EXPECT_EQ(world.nobody().get("/version").status, 200);
  expect_limited(world.nobody().get("/version"));
  expect_limited(world.nobody().post("/v1/setup", {{"secret", "guess"}, {"email", "a@example.org"}}));
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(world.nobody().get("/healthz").status, 200);
    EXPECT_EQ(world.nobody().get("/readyz").status, 200);
  }
}

TEST(Limits, TheyCanBeChangedWhileTheServerRuns) {
  World world(limited({.requests = a_few(1), .checks = {}, .explains = {}, .failures = {}}));
  EXPECT_EQ(world.nobody().get("/version").status, 200);
  EXPECT_EQ(world.nobody().get("/version").status, 429);
  world.server->set_rates({});
  EXPECT_EQ(world.nobody().get("/version").status, 200);
}

TEST(Limits, AConnectionGoesOnAfterA429) {
  World world(limited({.requests = a_few(1), .checks = {}, .explains = {}, .failures = {}}));
  const Wire wire(world.server->port());
  const std::string request = "GET /version HTTP/1.1\r\nHost: x\r\n\r\n";
  ASSERT_TRUE(wire.send(request + request + "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"));
  const auto all = wire.read_until(R"({"status":"ok"})");
  EXPECT_EQ(count_of("HTTP/1.1 200", all), 2u) << all;
  EXPECT_EQ(count_of("HTTP/1.1 429", all), 1u) << all;
}

TEST(Limits, OneIPv6NetworkIsOneStranger) {
  http::Metrics metrics(1);
  const http::Limits limits(metrics);
  EXPECT_EQ(limits.key_of("2001:db8:1:2::1"), limits.key_of("2001:db8:1:2:ffff::9"));
  EXPECT_NE(limits.key_of("2001:db8:1:2::1"), limits.key_of("2001:db8:1:3::1"));
  EXPECT_NE(limits.key_of("10.0.0.1"), limits.key_of("10.0.0.2"));
}

}  // namespace
}  // namespace rosterd::test
