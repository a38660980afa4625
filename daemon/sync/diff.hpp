#pragma once
// Deciding, one record at a time: what is held and what arrived go in, the change (or nothing) comes out. Pure: no store, no clock.
// Also the canonical texts: what content hashes and plan hashes are made of.

#include <optional>
#include <string>
#include <string_view>

#include "connectors/connector.hpp"
#include "daemon/sync/held_index.hpp"
#include "schema/model/records.hpp"
#include "schema/model/sync.hpp"

namespace rosterd::sync {

/// Every content field, lengths first, so that no two contents share a text. References and the reason for being disabled are no content.
void encode(const UserRecord& record, std::string& out);
void encode(const GroupRecord& record, std::string& out);

struct Held {
  std::uint64_t content_hash = 0;
  Leaving leaving = Leaving::None;
};
struct Step {
  ChangeKind kind = ChangeKind::Added;
  Leaving leaving = Leaving::None;  ///< state after it
  std::string_view reason;
  bool operator==(const Step&) const = default;
};

/// A record arrived. `held` is none for an unknown stable id.
///
///   held                | delivered enabled        | delivered disabled
///   --------------------+--------------------------+------------------------------
///   nothing             | added                    | added, disabled_at_source
///   active              | changed, or nothing      | suspended, disabled_at_source
///   disabled at source  | resumed                  | changed, or nothing
///   away (missing, …)   | resumed                  | changed, disabled_at_source
[[nodiscard]] std::optional<Step> diff(const std::optional<Held>& held, const UserRecord& record, std::uint64_t content_hash);
/// Groups cannot be disabled: otherwise the same.
[[nodiscard]] std::optional<Step> diff(const std::optional<Held>& held, const GroupRecord& record, std::uint64_t content_hash);
/// A complete feed did not deliver it, or named it as gone; `present` is what verifying said. Only for Gone and OutOfScope.
///
///   active, disabled at source -> suspended (missing, out_of_scope, deleted_at_source)
///   away                       -> purged when due, else nothing
[[nodiscard]] std::optional<Step> diff_absent(const Entry& held, connectors::Present present);

/// The digest of one planned change: same change, same digest, in a dry run and in a real one.
[[nodiscard]] Hash128 digest_of(ObjectType type, ChangeKind kind, const Hash128& key, Leaving leaving, std::string_view content);
[[nodiscard]] Hash128 digest_of_edge(ChangeKind kind, const Hash128& group, const Target& member, const Hash128& member_key);
[[nodiscard]] Hash128 digest_of_binding(ChangeKind kind, const Hash128& group, std::string_view role, const std::optional<std::string>& ns);
/// SHA-256 over the sorted digests, as hex. Empties `digests`.
[[nodiscard]] std::string plan_hash(Chunked<Hash128>& digests);

}  // namespace rosterd::sync
