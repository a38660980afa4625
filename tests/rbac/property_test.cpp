// What the compiled snapshot answers about random tenants must be what the rules say: decision, code, explanation, searches.

#include <gmock/gmock.h>

#include "schema/core/text.hpp"
#include "tests/rbac/random_world.hpp"

namespace rosterd::rbac {
namespace {

class RandomTenants : public testing::TestWithParam<unsigned> {
 protected:
  const std::shared_ptr<const Catalogue> catalogue = Catalogue::built_in();
};

const WorldRole& role_named(const World& world, std::uint64_t id) {
  return *std::find_if(world.roles.begin(), world.roles.end(), [&](const WorldRole& r) { return r.id == id; });
}

/// Whether a grant allows it by itself.
bool allows(const World& world, const Catalogue& catalogue, const Grant& grant, const Question& q) {
  const auto& role = role_named(world, grant.role.value);
  const auto actions = role.permissions.find(std::string(q.permission));
  if (!role.admin && (actions == role.permissions.end() || !actions->second.contains(std::string(q.action)))) return false;
  return !grant.ns || (catalogue.find(q.permission)->scope == Scope::Namespace && q.ns && covers(*grant.ns, *q.ns));
}

/// "binding via group>group" for every simple chain from the principal to a holder of a live binding, by trying them all.
struct Chains {
  const World& world;
  TimePoint at;
  std::vector<std::uint64_t> chain{};
  std::vector<std::string> found{};

  void from(std::uint64_t id) {
    for (const auto& binding : world.bindings)
      if (binding.principal == id && (!binding.expires || *binding.expires > at))
        found.push_back(fmt::format("{} via {}", binding.id, fmt::join(chain, ">")));
    std::set<std::uint64_t> parents;
    for (const auto& edge : world.edges)
      if (edge.member == id) parents.insert(edge.group);
    for (const auto parent : parents) {
      const auto& group = *std::find_if(world.groups.begin(), world.groups.end(), [&](const WorldGroup& g) { return g.id == parent; });
      if (!group.active || parent == start || std::find(chain.begin(), chain.end(), parent) != chain.end()) continue;
      chain.push_back(parent);
      from(parent);
      chain.pop_back();
    }
  }
  std::uint64_t start = 0;
};
std::vector<std::string> chains(const World& world, std::uint64_t id, TimePoint at) {
  Chains out{.world = world, .at = at};
  out.start = id;
  out.from(id);
  return out.found;
}
std::string line(const Grant& grant) {
  std::vector<std::uint64_t> via;
  for (const auto& hop : grant.via) via.push_back(hop.group.value);
  return fmt::format("{} via {}", grant.binding.value, fmt::join(via, ">"));
}
template <class Grants>
std::vector<std::string> lines(const Grants& grants) {
  std::vector<std::string> out;
  for (const auto& grant : grants) out.push_back(line(grant));
  return out;
}

TEST_P(RandomTenants, CompiledAnswersAreThoseOfTheRulesR100) {
  Dice dice{std::mt19937(GetParam())};
  std::map<Reason, int> met;
  for (int round = 0; round < 150; ++round) {
    const auto world = random_world(dice, *catalogue);
    const auto snapshot = compile(world, random_instant(dice));
    for (int i = 0; i < 120; ++i) {
      RandomQuestion drawn;
      draw(dice, world, *catalogue, drawn);
      const auto expected = reference(world, *catalogue, drawn.q);
      ASSERT_EQ(snapshot->check(drawn.q), expected) << shown(drawn.q) << " round " << round;
      ++met[expected.reason];
    }
  }
  EXPECT_EQ(met.size(), 14U) << "the draw no longer meets every code";  // denied_no_tenant_access is not a snapshot's
}

TEST_P(RandomTenants, GrantsSayTheSameAsChecksR105) {
  Dice dice{std::mt19937(GetParam() + 1000)};
  for (int round = 0; round < 100; ++round) {
    auto world = random_world(dice, *catalogue);
    world.enabled = true;
    for (auto& user : world.users) user.active = true, user.super_admin = false;
    const auto snapshot = compile(world, at(100));
    for (const auto& user : world.users) {
      RandomQuestion drawn;
      draw(dice, world, *catalogue, drawn);
      const auto& q = drawn.q;
      const auto* permission = catalogue->find(q.permission);
      if (permission == nullptr || !catalogue->pair(*permission, q.action)) continue;
      bool admin = false, other = false;
      for (const auto& grant : snapshot->grants({PrincipalType::User, {user.id}}, q.at, 0))
        if (allows(world, *catalogue, grant, q)) (grant.admin ? admin : other) = true;
      const auto decision = snapshot->check({PrincipalType::User, {user.id}}, q.permission, q.action, q.ns, q.at);
      EXPECT_EQ(decision, reference(world, *catalogue, user.id, q));
      EXPECT_EQ(decision.allowed, admin || other) << shown(q);
      EXPECT_EQ(decision.reason == Reason::AllowedAdminRole, admin) << shown(q);
    }
  }
}

TEST_P(RandomTenants, EveryChainIsListedAndCountedR102R103) {
  Dice dice{std::mt19937(GetParam() + 3000)};
  int cut = 0, whole = 0;
  for (int round = 0; round < 60; ++round) {
    const auto world = random_world(dice, *catalogue);
    const auto snapshot = compile(world, at(100));
    for (const auto& who : principals(world)) {
      const auto when = random_instant(dice);
      const auto expected = chains(world, who.id.value, when);
      const auto all = snapshot->effective(who, when, 0, 100'000);
      EXPECT_EQ(all.items.size(), all.total);
      if (all.more) {
        ++cut;
        EXPECT_LE(all.total, expected.size());
        EXPECT_THAT(expected, testing::IsSupersetOf(lines(all.items)));
        continue;
      }
      ++whole;
      EXPECT_THAT(lines(all.items), testing::UnorderedElementsAreArray(expected));
      EXPECT_TRUE(std::is_sorted(all.items.begin(), all.items.end(), [](const Grant& a, const Grant& b) {
        const auto key = [](const Grant& g) {
          std::vector<std::pair<std::string, std::uint64_t>> names;
          for (const auto& hop : g.via) names.emplace_back(hop.name, hop.group.value);
          return std::tuple(g.role_name, g.ns.value_or(""), names);
        };
        return key(a) < key(b);
      }));
      // Pages put together are the list.
      std::vector<std::string> pages;
      const auto size = 1 + dice.below(5);
      for (std::uint64_t skip = 0; skip < all.total; skip += size) {
        const auto page = snapshot->effective(who, when, skip, size);
        EXPECT_EQ(page.total, all.total);
        for (const auto& one : lines(page.items)) pages.push_back(one);
      }
      EXPECT_EQ(pages, lines(all.items));
    }
  }
  EXPECT_LT(cut, whole / 20) << "the draw is too tangled to show much";
}

/// The near misses of one kind, by trying every grant the principal has or had.
std::set<std::uint64_t> bindings_of(const std::vector<Grant>& grants) {
  std::set<std::uint64_t> out;
  for (const auto& grant : grants) EXPECT_TRUE(out.insert(grant.binding.value).second) << "a binding twice";
  return out;
}

TEST_P(RandomTenants, ExplanationsAgreeWithChecksR101R104R105) {
  Dice dice{std::mt19937(GetParam() + 4000)};
  std::array<std::size_t, 5> met{};
  for (int round = 0; round < 80; ++round) {
    const auto world = random_world(dice, *catalogue);
    const auto snapshot = compile(world, at(100));
    for (int i = 0; i < 60; ++i) {
      RandomQuestion drawn;
      draw(dice, world, *catalogue, drawn);
      const auto& q = drawn.q;
      const auto why = snapshot->explain(q, {.paths = 100'000, .near_misses = true, .near = 1000});
      ASSERT_EQ(why.decision, snapshot->check(q)) << shown(q);
      EXPECT_EQ(why.paths.size(), why.paths_total);
      if (why.subject.kind != Resolved::Found) {
        EXPECT_TRUE(why.paths.empty());
        continue;
      }
      if (why.near && why.decision.allowed) ADD_FAILURE() << "near misses of what is allowed";
      const auto* permission = catalogue->find(q.permission);
      if (permission == nullptr || !catalogue->pair(*permission, q.action) || !world.enabled) continue;
      const auto who = why.subject.known.who;
      if (!why.subject.known.active) {
        EXPECT_TRUE(why.paths.empty());
        continue;
      }
      std::vector<std::string> expected;
      std::optional<std::string> nearest;
      for (const auto& grant : snapshot->grants(who, q.at, 100'000)) {
        if (!allows(world, *catalogue, grant, q)) continue;
        expected.push_back(line(grant));
        if (grant.ns && (!nearest || grant.ns->size() > nearest->size())) nearest = grant.ns;
      }
      EXPECT_EQ(lines(why.paths), expected) << shown(q);
      EXPECT_EQ(why.matched_namespace, nearest);
      EXPECT_EQ(why.decision.allowed, !expected.empty() || why.decision.reason == Reason::AllowedSuperAdmin);
      if (why.decision.allowed) continue;
      ASSERT_TRUE(why.near) << shown(q);
      EXPECT_FALSE(why.near->more);

      // The same by trying every binding of everybody above.
      std::set<std::uint64_t> elsewhere, without, tenant_scope, expired, joining;
      const auto reach = chains(world, who.id.value, TimePoint::min());  // all bindings, expired ones included
      std::set<std::uint64_t> reached;
      for (const auto& one : reach) reached.insert(std::stoull(one));
      for (const auto& binding : world.bindings) {
        const auto& role = role_named(world, binding.role);
        const auto actions = role.permissions.find(permission->name);
        const bool pair = role.admin || (actions != role.permissions.end() && actions->second.contains(std::string(q.action)));
        const bool tenant = permission->scope == Scope::Tenant;
        const bool here = !binding.ns || (!tenant && q.ns && covers(*binding.ns, *q.ns));
        const bool live = !binding.expires || *binding.expires > q.at;
        if (reached.contains(binding.id)) {
          if (!live && here && pair) expired.insert(binding.id);
          if (live && pair) (tenant ? tenant_scope : elsewhere).insert(binding.id);
          // What it grants here of the permission: of a namespace-limited binding no tenant-scope pair (R30).
          bool another = false;
          if (actions != role.permissions.end())
            for (const auto& action : actions->second) another = another || catalogue->pair(*permission, action).has_value();
          if (live && here && !pair && another) without.insert(binding.id);
        } else if (live && here && pair && world.principal(binding.principal)->type == PrincipalType::Group) {
          const auto& group =
              *std::find_if(world.groups.begin(), world.groups.end(), [&](const WorldGroup& g) { return g.id == binding.principal; });
          if (group.active) joining.insert(group.id);
        }
      }
      EXPECT_EQ(bindings_of(why.near->elsewhere), elsewhere) << shown(q);
      EXPECT_EQ(bindings_of(why.near->without_action), without) << shown(q);
      EXPECT_EQ(bindings_of(why.near->tenant_scope), tenant_scope) << shown(q);
      EXPECT_EQ(bindings_of(why.near->expired), expired) << shown(q);
      std::set<std::uint64_t> groups;
      for (const auto& join : why.near->groups) {
        EXPECT_TRUE(groups.insert(join.group.value).second);
        // Whoever joins it may.
        auto joined = world;
        joined.edges.push_back({join.group.value, who.id.value});
        EXPECT_TRUE(reference(joined, *catalogue, who.id.value, q).allowed);
        EXPECT_TRUE(allows(world, *catalogue, join.grant, q));
      }
      EXPECT_EQ(groups, joining) << shown(q);
      met[0] += elsewhere.size(), met[1] += without.size(), met[2] += tenant_scope.size(), met[3] += expired.size();
      met[4] += joining.size();
    }
  }
  for (const auto count : met) EXPECT_GT(count, 0U) << "the draw no longer meets every kind of near miss";
}

TEST_P(RandomTenants, KeysLeadWhereChecksLookR7) {
  Dice dice{std::mt19937(GetParam() + 5000)};
  for (int round = 0; round < 100; ++round) {
    auto world = random_world(dice, *catalogue);
    world.enabled = true;
    const auto snapshot = compile(world, at(100));
    for (int i = 0; i < 60; ++i) {
      RandomQuestion drawn;
      draw(dice, world, *catalogue, drawn);
      drawn.q.permission = "FLOW", drawn.q.action = "READ";
      const auto resolved = snapshot->resolve(drawn.q.type, drawn.q.key);
      const auto reason = reference(world, *catalogue, drawn.q).reason;
      EXPECT_EQ(resolved.kind == Resolved::Unknown, reason == Reason::DeniedUnknownSubject);
      EXPECT_EQ(resolved.kind == Resolved::Ambiguous, reason == Reason::DeniedAmbiguousSubject);
      if (resolved.kind != Resolved::Found) continue;
      EXPECT_EQ(reference(world, *catalogue, resolved.known.who.id.value, drawn.q), reference(world, *catalogue, drawn.q));
      const auto known = snapshot->describe(resolved.known.who);
      ASSERT_TRUE(known);
      EXPECT_EQ(known->name, resolved.known.name);
      EXPECT_EQ(known->active, reason < Reason::DeniedUserSuspended || reason > Reason::DeniedGroupSuspended);
    }
  }
}

TEST_P(RandomTenants, SearchesAreTheInverseOfChecksA10) {
  Dice dice{std::mt19937(GetParam() + 6000)};
  std::size_t people = 0, places = 0, actions = 0;
  for (int round = 0; round < 60; ++round) {
    const auto world = random_world(dice, *catalogue);
    const auto snapshot = compile(world, at(100));
    for (int i = 0; i < 12; ++i) {
      RandomQuestion drawn;
      draw(dice, world, *catalogue, drawn);
      const auto& q = drawn.q;

      // Who may do this here?
      std::vector<std::uint64_t> may;
      for (const auto& who : principals(world))
        if (who.type == q.type && reference(world, *catalogue, who.id.value, q).allowed) may.push_back(who.id.value);
      std::sort(may.begin(), may.end());
      std::vector<std::uint64_t> found;
      PrincipalId after;
      const Right right{.permission = q.permission, .action = q.action, .ns = q.ns, .at = q.at};
      for (const auto size = 1 + dice.below(4);;) {
        const auto page = snapshot->who_may(q.type, right, after, size);
        ASSERT_LE(page.items.size(), size);
        for (const auto& one : page.items) {
          found.push_back(one.who.id.value);
          EXPECT_EQ(one.who.type, q.type);
          // The id that goes out evaluates to true, and to the same principal.
          const auto key = one.key.empty() ? text(one.who) : std::string(one.key);
          auto again = q;
          again.key = key;
          EXPECT_TRUE(reference(world, *catalogue, again).allowed) << key;
          EXPECT_EQ(snapshot->resolve(q.type, key).known.who, one.who);
          ++people;
        }
        if (!page.more) break;
        ASSERT_FALSE(page.items.empty());
        after = page.items.back().who.id;
      }
      EXPECT_EQ(found, may) << shown(q);

      if (principals(world).empty()) continue;
      const auto who = dice.one_of(principals(world));
      // What may she do here?
      if (const auto* permission = catalogue->find(q.permission)) {
        std::vector<std::string_view> expected;
        for (const auto& action : permission->actions) {
          auto asked = q;
          asked.action = action;
          if (reference(world, *catalogue, who.id.value, asked).allowed) expected.emplace_back(action);
        }
        EXPECT_EQ(snapshot->what_may(who, q.permission, q.ns, q.at), expected) << shown(q);
        actions += expected.size();
      }
      // Where may she do it?
      std::set<std::string> expected;
      for (const auto& binding : world.bindings) {
        if (!binding.ns || (binding.expires && *binding.expires <= q.at)) continue;
        auto asked = q;
        asked.ns = *binding.ns;
        if (reference(world, *catalogue, who.id.value, asked).allowed) expected.insert(*binding.ns);
      }
      std::vector<std::string> where;
      for (const auto size = 1 + dice.below(3);;) {
        const auto page = snapshot->where_may(who, q.permission, q.action, q.at, where.empty() ? "" : where.back(), size);
        auto whole = q;
        whole.ns.reset();
        EXPECT_EQ(page.whole_tenant, reference(world, *catalogue, who.id.value, whole).allowed);
        ASSERT_LE(page.namespaces.size(), size);
        where.insert(where.end(), page.namespaces.begin(), page.namespaces.end());
        if (!page.more) break;
        ASSERT_FALSE(page.namespaces.empty());
      }
      EXPECT_EQ(where, std::vector<std::string>(expected.begin(), expected.end())) << shown(q);
      places += where.size();
    }
  }
  EXPECT_GT(people, 0U);
  EXPECT_GT(places, 0U);
  EXPECT_GT(actions, 0U);
}

TEST_P(RandomTenants, RowsInAnyOrderGiveTheSameSnapshotP4) {
  Dice dice{std::mt19937(GetParam() + 2000)};
  for (int round = 0; round < 50; ++round) {
    const auto world = random_world(dice, *catalogue);
    const auto mixed = shuffled(world, dice.random);
    const auto one = compile(world, at(100)), other = compile(mixed, at(100));
    ASSERT_EQ(one->content_hash(), other->content_hash());
    for (int i = 0; i < 50; ++i) {
      RandomQuestion drawn;
      draw(dice, world, *catalogue, drawn);
      ASSERT_EQ(one->check(drawn.q), other->check(drawn.q)) << shown(drawn.q);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomTenants, testing::Range(1U, 25U));

}  // namespace
}  // namespace rosterd::rbac
