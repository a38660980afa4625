#include "rbac/catalogue.hpp"

#include <gmock/gmock.h>

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

TEST(Catalogue, HasTheHundredAndTwelvePairsOfTheTextR11R12) {
  const auto catalogue = Catalogue::built_in();
  EXPECT_EQ(catalogue->pairs(), 112U);
  EXPECT_EQ(bits(catalogue->all()), 112U);
  EXPECT_EQ(bits(catalogue->iam()), 9U * 4 + 4 + 3 + 1);
  for (const auto& permission : catalogue->permissions())
    if (permission.iam) {
      EXPECT_EQ(permission.scope, Scope::Tenant) << permission.name;
    }
}

TEST(Catalogue, FindsByExactCaseOnlyR14) {
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

TEST(ManagedRoles, GiveWhatTheTableSaysR21R23) {
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

TEST(RoleContent, NamesEveryUnknownPermissionAndActionR19) {
  const auto catalogue = Catalogue::built_in();
  const auto refused = [&](std::string_view content) { return catalogue->strict_mask(content).error(); };
  const auto permissions = refused(R"({"SPACESHIP":["READ"],"FLOW":["READ","LAUNCH"],"WARP":[]})");
  EXPECT_EQ(permissions.slug, "unknown_permission");
  for (const auto* name : {"SPACESHIP", "WARP", "FLOW has no action LAUNCH"}) EXPECT_THAT(permissions.what, testing::HasSubstr(name));
  const auto actions = refused(R"({"FLOW":["LAUNCH","LAND"],"USER":["KNOW"],"APP":["READ"]})");
  EXPECT_EQ(actions.slug, "unknown_action");
  for (const auto* name : {"FLOW has no action LAUNCH, LAND", "USER has no action KNOW"})
    EXPECT_THAT(actions.what, testing::HasSubstr(name));
  // Never translated: neither case nor the names of other versions.
  EXPECT_EQ(refused(R"({"flow":["READ"]})").slug, "unknown_permission");
  EXPECT_EQ(refused(R"({"FLOW":["VIEW"]})").slug, "unknown_action");
  EXPECT_EQ(refused(R"({"FLOW":["*any*"]})").slug, "unknown_action");
}

TEST(RoleContent, HasAtLeastOnePairR18) {
  const auto catalogue = Catalogue::built_in();
  for (const auto* empty : {"{}", R"({"FLOW":[]})", "[]", "null", "", R"({"FLOW":"READ"})", R"({"FLOW":[1]})"}) {
    const auto refused = catalogue->strict_mask(empty);
    ASSERT_FALSE(refused) << empty;
    EXPECT_EQ(refused.error().code, Errc::InvalidInput);
    EXPECT_EQ(refused.error().slug, "") << empty;
  }
  EXPECT_EQ(bits(*catalogue->strict_mask(R"({"FLOW":["READ","READ"],"CHECK":["READ"]})")), 2U);
}

TEST(RoleContent, ShowsThePairsThatGrantNothingNowR15) {
  const auto catalogue = Catalogue::built_in();
  EXPECT_THAT(catalogue->unknown_pairs(R"({"WARP":["GO"],"FLOW":["READ","LAUNCH"],"SPACESHIP":["LAND","FLY"]})"),
              testing::ElementsAre(NamedPair{"FLOW", "LAUNCH"}, NamedPair{"SPACESHIP", "FLY"}, NamedPair{"SPACESHIP", "LAND"},
                                   NamedPair{"WARP", "GO"}));
  EXPECT_THAT(catalogue->unknown_pairs(R"({"FLOW":["READ"]})"), testing::IsEmpty());
}

TEST(RoleContent, PairsThatComeBackGrantAgainR15) {
  const std::string content = R"({"SHIP":["SAIL"]})";
  EXPECT_EQ(bits(*Catalogue::built_in()->mask(content)), 0U);
  const auto with_ships = Catalogue::parse(R"({"permissions":[{"name":"SHIP","scope":"namespace","actions":["SAIL"]}]})");
  ASSERT_TRUE(with_ships);
  EXPECT_EQ(bits(*(*with_ships)->mask(content)), 1U);
  EXPECT_THAT((*with_ships)->unknown_pairs(content), testing::IsEmpty());
}

TEST(RoleContent, IsWrittenInCatalogueOrderR20) {
  const auto catalogue = Catalogue::built_in();
  EXPECT_EQ(catalogue->content(*catalogue->mask(R"({"CHECK":["READ"],"FLOW":["DELETE","READ"]})")),
            R"({"FLOW":["READ","DELETE"],"CHECK":["READ"]})");
  EXPECT_EQ(catalogue->content({}), "{}");
  EXPECT_EQ(*catalogue->mask(catalogue->content(catalogue->all())), catalogue->all());
}

std::string content_of(const Catalogue& catalogue, std::string_view role) {
  for (const auto& one : catalogue.managed_roles())
    if (one.name == role) return one.permissions;
  return "none";
}

TEST(ManagedRoles, AreCutDownToAReplacedCatalogueR23) {
  const auto parsed = Catalogue::parse(R"({"permissions":[{"name":"FLOW","scope":"namespace","actions":["READ","SAIL"]}]})");
  ASSERT_TRUE(parsed) << parsed.error().what;
  EXPECT_EQ((*parsed)->managed_roles().size(), 5U);
  EXPECT_EQ(content_of(**parsed, "Developer"), R"({"FLOW":["READ"]})");
  EXPECT_EQ(content_of(**parsed, "Viewer"), R"({"FLOW":["READ"]})");
  EXPECT_TRUE((*parsed)->managed_roles()[0].admin);
}

TEST(ManagedRoles, TakeTheContentsThatTheFileBringsR13R23) {
  const std::string permissions = R"("permissions":[{"name":"SHIP","scope":"namespace","actions":["SAIL","SINK"]}])";
  const auto parsed = Catalogue::parse("{" + permissions + R"(,"roles":{"Editor":{"SHIP":["SINK","SAIL"],"USER":["READ"]}}})");
  ASSERT_TRUE(parsed) << parsed.error().what;
  EXPECT_EQ(content_of(**parsed, "Editor"), R"({"SHIP":["SAIL","SINK"],"USER":["READ"]})");
  EXPECT_EQ(content_of(**parsed, "Viewer"), "{}");
  EXPECT_THAT(problem("{" + permissions + ",\n\"roles\":{\n\"Editor\":{\"FLOW\":[\"READ\"]}}}"),
              testing::AllOf(testing::HasSubstr("line 3"), testing::HasSubstr("Editor"), testing::HasSubstr("FLOW")));
  EXPECT_THAT(problem("{" + permissions + R"(,"roles":{"Captain":{"SHIP":["SAIL"]}}})"), testing::HasSubstr("Captain"));
  EXPECT_THAT(problem("{" + permissions + R"(,"roles":{"Admin":{"SHIP":["SAIL"]}}})"), testing::HasSubstr("every pair"));
  EXPECT_THAT(problem("{" + permissions + R"(,"roles":[]})"), testing::HasSubstr("roles must be an object"));
}

TEST(Catalogue, ItsHashTellsWhetherTwoReplicasAnswerAlikeR23R100) {
  const auto hash = [](std::string_view text) { return (*Catalogue::parse(text))->hash(); };
  const std::string_view base = R"({"permissions":[{"name":"SHIP","scope":"namespace","actions":["SAIL"]}]})";
  EXPECT_EQ(hash(base), hash(R"({"permissions": [ {"actions":["SAIL"],"scope":"namespace","name":"SHIP"} ]})"));
  std::set<std::string> all{Catalogue::built_in()->hash(), hash(base)};
  for (const auto* other :
       {R"({"permissions":[{"name":"SHIP","scope":"tenant","actions":["SAIL"]}]})",
        R"({"permissions":[{"name":"SHIP","scope":"namespace","actions":["SAIL","SINK"]}]})",
        R"({"permissions":[{"name":"BOAT","scope":"namespace","actions":["SAIL"]}]})",
        R"({"permissions":[{"name":"SHIP","scope":"namespace","actions":["SAIL"]}],"roles":{"Viewer":{"SHIP":["SAIL"]}}})"})
    EXPECT_TRUE(all.insert(hash(other)).second) << other;
  EXPECT_EQ(Catalogue::built_in()->hash().size(), 16U);
}

}  // namespace
}  // namespace rosterd::rbac
