// What one record leads to, as a table; and that hashes are of contents, whole and unambiguous.
#include "daemon/sync/diff.hpp"

#include <gtest/gtest.h>

namespace rosterd::sync {
namespace {

using connectors::Present;

UserRecord ada(bool enabled = true) {
  UserRecord out;
  out.id = {"1"};
  out.username = "ada";
  out.email = "ada@acme.test";
  out.first_name = "Ada";
  out.last_name = "Lovelace";
  out.entry = "uid=ada,dc=acme";
  out.enabled = enabled;
  if (!enabled) out.disabled_reason = "locked";
  return out;
}
std::uint64_t hash_of(const auto& record) {
  std::string text;
  encode(record, text);
  return content_hash(text);
}

TEST(Diff, SaysWhatADeliveredUserLeadsTo) {
  struct Row {
    std::optional<Leaving> held;  // none = unknown
    bool enabled, same;
    std::optional<std::pair<ChangeKind, Leaving>> expected;
  };
  const Row table[] = {
      {std::nullopt, true, false, {{ChangeKind::Added, Leaving::None}}},
      {std::nullopt, false, false, {{ChangeKind::Added, Leaving::DisabledAtSource}}},
      {Leaving::None, true, true, std::nullopt},
      {Leaving::None, true, false, {{ChangeKind::Changed, Leaving::None}}},
      {Leaving::None, false, false, {{ChangeKind::Suspended, Leaving::DisabledAtSource}}},
      {Leaving::DisabledAtSource, false, true, std::nullopt},
      {Leaving::DisabledAtSource, false, false, {{ChangeKind::Changed, Leaving::DisabledAtSource}}},
      {Leaving::DisabledAtSource, true, false, {{ChangeKind::Resumed, Leaving::None}}},
      {Leaving::Missing, true, true, {{ChangeKind::Resumed, Leaving::None}}},
      {Leaving::OutOfScope, true, false, {{ChangeKind::Resumed, Leaving::None}}},
      {Leaving::DeletedAtSource, true, true, {{ChangeKind::Resumed, Leaving::None}}},
      {Leaving::Missing, false, true, {{ChangeKind::Changed, Leaving::DisabledAtSource}}},
  };
  for (const auto& row : table) {
    const auto record = ada(row.enabled);
    const auto hash = hash_of(record);
    const auto held = row.held ? std::optional(Held{.content_hash = row.same ? hash : hash + 1, .leaving = *row.held}) : std::nullopt;
    const auto step = diff(held, record, hash);
    ASSERT_EQ(step.has_value(), row.expected.has_value()) << (row.held ? name_of(*row.held) : "unknown") << " enabled=" << row.enabled;
    if (!step) continue;
    EXPECT_EQ(std::pair(step->kind, step->leaving), *row.expected)
        << (row.held ? name_of(*row.held) : "unknown") << " enabled=" << row.enabled;
    EXPECT_FALSE(step->reason.empty());
  }
}

TEST(Diff, GroupsComeBackButCannotBeDisabled) {
  GroupRecord group{.id = {"g"}, .name = "Engineers", .description = {}, .entry = {}, .references = {}};
  const auto hash = hash_of(group);
  EXPECT_EQ(diff(std::nullopt, group, hash)->kind, ChangeKind::Added);
  EXPECT_FALSE(diff(Held{.content_hash = hash, .leaving = Leaving::None}, group, hash));
  EXPECT_EQ(diff(Held{.content_hash = hash + 1, .leaving = Leaving::None}, group, hash)->kind, ChangeKind::Changed);
  EXPECT_EQ(diff(Held{.content_hash = hash, .leaving = Leaving::Missing}, group, hash)->kind, ChangeKind::Resumed);
}

TEST(Diff, SaysWhatAbsenceLeadsTo) {
  const auto held = [](Leaving leaving, bool due, bool dropped = false) {
    Entry entry(key_of("1"), PrincipalId{1}, 1, leaving, true, due);
    if (dropped) entry.mark_dropped();
    return entry;
  };
  EXPECT_EQ(diff_absent(held(Leaving::None, false), Present::Gone)->leaving, Leaving::Missing);
  EXPECT_EQ(diff_absent(held(Leaving::None, false), Present::OutOfScope)->leaving, Leaving::OutOfScope);
  EXPECT_EQ(diff_absent(held(Leaving::None, false, true), Present::Gone)->leaving, Leaving::DeletedAtSource);
  EXPECT_EQ(diff_absent(held(Leaving::DisabledAtSource, false), Present::Gone)->leaving, Leaving::Missing);
  EXPECT_FALSE(diff_absent(held(Leaving::Missing, false), Present::Gone));
  EXPECT_EQ(diff_absent(held(Leaving::Missing, true), Present::Gone)->kind, ChangeKind::Purged);
}

TEST(Content, EveryFieldCountsAndNoTwoContentsShareAText) {
  const auto base = hash_of(ada());
  auto other = ada();
  other.username = "adal";
  EXPECT_NE(hash_of(other), base);
  other = ada(), other.email.reset();
  const auto none = hash_of(other);
  EXPECT_NE(none, base);
  other.email = "";
  EXPECT_NE(hash_of(other), none);
  other = ada(), other.first_name = "AdaL", other.last_name = "ovelace";  // the same letters in another cut
  EXPECT_NE(hash_of(other), base);
  other = ada(), other.entry = "uid=ada,ou=new,dc=acme";
  EXPECT_NE(hash_of(other), base);
  EXPECT_NE(hash_of(ada(false)), base);
}

TEST(Content, ReferencesAndTheWordingOfAReasonAreNoContent) {
  auto other = ada();
  other.references = {"dn:uid=ada,dc=acme"};
  other.member_of = {"gid:1"};
  EXPECT_EQ(hash_of(other), hash_of(ada()));
  auto locked = ada(false);
  locked.disabled_reason = "expired";
  EXPECT_EQ(hash_of(locked), hash_of(ada(false)));
}

TEST(PlanHash, DoesNotDependOnTheOrderOfChanges) {
  const auto one = digest_of(ObjectType::User, ChangeKind::Added, key_of("1"), Leaving::None, "x");
  const auto two = digest_of_edge(ChangeKind::EdgeAdded, key_of("g"), Target(PrincipalType::User, 5), key_of("1"));
  Chunked<Hash128> forth, back, other;
  forth.push_back(one), forth.push_back(two);
  back.push_back(two), back.push_back(one);
  other.push_back(one);
  const auto hash = plan_hash(forth);
  EXPECT_EQ(hash.size(), 64u);
  EXPECT_EQ(hash, plan_hash(back));
  EXPECT_NE(hash, plan_hash(other));
}

TEST(PlanHash, AnEdgeIsNamedByStableIdsNotByPlaces) {
  EXPECT_EQ(digest_of_edge(ChangeKind::EdgeAdded, key_of("g"), Target(PrincipalType::User, 5), key_of("1")),
            digest_of_edge(ChangeKind::EdgeAdded, key_of("g"), Target(PrincipalType::User, 9), key_of("1")));
  EXPECT_NE(digest_of_edge(ChangeKind::EdgeAdded, key_of("g"), Target(PrincipalType::User, 5), key_of("1")),
            digest_of_edge(ChangeKind::EdgeAdded, key_of("g"), Target(PrincipalType::Group, 5), key_of("1")));
}

TEST(HeldIndex, FindsAMillionEntriesInFortyFiveBytesEach) {
  EntryTable table;
  constexpr std::uint32_t kMany = 1'000'000;
  for (std::uint32_t at = 0; at < kMany; ++at)
    table.add(Entry(key_of(std::to_string(at)), PrincipalId{at + 1}, at, Leaving::None, true, false));
  EXPECT_EQ(table.active(), kMany);
  for (std::uint32_t at = 0; at < kMany; at += 997) {
    const auto found = table.find(key_of(std::to_string(at)));
    ASSERT_TRUE(found);
    EXPECT_EQ(table[*found].id().value, at + 1);
  }
  EXPECT_FALSE(table.find(key_of("nobody")));
  EXPECT_LT(static_cast<double>(table.bytes()) / kMany, 45.0);
}

TEST(HeldIndex, AReferenceThatFitsTwoEntriesNamesNobody) {
  ReferenceTable table;
  table.add(table.hash("uid:ada"), Target(PrincipalType::User, 1));
  table.add(table.hash("uid:ada"), Target(PrincipalType::User, 1));
  EXPECT_TRUE(table.find(table.hash("uid:ada")));
  table.add(table.hash("uid:ada"), Target(PrincipalType::User, 2));
  EXPECT_FALSE(table.find(table.hash("uid:ada")));
  table.add(table.hash("uid:ada"), Target(PrincipalType::User, 1));
  EXPECT_FALSE(table.find(table.hash("uid:ada")));
  EXPECT_EQ(table.ambiguous(), 1u);
}

TEST(Entry, KeepsItsStateBesideTheRow) {
  Entry entry(key_of("x"), PrincipalId{(1ULL << 47) + 5}, 7, Leaving::OutOfScope, true, true);
  EXPECT_EQ(entry.id().value, (1ULL << 47) + 5);
  EXPECT_EQ(entry.leaving(), Leaving::OutOfScope);
  EXPECT_TRUE(entry.away());
  EXPECT_TRUE(entry.purge_due());
  EXPECT_FALSE(entry.seen());
  entry.mark_seen();
  EXPECT_TRUE(entry.seen());
  EXPECT_FALSE(entry.read());
  entry.mark_read();
  EXPECT_TRUE(entry.read());
}

}  // namespace
}  // namespace rosterd::sync
