#include "connectors/oidc/entra/graph.hpp"

#include <algorithm>
#include <charconv>
#include <set>

#include "connectors/http/url.hpp"
#include "connectors/oidc/entra/objects.hpp"
#include "schema/core/hash.hpp"
#include "schema/core/text.hpp"

namespace rosterd::connectors::oidc::entra {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t kMostPages = 1'000'000;
constexpr std::size_t kMostInFilter = 15;  // operands that Graph takes in one "in"

// What Graph says when it has forgotten where a walk stood; compared without regard to case.
constexpr std::string_view kForgotten[] = {"syncstatenotfound",       "syncstateinvalid",        "resyncrequired",
                                           "resyncapplydifferences",  "resyncuploaddifferences", "directory_expiredpagetoken",
                                           "directory_resyncrequired"};

std::string_view collection(PrincipalType type) { return type == PrincipalType::User ? "/users" : "/groups"; }

bool has_forgotten(const Answer& answer) {
  if (answer.status == 410) return true;
  if (answer.status < 400 || answer.status >= 500 || !answer.json.is_object()) return false;
  const auto error = answer.json.find("error");
  if (error == answer.json.end()) return false;
  const auto code = fold(text_at(*error, "code"));
  return std::find(std::begin(kForgotten), std::end(kForgotten), code) != std::end(kForgotten);
}

/// "0.85": the share of the limit that is used. Sent from 0.8 on.
double share(std::string_view text) {
  double out = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc{} && end == text.data() + text.size() ? out : 0;
}

/// OData: a text in a filter.
std::string odata_text(std::string_view text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("''") : std::string(1, c);
  return out + "'";
}

}  // namespace

Error Graph::refusal(const Answer& answer, const std::string& url) {
  auto error = Api::refusal(answer, url);
  if (has_forgotten(answer)) error.code = Errc::CursorExpired;
  return error;
}

Result<Answer> Graph::get(const std::string& url) {
  auto answer = api_.get(url, {fmt::format("Prefer: odata.maxpagesize={}", page_size_)});
  if (!answer) return fail(answer.error());
  const auto used = share(answer->response.header("x-ms-throttle-limit-percentage"));
  if (used >= 0.8) {
    const auto pause = std::chrono::milliseconds(used >= 1 ? 1000 : 250);
    if (auto ok = api_.wait(pause, "the provider's limit is near"); !ok && ok.error().code == Errc::Stopped) return fail(ok.error());
  }
  return answer;
}

Result<std::string> Graph::follow(std::string url, const Use& use) {
  std::set<Hash128> seen;
  const KeyedHash hash;
  for (std::uint64_t pages = 1; pages <= kMostPages; ++pages) {
    if (!seen.insert(hash(url)).second) return fail(Errc::Unavailable, "the provider's pages go in a circle at page {}", pages);
    const auto answer = get(url);
    if (!answer) return fail(answer.error());
    if (answer->status != 200) return tl::unexpected(refusal(*answer, url));
    const auto value = answer->json.is_object() ? answer->json.find("value") : answer->json.end();
    // Absent is an answer that says nothing; an empty list is one that says "none".
    if (value == answer->json.end() || !value->is_array())
      return fail(Errc::Unavailable, "page {} of {} came without the list \"value\"", pages, url.substr(0, url.find('?')));
    for (const auto& object : *value)
      if (auto ok = use(object); !ok) return fail(ok.error());
    auto link = text_at(answer->json, "@odata.nextLink");
    const bool is_last = link.empty();
    if (is_last) link = text_at(answer->json, "@odata.deltaLink");
    if (link.empty()) return std::string();
    auto next = http::follow(api_url_, link);
    if (!next) return fail(next.error());
    if (is_last) return std::move(*next);
    url = std::move(*next);
  }
  return fail(Errc::Unavailable, "the provider's pages do not end (more than {})", kMostPages);
}

Result<std::string> Graph::delta(const std::string& from, const Use& use) {
  auto link = follow(from, use);
  if (!link) return fail(link.error());
  if (link->empty()) return fail(Errc::Unavailable, "{} ended without a deltaLink", from.substr(0, from.find('?')));
  return link;
}

Result<void> Graph::list(const std::string& from, const Use& use) {
  const auto end = follow(from, use);
  if (!end) return fail(end.error());
  return {};
}

Result<Json> Graph::object(PrincipalType type, std::string_view id, std::string_view properties) {
  const auto where = fmt::format("{}{}/{}?$select={}", api_url_, collection(type), http::percent_encoded(id), properties);
  auto answer = get(where);
  if (!answer) return fail(answer.error());
  if (answer->status == 404) return Json();
  if (answer->status != 200) return tl::unexpected(refusal(*answer, where));
  if (text_at(answer->json, "id") != id) return fail(Errc::Unavailable, "{} answered with another object", where);
  return std::move(answer->json);
}

Result<void> Graph::objects(PrincipalType type, std::span<const std::string> ids, std::string_view properties, const Use& found,
                            const std::function<void(const std::string& id)>& gone) {
  for (std::size_t at = 0; at < ids.size(); at += kMostInFilter) {
    const auto some = ids.subspan(at, std::min(kMostInFilter, ids.size() - at));
    std::set<std::string> missing(some.begin(), some.end());
    if (some.size() > 1) {
      std::string filter;
      for (const auto& id : some) filter += (filter.empty() ? "id in (" : ",") + odata_text(id);
      const auto where = http::with_query(fmt::format("{}{}?$select={}", api_url_, collection(type), properties), "$filter", filter + ")");
      const auto listed = list(where, [&](const Json& object) -> Result<void> {
        return missing.erase(text_at(object, "id")) != 0 ? found(object) : Result<void>();
      });
      if (!listed && listed.error().code != Errc::InvalidInput) return fail(listed.error());
    }
    // A list that lacks somebody proves nothing: each of them is asked for by name.
    for (const auto& id : missing) {
      const auto one = object(type, id, properties);
      if (!one) return fail(one.error());
      if (one->is_null())
        gone(id);
      else if (auto ok = found(*one); !ok)
        return ok;
    }
  }
  return {};
}

}  // namespace rosterd::connectors::oidc::entra
