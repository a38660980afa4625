#pragma once
// Where connections stand while nobody serves them: a fixed number of places, one epoll for all of them, and a protocol that lets any
// thread pick up any connection while each of them is in one hand at a time. What is done with a connection lives in front.cpp.
//
// A place is free, parked or held. Events are edge-triggered and name the place and its generation, so that an event for a connection that
// has gone meanwhile is recognized and dropped. Whoever gets an event claims the place (parked -> held). If it is held already, the claim
// fails and leaves a mark instead; who wants to park a marked place is told to look once more. So no event is lost, and between two
// requests of a busy connection there is no system call but the reading and the writing.

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "daemon/http/connection.hpp"

namespace rosterd::http {

class Parking {
 public:
  using Steady = Connection::Steady;
  struct Place {
    std::unique_ptr<Connection> connection;  ///< touched by whoever holds the place
   private:
    friend class Parking;
    std::atomic<std::uint64_t> state{kHeld};            // generation << 2 | marked | held
    std::atomic<Steady::rep> deadline{kNever};          // when somebody has to look after it, whatever the peer does
    std::atomic<Steady::rep> expendable_since{kNever};  // for those that can make room for others
  };
  enum class Kind { Nothing, Elsewhere, Connection, Marker, Quit };
  struct Event {
    Kind kind = Kind::Nothing;
    Place* place = nullptr;   ///< now held by the caller
    bool thoroughly = false;  ///< the peer has closed, or an event was lost in a mark: a short read proves nothing
    std::size_t marker = 0;
  };

  /// Unavailable when the system gives no epoll.
  [[nodiscard]] static Result<std::unique_ptr<Parking>> make(std::size_t places, std::size_t markers);
  ~Parking();

  /// A free place with this connection in it, parked and watched. False: no place is free, or the system refuses; the connection is closed.
  [[nodiscard]] bool admit(std::unique_ptr<Connection> connection, Steady::time_point deadline,
                           std::optional<Steady::time_point> expendable_since);
  [[nodiscard]] std::size_t in_use() const { return in_use_; }

  /// The next event; waits for it when `wait`. Elsewhere: it was for a place in other hands, or for a connection that has gone.
  [[nodiscard]] Event next(bool wait);
  /// Parks a held place. False: something happened to it meanwhile and it is still held; look again.
  [[nodiscard]] bool park(Place& place, Steady::time_point deadline, std::optional<Steady::time_point> expendable_since);
  /// From now on events say, too, that the peer takes bytes again. Also puts a held place at the end of the queue of events.
  void watch_for_writing(const Place& place);
  /// Parks a held place from which nobody has read; whoever came for it meanwhile gets an event anew.
  void put_back(Place& place);
  /// Closes the connection of a held place.
  void release(Place& place);

  /// Claims the places whose deadline has passed, and those `also` names, one after the other. For one thread.
  template <class Also, class Act>
  void sweep(Steady::time_point now, Also also, Act act) {
    const auto due = [&](const Place& place) {
      const auto since = place.expendable_since.load(std::memory_order_relaxed);
      return place.deadline.load(std::memory_order_relaxed) <= now.time_since_epoch().count() ||
             also(since == kNever ? std::nullopt : std::optional(Steady::time_point(Steady::duration(since))));
    };
    for (std::size_t i = 0; i < used_; ++i) {
      auto& place = table_[i];
      if (!due(place) || !claim_parked(place)) continue;
      if (due(place))
        act(place);
      else
        put_back(place);  // it was served between the look and the claim
    }
  }
  /// Claims the place that has been expendable for longest; nullptr when none is.
  [[nodiscard]] Place* longest_silent();
  /// Parks a held place again as one that is not expendable for now.
  void spare(Place& place);
  /// Puts a marker at the end of the queue of events: the time until it comes out is what a request has to wait now.
  void put_marker(std::size_t marker);
  /// Every next() returns Quit from now on.
  void quit();

 private:
  static constexpr std::uint64_t kHeld = 1, kMarked = 2;
  static constexpr Steady::rep kNever = Steady::time_point::max().time_since_epoch().count();
  Parking(std::size_t places, std::size_t markers);
  [[nodiscard]] bool claim(Place& place, std::uint64_t generation);
  [[nodiscard]] bool claim_parked(Place& place);
  static void note(Place& place, Steady::time_point deadline, std::optional<Steady::time_point> expendable_since);
  [[nodiscard]] static bool let_go(Place& place);
  [[nodiscard]] std::uint64_t name_of(const Place& place) const;

  std::size_t places_;
  std::unique_ptr<Place[]> table_;
  Descriptor epoll_, quit_;
  std::vector<Descriptor> markers_;
  std::atomic<std::size_t> in_use_{0};
  std::size_t used_ = 0;  // places that were ever used; for the admitting thread
  std::mutex mutex_;
  std::vector<std::uint32_t> free_;
};

}  // namespace rosterd::http
