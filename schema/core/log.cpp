#include "schema/core/log.hpp"

#include <atomic>
#include <cstdio>

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

bool is_plain(std::string_view value) {
  if (value.empty()) return false;
  for (const unsigned char c : value)
    if (c <= ' ' || c == '"' || c == '\\' || c == '=' || c == 0x7f) return false;
  return true;
}

void append_quoted(std::string& out, std::string_view value) {
  out += '"';
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < ' ' || byte == 0x7f) {
      out += fmt::format("\\x{:02x}", byte);
    } else {
      out += c;
    }
  }
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
    if (is_plain(value))
      out += value;
    else
      append_quoted(out, value);
  }
  return out;
}

}  // namespace rosterd::log
