#include "connectors/oidc/scim/scim.hpp"

#include <algorithm>

#include "connectors/http/url.hpp"
#include "connectors/oidc/scim/resources.hpp"
#include "connectors/oidc/scim/walk.hpp"

namespace rosterd::connectors::oidc::scim {
namespace {

using Json = nlohmann::json;

constexpr std::uint32_t kPageSize = 500;
constexpr auto kOverlap = std::chrono::minutes(5);
constexpr std::size_t kAskedForMembers = 5;  // groups that are asked for by id before "members are not shown" is believed
constexpr std::string_view kUserAttributes = "id,userName,displayName,name,emails,active,meta";
constexpr std::string_view kGroupAttributes = "id,displayName,members,meta";

struct Word {
  std::string_view name;
  MembershipStrategy value;
};
constexpr Word kStrategies[] = {
    {"inline", MembershipStrategy::Inline}, {"by_id", MembershipStrategy::ById}, {"user_groups", MembershipStrategy::UserGroups}};

/// What earlier reads found out about the server; FeedEnd::learnt.
struct Learnt {
  Way users = Way::Unknown, groups = Way::Unknown;
  MembershipStrategy membership = MembershipStrategy::Auto;

  static Learnt parse(std::string_view text) {
    Learnt out;
    const auto json = Json::parse(text, nullptr, false);
    if (!json.is_object() || json.value("v", 0) != 1) return out;
    out.users = parse_way(json.value("users", ""));
    out.groups = parse_way(json.value("groups", ""));
    for (const auto& [name, value] : kStrategies)
      if (json.value("membership", "") == name) out.membership = value;
    return out;
  }
  [[nodiscard]] std::string text() const {
    Json json = {{"v", 1}, {"users", name_of(users)}, {"groups", name_of(groups)}};
    for (const auto& [name, value] : kStrategies)
      if (value == membership) json["membership"] = name;
    return json.dump();
  }
};

/// ServiceProviderConfig (RFC 7643 §5, RFC 9865 §3), as far as it is believed. A server without one is asked carefully.
struct Provider {
  bool cursor = false;
  std::uint32_t most = 0;  ///< resources per page; 0 = it does not say
};

std::string since_text(const Cursor& cursor) {
  const auto json = Json::parse(cursor.value, nullptr, false);
  return json.is_object() && json.value("v", 0) == 1 ? json.value("since", "") : std::string();
}

class Scim final : public Dialect {
 public:
  Scim(const Settings& settings, std::string_view learnt) : settings_(settings), learnt_(Learnt::parse(learnt)) {}

  Result<FeedEnd> read(Api& api, const Cursor& from, FeedSink& sink) override;
  Result<Presence> verify(Api& api, PrincipalType type, std::span<const ExternalId> ids) override;
  Result<std::optional<std::size_t>> still_listed(Api& api, std::span<const Unlisted> groups) override;
  void test(Api& api, std::vector<Finding>& findings) override;

 private:
  [[nodiscard]] std::string endpoint(PrincipalType type) const {
    return settings_.api_url + (type == PrincipalType::User ? "/Users" : "/Groups");
  }
  [[nodiscard]] std::string resource(PrincipalType type, std::string_view id) const {
    return endpoint(type) + "/" + http::percent_encoded(id);
  }
  [[nodiscard]] Result<Provider> ask_provider(Api& api) const;
  [[nodiscard]] Result<MembershipStrategy> find_strategy(Api& api) const;
  [[nodiscard]] Result<bool> filters_by_time(Api& api, std::uint64_t users) const;
  [[nodiscard]] Result<std::optional<std::uint64_t>> count(Api& api, std::string_view filter) const;
  [[nodiscard]] WalkOptions walk_options(PrincipalType type, const Provider& provider) const;
  [[nodiscard]] Result<void> deliver_user(const Json& resource, FeedSink& sink) const;
  [[nodiscard]] Result<void> deliver_group(Api& api, const Json& resource, FeedSink& sink) const;
  [[nodiscard]] MembershipStrategy strategy() const {
    return settings_.membership == MembershipStrategy::Auto ? learnt_.membership : settings_.membership;
  }

  Settings settings_;
  Learnt learnt_;
};

Result<void> told_to_stop() { return fail(Errc::Stopped, "told to stop"); }

Result<Provider> Scim::ask_provider(Api& api) const {
  const auto answer = api.get(settings_.api_url + "/ServiceProviderConfig");
  if (!answer) return fail(answer.error());
  Provider out;
  if (answer->status != 200 || !answer->json.is_object()) return out;
  const auto number = [](const Json* value) {
    return value != nullptr && value->is_number_unsigned()
               ? static_cast<std::uint32_t>(std::min<std::uint64_t>(value->get<std::uint64_t>(), 10'000))
               : 0u;
  };
  if (const auto* const pagination = attribute(answer->json, "pagination")) {
    out.cursor = text_of(attribute(*pagination, "cursor")) == "true";
    out.most = number(attribute(*pagination, "maxPageSize"));
  }
  if (const auto* const filter = attribute(answer->json, "filter"); filter != nullptr && out.most == 0)
    out.most = number(attribute(*filter, "maxResults"));
  return out;
}

WalkOptions Scim::walk_options(PrincipalType type, const Provider& provider) const {
  const bool users = type == PrincipalType::User;
  WalkOptions out;
  out.endpoint = endpoint(type);
  out.attributes = users ? kUserAttributes : kGroupAttributes;
  if (users && strategy() == MembershipStrategy::UserGroups) out.attributes += ",groups";
  out.filter = users ? settings_.user_filter : settings_.group_filter;
  out.page_size = settings_.page_size != 0 ? settings_.page_size : kPageSize;
  if (provider.most != 0) out.page_size = std::min(out.page_size, provider.most);
  out.way = users ? learnt_.users : learnt_.groups;
  if (out.way == Way::Cursor && !provider.cursor) out.way = Way::Unknown;
  out.may_cursor = provider.cursor;
  return out;
}

/// Where members are to be had: in the list, in the group asked for by id, or on the user's side. Auto while nobody shows any.
Result<MembershipStrategy> Scim::find_strategy(Api& api) const {
  auto url = http::with_query(http::with_query(endpoint(PrincipalType::Group), "count", "50"), "attributes", kGroupAttributes);
  if (!settings_.group_filter.empty()) url = http::with_query(std::move(url), "filter", settings_.group_filter);
  const auto list = api.get_ok(url);
  if (!list) return fail(list.error());
  const Json* const groups = resources_of(list->json);
  if (groups == nullptr || groups->empty()) return MembershipStrategy::Auto;
  for (const auto& group : *groups)
    if (!parse_group(group).members.empty()) return MembershipStrategy::Inline;
  std::size_t asked = 0;
  for (const auto& group : *groups) {
    if (asked++ == kAskedForMembers) break;
    const auto one = api.get(resource(PrincipalType::Group, id_of(group)));
    if (!one) return fail(one.error());
    if (one->status == 200 && !parse_group(one->json).members.empty()) return MembershipStrategy::ById;
  }
  const auto users =
      api.get(http::with_query(http::with_query(endpoint(PrincipalType::User), "count", "50"), "attributes", "id,userName,groups"));
  if (!users) return fail(users.error());
  if (const Json* const some = resources_of(users->json))
    for (const auto& user : *some)
      if (!parse_user(user, true).record.member_of.empty()) return MembershipStrategy::UserGroups;
  return MembershipStrategy::Auto;
}

Result<std::optional<std::uint64_t>> Scim::count(Api& api, std::string_view filter) const {
  const auto answer = api.get(http::with_query(http::with_query(endpoint(PrincipalType::User), "count", "1"), "filter", filter));
  if (!answer) return fail(answer.error());
  if (answer->status != 200) return std::nullopt;
  return total_of(answer->json);
}

/// protocols.md B2: a filter is believed when an impossible predicate gives nobody and a broad one everybody.
Result<bool> Scim::filters_by_time(Api& api, std::uint64_t users) const {
  if (users == 0) return false;
  const auto never = count(api, "meta.lastModified gt \"2999-01-01T00:00:00Z\"");
  if (!never) return fail(never.error());
  if (*never != 0) return false;
  const auto always = count(api, "meta.lastModified gt \"1971-01-01T00:00:00Z\"");
  if (!always) return fail(always.error());
  const auto& all = *always;
  return all && *all >= users;
}

Result<void> Scim::deliver_user(const Json& resource, FeedSink& sink) const {
  const auto parsed = parse_user(resource, strategy() == MembershipStrategy::UserGroups);
  if (!parsed.trouble.empty()) {
    const SkippedRecord skipped{.type = PrincipalType::User,
                                .id = parsed.record.id,
                                .entry = parsed.record.entry,
                                .reason = parsed.record.entry + " " + parsed.trouble};
    return sink.skipped(skipped) ? Result<void>() : told_to_stop();
  }
  return sink.user(parsed.record) ? Result<void>() : told_to_stop();
}

Result<void> Scim::deliver_group(Api& api, const Json& listed, FeedSink& sink) const {
  auto parsed = parse_group(listed);
  bool complete = true;
  if (strategy() == MembershipStrategy::ById) {
    const auto one = api.get(resource(PrincipalType::Group, parsed.record.id.value));
    if (!one) return fail(one.error());
    if (one->status == 404) return {};  // deleted since: its absence is verified like any other
    if (one->status != 200) return tl::unexpected(Api::refusal(*one, parsed.record.entry));
    parsed.members = parse_group(one->json).members;
  }
  if (!parsed.trouble.empty()) {
    const SkippedRecord skipped{.type = PrincipalType::Group,
                                .id = parsed.record.id,
                                .entry = parsed.record.entry,
                                .reason = parsed.record.entry + " " + parsed.trouble};
    return sink.skipped(skipped) ? Result<void>() : told_to_stop();
  }
  if (!sink.group(parsed.record)) return told_to_stop();
  const bool own_side = strategy() == MembershipStrategy::UserGroups || strategy() == MembershipStrategy::None;
  if (!own_side && !parsed.members.empty() && !sink.members(parsed.members)) return told_to_stop();
  return sink.end_group(complete) ? Result<void>() : told_to_stop();
}

Result<FeedEnd> Scim::read(Api& api, const Cursor& from, FeedSink& sink) {
  std::string since;
  if (!from.value.empty()) {
    since = since_text(from);
    if (since.empty()) return fail(Errc::CursorExpired, "this cursor is of a kind this release does not know");
  }
  const auto provider = ask_provider(api);
  if (!provider) return fail(provider.error());
  if (settings_.groups && strategy() == MembershipStrategy::Auto) {
    const auto found = find_strategy(api);
    if (!found) return fail(found.error(), "finding out where members are shown");
    learnt_.membership = *found;
  }

  FeedEnd end;
  bool delivered = false;
  sink.phase("reading users");
  auto options = walk_options(PrincipalType::User, *provider);
  if (!since.empty()) {
    const auto changed = fmt::format("meta.lastModified gt {}", filter_text(since));
    options.filter = options.filter.empty() ? changed : fmt::format("({}) and {}", options.filter, changed);
  }
  Walk users(api, options);
  auto walked = users.run([&](const Json& resource) {
    delivered = true;
    return deliver_user(resource, sink);
  });
  if (!walked) return broken_off(walked.error(), delivered, "reading users");
  end.proof.evidence.push_back(users.evidence());
  learnt_.users = users.way();

  if (settings_.groups) {
    // Also in an incremental read: a change of members often moves neither the group's lastModified nor the user's.
    sink.phase("reading groups");
    Walk groups(api, walk_options(PrincipalType::Group, *provider));
    walked = groups.run([&](const Json& resource) {
      delivered = true;
      return deliver_group(api, resource, sink);
    });
    if (!walked) return broken_off(walked.error(), delivered, "reading groups");
    end.proof.evidence.push_back(groups.evidence());
    learnt_.groups = groups.way();
  }
  bool follows = !since.empty();
  if (!follows && end.proof.complete() && users.started() && strategy() != MembershipStrategy::UserGroups &&
      settings_.user_filter.empty()) {
    const auto filters = filters_by_time(api, users.seen());
    if (!filters && filters.error().code == Errc::Stopped) return fail(filters.error());
    follows = filters && *filters;
  }
  if (!since.empty()) {
    end.absence = KeepAbsent{};  // timestamps show no deletes (S39)
    end.cursor_kind = "last_modified";
  } else if (end.proof.complete()) {
    end.absence = KeepOnly{};
  }
  if (follows) {
    const auto& started = users.started();
    const auto moment = started ? rfc3339(*started - kOverlap) : since;
    end.to.value = Json{{"v", 1}, {"since", moment}}.dump();
  }
  end.learnt = learnt_.text();
  return end;
}

Result<Presence> Scim::verify(Api& api, PrincipalType type, std::span<const ExternalId> ids) {
  const auto& filter = type == PrincipalType::User ? settings_.user_filter : settings_.group_filter;
  return verify_each(ids, [&](const ExternalId& id) -> Result<Present> {
    const auto answer = api.get(resource(type, id.value));
    if (!answer) return fail(answer.error());
    if (answer->status == 404) return Present::Gone;
    if (answer->status != 200 || id_of(answer->json) != id.value) return tl::unexpected(Api::refusal(*answer, resource(type, id.value)));
    if (filter.empty()) return Present::InScope;
    const auto both = fmt::format("({}) and id eq {}", filter, filter_text(id.value));
    const auto listed = api.get_ok(http::with_query(http::with_query(endpoint(type), "count", "1"), "filter", both));
    if (!listed) return fail(listed.error());
    const auto total = total_of(listed->json);
    if (!total) return fail(Errc::Unavailable, "{} answered no totalResults", endpoint(type));
    return *total == 0 ? Present::OutOfScope : Present::InScope;
  });
}

Result<std::optional<std::size_t>> Scim::still_listed(Api& api, std::span<const Unlisted> groups) {
  for (std::size_t at = 0; at < groups.size(); ++at) {
    const auto& [group, members] = groups[at];
    if (strategy() == MembershipStrategy::UserGroups) {
      for (const auto& member : members) {
        const auto user = api.get(resource(PrincipalType::User, member.value));
        if (!user) return fail(user.error());
        if (user->status != 200) continue;
        const auto member_of = parse_user(user->json, true).record.member_of;
        if (std::find(member_of.begin(), member_of.end(), group_reference(group.value)) != member_of.end()) return at;
      }
      continue;
    }
    const auto answer = api.get(http::with_query(resource(PrincipalType::Group, group.value), "attributes", kGroupAttributes));
    if (!answer) return fail(answer.error());
    if (answer->status == 404) continue;
    if (answer->status != 200) return tl::unexpected(Api::refusal(*answer, resource(PrincipalType::Group, group.value)));
    for (const auto& listed : parse_group(answer->json).members)
      for (const auto& member : members)
        if (listed == user_reference(member.value) || listed == group_reference(member.value) || listed == any_reference(member.value))
          return at;
  }
  return std::nullopt;
}

void Scim::test(Api& api, std::vector<Finding>& findings) {
  const auto add = [&](std::string_view step, bool good, std::string text) {
    findings.push_back({.step = std::string(step), .good = good, .text = std::move(text)});
  };
  const auto provider = ask_provider(api);
  if (!provider) return add("provider", false, provider.error().what);
  add("provider", true, fmt::format("pages by {}", provider->cursor ? "cursor" : "index, or by id where that works"));
  for (const auto type : {PrincipalType::User, PrincipalType::Group}) {
    const bool is_users = type == PrincipalType::User;
    if (!is_users && !settings_.groups) continue;
    const std::string_view step = is_users ? "users" : "groups";
    auto url = http::with_query(endpoint(type), "count", "1");
    if (const auto& filter = is_users ? settings_.user_filter : settings_.group_filter; !filter.empty())
      url = http::with_query(std::move(url), "filter", filter);
    const auto answer = api.get_ok(url);
    if (!answer) {
      add(step, false, answer.error().what);
      continue;
    }
    const Json* const resources = resources_of(answer->json);
    if (resources == nullptr || resources->empty()) {
      add(step, false, fmt::format("{} lists nobody; check the filter, and what the client may read", endpoint(type)));
      continue;
    }
    const auto total = total_of(answer->json);
    if (is_users) {
      const auto user = parse_user(resources->front(), false);
      if (!user.trouble.empty())
        add(step, false, user.record.entry + " " + user.trouble);
      else
        add(step, true,
            fmt::format("{} of {}: {} is {} {} <{}>{}", 1, total.value_or(0), user.record.username, user.record.first_name,
                        user.record.last_name, user.record.email.value_or("no e-mail"), user.record.enabled ? "" : ", disabled"));
    } else {
      const auto group = parse_group(resources->front());
      add(step, group.trouble.empty(),
          group.trouble.empty() ? fmt::format("{} of {}: {} with {} members", 1, total.value_or(0), group.record.name, group.members.size())
                                : group.record.entry + " " + group.trouble);
    }
    const auto id = id_of(resources->front());
    if (is_users) add("stable id", !id.empty(), id.empty() ? "users have no id" : "id can be read");
  }
}

}  // namespace

std::unique_ptr<Dialect> make(const Settings& settings, const ConnectorOptions&, std::string_view learnt) {
  return std::make_unique<Scim>(settings, learnt);
}

}  // namespace rosterd::connectors::oidc::scim
