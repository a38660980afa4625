// Tokens and key sets. The first line of an input is a JWK set, or empty for the fuzzed issuer's own; the rest is a token, or, where it
// begins with '{', the claims of one that the issuer has signed.

#include "connectors/oidc/jwt/base64url.hpp"
#include "connectors/oidc/jwt/strict_json.hpp"
#include "connectors/oidc/jwt/verify.hpp"
#include "tests/fuzz/target.hpp"
#include "tests/jwt/signing_key.hpp"

namespace rosterd::fuzz {
namespace {

using namespace jwt;

constexpr std::int64_t kNow = 1'800'000'000;
const TimePoint now{std::chrono::seconds(kNow)};

const test::SigningKey& issuer_key() {
  static const auto key = test::SigningKey::ed25519("ed");
  return key;
}
const Policy& policy() {
  static const Policy made{.issuer = "https://idp.example",
                           .audiences = {"rosterd"},
                           .algorithms = {Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::EdDSA}};
  return made;
}

void texts(std::string_view input) {
  if (const auto bytes = base64url_decode(input))
    require(base64url_encode(*bytes) == input, "base64url means one thing in one spelling", input);
  require(base64url_decode(base64url_encode(input)) == input, "base64url goes round", input);
  if (const auto object = parse_object(input)) {
    require(object->is_object() && nlohmann::json::accept(input), "strict JSON is JSON", input);
    const auto again = parse_object(object->dump());
    require(again && *again == *object, "strict JSON goes round", input);
  }
}

void token_of_anybody(std::string_view text, const KeySet& keys) {
  const auto token = read(text);
  if (!token) {
    require(token.error().code == Errc::Unauthorized, "a bad token is nobody's", text);
    return;
  }
  require(looks_like_jws(text) || !text.starts_with("ey"), "what is read looks like a token", text);
  require(keys.candidates(token->jws).size() <= kMostTried, "a token makes us try few keys", text);
  const auto claims = verify(text, policy(), keys, now);
  if (!claims) {
    require(claims.error().code == Errc::Unauthorized && !claims.error().slug.empty(), "a refusal has a reason", text);
    return;
  }
  require(claims->issuer == policy().issuer && claims->expires_at + kMostSkew > now, "what is accepted is of the issuer and lives", text);
  require(!claims->subject.empty(), "what is accepted is of somebody", text);
  // Any change of a character that means something ends it.
  auto changed = std::string(text);
  changed[changed.find('.') + 1] ^= 1;
  require(!verify(changed, policy(), keys, now), "a changed token is refused", text);
}

void claims_of_the_issuer(std::string_view payload, const KeySet& keys) {
  const auto text = issuer_key().token_of_texts("EdDSA", R"({"alg":"EdDSA","kid":"ed","typ":"at+jwt"})", payload);
  token_of_anybody(text, keys);
  const auto claims = verify(text, policy(), keys, now);
  if (claims) {
    const auto groups = groups_of(*claims, "groups");
    require(groups.state == GroupsClaim::State::Listed || groups.values.empty(), "who lists no groups names none", payload);
    if (claims->all.contains("_claim_names") && claims->all["_claim_names"].contains("groups"))
      require(groups.state == GroupsClaim::State::Overage, "too many are not none", payload);
  }
  const IdTokenRules rules{.client_id = "rosterd", .nonce = "n"};
  require(!claims || !verify_id_token(text, policy(), rules, keys, now), "no token is of both kinds", payload);
}

void one_input(std::string_view input) {
  static const auto own = parse_key_set(issuer_key().key_set());
  const auto end = input.find('\n');
  const auto first = input.substr(0, end);
  const auto rest = end == std::string_view::npos ? std::string_view{} : input.substr(end + 1);
  texts(first);
  texts(rest);
  const auto set = parse_key_set(first);
  if (set)
    for (const auto& key : set->keys) {
      require(key.same_material(key), "a key is itself", first);
      require(!key.has_signed(Algorithm::ES256, rest, std::string(64, '\0')), "nobody signs with zeros", first);
    }
  require(own.has_value(), "the issuer has a key");
  const auto& keys = set ? *set : *own;
  if (rest.starts_with('{'))
    claims_of_the_issuer(rest, *own);
  else
    token_of_anybody(rest, keys);
}

}  // namespace
}  // namespace rosterd::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  rosterd::fuzz::one_input(rosterd::fuzz::text_of(data, size));
  return 0;
}
