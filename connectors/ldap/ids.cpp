#include "connectors/ldap/ids.hpp"

#include <array>
#include <cstdint>

#include "schema/core/text.hpp"

namespace rosterd::connectors::ldap {
namespace {

constexpr std::size_t kMaxId = 255;
constexpr std::array<int, 16> kNetworkOrder = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
// MS-DTYP 2.3.4.2: a GUID is a little-endian 32-bit and two little-endian 16-bit numbers, then eight bytes as they are.
constexpr std::array<int, 16> kMicrosoftOrder = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};

bool is_hex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }
int nibble(char c) { return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10; }

/// Hex digits in groups, as 8-4-4-4-12 (RFC 4122) or 8-8-8-8 (nsUniqueId).
bool is_grouped_hex(std::string_view text, std::initializer_list<std::size_t> groups) {
  std::size_t at = 0;
  for (const auto group : groups) {
    if (at != 0 && (at >= text.size() || text[at++] != '-')) return false;
    for (std::size_t i = 0; i < group; ++i, ++at)
      if (at >= text.size() || !is_hex(text[at])) return false;
  }
  return at == text.size();
}

void write_uuid(std::string_view bytes, const std::array<int, 16>& order, std::string& out) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  out.clear();
  for (std::size_t i = 0; i < 16; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) out += '-';
    const auto byte = static_cast<unsigned char>(bytes[static_cast<std::size_t>(order[i])]);
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
}

std::optional<std::string> read_uuid(std::string_view text, const std::array<int, 16>& order) {
  if (!is_grouped_hex(text, {8, 4, 4, 4, 12})) return std::nullopt;
  std::string bytes(16, '\0');
  std::size_t at = 0;
  for (std::size_t i = 0; i < 16; ++i) {
    if (text[at] == '-') ++at;
    bytes[static_cast<std::size_t>(order[i])] = static_cast<char>(nibble(text[at]) << 4 | nibble(text[at + 1]));
    at += 2;
  }
  return bytes;
}

bool canonical_text(std::string_view value, std::string& out) {
  if (value.empty() || value.size() > kMaxId || !is_utf8(value) || has_control_characters(value)) return false;
  out.assign(value);
  // Only what is plainly hexadecimal has no case of its own; any other text is compared as it stands (S28).
  if (is_grouped_hex(value, {8, 4, 4, 4, 12}) || is_grouped_hex(value, {8, 8, 8, 8}))
    for (char& c : out)
      if (c >= 'A' && c <= 'F') c = static_cast<char>(c | 0x20);
  return true;
}

}  // namespace

std::string_view name_of(IdEncoding encoding) {
  switch (encoding) {
    case IdEncoding::Text:
      return "text";
    case IdEncoding::Raw16Be:
      return "raw16-be";
    case IdEncoding::Raw16Ms:
      return "raw16-ms";
  }
  return "";
}

std::optional<IdEncoding> parse_id_encoding(std::string_view name) {
  for (const auto encoding : {IdEncoding::Text, IdEncoding::Raw16Be, IdEncoding::Raw16Ms})
    if (name_of(encoding) == name) return encoding;
  return std::nullopt;
}

bool canonical_id(IdEncoding encoding, std::string_view value, std::string& out) {
  switch (encoding) {
    case IdEncoding::Text:
      return canonical_text(value, out);
    case IdEncoding::Raw16Be:
      if (value.size() != 16) return false;
      write_uuid(value, kNetworkOrder, out);
      return true;
    case IdEncoding::Raw16Ms:
      if (value.size() != 16) return false;
      write_uuid(value, kMicrosoftOrder, out);
      return true;
  }
  return false;
}

std::optional<std::string> server_id(IdEncoding encoding, std::string_view canonical) {
  switch (encoding) {
    case IdEncoding::Text:
      if (canonical.empty()) return std::nullopt;
      return std::string(canonical);
    case IdEncoding::Raw16Be:
      return read_uuid(canonical, kNetworkOrder);
    case IdEncoding::Raw16Ms:
      return read_uuid(canonical, kMicrosoftOrder);
  }
  return std::nullopt;
}

}  // namespace rosterd::connectors::ldap
