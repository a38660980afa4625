#pragma once
// A source as a file: TOML of the shape of DESIGN §6.1 plus `tenant = "acme"` comes in, the JSON for the API goes out. Only the syntax is
// judged here, with the line; what the settings mean is rosterd's business, so that the two can never disagree.

#include <string>
#include <string_view>

#include "cli/failure.hpp"

namespace rosterd::cli {

struct SourceFile {
  std::string tenant;  ///< may be empty when --tenant says it
  std::string name;
  std::string json;  ///< the POST body: everything but `tenant`
};

/// kUsage with file:line:column for what is not TOML, for a date (JSON has none) and for a missing name or type.
[[nodiscard]] Try<SourceFile> parse_source(std::string_view toml, const std::string& file);

}  // namespace rosterd::cli
