#include "daemon/http/page_token.hpp"

#include <charconv>

#include "schema/core/hash.hpp"

namespace rosterd::http {
namespace {

constexpr std::size_t kSeal = 32;  // hex digits: 128 bits

std::string seal(std::string_view pepper, std::string_view place, std::string_view question) {
  const auto mac = hmac_sha256(pepper, fmt::format("page {}\n{}", place, question));
  return hex(mac).substr(0, kSeal);
}

}  // namespace

// "SEAL.7.1042.MICROS.POSITION"; the position may hold dots.
std::string page_token(std::string_view pepper, const PagePlace& place, std::string_view question) {
  const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(place.at.time_since_epoch()).count();
  const auto rest = fmt::format("{}.{}.{}", text(place.revision), micros, place.position);
  return seal(pepper, rest, question) + "." + rest;
}

Result<PagePlace> read_page_token(std::string_view pepper, std::string_view token, std::string_view question) {
  const auto foreign = [] { return fail(Errc::InvalidInput, "the page token is not one that rosterd gave for this question"); };
  if (token.size() <= kSeal || token.size() > 1024 || token[kSeal] != '.') return foreign();
  auto rest = token.substr(kSeal + 1);
  if (!equal_secret(token.substr(0, kSeal), seal(pepper, rest, question))) return foreign();
  const auto epoch_end = rest.find('.');
  const auto number_end = epoch_end == std::string_view::npos ? epoch_end : rest.find('.', epoch_end + 1);
  const auto micros_end = number_end == std::string_view::npos ? number_end : rest.find('.', number_end + 1);
  if (micros_end == std::string_view::npos) return foreign();
  const auto revision = parse_revision(rest.substr(0, number_end));
  std::int64_t micros = 0;
  const auto [end, error] = std::from_chars(rest.data() + number_end + 1, rest.data() + micros_end, micros);
  if (!revision || error != std::errc{} || end != rest.data() + micros_end) return foreign();
  return PagePlace{
      .revision = *revision, .at = TimePoint(std::chrono::microseconds(micros)), .position = std::string(rest.substr(micros_end + 1))};
}

}  // namespace rosterd::http
