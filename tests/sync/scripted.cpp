#include "tests/sync/scripted.hpp"

namespace rosterd::test {

using connectors::Present;

UserRecord ScriptedDirectory::person(const std::string& id, const std::string& username) {
  UserRecord out;
  out.id = {id};
  out.username = username.empty() ? id : username;
  out.email = out.username + "@acme.test";
  out.first_name = out.username;
  out.last_name = "Test";
  out.entry = "uid=" + out.username + ",ou=people,dc=acme";
  out.references = {"id:" + id};
  return out;
}

ScriptedGroup ScriptedDirectory::team(const std::string& id, std::vector<std::string> member_ids) {
  ScriptedGroup out;
  out.record = {.id = {id}, .name = id, .description = {}, .entry = "cn=" + id + ",ou=groups,dc=acme", .references = {"id:" + id}};
  for (const auto& member : member_ids) out.members.push_back("id:" + member);
  return out;
}

void ScriptedDirectory::clear() {
  users.clear();
  groups.clear();
  skipped.clear();
  hidden.clear();
  presence.clear();
  renamed.clear();
  unreadable.clear();
  broken.reset();
  read_error.reset();
  verify_error.reset();
  listed_error.reset();
  end.reset();
  cursor.clear();
  refuses_cursors = false;
  before_end = nullptr;
}

Result<connectors::FeedEnd> ScriptedConnector::read(const connectors::Cursor& from, connectors::FeedSink& sink, std::stop_token stop) {
  ++directory_.reads;
  directory_.asked_from.push_back(from.value);
  const auto cut = [] { return fail(Errc::Stopped, "told to stop"); };
  if (directory_.read_error) return fail(*directory_.read_error);
  if (directory_.refuses_cursors && !from.value.empty())
    return fail(Errc::CursorExpired, "this server has never given the cursor {}", from.value);
  sink.phase("reading users");
  for (const auto& user : directory_.users)
    if (!directory_.hidden.contains(user.id.value) && (stop.stop_requested() || !sink.user(user))) return cut();
  for (const auto& record : directory_.skipped)
    if (!sink.skipped(record)) return cut();
  sink.phase("reading groups");
  for (const auto& group : directory_.groups) {
    if (directory_.hidden.contains(group.record.id.value)) continue;
    if (stop.stop_requested() || !sink.group(group.record)) return cut();
    // In pieces, as ranges come.
    for (std::size_t at = 0; at < group.members.size(); at += 1500)
      if (!sink.members(std::span(group.members).subspan(at, std::min<std::size_t>(1500, group.members.size() - at)))) return cut();
    if (!sink.end_group(group.complete)) return cut();
  }
  if (directory_.before_end) directory_.before_end(stop);
  if (stop.stop_requested()) return cut();
  if (directory_.end) return *directory_.end;
  connectors::FeedEnd end;
  end.to = {directory_.cursor};
  end.proof.evidence.push_back({.what = "users and groups", .good = true, .detail = {}});
  if (directory_.broken) {
    end.proof.evidence.push_back({.what = "final result", .good = false, .detail = *directory_.broken});
    end.absence = connectors::KeepAbsent{};
  } else {
    end.absence = connectors::KeepOnly{};
  }
  return end;
}

Result<connectors::Presence> ScriptedConnector::verify(PrincipalType type, std::span<const ExternalId> ids, std::stop_token) {
  if (directory_.verify_error) return fail(*directory_.verify_error);
  connectors::Presence out;
  for (const auto& id : ids) {
    ++directory_.verified;
    if (const auto said = directory_.presence.find(id.value); said != directory_.presence.end()) {
      out.of.push_back(said->second);
      if (said->second == Present::Unknown) out.trouble = "the server is busy";
      continue;
    }
    bool there = false;
    if (type == PrincipalType::User)
      for (const auto& user : directory_.users) there = there || user.id == id;
    else
      for (const auto& group : directory_.groups) there = there || group.record.id == id;
    out.of.push_back(there ? Present::InScope : Present::Gone);
  }
  return out;
}

Result<std::optional<std::size_t>> ScriptedConnector::still_listed(std::span<const connectors::Unlisted> groups, std::stop_token) {
  if (directory_.listed_error) return fail(*directory_.listed_error);
  const auto names = [&](const std::string& id) -> std::vector<Reference> {
    if (const auto now = directory_.renamed.find(id); now != directory_.renamed.end()) return {now->second};
    for (const auto& user : directory_.users)
      if (user.id.value == id) return user.references;
    for (const auto& group : directory_.groups)
      if (group.record.id.value == id) return group.record.references;
    return {};
  };
  std::optional<std::size_t> first;
  for (std::size_t at = 0; at < groups.size(); ++at)
    for (const auto& member : groups[at].members) {
      ++directory_.asked;
      for (const auto& group : directory_.groups)
        for (const auto& name : names(member.value))
          if (!first && group.record.id == groups[at].group &&
              std::find(group.members.begin(), group.members.end(), name) != group.members.end())
            first = at;
    }
  return first;
}

Result<bool> ScriptedConnector::readable(std::string_view entry, std::stop_token) {
  return !directory_.unreadable.contains(std::string(entry));
}

std::string ScriptedConnector::container_of(std::string_view entry) const {
  const auto comma = entry.find(',');
  return comma == std::string_view::npos ? std::string() : std::string(entry.substr(comma + 1));
}

}  // namespace rosterd::test
