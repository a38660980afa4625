// Every route of the table under everything that is no usable input (issue "Bad input", check-api.md §10). The table is walked, so that a
// route that is added later is covered from its first day.
#include <regex>
#include <set>

#include "daemon/http/app.hpp"
#include "tests/http/sockets.hpp"
#include "tests/http/world.hpp"

namespace rosterd::test {
namespace {

using nlohmann::json;

/// Codes of bad requests; a code that is not here would be a new promise to clients.
const std::set<std::string> kCodes{"invalid_request",   "not_found",         "forbidden",          "unauthenticated",
                                   "payload_too_large", "uri_too_long",      "method_not_allowed", "unsupported_media_type",
                                   "length_required",   "headers_too_large", "request_timeout",    "if_match_required",
                                   "not_implemented",   "binding_immutable"};

struct BadInput : testing::Test {
  /// Not the one others use: what a route does with such input is not known beforehand.
  static World& own() {
    static World world([] {
      http::HttpOptions options;
      options.max_snapshot_age = std::chrono::hours(1);  // nobody looks at revisions here, and a sanitizer makes minutes of it
      return options;
    }());
    world.set_up();
    return world;
  }
  World& world = own();
  std::string tenant = world.tenant();
  std::string other = world.tenant();

  /// The row's path with something plausible in each {name}; `value` in place of all but the tenant.
  [[nodiscard]] std::string path_of(const http::Route& route, const std::string& value = "1", const std::string& of = {}) const {
    auto path = std::regex_replace(std::string(route.path), std::regex(R"(\{t\})"), of.empty() ? tenant : of);
    return std::regex_replace(path, std::regex(R"(\{[a-z_]+\})"), value);
  }
  static bool takes_body(const http::Route& route) { return route.method == "POST" || route.method == "PUT" || route.method == "PATCH"; }
  static bool for_proxies(const http::Route& route) { return route.access == http::Access::Proxied; }
  static bool lenient(const http::Route& route) { return route.path.starts_with("/t/{t}/"); }
  static std::string name_of(const http::Route& route) { return std::string(route.method) + " " + std::string(route.path); }

  static void expect_refused(const Answer& answer, const std::string& what) {
    EXPECT_GE(answer.status, 400) << what << "\n" << answer.text;
    EXPECT_LT(answer.status, 500) << what << "\n" << answer.text;
    EXPECT_TRUE(answer.body.is_object()) << what << "\n" << answer.text;
    if (answer.body.contains("schemas")) {  // SCIM says it in its own words
      EXPECT_EQ(answer.body["status"], std::to_string(answer.status)) << what;
      return;
    }
    EXPECT_TRUE(kCodes.contains(answer.code()) || answer.status == 422 || answer.status == 409) << what << "\n" << answer.text;
  }
  void expect_alive() const { EXPECT_EQ(world.nobody().get("/healthz").status, 200); }
};

TEST_F(BadInput, ABodyThatIsNotAcceptableJsonIsRefusedByEveryRouteThatTakesOne) {
  const std::string deep_lists(100'000, '['), deep_objects = [] {
    std::string out;
    for (int i = 0; i < 10'000; ++i) out += R"({"a":)";
    return out;
  }();
  const std::pair<const char*, std::string> kBodies[] = {
      {"malformed", "{"},
      {"malformed inside", R"({"name":})"},
      {"a comma too many", R"({"name":"a",})"},
      {"a comment", R"({"name":"a"/* */})"},
      {"not a number of JSON", R"({"name":NaN})"},
      {"a list", "[]"},
      {"a text", "\"x\""},
      {"null", "null"},
      {"two documents", "{} {}"},
      {"a member twice", R"({"name":"a","name":"b"})"},
      {"invalid UTF-8", "{\"name\":\"\xc3\x28\"}"},
      {"overlong UTF-8", "{\"name\":\"\xc0\xaf\"}"},
      {"an unpaired surrogate", R"({"name":"\ud800"})"},
      {"a raw control character", "{\"name\":\"a\nb\"}"},
      {"deep lists in a member", R"({"name":)" + deep_lists.substr(0, 50'000) + "}"},
      {"deep objects", deep_objects},
  };
  for (const auto& route : http::routes()) {
    if (!takes_body(route)) continue;
    for (const auto& [what, body] : kBodies) {
      const auto answer = world.root().call(std::string(route.method), path_of(route), body);
      expect_refused(answer, name_of(route) + ": " + what);
    }
    // Beyond the limit of most bodies, and below that of batches: 413 or 400, and no stack runs out.
    for (const auto& deep : {deep_lists, R"({"checks":)" + deep_lists})
      expect_refused(world.root().call(std::string(route.method), path_of(route), deep), name_of(route) + ": 100,000 deep");
    expect_refused(world.root().call(std::string(route.method), path_of(route), R"({"a":")" + std::string(2 << 20, 'x') + "\"}"),
                   name_of(route) + ": 2 MiB");
  }
  expect_alive();
}

TEST_F(BadInput, WrongTypesAreRefusedByEveryRouteThatTakesABody) {
  const json kValues[] = {nullptr,
                          true,
                          -1,
                          1e300,
                          json::array(),
                          json::array({json::object()}),
                          json::object(),
                          std::string(40'000, 'x'),
                          std::string("a\0b", 3),
                          "\u001b[31m",
                          "a\r\nb",
                          ""};
  // The names that bodies have anywhere, each with each value: wherever such a field exists it has some of these types only.
  const char* kFields[] = {"id",     "name",    "email",    "secret",      "subject",  "permission", "action",  "namespace",
                           "checks", "explain", "settings", "type",        "mode",     "plan",       "enabled", "resource",
                           "page",   "context", "options",  "evaluations", "schedule", "guard",      "dry_run", "creator"};
  for (const auto& route : http::routes()) {
    if (!takes_body(route)) continue;
    for (const auto* field : kFields)
      for (const auto& value : kValues) {
        const auto answer = world.root().call(std::string(route.method), path_of(route), json{{field, value}}.dump());
        EXPECT_LT(answer.status, 500) << name_of(route) << " " << field << " " << value.dump().substr(0, 60) << "\n" << answer.text;
        if (answer.status >= 400) expect_refused(answer, name_of(route) + " " + field + " " + value.dump().substr(0, 60));
      }
  }
  expect_alive();
}

TEST_F(BadInput, AnUnknownFieldIsNamed) {
  for (const auto& route : http::routes()) {
    if (!takes_body(route) || lenient(route) || route.path == "/v1/logout") continue;  // the caller here has no session to end
    const auto answer = world.root().call(std::string(route.method), path_of(route), R"({"an_unheard_of_field":1})");
    expect_refused(answer, name_of(route));
    // Where the path names nothing that exists, or the state says no anyway, the body may not have been looked at.
    EXPECT_TRUE(answer.status == 404 || answer.status == 405 || answer.status == 409 || answer.status == 428 ||
                answer.text.find("an_unheard_of_field") != std::string::npos)
        << name_of(route) << "\n"
        << answer.text;
  }
}

TEST_F(BadInput, AnUnknownOrRepeatedParameterIsRefused) {
  for (const auto& route : http::routes()) {
    if (lenient(route) || route.path == "/v1/setup") continue;
    const auto path = path_of(route);
    const auto body = takes_body(route) ? "{}" : "";
    const auto unknown = world.root().call(std::string(route.method), path + "?an_unheard_of_parameter=1", body);
    if (route.access == http::Access::Open && unknown.status == 200) ADD_FAILURE() << name_of(route) << " takes any parameter";
    expect_refused(unknown, name_of(route));
    EXPECT_TRUE(unknown.status == 404 || unknown.text.find("an_unheard_of_parameter") != std::string::npos)
        << name_of(route) << unknown.text;
    expect_refused(world.root().call(std::string(route.method), path + "?a=1&a=2", body), name_of(route) + " twice");
    for (const char* bad : {"limit=0", "limit=-1", "limit=1001", "limit=1e3", "limit=99999999999999999999", "limit=", "cursor=%00", "q=%ff",
                            "cursor=%", "explain=maybe", "force=maybe", "subject=%0a&permission=FLOW&action=READ"})
      expect_refused(world.root().call(std::string(route.method), path + "?" + bad, body), name_of(route) + " ?" + bad);
  }
}

TEST_F(BadInput, IdsThatAreNoneOrOfAnotherTenantAreRefusedEverywhere) {
  const auto person = world.person("outsider");
  for (const auto& route : http::routes()) {
    if (route.path.find('{') == std::string_view::npos || for_proxies(route) || route.access == http::Access::Open) continue;
    const auto body = takes_body(route) ? "{}" : "";
    const auto method = std::string(route.method);
    // Ids in their outside form that belong to nobody here, and what can be no id.
    if (route.path.find("}/") != std::string_view::npos || route.path.find("{t}") == std::string_view::npos)
      for (const std::string& value :
           {std::string("999999999"), std::string("-1"), std::string("0"), std::string("18446744073709551616"), std::string("usr_zzzzzzzz"),
            std::string("src_zzzzzzzz"), std::string("run_zzzzzzzz"), std::string("%20"), std::string("'%20OR%201=1--"), std::string("*"),
            std::string("%F0%9F%92%A9"), std::string("..%2F..%2Fetc%2Fpasswd"), std::string("a%2Fb"), std::string(600, 'x')}) {
        if (path_of(route, value) == path_of(route)) break;  // nothing but the tenant in it
        const auto answer = world.root().call(method, path_of(route, value), body);
        expect_refused(answer, name_of(route) + " " + value);
      }
    // A tenant that is none, and one the caller is nobody in, look the same (R4).
    if (route.path.find("{t}") == std::string_view::npos) continue;
    const auto theirs = world.as(person).call(method, path_of(route, "1", other), body);
    const auto none = world.as(person).call(method, path_of(route, "1", "no-such-tenant"), body);
    expect_refused(theirs, name_of(route));
    EXPECT_EQ(theirs.status, none.status) << name_of(route);
    EXPECT_EQ(theirs.text, none.text) << name_of(route);
    for (const char* odd : {"No%20Slug", "%00", "%ff", "..", "%2e%2e", "a%2Fb", "-", "A"})
      expect_refused(world.as(person).call(method, path_of(route, "1", odd), body), name_of(route) + " tenant " + odd);
  }
}

TEST_F(BadInput, PathTricksLeadNowhereOnAnyRoute) {
  for (const auto& route : http::routes()) {
    if (for_proxies(route)) continue;  // whatever stands there is another program's: proxy_test.cpp
    const auto path = path_of(route);
    const auto method = std::string(route.method);
    const auto body = takes_body(route) ? "{}" : "";
    const auto first = path.substr(0, path.find('/', 1));
    for (const auto& trick : {path + "/", "/" + path, path + "/.", path + "/..", path + "/%2e%2e", first + "/." + path.substr(first.size()),
                              first + "//" + path.substr(first.size()), path + "%00", path + "%ff", path + "%", path + "%2F",
                              path + "/%2F..", path + ";a=b", path + "%20", path + "\\..", path + "/" + std::string(3000, 'x')})
      expect_refused(world.root().call(method, trick, body), method + " " + trick.substr(0, 100));
  }
  expect_alive();
}

TEST_F(BadInput, LiesAboutTheLengthAreRefusedOnEveryRoute) {
  const auto status = [](const std::string& answer) { return answer.starts_with("HTTP/1.1 ") ? std::stoi(answer.substr(9, 3)) : 0; };
  for (const auto& route : http::routes()) {
    const auto send = [&](const std::string& headers, const std::string& body) {
      return raw(world.server->port(),
                 fmt::format("{} {} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {}\r\nContent-Type: "
                             "application/json\r\n{}\r\n{}",
                             route.method, path_of(route), world.root_token, headers, body),
                 2000, true);
    };
    const std::pair<std::string, std::string> kLies[] = {{"Content-Length: 500\r\n", "{}"},
                                                         {"Content-Length: -1\r\n", "{}"},
                                                         {"Content-Length: 2x\r\n", "{}"},
                                                         {"Content-Length: 99999999999999999999999\r\n", "{}"},
                                                         {"Content-Length: 9000000000\r\n", "{}"},
                                                         {"Content-Length: 2\r\nContent-Length: 3\r\n", "{} "},
                                                         {"Transfer-Encoding: chunked\r\n", "2\r\n{}\r\n0\r\n\r\n"},
                                                         {"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n", "{}"}};
    for (const auto& [headers, body] : kLies) {
      const auto answer = send(headers, body);
      EXPECT_GE(status(answer), 400) << name_of(route) << " " << headers << answer;
      EXPECT_LT(status(answer), 500) << name_of(route) << " " << headers << answer;
    }
  }
  expect_alive();
}

TEST_F(BadInput, BodiesOfOtherTypesAreRefusedByEveryRouteThatTakesOne) {
  for (const auto& route : http::routes()) {
    if (!takes_body(route)) continue;
    const auto call = [&](const Headers& headers) {
      return world.root().call(std::string(route.method), path_of(route), R"({"name":"x"})", headers);
    };
    expect_refused(call({{"Content-Type", "text/plain"}}), name_of(route));
    expect_refused(call({{"Content-Type", "application/x-www-form-urlencoded"}}), name_of(route));
    expect_refused(call({{"Content-Type", "multipart/form-data; boundary=x"}}), name_of(route));
    expect_refused(call({{"Content-Type", "application/json"}, {"Content-Encoding", "gzip"}}), name_of(route));
  }
}

TEST_F(BadInput, OddHeadersNeverHurtARoute) {
  const Headers kOdd[] = {{{"Rosterd-Min-Revision", "x"}},
                          {{"Rosterd-Min-Revision", "99999999999999999999.1"}},
                          {{"Rosterd-Max-Age", "-1"}},
                          {{"Rosterd-Max-Age", "99999999999999999999"}},
                          {{"If-Match", "\xff\xfe"}},
                          {{"X-Request-ID", std::string(5000, 'x')}},
                          {{"Rosterd-Subject", "user:\xff"}},
                          {{"Authorization", "Bearer \xff\xfe"}},
                          {{"Authorization", "Bearer " + std::string(8000, 'x')}},
                          {{"Authorization", "Basic eDp5"}}};
  for (const auto& route : http::routes()) {
    if (route.method != "GET") continue;
    for (const auto& headers : kOdd) {
      const bool own = headers.front().first == "Authorization";
      const auto answer = (own ? world.nobody() : world.root()).call("GET", path_of(route), {}, headers);
      // Readiness, revisions that are not there yet and the like are answers, not accidents.
      EXPECT_TRUE(answer.status < 500 || answer.code() == "not_yet_at_revision" || answer.code() == "snapshot_too_old")
          << name_of(route) << " " << headers.front().first << "\n"
          << answer.text;
      EXPECT_NE(answer.status, 0) << name_of(route);
    }
  }
  expect_alive();
}

}  // namespace
}  // namespace rosterd::test
