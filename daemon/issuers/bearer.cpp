// A bearer's JWT. What it says is believed for a minute at most, and no longer than the token lives, its keys are the issuer's and its
// sources are as they were; who that is, is asked of the store each time the request's own short cache asks here.

#include <algorithm>

#include "daemon/issuers/parts.hpp"

namespace rosterd::issuers {
namespace {

constexpr auto kBelieved = std::chrono::seconds(60);
constexpr std::size_t kMostTokens = 20'000;

Error refusal(std::string_view slug, std::string_view what) {
  return {.code = Errc::Unauthorized, .what = std::string(what), .slug = std::string(slug)};
}

}  // namespace

bool Parts::keys_are_current(const Verified& verified) {
  return std::all_of(verified.keys.begin(), verified.keys.end(),
                     [&](const auto& used) { return keys_.generation(used.first) == used.second; });
}

Result<VerifiedPtr> Parts::verify(std::string_view text, Deadline deadline) {
  auto token = jwt::read(text);
  if (!token) {
    refuse("", token.error());
    return nullptr;
  }
  const auto sources = sources_of(token->claimed_issuer);
  if (!sources) return fail(sources.error());
  const bool for_accounts = instance_ && instance_->at.issuer == token->claimed_issuer && !instance_->policy.audiences.empty();
  if ((*sources)->empty() && !for_accounts) {
    refuse(token->claimed_issuer, refusal("unknown_issuer", "nobody signs in through this issuer"));
    return nullptr;
  }
  const auto now = clock_.now();
  auto out = std::make_shared<Verified>();
  out->issuer = token->claimed_issuer;
  out->expires_at = TimePoint::max();
  out->believed_until = Steady::now() + kBelieved;
  Error last = refusal("wrong_audience", "the token is for nobody here");
  std::optional<Error> fault;
  // The signature is looked at once for each way to the issuer's keys, however many tenants share the issuer.
  std::map<std::pair<connectors::oidc::IssuerAt, std::vector<jwt::Algorithm>>, Result<void>> signatures;
  const auto is_signed = [&](const SignInSettings& settings) -> Result<void> {
    const auto known = signatures.find({settings.at, settings.policy.algorithms});
    if (known != signatures.end()) return known->second;
    const auto judge = [&]() -> Result<void> {
      auto keys = keys_.keys(settings.at, deadline);
      if (!keys) return fail(keys.error());
      auto good = jwt::check_signature(token->jws, settings.policy.algorithms, *keys->set);
      if (!good && good.error().slug == "unknown_key") {
        const auto newer = keys_.newer_keys(settings.at, keys->generation, deadline);
        if (!newer) return fail(newer.error());
        if (newer->generation != keys->generation) {
          keys = *newer;
          good = jwt::check_signature(token->jws, settings.policy.algorithms, *keys->set);
        }
      }
      if (good) out->keys.emplace_back(settings.at, keys->generation);
      return good;
    };
    return signatures.emplace(std::pair(settings.at, settings.policy.algorithms), judge()).first->second;
  };
  const auto judged = [&](const SignInSettings& settings) -> std::optional<jwt::Claims> {
    auto good = is_signed(settings);
    auto claims = good ? jwt::judge_access_token(token->jws, token->claims, settings.policy, now) : Result<jwt::Claims>(fail(good.error()));
    if (claims && claims->of_client && !settings.clients_too)
      claims = fail(refusal("client_token", "the token is a client's own, not a person's (subject_kinds)"));
    if (claims) {
      out->expires_at = std::min(out->expires_at, claims->expires_at + settings.policy.skew);
      return std::move(*claims);
    }
    if (claims.error().code == Errc::Unavailable)
      fault = claims.error();
    else
      last = claims.error();
    return std::nullopt;
  };
  if (for_accounts)
    if (auto claims = judged(*instance_)) out->account_subject = claims->subject;
  for (const auto& source : **sources)
    if (auto claims = judged(source.settings)) out->in.push_back({.source = source, .claims = std::move(*claims)});
  if (!out->account_subject && out->in.empty()) {
    if (fault) return fail(*fault);
    refuse(token->claimed_issuer, last);
    return nullptr;
  }
  return out;
}

/// `anew`: it was verified just now.
Result<VerifiedPtr> Parts::verified(std::string_view token, Deadline deadline, bool& anew) {
  const auto key = sha256(token);
  anew = false;
  auto known = tokens_.with([&](auto& all) -> VerifiedPtr {
    const auto found = all.find(key);
    return found == all.end() ? nullptr : found->second;
  });
  if (known && Steady::now() < known->believed_until && clock_.now() < known->expires_at && keys_are_current(*known)) return known;
  auto made = verify(token, deadline);
  if (!made) return fail(made.error());
  anew = *made != nullptr;
  tokens_.with([&](auto& all) {
    if (!*made) {
      all.erase(key);
      return;
    }
    if (all.size() >= kMostTokens) all.clear();  // bounded; what is asked for again is verified again
    all[key] = *made;
  });
  return made;
}

Result<std::optional<Caller>> Parts::account_caller(const Verified& verified) {
  auto account = store_.account_of_identity(verified.issuer, *verified.account_subject);
  if (!account) return fail(account.error());
  if (!*account) return std::nullopt;
  Caller out;
  out.account = std::move(**account);
  out.issuer = verified.issuer;
  out.expires_at = verified.expires_at;
  return out;
}

/// `stale`: a source is not any more as it was when the token was judged.
Result<std::optional<Caller>> Parts::user_caller(const Verified& verified, bool anew, bool& stale) {
  std::vector<AskedSubject> asked;
  for (const auto& one : verified.in)
    asked.push_back({.source = one.source.of.source, .version = one.source.of.version, .subject = one.claims.subject});
  const auto found = store_.issuer_users(asked);
  if (!found) return fail(found.error());
  stale = found->size() != asked.size();
  if (stale) return std::nullopt;
  Caller out;
  out.issuer = verified.issuer;
  out.expires_at = verified.expires_at;
  bool suspended = false;
  for (const auto& one : *found) {
    const auto who =
        std::find_if(verified.in.begin(), verified.in.end(), [&](const Vouched& v) { return v.source.of.source == one.source; });
    if (who == verified.in.end()) continue;
    if (one.user && !one.active) {
      suspended = true;
      continue;
    }
    const bool joins =
        !one.user && who->source.settings.unknown_people == connectors::oidc::UnknownPeople::Create && !who->claims.of_client;
    if (!one.user && !joins) continue;
    if (one.user && anew) {
      Actor actor;
      actor.by = "issuer " + verified.issuer;
      if (const auto done = refresh_groups(*who, one.user, actor); !done) return fail(done.error());
    }
    out.users.push_back({.tenant = one.tenant, .id = one.user, .name = one.username, .source = one.source});
  }
  if (!out.users.empty()) return out;
  refuse(verified.issuer,
         suspended ? refusal("suspended", "the user is suspended") : refusal("unknown_subject", "no source knows the subject"));
  return std::nullopt;
}

Result<std::optional<Caller>> Parts::identify(std::string_view token, Deadline deadline) {
  for (int tries = 0; tries < 2; ++tries) {
    bool anew = false, stale = false;
    const auto good = verified(token, deadline, anew);
    if (!good) return fail(good.error());
    if (!*good) return std::nullopt;
    if ((*good)->account_subject) {
      auto account = account_caller(**good);
      if (!account) return fail(account.error());
      if (*account) return account;
      if ((*good)->in.empty()) {
        refuse((*good)->issuer, refusal("unknown_subject", "no account has this identity"));
        return std::nullopt;
      }
    }
    auto user = user_caller(**good, anew, stale);
    if (!stale) return user;
    tokens_.with([&](auto& all) { all.erase(sha256(token)); });
    known_.with([&](auto& all) { all.erase((*good)->issuer); });
  }
  return std::nullopt;  // its sources change while we look: the next request finds them at rest
}

Result<std::optional<http::Joined>> Parts::join(std::string_view token, const TenantId& tenant, const Actor& actor, Deadline deadline) {
  bool anew = false;
  const auto good = verified(token, deadline, anew);
  if (!good) return fail(good.error());
  if (!*good) return std::nullopt;
  for (const auto& who : (*good)->in) {
    if (who.source.of.tenant != tenant || who.claims.of_client ||
        who.source.settings.unknown_people != connectors::oidc::UnknownPeople::Create)
      continue;
    auto made = make_user(who, actor);
    if (!made && made.error().slug == "stale_version") return std::nullopt;  // the next request judges the token anew
    if (!made) return fail(made.error());
    if (!made->user.id) return std::nullopt;
    if (const auto done = refresh_groups(who, made->user.id, actor); !done) return fail(done.error());
    return std::move(*made);
  }
  return std::nullopt;
}

}  // namespace rosterd::issuers
