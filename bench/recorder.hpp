#pragma once
// What somebody asks of a server, without the server's help: bytes go through unchanged, the request lines are kept.

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace rosterd::bench {

class Recorder {
 public:
  /// Forwards to a port of 127.0.0.1.
  explicit Recorder(int to);
  ~Recorder();
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;

  [[nodiscard]] int port() const { return port_; }
  /// Targets of the GET requests so far, in their order.
  [[nodiscard]] std::vector<std::string> gets() const;

 private:
  void accept_all();
  void forward(int client);
  void note(std::string_view bytes);

  int to_ = 0, listener_ = -1, port_ = 0;
  std::atomic<bool> over_{false};
  mutable std::mutex mutex_;
  std::vector<std::string> gets_;      // under mutex_
  std::vector<std::jthread> threads_;  // of the acceptor
  std::jthread acceptor_;
};

}  // namespace rosterd::bench
