// Passwords, sessions and the lockout (rbac.md §8), and what of it the audit log holds (§15).
#include <gmock/gmock.h>

#include <chrono>
#include <thread>

#include "tests/e2e/sql_session.hpp"
#include "tests/http/sign_in_world.hpp"

namespace rosterd::test {
namespace {

using nlohmann::json;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;

std::string sql(const SignInWorld& world, const std::string& statement) {
  return e2e::SqlSession(world.database.superuser_url).value(statement);
}
std::string stored_hash(const SignInWorld& world, const std::string& email) {
  return sql(world, fmt::format("SELECT password_hash FROM rosterd.account WHERE email = '{}'", email));
}

TEST(Passwords, R60AWeakOneIsRefusedEverywhereWithAllThatIsMissing) {
  auto& world = SignInWorld::shared();
  const auto email = world.somebody("weak");
  const auto session = world.signed_in(email);
  const auto refused = [&](const Answer& answer) {
    EXPECT_EQ(answer.status, 422) << answer.text;
    EXPECT_EQ(answer.code(), "weak_password");
    return answer.body.value("detail", "");
  };
  const auto why = refused(world.root().post("/v1/accounts", {{"email", "w1@people.example"}, {"password", "short"}}));
  for (const char* lack : {"at least 8 characters", "a digit", "an upper-case letter", "neither letter nor digit"})
    EXPECT_THAT(why, HasSubstr(lack));
  EXPECT_THAT(why, Not(HasSubstr("lower-case")));
  EXPECT_THAT(refused(world.root().put(world.account_path(email) + "/password", {{"password", std::string(129, 'x') + "A1!"}})),
              HasSubstr("at most 128 characters"));
  EXPECT_THAT(refused(world.as(session).put("/v1/me/password", {{"old", kGood}, {"new", "ALLUPPER1!"}})), HasSubstr("a lower-case letter"));
  const auto made = world.root().post("/v1/accounts", {{"email", "A1.b@people.example"}, {"password", "A1.b@people.example"}});
  EXPECT_THAT(refused(made), HasSubstr("something other than the e-mail"));
  EXPECT_EQ(world.login(email, kGood).status, 200) << "nothing was changed";
}

TEST(Passwords, R60NothingIsCutOff) {
  auto& world = SignInWorld::shared();
  const auto email = world.somebody("long");
  const std::string longest = "Aa1!" + std::string(124, 'x');
  ASSERT_EQ(world.as(world.signed_in(email)).put("/v1/me/password", {{"old", kGood}, {"new", longest}}).status, 204);
  EXPECT_EQ(world.login(email, longest).status, 200);
  EXPECT_EQ(world.login(email, longest.substr(0, 127)).status, 401);
  EXPECT_EQ(world.login(email, longest + "x").status, 401);
}

TEST(Passwords, R61AreStoredAsArgon2idAndHashedAnewWhenTheCostRose) {
  auto& world = SignInWorld::shared();
  const auto email = world.somebody("cost");
  EXPECT_THAT(stored_hash(world, email), HasSubstr("$argon2id$v=19$m=64,t=1,p=1$"));
  Passwords cheap({.passes = 1, .memory = 8 << 10});
  const auto old = cheap.turn()->hash(kGood);
  ASSERT_TRUE(old);
  sql(world, fmt::format("UPDATE rosterd.account SET password_hash = '{}' WHERE email = '{}'", *old, email));
  EXPECT_EQ(world.login(email, kOther).status, 401);
  EXPECT_EQ(stored_hash(world, email), *old) << "a wrong password changes nothing";
  EXPECT_EQ(world.login(email, kGood).status, 200);
  EXPECT_THAT(stored_hash(world, email), HasSubstr("m=64,t=1"));
  Passwords dear({.passes = 2, .memory = 128 << 10});
  const auto costly = dear.turn()->hash(kGood);
  sql(world, fmt::format("UPDATE rosterd.account SET password_hash = '{}' WHERE email = '{}'", *costly, email));
  EXPECT_EQ(world.login(email, kGood).status, 200);
  EXPECT_EQ(stored_hash(world, email), *costly) << "a cost that fell is no reason";
}

TEST(Passwords, R61AtMostFourHashesRunAtOnceAndFewWait) {
  Passwords passwords({.passes = 1, .memory = 8 << 10});
  std::vector<Passwords::Turn> turns;
  for (unsigned i = 0; i < Passwords::kAtOnce; ++i) turns.push_back(std::move(*passwords.turn()));
  const auto none = passwords.turn(Millis(10));
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().slug, "busy");
  std::atomic<int> served{0};
  {
    std::jthread waiting([&] { served += passwords.turn(Millis(10'000)) ? 1 : 0; });
    turns.pop_back();
  }
  EXPECT_EQ(served, 1);
}

TEST(SignIn, R62AnUnknownEmailIsAnsweredLikeAWrongPassword) {
  auto& world = SignInWorld::shared();
  const auto email = world.somebody("known");
  const auto bare = world.root().post("/v1/accounts", {{"email", "bare@people.example"}});
  ASSERT_EQ(bare.status, 201);
  ASSERT_EQ(world.root().patch(world.account_path(world.somebody("off")), {{"enabled", false}}).status, 200);
  const auto wrong = world.login(email, "Wrong-password-1");
  EXPECT_EQ(wrong.status, 401);
  EXPECT_EQ(wrong.code(), "unauthenticated");
  EXPECT_EQ(wrong.header("www-authenticate"), "Bearer");
  for (const auto& other : {std::string("nobody@people.example"), std::string("bare@people.example"), std::string("not an e-mail")}) {
    const auto answer = world.login(other, "Wrong-password-1");
    EXPECT_EQ(answer.status, wrong.status) << other;
    EXPECT_EQ(answer.text, wrong.text) << other;
  }
}

TEST(SignIn, R62AnUnknownEmailCostsTheSameWork) {
  auto options = sign_in_options();
  options.accounts.cost = {.passes = 6, .memory = 32 << 20};  // so that hashing is what takes the time
  options.accounts.lockout.attempts = 1000;
  SignInWorld world(options);
  const auto email = world.somebody("timed");
  const auto took = [&](const std::string& whom) {
    auto best = std::chrono::steady_clock::duration::max();
    for (int i = 0; i < 3; ++i) {
      const auto begun = std::chrono::steady_clock::now();
      EXPECT_EQ(world.login(whom, "Wrong-password-1").status, 401);
      best = std::min(best, std::chrono::steady_clock::now() - begun);
    }
    return std::chrono::duration<double>(best).count();
  };
  const auto known = took(email), unknown = took("nobody@people.example");
  EXPECT_GT(unknown, known * 0.5);
  EXPECT_LT(unknown, known * 2);
}

TEST(SignIn, R63TenFailuresLockWhoeverItIsForAsLongAsItSays) {
  auto& world = SignInWorld::shared();
  const auto email = world.somebody("locked");
  const auto session = world.signed_in(email);
  for (const auto& whom : {email, std::string("nobody.locked@people.example")}) {
    for (int i = 0; i < 10; ++i) EXPECT_EQ(world.login(whom, "Wrong-password-1").status, 401) << i;
    const auto locked = world.login(whom, kGood);
    EXPECT_EQ(locked.status, 429) << "the right password included";
    EXPECT_EQ(locked.code(), "too_many_attempts");
    const auto seconds = std::stoi(locked.header("retry-after"));
    EXPECT_GT(seconds, 1700);
    EXPECT_LE(seconds, 1800);
  }
  EXPECT_EQ(world.me(session).status, 200) << "sessions go on";
  EXPECT_FALSE(world.root().get(world.account_path(email)).body["locked_until"].is_null());
  // R64: audited, and ended by a super admin.
  EXPECT_THAT(world.audited(email), Contains("login_failure").Times(10));
  EXPECT_THAT(world.audited(email), Contains("account_locked").Times(1));
  EXPECT_EQ(world.root().post(world.account_path(email) + "/unlock").status, 200);
  EXPECT_EQ(world.login(email, kGood).status, 200);
  EXPECT_THAT(world.audited(email), Contains("account_unlocked").Times(1));
}

TEST(SignIn, R63ASuccessForgetsTheFailuresBefore) {
  auto& world = SignInWorld::shared();
  const auto email = world.somebody("nearly");
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 9; ++i) EXPECT_EQ(world.login(email, "Wrong-password-1").status, 401);
    EXPECT_EQ(world.login(email, kGood).status, 200) << round;
  }
}

TEST(SignIn, R63ManyAttemptsAtOnceDoNotOutrunTheLock) {
  auto& world = SignInWorld::shared();
  const auto email = world.somebody("swarm");
  std::atomic<int> judged{0};
  {
    std::vector<std::jthread> swarm;
    for (int i = 0; i < 8; ++i)
      swarm.emplace_back([&] {
        for (int k = 0; k < 6; ++k)
          if (world.login(email, "Wrong-password-1").status == 401) ++judged;
      });
  }
  EXPECT_LE(judged, 10);
}

TEST(SignIn, R64ALockEndsByTime) {
  auto options = sign_in_options();
  options.accounts.lockout = {.attempts = 2, .window = Millis(60'000), .lock = Millis(1'500)};
  SignInWorld world(options);
  const auto email = world.somebody("brief");
  for (int i = 0; i < 2; ++i) EXPECT_EQ(world.login(email, "Wrong-password-1").status, 401);
  EXPECT_EQ(world.login(email, kGood).status, 429);
  std::this_thread::sleep_for(std::chrono::milliseconds(1'600));  // the lock's time, on the database's clock
  EXPECT_EQ(world.login(email, kGood).status, 200);
}

TEST(SignIn, R63TheTableOfAttemptsIsBounded) {
  auto options = sign_in_options();
  options.accounts.lockout.most_remembered = 5;
  SignInWorld world(options);
  for (int i = 0; i < 12; ++i) EXPECT_EQ(world.login(fmt::format("nobody{}@people.example", i), "Wrong-password-1").status, 401);
  EXPECT_EQ(sql(world, "SELECT count(*) FROM rosterd.sign_in_attempt"), "5");
  EXPECT_EQ(sql(world, "SELECT email FROM rosterd.sign_in_attempt ORDER BY last_at LIMIT 1"), "nobody7@people.example");
}

TEST(OwnPassword, R65NeedsTheOldOneAndEndsTheOtherSessions) {
  auto& world = SignInWorld::shared();
  const auto email = world.somebody("own");
  const auto one = world.signed_in(email), two = world.signed_in(email);
  const auto token = world.as(one).post("/v1/me/tokens", {{"name", "ci"}}).body["token"].get<std::string>();
  const auto wrong = world.as(one).put("/v1/me/password", {{"old", kOther}, {"new", kOther}});
  EXPECT_EQ(wrong.status, 403);
  EXPECT_EQ(wrong.code(), "wrong_password");
  EXPECT_THAT(world.audited(email), Contains("login_failure")) << "it counts as a failure";
  EXPECT_EQ(world.as(one).put("/v1/me/password", {{"new", kOther}}).status, 400);
  EXPECT_EQ(world.as(one).put("/v1/me/password", {{"old", kGood}, {"new", kOther}}).status, 204);
  EXPECT_EQ(world.me(one).status, 200);
  EXPECT_EQ(world.me(two).status, 401);
  EXPECT_EQ(world.me(token).status, 200) << "tokens stay";
  EXPECT_EQ(world.login(email, kGood).status, 401);
  EXPECT_EQ(world.login(email, kOther).status, 200);
}

TEST(OwnPassword, R65WrongOldOnesLockToo) {
  auto& world = SignInWorld::shared();
  const auto email = world.somebody("guess");
  const auto session = world.signed_in(email);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(world.as(session).put("/v1/me/password", {{"old", kOther}, {"new", kOther}}).status, 403);
  const auto locked = world.as(session).put("/v1/me/password", {{"old", kGood}, {"new", kOther}});
  EXPECT_EQ(locked.status, 429);
  EXPECT_GT(std::stoi(locked.header("retry-after")), 1000);
}

TEST(Reset, R66EndsSessionsUnlocksAndMustBeChangedBeforeAnythingElse) {
  auto& world = SignInWorld::shared();
  const auto email = world.somebody("reset");
  const auto before = world.signed_in(email);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(world.login(email, "Wrong-password-1").status, 401);
  ASSERT_EQ(world.login(email, kGood).status, 429);
  EXPECT_EQ(world.root().put(world.account_path(email) + "/password", {{"password", kOther}}).status, 200);
  EXPECT_EQ(world.me(before).status, 401);
  const auto session = world.signed_in(email, kOther);
  EXPECT_EQ(world.me(session).body["must_change_password"], true);
  for (const char* path : {"/v1/tenants", "/v1/me/tokens"}) {
    const auto barred = world.as(session).get(path);
    EXPECT_EQ(barred.status, 403) << path;
    EXPECT_EQ(barred.code(), "password_change_required") << path;
  }
  EXPECT_EQ(world.as(session).get("/t/" + world.tenant() + "/authz/proxy/x").status, 403) << "nor does a proxy let it through";
  EXPECT_EQ(world.as(session).put("/v1/me/password", {{"old", kOther}, {"new", kGood}}).status, 204);
  EXPECT_EQ(world.as(session).get("/v1/tenants").status, 200);
  const auto own = world.root().put(world.account_path(world.root_email) + "/password", {{"password", kOther}});
  EXPECT_EQ(own.status, 403) << "one's own is changed with the old one";
  const auto stranger = world.signed_in(world.somebody("stranger"));
  EXPECT_EQ(world.as(stranger).put(world.account_path(email) + "/password", {{"password", kOther}}).status, 403);
}

TEST(Sessions, R67AreOpaqueStoredHashedAndEndByLogout) {
  auto& world = SignInWorld::shared();
  const auto email = world.somebody("session");
  const auto answer = world.login(email, kGood);
  const auto secret = answer.body["token"].get<std::string>();
  EXPECT_EQ(secret.size(), 40u);
  EXPECT_EQ(secret.substr(0, 4), "rss_");
  EXPECT_EQ(answer.header("cache-control"), "no-store");
  EXPECT_EQ(answer.header("set-cookie"), "");
  EXPECT_EQ(sql(world, fmt::format("SELECT count(*) FROM rosterd.account_session WHERE encode(hash, 'escape') LIKE '%{}%'", secret)), "0");
  const auto other = world.signed_in(email);
  const auto me = world.me(secret);
  EXPECT_EQ(me.body["session"]["id"], answer.body["session"]["id"]);
  EXPECT_FALSE(me.body.contains("token"));
  EXPECT_EQ(world.as(secret).post("/v1/logout").status, 204);
  EXPECT_EQ(world.me(secret).status, 401) << "at once";
  EXPECT_EQ(world.me(other).status, 200);
  EXPECT_EQ(world.root().post("/v1/logout").status, 400) << "a token is revoked, not signed out";
  // R107
  EXPECT_THAT(world.audited(email), Contains("login"));
  EXPECT_THAT(world.audited(email), Contains("logout"));
}

TEST(Sessions, R67EndAbsolutelyAndWhenIdle) {
  auto& world = SignInWorld::shared();
  const auto email = world.somebody("idle");
  const auto answer = world.login(email, kGood);
  const auto secret = answer.body["token"].get<std::string>();
  EXPECT_EQ(sql(world,
                "SELECT extract(epoch FROM ends_at - created_at)::int || ' ' || extract(epoch FROM idle_until - created_at)::int "
                "FROM rosterd.account_session ORDER BY session_id DESC LIMIT 1"),
            "43200 3600");
  // A use a while later moves the idle end, and never beyond the absolute one.
  sql(world,
      "UPDATE rosterd.account_session SET last_used_at = now() - interval '10 minutes', idle_until = now() + interval '1 minute', "
      "ends_at = now() + interval '5 minutes'");
  outlast_caches();
  EXPECT_EQ(world.me(secret).status, 200);
  EXPECT_EQ(sql(world, "SELECT (idle_until = ends_at)::text FROM rosterd.account_session ORDER BY session_id DESC LIMIT 1"), "true");
  sql(world, "UPDATE rosterd.account_session SET idle_until = now()");
  outlast_caches();
  EXPECT_EQ(world.me(secret).status, 401);
}

TEST(Sessions, R67TheCookieIsForBrowsersAndNeedsAHeaderToChangeAnything) {
  auto& world = SignInWorld::shared();
  const auto email = world.somebody("cookie");
  const auto answer = world.nobody().post("/v1/login", {{"email", email}, {"password", kGood}, {"cookie", true}});
  ASSERT_EQ(answer.status, 200) << answer.text;
  EXPECT_TRUE(answer.body["token"].is_null()) << "no script of the page sees it";
  const auto set = answer.header("set-cookie");
  for (const char* part : {"rosterd_session=rss_", "; HttpOnly", "; Secure", "; SameSite=Lax", "; Path=/", "; Max-Age=43200"})
    EXPECT_THAT(set, HasSubstr(part));
  const auto cookie = "a=b; " + set.substr(0, set.find(';'));
  EXPECT_EQ(world.nobody().get("/v1/me", {{"Cookie", cookie}}).body["email"], email);
  const auto forged = world.nobody().patch("/v1/me", {{"first_name", "Mallory"}}, {{"Cookie", cookie}});
  EXPECT_EQ(forged.status, 403);
  EXPECT_EQ(forged.code(), "csrf_header_required");
  EXPECT_EQ(world.nobody().patch("/v1/me", {{"first_name", "Ada"}}, {{"Cookie", cookie}, {"X-Rosterd-Csrf", "1"}}).status, 200);
  EXPECT_EQ(world.nobody().get("/v1/me", {{"Cookie", "rosterd_session=" + world.root_token}}).status, 401) << "only sessions are cookies";
  EXPECT_EQ(world.as("rst_x").get("/v1/me", {{"Cookie", cookie}}).status, 401) << "what was sent on purpose counts";
  const auto out = world.nobody().post("/v1/logout", {}, {{"Cookie", cookie}, {"X-Rosterd-Csrf", "1"}});
  EXPECT_EQ(out.status, 204);
  EXPECT_THAT(out.header("set-cookie"), HasSubstr("Max-Age=0"));
  EXPECT_EQ(world.nobody().get("/v1/me", {{"Cookie", cookie}}).status, 401);
}

TEST(Sessions, R67AnAccountWithoutAPasswordCannotSignInUntilItHasOne) {
  auto& world = SignInWorld::shared();
  const auto person = world.person("bare");
  EXPECT_EQ(world.login(person.email, "").status, 400);
  EXPECT_EQ(world.login(person.email, kGood).status, 401);
  EXPECT_EQ(world.as(person).put("/v1/me/password", {{"new", kGood}}).status, 204);
  EXPECT_EQ(world.login(person.email, kGood).status, 200);
}

TEST(Setup, R68TakesAPasswordThatThePolicyAllows) {
  World world(sign_in_options());
  const json body = {{"secret", world.setup_secret}, {"email", "first@people.example"}, {"password", "weak"}};
  EXPECT_EQ(world.nobody().post("/v1/setup", body).code(), "weak_password");
  auto good = body;
  good["password"] = kGood;
  ASSERT_EQ(world.nobody().post("/v1/setup", good).status, 201);
  const auto answer = world.nobody().post("/v1/login", {{"email", "First@People.Example"}, {"password", kGood}});
  ASSERT_EQ(answer.status, 200) << answer.text;
  EXPECT_EQ(answer.body["account"]["super_admin"], true);
  EXPECT_EQ(answer.body["must_change_password"], false);
  EXPECT_EQ(world.nobody().post("/v1/setup", good).code(), "setup_done");
}

TEST(Tokens, R57AConfiguredLongestAgeForbidsEternity) {
  auto options = sign_in_options();
  options.max_token_age = Millis(24 * 3'600'000);
  SignInWorld world(options);
  const auto person = world.person("aged");
  EXPECT_EQ(world.as(person).post("/v1/me/tokens", {{"name", "ever"}}).status, 400);
  EXPECT_EQ(world.as(person).post("/v1/me/tokens", {{"name", "long"}, {"max_age", "P2D"}}).status, 400);
  EXPECT_EQ(world.as(person).post("/v1/me/tokens", {{"name", "short"}, {"max_age", "PT12H"}}).status, 201);
}

}  // namespace
}  // namespace rosterd::test
