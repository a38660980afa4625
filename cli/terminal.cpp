#include "cli/terminal.hpp"

#include <fmt/format.h>
#include <langinfo.h>
#include <wchar.h>

#include <clocale>
#include <cstring>

namespace rosterd::cli {
namespace {

/// One code point off the front of `text`, strictly (RFC 3629: no overlong forms, surrogates or beyond U+10FFFF); 0 bytes = broken.
struct CodePoint {
  char32_t value = 0;
  std::size_t bytes = 0;
};
CodePoint first_of(std::string_view text) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = at(0);
  if (lead < 0x80) return {lead, 1};
  const std::size_t bytes = lead >= 0xf0 && lead < 0xf5 ? 4 : lead >= 0xe0 && lead < 0xf0 ? 3 : lead >= 0xc2 && lead < 0xe0 ? 2 : 0;
  if (bytes == 0 || text.size() < bytes) return {};
  char32_t value = lead & (0x7f >> bytes);
  for (std::size_t i = 1; i < bytes; ++i) {
    if ((at(i) & 0xc0) != 0x80) return {};
    value = value << 6 | (at(i) & 0x3f);
  }
  const char32_t least = bytes == 2 ? 0x80 : bytes == 3 ? 0x800 : 0x10000;
  if (value < least || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) return {};
  return {value, bytes};
}

bool reorders(char32_t c) {
  return (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0x200e || c == 0x200f || c == 0x061c;
}

bool is_control(char32_t c) { return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029 || c == 0xfeff; }

}  // namespace

std::string painted(std::string_view text, Colour colour, bool on) {
  if (!on || colour == Colour::None) return std::string(text);
  std::string_view code;
  switch (colour) {
    case Colour::None:
      break;
    case Colour::Bold:
      code = "1";
      break;
    case Colour::Dim:
      code = "2";
      break;
    case Colour::Red:
      code = "31";
      break;
    case Colour::Green:
      code = "32";
      break;
    case Colour::Yellow:
      code = "33";
      break;
    case Colour::Cyan:
      code = "36";
      break;
  }
  return fmt::format("\x1b[{}m{}\x1b[0m", code, text);
}

std::size_t width_of(std::string_view text) {
  std::size_t columns = 0;
  while (!text.empty()) {
    const auto [value, bytes] = first_of(text);
    if (bytes == 0) {
      ++columns;
      text.remove_prefix(1);
      continue;
    }
    const int width = value < 0x80 ? 1 : ::wcwidth(static_cast<wchar_t>(value));
    columns += width > 0 ? static_cast<std::size_t>(width) : width < 0 ? 1 : 0;
    text.remove_prefix(bytes);
  }
  return columns;
}

std::string harmless(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const auto [value, bytes] = first_of(text);
    if (bytes == 0) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(text[0]));
      text.remove_prefix(1);
      continue;
    }
    if (is_control(value) || reorders(value))
      out +=
          value < 0x100 ? fmt::format("\\x{:02x}", static_cast<unsigned>(value)) : fmt::format("\\u{:04x}", static_cast<unsigned>(value));
    else
      out.append(text.substr(0, bytes));
    text.remove_prefix(bytes);
  }
  return out;
}

std::string padded(std::string_view text, std::size_t columns, bool right) {
  const std::size_t width = width_of(text);
  const std::string spaces(columns > width ? columns - width : 0, ' ');
  return right ? spaces + std::string(text) : std::string(text) + spaces;
}

void use_utf8() {
  std::setlocale(LC_CTYPE, "");
  if (std::strcmp(nl_langinfo(CODESET), "UTF-8") != 0) std::setlocale(LC_CTYPE, "C.UTF-8");
}

}  // namespace rosterd::cli
