#pragma once
// A SCIM provider whose quirks can be chosen: how its lists are paged, which filters it honours, where it shows members, and any fault at
// any request. Real ones are in scimmy_server.hpp and canaille_server.hpp.

#include <functional>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/http_fault_server.hpp"

namespace rosterd::test {

/// Users and groups in memory; how lists are paged and what is shown is up to the test.
class ScimProvider {
 public:
  bool cursors = false, keyset = false, filters_time = false;
  bool members_in_lists = true, members_by_id = true, groups_of_users = false;
  std::size_t most = 3;  ///< per page
  std::map<std::string, nlohmann::json> users, groups;
  std::function<std::optional<HttpSaid>(const HttpAsked&)> first;  ///< may answer instead
  std::vector<std::string> targets;

  /// Nobody is answered while it lives. For changes between two reads; before the first there is nobody to answer.
  [[nodiscard]] std::unique_lock<std::recursive_mutex> hold() { return std::unique_lock(mutex_); }

  void user(const std::string& id, const std::string& name, nlohmann::json more = nlohmann::json::object()) {
    const auto held = hold();
    nlohmann::json out = {{"id", id}, {"userName", name}, {"active", true}, {"name", {{"givenName", name}, {"familyName", "X"}}}};
    out["emails"] = nlohmann::json::array({{{"value", name + "@acme.example"}, {"primary", true}}});
    out.update(more);
    users[id] = out;
  }
  void group(const std::string& id, const std::string& name, const std::vector<std::string>& user_ids,
             const std::vector<std::string>& group_ids = {}) {
    const auto held = hold();
    nlohmann::json members = nlohmann::json::array();
    for (const auto& member : user_ids) members.push_back({{"value", member}, {"type", "User"}});
    for (const auto& member : group_ids) members.push_back({{"value", member}, {"$ref", "../Groups/" + member}});
    groups[id] = {{"id", id}, {"displayName", name}, {"members", members}};
  }
  [[nodiscard]] std::string settings(const std::string& more = {}) const {
    return R"({"issuer":")" + server.url() + R"(","dialect":"scim","api_url":")" + server.url() + R"(/v2","token":{"value":"secret"})" +
           more + "}";
  }

 private:
  HttpSaid answer(const HttpAsked& asked) {
    const auto held = hold();
    if (asked.headers.contains("authorization") && asked.headers.at("authorization") != "Bearer secret") return {.status = 401};
    targets.push_back(asked.target);
    if (first)
      if (auto said = first(asked)) return *said;
    if (asked.path == "/v2/ServiceProviderConfig")
      return json_answer(
          nlohmann::json{{"pagination", {{"cursor", cursors}}}, {"filter", {{"supported", true}, {"maxResults", most}}}}.dump());
    for (const auto& [prefix, all] : {std::pair(std::string("/v2/Users"), &users), std::pair(std::string("/v2/Groups"), &groups)}) {
      if (asked.path == prefix) return list(asked, *all);
      if (!asked.path.starts_with(prefix + "/")) continue;
      const auto found = all->find(asked.path.substr(prefix.size() + 1));
      if (found == all->end())
        return json_answer(R"({"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"status":"404","detail":"none"})", 404);
      return json_answer(shown(found->second, members_by_id).dump());
    }
    return {.status = 404};
  }
  nlohmann::json shown(nlohmann::json resource, bool with_members) const {
    if (!with_members) resource.erase("members");
    if (groups_of_users && resource.contains("userName")) {
      resource["groups"] = nlohmann::json::array();
      for (const auto& [id, group] : groups)
        for (const auto& member : group["members"])
          if (member["value"] == resource["id"]) resource["groups"].push_back({{"value", id}});
    }
    return resource;
  }
  HttpSaid list(const HttpAsked& asked, const std::map<std::string, nlohmann::json>& all) const {
    const auto filter = asked.parameter("filter");
    std::vector<nlohmann::json> matching;
    for (const auto& [id, resource] : all) {
      if (filter.starts_with("id gt ") && keyset && id <= nlohmann::json::parse(filter.substr(6)).get<std::string>()) continue;
      if (filters_time && filter.starts_with("meta.lastModified gt ") &&
          resource.value(nlohmann::json::json_pointer("/meta/lastModified"), "2020-01-01T00:00:00Z") <=
              nlohmann::json::parse(filter.substr(21)).get<std::string>())
        continue;
      if (filter.starts_with("id gt ") && !keyset) return json_answer(R"({"detail":"no such filter","scimType":"invalidFilter"})", 400);
      matching.push_back(shown(resource, members_in_lists));
    }
    std::size_t start = 0;
    if (asked.query.contains("startIndex")) start = std::stoul(asked.parameter("startIndex")) - 1;
    if (asked.query.contains("cursor") && !asked.parameter("cursor").empty()) start = std::stoul(asked.parameter("cursor").substr(1));
    const auto count = std::min(most, asked.query.contains("count") ? std::stoul(asked.parameter("count")) : most);
    nlohmann::json out = {{"totalResults", matching.size()}, {"Resources", nlohmann::json::array()}};
    for (auto at = start; at < std::min(matching.size(), start + count); ++at) out["Resources"].push_back(matching[at]);
    if (asked.query.contains("cursor") && start + count < matching.size()) out["nextCursor"] = "c" + std::to_string(start + count);
    auto said = json_answer(out.dump());
    said.headers.emplace_back("Date", "Thu, 26 Nov 2026 10:00:00 GMT");
    return said;
  }

  std::recursive_mutex mutex_;

 public:
  HttpFaultServer server{[this](const HttpAsked& asked) { return answer(asked); }};
};

}  // namespace rosterd::test
