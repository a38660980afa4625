#pragma once
// Replies and the JSON of the nouns of access, in the shapes of DESIGN §6.2.

#include <nlohmann/json.hpp>

#include "daemon/http/app.hpp"
#include "daemon/http/json.hpp"
#include "schema/model/access.hpp"

namespace rosterd::http {

[[nodiscard]] inline Reply reply(int status, const nlohmann::json& body) { return {.status = status, .body = dump(body)}; }
[[nodiscard]] inline Reply ok(const nlohmann::json& body) { return reply(200, body); }
/// A decision: from which revision it is, and how long ago this replica last heard that there is none newer. Needs the call's snapshot.
[[nodiscard]] Reply decided(const Call& call, std::string body);
/// 204 after a mutation of the tenant.
[[nodiscard]] inline Reply gone(std::optional<Revision> revision) {
  return {.status = 204, .body = {}, .content_type = {}, .headers = {}, .revision = revision, .changed = true};
}

/// {"items": […], "next": "…"|null}
[[nodiscard]] inline nlohmann::json list(nlohmann::json items, const std::string& next = {}) {
  return {{"items", std::move(items)}, {"next", next.empty() ? nlohmann::json(nullptr) : nlohmann::json(next)}};
}
template <class T, class Render>
[[nodiscard]] nlohmann::json list(const Page<T>& page, Render render) {
  auto items = nlohmann::json::array();
  for (const auto& item : page.items) items.push_back(render(item));
  return list(std::move(items), page.next);
}

[[nodiscard]] inline nlohmann::json text_or_null(const std::string& text) {
  return text.empty() ? nlohmann::json(nullptr) : nlohmann::json(text);
}
[[nodiscard]] inline nlohmann::json time_or_null(const std::optional<TimePoint>& time) {
  return time ? nlohmann::json(rfc3339(*time)) : nlohmann::json(nullptr);
}
/// "local", or {"source": "src_…"}.
[[nodiscard]] inline nlohmann::json origin(const std::optional<SourceId>& source) {
  return source ? nlohmann::json{{"source", text(*source)}} : nlohmann::json("local");
}

[[nodiscard]] nlohmann::json to_json(const Tenant& tenant);
[[nodiscard]] nlohmann::json to_json(const Account& account);
[[nodiscard]] nlohmann::json to_json(const TokenInfo& token);
[[nodiscard]] nlohmann::json to_json(const User& user);
[[nodiscard]] nlohmann::json to_json(const Group& group);
[[nodiscard]] nlohmann::json to_json(const Member& member);

}  // namespace rosterd::http
