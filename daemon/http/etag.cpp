#include "daemon/http/etag.hpp"

#include <nlohmann/json.hpp>

#include "daemon/http/json.hpp"
#include "schema/core/hash.hpp"

namespace rosterd::http {

using nlohmann::json;

std::string etag_of(std::string_view document) {
  const auto hash = sha256(document);
  return fmt::format("\"{}\"", hex({hash.data(), 12}));
}

std::string etag(const Account& account) {
  return etag_of(dump(json{text(account.id), account.email, account.first_name, account.last_name, account.enabled, account.preferences}));
}

std::string etag(const User& user) {
  return etag_of(dump(json{text(PrincipalType::User, user.id), user.username, user.email ? json(*user.email) : json(nullptr),
                           user.first_name, user.last_name, user.admin_suspended}));
}

std::string etag(const Group& group) { return etag_of(dump(json{text(PrincipalType::Group, group.id), group.name, group.description})); }

std::string etag(const Role& role) { return etag_of(dump(json{text(role.id), role.name, role.description, role.permissions})); }

std::string etag(const ServiceAccount& account) {
  return etag_of(dump(json{text(PrincipalType::ServiceAccount, account.id), account.name, account.description, account.enabled}));
}

std::string etag(const std::vector<Principal>& members) {
  auto list = json::array();
  for (const auto& member : members) list.push_back(text(member));
  return etag_of(dump(list));
}

Result<void> matches(std::string_view if_match, std::string_view current) {
  if (if_match.empty()) return {};
  while (!if_match.empty()) {
    const auto comma = if_match.find(',');
    auto one = if_match.substr(0, comma);
    while (one.starts_with(' ')) one.remove_prefix(1);
    while (one.ends_with(' ')) one.remove_suffix(1);
    if (one == "*" || one == current) return {};  // a weak one, W/"…", never matches
    if_match = comma == std::string_view::npos ? std::string_view{} : if_match.substr(comma + 1);
  }
  return fail_as("stale_version", Errc::Conflict, "it has been changed meanwhile (now {}): read it again, then decide", current);
}

}  // namespace rosterd::http
