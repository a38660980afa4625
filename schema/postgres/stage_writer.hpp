#pragma once
// A thread that feeds one connection: work for the database goes in through a bounded queue, so that whoever reads a directory waits for
// PostgreSQL only when it has fallen behind by that much. What the work is, is the stage's business.

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

#include "schema/core/result.hpp"
#include "schema/postgres/db.hpp"

namespace rosterd::postgres {

class StageWriter {
 public:
  using Task = std::function<void(Db&)>;
  /// `db` is used by the thread only between submit() and the end of drain().
  StageWriter(Db& db, std::size_t queue_length);
  ~StageWriter();  ///< drops what still waits
  StageWriter(const StageWriter&) = delete;
  StageWriter& operator=(const StageWriter&) = delete;

  /// Hands a task over, waiting while the queue is full. Gives the error of an earlier task, once there is one.
  [[nodiscard]] Result<void> submit(Task task);
  /// Waits until everything has been done; then the caller may use the connection until the next submit.
  [[nodiscard]] Result<void> drain();

 private:
  void work(std::stop_token stop);
  Db& db_;
  const std::size_t queue_length_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<Task> queue_;
  bool busy_ = false;
  std::optional<Error> failed_;
  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace rosterd::postgres
