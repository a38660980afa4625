// The only file that knows the HTTP library. It parses the request line and headers and writes the response head; connections are
// front.cpp's, and what stands between, reading the body and deciding whether the connection goes on, is done here, because the library's
// own way gives every connection a thread, reads bodies of any shape, and slices answers by Range.
#include "daemon/http/server.hpp"

#include <httplib.h>
#include <sys/resource.h>

#include <cstring>

#include "daemon/http/app.hpp"
#include "daemon/http/front.hpp"
#include "daemon/http/handlers.hpp"
#include "daemon/http/listener.hpp"
#include "daemon/http/problem.hpp"
#include "schema/core/log.hpp"

namespace rosterd::http {
namespace {

/// The query of a request, with its question mark, when the library need not see it: it would take it apart into a map that nobody reads,
/// and parse_target does it again, strictly. Anything unusual is left where it is, for the library to judge.
std::string_view plain_query(std::string_view request) {
  const auto line = request.substr(0, request.find('\n'));
  const auto before = line.find(' ');
  if (before == std::string_view::npos) return {};
  const auto after = line.find(' ', before + 1);
  if (after == std::string_view::npos) return {};
  const auto target = line.substr(before + 1, after - before - 1);
  const auto mark = target.find('?');
  if (mark == std::string_view::npos) return {};
  const bool plain = std::all_of(target.begin(), target.end(), [](char c) { return c > ' ' && c <= '~' && c != '#'; });
  return plain ? target.substr(mark) : std::string_view{};
}

/// What the library reads from and writes to: a request that has arrived, and the answer's bytes.
class LibraryStream final : public httplib::Stream {
 public:
  explicit LibraryStream(Exchange& exchange)
      : exchange_(exchange),
        query_(plain_query(exchange.bytes)),
        query_at_(query_.empty() ? std::string_view::npos : static_cast<std::size_t>(query_.data() - exchange.bytes.data())) {}
  bool is_readable() const override { return at_ < exchange_.bytes.size(); }
  bool is_writable() const override { return true; }
  ssize_t read(char* into, size_t size) override {
    if (at_ == query_at_) at_ += query_.size();
    if (!is_readable()) return -1;  // only what is there: the rest of a request that was cut off never comes
    const auto end = at_ < query_at_ ? std::min(query_at_, exchange_.bytes.size()) : exchange_.bytes.size();
    const auto count = std::min(size, end - at_);
    std::memcpy(into, exchange_.bytes.data() + at_, count);
    at_ += count;
    return static_cast<ssize_t>(count);
  }
  ssize_t write(const char* from, size_t size) override {
    const std::string_view bytes(from, size);
    // The head comes first and in one piece; our own headers go between its first line and those of the library.
    const auto line = headers_.empty() ? std::string_view::npos : bytes.find("\r\n");
    if (line != std::string_view::npos) {
      exchange_.out.append(bytes.substr(0, line + 2)).append(headers_).append(bytes.substr(line + 2));
      headers_.clear();
    } else {
      exchange_.out.append(bytes);
    }
    return static_cast<ssize_t>(size);
  }
  void get_remote_ip_and_port(std::string& ip, int& port) const override {
    ip = exchange_.peer.address;
    port = 0;
  }
  void get_local_ip_and_port(std::string& ip, int& port) const override {
    ip.clear();
    port = 0;
  }
  // Only compared with FD_SETSIZE, in a build of the library that waits with select(); nothing waits here.
  socket_t socket() const override { return 0; }

  /// The next `size` bytes, none when fewer are there.
  std::optional<std::string_view> take(std::size_t size) {
    if (exchange_.bytes.size() - at_ < size) return std::nullopt;
    at_ += size;
    return exchange_.bytes.substr(at_ - size, size);
  }
  [[nodiscard]] std::size_t used() const { return at_; }
  /// A header of the answer that the library need not know: its map of them is the dearest part of a short answer.
  void add_header(std::string_view name, std::string_view value) { headers_.append(name).append(": ").append(value).append("\r\n"); }
  /// What the library was not shown.
  [[nodiscard]] std::string_view query() const { return query_; }

 private:
  Exchange& exchange_;
  std::size_t at_ = 0;
  std::string_view query_;
  std::size_t query_at_;
  std::string headers_;
};

/// The request a worker thread has in hand: the library offers no way to hand this from reading to answering.
struct InHand {
  Exchange& exchange;
  LibraryStream& stream;
  std::string_view body = {};
  std::optional<Error> refused = {};  ///< decided while reading the body
  bool understood = false;            ///< the library has parsed it
  bool close = false;
  bool say_so = false;  ///< "Connection: close" is ours to write, not the library's
  bool chunked = true;  ///< HTTP/1.1
};
thread_local InHand* in_hand = nullptr;

/// What rosterd reads of the headers, from the bytes that the library has found acceptable; of one that comes twice the first counts. Not
/// from the library, which percent-decodes values: "a%2Fb" in X-Forwarded-Uri would become two segments, and %0A a line break.
RequestHeaders headers_in(std::string_view request) {
  struct Row {
    std::string_view name;
    std::string_view RequestHeaders::* value;
    bool once = false;  ///< it decides for a proxy
  };
  using H = RequestHeaders;
  static constexpr Row kRows[] = {{"authorization", &H::authorization, true},
                                  {"content-type", &H::content_type},
                                  {"content-encoding", &H::content_encoding},
                                  {"if-match", &H::if_match},
                                  {"if-none-match", &H::if_none_match},
                                  {"x-request-id", &H::request_id},
                                  {"rosterd-min-revision", &H::min_revision},
                                  {"rosterd-max-age", &H::max_age},
                                  {"cookie", &H::cookie},
                                  {"x-rosterd-csrf", &H::csrf},
                                  {"rosterd-permission", &H::permission, true},
                                  {"rosterd-action", &H::action, true},
                                  {"rosterd-namespace", &H::ns, true},
                                  {"rosterd-subject", &H::subject, true},
                                  {"x-forwarded-method", &H::forwarded_method, true},
                                  {"x-forwarded-uri", &H::forwarded_uri, true}};
  const auto is = [](std::string_view name, std::string_view lower) {
    return name.size() == lower.size() && std::equal(name.begin(), name.end(), lower.begin(), [](char c, char low) {
             return (c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c) == low;
           });
  };
  const auto blank = [](char c) { return c == ' ' || c == '\t'; };
  RequestHeaders out;
  unsigned seen = 0;
  for (auto end = request.find('\n'); end != std::string_view::npos; end = request.find('\n')) {
    request.remove_prefix(end + 1);
    auto line = request.substr(0, request.find('\n'));
    if (line == "\r") break;
    if (!line.ends_with('\r')) continue;  // the library passes over it, too
    line.remove_suffix(1);
    const auto colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    const auto name = line.substr(0, colon);
    auto value = line.substr(colon + 1);
    while (!value.empty() && blank(value.front())) value.remove_prefix(1);
    while (!value.empty() && blank(value.back())) value.remove_suffix(1);
    for (unsigned i = 0; i < std::size(kRows) && !value.empty(); ++i) {
      if (!is(name, kRows[i].name)) continue;
      if ((seen & (1u << i)) == 0)
        out.*kRows[i].value = value;
      else
        out.ambiguous = out.ambiguous || kRows[i].once;
      seen |= 1u << i;
      break;
    }
  }
  return out;
}

std::string_view header(const httplib::Request& request, const char* name) {
  const auto found = request.headers.find(name);
  return found == request.headers.end() ? std::string_view{} : std::string_view(found->second);
}

constexpr std::string_view kCacheControl = "Cache-Control";  // the one header of replies that has a default

void set(httplib::Response& response, const std::string& name, std::string value) {
  response.headers.erase(name);  // a default that this answer knows better
  response.headers.emplace(name, std::move(value));
}

/// Answers that are made while they are sent: RFC 9112 §7.1 chunks, or just bytes up to the end of the connection for HTTP/1.0.
Connection::Stream framed(std::function<Result<bool>(std::string&)> pieces, bool chunked) {
  return [pieces = std::move(pieces), chunked](std::string& out) -> Result<bool> {
    std::string piece;
    const auto more = pieces(piece);
    if (!more) return fail(more.error());
    if (!chunked) {
      out += piece;
      return *more;
    }
    if (!piece.empty()) out += fmt::format("{:x}\r\n{}\r\n", piece.size(), piece);
    if (!*more) out += "0\r\n\r\n";
    return *more;
  };
}

void fill(const httplib::Request& request, httplib::Response& response, Reply reply, InHand& now) {
  response.status = reply.status;
  if (!reply.body.empty()) response.headers.emplace("Content-Type", std::string(reply.content_type));
  response.body = std::move(reply.body);
  for (auto& [name, value] : reply.headers) {
    if (name == kCacheControl)
      set(response, std::string(name), std::move(value));
    else
      now.stream.add_header(name, value);
  }
  if (reply.stream) {
    if (request.method != "HEAD") now.exchange.stream = framed(std::move(reply.stream), now.chunked);
    // The library writes the head; it never calls this, since it does not listen.
    response.set_chunked_content_provider(std::string(reply.content_type), [](std::size_t, httplib::DataSink&) { return false; });
    now.close = now.close || !now.chunked;
  }
  if (now.close && now.say_so && header(request, "Connection") != "close") set(response, "Connection", "close");
}

Error busy() { return {.code = Errc::Unavailable, .what = "rosterd has more to do than it can at this moment; try again", .slug = "busy"}; }

class Listener final : public httplib::Server, public Answering {
 public:
  explicit Listener(App& app) : app_(app) {
    set_keep_alive_max_count(kMostRequests);
    set_keep_alive_timeout(std::max<time_t>(1, std::chrono::duration_cast<std::chrono::seconds>(app.options.keep_alive).count()));
    set_default_headers({{"X-Content-Type-Options", "nosniff"}, {std::string(kCacheControl), "no-store"}});
    set_pre_routing_handler([this](const httplib::Request& from, httplib::Response& to) {
      respond(from, to);
      return HandlerResponse::Handled;
    });
    set_error_handler(HandlerWithResponse([this](const httplib::Request& request, httplib::Response& response) {
      if (!response.body.empty()) return HandlerResponse::Unhandled;
      in_hand->close = true;
      fill(request, response, problem(library_error(response.status)), *in_hand);
      app_.metrics.unrouted(response.status);
      return HandlerResponse::Handled;
    }));
  }

  void answer(Exchange& exchange) override {
    LibraryStream stream(exchange);
    InHand now{.exchange = exchange, .stream = stream, .close = exchange.last, .say_so = !exchange.last};
    in_hand = &now;
    bool closed = false, answered = false;
    try {
      answered = process_request(stream, exchange.last, closed, [&](httplib::Request& request) {
        now.understood = true;
        request.target += stream.query();
        take_body(stream, request, now);
      });
    } catch (const std::exception& error) {  // out of memory, most likely: this connection ends, rosterd goes on
      log::error("http.unanswered", {log::field("error", error.what())});
      exchange.out.clear();
      exchange.stream = nullptr;
    }
    in_hand = nullptr;
    if (exchange.stream && !now.chunked) {  // HTTP/1.0 has no chunks: the end of the connection is the end of the answer
      constexpr std::string_view kLine = "Transfer-Encoding: chunked\r\n";
      if (const auto at = exchange.out.find(kLine); at != std::string::npos) exchange.out.erase(at, kLine.size());
    }
    exchange.used = stream.used();
    // Where the next request begins is not known behind one that is none.
    exchange.close = !answered || closed || now.close || !now.understood;
  }

  std::string refusal(Refusal why) override {
    const auto reply = problem(error_of(why));
    app_.metrics.unrouted(reply.status);
    std::string out = fmt::format("HTTP/1.1 {} {}\r\nConnection: close\r\nContent-Type: {}\r\nContent-Length: {}\r\n", reply.status,
                                  title_of(reply.status), reply.content_type, reply.body.size());
    for (const auto& [name, value] : reply.headers) out += fmt::format("{}: {}\r\n", name, value);
    out += "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n\r\n";
    return out + reply.body;
  }

 private:
  static Error error_of(Refusal why) {
    switch (why) {
      case Refusal::UriTooLong:
        return {.code = Errc::InvalidInput, .what = "the URL is too long", .slug = "uri_too_long"};
      case Refusal::HeadersTooLarge:
        return {.code = Errc::InvalidInput, .what = "the headers are too large or too many", .slug = "headers_too_large"};
      case Refusal::TooSlow:
        return {.code = Errc::InvalidInput, .what = "the request did not arrive in time", .slug = "request_timeout"};
      case Refusal::Busy:
        return busy();
    }
    return busy();
  }

  static Error library_error(int status) {
    if (status == 414) return error_of(Refusal::UriTooLong);
    if (status >= 500) return busy();
    return {.code = Errc::InvalidInput, .what = "this is not a usable HTTP request", .slug = {}};
  }

  /// Takes the body to its end before anything is decided, so that the next request on this connection begins where this one ends.
  void take_body(LibraryStream& stream, httplib::Request& request, InHand& now) const {
    request.ranges.clear();                    // answers are whole
    request.headers.erase("Accept-Encoding");  // and not compressed: short, and secrets beside chosen text invite guessing
    request.headers.erase("Expect");           // answered while it arrived
    now.chunked = request.version != "HTTP/1.0";
    const auto hang_up = [&](std::string_view slug, std::string_view what) {
      now.refused = Error{.code = Errc::InvalidInput, .what = std::string(what), .slug = std::string(slug)};
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
    if (length > app_.options.max_batch_body)
      return hang_up("payload_too_large", fmt::format("the body is larger than {} bytes", app_.options.max_batch_body));
    const auto body = stream.take(length);
    if (!body) return hang_up({}, "the body is shorter than its Content-Length");
    now.body = *body;
  }

  void respond(const httplib::Request& from, httplib::Response& to) {
    auto& now = *in_hand;
    // Whoever watches over the process is to hear that it lives, also when it has no time for anything else.
    if (now.exchange.busy && !now.refused && from.target != "/healthz")
      now.refused = faults_are_denials(app_.options, from.target) ? denied() : busy();
    if (now.refused) {
      app_.metrics.unrouted(status_of(*now.refused));
      return fill(from, to, problem(*now.refused), now);
    }
    const Request request{.method = from.method,
                          .target = from.target,
                          .headers = headers_in(now.exchange.bytes),
                          .body = now.body,
                          .remote = now.exchange.peer.address,
                          .unix_socket = now.exchange.peer.unix_socket,
                          .certificate = now.exchange.peer.certificate};
    fill(from, to, http::answer(app_, request), now);
  }

  App& app_;
};

/// Every connection is a descriptor, and the limit a process starts with is often 1,024.
void want_descriptors(std::size_t connections) {
  constexpr rlim_t kOthers = 512;  // the store's, the directories', logs and files
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  const auto wanted = static_cast<rlim_t>(connections) + kOthers;
  if (limit.rlim_cur >= wanted) return;
  const auto before = limit.rlim_cur;
  limit.rlim_cur = std::min(wanted, limit.rlim_max);
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) limit.rlim_cur = before;
  if (limit.rlim_cur < wanted) log::warning("http.few_descriptors", {log::field("have", limit.rlim_cur), log::field("want", wanted)});
}

}  // namespace

std::unique_ptr<Answering> make_listener(App& app) { return std::make_unique<Listener>(app); }

struct Server::Parts {
  App app;
  std::unique_ptr<Answering> listener;
  std::unique_ptr<Front> front;
  std::uint16_t port = 0;
  bool stopped = false;

  Parts(HttpOptions options, HttpServices services) : app(std::move(options), std::move(services)) {}
};

Server::Server(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Server::~Server() { stop(); }

Result<std::unique_ptr<Server>> Server::start(HttpOptions options, HttpServices services) {
  TlsContext tls;
  if (!options.tls_certificate_file.empty()) {
    auto context = make_tls_context(options.tls_certificate_file, options.tls_key_file, options.tls_client_ca_file);
    if (!context) return fail(context.error(), "setting up TLS");
    tls = std::move(*context);
  }
  const bool secure = tls != nullptr;
  auto parts = std::make_unique<Parts>(std::move(options), std::move(services));
  auto& app = parts->app;
  std::size_t index = 0;
  for (const auto& route : routes()) app.metrics.name_route(index++, route.method, route.path);

  std::vector<Listening> listening;
  auto tcp = Listening::tcp(app.options.address, app.options.port);
  if (!tcp) return fail(tcp.error());
  parts->port = tcp->port();
  listening.push_back(std::move(*tcp));
  if (!app.options.unix_socket.empty()) {
    auto local = Listening::unix_socket(app.options.unix_socket, app.options.unix_socket_mode);
    if (!local) return fail(local.error());
    listening.push_back(std::move(*local));
  }
  want_descriptors(app.options.max_connections);
  parts->listener = make_listener(app);
  auto front = Front::start({.threads = app.options.threads,
                             .max_connections = app.options.max_connections,
                             .limits = {.head = app.options.max_headers, .body = app.options.max_batch_body},
                             .request_timeout = app.options.read_timeout,
                             .keep_alive = app.options.keep_alive,
                             .max_wait = app.options.max_wait},
                            std::move(listening), std::move(tls), *parts->listener);
  if (!front) return fail(front.error());
  parts->front = std::move(*front);
  log::info("http.listening", {log::field("address", app.options.address), log::field("port", parts->port), log::field("tls", secure),
                               log::field("unix_socket", app.options.unix_socket)});
  return std::unique_ptr<Server>(new Server(std::move(parts)));
}

std::uint16_t Server::port() const { return parts_->port; }

void Server::set_ready(bool ready) { parts_->app.ready = ready; }

Result<void> Server::set_tls(const std::string& certificate_file, const std::string& key_file, const std::string& client_ca_file) {
  TlsContext tls;
  if (!certificate_file.empty()) {
    auto context = make_tls_context(certificate_file, key_file, client_ca_file);
    if (!context) return fail(context.error(), "setting up TLS");
    tls = std::move(*context);
  }
  parts_->front->set_tls(std::move(tls));
  return {};
}

void Server::set_rates(const RateLimits& rates) { parts_->app.limits.set(rates); }

std::chrono::steady_clock::time_point Server::last_tick() const { return parts_->front->last_tick(); }

std::size_t Server::connections() const { return parts_->front->connections(); }

void Server::stop() {
  if (std::exchange(parts_->stopped, true)) return;
  parts_->app.ready = false;
  parts_->app.stopping.request_stop();  // connector tests end
  parts_->front->stop();
  log::info("http.stopped");
}

}  // namespace rosterd::http
