#include "connectors/ldap/decode.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <list>

#include "schema/core/clock.hpp"

namespace rosterd::connectors::ldap {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

/// Builds an Entry and keeps its texts.
class EntryOf {
 public:
  explicit EntryOf(std::string dn) { entry_.dn = keep(std::move(dn)); }
  EntryOf& with(std::string name, const std::vector<std::string>& values) {
    entry_.attributes.push_back({.name = keep(std::move(name)), .first = entry_.pool.size(), .count = values.size()});
    for (const auto& value : values) entry_.pool.push_back(keep(value));
    return *this;
  }
  operator const Entry&() const { return entry_; }

 private:
  std::string_view keep(std::string text) { return texts_.emplace_back(std::move(text)); }
  std::list<std::string> texts_;
  Entry entry_;
};

Settings settings_of(Preset preset) {
  auto out = defaults_of(preset);
  out.users.base = "ou=people,dc=acme";
  out.groups->base = "ou=groups,dc=acme";
  return out;
}

constexpr auto kId = "ABCDEF01-0000-0000-0000-00000000000F";

EntryOf ada() {
  EntryOf entry("uid=Ada,ou=People,dc=acme");
  entry.with("entryUUID", {kId})
      .with("UID", {"Ada"})
      .with("mail", {"Ada@Acme.example"})
      .with("givenName", {"Ada"})
      .with("sn", {"Lovelace"});
  return entry;
}

TEST(DecodeUser, ReadsMappedAttributesInAnyCase) {
  const auto settings = settings_of(Preset::OpenLdap);
  UserDecoder decoder(settings);
  ASSERT_EQ(decoder.decode(ada()), Decoded::Usable);
  const auto& user = decoder.record();
  EXPECT_EQ(user.id.value, "abcdef01-0000-0000-0000-00000000000f");
  EXPECT_EQ(user.username, "ada");
  EXPECT_EQ(user.email, "ada@acme.example");
  EXPECT_EQ(user.first_name, "Ada");
  EXPECT_EQ(user.entry, "uid=Ada,ou=People,dc=acme");
  EXPECT_THAT(user.references, ElementsAre("dn:uid=ada,ou=people,dc=acme"));
  EXPECT_TRUE(user.enabled);
}

TEST(DecodeUser, ReusingTheRecordLeavesNothingOfTheLastOne) {
  const auto settings = settings_of(Preset::Rfc2307);
  UserDecoder decoder(settings);
  ASSERT_EQ(decoder.decode(ada().with("gidNumber", {"100"}).with("shadowExpire", {"1"})), Decoded::Usable);
  EXPECT_FALSE(decoder.record().enabled);
  EXPECT_THAT(decoder.record().member_of, ElementsAre("gid:100"));
  EXPECT_THAT(decoder.record().references, ElementsAre("uid:Ada"));  // memberUid only: no DN reference is needed
  EXPECT_EQ(decoder.hidden(), "");
  EntryOf bare("uid=bob,dc=acme");
  bare.with("entryUUID", {kId}).with("uid", {"bob"});
  ASSERT_EQ(decoder.decode(bare), Decoded::Usable);
  EXPECT_EQ(decoder.hidden(), "gidNumber");
  EXPECT_TRUE(decoder.record().enabled);
  EXPECT_EQ(decoder.record().disabled_reason, "");
  EXPECT_FALSE(decoder.record().email.has_value());
  EXPECT_EQ(decoder.record().first_name, "");
  EXPECT_TRUE(decoder.record().member_of.empty());
}

TEST(DecodeUser, WithoutAUsableIdThereIsNoRecord) {
  const auto settings = settings_of(Preset::OpenLdap);
  UserDecoder decoder(settings);
  EntryOf none("uid=a,dc=acme");
  EXPECT_EQ(decoder.decode(none.with("uid", {"a"})), Decoded::NoId);
  EntryOf two("uid=a,dc=acme");
  EXPECT_EQ(decoder.decode(two.with("uid", {"a"}).with("entryUUID", {kId, kId})), Decoded::NoId);
}

TEST(DecodeUser, BadAttributesSkipTheRecordWithTheReason) {
  const auto settings = settings_of(Preset::OpenLdap);
  UserDecoder decoder(settings);
  const auto reason = [&](const std::string& name, const std::string& value) {
    EntryOf entry("uid=a,dc=acme");
    entry.with("entryUUID", {kId});
    if (name != "uid" && !value.empty()) entry.with("uid", {"a"});
    entry.with(name, {value});
    EXPECT_EQ(decoder.decode(entry), Decoded::Skipped) << name;
    EXPECT_EQ(decoder.record().id.value, "abcdef01-0000-0000-0000-00000000000f");
    return decoder.reason();
  };
  EXPECT_THAT(reason("cn", ""), HasSubstr("there is no uid"));
  EXPECT_THAT(reason("uid", "a\nb"), HasSubstr("control characters"));
  EXPECT_THAT(reason("uid", "\xff"), HasSubstr("not UTF-8"));
  EXPECT_THAT(reason("uid", "  "), HasSubstr("blank"));
  EXPECT_THAT(reason("uid", std::string(600, 'a')), HasSubstr("longer than"));
  EXPECT_THAT(reason("givenName", "\xc3("), HasSubstr("givenName is not UTF-8"));
  EXPECT_THAT(reason("mail", "a\tb@x"), HasSubstr("mail holds control"));
}

TEST(DecodeUser, OfSeveralUsernamesTheOneInTheDnCounts) {
  const auto settings = settings_of(Preset::OpenLdap);
  UserDecoder decoder(settings);
  EntryOf entry("uid=zoe,dc=acme");
  ASSERT_EQ(decoder.decode(entry.with("entryUUID", {kId}).with("uid", {"alias", "zoe"})), Decoded::Usable);
  EXPECT_EQ(decoder.record().username, "zoe");
}

struct StateRow {
  Preset preset;
  std::string attribute, value;
  bool enabled;
};

TEST(DecodeUser, AccountStateFollowsEachServersAttribute) {
  const auto today = std::chrono::duration_cast<std::chrono::hours>(SystemClock().now().time_since_epoch()).count() / 24;
  const auto ticks = [](long long seconds) { return std::to_string((seconds + 11'644'473'600LL) * 10'000'000LL); };
  const StateRow rows[] = {
      {Preset::ActiveDirectory, "userAccountControl", "512", true},
      {Preset::ActiveDirectory, "userAccountControl", "514", false},
      {Preset::ActiveDirectory, "accountExpires", "0", true},
      {Preset::ActiveDirectory, "accountExpires", "9223372036854775807", true},
      {Preset::ActiveDirectory, "accountExpires", ticks(1'000'000'000), false},
      {Preset::ActiveDirectory, "accountExpires", ticks(4'000'000'000), true},
      {Preset::Ds389, "nsAccountLock", "TRUE", false},
      {Preset::Ds389, "nsAccountLock", "true", false},
      {Preset::FreeIpa, "nsAccountLock", "FALSE", true},
      {Preset::OpenLdap, "pwdAccountLockedTime", "000001010000Z", false},
      {Preset::OpenLdap, "pwdAccountLockedTime", "20260101000000Z", true},
      {Preset::Rfc2307, "shadowExpire", "-1", true},
      {Preset::Rfc2307, "shadowExpire", std::to_string(today - 1), false},
      {Preset::Rfc2307, "shadowExpire", std::to_string(today + 1), true},
      {Preset::Rfc2307, "shadowExpire", "junk", true},
  };
  for (const auto& row : rows) {
    const auto settings = settings_of(row.preset);
    UserDecoder decoder(settings);
    EntryOf entry("uid=a,dc=acme");
    entry.with(settings.id_attribute, {row.preset == Preset::ActiveDirectory ? std::string(16, 'x') : kId})
        .with(settings.users.username, {"a"});
    if (row.preset == Preset::ActiveDirectory && row.attribute != "userAccountControl") entry.with("userAccountControl", {"512"});
    ASSERT_EQ(decoder.decode(entry.with(row.attribute, {row.value})), Decoded::Usable);
    EXPECT_EQ(decoder.record().enabled, row.enabled) << row.attribute << "=" << row.value;
    EXPECT_EQ(decoder.record().disabled_reason.empty(), row.enabled);
  }
}

struct HiddenRow {
  std::string what;
  Preset preset;
  std::string user_filter;  ///< empty = the preset's
  std::vector<std::pair<std::string, std::vector<std::string>>> shown;
  Decoded decoded;
  std::string hidden;
};

TEST(DecodeUser, AnAttributeThatEveryAccountOfItsKindHasIsMissedOnlyThere) {
  const std::string guid(16, 'x');
  const HiddenRow rows[] = {
      {"all is shown", Preset::ActiveDirectory, "", {{"userAccountControl", {"512"}}, {"primaryGroupID", {"513"}}}, Decoded::Usable, ""},
      {"the state is hidden", Preset::ActiveDirectory, "", {{"primaryGroupID", {"513"}}}, Decoded::Skipped, "userAccountControl"},
      {"the primary group is hidden", Preset::ActiveDirectory, "", {{"userAccountControl", {"514"}}}, Decoded::Usable, "primaryGroupID"},
      {"a contact has no state", Preset::ActiveDirectory, "(mail=*)", {{"objectClass", {"top", "contact"}}}, Decoded::Usable, ""},
      {"a user by his class",
       Preset::ActiveDirectory,
       "(mail=*)",
       {{"objectClass", {"top", "User"}}},
       Decoded::Skipped,
       "userAccountControl"},
      {"the classes are hidden too", Preset::ActiveDirectory, "(mail=*)", {}, Decoded::Skipped, "userAccountControl"},
      {"no number for a state", Preset::ActiveDirectory, "", {{"userAccountControl", {"x"}}}, Decoded::Skipped, ""},
      {"a posix account", Preset::Rfc2307, "", {{"uid", {"a"}}, {"gidNumber", {"1"}}}, Decoded::Usable, ""},
      {"its group is hidden", Preset::Rfc2307, "", {{"uid", {"a"}}}, Decoded::Usable, "gidNumber"},
      {"the name in memberUid is hidden", Preset::Rfc2307, "", {{"gidNumber", {"1"}}}, Decoded::Usable, "uid"},
      {"a person without an account", Preset::Rfc2307, "(cn=*)", {{"objectClass", {"person"}}}, Decoded::Usable, ""},
  };
  for (const auto& row : rows) {
    auto settings = settings_of(row.preset);
    settings.users.username = "cn";
    if (!row.user_filter.empty()) settings.users.filter = row.user_filter;
    UserDecoder decoder(settings);
    EntryOf entry("cn=a,dc=acme");
    entry.with(settings.id_attribute, {row.preset == Preset::ActiveDirectory ? guid : kId}).with("cn", {"a"});
    for (const auto& [name, values] : row.shown) entry.with(name, values);
    EXPECT_EQ(decoder.decode(entry), row.decoded) << row.what;
    EXPECT_EQ(decoder.hidden(), row.hidden) << row.what;
    const auto& asked = decoder.attributes();
    EXPECT_EQ(std::find(asked.begin(), asked.end(), "objectClass") != asked.end(), !row.user_filter.empty())
        << row.what << ": classes cost a third of what people cost to read, so they are read only where the filter does not tell them";
  }
}

std::vector<std::string> members(GroupDecoder& decoder, const Entry& entry) {
  std::vector<std::string> out;
  EXPECT_TRUE(decoder.each_members(entry, [&out](std::span<const Reference> batch) {
    out.insert(out.end(), batch.begin(), batch.end());
    return true;
  }));
  return out;
}

TEST(DecodeGroup, EveryMemberStyleBecomesAReference) {
  auto settings = settings_of(Preset::OpenLdap);
  settings.groups->members = {{"member", MemberStyle::Dn}, {"uniqueMember", MemberStyle::DnAndUid}, {"memberUid", MemberStyle::UserName}};
  settings.primary_group = PrimaryGroup::GidNumber;
  GroupDecoder decoder(settings);
  EntryOf entry("cn=Devs,dc=acme");
  entry.with("entryUUID", {kId}).with("cn", {"Devs"}).with("description", {"line one\nline two"}).with("gidNumber", {"100"});
  entry.with("member", {"UID=Ada, dc=acme", ""}).with("uniqueMember", {"uid=bob,dc=acme#'01'B"}).with("memberUid", {"Carla"});
  ASSERT_EQ(decoder.decode(entry), Decoded::Usable);
  EXPECT_THAT(members(decoder, entry), ElementsAre("dn:uid=ada,dc=acme", "dn:uid=bob,dc=acme", "uid:Carla"));
  EXPECT_THAT(decoder.record().references, ElementsAre("dn:cn=devs,dc=acme", "gid:100"));
  EXPECT_EQ(decoder.record().description, "line one line two");
  EXPECT_FALSE(decoder.members_hidden());
}

TEST(DecodeGroup, ARequiredMemberThatIsMissingWasHidden) {
  const auto settings = settings_of(Preset::OpenLdap);
  GroupDecoder decoder(settings);
  EntryOf hidden("cn=a,dc=acme");
  ASSERT_EQ(decoder.decode(hidden.with("entryUUID", {kId}).with("cn", {"a"}).with("objectClass", {"top", "groupOfNames"})),
            Decoded::Usable);
  EXPECT_TRUE(decoder.members_hidden());
  EXPECT_FALSE(decoder.is_whole());
  EntryOf posix("cn=a,dc=acme");
  ASSERT_EQ(decoder.decode(posix.with("entryUUID", {kId}).with("cn", {"a"}).with("objectClass", {"posixGroup"})), Decoded::Usable);
  EXPECT_FALSE(decoder.members_hidden());
  EXPECT_TRUE(decoder.is_whole());
}

TEST(DecodeGroup, WhereTheClassesAreHiddenTooAGroupWithoutMembersWasHidden) {
  const auto settings = settings_of(Preset::OpenLdap);
  GroupDecoder decoder(settings);
  EntryOf nothing("cn=a,dc=acme");
  ASSERT_EQ(decoder.decode(nothing.with("entryUUID", {kId}).with("cn", {"a"})), Decoded::Usable);
  EXPECT_TRUE(decoder.members_hidden());
  EntryOf shown("cn=a,dc=acme");
  ASSERT_EQ(decoder.decode(shown.with("entryUUID", {kId}).with("cn", {"a"}).with("uniqueMember", {"uid=ada,dc=acme"})), Decoded::Usable);
  EXPECT_FALSE(decoder.members_hidden());
}

TEST(DecodeGroup, AHiddenNumberLosesNobodyWhosePrimaryGroupItIs) {
  const auto settings = settings_of(Preset::Rfc2307);
  GroupDecoder decoder(settings);
  EntryOf group("cn=a,dc=acme");
  group.with("entryUUID", {kId}).with("cn", {"a"}).with("objectClass", {"posixGroup"});
  ASSERT_EQ(decoder.decode(group), Decoded::Usable);
  EXPECT_EQ(decoder.hidden_number(), "gidNumber");
  EXPECT_FALSE(decoder.is_whole());
  ASSERT_EQ(decoder.decode(group.with("gidNumber", {"100"})), Decoded::Usable);
  EXPECT_TRUE(decoder.is_whole());

  const auto domain = settings_of(Preset::ActiveDirectory);
  GroupDecoder of_domain(domain);
  EntryOf bare("CN=a,DC=acme");
  ASSERT_EQ(of_domain.decode(bare.with("objectGUID", {std::string(16, 'g')}).with("cn", {"a"})), Decoded::Usable);
  EXPECT_EQ(of_domain.hidden_number(), "objectSid");
}

TEST(DecodeGroup, ADomainGroupAnswersToTheEndOfItsSid) {
  const auto settings = settings_of(Preset::ActiveDirectory);
  GroupDecoder decoder(settings);
  EntryOf entry("CN=Domain Users,CN=Users,DC=acme");
  const std::string sid("\x01\x02\x00\x00\x00\x00\x00\x05\x15\x00\x00\x00\x01\x02\x00\x00", 16);
  entry.with("objectGUID", {std::string(16, 'g')}).with("cn", {"Domain Users"}).with("objectSid", {sid});
  ASSERT_EQ(decoder.decode(entry), Decoded::Usable);
  EXPECT_THAT(decoder.record().references, ElementsAre("dn:cn=domain users,cn=users,dc=acme", "rid:513"));
}

TEST(DecodeGroup, RangedNamesAreRecognised) {
  const auto middle = parse_ranged("member;range=1500-2999");
  ASSERT_TRUE(middle);
  EXPECT_EQ(middle->attribute, "member");
  EXPECT_EQ(middle->first, 1500u);
  EXPECT_EQ(middle->last, 2999u);
  const auto last = parse_ranged("member;Range=3000-*");
  ASSERT_TRUE(last);
  EXPECT_FALSE(last->last.has_value());
  for (const auto* name : {"member", "member;binary", "member;range=", "member;range=5-4", "member;range=a-b", "member;range=-1-2"})
    EXPECT_FALSE(parse_ranged(name)) << name;
}

}  // namespace
}  // namespace rosterd::connectors::ldap
