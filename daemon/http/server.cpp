// The only file that knows the HTTP library. It parses the request line and headers and writes the response; what stands between, the
// reading of bodies, keep-alive and closing, is done here, because the library's own way lets one idle connection hold a thread, reads
// bodies of any shape, and slices answers by Range.
#include "daemon/http/server.hpp"

#include <arpa/inet.h>
#include <httplib.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>

#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <list>
#include <mutex>
#include <thread>

#include "daemon/http/app.hpp"
#include "daemon/http/connection.hpp"
#include "daemon/http/problem.hpp"
#include "schema/core/log.hpp"

namespace rosterd::http {
namespace {

constexpr std::size_t kMostRequests = 10'000;  // on one connection
constexpr std::size_t kFairShare = 64;         // requests in a row while others wait for a thread
constexpr Millis kFirstRequestGrace{250};      // a new connection gets this long to speak while others wait
constexpr std::size_t kMostWaiting = 512;      // accepted and not yet served; more stay in the kernel's backlog
constexpr int kBacklog = 1024;
constexpr std::size_t kDrained = 8 * 1024 * 1024;  // a body beyond the limit is read to its end up to here, so that the 413 arrives

/// Worker threads with a visible queue: whoever holds a thread idly can see that it is wanted.
class Pool final : public httplib::TaskQueue {
 public:
  Pool(std::size_t threads, std::atomic<std::size_t>& waiting) : waiting_(waiting) {
    for (std::size_t i = 0; i < threads; ++i) workers_.emplace_back([this] { work(); });
  }
  void enqueue(std::function<void()> job) override {
    std::unique_lock lock(mutex_);
    room_.wait(lock, [&] { return jobs_.size() < kMostWaiting || stopping_; });
    jobs_.push_back(std::move(job));
    waiting_ = jobs_.size();
    wanted_.notify_one();
  }
  void shutdown() override {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wanted_.notify_all();
    room_.notify_all();
    workers_.clear();  // joins
  }

 private:
  void work() {
    sigset_t pipe;  // OpenSSL writes without MSG_NOSIGNAL
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
    while (true) {
      std::function<void()> job;
      {
        std::unique_lock lock(mutex_);
        wanted_.wait(lock, [&] { return !jobs_.empty() || stopping_; });
        if (jobs_.empty()) return;
        job = std::move(jobs_.front());
        jobs_.pop_front();
        waiting_ = jobs_.size();
      }
      room_.notify_one();
      job();
    }
  }

  std::atomic<std::size_t>& waiting_;
  std::mutex mutex_;
  std::condition_variable wanted_, room_;
  std::list<std::function<void()>> jobs_;
  bool stopping_ = false;
  std::vector<std::jthread> workers_;
};

/// What the library reads from and writes to.
class LibraryStream final : public httplib::Stream {
 public:
  explicit LibraryStream(Connection& connection)
      : connection_(connection),
        remote_(address(connection.socket(), &::getpeername)),
        local_(address(connection.socket(), &::getsockname)) {}
  bool is_readable() const override { return connection_.pending(); }
  bool is_writable() const override { return true; }
  ssize_t read(char* into, size_t size) override { return connection_.read(into, size); }
  ssize_t write(const char* from, size_t size) override {
    connection_.write({from, size});
    return static_cast<ssize_t>(size);
  }
  // Asked for every request, and the same for all of a connection.
  void get_remote_ip_and_port(std::string& ip, int& port) const override {
    ip = remote_.ip;
    port = remote_.port;
  }
  void get_local_ip_and_port(std::string& ip, int& port) const override {
    ip = local_.ip;
    port = local_.port;
  }
  socket_t socket() const override { return connection_.socket(); }

 private:
  struct Address {
    std::string ip;
    int port = 0;
  };
  static Address address(int socket, int (*of)(int, sockaddr*, socklen_t*)) {
    Address out;
    sockaddr_storage storage{};
    socklen_t length = sizeof storage;
    char text[INET6_ADDRSTRLEN] = "";
    if (of(socket, reinterpret_cast<sockaddr*>(&storage), &length) != 0) return out;
    if (storage.ss_family == AF_INET) {
      const auto& v4 = reinterpret_cast<const sockaddr_in&>(storage);
      ::inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
      out.port = ntohs(v4.sin_port);
    } else if (storage.ss_family == AF_INET6) {
      const auto& v6 = reinterpret_cast<const sockaddr_in6&>(storage);
      ::inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
      out.port = ntohs(v6.sin6_port);
    }
    out.ip = text;
    return out;
  }
  Connection& connection_;
  Address remote_, local_;
};

/// The request a worker thread has in hand: the library offers no way to hand this from reading to answering.
struct InHand {
  std::optional<Error> refused;  ///< decided while reading the body
  bool close = false;
};
thread_local InHand* in_hand = nullptr;

std::string_view header(const httplib::Request& request, const char* name) {
  const auto found = request.headers.find(name);
  return found == request.headers.end() ? std::string_view{} : std::string_view(found->second);
}

void fill(httplib::Response& response, Reply reply, bool close) {
  response.status = reply.status;
  if (!reply.body.empty()) response.headers.emplace("Content-Type", std::string(reply.content_type));
  response.body = std::move(reply.body);
  for (auto& [name, value] : reply.headers) response.headers.emplace(std::string(name), std::move(value));
  if (close) response.headers.emplace("Connection", "close");
}

class Listener final : public httplib::Server {
 public:
  Listener(App& app, TlsContext tls) : app_(app), tls_(std::move(tls)) {
    new_task_queue = [this] { return new Pool(app_.options.threads, waiting_); };
    // Without SO_REUSEPORT, which the library would set: two daemons on one port are a mistake to be told.
    set_socket_options([](socket_t socket) {
      const int yes = 1;
      ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    });
    set_default_headers({{"X-Content-Type-Options", "nosniff"}, {"Cache-Control", "no-store"}});
    set_pre_routing_handler([this](const httplib::Request& from, httplib::Response& to) {
      respond(from, to);
      return HandlerResponse::Handled;
    });
    set_error_handler(HandlerWithResponse([](const httplib::Request&, httplib::Response& response) {
      if (!response.body.empty()) return HandlerResponse::Unhandled;
      fill(response, problem(library_error(response.status)), in_hand != nullptr && in_hand->close);
      return HandlerResponse::Handled;
    }));
  }

  /// The library listens with a backlog of 5, which drops connections in any burst.
  void widen_backlog() { ::listen(svr_sock_, kBacklog); }
  void hurry() { stopping_ = true; }

 private:
  static Error library_error(int status) {
    if (status == 414) return {.code = Errc::InvalidInput, .what = "the URL is too long", .slug = "uri_too_long"};
    if (status >= 500) return {.code = Errc::Unavailable, .what = "too many connections", .slug = "busy"};
    return {.code = Errc::InvalidInput, .what = "this is not a usable HTTP request", .slug = {}};
  }

  bool process_and_close_socket(socket_t socket) override {
    Connection connection(socket, tls_.get());
    const int yes = 1;
    ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);  // an answer is one write; there is nothing to wait for
    if (!connection.open(app_.options.read_timeout)) return false;
    LibraryStream stream(connection);
    for (std::size_t served = 0; served < kMostRequests; ++served) {
      const bool come = connection.wait_for_request([&](Millis idle) {
        if (stopping_ || idle >= app_.options.keep_alive) return true;
        return waiting_ > 0 && (served > 0 || idle >= kFirstRequestGrace);
      });
      if (!come) break;
      connection.begin_request(app_.options.max_headers, Connection::Steady::now() + app_.options.read_timeout);
      InHand now;
      in_hand = &now;
      now.close = stopping_ || served + 1 == kMostRequests || (served >= kFairShare && waiting_ > 0);
      bool closed = false;
      const bool answered = process_request(stream, now.close, closed, [&](httplib::Request& request) {
        connection.head_done();
        take_body(connection, request, now);
      });
      in_hand = nullptr;
      if (!connection.flush(app_.options.read_timeout) || !answered || closed || now.close) break;
    }
    return true;
  }

  /// Reads the body to its end before anything is decided, so that the next request on this connection begins where this one ends.
  void take_body(Connection& connection, httplib::Request& request, InHand& now) const {
    request.ranges.clear();                    // answers are whole
    request.headers.erase("Accept-Encoding");  // and not compressed: short, and secrets beside chosen text invite guessing
    const auto refuse = [&](std::string_view slug, std::string_view what) {
      now.refused = Error{.code = Errc::InvalidInput, .what = std::string(what), .slug = std::string(slug)};
    };
    const auto hang_up = [&](std::string_view slug, std::string_view what) {
      refuse(slug, what);
      now.close = true;
    };
    if (request.has_header("Transfer-Encoding")) return hang_up("length_required", "a body needs a Content-Length");
    const auto lengths = request.headers.equal_range("Content-Length");
    if (lengths.first == lengths.second) return;
    if (std::next(lengths.first) != lengths.second) return hang_up({}, "Content-Length is given twice");
    const auto& text = lengths.first->second;
    if (text.empty() || text.size() > 18 || text.find_first_not_of("0123456789") != std::string::npos)
      return hang_up({}, "Content-Length is not a number");
    const auto length = static_cast<std::size_t>(std::stoull(text));
    const bool continues = request.has_header("Expect");
    request.headers.erase("Expect");  // answered here, not once more by the library
    if (length > app_.options.max_batch_body) {
      const auto what = fmt::format("the body is larger than {} bytes", app_.options.max_batch_body);
      if (continues || length > kDrained || !connection.skip(length)) return hang_up("payload_too_large", what);
      return refuse("payload_too_large", what);
    }
    if (continues) {
      connection.write("HTTP/1.1 100 Continue\r\n\r\n");
      if (!connection.flush(app_.options.read_timeout)) return hang_up({}, "the connection broke");
    }
    if (!connection.read_exactly(request.body, length)) hang_up({}, "the body is shorter than its Content-Length");
  }

  void respond(const httplib::Request& from, httplib::Response& to) {
    if (in_hand->refused) {
      app_.metrics.unrouted(status_of(*in_hand->refused));
      return fill(to, problem(*in_hand->refused), in_hand->close);
    }
    const Request request{.method = from.method,
                          .target = from.target,
                          .headers = {.authorization = header(from, "Authorization"),
                                      .content_type = header(from, "Content-Type"),
                                      .content_encoding = header(from, "Content-Encoding"),
                                      .if_match = header(from, "If-Match"),
                                      .request_id = header(from, "X-Request-ID"),
                                      .min_revision = header(from, "Rosterd-Min-Revision"),
                                      .max_age = header(from, "Rosterd-Max-Age")},
                          .body = from.body,
                          .remote = from.remote_addr};
    fill(to, answer(app_, request), in_hand->close);
  }

  App& app_;
  TlsContext tls_;
  std::atomic<std::size_t> waiting_{0};
  std::atomic<bool> stopping_{false};
};

}  // namespace

struct Server::Parts {
  App app;
  std::unique_ptr<Listener> listener;
  std::uint16_t port = 0;
  std::jthread thread;

  Parts(HttpOptions options, HttpServices services) : app(std::move(options), std::move(services)) {}
};

Server::Server(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Server::~Server() { stop(); }

Result<std::unique_ptr<Server>> Server::start(HttpOptions options, HttpServices services) {
  TlsContext tls;
  if (!options.tls_certificate_file.empty()) {
    auto context = make_tls_context(options.tls_certificate_file, options.tls_key_file);
    if (!context) return fail(context.error(), "setting up TLS");
    tls = std::move(*context);
  }
  auto parts = std::make_unique<Parts>(std::move(options), std::move(services));
  auto& app = parts->app;
  std::size_t index = 0;
  for (const auto& route : routes()) app.metrics.name_route(index++, route.method, route.path);

  parts->listener = std::make_unique<Listener>(app, std::move(tls));
  errno = 0;
  const int port = app.options.port == 0 ? parts->listener->bind_to_any_port(app.options.address)
                   : parts->listener->bind_to_port(app.options.address, app.options.port) ? app.options.port
                                                                                          : -1;
  if (port <= 0)
    return fail(Errc::Unavailable, "listening on {}:{}: {}", app.options.address, app.options.port,
                errno != 0 ? std::strerror(errno) : "the address cannot be used");
  parts->port = static_cast<std::uint16_t>(port);
  parts->listener->widen_backlog();
  parts->thread = std::jthread([listener = parts->listener.get()] { listener->listen_after_bind(); });
  // The library offers no event for "accepting", and its stop() does nothing before that.
  while (!parts->listener->is_running()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  log::info("http.listening", {log::field("address", app.options.address), log::field("port", port),
                               log::field("tls", !app.options.tls_certificate_file.empty())});
  return std::unique_ptr<Server>(new Server(std::move(parts)));
}

std::uint16_t Server::port() const { return parts_->port; }

void Server::set_ready(bool ready) { parts_->app.ready = ready; }

void Server::stop() {
  if (!parts_->thread.joinable()) return;
  parts_->app.ready = false;
  parts_->app.stopping.request_stop();  // connector tests end
  parts_->listener->hurry();
  parts_->listener->stop();
  parts_->thread.join();
  log::info("http.stopped");
}

}  // namespace rosterd::http
