#include "connectors/oidc/keycloak/keycloak.hpp"

#include <unordered_set>

#include "connectors/http/url.hpp"
#include "connectors/oidc/keycloak/events.hpp"
#include "connectors/oidc/keycloak/reader.hpp"

namespace rosterd::connectors::oidc::keycloak {
namespace {

using Json = nlohmann::json;

class Keycloak final : public Dialect {
 public:
  explicit Keycloak(const Settings& settings) : realm_(settings) {}

  Result<FeedEnd> read(Api& api, const Cursor& from, FeedSink& sink) override;
  Result<Presence> verify(Api& api, PrincipalType type, std::span<const ExternalId> ids) override;
  Result<std::optional<std::size_t>> still_listed(Api& api, std::span<const Unlisted> groups) override;
  void test(Api& api, std::vector<Finding>& findings) override;

 private:
  [[nodiscard]] Result<bool> lists_any(Api& api, const Unlisted& group) const;
  void test_users(Api& api, std::vector<Finding>& findings) const;
  void test_groups(Api& api, std::vector<Finding>& findings) const;

  Realm realm_;
};

Result<FeedEnd> Keycloak::read(Api& api, const Cursor& from, FeedSink& sink) {
  if (!from.value.empty()) return read_changes(api, realm_, from, sink);
  // Before the walk: what happens meanwhile is read again next time.
  const auto now = position(api, realm_);
  if (!now && now.error().code == Errc::Stopped) return fail(now.error());
  FullRead full(api, realm_, sink);
  auto end = full.run();
  if (end && end->proof.complete() && now && !full.federated()) end->to = now->cursor;
  return end;
}

Result<Presence> Keycloak::verify(Api& api, PrincipalType type, std::span<const ExternalId> ids) {
  return verify_each(ids, [&](const ExternalId& id) -> Result<Present> {
    const auto url = type == PrincipalType::User ? realm_.user(id.value) : realm_.group(id.value);
    const auto answer = api.get(url);
    if (!answer) return fail(answer.error());
    if (answer->status == 404) return Present::Gone;
    if (answer->status != 200 || id_of(answer->json) != id.value) return tl::unexpected(Api::refusal(*answer, url));
    if (type == PrincipalType::Group) return realm_.selects(parse_group(answer->json, nullptr)) ? Present::InScope : Present::OutOfScope;
    const auto selected = realm_.selects_user(api, answer->json);
    if (!selected) return fail(selected.error());
    return *selected ? Present::InScope : Present::OutOfScope;
  });
}

Result<bool> Keycloak::lists_any(Api& api, const Unlisted& asked) const {
  std::unordered_set<std::string> wanted;
  for (const auto& member : asked.members) wanted.insert(member.value);
  bool found = false;
  const auto look = [&](const Json& item) -> Result<void> {
    found |= wanted.contains(id_of(item));
    return {};
  };
  for (const auto& url : {realm_.members(asked.group.value), realm_.children(asked.group.value)}) {
    Walk walk(api, url, realm_.page_size());
    const auto walked = walk.run(look);
    if (found) return true;
    if (!walked && walked.error().code == Errc::NotFound) return false;
    if (!walked) return fail(walked.error());
  }
  return false;
}

Result<std::optional<std::size_t>> Keycloak::still_listed(Api& api, std::span<const Unlisted> groups) {
  for (std::size_t at = 0; at < groups.size(); ++at) {
    const auto listed = lists_any(api, groups[at]);
    if (!listed) return fail(listed.error());
    if (*listed) return at;
  }
  return std::nullopt;
}

void add(std::vector<Finding>& findings, std::string_view step, bool good, std::string text) {
  findings.push_back({.step = std::string(step), .good = good, .text = std::move(text)});
}

void Keycloak::test_users(Api& api, std::vector<Finding>& findings) const {
  const auto count = realm_.count_users(api);
  if (!count && count.error().code == Errc::Forbidden)
    return add(findings, "users", false,
               "the client may not see users: give its service account the role view-users of the client realm-management");
  if (!count) return add(findings, "users", false, count.error().what);
  const auto url = http::with_query(http::with_query(realm_.users(), "first", "0"), "max", "1");
  const auto list = api.get_ok(url);
  if (!list) return add(findings, "users", false, list.error().what);
  if (!list->json.is_array() || list->json.empty())
    return add(findings, "users", false,
               *count == 0
                   ? fmt::format("the realm has no users{}", realm_.filters_users() ? " that pass the filter" : "")
                   : fmt::format("the realm counts {} users and lists none: give the client's service account the role view-users of "
                                 "the client realm-management (query-users alone shows nobody)",
                                 *count));
  const auto user = parse_user(list->json.front());
  if (!user.trouble.empty()) return add(findings, "users", false, user.record.entry + " " + user.trouble);
  add(findings, "users", true,
      fmt::format("1 of {}: {} is {} {} <{}>{}", *count, user.record.username, user.record.first_name, user.record.last_name,
                  user.record.email.value_or("no e-mail"), user.record.enabled ? "" : ", disabled"));
  add(findings, "stable id", !user.record.id.value.empty(), user.record.id.value.empty() ? "users have no id" : "id can be read");
}

void Keycloak::test_groups(Api& api, std::vector<Finding>& findings) const {
  constexpr std::string_view kRole =
      "the client may not see groups: give its service account the role view-users of the client realm-management";
  Group group;
  if (realm_.filters_groups()) {
    auto found = realm_.filtered_group(api);
    if (!found) return add(findings, "groups", false, found.error().what);
    group = std::move(*found);
  } else {
    const auto list = api.get_ok(http::with_query(http::with_query(realm_.groups(), "first", "0"), "max", "1"));
    if (!list && list.error().code == Errc::Forbidden) return add(findings, "groups", false, std::string(kRole));
    if (!list) return add(findings, "groups", false, list.error().what);
    if (!list->json.is_array() || list->json.empty()) return add(findings, "groups", true, "the realm has no groups");
    group = parse_group(list->json.front(), nullptr);
  }
  const auto members = api.get_ok(http::with_query(realm_.members(group.id), "max", "1"));
  if (!members && members.error().code == Errc::Forbidden) return add(findings, "groups", false, std::string(kRole));
  if (!members) return add(findings, "groups", false, members.error().what);
  const auto count = realm_.count_groups(api).value_or(std::nullopt);
  add(findings, "groups", true,
      fmt::format("1{}: {} with {} groups below it, members can be read", count ? fmt::format(" of {}", *count) : "", group.path,
                  group.children.value_or(0)));
}

void Keycloak::test(Api& api, std::vector<Finding>& findings) {
  const auto realm = api.get(realm_.url());
  if (!realm) return add(findings, "realm", false, realm.error().what);
  if (realm->status == 404)
    return add(findings, "realm", false,
               fmt::format("there is no realm at {}; is the issuer right, or does api_url say otherwise?", realm_.url()));
  if (realm->status == 403)
    return add(findings, "realm", false,
               "the client may see nothing of the realm: switch \"Service accounts roles\" on, and give its service account the role "
               "view-users of "
               "the client realm-management");
  if (realm->status != 200) return add(findings, "realm", false, Api::refusal(*realm, realm_.url()).what);
  add(findings, "realm", true, fmt::format("{} can be read", realm_.url()));
  test_users(api, findings);
  if (realm_.with_groups()) test_groups(api, findings);
  const auto now = position(api, realm_);
  if (!now) return add(findings, "events", true, "every run reads everything: " + now.error().what);
  add(findings, "events", true,
      now->why_none.empty() ? std::string("what changed is read by the realm's events, everything once a day")
                            : "every run reads everything: " + now->why_none);
}

}  // namespace

std::string api_url(const std::string& issuer) {
  // A path before /realms is kept: "https://host/auth/realms/acme" of older releases and of proxies.
  const auto at = issuer.rfind("/realms/");
  if (at == std::string::npos || issuer.find('/', at + 8) != std::string::npos || at + 8 == issuer.size()) return {};
  return issuer.substr(0, at) + "/admin" + issuer.substr(at);
}

Result<void> check(const Settings& settings) {
  if (const auto filter = parse_user_filter(settings.user_filter); !filter)
    return fail(Errc::InvalidInput, "/users/filter: {}", filter.error().what);
  const auto& branch = settings.group_filter;
  if (!branch.empty() && (!branch.starts_with('/') || branch.ends_with('/')))
    return fail(Errc::InvalidInput, "/groups/filter: must be the path of a group, as \"/company/team\"; it and all below it are read");
  return {};
}

std::unique_ptr<Dialect> make(const Settings& settings, const ConnectorOptions&, std::string_view) {
  return std::make_unique<Keycloak>(settings);
}

}  // namespace rosterd::connectors::oidc::keycloak
