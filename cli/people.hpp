#pragma once
// How a grant is told, shared by `effective` and `check --explain`.

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace rosterd::cli {

/// Role, where, and below it one line per step of the chain from `subject` (a name) to the bound principal. `sources` gives names to
/// source ids; an id without one is shown as it is.
[[nodiscard]] std::string grant_text(const nlohmann::json& grant, const std::string& subject,
                                     const std::map<std::string, std::string>& sources, bool colours);

}  // namespace rosterd::cli
