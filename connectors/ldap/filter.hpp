#pragma once
// Search filters (RFC 4515): checked when settings are loaded, wrapped and never spliced.

#include <string>
#include <string_view>

#include "schema/core/result.hpp"

namespace rosterd::connectors::ldap {

/// Checks the whole grammar of RFC 4515 §3: balanced, known operators, attribute descriptions, escapes. InvalidInput says what and where.
[[nodiscard]] Result<void> check_filter(std::string_view filter);
/// Whether every entry that the filter selects has this value: it asks for it alone, in a conjunction, or in each part of a disjunction.
/// Compared without case; the filter must have passed check_filter.
[[nodiscard]] bool demands(std::string_view filter, std::string_view attribute, std::string_view value);
/// `(&(a)(b))`; both must have passed check_filter or been built here.
[[nodiscard]] std::string both(std::string_view a, std::string_view b);
/// `(attribute=value)` with the value's special characters as \xx.
[[nodiscard]] std::string equals(std::string_view attribute, std::string_view value);
/// The same with every byte as \xx, for binary values (AD wants objectGUID so).
[[nodiscard]] std::string equals_binary(std::string_view attribute, std::string_view value);
/// An attribute name or numeric OID, with options (RFC 4512 §2.5).
[[nodiscard]] bool is_attribute_description(std::string_view text);

}  // namespace rosterd::connectors::ldap
