#include "daemon/http/problem.hpp"

#include <algorithm>

#include "daemon/http/json.hpp"
#include "schema/core/text.hpp"

namespace rosterd::http {
namespace {

struct CodeRow {
  Errc code;
  int status;
  std::string_view slug;
};
constexpr CodeRow kCodes[] = {
    {Errc::InvalidInput, 400, "invalid_request"},
    {Errc::Unauthorized, 401, "unauthenticated"},
    {Errc::Forbidden, 403, "forbidden"},
    {Errc::NotFound, 404, "not_found"},
    {Errc::Conflict, 409, "conflict"},
    {Errc::Refused, 409, "refused"},
    {Errc::CursorExpired, 409, "cursor_expired"},
    {Errc::Unavailable, 503, "unavailable"},
    {Errc::Stopped, 503, "stopping"},
    {Errc::Internal, 500, "internal"},
};

/// Slugs whose status is not that of their Errc (rbac.md §17, check-api.md §6 and §10).
struct SlugRow {
  std::string_view slug;
  int status;
};
constexpr SlugRow kSlugs[] = {
    {"stale_version", 412},     {"if_match_required", 428},   {"unknown_permission", 422},     {"unknown_action", 422},
    {"invalid_namespace", 422}, {"unknown_role", 422},        {"unknown_principal", 422},      {"unknown_account", 422},
    {"weak_password", 422},     {"unknown_source_type", 422}, {"expires_in_past", 422},        {"secret_required", 422},
    {"too_many_attempts", 429}, {"payload_too_large", 413},   {"unsupported_media_type", 415}, {"length_required", 411},
    {"uri_too_long", 414},      {"headers_too_large", 431},   {"method_not_allowed", 405},     {"binding_immutable", 405},
    {"not_implemented", 501},   {"request_timeout", 408},     {"rate_limited", 429},           {"held_by_guard", 429},
};

const CodeRow& row_of(Errc code) {
  return *std::find_if(std::begin(kCodes), std::end(kCodes) - 1, [&](const CodeRow& row) { return row.code == code; });
}

std::string_view told(const Error& error, int status) {
  if (error.code == Errc::Internal) return "something went wrong inside rosterd; its log has the details under this request id";
  if (error.code == Errc::Unavailable && error.slug.empty()) return "the database is not reachable now; try again";
  if (error.what.empty()) return title_of(status);
  return error.what;
}

}  // namespace

int status_of(const Error& error) {
  for (const auto& row : kSlugs)
    if (row.slug == error.slug) return row.status;
  return row_of(error.code).status;
}

std::string_view code_of(const Error& error) { return error.slug.empty() ? row_of(error.code).slug : std::string_view(error.slug); }

std::string_view title_of(int status) {
  switch (status) {
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 411:
      return "Length Required";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 422:
      return "Unprocessable Content";
    case 428:
      return "Precondition Required";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    default:
      return "Internal Server Error";
  }
}

Reply problem(const Error& error) {
  Reply reply;
  reply.status = status_of(error);
  reply.content_type = "application/problem+json";
  const auto code = code_of(error);
  reply.body = fmt::format(R"({{"type":"urn:rosterd:problem:{}","title":"{}","status":{},"code":"{}","detail":")", code,
                           title_of(reply.status), reply.status, code);
  append_json_escaped(reply.body, told(error, reply.status));
  reply.body += "\"}";
  if (reply.status == 401) reply.headers.emplace_back("WWW-Authenticate", "Bearer");
  if (reply.status == 503 || reply.status == 429) reply.headers.emplace_back("Retry-After", "1");
  return reply;
}

bool is_scim_target(std::string_view target) {
  if (!target.starts_with("/t/")) return false;
  const auto slash = target.find('/', 3);
  return slash != std::string_view::npos && target.substr(slash).starts_with("/scim/");
}

Reply as_scim(Reply reply) {
  // RFC 7644 §3.12, RFC 9865 §3.
  static constexpr std::string_view kTypes[] = {"invalidFilter", "tooMany",       "uniqueness",    "mutability",
                                                "invalidSyntax", "invalidPath",   "noTarget",      "invalidValue",
                                                "invalidVers",   "invalidCursor", "expiredCursor", "invalidCount"};
  constexpr auto kWaitForAPerson = "3600";
  const auto problem = nlohmann::json::parse(reply.body, nullptr, false);
  nlohmann::json out{{"schemas", {"urn:ietf:params:scim:api:messages:2.0:Error"}}, {"status", std::to_string(reply.status)}};
  if (problem.is_object()) {
    out["detail"] = problem.value("detail", std::string());
    const auto code = problem.value("code", std::string());
    if (std::find(std::begin(kTypes), std::end(kTypes), code) != std::end(kTypes)) out["scimType"] = code;
    if (code == "held_by_guard")
      for (auto& [name, value] : reply.headers)
        if (name == "Retry-After") value = kWaitForAPerson;
  }
  reply.body = dump(out);
  reply.content_type = "application/scim+json";
  return reply;
}

Reply too_many_attempts(Millis locked_for) {
  auto reply = problem({.code = Errc::Refused,
                        .what = "too many failed attempts: signing in with a password is locked for this e-mail for a while",
                        .slug = "too_many_attempts"});
  for (auto& [name, value] : reply.headers)
    if (name == "Retry-After") value = fmt::format("{}", (locked_for.count() + 999) / 1000);
  return reply;
}

Error no_such_tenant() {
  return {.code = Errc::NotFound, .what = "there is no such thing, or none that this token may know of", .slug = {}};
}

Error unauthenticated() { return {.code = Errc::Unauthorized, .what = "a valid bearer token is needed", .slug = {}}; }

Error denied() { return {.code = Errc::Forbidden, .what = "access is denied", .slug = {}}; }

}  // namespace rosterd::http
