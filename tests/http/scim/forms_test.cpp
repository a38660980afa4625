// The parts without a server: PATCH in the forms that Entra, Okta and their validators send, as a table; and what filters say of a
// resource.
#include "daemon/http/scim/filter.hpp"
#include "daemon/http/scim/patch.hpp"
#include "tests/http/scim/pusher.hpp"

namespace rosterd::test {
namespace {

using namespace http::scim;

struct Form {
  const char* what;
  const char* before;
  const char* operations;
  const char* after;
};

// Entra: capitals, texts for truth values, value paths; with the flag aadOptscim062020 lower case, real truth values, keys with dots and
// URNs.
const Form kForms[] = {
    {"Entra deactivates", R"({"userName":"a","active":true})", R"([{"op":"Replace","path":"active","value":"False"}])",
     R"({"userName":"a","active":false})"},
    {"Entra deactivates with its flag", R"({"userName":"a","active":true})", R"([{"op":"replace","path":"active","value":false}])",
     R"({"userName":"a","active":false})"},
    {"Okta deactivates", R"({"userName":"a","active":true})", R"([{"op":"replace","value":{"active":false}}])",
     R"({"userName":"a","active":false})"},
    {"several Replace operations", R"({"userName":"a","displayName":"x","name":{"givenName":"g"}})",
     R"([{"op":"Replace","path":"displayName","value":"y"},{"op":"Replace","path":"name.givenName","value":"h"},{"op":"Add","path":"name.familyName","value":"f"}])",
     R"({"userName":"a","displayName":"y","name":{"givenName":"h","familyName":"f"}})"},
    {"dotted keys without a path", R"({"userName":"a"})",
     R"([{"op":"replace","value":{"name.givenName":"g","displayName":"d","urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department":"D"}}])",
     R"({"userName":"a","name":{"givenName":"g"},"displayName":"d","urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"department":"D"}})"},
    {"bracketed keys without a path", R"({"userName":"a"})", R"([{"op":"add","value":{"emails[type eq \"work\"].value":"a@b"}}])",
     R"({"userName":"a","emails":[{"type":"work","value":"a@b"}]})"},
    {"an extension as a key", R"({"userName":"a"})",
     R"([{"op":"add","value":{"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"department":"D","manager":{"value":"m"}}}}])",
     R"({"userName":"a","urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"department":"D","manager":{"value":"m"}}})"},
    {"the manager as a text", R"({"userName":"a"})",
     R"([{"op":"Add","path":"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager","value":"m"}])",
     R"({"userName":"a","urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"manager":{"value":"m"}}})"},
    {"the manager taken away", R"({"userName":"a","urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"manager":{"value":"m"}}})",
     R"([{"op":"Replace","path":"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager","value":""}])", R"({"userName":"a"})"},
    {"a value path that is there", R"({"userName":"a","emails":[{"type":"work","value":"x"},{"type":"home","value":"h"}]})",
     R"([{"op":"Replace","path":"emails[type eq \"work\"].value","value":"y"}])",
     R"({"userName":"a","emails":[{"type":"work","value":"y"},{"type":"home","value":"h"}]})"},
    {"a value path that is not there yet", R"({"userName":"a","emails":[{"type":"home","value":"h"}]})",
     R"([{"op":"Add","path":"emails[type eq \"work\"].value","value":"y"}])",
     R"({"userName":"a","emails":[{"type":"home","value":"h"},{"type":"work","value":"y"}]})"},
    {"roles by primary as a text", R"({"userName":"a"})", R"([{"op":"Add","path":"roles[primary eq \"True\"].value","value":"r"}])",
     R"({"userName":"a","roles":[{"primary":true,"value":"r"}]})"},
    {"an address part", R"({"userName":"a"})", R"([{"op":"Add","path":"addresses[type eq \"work\"].country","value":"NO"}])",
     R"({"userName":"a","addresses":[{"type":"work","country":"NO"}]})"},
    {"another primary", R"({"userName":"a","emails":[{"value":"x","primary":true}]})",
     R"([{"op":"add","path":"emails","value":[{"value":"y","primary":true}]}])",
     R"({"userName":"a","emails":[{"value":"x","primary":false},{"value":"y","primary":true}]})"},
    {"added twice", R"({"userName":"a","emails":[{"value":"x","type":"work"}]})",
     R"([{"op":"add","path":"emails","value":[{"value":"x","type":"work"}]}])",
     R"({"userName":"a","emails":[{"value":"x","type":"work"}]})"},
    {"the list replaced", R"({"userName":"a","emails":[{"value":"x"},{"value":"y"}]})",
     R"([{"op":"replace","path":"emails","value":[{"value":"z"}]}])", R"({"userName":"a","emails":[{"value":"z"}]})"},
    {"one of a list removed", R"({"userName":"a","emails":[{"value":"x","type":"work"},{"value":"y","type":"home"}]})",
     R"([{"op":"remove","path":"emails[type eq \"work\"]"}])", R"({"userName":"a","emails":[{"value":"y","type":"home"}]})"},
    {"removed by value", R"({"userName":"a","emails":[{"value":"x"},{"value":"y"}]})",
     R"([{"op":"Remove","path":"emails","value":[{"value":"x"}]}])", R"({"userName":"a","emails":[{"value":"y"}]})"},
    {"a sub-attribute removed", R"({"userName":"a","name":{"givenName":"g","familyName":"f"}})",
     R"([{"op":"remove","path":"name.givenName"}])", R"({"userName":"a","name":{"familyName":"f"}})"},
    {"null is absence", R"({"userName":"a","title":"t"})", R"([{"op":"replace","path":"title","value":null}])", R"({"userName":"a"})"},
    {"names in other letters", R"({"userName":"a"})", R"([{"OP":"ADD","Path":"NAME.GIVENNAME","Value":"g"}])",
     R"({"userName":"a","name":{"givenName":"g"}})"},
    {"the core schema's URN", R"({"userName":"a"})",
     R"([{"op":"add","path":"urn:ietf:params:scim:schemas:core:2.0:User:title","value":"t"}])", R"({"userName":"a","title":"t"})"},
    {"an extension nobody knows", R"({"userName":"a"})",
     R"([{"op":"Add","path":"urn:ietf:params:scim:schemas:extension:Custom:2.0:User:tag","value":"t"}])",
     R"({"userName":"a","urn:ietf:params:scim:schemas:extension:Custom:2.0:User":{"tag":"t"}})"},
    {"a password is not kept", R"({"userName":"a"})", R"([{"op":"replace","value":{"password":"p","title":"t"}}])",
     R"({"userName":"a","title":"t"})"},
    {"an unknown name in a value is passed over", R"({"userName":"a"})",
     R"([{"op":"replace","value":{"id":"x","shoeSize":7,"title":"t"}}])", R"({"userName":"a","title":"t"})"},
};

TEST(PatchForms, AreAppliedAsTheirSendersMeanThem) {
  for (const auto& form : kForms) {
    auto document = json::parse(form.before);
    const auto operations = parse_patch({{"Operations", json::parse(form.operations)}});
    ASSERT_TRUE(operations) << form.what << ": " << operations.error().what;
    std::vector<MemberChange> members;
    const auto done = apply(PrincipalType::User, *operations, document, members);
    ASSERT_TRUE(done) << form.what << ": " << done.error().what;
    EXPECT_EQ(document, json::parse(form.after)) << form.what;
  }
}

TEST(PatchForms, WhatCannotBeMeantIsRefusedByItsName) {
  const std::tuple<const char*, const char*> kCases[] = {
      {R"([{"op":"replace","path":"id","value":"x"}])", "mutability"},
      {R"([{"op":"remove","path":"userName"}])", "mutability"},
      {R"([{"op":"remove"}])", "noTarget"},
      {R"([{"op":"replace","path":"shoeSize","value":7}])", "invalidPath"},
      {R"([{"op":"replace","path":"name.nothing","value":"x"}])", "invalidPath"},
      {R"([{"op":"replace","path":"emails[type eq \"work\"","value":"x"}])", "invalidFilter"},
      {R"([{"op":"replace","path":"emails[type co \"w\"].value","value":"x"}])", "noTarget"},
      {R"([{"op":"replace","path":"active","value":"perhaps"}])", "invalidValue"},
      {R"([{"op":"replace","value":"x"}])", "invalidValue"},
      {R"([{"op":"replace","path":"userName","value":7}])", "invalidValue"},
  };
  for (const auto& [text, slug] : kCases) {
    json document{{"userName", "a"}};
    const auto operations = parse_patch({{"Operations", json::parse(text)}});
    ASSERT_TRUE(operations) << text;
    std::vector<MemberChange> members;
    const auto done = apply(PrincipalType::User, *operations, document, members);
    ASSERT_FALSE(done) << text;
    EXPECT_EQ(done.error().slug, slug) << text << done.error().what;
  }
  auto many = json::array();
  for (int i = 0; i < 101; ++i) many.push_back({{"op", "add"}, {"path", "title"}, {"value", "x"}});
  EXPECT_EQ(parse_patch({{"Operations", many}}).error().slug, "tooMany");
  EXPECT_EQ(parse_patch({{"Operations", json::array()}}).error().slug, "invalidSyntax");
  EXPECT_EQ(parse_patch({{"Operations", json::array({{{"op", "copy"}}})}}).error().slug, "invalidSyntax");
  EXPECT_EQ(parse_patch(json::object()).error().slug, "invalidSyntax");
}

// The probes and lookups of both, against the server.
TEST_F(Pushing, TheConversationsOfEntraAndOktaGoThrough) {
  // Entra's connection test: nobody, said with 200 and an empty list.
  auto answer = push("GET", "/Users?filter=" + encoded("userName eq \"6a1b4f5e-non-existing\""));
  ASSERT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body["totalResults"], 0);
  EXPECT_EQ(answer.body["Resources"], json::array());
  // Okta's, on save: numbers must be numbers.
  for (const char* probe : {"/Users?startIndex=1&count=2", "/Groups?startIndex=1&count=100"}) {
    answer = push("GET", probe);
    ASSERT_EQ(answer.status, 200);
    for (const char* number : {"totalResults", "startIndex", "itemsPerPage"}) EXPECT_TRUE(answer.body[number].is_number_integer()) << probe;
    EXPECT_EQ(answer.body["schemas"][0], "urn:ietf:params:scim:api:messages:2.0:ListResponse");
  }
  // Okta's SPEC test: a user that is not there.
  answer = push("GET", "/Users/010101001010101011001010101011");
  EXPECT_EQ(answer.status, 404);
  EXPECT_TRUE(answer.body["detail"].is_string());
  EXPECT_EQ(answer.body["schemas"][0], "urn:ietf:params:scim:api:messages:2.0:Error");
  // Microsoft's validator: create, get, filter by several, patch, delete.
  answer = push("POST", "/Users",
                {{"schemas", {kUserUrn, kEnterpriseUrn}},
                 {"externalId", "0a21f0f2"},
                 {"userName", "Test_User_dfeef4c5"},
                 {"active", true},
                 {"emails", json::array({{{"primary", true}, {"type", "work"}, {"value", "Test_User@testuser.com"}}})},
                 {"meta", {{"resourceType", "User"}}},
                 {"name", {{"formatted", "givenName familyName"}, {"familyName", "familyName"}, {"givenName", "givenName"}}},
                 {"roles", json::array()}});
  ASSERT_EQ(answer.status, 201) << answer.text;
  const auto id = answer.body["id"].get<std::string>();
  EXPECT_EQ(find("/Users", "externalId eq \"0a21f0f2\" and userName eq \"test_user_dfeef4c5\"")["totalResults"], 1);
  EXPECT_EQ(find("/Users", "emails[type eq \"work\"].value eq \"test_user@testuser.com\"")["totalResults"], 1);
  EXPECT_EQ(push("POST", "/Users", {{"userName", "TEST_user_dfeef4c5"}}).body["scimType"], "uniqueness");
  answer = patch("/Users/" + id, json::array({{{"op", "Replace"}, {"path", "emails[type eq \"work\"].value"}, {"value", "updated@x.com"}},
                                              {{"op", "Replace"}, {"path", "name.familyName"}, {"value", "updatedFamilyName"}}}));
  ASSERT_EQ(answer.status, 200) << answer.text;
  EXPECT_EQ(answer.body["emails"][0]["value"], "updated@x.com");
  EXPECT_EQ(answer.body["name"]["familyName"], "updatedFamilyName");
  answer =
      push("POST", "/Groups",
           {{"schemas", {kGroupUrn}}, {"externalId", "8aa1a0c0"}, {"displayName", "displayName"}, {"meta", {{"resourceType", "Group"}}}});
  ASSERT_EQ(answer.status, 201) << answer.text;
  EXPECT_EQ(find("/Groups", "displayName eq \"displayName\"")["totalResults"], 1);
  EXPECT_EQ(push("DELETE", "/Groups/" + answer.body["id"].get<std::string>()).status, 429) << "the only group of the source";
}

}  // namespace
}  // namespace rosterd::test
