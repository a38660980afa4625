// The endpoint reverse proxies ask (check-api.md §9): from outside, behind a real nginx, and its route table alone.
#include <thread>

#include "daemon/http/app.hpp"
#include "daemon/http/proxy_routes.hpp"
#include "tests/http/world.hpp"
#include "tests/support/nginx.hpp"

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

/// A rosterd with routes; grace may read flows in a.b and below, and is in the tenant by her account.
struct ProxyWorld {
  World world;
  std::string tenant;
  Person grace, stranger;
  std::string path;

  ProxyWorld() : world(options()) {
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
    out.proxy_routes = table({"GET /flows/{ns}/{rest...} FLOW READ {ns}", "* /flows/{ns} FLOW UPDATE {ns}", "GET / FLOW READ a.b"});
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
  app.options.proxy_routes = table({"* /whatever FLOW UPDATE a.b"});
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
