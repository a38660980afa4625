#pragma once
// Profiles: where a rosterd is and the token to talk to it, kept in one JSON file that only its owner can read. What the command line
// and the environment say goes before the file. Tokens are never printed.

#include <map>
#include <optional>
#include <string>

#include "cli/failure.hpp"

namespace rosterd::cli {

struct Profile {
  std::string url;
  std::string token;
  std::string ca_file;           ///< empty = the system's certificates
  bool allow_plaintext = false;  ///< http:// to another machine was allowed when the profile was made
};

struct Profiles {
  std::string current = "default";
  std::map<std::string, Profile> by_name;
};

/// $XDG_CONFIG_HOME/rosterctl/profiles.json, else $HOME/.config/rosterctl/profiles.json; kUsage when neither is set.
[[nodiscard]] Try<std::string> profiles_path(const std::map<std::string, std::string>& environment);
/// Empty when there is no file yet. Refused when others may read the file, since it holds tokens.
[[nodiscard]] Try<Profiles> load_profiles(const std::string& path);
/// Replaces the file in one step, mode 0600 in a directory of mode 0700.
[[nodiscard]] Try<void> save_profiles(const std::string& path, const Profiles& profiles);

/// What the command line said.
struct Wanted {
  std::string profile;
  std::string url;
  std::string ca_file;
  bool allow_plaintext = false;
};

/// Where to go and as whom. `name` is the profile's, empty when nothing of the file is used.
struct Target {
  std::string name;
  Profile profile;
};
/// Command line before environment before file. A token of the file is used only with the address it was stored with: --url or
/// ROSTERCTL_URL naming another place must not send it there.
[[nodiscard]] Try<Target> resolve(const Wanted& wanted, const std::map<std::string, std::string>& environment, const Profiles& profiles);

}  // namespace rosterd::cli
