// The documentation against the live server: docs/openapi.json has a row for every route and no other (R111), and the commands of
// docs/api.md answer in the shape that stands below them.
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "daemon/http/app.hpp"
#include "tests/http/world.hpp"

namespace rosterd::test {
namespace {

using nlohmann::json;

std::string lower(std::string_view text) {
  std::string out(text);
  for (auto& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

/// As far as this page needs JSON Schema: type, properties, required, additionalProperties, items, enum, const, anyOf, oneOf, $ref.
class Schema {
 public:
  explicit Schema(const json& document) : document_(document) {}

  /// Empty when `value` fits, else where it does not.
  [[nodiscard]] std::string misfit(const json& schema, const json& value, const std::string& at = "$") const {
    if (schema.contains("$ref")) return misfit(document_.at(json::json_pointer(schema["$ref"].get<std::string>().substr(1))), value, at);
    for (const char* choice : {"anyOf", "oneOf"})
      if (schema.contains(choice)) {
        std::string all;
        for (const auto& one : schema[choice]) {
          auto why = misfit(one, value, at);
          if (why.empty()) return {};
          all += why + " | ";
        }
        return all;
      }
    if (schema.contains("const") && schema["const"] != value) return at + ": is not " + schema["const"].dump();
    if (schema.contains("enum") && std::find(schema["enum"].begin(), schema["enum"].end(), value) == schema["enum"].end())
      return at + ": " + value.dump() + " is not one of " + schema["enum"].dump();
    const auto type = schema.value("type", "");
    const bool fits = type.empty() || (type == "string" && value.is_string()) || (type == "boolean" && value.is_boolean()) ||
                      (type == "integer" && value.is_number_integer()) || (type == "number" && value.is_number()) ||
                      (type == "object" && value.is_object()) || (type == "array" && value.is_array()) ||
                      (type == "null" && value.is_null());
    if (!fits) return at + ": " + value.dump().substr(0, 80) + " is not of type " + type;
    if (value.is_object() && schema.contains("properties")) {
      for (const auto& name : schema.value("required", json::array()))
        if (!value.contains(name.get<std::string>())) return at + ": lacks " + name.get<std::string>();
      for (const auto& [name, member] : value.items()) {
        if (schema["properties"].contains(name)) {
          if (auto why = misfit(schema["properties"][name], member, at + "." + name); !why.empty()) return why;
        } else if (schema.value("additionalProperties", json(true)) == false) {
          return at + ": has " + name + ", which is not described";
        }
      }
    }
    if (value.is_array() && schema.contains("items"))
      for (std::size_t i = 0; i < value.size(); ++i)
        if (auto why = misfit(schema["items"], value[i], fmt::format("{}[{}]", at, i)); !why.empty()) return why;
    return {};
  }

 private:
  const json& document_;
};

json openapi() {
  std::ifstream file(std::string(ROSTERD_SOURCE_DIR) + "/docs/openapi.json");
  return json::parse(file);
}

TEST(OpenApi, IsServedAsItStandsInTheDocs) {
  const auto served = World::shared().nobody().get("/openapi.json");
  ASSERT_EQ(served.status, 200);
  EXPECT_EQ(served.body, openapi());
}

TEST(OpenApi, EveryPathHasItsRowInTheRightsTableAndEveryRowItsPath) {
  const auto document = openapi();
  std::set<std::string> described, served;
  for (const auto& [path, operations] : document["paths"].items())
    for (const auto& [method, operation] : operations.items())
      described.insert(fmt::format("{} {} [{}]", method, path, operation.value("x-rosterd-right", "")));
  for (const auto& route : http::routes()) served.insert(fmt::format("{} {} [{}]", lower(route.method), route.path, http::right_of(route)));
  EXPECT_EQ(described, served);
  EXPECT_GT(described.size(), 35u);
}

// R112: no list has an easier rule than the single read.
TEST(OpenApi, AListAsksForTheSamePairAsTheSingleRead) {
  int compared = 0;
  for (const auto& list : http::routes())
    for (const auto& single : http::routes()) {
      const auto& path = single.path;
      if (list.method != "GET" || single.method != "GET" || !path.ends_with('}') || path.substr(0, path.rfind('/')) != list.path ||
          !list.path.starts_with("/v1/tenants/{t}/"))
        continue;
      EXPECT_EQ(list.permission, single.permission) << list.path;
      EXPECT_EQ(list.action, single.action) << list.path;
      EXPECT_EQ(list.access, http::Access::Pair) << list.path;
      ++compared;
    }
  EXPECT_GE(compared, 7);
}

TEST(OpenApi, EveryParameterOfARouteIsDescribed) {
  const auto document = openapi();
  for (const auto& route : http::routes()) {
    const auto& operation = document["paths"][std::string(route.path)][lower(route.method)];
    std::set<std::string> described, taken;
    for (const auto& parameter : operation.value("parameters", json::array()))
      if (parameter["in"] == "query") described.insert(parameter["name"]);
    std::istringstream names{std::string(route.query)};
    for (std::string name; names >> name;) taken.insert(name);
    EXPECT_EQ(described, taken) << route.path;
  }
}

TEST(OpenApi, EveryReferenceLeadsSomewhere) {
  const auto document = openapi();
  const auto text = document.dump();
  const std::regex reference("#(/components/schemas/[A-Za-z]+)");
  int found = 0;
  for (std::sregex_iterator it(text.begin(), text.end(), reference), end; it != end; ++it, ++found)
    EXPECT_TRUE(document.contains(json::json_pointer((*it)[1]))) << it->str();
  EXPECT_GT(found, 50);
}

struct Example {
  int line = 0;
  std::string method = "GET", path, body;
  bool authorized = false;
  json answer;
};

/// Every ```sh block that holds a curl, with the ```json block after it.
std::vector<Example> examples() {
  std::ifstream file(std::string(ROSTERD_SOURCE_DIR) + "/docs/api.md");
  std::vector<Example> out;
  std::string line, block, kind;
  Example next;
  bool waiting = false;
  for (int number = 1; std::getline(file, line); ++number) {
    if (!line.starts_with("```")) {
      if (!kind.empty()) block += line + "\n";
      continue;
    }
    if (kind.empty()) {
      kind = line.substr(3);
      block.clear();
      continue;
    }
    if (kind == "sh" && block.starts_with("curl")) {
      next = {};
      next.line = number;
      std::smatch match;
      if (std::regex_search(block, match, std::regex("-X ([A-Z]+)"))) next.method = match[1];
      if (std::regex_search(block, match, std::regex("\"\\$URL([^\"]*)\""))) next.path = match[1];
      next.authorized = block.find("$AUTH") != std::string::npos;
      if (const auto from = block.find("-d '"); from != std::string::npos) next.body = block.substr(from + 4, block.rfind('\'') - from - 4);
      waiting = true;
    } else if (kind == "json" && waiting) {
      next.answer = json::parse(block, nullptr, false);
      out.push_back(next);
      waiting = false;
    }
    kind.clear();
  }
  return out;
}

/// Same members, same types; null fits anything, a list is compared by its first item.
std::string difference(const json& shown, const json& live, const std::string& at = "$") {
  if (shown.is_null() || live.is_null()) return {};
  if (shown.is_number() && live.is_number()) return {};
  if (shown.type() != live.type()) return fmt::format("{}: the page shows {}, rosterd answers {}", at, shown.dump(), live.dump());
  if (shown.is_object()) {
    for (const auto& [name, value] : shown.items()) {
      if (!live.contains(name)) return at + ": rosterd does not answer " + name;
      if (auto why = difference(value, live[name], at + "." + name); !why.empty()) return why;
    }
    for (const auto& [name, value] : live.items())
      if (!shown.contains(name)) return at + ": the page does not show " + name;
  }
  if (shown.is_array() && !shown.empty() && !live.empty()) return difference(shown[0], live[0], at + "[0]");
  return {};
}

TEST(ApiPage, ItsCommandsAnswerInTheShapeShown) {
  const auto all = examples();
  ASSERT_GT(all.size(), 15u);
  World world;  // from setup on: nothing is there before
  std::string token, run;
  const auto document = openapi();
  const Schema schema(document);
  const auto put = [](std::string& text, std::string_view name, const std::string& value) {
    if (const auto at = text.find(name); at != std::string::npos) text.replace(at, name.size(), value);
  };
  for (auto example : all) {
    ASSERT_FALSE(example.answer.is_discarded()) << "docs/api.md:" << example.line << ": the answer is not JSON";
    put(example.body, "$SECRET", world.setup_secret);
    put(example.path, "$RUN", run);
    const auto live = world.as(example.authorized ? token : std::string()).call(example.method, example.path, example.body);
    ASSERT_TRUE(live.body.is_object()) << "docs/api.md:" << example.line << " " << live.status << live.text;
    EXPECT_EQ(difference(example.answer, live.body), "")
        << "docs/api.md:" << example.line << " " << example.method << " " << example.path << "\n"
        << live.text;
    if (live.body.contains("token") && live.body["token"].is_string() && token.empty()) token = live.body["token"];
    if (live.status == 202) run = live.body["id"];

    // The live answer also fits its description in openapi.json.
    for (const auto& route : http::routes()) {
      auto pattern = std::regex_replace(std::string(route.path), std::regex("\\{[a-z]+\\}"), "[^/]+");
      if (route.method != example.method || !std::regex_match(example.path.substr(0, example.path.find('?')), std::regex(pattern)))
        continue;
      const auto& responses = document["paths"][std::string(route.path)][lower(route.method)]["responses"];
      const auto status = std::to_string(live.status);
      const auto& content = responses[responses.contains(status) ? status : "default"]["content"];
      EXPECT_EQ(schema.misfit(content.begin().value()["schema"], live.body), "") << route.method << " " << route.path;
      break;
    }
  }
}

}  // namespace
}  // namespace rosterd::test
