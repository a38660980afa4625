// What the API's JSON says, in words.
#include "cli/words.hpp"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "cli/people.hpp"
#include "cli/watch.hpp"
#include "schema/core/clock.hpp"

namespace rosterd::cli {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const json kCounts = json::parse(R"({"users":{"added":1,"changed":0,"suspended":2,"resumed":0,"purged":0,"skipped":0},
  "groups":{"added":0,"changed":0,"suspended":0,"resumed":0,"purged":0,"skipped":0},
  "edges":{"added":1200,"removed":1},"bindings":{"added":0,"removed":1},"users_read":10,"groups_read":3,"dangling_members":0})");

TEST(Words, CountsBecomeSentences) {
  EXPECT_THAT(sentences(kCounts, false), ElementsAre("1 user added", "2 users suspended", "1,200 memberships added", "1 membership removed",
                                                     "1 role binding removed"));
  EXPECT_THAT(sentences(kCounts, true), ElementsAre("would add 1 user", "would suspend 2 users", "would add 1,200 memberships",
                                                    "would remove 1 membership", "would remove 1 role binding"));
  EXPECT_EQ(total_of(kCounts, true), 1205u);
  const auto skipped = json::parse(R"({"users":{"added":1,"skipped":7}})");
  EXPECT_EQ(total_of(skipped, true), 8u);
  EXPECT_EQ(total_of(skipped, false), 1u) << "who was skipped did not change";
  EXPECT_THAT(sentences(json(nullptr), false), IsEmpty());
}

TEST(Words, AChangeSaysWhatAndWhy) {
  const auto change = json::parse(R"({"seq":1,"object":{"type":"user","id":"usr_1","external_id":"x","name":"ada"},"kind":"changed",
    "before":{"email":"a@x","last_name":"L"},"after":{"email":"b@x","last_name":"L"},"reason":"differs at the source"})");
  EXPECT_EQ(sentence(change, false), "user ada changed (email; differs at the source)");
  EXPECT_EQ(sentence(change, true), "would change user ada (email; differs at the source)");
  const auto edge = json::parse(
      R"({"seq":2,"object":{"type":"membership","id":"grp_1","external_id":null,"name":"web-team"},"kind":"edge_removed","before":{"member":"usr_1","member_name":"frank","member_external_id":""},"after":null,"reason":""})");
  EXPECT_EQ(sentence(edge, true), "would remove membership frank in web-team");
}

TEST(Words, ABindingNamesRoleGroupAndPlace) {
  auto binding = json::parse(
      R"({"seq":3,"object":{"type":"binding","id":"bnd_1","external_id":"g","name":"Editor"},"kind":"binding_added","before":null,
      "after":{"role":"Editor","principal":"grp_1","group_external_id":"g","group":"ns-company.web-editors","namespace":"company.web"},"reason":"mapping"})");
  EXPECT_EQ(sentence(binding, false), "binding Editor for ns-company.web-editors in company.web added (mapping)");
  binding["after"].erase("namespace");
  binding["after"].erase("group");  // one that was recorded before groups were named
  EXPECT_EQ(sentence(binding, true), "would add binding Editor in the whole tenant (mapping)");
}

TEST(Words, NumbersAndTimesAreReadable) {
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1234567), "1,234,567");
  EXPECT_EQ(plural(1, "entry", "entries"), "1 entry");
  EXPECT_EQ(plural(2000, "entry", "entries"), "2,000 entries");
  EXPECT_EQ(duration_between("2026-11-23T04:05:06Z", "2026-11-23T04:05:07.25Z"), "1.2 s");
  EXPECT_EQ(duration_between("2026-11-23T04:05:06Z", "2026-11-23T04:07:10Z"), "2 min 4 s");
  EXPECT_EQ(duration_between("", "2026-11-23T04:07:10Z"), "");
  const auto now = SystemClock().now();
  EXPECT_EQ(age_of(rfc3339(now - std::chrono::minutes(12))), "12 min ago");
  EXPECT_EQ(age_of(rfc3339(now + std::chrono::minutes(12) + std::chrono::seconds(30))), "in 12 min");
  EXPECT_EQ(age_of(""), "");
}

TEST(Words, FieldsThatAreNotThereAreEmpty) {
  const auto object = json::parse(R"({"a":{"b":"text","n":7,"z":null},"list":[1],"flag":true})");
  EXPECT_EQ(text_at(object, {"a", "b"}), "text");
  EXPECT_EQ(text_at(object, {"a", "n"}), "7");
  EXPECT_EQ(text_at(object, {"a", "z"}), "");
  EXPECT_EQ(text_at(object, {"a", "b", "c"}), "");
  EXPECT_EQ(number_at(object, {"a", "n"}), 7u);
  EXPECT_EQ(number_at(object, {"a", "b"}), 0u);
  EXPECT_TRUE(flag_at(object, "flag"));
  EXPECT_EQ(list_at(object, "list").size(), 1u);
  EXPECT_EQ(list_at(object, "a").size(), 0u);
}

TEST(Words, AGrantShowsEveryStepOfItsChain) {
  const auto grant =
      json::parse(R"({"binding":"bnd_1","role":{"id":"rol_1","name":"Editor"},"namespace":"company.web","origin":{"source":"src_1"},
    "via":[{"group":{"id":"grp_1","name":"web-team"},"origins":[{"origin":{"source":"src_1"},"source_name":"corp","entry":"cn=web-team,ou=groups","run":"run_1","since":"2026-11-23T04:05:06Z"}]},
           {"group":{"id":"grp_2","name":"ns-company.web-editors"},"origins":[{"origin":"local","since":"2026-11-23T04:05:06Z"}]}],
    "expires_at":null,"permissions":{"FLOW":["READ"]}})");
  EXPECT_EQ(grant_text(grant, "frank", {{"src_1", "corp"}}, false),
            "Editor in company.web and below  (bound by a role mapping of corp)\n"
            "    frank is a member of web-team  source corp, cn=web-team,ou=groups\n"
            "    web-team is a member of ns-company.web-editors  added in rosterd\n");
}

TEST(Progress, ALineNeverWrapsWhateverTheTerminalsWidth) {
  use_utf8();
  const auto run = json::parse(
      R"({"source_name":"corporate-directory-of-the-north","outcome":"running","progress":{"phase":"reading users","users":123456,"groups":789}})");
  for (int columns = 10; columns <= 200; ++columns)
    for (const std::uint64_t expected : {std::uint64_t{0}, std::uint64_t{1'000'000}}) {
      const auto line = progress_line(run, expected, std::chrono::milliseconds(12'345), columns, false);
      EXPECT_LE(width_of(line), static_cast<std::size_t>(std::max(columns - 1, 10))) << line;
    }
}

TEST(Progress, ABarIsMeasuredAgainstTheSyncBefore) {
  use_utf8();
  const auto run = json::parse(R"({"source_name":"corp","outcome":"running","progress":{"phase":"reading users","users":500,"groups":0}})");
  EXPECT_THAT(progress_line(run, 1000, std::chrono::milliseconds(1000), 120, false), HasSubstr(" 50 %"));
  EXPECT_THAT(progress_line(run, 0, std::chrono::milliseconds(1000), 120, false), testing::Not(HasSubstr("%")));
}

TEST(Outcomes, OnlyWhatWentWellIsZero) {
  for (const char* good : {"applied", "unchanged", "planned"}) EXPECT_EQ(code_of_outcome(good), kOk) << good;
  for (const char* bad : {"partial", "held", "failed", "abandoned"}) EXPECT_EQ(code_of_outcome(bad), kNo) << bad;
}

}  // namespace
}  // namespace rosterd::cli
