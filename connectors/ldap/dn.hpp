#pragma once
// Distinguished names: the many spellings of one name become one normal form, which is itself a valid RFC 4514 text.

#include <string>
#include <string_view>

namespace rosterd::connectors::ldap {

/// Appends the normal form: types lower case and by their short names, values folded (RFC 4518), parts of a multi-valued RDN sorted,
/// escapes in one way. False when the text is no DN; then its folded text is appended, so that it still equals itself.
bool append_normal_dn(std::string_view dn, std::string& out);
[[nodiscard]] std::string normal_dn(std::string_view dn);
/// Normal form of the parent; empty for a single RDN.
[[nodiscard]] std::string parent_dn(std::string_view dn);
/// Both in normal form: equal, or below it at a comma.
[[nodiscard]] bool is_within(std::string_view normal, std::string_view normal_base);
[[nodiscard]] bool is_dn(std::string_view text);
/// A uniqueMember value (RFC 4517 §3.3.21, name and optional uid) without its `#'0101'B`.
[[nodiscard]] std::string_view without_uid(std::string_view value);

}  // namespace rosterd::connectors::ldap
