#pragma once
// Stable ids (spec: protocols A3): what servers write in different ways becomes one text that is compared byte for byte.

#include <optional>
#include <string>
#include <string_view>

namespace rosterd::connectors::ldap {

enum class IdEncoding {
  Text,     ///< entryUUID, nsUniqueId, ipaUniqueID, any other text
  Raw16Be,  ///< 16 bytes in network order
  Raw16Ms,  ///< 16 bytes, the first three fields little-endian (objectGUID)
};
[[nodiscard]] std::string_view name_of(IdEncoding encoding);  ///< "text", "raw16-be", "raw16-ms"
[[nodiscard]] std::optional<IdEncoding> parse_id_encoding(std::string_view name);

/// Writes the canonical text into `out` (reused). False when the value is no usable id: wrong length, empty, not UTF-8, control characters.
[[nodiscard]] bool canonical_id(IdEncoding encoding, std::string_view value, std::string& out);
/// The reverse, as the server holds it; none when the text cannot be one of this encoding.
[[nodiscard]] std::optional<std::string> server_id(IdEncoding encoding, std::string_view canonical);

}  // namespace rosterd::connectors::ldap
