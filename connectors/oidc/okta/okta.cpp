#include "connectors/oidc/okta/okta.hpp"

#include <algorithm>
#include <set>

#include "connectors/http/url.hpp"
#include "connectors/oidc/okta/objects.hpp"
#include "connectors/oidc/paging.hpp"
#include "schema/core/hash.hpp"

namespace rosterd::connectors::oidc::okta {
namespace {

using Json = nlohmann::json;

constexpr std::uint32_t kUserPage = 200, kListPage = 1000;  // Okta's most for users; groups and members take more
constexpr auto kOverlap = std::chrono::minutes(5);
constexpr PageRules kPages{.next = NextPage::LinkHeader, .items = {}, .next_key = {}, .parameter = {}};
constexpr std::string_view kDeactivated = R"(status eq "DEPROVISIONED")";

using Use = std::function<Result<void>(const Json& object)>;

Result<void> told_to_stop() { return fail(Errc::Stopped, "told to stop"); }

std::string both(const std::string& filter, const std::string& more) {
  if (filter.empty()) return more;
  return more.empty() ? filter : fmt::format("({}) and ({})", filter, more);
}

std::string since_text(const Cursor& cursor) {
  const auto json = Json::parse(cursor.value, nullptr, false);
  if (!json.is_object() || json.find("v") == json.end() || json["v"] != 1) return {};
  auto since = text_at(json, "since");
  return parse_rfc3339(since) ? since : std::string();  // it becomes part of a filter
}

class Okta final : public Dialect {
 public:
  explicit Okta(const Settings& settings) : settings_(settings) {}

  Result<FeedEnd> read(Api& api, const Cursor& from, FeedSink& sink) override;
  Result<Presence> verify(Api& api, PrincipalType type, std::span<const ExternalId> ids) override;
  Result<std::optional<std::size_t>> still_listed(Api& api, std::span<const Unlisted> groups) override;
  void test(Api& api, std::vector<Finding>& findings) override;

 private:
  [[nodiscard]] std::string endpoint(std::string_view path) const { return settings_.api_url + "/api/v1/" + std::string(path); }
  [[nodiscard]] std::string object(PrincipalType type, std::string_view id) const {
    return endpoint(type == PrincipalType::User ? "users/" : "groups/") + http::percent_encoded(id);
  }
  [[nodiscard]] std::string list(std::string_view path, std::uint32_t most, const std::string& filter = {}) const {
    auto url =
        http::with_query(endpoint(path), "limit", std::to_string(settings_.page_size == 0 ? most : std::min(settings_.page_size, most)));
    return filter.empty() ? url : http::with_query(std::move(url), "filter", filter);
  }
  [[nodiscard]] std::string members(std::string_view group) const {
    return list(fmt::format("groups/{}/users", http::percent_encoded(group)), kListPage);
  }
  /// Every object of a list that has an id.
  [[nodiscard]] Result<void> walk(Api& api, const std::string& url, const Use& use);
  [[nodiscard]] Result<void> read_users(Api& api, const std::string& since, FeedSink& sink);
  [[nodiscard]] Result<void> read_groups(Api& api, const std::string& since, FeedSink& sink);
  [[nodiscard]] Result<void> deliver_user(const Json& object, FeedSink& sink);
  [[nodiscard]] Result<void> deliver_group(Api& api, const Json& object, FeedSink& sink);

  Settings settings_;
  bool delivered_ = false;
  std::uint64_t without_id_ = 0;
};

Result<void> Okta::walk(Api& api, const std::string& url, const Use& use) {
  Pages pages(api, url, kPages);
  while (true) {
    const auto page = pages.next();
    if (!page) return fail(page.error());
    const auto& body = *page;
    if (!body) return {};
    for (const auto& object : pages.items(*body)) {
      if (text_at(object, "id").empty())
        ++without_id_;
      else if (auto ok = use(object); !ok)
        return ok;
    }
  }
}

Result<void> Okta::deliver_user(const Json& object, FeedSink& sink) {
  const auto parsed = parse_user(object);
  delivered_ = true;
  if (parsed.trouble.empty()) return sink.user(parsed.record) ? Result<void>() : told_to_stop();
  const SkippedRecord skipped{.type = PrincipalType::User,
                              .id = parsed.record.id,
                              .entry = parsed.record.entry,
                              .reason = parsed.record.entry + " " + parsed.trouble};
  return sink.skipped(skipped) ? Result<void>() : told_to_stop();
}

/// The plain list leaves deactivated people out; whether a filter by time does is nowhere said: so they are always asked for as well.
Result<void> Okta::read_users(Api& api, const std::string& since, FeedSink& sink) {
  const auto changed = since.empty() ? std::string() : fmt::format("lastUpdated gt \"{}\"", since);
  const auto& own = settings_.user_filter;
  std::set<Hash128> seen;
  const KeyedHash hash;
  for (const auto& filter : {both(own, changed), both(both(own, changed), std::string(kDeactivated))}) {
    const auto ok = walk(api, list("users", kUserPage, filter), [&](const Json& user) -> Result<void> {
      // The same state twice says nothing new; two states go through, the engine reads again.
      if (!seen.insert(hash(text_at(user, "id") + "\n" + text_at(user, "lastUpdated") + "\n" + text_at(user, "status"))).second) return {};
      return deliver_user(user, sink);
    });
    if (!ok) return ok;
  }
  return {};
}

Result<void> Okta::read_groups(Api& api, const std::string& since, FeedSink& sink) {
  const auto changed = since.empty() ? std::string() : fmt::format("lastUpdated gt \"{0}\" or lastMembershipUpdated gt \"{0}\"", since);
  std::set<Hash128> seen;
  const KeyedHash hash;
  return walk(api, list("groups", kListPage, both(settings_.group_filter, changed)), [&](const Json& group) -> Result<void> {
    if (!seen.insert(hash(text_at(group, "id"))).second) return {};
    return deliver_group(api, group, sink);
  });
}

Result<void> Okta::deliver_group(Api& api, const Json& object, FeedSink& sink) {
  const auto [record, trouble] = parse_group(object);
  if (!trouble.empty()) {
    const SkippedRecord skipped{
        .type = PrincipalType::Group, .id = record.id, .entry = record.entry, .reason = record.entry + " " + trouble};
    return sink.skipped(skipped) ? Result<void>() : told_to_stop();
  }
  Pages pages(api, members(record.id.value), kPages);
  bool is_open = false;
  std::vector<Reference> piece;
  while (true) {
    const auto page = pages.next();
    // Deleted since it was listed: its absence is verified like any other.
    if (!page && page.error().code == Errc::NotFound && !is_open) return {};
    if (!page) {
      // The group is closed as not read, so that what is held of it stays.
      if (is_open && page.error().code != Errc::Stopped && !sink.end_group(false)) return told_to_stop();
      return fail(page.error(), "members of {}", record.entry);
    }
    const auto& body = *page;
    if (!body) break;
    if (!is_open && !sink.group(record)) return told_to_stop();
    is_open = delivered_ = true;
    piece.clear();
    for (const auto& member : pages.items(*body)) {
      if (const auto id = text_at(member, "id"); !id.empty())
        piece.push_back(user_reference(id));
      else
        ++without_id_;
    }
    if (!piece.empty() && !sink.members(piece)) return told_to_stop();
  }
  return sink.end_group(true) ? Result<void>() : told_to_stop();
}

Result<FeedEnd> Okta::read(Api& api, const Cursor& from, FeedSink& sink) {
  std::string since;
  if (!from.value.empty()) {
    since = since_text(from);
    if (since.empty()) return fail(Errc::CursorExpired, "this cursor is of a kind this release does not know");
  }
  delivered_ = false;
  without_id_ = 0;
  // The server's clock at the beginning: what changes from here on, the next read asks for.
  const auto first = api.get_ok(list("users", 1));
  if (!first) return fail(first.error(), "reading users");
  const auto started = http::parse_http_date(first->response.header("date")).value_or(SystemClock().now());

  const auto broken = [&](const Error& error, std::string_view what) {
    auto end = broken_off(error, delivered_, what);
    if (end && !since.empty()) end->cursor_kind = "last_updated";
    return end;
  };
  sink.phase("reading users");
  if (auto ok = read_users(api, since, sink); !ok) return broken(ok.error(), "reading users");
  if (settings_.groups) {
    sink.phase("reading groups");
    if (auto ok = read_groups(api, since, sink); !ok) return broken(ok.error(), "reading groups");
  }
  FeedEnd end;
  end.proof.evidence.push_back({.what = "users: every page was followed", .good = true, .detail = {}});
  if (settings_.groups) end.proof.evidence.push_back({.what = "groups and members: every page was followed", .good = true, .detail = {}});
  if (without_id_ > 0)
    end.proof.evidence.push_back({.what = "every object has an id", .good = false, .detail = fmt::format("{} have none", without_id_)});
  if (!since.empty()) {
    end.absence = KeepAbsent{};  // timestamps show no deletes (S39)
    end.cursor_kind = "last_updated";
  } else if (end.proof.complete()) {
    end.absence = KeepOnly{};
  }
  end.to.value = Json{{"v", 1}, {"since", filter_time(started - kOverlap)}}.dump();
  return end;
}

Result<Presence> Okta::verify(Api& api, PrincipalType type, std::span<const ExternalId> ids) {
  const bool is_users = type == PrincipalType::User;
  const auto& filter = is_users ? settings_.user_filter : settings_.group_filter;
  return verify_each(ids, [&](const ExternalId& id) -> Result<Present> {
    const auto where = object(type, id.value);
    const auto answer = api.get(where);
    if (!answer) return fail(answer.error());
    if (answer->status == 404) return Present::Gone;
    // Users are also found by login: it must be the id that answers.
    if (answer->status != 200) return tl::unexpected(Api::refusal(*answer, where));
    if (text_at(answer->json, "id") != id.value) return Present::Gone;
    if (filter.empty()) return Present::InScope;
    const auto listed = api.get_ok(list(is_users ? "users" : "groups", 1, both(filter, fmt::format("id eq \"{}\"", id.value))));
    if (!listed) return fail(listed.error());
    if (!listed->json.is_array()) return fail(Errc::Unavailable, "{} answered JSON that is no list", where);
    return listed->json.empty() ? Present::OutOfScope : Present::InScope;
  });
}

Result<std::optional<std::size_t>> Okta::still_listed(Api& api, std::span<const Unlisted> groups) {
  for (std::size_t at = 0; at < groups.size(); ++at) {
    std::set<std::string, std::less<>> asked;
    for (const auto& member : groups[at].members) asked.insert(member.value);
    bool found = false;
    const auto walked = walk(api, members(groups[at].group.value), [&](const Json& member) {
      found = found || asked.contains(text_at(member, "id"));
      return Result<void>();
    });
    if (!walked && walked.error().code != Errc::NotFound) return fail(walked.error());
    if (found) return at;
  }
  return std::nullopt;
}

void Okta::test(Api& api, std::vector<Finding>& findings) {
  const auto add = [&](std::string_view step, bool good, std::string text) {
    findings.push_back({.step = std::string(step), .good = good, .text = std::move(text)});
  };
  for (const auto type : {PrincipalType::User, PrincipalType::Group}) {
    const bool is_users = type == PrincipalType::User;
    if (!is_users && !settings_.groups) continue;
    const std::string_view step = is_users ? "users" : "groups";
    const auto where = list(step, 1, is_users ? settings_.user_filter : settings_.group_filter);
    const auto answer = api.get(where);
    if (!answer) {
      add(step, false, answer.error().what);
      continue;
    }
    if (answer->status == 403) {
      add(step, false,
          fmt::format(
              "Okta refuses to list {0} ({1}): grant the service app the scope okta.{0}.read and an administrator role that may view "
              "{0}, or use a token of an account that may",
              step, provider_words(answer->json)));
      continue;
    }
    if (answer->status != 200 || !answer->json.is_array()) {
      add(step, false, answer->status == 200 ? fmt::format("{} answered JSON that is no list", where) : Api::refusal(*answer, where).what);
      continue;
    }
    if (answer->json.empty()) {
      add(step, false, fmt::format("{} lists nobody; check the filter, and what the client may see", where));
      continue;
    }
    const auto& first = answer->json.front();
    if (is_users) {
      const auto user = parse_user(first);
      add(step, user.trouble.empty(),
          user.trouble.empty()
              ? fmt::format("can be read: {} is {} {} <{}>{}", user.record.username, user.record.first_name, user.record.last_name,
                            user.record.email.value_or("no e-mail"), user.record.enabled ? "" : ", disabled")
              : user.record.entry + " " + user.trouble);
      const bool has_id = !text_at(first, "id").empty();
      add("stable id", has_id, has_id ? "id can be read" : "users have no id");
      continue;
    }
    const auto group = parse_group(first);
    const auto listed = api.get_ok(list(fmt::format("groups/{}/users", http::percent_encoded(group.record.id.value)), 1));
    add(step, listed && group.trouble.empty(),
        !listed                 ? listed.error().what
        : group.trouble.empty() ? fmt::format("can be read with their members: {}", group.record.name)
                                : group.record.entry + " " + group.trouble);
  }
}

}  // namespace

std::unique_ptr<Dialect> make(const Settings& settings, const ConnectorOptions&, std::string_view) {
  return std::make_unique<Okta>(settings);
}

Result<void> check(const Settings& settings) {
  if (settings.membership == MembershipStrategy::Auto) return {};
  return fail(Errc::InvalidInput, "/membership: members are always listed for each group in this dialect; leave it out");
}

std::string api_url(const std::string& issuer) {
  const auto scheme = issuer.find("://");
  if (scheme == std::string::npos) return issuer;
  return issuer.substr(0, issuer.find('/', scheme + 3));
}

std::string token_url(const std::string& issuer) {
  const auto origin = api_url(issuer);
  return origin == issuer ? std::string() : origin + "/oauth2/v1/token";
}

}  // namespace rosterd::connectors::oidc::okta
