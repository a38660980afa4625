// A browser signs in: where it is sent, and what its coming back is worth.

#include <algorithm>

#include "connectors/oidc/code_flow.hpp"
#include "daemon/issuers/parts.hpp"
#include "schema/core/log.hpp"
#include "schema/core/text.hpp"

namespace rosterd::issuers {
namespace {

using nlohmann::json;
namespace oidc = connectors::oidc;

constexpr auto kFlow = std::chrono::minutes(10);
constexpr std::string_view kPurpose = "oidc-login";

/// 256 bits, in the alphabet of URLs.
std::string fresh() {
  std::array<unsigned char, 32> bytes{};
  random_bytes(bytes);
  return hex(bytes);
}

tl::unexpected<Error> failed(std::string_view why) { return fail_as("sign_in_failed", Errc::Unauthorized, "signing in failed: {}", why); }
tl::unexpected<Error> no_such_login() { return fail(Errc::NotFound, "nobody can sign in here like that"); }

oidc::CodeFlow code_flow(const SignInSettings& settings, std::string redirect_uri) {
  return {.client_id = settings.client_id,
          .client_secret = settings.client_secret,
          .redirect_uri = std::move(redirect_uri),
          .scopes = settings.scopes};
}

std::string claim(const jwt::Claims& claims, const char* name) {
  const auto found = claims.all.find(name);
  return found != claims.all.end() && found->is_string() ? found->get<std::string>() : std::string();
}

}  // namespace

struct Parts::Flow {
  std::string tenant, source, state, nonce, verifier, return_to;
  SourceId source_id;
  AccountId link;
  std::int64_t until = 0;

  [[nodiscard]] std::string text() const {
    return json{{"t", tenant},    {"s", source},          {"st", state},     {"n", nonce}, {"v", verifier},
                {"r", return_to}, {"i", source_id.value}, {"l", link.value}, {"u", until}}
        .dump();
  }
  static std::optional<Flow> of(std::string_view text) {
    const auto from = json::parse(text, nullptr, false);
    if (!from.is_object()) return std::nullopt;
    Flow out;
    for (const auto& [name, into] : {std::pair{"t", &out.tenant},
                                     {"s", &out.source},
                                     {"st", &out.state},
                                     {"n", &out.nonce},
                                     {"v", &out.verifier},
                                     {"r", &out.return_to}})
      *into = from.value(name, std::string());
    out.source_id.value = from.value("i", std::uint64_t{0});
    out.link.value = from.value("l", std::uint64_t{0});
    out.until = from.value("u", std::int64_t{0});
    return out;
  }
};

std::string Parts::redirect_uri(const std::optional<TenantId>& tenant, const std::string& source) const {
  // One for each issuer: a code meant for one of them is never taken for another's (RFC 9700 §2.1, mix-up).
  return tenant ? fmt::format("{}/v1/login/oidc/{}/{}/callback", options_.public_url, tenant->value, source)
                : options_.public_url + "/v1/login/oidc/instance/callback";
}

Result<SignInSource> Parts::login_source(const std::optional<TenantId>& tenant, const std::string& source) {
  if (!tenant) {
    if (!instance_ || instance_->client_id.empty()) return no_such_login();
    return SignInSource{.of = {}, .settings = *instance_};
  }
  const auto stored = store_.source(*tenant, source);
  if (!stored && stored.error().code != Errc::NotFound) return fail(stored.error());
  if (!stored) return no_such_login();
  const auto settings = json::parse(stored->settings, nullptr, false);
  const auto issuer = settings.is_object() ? settings.find("issuer") : settings.end();
  if (!settings.is_object() || issuer == settings.end() || !issuer->is_string()) return no_such_login();
  const auto name = issuer->get<std::string>();
  for (const bool anew : {false, true}) {  // what is remembered may be older than the source as it is stored
    if (anew) known_.with([&](auto& all) { all.erase(name); });
    const auto all = sources_of(name);  // the enabled ones, in enabled tenants
    if (!all) return fail(all.error());
    for (const auto& one : **all)
      if (one.of.source == stored->id && one.of.tenant == *tenant && one.of.version == stored->version)
        return one.settings.client_id.empty() ? Result<SignInSource>(no_such_login()) : one;
  }
  return no_such_login();
}

Result<http::LoginStart> Parts::begin_login(const http::LoginWanted& wanted, Deadline deadline) {
  const auto source = login_source(wanted.tenant, wanted.source);
  if (!source) return fail(source.error());
  if (options_.public_url.empty())
    return fail(Errc::Conflict, "server.public_url is not set, so that no provider could send a browser back");
  const auto provider = keys_.metadata(source->settings.at, deadline);
  if (!provider) return fail(provider.error());
  const Flow flow{.tenant = wanted.tenant ? wanted.tenant->value : std::string(),
                  .source = wanted.source,
                  .state = fresh(),
                  .nonce = fresh(),
                  .verifier = fresh(),
                  .return_to = wanted.return_to,
                  .source_id = source->of.source,
                  .link = wanted.link,
                  .until = std::chrono::duration_cast<Seconds>((clock_.now() + kFlow).time_since_epoch()).count()};
  auto location = oidc::authorization_url(*provider, code_flow(source->settings, redirect_uri(wanted.tenant, wanted.source)), flow.state,
                                          flow.nonce, flow.verifier);
  if (!location) return fail(location.error());
  return http::LoginStart{.location = std::move(*location), .state = flow.state, .sealed = secrets_.seal_text(kPurpose, flow.text())};
}

/// The claims of the ID token that the code is good for.
Result<jwt::Claims> Parts::redeemed(const SignInSource& source, const Flow& flow, const std::string& code, Deadline deadline) {
  const auto& settings = source.settings;
  const auto provider = keys_.metadata(settings.at, deadline);
  if (!provider) return fail(provider.error());
  const auto tenant = flow.tenant.empty() ? std::nullopt : std::optional(TenantId{flow.tenant});
  struct Errand {
    connectors::http::Options options;
    oidc::ProviderMetadata provider;
    oidc::CodeFlow flow;
    std::string code, verifier;
    std::stop_source stop;
    std::optional<Result<oidc::CodeTokens>> tokens;
  };
  const auto errand = std::make_shared<Errand>(Errand{.options = http_options(),
                                                      .provider = *provider,
                                                      .flow = code_flow(settings, redirect_uri(tenant, flow.source)),
                                                      .code = code,
                                                      .verifier = flow.verifier,
                                                      .stop = {},
                                                      .tokens = {}});
  errand->options.ca_file = settings.at.ca_file;
  errand->options.ca_pem = settings.at.ca_pem;
  errand->options.allow_plaintext = settings.at.allow_plaintext;
  const bool in_time = errands_.run(
      [errand] {
        connectors::http::Client client(errand->options);
        errand->tokens.emplace(
            oidc::redeem(client, errand->provider, errand->flow, errand->code, errand->verifier, errand->stop.get_token()));
      },
      deadline);
  if (!in_time) errand->stop.request_stop();
  // Only a finished errand's answer is looked at: one that is late is still being written.
  const auto answered = in_time ? std::move(errand->tokens) : std::nullopt;
  if (!answered) return fail_as("issuer_unavailable", Errc::Unavailable, "issuer {} has not answered in time", settings.at.issuer);
  const auto& tokens = *answered;
  if (!tokens && tokens.error().code == Errc::Unauthorized) return failed(tokens.error().what);
  if (!tokens) return fail_as("issuer_unavailable", Errc::Unavailable, "{}", tokens.error().what);

  const jwt::IdTokenRules rules{.client_id = settings.client_id, .nonce = flow.nonce, .access_token = tokens->access_token};
  auto keys = keys_.keys(settings.at, deadline);
  if (!keys) return fail(keys.error());
  auto claims = jwt::verify_id_token(tokens->id_token, settings.policy, rules, *keys->set, clock_.now());
  if (!claims && claims.error().slug == "unknown_key") {
    const auto newer = keys_.newer_keys(settings.at, keys->generation, deadline);
    if (!newer) return fail(newer.error());
    claims = jwt::verify_id_token(tokens->id_token, settings.policy, rules, *newer->set, clock_.now());
  }
  if (!claims) return failed("its ID token: " + claims.error().what);
  return claims;
}

Result<http::LoginDone> Parts::user_login(const SignInSource& source, const Flow& flow, jwt::Claims claims, const NewSession& session,
                                          const Actor& actor) {
  const auto refused = [](std::string_view why) {
    return fail_as("sign_in_refused", Errc::Forbidden, "the provider knows you, and rosterd lets you in no further: {}", why);
  };
  const Vouched who{.source = source, .claims = std::move(claims)};
  const auto found = store_.issuer_users(
      std::vector<AskedSubject>{{.source = source.of.source, .version = source.of.version, .subject = who.claims.subject}});
  if (!found) return fail(found.error());
  if (found->empty()) return failed("the source has changed meanwhile; try again");
  auto user = found->front().user;
  if (user && !found->front().active) return refused("your user is suspended");
  if (!user) {
    if (source.settings.unknown_people != oidc::UnknownPeople::Create) return refused("nobody has made a user for you yet");
    const auto made = make_user(who, actor);
    if (!made) return fail(made.error());
    if (!made->user.id) return refused("your user is suspended");
    user = made->user.id;
  }
  if (const auto done = refresh_groups(who, user, actor); !done) return fail(done.error());
  if (flow.link) {
    auto by_owner = actor;
    by_owner.account = flow.link;
    const auto linked = store_.link_by_sign_in(source.of.tenant, source.of.source, user, flow.link, by_owner);
    if (!linked) return fail(linked.error());
    options_.moved(source.of.tenant);
    return http::LoginDone{.session = {}, .return_to = flow.return_to};
  }
  auto begun = store_.begin_user_session(source.of.tenant, source.of.source, user, session, actor);
  if (!begun) return fail(begun.error());
  return http::LoginDone{.session = *begun, .return_to = flow.return_to};
}

Result<http::LoginDone> Parts::account_login(const Flow& flow, const jwt::Claims& claims, const NewSession& session, const Actor& actor) {
  const auto& issuer = instance_->at.issuer;
  auto found = store_.account_of_identity(issuer, claims.subject);
  if (!found) return fail(found.error());
  auto& account = *found;
  if (flow.link) {
    if (account && account->id != flow.link) return fail_as("already_linked", Errc::Conflict, "this identity belongs to another account");
    auto by_owner = actor;
    by_owner.account = flow.link;
    const auto held = store_.identity_of(flow.link, issuer);
    if (!held) return fail(held.error());
    if (const auto& before = *held; before && *before != claims.subject)
      return fail_as("already_linked", Errc::Conflict, "the account has another identity already; a super admin can take it away");
    const auto set = store_.set_identity(flow.link, issuer, claims.subject, by_owner);
    if (!set) return fail(set.error());
    return http::LoginDone{.session = {}, .return_to = flow.return_to};
  }
  if (!account) {
    const auto refused = [](std::string_view why) {
      return fail_as("sign_in_refused", Errc::Forbidden, "no account has this identity: {}", why);
    };
    if (!options_.instance.create_accounts) return refused("a super admin can give it to one");
    const auto email = claim(claims, "email");
    const auto verified = claims.all.find("email_verified");
    if (!is_email(email) || verified == claims.all.end() || *verified != true)
      return refused("the provider has not verified your e-mail, so that no account can be made");
    auto made = store_.create_account_of_identity(
        {.email = email, .first_name = claim(claims, "given_name"), .last_name = claim(claims, "family_name")}, issuer, claims.subject,
        actor);
    // Whoever holds an address at the provider does not become the account that has it here (rbac.md §18).
    if (!made && made.error().slug == "name_taken")
      return refused("an account has your e-mail, and its owner or a super admin can give it this identity");
    if (!made) return fail(made.error());
    log::info("issuer.account_created", {log::field("account", text(made->id)), {"issuer", issuer}});
    account = std::move(*made);
  }
  auto begun = store_.begin_identity_session(account->id, issuer, claims.subject, session, actor);
  if (!begun) return fail(begun.error());
  return http::LoginDone{.session = *begun, .return_to = flow.return_to};
}

Result<http::LoginDone> Parts::finish_login(const http::LoginAnswer& answer, const NewSession& session, const Actor& actor,
                                            Deadline deadline) {
  const auto opened = secrets_.open_text(kPurpose, answer.sealed);
  const auto flow = opened ? Flow::of(*opened) : std::nullopt;
  const auto tenant = answer.tenant ? answer.tenant->value : std::string();
  // State and place are the sealed ones: an answer that somebody else's browser was meant to bring is worth nothing here.
  if (!flow || !equal_secret(flow->state, answer.state) || flow->tenant != tenant || flow->source != answer.source)
    return failed("the answer belongs to no sign-in of this browser; begin again");
  if (std::chrono::duration_cast<Seconds>(clock_.now().time_since_epoch()).count() > flow->until)
    return failed("it took too long; begin again");
  if (!answer.error.empty() || answer.code.empty()) {
    auto word = answer.error.substr(0, 64);
    std::erase_if(word, [](char c) { return static_cast<unsigned char>(c) < 0x21 || static_cast<unsigned char>(c) > 0x7e; });
    return failed(word.empty() ? "the provider has given no code" : "the provider says " + word);
  }
  const auto source = login_source(answer.tenant, answer.source);
  if (!source) return fail(source.error());
  if (source->of.source != flow->source_id) return failed("the source has changed meanwhile; begin again");
  if (!answer.issuer.empty() && answer.issuer != source->settings.at.issuer) return failed("the answer is of another issuer");
  if (flow->link && flow->link != answer.signed_in) return failed("the account that was to be linked is not signed in any more");
  auto claims = redeemed(*source, *flow, answer.code, deadline);
  if (!claims) return fail(claims.error());
  auto done =
      answer.tenant ? user_login(*source, *flow, std::move(*claims), session, actor) : account_login(*flow, *claims, session, actor);
  if (done)
    log::info("issuer.signed_in", {{"tenant", tenant}, {"issuer", source->settings.at.issuer}, log::field("linked", !done->session)});
  return done;
}

}  // namespace rosterd::issuers
