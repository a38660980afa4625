#include "connectors/oidc/entra/entra.hpp"

#include "connectors/http/url.hpp"
#include "connectors/oidc/entra/reading.hpp"

namespace rosterd::connectors::oidc::entra {
namespace {

using Json = nlohmann::json;

constexpr std::uint32_t kPageSize = 999;  // Graph's most

std::string_view properties(PrincipalType type) { return type == PrincipalType::User ? kUserProperties : kGroupProperties; }

class Entra final : public Dialect {
 public:
  explicit Entra(const Settings& settings) : settings_(settings) {}

  Result<FeedEnd> read(Api& api, const Cursor& from, FeedSink& sink) override;
  Result<Presence> verify(Api& api, PrincipalType type, std::span<const ExternalId> ids) override;
  Result<std::optional<std::size_t>> still_listed(Api& api, std::span<const Unlisted> groups) override;
  void test(Api& api, std::vector<Finding>& findings) override;

 private:
  [[nodiscard]] Graph graph(Api& api) const {
    return {api, settings_.api_url, settings_.page_size == 0 ? kPageSize : std::min(settings_.page_size, kPageSize)};
  }

  Settings settings_;
};

Result<FeedEnd> Entra::read(Api& api, const Cursor& from, FeedSink& sink) {
  const auto now = SystemClock().now();
  std::optional<Position> position;
  if (!from.value.empty()) {
    auto parsed = Position::parse(from.value, now);
    if (!parsed) return fail(parsed.error());
    if (settings_.groups && parsed->groups.empty()) return fail(Errc::CursorExpired, "the cursor was made without groups");
    // Its links carry the token: they must lead where the settings do.
    for (auto* link : {&parsed->users, &parsed->groups}) {
      if (link->empty()) continue;
      if (const auto ok = http::follow(settings_.api_url, *link); !ok) return fail(Errc::CursorExpired, "{}", ok.error().what);
    }
    position = std::move(*parsed);
  }
  Reading reading(graph(api), position ? &*position : nullptr, settings_.groups, sink);
  if (auto ok = reading.run(now); !ok) {
    auto error = ok.error();
    // There was no cursor to expire: the walk's own page was forgotten before it was followed.
    if (!position && error.code == Errc::CursorExpired) error.code = Errc::Unavailable;
    auto end = broken_off(error, reading.delivered(), "the read");
    if (end && position) end->cursor_kind = "delta";
    return end;
  }
  return std::move(reading).end();
}

Result<Presence> Entra::verify(Api& api, PrincipalType type, std::span<const ExternalId> ids) {
  std::vector<std::string> texts;
  for (const auto& id : ids) texts.push_back(id.value);
  std::map<std::string, Present> known;
  const auto told = graph(api).objects(
      type, texts, "id",
      [&](const Json& object) {
        known[text_at(object, "id")] = Present::InScope;
        return Result<void>();
      },
      [&](const std::string& id) { known[id] = Present::Gone; });
  if (!told && told.error().code == Errc::Stopped) return fail(told.error());
  Presence out;
  if (!told) out.trouble = told.error().what;
  for (const auto& id : ids) {
    const auto found = known.find(id.value);
    out.of.push_back(found == known.end() ? Present::Unknown : found->second);
  }
  return out;
}

Result<std::optional<std::size_t>> Entra::still_listed(Api& api, std::span<const Unlisted> groups) {
  auto asked = graph(api);
  for (std::size_t at = 0; at < groups.size(); ++at) {
    std::set<std::string, std::less<>> members;
    for (const auto& member : groups[at].members) members.insert(member.value);
    bool found = false;
    const auto where = asked.url(fmt::format("/groups/{}/members?$select=id&$top=999", http::percent_encoded(groups[at].group.value)));
    const auto listed = asked.list(where, [&](const Json& member) {
      found = found || members.contains(text_at(member, "id"));
      return Result<void>();
    });
    if (!listed && listed.error().code != Errc::NotFound) return fail(listed.error());
    if (found) return at;
  }
  return std::nullopt;
}

void Entra::test(Api& api, std::vector<Finding>& findings) {
  const auto add = [&](std::string_view step, bool good, std::string text) {
    findings.push_back({.step = std::string(step), .good = good, .text = std::move(text)});
  };
  auto asked = graph(api);
  for (const auto type : {PrincipalType::User, PrincipalType::Group}) {
    const bool is_users = type == PrincipalType::User;
    if (!is_users && !settings_.groups) continue;
    const std::string_view step = is_users ? "users" : "groups";
    const auto where = asked.url(fmt::format("/{}?$select={}&$top=1", step, properties(type)));
    const auto answer = asked.get(where);
    if (!answer) {
      add(step, false, answer.error().what);
      continue;
    }
    if (answer->status == 403) {
      add(step, false,
          fmt::format("Microsoft Graph refuses to list {0} ({1}): grant the app registration the application permission {2}, not the "
                      "delegated one, and give admin consent",
                      step, provider_words(answer->json), is_users ? "User.Read.All" : "Group.Read.All"));
      continue;
    }
    if (answer->status != 200) {
      add(step, false, Graph::refusal(*answer, where).what);
      continue;
    }
    const auto value = answer->json.find("value");
    if (value == answer->json.end() || !value->is_array() || value->empty()) {
      add(step, false, fmt::format("{} lists nobody; check the tenant in /issuer", where));
      continue;
    }
    const auto& first = value->front();
    if (is_users) {
      const auto user = parse_user(first);
      add(step, user.trouble.empty(),
          user.trouble.empty()
              ? fmt::format("can be read: {} is {} {} <{}>{}", user.record.username, user.record.first_name, user.record.last_name,
                            user.record.email.value_or("no e-mail"), user.record.enabled ? "" : ", disabled")
              : user.record.entry + " " + user.trouble);
      const bool has_id = !text_at(first, "id").empty();
      add("stable id", has_id, has_id ? "id can be read" : "users have no id");
    } else {
      const auto group = parse_group(first);
      const auto members = asked.url(fmt::format("/groups/{}/members?$select=id&$top=1", http::percent_encoded(group.record.id.value)));
      const auto listed = asked.get(members);
      const bool good = listed && (listed->status == 200 || (listed->status == 403 && group.hides_members));
      add(step, good && group.trouble.empty(),
          !listed                 ? listed.error().what
          : !good                 ? Graph::refusal(*listed, members).what
          : group.trouble.empty() ? fmt::format("can be read with their members: {}", group.record.name)
                                  : group.record.entry + " " + group.trouble);
    }
    // Delta is missing in some kinds of tenants; without it nothing can be read.
    const auto changes =
        asked.delta(asked.url(fmt::format("/{}/delta?$select=id&$deltatoken=latest", step)), [](const Json&) { return Result<void>(); });
    if (!changes)
      add("changes", false, fmt::format("delta queries for {} do not work in this tenant: {}", step, changes.error().what));
    else
      add("changes", true, fmt::format("delta queries for {} work", step));
  }
}

}  // namespace

std::unique_ptr<Dialect> make(const Settings& settings, const ConnectorOptions&, std::string_view) {
  return std::make_unique<Entra>(settings);
}

Result<void> check(const Settings& settings) {
  std::string problems;
  const auto add = [&](std::string_view text) { problems += fmt::format("{}{}", problems.empty() ? "" : "; ", text); };
  if (!settings.user_filter.empty())
    add("/users/filter: Microsoft Graph's delta queries take no filter; leave it out, all users of the tenant are read");
  if (!settings.group_filter.empty())
    add("/groups/filter: Microsoft Graph's delta queries take no filter; leave it out, all groups of the tenant are read");
  if (settings.membership != MembershipStrategy::Auto)
    add("/membership: members always come with their groups in this dialect; leave it out");
  if (problems.empty()) return {};
  return fail(Errc::InvalidInput, "{}", problems);
}

std::string api_url(const std::string&) { return "https://graph.microsoft.com/v1.0"; }

}  // namespace rosterd::connectors::oidc::entra
