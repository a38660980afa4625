#include "daemon/instance_lock.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>

namespace rosterd {
namespace {

/// What to do about a folder that cannot be made or written, beside what the system says.
std::string advice(int error, const std::filesystem::path& directory) {
  if (error == EACCES || error == EPERM)
    return fmt::format("; rosterd runs as user {} here: start it as the owner of {}, or give the folder to that user", ::geteuid(),
                       directory.string());
  return "; make the folder by hand, or name another as state.directory";
}

}  // namespace

Result<InstanceLock> InstanceLock::take(const std::filesystem::path& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory.parent_path(), error);
  if (::mkdir(directory.c_str(), 0711) != 0 && errno != EEXIST) {
    const int why = errno;
    return fail(Errc::InvalidInput, "state.directory: making {}: {}{}", directory.string(), std::generic_category().message(why),
                advice(why, directory));
  }
  const auto file = directory / "rosterd.lock";
  const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR);
  if (fd < 0) {
    const int why = errno;
    return fail(Errc::InvalidInput, "state.directory: opening {}: {}{}", file.string(), std::generic_category().message(why),
                advice(why, directory));
  }
  InstanceLock lock(fd);
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    std::array<char, 32> holder{};
    const auto length = ::read(fd, holder.data(), holder.size() - 1);
    std::string_view pid(holder.data(), length > 0 ? static_cast<std::size_t>(length) : 0);
    while (pid.ends_with('\n')) pid.remove_suffix(1);
    return fail(Errc::Conflict,
                "another rosterd (process {}) uses the state directory {}; stop it, or give this one a state.directory of its own",
                pid.empty() ? "unknown" : pid, directory.string());
  }
  const auto pid = fmt::format("{}\n", ::getpid());
  if (::ftruncate(fd, 0) != 0 || ::pwrite(fd, pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size()))
    return fail(Errc::Unavailable, "writing {}: {}", file.string(), std::generic_category().message(errno));
  return lock;
}

InstanceLock::~InstanceLock() {
  if (fd_ >= 0) ::close(fd_);
}

InstanceLock::InstanceLock(InstanceLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

}  // namespace rosterd
