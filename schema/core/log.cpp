#include "schema/core/log.hpp"

#include <atomic>
#include <cstdio>

#include "schema/core/text.hpp"

namespace rosterd::log {
namespace {

std::atomic<Level> g_level{Level::Info};

Sink& sink() {
  static Sink current = [](Level, std::string_view name, std::span<const Field> fields) {
    const auto line = text(name, fields) + "\n";
    std::fwrite(line.data(), 1, line.size(), stderr);
  };
  return current;
}

/// How many bytes at the front of `value` a terminal or a log viewer could take for more than a letter: control characters, the C1
/// controls U+0080..U+009F, the line and paragraph separators U+2028 and U+2029, and bytes that are no UTF-8 at all.
std::size_t unsafe_length(std::string_view value, bool is_text) {
  const auto first = static_cast<unsigned char>(value.front());
  if (first < ' ' || first == 0x7f || (first >= 0x80 && !is_text)) return 1;
  if (first == 0xc2 && static_cast<unsigned char>(value[1]) < 0xa0) return 2;
  if (value.starts_with("\xe2\x80\xa8") || value.starts_with("\xe2\x80\xa9")) return 3;
  return 0;
}

void append_value(std::string& out, std::string_view value) {
  const bool is_text = is_utf8(value);
  const auto start = out.size();
  bool plain = !value.empty();
  while (!value.empty()) {
    const char c = value.front();
    if (const auto unsafe = unsafe_length(value, is_text)) {
      plain = false;
      for (const unsigned char byte : value.substr(0, unsafe)) out += fmt::format("\\x{:02x}", byte);
      value.remove_prefix(unsafe);
      continue;
    }
    plain = plain && c != ' ' && c != '"' && c != '\\' && c != '=';
    if (c == '"' || c == '\\') out += '\\';
    out += c;
    value.remove_prefix(1);
  }
  if (plain) return;
  out.insert(start, 1, '"');
  out += '"';
}

}  // namespace

void set_sink(Sink next) { sink() = std::move(next); }
void set_level(Level level) { g_level = level; }

void event(Level level, std::string_view name, std::initializer_list<Field> fields) {
  if (level < g_level.load(std::memory_order_relaxed)) return;
  sink()(level, name, std::span(fields.begin(), fields.size()));
}

std::string text(std::string_view name, std::span<const Field> fields) {
  std::string out(name);
  for (const auto& [key, value] : fields) {
    out += ' ';
    out += key;
    out += '=';
    append_value(out, value);
  }
  return out;
}

}  // namespace rosterd::log
