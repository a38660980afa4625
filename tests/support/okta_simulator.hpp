#pragma once
// Okta as its documentation describes it, as far as rosterd asks: discovery and token endpoint of the organisation's authorization server
// (private_key_jwt only), and of the API users, groups and members of groups: Link headers, filters, statuses, rate limits. No byte of it
// comes from Okta; where the documentation leaves something open, a switch decides. What it holds can be changed between two requests.

#include <chrono>
#include <functional>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tests/support/http_fault_server.hpp"

namespace rosterd::test {

struct OktaUser {
  std::string login = {};
  std::string first = "Ada", last = "Byron";
  std::optional<std::string> email = {};
  std::string status = "ACTIVE";
  std::int64_t updated = 0;  ///< seconds of the epoch; set by the simulator
};
struct OktaGroup {
  std::string name = {};
  std::string description = {};
  std::string type = "OKTA_GROUP";
  std::set<std::string> members = {};
  std::int64_t updated = 0, members_updated = 0;
};

struct OktaSwitches {
  std::size_t page = 3;                  ///< objects of a page, whatever is asked for
  bool repeats = false;                  ///< the last object of a page comes again on the next one
  bool time_omits_deprovisioned = true;  ///< a filter by time leaves deactivated people out, as the plain list does
  bool self_first = true;                ///< Link: rel="self" comes before rel="next"
  bool one_header = false;               ///< both links in one Link header
  std::optional<std::string> next_to;    ///< next links lead to this origin
  std::optional<int> remaining;          ///< requests left; every answer takes one; at 0: 429 until the reset
  int reset_in = 1;                      ///< seconds from the answer that takes the last one to the reset
  int concurrency_429 = 0;               ///< so many answers from now on are 429 for too many at once
  std::set<std::string> scopes = {"okta.users.read", "okta.groups.read"};
};

class OktaSimulator {
 public:
  static constexpr const char* kClient = "0oa1client";
  static constexpr const char* kStatic = "00static-token";

  OktaSimulator();

  [[nodiscard]] std::string url() const { return server_.url(); }
  /// Settings of a source with a static token: {"issuer": …, "dialect": "okta", …}.
  [[nodiscard]] nlohmann::json settings() const;
  [[nodiscard]] static std::string id(const std::string& name) { return "00u" + name; }

  void user(const std::string& name, const std::string& status = "ACTIVE");
  void change_user(const std::string& name, const std::function<void(OktaUser&)>& change);
  void delete_user(const std::string& name);  ///< for good, as the second DELETE does; out of every group
  void group(const std::string& name, const std::set<std::string>& members = {});
  void change_group(const std::string& name, const std::function<void(OktaGroup&)>& change);
  void delete_group(const std::string& name);
  void add_member(const std::string& group, const std::string& member);
  void remove_member(const std::string& group, const std::string& member);
  /// The simulator's clock goes on; Date headers and stamps follow it.
  void advance(std::chrono::seconds by);

  void with(const std::function<void(OktaSwitches&)>& change);
  /// Called first for each request; an answer takes the place of the simulator's.
  void intercept(std::function<std::optional<HttpSaid>(const HttpAsked&)> first);
  void revoke_tokens();
  [[nodiscard]] std::vector<std::string> asked() const;  ///< path and query of each request since the last forget()
  void forget();
  [[nodiscard]] std::vector<nlohmann::json> assertions() const;  ///< claims of every client assertion that came

 private:
  HttpSaid answer(const HttpAsked& asked);
  HttpSaid token(const HttpAsked& asked);
  HttpSaid api(const HttpAsked& asked, const std::string& path);
  HttpSaid page_of(const HttpAsked& asked, const std::vector<nlohmann::json>& all) const;
  [[nodiscard]] static nlohmann::json shown(const std::string& id, const OktaUser& user);
  [[nodiscard]] static nlohmann::json shown(const std::string& id, const OktaGroup& group);
  [[nodiscard]] std::int64_t now() const;

  mutable std::mutex mutex_;
  OktaSwitches switches_;
  std::map<std::string, OktaUser> users_;
  std::map<std::string, OktaGroup> groups_;
  std::set<std::string> tokens_;
  std::size_t given_ = 0;
  std::int64_t ahead_ = 0, reset_at_ = 0;
  std::vector<std::string> asked_;
  std::vector<nlohmann::json> assertions_;
  std::function<std::optional<HttpSaid>(const HttpAsked&)> first_;
  HttpFaultServer server_;  // last: its threads end before the rest goes
};

}  // namespace rosterd::test
