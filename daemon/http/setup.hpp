#pragma once
// The gate of /v1/setup (rbac.md R68): a one-time secret that proves access to the host, written to a 0600 file and logged by the
// daemon, or given by a credential file. It closes for good once the first account exists.

#include <optional>
#include <string>
#include <string_view>

#include "schema/core/guarded.hpp"
#include "schema/core/result.hpp"

namespace rosterd::http {

class SetupGate {
 public:
  /// A closed gate: what the daemon uses when an account exists already.
  SetupGate() = default;
  /// Opens the gate with a fresh secret and writes it to `file` (0600, replaced if it is there). Gives the secret, for the log.
  [[nodiscard]] Result<std::string> open(const std::string& file);
  /// Opens the gate with a secret the operator chose (a credential file's content, at least 16 characters); nothing is written.
  [[nodiscard]] Result<void> open_with(std::string secret);
  [[nodiscard]] bool is_open() const;
  /// Constant-time comparison; false while closed.
  [[nodiscard]] bool admits(std::string_view secret) const;
  /// Forgets the secret and removes the file.
  void close();

 private:
  struct State {
    std::optional<std::string> secret;
    std::string file;
  };
  Guarded<State> state_;
};

}  // namespace rosterd::http
