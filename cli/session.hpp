#pragma once
// What every command shares: the options before its name, the API behind the chosen profile, and the ways to print.

#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "cli/api.hpp"
#include "cli/table.hpp"

namespace CLI {
class App;
}

namespace rosterd::cli {

struct GlobalOptions {
  Wanted wanted;
  bool json = false;
  std::string colour = "auto";
};

class Session {
 public:
  Session(const World& world, const GlobalOptions& options) : world_(world), options_(options) {}

  /// The API of the chosen profile, made at the first call. kSignIn when there is no token and `token_needed`.
  [[nodiscard]] Try<Api*> api(bool token_needed = true);

  [[nodiscard]] const World& world() const { return world_; }
  [[nodiscard]] const GlobalOptions& options() const { return options_; }
  [[nodiscard]] bool json() const { return options_.json; }
  [[nodiscard]] bool colours() const { return colours_on(world_.out_is_terminal); }
  [[nodiscard]] bool colours_on_errors() const { return colours_on(world_.err_is_terminal); }

  void print(std::string_view text) const;
  void print_line(std::string_view text, Colour colour = Colour::None) const;
  void print(const Table& table, std::string_view when_empty) const;
  void print(const Sheet& sheet) const;
  void print_json(const nlohmann::json& document) const;
  /// Notes that are not the answer go to standard error, so that they never end up in a pipe.
  void note(std::string_view text) const;

  /// Asks on the terminal; without one a "no" that says to pass --yes. `expected` must be typed in full.
  [[nodiscard]] Try<void> confirm(std::string_view question, std::string_view expected) const;
  /// One secret line: from `file` ("-" = standard input), else typed without echo on the terminal, else from standard input. Spaces at its
  /// end belong to a password; in a token they are a slip of whoever copied it.
  enum class Spaces { Dropped, Kept };
  [[nodiscard]] Try<std::string> secret(std::string_view what, const std::string& file, Spaces at_end = Spaces::Dropped) const;
  [[nodiscard]] Try<std::string> password(std::string_view what, bool from_stdin) const {
    return secret(what, from_stdin ? "-" : "", Spaces::Kept);
  }

 private:
  [[nodiscard]] bool colours_on(bool terminal) const;

  const World& world_;
  const GlobalOptions& options_;
  std::unique_ptr<Api> api_;
};

/// What a command's file needs to hang its branch into the tree. `chosen` is what the parsed line asks for.
struct Commands {
  CLI::App& app;
  Session& session;
  std::function<Try<int>()>& chosen;
};

void add_setup(Commands commands);  ///< setup, login, logout, profiles, whoami
void add_tenants(Commands commands);
void add_sources(Commands commands);  ///< sources, apply
void add_sync(Commands commands);     ///< sync, status
void add_runs(Commands commands);
void add_people(Commands commands);          ///< users, groups, effective
void add_people_changes(Commands commands);  ///< further commands below users and groups: after add_people
void add_access(Commands commands);          ///< permissions, roles, bindings, service-accounts, tokens
void add_audit(Commands commands);
void add_accounts(Commands commands);  ///< accounts, me, passwd, invitations
void add_check(Commands commands);
void add_completion(Commands commands);  ///< completion, version

}  // namespace rosterd::cli
