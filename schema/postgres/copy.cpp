#include "schema/postgres/copy.hpp"

#include <algorithm>

namespace rosterd::postgres {

bool CopyWriter::is_plain(std::string_view value) {
  bool ascii = true;
  for (const unsigned char c : value) ascii &= static_cast<unsigned char>(c - 1) < 0x7f;  // 1..127: neither NUL nor beyond ASCII
  return ascii || (value.find('\0') == std::string_view::npos && is_utf8(value));
}

std::string CopyWriter::mend(std::string_view value) {
  static constexpr std::string_view kReplacement = "\xEF\xBF\xBD";
  std::string out;
  while (!value.empty()) {
    std::size_t length = 0;
    // The longest character that starts here, 4 bytes at most (RFC 3629).
    for (std::size_t n = 1; n <= 4 && n <= value.size() && length == 0; ++n)
      if (value.front() != '\0' && is_utf8(value.substr(0, n))) length = n;
    if (length == 0)
      out += kReplacement;
    else
      out += value.substr(0, length);
    value.remove_prefix(std::max<std::size_t>(1, length));
  }
  return out;
}

}  // namespace rosterd::postgres
