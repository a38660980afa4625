#include "tests/support/postgres.hpp"

#include <fmt/format.h>
#include <libpq-fe.h>
#include <signal.h>

#include <fstream>
#include <stdexcept>

namespace rosterd::test {
namespace {

using Connection = std::unique_ptr<PGconn, decltype(&PQfinish)>;
using Answer = std::unique_ptr<PGresult, decltype(&PQclear)>;

/// The newest installed server; Debian keeps each major version in a folder of its own.
std::string newest_bin_dir() {
  int best = 0;
  const std::filesystem::path root = "/usr/lib/postgresql";
  if (std::filesystem::is_directory(root))
    for (const auto& entry : std::filesystem::directory_iterator(root))
      if (std::filesystem::exists(entry.path() / "bin/postgres")) best = std::max(best, std::atoi(entry.path().filename().c_str()));
  if (best < 15) throw std::runtime_error("PostgreSQL 15 or newer is not installed (package postgresql)");
  return (root / std::to_string(best) / "bin").string();
}

/// Every process whose parent is `parent`, from /proc.
std::vector<pid_t> children_of(pid_t parent) {
  std::vector<pid_t> found;
  std::ifstream in(fmt::format("/proc/{0}/task/{0}/children", parent));
  for (pid_t pid = 0; in >> pid;) found.push_back(pid);
  return found;
}

}  // namespace

PrivatePostgres::PrivatePostgres(Options options) : dir_("rpg", am_root() ? "postgres" : ""), bin_dir_(newest_bin_dir()) {
  socket_dir_ = dir_.path().string();
  data_dir_ = dir_.file("data");
  run_ok({bin_dir_ + "/initdb", "-D", data_dir_, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync",
          "--no-instructions"},
         {.user = "postgres", .cwd = dir_.path().string()});
  std::string conf = fmt::format(
      "\nlisten_addresses = ''\nunix_socket_directories = '{}'\nport = 5432\nfsync = off\nfull_page_writes = off\n"
      "shared_buffers = 64MB\nmax_connections = 100\nmax_wal_size = 1GB\njit = off\nlog_min_messages = warning\n",
      socket_dir_);
  for (const auto& [name, value] : options.settings) conf += fmt::format("{} = '{}'\n", name, value);
  const auto file = data_dir_ + "/postgresql.conf";
  write_file(file, read_file(file) + conf);
  give_to(file, "postgres");
  start();
}

PrivatePostgres::~PrivatePostgres() {
  if (!server_) return;
  thaw();
  server_->kill(SIGQUIT);  // its files go with it: nothing to write back
  server_->wait(Milliseconds(10'000));
}

PrivatePostgres& PrivatePostgres::shared() {
  static PrivatePostgres one;
  return one;
}

void PrivatePostgres::start() {
  if (server_ && server_->is_running()) return;
  server_.emplace(Argv{bin_dir_ + "/postgres", "-D", data_dir_},
                  ProcessOptions{.user = "postgres", .cwd = dir_.path().string(), .output = dir_.file("log"), .death_signal = SIGQUIT});
  const std::string url = fmt::format("postgresql://postgres@/postgres?host={}&port=5432&connect_timeout=5", socket_dir_);
  const bool up = wait_until([&] { return !server_->is_running() || PQping(url.c_str()) == PQPING_OK; }, Milliseconds(30'000));
  if (!up || !server_->is_running()) throw std::runtime_error("private PostgreSQL does not start: " + log());
}

void PrivatePostgres::stop() {
  server_->kill(SIGINT);
  if (!server_->wait(Milliseconds(30'000))) throw std::runtime_error("private PostgreSQL does not stop: " + log());
}

void PrivatePostgres::kill_hard() {
  server_->kill(SIGQUIT);
  if (!server_->wait(Milliseconds(30'000))) throw std::runtime_error("private PostgreSQL does not stop: " + log());
}

void PrivatePostgres::signal_all(int signal) {
  if (!server_ || !server_->is_running()) return;
  // The postmaster first, so that it makes no further children while they are counted. Each backend is a session of its own: no process
  // group reaches them all.
  if (signal == SIGSTOP) server_->kill(signal);
  for (const pid_t pid : children_of(server_->pid())) ::kill(pid, signal);
  if (signal != SIGSTOP) server_->kill(signal);
}
void PrivatePostgres::freeze() { signal_all(SIGSTOP); }
void PrivatePostgres::thaw() { signal_all(SIGCONT); }

std::string PrivatePostgres::log() const { return std::filesystem::exists(dir_.file("log")) ? read_file(dir_.file("log")) : ""; }

Database PrivatePostgres::fresh_database() {
  const std::string number = std::to_string(++databases_);
  Database database{.name = "rosterd_" + number, .owner_role = "rosterd_owner_" + number, .app_role = "rosterd_app_" + number};
  const auto url = [&](const std::string& role, const std::string& name) {
    return fmt::format("postgresql://{}@/{}?host={}&port=5432", role, name, socket_dir_);
  };
  const std::string admin = url("postgres", "postgres");
  query(admin, fmt::format("CREATE ROLE {} LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEROLE", database.owner_role));
  query(admin, fmt::format("CREATE ROLE {} LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEROLE", database.app_role));
  query(admin, fmt::format("CREATE DATABASE {} OWNER {}", database.name, database.owner_role));
  database.owner_url = url(database.owner_role, database.name);
  database.app_url = url(database.app_role, database.name);
  database.superuser_url = url("postgres", database.name);
  return database;
}

std::string PrivatePostgres::query(const std::string& url, const std::string& sql) {
  const Connection connection(PQconnectdb(url.c_str()), &PQfinish);
  if (PQstatus(connection.get()) != CONNECTION_OK)
    throw std::runtime_error(fmt::format("connecting: {}", PQerrorMessage(connection.get())));
  const Answer answer(PQexec(connection.get(), sql.c_str()), &PQclear);
  const auto status = PQresultStatus(answer.get());
  if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
    throw std::runtime_error(fmt::format("{}: {}", sql.substr(0, 200), PQerrorMessage(connection.get())));
  std::string text;
  for (int row = 0; row < PQntuples(answer.get()); ++row) {
    if (row > 0) text += '\n';
    for (int column = 0; column < PQnfields(answer.get()); ++column) {
      if (column > 0) text += '\t';
      text += PQgetvalue(answer.get(), row, column);
    }
  }
  return text;
}

}  // namespace rosterd::test
