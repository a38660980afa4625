#pragma once
// Settings of a source, read strictly: each field is asked for once, every problem is kept with its JSON path, and what nobody asked for is
// named. Used by the settings of every kind of source.

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "schema/core/result.hpp"
#include "schema/core/text.hpp"

namespace rosterd::connectors {

/// Every problem found, as one InvalidInput: "/users/filter: expected …; /url: …".
class Problems {
 public:
  template <class... Args>
  void add(std::string_view path, fmt::format_string<Args...> text, Args&&... args) {
    if (!text_.empty()) text_ += "; ";
    text_ += fmt::format("{}: ", path);
    text_ += fmt::format(text, std::forward<Args>(args)...);
  }
  [[nodiscard]] bool none() const { return text_.empty(); }
  [[nodiscard]] Error error() const { return {.code = Errc::InvalidInput, .what = text_, .slug = {}}; }

 private:
  std::string text_;
};

/// One JSON object: hands out its fields once, then names those nobody asked for.
class SettingsObject {
 public:
  SettingsObject(const nlohmann::json& json, std::string path, Problems& problems)
      : json_(json), path_(std::move(path)), problems_(problems) {}

  [[nodiscard]] std::string at(std::string_view key) const { return fmt::format("{}/{}", path_, key); }
  const nlohmann::json* field(std::string_view key) {
    known_.emplace_back(key);
    const auto found = json_.find(key);
    return found == json_.end() || found->is_null() ? nullptr : &*found;
  }
  std::optional<std::string> text(std::string_view key) {
    const nlohmann::json* const value = field(key);
    if (value == nullptr) return std::nullopt;
    if (!value->is_string()) {
      problems_.add(at(key), "must be a text");
      return std::nullopt;
    }
    auto out = value->get<std::string>();
    if (has_control_characters(out)) {
      problems_.add(at(key), "holds control characters");
      return std::nullopt;
    }
    return out;
  }
  std::optional<std::string> required(std::string_view key) {
    const auto value = field(key);
    if (value == nullptr || (value->is_string() && value->get_ref<const std::string&>().empty())) {
      problems_.add(at(key), "is missing");
      return std::nullopt;
    }
    return text(key);
  }
  bool flag(std::string_view key) {
    const nlohmann::json* const value = field(key);
    if (value == nullptr) return false;
    if (!value->is_boolean()) {
      problems_.add(at(key), "must be true or false");
      return false;
    }
    return value->get<bool>();
  }
  const nlohmann::json* object(std::string_view key) {
    const nlohmann::json* const value = field(key);
    if (value == nullptr || value->is_object()) return value;
    problems_.add(at(key), "must be an object");
    return nullptr;
  }
  void name_unknown() {
    for (const auto& [key, value] : json_.items())
      if (std::find(known_.begin(), known_.end(), key) == known_.end()) problems_.add(at(key), "there is no such setting");
  }

 private:
  const nlohmann::json& json_;
  std::string path_;
  Problems& problems_;
  std::vector<std::string> known_;
};

}  // namespace rosterd::connectors
