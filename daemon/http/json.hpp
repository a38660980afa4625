#pragma once
// Strict JSON for requests (check-api.md §10): text goes in, a document or the reason why not comes out. Duplicate members, nesting
// beyond 64, invalid UTF-8, U+0000 and anything after the document are errors; unknown fields are named.

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "schema/core/result.hpp"

namespace rosterd::http {

inline constexpr std::size_t kMaxDepth = 64;

[[nodiscard]] Result<nlohmann::json> parse_json(std::string_view text);
/// As answers are written: bytes of a directory that are not UTF-8 become U+FFFD instead of an exception.
[[nodiscard]] std::string dump(const nlohmann::json& json);

/// Reads an object field by field and collects every problem, unknown fields included, into one InvalidInput error.
class Fields {
 public:
  explicit Fields(nlohmann::json object) : object_(std::move(object)) {}
  /// An empty body counts as {}. Anything but an object is an error.
  [[nodiscard]] static Result<Fields> of(std::string_view body);

  /// A required text: trimmed of nothing, 1 to `most` bytes, no control characters.
  [[nodiscard]] std::string text(std::string_view name, std::size_t most = 255);
  /// The same where absence or null is no text.
  [[nodiscard]] std::optional<std::string> optional_text(std::string_view name, std::size_t most = 255);
  [[nodiscard]] std::optional<bool> flag(std::string_view name);
  /// Any value; nullptr when absent or null.
  [[nodiscard]] const nlohmann::json* value(std::string_view name);
  [[nodiscard]] bool has(std::string_view name) const { return object_.contains(name); }
  void problem(std::string_view path, std::string_view what);
  /// Adds the problems of a nested reader, which come with their own paths.
  void problems(const Error& error);
  /// The verdict, once all fields have been asked for.
  [[nodiscard]] Result<void> done() const;

 private:
  nlohmann::json object_;
  std::vector<std::string> known_;
  std::string problems_;
};

}  // namespace rosterd::http
