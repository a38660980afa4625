#include "schema/postgres/db.hpp"

#include <libpq-fe.h>
#include <soci/postgresql/soci-postgresql.h>

#include <charconv>
#include <cstdlib>
#include <cstring>
#include <typeinfo>

#include "schema/core/log.hpp"

namespace rosterd::postgres {
namespace {

using Answer = std::unique_ptr<PGresult, decltype(&PQclear)>;

/// "ERROR:  relation …\nLINE 1: …\nDETAIL: …" -> "relation …". libpq and SOCI put words of their own in front.
std::string first_line(std::string_view message) {
  for (const std::string_view mark : {"ERROR:  ", "FATAL:  "})
    if (const auto at = message.find(mark); at != std::string_view::npos) message.remove_prefix(at + mark.size());
  while (message.starts_with('\n')) message.remove_prefix(1);
  return std::string(message.substr(0, message.find('\n')));
}

/// An answer without a SQLSTATE is libpq's own: the server did not answer. libpq does not always mark such a connection as bad.
bool is_connection_state(std::string_view sqlstate) {
  return sqlstate.empty() || sqlstate.starts_with("08") || sqlstate == "57P01" || sqlstate == "57P02" || sqlstate == "57P03";
}

/// SOCI's exception as ours. get_error_message, not what(): the latter lists the statement's values, secrets among them.
[[noreturn]] void rethrow(const soci::soci_error& error, PGconn* connection) {
  std::string state;
  const auto* own = dynamic_cast<const soci::postgresql_soci_error*>(&error);
  if (own) state = own->sqlstate();
  if (state.find_first_not_of(" ") == std::string::npos) state.clear();
  const bool lost = connection == nullptr || PQstatus(connection) == CONNECTION_BAD || (own && is_connection_state(state));
  throw DbError(first_line(error.get_error_message()), state, lost);
}

void on_notice(void*, const char* message) { log::debug("store.notice", {log::field("text", first_line(message))}); }

/// RFC 3986 §2.1 for everything that is not plainly harmless.
std::string percent_encoded(std::string_view value) {
  std::string out;
  for (const unsigned char c : value) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
    out += plain ? std::string(1, static_cast<char>(c)) : fmt::format("%{:02X}", c);
  }
  return out;
}

}  // namespace

Error to_error(const DbError& error) {
  const std::string_view state = error.sqlstate;
  const std::string_view text = error.what();
  // A refused connection carries no SQLSTATE through libpq, only words.
  if (state == "53300" || text.find("too many clients") != std::string_view::npos ||
      text.find("too many connections") != std::string_view::npos || text.find("connection slots are reserved") != std::string_view::npos)
    return {.code = Errc::Unavailable, .what = fmt::format("PostgreSQL has too many connections: {}", text), .slug = {}};
  if (error.lost) return {.code = Errc::Unavailable, .what = fmt::format("PostgreSQL is not reachable: {}", text), .slug = {}};
  if (state == "57014") return {.code = Errc::Unavailable, .what = fmt::format("PostgreSQL took too long: {}", text), .slug = {}};
  if (state == "55P03" || state == "40P01" || state == "40001")
    return {.code = Errc::Unavailable, .what = fmt::format("somebody else is changing the same rows: {}", text), .slug = {}};
  if (state.starts_with("53") || state.starts_with("58") || state == "25006")
    return {.code = Errc::Unavailable, .what = fmt::format("PostgreSQL cannot do it now: {}", text), .slug = {}};
  if (state.starts_with("23")) return {.code = Errc::Conflict, .what = std::string(text), .slug = {}};
  if (state.starts_with("22")) return {.code = Errc::InvalidInput, .what = std::string(text), .slug = {}};
  return {.code = Errc::Internal, .what = state.empty() ? std::string(text) : fmt::format("{} ({})", text, state), .slug = {}};
}

bool Row::null() const {
  if (row_ != nullptr) return row_->get_indicator(at_) == soci::i_null;
  return PQgetisnull(answer_, line_, static_cast<int>(at_)) == 1;
}

std::string_view Row::raw(std::size_t at) const {
  const int column = static_cast<int>(at);
  return {PQgetvalue(answer_, line_, column), static_cast<std::size_t>(PQgetlength(answer_, line_, column))};
}

std::string Row::text() {
  if (null()) return ++at_, std::string();
  const auto at = at_++;
  return row_ != nullptr ? row_->get<std::string>(at) : std::string(raw(at));
}

std::int64_t Row::number() {
  if (null()) return ++at_, 0;
  const auto at = at_++;
  if (row_ != nullptr)
    return row_->get_properties(at).get_data_type() == soci::dt_long_long ? row_->get<long long>(at) : row_->get<int>(at);
  const auto text = raw(at);
  std::int64_t out = 0;
  if (std::from_chars(text.data(), text.data() + text.size(), out).ptr != text.data() + text.size()) throw std::bad_cast();
  return out;
}

double Row::real() {
  if (null()) return ++at_, 0;
  const auto at = at_++;
  return row_ != nullptr ? row_->get<double>(at) : std::strtod(std::string(raw(at)).c_str(), nullptr);
}

std::optional<std::string> Row::maybe_text() {
  if (null()) return ++at_, std::nullopt;
  return text();
}
std::optional<std::int64_t> Row::maybe_number() {
  if (null()) return ++at_, std::nullopt;
  return number();
}
std::optional<TimePoint> Row::maybe_time() {
  if (null()) return ++at_, std::nullopt;
  return time();
}

Db::~Db() { close(); }

void Db::open(const std::string& dsn) {
  close();
  kept_.clear();
  try {
    session_.open(soci::postgresql, dsn);
    open_ = true;
    line_->opened(PQsocket(raw()));
    PQsetNoticeProcessor(raw(), &on_notice, nullptr);
  } catch (const soci::soci_error& error) {
    throw DbError(first_line(error.get_error_message()), "", true);
  }
  // pg_temp last: nobody's temporary table can stand in front of a real one.
  simple("SET search_path = rosterd, pg_temp; SET client_encoding = 'UTF8'; SET TimeZone = 'UTC'; SET client_min_messages = 'warning'");
}

void Db::close() {
  if (!open_) return;
  open_ = false;
  asked_.clear();
  line_->closed();
  try {
    session_.close();
  } catch (const soci::soci_error& error) {
    // Closing a connection that has died already; there is nobody left to tell.
    log::debug("store.close", {log::field("text", first_line(error.get_error_message()))});
  }
}

bool Db::is_open() { return open_ && PQstatus(raw()) == CONNECTION_OK; }

PGconn* Db::raw() { return static_cast<soci::postgresql_session_backend*>(session_.get_backend())->conn_; }

void Db::patience(Millis longest) {
  patience_ = longest;
  settle();
}

void Db::allow(Millis longest) {
  simple(fmt::format("SET LOCAL statement_timeout = {}", longest.count()));
  line_->patience(patience_for(longest));
}

/// libpq believes that the server hung up.
void Db::lost_if_cut() const {
  if (line_->was_cut()) throw DbError("it did not answer in time", "", true);
}

void Db::fail_with_connection(const char* doing) {
  lost_if_cut();
  const auto text = first_line(PQerrorMessage(raw()));
  throw DbError(fmt::format("{}: {}", doing, text.empty() ? "server closed the connection" : text), "", true);
}

std::uint64_t Db::run(std::string_view sql, Values values) { return each(sql, values, nullptr); }

std::uint64_t Db::each(std::string_view sql, Values values, const std::function<void(Row&)>& use) {
  if (!open_) throw DbError("not connected", "", true);
  if (keeps_) return each_kept(sql, values, use);
  collect();
  std::vector<std::string> texts;
  std::vector<soci::indicator> nulls;
  texts.reserve(values.size());
  nulls.reserve(values.size());
  for (const auto& value : values) {
    if (value.text().find('\0') != std::string::npos) throw DbError("a text holds a NUL character", "22021", false);
    texts.push_back(value.text());
    nulls.push_back(value.is_null() ? soci::i_null : soci::i_ok);
  }
  // SOCI 4.0.3 names the parameters when it adds context to an error, and throws out_of_range instead of the error where a statement has
  // none of its own :names. A comment gives it some; $1, $2 stay what counts.
  std::string statement_text(sql);
  for (std::size_t i = 0; i < values.size(); ++i) statement_text += fmt::format("{} :v{}", i == 0 ? " --" : "", i + 1);
  const Line::Call call(*line_);
  try {
    // A one-time query is one round trip (PQexecParams); SOCI's default would prepare, execute and deallocate.
    soci::statement statement(session_);
    soci::row row;
    for (std::size_t i = 0; i < texts.size(); ++i) statement.exchange(soci::use(texts[i], nulls[i]));
    if (use) statement.exchange(soci::into(row));
    statement.alloc();
    statement.prepare(statement_text, soci::details::st_one_time_query);
    statement.define_and_bind();
    if (!use) {
      statement.execute(true);
      return static_cast<std::uint64_t>(std::max<long long>(0, statement.get_affected_rows()));
    }
    std::uint64_t count = 0;
    for (bool more = statement.execute(true); more; more = statement.fetch()) {
      Row reader(row);
      use(reader);
      ++count;
    }
    return count;
  } catch (const soci::soci_error& error) {
    lost_if_cut();
    rethrow(error, raw());
  } catch (const std::bad_cast&) {
    throw DbError(fmt::format("a column has an unexpected type in: {}", sql.substr(0, 80)), "", false);
  }
}

void Db::refuse(const PGresult* answer) {
  lost_if_cut();
  const char* state = answer != nullptr ? PQresultErrorField(answer, PG_DIAG_SQLSTATE) : nullptr;
  const std::string sqlstate = state != nullptr ? state : "";
  throw DbError(first_line(answer != nullptr ? PQresultErrorMessage(answer) : PQerrorMessage(raw())), sqlstate,
                PQstatus(raw()) == CONNECTION_BAD || is_connection_state(sqlstate));
}

std::int64_t Db::number(std::string_view sql, Values values) {
  return first(sql, values, [](Row& row) { return row.number(); }).value_or(0);
}

void Db::simple(const std::string& sql) {
  if (!open_) throw DbError("not connected", "", true);
  if (is_asking()) {
    ask_once(sql);
    collect();
    return;
  }
  const Line::Call call(*line_);
  const Answer answer(PQexec(raw(), sql.c_str()), &PQclear);
  const auto status = PQresultStatus(answer.get());
  if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && status != PGRES_EMPTY_QUERY) refuse(answer.get());
}

namespace {

/// Reads results until there are none, so that the connection is free for the next statement; throws the first error.
void drain(PGconn* connection) {
  std::optional<DbError> trouble;
  for (PGresult* result = PQgetResult(connection); result != nullptr; result = PQgetResult(connection)) {
    const Answer answer(result, &PQclear);
    const auto status = PQresultStatus(result);
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || trouble) {
      if (PQstatus(connection) == CONNECTION_BAD) break;
      continue;
    }
    const char* state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const std::string sqlstate = state ? state : "";
    trouble.emplace(first_line(PQresultErrorMessage(result)), sqlstate,
                    PQstatus(connection) == CONNECTION_BAD || is_connection_state(sqlstate));
    if (PQstatus(connection) == CONNECTION_BAD) break;
  }
  if (trouble) throw *trouble;
}

}  // namespace

void Db::drain_rows() {
  try {
    drain(raw());
  } catch (const DbError&) {
    lost_if_cut();
    throw;
  }
}

void Db::copy_in(const std::string& statement, std::string_view data) {
  if (!open_) throw DbError("not connected", "", true);
  collect();
  Line::Call call(*line_);
  {
    const Answer answer(PQexec(raw(), statement.c_str()), &PQclear);
    if (PQresultStatus(answer.get()) != PGRES_COPY_IN) refuse(answer.get());
  }
  constexpr std::size_t kPiece = 256 * 1024;  // libpq copies what it is given: small pieces keep its buffer small
  while (!data.empty()) {
    const auto piece = data.substr(0, kPiece);
    if (PQputCopyData(raw(), piece.data(), static_cast<int>(piece.size())) != 1) fail_with_connection("sending rows");
    data.remove_prefix(piece.size());
    call.again();
  }
  if (PQputCopyEnd(raw(), nullptr) != 1) fail_with_connection("ending the rows");
  drain_rows();
}

void Db::copy_out(const std::string& statement, const std::function<void(std::string_view)>& use) {
  if (!open_) throw DbError("not connected", "", true);
  collect();
  Line::Call call(*line_);
  {
    const Answer answer(PQexec(raw(), statement.c_str()), &PQclear);
    if (PQresultStatus(answer.get()) != PGRES_COPY_OUT) refuse(answer.get());
  }
  constexpr std::uint64_t kOften = 256;  // rows: looking at the clock costs as much as a small one
  for (std::uint64_t rows = 1;; ++rows) {
    if (rows % kOften == 0) call.again();
    char* buffer = nullptr;
    const int length = PQgetCopyData(raw(), &buffer, 0);
    if (length == -1) break;
    if (length == -2) fail_with_connection("receiving rows");
    const std::unique_ptr<char, decltype(&PQfreemem)> owned(buffer, &PQfreemem);
    use({buffer, static_cast<std::size_t>(length)});
  }
  drain_rows();
}

std::string connection_string(const std::string& url, Millis connect_timeout, Millis statement_timeout, std::string_view name) {
  char* message = nullptr;
  const std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> options(PQconninfoParse(url.c_str(), &message), &PQconninfoFree);
  if (!options) {
    // libpq's message quotes the part it could not read, which may be the password.
    PQfreemem(message);
    throw DbError("the database URL is malformed (wanted: postgresql://user@host/database)", "22023", false);
  }
  // As a URL: SOCI cuts what it is given at blanks, and a password may hold one.
  std::string out = "postgresql://?";
  const auto add = [&](std::string_view key, std::string_view value) { out += fmt::format("{}={}&", key, percent_encoded(value)); };
  bool has_timeout = false;
  for (const auto* option = options.get(); option->keyword != nullptr; ++option) {
    if (option->val == nullptr || std::strcmp(option->keyword, "application_name") == 0) continue;
    add(option->keyword, option->val);
    if (std::strcmp(option->keyword, "connect_timeout") == 0) has_timeout = true;
  }
  if (!has_timeout) add("connect_timeout", fmt::to_string(std::max<long long>(2, connect_timeout.count() / 1000)));  // libpq takes 1 as 2
  // A server that has vanished without a word must not hold a thread for the kernel's fifteen minutes.
  add("tcp_user_timeout", fmt::to_string(patience_for(statement_timeout).count()));
  out += fmt::format("keepalives_idle=15&keepalives_interval=5&keepalives_count=3&application_name={}", percent_encoded(name));
  return out;
}

}  // namespace rosterd::postgres
