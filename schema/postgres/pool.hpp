#pragma once
// The connections of a store: work goes in as a function of one connection, runs inside one transaction, and comes out as a Result. A
// connection that has died is noticed by the next work that takes it and opened anew. Statements live in the other files of this folder.

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "schema/postgres/db.hpp"
#include "schema/store/store.hpp"

namespace rosterd::postgres {

enum class Mode {
  Read,   ///< READ ONLY
  Write,  ///< READ COMMITTED: after waiting for a lock, statements see what the other one committed
  Steady  ///< READ ONLY, REPEATABLE READ: every statement sees the same moment
};

/// When BEGIN is sent.
enum class Begin {
  Now,
  Asked  ///< with the first statements (Db::ask), in one way to the server; `work` may be called a second time, if nothing was answered
};

struct PoolOptions {
  std::string url;
  std::string name = "rosterd";  ///< pg_stat_activity.application_name
  std::size_t size = 8;
  Millis connect_timeout{5'000};
  Millis statement_timeout{30'000};
  Millis lock_timeout{20'000};
};

class Pool {
 public:
  explicit Pool(PoolOptions options, std::shared_ptr<LineWatch> watch = std::make_shared<LineWatch>());

  /// Runs `work` in a transaction: commits when it gives a value, rolls back when it gives an error, throws DbError or Abort.
  template <class Work>
  auto run(Mode mode, std::string_view doing, Work work, Begin begin = Begin::Now) -> decltype(work(std::declval<Db&>())) {
    using Answer = decltype(work(std::declval<Db&>()));
    Answer answer = fail(Errc::Internal, "{}: the work was not begun", doing);
    const auto done = transaction(
        mode, doing,
        [&](Db& db) {
          answer = work(db);
          return answer.has_value();
        },
        begin);
    if (!done) return tl::unexpected(done.error());
    return answer;
  }

  /// A connection of its own for a stage; goes back with give_back. Its statements may take longer.
  [[nodiscard]] Result<std::unique_ptr<Db>> take_apart(std::string_view doing);
  void give_back(std::unique_ptr<Db> db);
  /// No call waits longer than this from now on, neither for the server nor for a free connection; those in progress included.
  void limit(Millis longest);
  /// Opens one connection with these settings; throws DbError. It is not watched: who waits for it is up to the caller.
  static void open(Db& db, const PoolOptions& options, Millis statement_timeout);

 private:
  class Lease;
  Result<void> transaction(Mode mode, std::string_view doing, const std::function<bool(Db&)>& work, Begin begin);
  std::unique_ptr<Db> take();
  void put(std::unique_ptr<Db> db);
  std::unique_ptr<Db> fresh();
  void connect(Db& db, PoolOptions options, Millis statement_timeout);

  const PoolOptions options_;
  const std::shared_ptr<LineWatch> watch_;
  std::atomic<bool> mute_ = false;  // nobody has answered a connection since calls are limited
  std::mutex mutex_;
  std::condition_variable freed_;
  std::vector<std::unique_ptr<Db>> idle_;
  std::size_t out_ = 0;
  std::vector<std::unique_ptr<Db>> idle_stages_;
};

/// The tenant a transaction has named, and what every change of it does: move the revision, write the audit row.
struct Tenancy {
  Db& db;
  int number = 0;
  TenantId id;
  bool enabled = true;

  /// Locks the tenant until commit, so that its changes happen one after the other; first lock of every change (no deadlocks).
  void lock();
  [[nodiscard]] Revision revision();
  /// The next revision; call it last, after lock().
  Revision bump();
  struct Event {
    std::string_view action, object_type;
    std::string object_id, object_name;
    std::optional<std::string> before, after;
    RunId run;
    std::optional<Revision> revision;
    std::string about_id = {};  ///< whom it is about besides the object: the member of a membership, the principal of a binding
  };
  void audit(const Actor& actor, const Event& event);
};
/// Names the tenant for the rest of the transaction. NotFound for an unknown one.
[[nodiscard]] Result<Tenancy> enter(Db& db, const TenantId& tenant);
/// The same for a number that a door gave out.
Tenancy enter_number(Db& db, int number, const TenantId& tenant, bool enabled);

/// The numbers of tenants, as they were seen last: whoever enters a tenant thousands of times needs no way to the server for it. A number
/// is never given twice, so an old one finds no tenant row; whoever finds none forgets it and enters again.
class TenantNumbers {
 public:
  /// As enter(); asks only, where the number is known, and `enabled` is not. The connection is Keeping.
  [[nodiscard]] Result<Tenancy> enter(Db& db, const TenantId& tenant);
  /// False when it was not known.
  bool forget(const TenantId& tenant);

 private:
  std::mutex mutex_;
  std::map<TenantId, int> known_;  // under mutex_
};
/// An event of no tenant.
void audit_instance(Db& db, const Actor& actor, const Tenancy::Event& event);

/// A transaction inside one tenant; `work(Tenancy&)`. Mode::Write locks the tenant first.
template <class Work>
auto in_tenant(Pool& pool, Mode mode, const TenantId& tenant, std::string_view doing, Work work)
    -> decltype(work(std::declval<Tenancy&>())) {
  using Answer = decltype(work(std::declval<Tenancy&>()));
  return pool.run(mode, doing, [&](Db& db) -> Answer {
    auto inside = enter(db, tenant);
    if (!inside) return tl::unexpected(inside.error());
    if (mode == Mode::Write) inside->lock();
    return work(*inside);
  });
}

}  // namespace rosterd::postgres
