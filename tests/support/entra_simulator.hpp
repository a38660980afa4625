#pragma once
// Microsoft Entra ID as its documentation describes it, as far as rosterd asks: OpenID discovery, the token endpoint, and of Microsoft
// Graph v1.0 users and groups: delta queries, lists by id, objects, members. No byte of it comes from Microsoft; where the documentation
// leaves something open, a switch decides. What it holds can be changed between two requests.
//
// Delta queries: an answer is computed when a walk begins, and cut into pages; the deltaLink stands for the log of changes at that moment.
// Groups with many members come in several pieces, spread over the pages.

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "tests/support/http_fault_server.hpp"

namespace rosterd::test {

struct EntraUser {
  std::string upn = {};
  std::optional<std::string> mail = {}, given = {}, surname = {};
  std::string display = {};
  bool enabled = true;
};
struct EntraGroup {
  std::string name = {};
  std::optional<std::string> description = {};
  std::string visibility = "Private";
  std::map<std::string, std::string> members = {};  ///< id -> "user", "group", "device", "servicePrincipal"
};

struct EntraSwitches {
  std::size_t page = 3;                ///< objects of a page, whatever is asked for
  std::size_t members_piece = 2;       ///< members that one piece of a group holds
  bool shuffled = false;               ///< objects of a walk in any order
  bool replays = false;                ///< a delta also brings the last changes that were brought before
  bool repeats = false;                ///< the last object of a page comes again on the next one
  bool minimal = false;                ///< delta entries hold only what has changed
  bool empty_pages = false;            ///< an empty page, with a nextLink, before each page
  bool forgotten = false;              ///< delta tokens are not known any more …
  int forgotten_status = 410;          ///< … and this says so, with syncStateNotFound
  bool omits_delta_link = false;       ///< a walk ends without one
  bool stale_objects = false;          ///< objects by id are those of before the last change of each
  bool no_in_filter = false;           ///< lists refuse "id in (…)"
  std::optional<std::string> next_to;  ///< nextLinks lead to this origin
  std::string certificate;             ///< PEM, uploaded for the application: an assertion is wanted instead of the secret
  std::string throttle_share;          ///< x-ms-throttle-limit-percentage
  std::set<std::string> permissions = {"User.Read.All", "Group.Read.All", "Member.Read.Hidden"};
};

class EntraSimulator {
 public:
  static constexpr const char* kTenant = "72f988bf-0000-4000-8000-2d7cd011db47";
  static constexpr const char* kClient = "11111111-2222-4333-8444-555555555555";
  static constexpr const char* kSecret = "s3cret~value";

  EntraSimulator();

  [[nodiscard]] std::string url() const { return server_.url(); }
  [[nodiscard]] std::string issuer() const { return url() + "/" + kTenant + "/v2.0"; }
  /// Settings of a source that reads it: {"issuer": …, "dialect": "entra", …}.
  [[nodiscard]] nlohmann::json settings() const;
  /// A GUID made of a short name; the same for the same name.
  [[nodiscard]] static std::string id(const std::string& name);

  void put_user(const std::string& name, EntraUser user);
  void user(const std::string& name);  ///< a person with everything
  void change_user(const std::string& name, const std::function<void(EntraUser&)>& change);
  void remove_user(const std::string& name, const std::string& reason = "changed");  ///< out of every group, too
  void put_group(const std::string& name, EntraGroup group = {});
  void change_group(const std::string& name, const std::function<void(EntraGroup&)>& change);
  void remove_group(const std::string& name, const std::string& reason = "deleted");
  void add_member(const std::string& group, const std::string& member, const std::string& kind = "user");
  void remove_member(const std::string& group, const std::string& member);

  /// Changes the switches; never in the middle of an answer.
  void with(const std::function<void(EntraSwitches&)>& change);
  /// Called first for each request of the API (discovery and token included); an answer takes the place of the simulator's.
  void intercept(std::function<std::optional<HttpSaid>(const HttpAsked&)> first);
  void revoke_tokens();                                  ///< every token given so far is refused from now on
  [[nodiscard]] std::vector<std::string> asked() const;  ///< path and query of each request since the last forget()
  void forget();
  [[nodiscard]] std::size_t tokens_given() const;

 private:
  enum class Kind { User, Group };
  struct Change {
    Kind kind;
    std::string id;
    std::string removed = {};  ///< the reason; empty = changed
    std::string member = {}, member_kind = {};
    bool member_removed = false;
    std::vector<std::string> properties = {};  ///< that changed; empty = all
  };
  struct Walk {
    std::vector<nlohmann::json> objects;
    std::string select, delta_token;
    Kind kind = Kind::User;
  };

  HttpSaid answer(const HttpAsked& asked);
  HttpSaid token(const HttpAsked& asked);
  HttpSaid graph(const HttpAsked& asked, const std::string& path);
  HttpSaid delta(const HttpAsked& asked, Kind kind);
  HttpSaid delta_page(const HttpAsked& asked, const std::string& walk, std::size_t at);
  HttpSaid list(const HttpAsked& asked, Kind kind);
  HttpSaid object(const HttpAsked& asked, Kind kind, const std::string& id);
  HttpSaid members(const HttpAsked& asked, const std::string& group);
  HttpSaid page_of(const HttpAsked& asked, const std::vector<nlohmann::json>& all);
  [[nodiscard]] std::vector<nlohmann::json> everything(Kind kind, const std::string& select) const;
  [[nodiscard]] std::vector<nlohmann::json> since(Kind kind, std::size_t from, const std::string& select) const;
  [[nodiscard]] std::optional<nlohmann::json> shown(Kind kind, const std::string& id, const std::string& select, bool omit_null) const;
  void add_pieces(std::vector<nlohmann::json>& to, const nlohmann::json& head, const std::vector<nlohmann::json>& members) const;
  void log_change(Change change);
  [[nodiscard]] bool may(const std::string& permission) const { return switches_.permissions.contains(permission); }

  mutable std::mutex mutex_;
  EntraSwitches switches_;
  std::map<std::string, EntraUser> users_, users_before_;
  std::map<std::string, EntraGroup> groups_;
  std::vector<Change> log_;
  std::map<std::string, Walk> walks_;
  std::map<std::string, std::vector<nlohmann::json>> lists_;
  std::set<std::string> tokens_;
  std::size_t given_ = 0;
  std::vector<std::string> asked_;
  std::function<std::optional<HttpSaid>(const HttpAsked&)> first_;
  mutable std::mt19937 random_{7};
  HttpFaultServer server_;  // last: its threads end before the rest goes
};

}  // namespace rosterd::test
