#pragma once
// Where things are in one realm, and what the settings select of it.

#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "connectors/oidc/api.hpp"
#include "connectors/oidc/keycloak/records.hpp"
#include "connectors/oidc/keycloak/walk.hpp"
#include "connectors/oidc/settings.hpp"

namespace rosterd::connectors::oidc::keycloak {

/// Parents before their children; every group once, whatever the server says.
struct Tree {
  std::vector<Group> groups;
  std::unordered_set<std::string> ids;

  void add(Group group) {
    if (ids.insert(group.id).second) groups.push_back(std::move(group));
  }
};

class Realm {
 public:
  explicit Realm(const Settings& settings) : settings_(settings) {}

  [[nodiscard]] const std::string& url() const { return settings_.api_url; }
  [[nodiscard]] std::string users() const;       ///< the list, filter included
  [[nodiscard]] std::string user_count() const;  ///< the same people counted
  [[nodiscard]] std::string user(std::string_view id) const;
  [[nodiscard]] std::string groups() const;
  [[nodiscard]] std::string group(std::string_view id) const;
  [[nodiscard]] std::string members(std::string_view group) const;
  [[nodiscard]] std::string children(std::string_view group) const;
  [[nodiscard]] std::uint32_t page_size() const;
  [[nodiscard]] bool with_groups() const { return settings_.groups; }
  [[nodiscard]] bool filters_users() const { return !settings_.user_filter.empty(); }
  [[nodiscard]] bool filters_groups() const { return !settings_.group_filter.empty(); }
  /// groups.filter is a path: that group and everything below it.
  [[nodiscard]] bool selects(const Group& group) const;

  [[nodiscard]] Result<std::uint64_t> count_users(Api& api) const;
  /// How many groups there are, where all are selected and the server says.
  [[nodiscard]] Result<std::optional<std::uint64_t>> count_groups(Api& api) const;
  /// Those selected.
  [[nodiscard]] Result<Tree> tree(Api& api) const;
  /// `top` and everything below it, but for what is there already.
  [[nodiscard]] Result<void> add_below(Api& api, Group top, Tree& into) const;
  /// The group that groups.filter names; NotFound in words.
  [[nodiscard]] Result<Group> filtered_group(Api& api) const;
  /// Whether users.filter selects one who exists. InvalidInput when the filter cannot be used.
  [[nodiscard]] Result<bool> selects_user(Api& api, const nlohmann::json& user) const;

 private:
  Settings settings_;
};

/// users.filter: "q=department:sales&enabled=true". InvalidInput names what may stand in it.
[[nodiscard]] Result<std::vector<std::pair<std::string, std::string>>> parse_user_filter(std::string_view text);

}  // namespace rosterd::connectors::oidc::keycloak
