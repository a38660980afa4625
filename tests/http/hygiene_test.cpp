// What arrives at a port that strangers reach: malformed, oversized, lying, slow (check-api.md §10), and the life of the server.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "daemon/http/app.hpp"
#include "tests/http/world.hpp"

namespace rosterd::test {
namespace {

using nlohmann::json;

std::string authorized(const World& world) { return "Authorization: Bearer " + world.root_token + "\r\n"; }

int status_of(const std::string& response) { return response.starts_with("HTTP/1.1 ") ? std::stoi(response.substr(9, 3)) : 0; }

TEST(Hygiene, UnknownPathsAndVerbsAreToldApart) {
  auto& world = World::shared();
  const auto none = world.root().get("/v1/nothing");
  EXPECT_EQ(none.status, 404);
  EXPECT_EQ(none.code(), "not_found");
  const auto verb = world.root().call("PUT", "/v1/tenants", "{}");
  EXPECT_EQ(verb.status, 405);
  EXPECT_EQ(verb.header("allow"), "GET, POST");
  EXPECT_EQ(world.root().call("TRACE", "/v1/me", {}).status, 405);
  EXPECT_EQ(world.root().call("OPTIONS", "/v1/me", {}).status, 405);
  const auto head = world.root().call("HEAD", "/v1/me", {});
  EXPECT_EQ(head.status, 200);
  EXPECT_TRUE(head.text.empty());
  for (const char* later : {"/t/acme/access/v2/evaluation", "/"}) EXPECT_EQ(world.root().get(later).status, 404) << later;
}

TEST(Hygiene, PathTricksLeadNowhere) {
  auto& world = World::shared();
  const auto tenant = world.tenant(), other = world.tenant();
  for (const auto& path :
       {"/v1/tenants/" + tenant + "/../" + other, "/v1/tenants/" + tenant + "%2F..%2F" + other, std::string("/v1//tenants"),
        std::string("/v1/tenants/"), "/v1/tenants/" + tenant + "/%2e%2e/" + other, std::string("/v1/tenants/%00"),
        std::string("/v1/tenants/%ff"), std::string("/v1/tenants/%"), "/v1/tenants/" + tenant + "%20", "/v1/tenants/" + tenant + ";x=1"}) {
    const auto answer = world.root().get(path);
    EXPECT_TRUE(answer.status == 400 || answer.status == 404) << path << " " << answer.status;
    EXPECT_TRUE(answer.body.is_object()) << path;
  }
  EXPECT_EQ(status_of(raw(world.server->port(),
                          "GET http://127.0.0.1/v1/me HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + authorized(world) + "\r\n")),
            400);
}

TEST(Hygiene, BodiesAreStrictOnEveryPath) {
  auto& world = World::shared();
  const auto base = "/v1/tenants/" + world.tenant();
  const std::string deep(30'000, '[');
  for (const auto& [method, path] : {std::pair{"POST", std::string("/v1/tenants")},
                                     {"POST", std::string("/v1/me/tokens")},
                                     {"PATCH", base},
                                     {"POST", base + "/sources"},
                                     {"POST", base + "/check"},
                                     {"POST", std::string("/v1/setup")}}) {
    for (const std::string& bad :
         {std::string("{"), std::string("[]"), std::string("\"x\""), std::string("{\"name\":\"a\",\"name\":\"b\"}"),
          std::string("{\"name\":\"\xc3\x28\"}"), std::string("{\"name\":\"\\u0000\"}"), std::string("{} {}"), deep}) {
      const auto answer = world.root().call(method, path, bad);
      EXPECT_EQ(answer.status, 400) << method << " " << path << " " << bad.substr(0, 40) << answer.text;
      EXPECT_EQ(answer.code(), "invalid_request");
    }
    EXPECT_EQ(world.root().call(method, path, "{}", {{"Content-Type", "text/plain"}}).status, 415) << path;
    EXPECT_EQ(world.root().call(method, path, "{}", {{"Content-Type", "application/x-www-form-urlencoded"}}).status, 415) << path;
    EXPECT_EQ(world.root().call(method, path, "--x\r\n\r\n--x--", {{"Content-Type", "multipart/form-data; boundary=x"}}).status, 415)
        << path;
    EXPECT_EQ(world.root().call(method, path, "{}", {{"Content-Type", "application/json"}, {"Content-Encoding", "gzip"}}).status, 415)
        << path;
    EXPECT_EQ(world.root().call(method, path, "{\"a\":\"" + std::string(70 * 1024, 'x') + "\"}").status,
              path.ends_with("/check") ? 400 : 413)
        << path;
    EXPECT_EQ(world.root().call(method, path, "{\"a\":\"" + std::string(2 * 1024 * 1024, 'x') + "\"}").status, 413) << path;
  }
  EXPECT_EQ(world.root().post("/v1/tenants", {{"id", "t-x"}, {"name", "X"}, {"colour", "red"}}).text.find("colour") == std::string::npos,
            false)
      << "an unknown field is named";
}

TEST(Hygiene, LiesAboutLengthHurtOnlyTheLiar) {
  auto& world = World::shared();
  const auto port = world.server->port();
  const auto post = [&](const std::string& headers, const std::string& body, bool half_close = true) {
    return raw(port,
               "POST /v1/tenants HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" + authorized(world) + headers + "\r\n" + body,
               2000, half_close);
  };
  const auto longer = post("Content-Length: 500\r\n", "{}");
  EXPECT_EQ(status_of(longer), 400) << longer;
  EXPECT_NE(longer.find("Connection: close"), std::string::npos);
  const auto shorter = post("Content-Length: 2\r\n", "{}GET /v1/me HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(status_of(shorter), 400) << shorter;  // {} lacks id and name; what follows is a request of its own, without a token
  EXPECT_NE(shorter.find("401"), std::string::npos);
  for (const char* bad : {"-1", "abc", "1e3", "0x10", "99999999999999999999999", "1,2", ""})
    EXPECT_EQ(status_of(post(fmt::format("Content-Length: {}\r\n", bad), "{}")), 400) << bad;
  EXPECT_EQ(status_of(post("Content-Length: 2\r\nContent-Length: 3\r\n", "{} ")), 400);
  EXPECT_EQ(status_of(post("Transfer-Encoding: chunked\r\n", "2\r\n{}\r\n0\r\n\r\n")), 411);
  EXPECT_EQ(status_of(post("Transfer-Encoding: chunked\r\nContent-Length: 2\r\n", "{}")), 411);
  const auto huge = post("Content-Length: 9000000000\r\n", "{}");
  EXPECT_EQ(status_of(huge), 413) << huge;
}

TEST(Hygiene, ABodyOnAGetIsReadAndNotTakenForARequest) {
  auto& world = World::shared();
  const std::string inner = "DELETE /v1/tenants/x HTTP/1.1\r\n\r\n";
  const auto answer =
      raw(world.server->port(),
          "GET /version HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(inner.size()) +
              "\r\n\r\n" + inner,
          1000);
  EXPECT_EQ(answer.find("HTTP/1.1", 8), std::string::npos) << "one answer: " << answer;
}

TEST(Hygiene, RequestsThatAreNoneAreRefused) {
  auto& world = World::shared();
  const auto port = world.server->port();
  for (const std::string& bad :
       {std::string("\r\n\r\n"), std::string("GET\r\n\r\n"), std::string("GET /v1/me\r\n\r\n"), std::string("BREW /pot HTTP/1.1\r\n\r\n"),
        std::string("GET /v1/me HTTP/9.9\r\n\r\n"), std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11) + "\r\n\r\n"}) {
    const auto answer = raw(port, bad, 1500, true);
    EXPECT_TRUE(answer.empty() || status_of(answer) == 400) << answer;
  }
  EXPECT_EQ(status_of(raw(port, "GET /" + std::string(3000, 'a') + " HTTP/1.1\r\nHost: x\r\n\r\n")), 414);
  EXPECT_EQ(status_of(raw(port, "GET /" + std::string(9000, 'a') + " HTTP/1.1\r\nHost: x\r\n\r\n")), 414);
  std::string many = "GET /version HTTP/1.1\r\nHost: x\r\n";
  for (int i = 0; i < 5000; ++i) many += fmt::format("X-{}: {}\r\n", i, std::string(50, 'x'));
  const auto flooded = raw(port, many + "\r\n");
  EXPECT_NE(status_of(flooded), 200) << "headers beyond 32 KiB are not read";
  EXPECT_EQ(world.nobody().get("/healthz").status, 200) << "and the server lives";
}

TEST(Hygiene, ARangeIsIgnored) {
  auto& world = World::shared();
  for (const char* range : {"bytes=0-1", "bytes=0-0,1-1,2-2", "bytes=-1"}) {
    const auto answer = world.nobody().get("/version", {{"Range", range}});
    EXPECT_EQ(answer.status, 200) << range;
    EXPECT_EQ(answer.body["name"], "rosterd") << range;
  }
}

TEST(Hygiene, ARequestIdComesBackUnlessItCouldForgeALogLine) {
  auto& world = World::shared();
  EXPECT_EQ(world.nobody().get("/version", {{"X-Request-ID", "abc-123"}}).header("x-request-id"), "abc-123");
  for (const std::string& odd : {std::string("a b"), std::string("<script>"), std::string(200, 'a')}) {
    const auto id = world.nobody().get("/version", {{"X-Request-ID", odd}}).header("x-request-id");
    EXPECT_NE(id, odd);
    EXPECT_EQ(id.size(), 16u);
  }
}

TEST(Hygiene, ConnectionsAreKeptAndPipelined) {
  auto& world = World::shared();
  const std::string one = "GET /version HTTP/1.1\r\nHost: x\r\n\r\n";
  const auto answers = raw(world.server->port(), one + one + one, 500);
  std::size_t count = 0;
  for (std::size_t at = 0; (at = answers.find("HTTP/1.1 200", at)) != std::string::npos; ++at) ++count;
  EXPECT_EQ(count, 3u);
}

TEST(Hygiene, IdleConnectionsStarveNobody) {
  http::HttpOptions options;
  options.threads = 4;
  options.keep_alive = Millis(30'000);
  World world(options);
  std::vector<int> idle;
  for (int i = 0; i < 40; ++i) {
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(world.server->port());
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ASSERT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
    idle.push_back(fd);
  }
  const auto started = std::chrono::steady_clock::now();
  EXPECT_EQ(world.nobody().get("/healthz").status, 200);
  EXPECT_LT(std::chrono::steady_clock::now() - started, std::chrono::seconds(8)) << "forty mute connections before four threads";
  for (const int fd : idle) ::close(fd);
}

TEST(Hygiene, ATrickledRequestHasADeadline) {
  http::HttpOptions options;
  options.threads = 2;
  options.read_timeout = Millis(300);
  World world(options);
  const auto started = std::chrono::steady_clock::now();
  (void)raw(world.server->port(), "GET /version HTTP/1.1\r\nHost", 5000);
  EXPECT_LT(std::chrono::steady_clock::now() - started, std::chrono::seconds(3));
}

TEST(Life, ReadinessIsSaidAndTaken) {
  World world;
  EXPECT_EQ(world.nobody().get("/readyz").status, 200);
  world.server->set_ready(false);
  EXPECT_EQ(world.nobody().get("/readyz").code(), "not_ready");
  EXPECT_EQ(world.nobody().get("/healthz").status, 200);
}

TEST(Life, StopEndsTheAnswersAndMayBeSaidTwice) {
  World world;
  const auto port = world.server->port();
  world.server->stop();
  world.server->stop();
  EXPECT_EQ(Client(port, "").get("/healthz").status, 0);
}

TEST(Life, APortThatIsTakenIsAnErrorThatSaysSo) {
  auto& world = World::shared();
  http::HttpOptions options;
  options.port = world.server->port();
  http::SetupGate gate;
  const auto second = http::Server::start(options, {.store = *world.store,
                                                    .snapshots = world.snapshots,
                                                    .sync = *world.control,
                                                    .catalogue = world.catalogue,
                                                    .secrets = *world.secrets,
                                                    .connector_options = {},
                                                    .clock = world.clock,
                                                    .setup = gate,
                                                    .token_pepper = {}});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::Unavailable);
  EXPECT_NE(second.error().what.find(std::to_string(options.port)), std::string::npos) << second.error().what;
}

TEST(Life, ABadCertificateIsAnErrorThatNamesTheFile) {
  auto& world = World::shared();
  http::HttpOptions options;
  options.tls_certificate_file = "/nowhere/cert.pem";
  options.tls_key_file = "/nowhere/key.pem";
  http::SetupGate gate;
  const auto server = http::Server::start(options, {.store = *world.store,
                                                    .snapshots = world.snapshots,
                                                    .sync = *world.control,
                                                    .catalogue = world.catalogue,
                                                    .secrets = *world.secrets,
                                                    .connector_options = {},
                                                    .clock = world.clock,
                                                    .setup = gate,
                                                    .token_pepper = {}});
  ASSERT_FALSE(server);
  EXPECT_NE(server.error().what.find("/nowhere/cert.pem"), std::string::npos);
}

TEST(Metrics, CountRequestsAndChecksAndKeepTenantsToSuperAdmins) {
  auto& world = World::shared();
  const auto tenant = world.tenant();
  ASSERT_EQ(world.root().get("/v1/tenants/" + tenant + "/check?subject=user:x&permission=FLOW&action=READ").status, 200);
  const auto open = world.nobody().get("/metrics");
  ASSERT_EQ(open.status, 200);
  EXPECT_NE(open.text.find("rosterd_build_info"), std::string::npos);
  EXPECT_NE(open.text.find("rosterd_http_requests_total{method=\"GET\",route=\"/v1/tenants/{t}/check\",status=\"2xx\"}"), std::string::npos)
      << open.text.substr(0, 2000);
  EXPECT_NE(open.text.find("rosterd_checks_total{allowed=\"false\",reason=\"denied_unknown_subject\"}"), std::string::npos);
  EXPECT_NE(open.text.find("# TYPE rosterd_http_request_seconds histogram"), std::string::npos);
  EXPECT_NE(open.text.find("rosterd_http_request_seconds_bucket{le=\"+Inf\"} "), std::string::npos);
  EXPECT_EQ(open.text.find("rosterd_http_request_seconds_count 0\n"), std::string::npos);
  EXPECT_EQ(open.text.find(tenant), std::string::npos) << "who the customers are is not for everybody";
  const auto full = world.root().get("/metrics");
  EXPECT_NE(full.text.find("rosterd_snapshot_revision{tenant=\"" + tenant + "\"}"), std::string::npos);
  EXPECT_NE(full.text.find("rosterd_snapshot_bytes{tenant=\"" + tenant + "\"}"), std::string::npos);
  EXPECT_EQ(world.as("rst_wrong").get("/metrics").status, 401);
}

}  // namespace
}  // namespace rosterd::test
