#pragma once
// Migrations: the numbered SQL files that are built into this program go in, a database of exactly that shape comes out. There is no
// other way by which tables come about; how statements use them is the business of the other files here.

#include <span>
#include <string>
#include <string_view>

#include "schema/core/result.hpp"
#include "schema/postgres/db.hpp"

namespace rosterd::postgres {

struct Migration {
  int number;
  std::string_view name;
  std::string_view sql;
};
/// The files of schema/migrations, in order.
[[nodiscard]] std::span<const Migration> built_in_migrations();

/// Brings the database of `owner` to the last of `migrations` and gives `app_role` its rights, under an advisory lock, each migration in
/// one transaction with its row in schema_migration. Refused: an applied one has another text, or the database is newer. Throws DbError.
[[nodiscard]] Result<void> migrate(Db& owner, std::string_view app_role, std::span<const Migration> migrations);
/// Refused unless the database has exactly these migrations.
[[nodiscard]] Result<void> verify_schema(Db& app, std::span<const Migration> migrations);
/// Refused when row-level security would not hold `app`: when the role it works as or signed in as is, or can become, a superuser, one
/// with BYPASSRLS or CREATEROLE, the owner of the tables, or one that reaches the server's files.
[[nodiscard]] Result<void> verify_role(Db& app);

}  // namespace rosterd::postgres
