#include <cmath>
#include <nlohmann/json.hpp>

#include "schema/core/text.hpp"
#include "schema/model/sync.hpp"

namespace rosterd {
namespace {

using nlohmann::json;

/// A stored JSON text as JSON; a text that is none (nobody writes one) is shown as it is, since "discarded" would spoil the whole answer.
json document_or_text(const std::string& from) {
  if (from.empty()) return nullptr;
  auto parsed = json::parse(from, nullptr, false);
  return parsed.is_discarded() ? json(from) : parsed;
}

json time_or_null(const std::optional<TimePoint>& time) { return time ? json(rfc3339(*time)) : json(nullptr); }

/// The kinds a principal can go through, in the order they are shown.
constexpr ChangeKind kPrincipalKinds[] = {ChangeKind::Added,   ChangeKind::Changed, ChangeKind::Suspended,
                                          ChangeKind::Resumed, ChangeKind::Purged,  ChangeKind::Skipped};

json kinds_to_json(const std::array<std::uint64_t, kChangeKinds>& kinds) {
  json out = json::object();
  for (const auto kind : kPrincipalKinds) out[std::string(name_of(kind))] = kinds[static_cast<std::size_t>(kind)];
  return out;
}

void kinds_from_json(const json& from, std::array<std::uint64_t, kChangeKinds>& kinds) {
  for (const auto kind : kPrincipalKinds) kinds[static_cast<std::size_t>(kind)] = from.value(std::string(name_of(kind)), std::uint64_t{0});
}

/// Collects every problem of one JSON document, so that they are reported together.
class Problems {
 public:
  void add(std::string path, std::string text) { all_ += (all_.empty() ? "" : "; ") + path + ": " + text; }
  [[nodiscard]] bool none() const { return all_.empty(); }
  [[nodiscard]] tl::unexpected<Error> error() const { return fail(Errc::InvalidInput, "{}", all_); }

 private:
  std::string all_;
};

void read_duration(const json& value, const std::string& path, Millis least, Millis& out, Problems& problems) {
  if (!value.is_string()) return problems.add(path, "must be a duration such as \"15m\"");
  const auto parsed = parse_duration(value.get<std::string>());
  if (!parsed) return problems.add(path, parsed.error().what);
  if (*parsed < least) return problems.add(path, "must be at least " + duration_text(least));
  out = *parsed;
}

void read_count(const json& value, const std::string& path, std::uint32_t& out, Problems& problems) {
  if (!value.is_number_integer() || value.get<std::int64_t>() < 1 || value.get<std::int64_t>() > 1'000'000)
    return problems.add(path, "must be a whole number from 1 to 1000000 (the guard cannot be switched off)");
  out = value.get<std::uint32_t>();
}

}  // namespace

json to_json(const ChangeCounts& counts) {
  return {{"users", kinds_to_json(counts.users)},
          {"groups", kinds_to_json(counts.groups)},
          {"edges", {{"added", counts.edges_added}, {"removed", counts.edges_removed}}},
          {"bindings", {{"added", counts.bindings_added}, {"removed", counts.bindings_removed}}},
          {"users_read", counts.users_read},
          {"groups_read", counts.groups_read},
          {"dangling_members", counts.dangling_members}};
}

ChangeCounts counts_from_json(const json& from) {
  ChangeCounts out;
  if (from.contains("users")) kinds_from_json(from["users"], out.users);
  if (from.contains("groups")) kinds_from_json(from["groups"], out.groups);
  const auto number = [&](const char* object, const char* key) {
    return from.contains(object) ? from[object].value(key, std::uint64_t{0}) : std::uint64_t{0};
  };
  out.edges_added = number("edges", "added");
  out.edges_removed = number("edges", "removed");
  out.bindings_added = number("bindings", "added");
  out.bindings_removed = number("bindings", "removed");
  out.users_read = from.value("users_read", std::uint64_t{0});
  out.groups_read = from.value("groups_read", std::uint64_t{0});
  out.dangling_members = from.value("dangling_members", std::uint64_t{0});
  return out;
}

json to_json(const Notice& notice) { return {{"code", notice.code}, {"text", notice.text}, {"count", notice.count}}; }

json to_json(const Run& run) {
  json out = {{"id", text(run.id)},
              {"source", text(run.source)},
              {"source_name", run.source_name},
              {"mode", name_of(run.mode)},
              {"dry_run", run.dry_run},
              {"trigger", name_of(run.trigger)},
              {"outcome", name_of(run.outcome)},
              {"reason", run.reason.empty() ? json(nullptr) : json(run.reason)},
              {"detail", run.detail.empty() ? json(nullptr) : json(run.detail)},
              {"complete", run.complete},
              {"cursor_kind", run.cursor_kind.empty() ? json(nullptr) : json(run.cursor_kind)},
              {"queued_at", rfc3339(run.queued_at)},
              {"started_at", time_or_null(run.started_at)},
              {"finished_at", time_or_null(run.finished_at)},
              {"approval_expires_at", time_or_null(run.approval_expires_at)},
              {"requested_by", run.requested_by.empty() ? json(nullptr) : json(run.requested_by)},
              {"revision", run.revision ? json(text(*run.revision)) : json(nullptr)},
              {"plan", nullptr},
              {"counts", nullptr},
              {"notices", json::array()},
              {"progress", nullptr}};
  if (run.plan) {
    out["plan"] = {{"hash", run.plan->hash}, {"counts", to_json(run.plan->counts)}};
    out["counts"] = to_json(run.plan->counts);
  }
  for (const auto& notice : run.notices) out["notices"].push_back(to_json(notice));
  out["progress"] = document_or_text(run.progress);
  return out;
}

json to_json(const Change& change) {
  return {{"seq", change.seq},
          {"object",
           {{"type", name_of(change.type)},
            {"id", change.id.empty() ? json(nullptr) : json(change.id)},
            {"external_id", change.external_id.empty() ? json(nullptr) : json(change.external_id)},
            {"name", change.name}}},
          {"kind", name_of(change.kind)},
          {"before", document_or_text(change.before)},
          {"after", document_or_text(change.after)},
          {"reason", change.reason}};
}

json to_json(const RoleMapping& mapping) {
  return {{"group", mapping.group}, {"role", mapping.role}, {"namespace", mapping.ns ? json(*mapping.ns) : json(nullptr)}};
}

json to_json(const Schedule& schedule) {
  return {{"interval", duration_text(schedule.interval)}, {"full_every", duration_text(schedule.full_every)}, {"live", schedule.live}};
}

json to_json(const Guard& guard) { return {{"percent", guard.percent}, {"floor", guard.floor}, {"ceiling", guard.ceiling}}; }

json to_json(const Source& source) {
  json mappings = json::array();
  for (const auto& mapping : source.role_mappings) mappings.push_back(to_json(mapping));
  return {{"id", text(source.id)},
          {"name", source.name},
          {"type", source.type},
          {"enabled", source.enabled},
          {"schedule", to_json(source.schedule)},
          {"guard", to_json(source.guard)},
          {"role_mappings", std::move(mappings)},
          {"created_at", rfc3339(source.created_at)}};
}

Result<Schedule> schedule_from_json(const json& from) {
  Schedule out;
  Problems problems;
  if (!from.is_object()) return fail(Errc::InvalidInput, "schedule: must be an object such as {{\"interval\": \"15m\"}}");
  for (const auto& [key, value] : from.items()) {
    const auto path = "schedule." + key;
    if (key == "interval")
      read_duration(value, path, Millis(1000), out.interval, problems);
    else if (key == "full_every")
      read_duration(value, path, Millis(1000), out.full_every, problems);
    else if (key == "live") {
      if (value.is_boolean())
        out.live = value.get<bool>();
      else
        problems.add(path, "must be true or false");
    } else
      problems.add(path, "unknown field (known: interval, full_every, live)");
  }
  if (!problems.none()) return problems.error();
  return out;
}

Result<Guard> guard_from_json(const json& from) {
  Guard out;
  Problems problems;
  if (!from.is_object())
    return fail(Errc::InvalidInput, "guard: must be an object such as {{\"percent\": 5, \"floor\": 10, \"ceiling\": 500}}");
  for (const auto& [key, value] : from.items()) {
    const auto path = "guard." + key;
    if (key == "percent") {
      const double percent = value.is_number() ? value.get<double>() : -1;
      if (!(percent >= 0 && percent <= 50))
        problems.add(path, "must be a number from 0 to 50");
      else
        out.percent = percent;
    } else if (key == "floor")
      read_count(value, path, out.floor, problems);
    else if (key == "ceiling")
      read_count(value, path, out.ceiling, problems);
    else
      problems.add(path, "unknown field (known: percent, floor, ceiling)");
  }
  if (!problems.none()) return problems.error();
  return out;
}

Result<std::vector<RoleMapping>> role_mappings_from_json(const json& from) {
  std::vector<RoleMapping> out;
  Problems problems;
  if (!from.is_array()) return fail(Errc::InvalidInput, "role_mappings: must be a list");
  for (std::size_t i = 0; i < from.size(); ++i) {
    const auto path = fmt::format("role_mappings[{}]", i);
    const auto& item = from[i];
    if (!item.is_object()) {
      problems.add(path, "must be an object with group, role and optionally namespace");
      continue;
    }
    RoleMapping mapping;
    for (const auto& [key, value] : item.items()) {
      if (key == "namespace" && value.is_null()) continue;
      if (key != "group" && key != "role" && key != "namespace")
        problems.add(path + "." + key, "unknown field (known: group, role, namespace)");
      else if (!value.is_string() || value.get<std::string>().empty())
        problems.add(path + "." + key, "must be a text that is not empty");
      else if (key == "group")
        mapping.group = value.get<std::string>();
      else if (key == "role")
        mapping.role = value.get<std::string>();
      else
        mapping.ns = value.get<std::string>();
    }
    if (!item.contains("group")) problems.add(path, "group is missing");
    if (!item.contains("role")) problems.add(path, "role is missing");
    out.push_back(std::move(mapping));
  }
  if (!problems.none()) return problems.error();
  return out;
}

}  // namespace rosterd
