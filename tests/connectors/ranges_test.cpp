// Range retrieval as Windows does it ([MS-ADTS] 3.1.1.3.1.3.3); Samba answers ranges but never splits by itself.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <charconv>

#include "tests/connectors/collecting_sink.hpp"
#include "tests/support/ldap_fault_server.hpp"

namespace rosterd::test {
namespace {

using namespace connectors;
using testing::HasSubstr;
using Kind = LdapRequest::Kind;

constexpr std::size_t kMaxValRange = 1500;
constexpr auto kGroup = "CN=Everybody,OU=Groups,DC=example,DC=com";

/// An Active Directory with one group of `members` members.
struct Windows {
  std::size_t members = 0;
  int usn = 100;
  int changes_to_come = 0;    ///< the group changes after that many first ranges
  bool never_closes = false;  ///< stops answering further ranges
  bool loses_name = false;    ///< the group shows no name when it is read for its ranges
  int range_reads = 0;

  std::vector<std::string> slice(std::size_t from, std::size_t count) const {
    std::vector<std::string> out;
    for (std::size_t i = from; i < std::min(members, from + count); ++i)
      out.push_back(fmt::format("CN=u{},OU=People,DC=example,DC=com", i));
    return out;
  }

  /// The member attribute for a request that begins at `from`: plain when all fit, else ranged beside an empty plain one.
  void add_members(LdapAttributes& attributes, std::size_t from) const {
    if (from == 0 && members <= kMaxValRange) {
      attributes.push_back({"member", slice(0, members)});
      return;
    }
    if (never_closes && from > 0) return;
    const bool last = from + kMaxValRange >= members;
    attributes.push_back({"member", {}});
    attributes.push_back(
        {fmt::format("member;range={}-{}", from, last ? "*" : std::to_string(from + kMaxValRange - 1)), slice(from, kMaxValRange)});
  }

  bool operator()(LdapConnection& connection, const LdapRequest& request) {
    if (request.kind != Kind::Search) return false;
    if (request.scope == 2 && request.base == "OU=Groups,DC=example,DC=com") {
      EXPECT_TRUE(request.paged);
      LdapAttributes attributes = identity();
      add_members(attributes, 0);
      connection.entry(request, kGroup, attributes);
      connection.done(request);
      return true;
    }
    if (request.base != kGroup) return false;
    LdapAttributes attributes;
    if (request.asks_for("objectGUID")) attributes = identity();
    if (loses_name) std::erase_if(attributes, [](const auto& attribute) { return attribute.first == "cn"; });
    for (const auto& name : request.attributes) {
      constexpr std::string_view kPrefix = "member;range=";
      if (!name.starts_with(kPrefix)) continue;
      std::size_t from = 0;
      std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), from);
      if (from == 0) ++range_reads;
      if (request.asks_for("uSNChanged")) attributes.push_back({"uSNChanged", {std::to_string(usn)}});
      add_members(attributes, from);
      if (from == 0 && changes_to_come > 0) {
        --changes_to_come;
        ++usn;
        ++members;
      }
      connection.entry(request, kGroup, attributes);
      connection.done(request);
      return true;
    }
    connection.entry(request, kGroup, {{"uSNChanged", {std::to_string(usn)}}});
    connection.done(request);
    return true;
  }

  static LdapAttributes identity() {
    return {{"objectGUID", {std::string(16, 'g')}}, {"cn", {"Everybody"}}, {"objectSid", {std::string("\1\1\0\0\0\0\0\5\x15\2\0\0", 12)}}};
  }
};

struct Outcome {
  FeedEnd end;
  CollectingSink sink;
};
Outcome read(Windows& windows) {
  LdapFaultServer server(
      {.handler = [&windows](LdapConnection& connection, const LdapRequest& request) { return windows(connection, request); },
       .active_directory = true});
  const auto connector = make_ldap(
      fmt::format(R"({{"url": "{}", "preset": "active_directory", "bind_dn": "rosterd@example.com", "bind_password": {{"value": "y"}},
    "users": {{"base": "OU=People,DC=example,DC=com"}}, "groups": {{"base": "OU=Groups,DC=example,DC=com"}}}})",
                  server.url()));
  Outcome out;
  auto end = connector->read({}, out.sink, {});
  if (!end) throw std::runtime_error(end.error().what);
  out.end = std::move(*end);
  return out;
}

TEST(Ranges, AGroupGrowingPast1500KeepsItsMembers) {
  for (const std::size_t members : {1499, 1500, 1501, 3000, 3001}) {
    Windows windows{.members = members};
    const auto outcome = read(windows);
    EXPECT_TRUE(is_complete(outcome.end)) << members << ": " << failed(outcome.end);
    ASSERT_EQ(outcome.sink.groups.size(), 1u);
    const auto& group = outcome.sink.groups[0];
    EXPECT_TRUE(group.complete);
    EXPECT_EQ(std::set<std::string>(group.members.begin(), group.members.end()).size(), members);
    EXPECT_EQ(group.members.size(), members);
  }
}

TEST(Ranges, FiftyThousandMembersAllArrive) {
  Windows windows{.members = 50'000};
  const auto outcome = read(windows);
  EXPECT_TRUE(is_complete(outcome.end)) << failed(outcome.end);
  EXPECT_EQ(outcome.sink.find_group("Everybody").members.size(), 50'000u);
  EXPECT_EQ(outcome.sink.find_group("Everybody").members[49'999], "dn:cn=u49999,ou=people,dc=example,dc=com");
}

TEST(Ranges, AGroupThatChangesMeanwhileIsReadAgain) {
  Windows windows{.members = 4000, .changes_to_come = 2};
  const auto outcome = read(windows);
  EXPECT_TRUE(is_complete(outcome.end)) << failed(outcome.end);
  EXPECT_EQ(outcome.sink.find_group("Everybody").members.size(), 4002u);
  EXPECT_EQ(windows.range_reads, 3);
}

TEST(Ranges, AGroupThatNeverHoldsStillIsLeftForTheNextRun) {
  Windows windows{.members = 4000, .changes_to_come = 1000};
  const auto outcome = read(windows);
  EXPECT_FALSE(is_complete(outcome.end));
  EXPECT_THAT(failed(outcome.end), HasSubstr("changed during every attempt"));
  EXPECT_TRUE(outcome.sink.groups.empty());
}

TEST(Ranges, AGroupThatCanNoLongerBeUsedWhenItsRangesAreReadIsNotDelivered) {
  Windows windows{.members = 4000, .loses_name = true};
  const auto outcome = read(windows);
  EXPECT_FALSE(is_complete(outcome.end));
  EXPECT_THAT(failed(outcome.end), HasSubstr("there is no cn"));
  EXPECT_TRUE(outcome.sink.groups.empty()) << "half a record is none";
}

TEST(Ranges, ARangeThatIsNeverClosedIsNotComplete) {
  Windows windows{.members = 4000, .never_closes = true};
  const auto outcome = read(windows);
  EXPECT_FALSE(is_complete(outcome.end));
  EXPECT_THAT(failed(outcome.end), HasSubstr("every member range"));
}

}  // namespace
}  // namespace rosterd::test
