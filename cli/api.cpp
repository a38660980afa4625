#include "cli/api.hpp"

#include <nlohmann/json.hpp>

#include "cli/words.hpp"

namespace rosterd::cli {
namespace {

using nlohmann::json;

/// RFC 9457 problem details -> a failure. `code` is stable, `detail` is for people, `errors` names fields.
Failure problem(const HttpReply& reply, const json& body, const Target& target, const HttpRequest& request) {
  const std::string code = text_at(body, "code");
  std::string what = text_at(body, "detail");
  if (what.empty()) what = text_at(body, "title");
  if (what.empty())
    what = fmt::format("{} {} was answered with status {} and no explanation; is {} really rosterd?", request.method, request.url,
                       reply.status, target.profile.url);
  if (!code.empty()) what += fmt::format(" [{}]", code);
  if (reply.status == 401) {
    const std::string mend =
        target.name.empty() ? "sign in with 'rosterctl login', or set ROSTERCTL_TOKEN"
                            : fmt::format("sign in again with 'rosterctl login --profile {} --url {}'", target.name, target.profile.url);
    return {kSignIn, std::move(what), mend};
  }
  // A name with a slip in it, mostly; which of the two it is must not be told.
  if (reply.status == 404 && what.starts_with("there is no such thing"))
    return {kRefused, std::move(what), "'rosterctl tenants list' shows the tenants that you may see"};
  return {kRefused, std::move(what), {}};
}

}  // namespace

std::string path(std::initializer_list<std::string_view> parts) {
  std::string out = "/v1";
  for (const auto part : parts) out += "/" + percent_encoded(part);
  return out;
}

Api::Api(Target target) : target_(std::move(target)), http_(HttpOptions{.ca_file = target_.profile.ca_file}) {}

Try<json> Api::call(HttpRequest request, const std::string& path, const Query& query, bool as_nobody) {
  request.url = target_.profile.url + path;
  char before = '?';
  for (const auto& [name, value] : query) {
    request.url += fmt::format("{}{}={}", before, percent_encoded(name), percent_encoded(value));
    before = '&';
  }
  if (!as_nobody) request.token = target_.profile.token;
  const auto reply = http_.send(request);
  if (!reply) return fail(reply.error());
  etag_ = reply->etag;
  status_ = reply->status;
  const json body = reply->body.empty() ? json(nullptr) : json::parse(reply->body, nullptr, false);
  if (reply->status < 200 || reply->status >= 300) return fail(problem(*reply, body, target_, request));
  if (body.is_discarded())
    return fail(kRefused, "{} {} was answered with something that is not JSON; is {} really rosterd?", request.method, path,
                target_.profile.url);
  return body;
}

Try<json> Api::get(const std::string& path, const Query& query) { return call({.method = "GET"}, path, query); }

Try<json> Api::post(const std::string& path, const json& body) { return call({.method = "POST", .body = body.dump()}, path, {}); }

Try<json> Api::post_as_nobody(const std::string& path, const json& body) {
  return call({.method = "POST", .body = body.dump()}, path, {}, true);
}

Try<json> Api::put(const std::string& path, const json& body, const std::string& if_match) {
  return call({.method = "PUT", .body = body.dump(), .if_match = if_match}, path, {});
}

Try<json> Api::patch(const std::string& path, const json& body, const Query& query) {
  return call({.method = "PATCH", .body = body.dump(), .content_type = "application/merge-patch+json"}, path, query);
}

Try<json> Api::remove(const std::string& path, const Query& query) { return call({.method = "DELETE"}, path, query); }

Try<void> Api::download(const std::string& path, const Query& query, std::function<void(std::string_view)> sink) {
  const auto done = call({.method = "GET", .sink = std::move(sink)}, path, query);  // what is left for it to read is empty
  if (!done) return fail(done.error());
  return {};
}

Try<json> Api::list(const std::string& path, Query query, std::size_t most) {
  json all = {{"items", json::array()}, {"next", nullptr}};
  auto& items = all["items"];
  std::string cursor;
  do {
    Query asked = query;
    const std::size_t page = most == 0 ? 1000 : std::min<std::size_t>(1000, most - items.size());
    asked.emplace_back("limit", std::to_string(page));
    if (!cursor.empty()) asked.emplace_back("cursor", cursor);
    auto answer = get(path, asked);
    if (!answer) return answer;
    if (!answer->is_object() || !answer->contains("items") || !(*answer)["items"].is_array())
      return fail(kRefused, "GET {} gave no list; is {} really rosterd?", path, target_.profile.url);
    for (auto& item : (*answer)["items"]) items.push_back(std::move(item));
    const std::string next = text_at(*answer, "next");
    if (!next.empty() && next == cursor) return fail(kRefused, "GET {} gave the same page twice", path);
    cursor = next;
  } while (!cursor.empty() && (most == 0 || items.size() < most));
  if (!cursor.empty()) all["next"] = cursor;
  return all;
}

}  // namespace rosterd::cli
