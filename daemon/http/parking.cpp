#include "daemon/http/parking.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace rosterd::http {
namespace {

// Names of events: generation and index of a place, or with this bit set one of our own.
constexpr std::uint64_t kOurs = std::uint64_t{1} << 63, kQuit = kOurs, kMarker = kOurs | 1;
constexpr std::uint64_t kGenerations = 0x7fff'ffff;

}  // namespace

Parking::Parking(std::size_t places, std::size_t markers)
    : places_(places),
      table_(std::make_unique<Place[]>(places)),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      quit_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  for (std::size_t i = 0; i < markers; ++i) markers_.emplace_back(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
}

Parking::~Parking() = default;

Result<std::unique_ptr<Parking>> Parking::make(std::size_t places, std::size_t markers) {
  auto out = std::unique_ptr<Parking>(new Parking(places, markers));
  const auto add = [&](const Descriptor& what, std::uint32_t events, std::uint64_t name) {
    epoll_event event{.events = events, .data = {.u64 = name}};
    return out->epoll_ && what && ::epoll_ctl(out->epoll_.get(), EPOLL_CTL_ADD, what.get(), &event) == 0;
  };
  bool good = add(out->quit_, EPOLLIN, kQuit);  // level-triggered: it wakes everybody
  for (std::size_t i = 0; i < markers; ++i) good = good && add(out->markers_[i], EPOLLIN | EPOLLET, kMarker + 2 * i);
  if (!good) return fail(Errc::Unavailable, "setting up epoll: {}", std::generic_category().message(errno));
  return out;
}

std::uint64_t Parking::name_of(const Place& place) const {
  const auto index = static_cast<std::uint64_t>(&place - table_.get());
  return (((place.state.load(std::memory_order_relaxed) >> 2) & kGenerations) << 32) | index;
}

bool Parking::admit(std::unique_ptr<Connection> connection, Steady::time_point deadline,
                    std::optional<Steady::time_point> expendable_since) {
  Place* place = nullptr;
  {
    const std::lock_guard lock(mutex_);
    if (!free_.empty()) {
      place = &table_[free_.back()];
      free_.pop_back();
    }
  }
  if (place == nullptr) {
    if (used_ == places_) return false;
    place = &table_[used_++];
  }
  ++in_use_;
  const int socket = connection->socket();
  place->connection = std::move(connection);
  note(*place, deadline, expendable_since);
  // Parked first, watched then: the first event already finds it so. It is nobody else's before there is an event, or a sweep, which is
  // ours.
  place->state.fetch_and(~(kHeld | kMarked), std::memory_order_release);
  epoll_event event{.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data = {.u64 = name_of(*place)}};
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, socket, &event) == 0) return true;
  if (claim_parked(*place)) release(*place);
  return false;
}

bool Parking::claim(Place& place, std::uint64_t generation) {
  auto state = place.state.load(std::memory_order_acquire);
  while (true) {
    if (((state >> 2) & kGenerations) != generation) return false;
    const auto next = state | ((state & kHeld) == 0 ? kHeld : kMarked);
    if (!place.state.compare_exchange_weak(state, next, std::memory_order_acq_rel)) continue;
    return (state & kHeld) == 0;
  }
}

bool Parking::claim_parked(Place& place) {
  auto state = place.state.load(std::memory_order_acquire);
  return (state & kHeld) == 0 && place.state.compare_exchange_strong(state, state | kHeld, std::memory_order_acq_rel);
}

Parking::Event Parking::next(bool wait) {
  epoll_event event{};
  const int n = ::epoll_wait(epoll_.get(), &event, 1, wait ? -1 : 0);
  if (n <= 0) return {};
  const auto name = event.data.u64;
  if (name == kQuit) return {.kind = Kind::Quit};
  if ((name & kOurs) != 0) return {.kind = Kind::Marker, .place = nullptr, .thoroughly = false, .marker = (name & ~kOurs) / 2};
  auto& place = table_[static_cast<std::uint32_t>(name)];
  if (!claim(place, name >> 32)) return {.kind = Kind::Elsewhere};
  return {.kind = Kind::Connection, .place = &place, .thoroughly = (event.events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0, .marker = 0};
}

bool Parking::park(Place& place, Steady::time_point deadline, std::optional<Steady::time_point> expendable_since) {
  note(place, deadline, expendable_since);
  return let_go(place);
}

void Parking::note(Place& place, Steady::time_point deadline, std::optional<Steady::time_point> expendable_since) {
  place.deadline.store(deadline.time_since_epoch().count(), std::memory_order_relaxed);
  place.expendable_since.store(expendable_since ? expendable_since->time_since_epoch().count() : kNever, std::memory_order_relaxed);
}

bool Parking::let_go(Place& place) {
  auto state = place.state.load(std::memory_order_relaxed);
  while ((state & kMarked) == 0)
    if (place.state.compare_exchange_weak(state, state & ~kHeld, std::memory_order_acq_rel)) return true;
  place.state.fetch_and(~kMarked, std::memory_order_acq_rel);
  return false;
}

void Parking::put_back(Place& place) {
  do watch_for_writing(place);
  while (!let_go(place));
}

void Parking::watch_for_writing(const Place& place) {
  epoll_event event{.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data = {.u64 = name_of(place)}};
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, place.connection->socket(), &event);
}

void Parking::release(Place& place) {
  place.connection.reset();  // which also takes it out of epoll
  const auto generation = ((place.state.load(std::memory_order_relaxed) >> 2) + 1) & kGenerations;
  place.expendable_since.store(kNever, std::memory_order_relaxed);
  place.deadline.store(kNever, std::memory_order_relaxed);
  place.state.store(generation << 2 | kHeld, std::memory_order_release);
  {
    const std::lock_guard lock(mutex_);
    free_.push_back(static_cast<std::uint32_t>(&place - table_.get()));
  }
  --in_use_;
}

Parking::Place* Parking::longest_silent() {
  for (int tries = 0; tries < 8; ++tries) {
    Place* oldest = nullptr;
    auto least = kNever;
    for (std::size_t i = 0; i < used_; ++i) {
      const auto since = table_[i].expendable_since.load(std::memory_order_relaxed);
      if (since >= least || (table_[i].state.load(std::memory_order_relaxed) & kHeld) != 0) continue;
      least = since;
      oldest = &table_[i];
    }
    if (oldest == nullptr) return nullptr;
    if (!claim_parked(*oldest)) continue;  // it has just begun to speak
    if (oldest->expendable_since.load(std::memory_order_relaxed) != kNever) return oldest;
    put_back(*oldest);
  }
  return nullptr;
}

void Parking::spare(Place& place) {
  place.expendable_since.store(kNever, std::memory_order_relaxed);
  put_back(place);
}

void Parking::put_marker(std::size_t marker) {
  const std::uint64_t one = 1;
  if (::write(markers_[marker].get(), &one, sizeof one) < 0) return;  // full after 2^64 - 2 of them
}

void Parking::quit() {
  const std::uint64_t one = 1;
  if (::write(quit_.get(), &one, sizeof one) < 0) return;  // it has been said already
}

}  // namespace rosterd::http
