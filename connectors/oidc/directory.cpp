#include <nlohmann/json.hpp>

#include "connectors/http/url.hpp"
#include "connectors/oidc/dialect.hpp"
#include "connectors/oidc/discovery.hpp"
#include "connectors/oidc/oidc.hpp"
#include "schema/core/hash.hpp"

namespace rosterd::connectors::oidc {
namespace {

using std::chrono::steady_clock;

Result<std::vector<Network>> networks(const ConnectorOptions& options) {
  std::vector<Network> out;
  for (const auto& text : options.allowed_networks) {
    const auto network = parse_network(text);
    if (!network) return fail(network.error(), "allowed_networks");
    out.push_back(*network);
  }
  return out;
}

std::string api_url_of(const Settings& settings) {
  if (!settings.api_url.empty()) return settings.api_url;
  const auto from_issuer = dialect_type(settings.dialect).api_url;
  return from_issuer == nullptr ? std::string() : from_issuer(settings.issuer);
}

TokenSource token_source(const Settings& settings) {
  return settings.is_static ? TokenSource(settings.token) : TokenSource(settings.client);
}

/// What only the dialect can judge.
Result<void> check(const Settings& settings) {
  const auto judge = dialect_type(settings.dialect).check;
  return judge == nullptr ? Result<void>() : judge(settings);
}

/// The Connector around a dialect. Connections and the token live as long as it does; a run makes a new one.
class Directory final : public Connector {
 public:
  Directory(Settings settings, const ConnectorOptions& options, std::vector<Network> allowed, std::string_view learnt)
      : settings_(std::move(settings)),
        options_(options),
        client_({.allowed = std::move(allowed),
                 .proxy = options.http_proxy,
                 .ca_file = settings_.ca_file,
                 .ca_pem = settings_.ca_pem,
                 .client_certificate = settings_.client_certificate,
                 .client_key = settings_.client_key,
                 .allow_plaintext = settings_.allow_plaintext,
                 .connect_timeout = options.connect_timeout,
                 .silence = options.operation_timeout,
                 .whole = 4 * options.operation_timeout}),
        type_(dialect_type(settings_.dialect)) {
    settings_.api_url = api_url_of(settings_);
    if (settings_.client.scope.empty()) settings_.client.scope = type_.scope;
    if (settings_.client.token_endpoint.empty() && type_.token_url != nullptr)
      settings_.client.token_endpoint = type_.token_url(settings_.issuer);
    dialect_ = type_.make(settings_, options, learnt);
    if (settings_.is_static || !settings_.client.token_endpoint.empty()) tokens_.emplace(token_source(settings_));
  }

  Result<FeedEnd> read(const Cursor& from, FeedSink& sink, std::stop_token stop) override {
    sink.phase("connecting");
    const auto tokens = prepare(stop);
    if (!tokens) return fail(tokens.error());
    auto api = make_api(**tokens, options_.read_deadline, stop);
    api.on_wait = [&sink](std::string_view text) { sink.phase(text); };
    return dialect_->read(api, from, sink);
  }
  Result<Presence> verify(PrincipalType type, std::span<const ExternalId> ids, std::stop_token stop) override {
    if (ids.empty()) return Presence{};
    // Groups that were taken out of the settings: whether they exist or not, the source is no longer about them.
    if (type == PrincipalType::Group && !settings_.groups)
      return Presence{.of = std::vector<Present>(ids.size(), Present::OutOfScope), .trouble = {}};
    const auto tokens = prepare(stop);
    if (!tokens) return fail(tokens.error(), "verifying");
    auto api = make_api(**tokens, options_.read_deadline, stop);
    auto presence = dialect_->verify(api, type, ids);
    if (!presence) return fail(presence.error(), "verifying");
    return presence;
  }
  Result<std::optional<std::size_t>> still_listed(std::span<const Unlisted> groups, std::stop_token stop) override {
    if (groups.empty()) return std::nullopt;
    const auto tokens = prepare(stop);
    if (!tokens) return fail(tokens.error(), "asking for members");
    auto api = make_api(**tokens, options_.read_deadline, stop);
    auto listed = dialect_->still_listed(api, groups);
    if (!listed) return fail(listed.error(), "asking for members");
    return listed;
  }
  Result<bool> readable(std::string_view, std::stop_token) override { return true; }  // there are no containers
  std::string container_of(std::string_view) const override { return {}; }
  std::vector<Finding> test(std::stop_token stop) override;

 private:
  /// Where tokens come from; by discovery, where the token endpoint is not known yet. Never null.
  Result<TokenSource*> prepare(const std::stop_token& stop) {
    if (tokens_) return &*tokens_;
    const auto provider = discover(client_, settings_.issuer, stop);
    if (!provider) return fail(provider.error());
    settings_.client.token_endpoint = settings_.client.auth == ClientAuth::Tls && !provider->mtls_token_endpoint.empty()
                                          ? provider->mtls_token_endpoint
                                          : provider->token_endpoint;
    if (settings_.client.token_endpoint.empty())
      return fail(Errc::Unavailable, "discovery of {}: the document names no token_endpoint; set token_url", settings_.issuer);
    return &tokens_.emplace(token_source(settings_));
  }
  Api make_api(TokenSource& tokens, std::chrono::milliseconds time, std::stop_token stop) {
    return Api({.client = client_,
                .tokens = tokens,
                .scheme = settings_.scheme,
                .throttle = type_.throttle,
                .deadline = steady_clock::now() + time,
                .stop = std::move(stop),
                .accept = std::string(type_.accept)});
  }

  Settings settings_;
  ConnectorOptions options_;
  http::Client client_;
  const DialectType& type_;
  std::unique_ptr<Dialect> dialect_;
  std::optional<TokenSource> tokens_;
};

std::vector<Finding> Directory::test(std::stop_token stop) {
  std::vector<Finding> findings{
      {.step = "settings", .good = true, .text = fmt::format("understood, dialect {}", name_of(settings_.dialect))}};
  const auto add = [&](std::string_view step, bool good, std::string text) {
    findings.push_back({.step = std::string(step), .good = good, .text = std::move(text)});
  };
  const bool known = tokens_.has_value();
  const auto tokens = prepare(stop);
  if (!tokens) {
    add("discovery", false, tokens.error().what);
    return findings;
  }
  if (!known)
    add("discovery", true, fmt::format("{} is the issuer, tokens come from {}", settings_.issuer, settings_.client.token_endpoint));
  const auto token = (*tokens)->current(client_, stop);
  if (!token) {
    add("token", false, token.error().what);
    return findings;
  }
  add("token", true,
      settings_.is_static ? "a static token is set" : fmt::format("the provider gave {} a token", settings_.client.client_id));
  auto api = make_api(**tokens, options_.operation_timeout, std::move(stop));
  dialect_->test(api, findings);
  return findings;
}

std::string hash_of(const nlohmann::json& json) { return hex(sha256(json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace))); }

}  // namespace

std::span<const std::string_view> secrets() { return secret_paths(); }

Result<void> validate(std::string_view json) {
  const auto settings = parse_settings(json, SecretRule::MayBeClosed);
  if (!settings) return fail(settings.error());
  if (api_url_of(*settings).empty())
    return fail(Errc::InvalidInput, "/api_url: is missing, and cannot be told from /issuer in this dialect");
  return check(*settings);
}

Result<std::unique_ptr<Connector>> make(const ConnectorSettings& settings, const ConnectorOptions& options) {
  auto parsed = parse_settings(settings.json, SecretRule::MustBeOpen);
  if (!parsed) return fail(parsed.error());
  if (auto ok = check(*parsed); !ok) return fail(ok.error());
  auto allowed = networks(options);
  if (!allowed) return fail(allowed.error());
  return std::make_unique<Directory>(std::move(*parsed), options, std::move(*allowed), settings.learnt);
}

ConnectorType::Fingerprints fingerprint(std::string_view json) {
  const auto settings = parse_settings(json, SecretRule::MayBeClosed);
  // Settings that do not parse belong to no cursor: their own text tells them apart.
  if (!settings) return {.cursor = hex(sha256(json)), .scope = hex(sha256(json))};
  nlohmann::json all = {{"type", "oidc"},
                        {"dialect", name_of(settings->dialect)},
                        {"api", api_url_of(*settings)},
                        {"users", settings->user_filter},
                        {"groups", settings->groups ? nlohmann::json(settings->group_filter) : nlohmann::json()}};
  // All of Entra's tenants share one API: it is the issuer that tells which of them is read.
  if (settings->dialect == DialectName::Entra) all["tenant"] = settings->issuer;
  const auto scope = hash_of(all);
  all["cursor_format"] = 1;
  all["issuer"] = settings->issuer;
  all["client_id"] = settings->client.client_id;
  all["membership"] = static_cast<int>(settings->membership);
  return {.cursor = hash_of(all), .scope = scope};
}

}  // namespace rosterd::connectors::oidc
