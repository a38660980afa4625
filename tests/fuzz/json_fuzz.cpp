// JSON bodies. The first line of an input names a row of the route table ("POST /v1/tenants/{t}/check"), the rest is the body; another
// first line means some row, so that new rows need no new inputs. The body also goes through every reader of JSON by itself.

#include <nlohmann/json.hpp>

#include "connectors/connector.hpp"
#include "daemon/http/json.hpp"
#include "schema/core/hash.hpp"
#include "schema/model/sync.hpp"
#include "tests/fuzz/ground.hpp"
#include "tests/fuzz/target.hpp"

namespace rosterd::fuzz {
namespace {

using http::routes;
using nlohmann::json;

/// The rows that take a body.
std::vector<const http::Route*> doors() {
  std::vector<const http::Route*> out;
  for (const auto& route : routes())
    if (route.method != "GET" && route.method != "DELETE") out.push_back(&route);
  return out;
}

const http::Route& door_of(std::string_view line) {
  static const auto all = doors();
  std::size_t sum = 0;
  for (const char c : line) sum = sum * 31 + static_cast<unsigned char>(c);
  for (const auto* route : all)
    if (fmt::format("{} {}", route->method, route->path) == line) return *route;
  return *all[sum % all.size()];
}

/// The path with something in the place of every {name}: what there is, where the ground has it.
std::string filled(std::string_view path) {
  std::string out;
  while (!path.empty()) {
    const auto open = path.find('{');
    out += path.substr(0, open);
    if (open == std::string_view::npos) break;
    const auto close = path.find('}', open);
    const auto name = path.substr(open + 1, close - open - 1);
    out += name == "t" ? kTenant : name == "s" ? "corp" : name == "r" ? text(RunId{1}) : name == "u" ? "ada" : name == "g" ? "staff" : "1";
    path.remove_prefix(close + 1);
  }
  return out;
}

void at_the_door(const http::Route& route, std::string_view body) {
  const auto token = route.access == http::Access::SuperAdmin ? kRoot : kAdmin;
  const auto target = filled(route.path);
  const auto once = ask(route.method, target, body, token);
  const auto again = ask(route.method, target, body, token);
  require(once.status == again.status, "the same request has the same status", body);
  // A new token is another one each time, and an answer may hold no more chance than that.
  if (once.status != 201) require(once.body == again.body, "the same request has the same answer", body);
  if (once.status >= 300 || body.empty()) return;
  // The check reads its body without a document: it must not take what the strict parser refuses. What a text holds is judged by item.
  if (body.find("\\u0000") == std::string_view::npos) require(http::parse_json(body).has_value(), "what is answered was strict JSON", body);
}

void strict_json(std::string_view body) {
  const auto parsed = http::parse_json(body);
  if (!parsed) {
    require(parsed.error().code == Errc::InvalidInput, "a body that is no JSON is the client's fault", body);
    return;
  }
  require(json::accept(body), "what is strict JSON is JSON", body);
  const auto written = http::dump(*parsed);
  const auto again = http::parse_json(written);
  require(again && *again == *parsed && http::dump(*again) == written, "JSON goes round", body);
}

void fields(std::string_view body) {
  auto fields = http::Fields::of(body);
  if (!fields) return;
  const auto name = fields->text("name");
  const auto note = fields->optional_text("note", 8);
  const auto flag = fields->flag("enabled");
  const auto* value = fields->value("settings");
  const auto done = fields->done();
  if (!done) return;
  require(!name.empty() && name.size() <= 255 && (!note || note->size() <= 8), "a field keeps its limits", body);
  require(fields->has("enabled") || !flag, "what is absent has no value", body);
  require(value == nullptr || !value->is_null(), "null is no value", body);
}

/// What reads a part of a body: what it takes, it writes in a form that it takes as the same.
void readers(std::string_view body) {
  const auto document = http::parse_json(body);
  if (document) {
    if (const auto schedule = schedule_from_json(*document)) {
      const auto again = schedule_from_json(to_json(*schedule));
      require(again && *again == *schedule, "a schedule goes round", body);
    }
    if (const auto guard = guard_from_json(*document)) {
      const auto again = guard_from_json(to_json(*guard));
      require(again && *again == *guard, "a guard goes round", body);
    }
    if (const auto mappings = role_mappings_from_json(*document)) {
      auto written = json::array();
      for (const auto& mapping : *mappings) written.push_back(to_json(mapping));
      const auto again = role_mappings_from_json(written);
      require(again && *again == *mappings, "role mappings go round", body);
    }
  }
  const auto& catalogue = *app().services.catalogue;
  if (const auto mask = catalogue.strict_mask(body)) {
    const auto again = catalogue.strict_mask(catalogue.content(*mask));
    require(again && *again == *mask, "a role's content goes round", body);
    const auto lenient = catalogue.mask(body);
    require(lenient && *lenient == *mask, "a content that may be stored grants what it says", body);
  }
  (void)catalogue.unknown_pairs(body);
  if (const auto ldap = connectors::find_connector_type("ldap")) {
    const auto valid = (*ldap)->validate(body);
    if (valid) require(!(*ldap)->fingerprint(body).cursor.empty(), "valid settings have a fingerprint", body);
  }
}

void one_input(std::string_view input) {
  freshen();
  const auto end = input.find('\n');
  const auto body = end == std::string_view::npos ? std::string_view{} : input.substr(end + 1);
  at_the_door(door_of(input.substr(0, end)), body);
  strict_json(body);
  fields(body);
  readers(body);
}

}  // namespace
}  // namespace rosterd::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  rosterd::fuzz::one_input(rosterd::fuzz::text_of(data, size));
  return 0;
}
