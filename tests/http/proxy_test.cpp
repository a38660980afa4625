// The endpoint reverse proxies ask (check-api.md §9): from outside, behind a real nginx, and its route table alone.
#include <thread>

#include "daemon/http/app.hpp"
#include "daemon/http/proxy_routes.hpp"
#include "daemon/http/trusted_proxy.hpp"
#include "tests/http/sockets.hpp"
#include "tests/http/world.hpp"
#include "tests/support/nginx.hpp"
#include "tests/support/tls.hpp"

namespace rosterd::test {
namespace {

using nlohmann::json;

std::vector<http::ProxyRoute> table(const std::vector<std::string>& lines) {
  std::vector<http::ProxyRoute> out;
  for (const auto& line : lines) {
    auto route = http::parse_proxy_route(line);
    if (!route) throw std::runtime_error(route.error().what);
    out.push_back(std::move(*route));
  }
  return out;
}

http::ProxyRouteSets tables(const std::vector<std::string>& lines) {
  auto sets = http::parse_proxy_routes(lines);
  if (!sets) throw std::runtime_error(sets.error().what);
  return std::move(*sets);
}

std::string asked(const std::vector<http::ProxyRoute>& routes, std::string_view method, std::string_view path) {
  const auto question = http::proxy_question(routes, method, path);
  if (!question) return "nothing";
  return question->permission + " " + question->action + (question->ns ? " " + *question->ns : "");
}

TEST(ProxyRoutes, TheFirstThatFitsDecides) {
  const auto routes = table({"GET /flows/{ns}/{rest...} FLOW READ {ns}", "POST /flows/{ns} FLOW CREATE {ns}",
                             "GET /teams/{t}/x FLOW READ company.{t}", "* /admin/{rest...} USER READ", "GET / FLOW READ a.b"});
  EXPECT_EQ(asked(routes, "GET", "/flows/a.b/c/d"), "FLOW READ a.b");
  EXPECT_EQ(asked(routes, "GET", "/flows/a.b"), "FLOW READ a.b") << "the rest may be nothing";
  EXPECT_EQ(asked(routes, "GET", "/flows/a.b/"), "FLOW READ a.b");
  EXPECT_EQ(asked(routes, "POST", "/flows/a.b"), "FLOW CREATE a.b");
  EXPECT_EQ(asked(routes, "POST", "/flows/a.b/c"), "nothing");
  EXPECT_EQ(asked(routes, "GET", "/teams/red/x"), "FLOW READ company.red");
  EXPECT_EQ(asked(routes, "PATCH", "/admin"), "USER READ");
  EXPECT_EQ(asked(routes, "GET", "/"), "FLOW READ a.b");
  EXPECT_EQ(asked(routes, "GET", ""), "FLOW READ a.b");
  EXPECT_EQ(asked(routes, "GET", "/flow%73/a.b"), "FLOW READ a.b") << "decoded once";
  EXPECT_EQ(asked(routes, "GET", "/flows/%2561"), "nothing") << "and only once";
  EXPECT_EQ(asked(routes, "GET", "/unknown"), "nothing");
}

TEST(ProxyRoutes, PathTricksFitNothingX6) {
  const auto routes = table({"* /flows/{ns}/{rest...} FLOW READ {ns}", "* /{rest...} FLOW READ"});
  for (const char* trick :
       {"/flows/a%2Fb", "/flows/a%2fb/c", "/flows/a/..", "/flows/a/%2e%2e/b", "/flows/./a", "/flows//a", "//flows/a", "/flows/a//",
        "/flows/a%5Cb", "/flows/a%00", "/flows/%ff", "/flows/%", "/flows/Not A Namespace", "/flows/A", "/flows/a..b", "flows/a"})
    EXPECT_EQ(asked(routes, "GET", trick), "nothing") << trick;
  EXPECT_EQ(asked(routes, "GET", "/flows/a"), "FLOW READ a");
}

TEST(ProxyRoutes, LinesThatAreNoRoutesAreRefused) {
  for (const char* bad :
       {"", "GET", "GET /x FLOW", "get /x FLOW READ", "GET x FLOW READ", "GET /a//b FLOW READ", "GET /../b FLOW READ",
        "GET /a{ns} FLOW READ", "GET /{rest...}/x FLOW READ", "GET /x FLOW READ {ns}", "GET /{ns} FLOW READ {ns", "GET /{ns} FLOW READ ns}",
        "GET /{ns} FLOW READ A.{ns}", "GET /{rest...} FLOW READ {rest...}", "GET /x%20y FLOW READ", "GET /x FLOW READ a b"})
    EXPECT_FALSE(http::parse_proxy_route(bad)) << bad;
}

TEST(ProxyRoutes, ATenantsOwnSetTakesThePlaceOfThatForAll) {
  const auto sets =
      tables({"GET /a FLOW READ", "[acme] ask=forwarded fail_as=403 remove=credentials", "GET /b FLOW UPDATE", "[globex] ask=headers"});
  const auto& all = http::routes_for(sets, "initech");
  EXPECT_EQ(asked(all.routes, "GET", "/a"), "FLOW READ");
  EXPECT_EQ(all.asks, http::ProxyAsks::InRequest);
  EXPECT_FALSE(all.faults_are_denials || all.names_consumed);
  const auto& acme = http::routes_for(sets, "acme");
  EXPECT_EQ(asked(acme.routes, "GET", "/a"), "nothing");
  EXPECT_EQ(asked(acme.routes, "GET", "/b"), "FLOW UPDATE");
  EXPECT_EQ(acme.asks, http::ProxyAsks::InForwarded);
  EXPECT_TRUE(acme.faults_are_denials && acme.names_consumed);
  EXPECT_EQ(http::routes_for(sets, "globex").asks, http::ProxyAsks::InHeaders);
}

TEST(ProxyRoutes, HeadersAreBelievedWithoutAnySetsOrWhereASetSaysSo) {
  EXPECT_EQ(http::routes_for({}, "acme").asks, http::ProxyAsks::InHeaders);
  const auto sets = tables({"[acme] ask=headers"});
  const auto& other = http::routes_for(sets, "globex");
  EXPECT_NE(other.asks, http::ProxyAsks::InHeaders) << "whoever was forgotten in the file is denied";
  EXPECT_TRUE(other.routes.empty());
}

TEST(ProxyRoutes, SetsThatContradictThemselvesAreRefused) {
  for (const std::vector<std::string>& bad : {std::vector<std::string>{"[acme]"},
                                              {"[acme] ask=headers", "GET /a FLOW READ"},
                                              {"[acme", "GET /a FLOW READ"},
                                              {"[Not A Slug]", "GET /a FLOW READ"},
                                              {"[acme] fail_as=200", "GET /a FLOW READ"},
                                              {"[a]", "GET /a FLOW READ", "[a]", "GET /b FLOW READ"},
                                              {"GET /a FLOW READ", "[*]", "GET /b FLOW READ"},
                                              {"[]", "GET /a FLOW READ"}})
    EXPECT_FALSE(http::parse_proxy_routes(bad)) << bad.front();
}

TEST(TrustedProxies, AreTheSocketOrACertificateAndPerhapsOneTenant) {
  const auto proxy = [](std::string_view line) {
    const auto made = http::parse_trusted_proxy(line);
    if (!made) throw std::runtime_error(made.error().what);
    return std::vector<http::TrustedProxy>{*made};
  };
  const std::vector<std::string> names{"edge.example.org", "spiffe://example.org/edge"};
  const http::Request tcp{.method = {}, .target = {}, .headers = {}, .body = {}, .remote = {}};
  auto local = tcp, shown = tcp;
  local.unix_socket = true;
  shown.certificate = names;
  EXPECT_TRUE(http::is_trusted(proxy("unix"), local, "acme"));
  EXPECT_FALSE(http::is_trusted(proxy("unix"), shown, "acme"));
  EXPECT_TRUE(http::is_trusted(proxy("unix acme"), local, "acme"));
  EXPECT_FALSE(http::is_trusted(proxy("unix acme"), local, "globex"));
  EXPECT_TRUE(http::is_trusted(proxy("cert:edge.example.org"), shown, "acme"));
  EXPECT_TRUE(http::is_trusted(proxy("cert:spiffe://example.org/edge acme"), shown, "acme"));
  EXPECT_FALSE(http::is_trusted(proxy("cert:edge.example"), shown, "acme"));
  EXPECT_FALSE(http::is_trusted(proxy("cert:edge.example.org"), local, "acme"));
  EXPECT_FALSE(http::is_trusted(proxy("cert:edge.example.org"), tcp, "acme"));
  EXPECT_FALSE(http::is_trusted({}, local, "acme"));
  for (const char* bad : {"", "cert:", "edge.example.org", "unix ", "unix Not A Slug", "unix a b", " unix"})
    EXPECT_FALSE(http::parse_trusted_proxy(bad)) << bad;
}

/// A rosterd with routes; grace may read flows in a.b and below, and is in the tenant by her account.
struct ProxyWorld {
  World world;
  std::string tenant;
  Person grace, stranger;
  std::string path;

  explicit ProxyWorld(const http::HttpOptions& options = ProxyWorld::options()) : world(options) {
    world.set_up();
    grace = world.person("grace");
    stranger = world.person("mallory");
    tenant = world.tenant_where(grace, "");
    const TenantId key{tenant};
    const auto role = world.store->create_role(
        key, {.id = {}, .name = "Reader", .description = {}, .managed = false, .admin = false, .permissions = R"({"FLOW":["READ"]})"}, {});
    const Principal her{PrincipalType::User, world.user_of(grace, tenant)};
    if (!role || !world.store->create_binding(key, {.role = role->value.id, .principal = her, .ns = "a.b", .expires_at = {}}, {}))
      throw std::runtime_error("binding a role");
    world.control->changed(key);
    path = "/t/" + tenant + "/authz/proxy";
  }
  static http::HttpOptions options() {
    http::HttpOptions out;
    out.proxy_routes = tables({"GET /flows/{ns}/{rest...} FLOW READ {ns}", "* /flows/{ns} FLOW UPDATE {ns}", "GET / FLOW READ a.b"});
    return out;
  }
  static ProxyWorld& shared() {
    static ProxyWorld world;
    return world;
  }
};

TEST(Proxy, AllowIs200WithAnEmptyBodyWhateverThePathX1X2) {
  auto& [world, tenant, grace, stranger, path] = ProxyWorld::shared();
  for (const auto& below : {"/flows/a.b/x", "/flows/a.b.c/x?query=%zz&query=2", "", "/", "?x"}) {
    const auto answer = world.as(grace).get(path + below);
    EXPECT_EQ(answer.status, 200) << below << answer.text;
    EXPECT_EQ(answer.text, "") << below;
    EXPECT_EQ(answer.header("content-length"), "0");
    EXPECT_EQ(answer.header("rosterd-subject"), "user:" + text(PrincipalType::User, world.user_of(grace, tenant)));
    EXPECT_FALSE(answer.header("rosterd-revision").empty());
  }
  const auto head = world.as(grace).call("HEAD", path + "/flows/a.b/x", {});
  EXPECT_EQ(head.status, 403) << "HEAD is a method like any other: no row has it";
}

TEST(Proxy, DenyIs403AndTellsNotWhyX3X6) {
  auto& [world, tenant, grace, stranger, path] = ProxyWorld::shared();
  for (const auto& below :
       {"/flows/a/x", "/flows/a.bc/x", "/unknown", "/flows/a.b%2Fc/x", "/flows/../flows/a.b/x", "/flows//a.b/x", "/flows/A/x"}) {
    const auto answer = world.as(grace).get(path + below);
    EXPECT_EQ(answer.status, 403) << below;
    EXPECT_EQ(answer.text.find("denied_"), std::string::npos) << answer.text;
  }
  for (const char* method : {"POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
    EXPECT_EQ(world.as(grace).call(method, path + "/flows/a.b", {}).status, 403) << method << ": she may not update";
  EXPECT_EQ(world.as(grace).call("POST", path + "/flows/a.b", "not json", {{"Content-Type", "text/plain"}}).status, 403)
      << "nor does a body matter";
  EXPECT_EQ(world.as(grace).get(path + "/" + std::string(4000, 'x')).status, 403);
}

TEST(Proxy, NobodyKnownIs401AndOtherTenantsLookLikeNoneX3R4) {
  auto& [world, tenant, grace, stranger, path] = ProxyWorld::shared();
  for (const auto& client : {world.nobody(), world.as("rst_nonsense"), world.as(std::string(200, 'x'))}) {
    const auto answer = client.get(path + "/flows/a.b/x");
    EXPECT_EQ(answer.status, 401);
    EXPECT_FALSE(answer.header("www-authenticate").empty());
    EXPECT_EQ(client.get("/t/No%20Slug/authz/proxy").status, 401);
  }
  EXPECT_EQ(world.nobody().get(path, {{"Rosterd-Subject", "user:grace"}}).status, 401) << "an identity header is no identity";
  const auto real = world.as(stranger).get(path + "/flows/a.b/x");
  EXPECT_EQ(real.status, 403);
  EXPECT_EQ(real.text, world.as(stranger).get("/t/nowhere/authz/proxy/flows/a.b/x").text);
  EXPECT_EQ(real.text, world.as(stranger).get("/t/No%20Slug/authz/proxy/flows/a.b/x").text);
  EXPECT_EQ(world.as(stranger).get("/t/" + tenant + "/authz/proxyish").status, 404) << "another path";
}

TEST(Proxy, ARightTakenAwayIsGoneWithTheNextQuestion) {
  auto& [world, tenant, grace, stranger, path] = ProxyWorld::shared();
  const TenantId key{tenant};
  const auto self = world.user_of(grace, tenant);
  ASSERT_EQ(world.as(grace).get(path + "/flows/a.b/x").status, 200);
  ASSERT_TRUE(world.store->set_user_suspended(key, self, true, {}));
  world.control->changed(key);
  EXPECT_EQ(world.as(grace).get(path + "/flows/a.b/x").status, 403);
  ASSERT_TRUE(world.store->set_user_suspended(key, self, false, {}));
  world.control->changed(key);
  EXPECT_EQ(world.as(grace).get(path + "/flows/a.b/x").status, 200);
}

TEST(Proxy, ASnapshotThatIsNotThereIs503X4) {
  auto& [world, tenant, grace, stranger, path] = ProxyWorld::shared();
  world.control->asleep = true;
  world.snapshots.forget(TenantId{tenant});
  const auto answer = world.as(grace).get(path + "/flows/a.b/x");
  world.control->asleep = false;
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(world.as(grace).get(path + "/flows/a.b/x").status, 200) << "and it is loaded when asked for again";
}

TEST(Proxy, ADatabaseThatIsMuteIs503LongBeforeItSpeaksAgainX5) {
  auto& [world, tenant, grace, stranger, path] = ProxyWorld::shared();
  const auto late = world.person("late");  // unknown to the caches
  const auto client = world.as(late);
  std::atomic<bool> locked{false};
  const std::jthread holder([&, &database = world.database] {
    PrivatePostgres::query(database.superuser_url,
                           "BEGIN; LOCK TABLE rosterd.account_token IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(3); COMMIT");
    locked = true;
  });
  const auto is_locked = [&] {
    return PrivatePostgres::query(world.database.superuser_url,
                                  "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted AND relation = "
                                  "'rosterd.account_token'::regclass")
        .starts_with("1");
  };
  ASSERT_TRUE(wait_until(is_locked));
  const auto begin = std::chrono::steady_clock::now();
  const auto answer = client.get(path + "/flows/a.b/x");
  const auto took = std::chrono::steady_clock::now() - begin;
  EXPECT_FALSE(locked) << "the lock was gone too early to tell anything";
  EXPECT_EQ(answer.status, 503) << answer.text;
  EXPECT_LT(took, std::chrono::milliseconds(1000));
}

/// Headers that a proxy sets, and how they reach the handler: asked of the room itself.
struct ProxyHeaders : testing::Test {
  ProxyWorld& at = ProxyWorld::shared();
  http::App app{{},
                {.store = *at.world.store,
                 .snapshots = at.world.snapshots,
                 .sync = *at.world.control,
                 .catalogue = at.world.catalogue,
                 .secrets = *at.world.secrets,
                 .connector_options = {},
                 .clock = at.world.clock,
                 .setup = at.world.gate,
                 .token_pepper = "pepper"}};
  void SetUp() override {
    std::size_t index = 0;
    for (const auto& route : http::routes()) app.metrics.name_route(index++, route.method, route.path);
  }
  http::Reply ask(const std::string& token, http::RequestHeaders headers) {
    const auto authorization = token.empty() ? std::string() : "Bearer " + token;
    headers.authorization = authorization;
    const auto target = at.path + "/whatever/%2F?x";
    return http::answer(app, {.method = "PUT", .target = target, .headers = headers, .body = {}, .remote = "127.0.0.1"});
  }
  static http::RequestHeaders saying(std::string_view permission, std::string_view action, std::string_view ns,
                                     std::string_view subject = {}) {
    http::RequestHeaders out;
    out.permission = permission;
    out.action = action;
    out.ns = ns;
    out.subject = subject;
    return out;
  }
};

TEST_F(ProxyHeaders, WithoutRoutesHeadersSayWhatIsAskedX6) {
  EXPECT_EQ(ask(at.grace.token, saying("FLOW", "READ", "a.b.c")).status, 200);
  EXPECT_EQ(ask(at.grace.token, saying("FLOW", "READ", "a")).status, 403);
  EXPECT_EQ(ask(at.grace.token, saying("FLOW", "READ", "")).status, 403) << "the whole tenant";
  EXPECT_EQ(ask(at.grace.token, saying("FLOW", "READ", "A B")).status, 403);
  EXPECT_EQ(ask(at.grace.token, saying("", "", "a.b")).status, 403) << "nothing is asked";
  EXPECT_EQ(ask(at.grace.token, {}).status, 403);
  EXPECT_EQ(ask("", saying("FLOW", "READ", "a.b")).status, 401);
}

TEST_F(ProxyHeaders, WithRoutesThoseHeadersAreNotLookedAt) {
  app.options.proxy_routes = tables({"* /whatever FLOW UPDATE a.b"});
  EXPECT_EQ(ask(at.grace.token, saying("FLOW", "READ", "a.b")).status, 403);
}

TEST_F(ProxyHeaders, AnotherIsNamedByACallerWithCheckReadAloneX7) {
  const auto her = "user:" + at.grace.email;
  EXPECT_EQ(ask("", saying("FLOW", "READ", "a.b", her)).status, 401);
  EXPECT_EQ(ask(at.grace.token, saying("FLOW", "READ", "a.b", her)).status, 401) << "not taken for herself instead";
  const auto yes = ask(at.world.root_token, saying("FLOW", "READ", "a.b", her));
  EXPECT_EQ(yes.status, 200) << yes.body;
  const auto subject =
      std::find_if(yes.headers.begin(), yes.headers.end(), [](const auto& header) { return header.first == "Rosterd-Subject"; });
  ASSERT_NE(subject, yes.headers.end());
  EXPECT_EQ(subject->second, "user:" + text(PrincipalType::User, at.world.user_of(at.grace, at.tenant)));
  EXPECT_EQ(ask(at.world.root_token, saying("FLOW", "READ", "a", her)).status, 403);
  for (const char* odd : {"grace", "robot:grace", "user:", "user:nobody", ":"})
    EXPECT_EQ(ask(at.world.root_token, saying("FLOW", "READ", "a.b", odd)).status, 403) << odd;
  EXPECT_EQ(ask(at.world.root_token, saying("FLOW", "READ", "a.b")).status, 403) << "a super admin who is no user of the tenant";
}

/// The same over real connections: what a proxy's headers are worth when they have passed the library.
http::HttpOptions with(const std::vector<std::string>& lines) {
  http::HttpOptions out;
  out.proxy_routes = tables(lines);
  return out;
}

TEST(ProxyOverHttp, HeadersSayWhatIsAskedX6) {
  ProxyWorld at(http::HttpOptions{});
  const auto ask = [&](const std::string& token, const Headers& headers) {
    return at.world.as(token).call("PUT", at.path + "/whatever/%2F?x", {}, headers).status;
  };
  const auto question = [](const char* ns) {
    return Headers{{"Rosterd-Permission", "FLOW"}, {"Rosterd-Action", "READ"}, {"Rosterd-Namespace", ns}};
  };
  EXPECT_EQ(ask(at.grace.token, question("a.b.c")), 200);
  EXPECT_EQ(ask(at.grace.token, question("a")), 403);
  EXPECT_EQ(ask(at.grace.token, question("A B")), 403);
  EXPECT_EQ(ask(at.grace.token, {}), 403);
  EXPECT_EQ(ask("", question("a.b")), 401);
  auto named = question("a.b");
  named.emplace_back("Rosterd-Subject", "user:" + at.grace.email);
  EXPECT_EQ(ask(at.world.root_token, named), 200);
  EXPECT_EQ(ask(at.grace.token, named), 401) << "she may not ask for others, and is not taken for herself instead";
  EXPECT_EQ(ask("", named), 401);
}

TEST(ProxyOverHttp, AHeaderThatComesTwiceDecidesNothing) {
  ProxyWorld at(http::HttpOptions{});
  const auto status = [&](const std::string& more) {
    const auto answer = raw(at.world.server->port(),
                            "GET " + at.path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer " + at.grace.token +
                                "\r\nRosterd-Permission: FLOW\r\nRosterd-Action: READ\r\nRosterd-Namespace: a.b\r\n" + more + "\r\n");
    return answer.substr(9, 3);
  };
  EXPECT_EQ(status(""), "200");
  for (const char* twice : {"Rosterd-Namespace: z\r\n", "rosterd-permission: USER\r\n", "Rosterd-Action: READ\r\n",
                            "Rosterd-Subject: user:x\r\nRosterd-Subject: user:y\r\n"})
    EXPECT_NE(status(twice), "200") << "one is the proxy's, the other perhaps the client's: " << twice;
  EXPECT_EQ(status("Authorization: Bearer " + at.world.root_token + "\r\n"), "403");
}

/// Exactly what Traefik 3 sends to the address of a forwardAuth middleware: a GET with the original's headers, its method and URI in
/// X-Forwarded-*, which Traefik sets itself (unless told to trust those of the client).
std::string from_traefik(const std::string& path, const std::string& method, const std::string& uri, const std::string& token) {
  return "GET " + path + " HTTP/1.1\r\nHost: rosterd:8480\r\nUser-Agent: curl/8.5.0\r\n" +
         (token.empty() ? std::string() : "Authorization: Bearer " + token + "\r\n") +
         "Accept: */*\r\nX-Forwarded-For: 172.18.0.1\r\nX-Forwarded-Host: app.example.org\r\nX-Forwarded-Method: " + method +
         "\r\nX-Forwarded-Port: 443\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Server: 3f1c1b7a9d0e\r\nX-Forwarded-Uri: " + uri +
         "\r\nX-Real-Ip: 172.18.0.1\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n";
}

TEST(Traefik, AsksWithTheForwardedMethodAndUri) {
  ProxyWorld at(with({"[*] ask=forwarded", "GET /flows/{ns}/{rest...} FLOW READ {ns}", "* /flows/{ns} FLOW UPDATE {ns}"}));
  const auto answer = [&](const std::string& method, const std::string& uri, const std::string& token) {
    return raw(at.world.server->port(), from_traefik(at.path, method, uri, token));
  };
  const auto yes = answer("GET", "/flows/a.b/x?page=2&y=%zz", at.grace.token);
  EXPECT_TRUE(yes.starts_with("HTTP/1.1 200")) << yes;
  EXPECT_NE(yes.find("Rosterd-Subject: user:" + text(PrincipalType::User, at.world.user_of(at.grace, at.tenant))), std::string::npos);
  for (const auto& [method, uri] : {std::pair{"GET", "/flows/a/x"},
                                    {"POST", "/flows/a.b"},
                                    {"GET", "/unknown"},
                                    {"GET", ""},
                                    {"", "/flows/a.b/x"},
                                    {"GET", "/flows/a.b%2Fc/x"},
                                    {"GET", "/flows/z/../a.b/x"},
                                    {"GET", "http://x/flows/a.b/x"},
                                    {"GET", "//flows/a.b/x"}})
    EXPECT_TRUE(answer(method, uri, at.grace.token).starts_with("HTTP/1.1 403")) << method << " " << uri;
  const auto nobody = answer("GET", "/flows/a.b/x", "");
  EXPECT_TRUE(nobody.starts_with("HTTP/1.1 401")) << nobody;
  EXPECT_NE(nobody.find("WWW-Authenticate"), std::string::npos) << "Traefik hands the answer on as it is";
  EXPECT_EQ(at.world.as(at.grace).get(at.path + "/flows/a.b/x").status, 403) << "the path behind ours is not looked at";
}

TEST(ProxyOverHttp, HeadersAreTakenAsTheyAreAndNotPercentDecoded) {
  ProxyWorld at(http::HttpOptions{});
  const Headers question{{"Rosterd-Permission", "FLOW"}, {"Rosterd-Action", "READ"}, {"Rosterd-Namespace", "a%2Eb"}};
  EXPECT_EQ(at.world.as(at.grace).get(at.path, question).status, 403);
  EXPECT_EQ(at.world.nobody().get("/version", {{"X-Request-ID", "a%0D%0Ab"}}).header("x-request-id").size(), 16u);
}

TEST(Traefik, ForwardedHeadersOfAClientMeanNothingToNginxAndEnvoy) {
  auto& at = ProxyWorld::shared();
  const Headers forged{{"X-Forwarded-Method", "GET"}, {"X-Forwarded-Uri", "/flows/a.b/x"}};
  EXPECT_EQ(at.world.as(at.grace).get(at.path + "/flows/z/x", forged).status, 403);
  EXPECT_EQ(at.world.as(at.grace).get(at.path + "/flows/a.b/x", {{"X-Forwarded-Uri", "/flows/z/x"}}).status, 200);
}

TEST(ProxyOverHttp, AFaultIsADenialForThoseWhoWantItX4) {
  ProxyWorld at(with({"[*] fail_as=403", "* /{rest...} FLOW READ a.b"}));
  ASSERT_EQ(at.world.as(at.grace).get(at.path + "/x").status, 200);
  at.world.control->asleep = true;
  at.world.snapshots.forget(TenantId{at.tenant});
  const auto answer = at.world.as(at.grace).get(at.path + "/x");
  at.world.control->asleep = false;
  EXPECT_EQ(answer.status, 403) << answer.text;
  EXPECT_FALSE(answer.header("x-request-id").empty());
  const auto metrics = at.world.root().get("/metrics").text;
  EXPECT_NE(metrics.find("route=\"/t/{t}/authz/proxy\",status=\"5xx\"} 1"), std::string::npos) << "and is counted as the fault that it is";
  EXPECT_EQ(at.world.as(at.grace).get(at.path + "/x").status, 200);
}

TEST(ProxyOverHttp, EnvoyIsToldWhichHeadersHeldCredentialsX8) {
  ProxyWorld at(with({"[*] remove=credentials", "* /{rest...} FLOW READ a.b"}));
  EXPECT_EQ(at.world.as(at.grace).get(at.path + "/x").header("x-envoy-auth-headers-to-remove"), "authorization");
  EXPECT_EQ(at.world.root().get(at.path + "/x", {{"Rosterd-Subject", "user:" + at.grace.email}}).header("x-envoy-auth-headers-to-remove"),
            "authorization,rosterd-subject");
  const auto& silent = ProxyWorld::shared();
  EXPECT_EQ(silent.world.as(silent.grace).get(silent.path + "/flows/a.b/x").header("x-envoy-auth-headers-to-remove"), "");
}

TEST(ProxyOverHttp, TheUnixSocketIsBelievedWhereTheOperatorSaysSoX7) {
  const TempDir dir;
  const auto ask = [&](ProxyWorld& at, const std::string& socket, const std::string& headers) {
    const Wire wire(dir.file(socket));
    (void)wire.send("GET " + at.path + "/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + headers + "\r\n");
    return wire.read_all().substr(9, 3);
  };
  auto options = with({"* /{rest...} FLOW READ a.b"});
  options.unix_socket = dir.file("trusted.sock");
  options.trusted_proxies = {{.certificate = {}, .tenant = {}}};
  ProxyWorld at(options);
  const auto her = "Rosterd-Subject: user:" + at.grace.email + "\r\n";
  EXPECT_EQ(ask(at, "trusted.sock", her), "200");
  EXPECT_EQ(ask(at, "trusted.sock", "Authorization: Basic eDp5\r\n" + her), "200") << "what the application is told is not for us";
  EXPECT_EQ(ask(at, "trusted.sock", "Rosterd-Subject: user:nobody\r\n"), "403");
  EXPECT_EQ(ask(at, "trusted.sock", her + her), "401");
  EXPECT_EQ(ask(at, "trusted.sock", ""), "401") << "the proxy itself is nobody";
  EXPECT_EQ(at.world.nobody().get(at.path + "/x", {{"Rosterd-Subject", "user:" + at.grace.email}}).status, 401)
      << "the port is not believed";

  options.unix_socket = dir.file("other.sock");
  options.trusted_proxies.clear();
  ProxyWorld other(options);
  EXPECT_EQ(ask(other, "other.sock", "Rosterd-Subject: user:" + other.grace.email + "\r\n"), "401");
}

TEST(ProxyOverHttp, ACertificateIsBelievedWhenItsAuthorityAndItsNameAreKnownX7) {
  const TempDir dir;
  const PrivateCa servers(dir.file("servers")), clients(dir.file("clients"), "authority of proxies"),
      strangers(dir.file("strangers"), "another");
  const auto client = [](const PrivateCa& ca, const std::string& name, int to_days = 30) {
    return ca.issue(
        name, {.names = {"DNS:" + name}, .common_name = name, .valid_from_days = -2, .valid_to_days = to_days, .usage = "clientAuth"});
  };
  auto options = with({"* /{rest...} FLOW READ a.b"});
  const auto certificate = servers.good();
  options.tls_certificate_file = certificate.cert_file;
  options.tls_key_file = certificate.key_file;
  options.tls_client_ca_file = clients.ca_file();
  options.trusted_proxies = {{.certificate = "edge.example.org", .tenant = {}},
                             {.certificate = "elsewhere.example.org", .tenant = "globex"}};
  World world(options);

  // The tests' client speaks plain HTTP, hence curl; the tenant is made in the store.
  const TenantId tenant{"acme"};
  const Role admin{.id = {}, .name = "Admin", .description = {}, .managed = true, .admin = true, .permissions = "{}"};
  ASSERT_TRUE(
      world.store->create_tenant({.id = tenant, .name = "Acme", .creator = world.person("owner").account, .managed_roles = {admin}}, {}));
  UserRecord record;
  record.username = "grace";
  const auto grace = world.store->create_user(tenant, record, {}).value().value;
  const auto role =
      world.store
          ->create_role(
              tenant,
              {.id = {}, .name = "Reader", .description = {}, .managed = false, .admin = false, .permissions = R"({"FLOW":["READ"]})"}, {})
          .value()
          .value;
  ASSERT_TRUE(world.store->create_binding(
      tenant, {.role = role.id, .principal = {PrincipalType::User, grace.id}, .ns = "a.b", .expires_at = {}}, {}));
  world.control->changed(tenant);
  const auto ask = [&](const Certificate* shown, const std::string& subject, const char* version = "--tlsv1.2") {
    std::vector<std::string> command{"curl", "-s",        "-o", "/dev/null", "-w",       "%{http_code}",   "--max-time",
                                     "20",   "--noproxy", "*",  version,     "--cacert", servers.ca_file()};
    if (shown != nullptr) command.insert(command.end(), {"--cert", shown->cert_file, "--key", shown->key_file});
    if (!subject.empty()) command.insert(command.end(), {"-H", "Rosterd-Subject: " + subject});
    command.push_back(fmt::format("https://127.0.0.1:{}/t/acme/authz/proxy/x", world.server->port()));
    return run(command).output;
  };
  const auto edge = client(clients, "edge.example.org");
  EXPECT_EQ(ask(&edge, "user:grace"), "200");
  EXPECT_EQ(ask(&edge, "user:nobody"), "403");
  EXPECT_EQ(ask(&edge, ""), "401") << "the proxy itself is nobody";
  EXPECT_EQ(ask(nullptr, "user:grace"), "401") << "without a certificate it is a connection like any other";
  const auto elsewhere = client(clients, "elsewhere.example.org"), unlisted = client(clients, "unlisted.example.org");
  EXPECT_EQ(ask(&elsewhere, "user:grace"), "401") << "believed about another tenant";
  EXPECT_EQ(ask(&unlisted, "user:grace"), "401");
  const auto stranger = client(strangers, "edge.example.org"), expired = client(clients, "edge.example.org.", -1);
  EXPECT_EQ(ask(&stranger, "user:grace"), "000") << "an unknown authority ends the handshake";
  EXPECT_EQ(ask(&expired, "user:grace"), "000");
  const auto of_a_server = clients.issue("server", {.names = {"DNS:edge.example.org"}, .common_name = "edge.example.org"});
  EXPECT_EQ(ask(&of_a_server, "user:grace"), "000") << "a certificate for servers is none for clients";

  const auto named = clients.issue("named", {.names = {}, .common_name = "edge.example.org", .usage = "clientAuth"});
  EXPECT_EQ(ask(&named, "user:grace"), "200") << "the common name, where there is no other";
  const auto both = clients.issue("both", {.names = {"DNS:x.example.org"}, .common_name = "edge.example.org", .usage = "clientAuth"});
  EXPECT_EQ(ask(&both, "user:grace"), "401");

  // A reload without authorities: certificates are not asked for any more.
  ASSERT_TRUE(world.server->set_tls(certificate.cert_file, certificate.key_file));
  EXPECT_EQ(ask(&edge, "user:grace"), "401");
  EXPECT_FALSE(world.server->set_tls(certificate.cert_file, certificate.key_file, dir.file("nowhere.pem")));
}

TEST(Nginx, SaysWhatIsAskedInHeadersThatAClientCannotForge) {
  ProxyWorld at(http::HttpOptions{});
  const PrivateNginx nginx(fmt::format(R"(
  server {{
    listen 127.0.0.1:${{port}};
    location /flows/ {{
      auth_request /authz;
      proxy_pass http://127.0.0.1:${{other}};
    }}
    location = /authz {{
      internal;
      proxy_pass http://127.0.0.1:{0}{1};
      proxy_pass_request_body off;
      proxy_set_header Content-Length "";
      proxy_set_header Rosterd-Permission FLOW;
      proxy_set_header Rosterd-Action READ;
      proxy_set_header Rosterd-Namespace a.b;
      proxy_set_header Rosterd-Subject "";
    }}
  }}
  server {{
    listen 127.0.0.1:${{other}};
    location / {{ return 200 "let through"; }}
  }})",
                                       at.world.server->port(), at.path));
  const auto status = [&](const std::string& token, const Headers& headers) {
    return Client(static_cast<std::uint16_t>(nginx.port()), token).get("/flows/x", headers).status;
  };
  EXPECT_EQ(status(at.grace.token, {}), 200) << nginx.log();
  EXPECT_EQ(status(at.grace.token, {{"Rosterd-Namespace", "z"}, {"Rosterd-Permission", "USER"}}), 200)
      << "nginx's word replaces the client's";
  EXPECT_EQ(status(at.stranger.token, {}), 403);
  EXPECT_EQ(status("", {}), 401);
  EXPECT_EQ(status("", {{"Rosterd-Subject", "user:" + at.grace.email}}), 401);
  EXPECT_EQ(status(at.world.root_token, {{"Rosterd-Subject", "user:" + at.grace.email}}), 403) << "the header was stripped at the edge";
}

TEST(Nginx, LetsThroughWhatRosterdAllowsAndNothingElse) {
  auto& [world, tenant, grace, stranger, path] = ProxyWorld::shared();
  const PrivateNginx nginx(fmt::format(R"(
  server {{
    listen 127.0.0.1:${{port}};
    location / {{
      auth_request /authz;
      auth_request_set $who $upstream_http_rosterd_subject;
      add_header X-Who $who always;
      proxy_pass http://127.0.0.1:${{other}};
    }}
    location = /authz {{
      internal;
      proxy_pass http://127.0.0.1:{0}{1}$request_uri;
      proxy_method $request_method;
      proxy_pass_request_body off;
      proxy_set_header Content-Length "";
    }}
  }}
  server {{
    listen 127.0.0.1:${{other}};
    location / {{ return 200 "let through"; }}
  }})",
                                       world.server->port(), path));
  const auto through = [&](const std::string& token) { return Client(static_cast<std::uint16_t>(nginx.port()), token); };
  const auto yes = through(grace.token).get("/flows/a.b.c/x?y=1");
  EXPECT_EQ(yes.status, 200) << yes.text << nginx.log();
  EXPECT_EQ(yes.text, "let through");
  EXPECT_EQ(yes.header("x-who"), "user:" + text(PrincipalType::User, world.user_of(grace, tenant)));
  for (const char* no : {"/flows/a/x", "/unknown", "/flows/a.b%2Fc/x", "/flows/x/../a.b/x", "//flows/a.b/x"}) {
    const auto answer = through(grace.token).get(no);
    EXPECT_EQ(answer.status, 403) << no << nginx.log();
    EXPECT_EQ(answer.text.find("let through"), std::string::npos) << no;
  }
  for (const char* method : {"POST", "PUT", "DELETE"}) {
    EXPECT_EQ(through(grace.token).call(method, "/flows/a.b", "{}").status, 403) << method << " is asked about as itself";
  }
  const auto nobody = through("").get("/flows/a.b/x");
  EXPECT_EQ(nobody.status, 401);
  EXPECT_FALSE(nobody.header("www-authenticate").empty());
  EXPECT_EQ(through(stranger.token).get("/flows/a.b/x").status, 403);

  world.control->asleep = true;
  world.snapshots.forget(TenantId{tenant});
  const auto fault = through(grace.token).get("/flows/a.b/x");
  world.control->asleep = false;
  EXPECT_EQ(fault.status, 500) << "a fault lets nobody through";
  EXPECT_EQ(through(grace.token).get("/flows/a.b/x").status, 200);
}

}  // namespace
}  // namespace rosterd::test
