#pragma once
// How a source is doing, in one word: for lists and for status.

#include <string_view>

#include "schema/model/sync.hpp"

namespace rosterd::http {

/// One word for how a source is doing: disabled, running, queued, held, failing, incomplete (the newest read was
/// not complete, or none ever was), new, ok.
[[nodiscard]] std::string_view state_of(const SourceStatus& status);
/// Scheduled, and not read completely for longer than two full intervals (S51).
[[nodiscard]] bool overdue_in(const SourceStatus& status, TimePoint now);

}  // namespace rosterd::http
