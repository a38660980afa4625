#pragma once
// Log events: a stable name and fields, no prose in between. The daemon decides where they go (text or journald);
// docs/log-events.md lists every name. Secrets are never a field: Secret has no text form.

#include <fmt/format.h>

#include <functional>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

namespace rosterd::log {

enum class Level { Debug, Info, Warning, Error };

struct Field {
  std::string_view key;  ///< tenant, source, run, … lower case, [a-z_]
  std::string value;
};

/// A field of anything fmt can print: field("users", 12).
template <class T>
[[nodiscard]] Field field(std::string_view key, const T& value) {
  return {key, fmt::format("{}", value)};
}

using Sink = std::function<void(Level, std::string_view event, std::span<const Field> fields)>;

/// Where events go from now on. Called once, before threads start; without it they go to standard error as text.
void set_sink(Sink sink);
/// Events below this level are dropped. May be changed at any time (SIGHUP).
void set_level(Level level);

void event(Level level, std::string_view name, std::initializer_list<Field> fields = {});
inline void debug(std::string_view name, std::initializer_list<Field> fields = {}) { event(Level::Debug, name, fields); }
inline void info(std::string_view name, std::initializer_list<Field> fields = {}) { event(Level::Info, name, fields); }
inline void warning(std::string_view name, std::initializer_list<Field> fields = {}) { event(Level::Warning, name, fields); }
inline void error(std::string_view name, std::initializer_list<Field> fields = {}) { event(Level::Error, name, fields); }

/// The text form: `sync.held tenant=acme source=corp suspend=940`. Values with spaces, quotes or control characters are quoted
/// and escaped, so that a directory cannot forge a line.
[[nodiscard]] std::string text(std::string_view name, std::span<const Field> fields);

}  // namespace rosterd::log
