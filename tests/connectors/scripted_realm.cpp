#include "tests/connectors/scripted_realm.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "tests/connectors/collecting_sink.hpp"

namespace rosterd::test {
namespace {

using Json = nlohmann::json;

std::size_t number(const HttpAsked& asked, const std::string& name, std::size_t otherwise) {
  const auto text = asked.parameter(name);
  return text.empty() ? otherwise : std::stoul(text);
}

/// One page of `all`, and of it what is not hidden: as Keycloak asks a user storage about every row of a page.
HttpSaid page(const std::vector<Json>& all, const HttpAsked& asked, std::size_t most, const std::set<std::string>& hidden) {
  auto out = Json::array();
  const auto first = std::min(number(asked, "first", 0), all.size());
  const auto last = std::min(first + number(asked, "max", most), all.size());
  for (auto at = first; at < last; ++at)
    if (!hidden.contains(all[at].value("id", ""))) out.push_back(all[at]);
  return json_answer(out.dump());
}

HttpSaid not_found(const std::string& what) { return json_answer(Json{{"error", what + " not found"}}.dump(), 404); }

}  // namespace

ScriptedRealm::ScriptedRealm() : server_([this](const HttpAsked& asked) { return answer(asked); }) {}

std::unique_ptr<connectors::Connector> ScriptedRealm::connector(const std::string& more) const {
  const auto type = connectors::find_connector_type("oidc");
  if (!type) throw std::runtime_error(type.error().what);
  auto options = test_options();
  options.operation_timeout = std::chrono::milliseconds(2000);
  auto made = (*type)->make(
      {.json = fmt::format(R"({{"issuer": "{}", "dialect": "keycloak", {} "token": {{"value": "t"}}}})", issuer(), more), .learnt = {}},
      options);
  if (!made) throw std::runtime_error(made.error().what);
  return std::move(*made);
}

void ScriptedRealm::add_users(int count) {
  for (int i = 0; i < count; ++i)
    users.push_back({.id = fmt::format("u-user{:04}", i), .name = fmt::format("user{:04}", i), .federation = {}});
}

ScriptedRealm::User& ScriptedRealm::user(const std::string& name) {
  for (auto& one : users)
    if (one.name == name) return one;
  return users.emplace_back(User{.id = "u-" + name, .name = name, .federation = {}});
}

ScriptedRealm::Group& ScriptedRealm::group(const std::string& name) {
  for (auto& one : groups)
    if (one.name == name) return one;
  return groups.emplace_back(Group{.id = "g-" + name, .name = name, .parent = {}, .members = {}});
}

ScriptedRealm::Group& ScriptedRealm::group(const std::string& name, const std::string& parent) {
  auto& out = group(name);
  out.parent = "g-" + parent;
  return out;
}

void ScriptedRealm::keep_events() {
  events_config = {{"adminEventsEnabled", true},
                   {"eventsEnabled", true},
                   {"enabledEventTypes", {"REGISTER", "UPDATE_PROFILE", "UPDATE_EMAIL", "DELETE_ACCOUNT", "LOGIN"}}};
  admin_event("CLIENT", "CREATE", "clients/1");
  user_event("LOGIN", "u-somebody");
  now_ += 600'000;  // beyond what is read twice
}

void ScriptedRealm::admin_event(const std::string& type, const std::string& operation, const std::string& path) {
  now_ += 1000;
  admin_log.push_back(
      {{"id", fmt::format("e{}", now_)}, {"time", now_}, {"resourceType", type}, {"operationType", operation}, {"resourcePath", path}});
}

void ScriptedRealm::user_event(const std::string& type, const std::string& user) {
  now_ += 1000;
  user_log.push_back({{"id", fmt::format("e{}", now_)}, {"time", now_}, {"type", type}, {"userId", user}});
}

int ScriptedRealm::asked(const std::string& path) const {
  const auto found = asked_.find("/admin/realms/acme" + path);
  return found == asked_.end() ? 0 : found->second;
}

HttpSaid ScriptedRealm::first_page(HttpAsked asked) {
  asked.query["first"] = "0";
  return route(asked);
}

Json ScriptedRealm::shown(const User& user) const {
  Json out = {{"id", user.id},
              {"username", user.service_account ? "service-account-" + user.name : user.name},
              {"firstName", "First"},
              {"lastName", "Last"},
              {"email", user.name + "@Acme.example"},
              {"enabled", user.enabled}};
  if (!user.federation.empty()) out["federationLink"] = user.federation;
  return out;
}

std::string ScriptedRealm::path_of(const Group& group) const {
  for (const auto& one : groups)
    if (one.id == group.parent) return path_of(one) + "/" + group.name;
  return "/" + group.name;
}

Json ScriptedRealm::shown(const Group& group) const {
  const auto below = std::count_if(groups.begin(), groups.end(), [&](const Group& one) { return one.parent == group.id; });
  Json out = {{"id", group.id}, {"name", group.name}, {"path", path_of(group)}, {"subGroupCount", below}, {"subGroups", Json::array()}};
  if (!group.parent.empty()) out["parentId"] = group.parent;
  return out;
}

HttpSaid ScriptedRealm::answer(const HttpAsked& asked) {
  const auto nth = ++asked_[asked.path];
  if (before)
    if (auto said = before(asked, nth)) return *said;
  return route(asked);
}

HttpSaid ScriptedRealm::route(const HttpAsked& asked) {
  const std::string root = "/admin/realms/acme";
  if (!asked.path.starts_with(root)) return not_found("Realm");
  const auto path = asked.path.substr(root.size());
  if (forbidden.contains(path.substr(path.rfind('/') + 1))) return json_answer(R"({"error":"HTTP 403 Forbidden"})", 403);
  if (path.empty()) return json_answer(R"({"realm":"acme"})");
  if (path == "/events/config") return json_answer(events_config.dump());
  if (path == "/identity-provider/instances") return json_answer(identity_providers.dump());
  if (path == "/admin-events" || path == "/events") {
    auto log = path == "/events" ? user_log : admin_log;
    std::reverse(log.begin(), log.end());
    if (const auto from = asked.parameter("dateFrom"); !from.empty())
      std::erase_if(log, [&](const Json& event) { return event["time"] < std::stoll(from); });
    return page(log, asked, 100, {});
  }

  auto people = users;
  std::sort(people.begin(), people.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  auto tree = groups;
  std::sort(tree.begin(), tree.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  std::vector<Json> list;
  if (path == "/users" || path == "/users/count") {
    for (const auto& one : people) {
      const auto enabled = asked.parameter("enabled"), name = asked.parameter("username");
      const bool selected = (enabled.empty() || (enabled == "true") == one.enabled) && (name.empty() || name == one.name);
      if (!one.service_account && selected) list.push_back(shown(one));
    }
    if (path == "/users") return page(list, asked, 100, hidden);
    return json_answer(std::to_string(claimed_users.value_or(list.size())));
  }
  if (path.starts_with("/users/")) {
    for (const auto& one : people)
      if (path == "/users/" + one.id) return json_answer(shown(one).dump());
    return not_found("User");
  }
  if (path == "/groups/count") return json_answer(Json{{"count", claimed_groups.value_or(tree.size())}}.dump());
  if (path == "/groups") {
    for (const auto& one : tree)
      if (one.parent.empty()) list.push_back(shown(one));
    return page(list, asked, 100, hidden);
  }
  for (const auto& one : tree) {
    const auto base = "/groups/" + one.id;
    if (path == base || path == "/group-by-path" + path_of(one)) return json_answer(shown(one).dump());
    if (path == base + "/children") {
      for (const auto& child : tree)
        if (child.parent == one.id) list.push_back(shown(child));
      return page(list, asked, 10, hidden);
    }
    if (path == base + "/members") {
      for (const auto& member : people)
        if (std::find(one.members.begin(), one.members.end(), member.id) != one.members.end()) list.push_back(shown(member));
      return page(list, asked, 100, hidden);
    }
  }
  return not_found("Group");
}

}  // namespace rosterd::test
