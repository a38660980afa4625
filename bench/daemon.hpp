#pragma once
// The real daemon in a folder of its own, with an embedded PostgreSQL, for benches that measure what it does as its users would.

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "cli/api.hpp"
#include "tests/support/process.hpp"

namespace rosterd::bench {

class Daemon {
 public:
  /// `config`: TOML behind what every bench needs.
  Daemon(const std::string& program, const std::string& config);
  ~Daemon();
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  // of the API; anything but a good answer throws
  nlohmann::json get(const std::string& path) { return must("GET " + path, api_->get(path)); }
  nlohmann::json post(const std::string& path, const nlohmann::json& body) { return must("POST " + path, api_->post(path, body)); }
  nlohmann::json patch(const std::string& path, const nlohmann::json& body) { return must("PATCH " + path, api_->patch(path, body)); }
  std::string query(const std::string& sql);  ///< as PostgreSQL's superuser
  /// VmHWM or VmRSS of the daemon itself, without its PostgreSQL, in MiB.
  [[nodiscard]] double memory(std::string_view field) const;
  [[nodiscard]] pid_t pid() const { return process_->pid(); }
  [[nodiscard]] std::string log() const { return test::read_file(dir_.file("log")); }

 private:
  static nlohmann::json must(const std::string& what, cli::Try<nlohmann::json> answer);
  test::TempDir dir_;
  int port_;
  std::string token_;
  std::unique_ptr<test::Process> process_;
  std::unique_ptr<cli::Api> api_;
};

/// Rows written to the tenant's tables so far, by PostgreSQL's count. A session reports its counts at the latest when it has been idle for
/// ten seconds (PGSTAT_IDLE_INTERVAL), so they are taken as final when they have not moved for that long.
std::map<std::string, long long> rows_written(Daemon& daemon);

}  // namespace rosterd::bench
