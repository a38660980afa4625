#include "connectors/oidc/code_flow.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "connectors/http/url.hpp"
#include "connectors/oidc/jwt/base64url.hpp"
#include "schema/core/hash.hpp"

namespace rosterd::connectors::oidc {
namespace {

/// RFC 4648 §4, for HTTP Basic.
std::string base64(std::string_view bytes) {
  auto out = jwt::base64url_encode(bytes);
  std::replace(out.begin(), out.end(), '-', '+');
  std::replace(out.begin(), out.end(), '_', '/');
  while (out.size() % 4 != 0) out += '=';
  return out;
}

/// A word of the provider as it may be shown: OAuth's error codes are such words.
std::string word_of(const nlohmann::json& document, const char* name) {
  const auto found = document.find(name);
  if (found == document.end() || !found->is_string()) return {};
  auto text = found->get<std::string>().substr(0, 100);
  std::erase_if(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) > 0x7e; });
  return text;
}

}  // namespace

std::string challenge_of(std::string_view verifier) {
  const auto hash = sha256(verifier);
  return jwt::base64url_encode({reinterpret_cast<const char*>(hash.data()), hash.size()});
}

Result<std::string> authorization_url(const ProviderMetadata& provider, const CodeFlow& flow, std::string_view state,
                                      std::string_view nonce, std::string_view verifier) {
  if (provider.authorization_endpoint.empty()) return fail(Errc::InvalidInput, "issuer {} has no authorization endpoint", provider.issuer);
  auto url = provider.authorization_endpoint;
  const auto scopes = fmt::format("{}", fmt::join(flow.scopes, " "));
  const auto challenge = challenge_of(verifier);
  for (const auto& [name, value] : {std::pair<std::string_view, std::string_view>{"response_type", "code"},
                                    {"client_id", flow.client_id},
                                    {"redirect_uri", flow.redirect_uri},
                                    {"scope", scopes},
                                    {"state", state},
                                    {"nonce", nonce},
                                    {"code_challenge", challenge},
                                    {"code_challenge_method", "S256"}})
    url = http::with_query(std::move(url), name, value);
  return url;
}

Result<CodeTokens> redeem(http::Client& client, const ProviderMetadata& provider, const CodeFlow& flow, const std::string& code,
                          const std::string& verifier, std::stop_token stop) {
  http::Request request{.method = "POST", .url = provider.token_endpoint};
  request.headers = {"Content-Type: application/x-www-form-urlencoded", "Accept: application/json"};
  request.max_body = 256 * 1024;
  auto body = fmt::format("grant_type=authorization_code&code={}&redirect_uri={}&code_verifier={}", http::form_encoded(code),
                          http::form_encoded(flow.redirect_uri), http::form_encoded(verifier));
  const auto& methods = provider.token_endpoint_auth_methods;
  const auto offers = [&](std::string_view method) { return std::find(methods.begin(), methods.end(), method) != methods.end(); };
  if (flow.client_secret.empty()) {
    body += "&client_id=" + http::form_encoded(flow.client_id);
  } else if (!methods.empty() && !offers("client_secret_basic") && offers("client_secret_post")) {
    body += fmt::format("&client_id={}&client_secret={}", http::form_encoded(flow.client_id), http::form_encoded(flow.client_secret));
  } else {  // RFC 6749 §2.3.1: both parts are form-encoded first
    request.headers.push_back("Authorization: Basic " +
                              base64(http::form_encoded(flow.client_id) + ":" + http::form_encoded(flow.client_secret)));
  }
  request.body = std::move(body);
  const auto answer = client.send(request, std::move(stop));
  if (!answer) return fail(answer.error(), "redeeming the code");
  const auto document = nlohmann::json::parse(answer->body, nullptr, false);
  if (answer->status >= 400 && answer->status < 500 && document.is_object())
    return fail(Errc::Unauthorized, "the provider refused the code: {}", word_of(document, "error"));
  if (answer->status != 200 || !document.is_object())
    return fail(Errc::Unavailable, "{} answers {} to a code", provider.token_endpoint, answer->status);
  const auto text = [&](const char* name) {
    const auto found = document.find(name);
    return found != document.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  CodeTokens out{.id_token = text("id_token"), .access_token = text("access_token")};
  if (out.id_token.empty()) return fail(Errc::Unavailable, "the provider gave no ID token: has its client the scope openid?");
  return out;
}

}  // namespace rosterd::connectors::oidc
