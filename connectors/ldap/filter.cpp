#include "connectors/ldap/filter.hpp"

#include <strings.h>

namespace rosterd::connectors::ldap {
namespace {

constexpr int kMaxDepth = 50;  // a filter is a person's work; slapd itself gives up at about this depth

bool is_alpha(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

bool is_oid_or_name(std::string_view text) {
  if (text.empty()) return false;
  if (is_alpha(text.front())) {
    for (const char c : text)
      if (!is_alpha(c) && !is_digit(c) && c != '-') return false;
    return true;
  }
  bool digit = false;
  for (const char c : text) {
    if (is_digit(c)) {
      digit = true;
    } else if (c == '.' && digit) {
      digit = false;
    } else {
      return false;
    }
  }
  return digit;
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Result<void> whole() {
    if (auto ok = filter(0); !ok) return ok;
    if (at_ != text_.size()) return wrong("the filter ends here, but more follows");
    return {};
  }

 private:
  [[nodiscard]] Result<void> wrong(std::string_view what) const {
    return fail(Errc::InvalidInput, "{} (at character {} of \"{}\")", what, at_ + 1, text_);
  }
  [[nodiscard]] bool is_at(char c) const { return at_ < text_.size() && text_[at_] == c; }

  Result<void> filter(int depth) {
    if (depth > kMaxDepth) return wrong("nested too deeply");
    if (!is_at('(')) return wrong("expected an opening bracket");
    ++at_;
    if (is_at('&') || is_at('|')) {
      ++at_;
      if (!is_at('(')) return wrong("expected a filter after & or |");
      while (is_at('('))
        if (auto ok = filter(depth + 1); !ok) return ok;
    } else if (is_at('!')) {
      ++at_;
      if (auto ok = filter(depth + 1); !ok) return ok;
    } else if (auto ok = item(); !ok) {
      return ok;
    }
    if (!is_at(')')) return wrong("expected a closing bracket");
    ++at_;
    return {};
  }

  Result<void> item() {
    const auto equals = text_.find('=', at_);
    const auto close = text_.find(')', at_);
    if (equals == std::string_view::npos || close < equals) return wrong("expected attribute=value");
    auto description = text_.substr(at_, equals - at_);
    const bool extensible = description.ends_with(':');
    if (description.ends_with('~') || description.ends_with('>') || description.ends_with('<') || extensible) description.remove_suffix(1);
    if (extensible ? !is_extensible(description) : !is_attribute_description(description))
      return wrong(fmt::format("\"{}\" is no attribute name", description));
    at_ = equals + 1;
    while (at_ < text_.size() && text_[at_] != ')') {
      const char c = text_[at_];
      if (c == '(') return wrong("a bracket inside a value is written \\28");
      if (c == '\0') return wrong("a NUL inside a value is written \\00");
      if (c == '\\') {
        if (at_ + 2 >= text_.size() || !is_hex(text_[at_ + 1]) || !is_hex(text_[at_ + 2]))
          return wrong("a backslash is followed by two hexadecimal digits");
        at_ += 2;
      }
      ++at_;
    }
    return {};
  }

  // attr [":dn"] [":" rule] or [":dn"] ":" rule, the last colon already taken off
  static bool is_extensible(std::string_view text) {
    const auto colon = text.find(':');
    const auto attribute = text.substr(0, colon);
    if (!attribute.empty() && !is_attribute_description(attribute)) return false;
    if (colon == std::string_view::npos) return !attribute.empty();
    auto rest = text.substr(colon + 1);
    if (rest == "dn") return !attribute.empty();
    if (rest.starts_with("dn:")) rest.remove_prefix(3);
    return is_oid_or_name(rest);
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

/// Reads one filter at `at`, which is well formed, and says whether it demands `item`.
bool demands_at(std::string_view text, std::size_t& at, std::string_view item) {
  const char kind = text[++at];
  if (kind != '&' && kind != '|' && kind != '!') {
    const auto close = text.find(')', at);
    const auto found = text.substr(at, close - at);
    at = close + 1;
    return found.size() == item.size() && ::strncasecmp(found.data(), item.data(), item.size()) == 0;
  }
  bool any = false, all = true;
  for (++at; text[at] == '(';) {
    const bool one = demands_at(text, at, item);
    any = any || one;
    all = all && one;
  }
  ++at;
  return kind == '&' ? any : kind == '|' && all;
}

void append_hex(std::string& out, char c) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  const auto byte = static_cast<unsigned char>(c);
  out += '\\';
  out += kDigits[byte >> 4];
  out += kDigits[byte & 15];
}

}  // namespace

bool is_attribute_description(std::string_view text) {
  const auto semicolon = text.find(';');
  if (!is_oid_or_name(text.substr(0, semicolon))) return false;
  while (text.find(';') != std::string_view::npos) {
    text.remove_prefix(text.find(';') + 1);
    const auto option = text.substr(0, text.find(';'));
    if (option.empty()) return false;
    for (const char c : option)
      if (!is_alpha(c) && !is_digit(c) && c != '-') return false;
  }
  return true;
}

Result<void> check_filter(std::string_view filter) { return Parser(filter).whole(); }

bool demands(std::string_view filter, std::string_view attribute, std::string_view value) {
  std::size_t at = 0;
  return demands_at(filter, at, fmt::format("{}={}", attribute, value));
}

std::string both(std::string_view a, std::string_view b) { return fmt::format("(&{}{})", a, b); }

std::string equals(std::string_view attribute, std::string_view value) {
  std::string out = fmt::format("({}=", attribute);
  for (const char c : value) {
    if (c == '*' || c == '(' || c == ')' || c == '\\' || c == '\0') {
      append_hex(out, c);
    } else {
      out += c;
    }
  }
  return out += ')';
}

std::string equals_binary(std::string_view attribute, std::string_view value) {
  std::string out = fmt::format("({}=", attribute);
  for (const char c : value) append_hex(out, c);
  return out += ')';
}

}  // namespace rosterd::connectors::ldap
