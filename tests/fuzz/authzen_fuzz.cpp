// The AuthZEN endpoints (check-api.md §8) through the whole wrapper. The first line of an input names the endpoint, the rest is the body.
// A batch must agree with its singles, a search with evaluations, pages with the whole list.

#include <nlohmann/json.hpp>

#include "daemon/http/json.hpp"
#include "tests/fuzz/ground.hpp"
#include "tests/fuzz/target.hpp"

namespace rosterd::fuzz {
namespace {

using nlohmann::json;

constexpr std::string_view kEndpoints[] = {"evaluation", "evaluations", "search/subject", "search/resource", "search/action"};
constexpr std::size_t kMostFollowed = 8;  // of items, results and pages: enough to be wrong in one of them

http::Reply post(std::string_view endpoint, std::string_view body) {
  auto reply = ask("POST", fmt::format("/t/{}/access/v1/{}", kTenant, endpoint), body, kAsker);
  require(reply.status == 200 || reply.status == 400 || reply.status == 413, "AuthZEN answers 200, 400 or 413 (A3)", body);
  require(reply.status != 200 || reply.revision.has_value(), "a decision names its revision (K3)", body);
  return reply;
}
http::Reply post_json(std::string_view endpoint, const json& body) { return post(endpoint, http::dump(body)); }

bool has_exactly(const json& object, std::initializer_list<const char*> names) {
  if (!object.is_object() || object.size() != names.size()) return false;
  for (const char* name : names)
    if (!object.contains(name)) return false;
  return true;
}

/// A1: {"decision":…}, and a context only where one was asked for or the item failed.
void judge_decision(const json& decision, std::string_view about) {
  require(has_exactly(decision, {"decision"}) || has_exactly(decision, {"decision", "context"}), "a decision has its members alone (A1)",
          about);
  require(decision["decision"].is_boolean(), "a decision is true or false (A1)", about);
  if (!decision.contains("context")) return;
  const auto& context = decision["context"];
  if (!has_exactly(context, {"error"})) {
    require(has_exactly(context, {"reason_admin", "reason_user"}), "a context holds the reasons", about);
    return;
  }
  require(decision["decision"] == false, "what fails is not allowed (A7)", about);
  require(has_exactly(context["error"], {"status", "message"}) && context["error"]["status"] == 400, "a failure says why (A7)", about);
}

/// A5, A7, A8: each item as if it had been asked alone, up to where the semantic ends it.
void judge_batch(const json& request, const json& answered, std::string_view about) {
  const auto& asked = request["evaluations"];
  require(has_exactly(answered, {"evaluations"}), "a batch has no decision of its own (A7)", about);
  const auto& items = answered["evaluations"];
  std::string semantic = "execute_all";
  if (request.contains("options") && request["options"].contains("evaluations_semantic"))
    semantic = request["options"]["evaluations_semantic"];
  require(!items.empty() && items.size() <= asked.size(), "a batch answers its items", about);
  if (items.size() < asked.size() || semantic == "execute_all")
    require(semantic == "execute_all" ? items.size() == asked.size() : items.back()["decision"] == (semantic == "permit_on_first_permit"),
            "a batch ends with the item that decides it (A8)", about);
  for (std::size_t i = 0; i < items.size(); ++i) {
    judge_decision(items[i], about);
    if (i + 1 < items.size() && semantic != "execute_all")
      require(items[i]["decision"] != (semantic == "permit_on_first_permit"), "nothing is answered behind the deciding item (A8)", about);
    if (i >= kMostFollowed || !asked[i].is_object()) continue;
    json single = asked[i];
    for (const char* part : {"subject", "action", "resource", "context"})
      if (!single.contains(part) && request.contains(part)) single[part] = request[part];
    const auto alone = post_json("evaluation", single);
    if (alone.status == 200)
      require(json::parse(alone.body) == items[i], "an item is answered as if it were alone", about);
    else
      require(items[i].contains("context") && items[i]["context"].contains("error"), "what fails alone fails in a batch", about);
  }
}

/// A9, A10: entities of the kind, and each of them evaluates to true.
void judge_results(std::string_view kind, const json& request, const json& answered, std::string_view about) {
  require(has_exactly(answered, {"results"}) || has_exactly(answered, {"results", "page"}), "a search has results (A9)", about);
  std::size_t followed = 0;
  for (const auto& one : answered["results"]) {
    require(kind == "action" ? has_exactly(one, {"name"}) : has_exactly(one, {"type", "id"}), "a result is an entity alone (A9)", about);
    if (kind != "action") require(one["type"] == request[std::string(kind)]["type"], "a result is of the kind asked for (A9)", about);
    if (++followed > kMostFollowed) continue;
    json question;
    for (const char* part : {"subject", "action", "resource"})
      if (kind != part) question[part] = request[part];
    question[std::string(kind)] = one;
    require(post_json("evaluation", question).body == R"({"decision":true})", "what is found may (A10)", about);
  }
}

/// A11: the pages put together are the list.
void judge_pages(std::string_view endpoint, json request, const json& whole, std::string_view about) {
  json together = json::array();
  request["page"] = {{"limit", 2}};
  while (together.size() < whole.size() + 1) {
    const auto page = post_json(endpoint, request);
    require(page.status == 200, "a page is given", about);
    const auto answered = json::parse(page.body);
    require(answered.contains("page") && answered["page"]["next_token"].is_string(), "a page says how it goes on (A11)", about);
    require(answered["results"].size() <= 2, "a page keeps its limit (A11)", about);
    for (const auto& one : answered["results"]) together.push_back(one);
    if (answered["page"]["next_token"] == "") break;
    require(!answered["results"].empty(), "pages get on", about);
    request["page"]["token"] = answered["page"]["next_token"];
  }
  require(together == whole, "the pages are the list (A11)", about);
}

void one_input(std::string_view input) {
  freshen();
  const auto end = input.find('\n');
  const auto line = input.substr(0, end), body = end == std::string_view::npos ? std::string_view{} : input.substr(end + 1);
  auto endpoint = kEndpoints[line.size() % std::size(kEndpoints)];
  for (const auto one : kEndpoints)
    if (one == line) endpoint = one;

  const auto reply = post(endpoint, body);
  require(post(endpoint, body).body == reply.body, "the same question has the same answer", body);
  if (reply.status != 200) return;
  const auto request = http::parse_json(body);
  require(request && request->is_object(), "only I-JSON is answered (A13)", body);
  const auto answered = json::parse(reply.body);
  if (endpoint.starts_with("search/")) {
    const auto kind = endpoint.substr(7);
    judge_results(kind, *request, answered, body);
    if (!request->contains("page")) judge_pages(endpoint, *request, answered["results"], body);
  } else if (endpoint == "evaluations" && request->contains("evaluations") && !(*request)["evaluations"].empty()) {
    judge_batch(*request, answered, body);
  } else {
    judge_decision(answered, body);
    require(post("evaluation", body).body == reply.body, "without items the batch is a single (A6)", body);
  }
}

}  // namespace
}  // namespace rosterd::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  rosterd::fuzz::one_input(rosterd::fuzz::text_of(data, size));
  return 0;
}
