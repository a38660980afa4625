#pragma once
// How a command that changes something tells that it did: the API's JSON for scripts, else a sentence, or the object it made.

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "cli/session.hpp"

namespace rosterd::cli {

/// A principal as the API takes it: "ada" means the user ada.
[[nodiscard]] inline std::string principal_key(const std::string& text) {
  return text.find(':') == std::string::npos ? "user:" + text : text;
}

/// Prints the answer as JSON, or `sentence`; passes a failure on.
[[nodiscard]] Try<int> told(Session& session, const Try<nlohmann::json>& answer, std::string_view sentence);

/// Asks before something is gone for good, unless `yes`: `what` is a sentence, `name` what must be typed.
[[nodiscard]] Try<void> sure(Session& session, bool yes, std::string_view what, std::string_view name);

/// A made token: on standard output the secret alone, so that it can be piped, and a note that it is shown this once.
[[nodiscard]] Try<int> told_token(Session& session, const Try<nlohmann::json>& answer);
/// A list of tokens.
[[nodiscard]] Try<int> told_tokens(Session& session, const Try<nlohmann::json>& answer);
/// The body that makes a token.
struct TokenOptions {
  std::string name, description, max_age;
  bool sliding = false;
};
[[nodiscard]] nlohmann::json token_body(const TokenOptions& options);
/// The options above, for a command that makes a token.
void add_token_options(CLI::App& command, TokenOptions& options);

}  // namespace rosterd::cli
