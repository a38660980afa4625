#include "daemon/http/token.hpp"

#include "schema/core/hash.hpp"

namespace rosterd::http {
namespace {

constexpr std::size_t kPrefix = 4;
constexpr std::string_view kAlphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
constexpr std::size_t kRandom = 30, kChecksum = 6, kLength = kPrefix + kRandom + kChecksum;

constexpr std::string_view prefix_of(SecretKind kind) {
  switch (kind) {
    case SecretKind::Token:
      return "rst_";
    case SecretKind::Session:
      return "rss_";
    case SecretKind::Invitation:
      return "rsi_";
  }
  return "";
}

std::string checksum(std::string_view text) {
  auto rest = crc32(text);
  std::string out(kChecksum, '0');
  for (std::size_t i = kChecksum; i-- > 0; rest /= 62) out[i] = kAlphabet[rest % 62];
  return out;
}

}  // namespace

std::string make_token(SecretKind kind) {
  std::string token(prefix_of(kind));
  for (std::size_t i = 0; i < kRandom; ++i) token.push_back(kAlphabet[random_below(62)]);
  return token + checksum(token);
}

bool plausible(std::string_view token, SecretKind kind) {
  if (token.size() != kLength || !token.starts_with(prefix_of(kind))) return false;
  if (token.substr(kPrefix).find_first_not_of(kAlphabet) != std::string_view::npos) return false;
  return token.substr(kLength - kChecksum) == checksum(token.substr(0, kLength - kChecksum));
}

std::string token_hash(std::string_view token, std::string_view pepper) {
  const auto hash = pepper.empty() ? sha256(token) : hmac_sha256(pepper, token);
  return {reinterpret_cast<const char*>(hash.data()), hash.size()};
}

}  // namespace rosterd::http
