// Profiles: what is stored, who may read it, and which token goes where.
#include <gmock/gmock.h>
#include <sys/stat.h>

#include "cli/profile.hpp"
#include "tests/cli/invocation.hpp"
#include "tests/support/process.hpp"

namespace rosterd::cli {
namespace {

using testing::HasSubstr;
using Environment = std::map<std::string, std::string>;

Profiles two_profiles() {
  Profiles out;
  out.current = "home";
  out.by_name["home"] = {.url = "http://127.0.0.1:8480", .token = "rst_home", .ca_file = {}, .allow_plaintext = false};
  out.by_name["work"] = {
      .url = "https://rosterd.work.example", .token = "rst_work", .ca_file = "/etc/work-ca.pem", .allow_plaintext = false};
  return out;
}

TEST(Profiles, AreReadBackAsTheyWereSaved) {
  const test::TempDir dir;
  const auto path = dir.file("config/rosterctl/profiles.json");
  ASSERT_TRUE(save_profiles(path, two_profiles()));
  const auto loaded = load_profiles(path);
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->current, "home");
  EXPECT_EQ(loaded->by_name.at("work").token, "rst_work");
  EXPECT_EQ(loaded->by_name.at("work").ca_file, "/etc/work-ca.pem");
}

TEST(Profiles, TheFileIsForItsOwnerOnly) {
  const test::TempDir dir;
  const auto path = dir.file("config/rosterctl/profiles.json");
  ASSERT_TRUE(save_profiles(path, two_profiles()));
  struct stat info{};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  ASSERT_EQ(::stat(dir.file("config/rosterctl").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
}

TEST(Profiles, AFileThatOthersMayReadIsRefused) {
  const test::TempDir dir;
  const auto loaded = load_profiles(dir.write("profiles.json", R"({"current":"a","profiles":{}})", 0644));
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code, kUsage);
  EXPECT_THAT(loaded.error().mend, HasSubstr("chmod 600"));
}

TEST(Profiles, ABrokenFileIsNotOverwritten) {
  const test::TempDir dir;
  EXPECT_FALSE(load_profiles(dir.write("profiles.json", "{", 0600)));
}

TEST(Profiles, WithoutAFileThereAreNone) {
  const test::TempDir dir;
  const auto loaded = load_profiles(dir.file("none.json"));
  ASSERT_TRUE(loaded);
  EXPECT_TRUE(loaded->by_name.empty());
}

TEST(Resolve, TheCommandLineGoesBeforeTheEnvironmentBeforeTheFile) {
  const auto profiles = two_profiles();
  EXPECT_EQ(resolve({}, {}, profiles)->profile.token, "rst_home");
  EXPECT_EQ(resolve({}, {{"ROSTERCTL_PROFILE", "work"}}, profiles)->profile.token, "rst_work");
  EXPECT_EQ(resolve({.profile = "home", .url = {}, .ca_file = {}}, {{"ROSTERCTL_PROFILE", "work"}}, profiles)->profile.token, "rst_home");
  EXPECT_EQ(resolve({.profile = {}, .url = "http://127.0.0.1:1", .ca_file = {}}, {{"ROSTERCTL_URL", "http://127.0.0.1:2"}}, profiles)
                ->profile.url,
            "http://127.0.0.1:1");
  EXPECT_EQ(resolve({}, {{"ROSTERCTL_TOKEN", "rst_env"}}, profiles)->profile.token, "rst_env");
}

TEST(Resolve, AStoredTokenIsNotSentToAnotherAddress) {
  const auto target = resolve({.profile = {}, .url = "https://elsewhere.example", .ca_file = {}}, {}, two_profiles());
  ASSERT_TRUE(target);
  EXPECT_EQ(target->profile.token, "");
  EXPECT_EQ(resolve({}, {{"ROSTERCTL_URL", "https://elsewhere.example"}}, two_profiles())->profile.token, "");
}

TEST(Resolve, AnUnknownProfileIsSaid) {
  const auto target = resolve({.profile = "moon", .url = {}, .ca_file = {}}, {}, two_profiles());
  ASSERT_FALSE(target);
  EXPECT_EQ(target.error().code, kSignIn);
  EXPECT_THAT(target.error().what, HasSubstr("moon"));
}

TEST(Resolve, AnAddressIsCheckedBeforeItIsUsed) {
  for (const char* url : {"ftp://127.0.0.1", "http://ada:secret@127.0.0.1", "rosterd", "http://"})
    EXPECT_FALSE(resolve({.profile = {}, .url = url, .ca_file = {}}, {}, {})) << url;
  EXPECT_EQ(resolve({.profile = {}, .url = "http://127.0.0.1:8480/", .ca_file = {}}, {}, {})->profile.url, "http://127.0.0.1:8480");
}

TEST(ProfileCommands, ListNeverShowsATokenAndUseChangesTheCurrentOne) {
  const test::TempDir dir;
  const Surroundings around{.environment = {{"XDG_CONFIG_HOME", dir.path().string()}}};
  ASSERT_TRUE(save_profiles(dir.file("rosterctl/profiles.json"), two_profiles()));
  const auto listed = rosterctl({"profiles", "list"}, around);
  EXPECT_EQ(listed.out,
            "   PROFILE  URL                           SIGNED IN\n"
            "*  home     http://127.0.0.1:8480         yes\n"
            "   work     https://rosterd.work.example  yes\n");
  EXPECT_EQ(rosterctl({"profiles", "list", "--json"}, around).out.find("rst_"), std::string::npos);
  EXPECT_EQ(rosterctl({"profiles", "use", "work"}, around).code, kOk);
  EXPECT_EQ(load_profiles(dir.file("rosterctl/profiles.json"))->current, "work");
  EXPECT_EQ(rosterctl({"profiles", "use", "moon"}, around).code, kUsage);
}

}  // namespace
}  // namespace rosterd::cli
