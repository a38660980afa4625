#pragma once
// Where log events go: text with time and level on standard error, or fields in systemd's journal. Events come from schema/core/log.hpp;
// what they mean is in docs/log-events.md.

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.hpp"
#include "schema/core/log.hpp"

namespace rosterd {

/// Directs all events as the configuration says. Called once, before threads start.
void start_logging(const config::Config& config);

/// Auto: the journal when systemd connected standard error to it (JOURNAL_STREAM names that very file, sd_journal_print(3)), else text.
[[nodiscard]] config::LogFormat chosen_format(config::LogFormat wanted, const std::optional<std::string>& journal_stream,
                                              int standard_error);

/// One event as journal fields "NAME=value": MESSAGE, PRIORITY, ROSTERD_EVENT, and ROSTERD_<KEY> for each of its own.
[[nodiscard]] std::vector<std::string> journal_fields(log::Level level, std::string_view event, std::span<const log::Field> fields);

}  // namespace rosterd
