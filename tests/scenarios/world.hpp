#pragma once
// A tenant on a real PostgreSQL, a directory from a script and a clock that is told to advance: what a conversation acts on. Each command
// gives its answer as text; world.cpp has the table of commands.

#include <memory>
#include <string>
#include <vector>

#include "daemon/sync/engine.hpp"
#include "rbac/snapshot.hpp"
#include "tests/sync/scripted.hpp"

namespace rosterd::test {

class World {
 public:
  World();
  ~World();

  /// `line` is the command, `input` the lines below it.
  std::string answer(const std::string& line, const std::vector<std::string>& input);

 private:
  using Words = std::vector<std::string>;
  std::string directory(const Words& words, const std::vector<std::string>& input);
  std::string source(const Words& words, const std::vector<std::string>& input);
  std::string sync(const Words& words);
  std::string approve(const Words& words);
  std::string discard();
  std::string users();
  std::string groups();
  std::string members(const std::string& group);
  std::string bindings();
  std::string bind(const Words& words);
  std::string local(const Words& words);
  std::string suspend(const std::string& name, bool suspended);
  std::string check(const Words& words);
  std::string changes();
  std::string advance(const std::string& duration);
  std::string status();
  std::string verified();
  std::string asked();
  std::string cursors();
  std::string plan();

  std::string execute();  ///< claims and runs what is due; one line about it
  std::string told(const Run& run);
  std::string number(const Principal& principal);  ///< "#1": the same principal keeps its number through a conversation
  std::string name(const Principal& principal);
  PrincipalId find(PrincipalType type, const std::string& name);

  TenantId tenant_{"acme"};
  ManualClock clock_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<sync::Engine> engine_;
  ScriptedDirectory directory_;
  Source source_;
  connectors::ConnectorType::Fingerprints fingerprints_{.cursor = "settings-1", .scope = "scope-1"};
  AccountId admin_;
  Actor actor_;
  RunId last_run_;
  std::string plan_;
  std::optional<Revision> revision_;
  std::map<Principal, int> numbers_;
};

}  // namespace rosterd::test
