#pragma once
// A password comes in, and what the store keeps of it or whether it is the right one comes out (rbac.md R60-R63). Used by whoever signs in,
// sets up, accepts an invitation or changes a password.

#include <optional>
#include <string>

#include "daemon/http/app.hpp"
#include "daemon/http/json.hpp"

namespace rosterd::http {

/// As far as this server knows: its own TLS, or the public address that a proxy in front has.
[[nodiscard]] bool is_https(const App& app);
/// Set-Cookie for a session; an age of 0 takes it away.
[[nodiscard]] std::string session_cookie_text(const App& app, std::string_view value, Millis age);

inline constexpr std::size_t kMostPassword = 1024;  ///< bytes; how many characters is the policy's to say

/// Its hash, if the policy lets it be the password of that account.
[[nodiscard]] Result<std::string> hash_of_new(App& app, const std::string& password, const std::string& email);
/// Whether `password` is the one of that e-mail.
struct Judged {
  SignInAttempt attempt;
  bool right = false;
  std::optional<std::string> better_hash;  ///< when it is right and its hash has become too cheap (R61)
};
/// A wrong one counts as a failure. `attempt.locked_for` is set when nothing was judged.
[[nodiscard]] Result<Judged> judge_sign_in(Call& call, const std::string& email, const std::string& password, const Actor& actor);

}  // namespace rosterd::http
