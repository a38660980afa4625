#include "tests/support/scim2_tester.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <stdexcept>

namespace rosterd::test {

std::vector<Scim2Finding> run_scim2_tester(const std::string& url, const std::string& token, const std::string& ca_file) {
  const auto python = fetched("scim2-tester") / "venv/bin/python";
  const auto script = std::filesystem::path(ROSTERD_SOURCE_DIR) / "tests/support/servers/run_scim2_tester.py";
  const TempDir dir;
  const std::string errors = dir.file("errors");
  // The token goes through a file: arguments are anybody's to read.
  const Ran ran =
      run({python.string(), "-B", script.string(), url, dir.write("token", token), ca_file}, {.error = errors}, Milliseconds(300'000));
  const auto json = nlohmann::json::parse(ran.output, nullptr, false);
  if (ran.status != 0 || !json.is_array())
    throw std::runtime_error(fmt::format("scim2-tester could not run against {}: {}{}", url, ran.output, read_file(errors)));
  std::vector<Scim2Finding> findings;
  for (const auto& one : json)
    findings.push_back({.status = one.at("status"),
                        .title = one.at("title"),
                        .reason = one.at("reason"),
                        .tags = one.at("tags"),
                        .resource_type = one.at("resource_type")});
  return findings;
}

}  // namespace rosterd::test
