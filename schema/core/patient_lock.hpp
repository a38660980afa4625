#pragma once
// For what very many read and few change. A thread that waits for a std::shared_mutex is given it while it still sleeps (glibc hands the
// lock over), and on a busy machine all readers stand still until it has woken up. Here the writer tries until he has it, and readers go
// on.

#include <chrono>
#include <shared_mutex>
#include <thread>

namespace rosterd {

class PatientLock {
 public:
  explicit PatientLock(std::shared_mutex& mutex) : lock_(mutex, std::defer_lock) {
    for (int tries = 0; tries < kMostTries; ++tries) {
      if (lock_.try_lock()) return;
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
    lock_.lock();  // readers without a gap: now they do have to wait
  }

 private:
  static constexpr int kMostTries = 400;
  std::unique_lock<std::shared_mutex> lock_;
};

}  // namespace rosterd
