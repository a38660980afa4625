#include "daemon/http/render.hpp"

namespace rosterd::http {

using nlohmann::json;

Reply decided(const Call& call, std::string body) {
  Reply out;
  out.body = std::move(body);
  const auto& published = call.published;
  if (!published) return out;
  out.revision = published->snapshot->revision();
  const auto age = std::chrono::duration_cast<Millis>(std::chrono::steady_clock::now() - published->seen);
  out.headers.emplace_back("Rosterd-Snapshot-Age", std::to_string(std::max<std::int64_t>(0, age.count())));
  return out;
}

json to_json(const Tenant& tenant) {
  return {{"id", tenant.id.value},
          {"name", tenant.name},
          {"enabled", tenant.enabled},
          {"created_at", rfc3339(tenant.created_at)},
          {"created_by", text_or_null(tenant.created_by)},
          {"revision", text(tenant.revision)}};
}

json to_json(const Account& account) {
  return {{"id", text(account.id)},
          {"email", account.email},
          {"first_name", text_or_null(account.first_name)},
          {"last_name", text_or_null(account.last_name)},
          {"enabled", account.enabled},
          {"super_admin", account.super_admin},
          {"has_password", account.has_password},
          {"must_change_password", account.must_change_password},
          {"locked_until", time_or_null(account.locked_until)},
          {"preferences", json::parse(account.preferences, nullptr, false)},
          {"created_at", rfc3339(account.created_at)}};
}

json to_json(const TokenInfo& token) {
  return {{"id", text(token.id)},
          {"name", token.name},
          {"description", text_or_null(token.description)},
          {"last4", token.last4},
          {"created_at", rfc3339(token.created_at)},
          {"expires_at", time_or_null(token.expires_at)},
          {"last_used_at", time_or_null(token.last_used_at)},
          {"sliding", token.sliding}};
}

json to_json(const User& user) {
  return {{"id", text(PrincipalType::User, user.id)},
          {"username", user.username},
          {"email", user.email ? json(*user.email) : json(nullptr)},
          {"first_name", text_or_null(user.first_name)},
          {"last_name", text_or_null(user.last_name)},
          {"state", user.active() ? "active" : "suspended"},
          {"state_reason", text_or_null(user.state_reason)},
          {"suspended_by",
           {{"administrator", user.admin_suspended},
            {"source", user.source_suspended == Leaving::None ? json(nullptr) : json(name_of(user.source_suspended))}}},
          {"origin", origin(user.source)},
          {"external_id", text_or_null(user.external_id)},
          {"entry", text_or_null(user.entry)},
          {"account", user.account ? json(text(*user.account)) : json(nullptr)},
          {"created_at", rfc3339(user.created_at)},
          {"suspended_at", time_or_null(user.suspended_at)}};
}

json to_json(const Group& group) {
  return {{"id", text(PrincipalType::Group, group.id)},
          {"name", group.name},
          {"source_name", text_or_null(group.source_name)},
          {"description", text_or_null(group.description)},
          {"state", group.source_suspended == Leaving::None ? "active" : "suspended"},
          {"state_reason", group.source_suspended == Leaving::None ? json(nullptr) : json(name_of(group.source_suspended))},
          {"origin", origin(group.source)},
          {"external_id", text_or_null(group.external_id)},
          {"entry", text_or_null(group.entry)},
          {"member_count", group.member_count},
          {"created_at", rfc3339(group.created_at)}};
}

json to_json(const Member& member) {
  return {{"type", name_of(member.principal.type)},
          {"id", text(member.principal)},
          {"name", member.name},
          {"state", member.active ? "active" : "suspended"},
          {"origin", origin(member.source)}};
}

}  // namespace rosterd::http
