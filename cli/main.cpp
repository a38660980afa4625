// rosterctl: the operator's hand. All it does is in the room beside it; this file only looks at the world it was started in.

#include <sys/ioctl.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <iostream>

#include "cli/cli.hpp"
#include "cli/terminal.hpp"

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_DFL);  // `rosterctl users list acme | head` ends quietly
  rosterd::cli::use_utf8();
  rosterd::cli::World world{.in = std::cin, .out = std::cout, .err = std::cerr};
  world.in_is_terminal = ::isatty(STDIN_FILENO) == 1;
  world.out_is_terminal = ::isatty(STDOUT_FILENO) == 1;
  world.err_is_terminal = ::isatty(STDERR_FILENO) == 1;
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) world.columns = size.ws_col;
  for (const char* name : {"HOME", "XDG_CONFIG_HOME", "ROSTERCTL_URL", "ROSTERCTL_TOKEN", "ROSTERCTL_PROFILE", "NO_COLOR", "TERM"})
    if (const char* value = std::getenv(name)) world.environment[name] = value;
  return rosterd::cli::run(std::vector<std::string>(argv + 1, argv + argc), world);
}
