#pragma once
// One read of an Entra tenant: groups are collected first, then people are delivered, then groups. A group's members are known before
// people are read, so that nobody is a member of anything before he is known; who joins later is in the next delta of groups.

#include <map>
#include <set>
#include <string>
#include <vector>

#include "connectors/connector.hpp"
#include "connectors/oidc/entra/graph.hpp"
#include "connectors/oidc/entra/objects.hpp"
#include "schema/core/clock.hpp"
#include "schema/core/hash.hpp"

namespace rosterd::connectors::oidc::entra {

/// What a cursor holds.
struct Position {
  std::string users, groups;  ///< deltaLinks; `groups` is empty where groups are not read
  TimePoint made;             ///< Graph keeps what they stand for seven days
  /// Named as removed, and yet found by id (or the other way round): Graph's servers differ for minutes. Looked at once more by the next
  /// read.
  std::set<std::string> doubtful_users, doubtful_groups;

  [[nodiscard]] std::string text() const;
  /// CursorExpired for what this release does not know, and for what is older than Graph keeps.
  [[nodiscard]] static Result<Position> parse(std::string_view text, TimePoint now);
};

class Reading {
 public:
  /// `from` null = everything.
  Reading(Graph graph, const Position* from, bool with_groups, FeedSink& sink)
      : graph_(std::move(graph)), from_(from), with_groups_(with_groups), sink_(sink) {}

  /// An error leaves it to `delivered` what can be concluded.
  [[nodiscard]] Result<void> run(TimePoint now);
  [[nodiscard]] bool delivered() const { return delivered_; }
  [[nodiscard]] FeedEnd end() &&;

 private:
  /// A group while its pieces come in.
  struct Collected {
    ParsedGroup parsed;
    bool is_known = false;  ///< its own properties have come
    bool ask = false;       ///< what came contradicts itself: read whole by id
    bool removed = false;
    bool hidden = false;  ///< its members are not shown to this client
    MemberList members;
  };

  [[nodiscard]] Result<void> collect_groups();
  [[nodiscard]] Result<void> take_group(const nlohmann::json& object);
  [[nodiscard]] Result<bool> read_whole(const std::string& id, Collected& group);  ///< false = there is none
  [[nodiscard]] Result<void> see_hidden(const std::string& id, Collected& group);
  [[nodiscard]] Result<void> deliver_groups();
  [[nodiscard]] Result<void> deliver_group(Collected& group);
  [[nodiscard]] Result<void> deliver_users();
  [[nodiscard]] Result<void> take_user(const nlohmann::json& object);
  [[nodiscard]] Result<void> look_up_users();
  [[nodiscard]] Result<void> deliver_user(const nlohmann::json& object);
  [[nodiscard]] bool is_full() const { return from_ == nullptr; }

  Graph graph_;
  const Position* from_;
  bool with_groups_;
  FeedSink& sink_;
  Position to_;
  bool delivered_ = false;

  std::map<std::string, Collected> groups_;
  KeyedHash hash_;
  std::set<Hash128> users_seen_;
  std::map<std::string, nlohmann::json> users_;  // of an incremental read, until all of it has come
  std::set<std::string> ask_, removed_;          // users
  std::vector<ExternalId> dropped_;
  std::uint64_t without_id_ = 0;
};

}  // namespace rosterd::connectors::oidc::entra
