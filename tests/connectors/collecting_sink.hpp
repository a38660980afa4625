#pragma once
// What every connector test needs: a sink that keeps what it is given, and a connector made from JSON with loopback allowed.

#include <map>
#include <set>

#include "connectors/connector.hpp"

namespace rosterd::test {

struct CollectedGroup {
  GroupRecord record;
  std::vector<std::string> members;
  bool complete = false;
};

class CollectingSink final : public connectors::FeedSink {
 public:
  bool user(const UserRecord& record) override;
  bool group(const GroupRecord& record) override;
  bool members(std::span<const Reference> members) override;
  bool end_group(bool complete) override;
  bool skipped(const SkippedRecord& record) override;
  void phase(std::string_view text) override { phases.emplace_back(text); }

  [[nodiscard]] const UserRecord& find_user(std::string_view username) const;  ///< throws when there is none
  [[nodiscard]] const CollectedGroup& find_group(std::string_view name) const;
  /// Usernames and names of the group's direct members, resolved by reference; a reference that nobody answers to appears as it is.
  [[nodiscard]] std::set<std::string> members_of(std::string_view group) const;

  std::vector<UserRecord> users;
  std::vector<CollectedGroup> groups;
  std::vector<SkippedRecord> skips;
  std::vector<std::string> phases;
  std::size_t stop_after = SIZE_MAX;  ///< says "no more" at this many users

 private:
  bool open_ = false;
};

/// Loopback allowed, short timeouts.
[[nodiscard]] connectors::ConnectorOptions test_options();
/// Throws with the error when the settings are refused.
[[nodiscard]] std::unique_ptr<connectors::Connector> make_ldap(const std::string& json,
                                                               const connectors::ConnectorOptions& options = test_options(),
                                                               const std::string& learnt = {});
[[nodiscard]] bool is_complete(const connectors::FeedEnd& end);  ///< KeepOnly, and the proof agrees
/// The failed evidence in one text.
[[nodiscard]] std::string failed(const connectors::FeedEnd& end);

}  // namespace rosterd::test
