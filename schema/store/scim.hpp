#pragma once
// What providers push (spec: sync-rules §10): users and groups of a source of type `scim_push`, written as they come, read back as they
// were sent. The store keeps ownership, the guard, the last Admin, runs, audit and revision; what SCIM means is daemon/http/scim's
// business.

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "schema/core/result.hpp"
#include "schema/model/access.hpp"
#include "schema/model/ids.hpp"
#include "schema/model/sync.hpp"
#include "schema/store/administration.hpp"

namespace rosterd {

inline constexpr std::string_view kPushType = "scim_push";  ///< type of the sources that are written to, not read

/// The source whose token was shown.
struct Pusher {
  TenantId tenant;
  SourceId source;
  std::string source_name;
  bool enabled = true;  ///< the source is
  TokenId token;
  std::uint64_t version = 0;  ///< of the source
  Guard guard;
  std::vector<RoleMapping> role_mappings;
};

/// A user or group as its provider sees it. Whoever the provider has deleted is none.
struct Pushed {
  PrincipalType type = PrincipalType::User;
  PrincipalId id;
  std::optional<std::string> external_id;
  std::string name;      ///< userName or displayName, as sent
  std::string document;  ///< JSON object: what was sent, without id, meta, members and secrets
  bool active = true;    ///< false: disabled at the source. An administrator's mark is not the provider's business.
  std::uint64_t version = 1;
  TimePoint created_at{}, modified_at{};
};
struct PushedMember {
  PrincipalId group;
  Principal who;
  std::string display;
};

/// What an object shall be.
struct PushedContent {
  std::optional<std::string> external_id;
  std::string name;
  std::string document;
  bool active = true;
  // of users, for the rest of rosterd
  std::optional<std::string> email;
  std::string first_name, last_name;
  std::string work_email;  ///< folded; what `emails[type eq "work"].value` finds; empty = none
};
/// One step of what happens to a group's members, in order.
struct MemberStep {
  enum class Kind { Add, Remove, Replace, RemoveWhere };
  Kind kind = Kind::Add;
  std::vector<Principal> who = {};                          ///< Add, Remove; the whole list for Replace
  std::function<bool(const PushedMember& one)> where = {};  ///< RemoveWhere: reads all members
};
struct PushedEdit {
  PushedContent content;
  std::vector<MemberStep> steps = {};
};

/// One request.
struct Push {
  enum class Kind { Create, Edit, Delete };
  Kind kind = Kind::Create;
  PrincipalType type = PrincipalType::User;
  PrincipalId id;                                              ///< of Edit and Delete
  PushedEdit made = {};                                        ///< of Create
  std::function<Result<PushedEdit>(const Pushed&)> edit = {};  ///< of Edit: asked inside the transaction; its error is the request's
  Condition<Pushed> only_if = {};
  std::vector<Principal> mentions = {};  ///< everybody whom a member step may name, looked up at once
  Actor actor;
};
struct PushAnswer {
  Pushed now;
  Revision revision;
  bool changed = false;
};
/// What the store asks about a group's name and about numbers: rules that live elsewhere.
struct MappedRole {
  std::string role;
  std::optional<std::string> ns;
};
struct PushRules {
  std::function<std::uint64_t(std::uint64_t active)> limit;                       ///< how many may leave within 24 hours
  std::function<bool(std::uint64_t lost, std::uint64_t of)> loses_too_many;       ///< of a group's members, at once
  std::function<std::optional<std::vector<MappedRole>>(std::string_view)> roles;  ///< none: cannot be told, what the group has stays
};

/// Which objects a read is about; what is not given does not narrow it.
struct PushedQuery {
  PrincipalType type = PrincipalType::User;
  std::optional<PrincipalId> id = {};
  std::optional<std::string> name_key = {};  ///< folded
  std::optional<std::string> external_id = {};
  std::optional<std::string> work_email = {};  ///< folded
  std::optional<PrincipalId> member = {};      ///< groups it is a member of
  std::vector<PrincipalId> among = {};         ///< only these; empty = all
  PrincipalId after = {};
  std::uint64_t skip = 0;
  std::uint32_t limit = 100;
};

class Scim {
 public:
  virtual ~Scim() = default;

  // tokens of a source
  /// Whose token it is; none for one that is not, not any more, or whose tenant is disabled.
  [[nodiscard]] virtual Result<std::optional<Pusher>> find_pusher(std::string_view token_hash) = 0;
  [[nodiscard]] virtual Result<std::vector<TokenInfo>> source_tokens(const TenantId& tenant, SourceId source) = 0;
  /// Conflict "source_pulls" for a source that is read.
  [[nodiscard]] virtual Result<TokenInfo> create_source_token(const TenantId& tenant, SourceId source, const NewToken& token,
                                                              const Actor& actor) = 0;
  [[nodiscard]] virtual Result<void> revoke_source_token(const TenantId& tenant, SourceId source, std::string_view token,
                                                         const Actor& actor) = 0;

  /// Several requests of one source in one transaction, each whole or not at all, each with its own revision and audit rows; answers in
  /// their order. Errors of one: NotFound; Conflict "uniqueness", "last_admin"; InvalidInput "invalidValue"; Refused "held_by_guard",
  /// which also shows the source as held until a person approves. An error of the call itself: nothing was applied.
  [[nodiscard]] virtual Result<std::vector<Result<PushAnswer>>> push(const TenantId& tenant, SourceId source,
                                                                     std::span<const Push> requests, const PushRules& rules) = 0;
  /// The source's role mappings have changed: binds its groups anew. Gives the revision.
  [[nodiscard]] virtual Result<Revision> remap_pushed(const TenantId& tenant, SourceId source, const PushRules& rules,
                                                      const Actor& actor) = 0;

  /// By id, ascending.
  [[nodiscard]] virtual Result<std::vector<Pushed>> pushed(const TenantId& tenant, SourceId source, const PushedQuery& query) = 0;
  [[nodiscard]] virtual Result<std::uint64_t> count_pushed(const TenantId& tenant, SourceId source, PrincipalType type) = 0;
  /// The members that the source itself has put into these groups.
  [[nodiscard]] virtual Result<std::vector<PushedMember>> pushed_members(const TenantId& tenant, SourceId source,
                                                                         std::span<const PrincipalId> groups) = 0;
};

}  // namespace rosterd
