#include "schema/postgres/line.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace rosterd::postgres {

void Line::opened(int socket) {
  const std::lock_guard lock(mutex_);
  if (socket_ >= 0) ::close(socket_);
  // Without a descriptor to spare the line works like any other, only that nobody can cut it.
  socket_ = ::fcntl(socket, F_DUPFD_CLOEXEC, 0);
  cut_ = false;
}

void Line::closed() {
  const std::lock_guard lock(mutex_);
  if (socket_ >= 0) ::close(socket_);
  socket_ = -1;
}

void Line::cut() {
  const std::lock_guard lock(mutex_);
  if (socket_ < 0) return;
  cut_ = true;
  ::shutdown(socket_, SHUT_RDWR);
}

LineWatch::LineWatch() : thread_([this](const std::stop_token& stop) { watch(stop); }) {}

void LineWatch::add(const std::shared_ptr<Line>& line) {
  const std::lock_guard lock(mutex_);
  lines_.push_back(line);
}

void LineWatch::limit(Millis longest) {
  {
    const std::lock_guard lock(mutex_);
    limit_ = longest;
    limited_ = Line::Steady::now();
  }
  changed_.notify_all();
}

std::optional<Millis> LineWatch::limit() const {
  const std::lock_guard lock(mutex_);
  return limit_;
}

void LineWatch::watch(const std::stop_token& stop) {
  constexpr Millis kEvery{1'000}, kEveryWhenLimited{20};
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    const auto now = Line::Steady::now();
    std::erase_if(lines_, [](const auto& line) { return line.expired(); });
    for (const auto& each : lines_) {
      const auto line = each.lock();
      const auto since = line ? line->waiting_since() : std::nullopt;
      if (!since || line->was_cut()) continue;
      const auto patience = line->patience();
      const bool over = (patience > Millis(0) && now - *since > patience) || (limit_ && now - std::max(*since, limited_) >= *limit_);
      if (over) line->cut();
    }
    const bool was_limited = limit_.has_value();
    changed_.wait_for(lock, stop, was_limited ? kEveryWhenLimited : kEvery, [&] { return limit_.has_value() != was_limited; });
  }
}

}  // namespace rosterd::postgres
