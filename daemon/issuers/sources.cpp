#include <algorithm>

#include "daemon/issuers/parts.hpp"
#include "schema/core/log.hpp"
#include "schema/core/text.hpp"

namespace rosterd::issuers {
namespace {

using nlohmann::json;

constexpr auto kSourcesFor = std::chrono::milliseconds(400);  // with the short caches of requests, a change is known within a second
constexpr std::size_t kMostIssuers = 4096;                    // remembered, whether or not anybody has them: strangers name them
constexpr Millis kConnect{5'000}, kSilence{5'000}, kWhole{10'000};

std::string text_of(const jwt::Claims& claims, const char* name) {
  const auto found = claims.all.find(name);
  return found != claims.all.end() && found->is_string() ? found->get<std::string>() : std::string();
}

bool is_true(const jwt::Claims& claims, const char* name) {
  const auto found = claims.all.find(name);
  return found != claims.all.end() && (*found == true || *found == "true");
}

/// What is known of somebody from his token alone. An address that the issuer has not verified is nobody's (it would be looked up by, R7).
UserRecord record_of(const jwt::Claims& claims) {
  UserRecord out;
  out.id = ExternalId{claims.subject};
  if (const auto email = text_of(claims, "email"); is_email(email) && is_true(claims, "email_verified")) out.email = email;
  const auto usable = [](const std::string& name) { return !name.empty() && name.size() <= 255 && !has_control_characters(name); };
  for (const auto& name : {text_of(claims, "preferred_username"), out.email.value_or(""), claims.subject})
    if (out.username.empty() && usable(name)) out.username = name;
  for (const auto& [claim, field] : {std::pair{"given_name", &out.first_name}, std::pair{"family_name", &out.last_name}})
    if (auto name = text_of(claims, claim); usable(name)) *field = std::move(name);
  return out;
}

}  // namespace

Parts::Parts(Store& store, const Secrets& secrets, const Clock& clock, IssuersOptions options, std::optional<SignInSettings> instance)
    : store_(store),
      secrets_(secrets),
      clock_(clock),
      options_(std::move(options)),
      instance_(std::move(instance)),
      keys_({.client = [this] { return http_options(); }, .now = options_.ticks}) {}

connectors::http::Options Parts::http_options() const {
  const auto from = options_.connections ? options_.connections() : connectors::ConnectorOptions{};
  connectors::http::Options out;
  for (const auto& text : from.allowed_networks)
    if (const auto network = connectors::parse_network(text)) out.allowed.push_back(*network);
  out.proxy = from.http_proxy;
  out.connect_timeout = std::min(kConnect, from.connect_timeout);
  out.silence = std::min(kSilence, from.operation_timeout);
  out.whole = kWhole;
  out.max_body = jwt::kMostKeySet;
  return out;
}

Result<SignInSources> Parts::sources_of(const std::string& issuer) {
  const auto now = Steady::now();
  const auto known = known_.with([&](auto& all) -> SignInSources {
    const auto found = all.find(issuer);
    return found != all.end() && now - found->second.read < kSourcesFor ? found->second.list : nullptr;
  });
  if (known) return known;
  auto read = store_.issuer_sources(issuer);
  if (!read) return fail(read.error());
  std::vector<SignInSource> list;
  for (auto& source : *read) {
    const auto opened = secrets_.open_settings(source.settings, connectors::oidc::kSignInSecrets);
    const auto document = json::parse(opened ? *opened : source.settings, nullptr, false);
    auto settings = connectors::oidc::parse_sign_in(document);
    if (!settings) {  // stored by another release: nobody signs in with what is not understood
      log::warning("issuer.settings_refused",
                   {{"tenant", source.tenant.value}, {"source", source.name}, log::field("error", settings.error().what)});
      continue;
    }
    if (settings->sign_in && settings->at.issuer == issuer) list.push_back({.of = std::move(source), .settings = std::move(*settings)});
  }
  auto made = std::make_shared<const std::vector<SignInSource>>(std::move(list));
  known_.with([&](auto& all) {
    if (all.size() >= kMostIssuers) all.clear();
    all[issuer] = {.list = made, .read = now};
  });
  return made;
}

Result<http::Joined> Parts::make_user(const Vouched& who, const Actor& actor) {
  const auto& source = who.source;
  const NewIssuerUser wanted{.source = source.of.source,
                             .version = source.of.version,
                             .record = record_of(who.claims),
                             .default_role = source.settings.default_role};
  const auto made = store_.create_issuer_user(source.of.tenant, wanted, actor);
  if (!made) return fail(made.error());
  if (made->made)
    log::info("issuer.user_created", {{"tenant", source.of.tenant.value},
                                      {"source", source.of.name},
                                      log::field("user", text(PrincipalType::User, made->user.id)),
                                      {"subject", who.claims.subject}});
  if (made->role_missing)
    log::warning("issuer.default_role_missing",
                 {{"tenant", source.of.tenant.value}, {"source", source.of.name}, {"role", source.settings.default_role}});
  http::Joined out{.user = {.tenant = source.of.tenant, .id = made->user.id, .name = made->user.username, .source = source.of.source},
                   .revision = made->revision};
  if (!made->user.active()) out.user.id = {};
  if (made->made) options_.moved(source.of.tenant);
  return out;
}

Result<void> Parts::refresh_groups(const Vouched& who, PrincipalId user, const Actor& actor) {
  const auto& source = who.source;
  const auto claimed = jwt::groups_of(who.claims, source.settings.groups_claim);
  switch (claimed.state) {
    case jwt::GroupsClaim::State::Absent:
    case jwt::GroupsClaim::State::Overage:
      return {};  // never "no groups": what the directory says stays
    case jwt::GroupsClaim::State::Listed:
      break;
  }
  const auto done = store_.refresh_memberships(source.of.tenant, source.of.source, user,
                                               {.values = claimed.values, .by_name = source.settings.groups_by_name}, actor);
  if (!done && done.error().slug == "last_admin") {
    log::warning("issuer.memberships_held", {{"tenant", source.of.tenant.value},
                                             {"source", source.of.name},
                                             log::field("user", text(PrincipalType::User, user)),
                                             log::field("error", done.error().what)});
    return {};
  }
  if (!done) return fail(done.error(), "refreshing memberships");
  if (!done->revision) return {};
  log::info("issuer.memberships", {{"tenant", source.of.tenant.value},
                                   {"source", source.of.name},
                                   log::field("user", text(PrincipalType::User, user)),
                                   log::field("added", done->added),
                                   log::field("removed", done->removed),
                                   log::field("unknown", done->unknown)});
  options_.moved(source.of.tenant);
  return {};
}

/// Once a second at most, so that whoever floods rosterd does not flood the log.
void Parts::refuse(std::string_view issuer, const Error& why) {
  ++unsaid_;
  const auto now = Steady::now().time_since_epoch().count();
  auto said = said_.load();
  if (said != 0 && now - said < Steady::duration(std::chrono::seconds(1)).count()) return;
  if (!said_.compare_exchange_strong(said, now)) return;
  log::info("issuer.token_refused", {log::field("issuer", issuer.substr(0, 200)), log::field("reason", why.slug),
                                     log::field("error", why.what), log::field("refused", unsaid_.exchange(0))});
}

Result<std::unique_ptr<http::Issuers>> make_issuers(Store& store, const Secrets& secrets, const Clock& clock, IssuersOptions options) {
  std::optional<SignInSettings> instance;
  if (!options.instance.settings.empty()) {
    auto settings = connectors::oidc::parse_sign_in(json::parse(options.instance.settings, nullptr, false));
    if (!settings) return fail(settings.error());
    instance = std::move(*settings);
  }
  return std::make_unique<Parts>(store, secrets, clock, std::move(options), std::move(instance));
}

}  // namespace rosterd::issuers
