#pragma once
// A private PostgreSQL for a test program: initialised once, on a unix socket in a temporary folder, without TCP and without fsync.
// Each test takes a fresh database of its own, with an owner role (migrations) and an application role that cannot bypass row-level
// security. It can be stopped, killed and started again in the middle of a test.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/process.hpp"

namespace rosterd::test {

/// Connection URIs of libpq ("postgresql://role@/db?host=/tmp/…"), what PostgresStore::open takes.
struct Database {
  std::string name{};
  std::string owner_role{}, app_role{};
  std::string owner_url{};      ///< owns the database and its schema; no superuser
  std::string app_url{};        ///< neither owner nor superuser nor BYPASSRLS
  std::string superuser_url{};  ///< for looking behind the curtain
};

class PrivatePostgres {
 public:
  struct Options {
    std::vector<std::pair<std::string, std::string>> settings{};  ///< further lines of postgresql.conf, e.g. {"max_connections", "20"}
  };
  PrivatePostgres() : PrivatePostgres(Options{}) {}
  explicit PrivatePostgres(Options options);
  ~PrivatePostgres();

  /// The one of this program, started at first use, stopped at exit. Tests that stop or kill the server take one of their own.
  static PrivatePostgres& shared();

  [[nodiscard]] Database fresh_database();
  /// Runs SQL as superuser. One result column row per line, columns by tab, NULL as empty text; throws with the server's message.
  std::string query(const Database& database, const std::string& sql) { return query(database.superuser_url, sql); }
  /// The same on any URL (app_url, owner_url).
  static std::string query(const std::string& url, const std::string& sql);

  void start();
  void stop();       ///< fast shutdown: sessions are cut, everything is written
  void kill_hard();  ///< immediate shutdown (SIGQUIT): as a crash, recovery at the next start
  void restart() {
    stop();
    start();
  }
  /// SIGSTOP / SIGCONT of the postmaster and its children: a server that is there and mute.
  void freeze();
  void thaw();

  [[nodiscard]] pid_t pid() const { return server_ ? server_->pid() : -1; }
  [[nodiscard]] const std::string& socket_dir() const { return socket_dir_; }
  [[nodiscard]] std::string log() const;

 private:
  void signal_all(int signal);
  TempDir dir_;
  std::string socket_dir_, data_dir_, bin_dir_;
  std::optional<Process> server_;
  int databases_ = 0;
};

}  // namespace rosterd::test
