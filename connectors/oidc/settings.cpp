#include "connectors/oidc/settings.hpp"

#include <nlohmann/json.hpp>

#include "connectors/http/url.hpp"
#include "connectors/net.hpp"
#include "connectors/oidc/sign_in_settings.hpp"
#include "connectors/settings_object.hpp"

namespace rosterd::connectors::oidc {
namespace {

using Json = nlohmann::json;
using Object = SettingsObject;

constexpr std::string_view kSecrets[] = {"/client_secret", "/private_key", "/token", "/client_key", kSignInSecrets[0]};

template <class Value>
struct Word {
  std::string_view name;
  Value value;
};
constexpr Word<DialectName> kDialects[] = {
    {"scim", DialectName::Scim}, {"keycloak", DialectName::Keycloak}, {"entra", DialectName::Entra}, {"okta", DialectName::Okta}};
constexpr Word<MembershipStrategy> kMemberships[] = {{"auto", MembershipStrategy::Auto},
                                                     {"inline", MembershipStrategy::Inline},
                                                     {"by_id", MembershipStrategy::ById},
                                                     {"user_groups", MembershipStrategy::UserGroups},
                                                     {"none", MembershipStrategy::None}};
enum class Auth { Basic, Post, Jwt, Tls, Static };
constexpr Word<Auth> kAuths[] = {{"client_secret_basic", Auth::Basic},
                                 {"client_secret_post", Auth::Post},
                                 {"private_key_jwt", Auth::Jwt},
                                 {"tls_client_auth", Auth::Tls},
                                 {"static", Auth::Static}};

template <class Value, std::size_t N>
std::optional<Value> word(Object& object, std::string_view key, const Word<Value> (&words)[N], Problems& problems) {
  const auto text = object.text(key);
  if (!text) return std::nullopt;
  std::string names;
  for (const auto& [name, value] : words) {
    if (name == *text) return value;
    names += fmt::format("{}\"{}\"", names.empty() ? "" : ", ", name);
  }
  problems.add(object.at(key), "must be one of {}", names);
  return std::nullopt;
}

void read_url(Object& root, std::string_view key, bool allow_plaintext, bool required, std::string& into, Problems& problems) {
  auto text = required ? root.required(key) : root.text(key);
  if (!text) return;
  while (text->ends_with('/')) text->pop_back();
  const auto url = http::parse_url(*text);
  if (!url) return problems.add(root.at(key), "{}", url.error().what);
  if (!url->query.empty()) return problems.add(root.at(key), "must not hold a ?query");
  if (url->scheme == "http" && !allow_plaintext && !is_loopback_name(url->host))
    return problems.add(root.at(key), "http:// would show tokens and every entry on the way; use https://, or say allow_plaintext");
  into = std::move(*text);
}

struct Secret {
  bool given = false;
  std::string value;  ///< empty while closed
};
Secret read_secret(Object& root, std::string_view key, SecretRule rule, Problems& problems) {
  const Json* const secret = root.object(key);
  if (secret == nullptr) return {};
  const auto path = root.at(key);
  if (const auto value = secret->find("value"); value != secret->end()) {
    if (!value->is_string() || secret->size() != 1 || value->get_ref<const std::string&>().empty()) {
      problems.add(path, "must be {{\"value\": text}}");
      return {};
    }
    return {.given = true, .value = value->get<std::string>()};
  }
  if (rule == SecretRule::MustBeOpen) {
    problems.add(path, "must be {{\"value\": text}}");
    return {};
  }
  for (const std::string_view form : {"file", "env", "sealed", "set"})
    if (secret->contains(form)) return {.given = true, .value = {}};
  problems.add(path, "must be one of {{\"file\": path}}, {{\"env\": name}}, {{\"value\": text}}");
  return {};
}

void read_client(Object& root, SecretRule rule, Settings& out, Problems& problems) {
  const auto secret = read_secret(root, "client_secret", rule, problems);
  const auto key = read_secret(root, "private_key", rule, problems);
  const auto token = read_secret(root, "token", rule, problems);
  const auto tls_key = read_secret(root, "client_key", rule, problems);
  const auto read_pem = [&](std::string_view name) {
    const auto* const pem = root.field(name);
    if (pem != nullptr && !pem->is_string()) problems.add(root.at(name), "must be a text in PEM form");
    return pem != nullptr && pem->is_string() ? pem->get<std::string>() : std::string();
  };
  out.client_certificate = read_pem("client_certificate");
  const auto key_certificate = read_pem("key_certificate");
  out.client_key = tls_key.value;
  const auto named = word(root, "auth", kAuths, problems);
  const Auth auth = named                             ? *named
                    : token.given                     ? Auth::Static
                    : key.given                       ? Auth::Jwt
                    : !out.client_certificate.empty() ? Auth::Tls
                                                      : Auth::Basic;
  const auto needs = [&](bool given, std::string_view name, std::string_view why) {
    if (!given && root.field(name) == nullptr) problems.add(root.at(name), "is missing ({})", why);
  };
  out.client.client_id = root.text("client_id").value_or("");
  if (auth != Auth::Static) needs(!out.client.client_id.empty(), "client_id", "the client that rosterd is at the provider");
  switch (auth) {
    case Auth::Static:
      out.is_static = true;
      out.token = token.value;
      needs(token.given, "token", "auth is static");
      if (has_control_characters(out.token) || out.token.find(' ') != std::string::npos)
        problems.add(root.at("token"), "holds spaces or control characters");
      break;
    case Auth::Basic:
    case Auth::Post:
      out.client.auth = auth == Auth::Basic ? ClientAuth::SecretBasic : ClientAuth::SecretPost;
      out.client.client_secret = secret.value;
      needs(secret.given, "client_secret", "or private_key, token, client_certificate");
      break;
    case Auth::Jwt:
      out.client.auth = ClientAuth::PrivateKeyJwt;
      needs(key.given, "private_key", "auth is private_key_jwt");
      if (!key.value.empty()) {
        auto parsed = SigningKey::parse(key.value);
        if (parsed)
          out.client.key = std::move(*parsed);
        else
          problems.add(root.at("private_key"), "{}", parsed.error().what);
      }
      if (out.client.key && !key_certificate.empty())
        if (const auto named_it = out.client.key->name_certificate(key_certificate); !named_it)
          problems.add(root.at("key_certificate"), "{}", named_it.error().what);
      break;
    case Auth::Tls:
      out.client.auth = ClientAuth::Tls;
      needs(!out.client_certificate.empty(), "client_certificate", "auth is tls_client_auth");
      break;
  }
  if (!key_certificate.empty() && auth != Auth::Jwt) problems.add(root.at("key_certificate"), "is of no use without private_key");
  if (!out.client_certificate.empty()) needs(tls_key.given, "client_key", "the key of client_certificate");
  out.client.key_id = root.text("key_id").value_or("");
  out.client.scope = root.text("scope").value_or("");
  out.client.resource = root.text("resource").value_or("");
  out.client.audience = root.text("assertion_audience").value_or("");
  if (const auto scheme = root.text("token_scheme")) {
    if (*scheme == "Bearer" || *scheme == "SSWS")
      out.scheme = *scheme;
    else
      problems.add(root.at("token_scheme"), "must be \"Bearer\" or \"SSWS\"");
  } else if (out.is_static && out.dialect == DialectName::Okta) {
    out.scheme = "SSWS";  // what Okta's own API tokens are sent with
  }
}

void read_part(Object& root, std::string_view key, std::string& filter, Problems& problems) {
  const Json* const json = root.object(key);
  if (json == nullptr) return;
  Object part(*json, root.at(key), problems);
  filter = part.text("filter").value_or("");
  part.name_unknown();
}

}  // namespace

std::string_view name_of(DialectName name) {
  for (const auto& [text, value] : kDialects)
    if (value == name) return text;
  return "scim";
}

std::span<const std::string_view> secret_paths() { return kSecrets; }

Result<Settings> parse_settings(std::string_view text, SecretRule secrets) {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) return fail(Errc::InvalidInput, "/: the settings are no JSON object");
  Problems problems;
  Object root(json, "", problems);
  Settings out;
  out.allow_plaintext = root.flag("allow_plaintext");
  read_url(root, "issuer", out.allow_plaintext, true, out.issuer, problems);
  if (root.field("dialect") == nullptr) problems.add(root.at("dialect"), "is missing: \"scim\", \"keycloak\", \"entra\" or \"okta\"");
  if (const auto dialect = word(root, "dialect", kDialects, problems)) out.dialect = *dialect;
  read_url(root, "api_url", out.allow_plaintext, false, out.api_url, problems);
  read_url(root, "token_url", out.allow_plaintext, false, out.client.token_endpoint, problems);
  if (out.dialect == DialectName::Scim && root.field("api_url") == nullptr)
    problems.add(root.at("api_url"), "is missing (where the provider's SCIM API is: https://…/scim/v2)");
  read_client(root, secrets, out, problems);
  out.ca_file = root.text("ca_file").value_or("");
  if (const Json* const pem = root.field("ca_pem")) {
    if (!pem->is_string())
      problems.add(root.at("ca_pem"), "must be a text");
    else if (!out.ca_file.empty())
      problems.add(root.at("ca_pem"), "ca_file is set as well; use one of them");
    else
      out.ca_pem = pem->get<std::string>();
  }
  read_part(root, "users", out.user_filter, problems);
  if (const Json* const groups = root.field("groups"); groups != nullptr && groups->is_boolean())
    out.groups = groups->get<bool>();
  else
    read_part(root, "groups", out.group_filter, problems);
  if (const auto membership = word(root, "membership", kMemberships, problems)) out.membership = *membership;
  if (const Json* const size = root.field("page_size")) {
    if (size->is_number_unsigned() && size->get<std::uint64_t>() >= 1 && size->get<std::uint64_t>() <= 10'000)
      out.page_size = size->get<std::uint32_t>();
    else
      problems.add(root.at("page_size"), "must be a number from 1 to 10000");
  }
  for (const auto key : kSignInFields) static_cast<void>(root.field(key));
  root.name_unknown();
  const auto sign_in = parse_sign_in(json);
  if (!problems.none()) {
    auto error = problems.error();
    if (!sign_in) error.what += "; " + sign_in.error().what;
    return tl::unexpected(std::move(error));
  }
  if (!sign_in) return fail(sign_in.error());
  return out;
}

}  // namespace rosterd::connectors::oidc
