#include "tests/http/sign_in_world.hpp"

#include <sstream>

#include "tests/e2e/sql_session.hpp"

namespace rosterd::test {

std::vector<std::string> SignInWorld::audited(const std::string& name) {
  e2e::SqlSession sql(database.superuser_url);
  std::istringstream list(sql.value(
      fmt::format("SELECT coalesce(string_agg(action, ' ' ORDER BY audit_id), '') FROM rosterd.audit WHERE object_name = '{}'", name)));
  std::vector<std::string> out;
  for (std::string action; list >> action;) out.push_back(action);
  return out;
}

}  // namespace rosterd::test
