// The HTTP client for servers that tenants name, against one that misbehaves.
#include "connectors/http/client.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "connectors/http/throttle.hpp"
#include "connectors/http/url.hpp"
#include "tests/support/http_fault_server.hpp"

namespace rosterd::connectors::http {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;
using test::HttpAsked;
using test::HttpFaultServer;
using test::HttpSaid;
using testing::HasSubstr;

Options allowed() {
  Options out;
  out.allowed = {*parse_network("127.0.0.0/8")};
  return out;
}

Errc code_of(const Result<Response>& result) { return result ? Errc::Internal : result.error().code; }
std::string words_of(const Result<Response>& result) { return result ? "answered " + std::to_string(result->status) : result.error().what; }

TEST(HttpClient, KeepsOneConnectionForManyRequests) {
  HttpFaultServer server([](const HttpAsked& asked) { return test::json_answer(asked.target); });
  Client client(allowed());
  for (int i = 0; i < 5; ++i) {
    const auto answer = client.send({.url = fmt::format("{}/page/{}", server.url(), i)}, {});
    ASSERT_TRUE(answer) << words_of(answer);
    EXPECT_EQ(answer->body, fmt::format("/page/{}", i));
    EXPECT_EQ(answer->header("content-type"), "application/json");
  }
  EXPECT_EQ(server.connections(), 1u);
}

TEST(HttpClient, LoopbackIsRefusedUnlessListed) {
  HttpFaultServer server([](const HttpAsked&) { return test::json_answer("{}"); });
  Client client(Options{});
  const auto answer = client.send({.url = server.url()}, {});
  EXPECT_EQ(code_of(answer), Errc::Refused) << words_of(answer);
  EXPECT_THAT(words_of(answer), HasSubstr("loopback"));
  EXPECT_EQ(server.connections(), 0u);
}

TEST(HttpClient, ANameThatLeadsToLoopbackIsRefusedToo) {
  HttpFaultServer server([](const HttpAsked&) { return test::json_answer("{}"); });
  auto options = Options{};
  options.allow_plaintext = true;
  Client client(options);
  const auto port = server.url().substr(server.url().rfind(':'));
  EXPECT_EQ(code_of(client.send({.url = "http://localhost" + port}, {})), Errc::Refused);
}

TEST(HttpClient, PlainHttpToStrangersIsRefused) {
  Client client(allowed());
  const auto answer = client.send({.url = "http://192.0.2.1/x"}, {});
  EXPECT_EQ(code_of(answer), Errc::InvalidInput);
  EXPECT_THAT(words_of(answer), HasSubstr("https://"));
}

TEST(HttpClient, ARedirectIsAnAnswerAndIsNotFollowed) {
  HttpFaultServer server([](const HttpAsked&) { return HttpSaid{.status = 302, .headers = {{"Location", "/elsewhere"}}}; });
  Client client(allowed());
  const auto answer = client.send({.url = server.url()}, {});
  ASSERT_TRUE(answer) << words_of(answer);
  EXPECT_EQ(answer->status, 302);
  EXPECT_EQ(server.requests(), 1u);
}

TEST(HttpClient, AMuteServerCostsOnlyItsTime) {
  HttpFaultServer server([](const HttpAsked&) { return HttpSaid{.fault = HttpSaid::Fault::Mute}; });
  auto options = allowed();
  options.connect_timeout = 300ms;
  options.silence = 300ms;
  Client client(options);
  const auto began = steady_clock::now();
  const auto answer = client.send({.url = server.url()}, {});
  EXPECT_EQ(code_of(answer), Errc::Unavailable) << words_of(answer);
  EXPECT_THAT(words_of(answer), HasSubstr("silent"));
  EXPECT_LT(steady_clock::now() - began, 10s);
}

TEST(HttpClient, AStopEndsAWaitAtOnce) {
  HttpFaultServer server([](const HttpAsked&) { return HttpSaid{.fault = HttpSaid::Fault::Mute}; });
  Client client(allowed());
  std::stop_source stop;
  std::jthread later([&] {
    std::this_thread::sleep_for(100ms);
    stop.request_stop();
  });
  const auto began = steady_clock::now();
  EXPECT_EQ(code_of(client.send({.url = server.url()}, stop.get_token())), Errc::Stopped);
  EXPECT_LT(steady_clock::now() - began, 10s);
}

TEST(HttpClient, ABodyThatDripsMeetsTheDeadlineOfTheWhole) {
  HttpFaultServer server([](const HttpAsked&) { return HttpSaid{.body = std::string(1000, 'x'), .fault = HttpSaid::Fault::Drip}; });
  auto options = allowed();
  options.whole = 500ms;
  Client client(options);
  const auto answer = client.send({.url = server.url()}, {});
  EXPECT_EQ(code_of(answer), Errc::Unavailable) << words_of(answer);
}

TEST(HttpClient, AnEndlessBodyStopsAtTheLimit) {
  HttpFaultServer server([](const HttpAsked&) { return HttpSaid{.fault = HttpSaid::Fault::Endless}; });
  Client client(allowed());
  const auto answer = client.send({.url = server.url(), .max_body = 1 << 20}, {});
  EXPECT_EQ(code_of(answer), Errc::Unavailable);
  EXPECT_THAT(words_of(answer), HasSubstr("larger than 1 MiB"));
}

TEST(HttpClient, EndlessHeadersStopAtTheLimit) {
  HttpFaultServer server([](const HttpAsked&) { return HttpSaid{.fault = HttpSaid::Fault::HeadFlood}; });
  Client client(allowed());
  EXPECT_EQ(code_of(client.send({.url = server.url()}, {})), Errc::Unavailable);
}

TEST(HttpClient, AGzipBombIsCountedByWhatItBecomes) {
  const auto bomb = test::gzip_bomb(std::size_t{256} << 20);
  ASSERT_LT(bomb.size(), std::size_t{1} << 20);
  HttpFaultServer server([&](const HttpAsked&) { return HttpSaid{.body = bomb, .headers = {{"Content-Encoding", "gzip"}}}; });
  Client client(allowed());
  const auto answer = client.send({.url = server.url(), .max_body = std::size_t{8} << 20}, {});
  EXPECT_EQ(code_of(answer), Errc::Unavailable);
  EXPECT_THAT(words_of(answer), HasSubstr("larger than 8 MiB"));
}

TEST(HttpClient, ACutOffBodyIsNoAnswer) {
  HttpFaultServer server([](const HttpAsked&) { return HttpSaid{.body = R"({"a":1})", .fault = HttpSaid::Fault::CutOff}; });
  Client client(allowed());
  EXPECT_EQ(code_of(client.send({.url = server.url()}, {})), Errc::Unavailable);
}

TEST(HttpUrl, ANextLinkStaysOnItsServer) {
  const std::string base = "https://idp.example/scim/v2/Users?count=2";
  EXPECT_EQ(follow(base, "https://idp.example/scim/v2/Users?after=2").value_or("none"), "https://idp.example/scim/v2/Users?after=2");
  EXPECT_EQ(follow(base, "https://idp.example:443/x").value_or("none"), "https://idp.example:443/x");
  EXPECT_EQ(follow(base, "?after=2").value_or("none"), "https://idp.example/scim/v2/Users?after=2");
  EXPECT_EQ(follow(base, "/other").value_or("none"), "https://idp.example/other");
  for (const auto* link : {"https://evil.example/Users", "http://idp.example/Users", "https://idp.example:8443/Users", "//evil.example/x",
                           "https://idp.example@evil.example/", "ftp://idp.example/x", "", "https://idp.example.evil.example/"})
    EXPECT_FALSE(follow(base, link)) << link;
}

TEST(HttpUrl, UsersPasswordsAndFragmentsAreRefused) {
  for (const auto* text :
       {"https://user:pw@idp.example/", "https://idp.example/#x", "ftp://idp.example/", "idp.example", "https://", "https://a b/"})
    EXPECT_FALSE(parse_url(text)) << text;
  EXPECT_EQ(parse_url("HTTPS://IDP.Example/a?b=c").value().origin(), "https://idp.example:443");
  EXPECT_EQ(parse_url("http://[::1]:8080/").value().host, "::1");
}

TEST(HttpUrl, FormAndPercentEncodingDifferInSpaces) {
  EXPECT_EQ(form_encoded("a b+c/ü~"), "a+b%2Bc%2F%C3%BC%7E");
  EXPECT_EQ(percent_encoded("a b+c/~"), "a%20b%2Bc%2F~");
}

Response answer(int status, std::vector<std::pair<std::string, std::string>> headers, std::string body = {}) {
  return {.status = status, .headers = std::move(headers), .body = std::move(body)};
}
const TimePoint kNow = *parse_rfc3339("2026-11-26T10:00:00Z");

TEST(Throttle, RetryAfterIsReadAsSecondsAndAsADate) {
  EXPECT_EQ(asked_to_wait(answer(429, {{"retry-after", "7"}}), {}, kNow, 1), 7s);
  EXPECT_EQ(asked_to_wait(answer(503, {{"retry-after", "Thu, 26 Nov 2026 10:00:30 GMT"}}), {}, kNow, 1), 30s);
  EXPECT_EQ(asked_to_wait(answer(429, {{"retry-after", "Thu, 26 Nov 2026 09:00:00 GMT"}}), {}, kNow, 1), 0s) << "a moment that is past";
  EXPECT_EQ(asked_to_wait(answer(429, {{"retry-after", "99999999"}}), {}, kNow, 1), 1h);
  EXPECT_EQ(asked_to_wait(answer(429, {{"retry-after", "soon"}}), {}, kNow, 1), 1s);
  EXPECT_EQ(asked_to_wait(answer(429, {}), {}, kNow, 4), 8s);
}

TEST(Throttle, AnEpochHeaderSaysWhen) {
  const ThrottleRules okta{.reset_header = "x-rate-limit-reset", .remaining_header = "x-rate-limit-remaining"};
  const auto reset = std::to_string(std::chrono::duration_cast<std::chrono::seconds>(kNow.time_since_epoch()).count() + 12);
  EXPECT_EQ(asked_to_wait(answer(429, {{"x-rate-limit-reset", reset}}), okta, kNow, 1), 12s);
  EXPECT_EQ(pause_before_next(answer(200, {{"x-rate-limit-reset", reset}, {"x-rate-limit-remaining", "0"}}), okta, kNow), 12s);
  EXPECT_EQ(pause_before_next(answer(200, {{"x-rate-limit-reset", reset}, {"x-rate-limit-remaining", "3"}}), okta, kNow), 0s);
}

TEST(Throttle, AQuotaErrorIsPatienceAndAnyOther403IsNot) {
  static constexpr std::string_view kReasons[] = {"userRateLimitExceeded"};
  const ThrottleRules google{.quota_reasons = kReasons};
  EXPECT_TRUE(asked_to_wait(answer(403, {}, R"({"error":{"errors":[{"reason":"userRateLimitExceeded"}]}})"), google, kNow, 1));
  EXPECT_FALSE(asked_to_wait(answer(403, {}, R"({"error":"forbidden"})"), google, kNow, 1));
  EXPECT_FALSE(asked_to_wait(answer(500, {}), google, kNow, 1));
  EXPECT_FALSE(asked_to_wait(answer(503, {}), google, kNow, 1)) << "a fault, not a limit";
}

}  // namespace
}  // namespace rosterd::connectors::http
