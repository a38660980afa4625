#pragma once
// Steps that several verbs about people share: an account, a local user, a binding and a local edge, each made inside somebody else's
// transaction. Which verb they belong to, and its audit rows, is said there.

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "schema/postgres/pool.hpp"
#include "schema/store/accounts.hpp"

namespace rosterd::postgres {

/// Raw bytes as decode($n, 'hex') takes them.
[[nodiscard]] std::string hex_text(std::string_view bytes);

// accounts.cpp
/// Throws Abort for what is no e-mail address and "name_taken" for one that is known.
[[nodiscard]] Account insert_account(Db& db, const NewAccount& account);
/// As audit rows hold it: no hash, no secret.
[[nodiscard]] nlohmann::json account_json(const Account& account);
[[nodiscard]] Tenancy::Event account_event(std::string_view action, const Account& account, std::optional<std::string> before,
                                           std::optional<std::string> after);
/// Throws Abort NotFound. `lock`: "" or a locking clause.
[[nodiscard]] Account need_account(Db& db, AccountId id, std::string_view lock = "");

// sessions.cpp
[[nodiscard]] SessionInfo read_session(Row& row);
inline constexpr std::string_view kSessionColumns = "s.session_id, micros(s.created_at), micros(s.ends_at), micros(s.idle_until)";
/// Of an account that may sign in; writes that it did.
[[nodiscard]] SessionInfo insert_session(Db& db, const Account& owner, const NewSession& session, const Actor& actor);

// users.cpp
/// A local user, linked to an account unless that is 0. Throws Abort "name_taken".
[[nodiscard]] User insert_user(Tenancy& inside, const UserRecord& user, AccountId linked);
/// The same, made of an account.
[[nodiscard]] User insert_user_of(Tenancy& inside, const Account& account);
/// Writes that a user was made; `account` when it is linked.
void audit_made(Tenancy& inside, const Actor& actor, const User& user, const Revision& revision);

// bindings.cpp
struct MadeBinding {
  Binding binding;
  Role role;
};
/// Throws Abort: what it names is missing, or it exists.
[[nodiscard]] MadeBinding insert_binding(Tenancy& inside, const NewBinding& wanted, const Actor& actor);
void audit_made(Tenancy& inside, const Actor& actor, const MadeBinding& made, const Revision& revision);

// groups.cpp
/// A local edge. Throws Abort NotFound without the group.
void insert_edge(Tenancy& inside, PrincipalId group, const Principal& member);
void audit_edge_made(Tenancy& inside, const Actor& actor, PrincipalId group, const Principal& member, const Revision& revision);

}  // namespace rosterd::postgres
