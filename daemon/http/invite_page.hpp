#pragma once
// The page behind an invitation's link, built into the program.

#include <string_view>

namespace rosterd::http {

/// invite.html; "@NONCE@" stands where the nonce of its Content-Security-Policy belongs.
[[nodiscard]] std::string_view invite_page();

}  // namespace rosterd::http
