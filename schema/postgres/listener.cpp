#include <fcntl.h>
#include <libpq-fe.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <chrono>
#include <system_error>

#include "schema/core/log.hpp"
#include "schema/postgres/db.hpp"
#include "schema/postgres/postgres_store.hpp"

// Hearing of revisions (0012): LISTEN on a connection of its own. Nothing here waits for the server alone: a PostgreSQL that is frozen, in
// whatever step, does not keep the thread from ending.

namespace rosterd {

using namespace postgres;

namespace {

using Steady = std::chrono::steady_clock;
constexpr Millis kFirstPause{250}, kLongestPause{10'000};
constexpr Millis kToConnect{10'000};  // and to listen

/// Waits for a socket, until a stop is requested or a moment has come.
class Waiting {
 public:
  explicit Waiting(const std::stop_token& stop)
      : ring_(stop, [bell = bell_.fd] {
          const std::uint64_t one = 1;
          (void)!::write(bell, &one, sizeof one);
        }) {}
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;

  /// True when the socket is ready for one of `events`; no `until` = however long that takes. A socket of -1 is never ready.
  bool ready(int socket, short events, std::optional<Steady::time_point> until) const {
    while (true) {
      const auto left = until ? std::chrono::ceil<Millis>(*until - Steady::now()).count() : 0;
      if (until && left <= 0) return false;
      pollfd both[] = {{.fd = bell_.fd, .events = POLLIN, .revents = 0}, {.fd = socket, .events = events, .revents = 0}};
      const int found = ::poll(both, 2, until ? static_cast<int>(left) : -1);
      if (found < 0 && errno != EINTR) return false;
      if (both[0].revents != 0) return false;
      if (found > 0) return true;
    }
  }

 private:
  struct Bell {
    Bell() : fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
      if (fd < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
    }
    ~Bell() { ::close(fd); }
    Bell(const Bell&) = delete;
    Bell& operator=(const Bell&) = delete;
    const int fd;
  };
  const Bell bell_;  // before what rings it: a stop that is being requested has rung when the bell is put away
  const std::stop_callback<std::function<void()>> ring_;
};

class Ear {
 public:
  Ear(const std::string& dsn, const Waiting& waiting)
      : waiting_(waiting), until_(Steady::now() + kToConnect), connection_(PQconnectStart(dsn.c_str()), &PQfinish) {}

  /// Connects and listens.
  bool open() {
    if (!connection_ || PQstatus(raw()) == CONNECTION_BAD) return false;
    PQsetNoticeProcessor(raw(), [](void*, const char*) {}, nullptr);
    for (auto step = PGRES_POLLING_WRITING; step != PGRES_POLLING_OK; step = PQconnectPoll(raw())) {
      if (step == PGRES_POLLING_FAILED) return false;
      if (!waiting_.ready(PQsocket(raw()), step == PGRES_POLLING_READING ? POLLIN : POLLOUT, until_)) return false;
    }
    if (PQsendQuery(raw(), "LISTEN rosterd_revision") != 1) return false;
    bool listening = false;
    while (true) {
      while (PQisBusy(raw()) != 0)
        if (!waiting_.ready(PQsocket(raw()), POLLIN, until_) || PQconsumeInput(raw()) != 1) return false;
      const std::unique_ptr<PGresult, decltype(&PQclear)> answer(PQgetResult(raw()), &PQclear);
      if (!answer) return listening;
      listening = PQresultStatus(answer.get()) == PGRES_COMMAND_OK;
    }
  }

  /// Hands over what is told until the line is lost or a stop is requested.
  void hear(const std::function<void(const Store::TenantRevision*)>& heard) {
    while (true) {
      while (const std::unique_ptr<PGnotify, decltype(&PQfreemem)> told{PQnotifies(raw()), &PQfreemem}) {
        const std::string_view what = told->extra;
        const auto blank = what.find(' ');
        if (blank == std::string_view::npos) continue;
        const auto revision = parse_revision(what.substr(blank + 1));
        if (!revision) continue;
        const Store::TenantRevision one{.tenant = TenantId{std::string(what.substr(0, blank))}, .revision = *revision};
        heard(&one);
      }
      if (!waiting_.ready(PQsocket(raw()), POLLIN, std::nullopt) || PQconsumeInput(raw()) != 1) return;
    }
  }

  [[nodiscard]] std::string trouble() const {
    std::string_view said = connection_ ? PQerrorMessage(raw()) : "out of memory";
    said = said.substr(0, said.find('\n'));
    return said.empty() ? "no answer in time" : std::string(said);
  }

 private:
  [[nodiscard]] PGconn* raw() const { return connection_.get(); }
  const Waiting& waiting_;
  const Steady::time_point until_;
  const std::unique_ptr<PGconn, decltype(&PQfinish)> connection_;
};

}  // namespace

void PostgresStore::follow_revisions(const std::stop_token& stop, const std::function<void(const TenantRevision*)>& heard) {
  const Waiting waiting(stop);
  auto pause = kFirstPause;
  bool deaf = false;
  while (!stop.stop_requested()) {
    {
      Ear ear(listen_on_, waiting);
      if (ear.open()) {
        if (deaf) log::info("store.hears_again");
        deaf = false;
        pause = kFirstPause;
        heard(nullptr);
        ear.hear(heard);
      }
      if (!stop.stop_requested() && !deaf) {
        deaf = true;
        log::warning("store.hears_nothing", {log::field("error", ear.trouble())});
      }
    }
    (void)waiting.ready(-1, 0, Steady::now() + pause);
    pause = std::min(2 * pause, kLongestPause);
  }
}

}  // namespace rosterd
