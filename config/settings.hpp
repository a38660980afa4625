#pragma once
// The table of settings behind config.hpp: how each one is read from a value of the file, shown, and whether a reload can change it.
// The TOML library stays in config.cpp; this half knows values only.

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "config/config.hpp"

namespace rosterd::config {

using Value = std::variant<bool, std::int64_t, double, std::string, std::vector<std::string>, std::map<std::string, std::string>>;

enum class When { Reload, Restart };

struct Setting {
  std::string_view path;
  When when = When::Restart;
  /// The error's text is "what is wrong; how to mend it".
  std::function<Result<void>(Config&, const Value&)> read;
  std::function<std::string(const Config&)> show;  ///< as TOML; secrets masked
  std::function<Path*(Config&)> path_of;           ///< set where the value is a path
};
[[nodiscard]] const std::vector<Setting>& settings();
[[nodiscard]] const Setting* find_setting(std::string_view path);
/// The known path nearest to a mistyped one; empty when none is near.
[[nodiscard]] std::string nearest_setting(std::string_view path);

/// A problem that may involve several settings; it is reported at the first of them that the file sets.
struct Problem {
  std::vector<std::string> paths;
  std::string text;
};
/// Settings that contradict each other.
[[nodiscard]] std::vector<Problem> contradictions(const Config& config);
/// Fills in what follows from other settings: the folders under state.directory.
void complete(Config& config);

/// "1048576", 1048576 or "1MiB"; a bare number is bytes.
[[nodiscard]] Result<std::uint64_t> parse_bytes(std::string_view text);
[[nodiscard]] std::string bytes_text(std::uint64_t bytes);
/// "2000/s", "600/m burst 100", "off"; without a burst it is the count.
[[nodiscard]] Result<Rate> parse_rate(std::string_view text);
[[nodiscard]] std::string rate_text(const Rate& rate);
/// InvalidInput for anything that is not a network address with its prefix length and no bits below it.
[[nodiscard]] Result<void> check_network(std::string_view cidr);
/// InvalidInput for what cannot be the e-mail address of an account.
[[nodiscard]] Result<void> check_email(std::string_view address);
[[nodiscard]] Result<Address> parse_address(std::string_view text);
/// A database URL without its password.
[[nodiscard]] std::string without_password(std::string_view url);

}  // namespace rosterd::config
