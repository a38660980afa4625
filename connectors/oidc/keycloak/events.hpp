#pragma once
// Changes by the logs that a realm keeps: of admin events (what is done over the admin API and its console) and of user events (what people
// do to themselves). They tell everything only where both are kept, nobody comes from a user storage, and nobody signs in through another
// provider; where that is not so, there is no position and every read is a full one.
//
// A position is the newest event of each log. The next read must find both again: a log that was emptied, or has forgotten so much, shows
// it by that. Times are the server's own, so that clocks need not agree; events may appear a little late, so that the last five minutes are
// read twice, but for the events that were seen.
//
//   USER                   users/{id}…              read that user; DELETE: gone
//   GROUP_MEMBERSHIP       users/{id}/groups/{id}   read that user and that group with all its members
//   GROUP CREATE, UPDATE   groups/{id}              read it and everything below it (its path is part of their names)
//   GROUP CREATE           groups/{id}/children     the same: the event does not say which child
//   GROUP UPDATE           groups, …/children       moved, and nothing says from where: everything is read
//   GROUP DELETE                                    what was below it is gone, too, and nothing names it: everything is read
//   REALM, COMPONENT, IDENTITY_PROVIDER, ORGANIZATION…   other rules may hold now: everything is read

#include <set>
#include <string>

#include "connectors/connector.hpp"
#include "connectors/oidc/keycloak/realm.hpp"

namespace rosterd::connectors::oidc::keycloak {

/// What happened, by id.
struct Changes {
  std::set<std::string> users;
  std::set<std::string> groups;    ///< their members
  std::set<std::string> subtrees;  ///< themselves and everything below
  std::string everything;          ///< not empty: why only a full read will do
};
/// Takes one event of the admin log into `changes`. Pure.
void note_admin_event(const nlohmann::json& event, Changes& changes);
/// Takes one of the user log.
void note_user_event(const nlohmann::json& event, Changes& changes);

struct Position {
  Cursor cursor;         ///< empty = there is none
  std::string why_none;  ///< in words
};
/// Where the logs stand now.
[[nodiscard]] Result<Position> position(Api& api, const Realm& realm);
/// Reads what changed since. CursorExpired where the logs do not tell everything.
[[nodiscard]] Result<FeedEnd> read_changes(Api& api, const Realm& realm, const Cursor& from, FeedSink& sink);

}  // namespace rosterd::connectors::oidc::keycloak
