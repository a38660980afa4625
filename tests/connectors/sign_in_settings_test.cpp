// How a source says that its issuer signs people in.
#include "connectors/oidc/sign_in_settings.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace rosterd::connectors::oidc {
namespace {

using nlohmann::json;
using testing::HasSubstr;

json good(const json& more = json::object()) {
  json out{{"issuer", "https://idp.example"}, {"sign_in", true}, {"audiences", {"rosterd"}}};
  out.merge_patch(more);
  return out;
}

std::string problems(const json& more) {
  const auto parsed = parse_sign_in(good(more));
  return parsed ? std::string() : parsed.error().what;
}

TEST(SignInSettings, AreStrictWhereNothingIsSaid) {
  const auto parsed = parse_sign_in(good());
  ASSERT_TRUE(parsed) << parsed.error().what;
  EXPECT_EQ(parsed->policy.type, jwt::TokenType::Rfc9068);
  EXPECT_EQ(parsed->policy.subject_claim, "sub");
  EXPECT_EQ(parsed->unknown_people, UnknownPeople::Refuse);
  EXPECT_FALSE(parsed->clients_too);
  EXPECT_TRUE(parsed->groups_claim.empty());
  EXPECT_TRUE(parsed->client_id.empty());
}

TEST(SignInSettings, WithoutSignInNothingElseIsLookedAt) {
  const auto parsed = parse_sign_in({{"issuer", "https://idp.example"}, {"sign_in", false}, {"sign_in_options", {{"colour", "red"}}}});
  ASSERT_TRUE(parsed) << parsed.error().what;
  EXPECT_FALSE(parsed->sign_in);
}

TEST(SignInSettings, EveryProblemIsNamedWithItsPath) {
  const auto text = problems({{"audiences", "rosterd"},
                              {"sign_in_options",
                               {{"colour", "red"},
                                {"algorithms", {"HS256"}},
                                {"token_type", "opaque"},
                                {"clock_skew", "1h"},
                                {"subject_kinds", {"robot"}},
                                {"scopes", {"profile"}}}}});
  for (const auto* part : {"/audiences: must be a list", "'colour' is unknown", "/sign_in_options/algorithms: 'HS256' is none of",
                           "/sign_in_options/token_type: must be one of", "/sign_in_options/clock_skew", "'robot' is neither",
                           "/sign_in_options/scopes: must hold openid"})
    EXPECT_THAT(text, HasSubstr(part));
}

TEST(SignInSettings, NobodyIsKnownByANameOrAnAddress_R5) {
  for (const auto* claim : {"email", "preferred_username", "upn", "unique_name", "name"})
    EXPECT_THAT(problems({{"sign_in_options", {{"subject_claim", claim}}}}), HasSubstr("/sign_in_options/subject_claim")) << claim;
  EXPECT_EQ(problems({{"sign_in_options", {{"subject_claim", "oid"}}}}), "");
}

TEST(SignInSettings, AnIdTokenCannotPassForAnAccessToken) {
  EXPECT_THAT(problems({{"audiences", {"console"}}, {"sign_in_options", {{"token_type", "jwt"}, {"client_id", "console"}}}}),
              HasSubstr("ID tokens have it"));
  EXPECT_EQ(problems({{"audiences", {"console"}}, {"sign_in_options", {{"client_id", "console"}}}}), "") << "typ tells them apart";
}

TEST(SignInSettings, SomebodyMustBeAbleToSignIn) {
  EXPECT_THAT(problems({{"audiences", nullptr}}), HasSubstr("/audiences: is missing"));
  EXPECT_EQ(problems({{"audiences", nullptr}, {"sign_in_options", {{"client_id", "console"}}}}), "") << "browsers can";
  EXPECT_THAT(problems({{"sign_in_options", {{"default_role", "Viewer"}}}}), HasSubstr("/sign_in_options/default_role"));
  EXPECT_THAT(problems({{"sign_in_options", {{"client_secret", {{"value", "s"}}}}}}), HasSubstr("stands without client_id"));
}

TEST(SignInSettings, ASecretIsNeverShownInAProblem) {
  EXPECT_THAT(problems({{"sign_in_options", {{"client_id", "c"}, {"client_secret", "hunter2"}}}}),
              testing::AllOf(HasSubstr("/sign_in_options/client_secret"), testing::Not(HasSubstr("hunter2"))));
}

}  // namespace
}  // namespace rosterd::connectors::oidc
