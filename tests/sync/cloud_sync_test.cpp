// Entra and Okta as sources from end to end: a simulator, the connector, the engine, a real PostgreSQL. Whatever the provider does, nobody
// is suspended by it; who is taken out of a group or deleted loses what he had by it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "connectors/connector.hpp"
#include "daemon/sync/engine.hpp"
#include "rbac/catalogue.hpp"
#include "schema/postgres/postgres_store.hpp"
#include "tests/support/entra_simulator.hpp"
#include "tests/support/okta_simulator.hpp"
#include "tests/support/postgres.hpp"

namespace rosterd::test {
namespace {

using testing::AnyOf;
using testing::UnorderedElementsAre;

constexpr int kPeople = 30;

std::string person(int number) { return fmt::format("u{:02}", number); }

class CloudSync : public testing::Test {
 protected:
  void set_up(const nlohmann::json& settings) {
    const auto account =
        must(store_->set_up({.email = "root@acme.test", .first_name = "R", .last_name = "A", .super_admin = true},
                            {.name = "first", .hash = std::string(32, 'h'), .last4 = "hhhh", .expires_at = std::nullopt}, {}));
    std::vector<Role> roles;
    for (const auto& role : rbac::managed_roles())
      roles.push_back({.id = {},
                       .name = std::string(role.name),
                       .description = {},
                       .managed = true,
                       .admin = role.admin,
                       .permissions = role.permissions});
    must(store_->create_tenant({.id = tenant_, .name = "Acme", .creator = account.id, .managed_roles = roles}, {}));
    NewSource source;
    source.name = "idp";
    source.type = "oidc";
    source.settings = settings.dump();
    source_ = must(store_->create_source(tenant_, source, {})).value;
  }

  template <class T>
  static T must(Result<T> result) {
    if (!result) throw std::runtime_error(result.error().what);
    return std::move(*result);
  }

  rosterd::Run sync(RunMode mode = RunMode::Auto) {
    (void)must(store_->request_run(tenant_, source_.id, mode, false, {}));
    const auto work = must(store_->claim("test", Millis(60'000), clock_.now()));
    const auto type = must(connectors::find_connector_type("oidc"));
    connectors::ConnectorOptions options;
    options.allowed_networks = {"127.0.0.0/8"};
    options.operation_timeout = std::chrono::milliseconds(1000);
    options.read_deadline = deadline_;
    const auto directory = must(type->make({.json = source_.settings, .learnt = work->state.learnt}, options));
    sync::RunControl control;
    (void)sync::Engine(*store_, clock_).run(*work, *directory, type->fingerprint(source_.settings), control, {});
    return must(store_->run(tenant_, work->run.id));
  }

  std::set<std::string> members(const std::string& group) {
    std::set<std::string> out;
    for (const auto& one : must(store_->groups(tenant_, {})).items)
      if (one.name == group)
        for (const auto& member : must(store_->members(tenant_, one.id, {})).items)
          out.insert(member.name.substr(0, member.name.find('@')));
    return out;
  }
  std::size_t active() {
    std::size_t out = 0;
    for (const auto& user : must(store_->users(tenant_, {})).items) out += user.source && user.active() ? 1 : 0;
    return out;
  }
  User user(const std::string& name) { return must(store_->user(tenant_, name + "@acme.example")); }

  /// Every fault at the first request of the API and at a later one, in both kinds of reads: nobody leaves, no group loses anybody.
  template <class Simulator>
  void expect_faults_harm_nobody(Simulator& provider, const std::string& api, const std::function<void()>& change) {
    const auto before = members("staff");
    ASSERT_EQ(before.size(), 4u);
    const std::vector<std::pair<const char*, HttpSaid>> faults{
        {"403", json_answer("{}", 403)},
        {"500", {.status = 500}},
        {"HTML", {.status = 200, .body = "<html>", .headers = {{"Content-Type", "text/html"}}}},
        {"nothing", json_answer("{}")},
        {"cut off", {.body = R"({"value":[]})", .fault = HttpSaid::Fault::CutOff}},
        {"limits for ever", {.status = 429, .headers = {{"Retry-After", "3600"}}}},
    };
    deadline_ = std::chrono::milliseconds(800);
    for (const auto& [name, said] : faults)
      for (const std::size_t from : {1, 3, 6})
        for (const auto mode : {RunMode::Full, RunMode::Auto}) {
          SCOPED_TRACE(fmt::format("{} from request {} on, {}", name, from, name_of(mode)));
          if (mode == RunMode::Auto) change();
          std::size_t count = 0;
          provider.intercept([&, said = said](const HttpAsked& asked) -> std::optional<HttpSaid> {
            return asked.path.starts_with(api) && ++count >= from ? std::optional(said) : std::nullopt;
          });
          const auto run = sync(mode);
          provider.intercept({});
          if (count >= from) {
            EXPECT_THAT(run.outcome, AnyOf(Outcome::Failed, Outcome::Partial)) << run.detail;
          }
          EXPECT_EQ(active(), std::size_t{kPeople});
          EXPECT_EQ(members("staff"), before);
        }
    deadline_ = std::chrono::seconds(20);
    EXPECT_THAT(sync(RunMode::Full).outcome, AnyOf(Outcome::Applied, Outcome::Unchanged));
    EXPECT_EQ(active(), std::size_t{kPeople});
  }

  Database database_ = PrivatePostgres::shared().fresh_database();
  std::unique_ptr<Store> store_ = must(PostgresStore::open({.url = database_.app_url, .owner_url = database_.owner_url}));
  std::chrono::milliseconds deadline_{20'000};
  SystemClock clock_;
  TenantId tenant_{"acme"};
  Source source_;
};

class EntraSync : public CloudSync {
 protected:
  EntraSync() {
    for (int i = 0; i < kPeople; ++i) entra.user(person(i));
    entra.put_group("staff");
    for (int i = 0; i < 4; ++i) entra.add_member("staff", person(i));
    set_up(entra.settings());
  }
  EntraSimulator entra;
};

TEST_F(EntraSync, PeopleJoinMoveAndLeaveByDeltas) {
  auto run = sync();
  ASSERT_EQ(run.outcome, Outcome::Applied) << run.detail;
  EXPECT_EQ(active(), std::size_t{kPeople});
  EXPECT_THAT(members("staff"), UnorderedElementsAre("u00", "u01", "u02", "u03"));

  run = sync();
  EXPECT_EQ(run.outcome, Outcome::Unchanged) << run.detail;
  EXPECT_EQ(run.cursor_kind, "delta");

  // Only the new one is in the delta of users: the group's other members are known by id.
  entra.user("new");
  entra.add_member("staff", "new");
  entra.remove_member("staff", person(1));
  run = sync();
  ASSERT_EQ(run.outcome, Outcome::Applied) << run.detail;
  EXPECT_EQ(run.cursor_kind, "delta");
  EXPECT_EQ(run.plan->counts.edges_added, 1u);
  EXPECT_EQ(run.plan->counts.edges_removed, 1u);
  EXPECT_THAT(members("staff"), UnorderedElementsAre("u00", "u02", "u03", "new"));

  const auto id = user("new").id;
  entra.remove_user("new");
  run = sync();
  ASSERT_EQ(run.outcome, Outcome::Applied) << run.detail;
  EXPECT_FALSE(user("new").active());
  EXPECT_EQ(active(), std::size_t{kPeople});

  entra.user("new");  // restored from the bin, with the same id
  run = sync();
  ASSERT_EQ(run.outcome, Outcome::Applied) << run.detail;
  EXPECT_TRUE(user("new").active());
  EXPECT_EQ(user("new").id, id);

  entra.change_user("new", [](EntraUser& one) { one.enabled = false; });
  run = sync();
  ASSERT_EQ(run.outcome, Outcome::Applied) << run.detail;
  EXPECT_EQ(user("new").source_suspended, Leaving::DisabledAtSource);
}

TEST_F(EntraSync, AForgottenDeltaIsAFullReadThatMissesNothing) {
  ASSERT_EQ(sync().outcome, Outcome::Applied);
  entra.user("new");
  entra.remove_user(person(29));
  entra.with([](EntraSwitches& is) { is.forgotten = true; });
  auto run = sync();
  ASSERT_EQ(run.outcome, Outcome::Applied) << run.detail;
  EXPECT_EQ(run.cursor_kind, "full");
  EXPECT_TRUE(user("new").active());
  EXPECT_FALSE(user(person(29)).active());
  entra.with([](EntraSwitches& is) { is.forgotten = false; });
  run = sync();
  EXPECT_EQ(run.outcome, Outcome::Unchanged) << run.detail;
  EXPECT_EQ(run.cursor_kind, "delta");
}

TEST_F(EntraSync, ReplaysInAnyOrderChangeNothing) {
  entra.with([](EntraSwitches& is) { is.shuffled = is.repeats = is.empty_pages = is.replays = true; });
  auto run = sync();
  ASSERT_EQ(run.outcome, Outcome::Applied) << run.detail;
  EXPECT_EQ(sync(RunMode::Full).outcome, Outcome::Unchanged);
  entra.remove_member("staff", person(0));
  entra.add_member("staff", person(0));
  entra.remove_user(person(9));
  entra.user(person(9));
  for (int i = 0; i < 3; ++i) {
    run = sync();
    EXPECT_EQ(run.outcome, Outcome::Unchanged) << run.detail;
  }
  EXPECT_EQ(active(), std::size_t{kPeople});
}

TEST_F(EntraSync, NoFaultSuspendsAnybodyOrEmptiesAGroup) {
  ASSERT_EQ(sync().outcome, Outcome::Applied);
  int number = 0;
  expect_faults_harm_nobody(entra, "/v1.0/", [&] {
    for (int i = 0; i < 5; ++i) entra.change_user(person(i), [&](EntraUser& one) { one.surname = fmt::format("S{}", number++); });
    entra.change_group("staff", [&](EntraGroup& group) { group.description = fmt::format("D{}", number); });
  });
}

class OktaSync : public CloudSync {
 protected:
  OktaSync() {
    for (int i = 0; i < kPeople; ++i) okta.user(person(i));
    okta.group("staff", {person(0), person(1), person(2), person(3)});
    okta.advance(std::chrono::hours(1));
    set_up(okta.settings());
  }
  OktaSimulator okta;
};

TEST_F(OktaSync, PeopleJoinMoveAndLeave) {
  auto run = sync();
  ASSERT_EQ(run.outcome, Outcome::Applied) << run.detail;
  EXPECT_EQ(active(), std::size_t{kPeople});
  EXPECT_THAT(members("staff"), UnorderedElementsAre("u00", "u01", "u02", "u03"));
  okta.advance(std::chrono::hours(1));
  EXPECT_EQ(sync().outcome, Outcome::Unchanged);

  okta.advance(std::chrono::hours(1));
  okta.user("new");
  okta.add_member("staff", "new");
  okta.remove_member("staff", person(1));
  okta.change_user(person(2), [](OktaUser& one) { one.status = "DEPROVISIONED"; });
  run = sync();
  ASSERT_EQ(run.outcome, Outcome::Applied) << run.detail;
  EXPECT_EQ(run.cursor_kind, "last_updated");
  EXPECT_THAT(members("staff"), UnorderedElementsAre("u00", "u02", "u03", "new"));
  EXPECT_EQ(user(person(2)).source_suspended, Leaving::DisabledAtSource);

  okta.change_user(person(2), [](OktaUser& one) { one.status = "ACTIVE"; });
  okta.delete_user("new");
  run = sync();
  ASSERT_EQ(run.outcome, Outcome::Applied) << run.detail;
  EXPECT_TRUE(user(person(2)).active());
  EXPECT_TRUE(user("new").active()) << "times show no deletes …";
  run = sync(RunMode::Full);
  ASSERT_EQ(run.outcome, Outcome::Applied) << run.detail;
  EXPECT_FALSE(user("new").active()) << "… the full read does";
  EXPECT_EQ(active(), std::size_t{kPeople});
  EXPECT_EQ(sync(RunMode::Full).outcome, Outcome::Unchanged);
}

TEST_F(OktaSync, NoFaultSuspendsAnybodyOrEmptiesAGroup) {
  ASSERT_EQ(sync().outcome, Outcome::Applied);
  int number = 0;
  expect_faults_harm_nobody(okta, "/api/v1/", [&] {
    for (int i = 0; i < 5; ++i) okta.change_user(person(i), [&](OktaUser& one) { one.last = fmt::format("S{}", number++); });
    okta.change_group("staff", [&](OktaGroup& group) { group.description = fmt::format("D{}", number); });
  });
}

}  // namespace
}  // namespace rosterd::test
