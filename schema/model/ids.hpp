#pragma once
// Identifiers. Texts of different meaning are different types, and so are row numbers: a tenant cannot be passed where a source is
// expected. Outside, a row number is written with its kind: "usr_00000000012kf" (Crockford base 32, 13 digits); such a text can
// not be mistaken for an employee number that somebody uses as a username.

#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "schema/core/result.hpp"

namespace rosterd {

template <class Tag>
struct Id {
  std::string value;
  auto operator<=>(const Id&) const = default;
};
using TenantId = Id<struct TenantTag>;      ///< `^[a-z0-9][a-z0-9_-]{0,62}$`
using ExternalId = Id<struct ExternalTag>;  ///< the directory's stable id in canonical form, compared byte for byte

template <class Tag>
struct RowId {
  std::uint64_t value = 0;  ///< 0 = none
  auto operator<=>(const RowId&) const = default;
  explicit operator bool() const { return value != 0; }
};
using PrincipalId = RowId<struct PrincipalTag>;  ///< one number space for users, groups and service accounts; never reused (R6)
using AccountId = RowId<struct AccountTag>;
using SourceId = RowId<struct SourceTag>;
using RunId = RowId<struct RunTag>;
using RoleId = RowId<struct RoleTag>;
using BindingId = RowId<struct BindingTag>;
using TokenId = RowId<struct TokenTag>;
using AuditId = RowId<struct AuditTag>;  ///< one number space for all tenants, given out in the order of writing
using SessionId = RowId<struct SessionTag>;
using InvitationId = RowId<struct InvitationTag>;

enum class PrincipalType : std::uint8_t { User = 1, Group = 2, ServiceAccount = 3 };  // stored as these numbers

struct Principal {
  PrincipalType type = PrincipalType::User;
  PrincipalId id;
  auto operator<=>(const Principal&) const = default;
};

/// "user", "group", "service_account".
[[nodiscard]] std::string_view name_of(PrincipalType type);
[[nodiscard]] Result<PrincipalType> parse_principal_type(std::string_view name);

/// "usr_…", "grp_…", "sva_…".
[[nodiscard]] std::string text(PrincipalType type, PrincipalId id);
[[nodiscard]] std::string text(const Principal& principal);
[[nodiscard]] std::string text(AuditId id);       ///< "aud_…"
[[nodiscard]] std::string text(AccountId id);     ///< "acc_…"
[[nodiscard]] std::string text(SourceId id);      ///< "src_…"
[[nodiscard]] std::string text(RunId id);         ///< "run_…"
[[nodiscard]] std::string text(RoleId id);        ///< "rol_…"
[[nodiscard]] std::string text(BindingId id);     ///< "bnd_…"
[[nodiscard]] std::string text(TokenId id);       ///< "tok_…"
[[nodiscard]] std::string text(SessionId id);     ///< "ses_…"
[[nodiscard]] std::string text(InvitationId id);  ///< "inv_…"

/// The reverse; none for any other text, another kind of id included.
[[nodiscard]] std::optional<PrincipalId> parse_principal_id(PrincipalType type, std::string_view text);
[[nodiscard]] std::optional<AccountId> parse_account_id(std::string_view text);
[[nodiscard]] std::optional<SourceId> parse_source_id(std::string_view text);
[[nodiscard]] std::optional<RunId> parse_run_id(std::string_view text);
[[nodiscard]] std::optional<RoleId> parse_role_id(std::string_view text);
[[nodiscard]] std::optional<BindingId> parse_binding_id(std::string_view text);
[[nodiscard]] std::optional<InvitationId> parse_invitation_id(std::string_view text);

/// Where a tenant stands: written "epoch.revision" and compared in that order. The epoch changes when history may have been cut.
struct Revision {
  std::uint32_t epoch = 0;
  std::uint64_t number = 0;
  auto operator<=>(const Revision&) const = default;
};
[[nodiscard]] std::string text(const Revision& revision);  ///< "7.1042"
[[nodiscard]] Result<Revision> parse_revision(std::string_view text);

}  // namespace rosterd

template <class Tag>
struct std::hash<rosterd::Id<Tag>> {
  std::size_t operator()(const rosterd::Id<Tag>& id) const noexcept { return std::hash<std::string>{}(id.value); }
};
template <class Tag>
struct std::hash<rosterd::RowId<Tag>> {
  std::size_t operator()(const rosterd::RowId<Tag>& id) const noexcept { return std::hash<std::uint64_t>{}(id.value); }
};
