// Two daemons' publishers on one database: what one commits the other answers from, whatever is not heard, and a snapshot that does not
// pass its self-check is not published.
#include <gtest/gtest.h>

#include <algorithm>
#include <future>
#include <random>

#include "daemon/sync/publisher.hpp"
#include "schema/postgres/postgres_store.hpp"
#include "tests/support/postgres.hpp"

namespace rosterd::test {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

template <class T>
T must(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().what);
  return std::move(*result);
}

/// What one daemon has of it: a store, snapshots, a publisher.
struct Replica {
  explicit Replica(const Database& database, sync::PublisherOptions with = {.poll = 60s})
      : store(must(PostgresStore::open({.url = database.app_url, .owner_url = database.owner_url}))), options(std::move(with)) {}
  void start() {
    publisher = std::make_unique<sync::Publisher>(*store, snapshots, rbac::Catalogue::built_in(), options);
    if (const auto started = publisher->start(); !started) throw std::runtime_error(started.error().what);
  }
  std::shared_ptr<const rbac::Snapshot> at(const Revision& least, std::chrono::milliseconds within = 10s) {
    const auto found = snapshots.wait_for({"acme"}, least, steady_clock::now() + within);
    return found ? found->snapshot : nullptr;
  }
  [[nodiscard]] std::uint64_t count(sync::Made made) const { return snapshots.counted(made); }

  std::unique_ptr<Store> store;
  sync::PublisherOptions options;
  sync::Snapshots snapshots;
  std::unique_ptr<sync::Publisher> publisher;
};

class Replicas : public testing::Test {
 protected:
  Replicas() {
    const auto account =
        must(one.store->create_account({.email = "root@acme.test", .first_name = "R", .last_name = "A", .super_admin = true}, actor));
    std::vector<Role> roles;
    for (const auto& role : rbac::managed_roles())
      roles.push_back({.id = {},
                       .name = std::string(role.name),
                       .description = {},
                       .managed = true,
                       .admin = role.admin,
                       .permissions = role.permissions});
    must(one.store->create_tenant({.id = acme, .name = "Acme", .creator = account.id, .managed_roles = roles}, actor));
    for (const auto& role : must(one.store->roles(acme)))
      if (role.name == "Editor") editor = role.id;
  }
  Revision now() { return must(one.store->tenant(acme)).revision; }
  PrincipalId user(const std::string& name) {
    UserRecord record;
    record.username = name;
    return must(one.store->create_user(acme, record, actor)).value.id;
  }
  PrincipalId group(const std::string& name) { return must(one.store->create_group(acme, {.name = name}, actor)).value.id; }
  Binding bind(const Principal& who, std::optional<std::string> ns = {}) {
    return must(one.store->create_binding(acme, {.role = editor, .principal = who, .ns = std::move(ns), .expires_at = {}}, actor)).value;
  }
  static bool may(const rbac::Snapshot& snapshot, std::string_view key) {
    return snapshot
        .check({.type = PrincipalType::User, .key = key, .permission = "FLOW", .action = "READ", .ns = "a", .at = SystemClock().now()})
        .allowed;
  }
  std::shared_ptr<const rbac::Snapshot> from_all_rows(Store& store) {
    const auto builder = rbac::make_builder(rbac::Catalogue::built_in());
    if (const auto loaded = store.load_authorization(acme, *builder); !loaded) throw std::runtime_error(loaded.error().what);
    return must(builder->finish());
  }
  std::string sql(const std::string& text) { return PrivatePostgres::shared().query(database, text); }

  const TenantId acme{"acme"};
  const Actor actor{.account = {}, .by = "test", .ip = {}, .request_id = {}};
  Database database = PrivatePostgres::shared().fresh_database();
  Replica one{database};
  RoleId editor;
};

TEST_F(Replicas, ACommitOfOneIsVisibleOnTheOtherWithinASecondK7) {
  Replica other(database);  // whose poll comes once a minute: it has to hear
  other.start();
  const auto staff = group("Staff");
  bind({PrincipalType::Group, staff});
  ASSERT_TRUE(other.at(now()));
  std::vector<double> took;
  for (int i = 0; i < 100; ++i) {
    const auto name = fmt::format("u{}", i);
    const auto id = user(name);
    const auto revision = must(one.store->add_member(acme, staff, {PrincipalType::User, id}, actor)).revision;
    const auto committed = steady_clock::now();
    const auto snapshot = other.at(revision, 5s);
    took.push_back(std::chrono::duration<double, std::milli>(steady_clock::now() - committed).count());
    ASSERT_TRUE(snapshot);
    EXPECT_TRUE(may(*snapshot, name));
  }
  std::sort(took.begin(), took.end());
  RecordProperty("p50_ms", std::to_string(took[50]));
  RecordProperty("p99_ms", std::to_string(took[99]));
  EXPECT_LT(took[99], 1'000);
  EXPECT_GE(other.count(sync::Made::Updated), 50u);
  EXPECT_EQ(other.count(sync::Made::Built), 1u) << "at the start; from then on only what changed is read";
  EXPECT_EQ(other.count(sync::Made::CheckFailed), 0u);
}

TEST_F(Replicas, WhatIsNotHeardIsFoundByThePollK7) {
  Replica other(database, {.poll = 50ms, .listen = false});
  other.start();
  user("ada");
  EXPECT_TRUE(other.at(now(), 5s));
}

TEST_F(Replicas, WhatWasCommittedWhileTheLineWasLostIsFoundWhenItIsBackK7) {
  Replica other(database);
  other.start();
  user("ada");
  ASSERT_TRUE(other.at(now()));
  sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'rosterd-revisions'");
  user("bob");
  EXPECT_TRUE(other.at(now(), 5s));
}

TEST_F(Replicas, ARevokedRightIsGoneOnEveryReplicaAtTheReturnedRevisionK4K5) {
  Replica other(database);
  one.start();
  other.start();
  const auto ada = user("ada"), staff = group("Staff"), outer = group("Outer");
  must(one.store->add_member(acme, outer, {PrincipalType::Group, staff}, actor));
  bind({PrincipalType::Group, outer}, "a");
  ASSERT_TRUE(other.at(now()) && one.at(now()));

  // Everybody looks all the time, and remembers what he saw at which revision.
  using Seen = std::map<Revision, bool>;
  std::atomic<bool> over{false};
  std::atomic<int> contradictions{0};
  const auto look = [&](Replica& replica) {
    Seen seen;
    Revision last;
    while (!over) {
      const auto found = replica.snapshots.find(acme);
      const auto revision = found->snapshot->revision();
      if (revision < last) ++contradictions;
      last = revision;
      const bool allowed = may(*found->snapshot, "ada");
      if (const auto [at, fresh] = seen.try_emplace(revision, allowed); !fresh && at->second != allowed) ++contradictions;
    }
    return seen;
  };
  std::vector<std::future<Seen>> looking;
  for (auto* replica : {&one, &other, &other}) looking.push_back(std::async(std::launch::async, look, std::ref(*replica)));

  Seen truth;
  std::mt19937 random(3);
  bool allowed = false;
  std::optional<BindingId> own;
  for (int i = 0; i < 150; ++i) {
    Revision revision;
    if (!allowed && random() % 3 == 0) {
      const auto made = must(
          one.store->create_binding(acme, {.role = editor, .principal = {PrincipalType::User, ada}, .ns = "a", .expires_at = {}}, actor));
      own = made.value.id;
      revision = made.revision;
    } else if (!allowed) {
      revision = must(one.store->add_member(acme, staff, {PrincipalType::User, ada}, actor)).revision;
    } else if (own) {
      revision = must(one.store->delete_binding(acme, *own, false, actor));
      own.reset();
    } else {
      revision = must(one.store->remove_member(acme, staff, {PrincipalType::User, ada}, false, actor));
    }
    allowed = !allowed;
    truth[revision] = allowed;
    if (i % 2 == 0) one.publisher->changed(acme);  // as a handler does; the other times nobody tells
    for (auto* replica : {&one, &other}) {
      const auto snapshot = replica->at(revision, 5s);
      ASSERT_TRUE(snapshot) << "change " << i;
      EXPECT_EQ(may(*snapshot, "ada"), allowed) << "change " << i;
    }
  }
  over = true;
  for (auto& each : looking)
    for (const auto& [revision, saw] : each.get())
      if (const auto at = truth.find(revision); at != truth.end()) {
        EXPECT_EQ(saw, at->second) << text(revision);
      }
  EXPECT_EQ(contradictions, 0);
  EXPECT_EQ(other.count(sync::Made::CheckFailed), 0u);
}

TEST_F(Replicas, UpdatesGiveWhatAllRowsGiveP3) {
  Replica other(database);
  other.start();
  std::mt19937 random(11);
  std::vector<PrincipalId> users, groups;
  std::vector<BindingId> bindings;
  const auto one_of = [&](const auto& list) { return list[random() % list.size()]; };
  for (int i = 0; i < 120; ++i) {
    switch (random() % 7) {
      case 0:
        users.push_back(user(fmt::format("User{}", i)));
        break;
      case 1:
        groups.push_back(group(fmt::format("Group {}", i)));
        break;
      case 2:
        if (!users.empty() && !groups.empty())
          must(one.store->add_member(acme, one_of(groups), {PrincipalType::User, one_of(users)}, actor));
        break;
      case 3:
        if (!users.empty() && !groups.empty())
          must(one.store->remove_member(acme, one_of(groups), {PrincipalType::User, one_of(users)}, false, actor));
        break;
      case 4:
        if (!users.empty()) must(one.store->set_user_suspended(acme, one_of(users), random() % 2 == 0, actor));
        break;
      case 5:
        if (!groups.empty()) bindings.push_back(bind({PrincipalType::Group, one_of(groups)}, fmt::format("n{}.m", i)).id);
        break;
      default:
        if (!bindings.empty()) {
          must(one.store->delete_binding(acme, bindings.back(), false, actor));
          bindings.pop_back();
        }
    }
    if (i % 10 == 9) {
      const auto snapshot = other.at(now());
      ASSERT_TRUE(snapshot);
      EXPECT_EQ(snapshot->content_hash(), from_all_rows(*one.store)->content_hash()) << "after change " << i;
    }
  }
  EXPECT_GT(other.count(sync::Made::Updated), 10u);
  EXPECT_EQ(other.count(sync::Made::CheckFailed), 0u);
}

TEST_F(Replicas, AnUpdateThatFailsItsSelfCheckIsNotPublishedButBuiltFromAllRowsP2) {
  std::atomic<int> checked_updates{0};
  Replica other(database, {.poll = 60s,
                           .check = [&](const rbac::Snapshot& snapshot, const AuthorizationChanges* changes, const auto&) -> Result<void> {
                             if (changes != nullptr && ++checked_updates == 1) return fail(Errc::Internal, "as the test wants it");
                             return rbac::self_check(snapshot, changes);
                           }});
  other.start();
  user("ada");
  ASSERT_TRUE(other.at(now()));
  EXPECT_EQ(other.count(sync::Made::CheckFailed), 1u);
  EXPECT_EQ(other.count(sync::Made::Built), 2u);
  EXPECT_EQ(other.count(sync::Made::Updated), 0u);
  user("bob");
  ASSERT_TRUE(other.at(now()));
  EXPECT_EQ(other.count(sync::Made::Updated), 1u) << "the next one is an update again";
}

TEST_F(Replicas, ABuildThatFailsItsSelfCheckLeavesTheSnapshotThatServesP2) {
  std::atomic<bool> bad{false};
  Replica other(database, {.poll = 50ms,
                           .check = [&](const rbac::Snapshot& snapshot, const AuthorizationChanges* changes, const auto&) -> Result<void> {
                             if (bad) return fail(Errc::Internal, "as the test wants it");
                             return rbac::self_check(snapshot, changes);
                           }});
  other.start();
  const auto before = now();
  bad = true;
  user("ada");
  EXPECT_FALSE(other.at(now(), 500ms));
  EXPECT_TRUE(other.at(before));
  EXPECT_GE(other.count(sync::Made::CheckFailed), 2u);
  bad = false;
  EXPECT_TRUE(other.at(now(), 5s)) << "tried again";
}

TEST_F(Replicas, EveryDayUpdatesAreComparedWithABuildFromAllRowsP3) {
  Replica other(database, {.poll = 50ms, .whole_every = 200ms});
  other.start();
  const auto ada = user("ada");
  ASSERT_TRUE(other.at(now()));
  ASSERT_TRUE(wait_until([&] { return other.count(sync::Made::Built) >= 2; })) << "the day is over";
  EXPECT_EQ(other.count(sync::Made::Differed), 0u);
  const auto built = other.count(sync::Made::Built);
  std::this_thread::sleep_for(500ms);  // two "days" in which nothing may happen
  EXPECT_EQ(other.count(sync::Made::Built), built) << "nothing was updated since: there is nothing to compare";

  user("bob");
  ASSERT_TRUE(other.at(now()));
  sql(fmt::format("UPDATE rosterd.tenant_user SET username = 'lovelace' WHERE id = {}", ada.value));  // behind everybody's back
  EXPECT_TRUE(wait_until([&] { return other.count(sync::Made::Differed) == 1; }));
  const auto healed = other.at(now());
  EXPECT_EQ(healed->resolve(PrincipalType::User, "lovelace").kind, rbac::Resolved::Found) << "what all rows give is what serves";
}

TEST_F(Replicas, APublisherEndsSoonAlsoWhenPostgresqlIsFrozen) {
  PrivatePostgres own;
  const auto its_database = own.fresh_database();
  Replica replica(its_database);
  replica.start();
  own.freeze();
  const auto began = steady_clock::now();
  replica.store->limit_calls(500ms);  // as a daemon that ends does: a look at the revisions may be on its way
  replica.publisher->stop();
  EXPECT_LT(steady_clock::now() - began, 5s);
  own.thaw();
}

}  // namespace
}  // namespace rosterd::test
