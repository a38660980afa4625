#pragma once
// Where planned changes go: to the store's stage at once, and into counts and digests. Steps come in from the feed (plan) or from a
// stored plan (approval); out go the stage to apply or keep, the plan's hash and the numbers for the guard.

#include <future>
#include <memory>
#include <unordered_map>

#include "daemon/sync/diff.hpp"
#include "daemon/sync/guard.hpp"
#include "daemon/sync/run_control.hpp"
#include "schema/store/store.hpp"

namespace rosterd::sync {

class PlanWriter {
 public:
  PlanWriter(Store& store, const Lease& lease, RunControl& control, bool eager)
      : store_(store), lease_(lease), control_(control), eager_(eager) {
    // A first load is going to need it, and making it takes as long as reading a few thousand people: meanwhile the directory is connected
    // to.
    if (eager_) coming_ = std::async(std::launch::async, [this] { return make_stage(); });
  }

  /// `content` is the canonical text of the new content, empty where nothing was delivered. `leaves`: was active, will not be.
  [[nodiscard]] Result<void> principal(PrincipalType type, const StagedPrincipal& change, const Hash128& key, std::string_view content,
                                       bool leaves);
  [[nodiscard]] Result<void> edge(const StagedEdge& change, const Hash128& group_key, Target member, const Hash128& member_key);
  [[nodiscard]] Result<void> binding(const StagedBinding& change, const Hash128& group_key);

  /// A row number for somebody new.
  [[nodiscard]] Result<PrincipalId> new_id();
  /// The stage; made when first needed, so that a run without changes holds no connection while it reads. Of an eager one it is made at
  /// once.
  [[nodiscard]] Result<Stage*> stage();

  ChangeCounts counts;
  std::uint64_t users_leaving = 0, groups_leaving = 0;
  /// Call once, when all changes are in.
  [[nodiscard]] PlanInfo info() { return {.hash = plan_hash(digests_), .counts = counts}; }
  [[nodiscard]] bool eager() const { return eager_; }
  [[nodiscard]] std::size_t bytes() const { return digests_.bytes(); }

 private:
  [[nodiscard]] Result<std::unique_ptr<Stage>> make_stage() const { return store_.begin_stage(lease_, {.eager = eager_}); }

  Store& store_;
  const Lease& lease_;
  RunControl& control_;
  bool eager_;
  std::future<Result<std::unique_ptr<Stage>>> coming_;
  std::unique_ptr<Stage> stage_;
  Chunked<Hash128> digests_;
  std::uint64_t next_id_ = 0, ids_left_ = 0, block_ = 64;
};

}  // namespace rosterd::sync
