#pragma once
// Edges without holding them: for each group an order-independent sum of keyed hashes of its members, once for what is held and once
// for what the feed says. Only groups whose sums differ have their edges fetched and compared one by one.

#include <functional>
#include <span>
#include <unordered_map>
#include <vector>

#include "daemon/sync/held_index.hpp"
#include "schema/core/result.hpp"
#include "schema/store/store.hpp"

namespace rosterd::sync {

/// The 128-bit sum of a set; equal sums are taken for equal sets (the hashes are keyed per run).
struct MemberSum {
  Hash128 sum;
  std::uint64_t count = 0;
  void add(const Hash128& hash) {
    sum.low += hash.low;
    sum.high += hash.high + (sum.low < hash.low ? 1 : 0);
    ++count;
  }
  bool operator==(const MemberSum&) const = default;
};

/// One edge that differs.
struct EdgeStep {
  ChangeKind kind = ChangeKind::EdgeAdded;
  std::uint32_t group = 0;  ///< position in the index' groups
  Target member;
  std::uint64_t held = 0;  ///< members of the group before the run (for the guard), with EdgeRemoved
};

/// Asked about removals from groups that also name somebody unknown: whether the directory, asked now, lists one of those members still.
using StillListed = std::function<Result<bool>(std::span<const EdgeStep> removals)>;

class Membership {
 public:
  explicit Membership(HeldIndex& index) : index_(index) {}

  // what is held; all entries are in the index before the first edge
  void held_edge(PrincipalId group, PrincipalId member);

  // the feed
  void name(std::string_view reference, Target target) { references_.add(references_.hash(reference), target); }
  /// A user says he is a member of whatever has this reference.
  void user_is_member_of(std::uint32_t user, std::string_view reference);
  /// Opens a group; its references are known already.
  void open(std::uint32_t group, std::span<const Reference> references);
  void member(std::string_view reference);
  /// Closes it. Gives the members when the group is new (they are all additions), else nothing: see finish.
  [[nodiscard]] std::span<const Target> close(bool complete);

  /// The feed repeats only what has changed: who is not in it is not absent, and whoever a group that is in it lists no more is no member.
  void feed_is_incremental() { incremental_ = true; }
  /// The feed has ended: resolves members that named groups read later, and compares. Every difference goes to `use`, removals only
  /// when `may_remove`; a removal is left out where the member itself was not delivered (sync-rules S23: edges of the absent stay).
  ///
  /// People are read before groups: whoever is renamed in between is listed under a name that nobody had, and his membership looks
  /// removed. `still_listed` is asked when there are both in one group; when it says yes, nothing is removed at all.
  [[nodiscard]] Result<void> finish(Store& store, const TenantId& tenant, SourceId source, TimePoint purge_before, bool may_remove,
                                    const StillListed& still_listed, const std::function<Result<void>(const EdgeStep&)>& use);

  [[nodiscard]] std::uint64_t dangling() const { return dangling_; }             ///< member values that name nobody who was read
  [[nodiscard]] std::uint64_t incomplete_groups() const { return incomplete_; }  ///< closed with complete = false
  [[nodiscard]] std::uint64_t ambiguous() const { return references_.ambiguous(); }
  [[nodiscard]] bool contradicted() const { return contradicted_; }  ///< `still_listed` said yes: the names of the feed do not fit together
  /// Groups that held members which they list themselves, and how many of them arrived without a single one.
  [[nodiscard]] std::uint64_t groups_that_listed() const { return listing_ + emptied_; }
  [[nodiscard]] std::uint64_t groups_emptied() const { return emptied_; }
  /// Groups that are members of themselves, directly or through others. After finish().
  [[nodiscard]] std::uint64_t groups_in_loops() const;
  [[nodiscard]] std::size_t bytes() const;

 private:
  struct Group {
    MemberSum held;
    bool incomplete = false;
    bool has_absent = false;  ///< holds edges to members that were away before the run
  };
  struct Pending {
    ReferenceHash reference;
    std::uint32_t group;
    auto operator<=>(const Pending&) const = default;
  };
  struct FromUser {
    ReferenceHash reference;
    std::uint32_t user;
    auto operator<=>(const FromUser&) const = default;
  };
  struct AbsentEdge {
    std::uint32_t group;
    Target member;
  };
  struct HeldEdge {
    std::uint32_t group;
    std::uint64_t member;
    auto operator<=>(const HeldEdge&) const = default;
  };
  class Fetch;

  [[nodiscard]] Hash128 hash_of(PrincipalId member) const;
  [[nodiscard]] std::optional<std::uint32_t> group_at(PrincipalId group);
  [[nodiscard]] Group& group(std::uint32_t at);
  [[nodiscard]] std::optional<Target> held_by_id(std::string_view reference) const;
  void prepare_lookups();
  void resolve_pending(std::vector<std::pair<std::uint32_t, Target>>& added_to_new);
  [[nodiscard]] Result<void> compare(std::vector<HeldEdge>& held, bool may_remove, const StillListed& still_listed,
                                     const std::function<Result<void>(const EdgeStep&)>& use);
  [[nodiscard]] Result<std::vector<HeldEdge>> add_missing(std::vector<HeldEdge>& held,
                                                          const std::function<Result<void>(const EdgeStep&)>& use);
  [[nodiscard]] std::vector<EdgeStep> removals(const std::vector<HeldEdge>& unlisted);
  [[nodiscard]] std::vector<EdgeStep> doubtful(const std::vector<EdgeStep>& removals) const;

  HeldIndex& index_;
  KeyedHash hash_;
  ReferenceTable references_;
  std::vector<Group> groups_;
  std::unordered_map<std::uint64_t, std::uint32_t> group_of_row_;
  std::vector<std::pair<std::uint64_t, Target>> away_;  ///< rows of those away before the run, sorted
  bool looked_up_ = false;
  bool incremental_ = false;
  std::vector<AbsentEdge> absent_edges_;
  std::vector<FromUser> from_users_;
  bool from_users_sorted_ = false;
  std::vector<Pending> pending_;
  std::unordered_map<std::uint32_t, std::vector<Target>> fed_;   ///< members of groups that may differ
  std::vector<std::pair<std::uint32_t, std::uint32_t>> nested_;  ///< (group, member group), for finding loops
  std::uint32_t open_ = 0;
  std::size_t open_pending_ = 0;
  std::uint64_t open_listed_ = 0;  ///< member values of the open group
  std::vector<Target> members_;
  std::uint64_t dangling_ = 0;
  std::uint64_t incomplete_ = 0;
  std::uint64_t listing_ = 0, emptied_ = 0;
  std::vector<std::uint32_t> with_strangers_;  ///< held groups that list a name which nobody has; sorted
  bool contradicted_ = false;
};

}  // namespace rosterd::sync
