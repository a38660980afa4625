#include "connectors/oidc/jwt/claims.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <cmath>

#include "connectors/oidc/jwt/base64url.hpp"
#include "schema/core/hash.hpp"
#include "schema/core/text.hpp"

namespace rosterd::jwt {
namespace {

using nlohmann::json;

constexpr std::size_t kMostSubject = 255;
constexpr std::size_t kMostGroups = 2000, kMostGroupName = 1024;
constexpr double kLastSecond = 253402300799.0;  // the end of the year 9999

tl::unexpected<Error> refuse(std::string_view slug, std::string_view what) {
  return fail_as(slug, Errc::Unauthorized, "the token {}", what);
}

std::optional<std::string> text_of(const json& claims, const std::string& name) {
  const auto found = claims.find(name);
  if (found == claims.end() || !found->is_string()) return std::nullopt;
  return found->get<std::string>();
}

/// A NumericDate (RFC 7519 §2); none when it is absent. A text is none, even one of digits.
Result<std::optional<TimePoint>> time_of(const json& claims, const char* name) {
  const auto found = claims.find(name);
  if (found == claims.end()) return std::nullopt;
  const double seconds = found->is_number() ? found->get<double>() : -1;
  if (!(seconds >= 0 && seconds <= kLastSecond)) return refuse("wrong_claims", fmt::format("has an {} that is no time", name));
  return TimePoint(std::chrono::microseconds(std::llround(seconds * 1e6)));
}

/// `aud` as a list; nothing for what is neither a text nor a list of texts.
std::vector<std::string> audiences_of(const json& claims) {
  const auto found = claims.find("aud");
  if (found == claims.end()) return {};
  if (found->is_string()) return {found->get<std::string>()};
  std::vector<std::string> out;
  if (!found->is_array()) return {};
  for (const auto& one : *found) {
    if (!one.is_string()) return {};
    out.push_back(one.get<std::string>());
  }
  return out;
}

template <class List, class Value>
bool holds(const List& list, const Value& value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return (x >= 'A' && x <= 'Z' ? x + 32 : x) == (y >= 'A' && y <= 'Z' ? y + 32 : y); });
}

/// exp, nbf, iat.
Result<TimePoint> in_time(const json& claims, const Policy& policy, TimePoint now) {
  const auto skew = std::clamp(policy.skew, Seconds{0}, kMostSkew);
  const auto expires = time_of(claims, "exp"), begins = time_of(claims, "nbf"), issued = time_of(claims, "iat");
  for (const auto* one : {&expires, &begins, &issued})
    if (!*one) return fail(one->error());
  const auto &exp = *expires, &nbf = *begins, &iat = *issued;
  if (!exp) return refuse("wrong_claims", "has no exp");
  if (now >= *exp + skew) return refuse("expired", "has expired");
  if (nbf && *nbf > now + skew) return refuse("not_yet_valid", "is not valid yet (nbf)");
  if (iat && *iat > now + skew) return refuse("not_yet_valid", "was issued in the future (iat)");
  return *exp;
}

/// What holds for every token of an issuer.
Result<Claims> judge_common(json claims, const Policy& policy, TimePoint now) {
  const auto issuer = text_of(claims, "iss");
  if (!issuer || policy.issuer.empty() || *issuer != policy.issuer) return refuse("wrong_issuer", "is of another issuer");
  const auto expires = in_time(claims, policy, now);
  if (!expires) return fail(expires.error());
  auto subject = text_of(claims, policy.subject_claim);
  if (!subject || subject->empty() || subject->size() > kMostSubject || has_control_characters(*subject))
    return refuse("wrong_claims", "names no subject");
  return Claims{.issuer = *issuer, .subject = std::move(*subject), .expires_at = *expires, .all = std::move(claims)};
}

/// `azp` (OpenID), `client_id` (RFC 9068) and `appid` (Entra v1) all say to whom the token was given; those that are there agree.
Result<std::optional<std::string>> client_of(const json& claims) {
  std::optional<std::string> client;
  for (const char* name : {"azp", "client_id", "appid"}) {
    if (!claims.contains(name)) continue;
    const auto one = text_of(claims, name);
    if (!one || one->empty() || (client && *client != *one)) return refuse("wrong_client", "names its client twice or wrongly");
    client = one;
  }
  return client;
}

Result<void> right_type(const Jws& jws, TokenType type) {
  const auto has = [&](std::string_view wanted) { return jws.typ && equals_ignoring_case(*jws.typ, wanted); };
  bool right = false;
  switch (type) {
    case TokenType::Rfc9068:
      right = has("at+jwt") || has("application/at+jwt");
      break;
    case TokenType::Jwt:
      right = has("JWT");
      break;
    case TokenType::Absent:
      right = !jws.typ;
      break;
  }
  if (!right) return refuse("wrong_type", "is of another type (typ)");
  return {};
}

/// Where the header does not tell access tokens from others, claims that only the others have do.
Result<void> no_other_kind(const json& claims) {
  for (const char* name : {"nonce", "at_hash", "c_hash", "s_hash", "events"})  // ID tokens; logout and security event tokens
    if (claims.contains(name)) return refuse("not_an_access_token", fmt::format("is no access token (it has {})", name));
  if (const auto kind = claims.find("typ"); kind != claims.end() && *kind != "Bearer" && *kind != "DPoP")  // Keycloak
    return refuse("not_an_access_token", "is no access token (by its claim typ)");
  if (const auto use = claims.find("token_use"); use != claims.end() && *use != "access")  // Cognito
    return refuse("not_an_access_token", "is no access token (by its claim token_use)");
  // RFC 7800, RFC 9449: bound to a key that whoever sent it has not shown.
  if (claims.contains("cnf"))
    return refuse("not_an_access_token", "is bound to a key of its client (cnf), and rosterd takes bearer tokens");
  return {};
}

bool is_of_client(const json& claims, const Claims& out, const std::optional<std::string>& client) {
  const auto is = [&](const char* name, std::string_view value) { return text_of(claims, name) == std::optional<std::string>(value); };
  const auto sub = text_of(claims, "sub");
  return (client && (out.subject == *client || sub == client)) || is("idtyp", "app") || is("gty", "client-credentials") ||
         text_of(claims, "preferred_username").value_or("").starts_with("service-account-") || !sub;
}

/// The left half of the access token's hash (OpenID Connect Core §3.1.3.6).
std::string half_hash(std::string_view text, Algorithm algorithm) {
  const EVP_MD* digest = EVP_sha256();
  if (algorithm == Algorithm::RS384 || algorithm == Algorithm::PS384 || algorithm == Algorithm::ES384) digest = EVP_sha384();
  if (algorithm == Algorithm::RS512 || algorithm == Algorithm::PS512 || algorithm == Algorithm::EdDSA) digest = EVP_sha512();
  std::string hash(EVP_MAX_MD_SIZE, '\0');
  unsigned size = 0;
  if (EVP_Digest(text.data(), text.size(), reinterpret_cast<unsigned char*>(hash.data()), &size, digest, nullptr) != 1) return {};
  return base64url_encode(std::string_view(hash).substr(0, size / 2));
}

}  // namespace

std::optional<std::string> claimed_issuer(const json& claims) { return text_of(claims, "iss"); }

Result<Claims> judge_access_token(const Jws& jws, json claims, const Policy& policy, TimePoint now) {
  auto out = judge_common(std::move(claims), policy, now);
  if (!out) return out;
  const auto& all = out->all;
  const auto audiences = audiences_of(all);
  if (std::none_of(audiences.begin(), audiences.end(), [&](const std::string& one) { return holds(policy.audiences, one); }))
    return refuse("wrong_audience", "is for another audience");
  const auto client = client_of(all);
  if (!client) return fail(client.error());
  if (const auto& id = *client; !policy.clients.empty() && (!id || !holds(policy.clients, *id)))
    return refuse("wrong_client", "was given to a client that is not allowed");
  if (const auto right = right_type(jws, policy.type); !right) return fail(right.error());
  if (const auto right = no_other_kind(all); !right) return fail(right.error());
  if (policy.type == TokenType::Rfc9068)
    for (const char* name : {"sub", "client_id", "iat", "jti"})
      if (!all.contains(name)) return refuse("wrong_claims", fmt::format("has no {}, which RFC 9068 requires", name));
  out->of_client = is_of_client(all, *out, *client);
  return out;
}

Result<Claims> judge_id_token(const Jws& jws, json claims, const Policy& policy, const IdTokenRules& rules, TimePoint now) {
  auto out = judge_common(std::move(claims), policy, now);
  if (!out) return out;
  const auto& all = out->all;
  if (jws.typ && !equals_ignoring_case(*jws.typ, "JWT")) return refuse("wrong_type", "is no ID token (typ)");
  const auto audiences = audiences_of(all);
  if (rules.client_id.empty() || !holds(audiences, rules.client_id)) return refuse("wrong_audience", "is for another client");
  // More audiences than the client are trusted by nobody here, and azp says whose it is (OpenID Connect Core §3.1.3.7 3-5).
  if (audiences.size() > 1 && !all.contains("azp")) return refuse("wrong_client", "has several audiences and no azp");
  if (all.contains("azp") && text_of(all, "azp") != rules.client_id) return refuse("wrong_client", "was given to another client (azp)");
  if (const auto nonce = text_of(all, "nonce"); rules.nonce.empty() || !nonce || !equal_secret(*nonce, rules.nonce))
    return refuse("wrong_nonce", "belongs to another sign-in (nonce)");
  if (const auto kind = all.find("typ"); kind != all.end() && *kind != "ID")
    return refuse("wrong_type", "is no ID token (by its claim typ)");
  if (all.contains("events")) return refuse("wrong_type", "is no ID token (it has events)");
  if (!all.contains("iat")) return refuse("wrong_claims", "has no iat");
  if (all.contains("at_hash") && (rules.access_token.empty() || text_of(all, "at_hash") != half_hash(rules.access_token, jws.algorithm)))
    return refuse("wrong_claims", "belongs to another access token (at_hash)");
  return out;
}

GroupsClaim groups_of(const Claims& claims, const std::string& name) {
  if (name.empty()) return {};
  const auto& all = claims.all;
  const auto names = all.find("_claim_names");
  if (names != all.end() && (!names->is_object() || names->contains(name))) return {.state = GroupsClaim::State::Overage, .values = {}};
  // A boolean in JWTs, a text in some implicit flows.
  if (const auto more = all.find("hasgroups"); more != all.end() && *more != false && *more != "false")
    return {.state = GroupsClaim::State::Overage, .values = {}};
  const auto found = all.find(name);
  if (found == all.end() || !found->is_array() || found->size() > kMostGroups) return {};
  GroupsClaim out{.state = GroupsClaim::State::Listed, .values = {}};
  for (const auto& one : *found) {
    if (!one.is_string() || one.get_ref<const std::string&>().size() > kMostGroupName) return {};
    out.values.push_back(one.get<std::string>());
  }
  std::sort(out.values.begin(), out.values.end());
  out.values.erase(std::unique(out.values.begin(), out.values.end()), out.values.end());
  return out;
}

}  // namespace rosterd::jwt
