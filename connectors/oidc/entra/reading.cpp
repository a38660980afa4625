#include "connectors/oidc/entra/reading.hpp"

#include "connectors/http/url.hpp"

namespace rosterd::connectors::oidc::entra {
namespace {

using Json = nlohmann::json;

constexpr auto kOldest = std::chrono::hours(156);  // 6.5 of 7 days
constexpr std::size_t kMostDoubtful = 1000;

Result<void> told_to_stop() { return fail(Errc::Stopped, "told to stop"); }

Json list_of(const std::set<std::string>& ids) {
  Json out = Json::array();
  for (const auto& id : ids)
    if (out.size() < kMostDoubtful) out.push_back(id);
  return out;
}

std::set<std::string> ids_at(const Json& json, std::string_view key) {
  std::set<std::string> out;
  if (const auto list = json.find(key); list != json.end() && list->is_array())
    for (const auto& id : *list)
      if (id.is_string()) out.insert(id.get<std::string>());
  return out;
}

}  // namespace

std::string Position::text() const {
  Json out = {{"v", 1}, {"made", rfc3339(made)}, {"users", users}, {"groups", groups}};
  if (!doubtful_users.empty()) out["doubtful_users"] = list_of(doubtful_users);
  if (!doubtful_groups.empty()) out["doubtful_groups"] = list_of(doubtful_groups);
  return out.dump();
}

Result<Position> Position::parse(std::string_view text, TimePoint now) {
  const auto json = Json::parse(text, nullptr, false);
  const auto made = parse_rfc3339(text_at(json, "made"));
  if (!json.is_object() || json.find("v") == json.end() || json["v"] != 1 || !made || text_at(json, "users").empty())
    return fail(Errc::CursorExpired, "this cursor is of a kind this release does not know");
  if (now - *made >= kOldest || *made > now + std::chrono::hours(1))
    return fail(Errc::CursorExpired, "the delta tokens are of {}, and Microsoft Graph keeps them seven days", rfc3339(*made));
  return Position{.users = text_at(json, "users"),
                  .groups = text_at(json, "groups"),
                  .made = *made,
                  .doubtful_users = ids_at(json, "doubtful_users"),
                  .doubtful_groups = ids_at(json, "doubtful_groups")};
}

Result<void> Reading::run(TimePoint now) {
  to_.made = now;
  if (with_groups_) {
    sink_.phase("collecting groups");
    if (auto ok = collect_groups(); !ok) return fail(ok.error(), "reading groups");
  }
  sink_.phase("reading users");
  if (auto ok = deliver_users(); !ok) return fail(ok.error(), "reading users");
  if (with_groups_) {
    sink_.phase("reading groups");
    if (auto ok = deliver_groups(); !ok) return fail(ok.error(), "delivering groups");
  }
  return {};
}

FeedEnd Reading::end() && {
  FeedEnd out;
  out.proof.evidence.push_back({.what = "users: the delta was followed to its deltaLink", .good = true, .detail = {}});
  if (with_groups_) out.proof.evidence.push_back({.what = "groups: the delta was followed to its deltaLink", .good = true, .detail = {}});
  if (without_id_ > 0)
    out.proof.evidence.push_back({.what = "every object has an id", .good = false, .detail = fmt::format("{} have none", without_id_)});
  if (out.proof.complete() && is_full()) out.absence = KeepOnly{};
  if (out.proof.complete() && !is_full()) out.absence = DropListed{std::move(dropped_)};
  out.cursor_kind = is_full() ? "full" : "delta";
  out.to.value = to_.text();
  return out;
}

// Groups

Result<void> Reading::collect_groups() {
  const auto nothing = graph_.url(fmt::format("/groups/delta?$select={},members", kGroupProperties));
  auto link = graph_.delta(is_full() ? nothing : from_->groups, [&](const Json& object) { return take_group(object); });
  if (!link) return fail(link.error());
  to_.groups = std::move(*link);
  if (!is_full())
    for (const auto& id : from_->doubtful_groups) groups_[id].removed = true;
  for (auto at = groups_.begin(); at != groups_.end();) {
    auto& [id, group] = *at;
    bool there = true;
    // A delta brings pieces of a group, perhaps old ones: only the group itself says what is true now.
    if (!is_full() || group.ask || group.removed || !group.is_known) {
      const auto found = read_whole(id, group);
      if (!found) return fail(found.error(), "reading group {}", id);
      there = *found;
    } else if (group.parsed.hides_members && group.members.empty()) {
      if (auto ok = see_hidden(id, group); !ok) return fail(ok.error(), "reading group {}", id);
    }
    // Looked at twice already: then it is there.
    if (there && group.removed && (is_full() || !from_->doubtful_groups.contains(id))) to_.doubtful_groups.insert(id);
    if (!there && !is_full()) dropped_.push_back({id});
    at = there ? std::next(at) : groups_.erase(at);
  }
  return {};
}

Result<void> Reading::take_group(const Json& object) {
  const auto id = text_at(object, "id");
  if (id.empty()) {
    ++without_id_;
    return {};
  }
  auto& group = groups_[id];
  if (is_removed(object)) {
    group.removed = true;
    return {};
  }
  if (!is_full()) return {};  // it will be read whole
  if (object.contains("displayName")) {
    auto parsed = parse_group(object);
    const bool same = parsed.record.name == group.parsed.record.name && parsed.record.description == group.parsed.record.description;
    if (group.is_known && !same) group.ask = true;  // two versions: which is the newer one?
    group.parsed = std::move(parsed);
    group.is_known = true;
  }
  const auto members = object.find("members@delta");
  if (members == object.end() || !members->is_array()) return {};
  for (const auto& member : *members) {
    if (is_removed(member))
      group.ask = true;  // left while the walk went on; the piece that names him as a member may still come
    else
      group.members.add(member);
  }
  return {};
}

Result<bool> Reading::read_whole(const std::string& id, Collected& group) {
  const auto object = graph_.object(PrincipalType::Group, id, kGroupProperties);
  if (!object) return fail(object.error());
  if (object->is_null()) return false;
  group.parsed = parse_group(*object);
  group.is_known = true;
  group.members.clear();
  const auto listed =
      graph_.list(graph_.url(fmt::format("/groups/{}/members?$select=id&$top=999", http::percent_encoded(id))), [&](const Json& member) {
        group.members.add(member);
        return Result<void>();
      });
  if (listed) return true;
  if (listed.error().code == Errc::NotFound) return false;
  if (listed.error().code != Errc::Forbidden || !group.parsed.hides_members) return fail(listed.error());
  group.hidden = true;
  return true;
}

/// No members in the delta of such a group: none, or none that this client is shown?
Result<void> Reading::see_hidden(const std::string& id, Collected& group) {
  const auto where = graph_.url(fmt::format("/groups/{}/members?$select=id&$top=1", http::percent_encoded(id)));
  const auto answer = graph_.get(where);
  if (!answer) return fail(answer.error());
  if (answer->status != 200 && answer->status != 403 && answer->status != 404) return tl::unexpected(Graph::refusal(*answer, where));
  group.hidden = answer->status == 403;
  return {};
}

Result<void> Reading::deliver_groups() {
  for (auto& [id, group] : groups_) {
    if (auto ok = deliver_group(group); !ok) return ok;
    group.members.clear();
  }
  return {};
}

Result<void> Reading::deliver_group(Collected& group) {
  const auto& [record, trouble, hides] = group.parsed;
  // Members of unknown kind find nobody who is not in this feed.
  if (!is_full() && group.members.has_unknown_kinds())
    return fail(Errc::CursorExpired, "members of {} came without their kind", record.entry);
  if (!trouble.empty() || group.hidden) {
    const SkippedRecord skipped{
        .type = PrincipalType::Group,
        .id = record.id,
        .entry = record.entry,
        .reason =
            fmt::format("{} {}", record.entry, trouble.empty() ? "hides its members; grant the application Member.Read.Hidden" : trouble)};
    return sink_.skipped(skipped) ? Result<void>() : told_to_stop();
  }
  delivered_ = true;
  if (!sink_.group(record)) return told_to_stop();
  if (!group.members.each_piece([&](std::span<const Reference> piece) { return sink_.members(piece); })) return told_to_stop();
  return sink_.end_group(true) ? Result<void>() : told_to_stop();
}

// Users

Result<void> Reading::deliver_users() {
  const auto nothing = graph_.url(fmt::format("/users/delta?$select={}", kUserProperties));
  auto link = graph_.delta(is_full() ? nothing : from_->users, [&](const Json& object) { return take_user(object); });
  if (!link) return fail(link.error());
  to_.users = std::move(*link);
  if (!is_full()) removed_.insert(from_->doubtful_users.begin(), from_->doubtful_users.end());
  return look_up_users();
}

Result<void> Reading::take_user(const Json& object) {
  const auto id = text_at(object, "id");
  if (id.empty()) {
    ++without_id_;
    return {};
  }
  if (is_removed(object)) {
    removed_.insert(id);
    return {};
  }
  if (is_full()) {
    if (!users_seen_.insert(hash_(id)).second || !says_enough(object)) {
      ask_.insert(id);
      return {};
    }
    return deliver_user(object);
  }
  const auto [known, is_new] = users_.try_emplace(id, object);
  // Two versions of one, or a part of one: which is true now is asked.
  if ((!is_new && known->second != object) || !says_all(object)) ask_.insert(id);
  return {};
}

Result<void> Reading::look_up_users() {
  ask_.insert(removed_.begin(), removed_.end());
  for (const auto& [id, object] : users_)
    if (!ask_.contains(id))
      if (auto ok = deliver_user(object); !ok) return ok;
  users_.clear();
  const std::vector<std::string> ids(ask_.begin(), ask_.end());
  const auto found = [&](const Json& object) -> Result<void> {
    const auto id = text_at(object, "id");
    if (removed_.contains(id) && (is_full() || !from_->doubtful_users.contains(id))) to_.doubtful_users.insert(id);
    return deliver_user(object);
  };
  return graph_.objects(PrincipalType::User, ids, kUserProperties, found, [&](const std::string& id) {
    if (!is_full())
      dropped_.push_back({id});
    else if (users_seen_.contains(hash_(id)))
      to_.doubtful_users.insert(id);  // delivered before he went: the next read drops him
  });
}

Result<void> Reading::deliver_user(const Json& object) {
  const auto parsed = parse_user(object);
  delivered_ = true;
  if (parsed.trouble.empty()) return sink_.user(parsed.record) ? Result<void>() : told_to_stop();
  const SkippedRecord skipped{.type = PrincipalType::User,
                              .id = parsed.record.id,
                              .entry = parsed.record.entry,
                              .reason = parsed.record.entry + " " + parsed.trouble};
  return sink_.skipped(skipped) ? Result<void>() : told_to_stop();
}

}  // namespace rosterd::connectors::oidc::entra
