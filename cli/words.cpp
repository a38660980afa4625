#include "cli/words.hpp"

#include <nlohmann/json.hpp>

#include "schema/core/clock.hpp"
#include "schema/core/text.hpp"

namespace rosterd::cli {
namespace {

using nlohmann::json;

const json* find(const json& object, std::initializer_list<const char*> keys) {
  const json* at = &object;
  for (const char* key : keys) {
    if (!at->is_object()) return nullptr;
    const auto found = at->find(key);
    if (found == at->end()) return nullptr;
    at = &*found;
  }
  return at;
}

struct Verb {
  const char* kind;  ///< as the API names it
  const char* done;
  const char* would;
};
constexpr Verb kPrincipalVerbs[] = {
    {"added", "added", "add"},        {"changed", "changed", "change"}, {"suspended", "suspended", "suspend"},
    {"resumed", "resumed", "resume"}, {"purged", "purged", "purge"},    {"skipped", "skipped", "skip"}};

struct Said {
  std::string object, done, would;
};
/// "edge_added" of a membership -> membership, added, add.
Said said(const std::string& type, const std::string& kind) {
  if (kind == "edge_added") return {"membership", "added", "add"};
  if (kind == "edge_removed") return {"membership", "removed", "remove"};
  if (kind == "binding_added") return {"binding", "added", "add"};
  if (kind == "binding_removed") return {"binding", "removed", "remove"};
  for (const auto& verb : kPrincipalVerbs)
    if (kind == verb.kind) return {type, verb.done, verb.would};
  return {type, kind, kind};
}

/// What an update changed, as far as before and after tell: "email, last_name".
std::string changed_fields(const json& change) {
  const auto before = change.find("before"), after = change.find("after");
  if (before == change.end() || after == change.end() || !before->is_object() || !after->is_object()) return {};
  std::vector<std::string> names;
  for (const auto& [key, value] : after->items())
    if (!before->contains(key) || (*before)[key] != value) names.push_back(key);
  return joined(names, ", ");
}

}  // namespace

std::string text_at(const json& object, std::initializer_list<const char*> keys) {
  const json* found = find(object, keys);
  if (found == nullptr || found->is_null()) return {};
  if (found->is_string()) return found->get<std::string>();
  return found->dump(-1, ' ', false, json::error_handler_t::replace);
}

std::uint64_t number_at(const json& object, std::initializer_list<const char*> keys) {
  const json* found = find(object, keys);
  return found != nullptr && found->is_number() && *found >= 0 ? found->get<std::uint64_t>() : 0;
}

bool flag_at(const json& object, const char* key) {
  const json* found = find(object, {key});
  return found != nullptr && found->is_boolean() && found->get<bool>();
}

const json& list_at(const json& object, const char* key) {
  static const json kNone = json::array();
  const json* found = find(object, {key});
  return found != nullptr && found->is_array() ? *found : kNone;
}

std::string age_of(std::string_view time) {
  if (time.empty()) return {};
  const auto parsed = parse_rfc3339(time);
  if (!parsed) return std::string(time);
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(SystemClock().now() - *parsed).count();
  return seconds < 0 ? "in " + rough_age(-seconds) : rough_age(seconds) + " ago";
}

std::string duration_between(std::string_view from, std::string_view to) {
  const auto start = parse_rfc3339(from), end = parse_rfc3339(to);
  if (!start || !end || *end < *start) return {};
  const double seconds = std::chrono::duration<double>(*end - *start).count();
  if (seconds < 90) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<long long>(seconds);
  return fmt::format("{} min {} s", whole / 60, whole % 60);
}

std::string grouped(std::uint64_t number) {
  const std::string digits = std::to_string(number);
  std::string out;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) out += ',';
    out += digits[i];
  }
  return out;
}

std::string plural(std::uint64_t count, std::string_view one, std::string_view many) {
  if (count == 1) return fmt::format("1 {}", one);
  return many.empty() ? fmt::format("{} {}s", grouped(count), one) : fmt::format("{} {}", grouped(count), many);
}

Colour colour_of_outcome(std::string_view outcome) {
  if (outcome == "applied" || outcome == "unchanged") return Colour::Green;
  if (outcome == "failed" || outcome == "abandoned") return Colour::Red;
  if (outcome == "held" || outcome == "partial") return Colour::Yellow;
  return Colour::Cyan;  // queued, running, planned
}

std::vector<std::string> sentences(const json& counts, bool would) {
  std::vector<std::string> out;
  const auto say = [&](std::uint64_t count, std::string_view object, const char* done, const char* infinitive) {
    if (count == 0) return;
    out.push_back(would ? fmt::format("would {} {}", infinitive, plural(count, object))
                        : fmt::format("{} {}", plural(count, object), done));
  };
  for (const auto& [list, object] : {std::pair{"users", "user"}, std::pair{"groups", "group"}})
    for (const auto& verb : kPrincipalVerbs) say(number_at(counts, {list, verb.kind}), object, verb.done, verb.would);
  for (const auto& [list, object] : {std::pair{"edges", "membership"}, std::pair{"bindings", "role binding"}}) {
    say(number_at(counts, {list, "added"}), object, "added", "add");
    say(number_at(counts, {list, "removed"}), object, "removed", "remove");
  }
  return out;
}

std::string object_of(const json& change) {
  auto name = text_at(change, {"object", "name"});
  if (name.empty()) name = text_at(change, {"object", "external_id"});
  const auto type = text_at(change, {"object", "type"});
  const char* side = text_at(change, "after").empty() ? "before" : "after";
  if (type == "membership") {
    auto member = text_at(change, {side, "member_name"});
    if (member.empty()) member = text_at(change, {side, "member_external_id"});
    if (!member.empty()) name = fmt::format("{} in {}", member, name);
  } else if (type == "binding") {
    if (const auto group = text_at(change, {side, "group"}); !group.empty()) name += " for " + group;
    const auto ns = text_at(change, {side, "namespace"});
    name += ns.empty() ? " in the whole tenant" : " in " + ns;
  }
  return name;
}

std::string sentence(const json& change, bool would) {
  const auto [object, done, infinitive] = said(text_at(change, {"object", "type"}), text_at(change, "kind"));
  const auto name = object_of(change);
  std::string reason = text_at(change, "reason");
  if (const auto fields = changed_fields(change); !fields.empty()) reason = reason.empty() ? fields : fmt::format("{}; {}", fields, reason);
  std::string line = would ? fmt::format("would {} {} {}", infinitive, object, name) : fmt::format("{} {} {}", object, name, done);
  if (!reason.empty()) line += fmt::format(" ({})", reason);
  return line;
}

std::uint64_t total_of(const json& counts, bool with_skipped) {
  std::uint64_t total = 0;
  for (const char* list : {"users", "groups"})
    for (const auto& verb : kPrincipalVerbs)
      if (with_skipped || std::string_view(verb.kind) != "skipped") total += number_at(counts, {list, verb.kind});
  for (const char* list : {"edges", "bindings"}) total += number_at(counts, {list, "added"}) + number_at(counts, {list, "removed"});
  return total;
}

std::string joined(const std::vector<std::string>& parts, std::string_view between) {
  std::string out;
  for (const auto& part : parts) out += (out.empty() ? "" : std::string(between)) + part;
  return out;
}

}  // namespace rosterd::cli
