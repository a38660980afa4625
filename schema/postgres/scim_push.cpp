#include <algorithm>
#include <nlohmann/json.hpp>

#include "schema/core/log.hpp"
#include "schema/core/text.hpp"
#include "schema/postgres/admin_guard.hpp"
#include "schema/postgres/changes.hpp"
#include "schema/postgres/grants.hpp"
#include "schema/postgres/postgres_store.hpp"
#include "schema/postgres/rows.hpp"
#include "schema/postgres/scim_desk.hpp"
#include "schema/postgres/scim_door.hpp"
#include "schema/postgres/scim_ledger.hpp"

// Requests of a pushing provider become rows: several in one transaction, since a tenant's writes happen one after the other whatever one
// does. Each is judged on what those before it left, and changes the desk only when all of it is good. What may not be told before the rows
// are written (the last Admin, a lost race) takes the transaction back, and then each request is tried alone.

namespace rosterd {

using namespace postgres;

namespace {

using nlohmann::json;

/// The whole transaction is to be taken back and its requests tried one by one.
struct TryAlone {
  std::string slug, what;
  Principal object;
};

std::string_view type_name(PrincipalType type) { return type == PrincipalType::User ? "user" : "group"; }
std::string_view scim_name(PrincipalType type) { return type == PrincipalType::User ? "User" : "Group"; }
/// As the audit log shows a pushed object: what rosterd uses of it.
std::string audited(const Desk::Item& item) {
  if (item.now.type == PrincipalType::Group)
    return audit_text({{"name", item.now.name}, {"external_id", item.now.external_id ? json(*item.now.external_id) : json(nullptr)}});
  return audit_text({{"username", item.now.name},
                     {"external_id", item.now.external_id ? json(*item.now.external_id) : json(nullptr)},
                     {"active", item.now.active},
                     {"document", json::parse(item.now.document, nullptr, false)}});
}

bool same(const Pushed& now, const PushedContent& next) {
  return now.external_id == next.external_id && now.name == next.name && now.active == next.active && now.document == next.document;
}

/// One transaction's requests.
class Batch : Ledger {
 public:
  /// `inside` is entered, not locked, and its connection is Keeping.
  Batch(Tenancy& inside, SourceId source, std::span<const Push> requests, const PushRules& rules)
      : Ledger(inside, source, requests), desk_(inside, source), rules_(rules) {}
  using Ledger::write_held;

  std::vector<Result<PushAnswer>> run() {
    // All statements are written so that one plan is right for any values; planning took longer than running them.
    inside_.db.ask_once("SET LOCAL plan_cache_mode = force_generic_plan");
    ask_to_begin();
    desk_.ask_for(requests_);
    ask_for_run();
    const bool may_take = std::any_of(requests_.begin(), requests_.end(), [](const Push& one) { return one.kind != Push::Kind::Create; });
    if (may_take) ask_admin_beyond(inside_, source_, [this](bool is) { admin_beyond_ = is; });
    begin();
    std::vector<Result<PushAnswer>> answers;
    answers.reserve(requests_.size());
    for (at_ = 0; at_ < requests_.size(); ++at_) answers.push_back(one(requests_[at_]));
    write(answers);
    return answers;
  }

 private:
  Result<PushAnswer> one(const Push& request) {
    const auto events_before = events_.size();
    auto done = judge(request);
    if (!done) events_.resize(events_before);
    return done;
  }

  Result<PushAnswer> judge(const Push& request) {
    switch (request.kind) {
      case Push::Kind::Create:
        return create(request);
      case Push::Kind::Edit:
        return edit(request);
      case Push::Kind::Delete:
        return remove(request);
    }
    return fail(Errc::Internal, "a push of no kind");
  }

  [[nodiscard]] Result<void> unique(PrincipalType type, const PushedContent& content, PrincipalId self) {
    if (const auto* other = desk_.named(type, fold(content.name)); other != nullptr && other->now.id != self)
      return fail_as("uniqueness", Errc::Conflict, "a {} with {} \"{}\" exists already ({})", scim_name(type),
                     type == PrincipalType::User ? "userName" : "displayName", content.name, text(type, other->now.id));
    if (!content.external_id) return {};
    const auto* other = desk_.external(type, *content.external_id);
    if (other != nullptr && !other->deleted && other->now.id != self)
      return fail_as("uniqueness", Errc::Conflict, "a {} with externalId \"{}\" exists already ({})", scim_name(type), *content.external_id,
                     text(type, other->now.id));
    return {};
  }

  Result<PushAnswer> create(const Push& request) {
    const auto type = request.type;
    const auto& content = request.made.content;
    auto* back = content.external_id ? desk_.external(type, *content.external_id) : nullptr;
    if (back != nullptr && !back->deleted) back = nullptr;  // unique() says so
    if (const auto good = unique(type, content, back != nullptr ? back->now.id : PrincipalId{}); !good) return fail(good.error());
    std::vector<Principal> members;
    for (const auto& step : request.made.steps)
      for (const auto& who : step.who) {
        if (const auto good = may_join(PrincipalId{}, who); !good) return fail(good.error());
        members.push_back(who);
      }
    auto& item = back != nullptr ? *back : desk_.add(type);
    const auto before = back != nullptr ? std::optional(audited(item)) : std::nullopt;
    desk_.set(item, content);
    item.leaving = content.active ? Leaving::None : Leaving::DisabledAtSource;
    if (type == PrincipalType::Group) {
      desk_.settle_name(item);
      map_roles(item);
    }
    // S54: whom it had deleted and sends again under the same externalId is the same one, with the bindings he had.
    note(item, back != nullptr ? "resumed" : "created", back != nullptr ? ChangeKind::Resumed : ChangeKind::Added, before, audited(item),
         back != nullptr ? "the provider sent the externalId of one it had deleted" : "the provider created it");
    if (back != nullptr && type == PrincipalType::Group)
      for (const auto& one : desk_.members(item.now.id))  // what it says now is all there is
        if (std::find(members.begin(), members.end(), one.who) == members.end()) join(item, one.who, false);
    for (const auto& who : members) join(item, who, true);
    return answer(item, true);
  }

  Result<PushAnswer> edit(const Push& request) {
    auto* item = desk_.find(request.type, request.id);
    if (item == nullptr) return nobody(request);
    if (request.only_if)
      if (const auto good = request.only_if(item->now); !good) return fail(good.error());
    auto next = request.edit(item->now);
    if (!next) return fail(next.error());
    const auto& content = next->content;
    if (const auto good = unique(request.type, content, request.id); !good) return fail(good.error());

    // Members: what the steps come to, before anything is changed.
    std::map<PrincipalId, std::pair<Principal, bool>> edges;
    const auto is_in = [&](const Principal& who) {
      const auto set = edges.find(who.id);
      return set != edges.end() ? set->second.second : desk_.has_edge(request.id, who);
    };
    const auto put = [&](const Principal& who, bool in) { edges[who.id] = {who, in}; };
    const auto everybody = [&] {
      auto all = desk_.members(request.id);
      std::erase_if(all, [&](const PushedMember& one) { return !is_in(one.who); });
      for (const auto& [id, edge] : edges)
        if (edge.second && !desk_.has_edge(request.id, edge.first)) all.push_back({.group = request.id, .who = edge.first, .display = {}});
      return all;
    };
    for (const auto& step : next->steps) {
      switch (step.kind) {
        case MemberStep::Kind::Replace:
          for (const auto& one : everybody()) put(one.who, false);
          [[fallthrough]];
        case MemberStep::Kind::Add:
          for (const auto& who : step.who) {
            if (const auto good = may_join(request.id, who); !good) return fail(good.error());
            put(who, true);
          }
          break;
        case MemberStep::Kind::Remove:
          for (const auto& who : step.who) put(who, false);
          break;
        case MemberStep::Kind::RemoveWhere:
          for (const auto& one : everybody())
            if (step.where(one)) put(one.who, false);
          break;
      }
    }
    std::erase_if(edges, [&](const auto& entry) { return entry.second.second == desk_.has_edge(request.id, entry.second.first); });
    const auto lost =
        static_cast<std::uint64_t>(std::count_if(edges.begin(), edges.end(), [](const auto& entry) { return !entry.second.second; }));

    const bool is_same = same(item->now, content);
    if (is_same && edges.empty()) return answer(*item, false);
    const bool leaves = item->now.active && !content.active;
    if (leaves)
      if (const auto good = may_leave(*item, "active:false"); !good) return fail(good.error());
    if (lost > 0) {
      taking();
      if (const auto good = may_lose(*item, lost); !good) return fail(good.error());
    }
    if (!is_same) {
      const bool renamed = item->now.name != content.name;
      const bool returns = !item->now.active && content.active;
      const auto before = audited(*item);
      if (request.type == PrincipalType::Group && renamed)
        if (const auto good = may_unbind(*item, content.name); !good) return fail(good.error());
      desk_.set(*item, content);
      item->leaving = content.active ? Leaving::None : Leaving::DisabledAtSource;
      if (request.type == PrincipalType::Group && renamed) {
        desk_.settle_name(*item);
        map_roles(*item);
      }
      if (leaves) left(*item);
      note(*item,
           leaves    ? "suspended"
           : returns ? "resumed"
                     : "changed",
           leaves    ? ChangeKind::Suspended
           : returns ? ChangeKind::Resumed
                     : ChangeKind::Changed,
           before, audited(*item),
           leaves    ? "the provider set active to false"
           : returns ? "the provider set active to true"
                     : "the provider changed it");
    } else {
      item->is_touched = true;
      ++item->now.version;
    }
    for (const auto& [id, edge] : edges) join(*item, edge.first, edge.second);
    return answer(*item, true);
  }

  Result<PushAnswer> remove(const Push& request) {
    auto* item = desk_.find(request.type, request.id);
    if (item == nullptr) return nobody(request);
    if (request.only_if)
      if (const auto good = request.only_if(item->now); !good) return fail(good.error());
    if (item->now.active)
      if (const auto good = may_leave(*item, "DELETE"); !good) return fail(good.error());
    const Principal who{request.type, request.id};
    const auto before = audited(*item);
    const bool was_active = item->now.active;
    // Who is in what is the provider's own word, and it has taken it back: should he return, it says it anew. Bindings wait for him.
    const auto groups = desk_.groups_with(who);
    desk_.remove(*item);
    if (was_active) left(*item);
    note(*item, "suspended", ChangeKind::Suspended, before,
         audit_text({{"reason", "deleted_at_source"}, {request.type == PrincipalType::User ? "username" : "name", item->now.name}}),
         "the provider deleted it");
    for (const auto group : groups)
      if (auto* of = desk_.find(PrincipalType::Group, group)) {
        join(*of, who, false);
        of->is_touched = true;
        ++of->now.version;
      }
    taking();
    return answer(*item, true);
  }

  [[nodiscard]] Result<PushAnswer> nobody(const Push& request) {
    return fail(Errc::NotFound, "no {} {}", scim_name(request.type), text(request.type, request.id));
  }

  PushAnswer answer(const Desk::Item& item, bool changed) {
    if (changed) changed_.insert(at_);
    return {.now = item.now, .revision = {}, .changed = changed};
  }

  // ---- members --------------------------------------------------------------------------------------------------------------------

  [[nodiscard]] Result<void> may_join(PrincipalId group, const Principal& who) {
    if (who.id == group) return fail_as("invalidValue", Errc::InvalidInput, "a Group cannot be its own member");
    if (!desk_.is_member_like(who))
      return fail_as("invalidValue", Errc::InvalidInput, "members: there is no {} {}", scim_name(who.type), text(who));
    return {};
  }

  void join(Desk::Item& group, const Principal& who, bool in) {
    if (desk_.has_edge(group.now.id, who) == in) return;
    desk_.set_edge(group.now.id, who, in);
    const auto* member = desk_.find(who.type, who.id);
    const auto edge = audit_text({{"member", text(who)}});
    Event event{.request = at_,
                .action = in ? "member_added" : "member_removed",
                .object_type = "group",
                .object_id = text(PrincipalType::Group, group.now.id),
                .object_name = group.now.name,
                .about_id = text(who),
                .before = in ? std::nullopt : std::optional(edge),
                .after = in ? std::optional(edge) : std::nullopt,
                .type = ObjectType::Membership,
                .kind = in ? ChangeKind::EdgeAdded : ChangeKind::EdgeRemoved,
                .object = group.now.id,
                .member = who};
    event.external_id = group.now.external_id.value_or("");
    event.member_external_id = member != nullptr ? member->now.external_id.value_or("") : "";
    event.reason = in ? "the provider lists it as a member" : "the provider lists it as a member no more";
    events_.push_back(std::move(event));
  }

  void note(const Desk::Item& item, std::string_view action, ChangeKind kind, std::optional<std::string> before, std::string after,
            std::string_view reason) {
    Event event{.request = at_,
                .action = action,
                .object_type = type_name(item.now.type),
                .object_id = text(item.now.type, item.now.id),
                .object_name = item.now.name,
                .about_id = {},
                .before = std::move(before),
                .after = std::move(after),
                .type = object_type(item.now.type),
                .kind = kind,
                .object = item.now.id};
    event.external_id = item.now.external_id.value_or("");
    event.leaving = item.leaving;
    event.reason = reason;
    events_.push_back(std::move(event));
  }

  // ---- guard ----------------------------------------------------------------------------------------------------------------------

  struct Tally {
    std::uint64_t active = 0, recent = 0;
  };
  struct Counts {
    Tally users, groups;
    std::map<PrincipalId, bool> allowed;  ///< approved and waiting; true = used up by this transaction
  };

  Counts& counts() {
    if (counts_) return *counts_;
    Counts out;
    auto& db = inside_.db;
    out.users.active = static_cast<std::uint64_t>(
        db.number("SELECT count(*) FROM tenant_user WHERE tenant_id = $1 AND source_id = $2 AND leaving = 0", {inside_.number, source_}));
    out.groups.active = static_cast<std::uint64_t>(
        db.number("SELECT count(*) FROM tenant_group WHERE tenant_id = $1 AND source_id = $2 AND leaving = 0", {inside_.number, source_}));
    db.each(
        "SELECT coalesce(sum(left_users), 0)::bigint, coalesce(sum(left_groups), 0)::bigint FROM run WHERE tenant_id = $1 AND source_id = "
        "$2 AND applied AND finished_at >= now() - interval '24 hours'",
        {inside_.number, source_}, [&](Row& row) {
          out.users.recent = static_cast<std::uint64_t>(row.number());
          out.groups.recent = static_cast<std::uint64_t>(row.number());
        });
    db.each("SELECT object_id FROM scim_allowance WHERE tenant_id = $1 AND source_id = $2 AND expires_at > now()",
            {inside_.number, source_}, [&](Row& row) { out.allowed[row.id<PrincipalId>()] = false; });
    counts_ = std::move(out);
    return *counts_;
  }

  [[nodiscard]] bool is_allowed(PrincipalId id) {
    const auto found = counts().allowed.find(id);
    return found != counts().allowed.end() && !found->second;
  }

  [[nodiscard]] Result<void> hold(const Desk::Item& item, std::string_view action, std::string reason, std::string detail) {
    held_.push_back({.object = {item.now.type, item.now.id},
                     .external_id = item.now.external_id.value_or(""),
                     .name = item.now.name,
                     .action = action,
                     .reason = std::move(reason),
                     .detail = detail});
    return fail_as("held_by_guard", Errc::Refused,
                   "held back: this {}; a person must approve it in rosterd (the source's held run), then send it again", detail);
  }

  [[nodiscard]] Result<void> may_leave(Desk::Item& item, std::string_view action) {
    taking();
    if (is_allowed(item.now.id)) return {};
    const bool is_user = item.now.type == PrincipalType::User;
    const auto& tally = is_user ? counts().users : counts().groups;
    const auto what = is_user ? "users" : "groups";
    const auto most = rules_.limit(tally.active + tally.recent);
    if (tally.recent + 1 > most)
      return hold(item, action, is_user ? "guard_users" : "guard_groups",
                  fmt::format("would suspend 1 of {} {} after {} in the last 24 hours; at most {} may go within 24 hours", tally.active,
                              what, tally.recent, most));
    if (!is_user && action == "DELETE" && binds_admin(item.now.id))
      return hold(item, action, "guard_admin_binding", "would take a mapped Admin role from a group");
    return {};
  }

  void left(const Desk::Item& item) {
    if (const auto found = counts().allowed.find(item.now.id); found != counts().allowed.end() && !found->second) {
      found->second = true;
      return;
    }
    auto& tally = item.now.type == PrincipalType::User ? counts().users : counts().groups;
    --tally.active;
    ++tally.recent;
    ++(item.now.type == PrincipalType::User ? left_users_ : left_groups_);
  }

  [[nodiscard]] Result<void> may_lose(Desk::Item& group, std::uint64_t lost) {
    constexpr std::uint64_t kNeverMatters = 10;  // half of 20
    if (lost <= kNeverMatters) return {};
    const auto of = desk_.count_members(group.now.id);
    if (!rules_.loses_too_many(lost, of)) return {};
    if (is_allowed(group.now.id)) {
      counts().allowed[group.now.id] = true;
      return {};
    }
    return hold(group, "PATCH", "guard_group_half",
                fmt::format("would take {} of its {} members from {}", lost, of, text(PrincipalType::Group, group.now.id)));
  }

  // ---- role mappings --------------------------------------------------------------------------------------------------------------

  [[nodiscard]] bool binds_admin(PrincipalId group) {
    const auto all = bound(group);
    return std::any_of(all.begin(), all.end(), [](const Bound& one) { return one.admin; });
  }

  struct Wanted {
    RoleId role;
    std::string name;
    std::optional<std::string> ns;
  };
  /// None: the name does not say, what is there stays.
  [[nodiscard]] std::optional<std::vector<Wanted>> wanted(const std::string& group_name) {
    const auto mapped = rules_.roles(group_name);
    if (!mapped) return std::nullopt;
    std::vector<Wanted> out;
    for (const auto& one : *mapped) {
      inside_.db.each("SELECT role_id, name FROM role WHERE tenant_id = $1 AND name_key = $2", {inside_.number, fold(one.role)},
                      [&](Row& row) {
                        Wanted found;
                        found.role = row.id<RoleId>();
                        found.name = row.text();
                        found.ns = one.ns;
                        out.push_back(std::move(found));
                      });
    }
    return out;
  }

  /// S17: a rename that takes a mapped Admin away is held.
  [[nodiscard]] Result<void> may_unbind(Desk::Item& group, const std::string& new_name) {
    const auto next = wanted(new_name);
    if (!next) return {};
    for (const auto& one : bound(group.now.id)) {
      const bool stays = std::any_of(next->begin(), next->end(), [&](const Wanted& w) { return w.role == one.role && w.ns == one.ns; });
      if (stays) continue;
      taking();
      if (one.admin && !is_allowed(group.now.id))
        return hold(group, "rename", "guard_admin_binding", "would take a mapped Admin role from a group by renaming it");
    }
    if (is_allowed(group.now.id)) counts().allowed[group.now.id] = true;
    return {};
  }

 public:
  void map_roles(Desk::Item& group) { remaps_.emplace_back(at_, &group); }
  Desk& desk() { return desk_; }
  void one_of_remap(std::size_t at) { at_ = at; }

 private:
  /// After the groups' own rows are there.
  void write_bindings(RunId run) {
    for (auto& [request, group] : remaps_) {
      const auto next = wanted(group->now.name);
      if (!next || group->deleted) continue;
      const auto held = bound(group->now.id);
      for (const auto& one : held) {
        if (std::any_of(next->begin(), next->end(), [&](const Wanted& w) { return w.role == one.role && w.ns == one.ns; })) continue;
        inside_.db.run("DELETE FROM binding WHERE tenant_id = $1 AND binding_id = $2", {inside_.number, one.id});
        note_binding(request, *group, one.id, one.role, one.role_name, one.ns, false);
      }
      for (const auto& one : *next) {
        if (std::any_of(held.begin(), held.end(), [&](const Bound& b) { return b.role == one.role && b.ns == one.ns; })) continue;
        const auto made = inside_.db.first(
            "INSERT INTO binding (tenant_id, role_id, principal_id, principal_type, ns, source_id, created_by) VALUES ($1, $2, $3, 2, $4, "
            "$5, $6) ON CONFLICT ON CONSTRAINT binding_once DO NOTHING RETURNING binding_id",
            {inside_.number, one.role, group->now.id, one.ns, source_, "run " + text(run)}, [](Row& row) { return row.id<BindingId>(); });
        if (made) note_binding(request, *group, *made, one.role, one.name, one.ns, true);
      }
    }
  }

  // ---- writing --------------------------------------------------------------------------------------------------------------------

  void taking() {
    if (!admin_beyond_ && !had_admin_) had_admin_ = has_active_admin(inside_);
  }

  void write(std::vector<Result<PushAnswer>>& answers) {
    if (!held_.empty()) write_held();
    if (changed_.empty()) {
      for (auto& answer : answers)
        if (answer) answer->revision = door_.revision;
      return;
    }
    auto run = open_run();
    desk_.write(run.id);
    inside_.db.hurry();
    write_bindings(run.id);
    if (had_admin_.value_or(false) && !has_active_admin(inside_)) {
      const auto& first = requests_[*changed_.begin()];
      throw TryAlone{
          .slug = "last_admin",
          .what = fmt::format("tenant {} would be left without an active Admin; make somebody else Admin first", inside_.id.value),
          .object = {first.type, first.id}};
    }
    if (counts_)
      for (const auto& [id, used] : counts_->allowed)
        if (used)
          inside_.db.run("DELETE FROM scim_allowance WHERE tenant_id = $1 AND source_id = $2 AND object_id = $3",
                         {inside_.number, source_, id});
    const Revision last{.epoch = door_.revision.epoch, .number = door_.revision.number + changed_.size()};
    inside_.db.ask("UPDATE tenant SET revision = $2 WHERE tenant_id = $1", {inside_.number, last.number});
    std::map<std::size_t, Revision> revisions;
    auto number = last.number - changed_.size();
    for (const auto request : changed_) revisions[request] = {.epoch = last.epoch, .number = ++number};
    for (std::size_t i = 0; i < answers.size(); ++i)
      if (answers[i]) {
        const auto own = revisions.find(i);
        answers[i]->revision = own != revisions.end() ? own->second : last;
      }
    std::stable_sort(events_.begin(), events_.end(), [](const Event& a, const Event& b) { return a.request < b.request; });
    write_audit(run.id, revisions);
    write_record(run);
    end_run(run, last);
    for (const auto i : changed_)
      if (answers[i]) {
        answers[i]->now.modified_at = door_.now;
        if (answers[i]->now.created_at == TimePoint{}) answers[i]->now.created_at = door_.now;
      }
  }

 public:
  /// To be collected by begin().
  void ask_to_begin() { door_.ask(inside_, source_); }
  void begin() {
    inside_.db.collect();
    source_name_ = door_.open(inside_, source_);
  }
  void hold_alone(Held held) { held_.push_back(std::move(held)); }
  /// For remap_pushed, which is no request of the provider.
  Revision write_remap(std::string source_name) {
    source_name_ = std::move(source_name);
    ask_for_run();
    inside_.db.collect();
    std::vector<Result<PushAnswer>> none;
    if (remaps_.empty()) return inside_.revision();
    const auto run = open_run();
    write_bindings(run.id);
    if (events_.empty()) return inside_.revision();
    changed_.insert(0);
    const auto revision = inside_.bump();
    write_audit(run.id, {{0, revision}});
    auto open = run;
    write_record(open);
    end_run(open, revision);
    return revision;
  }

 private:
  Desk desk_;
  const PushRules& rules_;
  PushDoor door_;
  std::size_t at_ = 0;
  std::set<std::size_t> changed_;  ///< requests that changed something
  std::vector<std::pair<std::size_t, Desk::Item*>> remaps_;
  std::optional<Counts> counts_;
  bool admin_beyond_ = false;      ///< nothing that is pushed can take the last Admin away
  std::optional<bool> had_admin_;  ///< before; where somebody may lose something
};

}  // namespace

Result<std::vector<Result<PushAnswer>>> PostgresStore::push(const TenantId& tenant, SourceId source, std::span<const Push> requests,
                                                            const PushRules& rules) {
  using Answers = std::vector<Result<PushAnswer>>;
  std::optional<TryAlone> alone;
  const auto attempt = [&](std::span<const Push> some) -> Result<Answers> {
    alone.reset();
    const auto once = [&] {
      return pool_->run(
          Mode::Write, "taking what a provider pushes",
          [&](Db& db) -> Result<Answers> {
            const Db::Keeping keeping(db);
            auto inside = numbers_->enter(db, tenant);
            if (!inside) return fail(inside.error());
            try {
              return Batch(*inside, source, some, rules).run();
            } catch (const TryAlone& why) {
              alone = why;
              return fail_as(why.slug, Errc::Conflict, "{}", why.what);
            }
          },
          Begin::Asked);
    };
    auto out = once();
    if (!out && out.error().code == Errc::NotFound && numbers_->forget(tenant)) out = once();
    return out;
  };
  auto done = attempt(requests);
  if (done || (!alone && done.error().code != Errc::Internal) || requests.empty()) return done;
  // One by one: whose fault it was is whose error it is.
  Answers out;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    auto own = attempt(requests.subspan(i, 1));
    if (own) {
      out.push_back(std::move(own->front()));
      continue;
    }
    if (alone) {
      const auto& request = requests[i];
      const auto shown = pool_->run(Mode::Write, "showing what is held", [&](Db& db) -> Result<void> {
        const Db::Keeping keeping(db);
        auto inside = enter(db, tenant);
        if (!inside) return fail(inside.error());
        Batch held(*inside, source, {}, rules);
        held.ask_to_begin();
        held.begin();
        const auto* item = held.desk().find(request.type, request.id);
        held.hold_alone({.object = {request.type, request.id},
                         .external_id = item != nullptr ? item->now.external_id.value_or("") : "",
                         .name = item != nullptr ? item->now.name : "",
                         .action = request.kind == Push::Kind::Delete ? "DELETE" : "active:false",
                         .reason = "last_admin",
                         .detail = own.error().what});
        held.write_held();
        return {};
      });
      if (!shown) return fail(shown.error());
    }
    out.push_back(tl::unexpected(own.error()));
  }
  return out;
}

Result<Revision> PostgresStore::remap_pushed(const TenantId& tenant, SourceId source, const PushRules& rules, const Actor& actor) {
  return in_tenant(*pool_, Mode::Write, tenant, "binding pushed groups anew", [&](Tenancy& inside) -> Result<Revision> {
    const auto name = inside.db.first("SELECT name FROM source WHERE tenant_id = $1 AND source_id = $2", {inside.number, source},
                                      [](Row& row) { return row.text(); });
    if (!name) return fail(Errc::NotFound, "no source {}", text(source));
    const Db::Keeping keeping(inside.db);
    Push one;
    one.actor = actor;
    Batch work(inside, source, {&one, 1}, rules);
    std::vector<PrincipalId> groups;
    inside.db.each("SELECT id FROM scim_resource WHERE tenant_id = $1 AND source_id = $2 AND type = 2 AND deleted_at IS NULL ORDER BY id",
                   {inside.number, source}, [&](Row& row) { groups.push_back(row.id<PrincipalId>()); });
    for (const auto id : groups)
      if (auto* group = work.desk().find(PrincipalType::Group, id)) work.map_roles(*group);
    const bool had_admin = has_active_admin(inside);
    const auto revision = work.write_remap(*name);
    if (const auto kept = keep_an_admin(inside, had_admin); !kept) return fail(kept.error());
    return revision;
  });
}

}  // namespace rosterd
