#pragma once
// One connection to PostgreSQL: statements with their values go in, rows come out; everything SOCI throws leaves as DbError with its
// SQLSTATE. Transactions, tenants and the pool are in pool.hpp. Only files of this folder include it.

// Debian's SOCI is configured with Boost, but its headers use Boost only for binding optionals and tuples, which rosterd does not do:
// undefining the switch spares every machine the Boost packages. Nothing compiled into the library depends on it.
#include <soci/soci-config.h>
#undef SOCI_HAVE_BOOST
#include <soci/soci.h>

#include <chrono>
#include <concepts>
#include <functional>
#include <initializer_list>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "schema/core/clock.hpp"
#include "schema/core/result.hpp"
#include "schema/model/ids.hpp"
#include "schema/postgres/line.hpp"

typedef struct pg_conn PGconn;      // NOLINT: libpq's own name
typedef struct pg_result PGresult;  // NOLINT: the same

namespace rosterd::postgres {

/// What PostgreSQL or the way to it said. `lost`: the connection is gone and must be opened anew.
struct DbError : std::runtime_error {
  DbError(const std::string& message, std::string state, bool is_lost)
      : runtime_error(message), sqlstate(std::move(state)), lost(is_lost) {}
  std::string sqlstate;  ///< five characters; empty when there was no answer
  bool lost;
};

/// What the caller can do about it, by SQLSTATE class. The text is PostgreSQL's first line: the DETAIL line may hold values.
[[nodiscard]] Error to_error(const DbError& error);

/// Ends a transaction with an Error from deep inside it. Caught by Pool::run, never leaves the room.
struct Abort {
  Error error;
};
template <class... Args>
[[noreturn]] void abort_with(std::string_view slug, Errc code, fmt::format_string<Args...> text, Args&&... args) {
  throw Abort{Error{.code = code, .what = fmt::format(text, std::forward<Args>(args)...), .slug = std::string(slug)}};
}

/// One value of a statement, in the text form PostgreSQL reads.
class Value {
 public:
  Value(std::nullopt_t) {}
  Value(std::string_view text) : text_(text), null_(false) {}
  Value(const std::string& text) : text_(text), null_(false) {}
  Value(const char* text) : text_(text), null_(false) {}
  Value(bool flag) : text_(flag ? "true" : "false"), null_(false) {}
  Value(std::integral auto number) : text_(std::to_string(number)), null_(false) {}
  Value(double number) : text_(fmt::format("{}", number)), null_(false) {}
  Value(TimePoint time) : text_(rfc3339(time)), null_(false) {}
  template <class Tag>
  Value(RowId<Tag> id) : Value(id.value) {}
  template <class E>
    requires std::is_enum_v<E>
  Value(E value) : Value(static_cast<int>(value)) {}
  template <class T>
  Value(const std::optional<T>& value) {
    if (value) *this = Value(*value);
  }
  [[nodiscard]] const std::string& text() const { return text_; }
  [[nodiscard]] bool is_null() const { return null_; }

 private:
  std::string text_;
  bool null_ = true;
};
/// NULL for an id that is 0.
template <class Tag>
[[nodiscard]] Value or_null(RowId<Tag> id) {
  return id ? Value(id) : Value(std::nullopt);
}

/// Reads the columns of one row from left to right. Statements give text, int2, int4 or int8 only: times as micros(t), booleans as ::int.
class Row {
 public:
  explicit Row(const soci::row& row) : row_(&row) {}
  Row(const PGresult* answer, int line) : answer_(answer), line_(line) {}
  [[nodiscard]] bool null() const;
  std::string text();     ///< NULL reads as empty
  std::int64_t number();  ///< NULL reads as 0
  bool flag() { return number() != 0; }
  double real();
  TimePoint time() { return TimePoint(std::chrono::microseconds(number())); }
  std::optional<std::string> maybe_text();
  std::optional<std::int64_t> maybe_number();
  std::optional<TimePoint> maybe_time();
  template <class Id>
  Id id() {
    return Id{static_cast<std::uint64_t>(number())};
  }
  template <class Id>
  std::optional<Id> maybe_id() {  ///< none for NULL and 0
    const auto value = static_cast<std::uint64_t>(number());
    return value ? std::optional(Id{value}) : std::nullopt;
  }

 private:
  [[nodiscard]] std::string_view raw(std::size_t at) const;
  const soci::row* row_ = nullptr;    ///< SOCI's, or
  const PGresult* answer_ = nullptr;  ///< libpq's, of a statement that is kept,
  int line_ = 0;                      ///< and which line of it
  std::size_t at_ = 0;
};

using Values = std::initializer_list<Value>;

/// A connection. Values are $1, $2, … in the statement.
class Db {
 public:
  Db() = default;
  ~Db();
  Db(const Db&) = delete;
  Db& operator=(const Db&) = delete;

  /// Connects; `dsn` is a libpq connection string. Throws DbError.
  void open(const std::string& dsn);
  void close();
  [[nodiscard]] bool is_open();
  /// Longest wait for the server in one statement, beyond which the connection is lost; 0 = any. Kept here, not by the server.
  void patience(Millis longest);
  /// A statement of this transaction may take that long, on both sides.
  void allow(Millis longest);
  /// After the transaction: the patience of before.
  void settle() { line_->patience(patience_); }
  /// For whoever watches it or ends the call in progress from another thread.
  [[nodiscard]] const std::shared_ptr<Line>& line() const { return line_; }

  /// Runs a statement; gives the number of rows it touched.
  std::uint64_t run(std::string_view sql, Values values = {});
  /// Runs a query and hands each row over; gives the number of rows.
  std::uint64_t each(std::string_view sql, Values values, const std::function<void(Row&)>& use);
  /// The first row through `use`, or none.
  template <class Use>
  auto first(std::string_view sql, Values values, Use use) -> std::optional<decltype(use(std::declval<Row&>()))> {
    std::optional<decltype(use(std::declval<Row&>()))> out;
    each(sql, values, [&](Row& row) {
      if (!out) out.emplace(use(row));
    });
    return out;
  }
  /// The row that a statement always gives (INSERT … RETURNING), through `use`.
  template <class Use>
  auto one(std::string_view sql, Values values, Use use) -> decltype(use(std::declval<Row&>())) {
    auto out = first(sql, values, std::move(use));
    if (!out) abort_with({}, Errc::Internal, "a statement that always gives a row gave none");
    return std::move(*out);
  }
  std::int64_t number(std::string_view sql, Values values = {});  ///< first column of the first row; 0 without one

  /// While one lives, statements are prepared at their first use and kept with the connection: parsed once, planned once, whoever runs them
  /// again. For what runs the same few texts thousands of times; texts made anew each time would fill the store of them.
  class Keeping {
   public:
    explicit Keeping(Db& db) : db_(db), before_(std::exchange(db.keeps_, true)) {}
    ~Keeping() { db_.keeps_ = before_; }
    Keeping(const Keeping&) = delete;
    Keeping& operator=(const Keeping&) = delete;

   private:
    Db& db_;
    bool before_;
  };

  /// Sends a statement and does not wait for it (kept as above; only while a Keeping lives). Its rows come with the next statement that is
  /// waited for, or with collect(), in the order of the asking; so does its error, after which none of those behind it has happened. What
  /// `use` refers to must be there until then; it asks for nothing itself. One way to the server and back costs as much as a small
  /// statement.
  void ask(std::string_view sql, Values values, std::function<void(Row&)> use = {});
  /// The same for a statement without values that is not worth keeping (COMMIT).
  void ask_once(const std::string& sql);
  /// Waits for all that was asked.
  void collect();
  [[nodiscard]] bool is_asking() const { return !asked_.empty(); }
  /// Lets the server begin with what was asked, while more is on its way.
  void hurry();
  /// How many statements of this connection were answered so far.
  [[nodiscard]] std::uint64_t answers() const { return answers_; }

  /// Statements without values, several at once; for BEGIN, COMMIT and migrations.
  void simple(const std::string& sql);
  /// The connection beneath SOCI, for COPY.
  [[nodiscard]] PGconn* raw();
  /// Sends one COPY … FROM STDIN (FORMAT binary) with all its data (copy.hpp writes it).
  void copy_in(const std::string& statement, std::string_view data);
  /// Runs COPY (…) TO STDOUT (FORMAT binary); hands over each message as PostgreSQL cuts it (header, one per row, trailer).
  void copy_out(const std::string& statement, const std::function<void(std::string_view)>& use);

 private:
  [[noreturn]] void fail_with_connection(const char* doing);
  void lost_if_cut() const;
  void drain_rows();
  [[noreturn]] void refuse(const PGresult* answer);
  struct Asked {
    std::string sql;        ///< for errors, and to forget it where `prepares` has failed
    bool prepares = false;  ///< the preparation of the one behind it
    std::function<void(Row&)> use;
    std::uint64_t* rows = nullptr;  ///< touched or read
  };
  std::uint64_t each_kept(std::string_view sql, Values values, const std::function<void(Row&)>& use);
  /// The name of a statement; `prepare` is called for one that has none yet, and none comes back for one too many.
  const char* name_of(std::string_view sql, const std::function<void(const char* name)>& prepare);
  void renew();
  void begin_asking();
  void must_send(int sent);
  std::uint64_t take(const PGresult* answer, std::string_view sql, const std::function<void(Row&)>& use);
  void queue(std::string_view sql, Values values, std::function<void(Row&)> use, std::uint64_t* rows);
  soci::session session_;
  bool keeps_ = false;
  std::vector<Asked> asked_;
  std::uint64_t answers_ = 0;
  std::map<std::string, std::string, std::less<>> kept_;  ///< text -> name, of this connection
  std::uint64_t prepared_ = 0;
  std::chrono::steady_clock::time_point kept_since_{};
  bool open_ = false;
  Millis patience_{0};
  std::shared_ptr<Line> line_ = std::make_shared<Line>();
};

/// How long a statement is waited for here, when the server itself ends it after `statement_timeout`: so that it gets to say so.
[[nodiscard]] constexpr Millis patience_for(Millis statement_timeout) {
  return statement_timeout + std::min(statement_timeout, Millis(10'000));
}

/// `url` (URL or key=value form) as a connection string with our time-outs in it; `name` is what pg_stat_activity shows. Throws DbError
/// when libpq cannot read it; the text never holds the password.
[[nodiscard]] std::string connection_string(const std::string& url, Millis connect_timeout, Millis statement_timeout,
                                            std::string_view name);

}  // namespace rosterd::postgres
