#include "config/config.hpp"

#include <toml++/toml.h>

#include <array>
#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>

#include "config/settings.hpp"

namespace rosterd::config {
namespace {

/// One reading of one file: walks the tree, hands every value to its setting, and collects what is wrong.
class Reading {
 public:
  Reading(const Path& file, const Environment& environment) : file_(file), environment_(environment) { config_.file = file.string(); }

  void table(const toml::table& table, const std::string& prefix) {
    for (const auto& [key, node] : table) {
      const auto path = prefix.empty() ? std::string(key.str()) : prefix + "." + std::string(key.str());
      const auto line = key.source().begin.line;
      lines_[path] = line;
      if (const auto* setting = find_setting(path))
        value(*setting, node, line);
      else if (const auto* inner = node.as_table(); inner != nullptr && is_section(path))
        this->table(*inner, path);
      else
        unknown(path, line, node.is_table());
    }
  }

  Result<Config> finish() {
    for (const auto& setting : settings())
      if (setting.path_of) resolve(setting);
    const auto stated = config_;  // contradictions are between what was written, not between defaults made from it
    for (const auto& [paths, text] : contradictions(stated)) problem(paths, text);
    complete(config_);
    if (problems_.empty()) return std::move(config_);
    std::string all;
    for (const auto& [line, text] : problems_) all += (all.empty() ? "" : "\n") + text;
    return fail(Errc::InvalidInput, "{}", all);
  }

  /// At the first of the settings that stands in the file: the others have their defaults, and no line.
  void problem(const std::vector<std::string>& paths, const std::string& text) {
    unsigned line = 0;
    for (const auto& path : paths) {
      if (broken_.contains(path)) return;  // one complaint a setting is enough
      const auto found = lines_.find(path);
      if (line == 0 && found != lines_.end()) line = found->second;
    }
    problem_at(line, fmt::format("{}: {}", fmt::join(paths, ", "), text));
  }
  void problem(const std::string& path, const std::string& text) { problem(std::vector{path}, text); }

  void problem_at(unsigned line, const std::string& text) {
    problems_.emplace(line, line == 0 ? fmt::format("{}: {}", file_.string(), text) : fmt::format("{}:{}: {}", file_.string(), line, text));
  }

 private:
  static bool is_section(std::string_view path) {
    return std::any_of(settings().begin(), settings().end(), [&](const Setting& setting) {
      return setting.path.starts_with(path) && setting.path.substr(path.size()).starts_with('.');
    });
  }

  void unknown(const std::string& path, unsigned line, bool is_table) {
    const auto nearest = nearest_setting(path);
    if (is_section(path)) return problem_at(line, fmt::format("{}: is a section; write [{}] and its settings below", path, path));
    if (is_table)
      return problem_at(line, fmt::format("{}: there is no such section; take it out (docs/configuration.md lists them)", path));
    if (nearest.empty())
      return problem_at(line, fmt::format("{}: there is no such setting; take it out (docs/configuration.md lists them)", path));
    problem_at(line, fmt::format("{}: there is no such setting; did you mean {}?", path, nearest));
  }

  void value(const Setting& setting, const toml::node& node, unsigned line) {
    const auto path = std::string(setting.path);
    Value given;
    auto good = plain(node, given);
    if (good) good = setting.read(config_, given);
    if (good) return;
    problem_at(line, path + ": " + good.error().what);
    broken_.insert(path);
  }

  /// The plain value of a node into `out`; otherwise what is wrong with it.
  static Result<void> plain(const toml::node& node, Value& out) {
    if (const auto* flag = node.as_boolean())
      out = flag->get();
    else if (const auto* number = node.as_integer())
      out = number->get();
    else if (const auto* real = node.as_floating_point())
      out = real->get();
    else if (const auto* text = node.as_string())
      out = text->get();
    else if (const auto* list = node.as_array())
      return plain_list(*list, out.emplace<std::vector<std::string>>());
    else if (const auto* inner = node.as_table())
      return plain_table(*inner, out.emplace<std::map<std::string, std::string>>());
    else
      return fail(Errc::InvalidInput, "is a date; write a string in quotes");
    return {};
  }

  static Result<void> plain_list(const toml::array& list, std::vector<std::string>& texts) {
    for (const auto& item : list) {
      const auto* text = item.as_string();
      if (text == nullptr) return fail(Errc::InvalidInput, "holds something that is not a string; put every item in quotes");
      texts.push_back(text->get());
    }
    return {};
  }

  static Result<void> plain_table(const toml::table& table, std::map<std::string, std::string>& texts) {
    for (const auto& [key, item] : table) {
      auto& text = texts[std::string(key.str())];
      if (const auto* value = item.as_string())
        text = value->get();
      else if (const auto* number = item.as_integer())
        text = fmt::format("{}", number->get());
      else if (const auto* real = item.as_floating_point())
        text = fmt::format("{}", real->get());
      else if (const auto* flag = item.as_boolean())
        text = flag->get() ? "on" : "off";
      else
        return fail(Errc::InvalidInput, "{} is neither text, number nor boolean; write a plain value", key.str());
    }
    return {};
  }

  /// ${NAME} -> the environment; then relative -> beside the file.
  void resolve(const Setting& setting) {
    Path& path = *setting.path_of(config_);
    if (path.empty()) return;
    std::string text = path.string();
    for (auto from = text.find("${"); from != std::string::npos; from = text.find("${", from)) {
      const auto to = text.find('}', from);
      if (to == std::string::npos) return problem(std::string(setting.path), "'${' has no closing brace; write ${NAME}");
      const auto name = text.substr(from + 2, to - from - 2);
      const auto found = environment_(name);
      if (!found)
        return problem(std::string(setting.path),
                       fmt::format("the environment has no variable {}; {}", name,
                                   name == "CREDENTIALS_DIRECTORY" ? "systemd sets it when the unit has a LoadCredential= line"
                                                                   : "set it, or write the path out"));
      text.replace(from, to - from + 1, *found);
      from += found->size();
    }
    path = Path(text);
    if (path.is_relative()) path = std::filesystem::absolute(file_).parent_path() / path;
    path = path.lexically_normal();
    must_exist(setting.path, path);
  }

  /// Files that rosterd only reads must be there. One in a folder that this user may not enter is left to the daemon's own user.
  void must_exist(std::string_view setting, const Path& path) {
    constexpr std::array<std::string_view, 7> kReadOnly{"server.tls_certificate_file",  "server.tls_key_file",
                                                        "server.tls_client_ca_file",    "database.password_file",
                                                        "database.owner_password_file", "database.embedded.bin_directory",
                                                        "secrets.token_pepper_file"};
    if (std::find(kReadOnly.begin(), kReadOnly.end(), setting) == kReadOnly.end()) return;
    std::error_code error;
    const auto status = std::filesystem::status(path, error);
    if (status.type() == std::filesystem::file_type::not_found)
      problem(std::string(setting), fmt::format("{} does not exist; make it, or correct the path", path.string()));
  }

  const Path& file_;
  const Environment& environment_;
  Config config_;
  std::map<std::string, unsigned> lines_;
  std::set<std::string> broken_;
  std::multimap<unsigned, std::string> problems_;  // by line
};

}  // namespace

Environment process_environment() {
  return [](std::string_view name) -> std::optional<std::string> {
    const char* value = std::getenv(std::string(name).c_str());
    if (value == nullptr) return std::nullopt;
    return std::string(value);
  };
}

Result<Config> parse(std::string_view text, const Path& file, const Environment& environment) {
  Reading reading(file, environment);
  try {
    reading.table(toml::parse(text, file.string()), "");
  } catch (const toml::parse_error& error) {
    reading.problem_at(error.source().begin.line,
                       fmt::format("not TOML: {}; mend this line first, the rest was not read", error.description()));
  }
  return reading.finish();
}

Result<Config> load(const Path& file, const Environment& environment) {
  std::error_code error;
  if (std::filesystem::is_directory(file, error)) return fail(Errc::InvalidInput, "{}: is a folder; name a file", file.string());
  std::ifstream in(file, std::ios::binary);
  std::ostringstream text;
  if (in) text << in.rdbuf();
  if (!in || in.bad()) {
    const auto why = std::generic_category().message(errno);
    return fail(Errc::InvalidInput, "{}: cannot be read: {}; name another with --config, or start from the commented rosterd.example.toml",
                file.string(), why);
  }
  return parse(text.str(), file, environment);
}

}  // namespace rosterd::config
