#pragma once
// The connections of the HTTP server: sockets come in, whole requests go to whoever answers them, the answers' bytes go out. Neither a
// worker thread nor anything else here ever waits for a peer, so that slow and silent ones cost memory and nothing more. What a request
// means, and how one is parsed, lives in server.cpp.
//
//   the door (one thread)   takes connections, ends those whose time is over, sheds what has waited for too long, ends all of it
//   workers                 wait in one epoll for whatever connection has something to say, read, have whole requests answered, send
//
// Of the workers only as many are awake as the machine can use, and those that have been at one request for long, waiting for the database
// most likely, beside them: threads that take turns at a core for nothing but their turn cost a busy server a third of what it could do.

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "daemon/http/arrival.hpp"
#include "daemon/http/connection.hpp"
#include "daemon/http/listening.hpp"
#include "daemon/http/parking.hpp"

namespace rosterd::http {

/// A whole request as it arrived, and the bytes that answer it.
struct Exchange {
  const Peer& peer;
  std::string_view bytes;          ///< begin with the request; the next one may have begun to arrive behind it
  bool last = false;               ///< the connection ends with this answer, which should say so
  bool busy = false;               ///< no thread had time for it: 503
  std::string out = {};            ///< the answer
  std::size_t used = 0;            ///< how many of `bytes` were this request
  bool close = false;              ///< the connection ends with this answer
  Connection::Stream stream = {};  ///< the rest of the answer, made while it is sent
};

/// Why a connection is ended without its request having been looked at.
enum class Refusal { UriTooLong, HeadersTooLarge, TooSlow, Busy };

inline constexpr std::size_t kMostRequests = 10'000;  ///< on one connection

class Answering {
 public:
  virtual ~Answering() = default;
  /// Called by any worker. Never throws.
  virtual void answer(Exchange& exchange) = 0;
  /// The whole answer to a request that is not read to its end.
  [[nodiscard]] virtual std::string refusal(Refusal why) = 0;
};

struct FrontOptions {
  std::size_t threads = 32;
  std::size_t max_connections = 10'000;
  ArrivalLimits limits;
  Millis request_timeout{10'000};  ///< for a handshake, for one whole request to arrive, for an answer to be taken
  Millis keep_alive{60'000};
  Millis max_wait{1'000};  ///< for a thread
};

class Front {
 public:
  using Steady = Connection::Steady;

  /// Serves until stop(). `answering` outlives it; without TLS, `tls` is empty.
  [[nodiscard]] static Result<std::unique_ptr<Front>> start(FrontOptions options, std::vector<Listening> listening, TlsContext tls,
                                                            Answering& answering);
  ~Front();
  Front(const Front&) = delete;
  Front& operator=(const Front&) = delete;

  /// Connections made from now on use this context; those that stand are not touched.
  void set_tls(TlsContext tls);
  /// When the door was last seen moving and a worker last took something out of the queue: whichever is longer ago. No peer can hold it up.
  [[nodiscard]] Steady::time_point last_tick() const;
  [[nodiscard]] std::size_t connections() const { return parking_->in_use(); }
  /// Requests that were answered 503 because no thread was free in time.
  [[nodiscard]] std::uint64_t shed() const { return shed_; }
  /// Takes no more connections, lets requests that are arriving or being answered come to their end, and joins. May be called twice.
  void stop();

  /// While it lives, the worker whose thread this is waits for something, the database most likely, and keeps no core busy: another one is
  /// called at once, who would be called in some milliseconds without. On other threads it does nothing.
  class Waits {
   public:
    Waits();
    ~Waits();
    Waits(const Waits&) = delete;
    Waits& operator=(const Waits&) = delete;

   private:
    Front* const front_;
  };

 private:
  using Place = Parking::Place;
  enum class Next { Park, Yield, Close };
  static constexpr std::size_t kMarkers = 8;

  /// What a thread has in its hands, so that a quick request needs no memory of its own.
  struct Hand {
    explicit Hand(std::atomic<std::size_t>* account) : spare(account) {}
    Buffer spare;
    std::string out;
    bool door = false;  ///< may do nothing that takes time
  };

  Front(FrontOptions options, std::vector<Listening> listening, TlsContext tls, Answering& answering, std::unique_ptr<Parking> parking);
  void work(std::size_t number);
  void rest();
  void begin_to_wait(std::atomic<Steady::rep>& busy_since);
  void end_to_wait(std::atomic<Steady::rep>& busy_since);
  [[nodiscard]] bool look_after_the_crew(Steady::time_point now);
  void keep_door();
  void end(Place& place, Steady::time_point now);
  [[nodiscard]] bool end_the_longest_silent();
  void take_connections(const Listening& from);
  void admit(Descriptor socket, Peer peer, bool tls);
  void look_after(Steady::time_point now);
  void look_at_the_queue(Hand& hand, Steady::time_point now);
  void shed_until(Hand& hand, std::size_t marker);
  [[nodiscard]] bool drained(Steady::time_point now);

  void serve(Place& place, bool thoroughly, Hand& hand);
  [[nodiscard]] Next advance(Connection& connection, Hand& hand);
  [[nodiscard]] Next read(Connection& connection, Hand& hand, std::size_t& in_a_row, bool& over);
  [[nodiscard]] bool make_room(Connection& connection, Hand& hand);
  void answer(Connection& connection, Hand& hand);
  void refuse(Connection& connection, Refusal why);
  static void linger(Connection& connection);
  void stow(Connection& connection, Hand& hand);
  [[nodiscard]] Steady::time_point deadline_of(const Connection& connection) const;
  [[nodiscard]] std::optional<Steady::time_point> expendable_since(const Connection& connection) const;

  FrontOptions options_;
  std::vector<Listening> listening_;
  Answering& answering_;
  std::atomic<std::size_t> buffered_{0};  // before parking_, whose connections count here
  std::unique_ptr<Parking> parking_;
  std::mutex tls_mutex_;
  std::shared_ptr<SSL_CTX> tls_;
  Descriptor spare_;  // given up when descriptors run out, so that a connection can still be taken and told so
  Descriptor wake_;   // the door
  std::array<std::atomic<Steady::rep>, kMarkers> marked_{};  // when each marker was put in; 0 = it is out
  std::atomic<Steady::rep> door_moved_, worker_moved_;
  std::atomic<Steady::rep> served_at_{0};  // the last request
  std::atomic<std::uint64_t> shed_{0};
  std::atomic<bool> stopping_{false};
  Steady::time_point stop_begun_{};
  bool shedding_ = false;  // from here on the door's own
  std::uint64_t shed_before_ = 0;
  Steady::time_point shed_at_{}, next_look_{}, next_marker_{};
  std::size_t next_marker_index_ = 0;
  const std::size_t least_awake_;
  std::atomic<std::size_t> awake_{0}, wanted_;              // workers that are not at rest, and how many there should be
  std::atomic<std::size_t> waits_{0};                       // those who have said so
  std::unique_ptr<std::atomic<Steady::rep>[]> busy_since_;  // of each worker; 0 = he waits for something to do
  std::mutex rest_mutex_;
  std::condition_variable called_;
  std::atomic<bool> quitting_{false};
  std::vector<std::jthread> workers_;
  std::jthread door_;
};

}  // namespace rosterd::http
