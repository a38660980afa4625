#pragma once
// Asks our own port a question, as a client would. What counts is that a thread of the server took the connection and said something;
// what it says depends on the store and is not judged here.

#include <cstdint>
#include <string>

#include "schema/core/clock.hpp"
#include "schema/core/result.hpp"

namespace rosterd {

/// `host` is what the server listens on; a wildcard address is asked over loopback. Over TLS the plain request is answered with an alert or
/// a close, which proves as much.
[[nodiscard]] Result<void> ping_http(const std::string& host, std::uint16_t port, Millis deadline);

}  // namespace rosterd
