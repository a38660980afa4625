#pragma once
// Preferences of an account (rbac.md R95): what is stored and a merge patch go in, what is to be stored comes out, or everything that is
// wrong with it. They never influence a decision.

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "schema/core/result.hpp"

namespace rosterd::http {

/// RFC 7396. InvalidInput names every offender as "preferences.theme: …".
[[nodiscard]] Result<std::string> merged_preferences(const std::string& stored, const nlohmann::json& patch);

}  // namespace rosterd::http
