#include "schema/postgres/child_process.hpp"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

namespace rosterd::postgres {
namespace {

/// Between fork and exec of a program with threads: async-signal-safe calls only.
[[noreturn]] void become(char* const* argv, char* const* env, const RunAs& as, const char* cwd, int death_signal, int output,
                         pid_t parent) {
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  std::signal(SIGPIPE, SIG_DFL);
  setpgid(0, 0);  // Ctrl-C at a terminal is for the daemon, which then stops its PostgreSQL last
  const int null = open("/dev/null", O_RDONLY);
  const auto give_up = [&](const char* doing) {
    const char* why = strerrordesc_np(errno);
    for (const char* text : {doing, ": ", why != nullptr ? why : "unknown error", "\n"})
      if (write(output, text, std::strlen(text)) < 0) break;
    _exit(126);
  };
  if (null < 0 || dup2(null, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0) give_up("redirecting");
  if (as.change && (setgroups(1, &as.gid) != 0 || setgid(as.gid) != 0 || setuid(as.uid) != 0)) give_up("changing the user");
  if (chdir(cwd) != 0) give_up("entering the state directory");
  // After setuid, which clears it (prctl(2)); and in case the parent ended before this line.
  prctl(PR_SET_PDEATHSIG, death_signal);
  if (getppid() != parent) _exit(126);
  close_range(3, ~0U, 0);
  execve(argv[0], argv, env);
  give_up("starting the program");
  _exit(126);
}

}  // namespace

Result<Child> Child::start(const std::vector<std::string>& argv, const RunAs& as, const std::string& cwd, int death_signal) {
  std::vector<char*> arguments;
  for (const auto& text : argv) arguments.push_back(const_cast<char*>(text.c_str()));
  arguments.push_back(nullptr);
  // A clean environment: PGDATA, PGHOST, PGOPTIONS and a foreign locale must not reach it.
  std::array<std::string, 3> env_texts{"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", "TZ=UTC"};
  std::array<char*, 4> env{env_texts[0].data(), env_texts[1].data(), env_texts[2].data(), nullptr};
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return fail(Errc::Unavailable, "making a pipe: {}", std::strerror(errno));
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid == 0) become(arguments.data(), env.data(), as, cwd.c_str(), death_signal, ends[1], parent);
  const int fork_error = errno;
  close(ends[1]);
  if (pid < 0) {
    close(ends[0]);
    return fail(Errc::Unavailable, "starting {}: {}", argv[0], std::strerror(fork_error));
  }
  Child child;
  child.pid_ = pid;
  child.output_ = ends[0];
  fcntl(child.output_, F_SETFL, O_NONBLOCK);
  child.pidfd_ = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));  // glibc 2.36 declares pidfd_open without extern "C"
  if (child.pidfd_ < 0) return fail(Errc::Internal, "pidfd_open: {}", std::strerror(errno));
  return child;
}

void Child::close_all() noexcept {
  if (pid_ > 0 && !ended()) {
    ::kill(pid_, SIGKILL);
    int status = 0;
    while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
  }
  if (pidfd_ >= 0) close(pidfd_);
  if (output_ >= 0) close(output_);
  pid_ = pidfd_ = output_ = -1;
}

Child::~Child() { close_all(); }

Child::Child(Child&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      pidfd_(std::exchange(other.pidfd_, -1)),
      output_(std::exchange(other.output_, -1)),
      status_(other.status_) {}

Child& Child::operator=(Child&& other) noexcept {
  std::swap(pid_, other.pid_);
  std::swap(pidfd_, other.pidfd_);
  std::swap(output_, other.output_);
  std::swap(status_, other.status_);
  return *this;
}

bool Child::drain(std::string& into) const {
  std::array<char, 8192> buffer{};
  for (;;) {
    const ssize_t count = read(output_, buffer.data(), buffer.size());
    if (count > 0) {
      into.append(buffer.data(), static_cast<std::size_t>(count));
    } else if (count == 0) {
      return false;
    } else if (errno != EINTR) {
      return errno == EAGAIN;
    }
  }
}

void Child::signal(int number) const {
  if (pid_ > 0 && !status_) ::kill(pid_, number);
}

std::optional<int> Child::ended() {
  if (pid_ <= 0 || status_) return status_;
  int status = 0;
  if (waitpid(pid_, &status, WNOHANG) == pid_) status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return status_;
}

Result<Finished> run_to_end(const std::vector<std::string>& argv, const RunAs& as, const std::string& cwd, std::stop_token stop) {
  auto child = Child::start(argv, as, cwd, SIGKILL);
  if (!child) return fail(child.error());
  const std::stop_callback on_stop(stop, [&] { child->signal(SIGKILL); });
  Finished finished;
  for (;;) {
    std::array<pollfd, 2> fds{pollfd{child->output(), POLLIN, 0}, pollfd{child->pidfd(), POLLIN, 0}};
    if (poll(fds.data(), fds.size(), -1) < 0 && errno != EINTR) return fail(Errc::Internal, "poll: {}", std::strerror(errno));
    const bool more = child->drain(finished.output);
    if (const auto status = child->ended()) {
      child->drain(finished.output);
      if (stop.stop_requested()) return fail(Errc::Stopped, "{} was stopped", argv[0]);
      finished.status = *status;
      return finished;
    }
    // The end of the output comes a moment before the end of the process: wait for that one alone then.
    if (!more && poll(&fds[1], 1, -1) < 0 && errno != EINTR) return fail(Errc::Internal, "poll: {}", std::strerror(errno));
  }
}

}  // namespace rosterd::postgres
