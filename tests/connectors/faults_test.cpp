// Faults that no real server shows on request, played by our own server. Each must end in time, say what happened, and never look
// like a complete read.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "tests/connectors/collecting_sink.hpp"
#include "tests/support/ldap_fault_server.hpp"
#include "tests/support/process.hpp"
#include "tests/support/tls.hpp"

namespace rosterd::test {
namespace {

using namespace connectors;
using std::chrono::milliseconds;
using std::chrono::steady_clock;
using testing::HasSubstr;
using Kind = LdapRequest::Kind;

std::string uuid(int n) { return fmt::format("00000000-0000-0000-0000-{:012d}", n); }

std::string settings(const std::string& url, const std::string& more = "") {
  return fmt::format(R"({{"url": "{}", "preset": "openldap", "bind_dn": "cn=x", "bind_password": {{"value": "y"}}, {}
    "users": {{"base": "ou=people,dc=example,dc=com"}}, "groups": {{"base": "ou=groups,dc=example,dc=com"}}}})",
                     url, more);
}

ConnectorOptions hasty() {
  auto options = test_options();
  options.connect_timeout = milliseconds(300);
  options.operation_timeout = milliseconds(300);
  return options;
}

void send_users(LdapConnection& connection, const LdapRequest& request, int from, int to) {
  for (int i = from; i < to; ++i)
    connection.entry(request, fmt::format("uid=u{},ou=people,dc=example,dc=com", i),
                     {{"entryUUID", {uuid(i)}}, {"uid", {fmt::format("u{}", i)}}});
}

bool is_users(const LdapRequest& request) {
  return request.kind == Kind::Search && request.base.starts_with("ou=people") && request.scope == 2;
}
bool is_groups(const LdapRequest& request) {
  return request.kind == Kind::Search && request.base.starts_with("ou=groups") && request.scope == 2;
}

/// Runs a read and says how long it took.
struct Outcome {
  Result<FeedEnd> end;
  CollectingSink sink;
  milliseconds took{};
};
Outcome read(const std::string& json, const ConnectorOptions& options = hasty(), std::stop_token stop = {},
             const std::string& learnt = {}) {
  const auto connector = make_ldap(json, options, learnt);
  Outcome out{.end = fail(Errc::Internal, "not run"), .sink = {}};
  const auto begin = steady_clock::now();
  out.end = connector->read({}, out.sink, std::move(stop));
  out.took = std::chrono::duration_cast<milliseconds>(steady_clock::now() - begin);
  return out;
}

TEST(MuteServer, AtTcpIsGivenUpInTime) {
  const SilentPort port;
  const auto outcome = read(settings(fmt::format("ldap://127.0.0.1:{}", port.port())));
  ASSERT_FALSE(outcome.end);
  EXPECT_EQ(outcome.end.error().code, Errc::Unavailable);
  EXPECT_THAT(outcome.end.error().what, HasSubstr("no answer in time"));
  EXPECT_LT(outcome.took, milliseconds(1500));
}

TEST(MuteServer, AtTlsIsGivenUpInTime) {
  const TempDir dir;
  const PrivateCa ca(dir.file("ca"));
  LdapFaultServer server({.mute_from_start = true});
  const auto outcome = read(settings(server.url("ldaps"), fmt::format(R"("ca_file": "{}",)", ca.ca_file())));
  ASSERT_FALSE(outcome.end);
  EXPECT_THAT(outcome.end.error().what, HasSubstr("negotiating TLS"));
  EXPECT_LT(outcome.took, milliseconds(1500));
}

TEST(MuteServer, AtStartTlsIsGivenUpInTime) {
  const TempDir dir;
  const PrivateCa ca(dir.file("ca"));
  LdapFaultServer server({.mute_from_start = true});
  const auto outcome = read(settings(server.url(), fmt::format(R"("start_tls": true, "ca_file": "{}",)", ca.ca_file())));
  ASSERT_FALSE(outcome.end);
  EXPECT_THAT(outcome.end.error().what, HasSubstr("negotiating TLS"));
  EXPECT_LT(outcome.took, milliseconds(1500));
}

TEST(MuteServer, AtBindIsGivenUpInTime) {
  LdapFaultServer server({.mute_from_start = true});
  const auto outcome = read(settings(server.url()));
  ASSERT_FALSE(outcome.end);
  EXPECT_THAT(outcome.end.error().what, HasSubstr("bind"));
  EXPECT_LT(outcome.took, milliseconds(1500));
}

TEST(MuteServer, InMidSearchEndsAsPartialInTime) {
  LdapFaultServer server({.handler = [](LdapConnection& connection, const LdapRequest& request) {
    if (!is_users(request)) return false;
    send_users(connection, request, 0, 3);
    connection.mute();
    return true;
  }});
  const auto outcome = read(settings(server.url()));
  ASSERT_TRUE(outcome.end) << outcome.end.error().what;
  EXPECT_FALSE(is_complete(*outcome.end));
  EXPECT_TRUE(std::holds_alternative<KeepAbsent>(outcome.end->absence));
  EXPECT_THAT(failed(*outcome.end), HasSubstr("silent"));
  EXPECT_EQ(outcome.sink.users.size(), 3u);
  EXPECT_LT(outcome.took, milliseconds(1500));
}

TEST(MuteServer, ASlowReceiverIsNoSilentServer) {
  LdapFaultServer server({.handler = [](LdapConnection& connection, const LdapRequest& request) {
    if (!is_users(request)) return false;
    send_users(connection, request, 0, 3);
    connection.done(request);
    return true;
  }});
  class Slow final : public FeedSink {
   public:
    bool user(const UserRecord&) override {
      std::this_thread::sleep_for(milliseconds(500));  // longer than the silence the server is allowed: the store is busy
      return true;
    }
    bool group(const GroupRecord&) override { return true; }
    bool members(std::span<const Reference>) override { return true; }
    bool end_group(bool) override { return true; }
    bool skipped(const SkippedRecord&) override { return true; }
    void phase(std::string_view) override {}
  } sink;
  const auto end = make_ldap(settings(server.url()), hasty())->read({}, sink, {});
  ASSERT_TRUE(end) << end.error().what;
  EXPECT_TRUE(is_complete(*end)) << failed(*end);
}

TEST(Stopping, InterruptsAWaitAtOnce) {
  LdapFaultServer server({.handler = [](LdapConnection& connection, const LdapRequest& request) {
    if (!is_users(request)) return false;
    send_users(connection, request, 0, 3);
    connection.mute();
    return true;
  }});
  std::stop_source source;
  const std::jthread stopper([&source] {
    std::this_thread::sleep_for(milliseconds(200));  // lets the read reach its wait
    source.request_stop();
  });
  const auto outcome = read(settings(server.url()), test_options(), source.get_token());
  ASSERT_FALSE(outcome.end);
  EXPECT_EQ(outcome.end.error().code, Errc::Stopped);
  EXPECT_LT(outcome.took, milliseconds(1500));
}

TEST(Stopping, ASinkThatWantsNoMoreEndsTheRead) {
  LdapFaultServer server({.handler = [](LdapConnection& connection, const LdapRequest& request) {
    if (!is_users(request)) return false;
    send_users(connection, request, 0, 100);
    connection.done(request);
    return true;
  }});
  CollectingSink sink;
  sink.stop_after = 5;
  const auto end = make_ldap(settings(server.url()))->read({}, sink, {});
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().code, Errc::Stopped);
  EXPECT_EQ(sink.users.size(), 5u);
}

TEST(BrokenRead, AResetConnectionIsNotAShorterDirectory) {
  LdapFaultServer server({.handler = [](LdapConnection& connection, const LdapRequest& request) {
    if (!is_users(request)) return false;
    send_users(connection, request, 0, 200);
    std::this_thread::sleep_for(milliseconds(100));  // RST discards what the client has not read yet
    connection.reset();
    return true;
  }});
  const auto outcome = read(settings(server.url()));
  ASSERT_TRUE(outcome.end) << outcome.end.error().what;
  EXPECT_FALSE(is_complete(*outcome.end));
  EXPECT_THAT(failed(*outcome.end), HasSubstr("closed the connection"));
}

TEST(BrokenRead, WithoutAFinalResultIsNotComplete) {
  LdapFaultServer server({.handler = [](LdapConnection& connection, const LdapRequest& request) {
    if (!is_groups(request)) return false;
    connection.entry(request, "cn=g,ou=groups,dc=example,dc=com", {{"entryUUID", {uuid(1)}}, {"cn", {"g"}}, {"member", {"uid=a"}}});
    connection.close();
    return true;
  }});
  const auto outcome = read(settings(server.url()));
  ASSERT_TRUE(outcome.end) << outcome.end.error().what;
  EXPECT_FALSE(is_complete(*outcome.end));
  EXPECT_THAT(failed(*outcome.end), HasSubstr("groups"));
}

TEST(BrokenRead, ACutOffBeforeTheFirstEntryIsAnError) {
  LdapFaultServer server({.handler = [](LdapConnection& connection, const LdapRequest& request) {
    if (!is_users(request)) return false;
    connection.close();
    return true;
  }});
  const auto outcome = read(settings(server.url()));
  ASSERT_FALSE(outcome.end);
  EXPECT_EQ(outcome.end.error().code, Errc::Unavailable);
}

TEST(BrokenRead, AHostileLengthIsRefusedNotAllocated) {
  LdapFaultServer server({.handler = [](LdapConnection& connection, const LdapRequest& request) {
    if (!is_users(request)) return false;
    send_users(connection, request, 0, 2);
    connection.send(std::string_view("\x30\x84\x7f\xff\xff\xff\x02\x01\x03", 9));  // announces 2 GiB
    connection.mute();
    return true;
  }});
  auto options = test_options();
  options.max_message_bytes = 1 << 20;
  const auto outcome = read(settings(server.url()), options);
  ASSERT_TRUE(outcome.end) << outcome.end.error().what;
  EXPECT_FALSE(is_complete(*outcome.end));
  EXPECT_LT(outcome.took, milliseconds(3000));
}

TEST(BrokenRead, GarbageIsNoComplete) {
  LdapFaultServer server({.handler = [](LdapConnection& connection, const LdapRequest& request) {
    if (!is_users(request)) return false;
    send_users(connection, request, 0, 2);
    connection.send("HTTP/1.1 400 Bad Request\r\n\r\n");
    connection.close();
    return true;
  }});
  const auto outcome = read(settings(server.url()));
  ASSERT_TRUE(outcome.end) << outcome.end.error().what;
  EXPECT_FALSE(is_complete(*outcome.end));
}

TEST(Coalesced, ManyMessagesInOneSegmentAreAllSeen) {
  LdapFaultServer server({.handler = [](LdapConnection& connection, const LdapRequest& request) {
    if (!is_users(request)) return false;
    std::string all;
    for (int i = 0; i < 307; ++i)
      all += ldap_entry(request.id, fmt::format("uid=u{},ou=people,dc=example,dc=com", i),
                        {{"entryUUID", {uuid(i)}}, {"uid", {fmt::format("u{}", i)}}});
    all += ldap_done(request.id, 0);
    connection.send(all);
    return true;
  }});
  const auto outcome = read(settings(server.url()));
  ASSERT_TRUE(outcome.end) << outcome.end.error().what;
  EXPECT_TRUE(is_complete(*outcome.end)) << failed(*outcome.end);
  std::set<std::string> distinct;
  for (const auto& user : outcome.sink.users) distinct.insert(user.id.value);
  EXPECT_EQ(distinct.size(), 307u);
}

TEST(Evidence, AnAnswerOfReferencesOnlyIsNotComplete) {
  LdapFaultServer server({.handler = [](LdapConnection& connection, const LdapRequest& request) {
    if (!is_users(request)) return false;
    connection.send(ldap_reference(request.id, "ldap://elsewhere.example/ou=people,dc=example,dc=com"));
    connection.done(request);
    return true;
  }});
  const auto outcome = read(settings(server.url()));
  ASSERT_TRUE(outcome.end) << outcome.end.error().what;
  EXPECT_FALSE(is_complete(*outcome.end));
  EXPECT_THAT(failed(*outcome.end), HasSubstr("references to other servers"));
}

TEST(Evidence, AReferralResultIsNotComplete) {
  LdapFaultServer server({.handler = [](LdapConnection& connection, const LdapRequest& request) {
    if (!is_users(request)) return false;
    connection.done(request, 10);
    return true;
  }});
  const auto outcome = read(settings(server.url()));
  ASSERT_TRUE(outcome.end) << outcome.end.error().what;
  EXPECT_FALSE(is_complete(*outcome.end));
}

TEST(Evidence, ABaseThatVanishesDuringTheReadIsNotComplete) {
  LdapFaultServer server({.handler = [](LdapConnection& connection, const LdapRequest& request) {
    if (request.kind != Kind::Search || request.scope != 0 || !request.base.starts_with("ou=people")) return false;
    connection.done(request, 32);
    return true;
  }});
  const auto outcome = read(settings(server.url()));
  ASSERT_TRUE(outcome.end) << outcome.end.error().what;
  EXPECT_FALSE(is_complete(*outcome.end));
  EXPECT_THAT(failed(*outcome.end), HasSubstr("the base is still readable"));
}

TEST(Evidence, AnEntryWithoutAStableIdIsNotComplete) {
  LdapFaultServer server({.handler = [](LdapConnection& connection, const LdapRequest& request) {
    if (!is_users(request)) return false;
    connection.entry(request, "uid=x,ou=people,dc=example,dc=com", {{"uid", {"x"}}});
    connection.done(request);
    return true;
  }});
  const auto outcome = read(settings(server.url()));
  ASSERT_TRUE(outcome.end) << outcome.end.error().what;
  EXPECT_FALSE(is_complete(*outcome.end));
  EXPECT_THAT(failed(*outcome.end), HasSubstr("uid=x,ou=people"));
}

TEST(Paging, ARefusalInTheThirdPageIsNotComplete) {
  LdapFaultServer server({.handler = [page = 0](LdapConnection& connection, const LdapRequest& request) mutable {
    if (!is_users(request)) return false;
    if (page == 3) {
      connection.done(request, 12, "paging cookie is no longer valid");
      return true;
    }
    send_users(connection, request, page * 10, page * 10 + 10);
    ++page;
    connection.page_done(request, "cookie" + std::to_string(page));
    return true;
  }});
  const auto outcome = read(settings(server.url()), hasty(), {}, R"({"paging":"required"})");
  ASSERT_TRUE(outcome.end) << outcome.end.error().what;
  EXPECT_EQ(outcome.sink.users.size(), 30u);
  EXPECT_FALSE(is_complete(*outcome.end));
}

TEST(Paging, AnAnswerWithoutTheControlIsNotComplete) {
  LdapFaultServer server({.handler = [](LdapConnection& connection, const LdapRequest& request) {
    if (!is_users(request)) return false;
    send_users(connection, request, 0, 10);
    connection.send(ldap_done(request.id, 0));
    return true;
  }});
  const auto outcome = read(settings(server.url()), hasty(), {}, R"({"paging":"required"})");
  ASSERT_TRUE(outcome.end) << outcome.end.error().what;
  EXPECT_FALSE(is_complete(*outcome.end));
  EXPECT_THAT(failed(*outcome.end), HasSubstr("carried no paging control"));
}

TEST(Paging, EmptyPagesAreFollowedToTheEnd) {
  LdapFaultServer server({.handler = [page = 0](LdapConnection& connection, const LdapRequest& request) mutable {
    if (!is_users(request)) return false;
    if (page % 2 == 0) send_users(connection, request, page * 10, page * 10 + 10);
    ++page;
    connection.page_done(request, page == 5 ? "" : "next");
    return true;
  }});
  const auto outcome = read(settings(server.url()), hasty(), {}, R"({"paging":"required"})");
  ASSERT_TRUE(outcome.end) << outcome.end.error().what;
  EXPECT_TRUE(is_complete(*outcome.end)) << failed(*outcome.end);
  EXPECT_EQ(outcome.sink.users.size(), 30u);
}

/// A server without the paging control, as it refuses it (RFC 4511 §4.1.11). `announces`: its root DSE says otherwise.
LdapFaultServer::Options without_paging(bool announces) {
  return {.handler = [announces](LdapConnection& connection, const LdapRequest& request) {
    if (request.kind == Kind::Search && request.base.empty() && !announces) {
      connection.entry(request, "", {{"namingContexts", {"dc=example,dc=com"}}});
      connection.done(request);
      return true;
    }
    if (request.kind != Kind::Search || request.scope != 2) return false;
    if (request.paged) {
      connection.done(request, 12, "paged results are not available");
      return true;
    }
    if (is_users(request)) send_users(connection, request, 0, 5);
    connection.done(request);
    return true;
  }};
}

TEST(Learnt, PagesThatTheServerRefusesByNowAreGivenUp) {
  for (const bool announces : {false, true}) {
    LdapFaultServer server(without_paging(announces));
    const auto outcome = read(settings(server.url()), hasty(), {}, R"({"paging":"required","page_size":100})");
    ASSERT_TRUE(outcome.end) << outcome.end.error().what;
    EXPECT_TRUE(is_complete(*outcome.end)) << failed(*outcome.end);
    EXPECT_EQ(outcome.sink.users.size(), 5u);
    EXPECT_THAT(outcome.end->learnt, HasSubstr("\"unneeded\"")) << "the next read does not try again";
  }
}

TEST(Learnt, WhatAnotherServerOrAccountNeededIsForgotten) {
  std::atomic<int> paged{0};
  const auto count_pages = [&paged](LdapConnection& connection, const LdapRequest& request) {
    if (!is_users(request)) return false;
    paged += request.paged ? 1 : 0;
    send_users(connection, request, 0, 5);
    connection.done(request);
    return true;
  };
  LdapFaultServer one({.handler = count_pages}), other({.handler = count_pages});
  auto learnt = read(settings(one.url()), hasty(), {}, R"({"paging":"required"})").end->learnt;
  EXPECT_EQ(paged, 1);
  EXPECT_THAT(learnt, HasSubstr("\"required\""));
  (void)read(settings(one.url()), hasty(), {}, learnt);
  EXPECT_EQ(paged, 2) << "the same server and account: remembered";
  (void)read(settings(other.url()), hasty(), {}, learnt);
  EXPECT_EQ(paged, 2);
  auto json = settings(one.url());
  json.replace(json.find("cn=x"), 4, "cn=z");
  (void)read(json, hasty(), {}, learnt);
  EXPECT_EQ(paged, 2);
}

TEST(HiddenAttributes, AnAccountWhoseStateIsHiddenKeepsItAndTheReadIsNotComplete) {
  LdapFaultServer server({.handler =
                              [](LdapConnection& connection, const LdapRequest& request) {
                                if (!is_users(request)) return false;
                                const auto account = [&](int n, const LdapAttributes& more) {
                                  LdapAttributes attributes = {{"objectGUID", {fmt::format("{:016}", n)}},
                                                               {"sAMAccountName", {fmt::format("u{}", n)}},
                                                               {"primaryGroupID", {"513"}}};
                                  attributes.insert(attributes.end(), more.begin(), more.end());
                                  connection.entry(request, fmt::format("cn=u{},ou=people,dc=example,dc=com", n), attributes);
                                };
                                account(1, {{"userAccountControl", {"512"}}});
                                account(2, {});  // hidden: he may be disabled
                                connection.done(request);
                                return true;
                              },
                          .active_directory = true});
  auto json = settings(server.url());
  json.replace(json.find("openldap"), 8, "active_directory");
  const auto outcome = read(json);
  ASSERT_TRUE(outcome.end) << outcome.end.error().what;
  EXPECT_FALSE(is_complete(*outcome.end));
  EXPECT_THAT(failed(*outcome.end), HasSubstr("1 entries show no userAccountControl"));
  EXPECT_EQ(outcome.sink.users.size(), 1u);
  ASSERT_EQ(outcome.sink.skips.size(), 1u) << "skipped: whatever state he had, he keeps";
  EXPECT_THAT(outcome.sink.skips[0].reason, HasSubstr("userAccountControl"));
}

TEST(AddressRule, LoopbackIsRefusedUnlessListed) {
  LdapFaultServer server({});
  auto options = hasty();
  options.allowed_networks = {"10.0.0.0/8"};
  const auto outcome = read(settings(server.url()), options);
  ASSERT_FALSE(outcome.end);
  EXPECT_EQ(outcome.end.error().code, Errc::Refused);
  EXPECT_THAT(outcome.end.error().what, HasSubstr("loopback"));
  EXPECT_EQ(server.connections(), 0);
}

TEST(BadEntries, AreSkippedOneByOneAndTheReadStaysComplete) {
  LdapFaultServer server({.handler = [](LdapConnection& connection, const LdapRequest& request) {
    if (!is_users(request)) return false;
    connection.entry(request, "uid=x,ou=people,dc=example,dc=com", {{"entryUUID", {uuid(1)}}, {"uid", {"x\n"}}});
    send_users(connection, request, 2, 4);
    connection.done(request);
    return true;
  }});
  const auto outcome = read(settings(server.url()));
  ASSERT_TRUE(outcome.end) << outcome.end.error().what;
  EXPECT_TRUE(is_complete(*outcome.end)) << failed(*outcome.end);
  ASSERT_EQ(outcome.sink.skips.size(), 1u);
  EXPECT_EQ(outcome.sink.skips[0].id.value, uuid(1));
  EXPECT_EQ(outcome.sink.users.size(), 2u);
}

}  // namespace
}  // namespace rosterd::test
