#pragma once
// The thread that keeps the embedded PostgreSQL alive: starts it, passes its log on, starts it again with growing pauses when it dies, and
// stops it. It is the thread that forks, so that the server is told to end when it ends (PR_SET_PDEATHSIG).

#include <chrono>
#include <deque>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>

#include "schema/postgres/child_process.hpp"
#include "schema/postgres/embedded.hpp"
#include "schema/postgres/embedded_files.hpp"

namespace rosterd {

class EmbeddedPostgres::Supervisor {
 public:
  Supervisor(EmbeddedPostgres& owner, postgres::Installation installation, postgres::RunAs as, std::filesystem::path data_dir);
  /// Until `stop` is requested; returns when the server has ended.
  void run(std::stop_token stop);

 private:
  using Instant = std::chrono::steady_clock::time_point;
  void launch();
  void pass_log_on(postgres::Child& child);
  void line(std::string_view text);
  /// The server has ended by itself: gives the reason for the first start, plans the next one otherwise.
  void mourn(int status);
  void answers(const postgres::Child& child);
  void set(State state);
  void shut_down();
  [[nodiscard]] bool may_come_later() const;

  EmbeddedPostgres& owner_;
  postgres::Installation installation_;
  postgres::RunAs as_;
  std::filesystem::path data_dir_;
  std::string ping_url_;
  std::optional<postgres::Child> child_;
  bool log_open_ = false;   ///< the server has not closed its end of the pipe (a logging_collector of its own would)
  std::string unfinished_;  ///< the log's last, incomplete line
  std::deque<std::string> last_lines_;
  bool was_up_ = false;    ///< it has answered at least once
  bool stopping_ = false;  ///< it was told to end
  bool given_up_ = false;  ///< the first start failed for good
  Instant started_{};
  std::optional<Instant> restart_at_;
  std::chrono::milliseconds pause_{0};
};

}  // namespace rosterd
