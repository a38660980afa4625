#pragma once
// Shell completion, written from the CLI11 tree itself: a command or option that exists is completed, and no other.

#include <string>

namespace CLI {
class App;
}

namespace rosterd::cli {

[[nodiscard]] std::string bash_completion(const CLI::App& root);
[[nodiscard]] std::string zsh_completion(const CLI::App& root);

}  // namespace rosterd::cli
