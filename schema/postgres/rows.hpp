#pragma once
// Column lists and their readers, side by side: what a SELECT names is what the reader takes, in that order. Also the opaque page
// cursors. Which rows are selected is said by the statements in the subject files.

#include <string>
#include <string_view>

#include "schema/postgres/db.hpp"
#include "schema/store/store.hpp"

namespace rosterd::postgres {

extern const std::string_view kAccountColumns;  ///< FROM account a
[[nodiscard]] Account read_account(Row& row);

extern const std::string_view kTenantColumns;  ///< unqualified
[[nodiscard]] Tenant read_tenant(Row& row);

extern const std::string_view kTokenColumns;  ///< FROM account_token k, or service_account_token k
[[nodiscard]] TokenInfo read_token(Row& row);

extern const std::string_view kSourceColumns;  ///< FROM source s
[[nodiscard]] Source read_source(Row& row);

extern const std::string_view kStateColumns;  ///< FROM source_state st
[[nodiscard]] SourceState read_state(Row& row);

extern const std::string_view kRunColumns;  ///< FROM run r
[[nodiscard]] Run read_run(Row& row);

extern const std::string_view kUserColumns;  ///< FROM tenant_user u
[[nodiscard]] User read_user(Row& row);

extern const std::string_view kGroupColumns;  ///< FROM tenant_group g
[[nodiscard]] Group read_group(Row& row);

extern const std::string_view kRoleColumns;  ///< FROM role
[[nodiscard]] Role read_role(Row& row);

extern const std::string_view kBindingColumns;  ///< FROM binding b
[[nodiscard]] Binding read_binding(Row& row);

[[nodiscard]] std::string notices_text(const std::vector<Notice>& notices);
[[nodiscard]] std::string mappings_text(const std::vector<RoleMapping>& mappings);
/// {"a":"b"} of pairs of texts, for audit rows.
[[nodiscard]] std::string object_text(std::initializer_list<std::pair<std::string_view, std::string_view>> fields);

/// 1..1000.
[[nodiscard]] std::uint32_t page_limit(const PageRequest& page);
/// Where a page ordered by (text, id) continues; ("", 0) for the first. Throws Abort for a text that is no cursor of ours.
struct PagePlace {
  std::string text;
  std::uint64_t id = 0;
};
[[nodiscard]] PagePlace parse_cursor(std::string_view cursor);
[[nodiscard]] std::string cursor_text(std::string_view text, std::uint64_t id);
/// {1,2,3} as PostgreSQL reads an array.
template <class Ids>
[[nodiscard]] std::string array_text(const Ids& ids) {
  std::string out = "{";
  for (const auto& id : ids) out += fmt::format("{}{}", out.size() > 1 ? "," : "", id.value);
  return out + "}";
}

}  // namespace rosterd::postgres
