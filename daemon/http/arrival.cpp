#include "daemon/http/arrival.hpp"

#include <algorithm>
#include <optional>

namespace rosterd::http {
namespace {

bool begins_with(std::string_view line, std::string_view lower) {
  return line.size() >= lower.size() && std::equal(lower.begin(), lower.end(), line.begin(), [](char wanted, char c) {
           return wanted == (c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c);
         });
}

/// The number after "Content-Length:", none for anything else.
std::optional<std::size_t> number_in(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t"), end = text.find_last_not_of(" \t\r");
  if (begin == std::string_view::npos) return std::nullopt;
  text = text.substr(begin, end - begin + 1);
  if (text.size() > 18) return std::nullopt;
  std::size_t number = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    number = number * 10 + static_cast<std::size_t>(c - '0');
  }
  return number;
}

}  // namespace

Arrival look(std::string_view bytes, const ArrivalLimits& limits, std::size_t& scanned) {
  Arrival out;
  // The head ends with a line that is empty; a line ends with a line feed.
  constexpr std::string_view kEnd = "\n\r\n";
  const auto end = bytes.find(kEnd, scanned);
  if (end == std::string_view::npos) {
    scanned = bytes.size() < kEnd.size() ? 0 : bytes.size() - kEnd.size() + 1;
    if (bytes.size() > limits.head)
      out.state = bytes.find('\n') == std::string_view::npos ? Arrival::State::UriTooLong : Arrival::State::HeadersTooLarge;
    return out;
  }
  scanned = end;
  const auto head = bytes.substr(0, end + kEnd.size());
  if (head.size() > limits.head) {
    out.state = head.find('\n') > limits.head ? Arrival::State::UriTooLong : Arrival::State::HeadersTooLarge;
    return out;
  }
  out.head_done = true;
  out.state = Arrival::State::Whole;

  std::optional<std::size_t> length;
  bool odd = false;  // nothing to wait for: the server refuses it, and says why
  std::size_t lines = 0;
  auto rest = head.substr(head.find('\n') + 1);
  while (rest.size() > 2) {
    const auto line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(line.size() + 1);
    if (++lines > limits.header_lines || line.size() + 1 > limits.line) {
      out.state = Arrival::State::HeadersTooLarge;
      return out;
    }
    if (begins_with(line, "content-length:")) {
      odd = odd || length;
      length = number_in(line.substr(15));
      odd = odd || !length;
    } else if (begins_with(line, "transfer-encoding:")) {
      odd = true;
    } else if (begins_with(line, "expect:")) {
      out.wants_continue = true;
    }
  }
  if (!odd && length && *length <= limits.body && bytes.size() - head.size() < *length) out.state = Arrival::State::Part;
  out.wants_continue = out.wants_continue && out.state == Arrival::State::Part;
  return out;
}

}  // namespace rosterd::http
