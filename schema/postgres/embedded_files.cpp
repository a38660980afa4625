#include "schema/postgres/embedded_files.hpp"

#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <system_error>

#include "schema/core/log.hpp"

namespace rosterd::postgres {
namespace {

namespace fs = std::filesystem;

/// An errno met at `path`, in words that say what to do.
tl::unexpected<Error> refused_by_system(int number, std::string_view doing, const fs::path& path) {
  switch (number) {
    case ENOSPC:
    case EDQUOT:
      return fail(Errc::Unavailable, "{} {}: the disk is full; free some space or move the state directory", doing, path.string());
    case EACCES:
    case EPERM:
      return fail(Errc::Unavailable, "{} {}: not permitted to this user; check the owner and mode of the folder above", doing,
                  path.string());
    case EROFS:
      return fail(Errc::Unavailable, "{} {}: the file system is read-only", doing, path.string());
    default:
      return fail(Errc::Unavailable, "{} {}: {}", doing, path.string(), std::strerror(number));
  }
}

Result<void> make_private_dir(const fs::path& dir, const RunAs& as) {
  std::error_code error;
  fs::create_directories(dir.parent_path(), error);
  if (error) return refused_by_system(error.value(), "making", dir.parent_path());
  if (mkdir(dir.c_str(), 0700) != 0 && errno != EEXIST) return refused_by_system(errno, "making", dir);
  struct stat info{};
  if (lstat(dir.c_str(), &info) != 0) return refused_by_system(errno, "looking at", dir);
  if (!S_ISDIR(info.st_mode)) return fail(Errc::Refused, "{} is not a folder", dir.string());
  if (as.change && info.st_uid != as.uid && lchown(dir.c_str(), as.uid, as.gid) != 0) return refused_by_system(errno, "giving away", dir);
  if (!as.change && info.st_uid != as.uid) return fail(Errc::Refused, "{} belongs to another user (uid {})", dir.string(), info.st_uid);
  if ((info.st_mode & 07777) != 0700 && chmod(dir.c_str(), 0700) != 0) return refused_by_system(errno, "closing", dir);
  return {};
}

std::string content_of(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// Written whole or not at all: into a file beside it, which then takes its name.
Result<void> write_whole(const fs::path& path, std::string_view text, const RunAs& as) {
  const fs::path fresh = path.string() + ".new";
  const int fd = open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return refused_by_system(errno, "writing", fresh);
  int error = 0;
  while (!text.empty() && error == 0) {
    const ssize_t count = write(fd, text.data(), text.size());
    if (count >= 0) {
      text.remove_prefix(static_cast<std::size_t>(count));
    } else if (errno != EINTR) {
      error = errno;
    }
  }
  if (error == 0 && as.change && fchown(fd, as.uid, as.gid) != 0) error = errno;
  if (error == 0 && fsync(fd) != 0) error = errno;
  close(fd);
  if (error == 0 && rename(fresh.c_str(), path.c_str()) != 0) error = errno;
  if (error != 0) return refused_by_system(error, "writing", path);
  return {};
}

int number_at_start(std::string_view text) {
  int number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

/// A value as postgresql.conf wants it.
std::string conf_value(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += c;
    out += c;
  }
  return out + "'";
}

/// The process of postmaster.pid when it is alive and really the server of this data directory: a postmaster works in its data directory,
/// and the number alone may long belong to somebody else.
pid_t server_in(const fs::path& data_dir) {
  const pid_t pid = number_at_start(content_of(data_dir / "postmaster.pid"));
  if (pid <= 0) return 0;
  std::error_code error;
  const fs::path cwd = fs::read_symlink(fmt::format("/proc/{}/cwd", pid), error);
  if (error || !fs::equivalent(cwd, data_dir, error) || error) return 0;
  return pid;
}

constexpr std::pair<std::string_view, std::string_view> kSettings[] = {
    {"listen_addresses", ""},  // nobody reaches it but over the socket
    {"port", "5432"},
    {"unix_socket_permissions", "0700"},
    {"cluster_name", "rosterd"},
    // A first load writes a few gigabytes in one go: large checkpoints, compressed full-page images. Safety is left as it is: fsync,
    // full_page_writes and synchronous_commit are on.
    {"shared_buffers", "256MB"},
    {"work_mem", "32MB"},
    {"maintenance_work_mem", "256MB"},
    {"wal_buffers", "16MB"},
    {"max_wal_size", "4GB"},
    {"min_wal_size", "256MB"},
    {"checkpoint_timeout", "15min"},
    {"checkpoint_completion_target", "0.9"},
    {"wal_compression", "lz4"},
    // A new segment is given its size, not 16 MiB of zeros and a wait for the disk: a first load makes a hundred of them, and the zeros
    // cost more than what is written over them. What is committed is flushed as ever.
    {"wal_init_zero", "off"},
    {"wal_level", "minimal"},  // no replica is fed from here
    {"max_wal_senders", "0"},
    {"synchronous_commit", "on"},
    {"full_page_writes", "on"},
    {"fsync", "on"},
    {"autovacuum", "on"},
    {"jit", "off"},  // short statements: compiling costs more than it saves
    {"random_page_cost", "1.1"},
    {"timezone", "UTC"},
    {"log_timezone", "UTC"},
    // Its log goes to ours, line by line. Rows and statements stay out of it: they hold people's data.
    {"logging_collector", "off"},
    {"log_destination", "stderr"},
    {"log_line_prefix", ""},
    {"log_error_verbosity", "terse"},
    {"log_min_error_statement", "panic"},
    {"log_statement", "none"},
    {"log_checkpoints", "off"},
};

}  // namespace

Result<RunAs> user_for(const std::string& name) {
  if (geteuid() != 0) {
    const passwd* self = getpwuid(geteuid());
    return RunAs{
        .name = self != nullptr ? self->pw_name : fmt::format("uid {}", geteuid()), .uid = geteuid(), .gid = getegid(), .change = false};
  }
  if (name.empty())
    return fail(Errc::Refused,
                "PostgreSQL refuses to run as root, and rosterd is root: name a system user for it in database.embedded.run_as");
  const passwd* entry = getpwnam(name.c_str());
  if (entry == nullptr) return fail(Errc::Refused, "database.embedded.run_as: there is no system user {}", name);
  if (entry->pw_uid == 0) return fail(Errc::Refused, "database.embedded.run_as: {} is root, as which PostgreSQL refuses to run", name);
  return RunAs{.name = name, .uid = entry->pw_uid, .gid = entry->pw_gid, .change = true};
}

Result<Installation> find_installation(const fs::path& bin_dir, const RunAs& as, std::stop_token stop) {
  Installation found{.bin_dir = bin_dir, .major = 0, .version = {}};
  if (bin_dir.empty()) {
    // Debian keeps every major version in a folder of its own, named after it.
    constexpr const char* kRoot = "/usr/lib/postgresql";
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(kRoot, error)) {
      const int major = number_at_start(entry.path().filename().string());
      if (major >= kOldestMajor && major > found.major && fs::exists(entry.path() / "bin/postgres", error))
        found = {.bin_dir = entry.path() / "bin", .major = major, .version = {}};
    }
    if (found.bin_dir.empty())
      return fail(Errc::Refused,
                  "no PostgreSQL {} or later is installed in {}: install the package postgresql, or name the folder of its programs in "
                  "database.embedded.bin_directory",
                  kOldestMajor, kRoot);
  }
  for (const char* program : {"postgres", "initdb"})
    if (access((found.bin_dir / program).c_str(), X_OK) != 0)
      return fail(Errc::Refused, "{} is not to be found in {}", program, found.bin_dir.string());
  const auto answer = run_to_end({(found.bin_dir / "postgres").string(), "--version"}, as, "/", stop);
  if (!answer) return fail(answer.error(), "asking PostgreSQL's version");
  // "postgres (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)"
  constexpr std::string_view kName = "(PostgreSQL) ";
  const auto at = answer->output.find(kName);
  if (answer->status != 0 || at == std::string::npos)
    return fail(Errc::Refused, "{}/postgres --version: {}", found.bin_dir.string(), explained(answer->output, found.bin_dir, as));
  found.version = answer->output.substr(0, answer->output.find('\n'));
  found.major = number_at_start(std::string_view(answer->output).substr(at + kName.size()));
  if (found.major < kOldestMajor)
    return fail(Errc::Refused, "{} is too old: rosterd needs PostgreSQL {} or later", found.version, kOldestMajor);
  return found;
}

Result<int> claim_state_dir(const fs::path& dir, const RunAs& as) {
  if (const auto made = make_private_dir(dir, as); !made) return fail(made.error());
  const fs::path file = dir / "lock";
  const int fd = open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return refused_by_system(errno, "opening", file);
  if (flock(fd, LOCK_EX | LOCK_NB) == 0) return fd;
  const int error = errno;
  close(fd);
  if (error == EWOULDBLOCK) return fail(Errc::Conflict, "another rosterd is running the PostgreSQL in {}", dir.string());
  return refused_by_system(error, "locking", file);
}

std::string explained(std::string_view output, const fs::path& where, const RunAs& as) {
  std::string said(output);
  while (!said.empty() && said.back() == '\n') said.pop_back();
  constexpr std::size_t kEnough = 1500;
  if (said.size() > kEnough) said = "…" + said.substr(said.size() - kEnough);
  if (said.find("No space left on device") != std::string::npos)
    return fmt::format("the disk that holds {} is full ({})", where.string(), said);
  if (said.find("Permission denied") != std::string::npos)
    return fmt::format("user {} may not enter or write {}, or may not pass one of the folders above it ({})", as.name, where.string(),
                       said);
  return said.empty() ? "it said nothing" : said;
}

Result<void> ensure_data_dir(const Installation& installation, const fs::path& state_dir, const RunAs& as, std::stop_token stop) {
  const fs::path data = state_dir / "data", fresh = state_dir / "data.new";
  std::error_code error;
  fs::remove_all(fresh, error);  // of an initdb that did not come to its end
  if (error) return refused_by_system(error.value(), "removing", fresh);
  if (fs::exists(fs::symlink_status(data, error))) {
    const int major = number_at_start(content_of(data / "PG_VERSION"));
    if (major == installation.major) return {};
    if (major == 0)
      return fail(Errc::Refused, "{} is no data directory of PostgreSQL (it has no PG_VERSION); move it away to let rosterd make a new one",
                  data.string());
    return fail(Errc::Refused,
                "the data in {0} is of PostgreSQL {1}, the programs in {2} are version {3}: convert it with pg_upgrade (man "
                "pg_upgradecluster), or install PostgreSQL {1} and "
                "set database.embedded.bin_directory = \"/usr/lib/postgresql/{1}/bin\"",
                data.string(), major, installation.bin_dir.string(), installation.major);
  }
  log::info("postgres.initialising", {log::field("directory", data.string()), log::field("version", installation.version)});
  const auto made = run_to_end({(installation.bin_dir / "initdb").string(), "-D", fresh.string(), "-U", std::string(kSuperuser),
                                "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--data-checksums", "--no-instructions"},
                               as, state_dir.string(), stop);
  if (!made) return fail(made.error(), "initialising PostgreSQL");
  if (made->status != 0) {
    fs::remove_all(fresh, error);
    return fail(Errc::Unavailable, "initialising PostgreSQL in {}: {}", data.string(), explained(made->output, state_dir, as));
  }
  if (rename(fresh.c_str(), data.c_str()) != 0) return refused_by_system(errno, "naming", data);
  const int fd = open(state_dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool synced = fd >= 0 && fsync(fd) == 0;
  const int sync_error = errno;
  if (fd >= 0) close(fd);
  if (!synced) return refused_by_system(sync_error, "writing", state_dir);
  return {};
}

Result<SocketDir> ensure_socket_dir(const fs::path& state_dir, const RunAs& as) {
  // sun_path holds 107 bytes and a NUL; PostgreSQL puts its lock file beside the socket.
  constexpr std::size_t kRoom = sizeof(sockaddr_un::sun_path) - 1 - std::string_view("/.s.PGSQL.5432.lock").size();
  const fs::path note = state_dir / "socket-directory";
  std::error_code error;
  // A temporary one of a daemon that was killed; only ever an empty folder by now.
  if (const std::string old = content_of(note); !old.empty()) rmdir(old.c_str());
  fs::remove(note, error);

  const fs::path own = state_dir / "run";
  if (own.native().size() <= kRoom) {
    if (const auto made = make_private_dir(own, as); !made) return fail(made.error());
    return SocketDir{own.string(), false};
  }
  int last = 0;
  for (const char* above :
       std::initializer_list<const char*>{std::getenv("RUNTIME_DIRECTORY"), std::getenv("XDG_RUNTIME_DIR"), "/run", "/tmp"}) {
    if (above == nullptr || std::strlen(above) + std::strlen("/rosterd-XXXXXX") > kRoom) continue;
    std::string name = fmt::format("{}/rosterd-XXXXXX", above);
    if (mkdtemp(name.data()) == nullptr) {
      last = errno;
      continue;
    }
    // The server's user must be able to pass the folder above, which mkdtemp as root does not tell: /run and /tmp are open to all.
    if (as.change && (lchown(name.c_str(), as.uid, as.gid) != 0)) return refused_by_system(errno, "giving away", name);
    if (const auto noted = write_whole(note, name, as); !noted) return fail(noted.error());
    return SocketDir{name, true};
  }
  return refused_by_system(last, "making a folder for the socket, as the path is too long:", own);
}

Result<void> write_configuration(const Installation& installation, const fs::path& data_dir, const SocketDir& socket,
                                 const std::map<std::string, std::string>& settings, const RunAs& as, std::stop_token stop) {
  std::string conf = "# Written by rosterd at every start; change database.embedded.settings instead.\n";
  for (const auto& [name, value] : kSettings) conf += fmt::format("{} = {}\n", name, conf_value(value));
  conf += fmt::format("unix_socket_directories = {}\n", conf_value(socket.path));
  for (const auto& [name, value] : settings) conf += fmt::format("{} = {}\n", name, conf_value(value));
  if (const auto written = write_whole(data_dir / "postgresql.conf", conf, as); !written) return fail(written.error());
  // Whoever gets into the socket's folder (0700) is the server's own user or root, who could read the files anyway: trust gives nothing
  // away.
  constexpr std::string_view kHba =
      "# Written by rosterd at every start. No TCP; the socket's folder is open to the server's user and root only.\nlocal all all trust\n";
  if (const auto written = write_whole(data_dir / "pg_hba.conf", kHba, as); !written) return fail(written.error());
  const auto checked = run_to_end({(installation.bin_dir / "postgres").string(), "-D", data_dir.string(), "-C", "data_checksums"}, as,
                                  data_dir.string(), stop);
  if (!checked) return fail(checked.error(), "checking PostgreSQL's settings");
  if (checked->status != 0)
    return fail(Errc::Refused, "PostgreSQL refuses its settings (see database.embedded.settings): {}",
                explained(checked->output, data_dir, as));
  return {};
}

Result<void> wait_for_leftover(const fs::path& data_dir, Millis timeout, std::stop_token stop) {
  const pid_t pid = server_in(data_dir);
  if (pid == 0) return {};  // PostgreSQL itself clears a stale postmaster.pid away
  log::warning("postgres.leftover", {log::field("pid", pid), log::field("directory", data_dir.string())});
  const int fd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  if (fd < 0) return {};  // ended meanwhile
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  const auto ask_at = std::chrono::steady_clock::now() + std::min(Millis(2'000), timeout / 4);
  bool asked = false, gone = false;
  while (!gone && !stop.stop_requested() && std::chrono::steady_clock::now() < deadline) {
    pollfd poll_fd{fd, POLLIN, 0};
    gone = poll(&poll_fd, 1, 100) > 0;
    // It was told to end when its daemon died, and a shutdown takes as long as its checkpoint. One whose daemon's death it missed is asked.
    if (!gone && !asked && std::chrono::steady_clock::now() >= ask_at) asked = syscall(SYS_pidfd_send_signal, fd, SIGINT, nullptr, 0) == 0;
  }
  close(fd);
  if (gone) return {};
  if (stop.stop_requested()) return fail(Errc::Stopped, "waiting for an earlier PostgreSQL to end was stopped");
  return fail(Errc::Unavailable, "an earlier PostgreSQL (process {}) still works on {}; end it, or raise database.embedded.start_timeout",
              pid, data_dir.string());
}

}  // namespace rosterd::postgres
