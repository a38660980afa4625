#include "connectors/oidc/api.hpp"

#include <condition_variable>
#include <mutex>

#include "connectors/http/url.hpp"
#include "schema/core/hash.hpp"
#include "schema/core/text.hpp"

namespace rosterd::connectors::oidc {
namespace {

using Json = nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr int kFaultTries = 4;  // of one request: connection lost, 5xx without Retry-After
constexpr milliseconds kFirstPause{100};

std::string shown(const Json& value) {
  if (!value.is_string()) return {};
  auto text = value.get<std::string>();
  if (text.size() > 300) text.resize(300);
  for (auto& c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  return is_utf8(text) ? text : std::string();
}

/// URLs hold ids and filters, no secrets; long ones are shortened.
std::string short_url(const std::string& url) { return url.size() <= 200 ? url : url.substr(0, 200) + "…"; }

}  // namespace

std::string provider_words(const Json& json) {
  if (!json.is_object()) return {};
  if (const auto error = json.find("error"); error != json.end() && error->is_object()) return provider_words(*error);
  for (const auto* key : {"message", "error_description", "detail", "errorSummary", "errorMessage", "error"})
    if (const auto found = json.find(key); found != json.end())
      if (auto text = shown(*found); !text.empty()) return text;
  return {};
}

Result<void> Api::wait(milliseconds time, std::string_view why) {
  if (time <= milliseconds(0)) return {};
  if (steady_clock::now() + time >= parts_.deadline)
    return fail(Errc::Unavailable, "{}, and the next try in {} s would be after this run's time", why,
                std::chrono::ceil<seconds>(time).count());
  if (on_wait && time >= seconds(1)) on_wait(fmt::format("waiting {} s: {}", std::chrono::ceil<seconds>(time).count(), why));
  std::mutex mutex;
  std::condition_variable_any never;
  std::unique_lock lock(mutex);
  never.wait_for(lock, parts_.stop, time, [] { return false; });
  if (parts_.stop.stop_requested()) return fail(Errc::Stopped, "told to stop");
  return {};
}

/// One answer that is neither a refusal of the token, nor "too fast", nor a passing fault.
Result<http::Response> Api::send(const std::string& url, const std::vector<std::string>& headers) {
  bool renewed = false;
  int faults = 0, throttled = 0;
  while (true) {
    if (steady_clock::now() >= parts_.deadline) return fail(Errc::Unavailable, "this run's time is over");
    const auto token = parts_.tokens.current(parts_.client, parts_.stop);
    if (!token) return fail(token.error());
    http::Request request{.url = url, .headers = {"Accept: " + parts_.accept, "Authorization: " + parts_.scheme + " " + *token}};
    request.headers.insert(request.headers.end(), headers.begin(), headers.end());
    auto answer = parts_.client.send(request, parts_.stop);
    const bool is_fault =
        answer ? answer->status >= 500 && answer->header("retry-after").empty() : answer.error().code == Errc::Unavailable;
    if (is_fault && ++faults < kFaultTries) {
      const auto why = answer ? fmt::format("the provider answered {}", answer->status) : answer.error().what;
      if (auto ok = wait(kFirstPause * (1 << (2 * (faults - 1))), why); !ok) return fail(ok.error());
      continue;
    }
    if (!answer) return fail(answer.error());
    if (answer->status == 401 && !renewed && parts_.tokens.refused(*token)) {
      renewed = true;
      continue;
    }
    if (const auto pause = http::asked_to_wait(*answer, parts_.throttle, SystemClock().now(), ++throttled)) {
      // A little more than was asked for: clocks differ, and many wait for the same moment.
      if (auto ok = wait(*pause + milliseconds(50 + random_below(200)), "the provider limits requests"); !ok) return fail(ok.error());
      continue;
    }
    if (const auto pause = http::pause_before_next(*answer, parts_.throttle, SystemClock().now()); pause > milliseconds(0))
      if (auto ok = wait(pause, "the provider's limit is used up"); !ok && ok.error().code == Errc::Stopped) return fail(ok.error());
    return answer;
  }
}

Result<Answer> Api::get(const std::string& url, const std::vector<std::string>& headers) {
  auto response = send(url, headers);
  if (!response) return fail(response.error());
  Answer out;
  out.status = response->status;
  const auto body = std::exchange(response->body, {});
  out.json = body.empty() ? Json() : Json::parse(body, nullptr, false);
  out.response = std::move(*response);
  if (out.json.is_discarded()) {
    if (out.status >= 200 && out.status < 300)
      return fail(Errc::Unavailable, "{} answered {} with {} instead of JSON", short_url(url), out.status,
                  out.response.header("content-type").empty() ? "something" : out.response.header("content-type"));
    out.json = Json();
  }
  if (out.status == 401 || out.status >= 500) return tl::unexpected(refusal(out, url));
  return out;
}

Result<Answer> Api::get_ok(const std::string& url, const std::vector<std::string>& headers) {
  auto answer = get(url, headers);
  if (!answer) return fail(answer.error());
  if (answer->status != 200) return tl::unexpected(refusal(*answer, url));
  return answer;
}

Error Api::refusal(const Answer& answer, const std::string& url) {
  const auto words = provider_words(answer.json);
  auto code = Errc::Unavailable;
  std::string_view advice;
  switch (answer.status) {
    case 400:
      code = Errc::InvalidInput;
      break;
    case 401:
      code = Errc::Unauthorized;
      advice = "; the provider does not accept the token";
      break;
    case 403:
      code = Errc::Forbidden;
      advice = "; grant the client read access to users and groups";
      break;
    case 404:
      code = Errc::NotFound;
      break;
    case 410:
      code = Errc::CursorExpired;
      break;
    default:
      if (answer.status >= 300 && answer.status < 400) advice = "; redirects are not followed, set the URL to where it leads";
      break;
  }
  return {.code = code,
          .what = fmt::format("{} answered {}{}{}{}", short_url(url), answer.status, words.empty() ? "" : ": ", words, advice),
          .slug = {}};
}

}  // namespace rosterd::connectors::oidc
