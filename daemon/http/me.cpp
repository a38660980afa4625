#include <charconv>

#include "daemon/http/handlers.hpp"
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

}  // namespace

Result<Reply> me(Call& call) {
  auto body = to_json(call.caller->account);
  body["token"] = {{"id", text(call.caller->token)}, {"name", call.caller->token_name}};
  return ok(body);
}

Result<Reply> list_tokens(Call& call) {
  const auto tokens = call.store().tokens(call.caller->account.id);
  if (!tokens) return fail(tokens.error());
  auto items = nlohmann::json::array();
  for (const auto& token : *tokens) items.push_back(to_json(token));
  return ok(list(std::move(items)));
}

Result<Reply> create_token(Call& call) {
  auto fields = Fields::of(call.request.body);
  if (!fields) return fail(fields.error());
  NewToken token{.name = fields->text("name"), .hash = {}, .last4 = {}, .expires_at = {}};
  if (const auto age = fields->optional_text("max_age", 32)) {
    auto length = iso_duration(*age);
    if (!length)
      if (const auto plain = parse_duration(*age)) length = *plain;
    if (!length || *length < Millis(1000) || *length > kLongest)
      fields->problem("max_age", "must be a duration from 1s to 3650d, such as \"90d\" or \"P90D\"");
    else
      token.expires_at = call.app.services.clock.now() + *length;
  }
  if (fields->flag("sliding").value_or(false)) fields->problem("sliding", "sliding tokens are not available in this release");
  if (const auto valid = fields->done(); !valid) return fail(valid.error());
  const auto secret = make_token();
  token.hash = token_hash(secret, call.app.services.token_pepper);
  token.last4 = secret.substr(secret.size() - 4);
  const auto made = call.store().create_token(call.caller->account.id, token, call.actor());
  if (!made) return fail(made.error());
  auto body = to_json(*made);
  body["token"] = secret;  // this once (R56)
  auto answer = reply(201, body);
  answer.headers.emplace_back("Location", "/v1/me/tokens/" + text(made->id));
  answer.headers.emplace_back("Cache-Control", "no-store");
  return answer;
}

Result<Reply> revoke_token(Call& call) {
  const auto done = call.store().revoke_token(call.caller->account.id, call.param("id"), call.actor());
  if (!done) return fail(done.error());
  call.app.callers.clear();  // at once here, within a second on other replicas
  return Reply{.status = 204, .body = {}, .content_type = {}};
}

}  // namespace rosterd::http
