#include "schema/postgres/embedded.hpp"

#include <libpq-fe.h>
#include <unistd.h>

#include <array>
#include <utility>

#include "schema/core/log.hpp"
#include "schema/postgres/embedded_files.hpp"
#include "schema/postgres/embedded_supervisor.hpp"
#include "schema/postgres/line.hpp"

namespace rosterd {
namespace {

using Connection = std::unique_ptr<PGconn, decltype(&PQfinish)>;
using Answer = std::unique_ptr<PGresult, decltype(&PQclear)>;

/// RFC 3986: everything but unreserved characters and the slash.
std::string percent_encoded(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       std::string_view("-._~/").find(c) != std::string_view::npos;
    out += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned>(static_cast<unsigned char>(c)));
  }
  return out;
}

Result<std::string> ask(PGconn* connection, const std::string& sql) {
  const Answer answer(PQexec(connection, sql.c_str()), &PQclear);
  const auto status = PQresultStatus(answer.get());
  if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) return fail(Errc::Unavailable, "{}: {}", sql, PQerrorMessage(connection));
  return PQntuples(answer.get()) > 0 ? std::string(PQgetvalue(answer.get(), 0, 0)) : std::string();
}

/// Roles and database, made one by one when absent: a start that was cut off is completed by the next.
Result<void> ensure_database(const std::string& superuser_url, const std::stop_token& stop) {
  const Connection connection(PQconnectdb((superuser_url + "&connect_timeout=10").c_str()), &PQfinish);
  if (PQstatus(connection.get()) != CONNECTION_OK)
    return fail(Errc::Unavailable, "connecting to the embedded PostgreSQL: {}", PQerrorMessage(connection.get()));
  postgres::Line line;
  line.opened(PQsocket(connection.get()));
  const std::stop_callback cut(stop, [&] { line.cut(); });
  struct Step {
    std::string exists, make;
  };
  const std::array steps{
      Step{fmt::format("SELECT 1 FROM pg_roles WHERE rolname = '{}'", postgres::kOwnerRole),
           fmt::format("CREATE ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS", postgres::kOwnerRole)},
      Step{fmt::format("SELECT 1 FROM pg_roles WHERE rolname = '{}'", postgres::kAppRole),
           fmt::format("CREATE ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS", postgres::kAppRole)},
      Step{fmt::format("SELECT 1 FROM pg_database WHERE datname = '{}'", postgres::kDatabase),
           fmt::format("CREATE DATABASE {} OWNER {} TEMPLATE template0 ENCODING 'UTF8'", postgres::kDatabase, postgres::kOwnerRole)},
      // TEMPORARY is what staging tables need; nobody else connects.
      Step{"", fmt::format("REVOKE ALL ON DATABASE {} FROM PUBLIC", postgres::kDatabase)},
      Step{"", fmt::format("GRANT CONNECT, TEMPORARY ON DATABASE {} TO {}", postgres::kDatabase, postgres::kAppRole)},
  };
  for (const auto& step : steps) {
    if (!step.exists.empty()) {
      const auto there = ask(connection.get(), step.exists);
      if (!there) return fail(there.error());
      if (*there == "1") continue;
    }
    if (const auto done = ask(connection.get(), step.make); !done) return fail(done.error());
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<EmbeddedPostgres>> EmbeddedPostgres::start(Options options, std::stop_token stop) {
  const auto as = postgres::user_for(options.run_as);
  if (!as) return fail(as.error());
  std::error_code error;
  // PostgreSQL changes its working directory: a relative path would mean another place to it.
  const auto state_dir = std::filesystem::absolute(options.state_dir, error).lexically_normal();
  if (options.state_dir.empty() || error) return fail(Errc::InvalidInput, "the embedded PostgreSQL needs a directory");
  const auto installation = postgres::find_installation(options.bin_dir, *as, stop);
  if (!installation) return fail(installation.error());

  std::unique_ptr<EmbeddedPostgres> server(new EmbeddedPostgres);
  const auto lock = postgres::claim_state_dir(state_dir, *as);
  if (!lock) return fail(lock.error());
  server->lock_ = *lock;
  server->major_ = installation->major;
  const auto data_dir = state_dir / "data";
  if (const auto gone = postgres::wait_for_leftover(data_dir, options.start_timeout, stop); !gone) return fail(gone.error());
  if (const auto there = postgres::ensure_data_dir(*installation, state_dir, *as, stop); !there) return fail(there.error());
  const auto socket = postgres::ensure_socket_dir(state_dir, *as);
  if (!socket) return fail(socket.error());
  server->socket_dir_ = socket->path;
  server->remove_socket_dir_ = socket->temporary;
  // Beside rosterd's own: those reserved for the superuser, a dump, a curious operator.
  constexpr unsigned kOthers = 12, kLeast = 50;
  options.settings.try_emplace("max_connections", std::to_string(std::max(kLeast, options.connections + kOthers)));
  if (const auto written = postgres::write_configuration(*installation, data_dir, *socket, options.settings, *as, stop); !written)
    return fail(written.error());

  server->supervisor_ = std::jthread([owner = server.get(), installation = *installation, as = *as, data_dir](std::stop_token end) {
    Supervisor(*owner, installation, as, data_dir).run(std::move(end));
  });
  if (const auto running = server->wait_until_running(options.start_timeout, stop); !running) return fail(running.error());
  const auto made = ensure_database(server->superuser_url(), stop);
  if (stop.stop_requested()) return fail(Errc::Stopped, "starting the embedded PostgreSQL was stopped");
  if (!made) return fail(made.error(), "preparing the database");
  return server;
}

Result<void> EmbeddedPostgres::wait_until_running(Millis timeout, std::stop_token stop) {
  std::unique_lock lock(mutex_);
  const bool known = changed_.wait_for(lock, stop, timeout, [this] { return state_ == State::Running || state_ == State::Stopped; });
  if (state_ == State::Running) return {};
  if (stop.stop_requested()) return fail(Errc::Stopped, "starting the embedded PostgreSQL was stopped");
  if (!known)
    return fail(Errc::Unavailable,
                "the embedded PostgreSQL does not answer after {}; if it is recovering from a crash, raise database.embedded.start_timeout",
                duration_text(timeout));
  return fail(Errc::Unavailable, "the embedded PostgreSQL does not start: {}", failure_);
}

EmbeddedPostgres::~EmbeddedPostgres() {
  if (supervisor_.joinable()) {
    supervisor_.request_stop();
    supervisor_.join();
  }
  if (remove_socket_dir_) rmdir(socket_dir_.c_str());
  if (lock_ >= 0) close(lock_);
}

std::string EmbeddedPostgres::url(std::string_view role, std::string_view database) const {
  return fmt::format("postgresql://{}@/{}?host={}&port=5432", role, database, percent_encoded(socket_dir_));
}
std::string EmbeddedPostgres::app_url() const { return url(postgres::kAppRole, postgres::kDatabase); }
std::string EmbeddedPostgres::owner_url() const { return url(postgres::kOwnerRole, postgres::kDatabase); }
std::string EmbeddedPostgres::superuser_url() const { return url(postgres::kSuperuser, "postgres"); }

std::string_view name_of(EmbeddedPostgres::State state) {
  switch (state) {
    case EmbeddedPostgres::State::Starting:
      return "starting";
    case EmbeddedPostgres::State::Running:
      return "running";
    case EmbeddedPostgres::State::Restarting:
      return "restarting";
    case EmbeddedPostgres::State::Stopped:
      return "stopped";
  }
  return "unknown";
}

}  // namespace rosterd
