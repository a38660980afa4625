#pragma once
// The way to a server as a bystander sees it: how long the call in progress has waited, how long it may, and a means to end it. libpq's
// calls wait without limit on a unix socket, and statement_timeout is kept by the server: one that is stopped keeps nobody's time. What is
// asked over a line is db.hpp's business.

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "schema/core/clock.hpp"

namespace rosterd::postgres {

/// Opened, closed and called over by one thread; cut by any.
class Line {
 public:
  using Steady = std::chrono::steady_clock;
  Line() = default;
  ~Line() { closed(); }
  Line(const Line&) = delete;
  Line& operator=(const Line&) = delete;

  /// Keeps a descriptor of its own for `socket`: libpq closes its one whenever it likes, and the number may be another connection's by
  /// then.
  void opened(int socket);
  void closed();
  /// Whoever waits on the line hears from the kernel that the server has hung up.
  void cut();
  [[nodiscard]] bool was_cut() const { return cut_; }

  /// Longest wait of the calls that follow; 0 = any.
  void patience(Millis longest) { patience_ = longest.count(); }
  [[nodiscard]] Millis patience() const { return Millis(patience_.load()); }

  /// A call in progress, as long as it lives.
  class Call {
   public:
    explicit Call(Line& line) : line_(line) { again(); }
    ~Call() { line_.since_ = 0; }
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;
    /// Something has come: the wait begins anew.
    void again() { line_.since_ = Steady::now().time_since_epoch().count(); }

   private:
    Line& line_;
  };
  /// Since when the call in progress waits; none while there is none.
  [[nodiscard]] std::optional<Steady::time_point> waiting_since() const {
    const auto since = since_.load();
    return since == 0 ? std::nullopt : std::optional(Steady::time_point(Steady::duration(since)));
  }

 private:
  std::mutex mutex_;
  int socket_ = -1;  // under mutex_
  std::atomic<bool> cut_{false};
  std::atomic<Steady::rep> since_{0};
  std::atomic<Millis::rep> patience_{0};
};

/// Cuts the lines whose call has waited longer than it may.
class LineWatch {
 public:
  LineWatch();
  void add(const std::shared_ptr<Line>& line);
  /// From now on no call waits longer than this, those in progress included.
  void limit(Millis longest);
  /// What limit() has set.
  [[nodiscard]] std::optional<Millis> limit() const;

 private:
  void watch(const std::stop_token& stop);

  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::vector<std::weak_ptr<Line>> lines_;  // under mutex_, as the next two
  std::optional<Millis> limit_;
  Line::Steady::time_point limited_{};
  std::jthread thread_;  // last: it uses the others
};

}  // namespace rosterd::postgres
