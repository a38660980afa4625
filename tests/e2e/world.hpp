#pragma once
// The whole of rosterd as its users meet it: a real daemon process on a real PostgreSQL, reading a real slapd, spoken to through HTTP. Each
// test builds the world it needs, breaks a part of it, and asks what rosterd says then.

#include <fmt/format.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/e2e/api.hpp"
#include "tests/support/postgres.hpp"
#include "tests/support/process.hpp"
#include "tests/support/slapd.hpp"

namespace rosterd::e2e {

using nlohmann::json;
using test::Milliseconds;

struct DaemonOptions {
  std::string lease_heartbeat = "200ms";
  std::string lease_expiry = "2s";
  std::string operation_timeout = "3s";
  std::string connect_timeout = "2s";
  std::string max_snapshot_age = "1m";
  int workers = 2;
};

/// One rosterd process with a configuration and a state folder of its own.
class Daemon {
 public:
  Daemon(const test::Database& database, std::string token, DaemonOptions options = {});
  void start();      ///< and waits until it is ready
  void kill_hard();  ///< SIGKILL
  int stop();        ///< SIGTERM; the exit status
  [[nodiscard]] Api api() const { return {url_, token_}; }
  [[nodiscard]] Api api_as(std::string token) const { return {url_, std::move(token)}; }
  [[nodiscard]] bool is_running() { return process_ && process_->is_running(); }
  [[nodiscard]] std::string log() const { return test::read_file(dir_.file("log")); }
  [[nodiscard]] pid_t pid() const { return process_->pid(); }

 private:
  test::TempDir dir_{"rosterd-e2e"};
  std::string token_, url_;
  int port_ = 0;
  std::optional<test::Process> process_;
};

/// A directory entry as LDIF. Names are plain ASCII words here; the unusual ones have their own tests in tests/connectors.
[[nodiscard]] std::string person_ldif(const std::string& uid, const std::string& suffix, const std::string& ou = "people");
[[nodiscard]] std::string group_ldif(const std::string& cn, const std::vector<std::string>& uids, const std::string& suffix);
/// The two containers below a suffix, and the suffix.
[[nodiscard]] std::string base_ldif(const std::string& suffix);

/// A tenant "acme" with a source "corp" on one slapd, and a daemon that serves it.
class World {
 public:
  static constexpr const char* kSuffix = "dc=acme,dc=example";
  struct Options {
    int people = 20;
    std::string ldif{};           ///< instead of `people` generated ones and the group "staff" of all of them
    std::string database_conf{};  ///< slapd
    DaemonOptions daemon{};
    bool own_postgres = false;  ///< for tests that stop it
    std::string bind_dn{};      ///< default: anonymous
    std::string bind_password{};
    json source = nullptr;                   ///< merged over the default source
    std::optional<test::Certificate> tls{};  ///< the source then uses ldaps:// and trusts `ca_file`
    std::string ca_file{};
  };
  World() : World(Options{}) {}
  explicit World(Options options);

  [[nodiscard]] Api api() const { return daemon->api(); }
  /// Starts a run and waits for its end; gives the run.
  json sync(const json& request = json::object(), Milliseconds within = Milliseconds(30'000));
  /// The first sync of a test; throws with the run and the daemon's log when it does not succeed.
  void first_sync();
  /// Starts a run and does not wait; gives its id.
  std::string start_sync(const json& request = json::object());
  json wait_for_run(const std::string& id, Milliseconds within = Milliseconds(30'000));
  [[nodiscard]] json run(const std::string& id) const;
  /// How many users are in that state: "active", "suspended".
  [[nodiscard]] std::size_t users(const std::string& state) const;
  [[nodiscard]] json user(const std::string& username) const;
  [[nodiscard]] json all_users() const;
  /// The decision of a check, after waiting for the newest revision to be published.
  [[nodiscard]] json check(const std::string& subject, const std::string& permission, const std::string& action,
                           const std::string& ns = {}) const;
  /// Changes the source with a merge patch.
  void change_source(const json& patch);

  test::PrivatePostgres& postgres() { return own_postgres_ ? *own_postgres_ : test::PrivatePostgres::shared(); }
  std::optional<test::PrivatePostgres> own_postgres_;
  test::Database database;
  std::string token;
  std::unique_ptr<test::PrivateSlapd> slapd;
  std::unique_ptr<Daemon> daemon;
};

}  // namespace rosterd::e2e
