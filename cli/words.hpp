#pragma once
// Words for what the API's JSON says: reading its fields without surprises, times as ages, counts and changes as sentences.

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "cli/terminal.hpp"

namespace rosterd::cli {

/// The text at a path of keys ("plan", "hash"); numbers and booleans in their JSON form; empty for null and for what is not there.
[[nodiscard]] std::string text_at(const nlohmann::json& object, std::initializer_list<const char*> keys);
[[nodiscard]] inline std::string text_at(const nlohmann::json& object, const char* key) { return text_at(object, {key}); }
[[nodiscard]] std::uint64_t number_at(const nlohmann::json& object, std::initializer_list<const char*> keys);
[[nodiscard]] bool flag_at(const nlohmann::json& object, const char* key);
/// The list under `key`, empty when there is none.
[[nodiscard]] const nlohmann::json& list_at(const nlohmann::json& object, const char* key);

/// "2026-11-23T04:05:06Z" -> "12 min ago", "in 3 min"; empty for an empty text, the text itself when it is no time.
[[nodiscard]] std::string age_of(std::string_view time);
/// Between two times: "1.2 s", "3 min 20 s".
[[nodiscard]] std::string duration_between(std::string_view from, std::string_view to);
/// 1234567 -> "1,234,567".
[[nodiscard]] std::string grouped(std::uint64_t number);
/// plural(1, "user") -> "1 user"; plural(2, "user") -> "2 users"; plural(2, "entry", "entries").
[[nodiscard]] std::string plural(std::uint64_t count, std::string_view one, std::string_view many = {});

[[nodiscard]] Colour colour_of_outcome(std::string_view outcome);

/// A run's counts as parts of a sentence: {"38 users added", "1 membership removed"}; with `would`: {"would add 38 users", …}.
[[nodiscard]] std::vector<std::string> sentences(const nlohmann::json& counts, bool would);
/// What a change is about: "ada", "frank in web-team" for a membership, "Editor in company.web" for a binding.
[[nodiscard]] std::string object_of(const nlohmann::json& change);
/// One change as a line: "user ada added (new at the source)"; with `would`: "would add user ada (…)".
[[nodiscard]] std::string sentence(const nlohmann::json& change, bool would);
/// How many changes the counts hold in all; a skipped record is none, but is listed like one.
[[nodiscard]] std::uint64_t total_of(const nlohmann::json& counts, bool with_skipped);
[[nodiscard]] std::string joined(const std::vector<std::string>& parts, std::string_view between);

}  // namespace rosterd::cli
