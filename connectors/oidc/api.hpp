#pragma once
// Asks a provider's directory API: with a token that is renewed once when it is refused, with patience where the provider wants to be left
// alone (a limit is back-pressure, not an error: S47), with a few tries after a fault. One read's worth of asking.

#include <chrono>
#include <functional>
#include <nlohmann/json.hpp>
#include <stop_token>
#include <string>
#include <vector>

#include "connectors/http/client.hpp"
#include "connectors/http/throttle.hpp"
#include "connectors/oidc/tokens.hpp"

namespace rosterd::connectors::oidc {

struct Answer {
  int status = 0;
  nlohmann::json json;      ///< null where the body was empty
  http::Response response;  ///< headers; the body is taken out
};

class Api {
 public:
  using Deadline = std::chrono::steady_clock::time_point;
  struct Parts {
    http::Client& client;
    TokenSource& tokens;
    std::string scheme = "Bearer";  ///< "SSWS" for Okta's static tokens
    http::ThrottleRules throttle = {};
    Deadline deadline;  ///< of everything asked through this object, waits included
    std::stop_token stop = {};
    std::string accept = "application/json";
  };
  explicit Api(Parts parts) : parts_(std::move(parts)) {}

  /// The answer to a GET, whose status may be anything but 401, 429 and 5xx: those end as Unauthorized and Unavailable after the tries that
  /// make sense. A body that is no JSON is Unavailable for 2xx (a proxy's page in HTML, for example) and null otherwise.
  [[nodiscard]] Result<Answer> get(const std::string& url, const std::vector<std::string>& headers = {});
  /// The same where only 200 will do; other statuses are errors in words: Forbidden (403), NotFound (404), CursorExpired (410),
  /// InvalidInput (400, with what the provider said), Unavailable.
  [[nodiscard]] Result<Answer> get_ok(const std::string& url, const std::vector<std::string>& headers = {});
  /// What an answer with an unwelcome status means, as get_ok says it.
  [[nodiscard]] static Error refusal(const Answer& answer, const std::string& url);

  [[nodiscard]] const std::stop_token& stop() const { return parts_.stop; }
  /// Sleeps, unless told to stop or past the deadline: then an error.
  [[nodiscard]] Result<void> wait(std::chrono::milliseconds time, std::string_view why);
  /// Told before a wait of more than a second: "waiting 20 s: the provider limits requests".
  std::function<void(std::string_view)> on_wait;

 private:
  [[nodiscard]] Result<http::Response> send(const std::string& url, const std::vector<std::string>& headers);

  Parts parts_;
};

/// What a provider says went wrong, fit to be shown: short, no control characters. Looks at the usual places: error.message,
/// error_description, detail, errorSummary, errorMessage, message, error.
[[nodiscard]] std::string provider_words(const nlohmann::json& json);

}  // namespace rosterd::connectors::oidc
