#include "connectors/oidc/tokens.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "connectors/http/url.hpp"
#include "connectors/oidc/base64.hpp"
#include "schema/core/hash.hpp"
#include "schema/core/text.hpp"

namespace rosterd::connectors::oidc {
namespace {

using Json = nlohmann::json;
using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr std::size_t kMostAnswer = std::size_t{1} << 20;
constexpr seconds kAssertionLife{60};
constexpr seconds kUnknownLife{300};  // expires_in is only recommended (RFC 6749 §5.1)

std::string random_id() {
  std::array<unsigned char, 16> bytes{};
  random_bytes(bytes);
  return hex(bytes);
}

/// What an error answer may show: a provider's text, without control characters and short.
std::string quoted(const Json& json, std::string_view key) {
  const auto found = json.find(key);
  if (found == json.end() || !found->is_string()) return {};
  auto text = found->get<std::string>();
  if (text.size() > 300) text.resize(300);
  std::replace_if(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, ' ');
  return is_utf8(text) ? text : std::string();
}

void add_field(std::string& form, std::string_view name, std::string_view value) {
  if (!form.empty()) form += '&';
  form += name;
  form += '=';
  form += http::form_encoded(value);
}

Result<http::Request> token_request(const ClientCredentials& credentials, TimePoint now) {
  http::Request request{.method = "POST",
                        .url = credentials.token_endpoint,
                        .headers = {"Accept: application/json", "Content-Type: application/x-www-form-urlencoded"},
                        .max_body = kMostAnswer};
  std::string form;
  add_field(form, "grant_type", "client_credentials");
  if (!credentials.scope.empty()) add_field(form, "scope", credentials.scope);
  if (!credentials.resource.empty()) add_field(form, "resource", credentials.resource);
  switch (credentials.auth) {
    case ClientAuth::SecretBasic:
      // RFC 6749 §2.3.1: both are form-encoded before they are joined.
      request.headers.push_back("Authorization: Basic " +
                                base64(http::form_encoded(credentials.client_id) + ":" + http::form_encoded(credentials.client_secret)));
      break;
    case ClientAuth::SecretPost:
      add_field(form, "client_id", credentials.client_id);
      add_field(form, "client_secret", credentials.client_secret);
      break;
    case ClientAuth::PrivateKeyJwt: {
      const auto assertion = client_assertion(credentials, now);
      if (!assertion) return fail(assertion.error());
      add_field(form, "client_id", credentials.client_id);
      add_field(form, "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
      add_field(form, "client_assertion", *assertion);
      break;
    }
    case ClientAuth::Tls:
      add_field(form, "client_id", credentials.client_id);
      break;
  }
  request.body = std::move(form);
  return request;
}

Error refusal(const http::Response& answer, const std::string& endpoint) {
  const auto json = Json::parse(answer.body, nullptr, false);
  const auto code = json.is_object() ? quoted(json, "error") : std::string();
  const auto text = json.is_object() ? quoted(json, "error_description") : std::string();
  // RFC 6749 §5.2: what is the client's fault is 400 or 401 with a code.
  const bool is_client = answer.status == 400 || answer.status == 401 || answer.status == 403;
  std::string advice;
  if (code == "invalid_client" || (answer.status == 401 && code.empty()))
    advice = "; check client_id, and client_secret or private_key";
  else if (code == "unauthorized_client")
    advice = "; allow the client the grant client_credentials at the provider";
  else if (code == "invalid_scope")
    advice = "; check scope";
  return {.code = is_client ? Errc::Unauthorized : Errc::Unavailable,
          .what = fmt::format("{} answered {}{}{}{}{}", endpoint, answer.status, code.empty() ? "" : " " + code, text.empty() ? "" : ": ",
                              text, advice),
          .slug = {}};
}

}  // namespace

Result<std::string> client_assertion(const ClientCredentials& credentials, TimePoint now) {
  if (!credentials.key) return fail(Errc::InvalidInput, "private_key_jwt needs private_key");
  const auto at = std::chrono::floor<seconds>(now).time_since_epoch().count();
  const Json claims = {{"iss", credentials.client_id},
                       {"sub", credentials.client_id},
                       {"aud", credentials.audience.empty() ? credentials.token_endpoint : credentials.audience},
                       {"iat", at},
                       {"nbf", at},
                       {"exp", at + kAssertionLife.count()},
                       {"jti", random_id()}};
  return credentials.key->sign(claims.dump(), credentials.key_id);
}

Result<AccessToken> fetch_token(http::Client& client, const ClientCredentials& credentials, TimePoint now, std::stop_token stop) {
  const auto request = token_request(credentials, now);
  if (!request) return fail(request.error(), "asking for a token");
  const auto answer = client.send(*request, std::move(stop));
  if (!answer) return fail(answer.error(), "asking for a token");
  if (answer->status != 200) return fail(refusal(*answer, credentials.token_endpoint), "asking for a token");
  const auto json = Json::parse(answer->body, nullptr, false);
  if (!json.is_object()) return fail(Errc::Unavailable, "asking for a token: {} answered no JSON object", credentials.token_endpoint);
  const auto token = json.find("access_token");
  if (token == json.end() || !token->is_string() || token->get_ref<const std::string&>().empty())
    return fail(Errc::Unavailable, "asking for a token: the answer holds no access_token");
  auto value = token->get<std::string>();
  // It becomes part of a header line.
  if (has_control_characters(value) || value.find(' ') != std::string::npos)
    return fail(Errc::Unavailable, "asking for a token: the answer's access_token cannot be sent as Bearer");
  if (const auto type = json.find("token_type"); type != json.end() && type->is_string() && fold(type->get<std::string>()) != "bearer")
    return fail(Errc::Unavailable, "asking for a token: the provider wants tokens of type {}, rosterd speaks Bearer only",
                quoted(json, "token_type"));
  seconds life = kUnknownLife;
  if (const auto expires = json.find("expires_in"); expires != json.end()) {
    std::int64_t given = 0;
    if (expires->is_number()) given = static_cast<std::int64_t>(std::clamp(expires->get<double>(), 0.0, 86'400.0));
    if (expires->is_string())
      given = std::clamp<std::int64_t>(std::strtoll(expires->get_ref<const std::string&>().c_str(), nullptr, 10), 0, 86'400);
    life = seconds(given);
  }
  const auto spread = 800 - random_below(50);  // 75 to 80 %
  return AccessToken{.value = std::move(value),
                     .refresh_at = steady_clock::now() + std::chrono::duration_cast<std::chrono::milliseconds>(life) * spread / 1000};
}

Result<std::string> TokenSource::current(http::Client& client, std::stop_token stop) {
  if (const auto* token = std::get_if<std::string>(&from_)) return *token;
  if (!token_ || steady_clock::now() >= token_->refresh_at) {
    auto fresh = fetch_token(client, std::get<ClientCredentials>(from_), SystemClock().now(), std::move(stop));
    if (!fresh) return fail(fresh.error());
    token_ = std::move(*fresh);
  }
  return token_->value;
}

bool TokenSource::refused(std::string_view token) {
  if (std::holds_alternative<std::string>(from_)) return false;
  if (token_ && token_->value == token) token_.reset();
  return true;
}

}  // namespace rosterd::connectors::oidc
