#include "daemon/http/token.hpp"

#include "schema/core/hash.hpp"

namespace rosterd::http {
namespace {

constexpr std::string_view kPrefix = "rst_";
constexpr std::string_view kAlphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
constexpr std::size_t kRandom = 30, kChecksum = 6, kLength = 4 + kRandom + kChecksum;

std::string checksum(std::string_view text) {
  auto rest = crc32(text);
  std::string out(kChecksum, '0');
  for (std::size_t i = kChecksum; i-- > 0; rest /= 62) out[i] = kAlphabet[rest % 62];
  return out;
}

}  // namespace

std::string make_token() {
  std::string token(kPrefix);
  for (std::size_t i = 0; i < kRandom; ++i) token.push_back(kAlphabet[random_below(62)]);
  return token + checksum(token);
}

bool plausible(std::string_view token) {
  if (token.size() != kLength || !token.starts_with(kPrefix)) return false;
  if (token.substr(kPrefix.size()).find_first_not_of(kAlphabet) != std::string_view::npos) return false;
  return token.substr(kLength - kChecksum) == checksum(token.substr(0, kLength - kChecksum));
}

std::string token_hash(std::string_view token, std::string_view pepper) {
  const auto hash = pepper.empty() ? sha256(token) : hmac_sha256(pepper, token);
  return {reinterpret_cast<const char*>(hash.data()), hash.size()};
}

}  // namespace rosterd::http
