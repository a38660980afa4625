#include "daemon/http/preferences.hpp"

#include <filesystem>
#include <nlohmann/json.hpp>
#include <regex>

#include "daemon/http/json.hpp"
#include "schema/core/text.hpp"

namespace rosterd::http {
namespace {

using nlohmann::json;

constexpr std::size_t kMostExtra = 16 * 1024, kMostNamespaces = 256;

bool is_short_text(const json& value) {
  if (!value.is_string()) return false;
  const auto& text = value.get_ref<const std::string&>();
  return !text.empty() && text.size() <= 64 && !has_control_characters(text);
}

bool is_theme(const json& value) { return value == "light" || value == "dark" || value == "system"; }

/// BCP 47 by its syntax (RFC 5646 §2.1, without its grandfathered tags): which subtags exist is the registry's to know.
bool is_language(const json& value) {
  static const std::regex tag("[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*");
  return value.is_string() && value.get_ref<const std::string&>().size() <= 35 &&
         std::regex_match(value.get_ref<const std::string&>(), tag);
}

/// A name of the IANA database, as far as this machine has one; by its syntax otherwise.
bool is_timezone(const json& value) {
  static const std::regex name("[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9][A-Za-z0-9_+-]*){0,2}");
  if (!value.is_string() || value.get_ref<const std::string&>().size() > 64) return false;
  const auto& text = value.get_ref<const std::string&>();
  if (!std::regex_match(text, name)) return false;
  static const std::filesystem::path zones("/usr/share/zoneinfo");
  std::error_code error;
  if (!std::filesystem::is_regular_file(zones / "UTC", error)) return true;
  return std::filesystem::is_regular_file(zones / text, error);
}

bool is_tenant(const json& value) { return value.is_string() && is_slug(value.get_ref<const std::string&>()); }

/// {"tenant": "a.namespace"}
bool are_namespaces(const json& value) {
  if (!value.is_object() || value.size() > kMostNamespaces) return false;
  return std::all_of(value.items().begin(), value.items().end(), [](const auto& item) {
    return is_slug(item.key()) && item.value().is_string() && is_namespace(item.value().template get_ref<const std::string&>());
  });
}

bool is_page_size(const json& value) { return value.is_number_integer() && value >= 1 && value <= 1000; }

bool is_colour(const json& value) {
  static const std::regex colour("#[0-9a-fA-F]{6}");
  return value.is_string() && std::regex_match(value.get_ref<const std::string&>(), colour);
}

bool is_extra(const json& value) { return value.is_object() && dump(value).size() <= kMostExtra; }

struct Known {
  std::string_view name;
  bool (*fits)(const json& value);
  std::string_view wanted;
};
constexpr Known kKnown[] = {
    {"theme", is_theme, R"(must be "light", "dark" or "system")"},
    {"editor", is_short_text, "must be a text of at most 64 bytes"},
    {"language", is_language, R"(must be a BCP 47 tag such as "en" or "pt-BR")"},
    {"timezone", is_timezone, R"(must be a name of the IANA database such as "Europe/Berlin")"},
    {"date_format", is_short_text, "must be a text of at most 64 bytes"},
    {"default_tenant", is_tenant, "must be a tenant id"},
    {"default_namespace", are_namespaces, R"(must be an object of tenant ids and namespaces, {"acme": "company.team"})"},
    {"page_size", is_page_size, "must be a number from 1 to 1000"},
    {"environment_name", is_short_text, "must be a text of at most 64 bytes"},
    {"environment_color", is_colour, R"(must be a colour such as "#aa3300")"},
    {"extra", is_extra, "must be an object of at most 16 KiB"},
};

}  // namespace

Result<std::string> merged_preferences(const std::string& stored, const json& patch) {
  if (!patch.is_object()) return fail(Errc::InvalidInput, "preferences: must be an object");
  auto merged = json::parse(stored, nullptr, false);
  if (!merged.is_object()) merged = json::object();
  merged.merge_patch(patch);
  std::string wrong;
  for (const auto& [name, value] : merged.items()) {
    const auto* known = std::find_if(std::begin(kKnown), std::end(kKnown), [&](const Known& one) { return one.name == name; });
    if (known != std::end(kKnown) && known->fits(value)) continue;
    const auto why =
        known == std::end(kKnown) ? std::string_view("unknown preference; what is a product's own belongs below extra") : known->wanted;
    wrong += fmt::format("{}preferences.{}: {}", wrong.empty() ? "" : "; ",
                         is_utf8(name.substr(0, 64)) ? name.substr(0, 64) : "(a long name)", why);
  }
  if (!wrong.empty()) return fail(Errc::InvalidInput, "{}", wrong);
  return dump(merged);
}

}  // namespace rosterd::http
