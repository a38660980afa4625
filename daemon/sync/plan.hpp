#pragma once
// One run's plan while its feed is read: records come in and are compared on arrival, equal ones are dropped, changes go to the stage.
// After the feed, close() decides what absence means and adds what leaves. The guard and applying live in engine.cpp.

#include <map>
#include <set>
#include <stop_token>

#include "connectors/connector.hpp"
#include "daemon/sync/mapping.hpp"
#include "daemon/sync/membership.hpp"
#include "daemon/sync/plan_writer.hpp"

namespace rosterd::sync {

struct PlanInputs {
  Store& store;
  const Work& work;
  const Mappings& mappings;
  const std::vector<Role>& roles;
  TimePoint purge_before{};
  std::uint32_t sample = 256;         ///< how many missing objects are verified when the guard trips anyway (S13)
  RecentLeaving recent;               ///< S16
  const std::set<Hash128>& repeated;  ///< stable ids that an earlier walk of this run delivered with different contents (S8)
  RunControl& control;
};

/// What close() found out.
struct Closed {
  bool complete = false;                ///< the read was proved complete and verifying did not contradict
  std::string incomplete;               ///< why not, in words
  std::optional<std::string> vanished;  ///< a container that cannot be read any more, with everything below it missing (S4)
  GuardInput guard;
  std::vector<Notice> notices;
};

class Plan final : public connectors::FeedSink {
 public:
  explicit Plan(const PlanInputs& inputs);

  /// Reads what the source holds. First of all.
  [[nodiscard]] Result<void> load();

  [[nodiscard]] bool user(const UserRecord& record) override;
  [[nodiscard]] bool group(const GroupRecord& record) override;
  [[nodiscard]] bool members(std::span<const Reference> members) override;
  [[nodiscard]] bool end_group(bool complete) override;
  [[nodiscard]] bool skipped(const SkippedRecord& record) override;
  void phase(std::string_view text) override { inputs_.control.phase(text); }

  /// Why a callback said false.
  [[nodiscard]] const std::optional<Error>& error() const { return error_; }
  /// Stable ids delivered twice with different contents: the walk is to be repeated with them (S8).
  [[nodiscard]] const std::set<Hash128>& conflicting() const { return conflicting_; }

  /// The feed has ended.
  [[nodiscard]] Result<Closed> close(const connectors::FeedEnd& end, connectors::Connector& directory, std::stop_token stop);

  [[nodiscard]] PlanWriter& writer() { return *writer_; }
  [[nodiscard]] std::uint64_t records() const { return writer_->counts.users_read + writer_->counts.groups_read; }
  [[nodiscard]] std::size_t bytes() const { return index_.users.bytes() + index_.groups.bytes() + members_.bytes() + writer_->bytes(); }

 private:
  class Loader;
  struct MappedBinding {
    BindingId id;
    RoleId role;
    std::optional<std::string> ns;
  };
  struct BindingRemoval {
    MappedBinding binding;
    std::uint32_t group;
    std::string group_text;  ///< its stable id
  };

  [[nodiscard]] Result<void> take(const UserRecord& record, const Hash128& key);
  [[nodiscard]] Result<void> take_repeated();
  [[nodiscard]] Result<void> take(const GroupRecord& record, const Hash128& key);
  [[nodiscard]] Result<void> map_roles(std::uint32_t group, const GroupRecord& record);
  [[nodiscard]] Result<void> stage_edge(ChangeKind kind, std::uint32_t group, Target member);
  [[nodiscard]] Result<void> flush_edges();
  [[nodiscard]] Result<void> stage_removed_bindings(GuardInput& guard);
  [[nodiscard]] Result<bool> still_listed(std::span<const EdgeStep> removals, connectors::Connector& directory,
                                          const std::stop_token& stop);
  [[nodiscard]] Result<std::unordered_map<std::uint64_t, std::string>> texts_of(std::span<const Target> targets) const;
  void mark_dropped(const std::vector<ExternalId>& ids);
  void add_notices(std::vector<Notice>& notices) const;
  /// Text of an id that is new in this run; empty for held ones, whose row says it, and in a first load, which keeps no texts.
  [[nodiscard]] std::string_view new_text(Target target) const;
  [[nodiscard]] bool done(const Result<void>& result);

  PlanInputs inputs_;
  HeldIndex index_;
  Membership members_;
  std::unique_ptr<PlanWriter> writer_;
  std::uint32_t held_users_ = 0, held_groups_ = 0;
  std::vector<std::string> new_users_, new_groups_;  ///< texts of new ids, by position behind the held ones; not kept in a first load
  std::unordered_map<std::uint64_t, std::vector<MappedBinding>> bindings_;
  std::uint64_t bindings_held_ = 0;
  std::vector<BindingRemoval> removed_bindings_;
  struct WaitingEdge {
    ChangeKind kind;
    std::uint32_t group;
    Target member;
  };
  std::vector<WaitingEdge> edges_;                       ///< until there are enough to ask the store for the stable ids of those it holds
  std::map<std::string, RoleId, std::less<>> role_ids_;  ///< by folded name
  std::set<RoleId> admin_roles_;
  std::map<std::string, std::uint64_t> unresolved_roles_;
  std::uint64_t invalid_namespaces_ = 0, undecided_mappings_ = 0;
  std::string invalid_namespace_;
  std::set<Hash128> conflicting_;
  std::map<Hash128, UserRecord> repeated_users_;
  std::uint64_t repeated_ = 0;
  std::string not_fitting_;            ///< in words: the memberships that were read contradict the directory as it is now
  std::optional<std::uint32_t> open_;  ///< the group being read; none while one is passed over
  std::string content_;
  std::optional<Error> error_;
};

}  // namespace rosterd::sync
