#pragma once
// The real rosterd in a state folder of its own, with a service manager's ear at its notify socket. As root it starts as root and lets its
// PostgreSQL run as `postgres`, as scripts/demo does.

#include <fmt/format.h>

#include <csignal>
#include <optional>
#include <string>

#include "tests/daemon/notify_socket.hpp"
#include "tests/support/process.hpp"

namespace rosterd::test {

inline const std::string kRosterd = std::string(ROSTERD_BINARY_DIR) + "/daemon/rosterd";

class DaemonProcess {
 public:
  /// `more` is appended to the configuration, `server` to its section [server].
  explicit DaemonProcess(const std::string& more = {}, const std::string& server = {}) : port_(free_port()) {
    std::filesystem::permissions(dir_.path(), std::filesystem::perms(0711));  // the embedded PostgreSQL runs as another user
    configure(more, server);
  }
  /// Writes the configuration anew: for reloads and further starts.
  void configure(const std::string& more, const std::string& server = {}) {
    dir_.write("rosterd.toml",
               fmt::format("{}\n[server]\nlisten = \"127.0.0.1:{}\"\n{}\n[state]\ndirectory = \"state\"\n", more, port_, server));
  }
  void start(std::map<std::string, std::string> environment = {}) {
    environment["NOTIFY_SOCKET"] = notify.path();
    process_.emplace(Argv{kRosterd, "--config", dir_.file("rosterd.toml")},
                     ProcessOptions{.env = std::move(environment), .output = log_file()});
  }
  /// Starts and waits for READY=1; throws with the log when it does not come.
  void start_ready(std::map<std::string, std::string> environment = {}) {
    start(std::move(environment));
    if (notify.next_with("READY=1", Milliseconds(90'000)).empty()) throw std::runtime_error("rosterd did not become ready:\n" + log());
  }
  /// Exit status after SIGTERM.
  std::optional<int> stop() {
    process_->kill(SIGTERM);
    return process_->wait(Milliseconds(60'000));
  }
  /// Whether `is_so` within the time. Reads what the daemon tells the service manager meanwhile: after
  /// ten unread messages the socket is full, and the daemon waits for its reader.
  bool listening_until(const std::function<bool()>& is_so, Milliseconds within = Milliseconds(30'000)) {
    return wait_until(
        [&] {
          while (!notify.next(Milliseconds(0)).empty()) continue;
          return is_so();
        },
        within);
  }
  [[nodiscard]] Process& process() { return *process_; }
  [[nodiscard]] std::string log() const { return read_file(log_file()); }
  [[nodiscard]] bool logs(std::string_view text, Milliseconds within = Milliseconds(30'000)) const {
    return wait_until([&] { return log().find(text) != std::string::npos; }, within);
  }
  [[nodiscard]] std::string file(std::string_view name) const { return dir_.file(name); }
  [[nodiscard]] const TempDir& dir() const { return dir_; }
  [[nodiscard]] int port() const { return port_; }
  /// Body and status of a GET, by way of curl's program: "200 {…}"; "000 " when nobody answers.
  [[nodiscard]] std::string get(const std::string& path, const std::string& token = {}) const { return request(path, token, {}); }
  [[nodiscard]] std::string post(const std::string& path, const std::string& token, const std::string& json) const {
    return request(path, token, {"-H", "Content-Type: application/json", "--data", json});
  }

  NotifySocket notify;

 private:
  [[nodiscard]] std::string request(const std::string& path, const std::string& token, const Argv& more) const {
    Argv argv{"curl", "-s", "--max-time", "20", "-w", "\n%{http_code}", fmt::format("http://127.0.0.1:{}{}", port_, path)};
    argv.insert(argv.end(), more.begin(), more.end());
    if (!token.empty()) argv.insert(argv.end(), {"-H", "Authorization: Bearer " + token});
    const auto output = run(argv).output;
    const auto line = output.rfind('\n');
    return output.substr(line + 1) + " " + output.substr(0, line);
  }
  [[nodiscard]] std::string log_file() const { return dir_.file("log"); }
  TempDir dir_{"rosterd-daemon"};
  int port_;
  std::optional<Process> process_;
};

}  // namespace rosterd::test
