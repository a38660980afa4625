#include "schema/postgres/postgres_store.hpp"

#include "schema/postgres/migrate.hpp"
#include "schema/postgres/pool.hpp"

namespace rosterd {

using namespace postgres;

PostgresStore::PostgresStore(std::shared_ptr<Pool> pool, std::shared_ptr<Pool> leases, std::shared_ptr<Pool> snapshots, GrantJudge judge,
                             std::string listen_on)
    : pool_(std::move(pool)),
      leases_(std::move(leases)),
      snapshots_(std::move(snapshots)),
      numbers_(std::make_unique<TenantNumbers>()),
      judge_(std::move(judge)),
      listen_on_(std::move(listen_on)) {}
PostgresStore::~PostgresStore() = default;

void PostgresStore::limit_calls(Millis longest) {
  for (const auto& pool : {pool_, leases_, snapshots_}) pool->limit(longest);
}

Result<std::unique_ptr<Store>> PostgresStore::open(const StoreOptions& options, const std::stop_token& stop) {
  const PoolOptions pool{.url = options.url,
                         .size = std::max<std::size_t>(1, options.pool_size),
                         .connect_timeout = options.connect_timeout,
                         .statement_timeout = options.statement_timeout,
                         .lock_timeout = options.lock_timeout};
  const auto stopped = [&] { return fail(Errc::Stopped, "stopped while opening the store"); };
  const auto watch = std::make_shared<LineWatch>();
  try {
    Db app, owner;
    watch->add(app.line());
    const std::stop_callback cut(stop, [&] {
      app.line()->cut();
      owner.line()->cut();
    });
    Pool::open(app, pool, options.statement_timeout);
    if (app.number("SELECT current_setting('server_version_num')::int") < 150000)
      return fail(Errc::Refused, "PostgreSQL is too old: 15 or newer is needed, this is {}",
                  app.first("SELECT current_setting('server_version')", {}, [](Row& row) { return row.text(); }).value_or("unknown"));
    if (const auto fit = verify_role(app); !fit) return fail(fit.error());  // before anything is changed in its favour
    if (!options.owner_url.empty()) {
      const auto app_role = app.first("SELECT current_user::text", {}, [](Row& row) { return row.text(); }).value_or("");
      auto owner_options = pool;
      owner_options.url = options.owner_url;
      owner_options.name += "-owner";
      Pool::open(owner, owner_options, options.statement_timeout);
      owner.patience(Millis(0));                    // a migration takes as long as it takes, and waits as long for another replica's
      if (stop.stop_requested()) return stopped();  // a stop that came before there was a line to cut
      if (const auto done = migrate(owner, app_role, built_in_migrations()); !done) {
        if (stop.stop_requested()) return stopped();
        return fail(done.error(), "migrating the database");
      }
    } else if (const auto same = verify_schema(app, built_in_migrations()); !same) {
      return fail(same.error());
    }
    if (const auto fit = verify_role(app); !fit) return fail(fit.error());  // and again: now the tables and their owner exist
    if (stop.stop_requested()) return stopped();
  } catch (const DbError& error) {
    if (stop.stop_requested()) return stopped();
    return fail(to_error(error), "opening the store");
  }
  // A heartbeat that cannot be had at once is worth less than the next one.
  auto leases = pool;
  leases.name += "-leases";
  leases.size = 1;
  leases.statement_timeout = std::min(pool.statement_timeout, Millis(5'000));
  leases.lock_timeout = std::min(pool.lock_timeout, Millis(2'000));
  auto snapshots = pool;
  snapshots.name += "-snapshots";
  snapshots.size = 3;  // two builders, and the look at all revisions
  auto listen_on = connection_string(pool.url, pool.connect_timeout, pool.statement_timeout, pool.name + "-revisions");
  return std::make_unique<PostgresStore>(std::make_shared<Pool>(pool, watch), std::make_shared<Pool>(std::move(leases), watch),
                                         std::make_shared<Pool>(std::move(snapshots), watch), options.judge, std::move(listen_on));
}

}  // namespace rosterd
