#include "cli/session.hpp"

#include <termios.h>
#include <unistd.h>

#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "schema/core/text.hpp"

namespace rosterd::cli {
namespace {

/// Typing is not shown while it lives.
class NoEcho {
 public:
  NoEcho() : active_(::tcgetattr(STDIN_FILENO, &before_) == 0) {
    if (!active_) return;
    termios quiet = before_;
    quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
  }
  ~NoEcho() {
    if (active_) ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
  }
  NoEcho(const NoEcho&) = delete;
  NoEcho& operator=(const NoEcho&) = delete;

 private:
  termios before_{};
  bool active_;
};

std::string first_line(std::istream& from, bool with_spaces = false) {
  std::string line;
  std::getline(from, line);
  while (!line.empty() && (line.back() == '\r' || (line.back() == ' ' && !with_spaces))) line.pop_back();
  return line;
}

}  // namespace

Try<Api*> Session::api(bool token_needed) {
  if (!api_) {
    Profiles profiles;
    if (const auto path = profiles_path(world_.environment)) {  // no HOME is fine as long as the environment says where to go
      auto loaded = load_profiles(*path);
      if (!loaded) return fail(loaded.error());
      profiles = std::move(*loaded);
    }
    auto target = resolve(options_.wanted, world_.environment, profiles);
    if (!target) return fail(target.error());
    api_ = std::make_unique<Api>(std::move(*target));
  }
  if (token_needed && api_->target().profile.token.empty())
    return fail_with_advice(kSignIn, fmt::format("not signed in to {}", api_->target().profile.url),
                            "on a new installation run 'rosterctl setup', else 'rosterctl login', or set ROSTERCTL_TOKEN");
  return api_.get();
}

bool Session::colours_on(bool terminal) const {
  if (options_.colour != "auto") return options_.colour == "always";
  const auto none = world_.environment.find("NO_COLOR");  // no-color.org: any value that is not empty
  if (none != world_.environment.end() && !none->second.empty()) return false;
  const auto term = world_.environment.find("TERM");
  if (term != world_.environment.end() && term->second == "dumb") return false;
  return terminal;
}

void Session::print(std::string_view text) const { world_.out << text << std::flush; }

void Session::print_line(std::string_view text, Colour colour) const {
  world_.out << painted(text, colour, colours()) << "\n" << std::flush;
}

void Session::print(const Table& table, std::string_view when_empty) const {
  if (table.empty())
    note(when_empty);
  else
    print(table.text(colours()));
}

void Session::print(const Sheet& sheet) const { print(sheet.text(colours())); }

void Session::print_json(const nlohmann::json& document) const {
  world_.out << document.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << "\n" << std::flush;
}

void Session::note(std::string_view text) const { world_.err << painted(text, Colour::Dim, colours_on_errors()) << "\n" << std::flush; }

Try<void> Session::confirm(std::string_view question, std::string_view expected) const {
  if (!world_.in_is_terminal)
    return fail_with_advice(kUsage, fmt::format("{} Nobody is there to confirm it.", question), "pass --yes if you are sure");
  world_.err << painted(question, Colour::Yellow, colours_on_errors()) << fmt::format("\nType '{}' to go on: ", expected) << std::flush;
  if (first_line(world_.in) != expected) return fail(kUsage, "not confirmed; nothing was changed");
  return {};
}

Try<std::string> Session::secret(std::string_view what, const std::string& file, Spaces at_end) const {
  const bool kept = at_end == Spaces::Kept;
  std::string found;
  std::string place = "standard input";
  if (!file.empty() && file != "-") {
    std::ifstream from(file);
    if (!from) return fail(kUsage, "the file {} for the {} cannot be read", file, what);
    found = first_line(from, kept);
    place = file;
  } else if (file.empty() && world_.in_is_terminal) {
    world_.err << fmt::format("{} (not shown): ", what) << std::flush;
    const NoEcho quiet;
    found = first_line(world_.in, kept);
    world_.err << "\n" << std::flush;
  } else {
    found = first_line(world_.in, kept);
  }
  if (found.empty()) return fail(kUsage, "no {} on {}", what, place);
  if (has_control_characters(found)) return fail(kUsage, "the {} on {} holds control characters", what, place);
  return found;
}

}  // namespace rosterd::cli
