#pragma once
// HTTP load from wrk, on the same cores: requests go in as texts, requests a second and latencies come out.

#include <cstdint>
#include <string>
#include <vector>

#include "tests/support/process.hpp"

namespace rosterd::bench {

struct Load {
  double per_second = 0, p50 = 0, p99 = 0;  ///< milliseconds
  std::uint64_t wrong = 0;                  ///< answers that were not 2xx, and connections that broke
};

/// Requests that are sent in turn, as the lines of a Lua script for wrk.
struct Kind {
  std::string name, script;
};
/// Without a token none is sent.
[[nodiscard]] Kind gets(std::string name, const std::vector<std::string>& paths, const std::string& token);
[[nodiscard]] Kind posts(std::string name, const std::string& path, const std::vector<std::string>& bodies, const std::string& token);

/// A server on a port of 127.0.0.1 and how long to load it. Connections are kept alive.
class Wrk {
 public:
  Wrk(std::uint16_t port, double seconds) : port_(port), seconds_(seconds) {}
  [[nodiscard]] Load run(const Kind& kind, int connections) const;

 private:
  std::uint16_t port_;
  double seconds_;
  test::TempDir dir_{"rosterd-bench"};
};

[[nodiscard]] double median(std::vector<double> values);
/// The median of each figure; wrong answers are added up.
[[nodiscard]] Load median(const std::vector<Load>& loads);
/// Prints it as a line.
void print(const std::string& name, int connections, const Load& load);
/// Runs them in turn, so that what else the machine does meets all of them alike, and gives the median of each.
[[nodiscard]] std::vector<Load> in_turn(const Wrk& wrk, const std::vector<Kind>& kinds, int connections, int rounds);

}  // namespace rosterd::bench
