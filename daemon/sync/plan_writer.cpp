#include "daemon/sync/plan_writer.hpp"

namespace rosterd::sync {

Result<Stage*> PlanWriter::stage() {
  if (!stage_) {
    auto made = coming_.valid() ? coming_.get() : make_stage();
    if (!made) return fail(made.error(), "preparing the plan");
    stage_ = std::move(*made);
  }
  return stage_.get();
}

Result<PrincipalId> PlanWriter::new_id() {
  if (ids_left_ == 0) {
    const auto first = store_.reserve_principal_ids(block_);
    if (!first) return fail(first.error(), "reserving ids");
    next_id_ = *first;
    ids_left_ = block_;
    block_ =
        std::min<std::uint64_t>(block_ * 4, 16'384);  // a small tenant does not burn thousands, a large one does not ask a million times
  }
  --ids_left_;
  return PrincipalId{next_id_++};
}

Result<void> PlanWriter::principal(PrincipalType type, const StagedPrincipal& change, const Hash128& key, std::string_view content,
                                   bool leaves) {
  const bool is_user = type == PrincipalType::User;
  auto to = stage();
  if (!to) return fail(to.error());
  if (auto ok = is_user ? (*to)->user(change) : (*to)->group(change); !ok) return fail(ok.error(), "writing down the plan");
  ++(is_user ? counts.users : counts.groups)[static_cast<std::size_t>(change.kind)];
  if (change.kind == ChangeKind::Skipped) return {};  // a report, not a change: no part of the hash
  if (leaves) ++(is_user ? users_leaving : groups_leaving);
  digests_.push_back(digest_of(is_user ? ObjectType::User : ObjectType::Group, change.kind, key, change.leaving, content));
  ++control_.changes;
  return {};
}

Result<void> PlanWriter::edge(const StagedEdge& change, const Hash128& group_key, Target member, const Hash128& member_key) {
  auto to = stage();
  if (!to) return fail(to.error());
  if (auto ok = (*to)->edge(change); !ok) return fail(ok.error(), "writing down the plan");
  ++(change.kind == ChangeKind::EdgeAdded ? counts.edges_added : counts.edges_removed);
  digests_.push_back(digest_of_edge(change.kind, group_key, member, member_key));
  ++control_.changes;
  return {};
}

Result<void> PlanWriter::binding(const StagedBinding& change, const Hash128& group_key) {
  auto to = stage();
  if (!to) return fail(to.error());
  if (auto ok = (*to)->binding(change); !ok) return fail(ok.error(), "writing down the plan");
  ++(change.kind == ChangeKind::BindingAdded ? counts.bindings_added : counts.bindings_removed);
  digests_.push_back(digest_of_binding(change.kind, group_key, change.role_name, change.ns));
  ++control_.changes;
  return {};
}

}  // namespace rosterd::sync
