#pragma once
// rosterctl inside a test: arguments in; what it printed and its exit code out. Nothing of the machine's environment leaks in.

#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "cli/cli.hpp"

namespace rosterd::cli {

struct Said {
  int code = 0;
  std::string out, err;
};

struct Surroundings {
  std::map<std::string, std::string> environment = {};
  std::string input = {};
  bool terminal = false;  ///< of all three streams
};

inline Said rosterctl(const std::vector<std::string>& arguments, const Surroundings& around = {}) {
  std::istringstream in(around.input);
  std::ostringstream out, err;
  const World world{.in = in,
                    .out = out,
                    .err = err,
                    .in_is_terminal = around.terminal,
                    .out_is_terminal = around.terminal,
                    .err_is_terminal = around.terminal,
                    .columns = 100,
                    .environment = around.environment};
  const int code = run(arguments, world);
  return {code, out.str(), err.str()};
}

}  // namespace rosterd::cli
