#pragma once
// A rosterd for tests of the HTTP side: the real store on a private PostgreSQL, the real snapshots and server, one super admin. Only the
// publisher is replaced, by one that publishes before `changed` returns.

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "daemon/http/server.hpp"
#include "schema/core/guarded.hpp"
#include "tests/http/client.hpp"
#include "tests/support/postgres.hpp"
#include "tests/support/process.hpp"

namespace rosterd::test {

class DirectControl final : public sync::SyncControl {
 public:
  DirectControl(Store& store, sync::Snapshots& snapshots, std::shared_ptr<const rbac::Catalogue> catalogue)
      : store_(store), snapshots_(snapshots), catalogue_(std::move(catalogue)) {}
  void wake() override { ++wakes; }
  void changed(const TenantId& tenant) override;
  [[nodiscard]] std::optional<std::string> progress(RunId) const override;

  std::atomic<int> wakes{0};
  std::atomic<bool> asleep{false};  ///< publishes nothing, as a replica that hears of nothing
  Guarded<std::string> live;        ///< what progress() says of every run

 private:
  Store& store_;
  sync::Snapshots& snapshots_;
  std::shared_ptr<const rbac::Catalogue> catalogue_;
};

/// One person with a token.
struct Person {
  AccountId account;
  std::string email;
  std::string token;
};

class World {
 public:
  /// What signs in through issuers, of the world it is in; borrowed from it.
  using MakeIssuers = std::function<std::unique_ptr<http::Issuers>(World&)>;
  explicit World(http::HttpOptions options = {}, const MakeIssuers& make_issuers = {});
  ~World();
  /// The one most tests share; each takes a tenant of its own.
  static World& shared();

  /// Makes the super admin, if there is none, and gives his token.
  const std::string& set_up();
  [[nodiscard]] Client root() const { return as(root_token); }
  [[nodiscard]] Client as(const std::string& token) const { return {server->port(), token}; }
  [[nodiscard]] Client as(const Person& person) const { return as(person.token); }
  [[nodiscard]] Client nobody() const { return as(std::string()); }
  /// An account with a token, in no tenant.
  Person person(const std::string& name);
  /// A fresh tenant, made by a super admin for `creator` (himself by default).
  std::string tenant(const Person* creator = nullptr);
  /// A tenant that `person` is in, holding exactly the given role content tenant-wide (nothing when empty).
  std::string tenant_where(const Person& person, const std::string& permissions_json);
  /// The user `person` is in that tenant.
  PrincipalId user_of(const Person& person, const std::string& tenant);

  Database database;
  std::unique_ptr<Store> store;
  std::unique_ptr<Secrets> secrets;
  std::shared_ptr<const rbac::Catalogue> catalogue;
  sync::Snapshots snapshots;
  std::unique_ptr<DirectControl> control;
  SystemClock clock;
  http::SetupGate gate;
  TempDir dir;
  std::string setup_secret;
  std::string root_token, root_email = "root@example.org";
  std::unique_ptr<http::Issuers> issuers;
  std::unique_ptr<http::Server> server;

 private:
  std::atomic<int> next_{0};
};

/// Waits out the short caches of the wrapper.
void outlast_caches();

}  // namespace rosterd::test
