#include "daemon/sync/plan.hpp"

#include "daemon/sync/absence.hpp"
#include "schema/core/text.hpp"

namespace rosterd::sync {

// A directory that says one stable id of thousands of entries has the wrong attribute configured as id; keeping them all would cost memory.
constexpr std::size_t kMostConflicts = 10'000;
constexpr std::size_t kEdgeBatch = 1'000;
constexpr std::size_t kAskedAtOnce = 4'096;  // memberships in one question to the directory

Plan::Plan(const PlanInputs& inputs) : inputs_(inputs), members_(index_) {
  for (const auto& role : inputs.roles) {
    role_ids_.emplace(fold(role.name), role.id);
    if (role.admin) admin_roles_.insert(role.id);
  }
}

class Plan::Loader final : public HeldSink {
 public:
  explicit Loader(Plan& plan) : plan_(plan) {}
  void user(PrincipalId id, std::string_view external_id, std::uint64_t content_hash, Leaving suspended, bool purge_due) override {
    plan_.index_.users.add(Entry(key_of(external_id), id, content_hash, suspended, true, purge_due));
    ++plan_.inputs_.control.held;
  }
  void group(PrincipalId id, std::string_view external_id, std::uint64_t content_hash, Leaving suspended, bool purge_due,
             std::string_view) override {
    plan_.index_.groups.add(Entry(key_of(external_id), id, content_hash, suspended, true, purge_due));
    ++plan_.inputs_.control.held;
  }
  void edge(PrincipalId group, PrincipalId member) override { plan_.members_.held_edge(group, member); }
  void binding(const Binding& binding) override {
    plan_.bindings_[binding.principal.id.value].push_back({.id = binding.id, .role = binding.role, .ns = binding.ns});
    ++plan_.bindings_held_;
  }

 private:
  Plan& plan_;
};

Result<void> Plan::load() {
  inputs_.control.phase("loading what is known");
  Loader loader(*this);
  if (auto ok = inputs_.store.load_held(inputs_.work.lease.tenant, inputs_.work.source.id, inputs_.purge_before, loader); !ok)
    return fail(ok.error(), "loading what {} holds", inputs_.work.source.name);
  held_users_ = index_.users.size();
  held_groups_ = index_.groups.size();
  // Nothing held: nothing can leave, so the guard cannot stop it and rows may go in behind the read.
  const bool first_load = held_users_ == 0 && held_groups_ == 0 && !inputs_.work.run.dry_run;
  writer_ = std::make_unique<PlanWriter>(inputs_.store, inputs_.work.lease, inputs_.control, first_load);
  return {};
}

bool Plan::done(const Result<void>& result) {
  if (!result && !error_) error_ = result.error();
  return !error_;
}

std::string_view Plan::new_text(Target target) const {
  const bool is_user = target.type() == PrincipalType::User;
  const auto held = is_user ? held_users_ : held_groups_;
  const auto& texts = is_user ? new_users_ : new_groups_;
  return target.at() >= held && target.at() - held < texts.size() ? std::string_view(texts[target.at() - held]) : std::string_view();
}

bool Plan::user(const UserRecord& record) {
  if (error_) return false;
  const auto key = key_of(record.id.value);
  if (inputs_.repeated.contains(key)) {  // the last one counts (S8): kept until the users are through
    repeated_users_[key] = record;
    return true;
  }
  return done(take(record, key));
}

Result<void> Plan::take(const UserRecord& record, const Hash128& key) {
  encode(record, content_);
  const auto hash = content_hash(content_);
  auto at = index_.users.find(key);
  if (at && index_.users[*at].read()) {
    if (index_.users[*at].content != hash) conflicting_.insert(key);
    if (conflicting_.size() > kMostConflicts)
      return fail(Errc::InvalidInput,
                  "more than {} stable ids name different entries (\"{}\" does): is the right attribute configured as id?", kMostConflicts,
                  record.id.value);
    return {};
  }
  std::optional<Held> held;
  if (at) {
    held = Held{.content_hash = index_.users[*at].content, .leaving = index_.users[*at].leaving()};
  } else {
    const auto id = writer_->new_id();
    if (!id) return fail(id.error());
    at = index_.users.add(Entry(key, *id, hash, Leaving::None, false, false));
    if (!writer_->eager()) new_users_.push_back(record.id.value);
  }
  ++writer_->counts.users_read;
  ++inputs_.control.users;
  auto& entry = index_.users[*at];
  entry.mark_read();
  entry.content = hash;
  for (const auto& reference : record.references) members_.name(reference, Target(PrincipalType::User, *at));
  for (const auto& reference : record.member_of) members_.user_is_member_of(*at, reference);
  const auto step = diff(held, record, hash);
  if (!step) return {};
  const StagedPrincipal change{.kind = step->kind,
                               .id = entry.id(),
                               .external_id = record.id.value,
                               .content_hash = hash,
                               .before_hash = held ? held->content_hash : 0,
                               .leaving = step->leaving,
                               .reason = step->reason,
                               .user = &record,
                               .group = nullptr};
  return writer_->principal(PrincipalType::User, change, key, content_, entry.active() && step->leaving != Leaving::None);
}

Result<void> Plan::take_repeated() {
  for (auto& [key, record] : std::exchange(repeated_users_, {})) {
    ++repeated_;
    if (auto ok = take(record, key); !ok) return ok;
  }
  return {};
}

bool Plan::group(const GroupRecord& record) {
  open_.reset();
  if (error_ || !done(take_repeated())) return false;
  return done(take(record, key_of(record.id.value)));
}

Result<void> Plan::take(const GroupRecord& record, const Hash128& key) {
  encode(record, content_);
  const auto hash = content_hash(content_);
  auto at = index_.groups.find(key);
  if (at && index_.groups[*at].read()) {
    // One entry delivered twice, perhaps renamed meanwhile. The first is taken whole, since its members have been compared; the next
    // read finds the later name.
    if (index_.groups[*at].content != hash) ++repeated_;
    return {};
  }
  std::optional<Held> held;
  if (at) {
    held = Held{.content_hash = index_.groups[*at].content, .leaving = index_.groups[*at].leaving()};
  } else {
    const auto id = writer_->new_id();
    if (!id) return fail(id.error());
    at = index_.groups.add(Entry(key, *id, hash, Leaving::None, false, false));
    if (!writer_->eager()) new_groups_.push_back(record.id.value);
  }
  ++writer_->counts.groups_read;
  ++inputs_.control.groups;
  auto& entry = index_.groups[*at];
  entry.mark_read();
  entry.content = hash;
  for (const auto& reference : record.references) members_.name(reference, Target(PrincipalType::Group, *at));
  if (const auto step = diff(held, record, hash)) {
    const StagedPrincipal change{.kind = step->kind,
                                 .id = entry.id(),
                                 .external_id = record.id.value,
                                 .content_hash = hash,
                                 .before_hash = held ? held->content_hash : 0,
                                 .leaving = step->leaving,
                                 .reason = step->reason,
                                 .user = nullptr,
                                 .group = &record};
    if (auto ok = writer_->principal(PrincipalType::Group, change, key, content_, false); !ok) return ok;
  }
  members_.open(*at, record.references);
  open_ = *at;
  return map_roles(*at, record);
}

bool Plan::members(std::span<const Reference> members) {
  if (error_) return false;
  if (!open_) return true;
  for (const auto& member : members) members_.member(member);
  return true;
}

bool Plan::end_group(bool complete) {
  if (error_) return false;
  if (!open_) return true;
  const auto group = *open_;
  open_.reset();
  for (const auto member : members_.close(complete))
    if (!done(stage_edge(ChangeKind::EdgeAdded, group, member))) return false;
  return true;
}

bool Plan::skipped(const SkippedRecord& record) {
  if (error_) return false;
  const bool is_user = record.type == PrincipalType::User;
  ++(is_user ? writer_->counts.users_read : writer_->counts.groups_read);
  auto& table = index_.of(record.type);
  const auto key = key_of(record.id.value);
  const auto at = table.find(key);
  if (at && table[*at].read()) return true;
  if (at) table[*at].mark_seen();
  const auto reason = record.entry.empty() ? record.reason : fmt::format("{}: {}", record.entry, record.reason);
  const auto hash = at ? table[*at].content : 0;
  return done(writer_->principal(record.type,
                                 {.kind = ChangeKind::Skipped,
                                  .id = at ? table[*at].id() : PrincipalId{},
                                  .external_id = record.id.value,
                                  .content_hash = hash,
                                  .before_hash = hash,
                                  .leaving = at ? table[*at].leaving() : Leaving::None,
                                  .reason = reason,
                                  .user = nullptr,
                                  .group = nullptr},
                                 key, {}, false));
}

Result<void> Plan::map_roles(std::uint32_t group, const GroupRecord& record) {
  const auto row = index_.groups[group].id();
  const auto known = bindings_.find(row.value);
  std::vector<MappedBinding> held;
  if (known != bindings_.end()) held = std::move(known->second), bindings_.erase(known);
  if (inputs_.mappings.empty() && held.empty()) return {};
  const auto answer = inputs_.mappings.match(record.name);
  invalid_namespaces_ += answer.invalid_namespaces.size();
  if (!answer.invalid_namespaces.empty() && invalid_namespace_.empty())
    invalid_namespace_ = fmt::format("\"{}\" (group {})", answer.invalid_namespaces.front(), record.name);
  undecided_mappings_ += answer.undecided ? 1 : 0;
  std::set<std::pair<RoleId, std::optional<std::string>>> wanted;
  for (const auto& mapped : answer.roles) {
    const auto& name = inputs_.mappings.rules()[mapped.mapping].role;
    const auto role = role_ids_.find(fold(name));
    if (role == role_ids_.end()) {
      ++unresolved_roles_[name];
    } else {
      wanted.emplace(role->second, mapped.ns);
    }
  }
  for (auto& binding : held) {
    if (wanted.erase({binding.role, binding.ns}) == 0 && !answer.undecided)
      removed_bindings_.push_back({.binding = std::move(binding), .group = group, .group_text = record.id.value});
  }
  for (const auto& [role, ns] : wanted) {
    const auto name = std::find_if(inputs_.roles.begin(), inputs_.roles.end(), [&](const Role& one) { return one.id == role; });
    const StagedBinding change{.kind = ChangeKind::BindingAdded,
                               .id = {},
                               .role = role,
                               .role_name = name->name,
                               .group = row,
                               .group_external_id = record.id.value,
                               .ns = ns,
                               .reason = "role mapping of the source"};
    if (auto ok = writer_->binding(change, index_.groups[group].key); !ok) return ok;
  }
  return {};
}

Result<void> Plan::stage_edge(ChangeKind kind, std::uint32_t group, Target member) {
  edges_.push_back({.kind = kind, .group = group, .member = member});
  return edges_.size() < kEdgeBatch ? Result<void>() : flush_edges();
}

/// Stable ids of those that are held, by row.
Result<std::unordered_map<std::uint64_t, std::string>> Plan::texts_of(std::span<const Target> targets) const {
  std::unordered_map<std::uint64_t, std::string> out;
  for (const auto type : {PrincipalType::User, PrincipalType::Group}) {
    std::set<PrincipalId> rows;
    for (const auto target : targets)
      if (target.type() == type && index_[target].held()) rows.insert(index_[target].id());
    if (rows.empty()) continue;
    const std::vector<PrincipalId> asked(rows.begin(), rows.end());
    auto entries = inputs_.store.held_entries(inputs_.work.lease.tenant, inputs_.work.source.id, type, asked);
    if (!entries) return fail(entries.error(), "looking up members");
    for (auto& entry : *entries) out.emplace(entry.id.value, std::move(entry.external_id));
  }
  return out;
}

Result<void> Plan::flush_edges() {
  // Whoever reads the plan wants to know who is meant: the index holds no texts, so those of held objects are looked up by the batch.
  std::unordered_map<std::uint64_t, std::string> held;
  if (!writer_->eager()) {
    std::vector<Target> ends;
    for (const auto& edge : edges_) {
      ends.emplace_back(PrincipalType::Group, edge.group);
      ends.push_back(edge.member);
    }
    auto texts = texts_of(ends);
    if (!texts) return fail(texts.error());
    held = std::move(*texts);
  }
  const auto text_of = [&](Target target) {
    const auto found = held.find(index_[target].id().value);
    return found == held.end() ? new_text(target) : std::string_view(found->second);
  };
  for (const auto& [kind, group, member] : edges_) {
    const Target owner(PrincipalType::Group, group);
    const StagedEdge change{
        .kind = kind,
        .group = index_[owner].id(),
        .member = {.type = member.type(), .id = index_[member].id()},
        .group_external_id = text_of(owner),
        .member_external_id = text_of(member),
        .reason = kind == ChangeKind::EdgeAdded ? "listed as a member in the directory" : "no longer listed as a member"};
    if (auto ok = writer_->edge(change, index_[owner].key, member, index_[member].key); !ok) return ok;
  }
  edges_.clear();
  return {};
}

Result<void> Plan::stage_removed_bindings(GuardInput& guard) {
  for (const auto& [binding, group, group_text] : removed_bindings_) {
    const auto role = std::find_if(inputs_.roles.begin(), inputs_.roles.end(), [&](const Role& one) { return one.id == binding.role; });
    ++guard.bindings_removed;
    guard.admin_bindings_removed += admin_roles_.contains(binding.role) ? 1 : 0;
    const StagedBinding change{.kind = ChangeKind::BindingRemoved,
                               .id = binding.id,
                               .role = binding.role,
                               .role_name = role == inputs_.roles.end() ? std::string_view() : std::string_view(role->name),
                               .group = index_.groups[group].id(),
                               .group_external_id = group_text,
                               .ns = binding.ns,
                               .reason = "no role mapping of the source gives it any more"};
    if (auto ok = writer_->binding(change, index_.groups[group].key); !ok) return ok;
  }
  return {};
}

/// S13 for memberships. True as soon as one of them is there after all, or nobody can tell.
Result<bool> Plan::still_listed(std::span<const EdgeStep> removals, connectors::Connector& directory, const std::stop_token& stop) {
  inputs_.control.phase("verifying members");
  for (std::size_t begin = 0; begin < removals.size(); begin += kAskedAtOnce) {
    const auto batch = removals.subspan(begin, std::min(kAskedAtOnce, removals.size() - begin));
    std::vector<Target> ends;
    for (const auto& step : batch) {
      ends.emplace_back(PrincipalType::Group, step.group);
      ends.push_back(step.member);
    }
    const auto texts = texts_of(ends);
    if (!texts) return fail(texts.error());
    const auto text_of = [&](Target target) {
      const auto found = texts->find(index_[target].id().value);
      return ExternalId{found == texts->end() ? std::string() : found->second};
    };
    std::vector<connectors::Unlisted> asked;  // the steps come group by group
    std::optional<std::uint32_t> last;
    for (const auto& step : batch) {
      if (last != step.group) asked.push_back({.group = text_of(Target(PrincipalType::Group, step.group)), .members = {}});
      last = step.group;
      asked.back().members.push_back(text_of(step.member));
    }
    const auto listed = directory.still_listed(asked, stop);
    if (!listed && listed.error().code == Errc::Stopped) return fail(listed.error(), "verifying members");
    if (!listed)
      not_fitting_ = fmt::format("whether members that are listed no more were only renamed could not be told: {}", listed.error().what);
    else if (const auto& first = *listed; first && *first < asked.size())
      not_fitting_ = fmt::format(
          "members of {} are still listed, under names that nobody had when people were read: the directory has changed "
          "meanwhile",
          asked[*first].group.value);
    if (!not_fitting_.empty()) return true;
  }
  return false;
}

void Plan::mark_dropped(const std::vector<ExternalId>& ids) {
  for (const auto& id : ids)
    for (const auto type : {PrincipalType::User, PrincipalType::Group})
      if (const auto at = index_.of(type).find(key_of(id.value))) index_.of(type)[*at].mark_dropped();
}

Result<Closed> Plan::close(const connectors::FeedEnd& end, connectors::Connector& directory, std::stop_token stop) {
  if (auto ok = take_repeated(); !ok) return fail(ok.error());
  Closed out;
  out.complete = end.proof.complete();
  for (const auto& item : end.proof.evidence)
    if (!item.good) out.incomplete += fmt::format("{}{}: {}", out.incomplete.empty() ? "" : "; ", item.what, item.detail);
  if (end.proof.evidence.empty()) out.incomplete = "the read did not prove that it was complete";
  if (members_.incomplete_groups() > 0) {
    out.complete = false;
    out.incomplete +=
        fmt::format("{}the members of {} groups could not all be read", out.incomplete.empty() ? "" : "; ", members_.incomplete_groups());
  }
  const bool complete_feed = std::holds_alternative<connectors::KeepOnly>(end.absence);
  if (const auto* listed = std::get_if<connectors::DropListed>(&end.absence)) mark_dropped(listed->ids);
  Absence absence;
  if (out.complete && !std::holds_alternative<connectors::KeepAbsent>(end.absence)) {
    auto examined = examine(inputs_, index_, directory, complete_feed, stop);
    if (!examined) return fail(examined.error());
    absence = std::move(*examined);
    if (!absence.trouble.empty()) {
      out.complete = false;
      out.incomplete = absence.trouble;
      out.notices.push_back({.code = "incomplete_after_all", .text = absence.trouble, .count = 1});
    }
  }
  inputs_.control.phase("comparing members");
  if (!complete_feed) members_.feed_is_incremental();
  auto& guard = out.guard;
  std::map<std::uint32_t, GroupLoss> losses;
  const auto compared = members_.finish(
      inputs_.store, inputs_.work.lease.tenant, inputs_.work.source.id, inputs_.purge_before, out.complete,
      [&](std::span<const EdgeStep> removals) { return still_listed(removals, directory, stop); },
      [&](const EdgeStep& step) -> Result<void> {
        if (step.kind == ChangeKind::EdgeRemoved) {
          auto& loss = losses[step.group];
          loss = {.group = index_.groups[step.group].id(), .lost = loss.lost + 1, .of = step.held};
        }
        return stage_edge(step.kind, step.group, step.member);
      });
  if (!compared) return fail(compared.error());
  if (members_.contradicted()) {
    out.complete = false;
    out.incomplete = not_fitting_;
    out.notices.push_back({.code = "incomplete_after_all", .text = not_fitting_, .count = 1});
  }
  if (auto ok = flush_edges(); !ok) return fail(ok.error());
  for (const auto& [group, loss] : losses)
    if (loses_too_many(loss.lost, loss.of)) {
      ++guard.halved_groups;
      if (loss.lost > guard.worst.lost) guard.worst = loss;
    }
  guard.groups_listing = members_.groups_that_listed();
  guard.groups_emptied = members_.groups_emptied();
  if (out.complete) {
    if (auto ok = stage_removed_bindings(guard); !ok) return fail(ok.error());
    if (auto ok = stage_absent(inputs_, index_, absence.of, *writer_); !ok) return fail(ok.error());
    out.vanished = absence.vanished;
    if (absence.unverified > 0)
      out.notices.push_back(
          {.code = "unverified", .text = "missing, but not yet verified one by one: the approval does that", .count = absence.unverified});
  }
  guard.complete = out.complete && complete_feed;
  guard.users_read = writer_->counts.users_read;
  guard.groups_read = writer_->counts.groups_read;
  guard.users_active = index_.users.active();
  guard.groups_active = index_.groups.active();
  guard.bindings_held = bindings_held_;
  guard.users_leaving = writer_->users_leaving;
  guard.groups_leaving = writer_->groups_leaving;
  guard.recent = inputs_.recent;
  writer_->counts.dangling_members = members_.dangling();
  add_notices(out.notices);
  return out;
}

void Plan::add_notices(std::vector<Notice>& notices) const {
  const auto add = [&](std::uint64_t count, std::string_view code, std::string text) {
    if (count > 0) notices.push_back({.code = std::string(code), .text = std::move(text), .count = count});
  };
  add(members_.dangling(), "dangling_member", "members that name nobody who was read");
  add(members_.ambiguous(), "ambiguous_reference", "names of members that fit two entries, so they name nobody");
  add(members_.groups_in_loops(), "membership_loop", "groups that are members of themselves, directly or through others");
  add(repeated_ + conflicting_.size(), "duplicate_id", "stable ids that were delivered twice with different contents");
  add(invalid_namespaces_, "role_mapping_namespace_invalid", fmt::format("captured text is no namespace: {}", invalid_namespace_));
  add(undecided_mappings_, "role_mapping_undecided", "groups whose names a role mapping could not be matched with; what they have stays");
  for (const auto& [role, count] : unresolved_roles_)
    add(count, "role_mapping_unresolved", fmt::format("a role mapping names the role \"{}\", which does not exist", role));
}

}  // namespace rosterd::sync
