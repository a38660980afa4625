#pragma once
// The working set of one push: the requests' objects as the database has them go in once, at the start; each request then reads and changes
// them here, and what became of them is written at the end, a statement a table. Whether a request is allowed is scim_push.cpp's business.

#include <map>
#include <set>
#include <span>
#include <unordered_map>

#include "schema/postgres/pool.hpp"
#include "schema/store/scim.hpp"

namespace rosterd::postgres {

extern const std::string_view kPushedColumns;  ///< FROM scim_resource r
[[nodiscard]] Pushed read_pushed(Row& row);
/// The source's own edges of these groups, by group and member.
[[nodiscard]] std::vector<PushedMember> members_of(Tenancy& inside, SourceId source, std::span<const PrincipalId> groups);

class Desk {
 public:
  struct Item {
    Pushed now;
    PushedContent content;  ///< as `now` says; further fields only where is_new or is_dirty
    Leaving leaving = Leaving::None;
    bool deleted = false;
    bool is_new = false, is_dirty = false;
    bool is_touched = false;        ///< only its version moves: its members have changed
    bool was_stored_active = true;  ///< at the start
    std::string group_name;         ///< what the tenant calls the group (R44)
    bool renamed = false;           ///< group_name is to be written
  };
  struct Edge {
    PrincipalType type = PrincipalType::User;
    bool was = false, is = false;
  };

  Desk(Tenancy& inside, SourceId source) : inside_(inside), source_(source) {}
  /// Asks for everything the requests name, at once; it is here with the next collect(). The connection is Keeping.
  void ask_for(std::span<const Push> requests);
  /// What the provider sees: nullptr for what it deleted.
  [[nodiscard]] Item* find(PrincipalType type, PrincipalId id);
  [[nodiscard]] Item* named(PrincipalType type, const std::string& folded);
  /// Deleted ones, too.
  [[nodiscard]] Item* external(PrincipalType type, const std::string& external_id);
  Item& add(PrincipalType type);
  /// A name that nobody else of the tenant's groups has.
  void settle_name(Item& group);
  /// Puts the new content in; keeps the look-ups right.
  void set(Item& item, PushedContent content);
  void remove(Item& item);
  /// Somebody of this source whom it can put into a group.
  [[nodiscard]] bool is_member_like(const Principal& who);
  [[nodiscard]] bool has_edge(PrincipalId group, const Principal& who);
  void set_edge(PrincipalId group, const Principal& who, bool is);
  /// All members now, in order of their ids.
  [[nodiscard]] std::vector<PushedMember> members(PrincipalId group);
  [[nodiscard]] std::uint64_t count_members(PrincipalId group);
  /// The groups of this source that somebody is in.
  [[nodiscard]] std::vector<PrincipalId> groups_with(const Principal& who);
  /// Sends what has become of all; whether it went well is known after the next collect().
  void write(RunId run);
  [[nodiscard]] Tenancy& inside() { return inside_; }
  [[nodiscard]] SourceId source() const { return source_; }

 private:
  using Key = std::pair<PrincipalType, std::string>;
  Item& keep(Item item);
  // These ask, too.
  void load_where(std::string_view keys, std::string_view where, Values values);
  void load_ids(const std::set<Principal>& who);
  void load_names(PrincipalType type, const std::set<std::string>& folded);
  void load_externals(PrincipalType type, const std::set<std::string>& ids);

  Tenancy& inside_;
  SourceId source_;
  std::map<PrincipalId, Item> items_;
  std::map<Key, PrincipalId> names_, externals_;  ///< 0 = known to be nobody's
  std::set<Principal> looked_for_;
  std::map<std::pair<PrincipalId, PrincipalId>, Edge> edges_;
  std::set<PrincipalId> whole_groups_;  ///< whose edges are all here
  std::map<PrincipalId, std::int64_t> member_change_;
  std::map<std::string, PrincipalId> group_names_;  ///< the tenant's, folded, as far as asked for
  std::vector<std::uint64_t> fresh_ids_;
};

}  // namespace rosterd::postgres
