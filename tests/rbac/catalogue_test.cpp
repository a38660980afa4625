#include "rbac/catalogue.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <set>

namespace rosterd::rbac {
namespace {

std::size_t bits(const PairMask& mask) {
  std::size_t out = 0;
  for (const auto word : mask) out += static_cast<std::size_t>(std::popcount(word));
  return out;
}

std::string problem(std::string_view json) {
  const auto parsed = Catalogue::parse(json);
  return parsed ? "" : parsed.error().what;
}

TEST(Catalogue, HasTheHundredAndTwelvePairsOfTheText) {
  const auto catalogue = Catalogue::built_in();
  EXPECT_EQ(catalogue->pairs(), 112U);
  EXPECT_EQ(bits(catalogue->all()), 112U);
  EXPECT_EQ(bits(catalogue->iam()), 9U * 4 + 4 + 3 + 1);
  for (const auto& permission : catalogue->permissions())
    if (permission.iam) {
      EXPECT_EQ(permission.scope, Scope::Tenant) << permission.name;
    }
}

TEST(Catalogue, FindsByExactCaseOnly) {
  const auto catalogue = Catalogue::built_in();
  ASSERT_NE(catalogue->find("FLOW"), nullptr);
  EXPECT_EQ(catalogue->find("flow"), nullptr);
  EXPECT_EQ(catalogue->find(""), nullptr);
  EXPECT_FALSE(catalogue->pair(*catalogue->find("FLOW"), "read"));
  EXPECT_FALSE(catalogue->pair(*catalogue->find("SYNC_RUN"), "DELETE"));
}

TEST(Catalogue, NumbersEveryPairOnce) {
  const auto catalogue = Catalogue::built_in();
  std::set<std::uint16_t> numbers;
  for (const auto& permission : catalogue->permissions())
    for (const auto& action : permission.actions) EXPECT_TRUE(numbers.insert(*catalogue->pair(permission, action)).second);
  EXPECT_EQ(numbers.size(), catalogue->pairs());
  EXPECT_EQ(*numbers.rbegin() + 1U, catalogue->pairs());
}

TEST(Catalogue, PairsItDoesNotHaveGrantNothingR15) {
  const auto catalogue = Catalogue::built_in();
  EXPECT_EQ(bits(*catalogue->mask(R"({"FLOW":["READ","LAUNCH"],"SPACESHIP":["READ"]})")), 1U);
  EXPECT_EQ(bits(*catalogue->mask("{}")), 0U);
  EXPECT_FALSE(catalogue->mask("[]"));
  EXPECT_FALSE(catalogue->mask("{"));
  EXPECT_FALSE(catalogue->mask(R"({"FLOW":"READ"})"));
  EXPECT_FALSE(catalogue->mask(R"({"FLOW":[1]})"));
}

TEST(Catalogue, AReplacedOneKeepsTheIamPermissionsR13) {
  const auto parsed = Catalogue::parse(R"({"permissions":[{"name":"SHIP","scope":"namespace","actions":["SAIL","SINK"]}]})");
  ASSERT_TRUE(parsed) << parsed.error().what;
  EXPECT_EQ((*parsed)->find("FLOW"), nullptr);
  ASSERT_NE((*parsed)->find("CHECK"), nullptr);
  EXPECT_EQ((*parsed)->pairs(), 2U + 44U);
  EXPECT_EQ((*parsed)->iam(), (*parsed)->tenant_scope());
}

TEST(Catalogue, AFileMayAddToAnIamPermissionButNotTakeFromItR13) {
  const auto more = Catalogue::parse(R"({"permissions":[{"name":"CHECK","scope":"tenant","actions":["READ","BULK"]}]})");
  ASSERT_TRUE(more);
  EXPECT_TRUE((*more)->pair(*(*more)->find("CHECK"), "BULK"));
  EXPECT_NE(problem(R"({"permissions":[{"name":"USER","scope":"tenant","actions":["READ"]}]})").find("CREATE"), std::string::npos);
  EXPECT_NE(problem(R"({"permissions":[{"name":"CHECK","scope":"namespace","actions":["READ"]}]})").find("scope"), std::string::npos);
}

TEST(Catalogue, RefusesWhatItCannotUnderstandAndSaysWhere) {
  EXPECT_NE(problem("{\n \"permissions\": [,]}").find("line 2"), std::string::npos);
  EXPECT_NE(problem(R"({"permissions":[{"name":"9X","scope":"tenant","actions":["A"]}]})").find("permissions[0]"), std::string::npos);
  EXPECT_NE(problem(R"({"permissions":[{"name":"X","scope":"everywhere","actions":["A"]}]})").find("scope"), std::string::npos);
  EXPECT_NE(problem(R"({"permissions":[{"name":"X","scope":"tenant","actions":[]}]})").find("actions"), std::string::npos);
  EXPECT_NE(problem(R"({"permissions":[{"name":"X","scope":"tenant","actions":["A","A"]}]})").find("twice"), std::string::npos);
  EXPECT_NE(problem(R"({"permissions":[{"name":"X","scope":"tenant","actions":["A"],"color":"red"}]})").find("color"), std::string::npos);
  EXPECT_NE(problem(R"({"permissions":[],"extra":1})").find("extra"), std::string::npos);
  EXPECT_NE(problem("[]"), "");
}

TEST(Catalogue, MoreThan256PairsAreAnErrorWithTheLineR14) {
  std::string json = "{\"permissions\": [\n";
  for (int i = 0; i < 53; ++i)
    json += fmt::format("{}{{\"name\":\"P{}\",\"scope\":\"namespace\",\"actions\":[\"A\",\"B\",\"C\",\"D\"]}}\n", i == 0 ? "" : ",", i);
  EXPECT_EQ(problem(json + "]}"), "");  // 212 + 44 = 256
  json += ",{\"name\":\"ONE_MORE\",\"scope\":\"tenant\",\"actions\":[\"A\"]}\n]}";
  EXPECT_NE(problem(json).find("256"), std::string::npos);
  EXPECT_NE(problem(json).find("line "), std::string::npos);
}

TEST(ManagedRoles, GiveWhatTheTableSays) {
  const auto catalogue = Catalogue::built_in();
  std::map<std::string_view, std::size_t> sizes;
  for (const auto& role : managed_roles()) {
    if (role.admin) {
      EXPECT_EQ(role.name, "Admin");
      EXPECT_TRUE(role.permissions.empty());
      continue;
    }
    const auto mask = catalogue->mask(role.permissions);
    ASSERT_TRUE(mask) << role.name;
    sizes[role.name] = bits(*mask);
    for (std::size_t i = 0; i < mask->size(); ++i) EXPECT_EQ((*mask)[i] & catalogue->iam()[i], 0U) << role.name;
  }
  EXPECT_EQ(managed_roles().size(), 5U);
  EXPECT_EQ(sizes,
            (std::map<std::string_view, std::size_t>{{"Developer", 14 * 4 + 2}, {"Editor", 10 * 4 + 4}, {"Launcher", 9}, {"Viewer", 4}}));
}

}  // namespace
}  // namespace rosterd::rbac
