// Applying a held plan that somebody has approved (S20): the stored plan is read, every object it touches must be as it was planned, who
// leaves is asked for once more, and only then the same steps are staged again and applied.

#include <nlohmann/json.hpp>

#include "daemon/sync/absence.hpp"
#include "daemon/sync/engine.hpp"

namespace rosterd::sync {
namespace {

using StoredChange = Store::StoredChange;

tl::unexpected<Error> outdated(std::string_view why, std::string_view whom = {}) {
  return fail_as("plan_outdated", Errc::Conflict, "the plan no longer fits: {}{}", why, whom);
}

PrincipalType type_of(const Change& change) { return change.type == ObjectType::Group ? PrincipalType::Group : PrincipalType::User; }

/// The index as it is now.
class IndexSink final : public HeldSink {
 public:
  explicit IndexSink(HeldIndex& index) : index_(index) {}
  void user(PrincipalId id, std::string_view external_id, std::uint64_t content_hash, Leaving suspended, bool purge_due) override {
    index_.users.add(Entry(key_of(external_id), id, content_hash, suspended, true, purge_due));
  }
  void group(PrincipalId id, std::string_view external_id, std::uint64_t content_hash, Leaving suspended, bool purge_due,
             std::string_view) override {
    index_.groups.add(Entry(key_of(external_id), id, content_hash, suspended, true, purge_due));
  }
  void edge(PrincipalId, PrincipalId) override {}
  void binding(const Binding& binding) override { bindings.insert(binding.id); }
  std::set<BindingId> bindings;

 private:
  HeldIndex& index_;
};

std::string text_at(const nlohmann::json& document, const char* key) {
  const auto found = document.find(key);
  return found != document.end() && found->is_string() ? found->get<std::string>() : std::string();
}

/// The new content of a stored change, as the store wrote it down.
Result<nlohmann::json> content_of(const Change& change) {
  auto document = nlohmann::json::parse(change.after, nullptr, false);
  if (!document.is_object()) return fail(Errc::Internal, "the stored plan has no content for {}", change.external_id);
  return document;
}

UserRecord user_from(const StoredChange& stored, const nlohmann::json& content) {
  UserRecord out;
  out.id = {stored.change.external_id};
  out.username = text_at(content, "username");
  if (content.contains("email") && content["email"].is_string()) out.email = content["email"].get<std::string>();
  out.first_name = text_at(content, "first_name");
  out.last_name = text_at(content, "last_name");
  out.entry = text_at(content, "entry");
  out.enabled = stored.leaving != Leaving::DisabledAtSource;
  if (!out.enabled) out.disabled_reason = stored.change.reason;
  return out;
}

GroupRecord group_from(const StoredChange& stored, const nlohmann::json& content) {
  GroupRecord out;
  out.id = {stored.change.external_id};
  out.name = text_at(content, "source_name");
  if (out.name.empty()) out.name = text_at(content, "name");
  out.description = text_at(content, "description");
  out.entry = text_at(content, "entry");
  return out;
}

/// Principals of a stored plan must be as they were when it was made.
Result<void> still_fits(const StoredChange& stored, const HeldIndex& index) {
  const auto& change = stored.change;
  if (change.kind == ChangeKind::Skipped) return {};
  const auto& table = index.of(type_of(change));
  const auto at = table.find(key_of(change.external_id));
  if (change.kind == ChangeKind::Added) {
    if (at) return outdated("already known: ", change.external_id);
    return {};
  }
  if (!at) return outdated("no longer known: ", change.external_id);
  const auto& entry = table[*at];
  if (entry.content != stored.before_hash) return outdated("changed meanwhile: ", change.external_id);
  if (change.kind == ChangeKind::Suspended && entry.leaving() == stored.leaving) return outdated("already suspended: ", change.external_id);
  if (change.kind == ChangeKind::Purged && !entry.away()) return outdated("came back meanwhile: ", change.external_id);
  if (change.kind == ChangeKind::Resumed && entry.leaving() == Leaving::None) return outdated("already active: ", change.external_id);
  return {};
}

/// Stages the stored changes again, with rows for those who are new.
class Replay {
 public:
  Replay(HeldIndex& index, const std::set<BindingId>& bindings, PlanWriter& writer, const std::map<RoleId, std::string>& roles)
      : index_(index), bindings_(bindings), writer_(writer), roles_(roles) {}

  Result<void> operator()(const StoredChange& stored) {
    switch (stored.change.type) {
      case ObjectType::User:
      case ObjectType::Group:
        return principal(stored);
      case ObjectType::Membership:
        return edge(stored);
      case ObjectType::Binding:
        return binding(stored);
    }
    return fail(Errc::Internal, "the stored plan holds a change of an unknown kind");
  }

 private:
  Result<void> principal(const StoredChange& stored) {
    const auto& change = stored.change;
    const auto type = type_of(change);
    const auto key = key_of(change.external_id);
    auto& table = index_.of(type);
    auto at = table.find(key);
    if (change.kind == ChangeKind::Added) {
      const auto id = writer_.new_id();
      if (!id) return fail(id.error());
      at = table.add(Entry(key, *id, stored.content_hash, Leaving::None, false, false));
    }
    StagedPrincipal staged{.kind = change.kind,
                           .id = at ? table[*at].id() : PrincipalId{},
                           .external_id = change.external_id,
                           .content_hash = stored.content_hash,
                           .before_hash = stored.before_hash,
                           .leaving = stored.leaving,
                           .reason = change.reason,
                           .user = nullptr,
                           .group = nullptr};
    UserRecord user;
    GroupRecord group;
    std::string text;
    const bool has_content = change.kind == ChangeKind::Added || change.kind == ChangeKind::Changed || change.kind == ChangeKind::Resumed ||
                             (change.kind == ChangeKind::Suspended && stored.leaving == Leaving::DisabledAtSource);
    if (has_content) {
      const auto content = content_of(change);
      if (!content) return fail(content.error());
      if (type == PrincipalType::User) {
        user = user_from(stored, *content);
        encode(user, text);
        staged.user = &user;
      } else {
        group = group_from(stored, *content);
        encode(group, text);
        staged.group = &group;
      }
      if (content_hash(text) != stored.content_hash)
        return fail(Errc::Internal, "the stored plan's content of {} is damaged", change.external_id);
    }
    const bool leaves = at && table[*at].active() && stored.leaving != Leaving::None && change.kind != ChangeKind::Skipped;
    return writer_.principal(type, staged, key, text, leaves);
  }

  /// By row where there is one, by stable id for those the plan adds.
  [[nodiscard]] std::optional<Target> find(PrincipalType type, PrincipalId row, std::string_view external_id) {
    if (!external_id.empty())
      if (const auto at = index_.of(type).find(key_of(external_id))) return Target(type, *at);
    if (!row) return std::nullopt;
    auto& rows = rows_[type];
    const auto& table = index_.of(type);
    if (rows.empty())
      for (std::uint32_t at = 0; at < table.size(); ++at) rows.emplace(table[at].id().value, at);
    const auto found = rows.find(row.value);
    return found == rows.end() ? std::nullopt : std::optional(Target(type, found->second));
  }

  Result<void> edge(const StoredChange& stored) {
    const auto group = find(PrincipalType::Group, stored.object, stored.change.external_id);
    const auto member = find(stored.member_type, stored.member, stored.member_external_id);
    if (!group || !member) return outdated("a membership names somebody who is no longer known");
    return writer_.edge({.kind = stored.change.kind,
                         .group = index_[*group].id(),
                         .member = {.type = stored.member_type, .id = index_[*member].id()},
                         .group_external_id = stored.change.external_id,
                         .member_external_id = stored.member_external_id,
                         .reason = stored.change.reason},
                        index_[*group].key, *member, index_[*member].key);
  }

  Result<void> binding(const StoredChange& stored) {
    const auto group = find(PrincipalType::Group, stored.object, stored.change.external_id);
    const auto role = roles_.find(stored.role);
    if (!group || role == roles_.end()) return outdated("a binding names a group or role that is no longer there");
    const bool removal = stored.change.kind == ChangeKind::BindingRemoved;
    if (removal && !bindings_.contains(stored.binding)) return outdated("a binding is gone already");
    const auto document = nlohmann::json::parse(removal ? stored.change.before : stored.change.after, nullptr, false);
    std::optional<std::string> ns;
    if (document.is_object() && document.contains("namespace") && document["namespace"].is_string())
      ns = document["namespace"].get<std::string>();
    return writer_.binding({.kind = stored.change.kind,
                            .id = stored.binding,
                            .role = stored.role,
                            .role_name = role->second,
                            .group = index_[*group].id(),
                            .group_external_id = stored.change.external_id,
                            .ns = ns,
                            .reason = stored.change.reason},
                           index_[*group].key);
  }

  HeldIndex& index_;
  const std::set<BindingId>& bindings_;
  PlanWriter& writer_;
  const std::map<RoleId, std::string>& roles_;
  std::map<PrincipalType, std::unordered_map<std::uint64_t, std::uint32_t>> rows_;
};

}  // namespace

Result<Finished> Engine::approve(const Work& work, connectors::Connector& directory,
                                 const connectors::ConnectorType::Fingerprints& fingerprints, RunControl& control, std::stop_token stop) {
  const auto refused = [&](const Error& why) -> Result<Finished> {
    auto end = begin_end(work);
    end.outcome = Outcome::Failed;
    end.reason = why.slug.empty() ? "unverified" : why.slug;
    end.detail = why.what;
    end.failures = work.state.failures;
    end.plan = work.run.plan;
    end.next_due = clock_.now();  // the next read makes a plan that fits
    if (auto ok = store_.finish(work.lease, end); !ok) return fail(ok.error(), "ending the run");
    Finished finished;
    finished.end = std::move(end);
    return finished;
  };
  if (work.plan_version != work.source.version) return refused(outdated("the settings of the source have changed").value());

  control.phase("checking the approved plan");
  HeldIndex index;
  IndexSink sink(index);
  if (auto ok = store_.load_held(work.lease.tenant, work.source.id, clock_.now() - options_.purge_after, sink); !ok)
    return fail(ok.error(), "loading what {} holds", work.source.name);
  std::map<PrincipalType, std::vector<ExternalId>> leaving;
  std::uint64_t changes = 0;
  const auto checked = store_.load_plan(work.lease.tenant, work.run.id, [&](const StoredChange& stored) -> Result<void> {
    ++changes;
    if (stop.stop_requested()) return fail(Errc::Stopped, "stopped while checking the approved plan");
    const auto& change = stored.change;
    if (change.type != ObjectType::User && change.type != ObjectType::Group) return {};
    if ((change.kind == ChangeKind::Suspended && stored.leaving != Leaving::DisabledAtSource) || change.kind == ChangeKind::Purged)
      leaving[type_of(change)].push_back({change.external_id});
    return still_fits(stored, index);
  });
  if (!checked && checked.error().slug == "plan_outdated") return refused(checked.error());
  if (!checked) return fail(checked.error(), "reading the approved plan");
  if (changes == 0) return refused(outdated("nothing of it is stored any more").value());

  control.phase("verifying who leaves");
  constexpr std::size_t kBatch = 512;
  for (const auto& [type, ids] : leaving) {
    for (std::size_t at = 0; at < ids.size(); at += kBatch) {
      const auto batch = std::span(ids).subspan(at, std::min(kBatch, ids.size() - at));
      const auto answer = verify(directory, type, batch, stop);
      if (!answer) return fail(answer.error());
      if (answer->of.size() == batch.size()) continue;
      return refused(answer->in_scope ? outdated(answer->trouble).value()
                                      : Error{.code = Errc::Unavailable, .what = answer->trouble, .slug = {}});
    }
  }

  const auto roles = store_.roles(work.lease.tenant);
  if (!roles) return fail(roles.error(), "reading the roles of {}", work.lease.tenant.value);
  std::map<RoleId, std::string> role_names;
  for (const auto& role : *roles) role_names.emplace(role.id, role.name);
  control.phase("applying");
  PlanWriter writer(store_, work.lease, control, false);
  const auto was = work.run.plan ? work.run.plan->counts : ChangeCounts{};
  Replay replay(index, sink.bindings, writer, role_names);
  const auto replayed = store_.load_plan(work.lease.tenant, work.run.id, [&](const StoredChange& stored) { return replay(stored); });
  if (!replayed && replayed.error().slug == "plan_outdated") return refused(replayed.error());
  if (!replayed) return fail(replayed.error(), "preparing the approved plan");
  auto end = begin_end(work);
  end.outcome = Outcome::Applied;
  end.reason = "approved";
  end.complete = false;  // nothing was read: the age of the last complete read is that of the run which made the plan
  end.cursor_kind = work.run.cursor_kind;
  end.notices = work.run.notices;
  std::erase_if(end.notices, [](const Notice& notice) { return notice.code == "unverified"; });
  writer.counts.users_read = was.users_read;
  writer.counts.groups_read = was.groups_read;
  writer.counts.dangling_members = was.dangling_members;
  end.plan = writer.info();
  if (work.run.plan && end.plan->hash != work.run.plan->hash) return refused(outdated("what is stored is not what was approved").value());
  end.approved = true;
  end.scope_fingerprint = fingerprints.scope;
  auto stage = writer.stage();
  if (!stage) return fail(stage.error());
  return apply(**stage, std::move(end));
}

}  // namespace rosterd::sync
