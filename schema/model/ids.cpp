#include "schema/model/ids.hpp"

#include <charconv>

namespace rosterd {
namespace {

constexpr std::string_view kDigits = "0123456789abcdefghjkmnpqrstvwxyz";  // Crockford: no i, l, o, u

std::string with_prefix(std::string_view prefix, std::uint64_t value) {
  std::string out(prefix);
  for (int shift = 60; shift >= 0; shift -= 5) out += kDigits[(value >> shift) & 31];
  return out;
}

std::optional<std::uint64_t> without_prefix(std::string_view prefix, std::string_view text) {
  if (text.size() != prefix.size() + 13 || !text.starts_with(prefix)) return std::nullopt;
  std::uint64_t value = 0;
  for (const char c : text.substr(prefix.size())) {
    const auto digit = kDigits.find(c);
    if (digit == std::string_view::npos) return std::nullopt;
    if (value >> 59) return std::nullopt;  // more than 64 bits
    value = value << 5 | digit;
  }
  return value;
}

constexpr std::string_view prefix_of(PrincipalType type) {
  switch (type) {
    case PrincipalType::User:
      return "usr_";
    case PrincipalType::Group:
      return "grp_";
    case PrincipalType::ServiceAccount:
      return "sva_";
  }
  return "";
}

template <class Row>
std::optional<Row> parse_row(std::string_view prefix, std::string_view text) {
  const auto value = without_prefix(prefix, text);
  return value ? std::optional(Row{*value}) : std::nullopt;
}

}  // namespace

std::string_view name_of(PrincipalType type) {
  switch (type) {
    case PrincipalType::User:
      return "user";
    case PrincipalType::Group:
      return "group";
    case PrincipalType::ServiceAccount:
      return "service_account";
  }
  return "";
}

Result<PrincipalType> parse_principal_type(std::string_view name) {
  for (const auto type : {PrincipalType::User, PrincipalType::Group, PrincipalType::ServiceAccount})
    if (name_of(type) == name) return type;
  return fail(Errc::InvalidInput, "'{}' is no kind of principal; use user, group or service_account", name);
}

std::string text(PrincipalType type, PrincipalId id) { return with_prefix(prefix_of(type), id.value); }
std::string text(const Principal& principal) { return text(principal.type, principal.id); }
std::string text(AccountId id) { return with_prefix("acc_", id.value); }
std::string text(SourceId id) { return with_prefix("src_", id.value); }
std::string text(RunId id) { return with_prefix("run_", id.value); }
std::string text(RoleId id) { return with_prefix("rol_", id.value); }
std::string text(BindingId id) { return with_prefix("bnd_", id.value); }
std::string text(TokenId id) { return with_prefix("tok_", id.value); }
std::string text(AuditId id) { return with_prefix("aud_", id.value); }
std::string text(SessionId id) { return with_prefix("ses_", id.value); }
std::string text(InvitationId id) { return with_prefix("inv_", id.value); }

std::optional<PrincipalId> parse_principal_id(PrincipalType type, std::string_view text) {
  return parse_row<PrincipalId>(prefix_of(type), text);
}
std::optional<AccountId> parse_account_id(std::string_view text) { return parse_row<AccountId>("acc_", text); }
std::optional<SourceId> parse_source_id(std::string_view text) { return parse_row<SourceId>("src_", text); }
std::optional<RunId> parse_run_id(std::string_view text) { return parse_row<RunId>("run_", text); }
std::optional<RoleId> parse_role_id(std::string_view text) { return parse_row<RoleId>("rol_", text); }
std::optional<BindingId> parse_binding_id(std::string_view text) { return parse_row<BindingId>("bnd_", text); }
std::optional<InvitationId> parse_invitation_id(std::string_view text) { return parse_row<InvitationId>("inv_", text); }

std::string text(const Revision& revision) { return fmt::format("{}.{}", revision.epoch, revision.number); }

Result<Revision> parse_revision(std::string_view text) {
  Revision out;
  const char* end = text.data() + text.size();
  const auto epoch = std::from_chars(text.data(), end, out.epoch);
  if (epoch.ec == std::errc{} && epoch.ptr != end && *epoch.ptr == '.') {
    const auto number = std::from_chars(epoch.ptr + 1, end, out.number);
    if (number.ec == std::errc{} && number.ptr == end) return out;
  }
  return fail(Errc::InvalidInput, "'{}' is not a revision such as 7.1042", text);
}

}  // namespace rosterd
