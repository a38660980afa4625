#include "connectors/oidc/jwt/jws.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "connectors/oidc/jwt/base64url.hpp"
#include "connectors/oidc/jwt/strict_json.hpp"
#include "schema/core/text.hpp"

namespace rosterd::jwt {
namespace {

using nlohmann::json;

constexpr std::size_t kMostKid = 512, kMostTyp = 64;

struct NameRow {
  Algorithm algorithm;
  std::string_view name;
};
constexpr NameRow kNames[] = {
    {Algorithm::RS256, "RS256"}, {Algorithm::RS384, "RS384"}, {Algorithm::RS512, "RS512"},
    {Algorithm::PS256, "PS256"}, {Algorithm::PS384, "PS384"}, {Algorithm::PS512, "PS512"},
    {Algorithm::ES256, "ES256"}, {Algorithm::ES384, "ES384"}, {Algorithm::EdDSA, "EdDSA"},
};

tl::unexpected<Error> malformed(std::string_view what) {
  return fail_as("malformed_token", Errc::Unauthorized, "the token is malformed: {}", what);
}

/// A text of the header; absent is fine, anything but a short text is not.
Result<std::optional<std::string>> header_text(const json& header, const char* name, std::size_t most) {
  const auto found = header.find(name);
  if (found == header.end()) return std::nullopt;
  if (!found->is_string()) return malformed(fmt::format("{} is no text", name));
  const auto& value = found->get_ref<const std::string&>();
  if (value.empty() || value.size() > most || has_control_characters(value)) return malformed(fmt::format("{} is no such text", name));
  return value;
}

bool is_jwt(std::string_view text) { return text.size() == 3 && (text[0] | 32) == 'j' && (text[1] | 32) == 'w' && (text[2] | 32) == 't'; }

/// What would change the meaning of the rest, and what we do not speak.
Result<void> no_extensions(const json& header) {
  if (header.contains("crit")) return malformed("it demands extensions (crit)");
  if (header.contains("b64")) return malformed("its payload is not encoded (b64)");
  if (header.contains("enc") || header.contains("zip")) return malformed("it is encrypted or compressed");
  if (const auto cty = header.find("cty"); cty != header.end())
    if (!cty->is_string() || is_jwt(cty->get_ref<const std::string&>())) return malformed("it wraps another token (cty)");
  return {};
}

}  // namespace

std::optional<Algorithm> parse_algorithm(std::string_view name) {
  for (const auto& row : kNames)
    if (row.name == name) return row.algorithm;
  return std::nullopt;
}

std::string_view text(Algorithm algorithm) {
  for (const auto& row : kNames)
    if (row.algorithm == algorithm) return row.name;
  return "";
}

bool looks_like_jws(std::string_view token) {
  return std::count(token.begin(), token.end(), '.') == 2 && token.starts_with("ey") && std::all_of(token.begin(), token.end(), [](char c) {
           return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
         });
}

Result<Jws> take_apart(std::string_view token) {
  if (token.size() > kMostToken) return malformed("it is too long");
  const auto first = token.find('.');
  const auto second = first == std::string_view::npos ? first : token.find('.', first + 1);
  if (second == std::string_view::npos || token.find('.', second + 1) != std::string_view::npos) return malformed("it has not three parts");
  const auto header_text_bytes = base64url_decode(token.substr(0, first));
  auto payload = base64url_decode(token.substr(first + 1, second - first - 1));
  auto signature = base64url_decode(token.substr(second + 1));
  if (!header_text_bytes || !payload || !signature) return malformed("a part is not base64url");
  const auto header = parse_object(*header_text_bytes);
  if (!header) return malformed("its header: " + header.error().what);
  if (const auto plain = no_extensions(*header); !plain) return fail(plain.error());
  const auto alg = header->find("alg");
  if (alg == header->end() || !alg->is_string()) return malformed("it names no algorithm");
  const auto algorithm = parse_algorithm(alg->get_ref<const std::string&>());
  if (!algorithm) return fail_as("algorithm_not_allowed", Errc::Unauthorized, "the token's algorithm is none that is ever allowed");
  auto kid = header_text(*header, "kid", kMostKid);
  if (!kid) return fail(kid.error());
  auto typ = header_text(*header, "typ", kMostTyp);
  if (!typ) return fail(typ.error());
  if (signature->empty()) return fail_as("bad_signature", Errc::Unauthorized, "the token has no signature");
  return Jws{.algorithm = *algorithm,
             .kid = std::move(*kid),
             .typ = std::move(*typ),
             .signed_part = std::string(token.substr(0, second)),
             .payload = std::move(*payload),
             .signature = std::move(*signature)};
}

}  // namespace rosterd::jwt
