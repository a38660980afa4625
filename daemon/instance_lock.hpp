#pragma once
// One daemon, one state directory: a lock on a file in it, held as long as the process lives and let go by the kernel however it ends.

#include <filesystem>

#include "schema/core/result.hpp"

namespace rosterd {

class InstanceLock {
 public:
  /// Makes the directory if need be (0711: the embedded PostgreSQL may run as another user and must reach its own folder; every file of
  /// rosterd in it is 0600). Conflict, with the holder's process id, when another daemon has it.
  [[nodiscard]] static Result<InstanceLock> take(const std::filesystem::path& directory);
  ~InstanceLock();
  InstanceLock(InstanceLock&& other) noexcept;
  InstanceLock& operator=(InstanceLock&&) = delete;

 private:
  explicit InstanceLock(int fd) : fd_(fd) {}
  int fd_ = -1;
};

}  // namespace rosterd
