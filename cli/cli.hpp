#pragma once
// Arguments and a terminal come in; requests to rosterd's HTTP API and readable (or JSON) answers go out, with an exit code that says
// how it went. Nothing here knows the store, the directories or the rules: what rosterd decides, rosterctl prints. The commands live
// in one file per group, each adding its branch to the one CLI11 tree from which help and shell completion are made.

#include <iosfwd>
#include <map>
#include <string>
#include <vector>

namespace rosterd::cli {

/// What a script can rely on; printed by --help and described in docs/rosterctl.md.
enum ExitCode : int {
  kOk = 0,           ///< done; for check: allowed
  kNo = 1,           ///< a negative answer: denied, a run held, partial or failed, a test that found something wrong
  kUsage = 2,        ///< the command line or a file given on it is wrong
  kRefused = 3,      ///< rosterd answered with an error
  kUnreachable = 4,  ///< no answer from rosterd
  kSignIn = 5,       ///< not signed in, or the token is not accepted
  kTimeout = 6,      ///< --timeout passed; what was started goes on
};

/// The outside world of one invocation, so that tests can bring their own.
struct World {
  std::istream& in;
  std::ostream& out;
  std::ostream& err;
  bool in_is_terminal = false;
  bool out_is_terminal = false;
  bool err_is_terminal = false;
  int columns = 80;  ///< of the terminal on `err`, where progress is drawn
  std::map<std::string, std::string> environment =
      {};  ///< HOME, XDG_CONFIG_HOME, ROSTERCTL_URL, ROSTERCTL_TOKEN, ROSTERCTL_PROFILE, NO_COLOR
};

/// Runs `rosterctl arguments…` and gives its exit code. `arguments` are without the program's name.
[[nodiscard]] int run(const std::vector<std::string>& arguments, const World& world);

}  // namespace rosterd::cli
