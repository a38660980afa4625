#include "schema/postgres/stage_writer.hpp"

namespace rosterd::postgres {

StageWriter::StageWriter(Db& db, std::size_t queue_length)
    : db_(db), queue_length_(queue_length), thread_([this](std::stop_token stop) { work(stop); }) {}

StageWriter::~StageWriter() {
  thread_.request_stop();
  changed_.notify_all();
}

Result<void> StageWriter::submit(Task task) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return failed_ || queue_.size() < queue_length_; });
  if (failed_) return fail(*failed_, "staging changes");
  queue_.push_back(std::move(task));
  changed_.notify_all();
  return {};
}

Result<void> StageWriter::drain() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return failed_ || (queue_.empty() && !busy_); });
  if (failed_) return fail(*failed_, "staging changes");
  return {};
}

void StageWriter::work(std::stop_token stop) {
  for (;;) {
    Task task;
    {
      std::unique_lock lock(mutex_);
      if (!changed_.wait(lock, stop, [&] { return !queue_.empty(); })) return;
      task = std::move(queue_.front());
      queue_.pop_front();
      busy_ = true;
    }
    std::optional<Error> trouble;
    try {
      task(db_);
    } catch (const DbError& error) {
      trouble = to_error(error);
    }
    {
      const std::lock_guard lock(mutex_);
      busy_ = false;
      if (trouble) {
        failed_ = std::move(trouble);
        queue_.clear();  // nothing of it could be committed any more
      }
    }
    changed_.notify_all();
    if (stop.stop_requested()) return;
  }
}

}  // namespace rosterd::postgres
