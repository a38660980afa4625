#include "schema/postgres/rows.hpp"

#include <charconv>
#include <nlohmann/json.hpp>

#include "schema/core/hash.hpp"

namespace rosterd::postgres {

using nlohmann::json;

const std::string_view kAccountColumns =
    "a.account_id, a.email, a.first_name, a.last_name, a.enabled::int, a.super_admin::int, micros(a.created_at), "
    "(a.password_hash IS NOT NULL)::int, a.must_change_password::int, a.preferences, "
    "(SELECT micros(l.locked_until) FROM sign_in_attempt l WHERE l.email = a.email AND l.locked_until > now())";
Account read_account(Row& row) {
  Account out;
  out.id = row.id<AccountId>();
  out.email = row.text();
  out.first_name = row.text();
  out.last_name = row.text();
  out.enabled = row.flag();
  out.super_admin = row.flag();
  out.created_at = row.time();
  out.has_password = row.flag();
  out.must_change_password = row.flag();
  out.preferences = row.text();
  out.locked_until = row.maybe_time();
  return out;
}

const std::string_view kTenantColumns = "id, name, enabled::int, micros(created_at), coalesce(created_by, 0), epoch, revision";
Tenant read_tenant(Row& row) {
  Tenant out;
  out.id = TenantId{row.text()};
  out.name = row.text();
  out.enabled = row.flag();
  out.created_at = row.time();
  if (const auto by = row.maybe_id<AccountId>()) out.created_by = text(*by);
  out.revision.epoch = static_cast<std::uint32_t>(row.number());
  out.revision.number = static_cast<std::uint64_t>(row.number());
  return out;
}

const std::string_view kTokenColumns =
    "k.token_id, k.name, k.description, k.last4, micros(k.created_at), micros(k.expires_at), micros(k.last_used_at), k.sliding::int";
TokenInfo read_token(Row& row) {
  TokenInfo out;
  out.id = row.id<TokenId>();
  out.name = row.text();
  out.description = row.text();
  out.last4 = row.text();
  out.created_at = row.time();
  out.expires_at = row.maybe_time();
  out.last_used_at = row.maybe_time();
  out.sliding = row.flag();
  return out;
}

const std::string_view kSourceColumns =
    "s.source_id, s.name, s.type, s.enabled::int, s.settings, s.interval_ms, s.full_every_ms, s.live::int, s.guard_percent, s.guard_floor, "
    "s.guard_ceiling, s.role_mappings, s.version, micros(s.created_at)";
Source read_source(Row& row) {
  Source out;
  out.id = row.id<SourceId>();
  out.name = row.text();
  out.type = row.text();
  out.enabled = row.flag();
  out.settings = row.text();
  out.schedule.interval = Millis(row.number());
  out.schedule.full_every = Millis(row.number());
  out.schedule.live = row.flag();
  out.guard.percent = row.real();
  out.guard.floor = static_cast<std::uint32_t>(row.number());
  out.guard.ceiling = static_cast<std::uint32_t>(row.number());
  for (const auto& mapping : json::parse(row.text()))
    out.role_mappings.push_back({.group = mapping.at("group").get<std::string>(),
                                 .role = mapping.at("role").get<std::string>(),
                                 .ns = mapping.at("ns").is_null() ? std::nullopt : std::optional(mapping.at("ns").get<std::string>())});
  out.version = static_cast<std::uint64_t>(row.number());
  out.created_at = row.time();
  return out;
}

const std::string_view kStateColumns =
    "st.cursor, st.cursor_fingerprint, st.scope_fingerprint, st.learnt, micros(st.last_complete_read), st.failures";
SourceState read_state(Row& row) {
  SourceState out;
  out.cursor = row.text();
  out.cursor_fingerprint = row.text();
  out.scope_fingerprint = row.text();
  out.learnt = row.text();
  out.last_complete_read = row.maybe_time();
  out.failures = static_cast<std::uint32_t>(row.number());
  return out;
}

const std::string_view kRunColumns =
    "r.run_id, r.source_id, r.source_name, r.mode, r.dry_run::int, r.trigger, r.requested_by, r.outcome, r.reason, r.detail, "
    "r.cursor_kind, "
    "r.plan_hash, r.plan_counts, r.notices, r.complete::int, micros(r.queued_at), micros(r.started_at), micros(r.finished_at), "
    "micros(r.approval_expires_at), r.epoch, r.revision, r.progress";
Run read_run(Row& row) {
  Run out;
  out.id = row.id<RunId>();
  out.source = row.id<SourceId>();
  out.source_name = row.text();
  out.mode = static_cast<RunMode>(row.number());
  out.dry_run = row.flag();
  out.trigger = static_cast<RunTrigger>(row.number());
  out.requested_by = row.text();
  out.outcome = static_cast<Outcome>(row.number());
  out.reason = row.text();
  out.detail = row.text();
  out.cursor_kind = row.text();
  auto hash = row.text();
  const auto counts = row.text();
  if (!hash.empty()) out.plan = PlanInfo{.hash = std::move(hash), .counts = counts_from_json(json::parse(counts))};
  for (const auto& notice : json::parse(row.text()))
    out.notices.push_back({.code = notice.at("code").get<std::string>(),
                           .text = notice.at("text").get<std::string>(),
                           .count = notice.at("count").get<std::uint64_t>()});
  out.complete = row.flag();
  out.queued_at = row.time();
  out.started_at = row.maybe_time();
  out.finished_at = row.maybe_time();
  out.approval_expires_at = row.maybe_time();
  const auto epoch = row.maybe_number();
  const auto revision = row.maybe_number();
  if (epoch && revision)
    out.revision = Revision{.epoch = static_cast<std::uint32_t>(*epoch), .number = static_cast<std::uint64_t>(*revision)};
  out.progress = row.text();
  return out;
}

const std::string_view kUserColumns =
    "u.id, u.username, u.email, u.first_name, u.last_name, u.admin_suspended::int, u.leaving, u.state_reason, u.source_id, u.external_id, "
    "u.entry, "
    "u.account_id, micros(u.created_at), micros(u.suspended_at)";
User read_user(Row& row) {
  User out;
  out.id = row.id<PrincipalId>();
  out.username = row.text();
  out.email = row.maybe_text();
  out.first_name = row.text();
  out.last_name = row.text();
  out.admin_suspended = row.flag();
  out.source_suspended = static_cast<Leaving>(row.number());
  out.state_reason = row.text();
  out.source = row.maybe_id<SourceId>();
  out.external_id = row.text();
  out.entry = row.text();
  out.account = row.maybe_id<AccountId>();
  out.created_at = row.time();
  out.suspended_at = row.maybe_time();
  return out;
}

const std::string_view kGroupColumns =
    "g.id, g.name, g.source_name, g.description, g.leaving, g.source_id, g.external_id, g.entry, "
    "(SELECT count(DISTINCT m.member_id) FROM membership m WHERE m.tenant_id = g.tenant_id AND m.group_id = g.id), micros(g.created_at)";
Group read_group(Row& row) {
  Group out;
  out.id = row.id<PrincipalId>();
  out.name = row.text();
  out.source_name = row.text();
  out.description = row.text();
  out.source_suspended = static_cast<Leaving>(row.number());
  out.source = row.maybe_id<SourceId>();
  out.external_id = row.text();
  out.entry = row.text();
  out.member_count = static_cast<std::uint64_t>(row.number());
  out.created_at = row.time();
  return out;
}

const std::string_view kRoleColumns = "role_id, name, description, managed::int, admin::int, permissions";
Role read_role(Row& row) {
  Role out;
  out.id = row.id<RoleId>();
  out.name = row.text();
  out.description = row.text();
  out.managed = row.flag();
  out.admin = row.flag();
  out.permissions = row.text();
  return out;
}

const std::string_view kBindingColumns =
    "b.binding_id, b.role_id, b.principal_type, b.principal_id, b.ns, micros(b.expires_at), b.source_id, micros(b.created_at), "
    "b.created_by";
Binding read_binding(Row& row) {
  Binding out;
  out.id = row.id<BindingId>();
  out.role = row.id<RoleId>();
  out.principal.type = static_cast<PrincipalType>(row.number());
  out.principal.id = row.id<PrincipalId>();
  out.ns = row.maybe_text();
  out.expires_at = row.maybe_time();
  out.source = row.maybe_id<SourceId>();
  out.created_at = row.time();
  out.created_by = row.text();
  return out;
}

std::string notices_text(const std::vector<Notice>& notices) {
  json out = json::array();
  for (const auto& notice : notices) out.push_back(to_json(notice));
  return out.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string mappings_text(const std::vector<RoleMapping>& mappings) {
  json out = json::array();
  for (const auto& mapping : mappings)
    out.push_back({{"group", mapping.group}, {"role", mapping.role}, {"ns", mapping.ns ? json(*mapping.ns) : json(nullptr)}});
  return out.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string object_text(std::initializer_list<std::pair<std::string_view, std::string_view>> fields) {
  json out = json::object();
  for (const auto& [key, value] : fields) out[std::string(key)] = value;
  return out.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::uint32_t page_limit(const PageRequest& page) { return std::clamp<std::uint32_t>(page.limit, 1, 1000); }

std::string cursor_text(std::string_view text, std::uint64_t id) {
  return fmt::format("{}.{}", id, hex({reinterpret_cast<const unsigned char*>(text.data()), text.size()}));
}

PagePlace parse_cursor(std::string_view cursor) {
  PagePlace place;
  if (cursor.empty()) return place;
  const auto wrong = [] { abort_with("", Errc::InvalidInput, "cursor: not one that this list has given out"); };
  const auto dot = cursor.find('.');
  if (dot == std::string_view::npos) wrong();
  const auto [end, problem] = std::from_chars(cursor.data(), cursor.data() + dot, place.id);
  if (problem != std::errc{} || end != cursor.data() + dot || place.id > INT64_MAX) wrong();
  const auto digits = cursor.substr(dot + 1);
  if (digits.size() % 2 != 0) wrong();
  for (std::size_t i = 0; i < digits.size(); i += 2) {
    unsigned char byte = 0;
    const auto [at, bad] = std::from_chars(digits.data() + i, digits.data() + i + 2, byte, 16);
    if (bad != std::errc{} || at != digits.data() + i + 2 || byte == 0) wrong();
    place.text += static_cast<char>(byte);
  }
  return place;
}

}  // namespace rosterd::postgres
