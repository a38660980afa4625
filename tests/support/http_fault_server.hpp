#pragma once
// A small HTTP/1.1 server for providers that misbehave: a test's function answers each request, or says how not to. Keep-alive, one thread
// a connection, on 127.0.0.1. Real providers are elsewhere in this folder.

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace rosterd::test {

struct HttpAsked {
  std::string method;
  std::string path;                            ///< decoded, without the query
  std::map<std::string, std::string> query;    ///< decoded
  std::string target;                          ///< as it was sent
  std::map<std::string, std::string> headers;  ///< names in lower case
  std::string body;
  std::size_t number = 0;  ///< counts from 1 over all connections
  [[nodiscard]] std::string parameter(const std::string& name) const { return query.contains(name) ? query.at(name) : std::string(); }
};

struct HttpSaid {
  enum class Fault {
    None,
    Mute,      ///< never answers, keeps the connection
    Reset,     ///< closes at once
    CutOff,    ///< announces the whole body, sends half, closes
    Drip,      ///< one byte each 100 ms
    Endless,   ///< a body without an end
    HeadFlood  ///< headers without an end
  };
  int status = 200;
  std::string body = {};
  std::vector<std::pair<std::string, std::string>> headers = {};
  Fault fault = Fault::None;
};

[[nodiscard]] HttpSaid json_answer(std::string body, int status = 200);

class HttpFaultServer {
 public:
  using Handler = std::function<HttpSaid(const HttpAsked&)>;
  explicit HttpFaultServer(Handler handler);
  ~HttpFaultServer();
  HttpFaultServer(const HttpFaultServer&) = delete;
  HttpFaultServer& operator=(const HttpFaultServer&) = delete;

  [[nodiscard]] std::string url() const;  ///< "http://127.0.0.1:port"
  [[nodiscard]] std::size_t requests() const { return count_; }
  [[nodiscard]] std::size_t connections() const { return accepted_; }
  /// From now on this answers.
  void set(Handler handler);

 private:
  void accept_all();
  void serve(int fd);
  void send_faulty(int fd, const HttpSaid& said);

  Handler handler_;
  std::mutex mutex_;
  std::set<int> open_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<bool> over_{false};
  std::atomic<std::size_t> count_{0}, accepted_{0};
  std::vector<std::jthread> threads_;
  std::jthread acceptor_;
};

/// gzip of `size` zero bytes: small on the wire.
[[nodiscard]] std::string gzip_bomb(std::size_t size);

}  // namespace rosterd::test
