// What providers and the network between may do to a read of Entra or Okta: none of it may look like people who have left.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <nlohmann/json.hpp>

#include "connectors/oidc/oidc.hpp"
#include "schema/core/clock.hpp"
#include "tests/connectors/collecting_sink.hpp"
#include "tests/support/entra_simulator.hpp"
#include "tests/support/okta_simulator.hpp"

namespace rosterd::test {
namespace {

using namespace connectors;
using nlohmann::json;
using std::chrono::milliseconds;

using Intercept = std::function<std::optional<HttpSaid>(const HttpAsked&)>;

/// A simulator with eight people in two groups, and what a fault must know of it.
class Provider {
 public:
  virtual ~Provider() = default;
  [[nodiscard]] virtual json settings() const = 0;
  virtual void intercept(Intercept first) = 0;
  virtual void change() = 0;  ///< so much that an incremental read has several pages
  [[nodiscard]] virtual bool is_api(const HttpAsked& asked) const = 0;
  /// A page that leads to `next` and holds nobody.
  [[nodiscard]] virtual HttpSaid page_to(const std::string& next) const = 0;
  [[nodiscard]] virtual std::string url() const = 0;
};

class EntraProvider final : public Provider {
 public:
  EntraProvider() {
    for (int i = 0; i < 8; ++i) entra_.user(fmt::format("u{}", i));
    for (const auto* group : {"staff", "board"}) {
      entra_.put_group(group);
      for (int i = 0; i < 8; ++i) entra_.add_member(group, fmt::format("u{}", i));
    }
  }
  json settings() const override { return entra_.settings(); }
  void intercept(Intercept first) override { entra_.intercept(std::move(first)); }
  void change() override {
    for (int i = 0; i < 8; ++i) entra_.change_user(fmt::format("u{}", i), [](EntraUser& user) { user.surname = "Changed"; });
    entra_.remove_member("staff", "u7");
    entra_.remove_user("u6");
  }
  bool is_api(const HttpAsked& asked) const override { return asked.path.starts_with("/v1.0/"); }
  HttpSaid page_to(const std::string& next) const override {
    return json_answer(json{{"value", json::array()}, {"@odata.nextLink", next}}.dump());
  }
  std::string url() const override { return entra_.url(); }

 private:
  EntraSimulator entra_;
};

class OktaProvider final : public Provider {
 public:
  OktaProvider() {
    std::set<std::string> all;
    for (int i = 0; i < 8; ++i) okta_.user(*all.insert(fmt::format("u{}", i)).first);
    for (const auto* group : {"staff", "board"}) okta_.group(group, all);
    okta_.advance(std::chrono::hours(1));
  }
  json settings() const override { return okta_.settings(); }
  void intercept(Intercept first) override { okta_.intercept(std::move(first)); }
  void change() override {
    for (int i = 0; i < 8; ++i) okta_.change_user(fmt::format("u{}", i), [](OktaUser& user) { user.last = "Changed"; });
    okta_.remove_member("staff", "u7");
    okta_.delete_user("u6");
  }
  bool is_api(const HttpAsked& asked) const override { return asked.path.starts_with("/api/v1/"); }
  HttpSaid page_to(const std::string& next) const override {
    auto said = json_answer("[]");
    said.headers.emplace_back("Link", "<" + next + ">; rel=\"next\"");
    return said;
  }
  std::string url() const override { return okta_.url(); }

 private:
  OktaSimulator okta_;
};

class CloudFaults : public testing::TestWithParam<const char*> {
 protected:
  CloudFaults() {
    if (std::string_view(GetParam()) == "Entra")
      provider_ = std::make_unique<EntraProvider>();
    else
      provider_ = std::make_unique<OktaProvider>();
  }
  struct Done {
    CollectingSink sink;
    Result<FeedEnd> end;
  };
  [[nodiscard]] Done read(const std::string& cursor = {}, milliseconds deadline = std::chrono::seconds(20)) const {
    auto options = test_options();
    options.operation_timeout = milliseconds(500);
    options.read_deadline = deadline;
    auto made = oidc::make({.json = provider_->settings().dump(), .learnt = {}}, options);
    if (!made) throw std::runtime_error(made.error().what);
    Done out;
    out.end = (*made)->read({cursor}, out.sink, {});
    return out;
  }
  [[nodiscard]] std::string whole() const {
    const auto done = read();
    if (!done.end || !is_complete(*done.end)) throw std::runtime_error(done.end ? failed(*done.end) : done.end.error().what);
    return done.end->to.value;
  }
  /// The answer stands in for the API's from its request `from` on, for `times` requests.
  void answer_with(std::size_t from, std::function<HttpSaid(const HttpAsked&)> said, std::size_t times = SIZE_MAX) {
    auto count = std::make_shared<std::atomic<std::size_t>>(0);
    provider_->intercept([this, from, said = std::move(said), times, count](const HttpAsked& asked) -> std::optional<HttpSaid> {
      if (!provider_->is_api(asked)) return std::nullopt;
      const auto number = ++*count;
      return number >= from && number - from < times ? std::optional(said(asked)) : std::nullopt;
    });
  }
  /// Whatever came of it, nobody may leave by it.
  static void expect_nobody_leaves(const Done& done) {
    if (!done.end) return;
    EXPECT_FALSE(done.end->proof.complete());
    EXPECT_TRUE(std::holds_alternative<KeepAbsent>(done.end->absence));
    EXPECT_FALSE(failed(*done.end).empty());
  }

  std::unique_ptr<Provider> provider_;
};

TEST_P(CloudFaults, NoFaultOfAnyPageIsAShorterDirectory) {
  struct Fault {
    const char* name;
    HttpSaid said;
  };
  const auto of = [](HttpSaid::Fault fault) { return HttpSaid{.status = 200, .body = R"({"value":[]})", .headers = {}, .fault = fault}; };
  const std::vector<Fault> faults{
      {"500", {.status = 500}},
      {"502 in HTML", {.status = 502, .body = "<html>bad gateway</html>"}},
      {"200 with HTML", {.status = 200, .body = "<html>sign in</html>", .headers = {{"Content-Type", "text/html"}}}},
      {"200 with nothing", {.status = 200}},
      {"an object without a list", json_answer("{}")},
      {"a text", json_answer("\"x\"")},
      {"a list of what are no objects", json_answer(R"({"value":[1,"x",null,[]],"@odata.deltaLink":"x"})")},
      {"an error with status 200", json_answer(R"({"error":{"code":"generalException"}})")},
      {"403", json_answer(R"({"error":{"code":"Authorization_RequestDenied"},"errorCode":"E0000006"})", 403)},
      {"404", json_answer("{}", 404)},
      {"401 for ever", json_answer("{}", 401)},
      {"a redirect", {.status = 302, .headers = {{"Location", "http://127.0.0.1:1/elsewhere"}}}},
      {"reset", of(HttpSaid::Fault::Reset)},
      {"mute", of(HttpSaid::Fault::Mute)},
      {"cut off", of(HttpSaid::Fault::CutOff)},
      {"an endless body", of(HttpSaid::Fault::Endless)},
      {"endless headers", of(HttpSaid::Fault::HeadFlood)},
      {"a gzip bomb",
       {.status = 200, .body = gzip_bomb(200u << 20), .headers = {{"Content-Encoding", "gzip"}, {"Content-Type", "application/json"}}}},
  };
  const auto cursor = whole();
  provider_->change();
  for (const auto& fault : faults)
    for (const std::size_t from : {1, 2, 4})
      for (const auto& start : {std::string(), cursor}) {
        SCOPED_TRACE(fmt::format("{} from request {} on, {}", fault.name, from, start.empty() ? "full" : "incremental"));
        answer_with(from, [&](const HttpAsked&) { return fault.said; });
        expect_nobody_leaves(read(start, milliseconds(700)));
      }
  provider_->intercept({});
  EXPECT_EQ(read().sink.users.size(), 7u);
}

TEST_P(CloudFaults, APassingFaultIsOvercome) {
  for (const auto& said : {HttpSaid{.status = 503}, HttpSaid{.fault = HttpSaid::Fault::Reset}, HttpSaid{.status = 500, .body = "<html>"}}) {
    answer_with(3, [&](const HttpAsked&) { return said; }, 2);
    const auto done = read();
    ASSERT_TRUE(done.end) << done.end.error().what;
    EXPECT_TRUE(is_complete(*done.end)) << failed(*done.end);
    EXPECT_EQ(done.sink.users.size(), 8u);
  }
}

TEST_P(CloudFaults, AProviderThatIsDownAtDiscoveryOrTokenEndsTheReadBeforeItBegins) {
  if (std::string_view(GetParam()) == "Okta") GTEST_SKIP() << "a static token needs neither";
  for (const auto* path : {"openid-configuration", "token"})
    for (const auto& said : {HttpSaid{.status = 503}, HttpSaid{.status = 200, .body = "<html>"}, HttpSaid{.fault = HttpSaid::Fault::Reset},
                             json_answer("{}"), json_answer(R"({"error":"invalid_client"})", 401)}) {
      provider_->intercept([&](const HttpAsked& asked) { return asked.path.ends_with(path) ? std::optional(said) : std::nullopt; });
      const auto done = read();
      EXPECT_FALSE(done.end) << path;
      EXPECT_TRUE(done.sink.users.empty());
    }
}

TEST_P(CloudFaults, CircularAndEndlessPagesEnd) {
  std::atomic<int> number = 0;
  for (const bool is_circle : {true, false})
    for (const std::size_t from : {2, 4}) {
      answer_with(from, [&](const HttpAsked& asked) {
        const auto base = provider_->url() + asked.target.substr(0, asked.target.find('?'));
        return provider_->page_to(fmt::format("{}?after={}", base, is_circle ? 0 : ++number));
      });
      const auto done = read({}, milliseconds(1500));
      expect_nobody_leaves(done);
      if (done.end && is_circle) {
        EXPECT_THAT(failed(*done.end), testing::HasSubstr("circle"));
      }
    }
}

TEST_P(CloudFaults, ATokenDoesNotTravelToAnotherHost) {
  std::atomic<int> visits = 0;
  HttpFaultServer stranger([&](const HttpAsked&) {
    ++visits;
    return json_answer("[]");
  });
  for (const auto& next : {stranger.url() + "/v1.0/users/delta?x=1", std::string("https://127.0.0.1/x"), std::string("//evil.example/x"),
                           std::string("file:///etc/passwd")}) {
    answer_with(3, [&](const HttpAsked&) { return provider_->page_to(next); });
    expect_nobody_leaves(read({}, milliseconds(1500)));
  }
  EXPECT_EQ(visits, 0);
}

TEST_P(CloudFaults, A429StormIsWaitedOutInSecondsAndByDate) {
  for (const bool by_date : {false, true}) {
    answer_with(
        3,
        [&](const HttpAsked&) {
          const auto when = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now() + std::chrono::seconds(2));
          char date[64];
          std::tm parts{};
          ::gmtime_r(&when, &parts);
          ::strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &parts);
          return HttpSaid{.status = 429, .body = "{}", .headers = {{"Retry-After", by_date ? date : "1"}}};
        },
        3);
    const auto done = read();
    ASSERT_TRUE(done.end) << done.end.error().what;
    EXPECT_TRUE(is_complete(*done.end)) << failed(*done.end);
    EXPECT_EQ(done.sink.users.size(), 8u);
    EXPECT_THAT(done.sink.phases, testing::Contains(testing::HasSubstr("limits requests")));
  }
}

TEST_P(CloudFaults, A429StormWithoutEndIsNoAbsence) {
  for (const std::size_t from : {1, 3}) {
    answer_with(from, [&](const HttpAsked&) { return HttpSaid{.status = 429, .body = "{}", .headers = {{"Retry-After", "3600"}}}; });
    const auto done = read({}, milliseconds(1500));
    expect_nobody_leaves(done);
    if (!done.end) {
      EXPECT_EQ(done.end.error().code, Errc::Unavailable);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Simulators, CloudFaults, testing::Values("Entra", "Okta"),
                         [](const auto& name) { return std::string(name.param); });

}  // namespace
}  // namespace rosterd::test
