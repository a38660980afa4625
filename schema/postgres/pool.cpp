#include "schema/postgres/pool.hpp"

#include <libpq-fe.h>

#include "schema/core/log.hpp"

namespace rosterd::postgres {
namespace {

constexpr const char* begin_of(Mode mode) {
  switch (mode) {
    case Mode::Read:
      return "BEGIN READ ONLY";
    case Mode::Write:
      return "BEGIN";
    case Mode::Steady:
      return "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY";
  }
  return "BEGIN";
}

/// Ends a transaction that shall not be.
void abandon(Db& db) {
  if (!db.is_open() || db.is_asking() || PQtransactionStatus(db.raw()) == PQTRANS_ACTIVE)
    db.close();  // in the middle of an answer that nobody reads any more
  else
    db.simple("ROLLBACK");
  db.settle();
}

}  // namespace

/// Gives the connection back whatever happens.
class Pool::Lease {
 public:
  explicit Lease(Pool& pool) : pool_(pool), db_(pool.take()) {}
  ~Lease() { pool_.put(std::move(db_)); }
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  Db& operator*() { return *db_; }

 private:
  Pool& pool_;
  std::unique_ptr<Db> db_;
};

Pool::Pool(PoolOptions options, std::shared_ptr<LineWatch> watch) : options_(std::move(options)), watch_(std::move(watch)) {}

std::unique_ptr<Db> Pool::fresh() {
  auto db = std::make_unique<Db>();
  watch_->add(db->line());
  return db;
}

void Pool::limit(Millis longest) {
  watch_->limit(longest);
  {
    const std::lock_guard lock(mutex_);
  }  // whoever has looked for the limit before this waits by now, and hears the next line
  freed_.notify_all();
}

std::unique_ptr<Db> Pool::take() {
  const auto is_there = [&] { return !idle_.empty() || out_ < options_.size; };
  std::unique_lock lock(mutex_);
  (void)freed_.wait_for(lock, options_.connect_timeout + options_.statement_timeout, [&] { return is_there() || watch_->limit(); });
  if (const auto limit = watch_->limit()) (void)freed_.wait_for(lock, *limit, is_there);
  if (!is_there()) throw DbError("every connection of rosterd's own pool is busy", "53300", false);
  ++out_;
  if (idle_.empty()) return fresh();
  auto db = std::move(idle_.back());
  idle_.pop_back();
  return db;
}

void Pool::put(std::unique_ptr<Db> db) {
  {
    const std::lock_guard lock(mutex_);
    --out_;
    idle_.push_back(std::move(db));
  }
  freed_.notify_one();
}

void Pool::open(Db& db, const PoolOptions& options, Millis statement_timeout) {
  db.patience(patience_for(statement_timeout));
  db.open(connection_string(options.url, options.connect_timeout, statement_timeout, options.name));
  // A statement that waits too long is an error the caller hears of. One whose caller is gone ends, too, and with it its locks, rather than
  // going on for nobody.
  db.simple(fmt::format("SET statement_timeout = {}; SET lock_timeout = {}; SET client_connection_check_interval = '5s'",
                        statement_timeout.count(), options.lock_timeout.count()));
}

/// A line that is being made cannot be cut: at the end there is one short try, not one for everybody.
void Pool::connect(Db& db, PoolOptions options, Millis statement_timeout) {
  constexpr Millis kLeast{2'000};  // libpq takes 1 s as 2
  if (watch_->limit()) {
    if (mute_) throw DbError("it did not answer in time", "", true);
    options.connect_timeout = std::min(options.connect_timeout, kLeast);
  }
  try {
    open(db, options, statement_timeout);
  } catch (const DbError&) {
    if (watch_->limit()) mute_ = true;
    throw;
  }
}

Result<void> Pool::transaction(Mode mode, std::string_view doing, const std::function<bool(Db&)>& work, Begin begin) {
  try {
    Lease lease(*this);
    Db& db = *lease;
    bool is_new = false;
    const auto open_anew = [&] {
      connect(db, options_, options_.statement_timeout);
      is_new = true;
    };
    if (!db.is_open()) open_anew();
    // The server was restarted while the connection lay idle: nothing has been done yet, so asking a new connection is safe.
    const auto is_stale = [&](const DbError& error) { return error.lost && !is_new && !watch_->limit(); };
    const auto begin_it = [&] { begin == Begin::Asked ? db.ask_once(begin_of(mode)) : db.simple(begin_of(mode)); };
    const auto answers = db.answers();
    try {
      begin_it();
    } catch (const DbError& error) {
      if (!is_stale(error)) throw;
      open_anew();
      begin_it();
    }
    bool is_ending = false;  // what has been sent with a COMMIT may have happened, whether its answer came or not
    const auto carry_out = [&] {
      const bool keep = work(db);
      is_ending = true;
      db.simple(keep ? "COMMIT" : "ROLLBACK");
      db.settle();
    };
    try {
      try {
        carry_out();
      } catch (const DbError& error) {
        if (begin == Begin::Now || is_ending || db.answers() != answers || !is_stale(error)) throw;
        open_anew();
        begin_it();
        carry_out();
      }
      return {};
    } catch (const DbError& error) {
      if (error.lost)
        db.close();
      else
        abandon(db);
      throw;
    } catch (...) {
      abandon(db);
      throw;
    }
  } catch (const DbError& error) {
    if (error.lost) log::warning("store.connection_lost", {log::field("doing", doing), log::field("error", error.what())});
    return fail(to_error(error), "{}", doing);
  } catch (const Abort& abort) {
    return fail(abort.error);
  }
}

Result<std::unique_ptr<Db>> Pool::take_apart(std::string_view doing) {
  // A stage's transaction may read and write a million rows, and waits as long for its tenant: another source's may be doing so just now.
  constexpr Millis kStageStatement{30 * 60 * 1000};
  try {
    std::unique_ptr<Db> db;
    {
      const std::lock_guard lock(mutex_);
      if (!idle_stages_.empty()) {
        db = std::move(idle_stages_.back());
        idle_stages_.pop_back();
      }
    }
    if (db && db->is_open()) {
      try {
        db->simple("SELECT 1");
        return db;
      } catch (const DbError& error) {
        if (!error.lost) throw;
      }
    }
    db = fresh();
    auto options = options_;
    options.lock_timeout = kStageStatement;
    options.name += "-sync";
    connect(*db, std::move(options), kStageStatement);
    return db;
  } catch (const DbError& error) {
    return fail(to_error(error), "{}", doing);
  }
}

void Pool::give_back(std::unique_ptr<Db> db) {
  constexpr std::size_t kKeptStages = 2;  // a stage's temporary tables hold disk and memory of the server
  const std::lock_guard lock(mutex_);
  if (db->is_open() && idle_stages_.size() < kKeptStages) idle_stages_.push_back(std::move(db));
}

// ---- tenancy --------------------------------------------------------------------------------------------------------------------

Tenancy enter_number(Db& db, int number, const TenantId& tenant, bool enabled) {
  const Db::Keeping keeping(db);
  db.number("SELECT set_config('rosterd.tenant', $1, true)::int", {number});
  return Tenancy{.db = db, .number = number, .id = tenant, .enabled = enabled};
}

Result<Tenancy> enter(Db& db, const TenantId& tenant) {
  static constexpr std::string_view kEnter =
      "SELECT tenant_id, enabled::int, set_config('rosterd.tenant', tenant_id::text, true) FROM door_tenant($1) WHERE tenant_id IS NOT "
      "NULL";
  const Db::Keeping keeping(db);
  const auto found = db.first(kEnter, {tenant.value}, [](Row& row) {
    const auto number = static_cast<int>(row.number());
    return std::pair(number, row.flag());
  });
  if (!found) return fail(Errc::NotFound, "no tenant {}", tenant.value);
  return Tenancy{.db = db, .number = found->first, .id = tenant, .enabled = found->second};
}

Result<Tenancy> TenantNumbers::enter(Db& db, const TenantId& tenant) {
  int number = 0;
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = known_.find(tenant); found != known_.end()) number = found->second;
  }
  if (number != 0) {
    db.ask("SELECT set_config('rosterd.tenant', $1, true)", {number});
    return Tenancy{.db = db, .number = number, .id = tenant};
  }
  auto inside = postgres::enter(db, tenant);
  if (inside) {
    const std::lock_guard lock(mutex_);
    known_[tenant] = inside->number;
  }
  return inside;
}

bool TenantNumbers::forget(const TenantId& tenant) {
  const std::lock_guard lock(mutex_);
  return known_.erase(tenant) > 0;
}

void Tenancy::lock() {
  // NO KEY: rows that reference the tenant may still be inserted meanwhile (a run requested while another is applied).
  static constexpr std::string_view kLock = "SELECT enabled::int FROM tenant WHERE tenant_id = $1 FOR NO KEY UPDATE";
  const Db::Keeping keeping(db);
  const auto found = db.first(kLock, {number}, [](Row& row) { return row.flag(); });
  if (!found) throw Abort{Error{.code = Errc::NotFound, .what = fmt::format("no tenant {}", id.value), .slug = {}}};
  enabled = *found;
}

namespace {
Revision read_revision(Row& row) {
  Revision out;
  out.epoch = static_cast<std::uint32_t>(row.number());
  out.number = static_cast<std::uint64_t>(row.number());
  return out;
}
}  // namespace

Revision Tenancy::revision() {
  return db.first("SELECT epoch, revision FROM tenant WHERE tenant_id = $1", {number}, read_revision).value_or(Revision{});
}

Revision Tenancy::bump() {
  static constexpr std::string_view kBump = "UPDATE tenant SET revision = revision + 1 WHERE tenant_id = $1 RETURNING epoch, revision";
  const auto moved = db.first(kBump, {number}, read_revision);
  if (!moved) throw Abort{Error{.code = Errc::NotFound, .what = fmt::format("no tenant {}", id.value), .slug = {}}};
  return *moved;
}

namespace {
void write_audit(Db& db, int tenant, std::string_view slug, const Actor& actor, const Tenancy::Event& event) {
  static constexpr std::string_view kAudit =
      "INSERT INTO audit (tenant_id, tenant, account_id, actor, ip, request_id, action, object_type, object_id, object_name, before, "
      "after, "
      "run_id, epoch, revision, service_account_id, about_id, user_id) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, "
      "$14, $15, "
      "$16, "
      "nullif($17, ''), $18)";
  db.run(kAudit, {tenant, slug, or_null(actor.account), actor.by, actor.ip, actor.request_id, event.action, event.object_type,
                  event.object_id, event.object_name, event.before, event.after, or_null(event.run),
                  event.revision ? Value(event.revision->epoch) : Value(std::nullopt),
                  event.revision ? Value(event.revision->number) : Value(std::nullopt), actor.service_account, event.about_id, actor.user});
}
}  // namespace

void Tenancy::audit(const Actor& actor, const Event& event) { write_audit(db, number, id.value, actor, event); }

void audit_instance(Db& db, const Actor& actor, const Tenancy::Event& event) {
  db.number("SELECT set_config('rosterd.tenant', '0', true)::int");
  write_audit(db, 0, "", actor, event);
}

}  // namespace rosterd::postgres
