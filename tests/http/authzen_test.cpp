// OpenID AuthZEN 1.0 from outside (check-api.md §8): shapes to the byte, the three semantics, searches as the inverse of evaluations.
#include <random>
#include <set>

#include "tests/http/world.hpp"

namespace rosterd::test {
namespace {

using nlohmann::json;

struct AuthZenTest : testing::Test {
  World& world = World::shared();
  std::string tenant = world.tenant();
  TenantId key{tenant};
  std::string base = "/t/" + tenant + "/access/v1";

  [[nodiscard]] Answer evaluate(const json& body, const Headers& headers = {}) const {
    return world.root().post(base + "/evaluation", body, headers);
  }
  [[nodiscard]] Answer evaluate_all(const json& body) const { return world.root().post(base + "/evaluations", body); }
  [[nodiscard]] Answer search(const std::string& kind, const json& body) const { return world.root().post(base + "/search/" + kind, body); }
  static json subject(const std::string& id, const std::string& type = "user") { return {{"type", type}, {"id", id}}; }
  static json action(const std::string& name) { return {{"name", name}}; }
  static json resource(const std::string& type, const std::string& id) { return {{"type", type}, {"id", id}}; }
  static json ask(const std::string& who, const std::string& what, const std::string& permission, const std::string& where) {
    return {{"subject", subject(who)}, {"action", action(what)}, {"resource", resource(permission, where)}};
  }

  PrincipalId user(const std::string& name, const std::optional<std::string>& email = {}) {
    UserRecord record;
    record.username = name;
    record.email = email;
    return world.store->create_user(key, record, {}).value().value.id;
  }
  RoleId role(const std::string& name) {
    const auto roles = world.store->roles(key);
    for (const auto& role : *roles)
      if (role.name == name) return role.id;
    throw std::runtime_error("no role " + name);
  }
  void bind(const std::string& role_name, const Principal& principal, const std::optional<std::string>& ns) {
    ASSERT_TRUE(world.store->create_binding(key, {.role = role(role_name), .principal = principal, .ns = ns, .expires_at = {}}, {}));
  }
  /// grace: Viewer in a.b and Editor in a; linus: nothing.
  void people() {
    const auto grace = user("grace", "grace@example.org");
    bind("Viewer", {PrincipalType::User, grace}, "a.b");
    bind("Editor", {PrincipalType::User, grace}, "a");
    user("linus");
    world.control->changed(key);
  }
};

TEST_F(AuthZenTest, AnEvaluationAnswersTheDecisionAndNothingElseA1) {
  people();
  const auto yes = evaluate(ask("grace", "READ", "FLOW", "a.b.c"));
  ASSERT_EQ(yes.status, 200) << yes.text;
  EXPECT_EQ(yes.text, R"({"decision":true})");
  EXPECT_EQ(yes.header("content-type"), "application/json");
  EXPECT_FALSE(yes.header("rosterd-revision").empty());
  const auto no = evaluate(ask("linus", "READ", "FLOW", "a"));
  EXPECT_EQ(no.status, 200);
  EXPECT_EQ(no.text, R"({"decision":false})");
  EXPECT_EQ(evaluate(ask("GRACE@example.org", "READ", "FLOW", "a")).body["decision"], true) << "ids are keys of any spelling (R7)";
}

TEST_F(AuthZenTest, WhatIsMissingOrMisshapenIs400AndUnknownFieldsAreIgnoredA2A3) {
  people();
  const auto whole = ask("grace", "READ", "FLOW", "a");
  for (const char* part : {"subject", "action", "resource"}) {
    auto body = whole;
    body.erase(part);
    const auto missing = evaluate(body);
    EXPECT_EQ(missing.status, 400) << part;
    EXPECT_EQ(missing.header("content-type"), "application/problem+json");
    EXPECT_NE(missing.text.find(part), std::string::npos) << missing.text;
    for (const auto& [name, value] : whole[part].items())
      for (const json& bad : {json(nullptr), json(7), json(""), json::array(), json::object()}) {
        body = whole;
        body[part][name] = bad;
        EXPECT_EQ(evaluate(body).status, 400) << part << "." << name << " " << bad;
      }
    body = whole;
    body[part]["properties"] = "x";
    EXPECT_EQ(evaluate(body).status, 400) << part;
  }
  auto more = whole;
  more["colour"] = "red";
  more["subject"]["ip"] = "::1";
  more["subject"]["properties"] = {{"roles", {"Admin"}}};
  more["resource"]["properties"] = {{"owner", "grace"}};
  more["context"] = {{"time", "2026-01-01T00:00:00Z"}};
  EXPECT_EQ(evaluate(more).text, R"({"decision":true})");
  more["subject"]["id"] = "linus";
  EXPECT_EQ(evaluate(more).text, R"({"decision":false})") << "properties that a caller sends are believed by nobody";
  EXPECT_EQ(world.root().post(base + "/evaluation?verbose=1", whole).status, 200) << "nor does an unknown parameter matter";
  more["context"] = 7;
  EXPECT_EQ(evaluate(more).status, 400);
  for (const char* bad : {"", "[]", "null", "{", R"({"subject":1,"subject":2})", "{\"subject\":\"\xff\"}", R"({"a":"\ud800"})"}) {
    const auto answer = world.root().call("POST", base + "/evaluation", bad, {{"Content-Type", "application/json"}});
    EXPECT_EQ(answer.status, 400) << bad;
  }
  EXPECT_EQ(world.root().call("POST", base + "/evaluation", R"({"context":)" + std::string(70, '[') + std::string(70, ']') + "}").status,
            400);
}

TEST_F(AuthZenTest, JsonWithACharsetIsJsonAndAnythingElseIs400) {
  people();
  const auto body = ask("grace", "READ", "FLOW", "a").dump();
  const auto typed = [&](const char* type) {
    return world.root().call("POST", base + "/evaluation", body, {{"Content-Type", type}}).status;
  };
  EXPECT_EQ(typed("application/json; charset=utf-8"), 200);
  EXPECT_EQ(typed("text/plain"), 400);
  EXPECT_EQ(typed("application/x-www-form-urlencoded"), 400);
}

TEST_F(AuthZenTest, TheRequestIdComesBackA4) {
  people();
  const auto answer = evaluate(ask("grace", "READ", "FLOW", "a"), {{"X-Request-ID", "bfe9eb29-ab87-4ca3-be83-a1d5d8305716"}});
  EXPECT_EQ(answer.header("x-request-id"), "bfe9eb29-ab87-4ca3-be83-a1d5d8305716");
  EXPECT_EQ(evaluate(json::object(), {{"X-Request-ID", "of-an-error"}}).header("x-request-id"), "of-an-error");
  EXPECT_EQ(world.nobody().post(base + "/evaluation", {}, {{"X-Request-ID", "of-nobody"}}).header("x-request-id"), "of-nobody");
}

TEST_F(AuthZenTest, EveryErrorOfAWholeRequestIsAProblemWithAMessageA3) {
  people();
  const std::string large(70'000, 'x');
  const auto body = ask("grace", "READ", "FLOW", "a");
  auto too_large = body;
  too_large["context"] = {{"note", large}};
  const auto ada = world.person("ada");
  const auto hers = world.tenant_where(ada, R"({"FLOW":["READ"]})");
  const std::pair<int, Answer> failures[] = {{400, evaluate(json::array())},
                                             {401, world.nobody().post(base + "/evaluation", body)},
                                             {403, world.as(ada).post("/t/" + hers + "/access/v1/evaluation", body)},
                                             {413, evaluate(too_large)}};
  for (const auto& [status, answer] : failures) {
    EXPECT_EQ(answer.status, status) << answer.text;
    EXPECT_EQ(answer.header("content-type"), "application/problem+json");
    EXPECT_FALSE(answer.body.value("detail", "").empty()) << answer.text;
    EXPECT_FALSE(answer.body.contains("decision")) << "an error is no denial";
  }
  EXPECT_FALSE(failures[1].second.header("www-authenticate").empty());
}

TEST_F(AuthZenTest, ABatchMayBeLargerThanASingleA13) {
  people();
  auto single = ask("grace", "READ", "FLOW", "a");
  single["context"] = {{"note", std::string(100'000, 'x')}};
  EXPECT_EQ(evaluate(single).status, 413);
  json batch = {{"evaluations", json::array({single})}};
  EXPECT_EQ(evaluate_all(batch).body["evaluations"][0]["decision"], true);
  batch["context"] = {{"note", std::string(1'000'000, 'x')}};
  EXPECT_EQ(evaluate_all(batch).status, 413);
}

TEST_F(AuthZenTest, EveryEndpointWantsIJsonA13) {
  const std::string deep = R"({"context":)" + std::string(70, '[') + std::string(70, ']') + "}";
  for (const char* path : {"/evaluation", "/evaluations", "/search/subject", "/search/resource", "/search/action"})
    for (const std::string& bad :
         {std::string(R"({"subject":{"type":"user","type":"user","id":"a"}})"), std::string("{\"subject\":{\"type\":\"\xc3\"}}"),
          std::string(R"({"subject":{"type":"\udc00"}})"), std::string(R"({"subject":{"type":"a\u0000"}})"), deep, std::string("{} {}")}) {
      const auto answer = world.root().call("POST", base + path, bad, {{"Content-Type", "application/json"}});
      EXPECT_EQ(answer.status, 400) << path << bad.substr(0, 60);
      EXPECT_EQ(answer.code(), "invalid_request");
    }
}

TEST_F(AuthZenTest, NamesAreMappedAsTheTableSays) {
  people();
  const auto decision = [&](const json& body) { return evaluate(body).body["decision"]; };
  EXPECT_EQ(decision(ask("grace", "READ", "FLOW", "*")), false) << "* is the whole tenant, and grace has a part of it";
  EXPECT_EQ(decision(ask(world.root_email, "READ", "FLOW", "*")), true);
  EXPECT_EQ(decision(ask(world.root_email, "READ", "FLOW", "Not A Namespace")), false) << "not even for an Admin";
  EXPECT_EQ(decision(ask("grace", "READ", "flow", "a")), false);
  EXPECT_EQ(decision({{"subject", subject("grace", "robot")}, {"action", action("READ")}, {"resource", resource("FLOW", "a")}}), false);
  EXPECT_EQ(decision(ask("grace", "*any*", "FLOW", "a")), true);
  EXPECT_EQ(decision(ask("linus", "*any*", "FLOW", "a")), false);
  EXPECT_EQ(decision(ask("grace", "*any*", "NOPE", "a")), false);
}

TEST_F(AuthZenTest, GroupsAndServiceAccountsAreSubjectsOfTheirOwnType) {
  const auto team = world.store->create_group(key, {.name = "Team"}, {}).value().value.id;
  bind("Viewer", {PrincipalType::Group, team}, "a");
  user("team");
  world.control->changed(key);
  const auto decision = [&](const char* type, const char* id) {
    return evaluate({{"subject", subject(id, type)}, {"action", action("READ")}, {"resource", resource("FLOW", "a.b")}}).text;
  };
  EXPECT_EQ(decision("group", "team"), R"({"decision":true})");
  EXPECT_EQ(decision("user", "team"), R"({"decision":false})");
  EXPECT_EQ(decision("service_account", "team"), R"({"decision":false})");
  EXPECT_EQ(decision("Group", "team"), R"({"decision":false})") << "a type has its exact case";
  const auto found = search("subject", {{"subject", {{"type", "group"}}}, {"action", action("READ")}, {"resource", resource("FLOW", "a")}});
  EXPECT_EQ(found.body["results"].size(), 1u) << found.text;
  EXPECT_EQ(found.body["results"][0]["type"], "group");
}

TEST_F(AuthZenTest, TheTenantIsThatOfThePathAlone) {
  people();
  auto body = ask("grace", "READ", "FLOW", "a");
  for (const char* name : {"tenant", "t", "tenant_id"}) body[name] = "nowhere";
  body["subject"]["properties"] = {{"tenant", "nowhere"}};
  EXPECT_EQ(evaluate(body).text, R"({"decision":true})");
}

TEST_F(AuthZenTest, ReasonsComeOnRequestOnly) {
  people();
  auto body = ask("grace", "READ", "FLOW", "b");
  body["context"] = {{"explain", true}};
  const auto told = evaluate(body);
  EXPECT_EQ(told.body["context"]["reason_admin"]["code"], "denied_wrong_namespace") << told.text;
  EXPECT_TRUE(told.body["context"]["reason_user"]["en"].is_string());
  body["context"]["explain"] = "yes";
  EXPECT_EQ(evaluate(body).text, R"({"decision":false})");
}

TEST_F(AuthZenTest, DefaultsAreReplacedWholeAndAnswersStandInOrderA5A7) {
  people();
  const json body = {
      {"subject", subject("grace")},
      {"action", action("READ")},
      {"resource", resource("FLOW", "a")},
      {"evaluations", json::array({json::object(), json{{"resource", resource("FLOW", "b")}}, json{{"resource", {{"id", "a"}}}}, json(7),
                                   json{{"subject", subject("linus")}}, json{{"action", action("UPDATE")}}})}};
  const auto answer = evaluate_all(body);
  ASSERT_EQ(answer.status, 200) << answer.text;
  EXPECT_EQ(answer.body.size(), 1u) << "no decision at the top";
  const auto& items = answer.body["evaluations"];
  ASSERT_EQ(items.size(), 6u);
  EXPECT_EQ(items[0], json({{"decision", true}}));
  EXPECT_EQ(items[1], json({{"decision", false}}));
  EXPECT_EQ(items[2]["decision"], false) << "the default's type is not merged in";
  EXPECT_EQ(items[2]["context"]["error"]["status"], 400);
  EXPECT_NE(items[2]["context"]["error"]["message"].get<std::string>().find("resource.type"), std::string::npos);
  EXPECT_EQ(items[3]["context"]["error"]["status"], 400);
  EXPECT_EQ(items[4], json({{"decision", false}}));
  EXPECT_EQ(items[5], json({{"decision", true}}));
}

TEST_F(AuthZenTest, WithoutEvaluationsTheBatchIsASingleA6) {
  people();
  auto body = ask("grace", "READ", "FLOW", "a");
  EXPECT_EQ(evaluate_all(body).text, R"({"decision":true})");
  body["evaluations"] = json::array();
  EXPECT_EQ(evaluate_all(body).text, R"({"decision":true})");
  body["evaluations"] = json::object();
  EXPECT_EQ(evaluate_all(body).status, 400);
  EXPECT_EQ(evaluate_all({{"evaluations", json::array()}}).status, 400);
}

TEST_F(AuthZenTest, TheSemanticsStopWhereTheyShouldA8) {
  people();
  const auto ran = [&](const char* semantic, const std::vector<std::string>& who) {
    json body = {
        {"action", action("READ")}, {"resource", resource("FLOW", "a")}, {"options", {{"evaluations_semantic", semantic}, {"x", 1}}}};
    for (const auto& one : who) body["evaluations"].push_back(one.empty() ? json::object() : json{{"subject", subject(one)}});
    std::string out;
    const auto answer = evaluate_all(body);
    for (const auto& item : answer.body["evaluations"]) out += item["decision"] == true ? 'y' : 'n';
    return out;
  };
  EXPECT_EQ(ran("execute_all", {"grace", "linus", "grace"}), "yny");
  EXPECT_EQ(ran("deny_on_first_deny", {"grace", "grace", "linus", "grace"}), "yyn");
  EXPECT_EQ(ran("deny_on_first_deny", {"grace", "", "grace"}), "yn") << "a failure is a denial";
  EXPECT_EQ(ran("deny_on_first_deny", {"grace", "grace"}), "yy");
  EXPECT_EQ(ran("permit_on_first_permit", {"linus", "", "grace", "linus"}), "nny");
  EXPECT_EQ(ran("permit_on_first_permit", {"linus", "linus"}), "nn");
  auto body = ask("grace", "READ", "FLOW", "a");
  body["options"] = {{"evaluations_semantic", "sometimes"}};
  EXPECT_EQ(evaluate_all(body).status, 400);
}

TEST_F(AuthZenTest, ABatchAnswersAsItsSinglesR100) {
  people();
  auto items = json::array();
  for (const auto& who : {world.root_email, std::string("grace"), std::string("linus"), std::string("nobody")})
    for (const char* what : {"READ", "UPDATE", "NOPE", "*any*"})
      for (const char* permission : {"FLOW", "USER", "NOPE"})
        for (const char* where : {"*", "a", "a.b", "ab", "Not One"}) items.push_back(ask(who, what, permission, where));
  const auto batch = evaluate_all({{"evaluations", items}});
  ASSERT_EQ(batch.body["evaluations"].size(), items.size()) << batch.text;
  int allowed = 0;
  for (std::size_t i = 0; i < items.size(); ++i) {
    EXPECT_EQ(evaluate(items[i]).body, batch.body["evaluations"][i]) << items[i];
    allowed += batch.body["evaluations"][i]["decision"] == true ? 1 : 0;
    const auto& where = items[i]["resource"]["id"];
    if (where == "Not One" || items[i]["action"]["name"] == "*any*") continue;
    json native = {{"subject", "user:" + items[i]["subject"]["id"].get<std::string>()},
                   {"permission", items[i]["resource"]["type"]},
                   {"action", items[i]["action"]["name"]}};
    if (where != "*") native["namespace"] = where;
    EXPECT_EQ(world.root().post("/v1/tenants/" + tenant + "/check", native).body["allowed"], batch.body["evaluations"][i]["decision"]);
  }
  EXPECT_GT(allowed, 20);
  EXPECT_LT(allowed, static_cast<int>(items.size()) - 20);
  while (items.size() <= 1000) items.push_back(items[0]);
  EXPECT_EQ(evaluate_all({{"evaluations", items}}).status, 400);
}

TEST_F(AuthZenTest, SearchResultsHaveTypeAndIdAloneA9) {
  people();
  const auto who = search(
      "subject", {{"subject", {{"type", "user"}, {"id", "ignored"}}}, {"action", action("UPDATE")}, {"resource", resource("FLOW", "a.b")}});
  ASSERT_EQ(who.status, 200) << who.text;
  EXPECT_EQ(who.text, R"({"results":[{"type":"user","id":")" + world.root_email + R"("},{"type":"user","id":"grace"}]})");
  const auto where = search("resource", {{"subject", subject("grace")}, {"action", action("READ")}, {"resource", {{"type", "FLOW"}}}});
  EXPECT_EQ(where.text, R"({"results":[{"type":"FLOW","id":"a"},{"type":"FLOW","id":"a.b"}]})");
  const auto everywhere =
      search("resource", {{"subject", subject(world.root_email)}, {"action", action("READ")}, {"resource", {{"type", "FLOW"}}}});
  EXPECT_EQ(everywhere.text, R"({"results":[{"type":"FLOW","id":"*"},{"type":"FLOW","id":"a"},{"type":"FLOW","id":"a.b"}]})");
  const auto what = search("action", {{"subject", subject("grace")}, {"resource", resource("FLOW", "a")}});
  EXPECT_EQ(what.text, R"({"results":[{"name":"CREATE"},{"name":"READ"},{"name":"UPDATE"},{"name":"DELETE"}]})");
  EXPECT_EQ(search("resource", {{"subject", subject("grace")}, {"action", action("READ")}, {"resource", resource("FLOW", "zzz")}}).text,
            where.text)
      << "an id of what is searched for is ignored";
  EXPECT_EQ(search("action", {{"subject", subject("grace")}, {"action", action("DELETE")}, {"resource", resource("FLOW", "a")}}).text,
            what.text)
      << "and so is an action";
  for (const auto& none :
       {search("subject", {{"subject", {{"type", "robot"}}}, {"action", action("READ")}, {"resource", resource("FLOW", "a")}}),
        search("subject", {{"subject", {{"type", "user"}}}, {"action", action("READ")}, {"resource", resource("FLOW", "No Such")}}),
        search("resource", {{"subject", subject("nobody")}, {"action", action("READ")}, {"resource", {{"type", "FLOW"}}}}),
        search("action", {{"subject", subject("linus")}, {"resource", resource("FLOW", "a")}})})
    EXPECT_EQ(none.text, R"({"results":[]})");
  EXPECT_EQ(search("subject", {{"action", action("READ")}, {"resource", resource("FLOW", "a")}}).status, 400);
  EXPECT_EQ(search("resource", {{"subject", subject("grace")}, {"action", action("READ")}, {"resource", json::object()}}).status, 400);
  EXPECT_EQ(search("action", {{"subject", subject("grace")}}).status, 400);
}

TEST_F(AuthZenTest, ANameThatFitsTwoIsGivenAsAnId) {
  const auto one = user("twin");
  UserRecord record;
  record.username = "other";
  record.email = "twin";  // odd, and it makes the name ambiguous
  user("third", "twin@example.org");
  bind("Viewer", {PrincipalType::User, one}, "a");
  const auto other = world.store->create_user(key, record, {});
  world.control->changed(key);
  const auto found = search("subject", {{"subject", {{"type", "user"}}}, {"action", action("READ")}, {"resource", resource("FLOW", "a")}});
  const std::string id = found.body["results"].back()["id"];
  EXPECT_EQ(id, other ? text(PrincipalType::User, one) : std::string("twin")) << found.text;
  EXPECT_EQ(evaluate(ask(id, "READ", "FLOW", "a")).body["decision"], true);
}

TEST_F(AuthZenTest, PagesHaveNoGapsAndTheirTokensNameTheRevisionA11) {
  std::set<std::string> names;
  for (int i = 0; i < 7; ++i) {
    const auto name = fmt::format("u{}", i);
    bind("Viewer", {PrincipalType::User, user(name)}, fmt::format("n{}", i));
    names.insert(name);
  }
  for (const auto& name : names) {
    const auto all = world.store->user(key, name);
    bind("Launcher", {PrincipalType::User, all->id}, "shared");
  }
  world.control->changed(key);
  const json by_subject = {{"subject", {{"type", "user"}}}, {"action", action("READ")}, {"resource", resource("FLOW", "shared")}};
  const json by_resource = {{"subject", subject(world.root_email)}, {"action", action("READ")}, {"resource", {{"type", "FLOW"}}}};
  const json by_action = {{"subject", subject(world.root_email)}, {"resource", resource("FLOW", "*")}};
  for (const auto& [kind, body] : {std::pair<std::string, json>{"subject", by_subject}, {"resource", by_resource}, {"action", by_action}}) {
    const auto whole = search(kind, body).body["results"];
    ASSERT_GE(whole.size(), 4u) << kind << whole;
    for (const int limit : {1, 3}) {
      auto paged = json::array();
      std::string token;
      do {
        auto next = body;
        next["page"] = {{"limit", limit}};
        if (!token.empty()) next["page"]["token"] = token;
        const auto page = search(kind, next);
        ASSERT_EQ(page.status, 200) << page.text;
        ASSERT_LE(page.body["results"].size(), static_cast<std::size_t>(limit));
        for (const auto& item : page.body["results"]) paged.push_back(item);
        ASSERT_LE(paged.size(), whole.size()) << kind;
        token = page.body["page"]["next_token"];
      } while (!token.empty());
      EXPECT_EQ(paged, whole) << kind << limit;
    }
  }
  auto first = by_subject;
  first["page"] = {{"limit", 2}};
  auto next = by_subject;
  next["page"] = {{"token", search("subject", first).body["page"]["next_token"]}, {"limit", 5}};
  EXPECT_EQ(search("subject", next).status, 200) << "a limit may change";
  auto other = next;
  other["resource"]["id"] = "n0";
  EXPECT_EQ(search("subject", other).status, 400) << "the question may not";
  other = by_resource;
  other["page"] = next["page"];
  EXPECT_EQ(search("resource", other).status, 400);
  other = next;
  other["page"]["token"] = next["page"]["token"].get<std::string>() + "0";
  EXPECT_EQ(search("subject", other).status, 400);
  for (const json& bad : {json(0), json(-1), json("3"), json(1.5)}) {
    first["page"]["limit"] = bad;
    EXPECT_EQ(search("subject", first).status, 400) << bad;
  }
  user("late");
  world.control->changed(key);
  const auto gone = search("subject", next);
  EXPECT_EQ(gone.status, 400);
  EXPECT_NE(gone.text.find("start again"), std::string::npos) << gone.text;
}

TEST_F(AuthZenTest, AListThatIsNotEverythingSaysSoWithoutBeingAskedA11) {
  for (int i = 0; i < 104; ++i) bind("Viewer", {PrincipalType::User, user(fmt::format("u{}", i))}, "a");
  world.control->changed(key);
  const json body = {{"subject", {{"type", "user"}}}, {"action", action("READ")}, {"resource", resource("FLOW", "a")}};
  const auto cut = search("subject", body);
  ASSERT_EQ(cut.body["results"].size(), 100u) << cut.text;
  ASSERT_FALSE(cut.body["page"]["next_token"].get<std::string>().empty());
  auto next = body;
  next["page"] = {{"token", cut.body["page"]["next_token"]}};
  const auto rest = search("subject", next);
  EXPECT_EQ(rest.body["results"].size(), 5u) << "104 and the tenant's creator";
  EXPECT_EQ(rest.body["page"]["next_token"], "");
  next["page"] = {{"limit", 1'000'000}};
  EXPECT_EQ(search("subject", next).body["results"].size(), 105u) << "a limit beyond ours is cut down to it";
}

/// A small random tenant: nested groups, a cycle, suspended users, bindings everywhere.
TEST_F(AuthZenTest, SearchesAreTheExactInverseOfEvaluationsA10) {
  std::mt19937 random(20261126);
  const auto pick = [&](std::size_t below) { return std::uniform_int_distribution<std::size_t>(0, below - 1)(random); };
  const std::vector<std::string> places{"a", "a.b", "a.b.c", "a.bc", "b", "b.x"},
      roles{"Admin", "Developer", "Editor", "Launcher", "Viewer"};
  std::vector<PrincipalId> users, groups;
  std::vector<std::string> names;
  for (int i = 0; i < 8; ++i) names.push_back(fmt::format("user{}", i));
  for (const auto& name : names) users.push_back(user(name));
  for (int i = 0; i < 5; ++i) groups.push_back(world.store->create_group(key, {.name = fmt::format("group{}", i)}, {}).value().value.id);
  for (int i = 0; i < 9; ++i) (void)world.store->add_member(key, groups[pick(5)], {PrincipalType::User, users[pick(8)]}, {});
  for (int i = 0; i < 5; ++i)
    ASSERT_TRUE(world.store->add_member(key, groups[i], {PrincipalType::Group, groups[(i + 1) % 5]}, {}) || i == 4);
  for (int i = 0; i < 12; ++i) {
    const bool group = pick(4) == 0;
    const Principal who = group ? Principal{PrincipalType::Group, groups[pick(5)]} : Principal{PrincipalType::User, users[pick(8)]};
    const auto place = pick(places.size() + 1);
    (void)world.store->create_binding(key,
                                      {.role = role(roles[1 + pick(4)]),
                                       .principal = who,
                                       .ns = place == places.size() ? std::nullopt : std::optional(places[place]),
                                       .expires_at = {}},
                                      {});
  }
  bind("Admin", {PrincipalType::User, users[0]}, "a.b");
  ASSERT_TRUE(world.store->set_user_suspended(key, users[3], true, {}));
  world.control->changed(key);

  auto subjects = json::array({subject(world.root_email)});
  for (const auto& name : names) subjects.push_back(subject(name));
  for (int i = 0; i < 5; ++i) subjects.push_back(subject(fmt::format("group{}", i), "group"));
  auto bound = places;
  bound.emplace_back("*");
  const std::vector<std::string> actions{"CREATE", "READ", "UPDATE", "DELETE", "*any*"},
      permissions{"FLOW", "SECRET", "USER", "CHECK", "NOPE"};
  std::set<std::string> live;  // namespaces that a live binding names: the only ones a search can know
  const auto bindings = world.store->bindings(key);
  for (const auto& binding : *bindings) live.insert(binding.ns.value_or("*"));

  // Every evaluation there is, in batches.
  std::set<std::string> allowed;
  for (const auto& who : subjects) {
    auto items = json::array();
    for (const auto& permission : permissions)
      for (const auto& where : bound)
        for (const auto& what : actions)
          items.push_back({{"subject", who}, {"action", action(what)}, {"resource", resource(permission, where)}});
    const auto batch = evaluate_all({{"evaluations", items}});
    ASSERT_EQ(batch.body["evaluations"].size(), items.size()) << batch.text;
    for (std::size_t i = 0; i < items.size(); ++i)
      if (batch.body["evaluations"][i]["decision"] == true) allowed.insert(items[i].dump());
  }
  ASSERT_GT(allowed.size(), 100u);
  const auto may = [&](const json& who, const std::string& what, const std::string& permission, const std::string& where) {
    return allowed.contains(json{{"subject", who}, {"action", action(what)}, {"resource", resource(permission, where)}}.dump());
  };
  for (const auto& permission : permissions) {
    for (const auto& what : actions) {
      for (const auto& where : bound)
        for (const char* type : {"user", "group"}) {
          std::set<json> expected, found;
          for (const auto& who : subjects)
            if (who["type"] == type && may(who, what, permission, where)) expected.insert(who);
          const auto answer =
              search("subject", {{"subject", {{"type", type}}}, {"action", action(what)}, {"resource", resource(permission, where)}});
          for (const auto& one : answer.body["results"]) EXPECT_TRUE(found.insert(one).second) << one;
          EXPECT_EQ(found, expected) << what << permission << where;
        }
      for (const auto& who : subjects) {
        std::set<std::string> expected, found;
        for (const auto& where : bound)
          if ((where == "*" || live.contains(where)) && may(who, what, permission, where)) expected.insert(where);
        const auto answer = search("resource", {{"subject", who}, {"action", action(what)}, {"resource", {{"type", permission}}}});
        for (const auto& one : answer.body["results"]) found.insert(one["id"].get<std::string>());
        EXPECT_EQ(found, expected) << who << what << permission;
      }
    }
    for (const auto& who : subjects)
      for (const auto& where : bound) {
        std::set<std::string> expected, found;
        for (const auto& what : actions)
          if (what != "*any*" && may(who, what, permission, where)) expected.insert(what);
        const auto answer = search("action", {{"subject", who}, {"resource", resource(permission, where)}});
        for (const auto& one : answer.body["results"])
          if (std::find(actions.begin(), actions.end(), one["name"]) != actions.end()) found.insert(one["name"].get<std::string>());
        EXPECT_EQ(found, expected) << who << permission << where;
        EXPECT_EQ(!answer.body["results"].empty(), may(who, "*any*", permission, where)) << "an action of some kind, or none";
      }
  }
}

TEST_F(AuthZenTest, ItIsForThoseWithCheckReadAndTenantsOfOthersDoNotExistR4) {
  const auto body = ask("x", "READ", "FLOW", "a");
  const auto nobody = world.nobody().post(base + "/evaluation", body);
  EXPECT_EQ(nobody.status, 401);
  EXPECT_FALSE(nobody.header("www-authenticate").empty());
  const auto ada = world.person("ada");
  for (const char* path : {"/evaluation", "/evaluations", "/search/subject", "/search/resource", "/search/action"}) {
    const auto real = world.as(ada).post(base + path, body);
    const auto none = world.as(ada).post(std::string("/t/nowhere/access/v1") + path, body);
    EXPECT_EQ(real.status, 404) << path;
    EXPECT_EQ(real.text, none.text);
  }
  const auto hers = world.tenant_where(ada, R"({"FLOW":["READ"]})");
  EXPECT_EQ(world.as(ada).post("/t/" + hers + "/access/v1/evaluation", body).status, 403);
  const auto grace = world.person("grace");
  const auto with = world.tenant_where(grace, R"({"CHECK":["READ"]})");
  EXPECT_EQ(world.as(grace).post("/t/" + with + "/access/v1/evaluation", body).text, R"({"decision":false})");
  EXPECT_EQ(world.root().get(base + "/evaluation").status, 405);
}

TEST_F(AuthZenTest, ASnapshotThatIsNotThereIsAFaultAndNoDecisionA3) {
  people();
  world.control->asleep = true;
  world.snapshots.forget(key);
  const auto answer = evaluate(ask("grace", "READ", "FLOW", "a"));
  world.control->asleep = false;
  EXPECT_EQ(answer.status, 503);
  EXPECT_FALSE(answer.body.contains("decision"));
}

TEST_F(AuthZenTest, TheMetadataNamesEveryEndpointA12) {
  EXPECT_EQ(world.nobody().get("/.well-known/authzen-configuration/t/" + tenant).status, 404)
      << "without server.public_url there is no address";
  http::HttpOptions options;
  options.public_url = "https://authz.example.org";
  World other(options);
  const auto answer = other.nobody().get("/.well-known/authzen-configuration/t/acme");
  ASSERT_EQ(answer.status, 200) << answer.text;
  const std::string pdp = "https://authz.example.org/t/acme";
  EXPECT_EQ(answer.body, json({{"policy_decision_point", pdp},
                               {"access_evaluation_endpoint", pdp + "/access/v1/evaluation"},
                               {"access_evaluations_endpoint", pdp + "/access/v1/evaluations"},
                               {"search_subject_endpoint", pdp + "/access/v1/search/subject"},
                               {"search_resource_endpoint", pdp + "/access/v1/search/resource"},
                               {"search_action_endpoint", pdp + "/access/v1/search/action"}}));
  EXPECT_NE(answer.header("cache-control").find("max-age="), std::string::npos);
  EXPECT_EQ(other.nobody().get("/.well-known/authzen-configuration/t/No%20Slug").status, 404);
}

}  // namespace
}  // namespace rosterd::test
