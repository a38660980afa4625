#pragma once
// URLs taken apart by libcurl's parser, the same one that will connect, so that what was judged is what is used.

#include <string>
#include <string_view>

#include "schema/core/result.hpp"

namespace rosterd::connectors::http {

struct Url {
  std::string scheme;                        ///< "https" or "http"
  std::string host;                          ///< lower case; an IPv6 address without brackets
  std::string port;                          ///< always set
  std::string path;                          ///< begins with "/"
  std::string query;                         ///< without "?"
  [[nodiscard]] std::string origin() const;  ///< "https://host:port", for comparing
};

/// InvalidInput unless it is http(s) with a host and without user, password and fragment.
[[nodiscard]] Result<Url> parse_url(const std::string& text);
/// What a next-link found in an answer to `base` means: resolved against it (RFC 3986 §5), refused unless scheme, host and port are those
/// of `base`, since a token travels there.
[[nodiscard]] Result<std::string> follow(const std::string& base, std::string_view link);
/// RFC 3986 percent-encoding of one path segment or query value.
[[nodiscard]] std::string percent_encoded(std::string_view text);
/// `url` with ?name=value or &name=value behind it; the value is encoded here.
[[nodiscard]] std::string with_query(std::string url, std::string_view name, std::string_view value);
/// application/x-www-form-urlencoded (RFC 6749 appendix B): spaces become "+".
[[nodiscard]] std::string form_encoded(std::string_view text);

}  // namespace rosterd::connectors::http
