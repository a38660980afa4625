#pragma once
// Waiting for runs: asks the API how they are getting on, shows it (bars on a terminal, plain lines elsewhere), and tells how they ended.

#include <chrono>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "cli/session.hpp"

namespace rosterd::cli {

struct WatchOptions {
  std::chrono::milliseconds timeout{0};  ///< 0 = as long as it takes
  std::size_t show = 20;                 ///< so many changes are printed one by one
};

/// Waits until every run (answers of /sync or /approve) is over and prints what each has done. The exit code is that of the worst:
/// kOk for applied, unchanged and planned, kNo for the others, kTimeout when time ran out.
[[nodiscard]] Try<int> watch(Session& session, const std::string& tenant, std::vector<nlohmann::json> runs, const WatchOptions& options);

/// Asks for a run of the source. Gives it, behind one that goes on already.
[[nodiscard]] Try<std::vector<nlohmann::json>> start_run(Api& api, const std::string& tenant, const std::string& source,
                                                         const nlohmann::json& request);
/// The run that rosterd starts by itself for a source that was made a moment ago; asks for one when it does not.
[[nodiscard]] Try<std::vector<nlohmann::json>> first_run(Api& api, const std::string& tenant, const std::string& source);
/// The id of the source's newest run, empty when there is none: asked before a source is changed.
[[nodiscard]] std::string newest_run(Api& api, const std::string& tenant, const std::string& source);
/// The run that rosterd starts by itself for a source that has just been changed, told from `before` (newest_run() then); asks for one
/// when it does not.
[[nodiscard]] Try<std::vector<nlohmann::json>> next_run(Api& api, const std::string& tenant, const std::string& source,
                                                        const std::string& before);

/// One finished run as lines for people: outcome, what changed, why, and what to do next.
[[nodiscard]] Try<void> print_end(Session& session, const std::string& tenant, const nlohmann::json& run, std::size_t show);

/// kOk or kNo by outcome.
[[nodiscard]] int code_of_outcome(std::string_view outcome);

/// How far a run is, drawn `columns` wide: a bar when `expected` objects are known from the sync before, counts and speed otherwise.
[[nodiscard]] std::string progress_line(const nlohmann::json& run, std::uint64_t expected, std::chrono::milliseconds elapsed, int columns,
                                        bool colours);

}  // namespace rosterd::cli
