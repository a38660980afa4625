#include "tests/support/oidc_provider.hpp"

#include <fmt/format.h>

#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace rosterd::test {
namespace {

using nlohmann::json;

json settings_of(const OidcProvider::Options& options) {
  json clients = json::array(), accounts = json::array();
  for (const auto& one : options.clients)
    clients.push_back({{"id", one.id},
                       {"secret", one.secret},
                       {"method", one.method},
                       {"algorithm", one.algorithm},
                       {"public_key", one.public_key},
                       {"subject_dn", one.subject_dn},
                       {"redirect_uris", one.redirect_uris}});
  for (const auto& one : options.accounts) accounts.push_back({{"sub", one.sub}, {"claims", json::parse(one.claims)}});
  return {{"clients", clients},
          {"accounts", accounts},
          {"audience", options.audience},
          {"scope", options.scope},
          {"algorithm", options.algorithm},
          {"access_token_seconds", options.access_token_seconds},
          {"id_token_seconds", options.id_token_seconds}};
}

/// application/x-www-form-urlencoded, also what RFC 6749 §2.3.1 wants done to id and secret before base64.
std::string form_encoded(std::string_view text) {
  std::string out;
  for (const unsigned char c : text) {
    if (std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.' || c == '*') {
      out += static_cast<char>(c);
    } else if (c == ' ') {
      out += '+';
    } else {
      out += fmt::format("%{:02X}", c);
    }
  }
  return out;
}

std::string base64(std::string_view bytes) {
  constexpr std::string_view kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const auto at = [&](std::size_t n) -> std::uint32_t { return i + n < bytes.size() ? static_cast<unsigned char>(bytes[i + n]) : 0; };
    const std::uint32_t three = at(0) << 16 | at(1) << 8 | at(2);
    for (std::size_t n = 0; n < 4; ++n) out += i + n <= bytes.size() ? kLetters[three >> (18 - 6 * n) & 63] : '=';
  }
  return out;
}

}  // namespace

OidcProvider::OidcProvider(Options options)
    : NodeServer("oidc_provider.mjs", settings_of(options).dump(), options.tls ? options.tls->cert_file : "",
                 options.tls ? options.tls->key_file : "", options.ca_file),
      options_(std::move(options)) {}

void OidcProvider::rotate(bool keep_old) const { (void)ask("POST", "/__test/rotate", json{{"keep_old", keep_old}}.dump()); }

std::string OidcProvider::access_token(std::string_view sub, std::string_view client_id) const {
  return json::parse(ask("POST", "/__test/token", json{{"sub", sub}, {"client", client_id}}.dump()).body).at("token");
}

std::string OidcProvider::sign(const std::string& claims, const std::string& header, std::string_view algorithm) const {
  const json request{{"claims", json::parse(claims)}, {"header", json::parse(header)}, {"algorithm", algorithm}};
  return json::parse(ask("POST", "/__test/sign", request.dump()).body).at("token");
}

std::string OidcProvider::client_credentials(const Client& client) const {
  const auto answer = web({.method = "POST",
                           .url = token_url(),
                           .headers = {{"Authorization", "Basic " + base64(form_encoded(client.id) + ":" + form_encoded(client.secret))},
                                       {"Content-Type", "application/x-www-form-urlencoded"}},
                           .body = "grant_type=client_credentials",
                           .ca_file = options_.ca_file});
  if (answer.status != 200) throw std::runtime_error(fmt::format("{}: {} {}", token_url(), answer.status, answer.body));
  return json::parse(answer.body).at("access_token");
}

void OidcProvider::set_account(const Account& account) const {
  (void)ask("POST", "/__test/account", json{{"sub", account.sub}, {"claims", json::parse(account.claims)}}.dump());
}

std::string OidcProvider::sign_in(const std::string& authorize_url, std::string_view sub) const {
  std::map<std::string, std::string> cookies;
  std::string url = authorize_url;
  if (!sub.empty()) url += (url.find('?') == std::string::npos ? "?account=" : "&account=") + form_encoded(sub);
  for (int hops = 0; hops < 10; ++hops) {
    std::string jar;
    for (const auto& [name, value] : cookies) jar += (jar.empty() ? "" : "; ") + name + "=" + value;
    WebRequest request{.url = url, .ca_file = options_.ca_file};
    if (!jar.empty()) request.headers.emplace_back("Cookie", jar);
    const auto answer = web(request);
    for (const auto& [name, value] : answer.headers) {
      if (name != "set-cookie") continue;
      const auto pair = value.substr(0, value.find(';'));
      const auto equals = pair.find('=');
      cookies[pair.substr(0, equals)] = pair.substr(equals + 1);
    }
    std::string next = answer.header("location");
    if (answer.status / 100 != 3 || next.empty())
      throw std::runtime_error(fmt::format("signing in stopped at {}: {} {}", url, answer.status, answer.body));
    if (next.starts_with('/')) next = origin() + next;
    if (!next.starts_with(origin() + "/")) return next;
    url = next;
  }
  throw std::runtime_error("signing in goes round in circles: " + url);
}

}  // namespace rosterd::test
