#pragma once
// What the service manager is told (sd_notify(3)): ready, what is going on, alive, reloading, stopping. Without NOTIFY_SOCKET all of it
// is nothing, so that the daemon behaves the same in a terminal.

#include <optional>
#include <string_view>

#include "schema/core/clock.hpp"

namespace rosterd::notify {

/// One or more lines "NAME=value".
void send(std::string_view state);
void status(std::string_view text);  ///< STATUS=, one line
void ready(std::string_view status);
/// RELOADING=1 with the monotonic time it began; ready() ends it.
void reloading();
void stopping(std::string_view status);
void alive();  ///< WATCHDOG=1
/// Asks for more time to start or stop than the unit allows (EXTEND_TIMEOUT_USEC), to be repeated while work goes on.
void extend_timeout(Millis by);
/// The time within which alive() must come again; none when nobody watches.
[[nodiscard]] std::optional<Millis> watchdog_interval();

}  // namespace rosterd::notify
