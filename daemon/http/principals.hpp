#pragma once
// "type:key" as paths and bodies name a principal (rbac.md R7): text goes in, the principal of the tenant comes out.

#include <string_view>

#include "daemon/http/app.hpp"

namespace rosterd::http {

/// By id or name. InvalidInput "unknown_principal" for what is not in the tenant, or is the name of several.
[[nodiscard]] Result<Principal> principal_of(Call& call, std::string_view key);

}  // namespace rosterd::http
