#include "connectors/http/url.hpp"

#include <curl/curl.h>

#include <memory>

#include "schema/core/text.hpp"

namespace rosterd::connectors::http {
namespace {

struct CurlFree {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
  void operator()(char* text) const { curl_free(text); }
};
using Parsed = std::unique_ptr<CURLU, CurlFree>;

std::string part(CURLU* url, CURLUPart which, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url, which, &text, flags) != CURLUE_OK) return {};
  const std::unique_ptr<char, CurlFree> owned(text);
  return text;
}

Result<Url> taken_apart(CURLU* url, std::string_view text) {
  Url out;
  out.scheme = part(url, CURLUPART_SCHEME);
  out.host = part(url, CURLUPART_HOST);
  out.port = part(url, CURLUPART_PORT, CURLU_DEFAULT_PORT);
  out.path = part(url, CURLUPART_PATH);
  out.query = part(url, CURLUPART_QUERY);
  if (out.scheme != "https" && out.scheme != "http") return fail(Errc::InvalidInput, "\"{}\" must begin with https:// or http://", text);
  if (out.host.empty()) return fail(Errc::InvalidInput, "\"{}\" names no host", text);
  if (!part(url, CURLUPART_USER).empty() || !part(url, CURLUPART_PASSWORD).empty())
    return fail(Errc::InvalidInput, "a URL must not hold a user or a password");
  if (!part(url, CURLUPART_FRAGMENT).empty()) return fail(Errc::InvalidInput, "\"{}\" must not hold a #fragment", text);
  if (out.host.starts_with('[') && out.host.ends_with(']')) out.host = out.host.substr(1, out.host.size() - 2);
  for (auto& c : out.host)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

std::string encoded(std::string_view text, bool form) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  out.reserve(text.size() + 8);
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') || byte == '-' ||
                       byte == '.' || byte == '_' || (byte == '~' && !form);
    if (plain) {
      out += c;
    } else if (form && c == ' ') {
      out += '+';
    } else {
      out += '%';
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
  }
  return out;
}

}  // namespace

std::string Url::origin() const {
  return host.find(':') == std::string::npos ? fmt::format("{}://{}:{}", scheme, host, port)
                                             : fmt::format("{}://[{}]:{}", scheme, host, port);
}

Result<Url> parse_url(const std::string& text) {
  if (has_control_characters(text) || text.find(' ') != std::string::npos || text.size() > 8192)
    return fail(Errc::InvalidInput, "a URL must not hold spaces or control characters, nor be longer than 8192 bytes");
  const Parsed url(curl_url());
  if (!url || curl_url_set(url.get(), CURLUPART_URL, text.c_str(), 0) != CURLUE_OK)
    return fail(Errc::InvalidInput, "\"{}\" is no URL", text);
  return taken_apart(url.get(), text);
}

Result<std::string> follow(const std::string& base, std::string_view link) {
  const auto from = parse_url(base);
  if (!from) return fail(from.error());
  if (link.empty() || has_control_characters(link) || link.find(' ') != std::string_view::npos)
    return fail(Errc::Unavailable, "the next-link is no URL");
  const Parsed url(curl_url());
  if (!url || curl_url_set(url.get(), CURLUPART_URL, base.c_str(), 0) != CURLUE_OK ||
      curl_url_set(url.get(), CURLUPART_URL, std::string(link).c_str(), 0) != CURLUE_OK)
    return fail(Errc::Unavailable, "the next-link is no URL");
  const auto to = taken_apart(url.get(), "the next-link");
  if (!to) return fail(Errc::Unavailable, "the next-link cannot be followed: {}", to.error().what);
  if (to->origin() != from->origin())
    return fail(Errc::Refused, "the next-link leads to {} instead of {}; a token must not travel there", to->origin(), from->origin());
  return part(url.get(), CURLUPART_URL);
}

std::string percent_encoded(std::string_view text) { return encoded(text, false); }
std::string form_encoded(std::string_view text) { return encoded(text, true); }

std::string with_query(std::string url, std::string_view name, std::string_view value) {
  url += url.find('?') == std::string::npos ? '?' : '&';
  url += name;
  url += '=';
  url += encoded(value, false);
  return url;
}

}  // namespace rosterd::connectors::http
