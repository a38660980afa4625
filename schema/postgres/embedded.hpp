#pragma once
// A private PostgreSQL for one daemon: a state directory goes in; two URLs come out, one of the role that owns the schema and one of the
// role rosterd works with. The server is initialised once, reachable over a unix socket in a folder only its user (and root) can enter,
// kept running, and stopped last. What is stored in it is the business of postgres_store.hpp.

#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>

#include "schema/core/clock.hpp"
#include "schema/core/result.hpp"

namespace rosterd {

class EmbeddedPostgres {
 public:
  struct Options {
    std::filesystem::path state_dir;                ///< made when absent (0700); holds data/, the lock, and run/ with the socket
    std::filesystem::path bin_dir{};                ///< empty = the newest /usr/lib/postgresql/*/bin of version 15 or later
    std::string run_as = "postgres";                ///< system user, used only when we are root: PostgreSQL refuses to run as root
    std::map<std::string, std::string> settings{};  ///< PostgreSQL's own, over the defaults of embedded_files.cpp
    unsigned connections = 0;                       ///< that are opened at most; there is room for these and a few of an operator's
    Millis start_timeout{60'000};                   ///< crash recovery included
  };
  enum class State { Starting, Running, Restarting, Stopped };

  /// Initialises if need be, starts, waits until it answers, and makes sure that roles and database exist. Refused: root without a user to
  /// become, a data directory of another major version. Conflict: another daemon uses the directory. Unavailable: disk, permissions,
  /// time-out. Stopped: `stop` was requested meanwhile. A server left behind by a killed daemon is waited for first.
  [[nodiscard]] static Result<std::unique_ptr<EmbeddedPostgres>> start(Options options, std::stop_token stop);
  /// Fast shutdown; returns when the server has ended.
  ~EmbeddedPostgres();
  EmbeddedPostgres(const EmbeddedPostgres&) = delete;
  EmbeddedPostgres& operator=(const EmbeddedPostgres&) = delete;

  /// Of the role rosterd works with: neither owner nor superuser nor BYPASSRLS.
  [[nodiscard]] std::string app_url() const;
  /// Of the role that owns database and tables, for migrations.
  [[nodiscard]] std::string owner_url() const;
  /// Of the superuser, for repair and tests; rosterd itself works without it.
  [[nodiscard]] std::string superuser_url() const;
  [[nodiscard]] State state() const { return state_.load(); }
  [[nodiscard]] int version() const { return major_; }
  [[nodiscard]] long server_pid() const { return pid_.load(); }

 private:
  class Supervisor;
  EmbeddedPostgres() = default;
  [[nodiscard]] std::string url(std::string_view role, std::string_view database) const;
  [[nodiscard]] Result<void> wait_until_running(Millis timeout, std::stop_token stop);

  int lock_ = -1;  ///< flock on state_dir/lock: one daemon per directory
  int major_ = 0;
  std::string socket_dir_;
  bool remove_socket_dir_ = false;
  std::atomic<State> state_{State::Starting};
  std::atomic<long> pid_{-1};
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::string failure_;      ///< under mutex_: why the first start came to nothing
  std::jthread supervisor_;  ///< last: the thread that starts the server and lives as long as it
};

[[nodiscard]] std::string_view name_of(EmbeddedPostgres::State state);  ///< "starting", "running", …

}  // namespace rosterd
