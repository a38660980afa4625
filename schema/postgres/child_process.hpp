#pragma once
// One child process with its output on a pipe: what starting PostgreSQL's own programs takes. It is told to end when the thread that
// started it ends (PR_SET_PDEATHSIG), so whoever starts a server does it from a thread that lives as long as the server shall.

#include <sys/types.h>

#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "schema/core/result.hpp"

namespace rosterd::postgres {

/// Whom a child runs as. `name` is for messages.
struct RunAs {
  std::string name;
  uid_t uid = 0;
  gid_t gid = 0;
  bool change = false;  ///< we are root and must become somebody else
};

class Child {
 public:
  /// Starts `argv` (an absolute path first) in `cwd` with a clean environment, a process group of its own and nothing but stdio open.
  [[nodiscard]] static Result<Child> start(const std::vector<std::string>& argv, const RunAs& as, const std::string& cwd, int death_signal);
  ~Child();  ///< the child must have ended (ended() answered); otherwise it is killed
  Child(Child&& other) noexcept;
  Child& operator=(Child&& other) noexcept;

  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] int pidfd() const { return pidfd_; }    ///< readable when the child has ended
  [[nodiscard]] int output() const { return output_; }  ///< non-blocking; stdout and stderr
  /// Appends what there is to read; false at the end of the output.
  bool drain(std::string& into) const;
  void signal(int number) const;
  /// Its exit status, 128 + signal when killed by one; none while it runs.
  [[nodiscard]] std::optional<int> ended();

 private:
  Child() = default;
  void close_all() noexcept;
  pid_t pid_ = -1;
  int pidfd_ = -1;
  int output_ = -1;
  std::optional<int> status_;
};

struct Finished {
  int status = 0;
  std::string output;
};
/// Runs to the end. Stopped when `stop` is requested meanwhile (the child is killed).
[[nodiscard]] Result<Finished> run_to_end(const std::vector<std::string>& argv, const RunAs& as, const std::string& cwd,
                                          std::stop_token stop);

}  // namespace rosterd::postgres
