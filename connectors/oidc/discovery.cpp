#include "connectors/oidc/discovery.hpp"

#include <nlohmann/json.hpp>

#include "connectors/http/url.hpp"

namespace rosterd::connectors::oidc {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMostDocument = std::size_t{1} << 20;

std::string text(const Json& json, std::string_view key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::string_view without_slash(std::string_view issuer) {
  if (issuer.ends_with('/')) issuer.remove_suffix(1);
  return issuer;
}

/// Entra's documents for many tenants say https://login.microsoftonline.com/{tenantid}/v2.0.
bool is_same_issuer(std::string_view stated, std::string_view configured) {
  stated = without_slash(stated);
  configured = without_slash(configured);
  constexpr std::string_view kTemplate = "{tenantid}";
  const auto at = stated.find(kTemplate);
  if (at == std::string_view::npos) return stated == configured;
  const auto before = stated.substr(0, at), after = stated.substr(at + kTemplate.size());
  if (configured.size() <= before.size() + after.size() || !configured.starts_with(before) || !configured.ends_with(after)) return false;
  return configured.substr(before.size(), configured.size() - before.size() - after.size()).find('/') == std::string_view::npos;
}

/// An endpoint that is asked with secrets: encrypted, unless the issuer itself is not.
Result<std::string> endpoint(const Json& json, std::string_view key, std::string_view scheme) {
  const auto url = text(json, key);
  if (url.empty()) return url;
  const auto parsed = http::parse_url(url);
  if (!parsed) return fail(Errc::Unavailable, "its {} is unusable: {}", key, parsed.error().what);
  if (parsed->scheme != "https" && parsed->scheme != scheme) return fail(Errc::Refused, "its {} {} is not https", key, url);
  return url;
}

}  // namespace

Result<ProviderMetadata> parse_metadata(std::string_view document, const std::string& issuer) {
  const auto json = Json::parse(document, nullptr, false);
  if (!json.is_object()) return fail(Errc::Unavailable, "the discovery document is no JSON object; is {} really the issuer?", issuer);
  const auto url = http::parse_url(issuer);
  if (!url) return fail(url.error());
  ProviderMetadata out;
  out.issuer = text(json, "issuer");
  if (!is_same_issuer(out.issuer, issuer))
    return fail(Errc::Refused, "the discovery document is that of the issuer \"{}\", not of \"{}\"; set issuer to what it says", out.issuer,
                issuer);
  out.issuer = issuer;
  struct Row {
    std::string_view key;
    std::string* into;
  };
  for (const auto& [key, into] : {Row{"token_endpoint", &out.token_endpoint}, Row{"authorization_endpoint", &out.authorization_endpoint},
                                  Row{"jwks_uri", &out.jwks_uri}}) {
    auto found = endpoint(json, key, url->scheme);
    if (!found) return fail(found.error());
    *into = std::move(*found);
  }
  if (const auto aliases = json.find("mtls_endpoint_aliases"); aliases != json.end() && aliases->is_object()) {
    auto found = endpoint(*aliases, "token_endpoint", url->scheme);
    if (!found) return fail(found.error());
    out.mtls_token_endpoint = std::move(*found);
  }
  if (const auto methods = json.find("token_endpoint_auth_methods_supported"); methods != json.end() && methods->is_array())
    for (const auto& method : *methods)
      if (method.is_string()) out.token_endpoint_auth_methods.push_back(method.get<std::string>());
  return out;
}

Result<ProviderMetadata> discover(http::Client& client, const std::string& issuer, std::stop_token stop) {
  const auto url = std::string(without_slash(issuer)) + "/.well-known/openid-configuration";
  const auto answer = client.send({.url = url, .headers = {"Accept: application/json"}, .max_body = kMostDocument}, std::move(stop));
  if (!answer) return fail(answer.error(), "discovery of {}", issuer);
  if (answer->status != 200)
    return fail(Errc::Unavailable, "discovery of {}: {} answered {}{}", issuer, url, answer->status,
                answer->status == 404 ? "; the issuer is the part before /.well-known" : "");
  auto out = parse_metadata(answer->body, issuer);
  if (!out) return fail(out.error(), "discovery of {}", issuer);
  return out;
}

}  // namespace rosterd::connectors::oidc
