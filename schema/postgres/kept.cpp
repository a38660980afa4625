#include <libpq-fe.h>

#include <cstdlib>
#include <typeinfo>

#include "schema/postgres/db.hpp"

// Statements that a connection keeps: prepared at their first use, run one at a time or many in one way to the server and back. By libpq
// itself: SOCI's prepared statements want to be told of every value's place beforehand, take leave of the server one by one, and know no
// pipelines.

namespace rosterd::postgres {
namespace {

using Answer = std::unique_ptr<PGresult, decltype(&PQclear)>;

std::vector<const char*> texts_of(Values values) {
  std::vector<const char*> out;
  out.reserve(values.size());
  for (const auto& value : values) {
    if (value.text().find('\0') != std::string::npos) throw DbError("a text holds a NUL character", "22021", false);
    out.push_back(value.is_null() ? nullptr : value.text().c_str());
  }
  return out;
}

}  // namespace

/// A plan goes by how large its tables were when it was made. While a first load fills them, it must not grow old.
void Db::renew() {
  constexpr auto kOldest = std::chrono::seconds(5);
  if (const auto now = std::chrono::steady_clock::now(); kept_.empty() || now - kept_since_ > kOldest) {
    if (!kept_.empty()) simple("DEALLOCATE ALL");
    kept_.clear();
    kept_since_ = now;
  }
}

const char* Db::name_of(std::string_view sql, const std::function<void(const char* name)>& prepare) {
  constexpr std::size_t kMost = 200;
  if (const auto known = kept_.find(sql); known != kept_.end()) return known->second.c_str();
  if (kept_.size() >= kMost) return nullptr;
  const auto name = fmt::format("kept{}", ++prepared_);
  prepare(name.c_str());
  return kept_.emplace(sql, name).first->second.c_str();
}

/// The rows of one answer; throws its error.
std::uint64_t Db::take(const PGresult* answer, std::string_view sql, const std::function<void(Row&)>& use) {
  const auto status = PQresultStatus(answer);
  if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) ++answers_;
  if (status == PGRES_COMMAND_OK) return std::strtoull(PQcmdTuples(const_cast<PGresult*>(answer)), nullptr, 10);
  if (status != PGRES_TUPLES_OK) {
    // A migration has changed what the statement reads (0A000): whoever asks next has it prepared anew.
    const char* state = answer != nullptr ? PQresultErrorField(answer, PG_DIAG_SQLSTATE) : nullptr;
    if (state != nullptr && std::string_view(state) == "0A000")
      if (const auto known = kept_.find(sql); known != kept_.end()) kept_.erase(known);
    refuse(answer);
  }
  const int lines = PQntuples(answer);
  try {
    for (int line = 0; use && line < lines; ++line) {
      Row reader(answer, line);
      use(reader);
    }
  } catch (const std::bad_cast&) {
    throw DbError(fmt::format("a column has an unexpected type in: {}", sql.substr(0, 80)), "", false);
  }
  return static_cast<std::uint64_t>(lines);
}

std::uint64_t Db::each_kept(std::string_view sql, Values values, const std::function<void(Row&)>& use) {
  if (is_asking()) {
    std::uint64_t rows = 0;
    queue(sql, values, use, &rows);
    collect();
    return rows;
  }
  const auto texts = texts_of(values);
  renew();
  const Line::Call call(*line_);
  const auto* name = name_of(sql, [&](const char* fresh) {
    const Answer prepared(PQprepare(raw(), fresh, std::string(sql).c_str(), 0, nullptr), &PQclear);
    if (PQresultStatus(prepared.get()) != PGRES_COMMAND_OK) refuse(prepared.get());
  });
  const int count = static_cast<int>(texts.size());
  const Answer answer(name != nullptr ? PQexecPrepared(raw(), name, count, texts.data(), nullptr, nullptr, 0)
                                      : PQexecParams(raw(), std::string(sql).c_str(), count, nullptr, texts.data(), nullptr, nullptr, 0),
                      &PQclear);
  return take(answer.get(), sql, use);
}

// ---- many at once -----------------------------------------------------------------------------------------------------------------

void Db::must_send(int sent) {
  if (sent != 1) fail_with_connection("sending a statement");
}

void Db::begin_asking() {
  if (is_asking()) return;
  renew();
  must_send(PQenterPipelineMode(raw()));
}

void Db::ask(std::string_view sql, Values values, std::function<void(Row&)> use) { queue(sql, values, std::move(use), nullptr); }

void Db::queue(std::string_view sql, Values values, std::function<void(Row&)> use, std::uint64_t* rows) {
  if (!open_) throw DbError("not connected", "", true);
  const auto texts = texts_of(values);
  begin_asking();
  const Line::Call call(*line_);
  const auto* name = name_of(sql, [&](const char* fresh) {
    must_send(PQsendPrepare(raw(), fresh, std::string(sql).c_str(), 0, nullptr));
    asked_.push_back({.sql = std::string(sql), .prepares = true, .use = {}});
  });
  const int count = static_cast<int>(texts.size());
  must_send(name != nullptr ? PQsendQueryPrepared(raw(), name, count, texts.data(), nullptr, nullptr, 0)
                            : PQsendQueryParams(raw(), std::string(sql).c_str(), count, nullptr, texts.data(), nullptr, nullptr, 0));
  asked_.push_back({.sql = std::string(sql), .use = std::move(use), .rows = rows});
}

void Db::ask_once(const std::string& sql) {
  if (!open_) throw DbError("not connected", "", true);
  begin_asking();
  const Line::Call call(*line_);
  must_send(PQsendQueryParams(raw(), sql.c_str(), 0, nullptr, nullptr, nullptr, nullptr, 0));
  asked_.push_back({.sql = sql, .use = {}});
}

void Db::hurry() {
  if (is_asking() && PQflush(raw()) < 0) fail_with_connection("sending statements");
}

void Db::collect() {
  if (!is_asking()) return;
  const auto asked = std::exchange(asked_, {});
  Line::Call call(*line_);
  must_send(PQpipelineSync(raw()));
  std::exception_ptr trouble;  // the first: all behind it have not happened
  for (const auto& one : asked) {
    const Answer answer(PQgetResult(raw()), &PQclear);
    call.again();
    if (trouble != nullptr && one.prepares) kept_.erase(one.sql);
    if (trouble == nullptr) {
      try {
        const auto rows = take(answer.get(), one.sql, one.use);
        if (one.rows != nullptr) *one.rows = rows;
      } catch (...) {
        trouble = std::current_exception();
        if (one.prepares) kept_.erase(one.sql);
      }
    }
    if (PQstatus(raw()) == CONNECTION_BAD) break;
    while (const Answer rest{PQgetResult(raw()), &PQclear}) {
    }
  }
  if (PQstatus(raw()) != CONNECTION_BAD) {
    const Answer end(PQgetResult(raw()), &PQclear);
    if (PQresultStatus(end.get()) != PGRES_PIPELINE_SYNC || PQexitPipelineMode(raw()) != 1) {
      // What comes next on such a connection would be taken for something else.
      if (trouble == nullptr) fail_with_connection("reading the answers");
      close();
    }
  }
  if (trouble != nullptr) std::rethrow_exception(trouble);
}

}  // namespace rosterd::postgres
