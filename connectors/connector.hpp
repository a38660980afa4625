#pragma once
// A connector reads one kind of directory and decides nothing: records go into a FeedSink, and the end of the feed says what absence
// means and how completeness was proved. What follows from it is daemon/sync's business; how it is stored is the store's.

#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "schema/core/result.hpp"
#include "schema/model/records.hpp"

namespace rosterd::connectors {

/// Opaque position in a source, versioned by its connector; empty = none.
struct Cursor {
  std::string value;
  bool operator==(const Cursor&) const = default;
};

struct KeepAbsent {};  ///< touch only what was delivered
struct DropListed {
  std::vector<ExternalId> ids;
};  ///< the directory named these as gone
struct KeepOnly {};  ///< complete: what was not delivered is a candidate for removal

/// One piece of evidence for completeness (sync-rules S1-S3): "users: final result was success", "canary: base still readable".
struct Evidence {
  std::string what;
  bool good = false;
  std::string detail;  ///< in words, when not good
};
struct ReadProof {
  std::vector<Evidence> evidence;
  [[nodiscard]] bool complete() const {
    for (const auto& item : evidence)
      if (!item.good) return false;
    return !evidence.empty();
  }
};

struct FeedEnd {
  std::variant<KeepAbsent, DropListed, KeepOnly> absence;  ///< KeepOnly only when proof.complete()
  Cursor to;
  ReadProof proof;
  std::string cursor_kind = "full";
  std::string learnt;  ///< opaque JSON to hand to the next connector of this source (how this server likes to be read); empty = nothing new
};

/// Takes what a read delivers. Users come before groups. Views and records live only during the call.
/// A false return means: stop reading now (the sink has failed or was told to stop); read() then gives an error of code Stopped.
class FeedSink {
 public:
  virtual ~FeedSink() = default;
  [[nodiscard]] virtual bool user(const UserRecord& record) = 0;
  /// Opens a group; its members follow in any number of calls, then end_group.
  [[nodiscard]] virtual bool group(const GroupRecord& record) = 0;
  [[nodiscard]] virtual bool members(std::span<const Reference> members) = 0;
  /// `complete` false: the members could not all be read; edges of this group that are held stay.
  [[nodiscard]] virtual bool end_group(bool complete) = 0;
  [[nodiscard]] virtual bool skipped(const SkippedRecord& record) = 0;
  /// What is being done, for progress displays: "reading users".
  virtual void phase(std::string_view text) = 0;
};

enum class Present {
  InScope,     ///< found with the source's own filter: the read that missed it was not complete
  OutOfScope,  ///< exists, but the source's filter or base no longer selects it
  Gone,        ///< the directory says there is no such object
  Unknown,     ///< could not be told (error, refused)
};
struct Presence {
  std::vector<Present> of;  ///< in the order asked
  std::string trouble;      ///< in words, when any is Unknown
};

/// A group and some who were its members, whom a read found listed no more.
struct Unlisted {
  ExternalId group;
  std::vector<ExternalId> members;
};

/// One line of what `test` found: {"bind", true, "bound as cn=rosterd,dc=acme"}.
struct Finding {
  std::string step;  ///< "settings", "resolve", "connect", "tls", "bind", "users", "groups", "stable id"
  bool good = false;
  std::string text;  ///< in words; when not good, what is wrong and how to mend it
};

/// One upstream directory, read only. Used from one thread at a time.
class Connector {
 public:
  virtual ~Connector() = default;
  /// Streams everything that changed since `from` into `sink` (all of it for an empty cursor), then says how it ended. An error means
  /// that nothing can be concluded: it could not begin, or was told to stop. A read that broke off after delivering something ends
  /// with KeepAbsent and the evidence that failed; it is never a shorter complete feed. CursorExpired asks to come again with an empty
  /// cursor.
  [[nodiscard]] virtual Result<FeedEnd> read(const Cursor& from, FeedSink& sink, std::stop_token stop) = 0;
  /// Which of these ids still exist, which are gone, which could not be told. Asked before anybody is suspended.
  [[nodiscard]] virtual Result<Presence> verify(PrincipalType type, std::span<const ExternalId> ids, std::stop_token stop) = 0;
  /// The position of the first of these groups that lists one of its members at this moment, whatever both are called by now; none when no
  /// group lists anybody of them. Asked before memberships are removed from groups that also name somebody who was not read: that may be
  /// the new name of one who was renamed while the read went on. Who cannot be found at all is listed nowhere. Error = could not be told.
  [[nodiscard]] virtual Result<std::optional<std::size_t>> still_listed(std::span<const Unlisted> groups, std::stop_token stop) = 0;
  /// Whether the bind identity can read this very object (a container's DN). Error = could not be told.
  [[nodiscard]] virtual Result<bool> readable(std::string_view entry, std::stop_token stop) = 0;
  /// The normal form of the object that contains this entry; empty where the directory has no containers. Pure, no I/O.
  [[nodiscard]] virtual std::string container_of(std::string_view entry) const = 0;
  /// Connects, authenticates, reads one entry of each kind, and says in words what it found. Changes nothing.
  [[nodiscard]] virtual std::vector<Finding> test(std::stop_token stop) = 0;
};

/// What daemon configuration says to all connectors.
struct ConnectorOptions {
  std::vector<std::string> allowed_networks;  ///< CIDR; loopback, link-local and private addresses are refused unless listed (DESIGN §6.1)
  std::chrono::milliseconds connect_timeout{10'000};
  std::chrono::milliseconds operation_timeout{30'000};  ///< silence on an established connection
  std::chrono::milliseconds read_deadline{3'600'000};   ///< one whole read
  std::uint64_t max_message_bytes = 256ull << 20;       ///< largest LDAP message accepted
  std::uint32_t page_size = 1000;
  std::string http_proxy;  ///< for sources that are read over HTTP: "http://proxy.example:3128"; empty = none
};

/// Settings as the API takes them (DESIGN §6.1), secrets already opened: {"value": …}. Parsed strictly.
struct ConnectorSettings {
  std::string json;
  std::string learnt;  ///< what an earlier read of this source returned as FeedEnd::learnt; empty at first
};

/// A row of the registry.
struct ConnectorType {
  std::string_view name;  ///< "ldap"
  Result<std::unique_ptr<Connector>> (*make)(const ConnectorSettings& settings, const ConnectorOptions& options);
  /// Checks settings without connecting; InvalidInput lists every problem with its JSON path.
  Result<void> (*validate)(std::string_view json);
  /// Two fingerprints of settings: `cursor` covers all a cursor depends on (S40), `scope` only identity and scope (S41).
  struct Fingerprints {
    std::string cursor, scope;
  };
  Fingerprints (*fingerprint)(std::string_view json);
  /// JSON paths ("/bind_password") of settings that hold secrets.
  std::span<const std::string_view> secrets;
};

/// The visible table of kinds; NotFound names the kinds there are.
[[nodiscard]] Result<const ConnectorType*> find_connector_type(std::string_view name);

}  // namespace rosterd::connectors
