#pragma once
// The API description that is built into the program.

#include <string_view>

namespace rosterd::http {

/// docs/openapi.json as it was when rosterd was built (embed.cmake).
[[nodiscard]] std::string_view openapi_document();

}  // namespace rosterd::http
