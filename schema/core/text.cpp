#include "schema/core/text.hpp"

#include <fmt/format.h>
#include <unicase.h>
#include <uninorm.h>
#include <unistr.h>

#include <algorithm>
#include <cstdlib>
#include <new>

namespace rosterd {
namespace {

bool is_ascii(std::string_view text) {
  for (const char c : text)
    if (static_cast<unsigned char>(c) >= 0x80) return false;
  return true;
}

/// Lowers ASCII letters, trims, collapses runs of spaces. Other bytes pass unchanged. Writes at most text.size() bytes, and never
/// past what it has read, so `out` may be where `text` is.
std::size_t squeeze_ascii(std::string_view text, char* out) {
  std::size_t length = 0;
  bool space = false;
  for (const char c : text) {
    if (c == ' ') {
      space = length != 0;
      continue;
    }
    if (space) out[length++] = ' ';
    space = false;
    out[length++] = (c >= 'A' && c <= 'Z') ? static_cast<char>(c + 32) : c;
  }
  return length;
}

const std::uint8_t* bytes(std::string_view text) { return reinterpret_cast<const std::uint8_t*>(text.data()); }

}  // namespace

void fold_into(std::string_view text, std::string& out) {
  for (out.resize(text.size());; out.resize(out.size() * 2 + 16)) {  // a code point folds to eighteen at most
    const auto folded = fold_to(text, out);
    if (folded) return out.resize(folded->size());
  }
}

std::optional<std::string_view> fold_to(std::string_view text, std::span<char> buffer) {
  if (is_ascii(text) || !is_utf8(text)) {
    if (buffer.size() < text.size()) return std::nullopt;
    return std::string_view(buffer.data(), squeeze_ascii(text, buffer.data()));
  }
  std::size_t length = buffer.size();
  auto* const start = reinterpret_cast<std::uint8_t*>(buffer.data());
  std::uint8_t* folded = u8_casefold(bytes(text), text.size(), nullptr, UNINORM_NFKC, start, &length);
  if (folded == nullptr) throw std::bad_alloc();  // what is UTF-8 has no other way to fail
  if (folded != start) {                          // did not fit: libunistring made its own
    std::free(folded);                            // NOLINT: and hands over malloc'ed memory
    return std::nullopt;
  }
  return std::string_view(buffer.data(), squeeze_ascii({buffer.data(), length}, buffer.data()));
}

std::string fold(std::string_view text) {
  std::string out;
  fold_into(text, out);
  return out;
}

bool is_utf8(std::string_view text) { return u8_check(bytes(text), text.size()) == nullptr; }

bool has_control_characters(std::string_view text) {
  for (const unsigned char c : text)
    if (c < 0x20 || c == 0x7f) return true;
  return false;
}

bool is_slug(std::string_view text) {
  const auto alnum = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  if (text.empty() || text.size() > 63 || !alnum(text.front())) return false;
  for (const char c : text)
    if (!alnum(c) && c != '_' && c != '-') return false;
  return true;
}

bool is_email(std::string_view text) {
  const auto at = text.find('@');
  if (at == std::string_view::npos || at == 0 || at + 1 == text.size() || text.find('@', at + 1) != std::string_view::npos) return false;
  return text.size() <= 254 && !has_control_characters(text) && text.find(' ') == std::string_view::npos && is_utf8(text);
}

bool is_namespace(std::string_view text) {
  if (text.empty() || text.size() > 255) return false;
  std::size_t segments = 1;
  bool start = true;
  for (const char c : text) {
    const bool alnum = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (c == '.') {
      if (start) return false;
      ++segments;
      start = true;
      continue;
    }
    if (!alnum && (start || (c != '_' && c != '-'))) return false;
    start = false;
  }
  return !start && segments <= 16;
}

bool covers(std::string_view ancestor, std::string_view ns) {
  return ns.starts_with(ancestor) && (ns.size() == ancestor.size() || ns[ancestor.size()] == '.');
}

void append_json_escaped(std::string& out, std::string_view text) {
  // Nearly every text is plain: one look, one copy.
  const bool plain = std::all_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte >= 0x20 && byte < 0x80 && c != '"' && c != '\\';
  });
  if (plain) {
    out += text;
    return;
  }
  for (std::size_t i = 0; i < text.size();) {
    const char c = text[i];
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x80) {
      ucs4_t point = 0;
      const int length = u8_mbtoucr(&point, bytes(text) + i, text.size() - i);
      if (length < 0) {
        out += "\xEF\xBF\xBD";
        ++i;
      } else {
        out += text.substr(i, static_cast<std::size_t>(length));
        i += static_cast<std::size_t>(length);
      }
      continue;
    }
    ++i;
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (byte < 0x20)
          out += fmt::format("\\u{:04x}", byte);
        else
          out += c;
    }
  }
}

std::string rough_age(long long seconds) {
  if (seconds < 0) seconds = 0;
  if (seconds < 90) return fmt::format("{} s", seconds);
  if (seconds < 90 * 60) return fmt::format("{} min", seconds / 60);
  if (seconds < 48 * 3600) return fmt::format("{} h", seconds / 3600);
  return fmt::format("{} d", seconds / 86400);
}

}  // namespace rosterd
