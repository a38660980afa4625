#define PCRE2_CODE_UNIT_WIDTH 8
#include "daemon/sync/mapping.hpp"

#include <pcre2.h>

#include <array>

#include "schema/core/text.hpp"

namespace rosterd::sync {
namespace {

// A group name is short: a pattern that needs more than this for one is pathological, and one tenant must not hold a worker with it.
constexpr std::uint32_t kMatchLimit = 100'000;
constexpr std::uint32_t kDepthLimit = 1'000;
constexpr std::uint32_t kHeapLimitKib = 1'024;

template <auto Free>
struct Freeing {
  template <class T>
  void operator()(T* handle) const {
    Free(handle);
  }
};
using Code = std::unique_ptr<pcre2_code, Freeing<pcre2_code_free>>;
using MatchData = std::unique_ptr<pcre2_match_data, Freeing<pcre2_match_data_free>>;
using MatchContext = std::unique_ptr<pcre2_match_context, Freeing<pcre2_match_context_free>>;

PCRE2_SPTR bytes(std::string_view text) { return reinterpret_cast<PCRE2_SPTR>(text.data()); }

std::string message_of(int code) {
  std::array<PCRE2_UCHAR, 256> text{};
  pcre2_get_error_message(code, text.data(), text.size());
  return reinterpret_cast<const char*>(text.data());
}

/// A namespace template cut into literal texts and numbers of captured groups.
struct Piece {
  std::string literal;
  std::uint32_t group = 0;  ///< 0 = literal
};

Result<std::vector<Piece>> cut(std::string_view text, const pcre2_code* code) {
  std::vector<Piece> out;
  while (!text.empty()) {
    const auto open = text.find("${");
    if (open != 0) out.push_back({.literal = std::string(text.substr(0, open)), .group = 0});
    if (open == std::string_view::npos) break;
    const auto close = text.find('}', open);
    if (close == std::string_view::npos) return fail(Errc::InvalidInput, "\"${{\" without \"}}\"");
    const std::string name(text.substr(open + 2, close - open - 2));
    const auto number = pcre2_substring_number_from_name(code, reinterpret_cast<PCRE2_SPTR>(name.c_str()));
    if (number <= 0) return fail(Errc::InvalidInput, "the pattern has no group named \"{}\"", name);
    out.push_back({.literal = {}, .group = static_cast<std::uint32_t>(number)});
    text.remove_prefix(close + 1);
  }
  return out;
}

}  // namespace

struct Mappings::Compiled {
  struct Rule {
    Code code;
    MatchData data;
    std::vector<Piece> ns;
  };
  std::vector<Rule> rules;
  MatchContext context;
};

Mappings::Mappings() = default;
Mappings::~Mappings() = default;
Mappings::Mappings(Mappings&&) noexcept = default;
Mappings& Mappings::operator=(Mappings&&) noexcept = default;

Result<Mappings> Mappings::compile(std::span<const RoleMapping> rules) {
  Mappings out;
  out.rules_.assign(rules.begin(), rules.end());
  out.compiled_ = std::make_unique<Compiled>();
  out.compiled_->context.reset(pcre2_match_context_create(nullptr));
  if (!out.compiled_->context) return fail(Errc::Internal, "no memory for role mappings");
  pcre2_set_match_limit(out.compiled_->context.get(), kMatchLimit);
  pcre2_set_depth_limit(out.compiled_->context.get(), kDepthLimit);
  pcre2_set_heap_limit(out.compiled_->context.get(), kHeapLimitKib);
  for (std::size_t at = 0; at < rules.size(); ++at) {
    const auto& rule = rules[at];
    int error = 0;
    PCRE2_SIZE offset = 0;
    // \C would match half a character, callouts and (*VERB)s are nobody's need here; ENDANCHORED also forbids a trailing newline.
    Code code(pcre2_compile(bytes(rule.group), rule.group.size(), PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C,
                            &error, &offset, nullptr));
    if (!code) return fail(Errc::InvalidInput, "/role_mappings/{}/group: {} at character {}", at, message_of(error), offset);
    auto ns = rule.ns ? cut(*rule.ns, code.get()) : Result<std::vector<Piece>>(std::vector<Piece>{});
    if (!ns) return fail(ns.error(), "/role_mappings/{}/namespace", at);
    MatchData data(pcre2_match_data_create_from_pattern(code.get(), nullptr));
    if (!data) return fail(Errc::Internal, "no memory for role mappings");
    out.compiled_->rules.push_back({.code = std::move(code), .data = std::move(data), .ns = std::move(*ns)});
  }
  return out;
}

MappingAnswer Mappings::match(std::string_view group_name) const {
  MappingAnswer answer;
  for (std::size_t at = 0; at < rules_.size(); ++at) {
    const auto& rule = compiled_->rules[at];
    const auto found = pcre2_match(rule.code.get(), bytes(group_name), group_name.size(), 0, 0, rule.data.get(), compiled_->context.get());
    if (found == PCRE2_ERROR_NOMATCH) continue;
    if (found < 0) {
      answer.undecided = true;
      continue;
    }
    if (!rules_[at].ns) {
      answer.roles.push_back({.mapping = at, .ns = std::nullopt});
      continue;
    }
    const auto* spans = pcre2_get_ovector_pointer(rule.data.get());
    const auto captured = pcre2_get_ovector_count(rule.data.get());
    std::string ns;
    for (const auto& piece : rule.ns) {
      if (piece.group == 0) {
        ns += piece.literal;
      } else if (piece.group < captured && spans[2 * piece.group] != PCRE2_UNSET) {
        ns += group_name.substr(spans[2 * piece.group], spans[2 * piece.group + 1] - spans[2 * piece.group]);
      }
    }
    if (is_namespace(ns)) {
      answer.roles.push_back({.mapping = at, .ns = std::move(ns)});
    } else {
      answer.invalid_namespaces.push_back(std::move(ns));
    }
  }
  return answer;
}

}  // namespace rosterd::sync
