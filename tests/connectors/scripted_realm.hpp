#pragma once
// A realm of Keycloak's admin REST API in memory, answered over HTTP as Keycloak 26 does it (defaults and orders included), so that a test
// can change it in the middle of a read and make it misbehave.

#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "connectors/connector.hpp"
#include "tests/support/http_fault_server.hpp"

namespace rosterd::test {

class ScriptedRealm {
 public:
  struct User {
    std::string id, name;
    bool enabled = true;
    bool service_account = false;
    std::string federation;
  };
  struct Group {
    std::string id, name, parent;
    std::vector<std::string> members;  ///< ids of users
  };

  ScriptedRealm();

  /// A connector to it with a static token; `more` is put into the settings: R"("users": {"filter": "q=a:b"},)".
  [[nodiscard]] std::unique_ptr<connectors::Connector> connector(const std::string& more = {}) const;
  [[nodiscard]] std::string issuer() const { return server_.url() + "/realms/acme"; }

  void add_users(int count);  ///< "user0000" …, ids "u-user0000"
  User& user(const std::string& name);
  Group& group(const std::string& name);  ///< makes it at the top when it is not there
  Group& group(const std::string& name, const std::string& parent);
  /// Both logs are kept, with one event each.
  void keep_events();
  void admin_event(const std::string& type, const std::string& operation, const std::string& path);
  void user_event(const std::string& type, const std::string& user);

  /// Asked before every answer, with the number of requests to that path so far; what it gives is sent instead.
  std::function<std::optional<HttpSaid>(const HttpAsked& asked, int nth)> before;
  [[nodiscard]] int asked(const std::string& path) const;
  /// What a server says that does not understand `first`.
  [[nodiscard]] HttpSaid first_page(HttpAsked asked);

  std::vector<User> users;
  std::vector<Group> groups;
  std::vector<nlohmann::json> admin_log, user_log;  ///< oldest first
  nlohmann::json events_config = {{"adminEventsEnabled", false}, {"eventsEnabled", false}};
  nlohmann::json identity_providers = nlohmann::json::array();
  std::optional<std::uint64_t> claimed_users, claimed_groups;  ///< counts that lie
  std::set<std::string> hidden;                                ///< ids that lists leave out of their pages, as a user storage does
  std::set<std::string> forbidden;                             ///< last segments of paths: "users", "groups", "members"

 private:
  [[nodiscard]] HttpSaid answer(const HttpAsked& asked);
  [[nodiscard]] HttpSaid route(const HttpAsked& asked);
  [[nodiscard]] nlohmann::json shown(const User& user) const;
  [[nodiscard]] nlohmann::json shown(const Group& group) const;
  [[nodiscard]] std::string path_of(const Group& group) const;

  std::map<std::string, int> asked_;
  std::int64_t now_ = 1'800'000'000'000;
  HttpFaultServer server_;
};

}  // namespace rosterd::test
