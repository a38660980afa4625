#include "schema/model/audit.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace rosterd {
namespace {

using nlohmann::json;

json text_or_null(const std::string& text) { return text.empty() ? json(nullptr) : json(text); }

/// What was written down as JSON; a text that is none is shown as it is.
json document(const std::string& from) {
  if (from.empty()) return nullptr;
  auto parsed = json::parse(from, nullptr, false);
  return parsed.is_discarded() ? json(from) : parsed;
}

}  // namespace

std::string_view name_of(AuditActor::Type type) {
  switch (type) {
    case AuditActor::Type::Account:
      return "account";
    case AuditActor::Type::ServiceAccount:
      return "service_account";
    case AuditActor::Type::User:
      return "user";
    case AuditActor::Type::Run:
      return "run";
    case AuditActor::Type::Rosterd:
      return "rosterd";
  }
  return "";
}

std::string text(const AuditEntry& entry) { return entry.seq == 0 ? text(entry.id) : fmt::format("{}.{}", text(entry.id), entry.seq); }

json to_json(const AuditEntry& entry) {
  return {{"id", text(entry)},
          {"at", rfc3339(entry.at)},
          {"tenant", entry.tenant ? json(entry.tenant->value) : json(nullptr)},
          {"actor", {{"type", name_of(entry.actor.type)}, {"id", text_or_null(entry.actor.id)}, {"name", text_or_null(entry.actor.name)}}},
          {"by", text_or_null(entry.by)},
          {"ip", text_or_null(entry.ip)},
          {"request_id", text_or_null(entry.request_id)},
          {"action", entry.action},
          {"object",
           {{"type", text_or_null(entry.object_type)}, {"id", text_or_null(entry.object_id)}, {"name", text_or_null(entry.object_name)}}},
          {"before", document(entry.before)},
          {"after", document(entry.after)},
          {"reason", text_or_null(entry.reason)},
          {"run", entry.run ? json(text(*entry.run)) : json(nullptr)},
          {"revision", entry.revision ? json(text(*entry.revision)) : json(nullptr)}};
}

}  // namespace rosterd
