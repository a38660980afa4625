// The three searches: the exact inverse of an evaluation at one revision (A9-A11).

#include <algorithm>
#include <charconv>
#include <limits>
#include <map>
#include <set>

#include "daemon/http/authzen.hpp"
#include "daemon/http/authzen_question.hpp"
#include "daemon/http/json.hpp"
#include "daemon/http/page_token.hpp"
#include "schema/core/text.hpp"

namespace rosterd::http::authzen {
namespace {

using nlohmann::json;

struct PageAsked {
  std::size_t limit = kPage;
  PagePlace place;       ///< where to go on
  bool first = true;     ///< no token was given
  bool asked = false;    ///< the request has a page
  std::string question;  ///< what the token is good for
};

/// `kind` and `question`: what must not change from page to page; limits may.
Result<PageAsked> page_of(const Ground& ground, const json& request, std::string_view kind, const json& question) {
  PageAsked out;
  out.place = {.revision = ground.snapshot.revision(), .at = ground.at, .position = {}};
  out.question = fmt::format("{} {}", kind, dump(question));
  const auto* page = member(request, "page");
  if (page == nullptr) return out;
  if (!page->is_object()) return fail(Errc::InvalidInput, "page: must be an object");
  out.asked = true;
  if (const auto* limit = member(*page, "limit")) {
    if (!limit->is_number_unsigned() || *limit == 0) return fail(Errc::InvalidInput, "page.limit: must be a number from 1 on");
    out.limit = std::min<std::size_t>(limit->get<std::size_t>(), kMostPage);  // a page may be shorter than wished
  }
  const auto* token = member(*page, "token");
  if (token == nullptr) return out;
  if (!token->is_string()) return fail(Errc::InvalidInput, "page.token: must be a text");
  const auto& given = token->get_ref<const std::string&>();
  if (given.empty()) return out;
  auto place = read_page_token(ground.pepper, given, out.question);
  if (!place) return fail(place.error(), "page.token");
  if (place->revision != out.place.revision)
    return fail(Errc::InvalidInput, "page.token: is of revision {}, which is gone; start again without it", text(place->revision));
  out.place = std::move(*place);
  out.first = false;
  return out;
}

/// `next`: where the following page begins; none = this was the last.
std::string answer(const Ground& ground, const PageAsked& page, std::string_view results, std::optional<std::string> next) {
  auto out = fmt::format(R"({{"results":[{}])", results);
  if (next || page.asked) {
    std::string token;
    if (next) {
      auto place = page.place;
      place.position = std::move(*next);
      token = page_token(ground.pepper, place, page.question);
    }
    out += R"(,"page":{"next_token":")";
    append_json_escaped(out, token);
    out += "\"}";
  }
  out += '}';
  return out;
}

void append_entity(std::string& out, std::string_view type, std::string_view id) {
  if (!out.empty()) out += ',';
  out += R"({"type":")";
  append_json_escaped(out, type);
  out += R"(","id":")";
  append_json_escaped(out, id);
  out += "\"}";
}

/// The context does not decide anything, yet a page token is for one request with all it says.
json without_null(const json* value) { return value == nullptr ? json(nullptr) : *value; }

Result<std::uint64_t> number_of(const std::string& position) {
  std::uint64_t out = 0;
  const auto [end, error] = std::from_chars(position.data(), position.data() + position.size(), out);
  if (error != std::errc{} || end != position.data() + position.size())
    return fail(Errc::InvalidInput, "page.token: is not one of this search");
  return out;
}

}  // namespace

Result<std::string> subject_search(const Ground& ground, std::string_view body) {
  const auto request = request_of(body);
  if (!request) return fail(request.error());
  const auto type_name = type_of("subject", member(*request, "subject"));
  if (!type_name) return fail(type_name.error());
  const auto action = action_of(member(*request, "action"));
  if (!action) return fail(action.error());
  const auto resource = resource_of(member(*request, "resource"));
  if (!resource) return fail(resource.error());
  if (const auto ok = wants_reasons(member(*request, "context")); !ok) return fail(ok.error());
  const auto page = page_of(ground, *request, "subjects",
                            {*type_name, (*request)["action"], (*request)["resource"], without_null(member(*request, "context"))});
  if (!page) return fail(page.error());
  std::uint64_t after = 0;
  if (!page->first) {
    const auto number = number_of(page->place.position);
    if (!number) return fail(number.error());
    after = *number;
  }

  const auto type = parse_principal_type(*type_name);
  std::map<PrincipalId, std::string_view> found;  // by id, and each once, whichever action of several it is for
  if (type && !resource->nowhere)
    for (const auto& one : actions_of(ground, resource->permission, *action)) {
      const rbac::Right right{.permission = resource->permission, .action = one, .ns = resource->ns, .at = page->place.at};
      for (const auto& who : ground.snapshot.who_may(*type, right, PrincipalId{after}, page->limit + 1).items)
        found.emplace(who.who.id, who.key);
    }
  std::string results;
  std::optional<std::string> next;
  std::size_t shown = 0;
  PrincipalId last;
  for (const auto& [id, key] : found) {
    if (shown++ == page->limit) {
      next = std::to_string(last.value);
      break;
    }
    // A name that JSON cannot carry as it is would not lead back to its owner.
    append_entity(results, *type_name, key.empty() || !is_utf8(key) ? text(*type, id) : std::string(key));
    last = id;
  }
  return answer(ground, *page, results, std::move(next));
}

Result<std::string> resource_search(const Ground& ground, std::string_view body) {
  const auto request = request_of(body);
  if (!request) return fail(request.error());
  const auto subject = subject_of(member(*request, "subject"));
  if (!subject) return fail(subject.error());
  const auto action = action_of(member(*request, "action"));
  if (!action) return fail(action.error());
  const auto permission = type_of("resource", member(*request, "resource"));
  if (!permission) return fail(permission.error());
  if (const auto ok = wants_reasons(member(*request, "context")); !ok) return fail(ok.error());
  const auto page = page_of(ground, *request, "resources",
                            {*permission, (*request)["subject"], (*request)["action"], without_null(member(*request, "context"))});
  if (!page) return fail(page.error());

  bool whole_tenant = false;
  std::set<std::string_view> found;
  if (const auto who = principal_of(ground, *subject))
    for (const auto& one : actions_of(ground, *permission, *action)) {
      const auto places = ground.snapshot.where_may(*who, *permission, one, page->place.at, page->place.position, page->limit + 1);
      whole_tenant = whole_tenant || places.whole_tenant;
      found.insert(places.namespaces.begin(), places.namespaces.end());
    }
  std::string results;
  std::optional<std::string> next;
  std::size_t shown = 0;
  std::string last;
  if (page->first && whole_tenant) {  // the whole tenant comes before its namespaces, on the first page alone
    append_entity(results, *permission, kWholeTenant);
    ++shown;
  }
  for (const auto ns : found) {
    if (shown++ == page->limit) {
      next = last;
      break;
    }
    append_entity(results, *permission, ns);
    last = ns;
  }
  return answer(ground, *page, results, std::move(next));
}

Result<std::string> action_search(const Ground& ground, std::string_view body) {
  const auto request = request_of(body);
  if (!request) return fail(request.error());
  const auto subject = subject_of(member(*request, "subject"));
  if (!subject) return fail(subject.error());
  const auto resource = resource_of(member(*request, "resource"));
  if (!resource) return fail(resource.error());
  if (const auto ok = wants_reasons(member(*request, "context")); !ok) return fail(ok.error());
  const auto page =
      page_of(ground, *request, "actions", {(*request)["subject"], (*request)["resource"], without_null(member(*request, "context"))});
  if (!page) return fail(page.error());
  std::uint64_t skip = 0;
  if (!page->first) {
    const auto number = number_of(page->place.position);
    if (!number) return fail(number.error());
    skip = *number;
  }
  std::vector<std::string_view> actions;
  const auto who = principal_of(ground, *subject);
  if (who && !resource->nowhere) actions = ground.snapshot.what_may(*who, resource->permission, resource->ns, page->place.at);
  std::string results;
  const auto first = std::min<std::size_t>(skip, actions.size());
  const auto end = first + std::min(page->limit, actions.size() - first);
  for (auto i = first; i < end; ++i) {
    if (!results.empty()) results += ',';
    results += R"({"name":")";
    append_json_escaped(results, actions[i]);
    results += "\"}";
  }
  return answer(ground, *page, results, end < actions.size() ? std::optional(std::to_string(end)) : std::nullopt);
}

}  // namespace rosterd::http::authzen
