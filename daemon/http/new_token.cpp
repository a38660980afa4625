#include "daemon/http/new_token.hpp"

#include <charconv>

#include "daemon/http/render.hpp"
#include "daemon/http/token.hpp"
#include "schema/core/text.hpp"

namespace rosterd::http {
namespace {

constexpr Millis kLongest{3650LL * 24 * 3600 * 1000};

/// "P30D", "PT12H", "P1W", "P1DT12H" of ISO 8601; years and months have no fixed length and are refused.
std::optional<Millis> iso_duration(std::string_view text) {
  if (!text.starts_with('P')) return std::nullopt;
  text.remove_prefix(1);
  std::int64_t seconds = 0;
  bool time = false, any = false;  // `any`: since the last T, so that "P1DT" is refused like "P"
  while (!text.empty()) {
    if (text.front() == 'T' && !time) {
      time = true;
      any = false;
      text.remove_prefix(1);
      continue;
    }
    std::uint32_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || number > 1'000'000'000 || end == text.data() + text.size()) return std::nullopt;
    const char unit = *end;
    const std::int64_t length = !time && unit == 'W'   ? 604800
                                : !time && unit == 'D' ? 86400
                                : time && unit == 'H'  ? 3600
                                : time && unit == 'M'  ? 60
                                : time && unit == 'S'  ? 1
                                                       : 0;
    if (length == 0) return std::nullopt;
    seconds += number * length;
    any = true;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()) + 1);
  }
  if (!any) return std::nullopt;
  return Millis(seconds * 1000);
}

Result<Millis> parse_age(std::string_view text) {
  auto length = iso_duration(text);
  if (!length)
    if (const auto plain = parse_duration(text)) length = *plain;
  if (!length || *length < Millis(1000) || *length > kLongest)
    return fail(Errc::InvalidInput, "must be a duration from 1s to 3650d, such as \"90d\" or \"P90D\"");
  return *length;
}

}  // namespace

Result<MadeToken> parse_new_token(Call& call) {
  auto fields = Fields::of(call.request.body);
  if (!fields) return fail(fields.error());
  MadeToken out{.token = {.name = fields->text("name"), .hash = {}, .last4 = {}, .expires_at = {}}, .secret = {}};
  auto& token = out.token;
  token.description = fields->optional_text("description", 1024).value_or("");
  token.sliding = fields->flag("sliding").value_or(false);
  const auto most = call.app.options.max_token_age;
  if (const auto age = fields->optional_text("max_age", 32)) {
    const auto length = parse_age(*age);
    if (!length)
      fields->problem("max_age", length.error().what);
    else if (most && *length > *most)
      fields->problem("max_age", fmt::format("must be at most {} here (server.max_token_age)", duration_text(*most)));
    else
      token.max_age = *length;
  } else if (most) {
    fields->problem("max_age", fmt::format("is needed: tokens live at most {} here (server.max_token_age)", duration_text(*most)));
  } else if (token.sliding) {
    fields->problem("sliding", "needs a max_age, which every use starts anew");
  }
  if (const auto valid = fields->done(); !valid) return fail(valid.error());
  if (token.max_age) token.expires_at = call.app.services.clock.now() + *token.max_age;
  out.secret = make_token();
  token.hash = token_hash(out.secret, call.app.services.token_pepper);
  token.last4 = out.secret.substr(out.secret.size() - 4);
  return out;
}

Reply token_reply(const TokenInfo& token, const std::string& secret, const std::string& list) {
  auto body = to_json(token);
  body["token"] = secret;  // this once (R56)
  auto answer = reply(201, body);
  answer.headers.emplace_back("Location", fmt::format("{}/{}", list, text(token.id)));
  answer.headers.emplace_back("Cache-Control", "no-store");
  return answer;
}

}  // namespace rosterd::http
