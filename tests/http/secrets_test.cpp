#include "daemon/secrets.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "tests/support/process.hpp"

namespace rosterd {
namespace {

using nlohmann::json;
constexpr std::string_view kPaths[] = {"/bind_password", "/tls/key"};

TEST(Secrets, AValueIsSealedAndOpensAgain) {
  const auto secrets = Secrets::ephemeral();
  const auto sealed = secrets->seal(R"({"url":"u","bind_password":{"value":"hunter2"}})", kPaths, "");
  ASSERT_TRUE(sealed);
  EXPECT_EQ(sealed->find("hunter2"), std::string::npos);
  EXPECT_TRUE(json::parse(*sealed)["bind_password"]["sealed"].get<std::string>().starts_with("v1:"));
  const auto opened = secrets->open_settings(*sealed, kPaths);
  ASSERT_TRUE(opened);
  EXPECT_EQ(json::parse(*opened), json::parse(R"({"url":"u","bind_password":{"value":"hunter2"}})"));
}

TEST(Secrets, TheSameValueIsNeverSealedTheSameWay) {
  const auto secrets = Secrets::ephemeral();
  EXPECT_NE(*secrets->seal(R"({"bind_password":{"value":"x"}})", kPaths, ""),
            *secrets->seal(R"({"bind_password":{"value":"x"}})", kPaths, ""));
}

TEST(Secrets, AnotherKeyDoesNotOpenThem) {
  const auto sealed = Secrets::ephemeral()->seal(R"({"bind_password":{"value":"hunter2"}})", kPaths, "");
  const auto opened = Secrets::ephemeral()->open_settings(*sealed, kPaths);
  ASSERT_FALSE(opened);
  EXPECT_NE(opened.error().what.find("another key"), std::string::npos);
}

TEST(Secrets, SetKeepsWhatIsStored) {
  const auto secrets = Secrets::ephemeral();
  const auto before = *secrets->seal(R"({"bind_password":{"value":"hunter2"}})", kPaths, "");
  const auto after = secrets->seal(R"({"url":"new","bind_password":{"set":true}})", kPaths, before);
  ASSERT_TRUE(after);
  EXPECT_EQ(json::parse(*secrets->open_settings(*after, kPaths))["bind_password"]["value"], "hunter2");
  EXPECT_FALSE(secrets->seal(R"({"bind_password":{"set":true}})", kPaths, ""));
  EXPECT_FALSE(secrets->seal(R"({"bind_password":{"set":false}})", kPaths, before));
}

TEST(Secrets, WrongShapesAreNamedByPath) {
  const auto secrets = Secrets::ephemeral();
  for (const char* bad :
       {R"({"bind_password":"plain"})", R"({"bind_password":{}})", R"({"bind_password":{"value":7}})", R"({"bind_password":{"value":""}})",
        R"({"bind_password":{"value":"a","file":"/b"}})", R"({"bind_password":{"sealed":"v1:AAAA"}})",
        R"({"bind_password":{"file":"relative"}})", R"({"bind_password":["value"]})"}) {
    const auto sealed = secrets->seal(bad, kPaths, "");
    ASSERT_FALSE(sealed) << bad;
    EXPECT_EQ(sealed.error().code, Errc::InvalidInput);
    EXPECT_NE(sealed.error().what.find("/bind_password"), std::string::npos) << bad;
  }
  EXPECT_FALSE(secrets->seal("[]", kPaths, ""));
}

TEST(Secrets, FilesAndVariablesAreReadWhenOpened) {
  const auto secrets = Secrets::ephemeral();
  const test::TempDir dir;
  const auto file = dir.write("password", "from a file\n");
  const auto stored =
      *secrets->seal(json{{"bind_password", {{"file", file}}}, {"tls", {{"key", {{"env", "ROSTERD_TEST_SECRET"}}}}}}.dump(), kPaths, "");
  ::unsetenv("ROSTERD_TEST_SECRET");
  const auto without = secrets->open_settings(stored, kPaths);
  ASSERT_FALSE(without);
  EXPECT_NE(without.error().what.find("ROSTERD_TEST_SECRET"), std::string::npos);
  ::setenv("ROSTERD_TEST_SECRET", "from outside", 1);
  const auto opened = secrets->open_settings(stored, kPaths);
  ASSERT_TRUE(opened);
  EXPECT_EQ(json::parse(*opened)["bind_password"]["value"], "from a file");
  EXPECT_EQ(json::parse(*opened)["tls"]["key"]["value"], "from outside");
}

TEST(Secrets, AMissingFileIsNamedAndItsContentNeverIs) {
  const auto secrets = Secrets::ephemeral();
  const auto missing = secrets->open_settings(R"({"bind_password":{"file":"/nowhere/secret"}})", kPaths);
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().what.find("/nowhere/secret"), std::string::npos);
}

TEST(Secrets, TheMaskShowsWhereASecretComesFromAndNothingElse) {
  const auto secrets = Secrets::ephemeral();
  const auto stored = *secrets->seal(R"({"url":"u","bind_password":{"value":"hunter2"},"tls":{"key":{"file":"/k"}}})", kPaths, "");
  EXPECT_EQ(json::parse(Secrets::mask(stored, kPaths)),
            json::parse(R"({"url":"u","bind_password":{"set":true},"tls":{"key":{"set":true,"file":"/k"}}})"));
  EXPECT_EQ(Secrets::mask("broken", kPaths), "{}");
}

TEST(Secrets, TheKeyFileIsMadeOnceForItsOwnerAlone) {
  const test::TempDir dir;
  const auto file = dir.file("key");
  const auto first = Secrets::open(file);
  ASSERT_TRUE(first);
  struct stat info{};
  ASSERT_EQ(::stat(file.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  const auto sealed = *(*first)->seal(R"({"bind_password":{"value":"x"}})", kPaths, "");
  const auto second = Secrets::open(file);
  ASSERT_TRUE(second);
  EXPECT_TRUE((*second)->open_settings(sealed, kPaths));
}

TEST(Secrets, ABadKeyFileIsRefused) {
  const test::TempDir dir;
  EXPECT_FALSE(Secrets::open(dir.write("short", "abcd\n")));
  EXPECT_FALSE(Secrets::open(dir.write("letters", std::string(64, 'z'))));
  EXPECT_FALSE(Secrets::open(dir.write("open", std::string(64, 'a'), 0644)));
  EXPECT_FALSE(Secrets::open(dir.file("no/such/folder/key")));
}

}  // namespace
}  // namespace rosterd
