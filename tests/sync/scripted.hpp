#pragma once
// A directory that a test writes down: it delivers what it was told, ends as it was told, and answers verify and readable from the
// same script. Shared by everything that tests the engine.

#include <atomic>
#include <functional>
#include <map>
#include <set>

#include "connectors/connector.hpp"

namespace rosterd::test {

struct ScriptedGroup {
  GroupRecord record;
  std::vector<Reference> members;
  bool complete = true;
};

/// What stands in the directory and how reading it goes. The same object may be read by several connectors, one after the other.
struct ScriptedDirectory {
  std::vector<UserRecord> users;
  std::vector<ScriptedGroup> groups;
  std::vector<SkippedRecord> skipped;
  std::set<std::string> hidden;                         ///< ids that exist and are not delivered
  std::map<std::string, connectors::Present> presence;  ///< what verify says instead of the truth
  std::map<std::string, std::string> renamed;           ///< id -> the reference it goes by now, another than the one it was read with
  std::set<std::string> unreadable;                     ///< containers that cannot be read
  std::optional<std::string> broken;                    ///< evidence that fails: the read ends incomplete
  std::optional<Error> read_error;                      ///< the read cannot even begin
  std::optional<Error> verify_error;
  std::optional<Error> listed_error;                ///< still_listed cannot tell
  std::optional<connectors::FeedEnd> end;           ///< instead of a complete read
  std::function<void(std::stop_token)> before_end;  ///< called when all is delivered; may wait
  std::string cursor;                               ///< given at the end of a complete read
  bool refuses_cursors = false;                     ///< CursorExpired for any but the empty one
  std::vector<std::string> asked_from;              ///< the cursors that reads began with
  std::atomic<int> reads{0}, verified{0};
  std::atomic<int> asked{0};  ///< memberships that still_listed was asked about

  /// "ada" with everything a person has; references "id:ada".
  static UserRecord person(const std::string& id, const std::string& username = {});
  static ScriptedGroup team(const std::string& id, std::vector<std::string> member_ids);
  void clear();
};

class ScriptedConnector final : public connectors::Connector {
 public:
  explicit ScriptedConnector(ScriptedDirectory& directory) : directory_(directory) {}
  Result<connectors::FeedEnd> read(const connectors::Cursor& from, connectors::FeedSink& sink, std::stop_token stop) override;
  Result<connectors::Presence> verify(PrincipalType type, std::span<const ExternalId> ids, std::stop_token stop) override;
  Result<std::optional<std::size_t>> still_listed(std::span<const connectors::Unlisted> groups, std::stop_token stop) override;
  Result<bool> readable(std::string_view entry, std::stop_token stop) override;
  [[nodiscard]] std::string container_of(std::string_view entry) const override;
  std::vector<connectors::Finding> test(std::stop_token) override { return {}; }

 private:
  ScriptedDirectory& directory_;
};

}  // namespace rosterd::test
