#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

#include "daemon/http/app.hpp"
#include "daemon/http/json.hpp"
#include "daemon/http/listening.hpp"
#include "daemon/http/problem.hpp"
#include "daemon/http/router.hpp"
#include "daemon/http/token.hpp"

namespace rosterd::http {
namespace {

TEST(Listening, APortThatIsTakenIsSaidWithWhatToDo) {
  const auto first = Listening::tcp("127.0.0.1", 0);
  ASSERT_TRUE(first) << first.error().what;
  const auto second = Listening::tcp("127.0.0.1", first->port());
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().what.find("another program listens there already"), std::string::npos) << second.error().what;
}

// R53: the format of a token.
TEST(Token, HasPrefixLengthAlphabetAndChecksum) {
  const auto token = make_token();
  EXPECT_EQ(token.size(), 40u);
  EXPECT_TRUE(token.starts_with("rst_"));
  EXPECT_TRUE(plausible(token));
}

// R54: wrong ones never reach the store.
TEST(Token, AnyChangedCharacterIsImplausible) {
  const auto token = make_token();
  for (std::size_t i = 0; i < token.size(); ++i) {
    auto changed = token;
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    EXPECT_FALSE(plausible(changed)) << i;
  }
  EXPECT_FALSE(plausible(""));
  EXPECT_FALSE(plausible(token + "A"));
  EXPECT_FALSE(plausible(token.substr(0, 39)));
}

TEST(Token, AKnownChecksumStaysWhatItIs) {
  // The format is a promise to secret scanners: zlib.crc32(b"rst_" + b"0" * 30) in base 62, digits before capitals before small letters.
  EXPECT_TRUE(plausible("rst_0000000000000000000000000000000c4uOO"));
}

TEST(Token, TokensDifferAndUseTheWholeAlphabet) {
  std::set<std::string> tokens;
  std::set<char> characters;
  for (int i = 0; i < 300; ++i) {
    const auto token = make_token();
    tokens.insert(token);
    characters.insert(token.begin() + 4, token.begin() + 34);
  }
  EXPECT_EQ(tokens.size(), 300u);
  EXPECT_EQ(characters.size(), 62u);
}

TEST(Token, TheHashDependsOnThePepper) {
  const auto token = make_token();
  EXPECT_EQ(token_hash(token, "a").size(), 32u);
  EXPECT_NE(token_hash(token, "a"), token_hash(token, "b"));
  EXPECT_NE(token_hash(token, ""), token_hash(token, "a"));
  EXPECT_EQ(token_hash(token, "a"), token_hash(token, "a"));
}

TEST(Target, SplitsAndDecodes) {
  const auto target = parse_target("/v1/tenants/a%2Fb/check?subject=user%3Aada&namespace=a.b&q=x+y&empty=&bare");
  ASSERT_TRUE(target);
  EXPECT_EQ(target->segments, (std::vector<std::string>{"v1", "tenants", "a/b", "check"}));
  ASSERT_EQ(target->query.size(), 5u);
  EXPECT_EQ(target->query[0], (std::pair<std::string, std::string>("subject", "user:ada")));
  EXPECT_EQ(target->query[2].second, "x y");
  EXPECT_EQ(target->query[4], (std::pair<std::string, std::string>("bare", "")));
}

TEST(Target, RefusesPathTricks) {
  for (const char* bad :
       {"",           "v1",        "*",         "http://evil/", "//v1",         "/v1//me", "/v1/./me",  "/v1/../me", "/v1/%2e%2e/me",
        "/v1/%2E/me", "/v1/me/",   "/v1/%",     "/v1/%0",       "/v1/%zz",      "/v1/%00", "/v1/a%0Ab", "/v1/%ff",   "/v1/%c0%af",
        "/v1?a=%zz",  "/v1?a=%00", "/v1?a=%ff", "/v1?a=1&a=2",  "/v1?a=1&%61=2"})
    EXPECT_FALSE(parse_target(bad)) << bad;
  EXPECT_TRUE(parse_target("/"));
  EXPECT_TRUE(parse_target("/v1?"));
}

TEST(StrictJson, TakesWhatIsJson) {
  const auto document = parse_json(R"({"a":[1,-2,2.5,null,true,"ä\u00e9"],"b":{"c":{}}})");
  ASSERT_TRUE(document);
  EXPECT_EQ((*document)["a"][5], "äé");
  EXPECT_EQ(dump(*document), R"({"a":[1,-2,2.5,null,true,"äé"],"b":{"c":{}}})");
}

TEST(StrictJson, RefusesTheRest) {
  const std::string deep(100'000, '[');
  for (const std::string& bad :
       {std::string(""), std::string("{"), std::string("{}x"), std::string(R"({"a":1,"a":2})"), std::string(R"({"x":{"a":1,"\u0061":2}})"),
        std::string("{\"a\":\"\xff\"}"), std::string("{\"a\":\"\x01\"}"), std::string(R"({"a":"\u0000"})"),
        std::string(R"({"a":"\ud800"})"), std::string(R"({"a":1e999})"), std::string("{'a':1}"), std::string("[1,]"), std::string("NaN"),
        std::string("// x\n{}"), deep, deep + std::string(100'000, ']')})
    EXPECT_FALSE(parse_json(bad)) << bad.substr(0, 40);
  EXPECT_TRUE(parse_json(std::string(64, '[') + std::string(64, ']')));
  EXPECT_FALSE(parse_json(std::string(65, '[') + std::string(65, ']')));
}

TEST(Fields, AllProblemsAreReportedTogether) {
  auto fields = Fields::of(R"({"name":7,"colour":"red","flag":"yes","long":"aaaa"})");
  ASSERT_TRUE(fields);
  (void)fields->text("name");
  (void)fields->text("id");
  (void)fields->flag("flag");
  (void)fields->optional_text("long", 3);
  const auto done = fields->done();
  ASSERT_FALSE(done);
  for (const char* part :
       {"name: must be a text", "id: is missing", "flag: must be true or false", "long: must not be longer", "colour: unknown field"})
    EXPECT_NE(done.error().what.find(part), std::string::npos) << done.error().what;
}

TEST(Fields, OnlyObjects) {
  EXPECT_FALSE(Fields::of("[]"));
  EXPECT_FALSE(Fields::of("1"));
  EXPECT_TRUE(Fields::of(""));
}

TEST(ShortCache, AnEntryInUseIsAskedForByOneAndWaitedForByNobody) {
  ShortCache<int> cache;
  const auto now = std::chrono::steady_clock::now();
  cache.put("new", 1, {.at = now});
  cache.put("ageing", 2, {.at = now - ShortCache<int>::kRefresh});
  cache.put("old", 3, {.at = now - ShortCache<int>::kExpired});
  EXPECT_FALSE(cache.find("none"));
  EXPECT_TRUE(cache.find("new")->fresh);
  EXPECT_FALSE(cache.find("new")->refresh);
  const auto first = cache.find("ageing"), second = cache.find("ageing");
  EXPECT_TRUE(first->fresh && first->refresh);
  EXPECT_TRUE(second->fresh);
  EXPECT_FALSE(second->refresh) << "somebody is asking already";
  EXPECT_FALSE(cache.find("old")->fresh);
  EXPECT_FALSE(cache.find("old")->refresh);
}

// R58: what is revoked while it is being looked up must not come back with the answer.
TEST(ShortCache, AnAnswerToAQuestionFromBeforeARevocationIsNotKept) {
  ShortCache<int> cache;
  const auto before = cache.asking();
  cache.clear();
  cache.put("token", 1, before);
  EXPECT_FALSE(cache.find("token"));
  const auto after = cache.asking();
  cache.put("token", 2, after);
  EXPECT_EQ(cache.find("token")->value, 2);
  cache.erase("another");
  cache.put("token", 3, after);
  EXPECT_EQ(cache.find("token")->value, 3) << "a token that was never there keeps nothing from being kept";
  cache.erase("token");
  cache.put("token", 4, after);
  EXPECT_FALSE(cache.find("token"));
}

TEST(SingleFlight, ManyWhoAskTheSameAtOnceHearTheOneAnswer) {
  SingleFlight<int> flight;
  std::atomic<int> asked{0};
  std::latch asking(1), answered(1);
  std::vector<std::jthread> threads;
  std::atomic<int> sum{0};
  const auto ask = [&] {
    sum += flight.share("token", 0, [&] {
      if (asked++ == 0) asking.count_down();
      answered.wait();
      return 7;
    });
  };
  threads.emplace_back(ask);
  asking.wait();
  std::atomic<int> came{0};
  for (int i = 0; i < 15; ++i)
    threads.emplace_back([&] {
      ++came;
      ask();
    });
  while (came < 15) std::this_thread::yield();
  // R58: whoever comes after a revocation asks for himself, and so does whoever asks for something else.
  EXPECT_EQ(flight.share("token", 1, [] { return 8; }), 8);
  EXPECT_EQ(flight.share("another", 0, [] { return 9; }), 9);
  std::this_thread::sleep_for(std::chrono::milliseconds(50));  // lets those who came get to the question; later they would ask anew
  answered.count_down();
  threads.clear();
  EXPECT_EQ(sum, 16 * 7);
  EXPECT_LT(asked, 16);
  EXPECT_EQ(flight.share("token", 0, [] { return 10; }), 10) << "nothing is kept";
}

TEST(SingleFlight, WhoWaitsHearsOfAnException) {
  SingleFlight<int> flight;
  EXPECT_THROW((void)flight.share("token", 0, []() -> int { throw std::runtime_error("no memory"); }), std::runtime_error);
  EXPECT_EQ(flight.share("token", 0, [] { return 1; }), 1);
}

TEST(Slots, AreGivenBackAndNeverMoreThanThereAre) {
  Slots slots(2);
  auto one = slots.take();
  {
    const auto two = slots.take();
    EXPECT_TRUE(one && two);
    EXPECT_FALSE(slots.take());
  }
  EXPECT_TRUE(slots.take());
}

TEST(Background, DoesItsJobsAndEndsWithoutTheRest) {
  std::atomic<int> done{0};
  {
    Background background;
    background.post([&] { ++done; });
    for (int i = 0; i < 1000 && done == 0; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    EXPECT_EQ(done, 1);
  }
  EXPECT_EQ(done, 1);
}

TEST(Router, PrefersLiteralsAndNamesWhatIsAllowed) {
  Router router;
  router.add("GET", "/a/{x}", 1);
  router.add("POST", "/a/{x}", 2);
  router.add("GET", "/a/b", 3);
  const std::vector<std::string> ab{"a", "b"}, ac{"a", "c"}, a{"a"};
  EXPECT_EQ(router.find("GET", ab).route, 3);
  EXPECT_EQ(router.find("HEAD", ac).route, 1);
  const auto match = router.find("GET", ac);
  ASSERT_EQ(match.params.size(), 1u);
  EXPECT_EQ(match.params[0].first, "x");
  EXPECT_EQ(match.params[0].second, "c");
  EXPECT_FALSE(router.find("GET", a).known);
  const auto wrong = router.find("DELETE", ac);
  EXPECT_TRUE(wrong.known);
  EXPECT_EQ(wrong.route, -1);
  EXPECT_EQ(wrong.allow, "GET, POST");
}

TEST(Problem, EveryErrorHasItsStatusAndCode) {
  const auto is = [](Errc code, std::string slug, int status, std::string_view expected) {
    const Error error{.code = code, .what = "w", .slug = std::move(slug)};
    EXPECT_EQ(status_of(error), status) << expected;
    EXPECT_EQ(code_of(error), expected);
  };
  is(Errc::InvalidInput, "", 400, "invalid_request");
  is(Errc::Unauthorized, "", 401, "unauthenticated");
  is(Errc::Forbidden, "", 403, "forbidden");
  is(Errc::Forbidden, "escalation", 403, "escalation");
  is(Errc::NotFound, "", 404, "not_found");
  is(Errc::Conflict, "name_taken", 409, "name_taken");
  is(Errc::Conflict, "stale_version", 412, "stale_version");
  is(Errc::Refused, "last_admin", 409, "last_admin");
  is(Errc::InvalidInput, "invalid_namespace", 422, "invalid_namespace");
  is(Errc::Unavailable, "", 503, "unavailable");
  is(Errc::Unavailable, "not_yet_at_revision", 503, "not_yet_at_revision");
  is(Errc::Stopped, "", 503, "stopping");
  is(Errc::Internal, "", 500, "internal");
}

TEST(Problem, WhatWentWrongInsideIsNotTold) {
  for (const auto code : {Errc::Internal, Errc::Unavailable}) {
    const auto reply = problem({.code = code, .what = "password=hunter2 at 10.0.0.7", .slug = {}});
    EXPECT_EQ(reply.body.find("hunter2"), std::string::npos);
  }
  const auto reply = problem({.code = Errc::InvalidInput, .what = "a \"quote\" and a \n", .slug = {}});
  EXPECT_FALSE(nlohmann::json::parse(reply.body, nullptr, false).is_discarded());
}

TEST(Routes, EveryPairIsInTheCatalogueAndEnforcedByRosterd) {
  const auto catalogue = rbac::Catalogue::built_in();
  for (const auto& route : routes()) {
    ASSERT_NE(route.handler, nullptr) << route.path;
    if (route.permission.empty()) continue;
    const auto* permission = catalogue->find(route.permission);
    ASSERT_NE(permission, nullptr) << route.path;
    EXPECT_TRUE(permission->iam) << route.path;
    EXPECT_TRUE(catalogue->pair(*permission, route.action)) << route.path;
  }
}

}  // namespace
}  // namespace rosterd::http
