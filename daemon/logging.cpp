#include "daemon/logging.hpp"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <syslog.h>
#include <unistd.h>

// Source positions of this file would be the same for every event and say nothing.
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

namespace rosterd {
namespace {

int priority(log::Level level) {
  switch (level) {
    case log::Level::Debug:
      return LOG_DEBUG;
    case log::Level::Info:
      return LOG_INFO;
    case log::Level::Warning:
      return LOG_WARNING;
    case log::Level::Error:
      return LOG_ERR;
  }
  return LOG_ERR;
}

spdlog::level::level_enum spdlog_level(log::Level level) {
  switch (level) {
    case log::Level::Debug:
      return spdlog::level::debug;
    case log::Level::Info:
      return spdlog::level::info;
    case log::Level::Warning:
      return spdlog::level::warn;
    case log::Level::Error:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

log::Sink text_sink() {
  auto logger = std::make_shared<spdlog::logger>("rosterd", std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %^%-7l%$ %v", spdlog::pattern_time_type::utc);
  logger->set_level(spdlog::level::trace);  // events below the level never come this far
  logger->flush_on(spdlog::level::trace);   // the last line before a crash is the one that is wanted
  return [logger](log::Level level, std::string_view event, std::span<const log::Field> fields) {
    logger->log(spdlog_level(level), "{}", log::text(event, fields));
  };
}

log::Sink journal_sink() {
  return [fallback = text_sink()](log::Level level, std::string_view event, std::span<const log::Field> fields) {
    const auto texts = journal_fields(level, event, fields);
    std::vector<iovec> parts;
    parts.reserve(texts.size());
    for (const auto& text : texts) parts.push_back({const_cast<char*>(text.data()), text.size()});
    // A journal that is away must not cost the event: standard error is still there.
    if (sd_journal_sendv(parts.data(), static_cast<int>(parts.size())) < 0) fallback(level, event, fields);
  };
}

}  // namespace

config::LogFormat chosen_format(config::LogFormat wanted, const std::optional<std::string>& journal_stream, int standard_error) {
  if (wanted != config::LogFormat::Auto) return wanted;
  struct stat about{};
  if (!journal_stream || fstat(standard_error, &about) != 0) return config::LogFormat::Text;
  return *journal_stream == fmt::format("{}:{}", about.st_dev, about.st_ino) ? config::LogFormat::Journald : config::LogFormat::Text;
}

std::vector<std::string> journal_fields(log::Level level, std::string_view event, std::span<const log::Field> fields) {
  std::vector<std::string> out;
  out.reserve(fields.size() + 4);
  out.push_back("MESSAGE=" + log::text(event, fields));
  out.push_back(fmt::format("PRIORITY={}", priority(level)));
  out.push_back("SYSLOG_IDENTIFIER=rosterd");
  out.push_back(fmt::format("ROSTERD_EVENT={}", event));
  for (const auto& [key, value] : fields) {
    std::string name = "ROSTERD_";
    for (const char c : key) name += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    out.push_back(name + "=" + value);
  }
  return out;
}

void start_logging(const config::Config& config) {
  log::set_level(config.log.level);
  const auto format = chosen_format(config.log.format, config::process_environment()("JOURNAL_STREAM"), STDERR_FILENO);
  log::set_sink(format == config::LogFormat::Journald ? journal_sink() : text_sink());
}

}  // namespace rosterd
