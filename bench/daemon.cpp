#include "bench/daemon.hpp"

#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "tests/support/postgres.hpp"

namespace rosterd::bench {

using nlohmann::json;
using test::Milliseconds;

Daemon::Daemon(const std::string& program, const std::string& more) : dir_("rosterd-bench"), port_(test::free_port()) {
  std::filesystem::permissions(dir_.path(), std::filesystem::perms(0711));  // PostgreSQL's user passes through
  const std::string credential = test::run_ok({program, "--new-credential", "bench@example.org"});
  token_ = json::parse(credential).at("token");
  const std::string config = fmt::format(
      "[server]\nlisten = \"127.0.0.1:{}\"\n[state]\ndirectory = \"{}\"\n[sync]\nallowed_networks = "
      "[\"127.0.0.0/8\"]\n[setup]\ncredential_file = \"{}\"\n{}",
      port_, dir_.file("state"), dir_.write("first-admin", credential), more);
  process_ = std::make_unique<test::Process>(test::Argv{program, "--config", dir_.write("rosterd.toml", config)},
                                             test::ProcessOptions{.output = dir_.file("log"), .death_signal = 15});
  cli::Target target;
  target.profile = {.url = fmt::format("http://127.0.0.1:{}", port_), .token = token_, .ca_file = {}, .allow_plaintext = false};
  api_ = std::make_unique<cli::Api>(target);
  const bool ready = test::wait_until([&] { return !process_->is_running() || api_->get("/v1/me").has_value(); }, Milliseconds(120'000));
  if (!ready || !process_->is_running()) throw std::runtime_error("rosterd does not start: " + test::read_file(dir_.file("log")));
}

Daemon::~Daemon() {
  process_->kill(15);
  process_->wait(Milliseconds(90'000));
}

std::string Daemon::query(const std::string& sql) {
  return test::PrivatePostgres::query(fmt::format("postgresql://postgres@/rosterd?host={}&port=5432", dir_.file("state/postgres/run")),
                                      sql);
}

double Daemon::memory(std::string_view field) const {
  std::ifstream status(fmt::format("/proc/{}/status", process_->pid()));
  for (std::string line; std::getline(status, line);)
    if (line.starts_with(field)) return std::strtod(line.c_str() + field.size() + 1, nullptr) / 1024;
  throw std::runtime_error("the daemon is gone: " + test::read_file(dir_.file("log")));
}

json Daemon::must(const std::string& what, cli::Try<json> answer) {
  if (!answer) throw std::runtime_error(what + ": " + answer.error().what);
  return std::move(*answer);
}

std::map<std::string, long long> rows_written(Daemon& daemon) {
  using SteadyClock = std::chrono::steady_clock;
  const auto seconds_since = [](SteadyClock::time_point start) {
    return std::chrono::duration<double>(SteadyClock::now() - start).count();
  };
  const std::string sql =
      "SELECT s.relname, s.n_tup_ins + s.n_tup_upd + s.n_tup_del FROM pg_stat_user_tables s JOIN pg_attribute a ON a.attrelid = s.relid "
      "AND a.attname = "
      "'tenant_id' WHERE s.relname NOT LIKE 'pg\\_%' ORDER BY 1";
  std::string seen;
  auto since = SteadyClock::now();
  const bool settled = test::wait_until(
      [&] {
        const std::string now = daemon.query(sql);
        if (now != seen) since = SteadyClock::now();
        seen = now;
        return seconds_since(since) > 11;
      },
      Milliseconds(120'000));
  if (!settled) throw std::runtime_error("somebody keeps writing: " + seen);
  std::map<std::string, long long> rows;
  std::istringstream in(seen);
  for (std::string line; std::getline(in, line);) rows[line.substr(0, line.find('\t'))] = std::stoll(line.substr(line.find('\t') + 1));
  return rows;
}

}  // namespace rosterd::bench
