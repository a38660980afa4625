#include "daemon/http/request.hpp"

#include <algorithm>

#include "schema/core/text.hpp"

namespace rosterd::http {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// Percent-decoding of RFC 3986 §2.1; in a query '+' is a space, as forms send it.
bool decode(std::string_view in, bool plus_is_space, std::string& out) {
  const bool plain = std::all_of(in.begin(), in.end(), [](char c) { return c >= ' ' && c <= '~' && c != '%' && c != '+'; });
  if (plain) {  // nearly always: nothing to decode, and nothing that could be wrong
    out = in;
    return true;
  }
  out.clear();
  out.reserve(in.size());
  for (std::size_t i = 0; i < in.size(); ++i) {
    const char c = in[i];
    if (c == '%') {
      if (i + 2 >= in.size()) return false;
      const int high = hex_digit(in[i + 1]), low = hex_digit(in[i + 2]);
      if (high < 0 || low < 0) return false;
      out.push_back(static_cast<char>(high * 16 + low));
      i += 2;
    } else {
      out.push_back(plus_is_space && c == '+' ? ' ' : c);
    }
  }
  return is_utf8(out) && !has_control_characters(out);
}

}  // namespace

Result<Target> parse_target(std::string_view target) {
  const auto wrong = [](std::string_view what) { return fail(Errc::InvalidInput, "the URL {}", what); };
  Target out;
  if (!target.starts_with('/')) return wrong("must begin with a slash");
  const auto mark = target.find('?');
  auto path = target.substr(1, mark == std::string_view::npos ? mark : mark - 1);
  std::string text;
  out.segments.reserve(8);
  while (!path.empty()) {
    const auto slash = path.find('/');
    if (!decode(path.substr(0, slash), false, text)) return wrong("has a segment that is not percent-encoded UTF-8 text");
    // "//", "/./" and "/../" mean different things to different proxies: nobody gets to use the difference.
    if (text.empty() || text == "." || text == "..") return wrong("has an empty or dot segment");
    out.segments.push_back(text);
    path = slash == std::string_view::npos ? std::string_view{} : path.substr(slash + 1);
    if (slash != std::string_view::npos && path.empty()) return wrong("ends with a slash");
  }
  auto query = mark == std::string_view::npos ? std::string_view{} : target.substr(mark + 1);
  while (!query.empty()) {
    const auto end = query.find('&');
    const auto pair = query.substr(0, end);
    query = end == std::string_view::npos ? std::string_view{} : query.substr(end + 1);
    if (pair.empty()) continue;
    const auto equals = pair.find('=');
    std::string value;
    if (!decode(pair.substr(0, equals), true, text) || (equals != std::string_view::npos && !decode(pair.substr(equals + 1), true, value)))
      return wrong("has a query that is not percent-encoded UTF-8 text");
    for (const auto& [name, before] : out.query)
      if (name == text) return wrong(fmt::format("gives the parameter {} twice", text));
    out.query.emplace_back(text, std::move(value));
  }
  return out;
}

}  // namespace rosterd::http
