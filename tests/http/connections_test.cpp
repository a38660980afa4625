// The whole server under many, idle and slow connections; TLS, the unix socket, overload and the end (issue "HTTP that holds").
#include <curl/curl.h>

#include <algorithm>
#include <thread>

#include "tests/http/sockets.hpp"
#include "tests/http/world.hpp"
#include "tests/support/tls.hpp"

namespace rosterd::test {
namespace {

using std::chrono::steady_clock;

std::string get(std::string_view path, std::string_view headers = {}) {
  return fmt::format("GET {} HTTP/1.1\r\nHost: x\r\n{}\r\n", path, headers);
}

long milliseconds_since(steady_clock::time_point begun) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(steady_clock::now() - begun).count();
}

std::string check_path(World& world) { return "/v1/tenants/" + world.tenant() + "/check?subject=user:ada&permission=FLOW&action=READ"; }

/// A curl handle that keeps its connection.
class Secure {
 public:
  explicit Secure(const std::string& ca_file) : curl_(curl_easy_init()) {
    curl_easy_setopt(curl_, CURLOPT_CAINFO, ca_file.c_str());
    curl_easy_setopt(curl_, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(curl_, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl_, CURLOPT_TIMEOUT_MS, 20'000L);
    curl_easy_setopt(curl_, CURLOPT_WRITEFUNCTION, +[](char*, std::size_t size, std::size_t count, void*) { return size * count; });
  }
  ~Secure() { curl_easy_cleanup(curl_); }
  Secure(const Secure&) = delete;
  Secure& operator=(const Secure&) = delete;

  /// The status, 0 when there was no answer (the certificate does not verify, say).
  long get(const std::string& url, const std::string& unix_socket = {}) {
    curl_easy_setopt(curl_, CURLOPT_URL, url.c_str());
    if (!unix_socket.empty()) curl_easy_setopt(curl_, CURLOPT_UNIX_SOCKET_PATH, unix_socket.c_str());
    if (curl_easy_perform(curl_) != CURLE_OK) return 0;
    long status = 0;
    curl_easy_getinfo(curl_, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(curl_, CURLINFO_NUM_CONNECTS, &connects);
    return status;
  }
  long connects = 0;  ///< made for the last get()

 private:
  CURL* curl_;
};

TEST(Connections, AFreshCheckIsQuickBesideThousandsOfIdleAndSlowOnes) {
  http::HttpOptions options;
  options.threads = 8;
  options.keep_alive = Millis(60'000);
  options.read_timeout = Millis(60'000);
  World world(options);
  const auto token = world.set_up();
  const auto path = check_path(world);
  ASSERT_EQ(world.root().get(path).status, 200);

  std::vector<Wire> idle, slow;
  for (int i = 0; i < 2000; ++i) {
    idle.emplace_back(world.server->port());
    ASSERT_TRUE(idle.back().connected()) << i;
  }
  for (int i = 0; i < 200; ++i) {
    slow.emplace_back(world.server->port());
    ASSERT_TRUE(slow.back().send("GET /healthz HTTP/1.1\r\nX-Slow: "));
  }
  std::jthread trickle([&](std::stop_token stop) {
    while (!stop.stop_requested()) {
      for (const auto& wire : slow) (void)wire.send("x");
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  });
  ASSERT_TRUE(wait_until([&] { return world.server->connections() >= 2200; }));
  std::vector<long> took;
  for (int i = 0; i < 41; ++i) {
    const auto begun = steady_clock::now();
    const Wire fresh(world.server->port());
    ASSERT_TRUE(fresh.send(get(path, "Connection: close\r\nAuthorization: Bearer " + token + "\r\n")));
    EXPECT_TRUE(fresh.read_until("revision").starts_with("HTTP/1.1 200"));
    took.push_back(milliseconds_since(begun));
  }
  std::sort(took.begin(), took.end());
  EXPECT_LT(took[took.size() / 2], 50) << "the median; the worst took " << took.back();
  trickle.request_stop();
  trickle.join();
  for (const auto& wire : slow) EXPECT_TRUE(wire.send("\r\n\r\n"));
  for (const auto& wire : slow) EXPECT_TRUE(wire.read_until("ok").starts_with("HTTP/1.1 200")) << "the slow are served, too";
  for (std::size_t i = 0; i < idle.size(); i += 100) {
    ASSERT_TRUE(idle[i].send(get("/healthz")));
    EXPECT_TRUE(idle[i].read_until("ok").starts_with("HTTP/1.1 200")) << "and so are the idle";
  }
}

TEST(Connections, SlowPeersNeitherStopTheApiNorLookLikeADaemonThatHangs) {
  http::HttpOptions options;
  options.threads = 2;
  options.read_timeout = Millis(60'000);
  World world(options);
  std::vector<Wire> slow;
  for (int i = 0; i < 64; ++i) {
    slow.emplace_back(world.server->port());
    ASSERT_TRUE(
        slow.back().send(i % 2 == 0 ? "G" : "POST /v1/setup HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 90\r\n\r\n{"));
  }
  const auto begun = steady_clock::now();
  for (int i = 0; i < 15; ++i) {
    for (const auto& wire : slow) (void)wire.send(" ");
    EXPECT_EQ(world.nobody().get("/healthz").status, 200);
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  EXPECT_GT(world.server->last_tick(), begun);
}

TEST(Connections, WhoWaitsLeavesThreadsToChecks) {
  http::HttpOptions options;
  options.threads = 4;
  options.revision_wait = Millis(3'000);
  World world(options);
  const auto token = world.set_up();
  const auto path = check_path(world);
  const std::string authorized = "Authorization: Bearer " + token + "\r\n";
  ASSERT_EQ(world.root().get(path).status, 200);
  world.control->asleep = true;
  std::vector<Wire> waiting;  // for a revision that does not come
  for (int i = 0; i < 8; ++i) {
    waiting.emplace_back(world.server->port());
    ASSERT_TRUE(waiting.back().send(get(path, authorized + "Rosterd-Min-Revision: 1.999999\r\n")));
  }
  const auto begun = steady_clock::now();
  int busy = 0, waited = 0;
  for (int i = 0; i < 20; ++i) EXPECT_EQ(world.root().get(path).status, 200) << "a check that need not wait";
  EXPECT_LT(milliseconds_since(begun), 2000);
  for (const auto& wire : waiting) {
    const auto answer = wire.read_until("\"detail\"", 10'000);
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 503")) << answer;
    EXPECT_EQ(count_of("Retry-After: 1", answer), 1u);
    busy += static_cast<int>(count_of("\"code\":\"busy\"", answer));
    waited += static_cast<int>(count_of("\"code\":\"not_yet_at_revision\"", answer));
  }
  EXPECT_EQ(waited, 3) << "three quarters of the threads may wait";
  EXPECT_EQ(busy, 5) << "the others hear at once that they cannot";
}

TEST(Connections, OverloadIsAnsweredWith503AndAProbeStillHearsThatTheProcessLives) {
  http::HttpOptions options;
  options.max_connections = 8;
  World world(options);
  std::string many;
  for (int i = 0; i < 200; ++i) many += get("/openapi.json");
  std::vector<Wire> unreading;  // whoever is being answered makes no room for others
  for (int i = 0; i < 8; ++i) {
    unreading.emplace_back(world.server->port(), 4096);
    ASSERT_TRUE(unreading.back().send(many));
  }
  std::string answer;
  ASSERT_TRUE(wait_until([&] {  // until all eight are stuck in their answers
    const Wire next(world.server->port());
    (void)next.send(get("/version"));
    answer = next.read_all();
    return answer.starts_with("HTTP/1.1 503");
  }));
  EXPECT_EQ(count_of("Retry-After: 1", answer), 1u) << answer;
  EXPECT_EQ(count_of("\"code\":\"busy\"", answer), 1u) << answer;
  EXPECT_EQ(count_of("Connection: close", answer), 1u) << answer;
  const Wire probe(world.server->port());
  ASSERT_TRUE(probe.send(get("/healthz")));
  EXPECT_TRUE(probe.read_all().starts_with("HTTP/1.1 200"));
  unreading.clear();
  EXPECT_TRUE(wait_until([&] { return world.nobody().get("/version").status == 200; })) << "it ends by itself";
}

TEST(Connections, LimitsAreToldInProblemDocuments) {
  http::HttpOptions options;
  options.read_timeout = Millis(500);
  World world(options);
  const auto ask = [&](const std::string& bytes) {
    const Wire wire(world.server->port());
    (void)wire.send(bytes);
    return wire.read_all();
  };
  const auto is = [](const std::string& answer, std::string_view status, std::string_view code) {
    EXPECT_TRUE(answer.starts_with(fmt::format("HTTP/1.1 {} ", status))) << answer;
    EXPECT_NE(answer.find(fmt::format("\"code\":\"{}\"", code)), std::string::npos) << answer;
    EXPECT_EQ(count_of("Connection: close", answer), 1u) << answer;
    EXPECT_EQ(count_of("Content-Type: application/problem+json", answer), 1u) << answer;
    EXPECT_EQ(count_of("still open", answer), 0u) << answer;
  };
  is(ask("GET /" + std::string(3000, 'a') + " HTTP/1.1\r\nConnection: close\r\n\r\n"), "414", "uri_too_long");
  is(ask("GET /" + std::string(9000, 'a') + " HTTP/1.1\r\n\r\n"), "414", "uri_too_long");
  is(ask("GET /" + std::string(40'000, 'a') + " HTTP/1.1\r\n\r\n"), "414", "uri_too_long");
  is(ask(get("/version", "X: " + std::string(9000, 'x') + "\r\n")), "431", "headers_too_large");
  std::string many;
  for (int i = 0; i < 200; ++i) many += fmt::format("X-{}: x\r\n", i);
  is(ask(get("/version", many)), "431", "headers_too_large");
  is(ask("POST /v1/setup HTTP/1.1\r\nContent-Length: 9000000\r\n\r\n" + std::string(9'000'000, 'x')), "413", "payload_too_large");
  is(ask("POST /v1/setup HTTP/1.1\r\nContent-Length: 900\r\n\r\nx"), "408", "request_timeout");
  is(ask("GET /vers"), "408", "request_timeout");
  is(ask("BREW /pot HTTP/1.1\r\n\r\nGET /version HTTP/1.1\r\n\r\n"), "400", "invalid_request");
}

TEST(Connections, ARequestBehindABrokenOneIsNotLookedAt) {
  World world;
  for (const char* broken : {"GET /version HTTP/1.1\nHost: x\r\n\r\n", "BREW /pot HTTP/1.1\r\n\r\n", "GET /version HTTP/9.9\r\n\r\n",
                             "POST /v1/setup HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
                             "POST /v1/setup HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"}) {
    const Wire wire(world.server->port());
    ASSERT_TRUE(wire.send(broken + get("/version")));
    const auto answers = wire.read_all();
    EXPECT_EQ(count_of("HTTP/1.1 ", answers), 1u) << broken << answers;
    EXPECT_EQ(count_of("\"rosterd\"", answers), 0u) << broken << answers;
  }
}

TEST(Connections, AnHttp10ClientGetsAnEndOfTheConnectionUnlessItAsksToKeepIt) {
  World world;
  const Wire plain(world.server->port()), kept(world.server->port());
  ASSERT_TRUE(plain.send("GET /healthz HTTP/1.0\r\n\r\n"));
  EXPECT_EQ(count_of("still open", plain.read_all()), 0u);
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(kept.send("GET /healthz HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"));
    EXPECT_NE(kept.read_until("ok\"}").find("200"), std::string::npos);
  }
}

struct Tls : testing::Test {
  http::HttpOptions options(const Certificate& certificate) const {
    http::HttpOptions out;
    out.threads = 2;
    out.tls_certificate_file = certificate.cert_file;
    out.tls_key_file = certificate.key_file;
    return out;
  }
  static std::string url(const World& world) { return fmt::format("https://127.0.0.1:{}/healthz", world.server->port()); }
  TempDir dir;
  PrivateCa ca{dir.file("ca")}, other{dir.file("other"), "another test CA"};
};

TEST_F(Tls, AnswersUnderItsCertificate) {
  World world(options(ca.good()));
  Secure client(ca.ca_file()), stranger(other.ca_file());
  for (int i = 0; i < 20; ++i) EXPECT_EQ(client.get(url(world)), 200);
  EXPECT_EQ(client.connects, 0) << "the connection was kept";
  EXPECT_EQ(stranger.get(url(world)), 0);
  EXPECT_EQ(world.nobody().get("/healthz").status, 0) << "plain HTTP is not answered there";
  EXPECT_EQ(client.get(url(world)), 200);
}

TEST_F(Tls, PeersThatAreSilentInTheHandshakeHoldNoThread) {
  auto chosen = options(ca.good());
  chosen.read_timeout = Millis(1'500);
  World world(chosen);
  std::vector<Wire> silent;
  for (int i = 0; i < 40; ++i) {
    silent.emplace_back(world.server->port());
    // The beginning of a ClientHello, or nothing at all.
    ASSERT_TRUE(silent.back().send(std::string_view("\x16\x03\x01\x02\x00\x01", i % 2 == 0 ? 6 : 0)));
  }
  const auto begun = steady_clock::now();
  for (int i = 0; i < 5; ++i) {
    Secure client(ca.ca_file());
    EXPECT_EQ(client.get(url(world)), 200);
  }
  EXPECT_LT(milliseconds_since(begun), 1200);
  // A byte now and then does not prolong it: one deadline for the whole handshake.
  std::jthread trickle([&](std::stop_token stop) {
    while (!stop.stop_requested()) {
      (void)silent.front().send(std::string_view("\x00", 1));
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
    }
  });
  EXPECT_TRUE(silent.front().ends(4000));
  EXPECT_TRUE(silent.back().ends(1000));
}

TEST_F(Tls, ANewCertificateIsForNewConnectionsAndOldOnesStand) {
  World world(options(ca.good()));
  Secure old(ca.ca_file());
  ASSERT_EQ(old.get(url(world)), 200);
  const auto next = other.good();
  ASSERT_TRUE(world.server->set_tls(next.cert_file, next.key_file));
  EXPECT_EQ(old.get(url(world)), 200);
  EXPECT_EQ(old.connects, 0) << "its connection was not touched";
  EXPECT_EQ(Secure(other.ca_file()).get(url(world)), 200);
  EXPECT_EQ(Secure(ca.ca_file()).get(url(world)), 0) << "new connections meet the new certificate";
}

TEST_F(Tls, ABadCertificateIsRefusedAndTheOldOneGoesOn) {
  World world(options(ca.good()));
  const auto good = ca.good("a"), another = ca.good("b");
  dir.write("broken.pem", "no certificate");
  EXPECT_EQ(world.server->set_tls(dir.file("broken.pem"), good.key_file).error().code, Errc::InvalidInput);
  EXPECT_EQ(world.server->set_tls(good.cert_file, another.key_file).error().code, Errc::InvalidInput) << "a key of another certificate";
  EXPECT_EQ(Secure(ca.ca_file()).get(url(world)), 200);
}

TEST_F(Tls, TheUnixSocketBesideItIsPlain) {
  auto chosen = options(ca.good());
  chosen.unix_socket = dir.file("api.sock");
  World world(chosen);
  Secure client(ca.ca_file());
  EXPECT_EQ(client.get("http://localhost/healthz", chosen.unix_socket), 200);
  EXPECT_EQ(Secure(ca.ca_file()).get(url(world)), 200);
}

TEST(Connections, AUnixSocketThatCannotBeMadeIsAnErrorThatNamesIt) {
  http::HttpOptions options;
  options.unix_socket = "/nowhere/at/all.sock";
  try {
    World world(options);
    FAIL() << "it started";
  } catch (const std::runtime_error& error) {
    EXPECT_NE(std::string(error.what()).find("/nowhere/at/all.sock"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace rosterd::test
