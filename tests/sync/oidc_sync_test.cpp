// An OIDC source from end to end: a provider over HTTP, the engine, a real PostgreSQL. Whatever the provider does, nobody is suspended by
// it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "connectors/connector.hpp"
#include "daemon/sync/scheduler.hpp"
#include "rbac/catalogue.hpp"
#include "schema/postgres/postgres_store.hpp"
#include "tests/support/postgres.hpp"
#include "tests/support/scim_provider.hpp"

namespace rosterd::test {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;
using testing::HasSubstr;

template <class T>
T must(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().what);
  return std::move(*result);
}

class OidcSync : public testing::Test {
 protected:
  OidcSync() {
    for (int i = 0; i < 12; ++i) provider_.user(fmt::format("u-{:02}", i), fmt::format("user{:02}", i));
    provider_.group("g-staff", "ns-web-editors", {"u-00", "u-01", "u-02"});
    provider_.most = 5;
    provider_.filters_time = true;
    const auto admin =
        must(store_->set_up({.email = "root@acme.test", .first_name = "R", .last_name = "A", .super_admin = true},
                            {.name = "first", .hash = std::string(32, 'h'), .last4 = "hhhh", .expires_at = std::nullopt}, actor_));
    std::vector<Role> roles;
    for (const auto& role : rbac::managed_roles())
      roles.push_back({.id = {},
                       .name = std::string(role.name),
                       .description = {},
                       .managed = true,
                       .admin = role.admin,
                       .permissions = role.permissions});
    must(store_->create_tenant({.id = acme_, .name = "Acme", .creator = admin.id, .managed_roles = roles}, actor_));
    NewSource source;
    source.name = "idp";
    source.type = "oidc";
    source.settings = provider_.settings();
    source.role_mappings = {{.group = "ns-(?<ns>.+)-editors", .role = "Editor", .ns = "${ns}"}};
    source_ = must(store_->create_source(acme_, source, actor_)).value.id;
    sync::SchedulerOptions options;
    options.holder = "here";
    options.workers = 1;
    options.tick = 20ms;
    scheduler_ = std::make_unique<sync::Scheduler>(
        *store_, clock_, publisher_,
        [](const TenantId&, const Source& one, const SourceState& state) -> Result<std::unique_ptr<connectors::Connector>> {
          connectors::ConnectorOptions with;
          with.allowed_networks = {"127.0.0.0/8"};
          with.operation_timeout = 1s;
          with.connect_timeout = 1s;
          with.read_deadline = 10s;
          return must(connectors::find_connector_type("oidc"))->make({.json = one.settings, .learnt = state.learnt}, with);
        },
        [](const Source& one) { return (*connectors::find_connector_type("oidc"))->fingerprint(one.settings); }, options);
    if (const auto ok = publisher_.start(); !ok) throw std::runtime_error(ok.error().what);
    scheduler_->start();
  }
  ~OidcSync() override { scheduler_->stop(0ms); }

  rosterd::Run run(RunMode mode = RunMode::Auto) {
    const auto before = last();
    must(store_->request_run(acme_, source_, mode, false, actor_));
    scheduler_->wake();
    return after(before);
  }
  rosterd::Run after(const std::optional<RunId>& before) {
    const auto deadline = steady_clock::now() + 30s;
    while (steady_clock::now() < deadline) {
      const auto status = must(store_->status(acme_));
      if (!status.empty() && status.front().last_run && !status.front().current && status.front().last_run->id != before)
        return *status.front().last_run;
      std::this_thread::sleep_for(10ms);
    }
    throw std::runtime_error("no run ended");
  }
  std::optional<RunId> last() {
    const auto status = must(store_->status(acme_));
    return status.empty() || !status.front().last_run ? std::nullopt : std::optional(status.front().last_run->id);
  }
  SourceStatus status() { return must(store_->status(acme_)).front(); }
  bool may(const std::string& user) {
    const auto found = snapshots_.wait_for(acme_, must(store_->tenant(acme_)).revision, steady_clock::now() + 5s);
    return found &&
           found->snapshot
               ->check(
                   {.type = PrincipalType::User, .key = user, .permission = "FLOW", .action = "UPDATE", .ns = "web", .at = clock_.now()})
               .allowed;
  }

  Database database_ = PrivatePostgres::shared().fresh_database();
  std::unique_ptr<Store> store_ = must(PostgresStore::open({.url = database_.app_url, .owner_url = database_.owner_url}));
  const TenantId acme_{"acme"};
  const Actor actor_{.account = {}, .by = "test", .ip = {}, .request_id = {}};
  SystemClock clock_;
  ScimProvider provider_;
  SourceId source_;
  sync::Snapshots snapshots_;
  sync::Publisher publisher_{*store_, snapshots_, rbac::Catalogue::built_in()};
  std::unique_ptr<sync::Scheduler> scheduler_;
};

TEST_F(OidcSync, PeopleComeInAndRightsFollowTheirGroups) {
  const auto first = after(std::nullopt);  // a new source is due at once
  ASSERT_EQ(first.outcome, Outcome::Applied) << first.detail;
  EXPECT_EQ(status().users_active, 12u);
  EXPECT_TRUE(may("user00"));
  EXPECT_FALSE(may("user05"));

  const auto again = run(RunMode::Full);
  EXPECT_EQ(again.outcome, Outcome::Unchanged) << again.detail;

  // An incremental read repeats nobody, and still knows whom the group means.
  provider_.group("g-staff", "ns-web-editors", {"u-00", "u-05"});
  const auto changes = run();
  EXPECT_EQ(changes.outcome, Outcome::Applied) << changes.detail;
  EXPECT_EQ(changes.cursor_kind, "last_modified");
  EXPECT_TRUE(may("user00"));
  EXPECT_TRUE(may("user05"));
  EXPECT_FALSE(may("user01"));
  EXPECT_EQ(status().users_active, 12u);

  {
    const auto held = provider_.hold();
    provider_.users.erase("u-05");
  }
  provider_.group("g-staff", "ns-web-editors", {"u-00"});
  const auto full = run(RunMode::Full);
  EXPECT_EQ(full.outcome, Outcome::Applied) << full.detail;
  EXPECT_FALSE(may("user05"));
  EXPECT_EQ(status().users_suspended, 1u);
}

TEST_F(OidcSync, NoFaultOfTheProviderTakesAnybodysAccess) {
  ASSERT_EQ(after(std::nullopt).outcome, Outcome::Applied);
  using Answer = std::function<std::optional<HttpSaid>(const HttpAsked&)>;
  const auto at = [](const std::string& path, std::size_t request, HttpSaid said) {
    auto count = std::make_shared<std::size_t>(0);
    return Answer([=](const HttpAsked& asked) -> std::optional<HttpSaid> {
      return asked.path == path && ++*count >= request ? std::optional(said) : std::nullopt;
    });
  };
  const auto bomb = gzip_bomb(std::size_t{200} << 20);
  const std::vector<std::pair<std::string, Answer>> faults = {
      {"down at the first page", at("/v2/Users", 1, {.fault = HttpSaid::Fault::Reset})},
      {"down at a later page", at("/v2/Users", 2, {.fault = HttpSaid::Fault::Reset})},
      {"mute at the groups", at("/v2/Groups", 1, {.fault = HttpSaid::Fault::Mute})},
      {"error at a later page", at("/v2/Users", 3, {.status = 500})},
      {"forbidden", at("/v2/Users", 1, {.status = 403})},
      {"the token is refused in mid-walk", at("/v2/Users", 2, {.status = 401})},
      {"a page in HTML", at("/v2/Users", 2, {.body = "<html>sign in</html>", .headers = {{"Content-Type", "text/html"}}})},
      {"a redirect", at("/v2/Users", 1, {.status = 302, .headers = {{"Location", "https://elsewhere.example/"}}})},
      {"empty lists that say there are many", at("/v2/Users", 1, json_answer(R"({"totalResults":12,"Resources":[]})"))},
      {"empty lists that say there are none", at("/v2/Users", 1, json_answer(R"({"totalResults":0,"Resources":[]})"))},
      {"no groups any more", at("/v2/Groups", 1, json_answer(R"({"totalResults":0,"Resources":[]})"))},
      {"a gzip bomb", at("/v2/Users", 2, {.body = bomb, .headers = {{"Content-Encoding", "gzip"}}})},
      {"an endless body", at("/v2/Users", 1, {.fault = HttpSaid::Fault::Endless})},
      {"half an answer", at("/v2/Users", 2, {.body = R"({"totalResults":12,"Resources":[]})", .fault = HttpSaid::Fault::CutOff})},
      {"a limit for an hour", at("/v2/Users", 2, {.status = 429, .headers = {{"Retry-After", "3600"}}})}};
  for (const auto& [what, fault] : faults) {
    {
      const auto held = provider_.hold();
      provider_.first = fault;
    }
    const auto ended = run(RunMode::Full);
    EXPECT_TRUE(ended.outcome == Outcome::Failed || ended.outcome == Outcome::Partial || ended.outcome == Outcome::Held)
        << what << ": " << name_of(ended.outcome) << " " << ended.detail;
    EXPECT_FALSE(ended.detail.empty()) << what;
    EXPECT_THAT(ended.detail, testing::Not(HasSubstr("secret"))) << what;
    EXPECT_TRUE(may("user00")) << what;
    EXPECT_EQ(status().users_active, 12u) << what;
    EXPECT_EQ(status().groups_active, 1u) << what;
  }
  {
    const auto held = provider_.hold();
    provider_.first = nullptr;
  }
  EXPECT_EQ(run(RunMode::Full).outcome, Outcome::Unchanged) << "and it goes on as if nothing had been";
}

}  // namespace
}  // namespace rosterd::test
