#include "daemon/http/front.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "schema/core/log.hpp"

namespace rosterd::http {
namespace {

using Io = Connection::Io;
using Phase = Connection::Phase;
using Steady = Connection::Steady;

constexpr std::size_t kFairShare = 64;                    // requests, or pieces of a stream, before others get their turn
constexpr std::size_t kBuffer = 16 * 1024;                // what is read at once
constexpr std::size_t kMostBuffered = 256 * 1024 * 1024;  // of requests that have arrived in part, all together
constexpr std::size_t kMostKept = 1024 * 1024;            // of a thread's own memory for answers
constexpr std::size_t kMostDiscarded = 8 * 1024 * 1024;   // of a body nobody wants, so that the answer that says so arrives
constexpr std::size_t kSurplus = 64;                      // connections beyond the limit that are told about it
constexpr Millis kLinger{2'000};
constexpr Millis kSurplusPatience{1'000};
constexpr Millis kStopPatience{500};  // for requests that have begun to arrive when the end comes
constexpr Millis kTick{100};
constexpr Millis kBusyTick{5};     // while requests come
constexpr Millis kStuck{4};        // a worker who is at one request for longer is not one of those who keep the cores busy
constexpr int kMostAccepts = 256;  // in a row, before other duties

/// OpenSSL writes without MSG_NOSIGNAL.
void block_sigpipe() {
  sigset_t pipe;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
}

std::string text_of(const sockaddr_storage& address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address.ss_family == AF_INET) {
    ::inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in&>(address).sin_addr, text, sizeof text);
  } else if (address.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address).sin6_addr;
    if (IN6_IS_ADDR_V4MAPPED(&v6))  // an IPv4 peer of a socket that takes both
      ::inet_ntop(AF_INET, v6.s6_addr + 12, text, sizeof text);
    else
      ::inet_ntop(AF_INET6, &v6, text, sizeof text);
  }
  return text;
}

void clear(const Descriptor& wake) {
  std::uint64_t count = 0;
  if (::read(wake.get(), &count, sizeof count) < 0) return;  // nobody had called
}

/// Bytes that nobody has read yet.
bool something_waits(const Connection& connection) {
  char byte = 0;
  return ::recv(connection.socket(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

}  // namespace

Front::Front(FrontOptions options, std::vector<Listening> listening, TlsContext tls, Answering& answering, std::unique_ptr<Parking> parking)
    : options_(options),
      listening_(std::move(listening)),
      answering_(answering),
      parking_(std::move(parking)),
      tls_(std::move(tls)),
      spare_(::open("/dev/null", O_RDONLY | O_CLOEXEC)),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      door_moved_(Steady::now().time_since_epoch().count()),
      worker_moved_(door_moved_.load()),
      least_awake_(std::min<std::size_t>(options.threads, 2 * std::max(1u, std::thread::hardware_concurrency()))),
      wanted_(least_awake_),
      busy_since_(std::make_unique<std::atomic<Steady::rep>[]>(options.threads)) {}

Front::~Front() { stop(); }

Result<std::unique_ptr<Front>> Front::start(FrontOptions options, std::vector<Listening> listening, TlsContext tls, Answering& answering) {
  auto parking = Parking::make(options.max_connections + kSurplus, kMarkers);
  if (!parking) return fail(parking.error());
  auto out = std::unique_ptr<Front>(new Front(options, std::move(listening), std::move(tls), answering, std::move(*parking)));
  for (std::size_t i = 0; i < options.threads; ++i) out->workers_.emplace_back([front = out.get(), i] { front->work(i); });
  out->door_ = std::jthread([front = out.get()] { front->keep_door(); });
  return out;
}

void Front::set_tls(TlsContext tls) {
  std::shared_ptr<SSL_CTX> next(std::move(tls));
  const std::lock_guard lock(tls_mutex_);
  tls_.swap(next);
}

Front::Steady::time_point Front::last_tick() const {
  return Steady::time_point(Steady::duration(std::min(door_moved_.load(), worker_moved_.load())));
}

void Front::stop() {
  if (!door_.joinable()) return;
  stopping_ = true;
  const std::uint64_t one = 1;
  const bool woken = ::write(wake_.get(), &one, sizeof one) > 0;  // else the door looks by itself within its tick
  (void)woken;
  door_.join();  // ends when the connections have
  parking_->quit();
  {
    const std::lock_guard lock(rest_mutex_);
    quitting_ = true;
  }
  called_.notify_all();
  workers_.clear();
}

// ---- workers -------------------------------------------------------------------------------------------------------------------------

namespace {
/// The worker whose thread this is.
thread_local Front* t_front = nullptr;
thread_local std::atomic<std::chrono::steady_clock::rep>* t_busy_since = nullptr;
}  // namespace

Front::Waits::Waits() : front_(t_front) {
  if (front_ != nullptr) front_->begin_to_wait(*t_busy_since);
}

Front::Waits::~Waits() {
  if (front_ != nullptr) front_->end_to_wait(*t_busy_since);
}

void Front::begin_to_wait(std::atomic<Steady::rep>& busy_since) {
  busy_since.store(1, std::memory_order_relaxed);  // as one who is stuck since long ago
  const auto wanted = std::min(options_.threads, least_awake_ + ++waits_);
  {
    const std::lock_guard lock(rest_mutex_);
    if (wanted_ >= wanted) return;
    wanted_ = wanted;  // until the door looks again
  }
  if (awake_ < wanted) called_.notify_one();
}

void Front::end_to_wait(std::atomic<Steady::rep>& busy_since) {
  --waits_;
  busy_since.store(Steady::now().time_since_epoch().count(), std::memory_order_relaxed);
}

void Front::work(std::size_t number) {
  block_sigpipe();
  Hand hand(&buffered_);
  auto& busy_since = busy_since_[number];
  t_front = this;
  t_busy_since = &busy_since;
  ++awake_;
  while (true) {
    if (awake_.load(std::memory_order_relaxed) > wanted_.load(std::memory_order_relaxed)) rest();
    const auto event = parking_->next(true);
    switch (event.kind) {
      case Parking::Kind::Nothing:
      case Parking::Kind::Elsewhere:
        break;
      case Parking::Kind::Marker:
        marked_[event.marker] = 0;
        break;
      case Parking::Kind::Quit:
        return;
      case Parking::Kind::Connection:
        served_at_.store(Steady::now().time_since_epoch().count(), std::memory_order_relaxed);
        busy_since.store(served_at_, std::memory_order_relaxed);
        serve(*event.place, event.thoroughly, hand);
        busy_since.store(0, std::memory_order_relaxed);
        break;
    }
    worker_moved_.store(Steady::now().time_since_epoch().count(), std::memory_order_relaxed);
  }
}

/// Until there are too few.
void Front::rest() {
  std::unique_lock lock(rest_mutex_);
  if (awake_ <= wanted_) return;  // another has gone to rest
  --awake_;
  called_.wait(lock, [&] { return awake_ < wanted_ || quitting_; });
  ++awake_;
}

/// Calls a worker for each one that is stuck, and lets them go again. True when requests come, so that it is worth looking again soon.
bool Front::look_after_the_crew(Steady::time_point now) {
  std::size_t stuck = 0;
  bool busy = false;
  for (std::size_t i = 0; i < options_.threads; ++i) {
    const auto since = busy_since_[i].load(std::memory_order_relaxed);
    if (since == 0) continue;
    busy = true;
    if (Steady::duration(now.time_since_epoch().count() - since) >= kStuck) ++stuck;
  }
  const auto wanted = std::min(options_.threads, least_awake_ + stuck);
  {
    const std::lock_guard lock(rest_mutex_);
    wanted_ = wanted;
  }
  if (awake_ < wanted) called_.notify_all();
  return busy || Steady::duration(now.time_since_epoch().count() - served_at_) < kTick;
}

void Front::serve(Place& place, bool thoroughly, Hand& hand) {
  auto& connection = *place.connection;
  connection.look_again(thoroughly);
  while (true) {
    const auto next = advance(connection, hand);
    if (next == Next::Close) return parking_->release(place);
    if (next == Next::Yield || (connection.wants_write() && !connection.watched_for_writing)) {
      connection.watched_for_writing = true;
      parking_->watch_for_writing(place);
    }
    stow(connection, hand);
    const auto expendable = next == Next::Yield ? std::nullopt : expendable_since(connection);  // whoever yields has more to say
    if (parking_->park(place, deadline_of(connection), expendable)) return;
    connection.look_again(true);
  }
}

Front::Next Front::advance(Connection& connection, Hand& hand) {
  std::size_t in_a_row = 0;
  while (true) {
    switch (connection.phase) {
      case Phase::Handshake: {
        const auto result = connection.handshake();
        if (result == Io::WouldBlock) return Next::Park;
        if (result != Io::Done) return Next::Close;
        connection.phase = Phase::Reading;
        connection.deadline = Steady::time_point::max();
        connection.since = Steady::now();
        break;
      }
      case Phase::Lingering: {
        std::size_t count = 0;
        const auto result = connection.discard(count);
        if (result == Io::WouldBlock) return Next::Park;
        connection.discarded += count;
        if (result != Io::Done || connection.discarded > kMostDiscarded) return Next::Close;
        break;
      }
      case Phase::Writing: {
        const auto result = connection.flush();
        if (result == Io::WouldBlock) return Next::Park;
        if (result != Io::Done) return Next::Close;
        if (connection.stream) {
          if (hand.door || ++in_a_row > kFairShare) return Next::Yield;
          const auto more = connection.stream(connection.output);
          if (!more) {  // the peer can tell by the missing end
            log::warning("http.stream_cut", {log::field("error", more.error().what)});
            return Next::Close;
          }
          if (!*more) connection.stream = nullptr;
          connection.deadline = Steady::now() + options_.request_timeout;
          break;
        }
        if (connection.closing) {
          if (connection.ended) return Next::Close;
          linger(connection);
          break;
        }
        connection.phase = Phase::Reading;
        if (connection.continued) break;  // its request's own deadline goes on
        connection.since = Steady::now();
        connection.deadline = connection.input.empty() ? Steady::time_point::max() : connection.since + options_.request_timeout;
        break;
      }
      case Phase::Reading: {
        bool over = false;
        const auto next = read(connection, hand, in_a_row, over);
        if (over) return next;
        break;
      }
    }
  }
}

/// One step of reading: `over` says that the connection's turn is, and what comes then.
Front::Next Front::read(Connection& connection, Hand& hand, std::size_t& in_a_row, bool& over) {
  over = true;
  // A line break between two requests belongs to neither (RFC 9112 §2.2).
  while (connection.scanned == 0 && connection.input.view().starts_with("\r\n")) connection.input.consume(2);
  const auto bytes = connection.input.view();
  if (!bytes.empty()) {
    const auto arrival = look(bytes, options_.limits, connection.scanned);
    bool whole = false;
    switch (arrival.state) {
      case Arrival::State::UriTooLong:
        refuse(connection, Refusal::UriTooLong);
        over = false;
        return Next::Park;
      case Arrival::State::HeadersTooLarge:
        refuse(connection, Refusal::HeadersTooLarge);
        over = false;
        return Next::Park;
      case Arrival::State::Whole:
        whole = true;
        break;
      case Arrival::State::Part:
        if (arrival.wants_continue && !connection.continued && !connection.ended) {
          connection.continued = true;
          connection.output = "HTTP/1.1 100 Continue\r\n\r\n";
          connection.phase = Phase::Writing;
          over = false;
          return Next::Park;
        }
        whole = connection.ended && arrival.head_done;  // whoever answers will say what is missing
        break;
    }
    if (whole) {
      if (++in_a_row > kFairShare) return Next::Yield;
      answer(connection, hand);
      over = false;
      return Next::Park;
    }
  }
  if (connection.ended) return Next::Close;
  if (connection.drained()) return Next::Park;
  if (!make_room(connection, hand)) {
    refuse(connection, Refusal::Busy);
    over = false;
    return Next::Park;
  }
  switch (connection.fill()) {
    case Io::Done:
      if (bytes.empty() && connection.deadline == Steady::time_point::max()) connection.deadline = Steady::now() + options_.request_timeout;
      break;
    case Io::WouldBlock:
      return Next::Park;
    case Io::Ended:
      connection.ended = true;
      break;
    case Io::Broken:
      return Next::Close;
  }
  over = false;
  return Next::Park;
}

/// Whole requests that arrive at once are read into the thread's own memory and never leave it.
bool Front::make_room(Connection& connection, Hand& hand) {
  auto& input = connection.input;
  if (input.room_size() >= kBuffer / 4) return true;
  const auto held = input.view().size();
  if (held < kBuffer / 2) {
    if (hand.spare.capacity() < kBuffer) hand.spare.resize(kBuffer);
    if (held > 0) {
      std::memcpy(hand.spare.room(), input.view().data(), held);
      hand.spare.added(held);
    }
    input.reset();
    input.swap(hand.spare);
    return true;
  }
  const auto wanted = std::min(2 * held, options_.limits.head + options_.limits.body) + kBuffer;
  if (wanted > 4 * kBuffer && buffered_ + wanted > kMostBuffered) return false;
  input.resize(wanted);
  return true;
}

void Front::answer(Connection& connection, Hand& hand) {
  Exchange exchange{.peer = connection.peer(),
                    .bytes = connection.input.view(),
                    .last = stopping_ || connection.surplus || connection.served + 1 >= kMostRequests,
                    .busy = hand.door || connection.surplus};
  exchange.out.swap(hand.out);
  exchange.out.clear();
  answering_.answer(exchange);
  ++connection.served;
  if (exchange.busy) ++shed_;
  connection.input.consume(std::min(exchange.used, connection.input.view().size()));
  connection.scanned = 0;
  connection.continued = false;
  connection.output.swap(exchange.out);
  connection.sent = 0;
  connection.stream = std::move(exchange.stream);
  connection.closing = exchange.close;
  connection.phase = Phase::Writing;
  connection.since = Steady::now();
  if (const auto result = connection.flush(); result == Io::Done && !connection.stream && !connection.closing) {
    connection.phase = Phase::Reading;
    hand.out.swap(connection.output);
    connection.deadline = connection.input.empty() ? Steady::time_point::max() : connection.since + options_.request_timeout;
    return;
  }
  connection.deadline = connection.since + options_.request_timeout;
}

void Front::refuse(Connection& connection, Refusal why) {
  connection.output = answering_.refusal(why);
  connection.sent = 0;
  connection.closing = true;
  connection.phase = Phase::Writing;
  connection.deadline = Steady::now() + options_.request_timeout;
}

/// The last word is said. A socket that is closed while bytes still arrive resets the connection, and the peer might never read that word.
void Front::linger(Connection& connection) {
  connection.half_close();
  connection.input.reset();
  connection.phase = Phase::Lingering;
  connection.deadline = Steady::now() + kLinger;
}

/// What a parked connection does not need goes back to the thread, or away: thousands of them should be small.
void Front::stow(Connection& connection, Hand& hand) {
  auto& input = connection.input;
  if (input.empty()) {
    if (input.capacity() == kBuffer && hand.spare.capacity() == 0) input.swap(hand.spare);
    input.reset();
  } else if (const auto held = input.view().size(); input.capacity() > 2 * held + 512) {
    input.resize(held + held / 2);
  }
  if (connection.output.empty() && connection.output.capacity() > 64) std::string().swap(connection.output);
  if (hand.out.capacity() > kMostKept) std::string().swap(hand.out);
}

Front::Steady::time_point Front::deadline_of(const Connection& connection) const {
  if (connection.deadline != Steady::time_point::max()) return connection.deadline;
  if (connection.surplus) return connection.since + kSurplusPatience;
  // A new connection is to speak, one that has spoken may be silent for longer.
  return connection.since + (connection.served == 0 ? std::min(options_.keep_alive, options_.request_timeout) : options_.keep_alive);
}

/// Who can make room for a new connection, the longest silent first: all that have nothing to get from us now. A request that arrives piece
/// by piece has a second longer.
std::optional<Front::Steady::time_point> Front::expendable_since(const Connection& connection) const {
  if (connection.phase == Phase::Writing || connection.surplus) return std::nullopt;
  if (connection.phase == Phase::Reading && !connection.input.empty())
    return connection.deadline - options_.request_timeout + Millis(1'000);
  return connection.since;
}

// ---- the door ------------------------------------------------------------------------------------------------------------------------

void Front::keep_door() {
  block_sigpipe();
  Hand hand(&buffered_);
  hand.door = true;
  std::vector<pollfd> watched;
  bool busy = true;
  while (true) {
    watched.assign(1, {.fd = wake_.get(), .events = POLLIN, .revents = 0});
    if (!stopping_)
      for (const auto& one : listening_) watched.push_back({.fd = one.socket(), .events = POLLIN, .revents = 0});
    const auto tick = busy ? kBusyTick : stopping_ ? kTick / 5 : parking_->in_use() == 0 ? 10 * kTick : kTick;
    ::poll(watched.data(), watched.size(), static_cast<int>(tick.count()));
    clear(wake_);
    const auto now = Steady::now();
    door_moved_ = now.time_since_epoch().count();
    busy = look_after_the_crew(now);
    for (std::size_t i = 1; i < watched.size(); ++i)
      if (watched[i].revents != 0) take_connections(listening_[i - 1]);
    if (stopping_ && stop_begun_ == Steady::time_point{}) {
      stop_begun_ = now;
      for (auto& one : listening_) {
        take_connections(one);  // who stands in the kernel's queue was let in before we stopped
        one.close();
      }
    }
    if (now >= next_look_ || stopping_) {
      next_look_ = now + kTick;
      look_after(now);
    }
    look_at_the_queue(hand, now);
    if (stop_begun_ != Steady::time_point{} && drained(now)) return;  // not before the ports are closed, whenever we were told
  }
}

void Front::take_connections(const Listening& from) {
  for (int i = 0; i < kMostAccepts; ++i) {
    sockaddr_storage address{};
    socklen_t length = sizeof address;
    Descriptor socket(::accept4(from.socket(), reinterpret_cast<sockaddr*>(&address), &length, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (socket) {
      const int yes = 1;
      if (!from.is_unix()) ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);  // an answer is one write
      admit(std::move(socket), {.address = from.is_unix() ? "unix" : text_of(address), .unix_socket = from.is_unix()}, !from.is_unix());
      continue;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) return;
    if (errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM) continue;  // this one broke off while it waited
    // Out of descriptors: the longest idle connection makes room, else the newest is turned away.
    if (end_the_longest_silent()) continue;
    spare_.close();
    const Descriptor refused(::accept4(from.socket(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (refused) {
      const auto text = answering_.refusal(Refusal::Busy);
      ::send(refused.get(), text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      ++shed_;
    }
    spare_ = {};
    spare_ = Descriptor(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    return;  // and other duties first: there may be descriptors in a moment
  }
}

void Front::admit(Descriptor socket, Peer peer, bool tls) {
  std::shared_ptr<SSL_CTX> context;
  if (tls) {
    const std::lock_guard lock(tls_mutex_);
    context = tls_;
  }
  const bool surplus = parking_->in_use() >= options_.max_connections && !end_the_longest_silent();
  auto connection = std::make_unique<Connection>(std::move(socket), std::move(peer), context.get(), &buffered_);
  connection->surplus = surplus;
  if (connection->phase == Phase::Handshake) connection->deadline = connection->since + options_.request_timeout;
  const auto deadline = deadline_of(*connection);
  const auto expendable = expendable_since(*connection);
  if (!parking_->admit(std::move(connection), deadline, expendable)) ++shed_;
}

/// False when nobody can be spared.
bool Front::end_the_longest_silent() {
  for (int tries = 0; tries < 64; ++tries) {
    auto* silent = parking_->longest_silent();
    if (silent == nullptr) return false;
    // Whoever has spoken, and only waits for a thread to hear it, is not silent.
    if (!something_waits(*silent->connection)) {
      parking_->release(*silent);
      return true;
    }
    parking_->spare(*silent);
  }
  return false;
}

/// Ends what has come to its time.
void Front::look_after(Steady::time_point now) {
  const bool hurry = stopping_ && now - stop_begun_ >= kStopPatience;
  parking_->sweep(
      now, [&](std::optional<Steady::time_point> expendable) { return hurry || (stopping_ && expendable); },
      [&](Place& place) {
        auto& connection = *place.connection;
        const bool late = deadline_of(connection) <= now;
        const bool leaving = connection.phase == Phase::Writing || connection.phase == Phase::Lingering;
        // When all of it ends, an answer on its way keeps its own time, and what is arriving is still served.
        const bool wanted = leaving || (!hurry && (connection.served == 0 || !connection.input.empty() || something_waits(connection)));
        if (!late && wanted) return parking_->put_back(place);
        end(place, now);
      });
}

void Front::end(Place& place, Steady::time_point now) {
  auto& connection = *place.connection;
  if (connection.phase != Phase::Reading || connection.input.empty()) return parking_->release(place);
  // Part of a request has come, and the rest has not in time.
  refuse(connection, stopping_ ? Refusal::Busy : Refusal::TooSlow);
  if (connection.flush() != Io::Done) return parking_->release(place);
  linger(connection);
  connection.deadline = now + kLinger;
  do parking_->watch_for_writing(place);
  while (!parking_->park(place, connection.deadline, std::nullopt));
}

/// Markers go through the queue of events like requests do. One that does not come out in time shows that everything before it has waited
/// for as long, too: no thread will have time for that soon, and it is told so now.
void Front::look_at_the_queue(Hand& hand, Steady::time_point now) {
  const auto rep = now.time_since_epoch().count();
  for (std::size_t i = 0; i < kMarkers; ++i) {
    const auto marker = (next_marker_index_ + i) % kMarkers;  // the oldest first
    const auto put = marked_[marker].load();
    if (put != 0 && Steady::duration(rep - put) >= options_.max_wait) shed_until(hand, marker);
  }
  if (shedding_ && now - shed_at_ > 2 * options_.max_wait) {
    shedding_ = false;
    log::info("http.caught_up", {log::field("refused", shed_ - shed_before_)});
  }
  if (now < next_marker_ || marked_[next_marker_index_] != 0) return;
  next_marker_ = now + options_.max_wait / (kMarkers - 1);
  marked_[next_marker_index_] = rep;
  parking_->put_marker(next_marker_index_);
  next_marker_index_ = (next_marker_index_ + 1) % kMarkers;
}

void Front::shed_until(Hand& hand, std::size_t marker) {
  if (!std::exchange(shedding_, true)) {
    shed_before_ = shed_;
    log::warning("http.busy", {log::field("threads", options_.threads)});
  }
  shed_at_ = Steady::now();
  // Not more than there can be: what is shed may come again at once.
  for (std::size_t i = 0; i < parking_->in_use() + kMarkers; ++i) {
    const auto event = parking_->next(false);
    if (event.kind == Parking::Kind::Nothing || event.kind == Parking::Kind::Quit) return;
    if (event.kind == Parking::Kind::Connection) serve(*event.place, event.thoroughly, hand);
    if (event.kind != Parking::Kind::Marker) continue;
    marked_[event.marker] = 0;
    if (event.marker == marker) return;
  }
}

bool Front::drained(Steady::time_point now) {
  return parking_->in_use() == 0 || now - stop_begun_ > options_.request_timeout + kStopPatience;
}

}  // namespace rosterd::http
