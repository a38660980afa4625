#include "schema/postgres/migrate.hpp"

#include "schema/core/hash.hpp"
#include "schema/core/log.hpp"

namespace rosterd::postgres {
namespace {

std::string checksum(const Migration& migration) { return hex(sha256(migration.sql)); }

struct AppliedMigration {
  int number;
  std::string name, sha256;
};

std::vector<AppliedMigration> applied_ones(Db& db) {
  std::vector<AppliedMigration> out;
  db.each("SELECT number, name, sha256 FROM rosterd.schema_migration ORDER BY number", {}, [&](Row& row) {
    AppliedMigration one;
    one.number = static_cast<int>(row.number());
    one.name = row.text();
    one.sha256 = row.text();
    out.push_back(std::move(one));
  });
  return out;
}

/// The applied ones must be a beginning of ours.
Result<void> compare(const std::vector<AppliedMigration>& applied, std::span<const Migration> migrations) {
  for (std::size_t i = 0; i < applied.size(); ++i) {
    if (i >= migrations.size())
      return fail(Errc::Refused,
                  "the database has migration {} ({}), this rosterd knows only {}: it was upgraded by a newer rosterd, use that one",
                  applied[i].number, applied[i].name, migrations.empty() ? 0 : migrations.back().number);
    if (applied[i].number != migrations[i].number || applied[i].sha256 != checksum(migrations[i]))
      return fail(Errc::Refused,
                  "migration {} ({}) was applied with another text than this rosterd has: the database belongs to another build",
                  applied[i].number, applied[i].name);
  }
  return {};
}

// Any number that nobody else uses for advisory locks in this database: "rosterd" in ASCII.
constexpr std::int64_t kMigrationLock = 0x726f7374657264;

/// Holds the session-wide lock; released with the connection in any case.
class MigrationLock {
 public:
  explicit MigrationLock(Db& db) : db_(db) { db_.simple(fmt::format("SELECT pg_advisory_lock({})", kMigrationLock)); }
  ~MigrationLock() {
    try {
      db_.simple(fmt::format("SELECT pg_advisory_unlock({})", kMigrationLock));
    } catch (const DbError& error) {
      log::debug("store.unlock", {log::field("error", error.what())});  // the connection died, and the lock with it
    }
  }
  MigrationLock(const MigrationLock&) = delete;
  MigrationLock& operator=(const MigrationLock&) = delete;

 private:
  Db& db_;
};

}  // namespace

Result<void> migrate(Db& owner, std::string_view app_role, std::span<const Migration> migrations) {
  // Another replica may be migrating for minutes: waiting for it is right, so neither limit applies here.
  owner.simple("SET statement_timeout = 0; SET lock_timeout = 0");
  const MigrationLock lock(owner);
  owner.simple(
      "CREATE SCHEMA IF NOT EXISTS rosterd; CREATE TABLE IF NOT EXISTS rosterd.schema_migration (number int PRIMARY KEY, name text NOT "
      "NULL, "
      "sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())");
  const auto applied = applied_ones(owner);
  if (const auto same = compare(applied, migrations); !same) return same;
  for (const auto& migration : migrations.subspan(applied.size())) {
    try {
      owner.simple("BEGIN");
      owner.simple(std::string(migration.sql));
      owner.run("INSERT INTO rosterd.schema_migration (number, name, sha256) VALUES ($1, $2, $3)",
                {migration.number, migration.name, checksum(migration)});
      owner.simple("COMMIT");
    } catch (const DbError& error) {
      if (!error.lost) owner.simple("ROLLBACK");
      return fail(to_error(error), "migration {} ({})", migration.number, migration.name);
    }
    log::info("store.migrated", {log::field("number", migration.number), log::field("name", migration.name)});
  }
  // Giving rights again would lock every table; after the first time only a migration makes it necessary.
  static constexpr std::string_view kHasRights =
      "SELECT (has_schema_privilege($1, 'rosterd', 'USAGE') AND has_table_privilege($1, 'rosterd.audit_change', 'SELECT'))::int";
  if (applied.size() < migrations.size() || owner.number(kHasRights, {app_role}) == 0)
    owner.number("SELECT 1 FROM (SELECT rosterd.give_rights($1::name)) given", {app_role});
  return {};
}

Result<void> verify_schema(Db& app, std::span<const Migration> migrations) {
  // Through the catalogue: to_regclass fails where the role has no rights on the schema yet.
  const auto rights = app.first("SELECT has_schema_privilege(oid, 'USAGE')::int FROM pg_namespace WHERE nspname = 'rosterd'", {},
                                [](Row& row) { return row.flag(); });
  if (rights == false)
    return fail(Errc::Refused,
                "the role rosterd works with has no rights in the rosterd schema yet, and no owner's URL is configured to give them");
  if (!rights) return fail(Errc::Refused, "the database has no rosterd schema yet, and no owner's URL is configured to create it");
  const auto applied = applied_ones(app);
  if (const auto same = compare(applied, migrations); !same) return same;
  if (applied.size() < migrations.size())
    return fail(Errc::Refused, "the database is at migration {}, this rosterd needs {}, and no owner's URL is configured to migrate it",
                applied.empty() ? 0 : applied.back().number, migrations.back().number);
  return {};
}

Result<void> verify_role(Db& app) {
  // Whoever a session is, it can be every role it is a member of (SET ROLE), and session_user again after RESET ROLE, whatever
  // options=-c role=… says. CREATEROLE grants itself any role but a superuser on PostgreSQL 15, the three pg_ roles read and write what
  // the server's own user can. The worst reason first, one is enough.
  static constexpr std::string_view kReach =
      "SELECT who.name::text, r.rolname::text, CASE WHEN r.rolsuper THEN 'a superuser' WHEN r.rolbypassrls THEN 'a role with BYPASSRLS' "
      "WHEN r.oid = owner.oid THEN 'the owner of rosterd''s tables' WHEN r.rolcreaterole THEN 'a role with CREATEROLE' "
      "ELSE 'a role with access to the server''s files' END "
      "FROM (SELECT session_user AS name UNION SELECT current_user) who, pg_roles r "
      "LEFT JOIN (SELECT relowner AS oid FROM pg_class WHERE relname = 'tenant' AND relnamespace = (SELECT oid FROM pg_namespace WHERE "
      "nspname = 'rosterd')) owner ON owner.oid = r.oid "
      "WHERE (r.rolsuper OR r.rolbypassrls OR r.rolcreaterole OR owner.oid IS NOT NULL OR r.rolname IN ('pg_read_server_files', "
      "'pg_write_server_files', 'pg_execute_server_program')) AND pg_has_role(who.name, r.oid, 'MEMBER') "
      // A superuser counts as a member of every role: that it is one itself says more.
      "ORDER BY r.rolname <> who.name, NOT r.rolsuper, NOT r.rolbypassrls, owner.oid IS NULL, who.name, r.rolname LIMIT 1";
  const auto why = app.first(kReach, {}, [](Row& row) {
    const auto name = row.text(), reached = row.text(), what = row.text();
    return name == reached ? fmt::format("{} is {}", name, what) : fmt::format("{} is a member of {}, {}", name, reached, what);
  });
  if (!why) return {};
  return fail(Errc::Refused, "the role rosterd works with could look past the wall between tenants: {}. Use a plain role of its own", *why);
}

}  // namespace rosterd::postgres
