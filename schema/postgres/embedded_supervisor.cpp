#include "schema/postgres/embedded_supervisor.hpp"

#include <libpq-fe.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <utility>

#include "schema/core/log.hpp"

namespace rosterd {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kAskEvery{25};     // while it is starting
constexpr milliseconds kFirstPause{200};  // before the first restart; doubled each time
constexpr milliseconds kLongestPause{30'000};
constexpr milliseconds kStable{60'000};        // up for this long: the next death starts with the first pause again
constexpr milliseconds kFastShutdown{60'000};  // a checkpoint of all buffers, at most
constexpr milliseconds kImmediateShutdown{10'000};

/// Readable once the stop was requested, so that poll() can wait for it.
class StopEvent {
 public:
  explicit StopEvent(std::stop_token stop) : on_stop_(std::move(stop), Raise{event_.fd}) {}
  StopEvent(const StopEvent&) = delete;
  StopEvent& operator=(const StopEvent&) = delete;
  [[nodiscard]] int fd() const { return event_.fd; }

 private:
  struct Event {
    Event() = default;
    ~Event() { close(fd); }
    Event(const Event&) = delete;
    Event& operator=(const Event&) = delete;
    const int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  };
  struct Raise {
    int fd;
    void operator()() const { (void)eventfd_write(fd, 1); }
  };
  Event event_;  // closed after whoever raises it has done so
  std::stop_callback<Raise> on_stop_;
};

int left_until(steady_clock::time_point when) {
  const auto left = std::chrono::ceil<milliseconds>(when - steady_clock::now()).count();
  return left > 0 ? static_cast<int>(left) : 0;
}

}  // namespace

EmbeddedPostgres::Supervisor::Supervisor(EmbeddedPostgres& owner, postgres::Installation installation, postgres::RunAs as,
                                         std::filesystem::path data_dir)
    : owner_(owner),
      installation_(std::move(installation)),
      as_(std::move(as)),
      data_dir_(std::move(data_dir)),
      ping_url_(owner.superuser_url() + "&connect_timeout=2") {}

void EmbeddedPostgres::Supervisor::run(std::stop_token stop) {
  const StopEvent stopped(stop);
  launch();
  while (!stop.stop_requested() && !given_up_) {
    std::array<pollfd, 3> fds{pollfd{stopped.fd(), POLLIN, 0}, pollfd{-1, POLLIN, 0}, pollfd{-1, POLLIN, 0}};
    int timeout = -1;
    if (child_) {
      fds[1].fd = child_->pidfd();
      if (log_open_) fds[2].fd = child_->output();
      if (owner_.state_ != State::Running) timeout = static_cast<int>(kAskEvery.count());
    } else if (restart_at_) {
      timeout = left_until(*restart_at_);
    }
    if (poll(fds.data(), fds.size(), timeout) < 0 && errno != EINTR) {
      log::error("postgres.supervision_failed", {log::field("errno", errno)});
      break;
    }
    if (child_) {
      pass_log_on(*child_);
      if (const auto status = child_->ended()) {
        mourn(*status);
      } else if (owner_.state_ != State::Running) {
        answers(*child_);
      }
    } else if (restart_at_ && steady_clock::now() >= *restart_at_) {
      launch();
    }
  }
  shut_down();
  set(State::Stopped);
}

void EmbeddedPostgres::Supervisor::launch() {
  restart_at_.reset();
  last_lines_.clear();
  started_ = steady_clock::now();
  // SIGINT is PostgreSQL's fast shutdown: what a killed daemon leaves behind writes everything and goes.
  auto child =
      postgres::Child::start({(installation_.bin_dir / "postgres").string(), "-D", data_dir_.string()}, as_, data_dir_.string(), SIGINT);
  if (child) {
    child_.emplace(std::move(*child));
    log_open_ = true;
    owner_.pid_ = child_->pid();
    return;
  }
  last_lines_.push_back(child.error().what);
  mourn(126);
}

void EmbeddedPostgres::Supervisor::pass_log_on(postgres::Child& child) {
  log_open_ = log_open_ && child.drain(unfinished_);
  std::size_t from = 0;
  for (std::size_t to; (to = unfinished_.find('\n', from)) != std::string::npos; from = to + 1)
    line(std::string_view(unfinished_).substr(from, to - from));
  unfinished_.erase(0, from);
  if (!log_open_ && !unfinished_.empty()) line(std::exchange(unfinished_, {}));
}

void EmbeddedPostgres::Supervisor::line(std::string_view text) {
  if (text.empty()) return;
  constexpr std::size_t kKept = 12;
  last_lines_.emplace_back(text);
  if (last_lines_.size() > kKept) last_lines_.pop_front();
  // An ERROR is an answer to a statement: whoever sent it reports it where it matters. FATAL ends one session, PANIC the server.
  // "The database system is starting up" answers our own question whether it is.
  // "terminating connection due to administrator command" is our own stop, seen by the sessions that are left.
  const bool is_our_stop = stopping_ && text.find("due to administrator command") != std::string_view::npos;
  const bool is_asked_too_early = text.find("the database system is ") != std::string_view::npos;
  const auto level = text.starts_with("PANIC:") ? log::Level::Error
                     : !is_asked_too_early && !is_our_stop && (text.starts_with("FATAL:") || text.starts_with("WARNING:"))
                         ? log::Level::Warning
                         : log::Level::Debug;
  log::event(level, "postgres.log", {log::field("text", text)});
}

bool EmbeddedPostgres::Supervisor::may_come_later() const {
  // Backends of a killed server take a moment to notice its death, and hold the shared memory until then.
  for (const auto& text : last_lines_)
    if (text.find("pre-existing shared memory block") != std::string::npos ||
        text.find("lock file \"postmaster.pid\"") != std::string::npos || text.find("is another postmaster") != std::string::npos)
      return true;
  return false;
}

void EmbeddedPostgres::Supervisor::mourn(int status) {
  child_.reset();
  owner_.pid_ = -1;
  std::string said;
  for (const auto& text : last_lines_) said += (said.empty() ? "" : "\n") + text;
  said = postgres::explained(said, data_dir_, as_);
  if (!was_up_ && !may_come_later()) {
    given_up_ = true;
    const std::lock_guard lock(owner_.mutex_);
    owner_.failure_ = said;
    return;
  }
  if (was_up_) set(State::Restarting);
  pause_ = steady_clock::now() - started_ > kStable || pause_.count() == 0 ? kFirstPause : std::min(pause_ * 2, kLongestPause);
  restart_at_ = steady_clock::now() + pause_;
  log::error("postgres.died", {log::field("status", status), log::field("restart_in_ms", pause_.count()), log::field("said", said)});
}

void EmbeddedPostgres::Supervisor::answers(const postgres::Child& child) {
  if (PQping(ping_url_.c_str()) != PQPING_OK) return;
  was_up_ = true;
  const auto took = std::chrono::duration_cast<milliseconds>(steady_clock::now() - started_);
  log::info("postgres.started",
            {log::field("pid", child.pid()), log::field("version", installation_.version), log::field("ms", took.count())});
  set(State::Running);
}

void EmbeddedPostgres::Supervisor::set(State state) {
  {
    const std::lock_guard lock(owner_.mutex_);
    owner_.state_ = state;
  }
  owner_.changed_.notify_all();
}

void EmbeddedPostgres::Supervisor::shut_down() {
  if (!child_) return;
  auto& child = *child_;
  stopping_ = true;
  struct Step {
    int signal;
    milliseconds patience;
    const char* manner;
  };
  for (const Step& step :
       {Step{SIGINT, kFastShutdown, "fast"}, Step{SIGQUIT, kImmediateShutdown, "immediate"}, Step{SIGKILL, milliseconds(5'000), "kill"}}) {
    child.signal(step.signal);
    const auto deadline = steady_clock::now() + step.patience;
    do {
      std::array<pollfd, 2> fds{pollfd{child.pidfd(), POLLIN, 0}, pollfd{log_open_ ? child.output() : -1, POLLIN, 0}};
      if (poll(fds.data(), fds.size(), left_until(deadline)) < 0 && errno != EINTR) break;
      pass_log_on(child);  // a full pipe would keep it from ending
      if (child.ended()) {
        log::info("postgres.stopped", {log::field("manner", step.manner)});
        child_.reset();
        owner_.pid_ = -1;
        return;
      }
    } while (steady_clock::now() < deadline);
    log::warning("postgres.stop_is_slow", {log::field("manner", step.manner)});
  }
  child_.reset();
}

}  // namespace rosterd
