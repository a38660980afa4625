#include "connectors/oidc/keycloak/events.hpp"

#include <algorithm>

#include "connectors/http/url.hpp"
#include "connectors/oidc/dialect.hpp"
#include "connectors/oidc/keycloak/reader.hpp"

namespace rosterd::connectors::oidc::keycloak {
namespace {

using Json = nlohmann::json;

constexpr std::int64_t kOverlap = 300'000;     // ms: an event is stamped before it is committed, and the nodes of a cluster differ
constexpr std::uint64_t kMostEvents = 50'000;  // beyond that, a full read is no more work
constexpr std::size_t kMostKnown = 100;        // ids a cursor holds
constexpr std::uint64_t kUsersPerPage = 40;    // asking for one costs about so much of a page

// What people do to themselves that shows in their record.
constexpr std::string_view kUserEvents[] = {"REGISTER", "UPDATE_PROFILE", "UPDATE_EMAIL", "DELETE_ACCOUNT"};
constexpr std::string_view kMoreUserEvents[] = {"VERIFY_PROFILE", "VERIFY_EMAIL", "USER_DISABLED_BY_PERMANENT_LOCKOUT"};

std::string text_at(const Json& object, std::string_view key) {
  if (!object.is_object()) return {};
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}
bool is_true(const Json& object, std::string_view key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_boolean() && found->get<bool>();
}

/// One event as a position keeps it.
struct Mark {
  std::int64_t time = 0;
  std::string event;  ///< its id, or what it says where it has none (before Keycloak 26.2)
  bool operator==(const Mark&) const = default;
};
Mark mark_of(const Json& event) {
  Mark out;
  if (const auto time = event.find("time"); time != event.end() && time->is_number_integer()) out.time = time->get<std::int64_t>();
  out.event = text_at(event, "id");
  if (out.event.empty())
    for (const auto* key : {"operationType", "resourceType", "resourcePath", "type", "userId", "sessionId"})
      out.event += text_at(event, key) + " ";
  return out;
}

struct Marks {
  Mark admin, user;
  /// Admin events that were in the log when the mark was made, and not long before it: what they changed has been read.
  std::set<std::string> known = {};
};
Cursor cursor_of(const Marks& marks) {
  return {Json{{"v", 1},
               {"admin", {{"time", marks.admin.time}, {"event", marks.admin.event}}},
               {"user", {{"time", marks.user.time}, {"event", marks.user.event}}},
               {"known", marks.known}}
              .dump(-1, ' ', false, Json::error_handler_t::replace)};
}
std::optional<Marks> marks_of(const Cursor& cursor) {
  const auto json = Json::parse(cursor.value, nullptr, false);
  if (!json.is_object() || json.value("v", 0) != 1) return std::nullopt;
  const auto mark = [&](const char* name) {
    Mark out;
    if (const auto found = json.find(name); found != json.end() && found->is_object()) {
      if (const auto time = found->find("time"); time != found->end() && time->is_number_integer()) out.time = time->get<std::int64_t>();
      out.event = text_at(*found, "event");
    }
    return out;
  };
  Marks out{.admin = mark("admin"), .user = mark("user")};
  if (out.admin.event.empty() || out.user.event.empty()) return std::nullopt;
  if (const auto known = json.find("known"); known != json.end() && known->is_array())
    for (const auto& event : *known)
      if (event.is_string()) out.known.insert(event.get<std::string>());
  return out;
}

/// "users/1/groups/2" -> users, 1, groups, 2.
std::vector<std::string> parts_of(std::string_view path) {
  std::vector<std::string> out;
  while (!path.empty()) {
    const auto end = std::min(path.find('/'), path.size());
    if (end > 0) out.emplace_back(path.substr(0, end));
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return out;
}

/// Why the logs do not tell everything; empty = they do.
Result<std::string> blind_spot(Api& api, const Realm& realm) {
  if (realm.filters_users() || realm.filters_groups()) return "events do not say whether somebody still passes a filter";
  const auto config = api.get(realm.url() + "/events/config");
  if (!config) return fail(config.error());
  if (config->status != 200 || !config->json.is_object())
    return "the realm's event settings cannot be read; the role view-events of realm-management lets the client do that";
  if (!is_true(config->json, "adminEventsEnabled")) return "the realm does not save admin events";
  if (!is_true(config->json, "eventsEnabled"))
    return "the realm does not save user events, in which people show who register or change their own profile";
  const auto types = config->json.find("enabledEventTypes");
  for (const auto wanted : kUserEvents)
    if (types == config->json.end() || !types->is_array() || std::find(types->begin(), types->end(), wanted) == types->end())
      return fmt::format("the realm does not save the user event {}", wanted);
  const auto providers =
      api.get(http::with_query(http::with_query(realm.url() + "/identity-provider/instances", "first", "0"), "max", "1"));
  if (!providers) return fail(providers.error());
  if (providers->status != 200 || !providers->json.is_array())
    return "whether people sign in through other providers cannot be read; the role view-identity-providers of realm-management allows it";
  if (!providers->json.empty()) return "people who sign in through an identity provider change without an event";
  return std::string();
}

Result<std::optional<Mark>> newest(Api& api, const std::string& log) {
  const auto answer = api.get(http::with_query(http::with_query(log, "first", "0"), "max", "1"));
  if (!answer) return fail(answer.error());
  if (answer->status != 200 || !answer->json.is_array() || answer->json.empty()) return std::nullopt;
  return mark_of(answer->json.front());
}

std::string admin_log(const Realm& realm) { return realm.url() + "/admin-events"; }
std::string user_log(const Realm& realm) { return realm.url() + "/events"; }

/// Everything in a log since a little before `mark`, newest first: what is added meanwhile moves what follows down, so that nothing is
/// missed. CursorExpired unless the mark is still there.
Result<void> each_since(Api& api, const std::string& log, const Mark& mark, std::uint32_t page_size,
                        const std::function<void(const Json&)>& use) {
  const auto from = http::with_query(log, "dateFrom", std::to_string(mark.time - kOverlap));
  bool found = false;
  for (std::uint64_t first = 0; first < kMostEvents;) {
    const auto page =
        api.get_ok(http::with_query(http::with_query(from, "first", std::to_string(first)), "max", std::to_string(page_size)));
    if (!page && page.error().code == Errc::InvalidInput)
      return fail(Errc::CursorExpired, "this Keycloak does not look up events by their time: {}", page.error().what);
    if (!page) return fail(page.error());
    if (!page->json.is_array()) return fail(Errc::Unavailable, "{} answered JSON that is no list", log);
    if (page->json.empty()) {
      if (!found) return fail(Errc::CursorExpired, "the realm's log no longer reaches back to the last read");
      return {};
    }
    for (const auto& event : page->json) {
      found |= mark_of(event) == mark;
      use(event);
    }
    first += page->json.size();
  }
  return fail(Errc::CursorExpired, "more than {} events since the last read", kMostEvents);
}

/// What Marks::known says. Of too many, those count that would make everything be read again.
Result<std::set<std::string>> known_at(Api& api, const Realm& realm, const Mark& mark) {
  std::set<std::string> all, heavy;
  const auto walked = each_since(api, admin_log(realm), mark, realm.page_size(), [&](const Json& event) {
    const auto one = mark_of(event);
    if (one.time > mark.time) return;
    Changes changes;
    note_admin_event(event, changes);
    if (!changes.everything.empty()) heavy.insert(one.event);
    all.insert(one.event);
  });
  if (!walked) return fail(walked.error());
  if (all.size() <= kMostKnown) return all;
  while (heavy.size() > kMostKnown) heavy.erase(heavy.begin());
  return heavy;
}

}  // namespace

void note_admin_event(const Json& event, Changes& changes) {
  const auto type = text_at(event, "resourceType"), operation = text_at(event, "operationType"), path = text_at(event, "resourcePath");
  const auto parts = parts_of(path);
  if (type == "USER") {
    if (parts.size() >= 2 && parts[0] == "users")
      changes.users.insert(parts[1]);
    else
      changes.everything = fmt::format("an admin event USER {} names nobody", operation);
  } else if (type == "GROUP_MEMBERSHIP") {
    if (parts.size() >= 4 && parts[0] == "users" && parts[2] == "groups") {
      changes.users.insert(parts[1]);
      changes.groups.insert(parts[3]);
    } else {
      changes.everything = fmt::format("an admin event GROUP_MEMBERSHIP {} names nobody", operation);
    }
  } else if (type == "GROUP") {
    const bool known = parts.size() >= 2 && parts[0] == "groups";
    const bool at_itself = known && parts.size() == 2 && (operation == "CREATE" || operation == "UPDATE");
    const bool new_child = known && parts.size() >= 3 && parts[2] == "children" && operation == "CREATE";
    if (at_itself || new_child)
      changes.subtrees.insert(parts[1]);
    else if (operation == "DELETE")
      changes.everything = "a group was deleted, and no event names what was below it";
    else
      changes.everything = "a group was moved, and no event says from where";
  } else if (type == "REALM" || type == "COMPONENT" || type.starts_with("IDENTITY_PROVIDER") || type.starts_with("ORGANIZATION")) {
    changes.everything = fmt::format("the realm itself was changed ({} {} {})", type, operation, path);
  }
}

void note_user_event(const Json& event, Changes& changes) {
  const auto type = text_at(event, "type"), user = text_at(event, "userId");
  const auto is_any = [&](const auto& types) { return std::find(std::begin(types), std::end(types), type) != std::end(types); };
  if (!user.empty() && (is_any(kUserEvents) || is_any(kMoreUserEvents))) changes.users.insert(user);
}

Result<Position> position(Api& api, const Realm& realm) {
  Position out;
  auto spot = blind_spot(api, realm);
  if (!spot) return fail(spot.error());
  out.why_none = std::move(*spot);
  if (!out.why_none.empty()) return out;
  const auto admin = newest(api, admin_log(realm));
  if (!admin) return fail(admin.error());
  const auto user = newest(api, user_log(realm));
  if (!user) return fail(user.error());
  const auto &last_admin = *admin, &last_user = *user;
  if (!last_admin || !last_user) {
    out.why_none = fmt::format("the log of {} events is empty as yet, or may not be read", last_admin ? "user" : "admin");
    return out;
  }
  auto known = known_at(api, realm, *last_admin);
  if (known)
    out.cursor = cursor_of({.admin = *last_admin, .user = *last_user, .known = std::move(*known)});
  else if (known.error().code == Errc::CursorExpired)
    out.why_none = known.error().what;
  else
    return fail(known.error());
  return out;
}

namespace {

class ChangeRead {
 public:
  ChangeRead(Api& api, const Realm& realm, const Changes& changes, FeedSink& sink)
      : api_(api), realm_(realm), changes_(changes), delivery_{.sink = sink} {}

  Result<FeedEnd> run();

 private:
  [[nodiscard]] Result<void> users();
  [[nodiscard]] Result<void> groups();
  [[nodiscard]] Result<Group> group(const std::string& id) const;
  [[nodiscard]] Result<bool> is_listed(const Json& user) const;

  Api& api_;
  const Realm& realm_;
  const Changes& changes_;
  Delivery delivery_;
  std::vector<ExternalId> gone_;
};

/// Users of clients exist, but are not listed.
Result<bool> ChangeRead::is_listed(const Json& user) const {
  if (!is_named_like_service_account(user)) return true;
  const auto name = text_at(user, "username");
  const auto listed = api_.get_ok(http::with_query(http::with_query(realm_.users(), "search", name), "exact", "true"));
  if (!listed) return fail(listed.error());
  return listed->json.is_array() &&
         std::any_of(listed->json.begin(), listed->json.end(), [&](const Json& item) { return id_of(item) == id_of(user); });
}

Result<void> ChangeRead::users() {
  bool federated = false;
  for (const auto& id : changes_.users) {
    const auto url = realm_.user(id);
    const auto answer = api_.get(url);
    if (!answer) return fail(answer.error());
    if (answer->status == 404) {
      gone_.push_back({id});
      continue;
    }
    if (answer->status != 200 || id_of(answer->json) != id) return tl::unexpected(Api::refusal(*answer, url));
    const auto listed = is_listed(answer->json);
    if (!listed) return fail(listed.error());
    if (!*listed) continue;
    if (auto ok = delivery_.user(answer->json, federated); !ok) return ok;
    if (federated) return fail(Errc::CursorExpired, "somebody comes from a user storage now, which changes people without an event");
  }
  return {};
}

Result<Group> ChangeRead::group(const std::string& id) const {
  const auto answer = api_.get_ok(realm_.group(id));
  if (!answer && answer.error().code == Errc::NotFound)
    return fail(Errc::CursorExpired, "a group was deleted, and no event names what was below it");
  if (!answer) return fail(answer.error());
  auto out = parse_group(answer->json, nullptr);
  if (out.id != id) return fail(Errc::Unavailable, "{} answered another group", realm_.group(id));
  return out;
}

Result<void> ChangeRead::groups() {
  Tree tree;
  for (const auto& id : changes_.subtrees) {
    auto top = group(id);
    if (!top) return fail(top.error());
    if (auto ok = realm_.add_below(api_, std::move(*top), tree); !ok) return ok;
  }
  for (const auto& id : changes_.groups) {
    if (tree.ids.contains(id)) continue;
    auto one = group(id);
    if (!one) return fail(one.error());
    tree.add(std::move(*one));
  }
  for (const auto& group : tree.groups) {
    std::vector<std::string> below;
    if (group.children != 0u) {
      Walk walk(api_, realm_.children(group.id), realm_.page_size());
      const auto walked = walk.run([&](const Json& item) -> Result<void> {
        below.push_back(id_of(item));
        return {};
      });
      if (!walked) return fail(walked.error(), "reading what is below {}", group.path);
    }
    const auto delivered = deliver_group(api_, realm_, group, below, [](const Json&) { return false; }, delivery_);
    if (!delivered && delivered.error().code == Errc::NotFound) return fail(Errc::CursorExpired, "{} was deleted meanwhile", group.path);
    if (!delivered) return delivered;
  }
  return {};
}

Result<FeedEnd> ChangeRead::run() {
  delivery_.sink.phase("reading users that changed");
  if (auto ok = users(); !ok) return broken_off(ok.error(), delivery_.something, "reading users that changed");
  if (realm_.with_groups()) {
    delivery_.sink.phase("reading groups that changed");
    if (auto ok = groups(); !ok) return broken_off(ok.error(), delivery_.something, "reading groups that changed");
  }
  FeedEnd end{.absence = KeepAbsent{},
              .to = {},
              .proof = {.evidence = {{.what = "the logs reach back to the last read", .good = true, .detail = {}},
                                     {.what = "everybody whom they name was read", .good = true, .detail = {}}}},
              .cursor_kind = "admin_events",
              .learnt = {}};
  if (!gone_.empty()) end.absence = DropListed{std::move(gone_)};
  return end;
}

}  // namespace

Result<FeedEnd> read_changes(Api& api, const Realm& realm, const Cursor& from, FeedSink& sink) {
  const auto marks = marks_of(from);
  if (!marks) return fail(Errc::CursorExpired, "the cursor is of another release");
  sink.phase("reading events");
  auto now = position(api, realm);
  if (!now) return fail(now.error(), "reading events");
  if (now->cursor.value.empty()) return fail(Errc::CursorExpired, "{}", now->why_none);
  Changes changes;
  if (auto ok = each_since(api, admin_log(realm), marks->admin, realm.page_size(),
                           [&](const Json& event) {
                             if (!marks->known.contains(mark_of(event).event)) note_admin_event(event, changes);
                           });
      !ok)
    return fail(ok.error(), "reading admin events");
  if (auto ok =
          each_since(api, user_log(realm), marks->user, realm.page_size(), [&](const Json& event) { note_user_event(event, changes); });
      !ok)
    return fail(ok.error(), "reading user events");
  if (!changes.everything.empty()) return fail(Errc::CursorExpired, "{}", changes.everything);
  const auto total = realm.count_users(api);
  if (!total) return fail(total.error());
  if (changes.users.size() > 100 + *total / kUsersPerPage)
    return fail(Errc::CursorExpired, "{} of {} users changed: reading all is less work", changes.users.size(), *total);
  auto end = ChangeRead(api, realm, changes, sink).run();
  if (end && end->proof.complete()) end->to = now->cursor;
  return end;
}

}  // namespace rosterd::connectors::oidc::keycloak
