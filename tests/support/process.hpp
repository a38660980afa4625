#pragma once
// What tests need from the operating system: child processes that never outlive the test, temporary folders, free ports, waiting.
// A request that cannot be met throws std::runtime_error with the reason and the tail of the child's output, which GoogleTest reports
// as a failure of the test at hand. The servers built on this are in postgres.hpp, slapd.hpp, samba.hpp and ds389.hpp.

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rosterd::test {

using Argv = std::vector<std::string>;
using Milliseconds = std::chrono::milliseconds;

/// Uid and gid of a system user; throws when there is none of that name.
struct Identity {
  uid_t uid = 0;
  gid_t gid = 0;
};
[[nodiscard]] Identity identity_of(const std::string& user);
[[nodiscard]] bool am_root();

/// A folder under the system's temporary folder that is removed with the object. Its path is short enough for unix sockets inside.
class TempDir {
 public:
  /// `owner`: gives the folder (mode 0700) to that user; ignored unless we are root.
  explicit TempDir(std::string_view prefix = "rosterd", const std::string& owner = {});
  ~TempDir();
  TempDir(TempDir&& other) noexcept;
  TempDir& operator=(TempDir&& other) noexcept;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] std::string file(std::string_view name) const { return (path_ / name).string(); }
  /// Writes a file in the folder (parents made, mode as given) and gives its path.
  std::string write(std::string_view name, std::string_view content, unsigned mode = 0600) const;

 private:
  std::filesystem::path path_;
};

[[nodiscard]] std::string read_file(const std::filesystem::path& path);
void write_file(const std::filesystem::path& path, std::string_view content, unsigned mode = 0600);
/// Gives `path` and everything below it to `user`; nothing when we are not root.
void give_to(const std::filesystem::path& path, const std::string& user);

/// A TCP port of 127.0.0.1 that was free a moment ago.
[[nodiscard]] int free_port();
/// True as soon as `ready` answers true; false when it has not within the time. Asks every 10 ms.
[[nodiscard]] bool wait_until(const std::function<bool()>& ready, Milliseconds timeout = Milliseconds(10'000));

struct ProcessOptions {
  std::map<std::string, std::string> env{};  ///< added to ours; an empty value removes the variable
  std::string user{};                        ///< run as this system user (only when we are root)
  std::string cwd{};
  std::string output{};  ///< file for stdout and stderr; empty = a file of our own that output() reads
  std::string error{};   ///< file for stderr alone; empty = the same as stdout
  std::string input{};   ///< what the child reads on stdin (small: it goes through a file); empty = /dev/null
  std::string netns{};   ///< name of a network namespace to run in
  int death_signal = 9;  ///< sent to the child when we die
};

/// A child process. It is spawned by a thread that lives as long as the program, so that PR_SET_PDEATHSIG (which fires when the spawning
/// *thread* ends, prctl(2)) means "when the test program is gone". Destroying the object kills the child.
class Process {
 public:
  explicit Process(const Argv& argv, ProcessOptions options = {});
  ~Process();
  Process(Process&& other) noexcept;
  Process& operator=(Process&& other) noexcept;
  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] bool is_running();
  /// Sends a signal; nothing when the child has ended.
  void kill(int signal);
  /// Exit status (128 + signal when killed by one) once the child ends; none when it has not within the time.
  std::optional<int> wait(Milliseconds timeout);
  /// Everything written to stdout (and stderr unless that has its own file) so far.
  [[nodiscard]] std::string output() const;

 private:
  pid_t pid_ = -1;
  std::optional<int> status_;
  std::string output_;
  bool own_output_ = false;
};

struct Ran {
  int status = 0;
  std::string output;  ///< stdout and stderr
};
/// Runs to the end; throws when it takes longer than `timeout` (the child is killed then).
[[nodiscard]] Ran run(const Argv& argv, ProcessOptions options = {}, Milliseconds timeout = Milliseconds(120'000));
/// The same, and throws with the output unless the status is 0; gives the output.
std::string run_ok(const Argv& argv, ProcessOptions options = {}, Milliseconds timeout = Milliseconds(120'000));

}  // namespace rosterd::test
