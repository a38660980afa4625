#include "cli/source_file.hpp"

#include <toml++/toml.h>
#include <cmath>
#include <nlohmann/json.hpp>

namespace rosterd::cli {
namespace {

using nlohmann::json;

std::string place(const std::string& file, const toml::source_region& region) {
  return fmt::format("{}:{}:{}", file, region.begin.line, region.begin.column);
}

/// TOML and JSON hold the same things but for dates, infinities and NaN.
Try<json> to_json(const toml::node& node, const std::string& file) {
  if (const auto* table = node.as_table()) {
    json out = json::object();
    for (const auto& [key, value] : *table) {
      auto made = to_json(value, file);
      if (!made) return made;
      out[std::string(key.str())] = std::move(*made);
    }
    return out;
  }
  if (const auto* array = node.as_array()) {
    json out = json::array();
    for (const auto& value : *array) {
      auto made = to_json(value, file);
      if (!made) return made;
      out.push_back(std::move(*made));
    }
    return out;
  }
  if (const auto* text = node.as_string()) return json(text->get());
  if (const auto* number = node.as_integer()) return json(number->get());
  if (const auto* flag = node.as_boolean()) return json(flag->get());
  if (const auto* number = node.as_floating_point(); number != nullptr && std::isfinite(number->get())) return json(number->get());
  return fail_with_advice(kUsage, place(file, node.source()) + ": this value has no form in JSON", "write it as a text in quotes");
}

}  // namespace

Try<SourceFile> parse_source(std::string_view text, const std::string& file) {
  toml::table document;
  try {
    document = toml::parse(text, file);
  } catch (const toml::parse_error& error) {
    return fail(kUsage, "{}: {}", place(file, error.source()), error.description());
  }
  SourceFile out;
  if (const auto* tenant = document.get("tenant")) {
    if (!tenant->is_string()) return fail(kUsage, "{}: tenant must be a text such as \"acme\"", place(file, tenant->source()));
    out.tenant = tenant->as_string()->get();
    document.erase("tenant");
  }
  for (const char* required : {"name", "type"}) {
    const auto* found = document.get(required);
    if (found == nullptr)
      return fail_with_advice(kUsage, fmt::format("{}: {} is missing", file, required),
                              fmt::format("add a line such as {} at the top, before the first [table]",
                                          std::string_view(required) == "name" ? "name = \"corp\"" : "type = \"ldap\""));
    if (!found->is_string()) return fail(kUsage, "{}: {} must be a text", place(file, found->source()), required);
  }
  out.name = document["name"].as_string()->get();
  auto made = to_json(document, file);
  if (!made) return fail(made.error());
  out.json = made->dump();
  return out;
}

}  // namespace rosterd::cli
