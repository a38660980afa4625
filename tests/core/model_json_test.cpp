#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "schema/model/sync.hpp"

namespace rosterd {
namespace {

using nlohmann::json;

template <class T>
std::string problem(const Result<T>& result) {
  return result ? "" : result.error().what;
}

TEST(ScheduleJson, IsReadBack) {
  const Schedule schedule{.interval = Millis(90'000), .full_every = Millis(86'400'000), .live = true};
  EXPECT_EQ(schedule_from_json(to_json(schedule)), schedule);
  EXPECT_EQ(schedule_from_json(json::object()), Schedule{});
}

TEST(ScheduleJson, EveryProblemIsNamedAtOnce) {
  const auto text = problem(schedule_from_json(json::parse(R"({"interval":"15","full_every":7,"live":"yes","color":1})")));
  for (const auto* path : {"schedule.interval", "schedule.full_every", "schedule.live", "schedule.color"})
    EXPECT_NE(text.find(path), std::string::npos) << text;
  EXPECT_NE(problem(schedule_from_json(json::parse(R"({"interval":"10ms"})"))), "");
  EXPECT_NE(problem(schedule_from_json(json::array())), "");
}

TEST(GuardJson, CannotBeSwitchedOff) {
  EXPECT_EQ(guard_from_json(to_json(Guard{.percent = 2.5, .floor = 3, .ceiling = 40})), (Guard{.percent = 2.5, .floor = 3, .ceiling = 40}));
  for (const auto* text :
       {R"({"percent":51})", R"({"percent":-1})", R"({"percent":"5"})", R"({"floor":0})", R"({"ceiling":0})", R"({"ceiling":1000001})",
        R"({"floor":1.5})", R"({"ceiling":18446744073709551615})", R"({"enabled":false})", R"([])"})
    EXPECT_NE(problem(guard_from_json(json::parse(text))), "") << text;
}

TEST(RoleMappingJson, IsReadBackAndChecked) {
  const std::vector<RoleMapping> mappings{{.group = "^ns-(?<ns>.+)$", .role = "Editor", .ns = "${ns}"},
                                          {.group = "admins", .role = "Admin", .ns = {}}};
  json list = json::array();
  for (const auto& mapping : mappings) list.push_back(to_json(mapping));
  EXPECT_EQ(role_mappings_from_json(list), mappings);
  EXPECT_NE(problem(role_mappings_from_json(json::parse(R"([{"group":"a"}])"))).find("role is missing"), std::string::npos);
  EXPECT_NE(problem(role_mappings_from_json(json::parse(R"([{"group":"a","role":"b","namespace":""}])"))),
            "");  // "" is never the whole tenant (R27)
  EXPECT_NE(problem(role_mappings_from_json(json::parse(R"([{"group":"a","role":"b","ns":"c"}])"))).find("role_mappings[0].ns"),
            std::string::npos);
}

TEST(CountsJson, IsReadBack) {
  ChangeCounts counts;
  counts.users[static_cast<std::size_t>(ChangeKind::Added)] = 3;
  counts.groups[static_cast<std::size_t>(ChangeKind::Purged)] = 2;
  counts.edges_added = 5, counts.bindings_removed = 1, counts.users_read = 9, counts.dangling_members = 4;
  EXPECT_EQ(counts_from_json(to_json(counts)), counts);
  EXPECT_EQ(counts_from_json(json::object()), ChangeCounts{});
}

TEST(ChangeCounts, SkippedRecordsAreNoChange) {
  ChangeCounts counts;
  EXPECT_TRUE(counts.is_empty());
  counts.users[static_cast<std::size_t>(ChangeKind::Skipped)] = 3;
  counts.users_read = 10;
  EXPECT_TRUE(counts.is_empty());
  counts.edges_removed = 1;
  EXPECT_FALSE(counts.is_empty());
}

TEST(RunJson, HasNullForWhatThereIsNot) {
  rosterd::Run run;
  run.id = {1};
  const auto shown = to_json(run);
  for (const auto* field : {"reason", "detail", "started_at", "finished_at", "approval_expires_at", "requested_by", "revision", "plan",
                            "counts", "progress", "cursor_kind"})
    EXPECT_TRUE(shown.at(field).is_null()) << field;
  EXPECT_EQ(shown.at("id"), "run_0000000000001");
  EXPECT_EQ(shown.at("outcome"), "queued");
  EXPECT_TRUE(shown.at("notices").is_array());
}

TEST(RunJson, ATextThatIsNoJsonDoesNotSpoilTheAnswer) {
  rosterd::Run run;
  run.progress = "{broken";
  EXPECT_EQ(json::parse(to_json(run).dump()).at("progress"), "{broken");
  Change change;
  change.before = R"({"a":1})";
  change.after = "oops";
  const auto shown = json::parse(to_json(change).dump());
  EXPECT_EQ(shown.at("before").at("a"), 1);
  EXPECT_EQ(shown.at("after"), "oops");
}

TEST(Outcomes, HaveNamesOfTheirOwn) {
  std::set<std::string_view> names;
  for (int i = 1; i <= 9; ++i) names.insert(name_of(static_cast<Outcome>(i)));
  EXPECT_EQ(names.size(), 9U);
  EXPECT_FALSE(names.contains(""));
  EXPECT_FALSE(is_over(Outcome::Running));
  EXPECT_TRUE(is_over(Outcome::Held));
}

}  // namespace
}  // namespace rosterd
