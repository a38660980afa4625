#pragma once
// What a feed carries: one person or one group as the directory describes it now. Connectors fill these in, the sync engine compares them.

#include <optional>
#include <string>
#include <vector>

#include "schema/model/ids.hpp"

namespace rosterd {

/// Names by which group records refer to this entry ("references"): a kind, a colon, and the normal form, for example
/// "dn:uid=ada,ou=people,dc=acme", "uid:ada", "gid:1001", "rid:513", "id:<provider id>". Compared byte for byte within one feed. "user:"
/// and "group:" with a stable id behind them also name whoever is held under it and is not in this feed.
using Reference = std::string;

struct UserRecord {
  ExternalId id;
  std::string username;              ///< folded
  std::optional<std::string> email;  ///< folded
  std::string first_name;
  std::string last_name;
  std::string entry;                  ///< where it stands in the directory, for people: the DN as the server writes it
  bool enabled = true;                ///< false = disabled at the source
  std::string disabled_reason;        ///< in words, when not enabled: "userAccountControl says ACCOUNTDISABLE"
  std::vector<Reference> references;  ///< not part of the content
  std::vector<Reference> member_of;   ///< groups known from the user's side only (primary group): references of groups
};

struct GroupRecord {
  ExternalId id;
  std::string name;  ///< as the directory writes it; role mappings match it
  std::string description;
  std::string entry;
  std::vector<Reference> references;
};

/// A record that could not be used but was seen: it keeps its old state (sync-rules S7).
struct SkippedRecord {
  PrincipalType type = PrincipalType::User;
  ExternalId id;  ///< never empty: without a usable stable id the read is not complete instead
  std::string entry;
  std::string reason;  ///< in words
};

}  // namespace rosterd
