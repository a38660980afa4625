#pragma once
// A database session that a test keeps open: to hold a lock that stops rosterd's transaction at a known statement, or just to be there.

#include <libpq-fe.h>

#include <memory>
#include <stdexcept>
#include <string>

namespace rosterd::e2e {

class SqlSession {
 public:
  explicit SqlSession(const std::string& url) : connection_(PQconnectdb(url.c_str()), &PQfinish) {}
  [[nodiscard]] bool is_open() const { return PQstatus(connection_.get()) == CONNECTION_OK; }
  void execute(const std::string& sql) { (void)value(sql); }
  /// The first column of the first row; empty without one.
  std::string value(const std::string& sql) {
    const std::unique_ptr<PGresult, decltype(&PQclear)> result(PQexec(connection_.get(), sql.c_str()), &PQclear);
    const auto status = PQresultStatus(result.get());
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) throw std::runtime_error(PQerrorMessage(connection_.get()));
    return PQntuples(result.get()) > 0 ? PQgetvalue(result.get(), 0, 0) : "";
  }

 private:
  std::unique_ptr<PGconn, decltype(&PQfinish)> connection_;
};

}  // namespace rosterd::e2e
