#pragma once
// The credential file of an unattended install (rbac.md R68): JSON {"email": …, "token": …} makes the first account, a super admin whose
// API token the installer knows already. Read once, at the first start; afterwards it changes nothing.

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "schema/core/result.hpp"
#include "schema/store/store.hpp"

namespace rosterd {

struct FirstAdmin {
  std::string email;  ///< folded
  std::string first_name;
  std::string last_name;
  std::string token;
};

/// Refuses a file that other users may read, unknown fields, and tokens that are not of rosterd's form. No message repeats the token.
[[nodiscard]] Result<FirstAdmin> read_first_admin(const std::filesystem::path& file);
[[nodiscard]] Result<FirstAdmin> parse_first_admin(std::string_view json);
/// A new credential as the text of such a file: what `rosterd --new-credential EMAIL` prints.
[[nodiscard]] Result<std::string> new_credential(std::string_view email);
/// Makes the account and its token; none when there are accounts already.
[[nodiscard]] Result<std::optional<AccountId>> create_first_admin(Store& store, const FirstAdmin& admin, std::string_view token_pepper);

}  // namespace rosterd
