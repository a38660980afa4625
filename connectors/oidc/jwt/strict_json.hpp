#pragma once
// JSON of strangers: one object comes out, or the reason why not. Duplicate members at any depth are an error (RFC 7515 §4, RFC 7519 §4:
// two readers must not see two different values), and so are nesting beyond 32, text that is not UTF-8, U+0000, and anything behind the
// object.

#include <nlohmann/json.hpp>
#include <string_view>

#include "schema/core/result.hpp"

namespace rosterd::jwt {

[[nodiscard]] Result<nlohmann::json> parse_object(std::string_view text);

}  // namespace rosterd::jwt
