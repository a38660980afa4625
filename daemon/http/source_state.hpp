#pragma once
// How a source is doing, in one word: for lists and for status.

#include <string_view>

#include "schema/model/sync.hpp"

namespace rosterd::http {

/// One word for how a source is doing: disabled, running, queued, held, failing, incomplete (never read completely), new, ok.
[[nodiscard]] std::string_view state_of(const SourceStatus& status);

}  // namespace rosterd::http
