#include "tests/support/process.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <pwd.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <cstring>
#include <deque>
#include <fstream>
#include <future>
#include <iterator>
#include <mutex>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <utility>

extern char** environ;

namespace rosterd::test {
namespace {

[[noreturn]] void raise_errno(const std::string& doing) { throw std::system_error(errno, std::generic_category(), doing); }

/// Everything the child needs, ready before the fork: between fork and exec only async-signal-safe calls are allowed.
struct Spawn {
  std::vector<std::string> argv_texts, env_texts;
  std::string cwd;
  int in = -1, out = -1, err = -1, netns = -1;
  bool change_user = false;
  Identity identity;
  std::string user;
  int death_signal = 0;
};

[[noreturn]] void become(const Spawn& spawn, char* const* argv, char* const* env, pid_t parent) {
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  std::signal(SIGPIPE, SIG_DFL);
  // A process group of its own: Ctrl-C at the terminal reaches the test program, which then ends its servers in order.
  setpgid(0, 0);
  const auto give_up = [](int code) { _exit(code); };
  if (dup2(spawn.in, 0) < 0 || dup2(spawn.out, 1) < 0 || dup2(spawn.err, 2) < 0) give_up(125);
  if (spawn.netns >= 0 && setns(spawn.netns, CLONE_NEWNET) != 0) give_up(124);
  if (spawn.change_user && (setgid(spawn.identity.gid) != 0 || setuid(spawn.identity.uid) != 0)) give_up(123);
  if (!spawn.cwd.empty() && chdir(spawn.cwd.c_str()) != 0) give_up(122);
  // After setuid: a change of credentials clears it (prctl(2)).
  prctl(PR_SET_PDEATHSIG, spawn.death_signal);
  if (getppid() != parent) give_up(121);
  execvpe(argv[0], argv, env);
  give_up(127);
  _exit(127);
}

/// The thread all children are spawned by; it lives until the program ends, and is never joined or freed for that reason.
class Spawner {
 public:
  static Spawner& instance() {
    static Spawner* const spawner = new Spawner;
    return *spawner;
  }
  pid_t spawn(const Spawn& spawn) {
    std::promise<pid_t> promise;
    auto future = promise.get_future();
    {
      const std::lock_guard lock(mutex_);
      jobs_.push_back({&spawn, &promise});
    }
    wake_.notify_one();
    const pid_t pid = future.get();
    if (pid < 0) {
      errno = static_cast<int>(-pid);
      raise_errno("fork");
    }
    return pid;
  }

 private:
  struct Job {
    const Spawn* spawn;
    std::promise<pid_t>* promise;
  };
  Spawner() : thread_([this] { loop(); }) {}
  void loop() {
    for (;;) {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return !jobs_.empty(); });
      const Job job = jobs_.front();
      jobs_.pop_front();
      lock.unlock();
      std::vector<char*> argv, env;
      for (const auto& text : job.spawn->argv_texts) argv.push_back(const_cast<char*>(text.c_str()));
      for (const auto& text : job.spawn->env_texts) env.push_back(const_cast<char*>(text.c_str()));
      argv.push_back(nullptr);
      env.push_back(nullptr);
      const pid_t parent = getpid();
      const pid_t pid = fork();
      if (pid == 0) become(*job.spawn, argv.data(), env.data(), parent);
      job.promise->set_value(pid < 0 ? -errno : pid);
    }
  }
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job> jobs_;
  std::thread thread_;
};

class Fd {
 public:
  Fd(const std::string& path, int flags) : fd_(open(path.c_str(), flags | O_CLOEXEC, 0644)) {
    if (fd_ < 0) raise_errno("opening " + path);
  }
  ~Fd() { close(fd_); }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

std::string temporary_file() {
  std::string name = (std::filesystem::temp_directory_path() / "rosterd-out-XXXXXX").string();
  const int fd = mkostemp(name.data(), O_CLOEXEC);
  if (fd < 0) raise_errno("making " + name);
  close(fd);
  return name;
}

int status_code(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status); }

}  // namespace

bool am_root() { return geteuid() == 0; }

Identity identity_of(const std::string& user) {
  const passwd* entry = getpwnam(user.c_str());
  if (entry == nullptr) throw std::runtime_error("no system user " + user);
  return {entry->pw_uid, entry->pw_gid};
}

// ---- files ----------------------------------------------------------------------------------------------------------------------

TempDir::TempDir(std::string_view prefix, const std::string& owner) {
  std::string name = (std::filesystem::temp_directory_path() / fmt::format("{}-XXXXXX", prefix)).string();
  if (mkdtemp(name.data()) == nullptr) raise_errno("making " + name);
  path_ = name;
  if (!owner.empty()) give_to(path_, owner);
}

TempDir::~TempDir() {
  if (path_.empty()) return;
  std::error_code error;  // a destructor has nobody to tell; what stays is in the temporary folder
  std::filesystem::remove_all(path_, error);
}

TempDir::TempDir(TempDir&& other) noexcept : path_(std::exchange(other.path_, {})) {}
TempDir& TempDir::operator=(TempDir&& other) noexcept {
  std::swap(path_, other.path_);
  return *this;
}

std::string TempDir::write(std::string_view name, std::string_view content, unsigned mode) const {
  const auto path = path_ / name;
  std::filesystem::create_directories(path.parent_path());
  write_file(path, content, mode);
  return path.string();
}

std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error("cannot read " + path.string());
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_file(const std::filesystem::path& path, std::string_view content, unsigned mode) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(content.data(), static_cast<std::streamsize>(content.size()));
  out.close();
  if (!out) throw std::runtime_error("cannot write " + path.string());
  if (chmod(path.c_str(), mode) != 0) raise_errno("chmod " + path.string());
}

void give_to(const std::filesystem::path& path, const std::string& user) {
  if (!am_root()) return;
  const Identity identity = identity_of(user);
  const auto give = [&](const std::filesystem::path& one) {
    if (lchown(one.c_str(), identity.uid, identity.gid) != 0) raise_errno("chown " + one.string());
  };
  give(path);
  if (!std::filesystem::is_directory(path)) return;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path)) give(entry.path());
}

// ---- ports and waiting ----------------------------------------------------------------------------------------------------------

int free_port() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  if (fd < 0 || bind(fd, reinterpret_cast<sockaddr*>(&address), length) != 0 ||
      getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0)
    raise_errno("looking for a free port");
  close(fd);
  return ntohs(address.sin_port);
}

bool wait_until(const std::function<bool()>& ready, Milliseconds timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  while (!ready()) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(Milliseconds(10));  // the condition lives in another process: there is nothing to be woken by
  }
  return true;
}

// ---- processes ------------------------------------------------------------------------------------------------------------------

Process::Process(const Argv& argv, ProcessOptions options) {
  if (argv.empty()) throw std::runtime_error("a process needs a program");
  Spawn spawn;
  spawn.argv_texts = argv;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text(*variable);
    if (!options.env.contains(std::string(text.substr(0, text.find('='))))) spawn.env_texts.emplace_back(text);
  }
  for (const auto& [name, value] : options.env)
    if (!value.empty()) spawn.env_texts.push_back(name + "=" + value);
  spawn.cwd = options.cwd;
  spawn.death_signal = options.death_signal;
  if (!options.user.empty() && am_root()) {
    spawn.change_user = true;
    spawn.user = options.user;
    spawn.identity = identity_of(options.user);
  }
  own_output_ = options.output.empty();
  output_ = own_output_ ? temporary_file() : options.output;
  std::string input = "/dev/null";
  if (!options.input.empty()) {
    input = temporary_file();
    write_file(input, options.input);
  }
  const Fd in(input, O_RDONLY);
  if (input != "/dev/null") std::filesystem::remove(input);  // stays readable through the descriptor
  const Fd out(output_, O_WRONLY | O_CREAT | O_APPEND);
  const Fd err(options.error.empty() ? output_ : options.error, O_WRONLY | O_CREAT | O_APPEND);
  std::optional<Fd> netns;
  if (!options.netns.empty()) netns.emplace("/run/netns/" + options.netns, O_RDONLY);
  spawn.in = in.get();
  spawn.out = out.get();
  spawn.err = err.get();
  spawn.netns = netns ? netns->get() : -1;
  pid_ = Spawner::instance().spawn(spawn);
}

Process::~Process() {
  if (pid_ > 0 && is_running()) {
    kill(SIGKILL);
    wait(Milliseconds(10'000));
  }
  if (own_output_ && !output_.empty()) {
    std::error_code error;
    std::filesystem::remove(output_, error);
  }
}

Process::Process(Process&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      status_(other.status_),
      output_(std::exchange(other.output_, {})),
      own_output_(other.own_output_) {}

Process& Process::operator=(Process&& other) noexcept {
  std::swap(pid_, other.pid_);
  std::swap(status_, other.status_);
  std::swap(output_, other.output_);
  std::swap(own_output_, other.own_output_);
  return *this;
}

bool Process::is_running() {
  if (pid_ <= 0 || status_) return false;
  int status = 0;
  if (waitpid(pid_, &status, WNOHANG) != pid_) return true;
  status_ = status_code(status);
  return false;
}

void Process::kill(int signal) {
  if (is_running()) ::kill(pid_, signal);
}

std::optional<int> Process::wait(Milliseconds timeout) {
  if (!is_running()) return status_;
  // glibc 2.36 declares pidfd_open without extern "C".
  const int fd = static_cast<int>(syscall(SYS_pidfd_open, pid_, 0));
  if (fd < 0) raise_errno("pidfd_open");
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  for (;;) {
    const auto left = std::chrono::duration_cast<Milliseconds>(deadline - std::chrono::steady_clock::now());
    pollfd poll_fd{fd, POLLIN, 0};
    const int ready = poll(&poll_fd, 1, left.count() > 0 ? static_cast<int>(left.count()) : 0);
    if (ready < 0 && errno == EINTR) continue;
    break;
  }
  close(fd);
  return is_running() ? std::nullopt : status_;
}

std::string Process::output() const { return read_file(output_); }

Ran run(const Argv& argv, ProcessOptions options, Milliseconds timeout) {
  Process process(argv, std::move(options));
  const auto status = process.wait(timeout);
  if (!status) throw std::runtime_error(fmt::format("{} did not end within {} s: {}", argv[0], timeout.count() / 1000, process.output()));
  return {*status, process.output()};
}

std::string run_ok(const Argv& argv, ProcessOptions options, Milliseconds timeout) {
  auto ran = run(argv, std::move(options), timeout);
  if (ran.status != 0) {
    std::string line;
    for (const auto& word : argv) line += (line.empty() ? "" : " ") + word;
    throw std::runtime_error(fmt::format("{} -> status {}: {}", line, ran.status, ran.output));
  }
  return std::move(ran.output);
}

}  // namespace rosterd::test
