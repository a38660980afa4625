// Many requests of one provider at once: they share transactions, and nothing else.
#include <atomic>
#include <set>
#include <thread>

#include "tests/http/scim/pusher.hpp"

namespace rosterd::test {
namespace {

constexpr int kClients = 8, kEach = 12;

void at_once(const std::function<void(int client)>& work) {
  std::vector<std::jthread> clients;
  for (int client = 0; client < kClients; ++client) clients.emplace_back([&work, client] { work(client); });
}

TEST_F(Pushing, WhatIsPushedTogetherIsAnsweredEachForItself) {
  std::atomic<int> made{0}, refused{0};
  std::vector<std::vector<std::string>> ids(kClients);
  at_once([&](int client) {
    for (int i = 0; i < kEach; ++i) {
      const auto name = fmt::format("user-{}-{}", client, i);
      const auto answer = push("POST", "/Users", {{"schemas", {kUserUrn}}, {"userName", name}});
      EXPECT_EQ(answer.status, 201) << answer.text;
      EXPECT_EQ(answer.body.value("userName", ""), name) << "its own answer";
      ids[static_cast<std::size_t>(client)].push_back(answer.body.value("id", ""));
      // The same name from everybody: one of them makes it, the others hear that it is there.
      const auto same = push("POST", "/Users", {{"schemas", {kUserUrn}}, {"userName", fmt::format("same-{}", i)}});
      if (same.status == 201) ++made;
      if (same.status == 409) ++refused;
    }
  });
  EXPECT_EQ(made, kEach);
  EXPECT_EQ(refused, kEach * (kClients - 1));
  std::set<std::string> different;
  for (const auto& some : ids) different.insert(some.begin(), some.end());
  EXPECT_EQ(different.size(), static_cast<std::size_t>(kClients * kEach));

  const auto group = push_group("everybody");
  at_once([&](int client) {
    for (const auto& id : ids[static_cast<std::size_t>(client)]) {
      const auto value = json::array({{{"value", id}}});
      const auto added = patch("/Groups/" + group, json::array({{{"op", "add"}, {"path", "members"}, {"value", value}}}));
      EXPECT_EQ(added.status, 204) << added.text;
    }
    const auto& first = ids[static_cast<std::size_t>(client)].front();
    const auto gone = patch("/Groups/" + group, json::array({{{"op", "remove"}, {"path", "members[value eq \"" + first + "\"]"}}}));
    EXPECT_EQ(gone.status, 204) << gone.text;
  });
  EXPECT_EQ(members(group).size(), static_cast<std::size_t>(kClients * (kEach - 1))) << "no change was lost to another";
  EXPECT_EQ(admin.get(path("/groups/" + group)).body["member_count"], kClients * (kEach - 1));
}

TEST_F(Pushing, AReaderSeesEveryChangeOnceItIsAnswered) {
  std::atomic<bool> over{false};
  std::jthread noise([&] {
    for (int i = 0; !over; ++i) push_user(fmt::format("noise-{}", i));
  });
  for (int i = 0; i < 20; ++i) {
    const auto id = push_user(fmt::format("ada-{}", i));
    EXPECT_EQ(push("GET", "/Users/" + id).status, 200);
    EXPECT_EQ(find("/Users", fmt::format("userName eq \"ADA-{}\"", i))["totalResults"], 1);
    EXPECT_EQ(patch("/Users/" + id, json::array({{{"op", "replace"}, {"path", "displayName"}, {"value", "A"}}})).status, 200);
    EXPECT_EQ(push("GET", "/Users/" + id).body["displayName"], "A");
  }
  over = true;
}

}  // namespace
}  // namespace rosterd::test
