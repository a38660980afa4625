#include "bench/load.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace rosterd::bench {

Kind gets(std::string name, const std::vector<std::string>& paths, const std::string& token) {
  Kind out{std::move(name), "local all = {}\n"};
  const auto authorization = token.empty() ? std::string() : fmt::format("[\"Authorization\"] = \"Bearer {}\"", token);
  std::size_t i = 0;
  out.script += "local made = {}\n";
  for (const auto& path : paths) out.script += fmt::format("all[{}] = \"{}\"\n", ++i, path);
  out.script += fmt::format(
      "local headers = {{{}}}\nfunction init() for i = 1, #all do made[i] = wrk.format(\"GET\", all[i], headers) end end\n", authorization);
  return out;
}

Kind posts(std::string name, const std::string& path, const std::vector<std::string>& bodies, const std::string& token) {
  Kind out{std::move(name), "local all = {}\nlocal made = {}\n"};
  std::size_t i = 0;
  for (const auto& body : bodies) out.script += fmt::format("all[{}] = [[{}]]\n", ++i, body);
  const auto authorization = token.empty() ? std::string() : fmt::format("[\"Authorization\"] = \"Bearer {}\", ", token);
  out.script += fmt::format(
      "local headers = {{{}[\"Content-Type\"] = \"application/json\"}}\n"
      "function init() for i = 1, #all do made[i] = wrk.format(\"POST\", \"{}\", headers, all[i]) end end\n",
      authorization, path);
  return out;
}

Load Wrk::run(const Kind& kind, int connections) const {
  const auto file = dir_.write(kind.name + ".lua", kind.script + R"(
local at = 0
function request() at = at % #made + 1; return made[at] end
function done(summary, latency)
io.write(string.format("result %d %d %d %d %d\n", summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
  summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout))
end
)");
  const auto ran = test::run({"wrk", "-t1", fmt::format("-c{}", connections), fmt::format("-d{}s", static_cast<int>(seconds_)), "-s", file,
                              fmt::format("http://127.0.0.1:{}/", port_)});
  const auto at = ran.output.find("result ");
  unsigned long long requests = 0, microseconds = 0, p50 = 0, p99 = 0, wrong = 0;
  if (at == std::string::npos ||
      std::sscanf(ran.output.c_str() + at, "result %llu %llu %llu %llu %llu", &requests, &microseconds, &p50, &p99, &wrong) != 5) {
    std::fprintf(stderr, "wrk said: %s\n", ran.output.c_str());
    std::exit(2);
  }
  return {.per_second = static_cast<double>(requests) / (static_cast<double>(microseconds) / 1e6),
          .p50 = static_cast<double>(p50) / 1000,
          .p99 = static_cast<double>(p99) / 1000,
          .wrong = wrong};
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

Load median(const std::vector<Load>& loads) {
  const auto middle = [&](double Load::* member) {
    std::vector<double> values;
    for (const auto& load : loads) values.push_back(load.*member);
    return median(values);
  };
  Load out{.per_second = middle(&Load::per_second), .p50 = middle(&Load::p50), .p99 = middle(&Load::p99)};
  for (const auto& one : loads) out.wrong += one.wrong;
  return out;
}

void print(const std::string& name, int connections, const Load& load) {
  std::printf("  %-8s c=%-3d  %9.0f requests/s   p50 %.3f ms   p99 %.3f ms   wrong %llu\n", name.c_str(), connections, load.per_second,
              load.p50, load.p99, static_cast<unsigned long long>(load.wrong));
  std::fflush(stdout);
}

std::vector<Load> in_turn(const Wrk& wrk, const std::vector<Kind>& kinds, int connections, int rounds) {
  std::vector<std::vector<Load>> all(kinds.size());
  for (int round = 0; round < rounds; ++round)
    for (std::size_t i = 0; i < kinds.size(); ++i) all[i].push_back(wrk.run(kinds[i], connections));
  std::vector<Load> out;
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    out.push_back(median(all[i]));
    print(kinds[i].name, connections, out.back());
  }
  return out;
}

}  // namespace rosterd::bench
