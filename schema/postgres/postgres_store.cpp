#include "schema/postgres/postgres_store.hpp"

#include "schema/postgres/migrate.hpp"
#include "schema/postgres/pool.hpp"

namespace rosterd {

using namespace postgres;

PostgresStore::PostgresStore(std::shared_ptr<Pool> pool) : pool_(std::move(pool)) {}
PostgresStore::~PostgresStore() = default;

Result<std::unique_ptr<Store>> PostgresStore::open(const StoreOptions& options) {
  const PoolOptions pool{.url = options.url,
                         .size = std::max<std::size_t>(1, options.pool_size),
                         .connect_timeout = options.connect_timeout,
                         .statement_timeout = options.statement_timeout,
                         .lock_timeout = options.lock_timeout};
  try {
    Db app;
    Pool::open(app, pool, options.statement_timeout);
    if (app.number("SELECT current_setting('server_version_num')::int") < 150000)
      return fail(Errc::Refused, "PostgreSQL is too old: 15 or newer is needed, this is {}",
                  app.first("SELECT current_setting('server_version')", {}, [](Row& row) { return row.text(); }).value_or("unknown"));
    if (const auto fit = verify_role(app); !fit) return fail(fit.error());  // before anything is changed in its favour
    if (!options.owner_url.empty()) {
      const auto app_role = app.first("SELECT current_user::text", {}, [](Row& row) { return row.text(); }).value_or("");
      auto owner_options = pool;
      owner_options.url = options.owner_url;
      Db owner;
      Pool::open(owner, owner_options, options.statement_timeout);
      if (const auto done = migrate(owner, app_role, built_in_migrations()); !done) return fail(done.error(), "migrating the database");
    } else if (const auto same = verify_schema(app, built_in_migrations()); !same) {
      return fail(same.error());
    }
    if (const auto fit = verify_role(app); !fit) return fail(fit.error());  // and again: now the tables and their owner exist
  } catch (const DbError& error) {
    return fail(to_error(error), "opening the store");
  }
  return std::make_unique<PostgresStore>(std::make_shared<Pool>(pool));
}

}  // namespace rosterd
