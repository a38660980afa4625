#include "rbac/escalation.hpp"

#include <gmock/gmock.h>

#include <random>

#include "schema/core/text.hpp"

namespace rosterd::rbac {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

RoleAt at(std::string permissions, std::optional<std::string> ns = std::nullopt) {
  return {.role = {.id = {1}, .name = "r", .description = {}, .managed = false, .admin = false, .permissions = std::move(permissions)},
          .ns = std::move(ns)};
}
RoleAt admin(std::optional<std::string> ns = std::nullopt) {
  return {.role = {.id = {2}, .name = "Admin", .description = {}, .managed = true, .admin = true, .permissions = {}}, .ns = std::move(ns)};
}

std::vector<std::string> lines(const Granting& granting) {
  const auto open = missing(*Catalogue::built_in(), granting);
  if (!open) return {"error: " + open.error().what};
  std::vector<std::string> out;
  for (const auto& one : *open) out.push_back(fmt::format("{} {} {}", one.permission, one.action, one.ns.value_or("*")));
  return out;
}

const std::string kFlows = R"({"FLOW":["READ","UPDATE"]})";

TEST(Escalation, WhatIsNotHeldIsNamedWithItsScopeR75) {
  EXPECT_THAT(lines({.held = {at(R"({"FLOW":["READ"]})")}, .wanted = {at(kFlows, "a.b")}}), ElementsAre("FLOW UPDATE a.b"));
  EXPECT_THAT(lines({.held = {}, .wanted = {at(kFlows)}}), ElementsAre("FLOW READ *", "FLOW UPDATE *"));
}

TEST(Escalation, TheSameScopeOrAWiderOneIsEnoughR75) {
  for (const auto* ns : {"a.b", "a.b.c", "a.b.c.d"})
    EXPECT_THAT(lines({.held = {at(kFlows, "a.b")}, .wanted = {at(kFlows, ns)}}), IsEmpty());
  EXPECT_THAT(lines({.held = {at(kFlows)}, .wanted = {at(kFlows, "a.b")}}), IsEmpty());
  for (const auto* ns : {"a", "a.bc", "a.c", "b", "x.a.b"})
    EXPECT_THAT(lines({.held = {at(kFlows, "a.b")}, .wanted = {at(kFlows, ns)}}), testing::SizeIs(2)) << ns;
  EXPECT_THAT(lines({.held = {at(kFlows, "a.b")}, .wanted = {at(kFlows)}}), ElementsAre("FLOW READ *", "FLOW UPDATE *"));
}

TEST(Escalation, HoldingsAddUpR75) {
  EXPECT_THAT(lines({.held = {at(R"({"FLOW":["READ"]})"), at(R"({"FLOW":["UPDATE"]})", "a")}, .wanted = {at(kFlows, "a.b")}}), IsEmpty());
}

TEST(Escalation, ATenantPairOfALimitedBindingIsNeitherGivenNorHeldR76) {
  const std::string users = R"({"USER":["READ"],"FLOW":["READ"]})";
  EXPECT_THAT(lines({.held = {at(R"({"FLOW":["READ"]})", "a")}, .wanted = {at(users, "a")}}), IsEmpty());
  EXPECT_THAT(lines({.held = {at(users, "a")}, .wanted = {at(users)}}), ElementsAre("FLOW READ *", "USER READ *"));
}

TEST(Escalation, OnlyAddedPairsOfAnEditNeedHoldingWhereverTheRoleIsBoundR77) {
  const std::string before = R"({"FLOW":["READ"],"SECRET":["READ"]})", after = R"({"FLOW":["READ","DELETE"]})";
  EXPECT_THAT(lines({.held = {}, .wanted = {at(after, "a"), at(after, "b")}, .had = {at(before, "a"), at(before, "b")}}),
              ElementsAre("FLOW DELETE a", "FLOW DELETE b"));
  EXPECT_THAT(lines({.held = {at(R"({"FLOW":["DELETE"]})", "a")},
                     .wanted = {at(after, "a"), at(after, "b")},
                     .had = {at(before, "a"), at(before, "b")}}),
              ElementsAre("FLOW DELETE b"));
  EXPECT_THAT(lines({.held = {}, .wanted = {at(R"({"FLOW":["READ"]})")}, .had = {at(before)}}), IsEmpty());  // only taken away
  EXPECT_THAT(lines({.held = {}, .wanted = {at(after)}, .had = {at(before, "a")}}), ElementsAre("FLOW READ *", "FLOW DELETE *"));
}

TEST(Escalation, AGroupGivesEverythingBoundToItAndAboveItR78) {
  EXPECT_THAT(lines({.held = {at(kFlows)}, .wanted = {at(kFlows, "a"), at(R"({"SECRET":["READ"]})", "a.b"), admin("c")}}),
              ElementsAre("SECRET READ a.b", "ALL ALL c"));
}

TEST(Escalation, AdminIsHeldOnlyByWhoHasAdminR80) {
  const auto everything = Catalogue::built_in()->content(Catalogue::built_in()->all());
  EXPECT_THAT(lines({.held = {at(everything)}, .wanted = {admin()}}), ElementsAre("ALL ALL *"));
  EXPECT_THAT(lines({.held = {at(everything)}, .wanted = {admin("a")}}), ElementsAre("ALL ALL a"));
  EXPECT_THAT(lines({.held = {admin("a")}, .wanted = {admin()}}), ElementsAre("ALL ALL *"));
  EXPECT_THAT(lines({.held = {admin("a")}, .wanted = {admin("a.b"), at(kFlows, "a.c")}}), IsEmpty());
  EXPECT_THAT(lines({.held = {admin()}, .wanted = {admin(), admin("a"), at(everything)}}), IsEmpty());
}

TEST(Escalation, PairsTheCatalogueNoLongerHasAreNotCountedR15R75) {
  EXPECT_THAT(lines({.held = {}, .wanted = {at(R"({"SPACESHIP":["LAUNCH"],"FLOW":["LAUNCH"]})")}}), IsEmpty());
}

TEST(Escalation, NothingWantedNeedsNothing) { EXPECT_THAT(lines({}), IsEmpty()); }

TEST(Escalation, AStoredRoleThatCannotBeReadStopsTheGrantR75) {
  EXPECT_THAT(lines({.held = {admin()}, .wanted = {at("[]")}}), ElementsAre(HasSubstr("error: reading role r")));
  EXPECT_THAT(lines({.held = {at("{")}, .wanted = {at(kFlows)}}), ElementsAre(HasSubstr("error: reading role r")));
}

TEST(Escalation, TheJudgeRefusesAsEscalationAndNamesWhatIsMissingR75) {
  const auto judge = make_judge(Catalogue::built_in());
  EXPECT_TRUE(judge({.held = {admin()}, .wanted = {admin()}}));
  const auto refused = judge({.held = {}, .wanted = {at(kFlows, "a.b"), admin()}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::Forbidden);
  EXPECT_EQ(refused.error().slug, "escalation");
  EXPECT_THAT(refused.error().what, HasSubstr("ALL ALL in the whole tenant, FLOW READ in a.b, FLOW UPDATE in a.b"));
}

TEST(Escalation, WhatIsMissingIsJsonOfAtMostAHundredR75) {
  std::vector<Missing> open{{"FLOW", "READ", std::nullopt}, {"FLOW", "READ", "a.b"}};
  EXPECT_EQ(to_json(open), R"({"missing":[{"permission":"FLOW","action":"READ","namespace":null},)"
                           R"({"permission":"FLOW","action":"READ","namespace":"a.b"}],"missing_total":2})");
  open.assign(101, {"FLOW", "READ", "a"});
  EXPECT_THAT(to_json(open), HasSubstr(R"("missing_total":101)"));
  EXPECT_EQ(to_json({}), R"({"missing":[],"missing_total":0})");
}

// Thousands of bindings of a few roles, as a large group or a source brings them.
TEST(Escalation, ManyBindingsOfFewRolesAreJudgedAtOnceR81) {
  Granting granting{.held = {at(kFlows, "team1")}};
  for (int i = 0; i < 20'000; ++i) granting.wanted.push_back(at(kFlows, fmt::format("team{}.app{}", i % 3, i)));
  EXPECT_EQ(lines(granting).size(), 2U * 13333);
}

// A grant is judged right when nobody could reach by it what he could not reach before: held and wanted are tried pair by pair.
TEST(Escalation, IsTheDifferencePairByPairR75R76) {
  const auto catalogue = Catalogue::built_in();
  const std::vector<std::string> names{"a", "a.b", "a.bc", "a.b.c", "b"};
  std::mt19937 random(5);
  const auto below = [&](std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(random); };
  const auto some = [&](std::size_t most) {
    std::vector<RoleAt> out;
    for (auto i = below(most); i > 0; --i) {
      PairMask mask{};
      for (int bit = 0; bit < 112; ++bit)
        if (below(3) == 0) mask[static_cast<std::size_t>(bit) / 64] |= std::uint64_t{1} << (bit % 64);
      const auto ns = below(3) == 0 ? std::nullopt : std::optional(names[below(names.size())]);
      out.push_back(below(8) == 0 ? admin(ns) : at(catalogue->content(mask), ns));
    }
    return out;
  };
  for (int round = 0; round < 300; ++round) {
    const Granting granting{.held = some(5), .wanted = some(4)};
    std::set<std::string> expected;
    for (const auto& [role, ns] : granting.wanted) {
      bool held_admin = false;
      for (const auto& have : granting.held) held_admin = held_admin || (have.role.admin && (!have.ns || (ns && covers(*have.ns, *ns))));
      if (held_admin) continue;
      bool wants_admin = false;  // at this scope by any wanted role: then that is what is missing
      for (const auto& other : granting.wanted) wants_admin = wants_admin || (other.role.admin && other.ns == ns);
      if (wants_admin) {
        expected.insert(fmt::format("ALL ALL {}", ns.value_or("*")));
        continue;
      }
      const auto wanted = *catalogue->mask(role.permissions);
      for (const auto& permission : catalogue->permissions())
        for (const auto& action : permission.actions) {
          const auto pair = *catalogue->pair(permission, action);
          if ((wanted[pair / 64] >> (pair % 64) & 1) == 0 || (ns && permission.scope == Scope::Tenant)) continue;
          bool held = false;
          for (const auto& have : granting.held) {
            if (have.role.admin || (have.ns && (permission.scope == Scope::Tenant || !ns || !covers(*have.ns, *ns)))) continue;
            const auto mask = *catalogue->mask(have.role.permissions);
            held = held || (mask[pair / 64] >> (pair % 64) & 1) != 0;
          }
          if (!held) expected.insert(fmt::format("{} {} {}", permission.name, action, ns.value_or("*")));
        }
    }
    const auto found = lines(granting);
    EXPECT_EQ(std::set(found.begin(), found.end()), expected) << round;
  }
}

}  // namespace
}  // namespace rosterd::rbac
