// Entries renamed on a real slapd between the reading of people and of groups: the directory is consistent before and after, only what
// was read of it is not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "connectors/connector.hpp"
#include "daemon/sync/engine.hpp"
#include "rbac/catalogue.hpp"
#include "schema/postgres/postgres_store.hpp"
#include "tests/support/postgres.hpp"
#include "tests/support/slapd.hpp"

namespace rosterd::test {
namespace {

using connectors::Connector;
using testing::HasSubstr;

constexpr auto kSuffix = "dc=example,dc=com";

std::string directory() {
  std::string out = suffix_ldif(kSuffix);
  for (const char* ou : {"people", "groups"})
    out += fmt::format("dn: ou={0},{1}\nobjectClass: organizationalUnit\nou: {0}\n\n", ou, kSuffix);
  out += fmt::format("dn: ou=old,ou=people,{}\nobjectClass: organizationalUnit\nou: old\n\n", kSuffix);
  for (int i = 0; i < 8; ++i)
    out += fmt::format("dn: uid=u{0},{1}ou=people,{2}\nobjectClass: inetOrgPerson\nuid: u{0}\ncn: u{0}\nsn: u{0}\n\n", i,
                       i < 4 ? "ou=old," : "", kSuffix);
  const auto group = [&](const char* cn, std::initializer_list<std::string> members) {
    out += fmt::format("dn: cn={0},ou=groups,{1}\nobjectClass: groupOfNames\ncn: {0}\n", cn, kSuffix);
    for (const auto& member : members) out += fmt::format("member: {},{}\n", member, kSuffix);
    out += "\n";
  };
  group("inner", {"uid=u7,ou=people"});
  group("staff", {"uid=u0,ou=old,ou=people", "uid=u1,ou=old,ou=people", "uid=u6,ou=people", "cn=inner,ou=groups"});
  return out;
}

/// The real connector, with something happening between people and groups.
class Interrupted final : public Connector {
 public:
  Interrupted(Connector& directory, std::function<void()> happens) : directory_(directory), happens_(std::move(happens)) {}
  Result<connectors::FeedEnd> read(const connectors::Cursor& from, connectors::FeedSink& sink, std::stop_token stop) override {
    class Sink final : public connectors::FeedSink {
     public:
      Sink(connectors::FeedSink& to, const std::function<void()>& happens) : to_(to), happens_(happens) {}
      bool user(const UserRecord& record) override { return to_.user(record); }
      bool group(const GroupRecord& record) override { return to_.group(record); }
      bool members(std::span<const Reference> members) override { return to_.members(members); }
      bool end_group(bool complete) override { return to_.end_group(complete); }
      bool skipped(const SkippedRecord& record) override { return to_.skipped(record); }
      void phase(std::string_view text) override {
        if (text == "reading groups") happens_();
        to_.phase(text);
      }

     private:
      connectors::FeedSink& to_;
      const std::function<void()>& happens_;
    } between(sink, happens_);
    return directory_.read(from, between, std::move(stop));
  }
  Result<connectors::Presence> verify(PrincipalType type, std::span<const ExternalId> ids, std::stop_token stop) override {
    return directory_.verify(type, ids, std::move(stop));
  }
  Result<std::optional<std::size_t>> still_listed(std::span<const connectors::Unlisted> groups, std::stop_token stop) override {
    return directory_.still_listed(groups, std::move(stop));
  }
  Result<bool> readable(std::string_view entry, std::stop_token stop) override { return directory_.readable(entry, std::move(stop)); }
  [[nodiscard]] std::string container_of(std::string_view entry) const override { return directory_.container_of(entry); }
  std::vector<connectors::Finding> test(std::stop_token stop) override { return directory_.test(std::move(stop)); }

 private:
  Connector& directory_;
  std::function<void()> happens_;
};

class RenameRace : public testing::Test {
 protected:
  RenameRace() : slapd_(PrivateSlapd::Options{.ldif = directory()}) {
    const auto database = PrivatePostgres::shared().fresh_database();
    StoreOptions options;
    options.url = database.app_url;
    options.owner_url = database.owner_url;
    options.pool_size = 4;
    store_ = must(PostgresStore::open(options));
    const auto account =
        must(store_->set_up({.email = "root@acme.test", .first_name = "R", .last_name = "A", .super_admin = true},
                            {.name = "first", .hash = std::string(32, 'h'), .last4 = "hhhh", .expires_at = std::nullopt}, {}));
    std::vector<Role> roles;
    for (const auto& role : rbac::managed_roles())
      roles.push_back({.id = {},
                       .name = std::string(role.name),
                       .description = {},
                       .managed = true,
                       .admin = role.admin,
                       .permissions = role.permissions});
    must(store_->create_tenant({.id = tenant_, .name = "Acme", .creator = account.id, .managed_roles = roles}, {}));
    NewSource source;
    source.name = "corp";
    source.type = "ldap";
    source.settings = fmt::format(R"({{"url": "{}", "preset": "openldap", "users": {{"base": "ou=people,{}"}},
      "groups": {{"base": "ou=groups,{}"}}}})",
                                  slapd_.url(), kSuffix, kSuffix);
    source_ = must(store_->create_source(tenant_, source, {})).value;
  }

  template <class T>
  static T must(Result<T> result) {
    if (!result) throw std::runtime_error(result.error().what);
    return std::move(*result);
  }

  /// One run; `meanwhile` is a change of the directory in the middle of it.
  rosterd::Run sync(const std::string& meanwhile = {}) {
    (void)must(store_->request_run(tenant_, source_.id, RunMode::Full, false, {}));
    const auto work = must(store_->claim("test", Millis(60'000), clock_.now()));
    const auto type = must(connectors::find_connector_type("ldap"));
    connectors::ConnectorOptions options;
    options.allowed_networks = {"127.0.0.0/8"};
    const auto directory = must(type->make({.json = source_.settings, .learnt = {}}, options));
    Interrupted interrupted(*directory, [&] {
      if (!meanwhile.empty()) slapd_.modify(meanwhile);
    });
    sync::RunControl control;
    (void)sync::Engine(*store_, clock_).run(*work, interrupted, type->fingerprint(source_.settings), control, {});
    return must(store_->run(tenant_, work->run.id));
  }

  std::set<std::string> members(const std::string& group) {
    std::set<std::string> out;
    for (const auto& one : must(store_->groups(tenant_, {})).items)
      if (one.name == group)
        for (const auto& member : must(store_->members(tenant_, one.id, {})).items) out.insert(member.name);
    return out;
  }

  static std::string renamed(const std::string& rdn, const std::string& below, const std::string& to) {
    return fmt::format("dn: {},{},{}\nchangetype: modrdn\nnewrdn: {}\ndeleteoldrdn: 1\n\n", rdn, below, kSuffix, to);
  }
  /// What Active Directory and the refint overlay do by themselves.
  static std::string relisted(const std::string& from, const std::string& to) {
    return fmt::format(
        "dn: cn=staff,ou=groups,{2}\nchangetype: modify\ndelete: member\nmember: {0},{2}\n-\nadd: member\nmember: {1},{2}\n\n", from, to,
        kSuffix);
  }

  PrivateSlapd slapd_;
  std::unique_ptr<Store> store_;
  SystemClock clock_;
  TenantId tenant_{"acme"};
  Source source_;
  const std::set<std::string> staff_{"u0", "u1", "u6", "inner"};
};

TEST_F(RenameRace, APersonRenamedInMidReadKeepsHisMemberships) {
  ASSERT_EQ(sync().outcome, Outcome::Applied);
  ASSERT_EQ(members("staff"), staff_);
  const auto run = sync(renamed("uid=u6", "ou=people", "uid=six") + relisted("uid=u6,ou=people", "uid=six,ou=people"));
  EXPECT_EQ(run.outcome, Outcome::Partial);
  EXPECT_FALSE(run.complete);
  EXPECT_THAT(run.detail, HasSubstr("still listed"));
  EXPECT_EQ(members("staff"), staff_);
  const auto next = sync();
  EXPECT_EQ(next.outcome, Outcome::Applied) << next.detail;
  EXPECT_EQ(next.plan->counts.edges_removed, 0u);
  EXPECT_EQ(members("staff"), (std::set<std::string>{"u0", "u1", "six", "inner"}));
}

TEST_F(RenameRace, AnOuRenamedInMidReadTakesNobodyOutOfAnyGroup) {
  ASSERT_EQ(sync().outcome, Outcome::Applied);
  const auto run = sync(renamed("ou=old", "ou=people", "ou=new") + relisted("uid=u0,ou=old,ou=people", "uid=u0,ou=new,ou=people") +
                        relisted("uid=u1,ou=old,ou=people", "uid=u1,ou=new,ou=people"));
  EXPECT_EQ(run.outcome, Outcome::Partial) << run.detail;
  EXPECT_EQ(members("staff"), staff_);
  EXPECT_EQ(sync().outcome, Outcome::Applied);
  EXPECT_EQ(members("staff"), staff_);
  EXPECT_EQ(sync().outcome, Outcome::Unchanged);
}

TEST_F(RenameRace, WhoeverIsTakenOutWhileAnotherIsOnlyUnknownLeavesTheGroup) {
  slapd_.modify(fmt::format("dn: cn=staff,ou=groups,{0}\nchangetype: modify\nadd: member\nmember: uid=elsewhere,dc=other\n", kSuffix));
  ASSERT_EQ(sync().outcome, Outcome::Applied);
  const auto run =
      sync(fmt::format("dn: cn=staff,ou=groups,{0}\nchangetype: modify\ndelete: member\nmember: uid=u6,ou=people,{0}\n", kSuffix));
  EXPECT_EQ(run.outcome, Outcome::Applied) << run.detail;
  EXPECT_EQ(run.plan->counts.edges_removed, 1u);
  EXPECT_EQ(members("staff"), (std::set<std::string>{"u0", "u1", "inner"}));
}

TEST_F(RenameRace, APersonRenamedWhereTheServerDoesNotRewriteGroupsIsNoMemberAnyMore) {
  ASSERT_EQ(sync().outcome, Outcome::Applied);
  slapd_.modify(renamed("uid=u6", "ou=people", "uid=six"));  // and the group goes on listing a name that nobody has
  const auto run = sync();
  EXPECT_EQ(run.outcome, Outcome::Applied) << run.detail;
  EXPECT_EQ(run.plan->counts.edges_removed, 1u);
}

}  // namespace
}  // namespace rosterd::test
